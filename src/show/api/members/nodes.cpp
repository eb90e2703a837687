#include "show/api/members/nodes.hpp"

#include <algorithm>

namespace bavn::show::api {

namespace {

constexpr Duration kAwayAfter = std::chrono::minutes(3);

struct HealthRow {
  std::string node;
  std::int64_t municipality = 0;
  std::string body;
};
BOOST_DESCRIBE_STRUCT(HealthRow, (), (node, municipality, body))

// What a node tells of itself; unknown members are of newer nodes.
struct Health {
  std::uint64_t open_alerts = 0, indicators = 0;
  std::vector<std::string> trouble;
  std::vector<NodeSourceView> sources;
  std::optional<std::string> duty_contact;
};
BOOST_DESCRIBE_STRUCT(Health, (), (open_alerts, indicators, trouble, sources, duty_contact))

struct Heard {
  std::map<std::string, beacon::NodeSeen> seen;
  std::map<std::string, std::vector<HealthRow>> health;
};

Result<Heard> heard(const Hub& hub) {
  return hub.state.read([&](store::Reader& db) -> Result<Heard> {
    Heard h;
    BAVN_TRY(auto all, hub.beacon.nodes(db));
    for (auto& n : all) h.seen[n.node] = std::move(n);
    BAVN_CHECK(db.each<HealthRow>("SELECT node, municipality, body FROM hub_node_report WHERE kind = 'health'", {},
                                  [&](HealthRow row) -> Result<void> {
                                    h.health[row.node].push_back(std::move(row));
                                    return {};
                                  }));
    return h;
  });
}

std::int64_t last_heard(const Heard& h, const std::string& node) {
  const auto at = h.seen.find(node);
  return at == h.seen.end() ? 0 : std::max(at->second.last_ping_us, at->second.last_report_us);
}

std::string state_of(const Hub& hub, const tenants::Node& n, const Heard& h) {
  if (n.state != tenants::NodeState::enrolled) return std::string(tenants::to_string(n.state));
  const auto at = h.seen.find(n.name);
  if (at == h.seen.end()) return "away";
  const bool here = at->second.connected || hub.runtime.now() - from_micros(last_heard(h, n.name)) < kAwayAfter;
  return here ? "connected" : "away";
}

}  // namespace

Result<std::vector<NodeView>> node_views(const Hub& hub, const event::Scope& scope, bool with_guests) {
  BAVN_TRY(auto nodes, hub.directory.nodes(scope));
  BAVN_TRY(const auto operators, hub.directory.operators(event::Scope::local_owner()));
  BAVN_TRY(const auto h, heard(hub));
  const auto guests = with_guests && hub.guests ? hub.guests() : std::vector<HubGuest>();
  std::vector<NodeView> views;
  for (const auto& n : nodes) {
    NodeView v{};
    v.id = n.name;
    const auto by = std::ranges::find(operators, n.by, &tenants::Operator::id);
    if (by != operators.end()) v.operator_ = by->name;
    v.form = tenants::to_string(n.form);
    v.state = state_of(hub, n, h);
    for (const MunicipalityId m : n.municipalities)
      if (scope.sees(m)) v.municipalities.push_back(hub.town(m));
    if (n.enrolled) v.enrolled_at = web::time_text(*n.enrolled);
    if (n.certificate_until) v.certificate_until = web::time_text(*n.certificate_until);
    v.last_seen_at = at(last_heard(h, n.name));
    if (const auto seen = h.seen.find(n.name); seen != h.seen.end()) {
      v.version = seen->second.version;
      if (seen->second.last_ping_us > 0) v.clock_offset_ms = seen->second.offset_us / 1000;
      v.clock_marked = seen->second.clock_marked;
      if (!seen->second.trouble.empty()) v.trouble.push_back(seen->second.trouble);
    }
    if (const auto rows = h.health.find(n.name); rows != h.health.end())
      for (const auto& row : rows->second) {
        if (!hub.sees(scope, row.municipality)) continue;
        auto told = net::from_json<Health>(row.body, net::Unknown::ignore);
        if (!told) continue;  // of a version that says it another way
        v.open_alerts += static_cast<std::int64_t>(told->open_alerts);
        v.indicators = std::max(v.indicators.value_or(0), static_cast<std::int64_t>(told->indicators));
        for (auto& t : told->trouble)
          if (std::ranges::find(v.trouble, t) == v.trouble.end()) v.trouble.push_back(std::move(t));
        for (auto& s : told->sources) v.sources.push_back(std::move(s));
      }
    for (const auto& g : guests)
      for (const auto& town : v.municipalities)
        if (n.form == tenants::Form::guest && g.code == town.code)
          v.guest =
              GuestView{g.state, g.memory_mb, g.restarts, g.user, at(micros(g.started)), g.last_end, filled(g.address)};
    views.push_back(std::move(v));
  }
  std::ranges::sort(views, {}, &NodeView::id);
  return views;
}

Result<std::map<std::int64_t, std::string>> duty_at_nodes(const Hub& hub) {
  BAVN_TRY(const auto h, heard(hub));
  const auto rank = [](std::string_view said) { return said == "tested" ? 2 : said == "untested" ? 1 : 0; };
  std::map<std::int64_t, std::string> best;
  for (const auto& [node, rows] : h.health)
    for (const auto& row : rows) {
      auto told = net::from_json<Health>(row.body, net::Unknown::ignore);
      if (!told || !told->duty_contact) continue;  // of a version that does not say it
      const std::string& said = *told->duty_contact;
      if (said != "none" && rank(said) == 0) continue;
      std::string& kept = best[row.municipality];
      if (kept.empty() || rank(said) > rank(kept)) kept = said;
    }
  return best;
}

Result<std::map<std::int64_t, std::string>> standing_of_members(const Hub& hub) {
  BAVN_TRY(const auto nodes, hub.directory.nodes(event::Scope::local_owner()));
  BAVN_TRY(const auto h, heard(hub));
  const auto rank = [](std::string_view state) {
    return state == "connected" ? 4 : state == "away" ? 3 : state == "expired" ? 2 : state == "waiting" ? 1 : 0;
  };
  std::map<std::int64_t, std::string> best;
  for (const auto& n : nodes) {
    const std::string state = state_of(hub, n, h);
    for (const MunicipalityId m : n.municipalities) {
      auto& known = best[m.value];
      if (known.empty() || rank(state) > rank(known)) known = state;
    }
  }
  return best;
}

}  // namespace bavn::show::api
