#include "match/indicators/set.hpp"

#include <algorithm>

namespace bavn::match::indicators {

namespace {

std::shared_ptr<const IndicatorBase> built(const std::vector<Indicator>& list) {
  IndicatorBuilder builder;
  for (const Indicator& i : list) {
    const auto ok = builder.add(i);
    BAVN_ASSERT(ok.has_value());  // add() of the set checked it
  }
  return builder.build();
}

bool names(const Removal& r, const Indicator& i) {
  return r.kind == i.kind && r.value == i.value && (r.source.empty() || r.source == i.source);
}

}  // namespace

bool Snapshot::is_removed(std::size_t layer, const IndicatorView& v) const {
  if (layer != 0 || removed->empty()) return false;
  Removal key;
  if (const StixPattern* p = v.pattern()) {
    key.value = p->text();
  } else {
    key.kind = v.kind();
    key.value = v.value();
  }
  if (removed->contains(key)) return true;
  key.source = v.source();
  return removed->contains(key);
}

std::size_t Snapshot::size() const {
  std::size_t n = 0;
  for (const auto& l : layers) n += l->size();
  return n;
}

IndicatorSet::IndicatorSet(std::shared_ptr<const IndicatorBase> base)
    : base_(std::move(base)), middle_(IndicatorBase::empty()), recent_base_(middle_), removed_(std::make_shared<std::set<Removal>>()) {
  const std::lock_guard lock(mutex_);
  publish_locked();
}

void IndicatorSet::publish_locked() {
  auto s = std::make_shared<Snapshot>();
  s->version = version_.load() + 1;
  s->layers = {base_, middle_, recent_base_};
  s->removed = removed_;
  for (const auto& l : s->layers) s->present.merge(l->present());
  snapshot_ = std::move(s);
  version_.store(snapshot_->version, std::memory_order_release);
}

std::shared_ptr<const Snapshot> IndicatorSet::snapshot() const {
  const std::lock_guard lock(mutex_);
  return snapshot_;
}

Result<void> IndicatorSet::add(std::span<const Indicator> indicators) {
  IndicatorBuilder check;
  for (const Indicator& i : indicators)
    if (auto ok = check.add(i); !ok) return fail(ok.error().code, ok.error().what, i.value);
  const std::lock_guard lock(mutex_);
  // The newest of one (kind, value, source) counts: an older one in the base is hidden, one in the upper layers replaced.
  std::set<Removal> fresh;
  for (const Indicator& i : indicators) fresh.insert({i.kind, i.value, i.source});
  const auto replaced = [&](const Indicator& i) { return fresh.contains({i.kind, i.value, i.source}); };
  std::erase_if(recent_, replaced);
  if (std::erase_if(middle_list_, replaced) != 0) middle_ = built(middle_list_);
  std::string scratch;
  std::shared_ptr<std::set<Removal>> hidden;
  for (const Indicator& i : indicators) {
    bool there = false;
    if (i.is_pattern()) {
      there = std::any_of(base_->patterns().begin(), base_->patterns().end(), [&](const StixPattern& p) { return p.text() == i.value; });
    } else {
      std::uint64_t hash = event::observable_hash(i.kind, i.value);
      if (const auto network = i.kind == event::Kind::cidr ? event::parse_cidr(i.value) : std::nullopt)
        hash = IndicatorBase::network_hash(network->network, network->prefix);
      base_->find(i.kind, i.value, hash, [&](const IndicatorView& v) { there |= v.pattern() == nullptr && v.source() == i.source; });
    }
    if (!there) continue;
    if (!hidden) hidden = std::make_shared<std::set<Removal>>(*removed_);
    hidden->insert({i.kind, i.value, i.source});
  }
  if (hidden) removed_ = std::move(hidden);
  recent_.insert(recent_.end(), indicators.begin(), indicators.end());
  if (recent_.size() > kMostRecent) {
    middle_list_.insert(middle_list_.end(), std::make_move_iterator(recent_.begin()), std::make_move_iterator(recent_.end()));
    recent_.clear();
    middle_ = built(middle_list_);
  }
  recent_base_ = built(recent_);
  publish_locked();
  return {};
}

bool IndicatorSet::remove(event::Kind kind, std::string_view value, std::string_view source) {
  const Removal r{kind, std::string(value), std::string(source)};
  const std::lock_guard lock(mutex_);
  bool any = false;
  if (std::erase_if(recent_, [&](const Indicator& i) { return names(r, i); }) != 0) {
    recent_base_ = built(recent_);
    any = true;
  }
  if (std::erase_if(middle_list_, [&](const Indicator& i) { return names(r, i); }) != 0) {
    middle_ = built(middle_list_);
    any = true;
  }
  bool in_base = false;
  if (kind == event::Kind{}) {
    for (std::size_t i = 0; i < base_->patterns().size(); ++i) in_base |= names(r, base_->pattern_indicator(i));
  } else {
    std::uint64_t hash = event::observable_hash(kind, value);
    if (const auto network = kind == event::Kind::cidr ? event::parse_cidr(value) : std::nullopt)
      hash = IndicatorBase::network_hash(network->network, network->prefix);
    base_->find(kind, value, hash, [&](const IndicatorView& v) { in_base |= v.pattern() == nullptr && (source.empty() || v.source() == source); });
  }
  if (in_base && !removed_->contains(r)) {
    auto next = std::make_shared<std::set<Removal>>(*removed_);
    next->insert(r);
    removed_ = std::move(next);
    any = true;
  }
  if (any) publish_locked();
  return any;
}

void IndicatorSet::replace_base(std::shared_ptr<const IndicatorBase> base) {
  const std::lock_guard fold_lock(fold_mutex_);
  const std::lock_guard lock(mutex_);
  base_ = std::move(base);
  removed_ = std::make_shared<std::set<Removal>>();
  publish_locked();
}

Result<void> IndicatorSet::fold() {
  const std::lock_guard fold_lock(fold_mutex_);
  std::shared_ptr<const IndicatorBase> base;
  std::shared_ptr<const std::set<Removal>> removed;
  std::vector<Indicator> folded;
  {
    const std::lock_guard lock(mutex_);
    base = base_;
    removed = removed_;
    folded = middle_list_;
    folded.insert(folded.end(), recent_.begin(), recent_.end());
  }
  if (folded.empty() && removed->empty()) return {};
  IndicatorBuilder builder;
  Result<void> ok;
  base->for_each([&](const Indicator& i) {
    if (!ok || removed->contains({i.kind, i.value, ""}) || removed->contains({i.kind, i.value, i.source})) return;
    ok = builder.add(i);
  });
  BAVN_CHECK(ok);
  for (const Indicator& i : folded) BAVN_CHECK(builder.add(i));
  auto fresh = builder.build();

  const std::lock_guard lock(mutex_);
  base_ = std::move(fresh);
  // What was folded and still stands leaves the upper layers; what was removed or replaced meanwhile must be hidden in the new base.
  auto still = std::make_shared<std::set<Removal>>();
  for (const Removal& r : *removed_)
    if (!removed->contains(r)) still->insert(r);
  std::vector<Indicator> now = std::move(middle_list_);
  now.insert(now.end(), std::make_move_iterator(recent_.begin()), std::make_move_iterator(recent_.end()));
  middle_list_.clear();
  recent_.clear();
  const auto key = [](const Indicator& i) { return std::tie(i.kind, i.value, i.source); };
  const auto before = [&](const Indicator& a, const Indicator& b) { return key(a) < key(b); };
  std::sort(folded.begin(), folded.end(), before);
  std::set<Removal> standing;
  for (Indicator& i : now) {
    standing.insert({i.kind, i.value, i.source});
    const auto at = std::lower_bound(folded.begin(), folded.end(), i, before);
    if (at != folded.end() && *at == i) continue;
    if (at != folded.end() && key(*at) == key(i)) still->insert({i.kind, i.value, i.source});
    recent_.push_back(std::move(i));
  }
  for (const Indicator& i : folded)
    if (!standing.contains({i.kind, i.value, i.source})) still->insert({i.kind, i.value, i.source});
  if (recent_.size() > kMostRecent) middle_list_.swap(recent_);
  middle_ = built(middle_list_);
  recent_base_ = built(recent_);
  removed_ = std::move(still);
  publish_locked();
  return {};
}

std::size_t IndicatorSet::pending() const {
  const std::lock_guard lock(mutex_);
  return middle_list_.size() + recent_.size() + removed_->size();
}

void Matcher::add(event::Kind kind, std::string_view value, std::uint32_t tag, std::uint64_t hash) {
  expander_.expand(
      snapshot_->present, kind, value,
      [&](std::uint64_t h, event::Kind as, std::string_view stored) {
        keys_.push_back(h);
        values_.push_back({static_cast<std::uint32_t>(bytes_.size()), static_cast<std::uint32_t>(stored.size()), tag, as});
        bytes_ += stored;
      },
      hash);
}

}  // namespace bavn::match::indicators
