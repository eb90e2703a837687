#include "show/api/hub.hpp"

#include <charconv>
#include <cmath>

#include "base/text.hpp"
#include "show/api/hub_inner.hpp"
#include "warn/case.hpp"

namespace bavn::show::api {

namespace {

constexpr Setting kSettings[] = {
    {"campaigns.baseline_minutes",
     Unit::minutes,
     std::int64_t{966},
     {0, 100'000},
     "What \"minutes won\" are counted against: in October 2024 the first mail was sent at about eight in the morning "
     "and "
     "all municipalities were told six minutes past midnight.",
     Restart::yes},
    {"campaigns.baseline_case",
     Unit::none,
     std::string_view("2024-10"),
     {1, 40},
     "Which case that was; a figure without its case says nothing.",
     Restart::yes},
};

}  // namespace

std::span<const Setting> hub_desk_settings() {
  return kSettings;
}

std::optional<double> minutes_between(std::int64_t from_us, std::int64_t to_us) {
  if (from_us <= 0 || to_us <= 0) return std::nullopt;
  return std::round(static_cast<double>(std::max<std::int64_t>(0, to_us - from_us)) / 60e6 * 100) / 100;
}

std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t n = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  return ec == std::errc{} && end == text.data() + text.size() && n >= 0 ? std::optional(n) : std::nullopt;
}

Town Hub::town(MunicipalityId m) const {
  const tenants::Municipality* facts = directory.municipalities().find(m);
  return {fmt::format("{:04}", m.value), facts != nullptr ? std::optional(facts->name) : std::nullopt};
}

Result<MunicipalityId> Hub::named(std::string_view code_or_name) const {
  BAVN_TRY(const tenants::Municipality* m, directory.municipalities().named(code_or_name));
  return m->id;
}

ShownObservable Hub::shown(std::string_view kind, std::string_view value) const {
  return {.kind = std::string(kind), .value = std::string(value), .defanged = warn::defanged(value)};
}

std::int64_t Hub::setting(std::string_view which) const {
  if (settings != nullptr) return settings->integer(which);
  return Settings::defaults(kSettings).integer(which);
}

std::string person(const net::Request& q) {
  const auto as = q.asked("as");
  if (as && !trim(*as).empty() && q.scope.who() == event::Scope::local_owner().who())
    return std::string(trim(*as).substr(0, 200));
  return q.scope.who();
}

net::Handler proved(const HubPtr& hub, net::Handler handler) {
  return [hub, handler = std::move(handler)](const net::Request& q) {
    if (hub->proof_missing)
      if (auto missing = hub->proof_missing(q)) return std::move(*missing);
    return handler(q);
  };
}

void add_hub_routes(net::Router& router, const HubParts& parts) {
  const auto hub = std::make_shared<const Hub>(parts);
  add_overview_routes(router, hub);
  add_campaign_routes(router, hub);
  add_warning_routes(router, hub);
  add_map_routes(router, hub);
  add_member_routes(router, hub);
  add_indicator_routes(router, hub);
  add_block_routes(router, hub);
  add_exposure_routes(router, hub);
  add_brake_routes(router, hub);
  add_audit_routes(router, hub);
  add_setting_routes(router, hub);
  add_order_routes(router, hub);
  add_handover_routes(router, hub);
  if (hub->peers != nullptr) add_peer_routes(router, hub);
  if (hub->bulletins != nullptr) add_bulletin_routes(router, hub);
  if (hub->subscribers != nullptr) add_subscription_routes(router, hub);
}

}  // namespace bavn::show::api
