#pragma once
// What this node's own history says of observables: how often, to how many people, who clicked, since when; which logs could show it, and
// which could but are missing. For warnings (warn::Hunt) and previews of blocks (warn::blocks::Look).
// Life: after the Pipeline, gone before it. Thread rules: any thread; the work is done on a queue of its own, one question at a time.
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/runtime.hpp"
#include "input/blind_spots.hpp"
#include "live/pipeline.hpp"
#include "warn/blocks/node_blocks.hpp"
#include "warn/node_desk.hpp"

namespace bavn::app {

class LookBack {
 public:
  /// seen: which sources and formats deliver here now.
  LookBack(Runtime& runtime, live::Pipeline& pipeline, std::vector<input::Sight> sights,
           std::function<input::Seen()> seen);
  ~LookBack();

  void hunt(warn::HuntAsk ask, std::move_only_function<void(Result<warn::HuntFound>)> then);
  void look(const event::Observable& what, Instant from, Instant to,
            std::function<void(Result<warn::blocks::Seen>)> then);

 private:
  struct Counted {
    std::int64_t hits = 0;
    std::set<std::uint64_t> people, clickers;  // hashes: names are not needed
    std::optional<Instant> first;
  };
  Result<Counted> count(std::span<const event::Observable> wanted, Instant from, Instant to,
                        std::optional<MunicipalityId> of) const;

  Runtime& runtime_;
  live::Pipeline& pipeline_;
  std::vector<input::Sight> sights_;
  std::function<input::Seen()> seen_;
  QueueId queue_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// Which kinds of logs could show one of these, split into those that arrive here and those that do not. Names as in docs/municipality.md.
struct Sights {
  std::vector<std::string> looked_in, cannot_see;
};
Sights sights_for(const std::vector<input::Sight>& sights, const input::Seen& seen,
                  std::span<const event::NamedObservable> look_for);

}  // namespace bavn::app
