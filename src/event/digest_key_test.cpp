#include "event/digest_key.hpp"

#include <gtest/gtest.h>

namespace bavn::event {

namespace {

struct Person {
  SigningKey sign = SigningKey::random();
  SealKey seal = SealKey::random();
  Steward steward(std::string name) const { return {std::move(name), sign.public_key(), seal.address()}; }
};

const Instant kFrom = from_micros(1'727'769'600'000'000);

struct DigestKeys : testing::Test {
  Person anna, bo, stranger;
  std::vector<Steward> stewards{anna.steward("Anna Example"), bo.steward("Bo Example")};
  SealKey node = SealKey::random();
  StewardsKeys made() {
    StewardsKeys keys;
    EXPECT_TRUE(make_epochs(keys, stewards, {.from = kFrom}));
    return keys;
  }
};

TEST_F(DigestKeys, EitherStewardSealsTheSameKeyToANode) {
  const auto keys = made();
  ASSERT_EQ(keys.epochs.size(), 5U);
  std::vector<std::string> opened;
  for (const auto* who : {&anna, &bo}) {
    const auto epoch = open_epoch(keys, 1, who->seal);
    ASSERT_TRUE(epoch) << to_string(epoch.error());
    const auto at_node = open_sealed(seal_to_node(*epoch, node.address(), who->sign), node, stewards);
    ASSERT_TRUE(at_node) << to_string(at_node.error());
    opened.emplace_back(at_node->key.reveal());
    EXPECT_EQ(at_node->from, kFrom);
  }
  EXPECT_EQ(opened[0], opened[1]);
  EXPECT_EQ(open_epoch(keys, 1, stranger.seal).error().code, Code::forbidden);
  EXPECT_EQ(open_epoch(keys, 99, anna.seal).error().code, Code::not_found);
}

TEST_F(DigestKeys, PeriodsFollowEachOtherWithAnOverlapOfTwoDays) {
  const auto keys = made();
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_FALSE(keys.epochs[i].replaces);
    EXPECT_EQ(keys.epochs[i].until_us - keys.epochs[i].from_us, 32LL * 86'400 * 1'000'000);
    if (i > 0) {
      EXPECT_EQ(keys.epochs[i].from_us - keys.epochs[i - 1].from_us, 30LL * 86'400 * 1'000'000);
    }
  }
  EXPECT_TRUE(keys.epochs[3].replaces);
  EXPECT_EQ(keys.epochs[3].from_us, 0);
}

TEST_F(DigestKeys, ANodeBelievesPinnedStewardsOnly) {
  const auto epoch = open_epoch(made(), 2, anna.seal);
  ASSERT_TRUE(epoch);
  EXPECT_EQ(open_sealed(seal_to_node(*epoch, node.address(), stranger.sign), node, stewards).error().code,
            Code::forbidden);
  EXPECT_EQ(open_sealed(seal_to_node(*epoch, SealKey::random().address(), anna.sign), node, stewards).error().code,
            Code::forbidden);
  const auto good = seal_to_node(*epoch, node.address(), anna.sign);
  for (const auto& change : std::vector<std::function<void(SealedKey&)>>{
           [](auto& k) { k.epoch = 9; }, [](auto& k) { k.from_us += 1; }, [](auto& k) { k.until_us += 1; },
           [](auto& k) { k.check[0] = k.check[0] == 'a' ? 'b' : 'a'; },
           [](auto& k) { k.sealed[5] = k.sealed[5] == 'A' ? 'B' : 'A'; },
           [](auto& k) { k.signature[5] = k.signature[5] == 'A' ? 'B' : 'A'; },
           [&](auto& k) { k.steward = stewards[1].sign.text(); }, [](auto& k) { k.replaces = true; },
           [](auto& k) { k.node = SealKey::random().address().text(); }}) {
    auto k = good;
    change(k);
    EXPECT_FALSE(open_sealed(k, node, stewards));
  }
  EXPECT_TRUE(open_sealed(good, node, stewards));
}

TEST_F(DigestKeys, KeysAreMadeForTwoPeople) {
  StewardsKeys keys;
  EXPECT_FALSE(make_epochs(keys, {stewards[0]}, {.from = kFrom}));
  EXPECT_FALSE(make_epochs(keys, {stewards[0], stewards[0]}, {.from = kFrom}));
  auto same_person = stewards[0];
  same_person.name = "Another";
  EXPECT_FALSE(make_epochs(keys, {stewards[0], same_person}, {.from = kFrom}));
  ASSERT_TRUE(make_epochs(keys, stewards, {.from = kFrom}));
  EXPECT_FALSE(make_epochs(keys, {stewards[0], stranger.steward("Cy")}, {.from = kFrom}));
  ASSERT_TRUE(make_epochs(keys, stewards, {.from = kFrom + std::chrono::days(90), .reserves = 0}));
  EXPECT_EQ(keys.epochs.back().epoch, 8);
}

TEST_F(DigestKeys, FilesAreReadAsTheyWereWritten) {
  const auto keys = made();
  const auto again = StewardsKeys::parse(keys.text());
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(again->text(), keys.text());
  EXPECT_TRUE(open_epoch(*again, 3, bo.seal));
  const auto steward = Steward::parse(stewards[0].text());
  ASSERT_TRUE(steward);
  EXPECT_EQ(steward->text(), stewards[0].text());
  for (const std::string bad :
       {"", "steward: A\n", "steward A", "steward: A\nsign: x\nseal: y\n", "epoch: 1 2 3 period a b\n"})
    EXPECT_FALSE(Steward::parse(bad)) << bad;
  auto cut = keys.text();
  cut.resize(cut.size() - 60);
  const auto part = StewardsKeys::parse(cut);
  if (part) {
    EXPECT_FALSE(open_epoch(*part, 5, bo.seal));
  }
  EXPECT_FALSE(StewardsKeys::parse("epoch: 1 2 3 period 0123456789abcdef x y\n"));
  EXPECT_FALSE(StewardsKeys::parse("nonsense: 1\n"));
}

}  // namespace

}  // namespace bavn::event
