#pragma once
// A batch's observables against the indicators. A value that held nothing bad is remembered (seeded 64-bit hash of role and bytes) and
// not looked at again until the indicators change; what hits is confirmed on its bytes, then asked of the allow lists.
// Life: one per worker; the IndicatorSet and AllowLists outlive it.
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/huge.hpp"
#include "event/batch.hpp"
#include "event/extract.hpp"
#include "match/indicators/allow_list.hpp"
#include "match/indicators/set.hpp"

namespace bavn::hunt {

struct IndicatorHit {
  std::uint32_t record = 0;  // index into EventBatch::records
  std::uint32_t field = 0;   // index into EventBatch::fields; 0xFFFFFFFF: the record as a whole (a pattern)
  match::indicators::Indicator indicator;
};

class IndicatorMatch {
 public:
  /// secret: random, so that nobody can make a bad value meet a harmless one in what is remembered.
  IndicatorMatch(const match::indicators::IndicatorSet& set, const match::indicators::AllowLists* allow,
                 std::uint64_t secret)
      : set_(set), allow_(allow), secret_(secret), memo_(kSets), asked_(kAsked) {}

  /// Appends the hits in record order. One hit per (record, indicator).
  void match(const event::EventBatch& batch, std::vector<IndicatorHit>& hits);
  /// Hits that an allow list took back, by the list's name.
  const std::map<std::string, std::uint64_t>& allowed() const { return allowed_; }
  /// Hits of indicators that were no longer valid when it happened.
  std::uint64_t expired() const { return expired_; }

 private:
  static constexpr std::size_t kSets = 1U << 14, kAsked = 1U << 12;
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  /// Values that held nothing, the latest first: one cache line.
  struct alignas(64) Set {
    std::array<std::uint64_t, 8> keys{};
    bool has(std::uint64_t key) const {
      bool any = false;
      for (const std::uint64_t k : keys) any = any | (k == key);  // without branches
      return any;
    }
  };
  /// Values of this batch that are being looked up.
  struct Asked {
    std::uint64_t key = 0;
    std::uint32_t batch = 0, pending = 0;
  };
  struct Pending {
    std::uint32_t record, field;
    std::uint32_t same = kNone;  // the next field with the same value
    bool hit = false;
    std::uint64_t key = 0;  // 0: one that follows another with the same value
  };
  Set& set_of(std::uint64_t key) { return memo_[key >> 50]; }
  void remember(std::uint64_t key);
  void confirm(const event::EventBatch& batch, const Pending& p, const match::indicators::IndicatorView& view,
               std::vector<IndicatorHit>& hits);
  bool pattern_holds(const event::EventBatch& batch, std::uint32_t record,
                     const match::indicators::StixPattern& pattern);

  const match::indicators::IndicatorSet& set_;
  const match::indicators::AllowLists* allow_;
  std::uint64_t secret_;
  event::Extractor extractor_;
  match::indicators::Matcher matcher_;
  // A record's values are hashed one record ahead of being looked up, so that their entries have come into the cache by then.
  struct Ahead {
    std::uint64_t key;
    std::uint32_t record, field;
    std::uint32_t host;  // not kNone: field is the path of a URL whose host is this
  };
  std::vector<Ahead> ahead_;
  HugeVector<Set> memo_;
  std::vector<Asked> asked_;
  std::vector<Pending> pending_;
  std::uint32_t batch_number_ = 0;
  std::uint64_t version_ = ~std::uint64_t{0};
  std::string scratch_, host_;
  std::map<std::string, std::uint64_t> allowed_;
  std::uint64_t expired_ = 0;
};

}  // namespace bavn::hunt
