#include "hunt/hunt.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/text.hpp"
#include "hunt/observables.hpp"
#include "match/sigma/correlation.hpp"

namespace bavn::hunt {

namespace {

using history::FrameRef;

/// Reads frames on several threads. work(thread, ref, text) runs in parallel; what it returns are its hits.
class FrameWalk {
 public:
  FrameWalk(const history::History& history, const event::Scope& scope, const HuntOptions& options)
      : history_(history), scope_(scope), options_(options), jobs_(std::max(1U, options.jobs)) {}

  using Work = std::function<void(const FrameRef&, const history::FrameText&)>;
  using MakeWork = std::function<Work()>;

  Result<void> over(const std::vector<FrameRef>& refs, const MakeWork& make, HuntReport& report) {
    std::atomic<std::size_t> next{0};
    std::optional<Error> trouble;
    const auto run = [&] {
      const Work work = make();
      history::FrameText text;
      for (std::size_t i = next++; i < refs.size(); i = next++) {
        if (options_.stop.stop_requested() || enough) return;
        const auto ok = history_.read(scope_, refs[i], text);
        if (ok) work(refs[i], text);
        const std::lock_guard lock(mutex);
        if (ok) {
          ++report.frames;
          report.records += refs[i].info.count;
        } else if (ok.error().code == Code::corrupt) {
          ++report.unreadable;
        } else if (ok.error().code != Code::not_found && !trouble) {
          trouble = ok.error();
        }
        ++progress.frames_done;
        progress.records = report.records;
        progress.hits = report.hits;
        if (options_.progress) options_.progress(progress);
      }
    };
    progress.frames += refs.size();
    {
      std::vector<std::jthread> threads;
      for (unsigned j = 1; j < jobs_ && j < refs.size(); ++j) threads.emplace_back(run);
      run();
    }
    if (options_.stop.stop_requested()) report.stopped = true;
    if (trouble) return std::unexpected(*trouble);
    return {};
  }

  Result<void> over_everything(const MakeWork& make, HuntReport& report) {
    for (const history::SegmentInfo& s : history_.segments(scope_)) {
      if (options_.stop.stop_requested() || enough) break;
      BAVN_TRY(const auto refs, history_.frames(scope_, s, options_.filter));
      BAVN_CHECK(over(refs, make, report));
    }
    if (options_.stop.stop_requested()) report.stopped = true;
    return {};
  }

  std::mutex mutex;  // of the report, the progress and the caller's callback
  HuntProgress progress;
  std::atomic<bool> enough{false};

 private:
  const history::History& history_;
  const event::Scope& scope_;
  const HuntOptions& options_;
  unsigned jobs_;
};

bool in_range(const history::Filter& f, std::int64_t happened_us, std::int64_t received_us) {
  const std::int64_t t = happened_us != 0 ? happened_us : received_us;
  return t >= f.from_us && t <= f.until_us;
}

std::vector<std::string_view> lines_of(std::string_view lines) {
  return split(lines, '\n');
}

/// Frames that the index names for the observables, each once. Those that it cannot be asked for are added to report.not_by_index.
class Candidates {
 public:
  Candidates(const history::History& history, const event::Scope& scope, const HuntOptions& options, HuntReport& report)
      : history_(history), scope_(scope), options_(options), report_(report) {}

  Result<void> add(const event::Observable& wanted) {
    const auto range = index_range(wanted);
    if (!range) {
      report_.not_by_index.push_back(wanted);
      return {};
    }
    BAVN_TRY(auto refs, history_.lookup(scope_, *range, options_.filter));
    for (FrameRef& r : refs) frames_.try_emplace(std::pair(r.info.segment, r.info.frame), std::move(r));
    return {};
  }
  /// Newest first; leaves this empty.
  std::vector<FrameRef> take() {
    std::vector<FrameRef> refs;
    refs.reserve(frames_.size());
    for (auto& [key, ref] : frames_) refs.push_back(std::move(ref));
    std::reverse(refs.begin(), refs.end());
    frames_.clear();
    return refs;
  }

 private:
  const history::History& history_;
  const event::Scope& scope_;
  const HuntOptions& options_;
  HuntReport& report_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, FrameRef> frames_;
};

}  // namespace

Result<HuntReport> hunt_observables(Engine& engine, const history::History& history, const event::Scope& scope,
                                    std::span<const event::Observable> wanted, const HuntOptions& options,
                                    const std::function<void(const RecordHit&)>& each) {
  HuntReport report;
  Candidates candidates(history, scope, options, report);
  std::multimap<std::pair<event::Kind, std::string_view>, std::size_t> exact;
  std::vector<std::size_t> networks;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (options.stop.stop_requested()) break;
    if (wanted[i].kind == event::Kind::cidr) networks.push_back(i);
    else exact.emplace(std::pair(wanted[i].kind, std::string_view(wanted[i].value)), i);
    BAVN_CHECK(candidates.add(wanted[i]));
  }
  FrameWalk walk(history, scope, options);
  std::vector<bool> found(wanted.size());
  const bool urls =
      std::any_of(wanted.begin(), wanted.end(), [](const event::Observable& o) { return o.kind == event::Kind::url; });
  const auto make = [&]() -> FrameWalk::Work {
    struct State {
      formats::Reader reader;
      RecordObservables observables;
      event::EventBatch batch;
      explicit State(Engine& e) : reader(e.catalogue(), e.plan(), e.routes()) {}
    };
    return [&, s = std::make_shared<State>(engine)](const FrameRef& ref, const history::FrameText& text) {
      read_lines(s->reader, engine.catalogue(), ref.info.format, text.context(), text.lines(), s->batch);
      std::set<std::size_t> of_record;
      for (const event::Record& r : s->batch.records) {
        of_record.clear();
        s->observables.seek(s->batch, r, urls, [&](event::Kind k, std::string_view v) {
          bool any = false;
          const auto [from, to] = exact.equal_range(std::pair(k, v));
          for (auto it = from; it != to; ++it) {
            of_record.insert(it->second);
            any = true;
          }
          for (const std::size_t n : networks)
            if (is_wanted(wanted[n], k, v)) {
              of_record.insert(n);
              any = true;
            }
          return any;
        });
        if (of_record.empty()) continue;
        const auto record = static_cast<std::uint32_t>(r.line - 1);
        const std::int64_t received = text.received_us(record);
        if (!in_range(options.filter, r.happened_us, received)) continue;
        const std::lock_guard lock(walk.mutex);
        for (const std::size_t n : of_record) {
          if (report.hits >= options.limit) {
            walk.enough = true;
            break;
          }
          ++report.hits;
          if (!found[n]) {
            found[n] = true;
            ++report.found;
          }
          each({ref.info, record, s->batch.line(r), r.happened_us, received, &wanted[n], &s->batch, &r});
        }
      }
    };
  };
  if (!report.not_by_index.empty()) {
    BAVN_CHECK(walk.over_everything(make, report));
    return report;
  }
  BAVN_CHECK(walk.over(candidates.take(), make, report));
  return report;
}

Result<HuntReport> hunt_text(Engine& engine, const history::History& history, const event::Scope& scope,
                             std::string_view text, const HuntOptions& options,
                             const std::function<void(const RecordHit&)>& each) {
  if (text.empty() || text.find('\n') != std::string_view::npos)
    return fail(Code::bad_input, "a text hunt needs one line of text");
  HuntReport report;
  FrameWalk walk(history, scope, options);
  const auto make = [&]() -> FrameWalk::Work {
    struct State {
      formats::Reader reader;
      event::EventBatch batch;
      explicit State(Engine& e) : reader(e.catalogue(), e.plan(), e.routes()) {}
    };
    return [&, s = std::make_shared<State>(engine)](const FrameRef& ref, const history::FrameText& frame) {
      if (!icontains(frame.lines(), text)) return;
      read_lines(s->reader, engine.catalogue(), ref.info.format, frame.context(), frame.lines(), s->batch);
      std::map<std::uint64_t, std::int64_t> happened;
      for (const event::Record& r : s->batch.records) happened.emplace(r.line, r.happened_us);
      std::uint32_t n = 0;
      for (const std::string_view line : lines_of(frame.lines())) {
        const std::uint32_t record = n++;
        if (!icontains(line, text)) continue;
        const auto it = happened.find(record + 1);
        const std::int64_t at = it == happened.end() ? 0 : it->second, received = frame.received_us(record);
        if (!in_range(options.filter, at, received)) continue;
        const std::lock_guard lock(walk.mutex);
        if (report.hits >= options.limit) {
          walk.enough = true;
          return;
        }
        ++report.hits;
        each({.frame = ref.info, .record = record, .line = line, .happened_us = at, .received_us = received});
      }
    };
  };
  BAVN_CHECK(walk.over_everything(make, report));
  return report;
}

namespace {

/// frames: null for everything that passes the filter.
Result<HuntReport> match_again(Engine& engine, Runtime& runtime, const history::History& history,
                               const event::Scope& scope, const HuntOptions& options,
                               const std::function<void(const event::Finding&)>& each, HuntReport report,
                               const std::vector<FrameRef>* frames, bool with_rules) {
  namespace sigma = match::sigma;
  FrameWalk walk(history, scope, options);
  sigma::CorrelationOptions replay;
  replay.replay = true;
  replay.max_memory = std::size_t{512} << 20U;
  sigma::CorrelationEngine correlations(engine.rules(), replay);
  const auto make = [&]() -> FrameWalk::Work {
    struct State {
      Worker worker;
      event::EventBatch batch;
      explicit State(Engine& e) : worker(e) {}
    };
    return [&, s = std::make_shared<State>(engine)](const FrameRef& ref, const history::FrameText& text) {
      read_lines(s->worker.reader(), engine.catalogue(), ref.info.format, text.context(), text.lines(), s->batch);
      const std::string file = std::to_string(ref.info.segment) + "/" + std::to_string(ref.info.frame);
      const std::string municipality = std::to_string(ref.info.source.municipality.value);
      const Instant now = runtime.now();
      s->worker.match(s->batch);
      // false: the limit is reached
      const auto give = [&](event::Finding f) {
        f.municipality = municipality;
        const std::lock_guard lock(walk.mutex);
        walk.enough = walk.enough || report.hits >= options.limit;
        if (walk.enough) return false;
        ++report.hits;
        each(f);
        return true;
      };
      for (const auto& hit : s->worker.hits()) {
        if (!with_rules) break;
        const event::Record& r = s->batch.records[hit.record];
        if (!in_range(options.filter, r.happened_us, text.received_us(static_cast<std::uint32_t>(r.line - 1))))
          continue;
        const sigma::Rule& rule = engine.rules().rules[hit.rule];
        if (correlations.wants(hit.rule)) {
          const match::hotpath::BatchRecordView view(engine.plan(), s->batch, r);
          auto captured = correlations.capture(hit.rule, HappenedAt{from_micros(r.happened_us)}, view,
                                               {municipality, engine.catalogue().at(r.format).name, file, r.line});
          const std::lock_guard lock(walk.mutex);
          correlations.on_hit(std::move(captured),
                              [](const sigma::CorrelationFinding&) {});  // all come out of finish()
        }
        if (!rule.reports || rule.meta.level < engine.min_level()) continue;
        if (!give(s->worker.finding(s->batch, hit, file, now))) return;
      }
      for (const IndicatorHit& hit : s->worker.indicator_hits()) {
        const event::Record& r = s->batch.records[hit.record];
        if (!in_range(options.filter, r.happened_us, text.received_us(static_cast<std::uint32_t>(r.line - 1))))
          continue;
        if (!give(s->worker.finding(s->batch, hit, file, now))) return;
      }
    };
  };
  BAVN_CHECK(frames != nullptr ? walk.over(*frames, make, report) : walk.over_everything(make, report));
  if (!with_rules) return report;
  const Instant now = runtime.now();
  correlations.finish([&](const sigma::CorrelationFinding& found) {
    const sigma::Correlation& c = engine.rules().correlations[found.correlation];
    if (!c.reports || c.meta.level < engine.min_level() || report.hits >= options.limit) return;
    ++report.hits;
    each(sigma::to_finding(engine.rules(), found, now));
  });
  return report;
}

}  // namespace

Result<HuntReport> hunt_rules(Engine& engine, Runtime& runtime, const history::History& history,
                              const event::Scope& scope, const HuntOptions& options,
                              const std::function<void(const event::Finding&)>& each) {
  return match_again(engine, runtime, history, scope, options, each, {}, nullptr, true);
}

Result<HuntReport> hunt_indicators(Engine& engine, Runtime& runtime, const history::History& history,
                                   const event::Scope& scope, const HuntOptions& options,
                                   const std::function<void(const event::Finding&)>& each) {
  HuntReport report;
  Candidates candidates(history, scope, options, report);
  std::vector<event::Observable> wanted;
  const auto snapshot = engine.indicators().snapshot();
  for (const auto& layer : snapshot->layers) {
    layer->for_each([&](const match::indicators::Indicator& i) {
      if (!i.is_pattern()) wanted.push_back({i.kind, i.value});
    });
    for (const auto& pattern : layer->patterns()) {
      if (!pattern.not_evaluated().empty()) continue;
      if (pattern.witnesses().empty()) report.not_by_index.push_back({event::Kind{}, pattern.text()});
      for (const event::Observable& o : pattern.witnesses()) wanted.push_back(o);
    }
  }
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  for (const event::Observable& o : wanted) {
    if (options.stop.stop_requested()) break;
    BAVN_CHECK(candidates.add(o));
  }
  const bool everything = !report.not_by_index.empty();
  const std::vector<FrameRef> frames = candidates.take();
  return match_again(engine, runtime, history, scope, options, each, std::move(report), everything ? nullptr : &frames,
                     false);
}

}  // namespace bavn::hunt
