#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include <charconv>

#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"
#include "show/api/records/records.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

struct WhyBody {
  std::optional<std::string> why;
};
BOOST_DESCRIBE_STRUCT(WhyBody, (), (why))
struct CloseBody {
  std::string why;
  std::optional<std::string> was;
};
BOOST_DESCRIBE_STRUCT(CloseBody, (), (why, was))
struct NoteBody {
  std::string text;
};
BOOST_DESCRIBE_STRUCT(NoteBody, (), (text))
struct ManyBody {
  std::vector<std::string> ids;
  std::optional<std::string> why;
};
BOOST_DESCRIBE_STRUCT(ManyBody, (), (ids, why))

constexpr std::size_t kMostAtOnce = 200;

MunicipalityId of(const alerts::Alert& a) {
  return MunicipalityId{static_cast<std::uint16_t>(a.municipality)};
}

void write(JsonWriter& w, const alerts::Alert& a) {
  w.object().member("id", std::to_string(a.id)).member("kind", a.kind).member("rule", a.rule);
  w.member("title", a.title).member("level", a.level);
  add_text(w, "action", a.action);
  w.key("concern").object().member("kind", a.concern_kind).member("value", a.concern).end();
  w.member("count", a.count);
  for (const auto& [name, us] : {std::pair("first_seen", a.first_seen_us), std::pair("last_seen", a.last_seen_us),
                                 std::pair("opened_at", a.opened_at_us), std::pair("updated_at", a.updated_at_us)})
    w.member(name, web::time_text(from_micros(us)));
  w.member("state", a.state).member("place", a.place).member("rank", a.rank);
  if (!a.state_by.empty()) {
    w.member("state_by", a.state_by);
    add_time(w, "state_at", a.state_at_us);
    w.member("state_why", a.state_why);
  }
  add_text(w, "was", a.was);
  add_municipality(w, "municipality", of(a));
  w.end();
}

void write(JsonWriter& w, const alerts::AlertNote& n) {
  w.object().member("at", web::time_text(from_micros(n.at_us))).member("by", n.by_whom).member("kind", n.kind);
  w.member("text", n.text);
  add_text(w, "was", n.was);
  w.end();
}

template <class T>
std::string json_of(const T& v) {
  std::string out;
  JsonWriter w(out);
  write(w, v);
  return out;
}

RecordRef ref_of(const alerts::Example& e) {
  return {static_cast<std::uint32_t>(e.segment),
          static_cast<std::uint32_t>(e.frame),
          static_cast<std::uint32_t>(e.line),
          static_cast<std::uint64_t>(e.line_hash),
          e.happened_at_us,
          e.received_at_us};
}

Result<alerts::AlertFilter> filter_of(const net::Request& q, const std::vector<MunicipalityId>& ours) {
  alerts::AlertFilter f;
  f.state = q.asked("state").value_or("");
  f.place = q.asked("place").value_or("");
  f.rule = q.asked("rule").value_or("");
  f.least_level = q.asked("level").value_or("");
  f.text = q.asked("q").value_or("");
  if (!f.state.empty() && f.state != "open" && f.state != "acknowledged" && f.state != "closed")
    return fail(Code::bad_input, "a state is open, acknowledged or closed", "?state");
  if (!f.place.empty() && f.place != "queue" && f.place != "over_budget" && f.place != "counted")
    return fail(Code::bad_input, "a place is queue, over_budget or counted", "?place");
  if (f.text.size() > 200 || f.rule.size() > 300) return fail(Code::bad_input, "that is too long to look for", "?q");
  if (q.asked("municipality")) {
    BAVN_TRY(f.municipality, municipality_asked(q, ours));
  }
  return f;
}

/// The alert as it is now, or why not.
net::Reply after(const NodeParts& p, const net::Request& q, std::int64_t id, const Result<void>& done) {
  if (!done) return trouble(done.error());
  const auto now = p.alerts.find(q.scope, id);
  return now ? net::json(json_of(now->first)) : net::problem(now.error());
}

net::Reply list(const NodeParts& p, const net::Request& q) {
  const auto page = web::page_of(q, "alerts");
  if (!page) return net::problem(page.error());
  auto filter = filter_of(q, p.municipalities);
  if (!filter) return net::problem(filter.error());
  if (!page->after.empty()) {
    std::int64_t rank = 0, id = 0;
    const auto dash = page->after.find('-');
    const std::string_view all = page->after;
    const auto number = [](std::string_view s, std::int64_t& n) {
      const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), n);
      return ec == std::errc{} && end == s.data() + s.size();
    };
    if (dash == std::string::npos || !number(all.substr(0, dash), rank) || !number(all.substr(dash + 1), id))
      return net::problem(Error{Code::bad_input, "this cursor is none of ours", "?cursor"});
    filter->after = std::pair(rank, id);
  }
  filter->limit = static_cast<std::int64_t>(page->limit) + 1;
  const auto found = p.alerts.list(q.scope, *filter);
  if (!found) return net::problem(found.error());
  std::string out;
  JsonWriter w(out);
  w.object().key("items").array();
  const std::size_t n = std::min(found->alerts.size(), page->limit);
  for (std::size_t i = 0; i < n; ++i) write(w, found->alerts[i]);
  w.end().key("counts").object().member("queue", found->queue).member("over_budget", found->over_budget);
  w.member("counted", found->counted).end();
  if (found->alerts.size() > n)
    w.member("next",
             web::cursor_of("alerts", fmt::format("{}-{}", found->alerts[n - 1].rank, found->alerts[n - 1].id)));
  w.end();
  return net::json(out);
}

net::Reply groups(const NodeParts& p, const net::Request& q) {
  const auto filter = filter_of(q, p.municipalities);
  if (!filter) return net::problem(filter.error());
  const auto found = p.alerts.groups(q.scope, *filter);
  if (!found) return net::problem(found.error());
  std::string out;
  JsonWriter w(out);
  w.object().key("items").array();
  for (const alerts::AlertGroup& g : *found) {
    w.object().member("rule", g.rule).member("title", g.title).member("level", g.level).member("kind", g.kind);
    w.member("alerts", g.alerts).member("open", g.open).member("count", g.count);
    w.member("first_seen", web::time_text(from_micros(g.first_seen_us)));
    w.member("last_seen", web::time_text(from_micros(g.last_seen_us))).key("concerns").array();
    for (const auto& c : g.concerns) w.value(c);
    w.end().end();
  }
  w.end().end();
  return net::json(out);
}

net::Reply show(const NodeParts& p, const net::Request& q) {
  const auto id = web::id_of(q);
  if (!id) return net::problem(id.error());
  const auto found = p.alerts.find(q.scope, *id);
  if (!found) return net::problem(found.error());
  const auto notes = p.alerts.notes(q.scope, *id);
  if (!notes) return net::problem(notes.error());
  std::string out;
  JsonWriter w(out);
  w.object().key("alert");
  write(w, found->first);
  w.key("examples").array();
  for (const alerts::Example& e : found->second) {
    w.object().member("record", ref_of(e).text()).member("finding", e.finding).member("source", e.source);
    w.member("format", e.format);
    add_time(w, "happened_at", e.happened_at_us);
    add_time(w, "received_at", e.received_at_us);
    w.key("fields").raw(e.fields.empty() ? "{}" : e.fields).end();
  }
  w.end().key("notes").array();
  for (const auto& n : *notes) write(w, n);
  w.end().end();
  return net::json(out);
}

net::Reply many(const NodeParts& p, const net::Request& q) {
  ManyBody body;
  if (auto bad = read_body(q, body)) return *bad;
  if (body.ids.empty() || body.ids.size() > kMostAtOnce)
    return web::refused({{"/ids", fmt::format("1 to {} alerts", kMostAtOnce)}});
  std::string out;
  JsonWriter w(out);
  std::vector<std::pair<std::string, std::string>> refused;
  w.object().key("done").array();
  for (const std::string& text : body.ids) {
    std::int64_t id = -1;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (ec != std::errc{} || end != text.data() + text.size()) {
      refused.emplace_back(text, "there is no alert of this id");
      continue;
    }
    const auto done = p.alerts.acknowledge(q.scope, id, body.why.value_or(""));
    if (done) w.value(text);
    else refused.emplace_back(text, done.error().what);
  }
  w.end().key("refused").array();
  for (const auto& [id, why] : refused) w.object().member("id", shown(id, 100)).member("reason", why).end();
  w.end().end();
  return net::json(out);
}

net::Reply records(const NodeParts& p, const net::Request& q) {
  constexpr std::size_t kMostOfALine = 16 * 1024;
  const auto id = web::id_of(q);
  if (!id) return net::problem(id.error());
  const auto found = p.alerts.find(q.scope, *id);
  if (!found) return net::problem(found.error());
  if (const auto noted = note_opened(p.state, q.scope.who(), "alert", std::to_string(*id)); !noted)
    return net::problem(noted.error());
  std::string out;
  JsonWriter w(out);
  w.object().key("items").array();
  for (const alerts::Example& e : found->second) {
    const RecordRef ref = ref_of(e);
    w.object().member("record", ref.text()).member("finding", e.finding).member("source", e.source);
    add_time(w, "happened_at", e.happened_at_us);
    const auto line = open_line(p.history, q.scope, ref);
    if (line) w.member("line", shown(line->line, kMostOfALine));
    else w.member("gone", line.error().what);
    w.end();
  }
  w.end().end();
  return net::json(out);
}

}  // namespace

void add_alert_routes(net::Router& router, const Parts& parts) {
  router.get("/api/alerts", Needs::alert_read, [parts](const net::Request& q) { return list(*parts, q); });
  router.get("/api/alert-groups", Needs::alert_read, [parts](const net::Request& q) { return groups(*parts, q); });
  router.post("/api/alerts/acknowledge", Needs::alert_write,
              [parts](const net::Request& q) { return many(*parts, q); });
  router.get("/api/alerts/{id}", Needs::alert_read, [parts](const net::Request& q) { return show(*parts, q); });
  router.get("/api/alerts/{id}/records", Needs::hunt, [parts](const net::Request& q) { return records(*parts, q); });
  router.post("/api/alerts/{id}/acknowledge", Needs::alert_write, [parts](const net::Request& q) -> net::Reply {
    const auto id = web::id_of(q);
    if (!id) return net::problem(id.error());
    WhyBody body;
    if (!q.body.empty())
      if (auto bad = read_body(q, body)) return *bad;
    return after(*parts, q, *id, parts->alerts.acknowledge(q.scope, *id, body.why.value_or("")));
  });
  router.post("/api/alerts/{id}/close", Needs::alert_write, [parts](const net::Request& q) -> net::Reply {
    const auto id = web::id_of(q);
    if (!id) return net::problem(id.error());
    CloseBody body;
    if (auto bad = read_body(q, body)) return *bad;
    return after(*parts, q, *id, parts->alerts.close(q.scope, *id, body.why, body.was.value_or("")));
  });
  router.post("/api/alerts/{id}/notes", Needs::alert_write, [parts](const net::Request& q) -> net::Reply {
    const auto id = web::id_of(q);
    if (!id) return net::problem(id.error());
    NoteBody body;
    if (auto bad = read_body(q, body)) return *bad;
    const auto made = parts->alerts.note(q.scope, *id, body.text);
    return made ? net::json(json_of(*made), 201) : trouble(made.error());
  });
}

}  // namespace bavn::show::api
