#include "app/hub_exchange.hpp"

#include "app/hub_open_data.hpp"
#include "app/hub_taxii.hpp"
#include "exchange/stix/bundle.hpp"
#include "exchange/taxii/client.hpp"
#include "exchange/upload/upload.hpp"
#include "show/api/peers/known_rows.hpp"
#include "show/web/answers.hpp"

namespace bavn::app {

namespace mi = match::indicators;

exchange::Pullers pullers(exchange::taxii::Taxii& taxii, exchange::misp::Misp& misp) {
  exchange::Pullers all = misp.pullers();
  all["defender"] = exchange::defender_puller();
  all["sentinel"] = exchange::sentinel_puller();
  all["taxii"] = exchange::taxii::taxii_puller(taxii);
  return all;
}

Result<std::unique_ptr<HubExchange>> HubExchange::open(HubCore& hub, Runtime& runtime, const HubOptions& options) {
  auto all = std::make_unique<HubExchange>();
  all->name = options.name;
  BAVN_TRY(all->taxii, open_taxii(runtime, hub.state(), options));
  all->views = {{"csv", exchange::csv_view()},
                {"misp", hub.misp().view()},
                {"stix", exchange::stix::stix_view(all->taxii->author())},
                {"warnings", all->taxii->warnings_view()}};

  exchange::DeskParts parts{.runtime = runtime,
                            .state = hub.state(),
                            .client = options.peer_client,
                            .settings = options.settings,
                            .pullers = pullers(*all->taxii, hub.misp())};
  parts.publish = [&hub](const event::Scope& scope, std::vector<mi::Indicator> list,
                         std::string_view name) -> Result<void> {
    BAVN_CHECK(hub.publish_indicators(scope, std::move(list), name));
    return {};
  };
  parts.withdraw = [&hub](const event::Scope& scope, std::span<const mi::Removal> list) {
    return hub.withdraw_indicators(scope, list,
                                   list.empty() ? std::string_view() : std::string_view(list.front().source));
  };
  parts.of_peer = show::api::rows_of_peer;
  parts.read = show::api::known_rows;
  parts.never_blocked = [&hub](const event::Observable& what) -> std::optional<std::string> {
    if (!warn::can_be_listed(what.kind)) return std::nullopt;
    const auto refusal = hub.noticing().blocks().never_block()->check(what);
    return refusal ? std::optional(refusal->reason) : std::nullopt;
  };
  exchange::BulletinParts bulletin{.runtime = runtime, .state = hub.state()};
  BAVN_TRY(bulletin.limits, exchange::Limits::from(options.settings));
  bulletin.publish = parts.publish;
  bulletin.withdraw = parts.withdraw;
  bulletin.never_blocked = parts.never_blocked;
  bulletin.parsers = options.parsers;
  bulletin.texts = &hub.texts();
  all->bulletins = std::make_unique<exchange::Bulletins>(std::move(bulletin));
  BAVN_TRY(all->peers, exchange::PeerDesk::open(std::move(parts)));
  all->open_subscriptions(hub, runtime, options);
  BAVN_TRY(all->open_data, app::open_data(hub, runtime, options));
  // The desk goes after State::stop(), when nobody uses its library any more.
  all->taxii->use_library(std::shared_ptr<const exchange::Library>(std::shared_ptr<void>(), &all->peers->library()));
  return all;
}

void HubExchange::open_subscriptions(HubCore& hub, Runtime& runtime, const HubOptions& options) {
  exchange::SubscriberParts parts{.runtime = runtime,
                                  .state = hub.state(),
                                  .texts = hub.texts(),
                                  .bulletins = *bulletins,
                                  .name = options.name.empty() ? "CERT" : options.name,
                                  .limits = exchange::SubscriptionLimits::from(options.settings)};
  parts.site = [this] { return site(); };
  parts.taken = [&hub](MunicipalityId m) {
    const auto taken = hub.state().read([&](store::Reader& r) { return hub.noticing().warnings().taken(r, m); });
    return !taken || *taken;  // when it cannot be told, no more than a link is sent
  };
  if (hub.notify() != nullptr && hub.notify()->notify().has_mail()) {
    parts.post = [&notify = hub.notify()->notify()](store::Tx& tx, const exchange::Letter& l) {
      return notify.post(tx, {.to = l.to,
                              .kind = "bulletin",
                              .about = l.about,
                              .subject = l.subject,
                              .body = l.text,
                              .headers = l.headers,
                              .until = l.until});
    };
    parts.recall = &notify::Notify::recall;
    parts.mailed = [&notify = hub.notify()->notify()](std::string_view about) -> Result<std::vector<exchange::Mailed>> {
      BAVN_TRY(auto proofs, notify.proofs_about(about));
      std::vector<exchange::Mailed> all;
      for (auto& p : proofs)
        all.push_back({.at = p.made,
                       .state = std::move(p.state),
                       .attempts = p.attempts.size(),
                       .answer = p.attempts.empty() ? std::string() : std::move(p.attempts.back().answer),
                       .done = p.done});
      return all;
    };
  }
  const auto confirm = parts.limits.confirm;
  subscribers = exchange::Subscribers::open(std::move(parts));
  subscribe_pages = std::make_unique<show::pages::SubscribeDesk>(runtime, *subscribers, hub.texts(),
                                                                 options.name.empty() ? "CERT" : options.name, confirm);
}

void HubExchange::add_web_routes(net::Router& router) {
  subscribe_pages->add_routes(router);
  add_open_data(router, *open_data, [this] { return site(); });
  add_taxii(router, *taxii, peers->keys());
  // The feed: TLP:CLEAR for everybody, with a partner's key what that may have.
  router.get("/bulletins.atom", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    event::Tlp ceiling = event::Tlp::clear;
    const auto partner = peers->keys().partner_of(q);
    if (partner && partner->may_read) ceiling = partner->ceiling;
    if (!partner && partner.error().code != Code::not_found)
      return net::problem(401, "Unauthorized", partner.error().what);
    const auto language = q.asked("language").value_or("");
    if (!language.empty() && language != "da" && language != "nb" && language != "en")
      return net::problem(Error{Code::bad_input, "languages are da, nb and en", "?language"});
    const std::string* host = q.headers.find("Host");
    const auto feed =
        bulletins->atom(ceiling, language, name, host != nullptr && host->size() < 300 ? "https://" + *host : "");
    if (!feed) return net::problem(feed.error());
    const std::string etag = show::web::etag_of_text(*feed);
    if (auto same = show::web::unchanged(q, etag)) return std::move(*same);
    return show::web::tagged(net::text(*feed, "application/atom+xml; charset=utf-8"), etag);
  });
}

}  // namespace bavn::app
