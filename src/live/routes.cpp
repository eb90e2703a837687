#include "live/routes.hpp"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "live/records.hpp"
#include "net/json_value.hpp"

namespace bavn::live {

namespace {

Result<std::int64_t> number_in(std::string_view text, std::string_view what) {
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size() || n < 0)
    return fail(Code::bad_input, std::string(what) + " must be a whole number");
  return n;
}

template <class T>
std::string json_of(const T& value) {
  std::string out;
  append_json(out, value);
  return out;
}

template <class T>
net::Reply list_reply(std::string_view name, const std::vector<T>& rows) {
  std::string out = "{\"" + std::string(name) + "\":[";
  for (const T& row : rows) {
    if (out.back() != '[') out += ',';
    append_json(out, row);
  }
  return net::json(out + "]}");
}

net::Reply reply_of(const Result<void>& done) {
  if (!done) return net::problem(done.error());
  net::Reply reply;
  reply.status = 204;
  return reply;
}

/// The text members of a small JSON object; no body is an empty one, unknown members are refused by name.
Result<std::map<std::string, std::string>> body_of(const net::Request& q, const std::vector<std::string_view>& known) {
  std::map<std::string, std::string> out;
  if (trim(q.body).empty()) return out;
  BAVN_TRY(const auto document, net::JsonDocument::parse(q.body));
  if (!document.root().is_object()) return fail(Code::bad_input, "a JSON object is wanted");
  for (const net::JsonValue v : document.root()) {
    const std::string key(v.key());
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fail(Code::bad_input, "there is no member '" + key + "' here", "/" + key);
    const auto text = v.text();
    if (!text) return fail(Code::bad_input, "a text is wanted", "/" + key);
    out.emplace(key, *text);
  }
  return out;
}

}  // namespace

void add_alert_routes(net::Router& router, alerts::AlertReader& alerts) {
  router.get("/api/alerts", net::Needs::alert_read, [&alerts](const net::Request& q) -> net::Reply {
    alerts::AlertFilter filter;
    filter.state = q.asked("state").value_or("");
    filter.place = q.asked("place").value_or("");
    filter.rule = q.asked("rule").value_or("");
    for (const auto& [name, to] : {std::pair{"before", &filter.before_id}, std::pair{"limit", &filter.limit}})
      if (const auto text = q.asked(name)) {
        const auto n = number_in(*text, name);
        if (!n) return net::problem(n.error());
        *to = *n;
      }
    if (const auto text = q.asked("municipality")) {
      const auto n = number_in(*text, "municipality");
      if (!n || *n > 65535) return net::problem(400, "Bad Request", "municipality must be its official number");
      filter.municipality = MunicipalityId{static_cast<std::uint16_t>(*n)};
    }
    const auto found = alerts.list(q.scope, filter);
    return found ? net::json(json_of(*found)) : net::problem(found.error());
  });
  router.get("/api/alerts/{id}", net::Needs::alert_read, [&alerts](const net::Request& q) -> net::Reply {
    const auto id = number_in(q.param("id"), "an alert's id");
    if (!id) return net::problem(id.error());
    const auto found = alerts.find(q.scope, *id);
    if (!found) return net::problem(found.error());
    std::string out;
    append_json(out, found->first, found->second);
    return net::json(out);
  });
  for (const bool close : {false, true})
    router.post(close ? "/api/alerts/{id}/close" : "/api/alerts/{id}/acknowledge", net::Needs::alert_write,
                [&alerts, close](const net::Request& q) -> net::Reply {
                  const auto id = number_in(q.param("id"), "an alert's id");
                  if (!id) return net::problem(id.error());
                  const auto body = body_of(q, {"why"});
                  if (!body) return net::problem(body.error());
                  const auto why = body->find("why");
                  const std::string text = why == body->end() ? "" : why->second;
                  return reply_of(close ? alerts.close(q.scope, *id, text) : alerts.acknowledge(q.scope, *id, text));
                });
  router.get("/api/rules/states", net::Needs::alert_read, [&alerts](const net::Request& q) -> net::Reply {
    const auto found = alerts.rules(q.scope);
    return found ? list_reply("rules", *found) : net::problem(found.error());
  });
  router.post("/api/rules/states/{rule}", net::Needs::alert_write, [&alerts](const net::Request& q) -> net::Reply {
    auto body = body_of(q, {"state", "why"});
    if (!body) return net::problem(body.error());
    return reply_of(alerts.set_rule(q.scope, q.param("rule"), (*body)["state"], (*body)["why"]));
  });
}

void add_record_routes(net::Router& router, alerts::AlertReader& alerts, const history::History& history) {
  router.get("/api/alerts/{id}/records", net::Needs::alert_read,
             [&alerts, &history](const net::Request& q) -> net::Reply {
               const auto id = number_in(q.param("id"), "an alert's id");
               if (!id) return net::problem(id.error());
               const auto found = alerts.find(q.scope, *id);
               if (!found) return net::problem(found.error());
               std::string out;
               JsonWriter w(out);
               w.object().key("records").array();
               for (const alerts::Example& e : found->second) {
                 const auto record = open_record(history, q.scope, found->first, e);
                 w.object().member("finding", e.finding).member("source", e.source);
                 if (record) w.member("line", *record);
                 else w.member("gone", record.error().what);
                 w.end();
               }
               w.end().end();
               return net::json(out);
             });
}

void add_source_routes(net::Router& router, const SourcesReader& sources, Runtime& runtime) {
  router.get("/api/sources", net::Needs::alert_read, [&sources, &runtime](const net::Request& q) -> net::Reply {
    const auto found = sources.list(q.scope, runtime.now());
    return found ? list_reply("sources", *found) : net::problem(found.error());
  });
}

}  // namespace bavn::live
