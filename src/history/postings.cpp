#include "history/postings.hpp"

#include <algorithm>
#include <tuple>

#include "base/bytes.hpp"

namespace bavn::history {

namespace {

template <class T>
void big_endian(std::string& out, T v) {
  for (int shift = static_cast<int>(sizeof v) * 8 - 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(v >> shift));
}

std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 32U;
  x *= 0xD6E8FEB86659FD93U;
  x ^= x >> 32U;
  x *= 0xD6E8FEB86659FD93U;
  return x ^ (x >> 32U);
}

}  // namespace

std::vector<CountedPosting> count_postings(std::vector<Posting> all) {
  std::sort(all.begin(), all.end(),
            [](const Posting& a, const Posting& b) { return std::tie(a.kind, a.hash) < std::tie(b.kind, b.hash); });
  std::vector<CountedPosting> counted;
  for (const Posting& p : all) {
    if (!counted.empty() && counted.back().hash == p.hash && counted.back().kind == p.kind) ++counted.back().count;
    else counted.push_back({p.hash, 1, p.kind});
  }
  return counted;
}

IndexEntry IndexEntry::make(std::uint8_t kind, std::uint64_t hash, std::uint32_t frame, std::uint32_t count) {
  return {static_cast<std::uint32_t>(hash >> 32U), static_cast<std::uint32_t>(hash),
          (std::uint32_t{kind} << 24U) | (frame & kMaxFrameNumber), count};
}

bool before(const IndexEntry& a, const IndexEntry& b) {
  if (a.kind() != b.kind()) return a.kind() < b.kind();
  if (a.hash() != b.hash()) return a.hash() < b.hash();
  return a.frame() < b.frame();
}

std::string index_prefix(std::uint8_t kind, std::uint64_t hash) {
  std::string key;
  key.push_back(static_cast<char>(kind));
  big_endian(key, hash);
  return key;
}

std::string index_key(std::uint8_t kind, std::uint64_t hash, std::uint32_t segment) {
  std::string key = index_prefix(kind, hash);
  big_endian(key, segment);
  return key;
}

std::string index_behind(std::uint8_t kind, std::uint64_t hash) {
  return hash == ~0ULL ? index_prefix(static_cast<std::uint8_t>(kind + 1), 0) : index_prefix(kind, hash + 1);
}

std::optional<IndexKey> decode_index_key(std::string_view key) {
  if (key.size() != kPrefixBytes + 4) return std::nullopt;
  IndexKey k;
  k.kind = static_cast<std::uint8_t>(key[0]);
  for (std::size_t i = 1; i < 9; ++i) k.hash = (k.hash << 8U) | static_cast<unsigned char>(key[i]);
  for (std::size_t i = 9; i < 13; ++i) k.segment = (k.segment << 8U) | static_cast<unsigned char>(key[i]);
  return k;
}

std::string encode(const IndexValue& v) {
  std::string out;
  ByteWriter w(out);
  w.varint(v.count);
  std::uint32_t previous = 0;
  for (const std::uint32_t f : v.frames) {
    w.varint(f - previous);
    previous = f;
  }
  return out;
}

std::optional<IndexValue> decode_index_value(std::string_view bytes) {
  ByteReader r(bytes);
  IndexValue v;
  v.count = r.varint();
  std::uint64_t frame = 0;
  while (r.left() > 0 && !r.bad()) {
    frame += r.varint();
    if (frame > kMaxFrameNumber) return std::nullopt;
    v.frames.push_back(static_cast<std::uint32_t>(frame));
  }
  if (r.bad() || v.frames.empty()) return std::nullopt;
  return v;
}

void Digest::add(std::uint8_t kind, std::uint64_t hash, std::uint32_t frame) {
  sum += mix(hash ^ mix((std::uint64_t{kind} << 32U) | frame));
  ++entries;
}

std::string encode(const Digest& d) {
  std::string out;
  ByteWriter w(out);
  w.fixed(d.sum);
  w.varint(d.entries);
  return out;
}

std::optional<Digest> decode_digest(std::string_view bytes) {
  ByteReader r(bytes);
  Digest d;
  d.sum = r.fixed<std::uint64_t>();
  d.entries = r.varint();
  if (r.bad()) return std::nullopt;
  return d;
}

}  // namespace bavn::history
