#include "hunt/indicator_match.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

namespace bavn::hunt {

namespace indicators = match::indicators;
using event::Field;

void IndicatorMatch::match(const event::EventBatch& batch, std::vector<IndicatorHit>& hits) {
  if (set_.version() != version_) {
    auto snapshot = set_.snapshot();
    version_ = snapshot->version;
    matcher_.use(std::move(snapshot));
    std::fill(memo_.begin(), memo_.end(), Set{});
  }
  if (matcher_.snapshot().size() == 0) return;
  if (++batch_number_ == 0) {
    std::fill(asked_.begin(), asked_.end(), Asked{});
    batch_number_ = 1;
  }
  pending_.clear();
  const std::size_t before = hits.size();
  // Looks a value up unless it is known to hold nothing; several fields of the batch with one value are looked up once.
  const auto look = [&](std::uint64_t key, std::uint32_t r, std::uint32_t field, auto&& extract) {
    if (set_of(key).has(key)) return;
    Asked& asked = asked_[key >> 38 & (kAsked - 1)];
    const auto tag = static_cast<std::uint32_t>(pending_.size());
    if (asked.key == key && asked.batch == batch_number_) {
      pending_.push_back({r, field, pending_[asked.pending].same});
      pending_[asked.pending].same = tag;
      return;
    }
    pending_.push_back({r, field, kNone, false, key});
    const std::size_t keys = matcher_.pending();
    extract([&](event::Kind kind, std::string_view value) { matcher_.add(kind, value, tag); });
    if (matcher_.pending() == keys) {  // no observable of a kind that is looked for
      pending_.pop_back();
      remember(key);
      return;
    }
    asked = {key, batch_number_, tag};
  };
  const auto look_at = [&](const Ahead& a) {
    const Field& f = batch.fields[a.field];
    if (a.host == kNone)
      look(a.key, a.record, a.field, [&](auto&& sink) { extractor_.extract(f.role, batch.text(f, scratch_), sink); });
    else
      look(a.key, a.record, a.field, [&](auto&& sink) {
        extractor_.url_of(batch.text(batch.fields[a.host], host_), batch.text(f, scratch_), sink);
      });
  };
  ahead_.clear();
  std::size_t looked = 0;
  for (std::uint32_t r = 0; r < batch.records.size(); ++r) {
    const event::Record& record = batch.records[r];
    const std::size_t hashed = ahead_.size();
    const auto ahead = [&](std::uint64_t key, std::uint32_t field, std::uint32_t host) {
      __builtin_prefetch(&set_of(key));
      ahead_.push_back({key, r, field, host});
    };
    std::uint32_t path = kNone, host = kNone;  // a URL whose parts stand in two fields
    for (std::uint32_t i = record.first_field; i < record.first_field + record.field_count; ++i) {
      const Field& f = batch.fields[i];
      if (f.role == event::Role::none) continue;
      if (f.role == event::Role::url_path) {
        path = i;
        continue;
      }
      if (host == kNone && f.length != 0 && (f.role == event::Role::domain || f.role == event::Role::host_or_ip))
        host = i;
      if (f.length < 3) continue;
      const std::string_view bytes = batch.bytes(f);
      const std::uint64_t seed = secret_ + static_cast<std::uint64_t>(f.role) * 2 + (f.escaped() ? 1 : 0);
      ahead(XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed) | 1, i, kNone);
    }
    if (path != kNone && host != kNone) {
      const std::string_view at = batch.bytes(batch.fields[host]), rest = batch.bytes(batch.fields[path]);
      const std::uint64_t seed = XXH3_64bits_withSeed(at.data(), at.size(), ~secret_);
      ahead(XXH3_64bits_withSeed(rest.data(), rest.size(), seed) | 1, path, host);
    }
    for (; looked < hashed; ++looked) look_at(ahead_[looked]);
  }
  for (; looked < ahead_.size(); ++looked) look_at(ahead_[looked]);
  matcher_.flush([&](const indicators::Hit& hit) {
    pending_[hit.tag].hit = true;
    for (std::uint32_t at = hit.tag; at != kNone; at = pending_[at].same)
      confirm(batch, pending_[at], hit.indicator, hits);
  });
  for (const Pending& p : pending_)
    if (p.key != 0 && !p.hit) remember(p.key);
  for (const auto& layer : matcher_.snapshot().layers)
    for (const std::uint32_t n : layer->patterns_without_witness())
      for (std::uint32_t n_record = 0; n_record < batch.records.size(); ++n_record)
        if (pattern_holds(batch, n_record, layer->patterns()[n]))
          hits.push_back({n_record, kNone, layer->pattern_indicator(n)});
  const auto from = hits.begin() + static_cast<std::ptrdiff_t>(before);
  const auto key = [](const IndicatorHit& h) {
    return std::tie(h.record, h.indicator.kind, h.indicator.value, h.indicator.source);
  };
  std::sort(from, hits.end(), [&](const IndicatorHit& a, const IndicatorHit& b) {
    return key(a) != key(b) ? key(a) < key(b) : a.field < b.field;
  });
  hits.erase(
      std::unique(from, hits.end(), [&](const IndicatorHit& a, const IndicatorHit& b) { return key(a) == key(b); }),
      hits.end());
}

void IndicatorMatch::remember(std::uint64_t key) {
  auto& keys = set_of(key).keys;
  std::copy_backward(keys.begin(), keys.end() - 1, keys.end());
  keys[0] = key;
}

void IndicatorMatch::confirm(const event::EventBatch& batch, const Pending& p, const indicators::IndicatorView& view,
                             std::vector<IndicatorHit>& hits) {
  if (view.pattern() != nullptr && !pattern_holds(batch, p.record, *view.pattern())) return;
  const std::int64_t happened = batch.records[p.record].happened_us;
  // Lists say "valid from" when they learned of it; the thing itself is older, so only the end is taken at its word.
  if (happened != 0 && view.valid_until() != Instant{} && from_micros(happened) >= view.valid_until()) {
    ++expired_;
    return;
  }
  IndicatorHit hit{p.record, p.field, view.to_indicator()};
  if (allow_ != nullptr && !hit.indicator.is_pattern()) {
    std::string list = allow_->check(hit.indicator.kind, hit.indicator.value);
    if (!list.empty()) {
      ++allowed_[std::move(list)];
      return;
    }
  }
  hits.push_back(std::move(hit));
}

bool IndicatorMatch::pattern_holds(const event::EventBatch& batch, std::uint32_t record,
                                   const indicators::StixPattern& pattern) {
  std::vector<event::Observable> seen;
  std::string scratch;
  for (const Field& f : batch.fields_of(batch.records[record]))
    if (f.role != event::Role::none)
      extractor_.extract(f.role, batch.text(f, scratch),
                         [&](event::Kind k, std::string_view v) { seen.push_back({k, std::string(v)}); });
  std::vector<indicators::Seen> views;
  for (const auto& o : seen) views.emplace_back(o.kind, o.value);
  return pattern.matches(views);
}

}  // namespace bavn::hunt
