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
struct MailView {
  std::string at, state;
  std::int64_t attempts = 0;
  std::optional<std::string> answer;
  When done_at;
  std::optional<std::string> bulletin, title;
  std::optional<bool> withdrawn;
};
BOOST_DESCRIBE_STRUCT(MailView, (), (at, state, attempts, answer, done_at, bulletin, title, withdrawn))
struct MailCounts {
  std::int64_t delivered = 0, waiting = 0, given_up = 0;
};
BOOST_DESCRIBE_STRUCT(MailCounts, (), (delivered, waiting, given_up))
struct SubscriberView {
  std::string id, address;
  std::optional<std::string> person;
  std::string ceiling, language, since;
  MailCounts mails;
  std::optional<MailView> last_mail;
};
BOOST_DESCRIBE_STRUCT(SubscriberView, (), (id, address, person, ceiling, language, since, mails, last_mail))
struct InvitedView {
  std::string id, address;
  std::optional<std::string> person;
  std::string language, asked_at, ends_at;
  std::optional<MailView> mail;
};
BOOST_DESCRIBE_STRUCT(InvitedView, (), (id, address, person, language, asked_at, ends_at, mail))
struct InviteView {
  std::string address;
  std::optional<std::string> language;
};
BOOST_DESCRIBE_STRUCT(InviteView, (), (address, language))

std::optional<std::string> who(const std::optional<std::int64_t>& person) {
  return person ? std::optional(fmt::format("person:{}", *person)) : std::nullopt;
}

MailView seen(const exchange::Mailed& m) {
  MailView v;
  v.at = at_always(micros(m.at));
  v.state = m.state;
  v.attempts = static_cast<std::int64_t>(m.attempts);
  v.answer = filled(m.answer);
  v.done_at = at(m.done ? micros(*m.done) : 0);
  if (m.bulletin) {
    v.bulletin = std::to_string(*m.bulletin);
    v.title = filled(m.title);
    v.withdrawn = m.withdrawn;
  }
  return v;
}

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
  for (const auto& s : *all) {
    SubscriberView v{std::to_string(s.id),
                     s.address,
                     who(s.person),
                     std::string(event::to_string(s.ceiling)),
                     s.language,
                     at_always(micros(s.since)),
                     {},
                     {}};
    for (const auto& m : s.mails)
      ++(m.state == "delivered" ? v.mails.delivered : m.state == "waiting" ? v.mails.waiting : v.mails.given_up);
    if (!s.mails.empty()) v.last_mail = seen(s.mails.back());
    views.push_back(std::move(v));
  }
  return list_of(views, next);
}

net::Reply mails(const Hub& hub, const net::Request& q) {
  constexpr std::size_t kMost = 200;  // what a page shows of thirty days
  const auto id = web::id_of(q);
  if (!id) return net::problem(id.error());
  const auto all = hub.subscribers->mails(q.scope, *id, kMost);
  if (!all) return net::problem(all.error());
  std::vector<MailView> views;
  for (const auto& m : *all) views.push_back(seen(m));
  return list_of(views, std::nullopt);
}

net::Reply invited(const Hub& hub, const net::Request& q) {
  const auto all = hub.subscribers->invited(q.scope);
  if (!all) return net::problem(all.error());
  std::vector<InvitedView> views;
  for (const auto& i : *all)
    views.push_back({std::to_string(i.id), i.address, who(i.person), i.language, at_always(micros(i.asked)),
                     at_always(micros(i.ends)), i.mail ? std::optional(seen(*i.mail)) : std::nullopt});
  return list_of(views, std::nullopt);
}

net::Reply invite(const Hub& hub, const net::Request& q) {
  const auto wish = body_of<InviteView>(q);
  if (!wish) return net::problem(wish.error());
  const auto language = language_of(wish->language.value_or("en"));
  if (!language) return net::problem(Error{Code::bad_input, "languages are da, nb and en", "/language"});
  const auto id = hub.subscribers->invite(q.scope, wish->address, *language);
  if (!id) return net::problem(id.error());
  const auto all = hub.subscribers->invited(q.scope);
  if (!all) return net::problem(all.error());
  for (const auto& i : *all)
    if (i.id == *id) {
      auto reply = net::json(net::to_json(InvitedView{std::to_string(i.id), i.address, who(i.person), i.language,
                                                      at_always(micros(i.asked)), at_always(micros(i.ends)),
                                                      i.mail ? std::optional(seen(*i.mail)) : std::nullopt}));
      reply.status = 201;
      return reply;
    }
  return net::problem(Error{Code::not_found, "the link was used or taken back at this moment", "/address"});
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
  router.get("/api/bulletins/subscribers/{id}/mails", Needs::people_write,
             [hub](const net::Request& q) { return mails(*hub, q); });
  constexpr const char* invitations = "/api/bulletins/invitations";
  router.get(invitations, Needs::people_write, [hub](const net::Request& q) { return invited(*hub, q); });
  router.post(invitations, Needs::people_write, [hub](const net::Request& q) { return invite(*hub, q); });
  router.del("/api/bulletins/invitations/{id}", Needs::people_write, [hub](const net::Request& q) -> net::Reply {
    const auto id = web::id_of(q);
    return id ? web::done(hub->subscribers->take_back(q.scope, *id)) : net::problem(id.error());
  });
}

}  // namespace bavn::show::api
