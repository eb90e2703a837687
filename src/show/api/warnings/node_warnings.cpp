#include "show/api/warnings/node_warnings.hpp"

#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include "base/text.hpp"
#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"
#include "warn/case.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

struct TakenBody {
  bool taken = true;
  std::string why;
};
BOOST_DESCRIBE_STRUCT(TakenBody, (), (taken, why))
struct AnswerBody {
  std::string state;
  std::optional<std::int64_t> systems;
};
BOOST_DESCRIBE_STRUCT(AnswerBody, (), (state, systems))

void add_names(JsonWriter& w, std::string_view name, const std::vector<std::string>& all) {
  w.key(name).array();
  for (const auto& one : all) w.value(one);
  w.end();
}

void write_answer(JsonWriter& w, const event::WarningAnswer& a) {
  w.object().member("state", a.state).member("hits", a.hits).member("people", a.recipients).member("clicks", a.clicks);
  add_time(w, "first_hit_at", a.first_hit_us);
  add_time(w, "told_at", a.warned_us);
  w.member("purged", a.purged).member("purge_left", a.purge_left);
  add_time(w, "emptied_at", a.emptied_us);
  add_time(w, "list_fetched_at", a.list_fetched_us.value_or(0));
  add_time(w, "blocked_at", a.blocked_us.value_or(0));
  add_time(w, "sessions_ended_at", a.ended_us.value_or(0));
  add_names(w, "looked_in", a.looked_in);
  add_names(w, "cannot_see", a.cannot_see);
  w.member("by", a.by).end();
}

std::string json_of(const warn::WarningHere& v, Language language) {
  std::string out;
  JsonWriter w(out);
  write_warning(w, v, language);
  return out;
}

net::Reply list(const NodeParts& p, const net::Request& q) {
  if (p.warnings == nullptr) return web::list({}, std::nullopt);
  const auto all = p.warnings->list(q.scope);
  if (!all) return net::problem(all.error());
  std::vector<std::string> items;
  for (const auto& v : *all) items.push_back(json_of(v, web::language_of(q)));
  return web::list(items, std::nullopt);
}

/// What a handler about one warning needs; a reply when it cannot be.
struct Asked {
  MunicipalityId municipality;
  warn::WarningHere warning;
};
Result<Asked> asked_of(const NodeParts& p, const net::Request& q) {
  if (p.warnings == nullptr) return fail(Code::not_found, "this node follows no hub: there are no warnings here");
  BAVN_TRY(const auto m, municipality_asked(q, p.municipalities));
  BAVN_TRY(auto v, p.warnings->show(q.scope, q.param("id"), m));
  return Asked{m, std::move(v)};
}

net::Reply show(const NodeParts& p, const net::Request& q) {
  const auto asked = asked_of(p, q);
  if (!asked) return net::problem(asked.error());
  const Language language = web::language_of(q);
  const auto& entry = asked->warning.entry;
  std::string out;
  JsonWriter w(out);
  w.object().key("warning");
  write_warning(w, asked->warning, language);
  w.key("text").object();
  if (const auto* t = warning_text(entry, language)) {
    w.member("language", t->language).member("title", t->title).member("summary", t->summary).key("do_now").array();
    for (std::size_t i = 0; i < t->do_now.size(); ++i)
      w.object()
          .member("what", t->do_now[i])
          .member("why", i < t->reasons.size() ? t->reasons[i] : std::string())
          .end();
    w.end().member("for_employees", t->for_employees);
  } else {
    w.member("language", to_string(language)).member("title", "").member("summary", "").key("do_now").array().end();
    w.member("for_employees", "");
  }
  w.end().key("look_for").array();
  for (const auto& o : entry.look_for)
    if (const auto kind = event::parse_kind(o.kind))
      begin_observable(w, {*kind, o.value}).member("personal", is_personal(*kind)).end();
  w.end().member("answer_line", warn::answer_line(p.texts, language, asked->warning.answer)).end();
  return net::json(out);
}

/// Changes it, then shows it as it is.
template <class F>
net::Reply changed(const NodeParts& p, const net::Request& q, int status, F&& change) {
  const auto asked = asked_of(p, q);
  if (!asked) return net::problem(asked.error());
  const auto done = p.state.write_now([&](store::Tx& tx) { return change(tx, asked->municipality); });
  if (!done) return trouble(done.error());
  const auto now = p.warnings->show(q.scope, q.param("id"), asked->municipality);
  return now ? net::json(json_of(*now, web::language_of(q)), status) : net::problem(now.error());
}

net::Reply for_employees(const NodeParts& p, const net::Request& q) {
  const auto asked = asked_of(p, q);
  if (!asked) return net::problem(asked.error());
  std::vector<std::string> items;
  for (const auto& t : asked->warning.entry.texts) {
    if (t.for_employees.empty()) continue;
    std::string out;
    JsonWriter(out)
        .object()
        .member("language", t.language)
        .member("title", t.title)
        .member("text", t.for_employees)
        .end();
    items.push_back(std::move(out));
  }
  return web::list(items, std::nullopt);
}

net::Reply taken_now(const NodeParts& p, MunicipalityId m) {
  const auto taken = p.state.read([&](store::Reader& db) { return p.warnings->taken(db, m); });
  if (!taken) return net::problem(taken.error());
  return net::json(*taken ? R"({"taken":true})" : R"({"taken":false})");
}

net::Reply set_taken(const NodeParts& p, const net::Request& q) {
  if (p.warnings == nullptr) return not_here("warning");
  TakenBody body;
  if (auto bad = read_body(q, body)) return *bad;
  if (trim(body.why).empty() || body.why.size() > 2000)
    return web::refused({{"/why", "a reason of 1 to 2000 bytes is wanted"}});
  const auto m = municipality_asked(q, p.municipalities);
  if (!m) return net::problem(m.error());
  const auto done = p.state.write_now(
      [&](store::Tx& tx) { return p.warnings->mark_taken(tx, *m, body.taken, q.scope.who(), body.why); });
  return done ? taken_now(p, *m) : trouble(done.error());
}

std::string json_of(const warn::QuestionHere& v) {
  std::string out;
  JsonWriter w(out);
  w.object().member("id", v.ask.id).member("product", v.ask.product);
  // What exactly is asked, in the CERT's own words.
  std::string question = v.ask.versions;
  for (const std::string& more : {v.ask.cve, v.ask.why, v.ask.fixed_in}) {
    if (more.empty()) continue;
    if (!question.empty()) question += "; ";
    question += more;
  }
  w.member("question", question);
  add_time(w, "asked_at", v.ask.asked_us);
  add_time(w, "until", v.ask.until_us);
  add_municipality(w, "municipality", v.municipality);
  w.member("state", v.state);
  if (!v.state.empty()) {
    w.member("systems", v.systems).member("by", v.by);
    add_time(w, "answered_at", v.answered_us);
  }
  w.end();
  return out;
}

net::Reply exposure(const NodeParts& p, const net::Request& q) {
  if (p.warnings == nullptr) return web::list({}, std::nullopt);
  const auto all = p.warnings->questions(q.scope);
  if (!all) return net::problem(all.error());
  std::vector<std::string> items;
  for (const auto& v : *all)
    if (!v.ask.withdrawn) items.push_back(json_of(v));
  return web::list(items, std::nullopt);
}

net::Reply answer(const NodeParts& p, const net::Request& q) {
  if (p.warnings == nullptr) return not_here("question");
  AnswerBody body;
  if (auto bad = read_body(q, body)) return *bad;
  const auto m = municipality_asked(q, p.municipalities);
  if (!m) return net::problem(m.error());
  constexpr std::string_view kStates[] = {"have", "have_mended", "do_not_have", "do_not_know"};
  if (std::find(std::begin(kStates), std::end(kStates), body.state) == std::end(kStates))
    return web::refused({{"/state", "have, have_mended, do_not_have or do_not_know"}});
  if (body.systems.value_or(0) < 0 || body.systems.value_or(0) > 1'000'000)
    return web::refused({{"/systems", "0 to 1,000,000"}});
  const auto done = p.state.write_now([&](store::Tx& tx) {
    return p.warnings->answer_question(tx, q.param("id"), *m, body.state, body.systems.value_or(0), q.scope.who());
  });
  if (!done) return trouble(done.error());
  const auto all = p.warnings->questions(q.scope);
  if (!all) return net::problem(all.error());
  for (const auto& v : *all)
    if (v.ask.id == q.param("id") && v.municipality == *m) return net::json(json_of(v));
  return net::problem(Error{Code::not_found, "there is no such question here", {}});
}

}  // namespace

const event::WarningText* warning_text(const event::WarningEntry& entry, Language language) {
  for (const Language l : {language, Language::en})
    for (const auto& t : entry.texts)
      if (t.language == to_string(l)) return &t;
  return entry.texts.empty() ? nullptr : &entry.texts.front();
}

void write_warning(JsonWriter& w, const warn::WarningHere& v, Language language) {
  const auto* text = warning_text(v.entry, language);
  w.object().member("id", v.id).member("version", v.entry.version).member("severity", v.entry.severity);
  w.member("title", text != nullptr ? text->title : v.id);
  add_text(w, "tlp", v.entry.tlp);
  add_municipality(w, "municipality", v.municipality);
  w.member("came_at", web::time_text(from_micros(v.taken_us))).member("phase", v.entry.state).key("answer");
  write_answer(w, v.answer);
  w.member("looks", v.looks);
  add_time(w, "next_look_at", v.next_look_us);
  add_text(w, "seen_by", v.seen_by);
  add_time(w, "seen_at", v.seen_us);
  w.member("messages", v.messages).member("reminders", v.reminders);
  add_text(w, "trouble", v.trouble);
  w.end();
}

void add_warning_routes(net::Router& router, const Parts& parts) {
  router.get("/api/node/warnings", Needs::alert_read, [parts](const net::Request& q) { return list(*parts, q); });
  router.get("/api/node/warnings/{id}", Needs::alert_read, [parts](const net::Request& q) { return show(*parts, q); });
  router.post("/api/node/warnings/{id}/seen", Needs::alert_write, [parts](const net::Request& q) {
    return changed(*parts, q, 200, [&](store::Tx& tx, MunicipalityId m) {
      return parts->warnings->acknowledge(tx, q.param("id"), m, q.scope.who());
    });
  });
  router.post("/api/node/warnings/{id}/look", Needs::hunt, [parts](const net::Request& q) {
    return changed(*parts, q, 202, [&](store::Tx& tx, MunicipalityId m) -> Result<void> {
      BAVN_CHECK(parts->warnings->look_again(tx, q.param("id"), m));
      return tx.audit({q.scope.who(), "warning.looked_again", std::string(q.param("id")), "{}"});
    });
  });
  router.post("/api/node/warnings/{id}/sessions-ended", Needs::alert_write, [parts](const net::Request& q) {
    return changed(*parts, q, 200, [&](store::Tx& tx, MunicipalityId m) -> Result<void> {
      BAVN_CHECK(parts->warnings->sessions_ended(tx, q.param("id"), m, tx.now()));
      return tx.audit({q.scope.who(), "warning.sessions_ended", std::string(q.param("id")), "{}"});
    });
  });
  router.post("/api/node/warnings/{id}/blocked", Needs::alert_write, [parts](const net::Request& q) {
    return changed(*parts, q, 200, [&](store::Tx& tx, MunicipalityId m) -> Result<void> {
      BAVN_TRY(const auto here, parts->warnings->show(q.scope, q.param("id"), m));
      BAVN_CHECK(parts->warnings->block_confirmed(tx, here.entry.campaign, m, tx.now()));
      return tx.audit({q.scope.who(), "warning.block_confirmed", std::string(q.param("id")), "{}"});
    });
  });
  router.get("/api/node/warnings/{id}/employees", Needs::alert_read,
             [parts](const net::Request& q) { return for_employees(*parts, q); });
  router.get("/api/node/taken", Needs::alert_read, [parts](const net::Request& q) -> net::Reply {
    if (parts->warnings == nullptr) return net::json(R"({"taken":false})");
    const auto m = municipality_asked(q, parts->municipalities);
    return m ? taken_now(*parts, *m) : net::problem(m.error());
  });
  router.post("/api/node/taken", Needs::operate, [parts](const net::Request& q) { return set_taken(*parts, q); });
  router.get("/api/node/exposure", Needs::alert_read, [parts](const net::Request& q) { return exposure(*parts, q); });
  router.post("/api/node/exposure/{id}/answer", Needs::alert_write,
              [parts](const net::Request& q) { return answer(*parts, q); });
}

}  // namespace bavn::show::api
