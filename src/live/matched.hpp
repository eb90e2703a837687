#pragma once
// Inside of live: records of a delivery or of a frame of history as findings and as hits for correlations. Both ways give the same.
// Thread rules: a Desk belongs to one thread at a time; Loaded is shared by all.
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "alerts/found.hpp"
#include "history/history.hpp"
#include "hunt/engine.hpp"
#include "hunt/observables.hpp"
#include "input/sink.hpp"
#include "match/sigma/correlation.hpp"
#include "notice/fact_reader.hpp"

namespace bavn::live {

namespace sigma = match::sigma;

/// What was found in one frame, before anything correlates. Files and places of findings are set once the frame has its number.
struct MatchedFrame {
  std::uint32_t segment = 0, frame = 0;
  std::uint64_t generation = 0;
  std::string source;
  MunicipalityId municipality{};
  TenantId tenant{};
  std::uint64_t records = 0, bytes = 0;
  std::int64_t received_us = 0, max_happened_us = 0;
  std::vector<alerts::Found> found;
  std::vector<sigma::Hit> hits;
  notice::ReadFacts facts;
  void settle();  // segment and frame into findings and hits
  std::size_t weight() const { return found.size() + hits.size() + facts.weight() + 1; }
};

/// Lines of one format that become one frame.
struct Piece {
  event::FormatId format = 0;
  std::string format_name, context, lines;
  std::vector<std::int64_t> happened_us;
  std::vector<history::Posting> postings;
  history::BatchId id{};
  MatchedFrame matched;
};

class Desk;

/// An engine in use, with desks for those who work with it.
class Loaded {
 public:
  /// facts: are they read, too (then the engine was opened with EngineOptions::facts)?
  Loaded(std::shared_ptr<hunt::Engine> e, std::uint64_t g, bool facts);
  ~Loaded();
  /// A free desk, given back when the pointer goes.
  std::unique_ptr<Desk, std::function<void(Desk*)>> desk();

  const std::shared_ptr<hunt::Engine> engine;
  const std::uint64_t generation;
  const sigma::CorrelationEngine capture;               // wants() and capture() only
  const std::shared_ptr<const notice::FactPlan> facts;  // null: nobody wants them
  bool reads_facts(const std::string& format) const;

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Desk>> free_;
};

struct ReadDelivery {
  std::vector<std::unique_ptr<Piece>> pieces;
  input::Receipt receipt;
};

class Desk {
 public:
  explicit Desk(Loaded& loaded);

  /// Splits, reads, matches and takes the observables out. bad_input: an unknown format.
  Result<ReadDelivery> read(const input::Delivery& d, std::size_t frame_bytes, Instant now);
  struct Want {
    bool findings = true, hits = true, facts = true;
  };
  /// A frame of history again.
  void match(const history::FrameRef& ref, const history::FrameText& text, Want want, MatchedFrame& into);

 private:
  using Key =
      std::tuple<bool, std::uint64_t, std::string, std::string, std::int64_t>;  // rule or indicator, concern, day
  struct Open {
    Piece* piece = nullptr;
    std::map<Key, std::size_t> at;  // index into piece->matched.found
  };
  struct Where {
    Open* open = nullptr;
    std::uint32_t line = 0;  // in the frame, from 1
  };
  struct To {
    MatchedFrame* frame = nullptr;
    std::map<Key, std::size_t>* at = nullptr;
    std::uint32_t line = 0;
    std::int64_t received_us = 0;
  };
  /// where(record index): into which frame a record went; null: nowhere.
  template <class F>
  void collect(const event::EventBatch& batch, Instant now, bool findings, F&& where);
  void add(MatchedFrame& into, std::map<Key, std::size_t>& at, Key key, std::uint32_t line, const event::Record& r,
           std::int64_t received_us, const std::function<event::Finding()>& make);
  void read_facts(const event::Record& r, MatchedFrame& into);
  alerts::Concern concern(const event::EventBatch& batch, const event::Record& r, const std::string& source) const;

  Loaded& loaded_;
  hunt::Engine& engine_;
  hunt::Worker worker_;
  hunt::RecordObservables observables_;
  std::optional<notice::FactReader> facts_;
  event::EventBatch batch_;
};

/// The finding of a correlation, placed where its last event lies.
alerts::Found found_of(const sigma::RuleSet& set, const sigma::CorrelationFinding& c, const MatchedFrame& from);

}  // namespace bavn::live
