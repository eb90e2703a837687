#include <fmt/format.h>
#include <boost/describe.hpp>

#include <charconv>

#include "app/warnings.hpp"
#include "base/json_writer.hpp"
#include "net/json_views.hpp"
#include "tenants/municipalities.hpp"

namespace bavn::app {

namespace {

using net::Needs;

struct Why {
  std::string why;
};
BOOST_DESCRIBE_STRUCT(Why, (), (why))
struct Words {
  std::string language, title, summary, for_employees, sms;
  std::optional<std::vector<std::string>> do_now, reasons;
};
BOOST_DESCRIBE_STRUCT(Words, (), (language, title, summary, for_employees, sms, do_now, reasons))
struct Ended {
  std::string municipality;
  std::optional<Instant> at;
};
BOOST_DESCRIBE_STRUCT(Ended, (), (municipality, at))
struct Taken {
  std::string municipality;
  bool taken = true;
};
BOOST_DESCRIBE_STRUCT(Taken, (), (municipality, taken))
struct NewSubscriber {
  std::string name, url;
  std::optional<std::string> tlp;
};
BOOST_DESCRIBE_STRUCT(NewSubscriber, (), (name, url, tlp))
struct Asked {
  std::string product;
  std::optional<std::string> versions, cve, why, fixed_in;
  std::optional<std::int64_t> days;
  std::optional<std::vector<std::string>> to;
};
BOOST_DESCRIBE_STRUCT(Asked, (), (product, versions, cve, why, fixed_in, days, to))
struct Made {
  std::string id;
};
BOOST_DESCRIBE_STRUCT(Made, (), (id))

net::Reply done(const Result<void>& result) {
  if (!result) return net::problem(result.error());
  net::Reply reply;
  reply.status = 204;
  return reply;
}
template <class T>
net::Reply view(const Result<T>& result, int status = 200) {
  return result ? net::json(net::to_json(*result), status) : net::problem(result.error());
}

Language language_asked(const net::Request& q) {
  return language_of(q.asked("language").value_or("en")).value_or(Language::en);
}

Result<MunicipalityId> municipality_named(std::string_view name) {
  const auto all = tenants::Municipalities::all();
  BAVN_TRY(const auto* m, all.named(name));
  return m->id;
}

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t n = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  return ec == std::errc{} && end == text.data() + text.size() && n >= 0 ? std::optional(n) : std::nullopt;
}

}  // namespace

void add_warning_routes_hub(net::Router& control, store::State& state, warn::Desk& desk,
                            std::shared_ptr<const warn::NeverBlock> never_block) {
  const auto case_in = [never_block](const net::Request& q) -> Result<warn::Case> {
    BAVN_TRY(auto c, warn::read_case(q.body));
    if (never_block) warn::find_shared_hosts(c, *never_block);
    return c;
  };
  control.get("/api/warnings", Needs::alert_read, [&desk](const net::Request& q) {
    return view(desk.list(q.scope, language_asked(q), number_of(q.asked("limit").value_or("100")).value_or(100)));
  });
  control.get("/api/warnings/{id}", Needs::alert_read,
              [&desk](const net::Request& q) { return view(desk.show(q.scope, q.param("id"))); });
  control.get("/api/warnings/{id}/text", Needs::alert_read,
              [&desk, texts = Catalogue::embedded()](const net::Request& q) {
                const auto found = desk.show(q.scope, q.param("id"));
                if (!found) return net::problem(found.error());
                for (const auto& t : found->texts)
                  if (t.language == to_string(language_asked(q))) return net::text(warn::printed(texts, t));
                return net::problem(404, "no text", "this warning has no text in that language");
              });
  control.get("/api/warnings-summary", Needs::alert_read, [&desk](const net::Request& q) {
    const auto quarter = std::string(q.asked("quarter").value_or(""));
    const auto dash = quarter.find('-');
    const auto year = number_of(std::string_view(quarter).substr(0, dash));
    const auto nth = dash == std::string::npos ? std::nullopt : number_of(std::string_view(quarter).substr(dash + 1));
    if (!year || !nth || *year > 9999 || *nth > 4)
      return net::problem(Error{Code::bad_input, "a quarter is a year and 1 to 4: 2024-4", "quarter"});
    return view(desk.summary(q.scope, static_cast<int>(*year), static_cast<int>(*nth)));
  });
  control.post("/api/warnings", Needs::publish, [&state, &desk, case_in](const net::Request& q) {
    const auto c = case_in(q);
    if (!c) return net::problem(c.error());
    Made made;
    const auto ok = state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(made.id, desk.draft(tx, *c, q.scope.who()));
      return {};
    });
    return ok ? net::json(net::to_json(made), 201) : net::problem(ok.error());
  });
  control.post("/api/warnings/{id}/send", Needs::publish, [&state, &desk](const net::Request& q) {
    return done(state.write_now([&](store::Tx& tx) { return desk.send(tx, q.param("id"), q.scope.who()); }));
  });
  control.post("/api/warnings/{id}/update", Needs::publish, [&state, &desk, case_in](const net::Request& q) {
    const auto c = case_in(q);
    if (!c) return net::problem(c.error());
    return done(state.write_now([&](store::Tx& tx) { return desk.update(tx, q.param("id"), *c, q.scope.who()); }));
  });
  for (const bool over : {true, false})
    control.post(over ? "/api/warnings/{id}/over" : "/api/warnings/{id}/withdraw", Needs::publish,
                 [&state, &desk, over](const net::Request& q) {
                   const auto asked = net::from_json<Why>(q.body, net::Unknown::refuse);
                   if (!asked) return net::problem(asked.error());
                   return done(state.write_now([&](store::Tx& tx) {
                     return over ? desk.over(tx, q.param("id"), q.scope.who(), asked->why)
                                 : desk.withdraw(tx, q.param("id"), q.scope.who(), asked->why);
                   }));
                 });
  control.post("/api/warnings/{id}/words", Needs::publish, [&state, &desk](const net::Request& q) {
    auto w = net::from_json<Words>(q.body, net::Unknown::refuse);
    if (!w) return net::problem(w.error());
    event::WarningText t{.language = w->language,
                         .title = w->title,
                         .summary = w->summary,
                         .for_employees = w->for_employees,
                         .do_now = w->do_now.value_or(std::vector<std::string>{}),
                         .reasons = w->reasons.value_or(std::vector<std::string>{}),
                         .sms = w->sms};
    return done(state.write_now([&](store::Tx& tx) { return desk.set_text(tx, q.param("id"), t, q.scope.who()); }));
  });
  control.post("/api/warnings/{id}/ended", Needs::alert_write, [&state, &desk](const net::Request& q) {
    const auto asked = net::from_json<Ended>(q.body, net::Unknown::refuse);
    if (!asked) return net::problem(asked.error());
    const auto m = municipality_named(asked->municipality);
    if (!m) return net::problem(m.error());
    return done(state.write_now([&](store::Tx& tx) {
      return desk.note_ended(tx, q.param("id"), *m, asked->at.value_or(tx.now()), q.scope.who());
    }));
  });
  control.post("/api/taken", Needs::alert_write, [&state, &desk](const net::Request& q) {
    const auto asked = net::from_json<Taken>(q.body, net::Unknown::ignore);
    if (!asked) return net::problem(asked.error());
    const auto m = municipality_named(asked->municipality);
    if (!m) return net::problem(m.error());
    return done(state.write_now([&](store::Tx& tx) { return desk.mark_taken(tx, *m, asked->taken, q.scope.who()); }));
  });

  control.get("/api/subscriptions", Needs::tenants_read,
              [&desk](const net::Request&) { return view(desk.subscriptions()); });
  control.post("/api/subscriptions", Needs::tenants_write, [&state, &desk](const net::Request& q) {
    const auto asked = net::from_json<NewSubscriber>(q.body, net::Unknown::refuse);
    if (!asked) return net::problem(asked.error());
    warn::Desk::NewSubscription made;
    const auto ok = state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(made, desk.subscribe(tx, asked->name, asked->url, asked->tlp.value_or("green"), q.scope.who()));
      return {};
    });
    if (!ok) return net::problem(ok.error());
    std::string out;
    JsonWriter(out).object().member("id", made.id).member("secret", made.secret).end();
    return net::json(out, 201);
  });
  control.del("/api/subscriptions/{id}", Needs::tenants_write, [&state, &desk](const net::Request& q) {
    const auto id = number_of(q.param("id"));
    if (!id) return net::problem(Error{Code::bad_input, "a subscription is named by its number", "id"});
    return done(state.write_now([&](store::Tx& tx) { return desk.unsubscribe(tx, *id, q.scope.who()); }));
  });

  control.get("/api/exposure", Needs::alert_read,
              [&desk](const net::Request& q) { return view(desk.questions(q.scope)); });
  control.post("/api/exposure", Needs::publish, [&state, &desk](const net::Request& q) {
    const auto asked = net::from_json<Asked>(q.body, net::Unknown::refuse);
    if (!asked) return net::problem(asked.error());
    warn::Question question{.product = asked->product,
                            .versions = asked->versions.value_or(""),
                            .cve = asked->cve.value_or(""),
                            .why = asked->why.value_or(""),
                            .fixed_in = asked->fixed_in.value_or(""),
                            .to = {}};
    question.valid = std::chrono::days{std::clamp<std::int64_t>(asked->days.value_or(7), 0, 1000)};
    for (const auto& name : asked->to.value_or(std::vector<std::string>{})) {
      const auto m = municipality_named(name);
      if (!m) return net::problem(m.error());
      question.to.push_back(*m);
    }
    Made made;
    const auto ok = state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(made.id, desk.ask(tx, question, q.scope.who()));
      return {};
    });
    return ok ? net::json(net::to_json(made), 201) : net::problem(ok.error());
  });
  control.post("/api/exposure/{id}/withdraw", Needs::publish, [&state, &desk](const net::Request& q) {
    return done(
        state.write_now([&](store::Tx& tx) { return desk.withdraw_question(tx, q.param("id"), q.scope.who()); }));
  });
}

}  // namespace bavn::app
