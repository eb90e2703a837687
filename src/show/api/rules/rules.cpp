#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include <algorithm>
#include <map>

#include "base/hash.hpp"
#include "base/text.hpp"
#include "match/sigma/correlation.hpp"
#include "match/sigma/explain.hpp"
#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"
#include "show/api/rules/rule_tests.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;
namespace sigma = match::sigma;

struct StateBody {
  std::string state, why;
};
BOOST_DESCRIBE_STRUCT(StateBody, (), (state, why))

struct DayRow {
  std::int64_t day = 0, records = 0, findings = 0, alerts = 0;
};
BOOST_DESCRIBE_STRUCT(DayRow, (), (day, records, findings, alerts))

constexpr std::size_t kMostLines = 200;       // of a condition that is shown
constexpr std::size_t kMostFile = 1U << 20U;  // of a rule's file

/// One rule as pages see it: what is loaded, what it does here, or why it was refused.
struct RuleView {
  std::string id, kind, title, level, logsource, can = "yes", why_never, file;
  std::uint32_t line = 0;
  std::size_t tests = 0;
  const alerts::RuleRow* row = nullptr;
  std::int64_t rule = -1, correlation = -1;  // index in the set
};

int level_number(std::string_view level) {
  constexpr std::string_view kLevels[] = {"informational", "low", "medium", "high", "critical"};
  const auto at = std::find(std::begin(kLevels), std::end(kLevels), level);
  return at == std::end(kLevels) ? -1 : static_cast<int>(at - std::begin(kLevels));
}

/// Everything there is to know of rules now. Made for each question: some thousand rules take a few milliseconds.
class Book {
 public:
  static Result<Book> read(const NodeParts& p, const event::Scope& scope) {
    Book b;
    b.engine_ = p.engine();
    BAVN_TRY(b.rows_, p.alerts.rules(scope));
    std::map<std::string_view, const alerts::RuleRow*> by_id;
    for (const auto& r : b.rows_) by_id[r.rule] = &r;
    const auto row = [&](const std::string& id) {
      const auto at = by_id.find(id);
      return at == by_id.end() ? nullptr : at->second;
    };
    const sigma::RuleSet& set = b.engine_->rules();
    std::map<std::string, std::size_t> tests;  // of a file
    const auto tests_of = [&](const std::string& file) {
      const auto [at, fresh] = tests.try_emplace(file, 0);
      if (fresh) at->second = count_rule_tests(file);
      return at->second;
    };
    for (std::size_t i = 0; i < set.rules.size(); ++i) {
      const sigma::Rule& r = set.rules[i];
      RuleView v = of_meta("sigma:", r.meta);
      v.kind = "sigma";
      v.logsource = hunt::describe(r.logsource);
      std::string missing;
      if (!hunt::deliverable(b.engine_->catalogue(), r.logsource, missing)) {
        v.can = "never";
        v.why_never = "no known format delivers " + missing;
      }
      v.tests = tests_of(r.meta.file);
      v.row = row(v.id);
      v.rule = static_cast<std::int64_t>(i);
      b.views_.push_back(std::move(v));
    }
    for (std::size_t i = 0; i < set.correlations.size(); ++i) {
      const sigma::Correlation& c = set.correlations[i];
      RuleView v = of_meta("correlation:", c.meta);
      v.kind = "correlation";
      v.logsource = fmt::format("correlation {}", sigma::to_string(c.type));
      // It can happen only when something it refers to can.
      const bool any = std::any_of(c.rules.begin(), c.rules.end(), [&](const sigma::RuleRef& ref) {
        std::string missing;
        return ref.is_correlation || hunt::deliverable(b.engine_->catalogue(), set.rules[ref.index].logsource, missing);
      });
      if (!any) {
        v.can = "never";
        v.why_never = "no known format delivers what its rules read";
      }
      v.tests = tests_of(c.meta.file);
      v.row = row(v.id);
      v.correlation = static_cast<std::int64_t>(i);
      b.views_.push_back(std::move(v));
    }
    for (const auto& r : set.refused) {
      RuleView v;
      v.id = fmt::format("refused:{:016x}", hash64(fmt::format("{}:{}", r.file, r.line)));
      v.kind = "sigma";
      v.title = r.title.empty() ? r.file : r.title;
      v.can = "refused";
      v.why_never = r.reason;
      v.file = r.file;
      v.line = r.line;
      b.views_.push_back(std::move(v));
    }
    for (const auto& r : b.rows_)
      if (r.rule.starts_with("indicators:") && r.present != 0) {
        RuleView v;
        v.id = r.rule;
        v.kind = "indicators";
        v.title = r.title;
        v.level = r.level;
        v.row = &r;
        b.views_.push_back(std::move(v));
      }
    std::stable_sort(b.views_.begin(), b.views_.end(), [](const RuleView& x, const RuleView& y) {
      const auto rate = [](const RuleView& v) { return v.row != nullptr ? v.row->alerts_per_day : -1.0; };
      return std::tuple(rate(y), level_number(y.level), std::string_view(x.title), std::string_view(x.id)) <
             std::tuple(rate(x), level_number(x.level), std::string_view(y.title), std::string_view(y.id));
    });
    return b;
  }

  const std::vector<RuleView>& all() const { return views_; }
  const RuleView* find(std::string_view id) const {
    for (const auto& v : views_)
      if (v.id == id) return &v;
    return nullptr;
  }
  hunt::Engine& engine() const { return *engine_; }
  const std::shared_ptr<hunt::Engine>& shared() const { return engine_; }

 private:
  static RuleView of_meta(std::string_view prefix, const sigma::Meta& m) {
    RuleView v;
    v.id = std::string(prefix) + (m.id.empty() ? m.title : m.id);
    v.title = m.title;
    v.level = sigma::to_string(m.level);
    v.file = m.file;
    v.line = m.line;
    return v;
  }
  std::shared_ptr<hunt::Engine> engine_;
  std::vector<alerts::RuleRow> rows_;
  std::vector<RuleView> views_;
};

void write(JsonWriter& w, const RuleView& v) {
  w.object().member("id", v.id).member("kind", v.kind).member("title", v.title).member("level", v.level);
  add_text(w, "logsource", v.logsource);
  if (v.row != nullptr) {
    w.member("state", v.row->state).member("why", v.row->why).member("by", v.row->by_whom);
    add_time(w, "since", v.row->since_us);
  }
  w.member("can", v.can);
  add_text(w, "why_never", v.why_never);
  add_text(w, "file", v.file);
  if (v.line != 0) w.member("line", static_cast<std::uint64_t>(v.line));
  w.member("tests", static_cast<std::uint64_t>(v.tests));
  if (v.row != nullptr) {
    w.key("rate").object().member("days", v.row->days).member("alerts_per_day", v.row->alerts_per_day);
    w.member("findings_per_day", v.row->findings_per_day).member("known", v.row->rate_known).end();
  }
  w.end();
}

bool asked_for(const RuleView& v, std::string_view state, std::string_view can, int least, std::string_view text) {
  if (!state.empty() && (v.row == nullptr || v.row->state != state)) return false;
  if (!can.empty() && v.can != can) return false;
  if (least >= 0 && level_number(v.level) < least) return false;
  return text.empty() || icontains(v.title, text) || icontains(v.id, text) || icontains(v.file, text) ||
         icontains(v.logsource, text);
}

net::Reply list(const NodeParts& p, const net::Request& q) {
  const auto page = web::page_of(q, "rules");
  if (!page) return net::problem(page.error());
  const auto state = q.asked("state").value_or(""), can = q.asked("can").value_or(""),
             level = q.asked("level").value_or(""), text = q.asked("q").value_or("");
  if (!state.empty() && state != "live" && state != "count_only" && state != "demoted")
    return net::problem(Error{Code::bad_input, "a state is live, count_only or demoted", "?state"});
  if (!can.empty() && can != "yes" && can != "never" && can != "refused")
    return net::problem(Error{Code::bad_input, "yes, never or refused", "?can"});
  if (!level.empty() && level_number(level) < 0)
    return net::problem(Error{Code::bad_input, "a level is informational, low, medium, high or critical", "?level"});
  if (text.size() > 200) return net::problem(Error{Code::bad_input, "that is too long to look for", "?q"});
  std::size_t from = 0;
  for (const char c : page->after) {
    if (!ascii_digit(c) || from > 1'000'000)
      return net::problem(Error{Code::bad_input, "this cursor is none of ours", "?cursor"});
    from = from * 10 + static_cast<std::size_t>(c - '0');
  }
  const auto book = Book::read(p, q.scope);
  if (!book) return net::problem(book.error());
  std::int64_t live = 0, counting = 0, demoted = 0, never = 0, refused = 0;
  for (const RuleView& v : book->all()) {
    never += v.can == "never" ? 1 : 0;
    refused += v.can == "refused" ? 1 : 0;
    if (v.row == nullptr) continue;
    live += v.row->state == "live" ? 1 : 0;
    counting += v.row->state == "count_only" ? 1 : 0;
    demoted += v.row->state == "demoted" ? 1 : 0;
  }
  std::string out;
  JsonWriter w(out);
  w.object().key("items").array();
  std::size_t at = 0, n = 0;
  bool more = false;
  for (const RuleView& v : book->all()) {
    if (!asked_for(v, state, can, level_number(level), text) || at++ < from) continue;
    if (n == page->limit) {
      more = true;
      break;
    }
    write(w, v);
    ++n;
  }
  w.end().key("counts").object().member("total", static_cast<std::uint64_t>(book->all().size())).member("live", live);
  w.member("count_only", counting).member("demoted", demoted).member("never", never).member("refused", refused).end();
  if (more) w.member("next", web::cursor_of("rules", std::to_string(from + n)));
  w.end();
  return net::json(out);
}

void write_texts(JsonWriter& w, std::string_view name, const std::vector<std::string>& all) {
  w.key(name).array();
  for (const auto& t : all) w.value(t);
  w.end();
}

/// Days with records in the last 30 of them, with what this rule gave.
Result<std::vector<DayRow>> days_of(const NodeParts& p, std::string_view rule) {
  return p.state.read([&](store::Reader& db) {
    return db.all<DayRow>(
        "SELECT d.day, d.records, coalesce(n.findings, 0) AS findings, coalesce(n.alerts, 0) AS alerts FROM alert_day "
        "d LEFT JOIN alert_rule_day n ON n.day = d.day AND n.rule = :rule WHERE d.day > (SELECT coalesce(max(day), 0) "
        "FROM alert_day) - 30 ORDER BY d.day",
        {{"rule", rule}});
  });
}

std::string day_text(std::int64_t day) {
  return web::time_text(from_micros(day * 86'400'000'000LL)).substr(0, 10);
}

net::Reply show(const NodeParts& p, const net::Request& q) {
  const auto book = Book::read(p, q.scope);
  if (!book) return net::problem(book.error());
  const RuleView* v = book->find(q.param("id"));
  if (v == nullptr) return net::problem(Error{Code::not_found, "there is no rule of this id here", {}});
  const sigma::RuleSet& set = book->engine().rules();
  std::vector<std::string> condition, witness, refers;
  bool slow = false;
  std::string out;
  JsonWriter w(out);
  w.object().key("rule");
  write(w, *v);
  if (const auto text = rule_file(v->file, kMostFile)) w.member("text", *text);
  if (v->rule >= 0) {
    const auto i = static_cast<std::uint32_t>(v->rule);
    const std::string folded = sigma::explain(set, set.rules[i].condition);
    for (const auto line : split(folded, '\n'))
      if (!line.empty() && condition.size() < kMostLines) condition.emplace_back(line);
    const auto& witnesses = book->engine().program().witnesses(i);
    for (std::size_t k = 0; k < std::min(witnesses.size(), kMostLines); ++k)
      witness.push_back(sigma::explain(set.predicates[witnesses[k]]));
    slow = witnesses.empty();
  }
  if (v->correlation >= 0) {
    const auto& c = set.correlations[static_cast<std::size_t>(v->correlation)];
    condition.push_back(fmt::format("{} within {} s", sigma::to_string(c.type), c.timespan.count()));
    for (const auto& b : c.bounds) condition.push_back(fmt::format("  {} {}", sigma::to_string(b.compare), b.value));
    for (const auto& ref : c.rules)
      refers.push_back(ref.is_correlation ? "correlation:" + set.correlations[ref.index].meta.id
                                          : "sigma:" + set.rules[ref.index].meta.id);
    write_texts(w, "group_by", c.group_by);
    write_texts(w, "refers_to", refers);
  }
  write_texts(w, "condition", condition);
  write_texts(w, "witness", witness);
  w.member("slow", slow).key("tests").array();
  for (const RuleTest& t : rule_tests_of(v->file, v->id, v->title))
    w.object().member("name", t.name).member("expect", t.expect ? "match" : "no_match").end();
  w.end().key("days").array();
  const auto days = days_of(p, v->id);
  if (!days) return net::problem(days.error());
  for (const DayRow& d : *days) {
    w.object().member("day", day_text(d.day)).member("records", d.records).member("findings", d.findings);
    w.member("alerts", d.alerts).end();
  }
  w.end().end();
  return net::json(out);
}

net::Reply set_state(const NodeParts& p, const net::Request& q) {
  StateBody body;
  if (auto bad = read_body(q, body)) return *bad;
  if (body.state != "live" && body.state != "count_only" && body.state != "demoted")
    return web::refused({{"/state", "live, count_only or demoted"}});
  if (trim(body.why).empty() || body.why.size() > 2000)
    return web::refused({{"/why", "a reason of 1 to 2000 bytes is wanted"}});
  if (const auto done = p.alerts.set_rule(q.scope, q.param("id"), body.state, body.why); !done)
    return trouble(done.error());
  const auto book = Book::read(p, q.scope);
  if (!book) return net::problem(book.error());
  const RuleView* v = book->find(q.param("id"));
  if (v == nullptr) return net::problem(Error{Code::not_found, "this rule is no longer loaded", {}});
  std::string out;
  JsonWriter w(out);
  write(w, *v);
  return net::json(out);
}

net::Reply test(const NodeParts& p, const net::Request& q) {
  const auto book = Book::read(p, q.scope);
  if (!book) return net::problem(book.error());
  const RuleView* v = book->find(q.param("id"));
  if (v == nullptr) return net::problem(Error{Code::not_found, "there is no rule of this id here", {}});
  std::int64_t failed = 0;
  std::string out;
  JsonWriter w(out);
  w.object().key("items").array();
  for (const RuleTest& t : rule_tests_of(v->file, v->id, v->title)) {
    const RuleTestResult r = run_rule_test(book->engine(), v->file, t, p.runtime.now());
    failed += r.ok ? 0 : 1;
    w.object().member("name", t.name).member("expect", t.expect ? "match" : "no_match");
    w.member("got", r.refused.empty() ? (r.hit ? "match" : "no_match") : "refused").member("ok", r.ok);
    add_text(w, "says", r.refused);
    w.end();
  }
  w.end().member("failed", failed).end();
  return net::json(out);
}

}  // namespace

void add_rule_routes(net::Router& router, const Parts& parts) {
  router.get("/api/rules", Needs::alert_read, [parts](const net::Request& q) { return list(*parts, q); });
  router.get("/api/rules/{id}", Needs::alert_read, [parts](const net::Request& q) { return show(*parts, q); });
  router.post("/api/rules/{id}/state", Needs::alert_write,
              [parts](const net::Request& q) { return set_state(*parts, q); });
  router.post("/api/rules/{id}/test", Needs::alert_read, [parts](const net::Request& q) { return test(*parts, q); });
}

}  // namespace bavn::show::api
