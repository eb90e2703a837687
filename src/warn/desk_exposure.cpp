// Who runs the thing that is being attacked (mission 4.6): asked of everybody, answered by people or by what they said beforehand.
#include <fmt/format.h>

#include "net/json_views.hpp"
#include "warn/desk_inner.hpp"
#include "warn/exposure.hpp"

namespace bavn::warn {

namespace {

struct QuestionRow {
  std::string id, ask, asked_by;
  std::optional<std::int64_t> withdrawn_at_us;
};
BOOST_DESCRIBE_STRUCT(QuestionRow, (), (id, ask, asked_by, withdrawn_at_us))

struct ExposedRow {
  MunicipalityId municipality;
  std::string name, state;
  std::int64_t systems = 0, received_at_us = 0;
};
BOOST_DESCRIBE_STRUCT(ExposedRow, (), (municipality, name, state, systems, received_at_us))

}  // namespace

bool exposure_state(std::string_view state) {
  return state == "have" || state == "have_mended" || state == "do_not_have" || state == "do_not_know";
}

Result<std::string> Desk::ask(store::Tx& tx, const Question& q, std::string_view who) {
  event::ExposureAsk ask;
  ask.id = new_id(inner_->runtime, "q-");
  BAVN_TRY(ask.product, line_of(q.product, "the product", 120));
  ask.versions = harmless(q.versions, 120);
  ask.cve = harmless(q.cve, 60);
  ask.why = harmless_lines(q.why, 1000);
  ask.fixed_in = harmless(q.fixed_in, 120);
  ask.asked_us = micros(tx.now());
  if (q.valid < std::chrono::hours{1} || q.valid > std::chrono::days{90})
    return fail(Code::bad_input, "a question is open for one hour to 90 days");
  ask.until_us = micros(tx.now() + q.valid);
  const std::string json = net::to_json(ask);
  BAVN_CHECK(tx.exec("INSERT INTO exposure_question (id, ask, asked_by, asked_at_us) VALUES (:id, :ask, :who, :now)",
                     {{"id", ask.id}, {"ask", json}, {"who", who}, {"now", tx.now()}}));
  BAVN_TRY(const auto roster, inner_->parts.roster(tx));
  for (const auto& l : roster) {
    if (!q.to.empty() && std::find(q.to.begin(), q.to.end(), l.id) == q.to.end()) continue;
    BAVN_CHECK(tx.exec("INSERT INTO exposure_answer (question, municipality, name) VALUES (:q, :m, :name)",
                       {{"q", ask.id}, {"m", l.id}, {"name", harmless(l.name, 80)}}));
  }
  if (q.to.empty()) {
    BAVN_CHECK(inner_->parts.down(tx, std::nullopt, "exposure_ask", json));
  } else {
    for (const MunicipalityId m : q.to) BAVN_CHECK(inner_->parts.down(tx, m, "exposure_ask", json));
  }
  BAVN_CHECK(tx.audit({std::string(who), "exposure.asked", "question:" + ask.id, note("product", ask.product)}));
  BAVN_CHECK(tx.emit("exposure.asked", ask.id));
  return ask.id;
}

Result<void> Desk::withdraw_question(store::Tx& tx, std::string_view id, std::string_view who) {
  BAVN_TRY(const auto row,
           tx.one<QuestionRow>("SELECT id, ask, asked_by, withdrawn_at_us FROM exposure_question WHERE id = :id",
                               {{"id", id}}));
  if (!row) return fail(Code::not_found, fmt::format("there is no question {}", harmless(id, 60)));
  if (row->withdrawn_at_us) return fail(Code::conflict, "this question was withdrawn already");
  BAVN_TRY(auto ask, net::from_json<event::ExposureAsk>(row->ask, net::Unknown::ignore));
  ask.withdrawn = true;
  const std::string json = net::to_json(ask);
  BAVN_CHECK(tx.exec("UPDATE exposure_question SET withdrawn_at_us = :now, ask = :ask WHERE id = :id",
                     {{"now", tx.now()}, {"ask", json}, {"id", id}}));
  BAVN_CHECK(inner_->parts.down(tx, std::nullopt, "exposure_ask", json));
  return tx.audit({std::string(who), "exposure.withdrawn", "question:" + row->id, "{}"});
}

Result<void> Desk::take_exposed(store::Tx& tx, const Report& r) {
  if (r.body.size() > 4096) return fail(Code::bad_input, "an answer of more than 4 KiB");
  BAVN_TRY(const auto a, net::from_json<event::ExposedAnswer>(r.body, net::Unknown::ignore));
  if (!exposure_state(a.state))
    return fail(Code::bad_input, "an answer is have, have_mended, do_not_have or do_not_know", "/state");
  if (a.systems < 0 || a.systems > 1'000'000)
    return fail(Code::bad_input, "a number of systems beyond belief", "/systems");
  BAVN_TRY(const auto there, tx.number("SELECT count(*) FROM exposure_question WHERE id = :q", {{"q", a.question}}));
  if (there == 0) return fail(Code::bad_input, "an answer to a question that is not there");
  BAVN_TRY(const auto changed,
           tx.exec("UPDATE exposure_answer SET state = :state, systems = :n, at_us = :at, received_at_us = :received "
                   "WHERE question = :q AND municipality = :m AND at_us <= :at",
                   {{"state", a.state},
                    {"n", a.systems},
                    {"at", r.at},
                    {"received", r.received},
                    {"q", a.question},
                    {"m", r.municipality}}));
  if (changed == 0) {
    BAVN_TRY(const auto known,
             tx.number("SELECT count(*) FROM exposure_answer WHERE question = :q AND municipality = :m",
                       {{"q", a.question}, {"m", r.municipality}}));
    return known > 0 ? Result<void>{} : fail(Code::forbidden, "an answer to a question that did not go there");
  }
  return tx.emit("exposure.answered", a.question, note("state", a.state), r.municipality);
}

Result<std::vector<ExposureView>> Desk::questions(const event::Scope& scope) const {
  return inner_->state.read([&](store::Reader& db) -> Result<std::vector<ExposureView>> {
    BAVN_TRY(
        const auto rows,
        db.all<QuestionRow>("SELECT id, ask, asked_by, withdrawn_at_us FROM exposure_question ORDER BY asked_at_us "
                            "DESC, id LIMIT 200"));
    std::vector<ExposureView> views;
    for (const auto& row : rows) {
      ExposureView v;
      BAVN_TRY(v.ask, net::from_json<event::ExposureAsk>(row.ask, net::Unknown::ignore));
      v.by = row.asked_by;
      BAVN_TRY(
          const auto answers,
          db.all<ExposedRow>("SELECT municipality, name, state, systems, received_at_us FROM exposure_answer WHERE "
                             "question = :q ORDER BY municipality",
                             {{"q", row.id}}));
      for (const auto& a : answers) {
        ++v.asked;
        v.systems += a.systems;
        if (a.state == "have") ++v.have;
        if (a.state == "have_mended") ++v.have_mended;
        if (a.state == "do_not_have") ++v.do_not_have;
        if (a.state == "do_not_know") ++v.do_not_know;
        if (scope.sees(a.municipality))
          v.answers.push_back({a.municipality, a.name, a.state, a.systems, a.received_at_us});
      }
      views.push_back(std::move(v));
    }
    return views;
  });
}

}  // namespace bavn::warn
