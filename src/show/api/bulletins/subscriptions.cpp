// /api/bulletins/subscription and /api/bulletins/subscribers: the contract is api/exchange.yaml.
#include "exchange/subscribers/subscribers.hpp"
#include "show/api/hub_inner.hpp"

namespace bavn::show::api {

namespace {

struct AddressView {
  std::string address;
  bool confirmed = false;
};
BOOST_DESCRIBE_STRUCT(AddressView, (), (address, confirmed))
struct SubscriptionView {
  bool possible = false;
  std::string state;
  std::optional<std::string> address;
  std::string ceiling, language;
  When since;
  std::vector<AddressView> addresses;
  std::string narrowest;
};
BOOST_DESCRIBE_STRUCT(SubscriptionView, (), (possible, state, address, ceiling, language, since, addresses, narrowest))
struct WishView {
  std::optional<std::string> address, ceiling, language;
};
BOOST_DESCRIBE_STRUCT(WishView, (), (address, ceiling, language))
struct SubscriberView {
  std::string id, address;
  std::optional<std::string> person;
  std::string ceiling, language, since;
};
BOOST_DESCRIBE_STRUCT(SubscriberView, (), (id, address, person, ceiling, language, since))

net::Reply shown(const Result<exchange::OwnSubscription>& own) {
  if (!own) {
    if (own.error().code == Code::forbidden) return web::problem(403, "person-needed", own.error().what);
    return net::problem(own.error());
  }
  SubscriptionView v;
  v.possible = own->possible;
  v.state = own->state;
  v.address = filled(own->address);
  v.ceiling = event::to_string(own->ceiling);
  v.language = own->language;
  v.since = at(own->state == "none" ? 0 : micros(own->since));
  for (const auto& a : own->addresses) v.addresses.push_back({a.address, a.confirmed});
  v.narrowest = event::to_string(own->narrowest);
  return net::json(net::to_json(v));
}

net::Reply subscribe(const Hub& hub, const net::Request& q) {
  auto wish = body_of<WishView>(q);
  if (!wish) return net::problem(wish.error());
  exchange::SubscriptionWish w;
  w.address = wish->address.value_or("");
  w.language = wish->language.value_or("");
  if (wish->ceiling) {
    const auto ceiling = event::parse_tlp(*wish->ceiling);
    if (!ceiling)
      return net::problem(Error{Code::bad_input, "TLP is clear, green, amber, amber+strict or red", "/ceiling"});
    w.ceiling = *ceiling;
  }
  return shown(hub.subscribers->subscribe(q.scope, w));
}

net::Reply unsubscribe(const Hub& hub, const net::Request& q) {
  const auto done = hub.subscribers->unsubscribe(q.scope);
  if (!done && done.error().code == Code::forbidden) return web::problem(403, "person-needed", done.error().what);
  return web::done(done);
}

net::Reply list(const Hub& hub, const net::Request& q) {
  const auto page = web::page_of(q, "subscribers");
  if (!page) return net::problem(page.error());
  auto all = hub.subscribers->page(q.scope, number_in(page->after).value_or(0), page->limit + 1);
  if (!all) return net::problem(all.error());
  std::optional<std::string> next;
  if (all->size() > page->limit) {
    all->resize(page->limit);
    next = web::cursor_of("subscribers", std::to_string(all->back().id));
  }
  std::vector<SubscriberView> views;
  for (const auto& s : *all)
    views.push_back({std::to_string(s.id), s.address,
                     s.person ? std::optional(fmt::format("person:{}", *s.person)) : std::nullopt,
                     std::string(event::to_string(s.ceiling)), s.language, at_always(micros(s.since))});
  return list_of(views, next);
}

}  // namespace

void add_subscription_routes(net::Router& router, const HubPtr& hub) {
  constexpr const char* own = "/api/bulletins/subscription";
  router.get(own, Needs::tenants_read, [hub](const net::Request& q) { return shown(hub->subscribers->own(q.scope)); });
  router.put(own, Needs::tenants_read, [hub](const net::Request& q) { return subscribe(*hub, q); });
  router.del(own, Needs::tenants_read, [hub](const net::Request& q) { return unsubscribe(*hub, q); });
  router.get("/api/bulletins/subscribers", Needs::people_write, [hub](const net::Request& q) { return list(*hub, q); });
  router.del("/api/bulletins/subscribers/{id}", Needs::people_write, [hub](const net::Request& q) -> net::Reply {
    const auto id = web::id_of(q);
    return id ? web::done(hub->subscribers->remove(q.scope, *id)) : net::problem(id.error());
  });
}

}  // namespace bavn::show::api
