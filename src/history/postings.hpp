#pragma once
// The index: which frames hold an observable. Key in the family `obs`: kind u8, hash u64 BE, segment u32 BE. Value: number of
// occurrences, then the frame numbers as deltas, all varints. Kind 0 is no observable: the pair (0, kIndexForm, segment) marks a
// segment as indexed and carries its Digest. What a "hash" is, is the caller's to say: neighbours in it are neighbours in the
// index, so a range of them is one question. "Seen" needs no family of its own: the count of an observable is the sum of its
// pairs, first and last are those of their frames. That way they follow rewrites, retention and erasure by themselves, and
// ingesting the same file twice counts nothing twice.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn::history {

constexpr std::size_t kPrefixBytes = 9;

/// An index of another form, or of hashes made otherwise, is made again when it is opened.
constexpr std::uint64_t kIndexForm = 1;

/// An observable (event::Kind and a hash, hunt::posting) in a batch; one for each occurrence.
struct Posting {
  std::uint64_t hash = 0;
  std::uint8_t kind = 0;
  friend auto operator<=>(const Posting&, const Posting&) = default;
};

/// Observables of one kind whose hashes lie between two, both included.
struct PostingRange {
  std::uint8_t kind = 0;
  std::uint64_t first = 0, last = 0;
};

struct CountedPosting {
  std::uint64_t hash = 0;
  std::uint32_t count = 0;
  std::uint8_t kind = 0;
};
/// Sorted by (kind, hash), each once.
std::vector<CountedPosting> count_postings(std::vector<Posting> all);

/// One posting of a segment. Order: kind, hash, frame.
struct IndexEntry {
  std::uint32_t hash_high = 0, hash_low = 0;
  std::uint32_t kind_frame = 0;  // kind in the upper 8 bits, frame number in the lower 24
  std::uint32_t count = 0;

  static IndexEntry make(std::uint8_t kind, std::uint64_t hash, std::uint32_t frame, std::uint32_t count);
  std::uint64_t hash() const { return (std::uint64_t{hash_high} << 32U) | hash_low; }
  std::uint8_t kind() const { return static_cast<std::uint8_t>(kind_frame >> 24U); }
  std::uint32_t frame() const { return kind_frame & 0xFFFFFFU; }
};
constexpr std::uint32_t kMaxFrameNumber = 0xFFFFFFU;
bool before(const IndexEntry& a, const IndexEntry& b);

std::string index_prefix(std::uint8_t kind, std::uint64_t hash);
std::string index_key(std::uint8_t kind, std::uint64_t hash, std::uint32_t segment);
/// The first key behind all of (kind, hash).
std::string index_behind(std::uint8_t kind, std::uint64_t hash);
struct IndexKey {
  std::uint8_t kind = 0;
  std::uint64_t hash = 0;
  std::uint32_t segment = 0;
};
std::optional<IndexKey> decode_index_key(std::string_view key);

struct IndexValue {
  std::uint64_t count = 0;
  std::vector<std::uint32_t> frames;  // ascending
  friend bool operator==(const IndexValue&, const IndexValue&) = default;
};
std::string encode(const IndexValue& v);
std::optional<IndexValue> decode_index_value(std::string_view bytes);

/// A sum over the entries of a segment that does not depend on their order: two indexes of the same frames agree.
struct Digest {
  std::uint64_t sum = 0;
  std::uint64_t entries = 0;
  void add(std::uint8_t kind, std::uint64_t hash, std::uint32_t frame);
  friend bool operator==(const Digest&, const Digest&) = default;
};
std::string encode(const Digest& d);
std::optional<Digest> decode_digest(std::string_view bytes);

}  // namespace bavn::history
