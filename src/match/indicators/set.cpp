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
    : base_(std::move(base)), removed_(std::make_shared<std::set<Removal>>()) {
  publish();
}

void IndicatorSet::publish() {
  auto s = std::make_shared<Snapshot>();
  s->version = version_.load() + 1;
  s->layers.push_back(base_);
  pending_ = removed_->size();
  for (const Chunk& c : chunks_) {
    s->layers.push_back(c.base);
    pending_ += c.list.size();
  }
  s->removed = removed_;
  for (const auto& l : s->layers) s->present.merge(l->present());
  const std::lock_guard lock(snapshot_mutex_);
  snapshot_ = std::move(s);
  version_.store(snapshot_->version, std::memory_order_release);
}

std::shared_ptr<const Snapshot> IndicatorSet::snapshot() const {
  const std::lock_guard lock(snapshot_mutex_);
  return snapshot_;
}

void IndicatorSet::join_chunks() {
  Chunk all;
  for (Chunk& c : chunks_)
    all.list.insert(all.list.end(), std::make_move_iterator(c.list.begin()), std::make_move_iterator(c.list.end()));
  all.base = built(all.list);
  chunks_.clear();
  if (!all.list.empty()) chunks_.push_back(std::move(all));
}

template <class P>
std::size_t IndicatorSet::erase_from_chunks(P&& p) {
  std::size_t n = 0;
  for (Chunk& c : chunks_) {
    const std::size_t erased = std::erase_if(c.list, p);
    if (erased != 0) c.base = built(c.list);
    n += erased;
  }
  return n;
}

namespace {

/// f(source) for every record of the base that is this indicator.
template <class F>
void sources_in(const IndicatorBase& base, event::Kind kind, std::string_view value, F&& f) {
  if (kind == event::Kind{}) {
    for (std::size_t i = 0; i < base.patterns().size(); ++i)
      if (base.patterns()[i].text() == value) f(base.pattern_indicator(i).source);
    return;
  }
  std::uint64_t hash = event::observable_hash(kind, value);
  if (const auto network = kind == event::Kind::cidr ? event::parse_cidr(value) : std::nullopt)
    hash = IndicatorBase::network_hash(network->network, network->prefix);
  base.find(kind, value, hash, [&](const IndicatorView& v) {
    if (v.pattern() == nullptr) f(v.source());
  });
}

}  // namespace

Result<void> IndicatorSet::add(std::span<const Indicator> indicators) {
  if (indicators.empty()) return {};
  IndicatorBuilder check;
  for (const Indicator& i : indicators)
    if (auto ok = check.add(i); !ok) return fail(ok.error().code, ok.error().what, i.value);
  const std::lock_guard lock(write_mutex_);
  // The newest of one (kind, value, source) counts: an older one in the base is hidden, one in a chunk replaced.
  std::set<Removal> fresh;
  for (const Indicator& i : indicators) fresh.insert({i.kind, i.value, i.source});
  erase_from_chunks([&](const Indicator& i) { return fresh.contains({i.kind, i.value, i.source}); });
  auto hidden = std::make_shared<std::set<Removal>>(*removed_);
  for (const Removal& r : fresh)
    sources_in(*base_, r.kind, r.value, [&](std::string_view source) {
      if (source == r.source) hidden->insert(r);
    });
  removed_ = std::move(hidden);
  if (chunks_.empty() || chunks_.back().list.size() + indicators.size() > kMostRecent) chunks_.emplace_back();
  Chunk& last = chunks_.back();
  last.list.insert(last.list.end(), indicators.begin(), indicators.end());
  last.base = built(last.list);
  if (chunks_.size() > kMostChunks) join_chunks();
  publish();
  return {};
}

bool IndicatorSet::remove(event::Kind kind, std::string_view value, std::string_view source) {
  const Removal r{kind, std::string(value), std::string(source)};
  const std::lock_guard lock(write_mutex_);
  bool any = erase_from_chunks([&](const Indicator& i) { return names(r, i); }) != 0;
  bool in_base = false;
  sources_in(*base_, kind, value, [&](std::string_view of) {
    in_base |= (source.empty() || of == source) && !removed_->contains({kind, r.value, std::string(of)});
  });
  if (in_base && !removed_->contains(r)) {
    auto next = std::make_shared<std::set<Removal>>(*removed_);
    next->insert(r);
    removed_ = std::move(next);
    any = true;
  }
  if (any) publish();
  return any;
}

void IndicatorSet::replace_base(std::shared_ptr<const IndicatorBase> base) {
  const std::lock_guard fold_lock(fold_mutex_);
  const std::lock_guard lock(write_mutex_);
  base_ = std::move(base);
  auto hidden = std::make_shared<std::set<Removal>>();
  for (const Chunk& c : chunks_)
    for (const Indicator& i : c.list)
      sources_in(*base_, i.kind, i.value, [&](std::string_view source) {
        if (source == i.source) hidden->insert({i.kind, i.value, i.source});
      });
  removed_ = std::move(hidden);
  publish();
}

Result<void> IndicatorSet::start_over(std::shared_ptr<const IndicatorBase> base, std::span<const Indicator> additions,
                                      std::span<const Removal> removals) {
  IndicatorSet fresh(std::move(base));
  for (const Removal& r : removals) fresh.remove(r.kind, r.value, r.source);  // from the base: additions stand
  for (std::size_t at = 0; at < additions.size(); at += kMostRecent)
    BAVN_CHECK(fresh.add(additions.subspan(at, std::min(kMostRecent, additions.size() - at))));
  const std::lock_guard fold_lock(fold_mutex_);
  const std::lock_guard lock(write_mutex_);
  base_ = std::move(fresh.base_);
  chunks_ = std::move(fresh.chunks_);
  removed_ = std::move(fresh.removed_);
  publish();
  return {};
}

Result<void> IndicatorSet::fold() {
  const std::lock_guard fold_lock(fold_mutex_);
  std::shared_ptr<const IndicatorBase> base;
  std::shared_ptr<const std::set<Removal>> removed;
  std::vector<Indicator> folded;
  {
    const std::lock_guard lock(write_mutex_);
    base = base_;
    removed = removed_;
    for (const Chunk& c : chunks_) folded.insert(folded.end(), c.list.begin(), c.list.end());
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

  const std::lock_guard lock(write_mutex_);
  base_ = std::move(fresh);
  // What was folded and still stands leaves the chunks; what was removed or replaced meanwhile is hidden in the new base.
  auto still = std::make_shared<std::set<Removal>>();
  for (const Removal& r : *removed_)
    if (!removed->contains(r)) still->insert(r);
  join_chunks();
  std::vector<Indicator> now;
  if (!chunks_.empty()) now = std::move(chunks_[0].list);
  chunks_.clear();
  const auto key = [](const Indicator& i) { return std::tie(i.kind, i.value, i.source); };
  const auto before = [&](const Indicator& a, const Indicator& b) { return key(a) < key(b); };
  std::sort(folded.begin(), folded.end(), before);
  std::set<Removal> standing;
  Chunk rest;
  for (Indicator& i : now) {
    standing.insert({i.kind, i.value, i.source});
    const auto at = std::lower_bound(folded.begin(), folded.end(), i, before);
    if (at != folded.end() && *at == i) continue;
    if (at != folded.end() && key(*at) == key(i)) still->insert({i.kind, i.value, i.source});
    rest.list.push_back(std::move(i));
  }
  for (const Indicator& i : folded)
    if (!standing.contains({i.kind, i.value, i.source})) still->insert({i.kind, i.value, i.source});
  if (!rest.list.empty()) {
    rest.base = built(rest.list);
    chunks_.push_back(std::move(rest));
  }
  removed_ = std::move(still);
  publish();
  return {};
}

void Matcher::add(event::Kind kind, std::string_view value, std::uint32_t tag, std::uint64_t hash) {
  expander_.expand(
      snapshot_->present, kind, value,
      [&](std::uint64_t h, event::Kind as, std::string_view stored) {
        keys_.push_back(h);
        values_.push_back(
            {static_cast<std::uint32_t>(bytes_.size()), static_cast<std::uint32_t>(stored.size()), tag, as});
        bytes_ += stored;
      },
      hash);
}

}  // namespace bavn::match::indicators
