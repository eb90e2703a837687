#include "app/shared_indicators.hpp"

#include <fmt/format.h>
#include <boost/describe.hpp>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/log.hpp"
#include "live/hunt_back.hpp"
#include "net/json_views.hpp"

namespace bavn::app {

namespace {

namespace mi = match::indicators;

/// One indicator as it travels. Dates and words are left out where they say nothing.
struct IndicatorView {
  std::string kind;  // empty: a STIX pattern
  std::string value;
  std::string source;
  std::optional<int> confidence;
  std::optional<event::Tlp> tlp;
  std::optional<Instant> valid_from, valid_until;
  std::optional<std::string> action, comment;
};
BOOST_DESCRIBE_STRUCT(IndicatorView, (),
                      (kind, value, source, confidence, tlp, valid_from, valid_until, action, comment))

struct RemovalView {
  std::string kind, value;
  std::optional<std::string> source;
};
BOOST_DESCRIBE_STRUCT(RemovalView, (), (kind, value, source))

struct ChangeView {
  std::optional<std::vector<IndicatorView>> add;
  std::optional<std::vector<RemovalView>> remove;
};
BOOST_DESCRIBE_STRUCT(ChangeView, (), (add, remove))

IndicatorView view_of(const mi::Indicator& i) {
  IndicatorView v;
  if (!i.is_pattern()) v.kind = event::to_string(i.kind);
  v.value = i.value;
  v.source = i.source;
  v.confidence = i.confidence;
  v.tlp = i.tlp;
  if (i.valid_from != Instant{}) v.valid_from = i.valid_from;
  if (i.valid_until != Instant{}) v.valid_until = i.valid_until;
  v.action = std::string(mi::to_string(i.action));
  if (!i.comment.empty()) v.comment = i.comment;
  return v;
}

Result<mi::Indicator> indicator_of(IndicatorView v, const std::string& where) {
  mi::Indicator i;
  if (v.kind.empty()) {
    i.value = std::move(v.value);
  } else {
    const auto kind = event::parse_kind(v.kind);
    if (!kind) return fail(Code::bad_input, "no such kind of observable: " + v.kind, where + "/kind");
    auto canonical = event::canonical(*kind, v.value);
    if (!canonical) return fail(Code::bad_input, fmt::format("this is no {}", v.kind), where + "/value");
    i.kind = canonical->kind;
    i.value = std::move(canonical->value);
  }
  i.source = std::move(v.source);
  if (v.confidence) {
    if (*v.confidence < 0 || *v.confidence > 100)
      return fail(Code::bad_input, "confidence is 0 to 100", where + "/confidence");
    i.confidence = static_cast<std::uint8_t>(*v.confidence);
  }
  if (v.tlp) i.tlp = *v.tlp;
  i.valid_from = v.valid_from.value_or(Instant{});
  i.valid_until = v.valid_until.value_or(Instant{});
  if (v.action) {
    const auto action = mi::parse_action(*v.action);
    if (!action) return fail(Code::bad_input, "action is watch, warn, hold or block", where + "/action");
    i.action = *action;
  }
  i.comment = std::move(v.comment).value_or("");
  return i;
}

}  // namespace

std::string to_json(const IndicatorChange& change) {
  ChangeView v;
  if (!change.add.empty()) {
    v.add.emplace();
    for (const auto& i : change.add) v.add->push_back(view_of(i));
  }
  if (!change.remove.empty()) {
    v.remove.emplace();
    for (const auto& r : change.remove)
      v.remove->push_back(
          {std::string(event::to_string(r.kind)), r.value, r.source.empty() ? std::nullopt : std::optional(r.source)});
  }
  return net::to_json(v);
}

Result<IndicatorChange> change_from_json(std::string_view json) {
  BAVN_TRY(ChangeView v, net::from_json<ChangeView>(json, net::Unknown::ignore));
  IndicatorChange change;
  std::size_t n = 0;
  if (v.add)
    for (auto& each : *v.add) {
      BAVN_TRY(mi::Indicator i, indicator_of(std::move(each), fmt::format("/add/{}", n++)));
      change.add.push_back(std::move(i));
    }
  n = 0;
  if (v.remove)
    for (auto& each : *v.remove) {
      const std::string where = fmt::format("/remove/{}", n++);
      const auto kind = event::parse_kind(each.kind);
      if (!kind) return fail(Code::bad_input, "no such kind of observable: " + each.kind, where + "/kind");
      auto canonical = event::canonical(*kind, each.value);
      if (!canonical) return fail(Code::bad_input, fmt::format("this is no {}", each.kind), where + "/value");
      change.remove.push_back({canonical->kind, std::move(canonical->value), std::move(each.source).value_or("")});
    }
  return change;
}

std::vector<std::string> pieces(const IndicatorChange& change, std::size_t most) {
  // Cut by estimated size (values, source and comment escaped, about 160 bytes of names and numbers around them).
  const auto size_of = [](const mi::Indicator& i) {
    return 160 + 2 * (i.value.size() + i.source.size() + i.comment.size());
  };
  std::vector<std::string> out;
  IndicatorChange part;
  std::size_t bytes = 0;
  const auto flush = [&] {
    if (part.add.empty() && part.remove.empty()) return;
    out.push_back(to_json(part));
    part = {};
    bytes = 0;
  };
  for (const auto& i : change.add) {
    if (bytes + size_of(i) > most) flush();
    bytes += size_of(i);
    part.add.push_back(i);
  }
  for (const auto& r : change.remove) {
    const std::size_t size = 80 + 2 * (r.value.size() + r.source.size());
    if (bytes + size > most) flush();
    bytes += size;
    part.remove.push_back(r);
  }
  flush();
  return out;
}

Result<void> apply(mi::IndicatorSet& set, const IndicatorChange& change) {
  for (const auto& r : change.remove) set.remove(r.kind, r.value, r.source);
  if (!change.add.empty()) BAVN_CHECK(set.add(change.add));
  return {};
}

namespace {

struct DeltaRow {
  std::int64_t id = 0;
  std::string payload;
};
BOOST_DESCRIBE_STRUCT(DeltaRow, (), (id, payload))

struct BaseRow {
  std::string file;
  std::int64_t upto_delta = 0;
  std::int64_t size = 0;
};
BOOST_DESCRIBE_STRUCT(BaseRow, (), (file, upto_delta, size))

struct NodeBaseRow {
  std::string audience, file;
  std::int64_t covers_seq = 0;
};
BOOST_DESCRIBE_STRUCT(NodeBaseRow, (), (audience, file, covers_seq))

constexpr std::string_view kHubBase = "SELECT file, upto_delta, size FROM hub_base WHERE audience = :audience";

}  // namespace

Result<void> HubIndicators::note(store::Tx& tx, std::string_view who, std::string_view payload) {
  BAVN_CHECK(tx.exec("INSERT INTO hub_indicator_delta (at_us, who, payload) VALUES (:at, :who, :payload)",
                     {{"at", tx.now()}, {"who", who}, {"payload", payload}}));
  return {};
}

Result<HubIndicators::Built> HubIndicators::build(std::string_view audience,
                                                  const std::function<Result<void>(mi::IndicatorBuilder&)>& more) {
  const std::lock_guard one(building_);
  BAVN_TRY(auto known,
           state_.read([&](store::Reader& r) { return r.one<BaseRow>(kHubBase, {{"audience", audience}}); }));
  std::shared_ptr<const mi::IndicatorBase> old = mi::IndicatorBase::empty();
  Built built;
  if (known) {
    BAVN_TRY(old, mi::IndicatorBase::open(known->file));
    built.upto_delta = known->upto_delta;
  }
  mi::IndicatorSet set(old);
  for (bool some = true; some;) {
    BAVN_TRY(const auto rows, state_.read([&](store::Reader& r) {
      return r.all<DeltaRow>("SELECT id, payload FROM hub_indicator_delta WHERE id > :after ORDER BY id LIMIT 200",
                             {{"after", built.upto_delta}});
    }));
    some = !rows.empty();
    for (const auto& row : rows) {
      built.upto_delta = row.id;
      auto change = change_from_json(row.payload);
      auto done = change ? apply(set, *change) : Result<void>(std::unexpected(change.error()));
      if (done) continue;
      ++built.refused;  // it was checked when it came; a change of our own rules since may refuse it now
      log::warn("indicator_change_refused", {{"change", row.id}, {"reason", to_string(done.error())}});
    }
  }
  BAVN_CHECK(set.fold());
  mi::IndicatorBuilder builder;
  const auto folded = set.snapshot();
  std::size_t lost = 0;
  for (const auto& layer : folded->layers)
    layer->for_each([&](const mi::Indicator& i) { lost += builder.add(i) ? 0 : 1; });
  if (lost != 0) log::warn("indicators_lost_in_base", {{"count", lost}});
  if (more) BAVN_CHECK(more(builder));
  std::error_code ec;
  std::filesystem::create_directories(folder_, ec);
  built.file = fmt::format("{}/{}-{}.base", folder_, audience, built.upto_delta);
  for (unsigned n = 1; std::filesystem::exists(built.file); ++n)
    built.file = fmt::format("{}/{}-{}-{}.base", folder_, audience, built.upto_delta, n);
  const auto base = builder.build();
  built.size = base->size();  // those that were there twice count once
  BAVN_CHECK(base->save(built.file));
  return built;
}

Result<void> HubIndicators::keep(store::Tx& tx, std::string_view audience, const Built& built) {
  BAVN_CHECK(
      tx.exec("INSERT INTO hub_base (audience, file, size, made_at_us, upto_delta) VALUES (:audience, :file, :size, "
              ":at, :upto) "
              "ON CONFLICT (audience) DO UPDATE SET file = excluded.file, size = excluded.size, made_at_us = "
              "excluded.made_at_us, "
              "upto_delta = excluded.upto_delta",
              {{"audience", audience},
               {"file", built.file},
               {"size", static_cast<std::int64_t>(built.size)},
               {"at", tx.now()},
               {"upto", built.upto_delta}}));
  BAVN_CHECK(tx.exec("DELETE FROM hub_indicator_delta WHERE id <= :upto", {{"upto", built.upto_delta}}));
  return {};
}

Result<void> HubIndicators::catch_up(store::Reader& db) {
  BAVN_TRY(const auto base, db.one<BaseRow>(kHubBase, {{"audience", "all"}}));
  if (base && base->file != read_file_) {
    BAVN_TRY(auto mapped, mi::IndicatorBase::open(base->file));
    BAVN_CHECK(set_.start_over(std::move(mapped), {}, {}));
    read_file_ = base->file;
    read_delta_ = base->upto_delta;
  }
  for (bool some = true; some;) {
    BAVN_TRY(const auto rows,
             db.all<DeltaRow>("SELECT id, payload FROM hub_indicator_delta WHERE id > :after ORDER BY id LIMIT 200",
                              {{"after", read_delta_}}));
    some = !rows.empty();
    for (const auto& row : rows) {
      read_delta_ = row.id;
      // A change that our own rules refuse by now is said when the next base is built.
      if (const auto change = change_from_json(row.payload)) (void)apply(set_, *change);
    }
  }
  return {};
}

std::string HubIndicators::listed(store::Tx& tx, std::string_view kind, std::string_view value) {
  const auto what = event::parse_kind(kind);
  if (!what || value.empty()) return {};
  const std::lock_guard lock(reading_);
  if (const auto done = catch_up(tx); !done) {
    log::warn("indicators_not_read", {{"reason", to_string(done.error())}});
    return {};
  }
  mi::Matcher matcher;
  matcher.use(set_.snapshot());
  matcher.add(*what, value, 0);
  std::string source;
  matcher.flush([&](const mi::Hit& hit) {
    const auto& i = hit.indicator;
    if (!source.empty() || !i.valid_at(tx.now()) || i.pattern() != nullptr) return;
    source = i.source().empty() ? std::string("an indicator") : std::string(i.source());
  });
  return source;
}

Result<HubIndicators::Size> HubIndicators::size() const {
  return state_.read([&](store::Reader& r) -> Result<Size> {
    Size s;
    BAVN_TRY(s.in_base, r.number("SELECT coalesce(sum(size), 0) FROM hub_base"));
    BAVN_TRY(s.changes,
             r.number("SELECT coalesce(sum(json_array_length(payload, '$.add')), 0) FROM hub_indicator_delta"));
    return s;
  });
}

Result<void> NodeIndicators::use(store::State& state, mi::IndicatorSet& set) {
  set_ = &set;
  return load(state);
}

void Standing::take(const IndicatorChange& change) {
  for (const auto& r : change.remove) {
    if (r.source.empty())
      std::erase_if(last_, [&](const auto& each) { return each.first.kind == r.kind && each.first.value == r.value; });
    last_[r] = std::nullopt;
  }
  for (const auto& i : change.add) last_[{i.kind, i.value, i.source}] = i;
}

std::vector<mi::Indicator> Standing::additions() const {
  std::vector<mi::Indicator> out;
  for (const auto& [key, indicator] : last_)
    if (indicator) out.push_back(*indicator);
  return out;
}

std::vector<mi::Removal> Standing::removals() const {
  std::vector<mi::Removal> out;
  for (const auto& [key, indicator] : last_)
    if (!indicator) out.push_back(key);
  return out;
}

namespace {

/// The base with every change since, into the set at once.
Result<void> load_all(store::Reader& db, mi::IndicatorSet& set) {
  BAVN_TRY(const auto bases, db.all<NodeBaseRow>("SELECT audience, file, covers_seq FROM node_base ORDER BY audience"));
  std::shared_ptr<const mi::IndicatorBase> base = mi::IndicatorBase::empty();
  for (const auto& b : bases) {
    auto opened = mi::IndicatorBase::open(b.file);
    if (opened) base = *opened;  // what is live without it are the changes
    else log::error("indicator_base_unreadable", {{"file", b.file}, {"reason", opened.error().what}});
  }
  Standing standing;
  for (std::int64_t after = 0;;) {
    BAVN_TRY(const auto rows,
             db.all<DeltaRow>("SELECT id, payload FROM node_indicator_delta WHERE id > :after ORDER BY id LIMIT 200",
                              {{"after", after}}));
    if (rows.empty()) break;
    after = rows.back().id;
    for (const auto& row : rows) {
      BAVN_TRY(const IndicatorChange change, change_from_json(row.payload));
      standing.take(change);
    }
  }
  return set.start_over(std::move(base), standing.additions(), standing.removals());
}

}  // namespace

Result<void> NodeIndicators::load(store::State& state) {
  return state.read([&](store::Reader& r) { return load_all(r, *set_); });
}

Result<void> NodeIndicators::on_change(store::Tx& tx, std::string_view audience, std::uint64_t seq,
                                       std::string_view payload) {
  BAVN_TRY(const IndicatorChange change, change_from_json(payload));
  BAVN_CHECK(apply(*set_, change));
  BAVN_CHECK(tx.exec("INSERT INTO node_indicator_delta (audience, seq, payload) VALUES (:audience, :seq, :payload)",
                     {{"audience", audience}, {"seq", static_cast<std::int64_t>(seq)}, {"payload", payload}}));
  return hunt_back_ ? live::HuntBack::wanted(tx, change.add) : Result<void>();
}

Result<void> NodeIndicators::on_base(store::Tx& tx, std::string_view audience, const std::string& file,
                                     std::uint64_t covers_seq) {
  BAVN_TRY(const auto base, mi::IndicatorBase::open(file));  // never forget the changes for one that cannot be read
  BAVN_CHECK(tx.exec("DELETE FROM node_indicator_delta WHERE audience = :audience AND seq <= :seq",
                     {{"audience", audience}, {"seq", static_cast<std::int64_t>(covers_seq)}}));
  BAVN_TRY(const auto before,
           tx.one<std::string>("SELECT file FROM node_base WHERE audience = :audience", {{"audience", audience}}));
  BAVN_CHECK(tx.exec(
      "INSERT INTO node_base (audience, file, covers_seq, at_us) VALUES (:audience, :file, :seq, :at) ON CONFLICT "
      "(audience) DO "
      "UPDATE SET file = excluded.file, covers_seq = excluded.covers_seq, at_us = excluded.at_us",
      {{"audience", audience}, {"file", file}, {"seq", static_cast<std::int64_t>(covers_seq)}, {"at", tx.now()}}));
  BAVN_CHECK(load_all(tx, *set_));
  return hunt_back_ ? live::HuntBack::wanted_base(tx, file, before.value_or("")) : Result<void>();
}

}  // namespace bavn::app
