#pragma once
// Indicators as they travel from hub to nodes, and what each side keeps of them: one base file (mapped, shared by all guests of a machine)
// and the changes since. JSON on the wire: {"add":[{"kind","value","source","confidence","tlp","valid_from","valid_until","action",
// "comment"}],"remove":[{"kind","value","source"}]}.
// Thread rules: HubIndicators and NodeIndicators from any thread. Life: after State.
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "match/indicators/set.hpp"
#include "store/state.hpp"

namespace bavn::app {

struct IndicatorChange {
  std::vector<match::indicators::Indicator> add;
  std::vector<match::indicators::Removal> remove;
};
std::string to_json(const IndicatorChange& change);
/// bad_input names the member: "/add/3/kind: ...". Values are made canonical, and refused when they are not what their kind says.
Result<IndicatorChange> change_from_json(std::string_view json);
/// The change in pieces that each fit `most` bytes as JSON.
std::vector<std::string> pieces(const IndicatorChange& change, std::size_t most);

/// Puts a change into a set; what the set refuses is an error.
Result<void> apply(match::indicators::IndicatorSet& set, const IndicatorChange& change);

/// The hub's side. Nothing is held in memory between bases but the base itself.
class HubIndicators {
 public:
  HubIndicators(store::State& state, std::string folder) : state_(state), folder_(std::move(folder)) {}
  /// Notes the change in the transaction that publishes it.
  static Result<void> note(store::Tx& tx, std::string_view who, std::string_view payload);
  struct Built {
    std::string file;
    std::size_t size = 0;
    std::int64_t upto_delta = 0;
    std::size_t refused = 0;  // deltas that could not be applied: said in the log
  };
  /// A new base out of the last one, the changes since, and `more`. Takes seconds at millions.
  Result<Built> build(std::string_view audience,
                      const std::function<Result<void>(match::indicators::IndicatorBuilder&)>& more = {});
  /// Makes it the base of the audience; forgets the changes that are in it.
  static Result<void> keep(store::Tx& tx, std::string_view audience, const Built& built);
  struct Size {
    std::int64_t in_base = 0, changes = 0;  // changes: added since
  };
  Result<Size> size() const;
  /// Is this observable (canonical) an indicator that is valid now? The name of its source, or empty. Reads what changed since it was asked
  /// last; in memory are the changes only, the base is mapped.
  std::string listed(store::Tx& tx, std::string_view kind, std::string_view value);

 private:
  Result<void> catch_up(store::Reader& db);
  store::State& state_;
  std::string folder_;
  std::mutex building_;
  std::mutex reading_;  // the three below
  match::indicators::IndicatorSet set_;
  std::string read_file_;
  std::int64_t read_delta_ = 0;
};

/// Changes one after the other as what stands at the end: the last word on each indicator counts.
class Standing {
 public:
  void take(const IndicatorChange& change);
  std::vector<match::indicators::Indicator> additions() const;
  std::vector<match::indicators::Removal> removals() const;

 private:
  std::map<match::indicators::Removal, std::optional<match::indicators::Indicator>> last_;  // empty: removed
};

/// The node's side: what came is kept in tables and put into the set of the running engine after the commit.
class NodeIndicators {
 public:
  /// hunt_back: what becomes known is looked for in the past, too (live::HuntBack).
  explicit NodeIndicators(match::indicators::IndicatorSet& set, bool hunt_back = false)
      : set_(&set), hunt_back_(hunt_back) {}
  /// At start: the base and the changes since.
  Result<void> load(store::State& state);
  // In the transaction of the stream. The set gets it before the commit: an indicator that is live a moment too early does no harm, and
  // after a failed commit it comes again.
  Result<void> on_change(store::Tx& tx, std::string_view audience, std::uint64_t seq, std::string_view payload);
  Result<void> on_base(store::Tx& tx, std::string_view audience, const std::string& file, std::uint64_t covers_seq);
  /// The engine was made anew: everything into this one.
  Result<void> use(store::State& state, match::indicators::IndicatorSet& set);

 private:
  match::indicators::IndicatorSet* set_;
  bool hunt_back_;
};

}  // namespace bavn::app
