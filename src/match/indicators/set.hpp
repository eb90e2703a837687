#pragma once
// IndicatorSet: a base plus live additions and removals. Readers take a Snapshot (one pointer copy under a mutex held for
// nanoseconds) and never wait for a writer; an addition is in the snapshot before add() returns.
// Layers: base (file or memory) | chunks of additions; the last one is rebuilt at each add until it holds 2,048. fold() makes one base
// of all: call it from a background thread when pending() is above some thousands. Beyond 16 chunks add() joins them itself.
// Thread rules: every function of IndicatorSet from any thread; a Snapshot is immutable; a Matcher belongs to one thread.
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "match/indicators/base.hpp"

namespace bavn::match::indicators {

struct Removal {
  event::Kind kind{};
  std::string value, source;  // source empty: of every source
  friend auto operator<=>(const Removal&, const Removal&) = default;
};

struct Snapshot {
  std::uint64_t version = 0;
  std::vector<std::shared_ptr<const IndicatorBase>> layers;  // [0] is the base
  std::shared_ptr<const std::set<Removal>> removed;          // from the base only
  Present present;                                           // of all layers
  bool is_removed(std::size_t layer, const IndicatorView& v) const;
  std::size_t size() const;
};

class IndicatorSet {
 public:
  static constexpr std::size_t kMostRecent = 2048;
  static constexpr std::size_t kMostChunks = 16;
  explicit IndicatorSet(std::shared_ptr<const IndicatorBase> base = IndicatorBase::empty());
  std::shared_ptr<const Snapshot> snapshot() const;
  /// Cheap: readers take a new snapshot when it changed.
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }

  Result<void> add(const Indicator& indicator) { return add(std::span(&indicator, 1)); }
  /// All or nothing: the first that is refused names itself.
  Result<void> add(std::span<const Indicator> indicators);
  /// True when something was there.
  bool remove(event::Kind kind, std::string_view canonical_value, std::string_view source = {});
  void replace_base(std::shared_ptr<const IndicatorBase> base);  // keeps additions, forgets removals
  /// This base and these additions and nothing else, seen by readers as one change. The first addition that is refused names itself.
  Result<void> start_over(std::shared_ptr<const IndicatorBase> base, std::span<const Indicator> additions,
                          std::span<const Removal> removals);
  /// One new base out of everything, without removals; takes seconds at millions, readers and writers go on meanwhile.
  Result<void> fold();
  std::size_t pending() const {
    return pending_.load(std::memory_order_relaxed);
  }  // additions and removals that fold() would work in

 private:
  struct Chunk {
    std::vector<Indicator> list;
    std::shared_ptr<const IndicatorBase> base;
  };
  void publish();  // with write_mutex_ held
  void join_chunks();
  template <class P>
  std::size_t erase_from_chunks(P&& p);

  std::mutex fold_mutex_, write_mutex_;  // taken in this order
  std::shared_ptr<const IndicatorBase> base_;
  std::vector<Chunk> chunks_;
  std::shared_ptr<const std::set<Removal>> removed_;
  std::atomic<std::size_t> pending_ = 0;
  std::atomic<std::uint64_t> version_ = 0;
  mutable std::mutex snapshot_mutex_;  // around the pointer only
  std::shared_ptr<const Snapshot> snapshot_;
};

/// A confirmed hit: bytes were compared, pattern not yet evaluated.
struct Hit {
  std::uint32_t tag = 0;  // as given to add()
  IndicatorView indicator;
};

/// Collects the observables of a batch, then looks all of them up with prefetch.
class Matcher {
 public:
  void use(std::shared_ptr<const Snapshot> s) { snapshot_ = std::move(s); }
  const Snapshot& snapshot() const { return *snapshot_; }
  /// value is copied. hash: event::observable_hash(kind, value) when known.
  void add(event::Kind kind, std::string_view value, std::uint32_t tag, std::uint64_t hash = 0);
  std::size_t pending() const { return keys_.size(); }
  /// f(const Hit&), in the order of add() within a layer; empties the batch. Views live as long as the snapshot.
  template <class F>
  void flush(F&& f) {
    if (keys_.empty()) return;
    for (std::size_t layer = 0; layer < snapshot_->layers.size(); ++layer) {
      const IndicatorBase& base = *snapshot_->layers[layer];
      if (base.size() == 0) continue;
      words_.assign((keys_.size() + 63) / 64, 0);
      base.probe(keys_, words_);
      for (std::size_t w = 0; w < words_.size(); ++w)
        for (std::uint64_t bits = words_[w]; bits != 0; bits &= bits - 1) {
          const std::size_t i = w * 64 + static_cast<std::size_t>(__builtin_ctzll(bits));
          const Value& v = values_[i];
          base.find_bytes(v.kind, std::string_view(bytes_).substr(v.offset, v.length), keys_[i],
                          [&](const IndicatorView& found) {
                            if (!snapshot_->is_removed(layer, found)) f(Hit{v.tag, found});
                          });
        }
    }
    keys_.clear();
    values_.clear();
    bytes_.clear();
  }

 private:
  struct Value {
    std::uint32_t offset, length, tag;
    event::Kind kind;
  };
  std::shared_ptr<const Snapshot> snapshot_;
  Expander expander_;
  std::vector<std::uint64_t> keys_, words_;
  std::vector<Value> values_;
  std::string bytes_;
};

}  // namespace bavn::match::indicators
