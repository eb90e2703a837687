#include "beacon/follower.hpp"

#include <random>

#include "base/json_writer.hpp"
#include "beacon/testing.hpp"

namespace bavn::beacon {
namespace {

using namespace testing;

constexpr Instant kNow{std::chrono::microseconds{1'727'769'600'000'000}};

/// Signs chains as a hub does.
struct Log {
  char root_letter = 'r', hub_letter = 'h';  // of key_of()
  SigningKey root() const { return key_of(root_letter); }
  SigningKey hub() const { return key_of(hub_letter); }
  std::uint64_t epoch = 1;
  std::map<std::string, Cursor> tips;

  Entry next(const std::string& stream, std::string payload, std::string kind = "warning", Instant from = kNow,
             Instant until = kNow + 24h) {
    Cursor& tip = tips[stream];
    const Entry e =
        sign_entry(hub(), {stream, epoch, tip.seq + 1, tip.hash, {}, from, until}, std::move(kind), std::move(payload));
    tip = {epoch, e.head.seq, hash_of(e.head)};
    return e;
  }
  std::string hello(std::uint64_t most = 0) const {
    std::string out;
    JsonWriter w(out);
    w.object().key("statements").array().value(statement(root(), hub().public_key(), epoch));
    w.end().key("streams").object();
    for (const auto& [stream, tip] : tips) w.member(stream, most ? most : tip.seq);
    w.end().end();
    return out;
  }
};

struct Bench {
  explicit Bench(Saved saved = {})
      : follower(options(), std::move(saved), [](std::uint64_t) { return std::uint64_t{0}; }) {
    follower.start(now);
    (void)actions();
  }
  FollowerOptions options() {
    FollowerOptions o;
    o.municipalities = {{101}};
    o.check = check_statement(log.root().public_key());
    o.known_hash = [this](std::string_view stream, std::uint64_t seq) -> std::optional<Hash> {
      for (const auto& e : applied)
        if (e.head.stream == stream && e.head.seq == seq) return hash_of(e.head);
      return std::nullopt;
    };
    return o;
  }
  std::vector<Action> actions() {
    auto out = follower.take();
    for (auto& a : out)
      if (auto* apply = std::get_if<Apply>(&a)) applying = apply->steps;
    return out;
  }
  template <class T>
  std::vector<T> of(const std::vector<Action>& all) {
    std::vector<T> out;
    for (const auto& a : all)
      if (const auto* t = std::get_if<T>(&a)) out.push_back(*t);
    return out;
  }
  void hello() { follower.on_event(now, {"", "hello", log.hello()}); }
  void send(const Entry& e, Position p = {}, std::string event = "entry") {
    raw(to_base64(encode(e)), p, std::move(event));
  }
  void raw(std::string data, Position p = {}, std::string event = "entry") {
    follower.on_event(now, {to_string(p), std::move(event), std::move(data)});
  }
  /// Does what it asks to apply, until it asks no more. Returns everything else it asked for.
  std::vector<Action> settle() {
    std::vector<Action> rest;
    for (auto all = actions(); !all.empty(); all = actions())
      for (auto& a : all) {
        if (auto* apply = std::get_if<Apply>(&a)) {
          for (const auto& s : apply->steps) {
            if (s.what == Step::What::evidence) evidence.push_back(s.why);
            else applied.push_back(s.entry);
            if (s.what == Step::What::entry) payloads.push_back(s.entry.payload);
            for (const auto& i : s.items) payloads.push_back(i.payload);
          }
          follower.on_applied(now, {});
        } else {
          rest.push_back(std::move(a));
        }
      }
    return rest;
  }

  Log log;
  Instant now = kNow;
  std::vector<Entry> applied;
  std::vector<std::string> payloads, evidence;
  std::vector<Step> applying;
  Follower follower;
};

TEST(Follower, AppliesUrgentEntriesInOrderOnce) {
  Bench b;
  b.hello();
  const Entry one = b.log.next("urgent/all", "one"), two = b.log.next("urgent/101", "two"),
              three = b.log.next("urgent/all", "three");
  b.send(one, {1, 0});
  b.send(two, {2, 0});
  b.send(one, {1, 0});
  b.send(three, {3, 0});
  b.follower.on_event(b.now, {"", "live", ""});
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(b.follower.status().duplicates, 1U);
  EXPECT_EQ(b.follower.status().position, (Position{3, 0}));
  EXPECT_EQ(b.follower.status().state, Following::live);
}

TEST(Follower, AForgedEntryIsRefusedKeptAsEvidenceAndTheStreamBeginsAgain) {
  Bench b;
  b.hello();
  b.send(b.log.next("urgent/all", "one"), {1, 0});
  Entry forged = b.log.next("urgent/all", "two");
  forged = sign_entry(key_of('x'), forged.head, "order", "evil");
  b.send(forged, {2, 0});
  const auto rest = b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"one"}));
  ASSERT_EQ(b.evidence.size(), 1U);
  EXPECT_NE(b.evidence[0].find("not the hub's"), std::string::npos);
  const auto connects = b.of<Connect>(rest);
  ASSERT_EQ(connects.size(), 1U);
  EXPECT_EQ(connects[0].have, "urgent/all:1");
  EXPECT_FALSE(b.follower.forked());
}

TEST(Follower, TruncatedAndSenselessEntriesAreRefused) {
  Bench b;
  const std::string good = encode(b.log.next("urgent/all", "one"));
  for (const auto& data : {to_base64(good.substr(0, good.size() - 3)), std::string("<html>Sign in</html>"),
                           std::string(), to_base64("x" + good.substr(1))}) {
    b.hello();
    b.raw(data, {1, 0});
    EXPECT_EQ(b.of<Connect>(b.settle()).size(), 1U) << data;
  }
  EXPECT_TRUE(b.payloads.empty());
  EXPECT_EQ(b.follower.status().refused, 4U);
}

TEST(Follower, NonsenseInsteadOfAGreetingIsRefusedWithTheReason) {
  Bench b;
  b.follower.on_event(b.now, {"", "hello", "<html>proxy</html>"});
  EXPECT_EQ(b.of<Connect>(b.settle()).size(), 1U);
  EXPECT_NE(b.follower.status().text.find("cannot be read"), std::string::npos);
  Log other;
  other.root_letter = 'q';
  b.follower.on_event(b.now, {"", "hello", other.hello()});
  b.settle();
  EXPECT_NE(b.follower.status().text.find("not certified by the root"), std::string::npos);
  b.send(b.log.next("urgent/all", "before any greeting"), {1, 0});
  b.settle();
  EXPECT_TRUE(b.payloads.empty());
}

TEST(Follower, AsksAgainForWhatIsMissing) {
  Bench b;
  b.hello();
  b.send(b.log.next("urgent/all", "one"), {1, 0});
  const Entry two = b.log.next("urgent/all", "two"), three = b.log.next("urgent/all", "three");
  b.send(three, {3, 0});
  auto connects = b.of<Connect>(b.settle());
  ASSERT_EQ(connects.size(), 1U);
  EXPECT_EQ(connects[0].have, "urgent/all:1");
  b.hello();
  b.send(two, {2, 0});
  b.send(three, {3, 0});
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(b.follower.status().gaps, 1U);
}

TEST(Follower, TheSameSeqWithAnotherHashIsAForkAndNothingIsTakenAnyMore) {
  Bench b;
  b.hello();
  Log other = b.log;
  const Entry one = b.log.next("urgent/all", "one"), evil = other.next("urgent/all", "another one", "order");
  b.send(one, {1, 0});
  b.settle();
  b.send(evil, {1, 0});
  const auto rest = b.settle();
  const auto forks = b.of<KeepFork>(rest);
  ASSERT_EQ(forks.size(), 1U);
  EXPECT_EQ(decode_entry(forks[0].fork.offered).value(), evil);
  EXPECT_EQ(forks[0].fork.seq, 1U);
  EXPECT_TRUE(b.of<Connect>(rest).empty());
  EXPECT_EQ(b.follower.status().state, Following::forked);
  b.send(b.log.next("urgent/all", "two"), {2, 0});
  b.follower.on_tick(b.now + 1h);
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"one"}));

  Saved saved;  // and after a restart
  saved.fork = forks[0].fork;
  Bench again(saved);
  EXPECT_EQ(again.follower.status().state, Following::forked);
  EXPECT_FALSE(again.follower.status().text.empty());
  again.hello();
  again.send(one, {1, 0});
  again.settle();
  EXPECT_TRUE(again.payloads.empty());
}

TEST(Follower, AnEntryThatStandsOnAnotherThanOursIsAForkToo) {
  Bench b;
  b.hello();
  Log other = b.log;
  b.send(b.log.next("urgent/all", "one"), {1, 0});
  b.settle();
  (void)other.next("urgent/all", "another one");
  b.send(other.next("urgent/all", "two"), {2, 0});
  const auto forks = b.of<KeepFork>(b.settle());
  ASSERT_EQ(forks.size(), 1U);
  EXPECT_EQ(forks[0].fork.seq, 1U);
}

TEST(Follower, APersonSettlesAForkAndItGoesOnFromThere) {
  Bench b;
  b.hello();
  Log other = b.log;
  b.send(b.log.next("urgent/all", "one"), {1, 0});
  b.settle();
  const Entry evil = other.next("urgent/all", "the hub's one");
  b.send(evil, {1, 0});
  b.settle();
  b.follower.settle_fork(b.now);
  const auto rest = b.settle();
  ASSERT_EQ(b.of<ForgetFork>(rest).size(), 1U);
  EXPECT_FALSE(b.of<ForgetFork>(rest)[0].cursor);
  b.applied.clear();
  b.log = other;
  b.hello();
  b.send(evil, {1, 0});
  b.send(b.log.next("urgent/all", "two"), {2, 0});
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"one", "the hub's one", "two"}));
}

TEST(Follower, AnOldHubThatComesBackIsFenced) {
  Bench b;
  const Log old = b.log;
  b.send(b.log.next("urgent/all", "one"), {1, 0});
  b.log.epoch = 2;
  b.log.hub_letter = 'n';
  b.hello();
  EXPECT_EQ(b.of<KeepEpoch>(b.settle()).at(0).epoch, 2U);
  b.follower.on_event(b.now, {"", "hello", old.hello()});
  EXPECT_EQ(b.of<Connect>(b.settle()).size(), 1U);
  EXPECT_NE(b.follower.status().text.find("old hub"), std::string::npos);
}

TEST(Follower, EpochsNeverFallAlongAChain) {
  Bench b;
  const Log old = b.log;
  b.log.epoch = 2;
  b.log.hub_letter = 'n';
  std::string both = R"({"statements":[")" + statement(b.log.root(), old.hub().public_key(), 1) + R"(",")" +
                     statement(b.log.root(), b.log.hub().public_key(), 2) + R"("],"streams":{}})";
  b.follower.on_event(b.now, {"", "hello", both});
  b.send(b.log.next("urgent/all", "2", "epoch"), {1, 0});
  Log stolen = old;
  stolen.tips = b.log.tips;
  b.send(stolen.next("urgent/all", "evil"), {2, 0});
  b.settle();
  EXPECT_TRUE(b.payloads.empty());
  ASSERT_EQ(b.evidence.size(), 1U);
  EXPECT_NE(b.evidence[0].find("old hub"), std::string::npos);
}

TEST(Follower, AnotherMunicipalitysStreamIsRefused) {
  Bench b;
  b.hello();
  b.send(b.log.next("urgent/102", "not ours"), {1, 0});
  b.settle();
  EXPECT_TRUE(b.payloads.empty());
  EXPECT_EQ(b.evidence.size(), 1U);
}

TEST(Follower, WhatHasExpiredIsPassedOverAndCounted) {
  Bench b;
  b.hello();
  b.send(b.log.next("urgent/all", "over", "order", kNow - 2h, kNow - 1h), {1, 0});
  b.send(b.log.next("urgent/all", "valid"), {2, 0});
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"valid"}));
  EXPECT_EQ(b.follower.status().expired, 1U);
}

TEST(Follower, WhenTheClocksDisagreeAboutAnEntryItWaitsAndSaysSo) {
  Bench b;
  b.hello();
  b.now = kNow + 48h;  // ours runs ahead: by it the order is over, by the hub's it is not
  b.follower.on_offset(48h);
  b.send(b.log.next("urgent/all", "order", "order"), {1, 0});
  b.settle();
  EXPECT_TRUE(b.payloads.empty());
  EXPECT_EQ(b.follower.status().state, Following::clock_trouble);
  b.now = kNow + 1min;
  b.follower.on_offset(0s);
  b.follower.on_tick(b.now);
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"order"}));
  EXPECT_NE(b.follower.status().state, Following::clock_trouble);
}

TEST(Follower, WhatCannotBeAppliedIsTriedAgainAndNothingIsLost) {
  Bench b;
  b.hello();
  b.send(b.log.next("urgent/all", "one"), {1, 0});
  ASSERT_EQ(b.of<Apply>(b.actions()).size(), 1U);
  b.follower.on_applied(b.now, fail(Code::unavailable, "the disk is full"));
  EXPECT_NE(b.follower.status().text.find("disk is full"), std::string::npos);
  b.send(b.log.next("urgent/all", "two"), {2, 0});
  EXPECT_TRUE(b.settle().empty());
  b.now += 5s;
  b.follower.on_tick(b.now);
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"one", "two"}));
}

/// A segment and the answers a hub gives to requests for its parts.
struct Segment {
  explicit Segment(std::initializer_list<Item> items)
      : bytes(encode_segment(items)), ref{hash_of(std::string_view(bytes)), bytes.size()} {}
  net::ClientReply part(const Fetch& f) const { return {206, {}, bytes.substr(f.from, f.length)}; }
  std::string bytes;
  FileRef ref;
};

std::string noise(std::size_t n) {
  std::mt19937_64 random(n);
  std::string s(n, '\0');
  for (auto& c : s) c = static_cast<char>(random());
  return s;
}

TEST(Follower, FetchesSegmentsPartByPartAndGoesOnWhereItWasCut) {
  Bench b;
  b.hello();
  const Segment s({{"rules", noise(900'000)}, {"rules", noise(1'000'000)}, {"indicators", "last"}});
  b.send(b.log.next("bulk/all", encode(s.ref), "segment"), {0, 1});
  auto fetches = b.of<Fetch>(b.settle());
  ASSERT_EQ(fetches.size(), 1U);
  EXPECT_EQ(fetches[0].path, "/beacon/v1/bulk/all/1");
  b.follower.on_part(b.now, fetches[0].id, s.part(fetches[0]));
  fetches = b.of<Fetch>(b.settle());
  ASSERT_EQ(fetches.size(), 1U);
  EXPECT_EQ(fetches[0].from, 1U << 20U);
  b.follower.on_part(b.now, fetches[0].id, fail(Code::unavailable, "cut"));
  fetches = b.of<Fetch>(b.settle());
  ASSERT_EQ(fetches.size(), 1U);
  EXPECT_EQ(fetches[0].from, 1U << 20U);
  b.follower.on_part(b.now, fetches[0].id, s.part(fetches[0]));
  b.settle();
  ASSERT_EQ(b.payloads.size(), 3U);
  EXPECT_EQ(b.payloads[2], "last");
}

TEST(Follower, ASegmentThatIsNotTheSignedOneIsFetchedAgain) {
  Bench b;
  b.hello();
  const Segment s({{"indicators", "right"}});
  b.send(b.log.next("bulk/all", encode(s.ref), "segment"), {0, 1});
  auto fetch = b.of<Fetch>(b.settle()).at(0);
  std::string wrong = s.bytes;
  wrong[wrong.size() / 2] ^= 1;
  for (const auto& reply : {net::ClientReply{206, {}, wrong}, net::ClientReply{200, {}, "<html>sign in</html>"},
                            net::ClientReply{206, {}, s.bytes + "x"}, net::ClientReply{500, {}, ""}}) {
    b.follower.on_part(b.now, fetch.id, reply);
    const auto again = b.of<Fetch>(b.settle());
    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(again[0].from, 0U);
    fetch = again[0];
  }
  EXPECT_TRUE(b.payloads.empty());
  b.follower.on_part(b.now, fetch.id, s.part(fetch));
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"right"}));
}

TEST(Follower, UrgentEntriesDoNotWaitForBulk) {
  Bench b;
  b.hello();
  const Segment s({{"indicators", "slow"}});
  b.send(b.log.next("bulk/all", encode(s.ref), "segment"), {0, 1});
  const auto fetch = b.of<Fetch>(b.settle()).at(0);
  b.send(b.log.next("urgent/all", "fast"), {1, 1});
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"fast"}));
  b.follower.on_part(b.now, fetch.id, s.part(fetch));
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"fast", "slow"}));
}

TEST(Follower, ASegmentTheHubSignedButNobodyCanReadIsPassedOverWithEvidence) {
  Bench b;
  b.hello();
  Segment s({{"indicators", "x"}});
  s.bytes = "no zstd at all";
  s.ref = {hash_of(std::string_view(s.bytes)), s.bytes.size()};
  b.send(b.log.next("bulk/all", encode(s.ref), "segment"), {0, 1});
  const auto fetch = b.of<Fetch>(b.settle()).at(0);
  b.follower.on_part(b.now, fetch.id, s.part(fetch));
  (void)b.actions();
  ASSERT_EQ(b.applying.size(), 1U);
  EXPECT_EQ(b.applying[0].what, Step::What::skip);
  EXPECT_NE(b.applying[0].why.find("cannot be read"), std::string::npos);
}

TEST(Follower, ANewNodeStartsFromTheBaseAndGoesOnBehindWhatItCovers) {
  Bench b;
  b.hello();
  std::vector<Entry> covered;
  for (int i = 0; i < 5; ++i)
    covered.push_back(b.log.next("bulk/all", encode(Segment({{"indicators", "old"}}).ref), "segment"));
  const Segment items({{"rules", "in force"}});
  const BaseRef ref{{hash_of("base file"), 9}, items.ref, 5, 1, hash_of(covered.back().head)};
  b.send(b.log.next("base/all", encode(ref), "base"), {}, "base");
  const auto find = b.of<FindBase>(b.settle());
  ASSERT_EQ(find.size(), 1U);
  const Segment news({{"indicators", "new"}});
  b.send(b.log.next("bulk/all", encode(news.ref), "segment"), {0, 6});
  EXPECT_TRUE(b.of<Fetch>(b.settle()).empty());  // first the base
  b.follower.on_base_found(b.now, find[0].id, Follower::Found{"", 4});
  auto fetch = b.of<Fetch>(b.settle()).at(0);
  EXPECT_EQ(fetch.path, "/beacon/v1/base/all/1");
  EXPECT_EQ(fetch.from, 4U);
  b.follower.on_part(b.now, fetch.id, net::ClientReply{206, {}, std::string("base file").substr(4)});
  const auto write = b.of<WriteBase>(b.settle()).at(0);
  EXPECT_EQ(write.from, 4U);
  b.follower.on_written(b.now, write.id, {});
  const auto finish = b.of<FinishBase>(b.settle()).at(0);
  b.follower.on_base_found(b.now, finish.id, Follower::Found{"/node/base", 0});
  fetch = b.of<Fetch>(b.settle()).at(0);
  EXPECT_EQ(fetch.path, "/beacon/v1/base/all/1/items");
  b.follower.on_part(b.now, fetch.id, items.part(fetch));
  fetch = b.of<Fetch>(b.settle()).at(0);
  EXPECT_EQ(fetch.path, "/beacon/v1/bulk/all/6");
  b.follower.on_part(b.now, fetch.id, news.part(fetch));
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"in force", "new"}));
}

TEST(Follower, ANodeThatIsUpToDateTakesTheBaseWithoutItsItems) {
  Bench b;
  b.hello();
  const Segment s({{"indicators", "one"}});
  const Entry one = b.log.next("bulk/all", encode(s.ref), "segment");
  b.send(one, {0, 1});
  const BaseRef ref{{hash_of("base file"), 9}, Segment({{"rules", "not again"}}).ref, 1, 1, hash_of(one.head)};
  b.send(b.log.next("base/all", encode(ref), "base"), {}, "base");
  const auto rest = b.settle();
  b.follower.on_base_found(b.now, b.of<FindBase>(rest).at(0).id, Follower::Found{"/shared/base", 0});
  b.settle();
  EXPECT_TRUE(b.payloads.empty());  // the base holds what is still on its way: it waits
  b.follower.on_part(b.now, b.of<Fetch>(rest).at(0).id, s.part(b.of<Fetch>(rest).at(0)));
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"one"}));
  EXPECT_EQ(b.applied.back().head.stream, "base/all");
}

TEST(Follower, ABaseOfferedAgainAfterACutStandsForWhatWasLostWithTheConnection) {
  Bench b;
  b.hello();
  const Segment s({{"indicators", "one"}}), items({{"rules", "in force"}});
  const Entry one = b.log.next("bulk/all", encode(s.ref), "segment");
  b.send(one, {0, 1});
  const BaseRef ref{{hash_of("base file"), 9}, items.ref, 1, 1, hash_of(one.head)};
  const Entry base = b.log.next("base/all", encode(ref), "base");
  b.send(base, {}, "base");
  b.follower.on_base_found(b.now, b.of<FindBase>(b.settle()).at(0).id, Follower::Found{"/shared/base", 0});
  b.follower.on_end(b.now, {Code::unavailable, "cut", {}});  // with it goes the entry that was accepted and not applied
  EXPECT_EQ(b.of<Connect>(b.settle()).at(0).have, "");
  b.hello();
  b.send(base, {}, "base");  // and the hub goes on behind what it covers
  const auto fetch = b.of<Fetch>(b.settle());
  ASSERT_EQ(fetch.size(), 1U);
  EXPECT_EQ(fetch[0].path, "/beacon/v1/base/all/1/items");
  b.follower.on_part(b.now, fetch[0].id, items.part(fetch[0]));
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"in force"}));
  const Segment two({{"indicators", "two"}});
  b.send(b.log.next("bulk/all", encode(two.ref), "segment"), {0, 2});
  const auto next = b.of<Fetch>(b.settle()).at(0);
  b.follower.on_part(b.now, next.id, two.part(next));
  b.settle();
  EXPECT_EQ(b.payloads.back(), "two");
}

TEST(Follower, ABaseThatStandsOnAnotherEntryThanOursIsAFork) {
  Bench b;
  b.hello();
  const Segment s({{"indicators", "one"}});
  b.send(b.log.next("bulk/all", encode(s.ref), "segment"), {0, 1});
  const BaseRef ref{{hash_of("base file"), 9}, {}, 1, 1, hash_of("another history")};
  b.send(b.log.next("base/all", encode(ref), "base"), {}, "base");
  EXPECT_EQ(b.of<KeepFork>(b.settle()).size(), 1U);
}

TEST(Follower, WhereTheHubsLogWasTrimmedTheAnchorTellsHowMuchIsMissed) {
  Bench b;
  b.hello();
  b.send(b.log.next("urgent/all", "one"), {1, 0});
  b.settle();
  for (int i = 2; i < 9; ++i) (void)b.log.next("urgent/all", "long gone");
  b.send(b.log.next("urgent/all", "the oldest that is left"), {9, 0}, "anchor");
  b.send(b.log.next("urgent/all", "ten"), {10, 0});
  b.settle();
  EXPECT_EQ(b.payloads, (std::vector<std::string>{"one", "ten"}));
  EXPECT_EQ(b.follower.status().missed, 8U);
}

TEST(Follower, AFloodIsDroppedAndFetchedAgainWhenTheRestIsApplied) {
  Bench b;
  FollowerOptions o = b.options();
  o.pending_bytes = 10'000;
  b.follower = Follower(o, {}, [](std::uint64_t) { return std::uint64_t{0}; });
  b.follower.start(b.now);
  (void)b.actions();
  b.hello();
  std::vector<Entry> all;
  for (int i = 0; i < 40; ++i)
    all.push_back(b.log.next("urgent/all", std::string(1000, static_cast<char>('a' + i % 26))));
  std::vector<Action> rest;
  for (std::uint64_t i = 0; i < 40; ++i) {
    b.send(all[i], {i + 1, 0});
    for (auto& a : b.follower.take()) rest.push_back(std::move(a));
  }
  EXPECT_EQ(b.of<Disconnect>(rest).size(), 1U);
  // Nothing was applied meanwhile; now it is.
  std::size_t applied = 0;
  std::string have;
  while (!rest.empty()) {
    std::vector<Action> next;
    for (auto& a : rest) {
      if (const auto* apply = std::get_if<Apply>(&a)) {
        applied += apply->steps.size();
        b.follower.on_applied(b.now, {});
        for (auto& n : b.follower.take()) next.push_back(std::move(n));
      } else if (const auto* connect = std::get_if<Connect>(&a)) {
        have = connect->have;
      }
    }
    rest = std::move(next);
  }
  EXPECT_GT(applied, 5U);
  EXPECT_LT(applied, 40U);
  EXPECT_EQ(have, "urgent/all:" + std::to_string(applied));
}

TEST(Follower, PausesGrowAndNeverPassAMinute) {
  Bench b;
  FollowerOptions o = b.options();
  b.follower = Follower(o, {}, [](std::uint64_t below) { return below - 1; });
  b.follower.start(b.now);
  (void)b.actions();
  Duration last{0};
  for (int i = 0; i < 12; ++i) {
    b.follower.on_end(b.now, {Code::unavailable, "nobody there", {}});
    const auto connects = b.of<Connect>(b.actions());
    ASSERT_EQ(connects.size(), 1U);
    EXPECT_GE(connects[0].after, last);
    EXPECT_LE(connects[0].after, 61s);
    last = connects[0].after;
  }
  EXPECT_GE(last, 60s);
}

}  // namespace
}  // namespace bavn::beacon
