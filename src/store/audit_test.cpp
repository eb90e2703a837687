#include "store/audit.hpp"

#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "base/sim.hpp"

namespace bavn::store::audit {

namespace {

using namespace std::chrono_literals;

class Audit : public testing::Test {
 protected:
  Audit() {
    auto opened = State::open(sim_, {.path = ":memory:", .schema = {"core"}});
    EXPECT_TRUE(opened);
    state_ = std::move(*opened);
    note(20);
  }
  void note(int n) {
    for (int i = 0; i < n; ++i) {
      write([&](Tx& tx) { return tx.audit({"duty@example.org", "alert.closed", "alert-" + std::to_string(i), "{}"}); });
      sim_.advance(1min);
    }
  }
  void write(Unit unit) {
    const auto ok = state_->write_now(std::move(unit));
    EXPECT_TRUE(ok) << to_string(ok.error());
  }
  void exec(std::string_view sql) {
    write([&](Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec(sql));
      return {};
    });
  }
  Report verified(const std::vector<Witness>& also = {}) {
    const auto r = state_->read([&](Reader& reader) {
      return verify(reader, also, [](const Witness& w) { return w.signature.bytes == "ok"; });
    });
    EXPECT_TRUE(r) << to_string(r.error());
    return *r;
  }
  Witness witness_of(std::int64_t seq, std::string party = "kommune-101") {
    const auto h =
        state_->read([&](Reader& r) { return r.one<Blob>("SELECT hash FROM audit WHERE seq = :seq", {{"seq", seq}}); });
    return {std::string(kSelf), std::move(party), seq, **h, micros(sim_.now()), Blob{"ok"}};
  }
  /// The one finding there is.
  Finding only(const Report& r) {
    EXPECT_EQ(r.findings.size(), 1U);
    for (const auto& f : r.findings) last_text_ += f.text + "\n";
    return r.findings.empty() ? Finding{} : r.findings[0];
  }
  Sim sim_{3};
  std::unique_ptr<State> state_;
  std::string last_text_;
};

TEST_F(Audit, AWholeChainIsWhole) {
  const auto r = verified();
  EXPECT_TRUE(r.ok());
  EXPECT_EQ(r.entries, 20);
  EXPECT_EQ(r.first, 1);
  EXPECT_EQ(r.last, 20);
}

TEST_F(Audit, TheHashIsTheOneWrittenDown) {
  // Made once and kept: another hash would make every log in the field look changed.
  const AuditRow row{1, 1'727'769'600'000'000, "who", "did", "what", "{}", Blob{std::string(32, '\0')}, {}};
  EXPECT_EQ(to_hex(hash_of(row)), "0dbf16fe31df4d79500cc204af2caa10809d7eed4b11beea665f6b8a404cf2c9");
}

TEST_F(Audit, AChangeOfAnyColumnIsFoundAndNamed) {
  for (const std::string change : {"at_us = at_us + 1", "who = 'nobody'", "action = 'alert.opened'", "subject = 'x'",
                                   "detail = '{\"a\":1}'", "hash = zeroblob(32)", "previous = zeroblob(32)"}) {
    exec("CREATE TABLE kept AS SELECT * FROM audit");
    exec("UPDATE audit SET " + change + " WHERE seq = 7");
    const auto f = only(verified());
    EXPECT_EQ(f.fault, Fault::changed) << change;
    EXPECT_EQ(f.first, 7) << change;
    exec("DELETE FROM audit");
    exec("INSERT INTO audit SELECT * FROM kept");
    exec("DROP TABLE kept");
  }
  EXPECT_TRUE(verified().ok());
}

TEST_F(Audit, AMissingEntryIsFoundAndNamed) {
  exec("DELETE FROM audit WHERE seq = 7");
  auto f = only(verified());
  EXPECT_EQ(f.fault, Fault::missing);
  EXPECT_EQ(f.text, "entry 7 is missing");
  exec("DELETE FROM audit WHERE seq IN (1, 2, 3)");
  EXPECT_EQ(verified().findings.at(0).text, "entries 1 to 3 are missing");
}

TEST_F(Audit, AMissingEntryIsFoundWhenTheRestMovesUp) {
  exec("DELETE FROM audit WHERE seq = 7");
  exec("UPDATE audit SET seq = seq - 1 WHERE seq > 7");
  const auto r = verified();
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.findings[0].fault, Fault::reordered);
  EXPECT_EQ(r.findings[0].first, 7);
}

TEST_F(Audit, ReorderedEntriesAreFoundAndTheirTruePlaceIsNamed) {
  exec("UPDATE audit SET seq = CASE seq WHEN 7 THEN 1007 ELSE 1008 END WHERE seq IN (7, 8)");
  exec("UPDATE audit SET seq = CASE seq WHEN 1007 THEN 8 ELSE 7 END WHERE seq > 1000");
  const auto r = verified();
  ASSERT_EQ(r.findings.size(), 2U);
  EXPECT_EQ(r.findings[0].text, "entry 7 is what was written as entry 8: they were reordered");
  EXPECT_EQ(r.findings[1].text, "entry 8 is what was written as entry 7: they were reordered");
}

TEST_F(Audit, AnEntryReplacedByAWholeOneIsFound) {
  AuditRow row{7, 1, "duty@example.org", "nothing.happened", "", "{}", {}, {}};
  row.previous = **state_->read([](Reader& r) { return r.one<Blob>("SELECT previous FROM audit WHERE seq = 7"); });
  row.hash.bytes = hash_of(row);
  write([&](Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("UPDATE audit SET at_us = 1, action = 'nothing.happened', subject = '', hash = :h WHERE seq = 7",
                       {{"h", row.hash}}));
    return {};
  });
  EXPECT_EQ(only(verified()).text, "entry 7 was replaced after entry 8 was written");
}

TEST_F(Audit, ACutEndIsFoundByTheWitnessHereAndByTheOneTheOtherSideKept) {
  const Witness theirs = witness_of(18, "kommune-147");
  const Witness ours = witness_of(16);
  write([&](Tx& tx) { return keep_witness(tx, ours); });
  EXPECT_EQ(verified({theirs}).witnessed_to, 18);
  exec("DELETE FROM audit WHERE seq > 17");
  EXPECT_TRUE(verified().ok());  // nobody here knows of 18
  auto f = only(verified({theirs}));
  EXPECT_EQ(f.fault, Fault::missing);
  EXPECT_EQ(f.first, 18);
  EXPECT_NE(f.text.find("the end is cut off: kommune-147 signed entry 18"), std::string::npos) << f.text;
  exec("DELETE FROM audit WHERE seq > 10");
  f = only(verified());
  EXPECT_EQ(f.first, 11);
  EXPECT_EQ(f.last, 16);
}

TEST_F(Audit, AChainWrittenAnewIsFoundByItsWitness) {
  const Witness ours = witness_of(10);
  write([&](Tx& tx) { return keep_witness(tx, ours); });
  exec("DELETE FROM audit");
  note(20);
  const auto r = verified();
  EXPECT_EQ(only(r).fault, Fault::not_ours);
  EXPECT_EQ(r.witnessed_to, 0);
}

TEST_F(Audit, AFalseSignatureIsFound) {
  Witness w = witness_of(10);
  w.signature.bytes = "forged";
  EXPECT_EQ(only(verified({w})).fault, Fault::bad_signature);
}

TEST_F(Audit, AWitnessThatContradictsAKeptOneIsRefused) {
  const auto keep = [&](Witness w) { return state_->write_now([&](Tx& tx) { return keep_witness(tx, w); }); };
  Witness w = witness_of(10);
  w.chain = "node:17";
  ASSERT_TRUE(keep(w));
  ASSERT_TRUE(keep(w));  // the same again is fine
  Witness other = w;
  other.hash.bytes[0] ^= 1;
  EXPECT_EQ(keep(other).error().code, Code::conflict);
  Witness older = w;
  older.seq = 9;
  EXPECT_EQ(keep(older).error().code, Code::conflict);
  Witness newer = w;
  newer.seq = 30;
  EXPECT_TRUE(keep(newer));
}

TEST_F(Audit, RetentionTakesTheOldestAndTheRestIsStillWhole) {
  const Witness w = witness_of(5);
  const Instant before = sim_.now() - 10min - 30s;
  write([&](Tx& tx) -> Result<void> {
    BAVN_TRY(const auto n, forget_before(tx, before));
    EXPECT_EQ(n, 10);
    return {};
  });
  auto r = verified({w});
  EXPECT_TRUE(r.ok());
  EXPECT_EQ(r.first, 11);
  EXPECT_EQ(r.taken_by_retention, 10);
  note(1);
  EXPECT_TRUE(verified().ok());
  exec("DELETE FROM audit WHERE seq = 11");
  EXPECT_EQ(only(verified()).text, "entry 11 is missing");
}

TEST_F(Audit, RetentionMayTakeEverythingAndTheChainGoesOn) {
  write([&](Tx& tx) -> Result<void> {
    BAVN_CHECK(forget_before(tx, tx.now() + 1h));
    return {};
  });
  note(3);
  const auto r = verified();
  EXPECT_TRUE(r.ok());
  EXPECT_EQ(r.first, 21);
  EXPECT_EQ(r.entries, 3);
}

TEST_F(Audit, AnUndoneUnitLeavesNoEntryAndNoGap) {
  const auto ok = state_->write_now([](Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.audit({"a", "b", "c", "{}"}));
    return fail(Code::conflict, "no");
  });
  ASSERT_FALSE(ok);
  note(1);
  const auto r = verified();
  EXPECT_TRUE(r.ok());
  EXPECT_EQ(r.last, 21);
}

}  // namespace

}  // namespace bavn::store::audit
