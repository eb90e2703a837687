#include "app/campaigns_hub.hpp"

#include <fmt/format.h>

#include <charconv>

#include "base/json_writer.hpp"
#include "correlate/campaigns.hpp"
#include "net/json_views.hpp"

namespace bavn::app {

namespace {

using net::Needs;

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t n = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  return ec == std::errc{} && end == text.data() + text.size() && n >= 0 ? std::optional(n) : std::nullopt;
}

Result<std::int64_t> campaign_of(const net::Request& q) {
  if (const auto id = number_of(q.param("id"))) return *id;
  return fail(Code::bad_input, "a campaign is named by its number; `bavn campaigns list` shows it",
              std::string(q.param("id")));
}

/// One who sees only some municipalities sees campaigns as each of them may: its own hits, counts of the rest.
correlate::CampaignFacts as_seen_by(const event::Scope& scope, correlate::CampaignFacts facts) {
  if (scope.sees_all()) return facts;
  return correlate::for_municipality(std::move(facts),
                                     scope.municipalities().empty() ? MunicipalityId{} : scope.municipalities()[0]);
}

net::Reply answer(const Result<void>& done) {
  if (!done) return net::problem(done.error());
  net::Reply reply;
  reply.status = 204;
  return reply;
}

struct Why {
  std::string why;
};
BOOST_DESCRIBE_STRUCT(Why, (), (why))
struct Judgement {
  bool real = true;
  std::string why;
};
BOOST_DESCRIBE_STRUCT(Judgement, (), (real, why))
struct Mode {
  std::string mode, why;
};
BOOST_DESCRIBE_STRUCT(Mode, (), (mode, why))
struct LetterView {
  std::string domain, kind, subject, body;
};
BOOST_DESCRIBE_STRUCT(LetterView, (), (domain, kind, subject, body))

/// What stands on the first screen: how often warnings were false, which triggers are live, what was noticed and shown to no one.
struct Noticing {
  correlate::FalseWarnings false_warnings;
  std::vector<correlate::Trigger> triggers;
  std::vector<correlate::CauseCount> candidates;
  std::int64_t suspicions = 0, waiting = 0, this_shift = 0;
  std::vector<correlate::Refusal> refused;
};
BOOST_DESCRIBE_STRUCT(Noticing, (), (false_warnings, triggers, candidates, suspicions, waiting, this_shift, refused))

}  // namespace

void add_campaign_routes(net::Router& control, Runtime& runtime, store::State& state, correlate::Correlator& correlator,
                         const correlate::Options& options, const Catalogue& texts) {
  control.get("/api/campaigns", Needs::tenants_read, [&state](const net::Request& q) -> net::Reply {
    correlate::CampaignFilter filter;
    if (const auto s = q.asked("state")) filter.states.emplace_back(*s);
    if (const auto before = q.asked("before")) filter.before_id = number_of(*before).value_or(0);
    const auto found = state.read([&](store::Reader& r) { return correlate::campaigns(r, filter); });
    return found ? net::json(net::to_json(*found)) : net::problem(found.error());
  });
  control.get("/api/campaigns/{id}", Needs::tenants_read, [&state](const net::Request& q) -> net::Reply {
    const auto id = campaign_of(q);
    if (!id) return net::problem(id.error());
    auto found = state.read([&](store::Reader& r) { return correlate::facts_of(r, *id); });
    if (!found) return net::problem(found.error());
    return net::json(net::to_json(as_seen_by(q.scope, std::move(*found))));
  });
  control.get("/api/campaigns/{id}/outside.csv", Needs::publish, [&state](const net::Request& q) -> net::Reply {
    const auto id = campaign_of(q);
    if (!id) return net::problem(id.error());
    const auto found = state.read([&](store::Reader& r) { return correlate::facts_of(r, *id); });
    return found ? net::text(correlate::outside_csv(*found), "text/csv; charset=utf-8") : net::problem(found.error());
  });
  control.get("/api/campaigns/{id}/letters", Needs::publish, [&state, &texts](const net::Request& q) -> net::Reply {
    const auto id = campaign_of(q);
    if (!id) return net::problem(id.error());
    const auto found = state.read([&](store::Reader& r) { return correlate::facts_of(r, *id); });
    if (!found) return net::problem(found.error());
    const auto language = language_of(q.asked("language").value_or("da"));
    if (!language) return net::problem(Error{Code::bad_input, "languages are da, nb and en", ""});
    const correlate::LetterFrom from{std::string(q.asked("cert").value_or("")),
                                     std::string(q.asked("phone").value_or("")),
                                     std::string(q.asked("mail").value_or(""))};
    std::vector<LetterView> letters;
    for (const auto& to : found->outside) {
      auto letter = correlate::letter_to(*found, to, from, *language, texts, q.asked("name_sender") == "yes");
      letters.push_back({to.domain, to.kind, std::move(letter.subject), std::move(letter.body)});
    }
    return net::json(net::to_json(letters));
  });
  const auto change = [&](std::string path, Needs needs, auto read, auto apply) {
    control.post(std::move(path), needs, [&state, read, apply](const net::Request& q) -> net::Reply {
      const auto id = campaign_of(q);
      if (!id) return net::problem(id.error());
      const auto asked = read(q.body.empty() ? std::string_view("{}") : std::string_view(q.body));
      if (!asked) return net::problem(asked.error());
      return answer(state.write_now([&](store::Tx& tx) { return apply(tx, *id, *asked, q.scope.who()); }));
    });
  };
  const auto judgement = [](std::string_view body) { return net::from_json<Judgement>(body, net::Unknown::refuse); };
  const auto nothing = [](std::string_view) -> Result<bool> { return true; };
  change("/api/campaigns/{id}/judge", Needs::alert_write, judgement,
         [&correlator](store::Tx& tx, std::int64_t id, const Judgement& j, const std::string& who) {
           return correlator.judge(tx, id, j.real, who, j.why);
         });
  change("/api/campaigns/{id}/confirm", Needs::publish, nothing,
         [&correlator](store::Tx& tx, std::int64_t id, bool, const std::string& who) {
           return correlator.confirm(tx, id, who);
         });
  change("/api/campaigns/{id}/close", Needs::alert_write, nothing,
         [&correlator](store::Tx& tx, std::int64_t id, bool, const std::string& who) {
           return correlator.close(tx, id, who);
         });
  control.get("/api/suspicions", Needs::tenants_read, [&runtime, &state, &options](const net::Request&) -> net::Reply {
    const auto found = state.read([&](store::Reader& r) { return correlate::suspicions(r, runtime.now(), options); });
    return found ? net::json(net::to_json(found->open)) : net::problem(found.error());
  });
  control.get("/api/noticing", Needs::tenants_read, [&runtime, &state, &options](const net::Request&) -> net::Reply {
    const auto found = state.read([&](store::Reader& r) -> Result<Noticing> {
      Noticing n;
      const Instant now = runtime.now();
      const Instant since = now - std::chrono::days(90);
      BAVN_TRY(n.false_warnings, correlate::false_warnings(r, now, std::chrono::days(90)));
      BAVN_TRY(n.triggers, correlate::triggers(r, since));
      BAVN_TRY(n.candidates, correlate::candidates_by_cause(r, since));
      BAVN_TRY(const auto s, correlate::suspicions(r, now, options));
      n.suspicions = static_cast<std::int64_t>(s.open.size());
      n.waiting = s.waiting;
      n.this_shift = s.this_shift;
      BAVN_TRY(n.refused, correlate::refused(r));
      return n;
    });
    return found ? net::json(net::to_json(*found)) : net::problem(found.error());
  });
  control.post("/api/triggers/{name}", Needs::publish, [&state, &correlator](const net::Request& q) -> net::Reply {
    const auto asked = net::from_json<Mode>(q.body, net::Unknown::refuse);
    if (!asked) return net::problem(asked.error());
    return answer(state.write_now([&](store::Tx& tx) {
      return correlator.set_mode(tx, q.param("name"), asked->mode, q.scope.who(), asked->why);
    }));
  });
  control.post("/api/trust/{municipality}", Needs::publish, [&state, &correlator](const net::Request& q) -> net::Reply {
    const auto of = number_of(q.param("municipality"));
    const auto asked = net::from_json<Why>(q.body, net::Unknown::refuse);
    if (!of || *of > 9999) return net::problem(Error{Code::bad_input, "a municipality is named by its code", ""});
    if (!asked) return net::problem(asked.error());
    return answer(state.write_now([&](store::Tx& tx) {
      return correlator.trust(tx, MunicipalityId{static_cast<std::uint16_t>(*of)}, q.scope.who(), asked->why);
    }));
  });
}

}  // namespace bavn::app
