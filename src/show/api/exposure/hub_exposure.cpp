#include <algorithm>

#include "show/api/hub_inner.hpp"

namespace bavn::show::api {

namespace {

struct Counts {
  std::int64_t asked = 0, have = 0, have_mended = 0, do_not_have = 0, do_not_know = 0, silent = 0, systems = 0;
};
BOOST_DESCRIBE_STRUCT(Counts, (), (asked, have, have_mended, do_not_have, do_not_know, silent, systems))
struct Answer {
  Town municipality;
  std::string state;
  std::int64_t systems = 0;
  When received_at;
};
BOOST_DESCRIBE_STRUCT(Answer, (), (municipality, state, systems, received_at))
struct QuestionView {
  std::string id, product, versions, cve, why, fixed_in, asked_at, until;
  bool withdrawn = false;
  std::string by;
  Counts counts;
  std::vector<Answer> answers;
};
BOOST_DESCRIBE_STRUCT(QuestionView, (),
                      (id, product, versions, cve, why, fixed_in, asked_at, until, withdrawn, by, counts, answers))
struct Ask {
  std::string product;
  std::optional<std::string> versions, cve, why, fixed_in;
  std::optional<std::int64_t> days;
  std::optional<std::vector<std::string>> to;
};
BOOST_DESCRIBE_STRUCT(Ask, (), (product, versions, cve, why, fixed_in, days, to))
struct MadeId {
  std::string id;
};
BOOST_DESCRIBE_STRUCT(MadeId, (), (id))

Result<void> for_all(const net::Request& q) {
  if (q.scope.sees_all()) return {};
  return fail(Code::forbidden, "questions to all are asked by the joint CERT");
}

net::Reply ask(const Hub& hub, const net::Request& q) {
  if (const auto all = for_all(q); !all) return net::problem(all.error());
  const auto asked = body_of<Ask>(q);
  if (!asked) return net::problem(asked.error());
  if (asked->days && (*asked->days < 1 || *asked->days > 90))
    return net::problem(Error{Code::bad_input, "a question is open for 1 to 90 days", "/days"});
  warn::Question question{.product = asked->product,
                          .versions = asked->versions.value_or(""),
                          .cve = asked->cve.value_or(""),
                          .why = asked->why.value_or(""),
                          .fixed_in = asked->fixed_in.value_or(""),
                          .to = {}};
  question.valid = std::chrono::days{asked->days.value_or(7)};
  for (const auto& name : asked->to.value_or(std::vector<std::string>{})) {
    const auto m = hub.named(name);
    if (!m) return net::problem(m.error());
    question.to.push_back(*m);
  }
  MadeId made;
  const auto done = hub.change([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(made.id, hub.warnings.ask(tx, question, person(q)));
    return {};
  });
  return done ? net::json(net::to_json(made), 201) : net::problem(done.error());
}

}  // namespace

void add_exposure_routes(net::Router& router, const HubPtr& hub) {
  router.get("/api/exposure", Needs::alert_read, [hub](const net::Request& q) -> net::Reply {
    const auto found = hub->warnings.questions(q.scope);
    if (!found) return net::problem(found.error());
    std::vector<QuestionView> views;
    for (const auto& x : *found) {
      QuestionView v{x.ask.id,
                     x.ask.product,
                     x.ask.versions,
                     x.ask.cve,
                     x.ask.why,
                     x.ask.fixed_in,
                     at_always(x.ask.asked_us),
                     at_always(x.ask.until_us),
                     x.ask.withdrawn,
                     x.by,
                     Counts{x.asked, x.have, x.have_mended, x.do_not_have, x.do_not_know,
                            x.asked - x.have - x.have_mended - x.do_not_have - x.do_not_know, x.systems},
                     {}};
      for (const auto& a : x.answers)
        v.answers.push_back({hub->town(a.municipality), a.state, a.systems, at(a.received_us)});
      views.push_back(std::move(v));
    }
    return list_of(views);
  });
  router.post("/api/exposure", Needs::publish, [hub](const net::Request& q) { return ask(*hub, q); });
  router.post("/api/exposure/{id}/withdraw", Needs::publish, [hub](const net::Request& q) -> net::Reply {
    if (const auto all = for_all(q); !all) return net::problem(all.error());
    return web::done(
        hub->change([&](store::Tx& tx) { return hub->warnings.withdraw_question(tx, q.param("id"), person(q)); }));
  });
}

}  // namespace bavn::show::api
