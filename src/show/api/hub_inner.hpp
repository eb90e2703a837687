#pragma once
// What the hub's routes share; not for other modules. Life: Hub lives as long as the handlers that hold it.
#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include <map>
#include <memory>

#include "correlate/campaigns.hpp"
#include "net/json_views.hpp"
#include "show/api/hub.hpp"
#include "show/web/answers.hpp"

namespace bavn::show::api {

using net::Needs;
using When = std::optional<std::string>;  // RFC 3339 with milliseconds; empty: not (yet)

inline When at(std::int64_t us) {
  return us > 0 ? When(web::time_text(from_micros(us))) : std::nullopt;
}
inline When at(const std::optional<std::int64_t>& us) {
  return at(us.value_or(0));
}
inline std::string at_always(std::int64_t us) {
  return web::time_text(from_micros(us));
}
/// Two digits behind the point: seconds.
std::optional<double> minutes_between(std::int64_t from_us, std::int64_t to_us);
std::optional<std::int64_t> number_in(std::string_view text);
inline std::optional<std::string> filled(std::string text) {
  return text.empty() ? std::nullopt : std::optional(std::move(text));
}

struct Town {
  std::string code;
  std::optional<std::string> name;
};
BOOST_DESCRIBE_STRUCT(Town, (), (code, name))

struct KindCount {
  std::string kind;
  std::int64_t count = 0;
};
BOOST_DESCRIBE_STRUCT(KindCount, (), (kind, count))

struct Because {
  std::string why;
};
BOOST_DESCRIBE_STRUCT(Because, (), (why))

struct ShownObservable {
  std::string kind, value, defanged;
  std::optional<std::int64_t> municipalities{};
  When first_at{};
  std::optional<bool> shared_host{};
};
BOOST_DESCRIBE_STRUCT(ShownObservable, (), (kind, value, defanged, municipalities, first_at, shared_host))

struct Hub : HubParts {
  explicit Hub(const HubParts& p) : HubParts(p) {}
  Town town(MunicipalityId m) const;
  Town town(std::int64_t m) const { return town(MunicipalityId{static_cast<std::uint16_t>(m)}); }
  bool sees(const event::Scope& s, std::int64_t m) const {
    return m > 0 && s.sees(MunicipalityId{static_cast<std::uint16_t>(m)});
  }
  Result<MunicipalityId> named(std::string_view code_or_name) const;
  ShownObservable shown(std::string_view kind, std::string_view value) const;
  /// A change inside one unit of the State.
  Result<void> change(const std::function<Result<void>(store::Tx&)>& unit) const { return state.write_now(unit); }
  std::int64_t setting(std::string_view which) const;
};
using HubPtr = std::shared_ptr<const Hub>;

template <class T>
Result<T> body_of(const net::Request& q) {
  return net::from_json<T>(q.body.empty() ? std::string_view("{}") : std::string_view(q.body), net::Unknown::refuse);
}
template <class T>
net::Reply view(const Result<T>& result, int status = 200) {
  return result ? net::json(net::to_json(*result), status) : net::problem(result.error());
}
template <class T>
net::Reply list_of(const std::vector<T>& items, const std::optional<std::string>& next = {}) {
  std::vector<std::string> json;
  json.reserve(items.size());
  for (const T& item : items) json.push_back(net::to_json(item));
  return web::list(json, next);
}
/// Who acts, for the record. The owner of this machine may say which person it is (?as=...): two must be two.
std::string person(const net::Request& q);
/// A handler that is only reached with a recent proof of who this is.
net::Handler proved(const HubPtr& hub, net::Handler handler);

void add_overview_routes(net::Router& router, const HubPtr& hub);
void add_campaign_routes(net::Router& router, const HubPtr& hub);
void add_warning_routes(net::Router& router, const HubPtr& hub);
void add_map_routes(net::Router& router, const HubPtr& hub);
void add_member_routes(net::Router& router, const HubPtr& hub);
void add_indicator_routes(net::Router& router, const HubPtr& hub);
void add_block_routes(net::Router& router, const HubPtr& hub);
void add_exposure_routes(net::Router& router, const HubPtr& hub);
void add_brake_routes(net::Router& router, const HubPtr& hub);
void add_audit_routes(net::Router& router, const HubPtr& hub);
void add_setting_routes(net::Router& router, const HubPtr& hub);
void add_order_routes(net::Router& router, const HubPtr& hub);
void add_handover_routes(net::Router& router, const HubPtr& hub);
void add_peer_routes(net::Router& router, const HubPtr& hub);
void add_bulletin_routes(net::Router& router, const HubPtr& hub);
void add_subscription_routes(net::Router& router, const HubPtr& hub);

}  // namespace bavn::show::api
