#pragma once
// Which records of shippers that name them (`_id` of Elastic's bulk) are stored already: such a record is there once, whatever is sent again,
// in whatever grouping, and whatever died in between. The id stands at the end of the stored line, so it is on disk with its record or not
// at all; this keeps hashes of those of the last day in memory, and in two files that spare reading the history again. What the files lack
// (a crash) is read from the frames received since their last block.
//   window: 24 h, or the newest `most` ids where that is less (`intake.record_ids`)
// Life: the History is used by open() alone; claims may outlive it. Thread rules: any thread.
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime.hpp"
#include "history/history.hpp"

namespace bavn::live {

struct RecordKey {
  std::array<std::uint64_t, 2> id{};  // of source, index and id; zero: the record has none
  std::uint64_t content = 0;          // of the record
  bool named() const { return id[0] != 0 || id[1] != 0; }
};

/// Of one source: keys of its records. index and id as JSON strings with their quotes, document as it is stored before them.
class RecordKeys {
 public:
  RecordKeys(std::string_view source, MunicipalityId municipality, TenantId tenant);
  RecordKey of(std::string_view index, std::string_view id, std::string_view document) const;
  /// Of a stored line: zero when it ends with no id.
  RecordKey of_line(std::string_view line) const;

 private:
  std::string source_;
};

/// The document with its index and id as last members; both are JSON strings with quotes, or empty.
void append_named_line(std::string& out, std::string_view document, std::string_view index, std::string_view id);

class RecordIds {
 public:
  struct Options {
    std::string folder;
    std::size_t most = 1'000'000;
  };
  static Result<std::unique_ptr<RecordIds>> open(Runtime& runtime, const history::History& history, Options options);
  ~RecordIds();

  enum class Seen : std::uint8_t {
    no,
    same,   // stored already, and these very bytes
    other,  // the id is stored, with another content
  };
  struct Inner;
  /// The right to store records of these ids. Nobody else may until it is settled; unsettled, it gives them free when it goes.
  class Claim {
   public:
    Claim() = default;
    Claim(std::shared_ptr<Inner> inner, std::vector<RecordKey> keys, std::int64_t since_us);
    Claim(Claim&&) noexcept;
    Claim& operator=(Claim&&) noexcept;
    ~Claim();
    /// These of the claimed keys are on disk now, by their index among those claimed; the others are free again.
    void settle(const std::vector<bool>& stored);

   private:
    std::shared_ptr<Inner> inner_;
    std::vector<RecordKey> keys_;
    std::int64_t since_us_ = 0;
  };
  struct Asked {
    std::vector<Seen> seen;  // one a key
    Claim claim;             // of those keys that were wanted, in their order
  };
  /// wanted(index, seen): is this record to be stored? Keys without an id are not asked about. unavailable: another request with one of
  /// the ids is under way, and what becomes of it is not known yet: nothing was claimed.
  Result<Asked> claim(std::span<const RecordKey> keys, const std::function<bool(std::size_t, Seen)>& wanted);

  std::size_t size() const;
  std::uint64_t read_again() const;  // ids that open() took from history
  /// What is in memory goes to the files.
  Result<void> flush();

 private:
  explicit RecordIds(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace bavn::live
