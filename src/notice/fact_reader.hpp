#pragma once
// Records as facts: FactReader takes what one record says (workers, in any order), FactJoiner puts together what several records say (one
// thread, in the order of the journal) and gives the facts that a FactWatcher is fed with.
// Which field means what is declared by the formats (event/fact_map.hpp); a record of a format without `facts:` costs one look-up.
// Thread rules: FactPlan is immutable and shared; a FactReader belongs to one worker; a FactJoiner to the thread that feeds the watcher.
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.hpp"
#include "base/result.hpp"
#include "base/runtime.hpp"
#include "event/batch.hpp"
#include "event/extract.hpp"
#include "event/fact_map.hpp"
#include "event/facts.hpp"
#include "event/plan.hpp"

namespace bavn::notice {

/// A canonical URL without its query, as it stands alone: "x.example/a/?b=1" -> "x.example/a".
inline std::string_view page_of(std::string_view url) {
  url = url.substr(0, url.find('?'));
  while (url.ends_with('/')) url.remove_suffix(1);
  return url;
}

/// What one record says. With a key it is joined with others of the same.
struct FactItem {
  event::Fact fact;
  event::FactJoin join = event::FactJoin::none;
  bool said_sender = false;  // an empty sender is then a bounce
  std::uint64_t key = 0;     // hash of municipality, tenant and what the format calls its key
};

/// A user's request through a proxy. Small: a busy proxy writes thousands a second, few are clicks.
struct ProxyRequest {
  std::uint64_t url = 0;   // hash of the canonical URL
  std::uint64_t page = 0;  // the same without its query
  std::int64_t happened_us = 0;
  std::uint32_t account = 0, account_length = 0;  // in ReadFacts::text
};

/// What the records of one frame say, in their order.
struct ReadFacts {
  std::vector<FactItem> items;
  std::vector<ProxyRequest> requests;
  std::string text;
  event::FactHead head;  // of requests
  bool empty() const { return items.empty() && requests.empty(); }
  /// In findings' worth of memory.
  std::size_t weight() const { return items.size() / 2 + requests.size() / 32; }
};

/// The maps of all formats against one FieldPlan.
class FactPlan {
 public:
  /// formats[i]: the maps of FormatId i; null: it has none. Names must be in the plan (hunt::EngineOptions::facts).
  FactPlan(const event::FieldPlan& plan, std::span<const event::FactMaps* const> formats);
  ~FactPlan();
  bool reads(event::FormatId format) const { return format < formats_.size() && formats_[format] != nullptr; }

 private:
  friend class FactReader;
  struct Format;
  std::vector<std::unique_ptr<Format>> formats_;
};

class FactReader {
 public:
  explicit FactReader(std::shared_ptr<const FactPlan> plan);
  ~FactReader();
  bool reads(event::FormatId format) const { return plan_->reads(format); }
  /// head: municipality and tenant; happened and source are the record's, received is said by FactJoiner::feed.
  /// True: something was added to `into`.
  bool read(const event::EventBatch& batch, const event::Record& record, const event::FactHead& head, ReadFacts& into);

 private:
  struct Scratch;
  std::shared_ptr<const FactPlan> plan_;
  std::unique_ptr<Scratch> scratch_;
};

struct JoinLimits {
  std::size_t mails = 20'000;  // that several records tell: about 8 MiB
  std::size_t urls = 20'000;   // that were in mail, to know clicks by: about 5 MiB
  Duration mail_for = std::chrono::hours(48);
  Duration url_for = std::chrono::hours(24 * 14);  // since a mail held it last
  Duration click_for = std::chrono::hours(48);     // since a mail held it first: what stands in every footer is older
};

class FactJoiner {
 public:
  explicit FactJoiner(JoinLimits limits = {});
  ~FactJoiner();
  /// Appends the facts of one frame. received: when the frame was; also of records without a time.
  void feed(ReadFacts&& read, Instant received, std::vector<event::Fact>& out);
  /// Little endian, versioned; what was saved is the same state again.
  void save(std::string& into) const;
  Result<void> load(std::string_view saved);

  struct Stats {
    std::uint64_t facts = 0;
    std::uint64_t without_sender = 0;  // deliveries whose mail was never told (a log that begins in the middle)
    std::uint64_t forgotten = 0;       // mails dropped at the limit before they were done
    std::size_t mails = 0, urls = 0;   // held now
  };
  Stats stats() const;

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace bavn::notice
