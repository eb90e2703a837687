#include "show/api/setup/setup.hpp"

#include <boost/describe/class.hpp>

#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

struct StepBody {
  std::optional<std::map<std::string, std::string>> answers;
  std::optional<bool> skip;
};
BOOST_DESCRIBE_STRUCT(StepBody, (), (answers, skip))

void write_past(JsonWriter& w, const SetupPast& p) {
  w.key("past").object().key("applications").array();
  for (const auto& a : p.applications)
    w.object().member("name", a.name).member("right", a.right).member("since", a.since).end();
  w.end().key("forwarding").array();
  for (const auto& f : p.forwarding)
    w.object().member("mailbox", f.mailbox).member("what", f.what).member("at", f.at).end();
  w.end().key("lookalikes").array();
  for (const auto& l : p.lookalikes)
    w.object().member("domain", l.domain).member("why", l.why).member("mails", l.mails).end();
  w.end().key("dmarc").array();
  for (const auto& d : p.dmarc)
    w.object().member("domain", d.domain).member("policy", d.policy).member("says", d.says).end();
  w.end().member("users_may_register", p.users_may_register).member("users_may_consent", p.users_may_consent);
  w.member("access_policies", p.access_policies).member("mails", p.mails).key("not_seen").array();
  for (const auto& n : p.not_seen) w.value(n);
  w.end().end();
}

}  // namespace

std::string setup_json(const SetupView& view) {
  std::string out;
  JsonWriter w(out);
  w.object().member("state", view.state);
  add_time(w, "started_at", view.started_us);
  if (view.restart_needed) w.member("restart_needed", true);
  w.key("steps").array();
  for (const SetupStep& s : view.steps) {
    w.object().member("id", s.id).member("state", s.state).member("says", s.says);
    if (s.seconds > 0) w.member("seconds", s.seconds);
    add_time(w, "at", s.at_us);
    if (s.script) w.member("script", true);
    w.key("lines").array();
    for (const auto& line : s.lines) w.value(line);
    w.end().key("asks").array();
    for (const SetupAsk& a : s.asks) {
      w.object().member("name", a.name).member("type", a.type).member("doc", a.doc);
      w.member("required", a.required).member("value", a.value).end();
    }
    w.end();
    if (!s.checks.empty()) {
      w.key("checks").array();
      for (const SetupCheck& c : s.checks) {
        w.object().member("name", c.name).member("light", c.light).member("says", c.says);
        if (c.lag_seconds >= 0) w.member("lag_seconds", c.lag_seconds);
        add_text(w, "blind", c.blind);
        w.end();
      }
      w.end();
    }
    if (s.past.looked) write_past(w, s.past);
    w.end();
  }
  w.end().end();
  return out;
}

void add_setup_routes(net::Router& router, const Parts& parts, const Proved& proved) {
  const Error none{Code::not_found, "here the first ten minutes are walked at the machine: bavn node setup", {}};
  router.get("/api/setup", Needs::operate, [parts, none](const net::Request&) -> net::Reply {
    return parts->setup != nullptr ? net::json(setup_json(parts->setup->view())) : net::problem(none);
  });
  router.get("/api/setup/consent-script", Needs::operate, [parts, none](const net::Request&) -> net::Reply {
    if (parts->setup == nullptr) return net::problem(none);
    const auto script = parts->setup->consent_script();
    return script ? net::text(*script, "text/plain; charset=utf-8") : net::problem(script.error());
  });
  router.post("/api/setup/steps/{id}", Needs::operate, proved([parts, none](const net::Request& q) -> net::Reply {
                if (parts->setup == nullptr) return net::problem(none);
                StepBody body;
                if (!q.body.empty())
                  if (auto bad = read_body(q, body)) return *bad;
                const auto done = parts->setup->run(q.scope, q.param("id"),
                                                    body.answers.value_or(std::map<std::string, std::string>{}),
                                                    body.skip.value_or(false));
                return done ? net::json(setup_json(parts->setup->view()), 202) : trouble(done.error());
              }));
}

}  // namespace bavn::show::api
