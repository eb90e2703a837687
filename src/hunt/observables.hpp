#pragma once
// Which observables a record holds, as the index knows them: what its fields say, and what lies above it (parent domains, URL
// prefixes, networks), so that one lookup answers for "evil.example" and everything below it.
// Thread rules: one per worker.
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event/batch.hpp"
#include "event/domain.hpp"
#include "event/extract.hpp"
#include "event/ip.hpp"
#include "formats/reader.hpp"
#include "history/history.hpp"
#include "hunt/engine.hpp"

namespace bavn::hunt {

class RecordObservables {
 public:
  /// emit(kind, canonical value): the view lives until it returns. The same may come more than once.
  void of(const event::EventBatch& batch, const event::Record& record, event::ObservableSink emit);
  /// The same as the index keeps them, behind what is in `out`.
  void postings(const event::EventBatch& batch, const event::Record& record, std::vector<history::Posting>& out);
  /// Like of(), for a question that stays the same as long as this lives: wanted() says whether that was wanted, and a value in which
  /// nothing was is not looked into again. urls: also those made of a host and a path.
  void seek(const event::EventBatch& batch, const event::Record& record, bool urls,
            const std::function<bool(event::Kind, std::string_view)>& wanted);

 private:
  static constexpr std::size_t kMemo = 1U << 16U;
  void expand(event::Kind kind, std::string_view value, event::ObservableSink emit);
  event::Extractor extractor_;
  event::DomainCache domains_;
  std::string scratch_, host_;
  std::vector<std::uint64_t> nothing_in_;  // hashes of values, by their upper 16 bits
};

/// What stands in the index for an observable: its hash (event::observable_hash), but for an IPv4 address its four bytes, so that a
/// network is a range of them. An IPv6 address has its first 64 bits besides. For history::History::lookup and seen(); not for a
/// network.
history::Posting posting(event::Kind kind, std::string_view canonical_value);
/// What to ask the index for; what it finds is a superset that must be verified. Empty: a network wider than /8 (IPv6: /16), which
/// would be nearly everything.
std::optional<history::PostingRange> index_range(const event::Observable& wanted);
/// Is what a record emitted what was wanted? Both canonical.
bool is_wanted(const event::Observable& wanted, event::Kind kind, std::string_view value);

/// Frames hold lines and, before them, what a reader must know to read them again: one line of ours, then the format's header lines.
struct FrameContext {
  std::int64_t reference_us = 0;  // "about now" for times without a year
  bool named = false;             // the format was named, not recognised
  std::string_view header;        // without line end at its end
};
std::string encode(const FrameContext& c);
FrameContext decode_context(std::string_view context);

/// Reads a frame's lines into the batch with the reader. The record's line r.line is (index in the frame) + 1.
void read_lines(formats::Reader& reader, const formats::Catalogue& catalogue, std::string_view format,
                std::string_view context, std::string_view lines, event::EventBatch& batch);

/// What to erase for one value of a person (an address, an account, a telephone number, or any text): records that hold it as an
/// observable in any spelling, and records in whose text it stands as a word of its own. The engine must outlive it.
history::PersonErasure erasure_of(Engine& engine, std::string_view value);

/// What History needs to make its index again. The engine must outlive it.
history::Extract extract_with(Engine& engine);

}  // namespace bavn::hunt
