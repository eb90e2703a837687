#include "beacon/head.hpp"

#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "beacon/testing.hpp"

namespace bavn::beacon {
namespace {

using testing::key_of;

Entry sample() {
  Head head{"urgent/101",
            2,
            7,
            hash_of("before"),
            {},
            from_micros(1'727'769'600'000'000),
            from_micros(1'727'769'700'000'000)};
  return sign_entry(key_of('k'), head, "warning", R"({"text":"made up"})");
}

constexpr auto kGoldenHead =
    "010a757267656e742f31303100000000000000020000000000000007c0ad7434849eec989026ef4e082140af5761ab5561412c2615e7bc5360"
    "5c85a0"
    "33b3bd4fff6e5ec1295a5f47ca67865958297837daa006ae779c4b0816907c7f00062365b543000000062365bb38e100";
const std::string kGoldenEntry = "01006c" + std::string(kGoldenHead) +
                                 "11c4eac96e3f7685208eeed54c5e801fed31b191c56bf99a50352a4fa710765139c28ffc429ac393af5ff"
                                 "9affbdba7cf4d519b576cb8a522249b7fceaa8e2908"
                                 "077761726e696e67000000127b2274657874223a226d616465207570227d";
constexpr auto kGoldenHash = "f2235a2eaf066328902ae8cbbca8ae21d4a09c249e549264a47eb26719f85d68";

TEST(Head, IsTheseBytesForEver) {
  const Entry e = sample();
  EXPECT_EQ(to_hex(encode(e.head)), kGoldenHead);
  EXPECT_EQ(to_hex(encode(e)), kGoldenEntry);
  EXPECT_EQ(to_hex(view(hash_of(e.head))), kGoldenHash);
}

TEST(Head, ReadsWhatItWroteAndNothingElse) {
  const Entry e = sample();
  const std::string bytes = encode(e);
  const auto again = decode_entry(bytes);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(*again, e);
  EXPECT_TRUE(signed_by(key_of('k').public_key(), *again));
  EXPECT_FALSE(signed_by(key_of('x').public_key(), *again));
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decode_entry(std::string_view(bytes).substr(0, n))) << n;
  EXPECT_FALSE(decode_entry(bytes + "x"));
}

TEST(Head, AnyChangedBitIsNoticed) {
  const std::string bytes = encode(sample());
  const auto key = key_of('k').public_key();
  for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string changed = bytes;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << (i % 8)));
    const auto entry = decode_entry(changed);
    EXPECT_FALSE(entry && signed_by(key, *entry)) << "bit " << i;
  }
}

TEST(Head, NamesAndNumbersThatCannotBeAreRefused) {
  Head head{"urgent/101", 2, 7, {}, {}, {}, {}};
  for (const auto* name : {"", "Urgent/1", "urgent/1\n", "urgent 1"}) {
    Head h = head;
    h.stream = name;
    EXPECT_FALSE(decode_head(encode(h))) << name;
  }
  head.seq = 0;
  EXPECT_FALSE(decode_head(encode(head)));
  head.seq = std::uint64_t{1} << 63U;
  EXPECT_FALSE(decode_head(encode(head)));
}

TEST(Segment, ReadsWhatItWrote) {
  std::vector<Item> items = {{"indicators", "one"}, {"rules", std::string(100'000, 'x')}, {"settings", ""}};
  const auto bytes = encode_segment(items);
  EXPECT_LT(bytes.size(), 2000U);
  EXPECT_EQ(decode_segment(bytes).value(), items);
  for (std::size_t n = 0; n < bytes.size(); n += 3) EXPECT_FALSE(decode_segment(std::string_view(bytes).substr(0, n)));
}

TEST(Segment, ABombTakesNoMemory) {
  EXPECT_FALSE(decode_segment(encode_segment(std::vector<Item>(7, Item{"rules", std::string(1U << 20U, 'x')}))));
}

TEST(References, ReadWhatTheyWrote) {
  const FileRef file{hash_of("file"), 1234};
  EXPECT_EQ(decode_file_ref(encode(file)).value(), file);
  const BaseRef base{file, {hash_of("items"), 9}, 12, 1, hash_of("covered")};
  EXPECT_EQ(decode_base_ref(encode(base)).value(), base);
  EXPECT_FALSE(decode_base_ref(encode(base) + "x"));
  EXPECT_FALSE(decode_file_ref(encode(base)));
}

}  // namespace
}  // namespace bavn::beacon
