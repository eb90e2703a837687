// What one window measures.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <unordered_set>

#include "match/sigma/correlation_impl.hpp"

namespace bavn::match::sigma {

namespace {

bool holds(const Node& n, const std::vector<bool>& seen) {
  switch (n.kind) {
    case Node::Kind::leaf: return n.predicate < seen.size() && seen[n.predicate];
    case Node::Kind::all_of: return std::ranges::all_of(n.children, [&](const Node& c) { return holds(c, seen); });
    case Node::Kind::any_of: return std::ranges::any_of(n.children, [&](const Node& c) { return holds(c, seen); });
    case Node::Kind::negate: return n.children.empty() || !holds(n.children.front(), seen);
  }
  return false;
}

bool within(const Correlation& rule, double value) {
  return std::ranges::all_of(rule.bounds, [&](const Bound& b) { return b.holds(value); });
}

Measured temporal(const Correlation& rule, const std::vector<bool>& seen, std::size_t count) {
  Measured m;
  m.value = static_cast<double>(count);
  if (rule.has_expression) m.holds = holds(rule.expression, seen);
  else m.holds = rule.bounds.empty() ? count == rule.rules.size() : within(rule, m.value);
  return m;
}

/// The longest chain of different rules in their listed order, one event each, later or equal times. Events of one instant have no
/// order of their own (audit logs have whole seconds): within it the listed order is assumed.
Measured ordered(const Plan& plan, const Group& group, std::size_t lo, std::size_t hi) {
  const std::size_t rules = plan.rule->rules.size();
  struct Best {
    std::size_t length = 0, entry = 0;
  };
  std::vector<std::array<Best, 2>> best(
      rules);  // per rule the longest chain that ends in it, and the longest by another event
  const auto& e = group.entries;
  std::vector<std::size_t> parent(hi - lo, SIZE_MAX);
  // They stand by time; within an instant they may have to change places. Seldom: no order is made where they are right.
  const auto less = [&](std::size_t a, std::size_t b) {
    if (e[a].time != e[b].time) return e[a].time < e[b].time;
    if (e[a].ref != e[b].ref) return e[a].ref < e[b].ref;
    return a < b;
  };
  std::vector<std::size_t> order;
  bool right = true;
  for (std::size_t i = lo + 1; i < hi && right; ++i) right = less(i - 1, i);
  if (!right) {
    order.resize(hi - lo);
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = lo + i;
    std::ranges::sort(order, less);
  }
  for (std::size_t k = 0; k < hi - lo; ++k) {
    const std::size_t i = right ? lo + k : order[k];
    std::size_t before = 0, from = SIZE_MAX;
    for (std::size_t r = 0; r < e[i].ref; ++r)
      for (const Best& b : best[r])
        if (b.length > before && e[b.entry].event != e[i].event) {
          before = b.length;
          from = b.entry;
        }
    auto& [first, second] = best[e[i].ref];
    const Best now{before + 1, i};
    parent[i - lo] = from;
    if (now.length >= first.length) {
      if (first.length > 0 && e[first.entry].event != e[i].event) second = first;
      first = now;
    } else if (now.length >= second.length && e[first.entry].event != e[i].event) {
      second = now;
    }
  }
  Measured m;
  std::size_t end = SIZE_MAX, length = 0;
  for (std::size_t r = 0; r < rules; ++r)
    if (best[r][0].length > length) {
      length = best[r][0].length;
      end = best[r][0].entry;
    }
  std::vector<bool> seen(rules);
  for (std::size_t i = end; i != SIZE_MAX; i = parent[i - lo]) {
    m.chosen.push_back(i);
    seen[e[i].ref] = true;
  }
  std::ranges::reverse(m.chosen);
  const Measured t = temporal(*plan.rule, seen, length);
  m.value = t.value;
  m.holds = t.holds;
  return m;
}

/// Nearest rank: the smallest value with at least `percentile` percent of the events at or below it.
double nearest_rank(std::vector<std::pair<double, std::uint64_t>> values, double percentile) {
  std::ranges::sort(values);
  std::uint64_t total = 0;
  for (const auto& v : values) total += v.second;
  const double wanted = std::max(1.0, std::ceil(percentile / 100 * static_cast<double>(total)));
  std::uint64_t below = 0;
  for (const auto& v : values) {
    below += v.second;
    if (static_cast<double>(below) >= wanted) return v.first;
  }
  return values.back().first;
}

/// Numbers: their percentile. Texts: how many percent of the window's events carry the text; true when that holds for one of them.
Measured percentile(const Plan& plan, const Group& group, std::size_t lo, std::size_t hi) {
  std::vector<std::pair<double, std::uint64_t>> numbers;
  std::unordered_map<std::uint64_t, std::uint64_t> texts;
  std::uint64_t events = 0;
  for (std::size_t i = lo; i < hi; ++i) {
    const Entry& e = group.entries[i];
    if (e.text) {
      texts[e.value] += e.weight;
      events += e.weight;
    } else {
      numbers.emplace_back(std::bit_cast<double>(e.value), e.weight);
    }
  }
  Measured m;
  if (!numbers.empty()) {
    m.value = nearest_rank(std::move(numbers), plan.rule->percentile);
    m.holds = within(*plan.rule, m.value);
    if (m.holds || texts.empty()) return m;
  }
  if (texts.empty()) return m;
  double lowest = 101;
  const auto share = [&](std::uint64_t value) {
    return 100.0 * static_cast<double>(texts[value]) / static_cast<double>(events);
  };
  for (std::size_t i = lo; i < hi; ++i) {
    const Entry& e = group.entries[i];
    if (!e.text || !within(*plan.rule, share(e.value))) continue;
    m.chosen.push_back(i);
    lowest = std::min(lowest, share(e.value));
  }
  m.holds = !m.chosen.empty();
  if (m.holds) m.value = lowest;
  return m;
}

}  // namespace

std::size_t first_at(const Group& group, Micros time) {
  const auto& e = group.entries;
  return static_cast<std::size_t>(std::ranges::lower_bound(e, time, {}, &Entry::time) - e.begin());
}

AllPresent::AllPresent(const Plan& plan, const Group& group) : group_(group) {
  const Correlation& rule = *plan.rule;
  const bool chain = rule.type == CorrelationType::temporal || rule.type == CorrelationType::temporal_ordered;
  if (!chain || rule.has_expression || !rule.bounds.empty()) return;
  seen_.resize(rule.rules.size());
  missing_ = seen_.size();
}

bool AllPresent::in(std::size_t lo, std::size_t hi) {
  if (seen_.empty()) return true;
  if (!begun_) lo_ = hi_ = lo;
  begun_ = true;
  for (; hi_ < hi; ++hi_)
    if (seen_[group_.entries[hi_].ref]++ == 0) --missing_;
  for (; lo_ < lo; ++lo_)
    if (--seen_[group_.entries[lo_].ref] == 0) ++missing_;
  return missing_ == 0;
}

Measured judged(const Plan& plan, double value) {
  Measured m;
  m.value = value;
  m.holds = within(*plan.rule, value);
  return m;
}

Measured measure(const Plan& plan, const Group& group, std::size_t lo, std::size_t hi) {
  if (lo >= hi) return {};
  Measured m;
  const auto& e = group.entries;
  switch (plan.rule->type) {
    case CorrelationType::event_count: {
      std::uint64_t n = hi - lo;
      if (group.approximate) {
        n = 0;
        for (std::size_t i = lo; i < hi; ++i) n += e[i].weight;
      }
      m = judged(plan, static_cast<double>(n));
      break;
    }
    case CorrelationType::value_count: {
      std::unordered_set<std::uint64_t> values;
      for (std::size_t i = lo; i < hi; ++i) values.insert(e[i].value);
      m = judged(plan, static_cast<double>(values.size()));
      break;
    }
    case CorrelationType::value_sum:
    case CorrelationType::value_avg: {
      double sum = 0, lost = 0;  // compensated (Kahan): a day of byte counts must not drift
      std::uint64_t n = 0;
      for (std::size_t i = lo; i < hi; ++i) {
        const double y = std::bit_cast<double>(e[i].value) - lost;
        const double t = sum + y;
        lost = (t - sum) - y;
        sum = t;
        n += e[i].weight;
      }
      m = judged(plan, plan.rule->type == CorrelationType::value_sum ? sum : sum / static_cast<double>(n));
      break;
    }
    case CorrelationType::value_percentile: m = percentile(plan, group, lo, hi); break;
    case CorrelationType::temporal: {
      std::vector<bool> seen(plan.rule->rules.size());
      std::size_t count = 0;
      for (std::size_t i = lo; i < hi; ++i)
        if (!seen[e[i].ref]) {
          seen[e[i].ref] = true;
          ++count;
        }
      m = temporal(*plan.rule, seen, count);
      break;
    }
    case CorrelationType::temporal_ordered: m = ordered(plan, group, lo, hi); break;
  }
  m.approximate = group.approximate;
  return m;
}

}  // namespace bavn::match::sigma
