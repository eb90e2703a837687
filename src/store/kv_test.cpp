#include "store/kv.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>

namespace bavn::store {
namespace {

std::string folder() {
  std::string path = "/tmp/bavn_kv_XXXXXX";
  EXPECT_NE(::mkdtemp(path.data()), nullptr);
  return path;
}

KvOptions two_families(std::function<bool(std::string_view)> keep = {}) {
  KvOptions o;
  o.families.push_back({"obs", 2, std::move(keep)});
  o.families.push_back({"kv", 0, {}});
  return o;
}

std::vector<std::string> keys(const Kv& kv, std::string_view prefix) {
  std::vector<std::string> found;
  EXPECT_TRUE(kv.scan(0, prefix, [&](std::string_view k, std::string_view) {
    found.emplace_back(k);
    return true;
  }));
  return found;
}

TEST(Kv, IngestedFilesAreFoundByPrefixAndSurviveReopening) {
  const std::string path = folder();
  {
    auto kv = Kv::open(path + "/db", two_families()).value();
    for (int n = 0; n < 3; ++n) {
      const std::string file = path + "/file" + std::to_string(n);
      auto sorted = kv->sorted_file(0, file).value();
      for (char c = 'a'; c < 'd'; ++c) ASSERT_TRUE(sorted->add(std::string{c, c, static_cast<char>('0' + n)}, "v"));
      EXPECT_FALSE(sorted->add("aa0", "out of order"));
      EXPECT_GT(sorted->finish().value(), 0U);
      ASSERT_TRUE(kv->ingest(0, file));
    }
    ASSERT_TRUE(kv->put(1, "k", "v"));
    ASSERT_TRUE(kv->flush(1));
  }
  auto kv = Kv::open(path + "/db", two_families()).value();
  EXPECT_EQ(keys(*kv, "bb"), (std::vector<std::string>{"bb0", "bb1", "bb2"}));
  EXPECT_TRUE(keys(*kv, "bc").empty());
  std::vector<std::string> between;  // also over prefixes that the bloom filter knows nothing of
  ASSERT_TRUE(kv->scan_range(0, "aa2", "bb2", [&](std::string_view k, std::string_view) {
    between.emplace_back(k);
    return true;
  }));
  EXPECT_EQ(between, (std::vector<std::string>{"aa2", "bb0", "bb1"}));
  EXPECT_EQ(kv->get(1, "k").value(), "v");
  EXPECT_EQ(kv->get(1, "none").value(), std::nullopt);
  ASSERT_TRUE(kv->clear(0));
  EXPECT_TRUE(keys(*kv, "bb").empty());
  EXPECT_EQ(kv->get(1, "k").value(), "v");
}

TEST(Kv, CompactionLetsGoWhatKeepRefuses) {
  const std::string path = folder();
  std::atomic<bool> all{true};
  auto kv = Kv::open(path + "/db", two_families([&](std::string_view k) { return all || k.back() != '0'; })).value();
  auto sorted = kv->sorted_file(0, path + "/f").value();
  ASSERT_TRUE(sorted->add("aa0", "v"));
  ASSERT_TRUE(sorted->add("aa1", "v"));
  ASSERT_TRUE(sorted->finish());
  ASSERT_TRUE(kv->ingest(0, path + "/f"));
  ASSERT_TRUE(kv->compact(0, "", ""));
  EXPECT_EQ(keys(*kv, "aa").size(), 2U);
  all = false;
  ASSERT_TRUE(kv->compact(0, "aa", "ab"));
  EXPECT_EQ(keys(*kv, "aa"), std::vector<std::string>{"aa1"});
}

TEST(Kv, SaysWhenTheFolderCannotBeUsed) {
  EXPECT_FALSE(Kv::open("/proc/none/db", two_families()));
}

}  // namespace
}  // namespace bavn::store
