// Triggers and what holds them back; digest keys, which the hub carries and cannot open.
#include <algorithm>

#include "show/api/hub_inner.hpp"

namespace bavn::show::api {

namespace {

constexpr std::size_t kMostKeys = 16U << 20U;  // bytes of a stewards' file

struct TriggerView {
  std::string name, mode, why, by;
  When since;
  std::int64_t opened = 0, suspicions = 0, would_light = 0, lit = 0, real = 0, not_real = 0, not_judged = 0;
  std::vector<std::string> may;
};
BOOST_DESCRIBE_STRUCT(TriggerView, (),
                      (name, mode, why, by, since, opened, suspicions, would_light, lit, real, not_real, not_judged,
                       may))
struct Shift {
  std::int64_t suspicions = 0, waiting = 0, this_shift = 0, most = 0;
};
BOOST_DESCRIBE_STRUCT(Shift, (), (suspicions, waiting, this_shift, most))
struct NotBelieved {
  Town municipality;
  std::int64_t not_real = 0, real = 0;
  std::string since, why, by;
};
BOOST_DESCRIBE_STRUCT(NotBelieved, (), (municipality, not_real, real, since, why, by))
struct CallView {
  Town municipality;
  std::string at;
  bool night = false, made = false;
  std::string about, reason;
};
BOOST_DESCRIBE_STRUCT(CallView, (), (municipality, at, night, made, about, reason))
struct RefusedView {
  std::optional<Town> municipality;
  std::string kind, reason;
  std::int64_t count = 0;
  std::string first_at, last_at, example;
};
BOOST_DESCRIBE_STRUCT(RefusedView, (), (municipality, kind, reason, count, first_at, last_at, example))
struct Brakes {
  std::vector<TriggerView> triggers;
  correlate::FalseWarnings false_warnings_30, false_warnings_90;
  std::vector<correlate::CauseCount> candidates;
  Shift shift;
  std::vector<NotBelieved> not_believed;
  std::vector<CallView> calls;
  std::vector<RefusedView> refused;
};
BOOST_DESCRIBE_STRUCT(Brakes, (),
                      (triggers, false_warnings_30, false_warnings_90, candidates, shift, not_believed, calls, refused))
struct Mode {
  std::string mode, why;
};
BOOST_DESCRIBE_STRUCT(Mode, (), (mode, why))

struct Epoch {
  std::int64_t epoch = 0;
  When from, until;
  bool reserve = false;
  When released_at;
  std::int64_t nodes = 0, sent = 0;
  std::string check;
};
BOOST_DESCRIBE_STRUCT(Epoch, (), (epoch, from, until, reserve, released_at, nodes, sent, check))
struct KeyStanding {
  std::vector<Epoch> epochs;
  std::int64_t nodes_without_address = 0;
  When covered_until;
  std::int64_t reserves = 0;
};
BOOST_DESCRIBE_STRUCT(KeyStanding, (), (epochs, nodes_without_address, covered_until, reserves))
struct Installed {
  std::int64_t keys = 0;
};
BOOST_DESCRIBE_STRUCT(Installed, (), (keys))

net::Reply brakes(const Hub& hub, const net::Request& q) {
  Brakes v;
  const bool may = q.scope.may(Needs::publish) && q.scope.sees_all();
  const auto read = hub.state.read([&](store::Reader& db) -> Result<void> {
    const Instant now = hub.runtime.now();
    const Instant since = now - std::chrono::days(90);
    BAVN_TRY(const auto triggers, correlate::triggers(db, since));
    for (const auto& t : triggers) {
      TriggerView view{t.name,        t.mode, t.why,  t.by_whom,  at(t.since_us), t.opened, t.suspicions,
                       t.would_light, t.lit,  t.real, t.not_real, t.not_judged,   {}};
      if (may && t.mode != "never")
        for (const char* mode : {"shadow", "live", "confirm"})
          if (t.mode != mode) view.may.emplace_back(mode);
      v.triggers.push_back(std::move(view));
    }
    BAVN_TRY(v.false_warnings_30, correlate::false_warnings(db, now, std::chrono::days(30)));
    BAVN_TRY(v.false_warnings_90, correlate::false_warnings(db, now, std::chrono::days(90)));
    BAVN_TRY(v.candidates, correlate::candidates_by_cause(db, since));
    BAVN_TRY(const auto s, correlate::suspicions(db, now, hub.noticing));
    v.shift = {std::ssize(s.open), s.waiting, s.this_shift, hub.noticing.suspicions_per_shift};
    BAVN_TRY(const auto standings, correlate::standings(db));
    for (const auto& m : standings)
      if (m.alone == 0 && hub.sees(q.scope, m.municipality))
        v.not_believed.push_back(
            {hub.town(m.municipality), m.not_real, m.real, at_always(m.since_us), m.why, m.by_whom});
    BAVN_TRY(const auto calls, correlate::calls(db));
    for (const auto& c : calls)
      if (hub.sees(q.scope, c.municipality))
        v.calls.push_back({hub.town(c.municipality), at_always(c.at_us), c.night != 0, c.made != 0, c.about, c.reason});
    BAVN_TRY(const auto refused, correlate::refused(db));
    for (const auto& r : refused)
      if (q.scope.sees_all() || hub.sees(q.scope, r.municipality))
        v.refused.push_back({r.municipality > 0 ? std::optional(hub.town(r.municipality)) : std::nullopt, r.kind,
                             r.reason, r.count, at_always(r.first_us), at_always(r.last_us), r.example});
    return {};
  });
  return read ? net::json(net::to_json(v)) : net::problem(read.error());
}

net::Reply digest_keys(const Hub& hub, const net::Request& q) {
  KeyStanding v;
  const std::int64_t now = micros(hub.runtime.now());
  const auto nodes = hub.directory.nodes(event::Scope::local_owner());
  if (!nodes) return net::problem(nodes.error());
  const auto read = hub.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(auto rows, correlate::DigestKeyShelf::standing(db));
    std::ranges::sort(rows, {}, &correlate::KeyStanding::from_us);
    std::int64_t covered = now;
    for (const auto& k : rows) {
      const bool reserve = k.replaces != 0;
      v.epochs.push_back({k.epoch, at(k.from_us), reserve ? std::nullopt : at(k.until_us), reserve, at(k.released_us),
                          k.nodes, k.sent, k.check});
      if (reserve && k.released_us == 0) ++v.reserves;
      if (!reserve && k.from_us <= covered && k.until_us > covered) covered = k.until_us;
    }
    if (covered > now) v.covered_until = at(covered);
    BAVN_TRY(const auto addresses, correlate::DigestKeyShelf::addresses(db));
    for (const auto& n : *nodes)
      if (n.state == tenants::NodeState::enrolled &&
          std::ranges::none_of(addresses, [&](const auto& a) { return a.node == n.name; }))
        ++v.nodes_without_address;
    return {};
  });
  (void)q;
  return read ? net::json(net::to_json(v)) : net::problem(read.error());
}

Result<void> for_all(const net::Request& q) {
  if (q.scope.sees_all()) return {};
  return fail(Code::forbidden, "this is the joint CERT's");
}

}  // namespace

void add_brake_routes(net::Router& router, const HubPtr& hub) {
  router.get("/api/brakes", Needs::tenants_read, [hub](const net::Request& q) { return brakes(*hub, q); });
  router.post("/api/brakes/{trigger}", Needs::publish, proved(hub, [hub](const net::Request& q) -> net::Reply {
                if (const auto all = for_all(q); !all) return net::problem(all.error());
                const auto asked = body_of<Mode>(q);
                if (!asked) return net::problem(asked.error());
                if (asked->why.empty()) return net::problem(Error{Code::bad_input, "say why, for the record", "/why"});
                return web::done(hub->change([&](store::Tx& tx) {
                  return hub->correlator.set_mode(tx, q.param("trigger"), asked->mode, person(q), asked->why);
                }));
              }));
  router.get("/api/digest-keys", Needs::tenants_read, [hub](const net::Request& q) { return digest_keys(*hub, q); });
  router.get("/api/digest-keys/nodes", Needs::tenants_read, [hub](const net::Request& q) -> net::Reply {
    auto rows = hub->state.read([](store::Reader& db) { return correlate::DigestKeyShelf::addresses(db); });
    if (rows) std::erase_if(*rows, [&](const auto& a) { return !hub->sees(q.scope, a.municipality); });
    return view(rows);
  });
  router.post("/api/digest-keys", Needs::publish,
              [hub](const net::Request& q) -> net::Reply {
                if (const auto all = for_all(q); !all) return net::problem(all.error());
                const auto keys = body_of<std::vector<event::SealedKey>>(q);
                if (!keys) return net::problem(keys.error());
                Installed installed;
                const auto done = hub->change([&](store::Tx& tx) -> Result<void> {
                  BAVN_TRY(installed.keys, hub->digest_keys.install(tx, *keys, person(q)));
                  return {};
                });
                return done ? net::json(net::to_json(installed)) : net::problem(done.error());
              },
              {.max_body = kMostKeys});
}

}  // namespace bavn::show::api
