#include "act/purge.hpp"

#include <gtest/gtest.h>

#include "act/order.hpp"
#include "act/purge_testing.hpp"
#include "base/temp_folder.hpp"
#include "net/json_views.hpp"

namespace bavn::act {
namespace {

using namespace std::chrono_literals;

SigningKey key(char c) {
  std::array<char, 32> seed;
  seed.fill(c);
  return SigningKey::from_seed(seed);
}

struct Town {
  /// on_disk: its State can be opened again.
  explicit Town(std::uint64_t seed = 1, std::string mode = "act", std::string more = "", bool on_disk = false)
      : sim(seed), path(on_disk ? folder.at("state.db") : ":memory:") {
    EXPECT_TRUE(sim.files().make_dirs("/node"));
    EXPECT_TRUE(new_mandate(
        sim.files(), at,
        {{101},
         "Fjordby",
         "Europe/Copenhagen",
         "Leo Leader",
         "director",
         leader.public_key(),
         {{.name = "Bo Example", .of = "CERT", .key = bo.public_key().text(), .second_only = false, .hours = {}},
          {.name = "Cy Example", .of = "CERT", .key = cy.public_key().text(), .second_only = false, .hours = {}}}},
        sim.now()));
    auto text = read_file(sim.files(), at.mandate, 1 << 20).value();
    const auto section = text.find("[action.purge]"), off = text.find("mode = \"off\"", section),
               undo = text.find("undo = \"ask\"", section);
    text.replace(undo, 12, more.contains("undo =") ? "" : "undo = \"ask\"");
    text.replace(off, 12, "mode = \"" + mode + "\"");
    for (const auto* name : {"per_hour", "signs", "hours"})
      if (more.contains(std::string(name) + " =")) {
        const auto line = text.find(std::string(name) + " =", section);
        text.replace(line, text.find('\n', line) - line, "");
      }
    text.insert(text.find('\n', text.find("[action.purge]")) + 1, more);
    EXPECT_TRUE(replace_file(sim.files(), at.mandate, text));
    sign();
    open();
  }
  void sign() { EXPECT_TRUE(sign_mandate(sim.files(), at, leader, sim.now())); }
  void edit(const std::string& from, const std::string& to) {
    auto t = read_file(sim.files(), at.mandate, 1 << 20).value();
    ASSERT_NE(t.find(from), std::string::npos) << t;
    t.replace(t.find(from), from.size(), to);
    ASSERT_TRUE(replace_file(sim.files(), at.mandate, t));
    sign();
  }
  void open() {
    state = store::State::open(sim, {.path = path, .schema = {"core", "node"}}).value();
    PurgeOptions o = options;
    o.municipality = {101};
    o.mandate = at;
    o.domains = {"fjordby.example"};
    auto made =
        Purge::open(sim, *state, node, o,
                    {boxes.ask(), boxes.locate(), [this](store::Tx&, const PurgeQuestion& q) -> Result<std::size_t> {
                       questions.push_back(q);
                       return nobody ? 0 : 1;
                     }});
    ASSERT_TRUE(made) << to_string(made.error());
    purge = std::move(*made);
    state->start();
    purge->start();
  }
  void kill() {
    purge.reset();
    state.reset();
  }
  template <class F>
  Result<void> tx(F&& f) {
    return state->write_now([&](store::Tx& t) -> Result<void> { return f(t); });
  }
  event::SenderIds notice(std::size_t from, std::size_t to, std::int64_t part = 1) {
    event::SenderIds n;
    n.notice = "sn-1";
    n.sender = "kim@nabokommune.example";
    n.part = part;
    n.from_us = micros(start - 5min);
    n.to_us = micros(std::max(sim.now(), start));
    n.domains = {"fjordby.example"};
    for (auto i = from; i < to; ++i) n.message_ids.push_back("<" + id(i) + ">");
    n.mails = static_cast<std::int64_t>(to);
    return n;
  }
  static event::Sign sign_of(std::string group, std::string kind, Instant when) {
    return {std::move(group), std::move(kind), micros(when), "x"};
  }
  static std::string id(std::size_t i) { return "m" + std::to_string(i) + "@nabokommune.example"; }
  static std::string box(std::size_t i) { return "p" + std::to_string(i) + "@fjordby.example"; }
  void deliver(std::size_t from, std::size_t to) {
    for (auto i = from; i < to; ++i)
      boxes.deliver(box(i), id(i), "kim@nabokommune.example", i % 5 == 0 ? "archive" : i % 7 == 0 ? "junk" : "inbox");
    // And mail that has nothing to do with it.
    for (auto i = from; i < to; i += 3)
      boxes.deliver(box(i), "other" + std::to_string(i) + "@x.example", "kim@nabokommune.example");
  }
  void take(const event::SenderIds& n) {
    ASSERT_TRUE(tx([&](store::Tx& t) { return purge->take(t, net::to_json(n)); }));
  }
  PurgeCase view() {
    const auto c = state->read([&](store::Reader& db) { return Purge::find(db, "sn-1"); });
    EXPECT_TRUE(c) << to_string(c.error());
    return c.value_or(PurgeCase{});
  }
  std::vector<PurgeCopy> copies() {
    return state->read([&](store::Reader& db) { return Purge::copies(db, "sn-1"); }).value();
  }
  std::vector<PurgeRound> rounds() {
    return state->read([&](store::Reader& db) { return Purge::rounds(db, "sn-1"); }).value();
  }
  std::vector<std::string> events() {
    return state
        ->read([&](store::Reader& db) {
          return db.all<std::string>("SELECT kind FROM domain_event WHERE kind LIKE 'purge.%' ORDER BY seq");
        })
        .value();
  }
  std::string newest_proof() {
    return state->read([&](store::Reader& db) { return Purge::proofs(db, "sn-1"); }).value().at(0);
  }
  Result<bool> answer(bool yes, const std::string& code = {}) {
    bool counted = false;
    BAVN_CHECK(tx([&](store::Tx& t) -> Result<void> {
      BAVN_TRY(counted, purge->answer(t, "sn-1", yes, "Anna Example", code));
      return {};
    }));
    return counted;
  }
  Result<void> undo() {
    return tx([&](store::Tx& t) { return purge->undo(t, "sn-1", "Anna Example"); });
  }
  Result<void> redo() {
    return tx([&](store::Tx& t) { return purge->redo(t, "sn-1", "Anna Example"); });
  }

  Sim sim;
  TempFolder folder{"bavn-purge"};
  std::string path;
  Instant start = sim.now();
  MandateFiles at = MandateFiles::in("/node");
  SigningKey leader = key('l'), bo = key('b'), cy = key('c'), node = key('n');
  Mailboxes boxes{sim};
  std::vector<PurgeQuestion> questions;
  bool nobody = false;
  PurgeOptions options;
  std::unique_ptr<store::State> state;
  std::unique_ptr<Purge> purge;
};

event::SenderIds with_takeover(event::SenderIds n) {
  n.takeover = true;
  return n;
}

TEST(Purge, All791AreFoundAndMovedUndoneAndMovedAgainEachCounted) {
  Town t;
  t.deliver(0, 791);
  const auto before = t.boxes.picture();
  t.take(with_takeover(t.notice(0, 791)));
  t.sim.advance(10min);
  auto c = t.view();
  EXPECT_EQ(c.state, "emptied") << c.why;
  EXPECT_EQ(c.located, 791);
  EXPECT_EQ(c.mailboxes, 791);
  EXPECT_EQ(c.moved, 791);
  EXPECT_EQ(c.found + c.failed + c.gone + c.left_alone, 0);
  EXPECT_EQ(t.boxes.in(kRecoverable), 791U);
  EXPECT_EQ(t.boxes.elsewhere(), 264U) << "other mail of the same sender stays";
  ASSERT_GE(t.rounds().size(), 2U);
  EXPECT_EQ(t.rounds()[0].present, 791);
  EXPECT_EQ(t.rounds()[0].moved, 791);
  EXPECT_EQ(t.rounds()[1].searched, 791);
  EXPECT_EQ(t.rounds()[1].present, 0);
  EXPECT_LE(c.emptied_us - c.opened_us, 60'000'000) << "in this world a request takes 50 ms";
  EXPECT_TRUE(purge_proof_holds(t.newest_proof(), t.node.public_key()));
  EXPECT_NE(t.newest_proof().find(R"(\"moved\":791)"), std::string::npos) << t.newest_proof();
  auto changed = t.newest_proof();
  changed.replace(changed.find("791"), 3, "792");
  EXPECT_FALSE(purge_proof_holds(changed, t.node.public_key()));

  ASSERT_TRUE(t.undo());
  EXPECT_EQ(t.undo().error().code, Code::conflict);
  t.sim.advance(10min);
  c = t.view();
  EXPECT_EQ(c.state, "undone") << c.why;
  EXPECT_EQ(c.back, 791);
  EXPECT_EQ(c.moved, 0);
  EXPECT_EQ(t.boxes.picture(), before) << "each is in the folder where it was";
  EXPECT_EQ(t.rounds().back().searched, 791);
  EXPECT_EQ(t.rounds().back().present, 791);

  ASSERT_TRUE(t.redo());
  t.sim.advance(2h);
  c = t.view();
  EXPECT_EQ(c.moved, 791) << c.paused;
  EXPECT_EQ(t.boxes.in(kRecoverable), 791U);
  t.sim.advance(8h);
  EXPECT_EQ(t.view().state, "done");
  EXPECT_EQ(t.view().why, "none left");
}

TEST(Purge, KilledAnywhereItEndsTheSame) {
  const auto run = [](std::uint64_t seed, bool kills) {
    Town t(seed, "act", "", true);
    t.boxes.lost_answers = kills ? 40 : 0;
    t.deliver(0, 24);
    t.boxes.deliver(Town::box(3), Town::id(3), "kim@nabokommune.example", "archive");  // twice
    const auto before = t.boxes.picture();
    t.take(with_takeover(t.notice(0, 24)));
    const auto live = [&](Duration total) {
      const auto until = t.sim.now() + total;
      while (kills && t.sim.now() < until - 6h) {
        t.sim.advance(Duration(static_cast<std::int64_t>(t.sim.random_below(3'000'000))));
        t.kill();
        t.sim.advance(Duration(static_cast<std::int64_t>(t.sim.random_below(500'000))));
        t.open();
        if (t.sim.random_below(10) == 0) break;
      }
      t.sim.advance(until - t.sim.now());
    };
    live(9h);
    const auto c = t.view();
    EXPECT_EQ(c.moved, 25) << c.why;
    EXPECT_EQ(c.copies, 25);
    EXPECT_EQ(c.state, "done");
    EXPECT_EQ(c.why, "none left");
    std::vector<std::string> rows;
    for (const auto& copy : t.copies()) rows.push_back(copy.mailbox + copy.message_id + copy.state);
    std::sort(rows.begin(), rows.end());
    const auto emptied = t.boxes.picture();
    EXPECT_TRUE(t.undo());
    live(9h);
    EXPECT_EQ(t.view().back, 25) << t.view().why;
    EXPECT_EQ(t.view().state, "undone");
    EXPECT_EQ(t.boxes.picture(), before);
    return std::pair(rows, emptied);
  };
  const auto calm = run(1, false);
  for (std::uint64_t seed = 2; seed < 8; ++seed) EXPECT_EQ(run(seed, true), calm) << "seed " << seed;
}

TEST(Purge, LeavesOthersMailboxesAloneAndLearnsItsOwnDomainsWhileItRuns) {
  Town t;
  t.purge->use_domains({"another.example"});
  t.deliver(0, 5);
  t.take(with_takeover(t.notice(0, 5)));
  t.sim.advance(10min);
  EXPECT_EQ(t.view().moved, 0);
  EXPECT_EQ(t.view().left_alone, 5);
  t.purge->use_domains({"another.example", "Fjordby.example"});
  t.deliver(5, 10);
  t.take(with_takeover(t.notice(0, 10, 2)));
  t.sim.advance(10min);
  EXPECT_EQ(t.view().moved, 5) << t.view().why;
}

TEST(Purge, IsForgottenWithEverythingOfItAfterItsTimeAndNotBefore) {
  Town t;
  t.deliver(0, 7);
  t.take(with_takeover(t.notice(0, 7)));
  t.sim.advance(10min);
  const auto rule = purge_retention();
  const auto forget = [&](Instant before) {
    std::int64_t gone = 0;
    EXPECT_TRUE(t.tx([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(gone, rule.forget(tx, before));
      return {};
    }));
    return gone;
  };
  EXPECT_EQ(forget(t.start - 1h), 0);
  EXPECT_EQ(t.copies().size(), 7U);
  t.sim.advance(24h);
  EXPECT_GT(forget(t.sim.now()), 14);
  for (const char* table : {"purge_case", "purge_copy", "purge_message", "purge_round", "purge_proof", "purge_sign"}) {
    const auto left =
        t.state->read([&](store::Reader& db) { return db.number(std::string("SELECT count(*) FROM ") + table); });
    EXPECT_EQ(left.value_or(-1), 0) << table;
  }
  EXPECT_EQ(forget(t.sim.now()), 0);
}

TEST(Purge, StopsAtTheLimitOfTheHourSaysSoAndGoesOn) {
  Town t(3, "act", "per_hour = 100\n");
  t.deliver(0, 250);
  t.take(with_takeover(t.notice(0, 250)));
  t.sim.advance(30min);
  EXPECT_EQ(t.boxes.in(kRecoverable), 100U);
  EXPECT_EQ(t.view().moved, 100);
  EXPECT_NE(t.view().paused.find("100 copies an hour"), std::string::npos) << t.view().paused;
  EXPECT_EQ(t.view().state, "running");
  const auto requests = t.boxes.requests;
  t.sim.advance(20min);
  EXPECT_EQ(t.boxes.requests, requests) << "nobody asks Microsoft only to hear that the limit holds";
  t.sim.advance(30min);
  EXPECT_EQ(t.boxes.in(kRecoverable), 200U);
  t.sim.advance(2h);
  EXPECT_EQ(t.view().moved, 250);
  EXPECT_EQ(t.view().state, "emptied");
  EXPECT_EQ(t.view().paused, "");
  const auto said = t.events();
  EXPECT_EQ(std::count(said.begin(), said.end(), "purge.paused"), 2) << "once for each time it waited";
}

TEST(Purge, OutsideItsHoursItWaits) {
  Town t(4, "act", "hours = \"12:00-13:00\"\n");  // it is 10:00 in Copenhagen
  t.deliver(0, 5);
  t.take(with_takeover(t.notice(0, 5)));
  t.sim.advance(1h);
  EXPECT_EQ(t.boxes.in(kRecoverable), 0U);
  EXPECT_NE(t.view().paused.find("at this hour"), std::string::npos);
  t.sim.advance(65min);
  EXPECT_EQ(t.boxes.in(kRecoverable), 5U);
}

TEST(Purge, ProtectedAndForeignMailboxesAreLeftAlone) {
  Town t;
  t.edit("accounts = []", "accounts = [\"P2@fjordby.example\"]");
  t.deliver(0, 6);
  t.boxes.deliver("someone@elsewhere.example", Town::id(1), "kim@nabokommune.example");
  t.take(with_takeover(t.notice(0, 6)));
  t.sim.advance(10min);
  EXPECT_EQ(t.view().moved, 5);
  EXPECT_EQ(t.view().left_alone, 2);
  EXPECT_EQ(t.boxes.boxes["someone@elsewhere.example"][0].folder, "inbox");
  for (const auto& c : t.copies())
    EXPECT_TRUE(c.mailbox != "p2@fjordby.example" || c.reason == "a protected account of the mandate");
  EXPECT_EQ(t.view().state, "emptied");
}

TEST(Purge, AWithdrawnWarningIsUndoneByItselfWhenTheMandateSaysSo) {
  for (const bool self : {true, false}) {
    Town t(5, "act", self ? "undo = \"self\"\n" : "");
    t.deliver(0, 40);
    const auto before = t.boxes.picture();
    t.take(with_takeover(t.notice(0, 40)));
    t.sim.advance(350ms);  // in the middle
    const auto moved = t.boxes.in(kRecoverable);
    EXPECT_GT(moved, 0U);
    EXPECT_LT(moved, 40U);
    auto gone = t.notice(0, 0, 2);
    gone.withdrawn = true;
    t.take(gone);
    t.sim.advance(1h);
    if (!self) {
      EXPECT_EQ(t.view().state, "withdrawn");
      EXPECT_LT(t.boxes.in(kRecoverable), 40U) << "nothing more is moved";
      ASSERT_TRUE(t.undo());
      t.sim.advance(1h);
    }
    EXPECT_EQ(t.view().state, "undone") << t.view().why;
    EXPECT_EQ(t.boxes.picture(), before);
    t.take(t.notice(0, 40, 3));
    t.sim.advance(1h);
    EXPECT_EQ(t.boxes.picture(), before) << "what was withdrawn stays so";
  }
}

TEST(Purge, WithoutASecondSignItWaitsForOneOrForAYes) {
  Town t;
  t.deliver(0, 8);
  t.take(t.notice(0, 8));
  t.sim.advance(30min);
  EXPECT_EQ(t.view().state, "waiting");
  EXPECT_NE(t.view().why.find("no second sign"), std::string::npos) << t.view().why;
  EXPECT_EQ(t.view().located, 8) << "what could be emptied is known";
  EXPECT_EQ(t.boxes.requests, 0U);
  EXPECT_TRUE(t.questions.empty());
  auto later = t.notice(0, 0, 2);
  later.second_signs = {Town::sign_of("harm", "click", t.sim.now())};
  t.take(later);
  t.sim.advance(5min);
  EXPECT_EQ(t.boxes.in(kRecoverable), 8U);
  EXPECT_NE(t.view().signs.find("harm: click"), std::string::npos);

  Town yes;
  yes.deliver(0, 8);
  yes.take(yes.notice(0, 8));
  yes.sim.advance(1min);
  EXPECT_TRUE(*yes.answer(true));
  yes.sim.advance(5min);
  EXPECT_EQ(yes.boxes.in(kRecoverable), 8U);
  EXPECT_EQ(yes.view().approved_by, "Anna Example");

  Town never;
  never.deliver(0, 8);
  never.take(never.notice(0, 8));
  never.sim.advance(49h);
  EXPECT_EQ(never.view().state, "stopped");
  EXPECT_EQ(never.boxes.requests, 0U);
}

TEST(Purge, SignsOfTheHubDoNotCountWhereTheLeaderWantsOwnOnes) {
  Town t(6, "act", "signs = \"own\"\n");
  t.deliver(0, 8);
  t.take(with_takeover(t.notice(0, 8)));
  t.sim.advance(10min);
  EXPECT_EQ(t.view().state, "waiting");
  ASSERT_TRUE(t.tx([&](store::Tx& x) {
    return t.purge->own_sign(x, "Kim@nabokommune.example", Town::sign_of("intelligence", "list", t.sim.now()));
  }));
  t.sim.advance(1min);
  EXPECT_EQ(t.view().state, "waiting") << "only identity, payload and harm are second signs";
  ASSERT_TRUE(t.tx([&](store::Tx& x) {
    return t.purge->own_sign(x, "Kim@nabokommune.example", Town::sign_of("harm", "vendor_verdict", t.sim.now()));
  }));
  t.sim.advance(5min);
  EXPECT_EQ(t.boxes.in(kRecoverable), 8U);
  EXPECT_NE(t.view().signs.find("vendor_verdict (seen here)"), std::string::npos);
}

TEST(Purge, ModeAskAsksOnceAndNoAnswerIsANo) {
  Town t(7, "ask");
  t.deliver(0, 8);
  t.take(with_takeover(t.notice(0, 8)));
  t.sim.advance(1min);
  ASSERT_EQ(t.questions.size(), 1U);
  EXPECT_EQ(t.questions[0].mailboxes, 8);
  EXPECT_EQ(t.view().state, "asked");
  t.take(with_takeover(t.notice(0, 8)));  // it comes again
  t.sim.advance(1min);
  EXPECT_EQ(t.questions.size(), 1U);
  EXPECT_FALSE(*t.answer(true, "aaaaaaaa"));
  EXPECT_EQ(t.boxes.requests, 0U);
  EXPECT_TRUE(*t.answer(true, t.questions[0].code));
  t.sim.advance(5min);
  EXPECT_EQ(t.boxes.in(kRecoverable), 8U);
  EXPECT_EQ(t.answer(true, t.questions[0].code).error().code, Code::forbidden) << "once";

  Town silent(8, "ask");
  silent.deliver(0, 8);
  silent.take(with_takeover(silent.notice(0, 8)));
  silent.sim.advance(31min);
  EXPECT_EQ(silent.view().state, "stopped");
  EXPECT_NE(silent.view().why.find("counts as no"), std::string::npos);
  EXPECT_FALSE(silent.answer(true, silent.questions[0].code)) << "too late";
  silent.sim.advance(10h);
  EXPECT_EQ(silent.boxes.requests, 0U);
  EXPECT_TRUE(*silent.answer(true)) << "at the machine it is never too late";
  silent.sim.advance(5min);
  EXPECT_EQ(silent.boxes.in(kRecoverable), 8U);

  Town guessed(9, "ask");
  guessed.deliver(0, 2);
  guessed.take(with_takeover(guessed.notice(0, 2)));
  guessed.sim.advance(1min);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(*guessed.answer(true, "bbbbbbbb"));
  EXPECT_EQ(guessed.view().state, "stopped");
  EXPECT_FALSE(guessed.answer(true, guessed.questions[0].code));

  Town alone(10, "ask");
  alone.nobody = true;
  alone.deliver(0, 2);
  alone.take(with_takeover(alone.notice(0, 2)));
  alone.sim.advance(1min);
  EXPECT_EQ(alone.view().state, "waiting");
  EXPECT_NE(alone.view().why.find("could not be asked"), std::string::npos);
}

TEST(Purge, OffIsNever) {
  Town t(11, "off");
  t.deliver(0, 8);
  t.take(with_takeover(t.notice(0, 8)));
  t.sim.advance(10min);
  EXPECT_EQ(t.view().state, "off");
  EXPECT_EQ(t.view().located, 8);
  EXPECT_EQ(t.answer(true).error().code, Code::forbidden);
  EXPECT_EQ(t.boxes.requests, 0U);

  Town unsigned_now;  // switched off while it runs
  unsigned_now.deliver(0, 60);
  unsigned_now.take(with_takeover(unsigned_now.notice(0, 60)));
  unsigned_now.sim.advance(350ms);
  const auto moved = unsigned_now.boxes.in(kRecoverable);
  ASSERT_TRUE(unsigned_now.sim.files().unlink(unsigned_now.at.signature));
  unsigned_now.sim.advance(1h);
  EXPECT_LE(unsigned_now.boxes.in(kRecoverable), moved + 8) << "what was on its way";
  EXPECT_EQ(unsigned_now.view().state, "off");
  EXPECT_NE(unsigned_now.view().why.find("not signed"), std::string::npos);
}

TEST(Purge, WhatTheHubSaysIsHeldAgainstTheOwnTrace) {
  Town t;
  t.deliver(0, 4);
  t.boxes.deliver(Town::box(9), "salary@fjordby.example", "boss@fjordby.example");  // another sender
  t.boxes.deliver(Town::box(9), "never-here@nabokommune.example", "kim@nabokommune.example");
  t.boxes.trace.pop_back();  // not in the trace
  t.boxes.deliver(Town::box(9), "old@nabokommune.example", "kim@nabokommune.example");
  t.boxes.trace.back().at = t.start - 3h;  // another time
  auto n = t.notice(0, 4);
  for (const auto* id : {"salary@fjordby.example", "never-here@nabokommune.example", "old@nabokommune.example"})
    n.message_ids.push_back(id);
  t.take(with_takeover(n));
  t.sim.advance(10min);
  EXPECT_EQ(t.view().moved, 4);
  EXPECT_EQ(t.view().copies, 4);
  EXPECT_EQ(t.view().refused, 2);
  EXPECT_EQ(t.view().located, 4);
  EXPECT_EQ(t.view().message_ids, 7);
  for (const auto& m : t.boxes.boxes[Town::box(9)]) EXPECT_EQ(m.folder, "inbox") << m.message_id;
}

TEST(Purge, EntriesThatCannotBeRightAreRefusedWithTheirReason) {
  Town t;
  const auto refused = [&](auto change) {
    auto n = with_takeover(t.notice(0, 2));
    change(n);
    const auto before = t.state
                            ->read([](store::Reader& db) {
                              return db.number("SELECT count(*) FROM audit WHERE action = 'purge.refused'");
                            })
                            .value();
    t.take(n);
    return t.state
               ->read([](store::Reader& db) {
                 return db.number("SELECT count(*) FROM audit WHERE action = 'purge.refused'");
               })
               .value() == before + 1;
  };
  EXPECT_TRUE(refused([](auto& n) { n.notice = "a b\n"; }));
  EXPECT_TRUE(refused([](auto& n) { n.notice = std::string(101, 'x'); }));
  EXPECT_TRUE(refused([](auto& n) { n.sender = "nobody"; }));
  EXPECT_TRUE(refused([](auto& n) { n.from_us -= 48LL * 3600 * 1'000'000; }));
  EXPECT_TRUE(refused([](auto& n) { n.to_us += 3600LL * 1'000'000; }));
  EXPECT_TRUE(refused([](auto& n) { n.message_ids = {"a\nb"}; }));
  EXPECT_TRUE(refused([](auto& n) { n.message_ids.assign(2001, "a@b"); }));
  EXPECT_TRUE(refused([](auto& n) { n.mails = -1; }));
  EXPECT_TRUE(refused([](auto& n) { n.part = 0; }));
  t.take(t.notice(0, 2));
  EXPECT_TRUE(refused([](auto& n) { n.sender = "other@nabokommune.example"; })) << "a notice keeps its sender";
  for (const std::string text : {"", "{}", "[1]", "\xff"})
    ASSERT_TRUE(t.tx([&](store::Tx& x) { return t.purge->take(x, std::string_view(text)); }));
  EXPECT_EQ(t.state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM purge_case"); }).value(), 1);
}

TEST(Purge, TwoSignaturesMayNameIt) {
  Town t;
  t.deliver(0, 8);
  OrderDesk desk(t.sim, t.at, {101}, t.node, [](store::Tx&, const CallMeAsk&) -> Result<std::size_t> { return 1; });
  const auto give = [&](std::string_view target, std::initializer_list<const SigningKey*> by) {
    auto order = new_order(t.sim, {101}, "purge", target, "mass mail from a taken mailbox", 60min).value();
    for (const auto* k : by) EXPECT_TRUE(sign_order(order, *k));
    Outcome out;
    EXPECT_TRUE(t.tx([&](store::Tx& x) -> Result<void> {
      BAVN_TRY(out, desk.take(x, order.text()));
      return {};
    }));
    return out;
  };
  EXPECT_NE(give("notice:sn-1", {&t.bo, &t.cy}).reason.find("cannot purge now"), std::string::npos)
      << "nobody carries it out yet";
  desk.carry_out("purge", [&](store::Tx& x, const Order& o, const std::vector<std::string>& people) {
    return t.purge->order(x, o.target, people, o.id);
  });
  EXPECT_NE(give("notice:sn-1", {&t.bo, &t.cy}).reason.find("knows no notice"), std::string::npos);
  t.take(t.notice(0, 8));
  t.sim.advance(1min);
  EXPECT_FALSE(give("notice:sn-1", {&t.bo}).done);
  EXPECT_FALSE(give("sn-1", {&t.bo, &t.cy}).done);
  EXPECT_EQ(t.boxes.requests, 0U);
  const auto out = give("notice:sn-1", {&t.bo, &t.cy});
  EXPECT_TRUE(out.done) << out.reason;
  EXPECT_TRUE(proof_holds(out.proof, t.node.public_key()));
  t.sim.advance(5min);
  EXPECT_EQ(t.boxes.in(kRecoverable), 8U);
  EXPECT_NE(t.view().approved_by.find("Bo Example and Cy Example"), std::string::npos);
}

TEST(Purge, WhatArrivesLateAndInLaterPartsIsMovedToo) {
  Town t;
  t.boxes.trace_delay = 4min;
  t.deliver(0, 20);
  t.take(with_takeover(t.notice(0, 20)));
  t.sim.advance(1min);
  EXPECT_EQ(t.boxes.in(kRecoverable), 0U) << "the trace knows nothing yet";
  t.sim.advance(9min);
  EXPECT_EQ(t.boxes.in(kRecoverable), 20U);
  t.deliver(20, 30);
  t.take(t.notice(20, 30, 2));
  t.sim.advance(15min);
  EXPECT_EQ(t.boxes.in(kRecoverable), 30U);
  t.boxes.deliver(Town::box(77), Town::id(5), "kim@nabokommune.example");  // a redirection, hours later
  t.sim.advance(2h);
  EXPECT_EQ(t.boxes.in(kRecoverable), 31U);
  // Somebody took it back from the recoverable items.
  for (auto& m : t.boxes.boxes[Town::box(4)])
    if (m.folder == kRecoverable) {
      m.folder = "inbox";
      m.item = "taken-back";
    }
  t.sim.advance(2h);
  EXPECT_EQ(t.boxes.in(kRecoverable), 31U);
  EXPECT_EQ(t.view().copies, 31);
  t.sim.advance(6h);
  EXPECT_EQ(t.view().state, "done");
  const auto looks = t.boxes.looks;
  t.sim.advance(100h);
  EXPECT_EQ(t.boxes.looks, looks) << "then it is over";
}

TEST(Purge, PeopleMoveAndDeleteMeanwhile) {
  Town t;
  t.deliver(0, 30);
  unsigned moved = 0, deleted = 0;
  t.boxes.before = [&](const GraphCall& call) {
    if (!call.post) return;
    auto& mails = t.boxes.boxes[call.mailbox];
    if (moved < 5) {  // between the search and the move
      ++moved;
      mails[0].folder = "projects";
      mails[0].item += "x";
    } else if (deleted < 5) {
      ++deleted;
      mails.erase(mails.begin());
    }
  };
  t.take(with_takeover(t.notice(0, 30)));
  t.sim.advance(1h);
  const auto c = t.view();
  EXPECT_EQ(c.moved, 25) << c.why;
  EXPECT_EQ(c.gone, 5);
  EXPECT_EQ(c.state, "emptied");
  // Of those that are put back, one's owner emptied the recoverable items, and one's folder is gone.
  t.boxes.before = {};
  t.boxes.lost_folders = {"projects"};
  bool one = false;
  for (auto& [name, mails] : t.boxes.boxes)
    if (!one && !mails.empty() && mails[0].folder == kRecoverable && mails[0].sender.starts_with("kim") &&
        name == Town::box(21)) {
      mails.erase(mails.begin());
      one = true;
    }
  ASSERT_TRUE(t.undo());
  t.sim.advance(1h);
  EXPECT_EQ(t.view().state, "undone") << t.view().why;
  EXPECT_EQ(t.view().lost, 1);
  EXPECT_EQ(t.view().back, 24);
  EXPECT_EQ(t.boxes.in("projects"), 0U);
  EXPECT_EQ(t.boxes.in(kRecoverable), 0U);
}

TEST(Purge, AFilterThatIsIgnoredMovesNothingElse) {
  Town t;
  t.boxes.filter_ignored = true;
  t.deliver(0, 10);
  t.boxes.deliver(Town::box(1), "letter@x.example", "friend@x.example");
  t.boxes.boxes[Town::box(2)][0].sender = "friend@x.example";  // the same Message-ID, but not of the sender
  t.take(with_takeover(t.notice(0, 10)));
  t.sim.advance(10min);
  EXPECT_EQ(t.boxes.in(kRecoverable), 9U);
  EXPECT_EQ(t.view().left_alone, 1);
  for (const auto& c : t.copies())
    EXPECT_TRUE(c.state != "left" || c.reason.contains("from friend@x.example")) << c.reason;
}

TEST(Purge, ForwardsAreMovedOnlyWhenTheyNameTheMail) {
  Town t;
  t.deliver(0, 3);
  const auto forward = [&](const std::string& to, const std::string& id, const std::string& by,
                           std::vector<std::string> answers) {
    t.boxes.deliver(to, id, by, "inbox", std::move(answers));
    t.boxes.trace.back().forward_of = Town::id(0);
  };
  forward("a@fjordby.example", "fw1@fjordby.example", Town::box(0), {Town::id(0)});
  forward("b@fjordby.example", "fw2@fjordby.example", Town::box(0), {"else@x.example"});
  forward("c@fjordby.example", "fw3@fjordby.example", "stranger@x.example", {Town::id(0)});
  t.take(with_takeover(t.notice(0, 3)));
  t.sim.advance(10min);
  EXPECT_EQ(t.view().moved, 4);
  EXPECT_EQ(t.boxes.boxes["a@fjordby.example"][0].folder, kRecoverable);
  EXPECT_EQ(t.boxes.boxes["b@fjordby.example"][0].folder, "inbox");
  EXPECT_EQ(t.boxes.boxes["c@fjordby.example"][0].folder, "inbox");
  EXPECT_EQ(t.view().refused, 1);
}

TEST(Purge, WhereThePermissionIsMissingDefenderIsAsked) {
  Town t(12);
  t.boxes.defender = true;
  t.deliver(0, 130);
  for (std::size_t i = 0; i < 120; ++i) t.boxes.forbidden.insert(Town::box(i));
  t.take(with_takeover(t.notice(0, 130)));
  t.sim.advance(20min);
  EXPECT_EQ(t.view().state, "emptied") << t.view().why;
  EXPECT_EQ(t.view().moved, 130);
  EXPECT_EQ(t.boxes.in(kRecoverable), 130U);
  EXPECT_EQ(t.view().way, "defender and mailbox");
  EXPECT_LE(t.boxes.remediations, 20U) << "in batches";
  ASSERT_TRUE(t.undo());
  t.sim.advance(30min);
  EXPECT_EQ(t.view().state, "undone") << t.view().why;
  EXPECT_EQ(t.view().back, 130);
  EXPECT_EQ(t.boxes.in(kRecoverable), 0U);

  Town none(13);
  none.deliver(0, 5);
  for (std::size_t i = 0; i < 5; ++i) none.boxes.forbidden.insert(Town::box(i));
  none.take(with_takeover(none.notice(0, 5)));
  none.sim.advance(9h);
  EXPECT_EQ(none.view().failed, 5);
  EXPECT_EQ(none.view().state, "done");
  EXPECT_NE(none.view().why.find("5 copies could not be moved"), std::string::npos);
}

TEST(Purge, AFullOrMissingMailboxIsSaidAndTheOthersAreMoved) {
  Town t(14);
  t.deliver(0, 10);
  t.boxes.full = {Town::box(1)};
  t.boxes.unknown = {Town::box(2)};
  t.take(with_takeover(t.notice(0, 10)));
  t.sim.advance(30min);
  EXPECT_EQ(t.view().moved, 8);
  EXPECT_EQ(t.view().failed, 1);
  EXPECT_EQ(t.view().left_alone, 1);
  EXPECT_EQ(t.view().state, "running");
  t.boxes.full.clear();
  t.sim.advance(90min);
  EXPECT_EQ(t.view().moved, 9);
  EXPECT_EQ(t.view().state, "emptied");
}

TEST(Purge, ABrokenTraceIsSaidAndReadAgain) {
  Town t(15);
  t.boxes.trace_broken = true;
  t.deliver(0, 5);
  t.take(with_takeover(t.notice(0, 5)));
  t.sim.advance(5min);
  EXPECT_NE(t.view().why.find("could not be read"), std::string::npos);
  t.boxes.trace_broken = false;
  t.sim.advance(1h);
  EXPECT_EQ(t.boxes.in(kRecoverable), 5U);
}

TEST(Purge, APartThatComesWhileTheTraceIsReadIsNotForgotten) {
  Town t(16);
  t.deliver(0, 40);
  t.take(with_takeover(t.notice(0, 20)));
  t.sim.advance(600us);  // the trace is being read for the first part
  EXPECT_EQ(t.boxes.looks, 1U);
  t.take(t.notice(20, 40, 2));
  t.sim.advance(60s);
  EXPECT_EQ(t.boxes.in(kRecoverable), 40U);
}

TEST(PurgeGraph, WhichMailIsWhichRow) {
  const FoundMail a{"a", "inbox", "s", {}}, b{"b", "inbox", "s", {}}, c{"c", "x", "s", {}};
  using Mails = std::vector<FoundMail>;
  const auto moves = [](std::vector<CopyRow> rows, Mails present, Mails recoverable) {
    std::string out;
    const auto m = match(rows, present, recoverable);
    for (const auto& p : m.move) out += "move " + std::to_string(p.row) + present[p.mail].item + " ";
    for (const auto& p : m.moved) out += "moved " + std::to_string(p.row) + recoverable[p.mail].item + " ";
    for (const auto id : m.absent) out += "absent " + std::to_string(id) + " ";
    for (const auto id : m.as_thought) out += "kept " + std::to_string(id) + " ";
    return out;
  };
  EXPECT_EQ(moves({{1, 0, "found", ""}}, {a}, {}), "move 1a ");
  EXPECT_EQ(moves({{1, 0, "found", ""}}, {a, b}, {}), "move 1a move 0b ") << "the second gets a row of its own";
  EXPECT_EQ(moves({{1, 0, "moving", "b"}, {2, 1, "found", ""}}, {a, b}, {}), "move 1b move 2a ");
  EXPECT_EQ(moves({{1, 0, "moving", "a"}}, {}, {c}), "moved 1c ") << "killed after it was done";
  EXPECT_EQ(moves({{1, 0, "moving", "a"}}, {b}, {}), "move 1b ") << "its owner moved it, which gave it another id";
  EXPECT_EQ(moves({{1, 0, "moving", "a"}, {2, 1, "moved", "c"}}, {}, {c}), "absent 1 kept 2 ") << "c is the other's";
  EXPECT_EQ(moves({{1, 0, "moved", "c"}}, {a}, {c}), "move 0a kept 1 ") << "another copy came";
  EXPECT_EQ(moves({{1, 0, "moved", "c"}}, {a}, {}), "move 1a ") << "its owner took it back";
  EXPECT_EQ(moves({{1, 0, "moved", "c"}}, {}, {}), "kept 1 ");
  EXPECT_EQ(moves({{1, 0, "found", ""}}, {}, {c}), "absent 1 ") << "deleted by its owner, not by us";
}

TEST(PurgeGraph, AMessageIdIsPlainOrRefused) {
  EXPECT_EQ(*plain_message_id(" <a@b> "), "a@b");
  EXPECT_EQ(*plain_message_id("A@b"), "A@b");
  for (const std::string bad : {"", "<>", "a b", "a<b", "a\x01"}) EXPECT_FALSE(plain_message_id(bad)) << bad;
  EXPECT_FALSE(plain_message_id(std::string(999, 'a')));
  EXPECT_NE(find_mail("o'hara@x.example", "it's@x", false).path.find("it%27%27s"), std::string::npos)
      << "a quote ends no filter";
}

}  // namespace
}  // namespace bavn::act
