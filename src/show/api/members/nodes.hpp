#pragma once
// Nodes with how they are: what the directory, the beacon and the nodes' own words say together. Life: values. Thread rules: any thread.
#include "show/api/hub_inner.hpp"

namespace bavn::show::api {

struct NodeSourceView {
  std::string name, state;
  std::optional<std::int64_t> lag_seconds, newest_age_seconds;
  std::uint64_t records = 0, refused = 0;
};
BOOST_DESCRIBE_STRUCT(NodeSourceView, (), (name, state, lag_seconds, newest_age_seconds, records, refused))

struct GuestView {
  std::string state;
  double memory_mb = 0;
  std::uint64_t restarts = 0;
  std::string user;
  When started_at;
  std::string last_end;
  std::optional<std::string> address;
};
BOOST_DESCRIBE_STRUCT(GuestView, (), (state, memory_mb, restarts, user, started_at, last_end, address))

struct NodeView {
  std::string id, operator_, form, state;
  std::vector<Town> municipalities;
  std::string version;
  When enrolled_at, last_seen_at, certificate_until;
  std::optional<std::int64_t> clock_offset_ms;
  bool clock_marked = false;
  std::int64_t open_alerts = 0;
  std::optional<std::int64_t> indicators;
  std::vector<std::string> trouble;
  std::vector<NodeSourceView> sources;
  std::optional<GuestView> guest;
};
BOOST_DESCRIBE_STRUCT(NodeView, (),
                      (id, operator_, form, state, municipalities, version, enrolled_at, last_seen_at,
                       certificate_until, clock_offset_ms, clock_marked, open_alerts, indicators, trouble, sources,
                       guest))

/// Those with a municipality that the scope sees, by name. guests: with what their processes on this machine do.
Result<std::vector<NodeView>> node_views(const Hub& hub, const event::Scope& scope, bool guests = true);
/// What nodes say of the duty contacts written down there: none, untested, tested. No entry: no node says so.
Result<std::map<std::int64_t, std::string>> duty_at_nodes(const Hub& hub);
/// Of each member the best state of its nodes: connected, away, waiting (for its first connection). No entry: no node of it is there.
Result<std::map<std::int64_t, std::string>> standing_of_members(const Hub& hub);

}  // namespace bavn::show::api
