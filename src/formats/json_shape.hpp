#pragma once
// Shapes of JSON records: all bytes of a record but its values, as literals between the values. Logs repeat them, so a record is
// known by comparing those literals at the places the structural index names, without a look at keys one by one. What agrees is read
// exactly as a walk would read it: same keys, same nesting, same number of structurals, every value a string or a valid scalar.
// Life: owned by one Reader, not thread safe. Bounded: kWays shapes a bucket, kBytes in all.
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/field.hpp"

namespace bavn::formats {

/// null when [p, p + n) is no JSON scalar that is accepted; else kind is set. The same test for every way of reading.
const char* scalar_fault(const char* p, std::uint32_t n, event::ValueKind& kind);

struct JsonShape {
  struct Step {
    std::uint16_t value;   // which structural the value begins at; `structurals` for what follows the last value
    std::uint16_t length;  // of the literal before it
  };
  struct Rest {
    std::uint32_t from;  // which structural the literal begins at
    std::uint32_t skip;  // bytes of it that are compared elsewhere
    std::uint32_t at, length;
  };
  std::uint32_t structurals = 0;
  std::vector<Step> steps;
  std::vector<Rest> rests;  // what goes beyond the first 32 bytes of a literal
  std::string literals;     // one after the other, padded

  /// buf must be readable for 32 bytes after the record.
  bool matches(const char* buf, const std::uint32_t* s) const;
  std::size_t bytes() const { return sizeof(JsonShape) + steps.size() * sizeof(Step) + literals.size(); }
};

/// Builds a shape from a record that a walk accepted: value() for each value in order, then end().
class JsonShapeBuilder {
 public:
  static constexpr std::size_t kStructurals = 2048, kLiterals = 16U << 10;
  JsonShapeBuilder(JsonShape& shape, const char* buf, const std::uint32_t* s, std::uint32_t n);
  void value(std::uint32_t structural);
  /// false: too large to be kept.
  bool end();

 private:
  void literal(std::uint32_t to_structural, std::uint32_t to);
  JsonShape& shape_;
  const char* buf_;
  const std::uint32_t* s_;
  std::uint32_t n_, from_ = 0;
};

/// Shapes by a few of their bytes. Known: what the owner keeps with each, with a member `shape`.
template <class Known>
class JsonShapes {
 public:
  /// The shape of the record whose structurals are s[0, n), or null.
  Known* find(const char* buf, const std::uint32_t* s, std::size_t n) {
    if (n < 5 || n > JsonShapeBuilder::kStructurals) return nullptr;
    Bucket& b = bucket(buf, s, n, tag_);
    for (std::size_t i = 0; i < kWays; ++i) {
      if (b.tag[i] != tag_) continue;
      Known& k = *known_[b.known[i]];
      if (k.shape.structurals != n || !k.shape.matches(buf, s)) continue;
      if (i != 0) {
        std::swap(b.known[i], b.known[i - 1]);
        std::swap(b.tag[i], b.tag[i - 1]);
      }
      if (seen_ < kPatience) ++seen_;
      return &k;
    }
    return nullptr;
  }
  /// What find() will probably say; only to be prefetched.
  Known* guess(const char* buf, const std::uint32_t* s, std::size_t n) {
    if (n < 5 || n > JsonShapeBuilder::kStructurals) return nullptr;
    std::uint32_t tag;
    const Bucket& b = bucket(buf, s, n, tag);
    for (std::size_t i = 0; i < kWays; ++i)
      if (b.tag[i] == tag) {
        Known* k = known_[b.known[i]].get();
        __builtin_prefetch(k);
        __builtin_prefetch(reinterpret_cast<const char*>(k) + 64);
        return k;
      }
    return nullptr;
  }
  /// Is a record that was not found worth keeping? Where nothing repeats, only a few are.
  bool worth() {
    if (n_missed_++ % 16 == 0) return true;
    if (seen_ == 0) return false;
    seen_ -= 1;
    return true;
  }
  /// Right after find() said null for the same record.
  void add(const char* buf, const std::uint32_t* s, std::size_t n, std::unique_ptr<Known> k) {
    const std::size_t size = k->shape.bytes() + k->bytes();
    if (bytes_ + size > kBytes) clear();
    Bucket& b = bucket(buf, s, n, tag_);
    std::size_t way = 0;
    while (way + 1 < kWays && b.tag[way] != 0) ++way;
    std::uint32_t id;
    if (b.tag[way] != 0) {
      id = b.known[way];
      bytes_ -= known_[id]->shape.bytes() + known_[id]->bytes();
      known_[id] = std::move(k);
    } else {
      id = static_cast<std::uint32_t>(known_.size());
      known_.push_back(std::move(k));
    }
    bytes_ += size;
    b.tag[way] = tag_;
    b.known[way] = id;
  }
  void clear() {
    buckets_.assign(kBuckets, {});
    known_.clear();
    bytes_ = 0;
  }

 private:
  static constexpr std::size_t kBuckets = 1024, kWays = 8, kBytes = 32U << 20;
  static constexpr std::uint32_t kPatience = 4096;
  struct alignas(64) Bucket {
    std::uint32_t tag[kWays] = {}, known[kWays] = {};
  };
  // The number of structurals, the first bytes, and what keys stand at some places.
  Bucket& bucket(const char* buf, const std::uint32_t* s, std::size_t n, std::uint32_t& tag) {
    std::uint64_t head;
    std::memcpy(&head, buf + s[0], 8);
    std::uint64_t h = (head + n) * 0x9E3779B97F4A7C15ULL;
    // In a flat record every fourth structural is a key; in any other, what is a key is the same for the same shape.
    for (const std::size_t at : {(n / 16) * 4 + 1, (n / 8) * 4 + 1, (n / 16) * 12 + 1, n - 4}) {
      std::uint64_t key;
      std::memcpy(&key, buf + s[at], 8);
      h = (h ^ (buf[s[at + 1]] == ':' ? key : 0)) * 0xC2B2AE3D27D4EB4FULL;
      h ^= h >> 29;
    }
    h *= 0xD6E8FEB86659FD93ULL;
    tag = static_cast<std::uint32_t>(h) | 1U;
    return buckets_[h >> 54];
  }
  std::vector<Bucket> buckets_ = std::vector<Bucket>(kBuckets);
  std::vector<std::unique_ptr<Known>> known_;
  std::size_t bytes_ = 0;
  std::uint32_t seen_ = kPatience, n_missed_ = 0, tag_ = 0;
};

}  // namespace bavn::formats
