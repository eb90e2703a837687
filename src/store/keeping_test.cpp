// Backup, retention, kept replies.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "base/sim.hpp"
#include "base/temp_folder.hpp"
#include "base/threads.hpp"
#include "store/audit.hpp"
#include "store/kept_reply.hpp"
#include "store/retention.hpp"
#include "store/state_file.hpp"

namespace bavn::store {

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::unique_ptr<State> open(Runtime& runtime, const std::string& path) {
  auto opened = State::open(runtime, {.path = path, .schema = {"core"}});
  EXPECT_TRUE(opened) << to_string(opened.error());
  return std::move(*opened);
}

std::vector<TableDigest> digest(const std::string& path) {
  auto file = StateFile::open(path);
  EXPECT_TRUE(file) << to_string(file.error());
  auto d = file->digest();
  EXPECT_TRUE(d) << to_string(d.error());
  return *d;
}

TEST(Backup, ACopyHasTheSameDigestAndAnyDifferenceAnother) {
  Sim sim(1);
  TempFolder folder;
  auto state = open(sim, folder.at("state.db"));
  ASSERT_TRUE(state->write_now([](Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("CREATE TABLE odd (\"a \"\"b\" TEXT, n BLOB, r REAL)"));
    BAVN_CHECK(tx.exec("INSERT INTO odd VALUES ('x', x'00ff', 0.1), (NULL, '', 1e300), ('', NULL, NULL)"));
    BAVN_CHECK(tx.emit("a", "b"));
    return tx.audit({"w", "a", "s", "{}"});
  }));
  ASSERT_TRUE(state->backup(folder.at("copy.db")));
  EXPECT_FALSE(state->backup(folder.at("copy.db")));  // overwrites nothing
  EXPECT_EQ(digest(folder.at("state.db")), digest(folder.at("copy.db")));
  EXPECT_FALSE(fs::exists(folder.at("copy.db-wal")));
  EXPECT_EQ(fs::status(folder.at("copy.db")).permissions(), fs::perms::owner_read | fs::perms::owner_write);

  auto copy = open(sim, folder.at("copy.db"));
  ASSERT_TRUE(copy->write_now([](Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("UPDATE odd SET n = NULL WHERE n = ''"));
    return {};
  }));
  const auto a = digest(folder.at("state.db")), b = digest(folder.at("copy.db"));
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i] == b[i], a[i].table != "odd") << a[i].table;
}

TEST(Backup, TheDigestDoesNotDependOnTheOrderOfWriting) {
  Sim sim(1);
  TempFolder folder;
  for (const bool up : {true, false}) {
    auto state = open(sim, folder.at(up ? "up.db" : "down.db"));
    ASSERT_TRUE(state->write_now([&](Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("CREATE TABLE n (n INTEGER)"));
      for (int i = 0; i < 100; ++i) BAVN_CHECK(tx.exec("INSERT INTO n VALUES (:n)", {{"n", up ? i : 99 - i}}));
      return {};
    }));
  }
  EXPECT_EQ(digest(folder.at("up.db")), digest(folder.at("down.db")));
}

TEST(Backup, WhileOthersWriteItIsOneMomentAndTheyAreNotHeldUp) {
  Threads threads;
  TempFolder folder;
  auto state = open(threads, folder.at("state.db"));
  ASSERT_TRUE(state->write_now([](Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("CREATE TABLE pair (n INTEGER PRIMARY KEY, side TEXT, filling TEXT)"));
    for (int i = 0; i < 5000; ++i)
      BAVN_CHECK(tx.exec("INSERT INTO pair (side, filling) VALUES ('both', :f)", {{"f", std::string(1000, 'x')}}));
    return {};
  }));
  std::atomic<bool> stop = false;
  std::atomic<int> written = 0;
  std::thread writer([&] {
    while (!stop) {
      EXPECT_TRUE(state->write_now([](Tx& tx) -> Result<void> {
        for (const char* side : {"left", "right"})
          BAVN_CHECK(tx.exec("INSERT INTO pair (side) VALUES (:s)", {{"s", side}}));
        return tx.audit({"w", "pair", "", "{}"});
      }));
      ++written;
    }
  });
  for (int i = 0; i < 5; ++i) {
    const int before = written;
    const std::string path = folder.at(("copy" + std::to_string(i)).c_str());
    const auto ok = state->backup(path);
    EXPECT_TRUE(ok) << to_string(ok.error());
    EXPECT_GT(written, before);
    auto copy = StateFile::open(path);
    ASSERT_TRUE(copy);
    copy->read([&](Reader& r) {
      const auto left = *r.number("SELECT count(*) FROM pair WHERE side = 'left'");
      EXPECT_EQ(left, *r.number("SELECT count(*) FROM pair WHERE side = 'right'"));
      EXPECT_EQ(left, *r.number("SELECT count(*) FROM audit"));
      EXPECT_GE(left, before);
      EXPECT_TRUE(audit::verify(r)->ok());
      return 0;
    });
  }
  stop = true;
  writer.join();
  state->stop();
}

TEST(StateFileTest, AMissingAForeignAndABrokenFileAreRefusedWithTheReason) {
  TempFolder folder;
  EXPECT_EQ(StateFile::open(folder.at("none.db")).error().code, Code::not_found);
  DiskFiles files;
  ASSERT_TRUE(replace_file(files, folder.at("text.db"), std::string(5000, 'x')));
  EXPECT_EQ(StateFile::open(folder.at("text.db")).error().code, Code::corrupt);
}

class Keeping : public testing::Test {
 protected:
  Keeping() : state_(open(sim_, ":memory:")) {
    auto made = Retention::open(*state_, core_retention());
    EXPECT_TRUE(made) << to_string(made.error());
    retention_ = std::move(*made);
  }
  std::int64_t number(std::string_view sql) {
    return *state_->read([&](Reader& r) { return r.number(sql); });
  }
  Sim sim_{1};
  std::unique_ptr<State> state_;
  std::unique_ptr<Retention> retention_;
};

TEST_F(Keeping, EachClassLosesWhatIsOlderThanItsDaysAndTheAuditLogSaysSo) {
  const auto all = [](Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.emit("seen", "x"));
    BAVN_CHECK(keep_reply(tx, "w", "k", "r", {200, {}}));
    return tx.audit({"w", "did", "s", "{}"});
  };
  ASSERT_TRUE(state_->write_now(all));
  const auto queue = sim_.queue({.name = "q"});
  state_->subscribe("c", queue, [](const DomainEvent&) -> Result<void> { return {}; });
  state_->start();
  sim_.advance(36h);
  auto gone = retention_->retain(sim_.now());
  ASSERT_TRUE(gone) << to_string(gone.error());
  EXPECT_EQ(*gone, (std::vector<std::pair<std::string, std::int64_t>>{{"kept_replies", 1}}));
  EXPECT_EQ(number("SELECT count(*) FROM audit WHERE action = 'retention.ran' AND detail = '{\"kept_replies\":1}'"), 1);
  sim_.advance(24h * 7);
  EXPECT_EQ(retention_->retain(sim_.now())->at(0).first, "announced");
  ASSERT_TRUE(retention_->set_days("dpo@example.org", "audit", 3));
  sim_.advance(24h * 3);
  EXPECT_EQ(retention_->retain(sim_.now())->at(0).first, "audit");
  const auto report = state_->read([](Reader& r) { return audit::verify(r); });
  EXPECT_TRUE(report->ok());
  EXPECT_GT(report->taken_by_retention, 0);
}

TEST_F(Keeping, AnEventAConsumerHasNotSeenIsKeptLonger) {
  ASSERT_TRUE(state_->write_now([](Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("INSERT INTO consumer VALUES ('slow', 1, 0)"));
    for (int i = 0; i < 3; ++i) BAVN_CHECK(tx.emit("e", "x"));
    return {};
  }));
  sim_.advance(24h * 8);
  ASSERT_TRUE(retention_->retain(sim_.now()));
  EXPECT_EQ(number("SELECT count(*) FROM domain_event"), 2);
  sim_.advance(24h * 90);
  ASSERT_TRUE(retention_->retain(sim_.now()));
  EXPECT_EQ(number("SELECT count(*) FROM domain_event"), 0);
}

TEST_F(Keeping, ItRunsByItselfOnceADay) {
  const auto queue = sim_.queue({.name = "q"});
  ASSERT_TRUE(retention_->start(queue));
  state_->start();
  for (int day = 0; day < 5; ++day) {
    ASSERT_TRUE(state_->write_now(
        [](Tx& tx) { return keep_reply(tx, "w", std::to_string(micros(tx.now())), "r", {200, {}}); }));
    sim_.advance(24h);
  }
  EXPECT_LE(number("SELECT count(*) FROM kept_reply"), 2);
  EXPECT_GE(number("SELECT count(*) FROM audit WHERE action = 'retention.ran'"), 3);
}

TEST_F(Keeping, TheDaysAreTheOperatorsAndAClassHasOneRule) {
  ASSERT_TRUE(retention_->set_days("dpo@example.org", "kept_replies", 3));
  EXPECT_EQ(retention_->set_days("dpo@example.org", "nothing", 3).error().code, Code::not_found);
  EXPECT_EQ(retention_->set_days("dpo@example.org", "audit", 0).error().code, Code::bad_input);
  ASSERT_TRUE(Retention::open(*state_, core_retention()));  // the next start
  EXPECT_EQ(number("SELECT days FROM retention_class WHERE name = 'kept_replies'"), 3);
  EXPECT_EQ(number("SELECT count(*) FROM audit WHERE action = 'retention.changed'"), 1);
  auto twice = core_retention();
  twice.push_back(twice.front());
  EXPECT_EQ(Retention::open(*state_, std::move(twice)).error().code, Code::conflict);
}

TEST_F(Keeping, ARequestSentAgainGetsTheSameAnswerForADayAndItsSenderAlone) {
  const auto ask = [&](std::string_view who, std::string_view key, std::string_view request) {
    std::optional<KeptReply> found;
    const auto ok = state_->write_now([&](Tx& tx) -> Result<void> {
      BAVN_TRY(found, kept_reply(tx, who, key, request));
      if (found) return {};
      return keep_reply(tx, who, key, request, {201, Blob{std::string("made\0", 5)}});
    });
    return ok ? Result<std::optional<KeptReply>>(found) : std::unexpected(ok.error());
  };
  EXPECT_EQ(*ask("a", "k", "POST x"), std::nullopt);
  const auto again = ask("a", "k", "POST x");
  ASSERT_TRUE(again && *again);
  EXPECT_EQ((*again)->status, 201);
  EXPECT_EQ((*again)->reply.bytes, std::string_view("made\0", 5));
  EXPECT_EQ(ask("a", "k", "POST y").error().code, Code::conflict);
  EXPECT_EQ(*ask("b", "k", "POST x"), std::nullopt);
  EXPECT_EQ(ask("a", "", "POST x").error().code, Code::bad_input);
  sim_.advance(25h);
  EXPECT_EQ(*ask("a", "k", "POST y"), std::nullopt);
}

}  // namespace

}  // namespace bavn::store
