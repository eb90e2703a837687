#include "match/sigma/correlation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "base/text.hpp"
#include "match/sigma/correlation_impl.hpp"

namespace bavn::match::sigma {

namespace {

constexpr std::size_t kGroupCombinations = 32;  // groups that one event with lists in its group-by fields may count in
constexpr std::size_t kValueCombinations = 1000;  // values of one event that value_count takes
constexpr std::size_t kPlaces = 100'000;          // distinct (municipality, format, file)
constexpr std::size_t kKeptBySketch = 32;         // last events of a group whose values are estimated, for the finding
constexpr std::size_t kKeptForLate = 1000;  // events of a temporal group that are not thinned for a late event's sake
constexpr Micros kFuture = std::chrono::microseconds(std::chrono::minutes{10}).count();

bool only_rises(const Bound& b) {
  return b.compare == Compare::greater || b.compare == Compare::greater_equal;
}

bool negates(const Node& n) {
  return n.kind == Node::Kind::negate || std::ranges::any_of(n.children, negates);
}

/// Can more events make a true condition false? Then it can be judged only when nothing more may come.
bool is_settled(const Correlation& c) {
  if (c.type == CorrelationType::value_avg || c.type == CorrelationType::value_percentile) return true;
  return (c.has_expression && negates(c.expression)) || !std::ranges::all_of(c.bounds, only_rises);
}

bool is_temporal(CorrelationType t) {
  return t == CorrelationType::temporal || t == CorrelationType::temporal_ordered;
}

Micros plus(Micros a, Micros b) {
  Micros sum = 0;
  if (__builtin_add_overflow(a, b, &sum))
    return b > 0 ? std::numeric_limits<Micros>::max() : std::numeric_limits<Micros>::min();
  return sum;
}

std::uint16_t index_of(std::vector<std::string>& names, std::string_view name) {
  auto it = std::ranges::find(names, name);
  if (it == names.end()) it = names.insert(names.end(), std::string(name));
  return static_cast<std::uint16_t>(it - names.begin());
}

std::optional<double> number(std::string_view text) {
  text = trim(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

void append_counted(std::string& key, std::string_view part) {
  const auto n = static_cast<std::uint32_t>(part.size());
  for (int shift = 0; shift < 32; shift += 8) key += static_cast<char>(n >> shift);
  key += part;
}

/// Calls f for each combination of one element of every list, at most `limit` times; false when some were left out.
bool combinations(const std::vector<std::vector<std::string_view>>& lists, std::size_t limit,
                  const std::function<void(std::span<const std::string_view>)>& f) {
  std::vector<std::size_t> at(lists.size(), 0);
  std::vector<std::string_view> one(lists.size());
  for (std::size_t n = 0;; ++n) {
    if (n == limit) return false;
    for (std::size_t i = 0; i < lists.size(); ++i) one[i] = lists[i][at[i]];
    f(one);
    std::size_t i = 0;
    while (i < lists.size() && ++at[i] == lists[i].size()) at[i++] = 0;
    if (i == lists.size()) return true;
  }
}

using FieldValues = std::vector<std::pair<std::uint16_t, std::string_view>>;

/// The field's values, without the empty ones: an empty value names nobody.
std::vector<std::string_view> values_of(const FieldValues& source, std::uint16_t field) {
  std::vector<std::string_view> out;
  for (const auto& [f, value] : source)
    if (f == field && !value.empty() && std::ranges::find(out, value) == out.end()) out.push_back(value);
  return out;
}

}  // namespace

// ---- preparing -------------------------------------------------------------------------------------------------------------

CorrelationEngine::Impl::Impl(const RuleSet& s, CorrelationOptions o) : set(&s), options(std::move(o)) {
  prepare();
  of.resize(plans.size());
  stats.of.resize(plans.size());
}

void CorrelationEngine::Impl::prepare() {
  const auto& all = set->correlations;
  plans.resize(all.size());
  needed.resize(set->rules.size());
  targets.resize(set->rules.size());
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    Plan& p = plans[i];
    p.rule = &all[i];
    p.index = i;
    p.timespan = std::chrono::microseconds(all[i].timespan).count();
    p.quiet = options.quiet ? options.quiet->count() : p.timespan;
    p.settled = is_settled(all[i]);
    double most = 0;
    for (const Bound& b : all[i].bounds) most = std::max(most, b.value);
    // A threshold above the limit needs as many events; beyond a million, merging is the lesser evil.
    p.max_events = std::max(options.max_events, static_cast<std::size_t>(std::min(2 * most, 1e6)));
    for (std::size_t r = 0; r < all[i].rules.size(); ++r) {
      const RuleRef& ref = all[i].rules[r];
      auto& to = ref.is_correlation ? plans[ref.index].outers : targets[ref.index];
      to.emplace_back(i, static_cast<std::uint16_t>(r));
    }
  }
  // Outer correlations first: what they need, the inner ones must carry.
  std::vector<std::uint32_t> order;
  std::vector<std::size_t> waiting(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) waiting[i] = plans[i].outers.size();
  for (std::uint32_t i = 0; i < all.size(); ++i)
    if (waiting[i] == 0) order.push_back(i);
  for (std::size_t n = 0; n < order.size(); ++n) {
    Plan& p = plans[order[n]];
    const Correlation& c = *p.rule;
    p.result_fields.insert(p.result_fields.begin(), c.group_by.begin(), c.group_by.end());
    for (std::size_t i = c.group_by.size(); i < p.result_fields.size(); ++i) p.carried.push_back(p.result_fields[i]);
    for (std::size_t r = 0; r < c.rules.size(); ++r) {
      const RuleRef& ref = c.rules[r];
      Plan::Source& source = p.sources.emplace_back();
      const auto resolve = [&](const std::string& name) -> std::uint16_t {
        const std::string_view field = c.field_in(name, r);
        if (!ref.is_correlation) return index_of(needed[ref.index], field);
        // The inner's result_fields begin with its group-by names once it is its turn; until then they are kept apart.
        const auto& groups = all[ref.index].group_by;
        if (auto it = std::ranges::find(groups, field); it != groups.end())
          return static_cast<std::uint16_t>(it - groups.begin());
        return static_cast<std::uint16_t>(groups.size() + index_of(plans[ref.index].result_fields, field));
      };
      for (const auto& name : c.group_by) source.group.push_back(resolve(name));
      for (const auto& name : c.fields) source.value.push_back(resolve(name));
      for (const auto& name : p.carried) source.carried.push_back(resolve(name));
      if (ref.is_correlation && --waiting[ref.index] == 0) order.push_back(ref.index);
    }
  }
  BAVN_ASSERT(order.size() == all.size());  // load refuses cycles
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    Plan& p = plans[*it];
    for (const RuleRef& ref : p.rule->rules)
      if (ref.is_correlation) {
        const Plan& inner = plans[ref.index];
        p.delay = std::max(p.delay, plus(inner.delay, inner.settled ? inner.timespan : 0));
      }
    p.fingerprint = fingerprint(p);
  }
}

// ---- taking hits -----------------------------------------------------------------------------------------------------------

Hit CorrelationEngine::Impl::capture(std::uint32_t rule, HappenedAt at, const RecordView& record, Origin where) const {
  Hit hit{.rule = rule, .at = at, .where = std::move(where), .values = {}};
  for (std::uint16_t i = 0; i < needed[rule].size(); ++i) {
    std::size_t taken = 0;
    record.for_each(needed[rule][i], [&](std::string_view text, ValueKind kind) {
      if (kind == ValueKind::null || kind == ValueKind::nested || text.empty()) return true;
      hit.values.emplace_back(i, std::string(text));
      return ++taken < kValueCombinations;
    });
  }
  return hit;
}

Micros CorrelationEngine::Impl::watermark() const {
  return newest == std::numeric_limits<Micros>::min() ? newest : plus(newest, -lateness());
}

std::uint32_t CorrelationEngine::Impl::municipality_of(std::string_view name) {
  const auto it = std::ranges::find(municipalities, name);
  if (it != municipalities.end()) return static_cast<std::uint32_t>(it - municipalities.begin());
  municipalities.emplace_back(name);
  return static_cast<std::uint32_t>(municipalities.size() - 1);
}

std::uint32_t CorrelationEngine::Impl::place_of(const Origin& where) {
  std::string key;
  append_counted(key, where.municipality);
  append_counted(key, where.format);
  key += where.file;
  if (const auto it = place_ids.find(key); it != place_ids.end()) return it->second;
  if (places.size() >= kPlaces) forget_unused_places();
  if (places.size() >= kPlaces) return kNoPlace;
  const std::size_t size = 2 * (key.size() + sizeof(PlaceKey));
  bytes += size;
  place_bytes += size;
  places.push_back({where.municipality, where.format, where.file});
  const auto id = static_cast<std::uint32_t>(places.size() - 1);
  place_ids.emplace(std::move(key), id);
  return id;
}

void CorrelationEngine::Impl::forget_unused_places() {
  std::vector<std::uint32_t> renamed(places.size(), kNoPlace);
  std::vector<PlaceKey> kept;
  for (Of& o : of)
    for (Group& g : o.groups)
      for (Entry& e : g.entries) {
        if (e.place >= renamed.size()) continue;
        if (renamed[e.place] == kNoPlace) {
          renamed[e.place] = static_cast<std::uint32_t>(kept.size());
          kept.push_back(std::move(places[e.place]));
        }
        e.place = renamed[e.place];
      }
  bytes -= std::min(bytes, place_bytes);
  place_bytes = 0;
  places.clear();
  place_ids.clear();
  if (kept.size() > kPlaces / 2) {  // or this would run at every new name
    kept.clear();
    for (Of& o : of)
      for (Group& g : o.groups)
        for (Entry& e : g.entries) e.place = kNoPlace;
  }
  for (PlaceKey& p : kept) place_of({.municipality = p.municipality, .format = p.format, .file = p.file, .line = 0});
}

void CorrelationEngine::Impl::apply(const Hit& hit, const Sink& sink) {
  ++stats.hits;
  const Micros time = micros(hit.at.t);
  if (time == 0) {
    ++stats.without_time;
    return;
  }
  if (now && time > plus(*now, kFuture)) ++stats.from_future;
  else newest = std::max(newest, time);
  if (time < watermark()) {
    ++stats.too_late;
    return;
  }
  Impl::Source source;
  source.time = time;
  source.line = hit.where.line;
  source.place = place_of(hit.where);
  source.municipality = municipality_of(hit.where.municipality);
  source.event = hash64(hit.where.file, hash64(hit.where.municipality) + hit.where.line * 0x9E3779B97F4A7C15ULL);
  source.values.reserve(hit.values.size());
  for (const auto& [field, value] : hit.values) source.values.emplace_back(field, value);
  // Windows that ended before this hit are judged before it.
  close(watermark(), sink);
  for (const auto& [correlation, ref] : targets[hit.rule]) feed(plans[correlation], ref, source, sink);
  keep_within_memory();
}

void CorrelationEngine::Impl::feed(const Plan& plan, std::uint16_t ref, const Source& source, const Sink& sink) {
  auto& counts = stats.of[plan.index];
  ++counts.hits;
  expire(plan.index, 2);
  const Plan::Source& from = plan.sources[ref];
  std::vector<std::vector<std::string_view>> groups;
  for (std::size_t i = 0; i < from.group.size(); ++i) {
    groups.push_back(values_of(source.values, from.group[i]));
    if (!groups.back().empty()) continue;
    ++counts.missing_group;
    if (counts.missing_field.empty()) counts.missing_field = plan.rule->field_in(plan.rule->group_by[i], ref);
    return;
  }

  std::vector<std::uint64_t> measured;
  bool text = false;
  if (const auto type = plan.rule->type;
      type == CorrelationType::value_count || type == CorrelationType::value_percentile) {
    std::vector<std::vector<std::string_view>> lists;
    for (const auto field : from.value) {
      lists.push_back(values_of(source.values, field));
      if (!lists.back().empty()) continue;
      ++counts.missing_value;
      return;
    }
    if (type == CorrelationType::value_percentile && lists.size() == 1 && number(lists[0][0])) {
      measured.push_back(std::bit_cast<std::uint64_t>(*number(lists[0][0])));
    } else {
      text = true;
      if (type == CorrelationType::value_percentile)
        for (auto& list : lists) list.resize(1);
      const bool whole = combinations(lists, kValueCombinations, [&](std::span<const std::string_view> tuple) {
        std::string key;
        for (const auto part : tuple) append_counted(key, to_lower_utf8(part));
        measured.push_back(hash64(key, options.hash_seed));
      });
      if (!whole) ++counts.cut_values;
    }
  } else if (type == CorrelationType::value_sum || type == CorrelationType::value_avg) {
    double sum = 0;
    for (const auto field : from.value) {
      const auto list = values_of(source.values, field);
      if (list.empty()) {
        ++counts.missing_value;
        return;
      }
      for (const auto value : list) {
        const auto n = number(value);
        if (!n) {
          ++counts.not_a_number;
          return;
        }
        sum += *n;
      }
    }
    measured.push_back(std::bit_cast<std::uint64_t>(sum));
  } else {
    measured.push_back(0);
  }

  const bool whole = combinations(groups, kGroupCombinations, [&](std::span<const std::string_view> values) {
    add(plan, ref, source, values, measured, text, sink);
  });
  if (!whole) ++counts.cut_values;
}

void CorrelationEngine::Impl::add(const Plan& plan, std::uint16_t ref, const Source& source,
                                  std::span<const std::string_view> values, std::span<const std::uint64_t> measured,
                                  bool text, const Sink& sink) {
  std::string key = municipalities[source.municipality];
  key += '\0';
  for (const auto v : values) append_counted(key, to_lower_utf8(v));
  Of& mine = of[plan.index];
  auto found = mine.by_key.find(key);
  if (found == mine.by_key.end()) {
    Group& fresh = mine.groups.emplace_back();
    fresh.key = key;
    fresh.municipality = source.municipality;
    fresh.shown.assign(values.begin(), values.end());
    fresh.serial = ++serial;
    found = mine.by_key.emplace(std::move(key), std::prev(mine.groups.end())).first;
  } else {
    mine.groups.splice(mine.groups.end(), mine.groups, found->second);
  }
  Group& g = *found->second;
  g.touched = ++touch;
  const bool in_order = g.entries.empty() || g.entries.back().time <= source.time;
  const std::size_t at =
      in_order ? g.entries.size()
               : static_cast<std::size_t>(std::ranges::upper_bound(g.entries, source.time, {}, &Entry::time) -
                                          g.entries.begin());
  if (!in_order) g.counted = false;
  std::vector<Entry> fresh(measured.size());
  for (std::size_t i = 0; i < measured.size(); ++i) {
    Entry& e = fresh[i];
    e.time = source.time;
    e.event = source.event;
    e.line = source.line;
    e.value = measured[i];
    e.place = source.place;
    e.ref = ref;
    e.text = text;
    if (!plan.carried.empty()) {
      e.carried = std::make_unique<std::vector<std::string>>();
      for (const auto field : plan.sources[ref].carried) {
        const auto list = values_of(source.values, field);
        e.carried->emplace_back(list.empty() ? std::string_view{} : list.front());
        g.carried_bytes += sizeof(std::string) + e.carried->back().capacity();
      }
    }
    if (g.sketch) g.sketch->add(source.time, measured[i]);
  }
  g.entries.insert(g.entries.begin() + static_cast<std::ptrdiff_t>(at), std::make_move_iterator(fresh.begin()),
                   std::make_move_iterator(fresh.end()));
  if (plan.settled) schedule(plan, g);
  else evaluate(plan, g, source.time, in_order, sink);
  prune(plan, g);
  make_room(plan, g);
  account(g);
}

// ---- judging ---------------------------------------------------------------------------------------------------------------

/// Conditions that more events can only make true: every window that the new event is in, at once.
void CorrelationEngine::Impl::evaluate(const Plan& plan, Group& g, Micros from, bool in_order, const Sink& sink) {
  auto& e = g.entries;
  const auto type = plan.rule->type;
  const bool values = type == CorrelationType::value_count;
  const auto fresh_at = [&](Micros at, const std::function<bool()>& held_before) {
    if (options.rearm == Rearm::every_event || !g.had_episode) return true;
    if (options.rearm == Rearm::after_quiet)
      return at > plus(g.episode_end, plan.quiet) || plus(at, plan.quiet) < g.episode_begin;
    return at > g.episode_end ? !held_before() : at < g.episode_begin;
  };

  if (g.sketch) {
    // Only the newest window can be estimated.
    const Micros at = e.back().time, begin = plus(at, -plan.timespan);
    Measured m = judged(plan, g.sketch->estimate(begin));
    m.approximate = true;
    if (m.holds)
      moment(plan, g, at, at, fresh_at(at, [&] { return g.episode_end >= begin; }), m, first_at(g, begin), e.size(),
             sink);
    return;
  }

  if (values && in_order) {
    // The distinct values of the newest window are kept from event to event.
    const Micros begin = plus(from, -plan.timespan);
    if (!g.counted) {
      g.counts.clear();
      g.window_begin = first_at(g, begin);
      g.counted_to = first_at(g, from);
      for (std::size_t i = g.window_begin; i < g.counted_to; ++i) ++g.counts[e[i].value];
      g.counted = true;
    }
    for (; g.window_begin < g.counted_to && e[g.window_begin].time < begin; ++g.window_begin)
      if (auto it = g.counts.find(e[g.window_begin].value); --it->second == 0) g.counts.erase(it);
    const auto before = static_cast<double>(g.counts.size());
    for (; g.counted_to < e.size(); ++g.counted_to) ++g.counts[e[g.counted_to].value];
    Measured m = judged(plan, static_cast<double>(g.counts.size()));
    m.approximate = g.approximate;
    if (m.holds)
      moment(plan, g, from, from, fresh_at(from, [&] { return judged(plan, before).holds; }), m, g.window_begin,
             e.size(), sink);
    return;
  }

  // A late event is in every window that ends up to one timespan after it.
  const Micros last = plus(from, plan.timespan);
  std::unordered_map<std::uint64_t, std::uint32_t> counts;
  std::size_t counted_from = 0, counted_to = 0;
  // What more events can only make true, and held, holds: its moment was. A page of records that comes newest first is all late events,
  // and each would judge the windows of all before it anew.
  const bool stays = options.rearm != Rearm::every_event && (is_temporal(type) || type == CorrelationType::event_count);
  AllPresent present(plan, g);
  for (std::size_t hi = first_at(g, from); hi < e.size() && e[hi].time <= last;) {
    const Micros at = e[hi].time;
    const std::size_t before_hi = hi;
    bool judged_true = false;
    for (; hi < e.size() && e[hi].time == at; ++hi) judged_true |= e[hi].held;
    if (stays && judged_true && at > from) continue;
    const std::size_t lo = first_at(g, plus(at, -plan.timespan));
    if (!present.in(lo, hi)) continue;
    Measured m;
    if (values) {
      if (counted_to == 0) counted_from = counted_to = lo;
      for (; counted_to < hi; ++counted_to) ++counts[e[counted_to].value];
      for (; counted_from < lo; ++counted_from)
        if (auto it = counts.find(e[counted_from].value); --it->second == 0) counts.erase(it);
      m = judged(plan, static_cast<double>(counts.size()));
      m.approximate = g.approximate;
    } else {
      m = measure(plan, g, lo, hi);
    }
    if (m.holds) e[hi - 1].held = true;
    if (m.holds)
      moment(plan, g, at, at, fresh_at(at, [&] { return lo < before_hi && measure(plan, g, lo, before_hi).holds; }), m,
             lo, hi, sink);
  }
}

/// The condition is true from `begin` to `at`: a finding when it is fresh, and an event for the correlations that refer to this one.
void CorrelationEngine::Impl::moment(const Plan& plan, Group& g, Micros at, Micros begin, bool fresh, const Measured& m,
                                     std::size_t lo, std::size_t hi, const Sink& sink) {
  if (!g.had_episode || begin > plus(g.episode_end, plan.quiet)) {
    g.had_episode = true;
    g.episode_begin = begin;
    g.episode_end = at;
  } else {
    g.episode_begin = std::min(g.episode_begin, begin);
    g.episode_end = std::max(g.episode_end, at);
  }
  auto& counts = stats.of[plan.index];
  if (fresh && plan.rule->reports) {
    ++counts.findings;
    CorrelationFinding f;
    f.correlation = plan.index;
    f.municipality = municipalities[g.municipality];
    for (std::size_t i = 0; i < g.shown.size(); ++i) f.group.emplace_back(plan.rule->group_by[i], g.shown[i]);
    f.measured = m.value;
    f.approximate = m.approximate;
    std::vector<std::size_t> chosen = m.chosen;
    if (chosen.empty())
      for (std::size_t i = lo; i < hi; ++i)
        if (chosen.empty() || g.entries[chosen.back()].event != g.entries[i].event ||
            g.entries[chosen.back()].ref != g.entries[i].ref)
          chosen.push_back(i);
    f.first.t = from_micros(g.entries[chosen.front()].time);
    f.last.t = from_micros(g.entries[chosen.back()].time);
    for (const std::size_t i : chosen) f.events += g.entries[i].weight;
    if (chosen.size() > options.max_contributing)
      chosen.erase(chosen.begin() + static_cast<std::ptrdiff_t>(options.max_contributing / 2),
                   chosen.end() - static_cast<std::ptrdiff_t>(options.max_contributing - options.max_contributing / 2));
    for (const std::size_t i : chosen) {
      const Entry& e = g.entries[i];
      Contribution& c = f.contributing.emplace_back();
      c.ref = e.ref;
      c.at.t = from_micros(e.time);
      if (e.place < places.size())
        c.where = {places[e.place].municipality, places[e.place].format, places[e.place].file, e.line};
      c.where.line = e.line;
    }
    sink(f);
  } else if (!fresh) {
    ++counts.repeated;
  }

  if (plan.outers.empty()) return;
  const Entry& last = g.entries[m.chosen.empty() ? hi - 1 : m.chosen.back()];
  Source source;
  source.time = last.time;
  source.event = last.event;
  source.line = last.line;
  source.place = last.place;
  source.municipality = g.municipality;
  for (std::uint16_t i = 0; i < g.shown.size(); ++i) source.values.emplace_back(i, g.shown[i]);
  for (std::size_t i = 0; i < plan.carried.size(); ++i) {
    // The last event that has a value for it.
    for (std::size_t k = hi; k > lo; --k) {
      const auto& carried = g.entries[k - 1].carried;
      if (!carried || (*carried)[i].empty()) continue;
      source.values.emplace_back(static_cast<std::uint16_t>(g.shown.size() + i), (*carried)[i]);
      break;
    }
  }
  for (const auto& [outer, ref] : plan.outers) {
    // "Is it true now?" matters to a sequence and to distinct values; what is counted or added up counts once an episode.
    const auto type = plans[outer].rule->type;
    if (fresh || is_temporal(type) || type == CorrelationType::value_count) feed(plans[outer], ref, source, sink);
  }
}

void CorrelationEngine::Impl::schedule(const Plan& plan, Group& g) {
  const Micros when = g.entries.empty() ? std::numeric_limits<Micros>::max()
                                        : plus(plus(g.entries.front().time, plan.timespan), plan.delay);
  if (when == g.close_at) return;
  if (g.close_at != std::numeric_limits<Micros>::max()) closing.erase({{g.close_at, g.serial}, {plan.index, &g}});
  g.close_at = when;
  if (when != std::numeric_limits<Micros>::max()) closing.insert({{when, g.serial}, {plan.index, &g}});
}

void CorrelationEngine::Impl::close(Micros mark, const Sink& sink) {
  while (!closing.empty() && closing.begin()->first.first < mark) {
    const auto [correlation, group] = closing.begin()->second;
    judge(plans[correlation], *group, sink);
    keep_within_memory();
  }
}

/// Conditions that more events could make false: the window begins with the first event that is in no judged window.
void CorrelationEngine::Impl::judge(const Plan& plan, Group& g, const Sink& sink) {
  const Micros begin = g.entries.front().time, end = plus(begin, plan.timespan);
  const std::size_t hi =
      static_cast<std::size_t>(std::ranges::upper_bound(g.entries, end, {}, &Entry::time) - g.entries.begin());
  const Measured m = measure(plan, g, 0, hi);
  if (m.holds) {
    const bool fresh = options.rearm == Rearm::every_event || !g.had_episode || begin > plus(g.episode_end, plan.quiet);
    moment(plan, g, end, begin, fresh, m, 0, hi, sink);
  } else {
    g.had_episode = false;
  }
  for (std::size_t i = 0; i < hi; ++i)
    if (g.entries[i].carried)
      for (const auto& s : *g.entries[i].carried)
        g.carried_bytes -= std::min(g.carried_bytes, sizeof(std::string) + s.capacity());
  g.entries.erase(g.entries.begin(), g.entries.begin() + static_cast<std::ptrdiff_t>(hi));
  g.approximate = false;
  schedule(plan, g);
  account(g);
}

// ---- bounds ----------------------------------------------------------------------------------------------------------------

void CorrelationEngine::Impl::prune(const Plan& plan, Group& g) {
  if (plan.settled) return;
  const Micros horizon = plus(plus(watermark(), -plan.timespan), -plan.delay);
  const std::size_t old = first_at(g, horizon);
  if (old == 0 || 2 * old < g.entries.size()) return;
  for (std::size_t i = 0; i < old; ++i)
    if (g.entries[i].carried)
      for (const auto& s : *g.entries[i].carried)
        g.carried_bytes -= std::min(g.carried_bytes, sizeof(std::string) + s.capacity());
  g.entries.erase(g.entries.begin(), g.entries.begin() + static_cast<std::ptrdiff_t>(old));
  g.counted = false;
  if (g.sketch) g.sketch->forget_before(horizon);
}

/// Keeps a group small: first what loses nothing, then what the finding must admit.
void CorrelationEngine::Impl::make_room(const Plan& plan, Group& g) {
  auto& e = g.entries;
  const auto type = plan.rule->type;
  if (g.sketch && e.size() > 2 * kKeptBySketch) {
    e.erase(e.begin(), e.end() - static_cast<std::ptrdiff_t>(kKeptBySketch));
    return;
  }
  const std::size_t limit =
      type == CorrelationType::value_count ? std::max(options.exact_values, options.max_events) : plan.max_events;
  // Thinning may move where a settled group's windows begin: only when it must be.
  if ((plan.settled || e.size() < g.thin_at) && e.size() <= limit) return;

  std::vector<bool> away(e.size(), false);
  // What a late event may still judge anew stays: a chain through it, the moment it was for those that refer to this one.
  const auto thin = [&](Micros mark) {
    if (type == CorrelationType::value_count || type == CorrelationType::temporal) {
      // Of three sightings of a value (of a rule) within one timespan the middle one is in no window without one of the others.
      struct Last {
        std::size_t one = SIZE_MAX, two = SIZE_MAX;
      };
      std::unordered_map<std::uint64_t, Last> last;
      for (std::size_t i = 0; i < e.size(); ++i) {
        Last& l = last[type == CorrelationType::temporal ? e[i].ref : e[i].value];
        const bool moment_counts = !plan.outers.empty() && l.two != SIZE_MAX && e[l.two].time >= mark;
        if (!moment_counts && l.two != SIZE_MAX && e[i].time <= plus(e[l.one].time, plan.timespan)) {
          away[l.two] = true;
          e[i].weight += e[l.two].weight;
        } else {
          l.one = l.two == SIZE_MAX ? i : l.two;
        }
        l.two = i;
      }
    } else if (type == CorrelationType::temporal_ordered) {
      // Of a run of one rule the first and the last decide every window, once no late event can come between them.
      for (std::size_t i = 2; i < e.size() && e[i].time < mark; ++i) {
        if (e[i].ref != e[i - 1].ref || e[i].ref != e[i - 2].ref) continue;
        away[i - 1] = true;
        e[i].weight += e[i - 1].weight;
      }
    }
  };
  const auto sweep = [&] {
    std::size_t to = 0;
    for (std::size_t i = 0; i < e.size(); ++i) {
      if (away[i]) {
        if (e[i].carried)
          for (const auto& s : *e[i].carried)
            g.carried_bytes -= std::min(g.carried_bytes, sizeof(std::string) + s.capacity());
        continue;
      }
      if (to != i) e[to] = std::move(e[i]);
      ++to;
    }
    e.resize(to);
    g.counted = false;
    away.assign(to, false);
  };
  thin(watermark());
  sweep();
  if (e.size() > (is_temporal(type) ? std::min(limit, kKeptForLate) : limit)) {
    thin(std::numeric_limits<Micros>::max());
    sweep();
  }

  if (e.size() > limit) {
    if (!g.approximate) ++stats.of[plan.index].merged;
    g.approximate = true;
    switch (type) {
      case CorrelationType::value_count:
        if (plan.settled) {
          std::fill(away.begin() + static_cast<std::ptrdiff_t>(limit), away.end(), true);  // at least so many
        } else {
          g.sketch = std::make_unique<DistinctSketch>();
          for (const Entry& x : e) g.sketch->add(x.time, x.value);
          std::fill(away.begin(), away.end() - static_cast<std::ptrdiff_t>(std::min(kKeptBySketch, e.size())), true);
        }
        break;
      case CorrelationType::temporal:
      case CorrelationType::temporal_ordered:
        std::fill(away.begin(), away.begin() + static_cast<std::ptrdiff_t>(e.size() / 2), true);
        break;
      default:
        // Two neighbours become one at the earlier time: it leaves windows too early, never too late.
        for (std::size_t i = 0; i + 1 < e.size(); i += 2) {
          away[i + 1] = true;
          e[i].weight += e[i + 1].weight;
          if (type == CorrelationType::value_sum || type == CorrelationType::value_avg)
            e[i].value =
                std::bit_cast<std::uint64_t>(std::bit_cast<double>(e[i].value) + std::bit_cast<double>(e[i + 1].value));
        }
    }
    sweep();
  }
  g.thin_at = std::max<std::size_t>(64, 2 * e.size());
  if (plan.settled) schedule(plan, g);
}

void CorrelationEngine::Impl::account(Group& g) {
  std::size_t now_bytes = sizeof(Group) + 64 + 2 * g.key.capacity() + g.entries.capacity() * sizeof(Entry) +
                          g.carried_bytes + g.counts.size() * 32 + g.counts.bucket_count() * 8;
  for (const auto& s : g.shown) now_bytes += sizeof(std::string) + s.capacity();
  if (g.sketch) now_bytes += g.sketch->bytes();
  bytes += now_bytes - g.bytes;
  g.bytes = now_bytes;
}

void CorrelationEngine::Impl::drop(std::uint32_t correlation, std::list<Group>::iterator group) {
  if (group->close_at != std::numeric_limits<Micros>::max())
    closing.erase({{group->close_at, group->serial}, {correlation, &*group}});
  bytes -= std::min(bytes, group->bytes);
  of[correlation].by_key.erase(group->key);
  of[correlation].groups.erase(group);
}

/// Forgets groups in which nothing can happen any more, the longest untouched first.
void CorrelationEngine::Impl::expire(std::uint32_t correlation, std::size_t at_most) {
  const Plan& plan = plans[correlation];
  auto& groups = of[correlation].groups;
  const Micros keep = plus(std::max(plan.timespan, plan.quiet), plan.delay);
  while (at_most-- > 0 && !groups.empty()) {
    const Group& g = groups.front();
    Micros last = std::numeric_limits<Micros>::min();
    if (!g.entries.empty()) last = g.entries.back().time;
    if (g.had_episode) last = std::max(last, g.episode_end);
    if (plan.settled && !g.entries.empty()) return;
    if (last != std::numeric_limits<Micros>::min() && plus(last, keep) >= watermark()) return;
    ++stats.expired;
    drop(correlation, groups.begin());
  }
}

void CorrelationEngine::Impl::keep_within_memory() {
  if (bytes <= options.max_memory) return;
  while (bytes > options.max_memory - options.max_memory / 10) {
    std::optional<std::uint32_t> oldest;
    for (std::uint32_t i = 0; i < of.size(); ++i)
      if (!of[i].groups.empty() && (!oldest || of[i].groups.front().touched < of[*oldest].groups.front().touched))
        oldest = i;
    if (!oldest) return;
    ++stats.evicted;
    ++stats.of[*oldest].evicted;
    drop(*oldest, of[*oldest].groups.begin());
  }
}

void CorrelationEngine::Impl::clear_state() {
  closing.clear();
  of.clear();
  of.resize(plans.size());
  newest = std::numeric_limits<Micros>::min();
  serial = touch = 0;
  places.clear();
  place_ids.clear();
  municipalities.clear();
  bytes = place_bytes = 0;
}

/// Plays the `count` oldest of the held back hits.
void CorrelationEngine::Impl::play(std::size_t count, const Sink& sink) {
  std::ranges::sort(held, [](const Hit& a, const Hit& b) {
    if (a.at != b.at) return a.at < b.at;
    if (a.where.file != b.where.file) return a.where.file < b.where.file;
    if (a.where.line != b.where.line) return a.where.line < b.where.line;
    return a.rule < b.rule;
  });
  draining = true;
  for (std::size_t i = 0; i < count; ++i) apply(held[i], sink);
  held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(count));
  held_bytes = 0;
  for (const Hit& h : held) held_bytes += size_of(h);
}

std::size_t CorrelationEngine::Impl::size_of(const Hit& hit) {
  std::size_t n =
      sizeof(Hit) + hit.where.file.capacity() + hit.where.municipality.capacity() + hit.where.format.capacity();
  for (const auto& v : hit.values) n += sizeof v + v.second.capacity();
  return n;
}

// ---- outside ---------------------------------------------------------------------------------------------------------------

CorrelationEngine::CorrelationEngine(const RuleSet& set, CorrelationOptions options)
    : impl_(std::make_unique<Impl>(set, std::move(options))) {}
CorrelationEngine::~CorrelationEngine() = default;
CorrelationEngine::CorrelationEngine(CorrelationEngine&&) noexcept = default;

bool CorrelationEngine::wants(std::uint32_t rule) const {
  return rule < impl_->targets.size() && !impl_->targets[rule].empty();
}

const std::vector<std::string>& CorrelationEngine::needed_fields(std::uint32_t rule) const {
  return impl_->needed[rule];
}

Hit CorrelationEngine::capture(std::uint32_t rule, HappenedAt at, const RecordView& record, Origin where) const {
  return impl_->capture(rule, at, record, std::move(where));
}

void CorrelationEngine::on_hit(Hit hit, const Sink& sink) {
  if (!wants(hit.rule)) return;
  if (!impl_->options.replay) return impl_->apply(hit, sink);
  impl_->held_bytes += Impl::size_of(hit);
  impl_->held.push_back(std::move(hit));
  // Not all of a file set fits: the older half is played; what is older still and comes later is counted as too late.
  if (impl_->held_bytes > impl_->options.max_memory) impl_->play(impl_->held.size() / 2, sink);
}

void CorrelationEngine::advance(HappenedAt newest, const Sink& sink) {
  Impl& i = *impl_;
  if (i.options.replay) return;
  const Micros time = micros(newest.t);
  if (time == 0 || (i.now && time > plus(*i.now, kFuture))) return;
  i.newest = std::max(i.newest, time);
  i.close(i.watermark(), sink);
  for (std::uint32_t c = 0; c < i.plans.size(); ++c) i.expire(c, SIZE_MAX);
  i.keep_within_memory();
}

void CorrelationEngine::clock(Instant now) {
  impl_->now = micros(now);
}

void CorrelationEngine::finish(const Sink& sink) {
  Impl& i = *impl_;
  i.play(i.held.size(), sink);
  i.close(std::numeric_limits<Micros>::max(), sink);
  i.clear_state();
  i.draining = false;
}

const CorrelationStats& CorrelationEngine::stats() const {
  Impl& i = *impl_;
  i.stats.groups = 0;
  for (std::size_t c = 0; c < i.of.size(); ++c) i.stats.groups += i.stats.of[c].groups = i.of[c].groups.size();
  i.stats.bytes = i.bytes + i.held_bytes;
  i.stats.held_back = i.held.size();
  return i.stats;
}

event::Finding to_finding(const RuleSet& set, const CorrelationFinding& found, Instant found_at) {
  const Correlation& c = set.correlations[found.correlation];
  event::Finding f;
  f.kind = event::FindingKind::correlation;
  f.rule_id = c.meta.id;
  f.rule_title = c.meta.title;
  f.rule_level = to_string(c.meta.level);
  f.found_at = found_at;
  f.happened_at = found.last.t;
  f.municipality = found.municipality;
  if (!found.contributing.empty()) {
    f.format = found.contributing.back().where.format;
    f.file = found.contributing.back().where.file;
    f.line = found.contributing.back().where.line;
  }
  f.fields = found.group;
  f.fields.emplace_back("measured", fmt::format("{}", found.measured));
  f.fields.emplace_back("events", fmt::format("{}", found.events));
  f.fields.emplace_back("first", format_time(found.first.t));
  f.fields.emplace_back("last", format_time(found.last.t));
  if (found.approximate) f.fields.emplace_back("approximate", "true");
  for (std::size_t i = 0; const Contribution& e : found.contributing)
    f.fields.emplace_back(fmt::format("event.{}", ++i), fmt::format("{} {}:{} {}", format_time(e.at.t), e.where.file,
                                                                    e.where.line, c.rules[e.ref].written));
  return f;
}

}  // namespace bavn::match::sigma
