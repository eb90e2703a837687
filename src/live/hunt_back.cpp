#include "live/hunt_back.hpp"

#include <boost/describe/class.hpp>

#include <atomic>
#include <charconv>
#include <map>
#include <mutex>
#include <set>

#include "base/guarded.hpp"
#include "base/log.hpp"
#include "hunt/observables.hpp"
#include "live/matched.hpp"
#include "match/indicators/base.hpp"
#include "match/indicators/stix_pattern.hpp"
#include "net/json_views.hpp"

namespace bavn::live {

namespace {

namespace mi = match::indicators;

constexpr std::size_t kSignsAtOnce = 1000;   // looked for and recorded in one transaction
constexpr std::size_t kFramesOfASign = 500;  // newest first: a sign that is in everything says nothing new after these
constexpr std::string_view kWanted = "hunt_back.wanted";

struct Sign {
  std::string kind, value, source;
  friend auto operator<=>(const Sign&, const Sign&) = default;
};
BOOST_DESCRIBE_STRUCT(Sign, (), (kind, value, source))
struct Signs {
  std::vector<Sign> signs;
};
BOOST_DESCRIBE_STRUCT(Signs, (), (signs))

struct Row {
  std::int64_t id = 0, known_us = 0;
  std::string signs, base, before, place;
};
BOOST_DESCRIBE_STRUCT(Row, (), (id, known_us, signs, base, before, place))

constexpr std::string_view kPattern = "stix_pattern";  // as findings call it

std::string kind_of(const mi::Indicator& i) {
  return i.is_pattern() ? std::string(kPattern) : std::string(event::to_string(i.kind));
}

Sign sign_of(const mi::Indicator& i) {
  return {kind_of(i), i.value, i.source};
}

/// As a finding names the indicator it is of.
Sign sign_of(const event::Finding& f) {
  return {f.indicator_kind, f.indicator_value, f.indicator_source};
}

/// What the index is asked for: the sign itself, or those a pattern cannot hold without.
std::vector<history::PostingRange> keys_of(const Sign& sign) {
  std::vector<history::PostingRange> keys;
  const auto add = [&](const event::Observable& o) {
    if (const auto range = hunt::index_range(o)) keys.push_back(*range);
  };
  if (sign.kind == kPattern) {
    if (const auto pattern = mi::StixPattern::parse(sign.value))
      for (const event::Observable& o : pattern->witnesses()) add(o);
  } else if (const auto o = event::canonical(sign.kind, sign.value)) {
    add(*o);
  }
  return keys;
}

}  // namespace

struct HuntBack::Inner : std::enable_shared_from_this<Inner> {
  Inner(Runtime& r, store::State& s, Pipeline& p, alerts::AlertBook b)
      : runtime(r),
        state(s),
        pipeline(p),
        book(std::move(b)),
        queue(r.queue({.name = "hunt-back", .threads = 1, .limit = 1000})) {}

  void wake() {
    if (working.exchange(true)) {
      again = true;
      return;
    }
    if (!runtime.post(queue, [weak = weak_from_this()] {
          if (const auto self = weak.lock()) self->step();
        }))
      working = false;
  }

  /// One row, or a part of a base; then the next.
  void step() {
    const std::lock_guard lock(at_work);
    again = false;
    if (stopped) return;
    auto row = state.read([](store::Reader& db) {
      return db.one<Row>("SELECT id, known_us, signs, base, before, place FROM hunt_back ORDER BY id LIMIT 1");
    });
    if (!row) log::warn("hunt_back_unread", {{"reason", to_string(row.error())}});
    if (!row || !*row) {
      working = false;
      if (row && again) wake();
      return;
    }
    if (const auto done = work(**row); !done) {
      log::warn("hunt_back_failed", {{"reason", to_string(done.error())}});
      runtime.after(std::chrono::minutes(1), queue, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->step();
      });
      return;
    }
    if (!runtime.post(queue, [weak = weak_from_this()] {
          if (const auto self = weak.lock()) self->step();
        }))
      working = false;
  }

  Result<void> work(const Row& row) {
    std::vector<Sign> signs;
    std::string place;  // empty: the row is done with these
    if (!row.base.empty()) {
      BAVN_TRY(place, signs_of_base(row, signs));
    } else {
      BAVN_TRY(Signs kept, net::from_json<Signs>(row.signs, net::Unknown::refuse));
      signs = std::move(kept.signs);
    }
    std::vector<alerts::Found> found;
    if (pipeline.history().stats().records > 0) {
      BAVN_TRY(found, look(signs, row.known_us));
    }
    stats.with([&](Stats& s) {
      s.signs += signs.size();
      s.findings += found.size();
    });
    return state.write_now([&](store::Tx& tx) -> Result<void> {
      // Live matching may have met one of them in the moment in which it became known.
      std::vector<alerts::Found> fresh;
      for (alerts::Found& f : found) {
        BAVN_TRY(
            const auto known,
            tx.one<std::int64_t>("SELECT 1 FROM alert a JOIN alert_example e ON e.alert = a.id WHERE "
                                 "a.key = :key AND e.finding = :finding",
                                 {{"key", alerts::alert_key(f)}, {"finding", alerts::finding_id(f.finding, f.place)}}));
        if (!known) fresh.push_back(f);
      }
      BAVN_CHECK(book.record(tx, fresh));
      if (place.empty()) {
        BAVN_CHECK(tx.exec("DELETE FROM hunt_back WHERE id = :id", {{"id", row.id}}));
      } else {
        BAVN_CHECK(tx.exec("UPDATE hunt_back SET place = :place WHERE id = :id", {{"place", place}, {"id", row.id}}));
      }
      return {};
    });
  }

  /// The next signs of the base; where those after them begin, empty at its end.
  Result<std::string> signs_of_base(const Row& row, std::vector<Sign>& into) {
    if (row.base != base_file) {
      base_file.clear();
      auto opened = mi::IndicatorBase::open(row.base);
      if (!opened) {  // a newer one took its place: that one's row has what is left
        log::warn("hunt_back_base_gone", {{"file", row.base}, {"reason", opened.error().what}});
        return std::string();
      }
      base = std::move(*opened);
      before = mi::IndicatorBase::empty();
      if (!row.before.empty())
        if (auto old = mi::IndicatorBase::open(row.before)) before = std::move(*old);
      base_file = row.base;
    }
    std::uint64_t from = 0;
    std::from_chars(row.place.data(), row.place.data() + row.place.size(), from);
    std::set<Sign> old_patterns;
    if (before->patterns().size() > 0)
      for (std::size_t i = 0; i < before->patterns().size(); ++i)
        old_patterns.insert(sign_of(before->pattern_indicator(i)));
    const std::uint64_t next = base->walk(from, [&](const mi::Indicator& i) {
      bool known = false;
      if (i.is_pattern()) known = old_patterns.contains(sign_of(i));
      else
        before->find(i.kind, i.value, hash_of(i), [&](const mi::IndicatorView& v) { known |= v.source() == i.source; });
      if (known) return true;
      into.push_back(sign_of(i));
      return into.size() < kSignsAtOnce;
    });
    if (next >= base->end_place()) {
      base_file.clear();
      base.reset();
      before.reset();
      return std::string();
    }
    return std::to_string(next);
  }

  static std::uint64_t hash_of(const mi::Indicator& i) {
    if (i.kind == event::Kind::cidr)
      if (const auto network = event::parse_cidr(i.value))
        return mi::IndicatorBase::network_hash(network->network, network->prefix);
    return event::observable_hash(i.kind, i.value);
  }

  /// What live matching would have found of these signs in what was received before.
  Result<std::vector<alerts::Found>> look(const std::vector<Sign>& signs, std::int64_t known_us) {
    const auto engine = pipeline.engine();
    if (!loaded || loaded->engine != engine) loaded = std::make_unique<Loaded>(engine, 0, false);
    const auto scope = event::Scope::local_owner();
    const history::History& history = pipeline.history();
    std::map<std::pair<std::uint32_t, std::uint32_t>, history::FrameRef> frames;
    for (const Sign& sign : signs) {
      const auto keys = keys_of(sign);
      if (keys.empty()) {
        stats.with([](Stats& s) { ++s.not_by_index; });
        continue;
      }
      history::Filter filter;
      filter.limit = kFramesOfASign;
      for (const history::PostingRange& key : keys) {
        BAVN_TRY(auto refs, history.lookup(scope, key, filter));
        if (refs.size() >= kFramesOfASign) {
          stats.with([](Stats& s) { ++s.cut; });
          log::warn("hunt_back_cut", {{"kind", sign.kind}, {"source", sign.source}, {"frames", kFramesOfASign}});
        }
        for (history::FrameRef& r : refs) frames.try_emplace(std::pair(r.info.segment, r.info.frame), std::move(r));
      }
    }
    const std::set<Sign> wanted(signs.begin(), signs.end());
    std::vector<alerts::Found> out;
    history::FrameText text;
    auto desk = loaded->desk();
    for (const auto& [place, ref] : frames) {
      if (stopped) return fail(Code::unavailable, "the node stops");
      if (!history.read(scope, ref, text)) {  // erased or damaged: doctor names it
        stats.with([](Stats& s) { ++s.unreadable; });
        continue;
      }
      MatchedFrame frame;
      desk->match(ref, text, {.findings = true, .hits = false, .facts = false}, frame);
      stats.with([](Stats& s) { ++s.frames; });
      for (alerts::Found& f : frame.found)
        if (f.finding.kind == event::FindingKind::indicator && f.received_us < known_us &&
            wanted.contains(sign_of(f.finding)))
          out.push_back(std::move(f));
    }
    return out;
  }

  Runtime& runtime;
  store::State& state;
  Pipeline& pipeline;
  const alerts::AlertBook book;
  const QueueId queue;
  std::atomic<bool> working = false, again = false, stopped = false;
  std::mutex at_work;  // held by a step: whoever ends this waits for it
  Guarded<Stats> stats;
  // Of the queue:
  std::unique_ptr<Loaded> loaded;
  std::string base_file;
  std::shared_ptr<const mi::IndicatorBase> base, before;
};

Result<std::unique_ptr<HuntBack>> HuntBack::open(Runtime& runtime, store::State& state, Pipeline& pipeline,
                                                 const alerts::AlertBook& book) {
  return std::unique_ptr<HuntBack>(new HuntBack(std::make_shared<Inner>(runtime, state, pipeline, book)));
}

HuntBack::~HuntBack() {
  inner_->stopped = true;
  const std::lock_guard lock(inner_->at_work);
}

Result<void> HuntBack::wanted(store::Tx& tx, std::span<const mi::Indicator> added) {
  for (std::size_t at = 0; at < added.size(); at += kSignsAtOnce) {
    Signs part;
    for (const mi::Indicator& i : added.subspan(at, std::min(kSignsAtOnce, added.size() - at)))
      part.signs.push_back(sign_of(i));
    BAVN_CHECK(tx.exec("INSERT INTO hunt_back (known_us, signs) VALUES (:now, :signs)",
                       {{"now", tx.now()}, {"signs", net::to_json(part)}}));
  }
  return added.empty() ? Result<void>() : tx.emit(kWanted, "");
}

Result<void> HuntBack::wanted_base(store::Tx& tx, const std::string& file, const std::string& before) {
  BAVN_CHECK(tx.exec("INSERT INTO hunt_back (known_us, signs, base, before) VALUES (:now, '', :base, :before)",
                     {{"now", tx.now()}, {"base", file}, {"before", before}}));
  return tx.emit(kWanted, file);
}

void HuntBack::subscribe() {
  inner_->state.subscribe("hunt_back", inner_->queue,
                          [weak = std::weak_ptr(inner_)](const store::DomainEvent&) -> Result<void> {
                            if (const auto self = weak.lock()) self->wake();
                            return {};
                          },
                          {std::string(kWanted)});
}

void HuntBack::start() {
  inner_->wake();
}

HuntBack::Stats HuntBack::stats() const {
  return inner_->stats.with([](const Stats& s) { return s; });
}

bool HuntBack::idle() const {
  const auto rows = inner_->state.read([](store::Reader& db) { return db.number("SELECT count(*) FROM hunt_back"); });
  return rows && *rows == 0;
}

}  // namespace bavn::live
