#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include <algorithm>

#include "base/text.hpp"
#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"
#include "warn/case.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

struct NewOverride {
  std::string what, value, reason;
  std::optional<std::string> kind;
  std::int64_t hours = 0;
};
BOOST_DESCRIBE_STRUCT(NewOverride, (), (what, kind, value, reason, hours))
struct WhyBody {
  std::string why;
};
BOOST_DESCRIBE_STRUCT(WhyBody, (), (why))
struct NewToken {
  std::string device;
};
BOOST_DESCRIBE_STRUCT(NewToken, (), (device))

void write(JsonWriter& w, const warn::blocks::Override& o) {
  w.object().member("kind", o.kind).member("value", o.value).member("defanged", warn::defanged(o.value));
  w.member("what", o.what).member("reason", o.reason).member("by", o.by);
  w.member("at", web::time_text(from_micros(o.at_us))).member("until", web::time_text(from_micros(o.until_us))).end();
}

net::Reply list(const NodeParts& p, const net::Request& q) {
  std::string out;
  JsonWriter w(out);
  w.object();
  if (p.blocks == nullptr) {
    w.member("stopped", "").key("can").object().end().key("items").array().end().key("overrides").array().end().end();
    return net::json(out);
  }
  const auto entries = p.blocks->list(flag_asked(q, "all"));
  if (!entries) return net::problem(entries.error());
  const auto overrides = p.blocks->overrides();
  if (!overrides) return net::problem(overrides.error());
  const auto stopped = p.blocks->killed();
  if (!stopped) return net::problem(stopped.error());
  w.member("stopped", *stopped).key("can").object();
  for (const auto kind : {event::Kind::url, event::Kind::domain, event::Kind::ipv4, event::Kind::email,
                          event::Kind::message_id, event::Kind::sha256})
    w.member(event::to_string(kind), p.blocks->can(kind));
  w.end().key("items").array();
  for (const auto& e : *entries) {
    w.object().member("id", e.id).member("kind", e.kind).member("value", e.value);
    w.member("defanged", warn::defanged(e.value)).member("action", e.action).member("reason", e.reason);
    add_text(w, "campaign", e.campaign);
    w.member("by", e.by).member("state", e.state).member("why", e.why);
    w.member("from", web::time_text(from_micros(e.from_us)));
    add_time(w, "until", e.until_us);
    w.end();
  }
  w.end().key("overrides").array();
  for (const auto& o : *overrides) write(w, o);
  w.end().end();
  return net::json(out);
}

net::Reply add_override(const NodeParts& p, const net::Request& q) {
  NewOverride body;
  if (auto bad = read_body(q, body)) return *bad;
  if (body.what != "allow" && body.what != "deny") return web::refused({{"/what", "allow or deny"}});
  if (trim(body.reason).empty() || body.reason.size() > 2000)
    return web::refused({{"/reason", "a reason of 1 to 2000 bytes is wanted"}});
  if (body.hours < 1 || body.hours > 8760) return web::refused({{"/hours", "1 to 8760: an exception has an end"}});
  const auto o = body.value.size() > 2000 ? std::nullopt
                 : body.kind              ? event::canonical(*body.kind, event::refang(body.value))
                                          : event::guess(body.value);
  if (!o) return web::refused({{"/value", "this is nothing that can be blocked or let through"}});
  const auto done =
      p.blocks->add_override(q.scope.who(), body.what, event::to_string(o->kind), o->value, body.reason, body.hours);
  if (!done)
    return done.error().code == Code::bad_input ? web::refused({{"/value", done.error().what}}) : trouble(done.error());
  const auto all = p.blocks->overrides();
  if (!all) return net::problem(all.error());
  for (const auto& made : *all)
    if (made.kind == event::to_string(o->kind) && made.value == o->value) {
      std::string out;
      JsonWriter w(out);
      write(w, made);
      return net::json(out, 201);
    }
  return net::problem(Error{Code::not_found, "the exception is over already", {}});
}

net::Reply stop(const NodeParts& p, const net::Request& q, bool stops) {
  WhyBody body;
  if (auto bad = read_body(q, body)) return *bad;
  if (trim(body.why).empty() || body.why.size() > 2000)
    return web::refused({{"/why", "a reason of 1 to 2000 bytes is wanted"}});
  const auto done = stops ? p.blocks->kill(q.scope.who(), body.why) : p.blocks->revive(q.scope.who(), body.why);
  if (!done) return trouble(done.error());
  const auto now = p.blocks->killed();
  if (!now) return net::problem(now.error());
  std::string out;
  JsonWriter(out).object().member("stopped", *now).end();
  return net::json(out);
}

net::Reply lists(const NodeParts& p) {
  const auto tokens = p.blocks == nullptr ? Result<std::vector<warn::blocks::ListToken>>() : p.blocks->tokens();
  if (!tokens) return net::problem(tokens.error());
  std::string out;
  JsonWriter w(out);
  w.object().key("items").array();
  for (const auto& f : warn::exports::files()) {
    w.object().member("file", f.file.name).member("export", f.export_name).member("what", f.file.what);
    w.member("path", fmt::format("/lists/{}", f.file.name)).key("tokens").array();
    for (const auto& t : *tokens) {
      if (t.list != f.file.name) continue;
      w.object().member("id", std::to_string(t.id)).member("device", t.name).member("made_by", t.made_by);
      w.member("made_at", web::time_text(from_micros(t.made_at_us)));
      add_time(w, "revoked_at", t.revoked_at_us);
      add_time(w, "used_at", t.used_at_us);
      w.end();
    }
    w.end().end();
  }
  w.end().end();
  return net::json(out);
}

net::Reply make_token(const NodeParts& p, const net::Request& q) {
  NewToken body;
  if (auto bad = read_body(q, body)) return *bad;
  if (trim(body.device).empty() || body.device.size() > 100)
    return web::refused({{"/device", "a name of 1 to 100 bytes is wanted"}});
  const auto token = p.blocks->issue_token(q.scope.who(), q.param("file"), body.device);
  if (!token) return trouble(token.error());
  std::string out;
  JsonWriter(out).object().member("token", *token).member("path", fmt::format("/lists/{}", q.param("file"))).end();
  return web::shown_once(net::json(out, 201));
}

/// Lists, exceptions and the switch are of the node: who does not see its first municipality does not see them.
net::Handler here(const Parts& parts, std::function<net::Reply(const NodeParts&, const net::Request&)> f) {
  return [parts, f = std::move(f)](const net::Request& q) -> net::Reply {
    if (parts->blocks == nullptr) return not_here("block list");
    if (!q.scope.sees(parts->home())) return not_here("block list");
    return f(*parts, q);
  };
}

}  // namespace

void add_block_routes(net::Router& router, const Parts& parts, const Proved& proved) {
  router.get("/api/node/blocks", Needs::indicator_read, [parts](const net::Request& q) -> net::Reply {
    if (parts->blocks != nullptr && !q.scope.sees(parts->home())) return not_here("block list");
    return list(*parts, q);
  });
  router.post("/api/node/blocks/overrides", Needs::operate, here(parts, add_override));
  router.del("/api/node/blocks/overrides", Needs::operate,
             here(parts, [](const NodeParts& p, const net::Request& q) -> net::Reply {
               const auto o =
                   event::canonical(q.asked("kind").value_or(""), event::refang(q.asked("value").value_or("")));
               if (!o)
                 return net::problem(Error{Code::bad_input, "kind and value of the exception are wanted", "?value"});
               return done_or(p.blocks->drop_override(q.scope.who(), event::to_string(o->kind), o->value));
             }));
  for (const bool stops : {true, false}) {
    auto handler = here(parts, [stops](const NodeParts& p, const net::Request& q) { return stop(p, q, stops); });
    if (stops) handler = proved(std::move(handler));
    router.post(stops ? "/api/node/blocks/stop" : "/api/node/blocks/start", Needs::operate, std::move(handler));
  }
  router.get("/api/node/lists", Needs::indicator_read, [parts](const net::Request&) { return lists(*parts); });
  router.get("/api/node/lists/{file}", Needs::indicator_read,
             here(parts, [](const NodeParts& p, const net::Request& q) -> net::Reply {
               const auto found = p.blocks->file(q.param("file"));
               if (!found) return net::problem(found.error());
               net::Reply reply = net::text(found->body, found->content_type);
               reply.headers.set("X-Content-Type-Options", "nosniff");
               return web::tagged(std::move(reply), found->etag);
             }));
  router.post("/api/node/lists/{file}/tokens", Needs::operate, here(parts, make_token));
  router.del("/api/node/list-tokens/{id}", Needs::operate,
             here(parts, [](const NodeParts& p, const net::Request& q) -> net::Reply {
               const auto id = web::id_of(q);
               if (!id) return net::problem(id.error());
               return done_or(p.blocks->revoke_token(q.scope.who(), *id));
             }));
}

}  // namespace bavn::show::api
