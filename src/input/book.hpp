#pragma once
// The SourceBook that is kept: the last word of each source, every change of its state, what it left out and why. For the status page.
// A change of state is stored at once, progress every ten seconds; what is in memory is always the last.
// Life: after the State, gone before it. Thread rules: any thread.
#include <map>
#include <string>
#include <vector>

#include "base/guarded.hpp"
#include "input/sink.hpp"
#include "store/state.hpp"

namespace bavn::input {

std::string_view to_string(SourceState state);

struct SourceStatus {
  SourceReport report;
  Instant since{};  // of this state
};

struct SourceChange {
  Instant at{};
  SourceState state = SourceState::starting;
  std::string text;
};

struct SourceRefusal {
  std::string reason;
  std::uint64_t count = 0;
  std::string first;
  Instant first_at{}, last_at{};
};

class Book final : public SourceBook {
 public:
  /// Reads what earlier runs stored.
  static Result<std::unique_ptr<Book>> open(Runtime& runtime, store::State& state);

  void say(SourceReport report) override;
  void refused(std::string_view source, std::string_view reason, std::uint64_t count, std::string first) override;
  /// A source that is not configured any more: shown as off, its history stays.
  void retire(const std::string& source);

  std::vector<SourceStatus> all() const;  // by name
  /// Newest first.
  Result<std::vector<SourceChange>> changes(const std::string& source, std::size_t limit = 100) const;
  std::vector<SourceRefusal> refusals(const std::string& source) const;

 private:
  struct Entry {
    SourceStatus status;
    Instant stored{};
    std::map<std::string, SourceRefusal, std::less<>> refusals;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;
  Book(Runtime& runtime, store::State& state) : runtime_(runtime), state_(state) {}
  Result<void> load();

  Runtime& runtime_;
  store::State& state_;
  Guarded<Entries> entries_;
};

}  // namespace bavn::input
