#pragma once
// Engine: everything that is shared by the workers that read and match (catalogue, plan, routes, rules, indicators), and Worker: one
// reader + matcher, one per core, sharing nothing that changes. Used by scan, by live sources and by hunts, so that all three give
// the same answer on the same bytes.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "event/finding.hpp"
#include "formats/catalogue.hpp"
#include "formats/reader.hpp"
#include "formats/source.hpp"
#include "hunt/indicator_match.hpp"
#include "match/hotpath/matcher.hpp"
#include "match/indicators/load.hpp"
#include "match/sigma/load.hpp"

namespace bavn::hunt {

struct EngineOptions {
  std::vector<std::string> rules;  // files and folders
  bool builtin_rules = false;      // also the rules that are part of the binary, beside `rules`
  std::string placeholders_file;
  std::string rule_cache;               // empty: none
  std::vector<std::string> formats;     // a user's own format descriptions (format.yml files)
  std::vector<std::string> indicators;  // files and folders
  std::vector<std::string> allow;       // allow lists, files and folders
  std::uint64_t random_indicators = 0;  // for benches
  /// Set: these are used and shared with other engines (a node that changes its rules); files in `indicators` become
  /// their base.
  std::shared_ptr<match::indicators::IndicatorSet> shared_indicators;
  match::sigma::Level min_level = match::sigma::Level::unset;
  bool facts = false;  // also the fields that facts are made from (notice/fact_reader.hpp)
};

/// "category=.. product=.. service=..".
std::string describe(const match::sigma::LogSource& l);
/// Does a known format deliver this log source? If not, `missing` says what no format has.
bool deliverable(const formats::Catalogue& catalogue, const match::sigma::LogSource& l, std::string& missing);

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> open(const EngineOptions& options);

  const formats::Catalogue& catalogue() const { return catalogue_; }
  const event::FieldPlan& plan() const { return plan_; }
  event::RouteTable& routes() { return routes_; }
  const event::RouteTable& routes() const { return routes_; }
  const match::sigma::RuleSet& rules() const { return *rules_; }
  const match::hotpath::Program& program() const { return *program_; }
  match::indicators::IndicatorSet& indicators() { return *indicators_; }
  const match::indicators::IndicatorSet& indicators() const { return *indicators_; }
  const std::shared_ptr<match::indicators::IndicatorSet>& shared_indicators() const { return indicators_; }
  const match::indicators::AllowLists& allow() const { return allow_; }
  /// One report per indicator file or folder, in the order given.
  const std::vector<std::pair<std::string, match::indicators::LoadReport>>& indicator_reports() const {
    return reports_;
  }
  match::sigma::Level min_level() const { return min_level_; }
  bool facts() const { return facts_; }

 private:
  Engine() = default;
  formats::Catalogue catalogue_;
  event::FieldPlan plan_;
  event::RouteTable routes_;
  std::shared_ptr<const match::sigma::RuleSet> rules_;
  std::unique_ptr<match::hotpath::Program> program_;
  std::shared_ptr<match::indicators::IndicatorSet> indicators_;
  match::indicators::AllowLists allow_;
  std::vector<std::pair<std::string, match::indicators::LoadReport>> reports_;
  match::sigma::Level min_level_ = match::sigma::Level::unset;
  bool facts_ = false;
};

class Worker {
 public:
  explicit Worker(Engine& engine, formats::ReaderOptions options = {});

  formats::Reader& reader() { return reader_; }
  const match::hotpath::Matcher& matcher() const { return matcher_; }

  /// Reads batch.raw[from, to) and matches the rules. hits() and batch.records hold the result until the next call. Returns how many
  /// lines there were.
  std::uint64_t process(event::EventBatch& batch, const formats::Source::Chunk& chunk);
  /// Matches the rules and indicators on a batch that was read already.
  void match(const event::EventBatch& batch);
  const std::vector<match::hotpath::Hit>& hits() const { return hits_; }
  const std::vector<IndicatorHit>& indicator_hits() const { return indicator_hits_; }
  const IndicatorMatch& indicator_match() const { return indicator_match_; }

  /// The finding of one hit, with the values of the rule's fields.
  event::Finding finding(const event::EventBatch& batch, const match::hotpath::Hit& hit, const std::string& file,
                         Instant now) const;
  event::Finding finding(const event::EventBatch& batch, const IndicatorHit& hit, const std::string& file,
                         Instant now) const;

 private:
  Engine& engine_;
  formats::Reader reader_;
  match::hotpath::Matcher matcher_;
  IndicatorMatch indicator_match_;
  std::vector<match::hotpath::Hit> hits_;
  std::vector<IndicatorHit> indicator_hits_;
};

}  // namespace bavn::hunt
