#include "history/frame.hpp"

#include <gtest/gtest.h>

#include <random>

#include "base/aead.hpp"
#include "history/codec.hpp"
#include "history/manifest.hpp"
#include "history/postings.hpp"

namespace bavn::history {
namespace {

std::string hex(std::string_view bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4U];
    out += digits[static_cast<unsigned char>(c) & 15U];
  }
  return out;
}

// Golden: these bytes are on disks. A change here needs a new version and a reader for the old one.
TEST(Keys, AreTheBytesThatAreOnDisk) {
  EXPECT_EQ(hex(index_key(3, 0x0102030405060708U, 0x0A0B0C0DU)), "0301020304050607080a0b0c0d");
  EXPECT_EQ(hex(encode(IndexValue{300, {0, 7, 200}})), "ac020007c101");
  EXPECT_EQ(hex(encode(SegmentHeader{SegmentKind::journal, 7, 20000, 1})).substr(0, 50),
            "4256534547310000010700000020"
            "4e00000100000000000000");
  const auto key = decode_index_key(index_key(3, 0x0102030405060708U, 9));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->kind, 3);
  EXPECT_EQ(key->hash, 0x0102030405060708U);
  EXPECT_EQ(key->segment, 9U);
  EXPECT_FALSE(decode_index_key("short"));
}

TEST(Keys, SortByKindThenHashThenSegment) {
  EXPECT_LT(index_key(1, ~0ULL, ~0U), index_key(2, 0, 0));
  EXPECT_LT(index_key(1, 1, ~0U), index_key(1, 2, 0));
  EXPECT_LT(index_key(1, 1, 255), index_key(1, 1, 256));
}

TEST(IndexValue, ReadsWhatItWrote) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 1000; ++i) {
    IndexValue v;
    v.count = random() >> (random() % 64);
    std::uint32_t frame = 0;
    for (std::uint64_t n = 1 + random() % 20; n > 0; --n)
      v.frames.push_back(frame += static_cast<std::uint32_t>(random() % 1000) + 1);
    const std::string bytes = encode(v);
    EXPECT_EQ(decode_index_value(bytes), v);
    for (std::size_t cut = 0; cut + 1 < bytes.size(); ++cut)
      (void)decode_index_value(std::string_view(bytes).substr(0, cut));
  }
  EXPECT_FALSE(decode_index_value(""));
}

FrameHeader a_header() {
  FrameHeader h;
  h.segment = 7;
  h.number = 3;
  h.municipality.value = 101;
  h.day = 20000;
  h.count = 2;
  h.source = "mail relay";
  h.format = "postfix";
  h.batch.fill('b');
  return h;
}

TEST(Frame, EveryChangedByteIsNoticed) {
  std::string bytes;
  const FrameStart start = begin_frame(bytes, a_header());
  bytes += "sealed bytes";
  finish_frame(bytes, start);
  const auto f = decode_frame(bytes);
  ASSERT_TRUE(f);
  EXPECT_EQ(f->header.source, "mail relay");
  EXPECT_EQ(f->header.format, "postfix");
  EXPECT_EQ(f->header.number, 3U);
  EXPECT_EQ(f->sealed, "sealed bytes");
  EXPECT_EQ(f->length, bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i)
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string broken = bytes;
      broken[i] = static_cast<char>(broken[i] ^ (1 << bit));
      EXPECT_FALSE(decode_frame(broken)) << i << "." << bit;
    }
  for (std::size_t cut = 0; cut < bytes.size(); ++cut)
    EXPECT_FALSE(decode_frame(std::string_view(bytes).substr(0, cut)));
}

TEST(FrameText, GivesBackRunsContextAndLinesAndRefusesWhatDoesNotFit) {
  const std::string plain = encode_plain({{2, 100}, {1, 50}}, "ctx", "a\nb\nc");
  FrameHeader h = a_header();
  h.count = 3;
  h.lines_bytes = 5;
  FrameText t;
  ASSERT_TRUE(t.take(plain, h));
  EXPECT_EQ(t.lines(), "a\nb\nc");
  EXPECT_EQ(t.context(), "ctx");
  EXPECT_EQ(t.received_us(0), 100);
  EXPECT_EQ(t.received_us(1), 100);
  EXPECT_EQ(t.received_us(2), 50);
  h.count = 4;
  EXPECT_FALSE(t.take(plain, h));
  h.count = 3;
  h.lines_bytes = 4;
  EXPECT_FALSE(t.take(plain, h));
  EXPECT_FALSE(t.take("", h));
}

TEST(Directory, ReadsWhatItWroteAndRefusesEveryChangedByte) {
  Directory d;
  d.sources = {{"a", MunicipalityId{1}, TenantId{2}}, {"b", {}, {}}};
  d.formats = {"words"};
  FrameEntry e{31, 100, 1, 0, 5, 400, 1000, -5, 7, {}, false};
  d.frames.push_back(e);
  e.batch.fill('x');
  e.dropped = true;
  d.frames.push_back(e);
  d.dictionaries.push_back({131, 50, 1});
  const std::string bytes = encode(d);
  EXPECT_EQ(decode_directory(bytes).value(), d);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string broken = bytes;
    broken[i] = static_cast<char>(broken[i] ^ 0x10);
    EXPECT_FALSE(decode_directory(broken));
    EXPECT_FALSE(decode_directory(bytes.substr(0, i)));
  }
}

TEST(Manifest, ReadsWhatItWroteAndRefusesEveryChangedByte) {
  Manifest m;
  m.next_segment = 9;
  SegmentMeta s;
  s.segment = 4;
  s.day = 20001;
  s.packed = s.rewritten = true;
  s.records = 1'000'000;
  s.min_happened_us = -1;
  s.sources = {{"a", {}, {}}, {"b", MunicipalityId{3}, {}}};
  m.segments = {s, SegmentMeta()};
  const std::string bytes = encode(m);
  EXPECT_EQ(decode_manifest(bytes).value(), m);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string broken = bytes;
    broken[i] = static_cast<char>(broken[i] ^ 1);
    EXPECT_FALSE(decode_manifest(broken));
    EXPECT_FALSE(decode_manifest(bytes.substr(0, i)));
  }
}

TEST(Codec, DecompressesWhatItCompressedAndChecksTheSize) {
  std::vector<std::string> lines;
  for (int i = 0; i < 3000; ++i)
    lines.push_back("time=" + std::to_string(i) + " host=relay" + std::to_string(i % 7) + " status=sent");
  const auto d = train({lines.begin(), lines.end()}, 4096, 1);
  ASSERT_TRUE(d);
  const Dictionary reading(d->bytes(), 0);
  const std::string plain = lines[5] + "\n" + lines[6];
  const std::string small = compress(plain, 1, d.get()), large = compress(plain, 1, nullptr);
  EXPECT_LT(small.size(), large.size());
  EXPECT_EQ(decompress(small, plain.size(), &reading).value(), plain);
  EXPECT_EQ(decompress(large, plain.size(), nullptr).value(), plain);
  EXPECT_FALSE(decompress(large, plain.size() - 1, nullptr));
  EXPECT_FALSE(decompress(large, plain.size() + 1, nullptr));
  EXPECT_FALSE(decompress(small, plain.size(), nullptr));
  EXPECT_FALSE(decompress("garbage", 10, nullptr));
  EXPECT_FALSE(train({}, 4096, 1));
}

}  // namespace
}  // namespace bavn::history
