#include "app/web_people.hpp"

#include "net/json_views.hpp"

namespace bavn::app {

namespace {
struct LinkWish {
  std::optional<std::uint64_t> person;
};
BOOST_DESCRIBE_STRUCT(LinkWish, (), (person))
struct Link {
  std::string link;
};
BOOST_DESCRIBE_STRUCT(Link, (), (link))
}  // namespace

Result<std::unique_ptr<WebPeople>> WebPeople::open(Runtime& runtime, store::State& state, const Catalogue& texts,
                                                   const Control& control, net::Router& control_router,
                                                   show::web::Site& site, show::auth::IdentityOptions options,
                                                   const Settings& settings, const OtherDoor& partners) {
  std::unique_ptr<WebPeople> here(new WebPeople(runtime, state));
  here->client_ = net::curl_client(runtime, show::auth::identity_egress(settings));
  options.origin = site.url();
  options.settings = &settings;
  BAVN_TRY(here->identity_,
           show::auth::Identity::open(runtime, state, here->people_, *here->client_, texts, std::move(options)));
  show::auth::Identity& identity = *here->identity_;
  identity.add_routes(site.router());
  // The machine's owner comes in with the control key, from this machine alone; a partner with its own; everybody else by identity.
  site.use_authenticator([&control, &identity, partners](const net::Request& q) {
    if (auto owner = control.owner_here(q)) return owner;
    if (partners) {
      auto partner = partners(q);
      if (partner || partner.error().code != Code::not_found) return partner;
    }
    return identity.authenticate(q);
  });
  site.use_still_valid([&control, &identity, partners](const net::Request& q) {
    return control.owner_here(q).has_value() || (partners && partners(q).has_value()) || identity.still_valid(q);
  });
  identity.on_ended([&site](const std::string& who) { site.end_streams_of(who); });
  control_router.post("/web/links", net::Needs::people_write, [&identity](const net::Request& q) {
    const auto wish = net::from_json<LinkWish>(q.body.empty() ? "{}" : q.body, net::Unknown::refuse);
    if (!wish) return net::problem(wish.error());
    const auto link = wish->person ? identity.link_for({*wish->person}) : identity.first_link(true);
    return link ? net::json(net::to_json(Link{*link}), 201) : net::problem(link.error());
  });
  return here;
}

Result<std::string> WebPeople::listening(const show::web::Site& site) {
  identity_->use_origin(site.url());
  return identity_->first_link();
}

}  // namespace bavn::app
