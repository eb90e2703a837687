#pragma once
// Open data: counts of closed months that anybody may have, as CSV and JSON, described in DCAT-AP 3 (JSON-LD) and CSV on the Web.
// What is published is decided here alone (released()): a number behind which there are fewer municipalities (or things, where no municipality
// is known) than the threshold is left out, a total is left out with any of its parts, and how many municipalities were warned is rounded.
// A month is counted once, some days after it ended, and never again: nothing can be learned from the difference of two readings.
// Off until somebody decides to publish. Life: opened before State::start(), gone after State::stop(). Thread rules: any thread.
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/catalogue.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "store/state.hpp"

namespace bavn::exchange {

/// The rows of open_data.*.
std::span<const Setting> open_data_settings();

struct OpenDataOptions {
  bool publish = false, attribution = false;  // attribution: CC BY 4.0, else CC0
  std::int64_t threshold = 5, rounding = 5;
  std::chrono::seconds settle{};
  std::string publisher{}, contact{};  // URL and mail address; may be empty
  /// bad_input: a licence that there is not. null: the defaults.
  static Result<OpenDataOptions> from(const Settings* settings);
};

/// One number of one month before it is decided on. kind: of a part; empty: the measure has none.
struct MonthCount {
  std::string month{}, measure{}, kind{};
  std::int64_t value = 0, behind = 0;
};
struct OpenNumber {
  std::string month{}, measure{}, kind{};  // kind "all": the sum of the parts
  std::optional<std::int64_t> value{};     // empty: left out
};
/// What may be told of counts, in their order, each measure's sum behind its parts. The only way from counts to what is published.
std::vector<OpenNumber> released(std::span<const MonthCount> counts, std::int64_t threshold, std::int64_t rounding);

/// Where the numbers come from: the modules' tables, which this one does not know.
struct CountSource {
  /// When the first thing happened that is counted; empty: nothing yet.
  std::function<Result<std::optional<Instant>>(store::Reader&)> first{};
  /// `month` is filled in by the caller.
  std::function<Result<std::vector<MonthCount>>(store::Reader&, Instant from, Instant until)> month{};
};

struct OpenDataParts {
  Runtime& runtime;
  store::State& state;
  const Catalogue& texts;
  std::string name;  // of the CERT
  OpenDataOptions options{};
  CountSource source{};
};

class OpenData {
 public:
  static std::unique_ptr<OpenData> open(OpenDataParts parts);
  /// Plans the counting; after State::start().
  Result<void> start();

  bool published() const { return parts_.options.publish; }
  // Empty of months until one was counted.
  Result<std::string> csv() const;
  Result<std::string> json() const;
  /// What the columns of the CSV mean: https://www.w3.org/TR/tabular-metadata/
  std::string csv_metadata() const;
  /// site: "https://hub.example", what the names of things begin with.
  Result<std::string> catalog(std::string_view site) const;

 private:
  explicit OpenData(OpenDataParts parts) : parts_(std::move(parts)) {}
  Result<void> count(store::Tx& tx) const;
  struct Known {
    std::vector<OpenNumber> numbers{};
    std::vector<std::string> months{};
    Instant counted{};
  };
  Result<Known> known() const;
  std::string json_of(const Known& known) const;
  OpenDataParts parts_;
};

}  // namespace bavn::exchange
