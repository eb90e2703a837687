#include "notice/desk.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "base/sim.hpp"
#include "base/temp_folder.hpp"
#include "net/json_views.hpp"

namespace bavn::notice {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kSecond = 1'000'000;
const MunicipalityId kHere{157};

struct ToldRow {
  std::string kind, body;
};
BOOST_DESCRIBE_STRUCT(ToldRow, (), (kind, body))

std::shared_ptr<Community> community() {
  auto c = std::make_shared<Community>();
  EXPECT_TRUE(c->add("gentofte.example", kHere));
  EXPECT_TRUE(c->add("ltk.example", MunicipalityId{173}));
  for (int i = 0; i < 9; ++i)
    EXPECT_TRUE(c->add("t" + std::to_string(i) + ".example", MunicipalityId{static_cast<std::uint16_t>(500 + i)}));
  c->add_own(kHere);
  return c;
}

event::Fact mail(Instant at, const std::string& from, const std::string& to, const std::string& id,
                 const std::string& subject = "Faktura") {
  event::MailFact m;
  m.head.happened = m.head.received = at;
  m.head.municipality = kHere;
  m.sender = from;
  m.recipients = {to};
  m.message_id = id;
  m.subject = subject;
  return event::Fact(std::in_place_type<event::MailFact>, std::move(m));
}

event::Fact report(Instant at, const std::string& by, const std::string& id, const std::string& sender = "") {
  event::HarmFact h;
  h.head.happened = h.head.received = at;
  h.head.municipality = kHere;
  h.harm = event::Harm::reported;
  h.account = by;
  h.message_id = id;
  h.sender = sender;
  return event::Fact(std::in_place_type<event::HarmFact>, std::move(h));
}

/// A life of a node: its tables, its desk. What it told is a table too, so that what was undone was not told.
struct Life {
  Life(Sim& sim, const std::string& path, Digesting* digests = nullptr) {
    auto opened = store::State::open(sim, {.path = path, .schema = {"core", "node"}});
    EXPECT_TRUE(opened) << to_string(opened.error());
    state = std::move(*opened);
    EXPECT_TRUE(state->write_now([](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(
          tx.exec("CREATE TABLE IF NOT EXISTS told (nr INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL)"));
      return {};
    }));
    auto made = Desk::open(
        sim, *state, community(), {.watch = {}, .key = "key", .digests = digests},
        [](store::Tx& tx, std::string_view kind, std::string_view json, MunicipalityId of,
           event::Tlp tlp) -> Result<void> {
          EXPECT_EQ(of, kHere);
          EXPECT_EQ(tlp, event::Tlp::amber);
          BAVN_CHECK(tx.exec("INSERT INTO told (kind, body) VALUES (:kind, :body)", {{"kind", kind}, {"body", json}}));
          return {};
        });
    EXPECT_TRUE(made) << to_string(made.error());
    desk = std::move(*made);
    state->start();
  }
  ~Life() { state->stop(); }
  void commit() {
    if (store::Unit unit = desk->take()) {
      const auto ok = state->write_now(std::move(unit));
      EXPECT_TRUE(ok) << to_string(ok.error());
    }
  }
  template <class T>
  std::vector<T> told(const std::string& kind) {
    std::vector<T> out;
    const auto rows =
        state->read([](store::Reader& r) { return r.all<ToldRow>("SELECT kind, body FROM told ORDER BY nr"); });
    EXPECT_TRUE(rows);
    for (const ToldRow& r : *rows)
      if (r.kind == kind) {
        auto read = net::from_json<T>(r.body, net::Unknown::refuse);
        EXPECT_TRUE(read) << to_string(read.error());
        out.push_back(std::move(*read));
      }
    return out;
  }
  std::int64_t events(const std::string& kind) {
    return state
        ->read([&](store::Reader& r) {
          return r.number("SELECT count(*) FROM domain_event WHERE kind = :k", {{"k", kind}});
        })
        .value();
  }

  std::unique_ptr<store::State> state;
  std::unique_ptr<Desk> desk;
};

std::vector<event::Fact> burst(Instant from, int mails) {
  std::vector<event::Fact> facts;
  for (int i = 0; i < mails; ++i)
    facts.push_back(mail(from + std::chrono::seconds(i), "anna@gentofte.example",
                         "p" + std::to_string(i) + "@t" + std::to_string(i % 9) + ".example",
                         "m" + std::to_string(i) + "@g"));
  return facts;
}

const event::Scope kOwner = event::Scope::local_owner();

TEST(Desk, TellsPartsWhenTheyAreDueAndKeepsRowsForThePage) {
  Sim sim(1);
  TempFolder folder;
  Life life(sim, folder.at("state.db"));
  const auto facts = burst(sim.now() - 5min, 60);
  life.desk->feed(std::span(facts).first(40), sim.now(), false);
  life.commit();
  EXPECT_EQ(life.told<event::SenderNotice>("sender_notice").size(), 1U);
  life.desk->feed(std::span(facts).subspan(40), sim.now(), false);
  life.commit();
  EXPECT_EQ(life.told<event::SenderNotice>("sender_notice").size(), 1U);
  sim.advance(20s);  // no fact comes; the timer tells the rest
  const auto parts = life.told<event::SenderNotice>("sender_notice");
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[1].part, 2);
  EXPECT_EQ(parts[1].mails, 60);
  EXPECT_EQ(parts[1].late_s, parts[0].late_s);
  EXPECT_EQ(life.events("notice.sender"), 2);
  sim.advance(24h);
  EXPECT_EQ(life.told<event::SenderNotice>("sender_notice").size(), 2U);

  const auto rows = life.desk->list(kOwner, {});
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ(rows->front().concern, "anna@gentofte.example");
  EXPECT_EQ(rows->front().mails, 60);
  const auto more = life.desk->show(kOwner, rows->front().id);
  ASSERT_TRUE(more);
  EXPECT_EQ(more->domains.size(), 9U);
  EXPECT_EQ(more->message_ids.size(), 60U);
  ASSERT_EQ(more->signs.size(), 1U);
  EXPECT_EQ(more->signs.front().kind, "fan_out");
  EXPECT_FALSE(net::to_json(*more).empty());

  const event::Scope stranger("x", {MunicipalityId{173}}, static_cast<std::uint32_t>(event::Right::alert_read),
                              event::Tlp::red);
  EXPECT_TRUE(life.desk->list(stranger, {})->empty());
  EXPECT_EQ(life.desk->show(stranger, rows->front().id).error().code, Code::not_found);
  const event::Scope nobody("y", {kHere}, 0, event::Tlp::red);
  EXPECT_EQ(life.desk->list(nobody, {}).error().code, Code::forbidden);
  EXPECT_EQ(life.desk->judge(stranger, rows->front().id, "real", "").error().code, Code::forbidden);
  EXPECT_EQ(life.desk->judge(kOwner, rows->front().id, "perhaps", "").error().code, Code::bad_input);
  ASSERT_TRUE(life.desk->judge(kOwner, rows->front().id, "false", "she writes to all once a year"));
  EXPECT_EQ(life.desk->list(kOwner, {})->front().judged, "false");
  EXPECT_EQ(life.events("notice.judged"), 1);
}

TEST(Desk, PagesThroughWhatWasNoticed) {
  Sim sim(1);
  TempFolder folder;
  Life life(sim, folder.at("state.db"));
  for (int s = 0; s < 25; ++s) {
    for (int i = 0; i < 30; ++i)
      life.desk->feed(std::vector{mail(sim.now(), "s" + std::to_string(s) + "@gentofte.example",
                                       "p" + std::to_string(i) + "@t" + std::to_string(i % 9) + ".example",
                                       std::to_string(s * 100 + i))},
                      sim.now(), false);
    life.commit();
    if (s % 3 == 0) sim.advance(1min);
  }
  std::set<std::string> seen;
  NoticedFilter f{.kind = "sender", .municipality = kHere, .since_us = 0, .before = "", .limit = 10};
  for (int page = 0; page < 3; ++page) {
    const auto rows = life.desk->list(kOwner, f);
    ASSERT_TRUE(rows);
    EXPECT_EQ(rows->size(), page < 2 ? 10U : 5U);
    for (const auto& r : *rows) EXPECT_TRUE(seen.insert(r.id).second);
    f.before = rows->back().id;
  }
  EXPECT_EQ(seen.size(), 25U);
}

TEST(Desk, ARegisteredExerciseIsNoNoticeAlsoInTheNextLife) {
  Sim sim(1);
  TempFolder folder;
  const auto entry = [&](bool withdrawn) {
    return net::to_json(Exercise{"e1", "Anna@Gentofte.example", "", micros(sim.now()) - 3600 * kSecond,
                                 micros(sim.now()) + 7200 * kSecond, withdrawn});
  };
  const auto take = [](Life& life, std::string_view kind, const std::string& payload) {
    Result<bool> taken = false;
    EXPECT_TRUE(life.state->write_now([&](store::Tx& tx) -> Result<void> {
      taken = life.desk->take_entry(tx, kind, payload, kHere);
      return {};
    }));
    return taken;
  };
  {
    Life life(sim, folder.at("state.db"));
    EXPECT_TRUE(take(life, "exercise", entry(false)).value());
    EXPECT_FALSE(take(life, "warning", "{}").value());
    EXPECT_EQ(take(life, "exercise", "{").error().code, Code::bad_input);
    EXPECT_EQ(take(life, "exercise", net::to_json(Exercise{"e2", "", "", 1, 2, false})).error().code, Code::bad_input);
    EXPECT_EQ(take(life, "exercise", net::to_json(Exercise{"e3", "a@b.example", "", 5, 4, false})).error().code,
              Code::bad_input);
  }
  Life life(sim, folder.at("state.db"));
  EXPECT_EQ(life.desk->exercises(kOwner)->size(), 1U);
  life.desk->feed(burst(sim.now(), 60), sim.now() + 1min, false);
  life.commit();
  EXPECT_TRUE(life.told<event::SenderNotice>("sender_notice").empty());
  EXPECT_TRUE(take(life, "exercise", entry(true)).value());
  life.desk->feed(burst(sim.now(), 60), sim.now() + 2min, false);
  life.commit();
  EXPECT_EQ(life.told<event::SenderNotice>("sender_notice").size(), 1U);
}

TEST(Desk, HarmAboutMailThatAnotherNodeNamedSaysSoAlsoInTheNextLife) {
  Sim sim(1);
  TempFolder folder;
  event::SenderIds ids;
  ids.notice = "173.n-1";
  ids.sender = "ole@ltk.example";
  ids.message_ids = {"a@ltk", "b@ltk"};
  {
    Life life(sim, folder.at("state.db"));
    EXPECT_TRUE(life.state->write_now([&](store::Tx& tx) -> Result<void> {
      EXPECT_TRUE(life.desk->take_entry(tx, "sender_ids", net::to_json(ids), kHere).value());
      EXPECT_FALSE(life.desk->take_entry(tx, "sender_ids", "{}", kHere));
      return {};
    }));
  }
  Life life(sim, folder.at("state.db"));
  for (const char* who : {"x@gentofte.example", "y@gentofte.example", "y@gentofte.example"})
    life.desk->feed(std::vector{report(sim.now(), who, "b@ltk")}, sim.now(), false);
  life.commit();
  const auto harms = life.told<event::HarmNotice>("harm");
  ASSERT_EQ(harms.size(), 2U);
  EXPECT_EQ(harms[1].notice, "173.n-1");
  EXPECT_EQ(harms[1].sender, "ole@ltk.example");
  EXPECT_EQ(harms[1].count, 2);
  EXPECT_EQ(harms[0].id, harms[1].id);
  for (const auto& h : harms) EXPECT_FALSE(net::to_json(h).contains("gentofte")) << "never by name";
}

/// The digester sees mail and harm in order, and no exercise.
struct RecordingDigests : Digesting {
  std::vector<std::string> seen;
  void feed(const event::MailFact& m, Instant, bool) override { seen.push_back("mail " + m.message_id); }
  std::optional<std::string> harm(const event::HarmFact& h, Instant, bool) override {
    seen.push_back("harm " + h.url);
    return h.url.empty() ? std::nullopt : std::optional<std::string>("00ff");
  }
  store::Unit take() override {
    return [](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("INSERT INTO told (kind, body) VALUES ('digest', '{}')"));
      return {};
    };
  }
  Result<void> take_entry(store::Tx&, std::string_view kind, std::string_view, MunicipalityId) override {
    seen.emplace_back(kind);
    return {};
  }
  Result<void> save(std::string& into) const override {
    into += "digests";
    return {};
  }
  Result<void> load(std::string_view saved) override {
    return saved == "digests" ? Result<void>{} : fail(Code::corrupt, "digests");
  }
  Duration memory() const override { return 90 * 24h; }
};

TEST(Desk, TheDigesterSeesTheSameFactsAndNamesWhatHarmIsAbout) {
  Sim sim(1);
  TempFolder folder;
  RecordingDigests digests;
  Life life(sim, folder.at("state.db"), &digests);
  event::HarmFact h;
  h.head.happened = sim.now();
  h.head.municipality = kHere;
  h.harm = event::Harm::reported;
  h.account = "x@gentofte.example";
  h.url = "bio.link/orbes";
  std::vector<event::Fact> facts = burst(sim.now(), 2);
  facts.emplace_back(h);
  life.desk->feed(facts, sim.now(), false);
  life.commit();
  EXPECT_EQ(digests.seen, (std::vector<std::string>{"mail m0@g", "mail m1@g", "harm bio.link/orbes"}));
  const auto harms = life.told<event::HarmNotice>("harm");
  ASSERT_EQ(harms.size(), 1U);
  EXPECT_EQ(harms.front().digest, "00ff");
  EXPECT_FALSE(harms.front().sender);
  EXPECT_EQ(life.desk->memory(), Duration(90 * 24h));
  std::string saved;
  ASSERT_TRUE(life.desk->save(saved));
  EXPECT_TRUE(life.desk->load(saved));
  EXPECT_FALSE(life.desk->load(saved.substr(0, saved.size() - 1)));
  EXPECT_FALSE(life.desk->load("nonsense"));
}

/// Killed at any moment, started again with the state saved some time before, fed again from there: every Message-ID is told once, the totals
/// are the same, whatever waited when it was killed.
TEST(Desk, KilledAnywhereItTellsEverythingOnce) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    Sim sim(seed);
    TempFolder folder;
    const std::string path = folder.at("state.db");
    const auto facts = burst(sim.now(), 300);
    struct Batch {
      std::size_t first, count;
      Instant received;
    };
    std::vector<Batch> journal;
    std::size_t next = 0, committed = 0;  // batches
    std::string saved;
    std::size_t saved_at = 0;
    auto life = std::make_unique<Life>(sim, path);
    std::size_t kills = 0;
    while (next < facts.size() || committed < journal.size()) {
      sim.advance(std::chrono::seconds(1 + random() % 6));
      if (next < facts.size()) {
        const std::size_t n = std::min<std::size_t>(1 + random() % 12, facts.size() - next);
        journal.push_back({next, n, sim.now()});
        next += n;
      }
      const auto feed = [&](std::size_t b, bool again) {
        life->desk->feed(std::span(facts).subspan(journal[b].first, journal[b].count), journal[b].received, again);
      };
      if (random() % 3 != 0) {
        for (std::size_t b = committed; b < journal.size(); ++b) feed(b, false);
        // Killed with facts taken in and nothing committed, or go on.
        if (random() % 8 != 0 || next == facts.size()) {
          life->commit();
          committed = journal.size();
          if (random() % 4 == 0) {
            saved.clear();
            ASSERT_TRUE(life->desk->save(saved));
            saved_at = committed;
          }
          if (random() % 6 != 0) continue;
        }
        life.reset();
        life = std::make_unique<Life>(sim, path);
        ++kills;
        if (!saved.empty()) {
          ASSERT_TRUE(life->desk->load(saved));
        }
        for (std::size_t b = saved_at; b < committed; ++b) feed(b, true);
      }
    }
    sim.advance(10min);
    EXPECT_GT(kills, 0U);
    const auto parts = life->told<event::SenderNotice>("sender_notice");
    ASSERT_FALSE(parts.empty());
    std::set<std::string> ids;
    std::int64_t part = 0;
    for (const auto& p : parts) {
      EXPECT_EQ(p.part, ++part);
      EXPECT_EQ(p.id, parts.front().id);
      for (const auto& d : p.to)
        for (const auto& id : d.message_ids) EXPECT_TRUE(ids.insert(d.domain + id).second) << id;
    }
    EXPECT_EQ(ids.size(), 300U);
    EXPECT_EQ(parts.back().mails, 300);
    EXPECT_EQ(life->desk->list(kOwner, {})->front().mails, 300);
    if (HasFailure()) return;
  }
}

TEST(Desk, AUnitThatRunsTwiceTellsOnce) {
  Sim sim(1);
  TempFolder folder;
  Life life(sim, folder.at("state.db"));
  life.desk->feed(burst(sim.now(), 60), sim.now() + 1min, false);
  store::Unit unit = life.desk->take();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(life.state
                    ->write_now([&](store::Tx& tx) -> Result<void> {
                      const auto ok = unit(tx);
                      if (i == 0) return fail(Code::unavailable, "the disk is full");
                      return ok;
                    })
                    .has_value() == (i != 0));
  }
  EXPECT_EQ(life.told<event::SenderNotice>("sender_notice").size(), 1U);
}

TEST(Desk, HistoryReadAgainTellsNothingOfLongAgo) {
  Sim sim(1);
  TempFolder folder;
  Life life(sim, folder.at("state.db"));
  const Instant then = sim.now() - 20 * 24h;
  for (const event::Fact& f : burst(then, 60)) life.desk->feed(std::vector{f}, then + 10min, true);
  life.commit();
  sim.advance(1h);
  EXPECT_TRUE(life.told<event::SenderNotice>("sender_notice").empty());
}

TEST(Desk, RetentionForgetsWhole) {
  Sim sim(1);
  TempFolder folder;
  Life life(sim, folder.at("state.db"));
  life.desk->feed(burst(sim.now(), 60), sim.now() + 1min, false);
  life.commit();
  for (const auto& rule : notice_retention())
    EXPECT_TRUE(life.state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(rule.forget(tx, sim.now() + 1h));
      return {};
    }));
  EXPECT_TRUE(life.desk->list(kOwner, {})->empty());
  const auto left = life.state->read([](store::Reader& r) {
    return r.number(
        "SELECT (SELECT count(*) FROM node_notice_mail) + (SELECT count(*) FROM node_notice_sign) + (SELECT count(*) "
        "FROM "
        "node_notice_domain)");
  });
  EXPECT_EQ(left.value(), 0);
}

}  // namespace
}  // namespace bavn::notice
