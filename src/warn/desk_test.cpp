#include "warn/desk.hpp"

#include <gtest/gtest.h>

#include <set>

#include "base/log.hpp"
#include "base/temp_folder.hpp"
#include "net/json_value.hpp"
#include "net/sim.hpp"
#include "net/webhook.hpp"
#include "warn/testing.hpp"

namespace bavn::warn {
namespace {

using namespace std::chrono_literals;

const MunicipalityId kGentofte{157}, kLyngby{173}, kCopenhagen{101};

event::WarningEntry entry(const Said& s) {
  return net::from_json<event::WarningEntry>(s.json, net::Unknown::refuse).value();
}
event::WarningAnswer answer(const std::string& warning, const std::string& state, std::int64_t version = 1) {
  event::WarningAnswer a;
  a.warning = warning;
  a.version = version;
  a.state = state;
  return a;
}
std::string lit(HubSide& hub, const Case& c = october()) {
  return hub.change([&](store::Tx& tx) { return hub.desk->light(tx, c, "bavn"); }).value();
}
struct World {
  explicit World(std::uint64_t seed = 1) : sim(seed, *parse_time("2024-10-25T06:08:00Z")), hub(sim) {}
  Sim sim;
  HubSide hub;
};

TEST(Desk, ADraftIsSentUpdatedAndEnded) {
  World w;
  auto& hub = w.hub;
  const auto id = hub.change([&](store::Tx& tx) { return hub.desk->draft(tx, october(), "Bo Example"); }).value();
  EXPECT_TRUE(hub.said.empty()) << "a draft reaches nobody";
  EXPECT_EQ(hub.show(id).warning.state, "draft");
  EXPECT_EQ(hub.show(id).warning.asked, 3) << "whom it would reach is said before it is sent";
  EXPECT_EQ(hub.change([&](store::Tx& tx) { return hub.desk->over(tx, id, "Bo Example", "x"); }).error().code,
            Code::conflict);
  ASSERT_TRUE(hub.change([&](store::Tx& tx) { return hub.desk->send(tx, id, "Bo Example"); }));
  EXPECT_FALSE(hub.change([&](store::Tx& tx) { return hub.desk->send(tx, id, "Bo Example"); }));
  ASSERT_EQ(hub.said.size(), 1U);
  EXPECT_EQ(hub.said[0].kind, "warning");
  EXPECT_EQ(entry(hub.said[0]).version, 1);
  EXPECT_EQ(entry(hub.said[0]).texts.size(), 3U);
  EXPECT_LT(hub.said[0].json.size(), 60U << 10U);

  Case more = october();
  more.lit_by_itself = false;
  more.look_for.push_back({"url", "https://bio.link/other"});
  w.sim.advance(10min);
  ASSERT_TRUE(hub.change([&](store::Tx& tx) { return hub.desk->update(tx, id, more, "Bo Example"); }));
  ASSERT_EQ(hub.said.size(), 2U);
  EXPECT_EQ(entry(hub.said[1]).state, "updated");
  EXPECT_EQ(entry(hub.said[1]).look_for.size(), 2U);
  EXPECT_FALSE(entry(hub.said[1]).lit_by_itself);
  EXPECT_EQ(entry(hub.said[1]).texts[0].title.substr(0, 11), "Opdateret: ");

  EXPECT_FALSE(hub.change([&](store::Tx& tx) { return hub.desk->over(tx, id, "Bo Example", " "); })) << "a reason";
  ASSERT_TRUE(hub.change([&](store::Tx& tx) { return hub.desk->over(tx, id, "Bo Example", "nothing new for a day"); }));
  EXPECT_EQ(entry(hub.said[2]).state, "over");
  EXPECT_FALSE(hub.change([&](store::Tx& tx) { return hub.desk->withdraw(tx, id, "Bo Example", "x"); }));
  EXPECT_FALSE(hub.change([&](store::Tx& tx) { return hub.desk->update(tx, id, more, "Bo Example"); }));
  const auto view = hub.show(id);
  ASSERT_EQ(view.versions.size(), 3U);
  EXPECT_EQ(view.versions[2].by, "Bo Example");
  EXPECT_EQ(view.versions[2].why, "nothing new for a day");
  w.sim.advance(1min);
  EXPECT_EQ(hub.events,
            (std::vector<std::string>{"warning.drafted", "warning.sent", "warning.updated", "warning.over"}));
  EXPECT_EQ(hub.state
                ->read([](store::Reader& db) {
                  return db.number("SELECT count(*) FROM audit WHERE action LIKE 'warning.%'");
                })
                .value_or(-1),
            5);
  EXPECT_NE(lit(hub), id) << "what flares up again is a new warning";
}

TEST(Desk, LightingTwiceIsOneWarningAndCountsAloneAreNoNews) {
  World w;
  const auto id = lit(w.hub);
  EXPECT_EQ(lit(w.hub), id);
  Case more = october();
  more.mails = 1426;
  more.municipalities = 12;
  w.sim.advance(10min);
  EXPECT_EQ(lit(w.hub, more), id);
  EXPECT_EQ(w.hub.said.size(), 1U);
  EXPECT_EQ(w.hub.show(id).about.mails, 1426) << "kept all the same";
  more.severity = "high";
  EXPECT_EQ(lit(w.hub, more), id);
  EXPECT_EQ(w.hub.said.size(), 2U);
}

TEST(Desk, RotatingLinksAreOneVersionAGapNotAStream) {
  World w;
  const auto id = lit(w.hub);
  Case c = october();
  for (int i = 0; i < 60; ++i) {
    c.look_for.push_back({"url", "https://bio.link/x" + std::to_string(i)});
    ASSERT_TRUE(w.hub.change([&](store::Tx& tx) { return w.hub.desk->keep_up(tx, c, "bavn"); }));
    w.sim.advance(5s);
  }
  w.sim.advance(5min);
  EXPECT_EQ(w.hub.said.size(), 4U) << "at once, then every two minutes";
  EXPECT_EQ(entry(w.hub.said.back()).look_for.size(), 61U) << "the last one holds everything";
  EXPECT_EQ(w.hub.show(id).warning.version, 4);
}

TEST(Desk, AnUpdateNeitherTakesBackAPersonsWordNorMovesTheFirstDelivery) {
  World w;
  Case c = october();
  c.lit_by_itself = false;
  const auto id = lit(w.hub, c);
  c.lit_by_itself = true;
  c.subjects.clear();
  c.first_seen_us += 3600'000'000;
  w.sim.advance(10min);
  lit(w.hub, c);
  const auto view = w.hub.show(id);
  EXPECT_FALSE(view.about.lit_by_itself);
  EXPECT_EQ(view.about.subjects.size(), 3U);
  EXPECT_EQ(view.warning.first_seen_us, october().first_seen_us);
}

TEST(Desk, APersonsWordsReplaceTheTemplateAndAreHarmless) {
  World w;
  const auto id = lit(w.hub);
  event::WarningText t;
  t.language = "da";
  t.title = "Ring til IT <b>nu</b>";
  t.summary = "Linje et\n\n\n\nLinje to http://evil.example {x}";
  t.for_employees = "Til alle";
  t.sms = "Kort";
  t.do_now = {"Gør det"};
  EXPECT_FALSE(w.hub.change([&](store::Tx& tx) { return w.hub.desk->set_text(tx, id, t, "Bo Example"); }))
      << "a reason each";
  t.reasons = {"Derfor"};
  ASSERT_TRUE(w.hub.change([&](store::Tx& tx) { return w.hub.desk->set_text(tx, id, t, "Bo Example"); }));
  const auto e = entry(w.hub.said.back());
  EXPECT_EQ(e.version, 2);
  EXPECT_EQ(e.texts[0].title, "Ring til IT ‹b›nu‹/b›");
  EXPECT_EQ(e.texts[0].summary, "Linje et\n\nLinje to hxxp://evil.example {x}");
  EXPECT_NE(e.texts[1].title, e.texts[0].title) << "the other languages stay";
  t.summary = std::string(10U << 20U, 'x');
  ASSERT_TRUE(w.hub.change([&](store::Tx& tx) { return w.hub.desk->set_text(tx, id, t, "Bo Example"); }));
  EXPECT_LT(w.hub.said.back().json.size(), 60U << 10U);
}

TEST(Desk, TheLargestCaseFitsIntoAnEntry) {
  World w;
  Case c = october();
  for (int i = 0; i < 5000; ++i)
    c.look_for.push_back({"url", "https://bio.link/" + std::string(300, 'x') + std::to_string(i)});
  lit(w.hub, c);
  EXPECT_LT(w.hub.said[0].json.size(), 60U << 10U);
  EXPECT_GT(entry(w.hub.said[0]).look_for.size(), 30U);
}

TEST(Desk, AnswersAreKeptAndMinutesCounted) {
  World w;
  auto& hub = w.hub;
  const auto id = lit(hub);
  const auto first = from_micros(october().first_seen_us);
  auto a = answer(id, "received");
  ASSERT_TRUE(hub.answered(kLyngby, a, first + 9min));
  a.state = "purged";
  a.hits = 791;
  a.clicks = 3;
  a.recipients = 640;
  a.first_hit_us = micros(first + 2min);
  a.warned_us = micros(first + 10min);
  a.purged = 791;
  a.emptied_us = micros(first + 14min);
  ASSERT_TRUE(hub.answered(kLyngby, a, first + 15min));
  ASSERT_TRUE(hub.answered(kCopenhagen, answer(id, "not_seen"), first + 9min));
  ASSERT_TRUE(
      hub.change([&](store::Tx& tx) { return hub.desk->note_ended(tx, id, kGentofte, first + 30min, "Bo Example"); }));
  auto view = hub.show(id);
  EXPECT_EQ(view.warning.asked, 3);
  EXPECT_EQ(view.warning.answered, 2);
  EXPECT_EQ(view.warning.seen_here, 1);
  const auto sums = hub.state->read([&](store::Reader& db) { return hub.desk->sums_of(db, "october-2024"); }).value();
  ASSERT_EQ(sums.size(), 1U);
  EXPECT_EQ(sums[0].clicks, 3) << "what the towns answered, for the campaign's figures";
  EXPECT_DOUBLE_EQ(view.minutes.sent.value(), 8);
  EXPECT_DOUBLE_EQ(view.minutes.first_warned.value(), 10);
  EXPECT_FALSE(view.minutes.all_warned) << "two were not warned yet";
  EXPECT_DOUBLE_EQ(view.minutes.emptied.value(), 14);
  EXPECT_DOUBLE_EQ(view.minutes.ended.value(), 30);
  const auto at =
      std::find_if(view.answers.begin(), view.answers.end(), [](const auto& x) { return x.municipality == kLyngby; });
  EXPECT_DOUBLE_EQ(at->minutes_to_warned.value(), 8) << "from the first delivery there";
  EXPECT_DOUBLE_EQ(at->minutes_to_emptied.value(), 12);

  // A copy is found again: not emptied any more.
  a.state = "seen_here";
  a.purge_left = 1;
  ASSERT_TRUE(hub.answered(kLyngby, a, first + 20min));
  EXPECT_FALSE(hub.show(id).minutes.emptied);

  const auto quarter = hub.desk->summary(event::Scope::local_owner(), 2024, 4).value();
  ASSERT_EQ(quarter.size(), 3U);
  const auto& lyngby = quarter[2];
  EXPECT_EQ(lyngby.municipality, kLyngby);
  EXPECT_EQ(lyngby.warnings, 1);
  EXPECT_EQ(lyngby.concerned, 1);
  EXPECT_EQ(lyngby.purge_left, 1);
  EXPECT_DOUBLE_EQ(lyngby.median_minutes_to_warned.value(), 8);
  EXPECT_TRUE(hub.desk->summary(event::Scope::local_owner(), 2024, 3).value().empty());
  EXPECT_FALSE(hub.desk->summary(event::Scope::local_owner(), 2024, 5));
}

TEST(Desk, AnswersOutOfOrderForeignOrBeyondBeliefChangeNothing) {
  World w;
  auto& hub = w.hub;
  Case c = october();
  c.to = {kGentofte, kLyngby};
  const auto id = lit(hub, c);
  EXPECT_EQ(hub.said.size(), 2U) << "to each of the two";
  const auto t = w.sim.now();
  auto a = answer(id, "seen_here");
  a.hits = 7;
  ASSERT_TRUE(hub.answered(kLyngby, a, t + 10s));
  ASSERT_TRUE(hub.answered(kLyngby, answer(id, "received"), t + 5s)) << "taken and ignored: it is older";
  auto view = hub.show(id);
  EXPECT_EQ(view.answers[1].answer->hits, 7);
  EXPECT_EQ(hub.answered(kCopenhagen, a, t).error().code, Code::forbidden);
  EXPECT_EQ(hub.answered(kLyngby, answer("w-none", "received"), t).error().code, Code::bad_input);
  EXPECT_EQ(hub.answered(kLyngby, answer(id, "received", 2), t).error().code, Code::bad_input);
  EXPECT_EQ(hub.answered(kLyngby, answer(id, "all fine"), t).error().code, Code::bad_input);
  a.hits = -1;
  EXPECT_EQ(hub.answered(kLyngby, a, t + 20s).error().code, Code::bad_input);
  a.hits = 1'000'000'000'000;
  EXPECT_EQ(hub.answered(kLyngby, a, t + 20s).error().code, Code::bad_input);
  a = answer(id, "seen_here");
  a.hits = 7;
  a.looked_in.assign(1000, "<x>\n");
  EXPECT_EQ(hub.answered(kLyngby, a, t + 20s).error().code, Code::bad_input) << "too long";
  a.looked_in.assign(100, "<x>\n");
  ASSERT_TRUE(hub.answered(kLyngby, a, t + 20s));
  EXPECT_EQ(hub.show(id).answers[1].answer->looked_in, std::vector<std::string>(32, "‹x›"));
}

TEST(Desk, WhoSeesOneMunicipalitySeesNoOthersAnswers) {
  World w;
  const auto id = lit(w.hub);
  auto a = answer(id, "seen_here");
  a.hits = 3;
  ASSERT_TRUE(w.hub.answered(kLyngby, a, w.sim.now()));
  const event::Scope copenhagen("x", {kCopenhagen}, 0xFFFFFFFFU, event::Tlp::amber_strict);
  const auto view = w.hub.desk->show(copenhagen, id).value();
  EXPECT_EQ(view.warning.seen_here, 1) << "a count";
  ASSERT_EQ(view.answers.size(), 1U);
  EXPECT_EQ(view.answers[0].municipality, kCopenhagen);
  const event::Scope outsider("x", {kCopenhagen}, 0xFFFFFFFFU, event::Tlp::green);
  EXPECT_FALSE(w.hub.desk->show(outsider, id));
  EXPECT_TRUE(w.hub.desk->list(outsider, Language::da).value().empty());
}

TEST(Desk, WhoDoesNotAnswerIsRemindedAFewTimesOutsideItsMailWhenTaken) {
  World w;
  auto& hub = w.hub;
  ASSERT_TRUE(hub.change([&](store::Tx& tx) { return hub.desk->mark_taken(tx, kGentofte, true, "bavn"); }));
  const auto id = lit(hub);
  ASSERT_TRUE(hub.answered(kLyngby, answer(id, "received"), w.sim.now()));
  w.sim.advance(16min);
  ASSERT_EQ(hub.reminders.size(), 2U);
  EXPECT_EQ(hub.reminders[0].municipality, kCopenhagen);
  EXPECT_FALSE(hub.reminders[0].taken);
  EXPECT_EQ(hub.reminders[1].municipality, kGentofte);
  EXPECT_TRUE(hub.reminders[1].taken);
  EXPECT_EQ(hub.reminders[1].texts.size(), 3U);
  ASSERT_TRUE(hub.answered(kCopenhagen, answer(id, "not_seen"), w.sim.now()));
  w.sim.advance(std::chrono::days{3});
  EXPECT_EQ(hub.reminders.size(), 4U) << "three to Gentofte, one to København";
  EXPECT_EQ(std::count(hub.events.begin(), hub.events.end(), "warning.unanswered"), 1);
  EXPECT_EQ(hub.show(id).answers[1].reminders, 3);

  World other;
  const auto second = lit(other.hub);
  ASSERT_TRUE(
      other.hub.change([&](store::Tx& tx) { return other.hub.desk->withdraw(tx, second, "Bo Example", "a survey"); }));
  other.sim.advance(std::chrono::days{3});
  EXPECT_TRUE(other.hub.reminders.empty());
}

TEST(Desk, ARestartLosesNoReminderAndNoUpdate) {
  TempFolder folder;
  Sim sim(3, *parse_time("2024-10-25T06:08:00Z"));
  std::string id;
  {
    HubSide hub(sim, (folder.path() / "state.db").string());
    id = lit(hub);
    Case c = october();
    c.look_for.push_back({"url", "https://bio.link/two"});
    lit(hub, c);
    EXPECT_EQ(hub.said.size(), 1U);
  }
  HubSide hub(sim, (folder.path() / "state.db").string());
  sim.advance(20min);
  ASSERT_EQ(hub.said.size(), 1U);
  EXPECT_EQ(entry(hub.said[0]).version, 2);
  EXPECT_EQ(hub.reminders.size(), 3U);
}

TEST(Desk, WhatIsOldGoesWhatBurnsStays) {
  World w;
  const auto id = lit(w.hub);
  const auto forget = [&] {
    std::int64_t gone = 0;
    EXPECT_TRUE(w.hub.state->write_now([&](store::Tx& tx) -> Result<void> {
      for (const auto& rule : desk_retention()) {
        BAVN_TRY(const auto n, rule.forget(tx, tx.now() + 1s));
        gone += n;
      }
      return {};
    }));
    return gone;
  };
  EXPECT_EQ(forget(), 0);
  ASSERT_TRUE(w.hub.change([&](store::Tx& tx) { return w.hub.desk->over(tx, id, "Bo Example", "done"); }));
  EXPECT_EQ(forget(), 1);
  EXPECT_FALSE(w.hub.desk->show(event::Scope::local_owner(), id));
}

TEST(Exposure, AskedAnsweredAndCounted) {
  World w;
  auto& hub = w.hub;
  const auto id = hub.change([&](store::Tx& tx) {
                       return hub.desk->ask(tx,
                                            {.product = "Citrix NetScaler",
                                             .versions = "before 13.1",
                                             .cve = "CVE-2023-4966",
                                             .why = "sessions are stolen",
                                             .fixed_in = "13.1-49",
                                             .to = {}},
                                            "Bo Example");
                     })
                      .value();
  ASSERT_EQ(hub.said.size(), 1U);
  EXPECT_EQ(hub.said[0].kind, "exposure_ask");
  const auto say = [&](MunicipalityId m, const std::string& state, std::int64_t n, Instant at) {
    const std::string body = net::to_json(event::ExposedAnswer{id, state, n});
    return hub.change(
        [&](store::Tx& tx) { return hub.desk->take_exposed(tx, {"n", "r", "exposed", m, at, at, body}); });
  };
  const auto t = w.sim.now();
  ASSERT_TRUE(say(kLyngby, "have", 2, t + 2s));
  ASSERT_TRUE(say(kLyngby, "do_not_have", 0, t + 1s)) << "older";
  ASSERT_TRUE(say(kCopenhagen, "do_not_know", 0, t));
  EXPECT_FALSE(say(kCopenhagen, "perhaps", 0, t));
  EXPECT_FALSE(say({999}, "have", 1, t)) << "nobody asked there";
  const auto all = hub.desk->questions(event::Scope::local_owner()).value();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].have, 1);
  EXPECT_EQ(all[0].systems, 2);
  EXPECT_EQ(all[0].do_not_know, 1);
  EXPECT_EQ(all[0].asked, 3);
  const event::Scope lyngby("x", {kLyngby}, 0xFFFFFFFFU, event::Tlp::amber);
  EXPECT_EQ(hub.desk->questions(lyngby).value()[0].answers.size(), 1U);
  ASSERT_TRUE(hub.change([&](store::Tx& tx) { return hub.desk->withdraw_question(tx, id, "Bo Example"); }));
  EXPECT_TRUE(net::from_json<event::ExposureAsk>(hub.said.back().json, net::Unknown::refuse).value().withdrawn);
  EXPECT_FALSE(hub.change([&](store::Tx& tx) {
    return hub.desk->ask(tx, {.product = " ", .versions = {}, .cve = {}, .why = {}, .fixed_in = {}, .to = {}}, "x");
  }));
}

/// A partner's machine: answers with what is set.
struct Partner final : net::Client {
  explicit Partner(Sim& s) : sim(s) {}
  void send(net::ClientRequest r, QueueId queue,
            std::move_only_function<void(Result<net::ClientReply>)> then) override {
    calls.push_back(std::move(r));
    (void)sim.after(100ms, queue, [this, then = std::move(then)]() mutable {
      net::ClientReply reply;
      reply.status = status;
      then(std::move(reply));
    });
  }
  std::shared_ptr<net::OpenStream> stream(net::ClientRequest, QueueId, net::StreamEvents) override { return nullptr; }
  Sim& sim;
  int status = 204;
  std::vector<net::ClientRequest> calls;
};

TEST(Subscriptions, PartnersHearSignedWithoutTheSendersName) {
  Sim sim(1, *parse_time("2024-10-25T06:08:00Z"));
  log::Capture quiet;
  Partner partner(sim);
  HubSide hub(sim, ":memory:", &partner);
  const auto add = [&](const char* name, const char* url, const char* tlp) {
    return hub.change([&](store::Tx& tx) { return hub.desk->subscribe(tx, name, url, tlp, "Bo Example"); });
  };
  const auto made = add("Sector CERT", "https://partner.example/hook", "amber").value();
  ASSERT_TRUE(add("Newspaper", "https://news.example/hook", "clear"));
  EXPECT_FALSE(add("Sector CERT", "https://partner.example/hook", "amber"));
  EXPECT_FALSE(add("Plain", "http://partner.example/hook", "amber"));
  EXPECT_FALSE(add("Red", "https://partner.example/hook", "red"));
  partner.status = 500;
  const auto id = lit(hub);
  sim.advance(1min);
  EXPECT_GT(partner.calls.size(), 3U) << "tried again";
  partner.status = 204;
  sim.advance(10min);
  const auto n = partner.calls.size();
  sim.advance(1h);
  EXPECT_EQ(partner.calls.size(), n) << "taken once";
  std::set<std::string> ids;
  for (const auto& c : partner.calls) {
    EXPECT_EQ(c.url, "https://partner.example/hook");
    EXPECT_EQ(c.body.find("gentofte"), std::string::npos);
    ids.insert(*c.headers.find("webhook-id"));
  }
  EXPECT_EQ(ids.size(), 1U);
  const auto& call = partner.calls.back();
  const auto stamp = from_micros(std::stoll(*call.headers.find("webhook-timestamp")) * 1'000'000);
  EXPECT_EQ(*call.headers.find("webhook-signature"),
            *net::webhook_headers(made.secret, *call.headers.find("webhook-id"), stamp, call.body)
                 ->find("webhook-signature"));
  const auto body = net::JsonDocument::parse(call.body).value();
  EXPECT_EQ(body.root()["type"].text_or(""), "warning.sent");
  EXPECT_EQ(body.root()["data"]["id"].text_or(""), id);
  EXPECT_EQ(hub.desk->subscriptions().value()[0].trouble, "");

  partner.status = 410;
  ASSERT_TRUE(hub.change([&](store::Tx& tx) { return hub.desk->over(tx, id, "Bo Example", "done"); }));
  sim.advance(1min);
  EXPECT_TRUE(hub.desk->subscriptions().value()[0].stopped);
}

TEST(Subscriptions, ANewerVersionTakesThePlaceOfAnOlderOneThatWaits) {
  Sim sim(1, *parse_time("2024-10-25T06:08:00Z"));
  log::Capture quiet;
  Partner partner(sim);
  HubSide hub(sim, ":memory:", &partner);
  ASSERT_TRUE(hub.change([&](store::Tx& tx) {
    return hub.desk->subscribe(tx, "Sector CERT", "https://partner.example/hook", "amber", "Bo Example");
  }));
  partner.status = 503;
  const auto id = lit(hub);
  sim.advance(1h);
  ASSERT_TRUE(hub.change([&](store::Tx& tx) { return hub.desk->withdraw(tx, id, "Bo Example", "a survey"); }));
  sim.advance(1s);
  const auto before = partner.calls.size();
  partner.status = 200;
  sim.advance(5h);
  EXPECT_EQ(partner.calls.size(), before + 1);
  EXPECT_NE(partner.calls.back().body.find("warning.withdrawn"), std::string::npos);
  EXPECT_EQ(hub.desk->subscriptions().value()[0].waiting, 0);
}

}  // namespace
}  // namespace bavn::warn
