// Saving and loading. Layout, all integers little-endian: "BVNC", version u8, body, XXH3 of all before it u64. The body is written
// by save() and read by load(), nothing else knows it.
#include <bit>
#include <cmath>

#include "match/sigma/correlation_impl.hpp"

namespace bavn::match::sigma {

namespace {

constexpr std::string_view kMagic = "BVNC";
constexpr std::uint8_t kVersion = 1;
constexpr std::uint64_t kChecksumSeed = 0x62766E63;

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  void u8(std::uint8_t v) { put(v, 1); }
  void u16(std::uint16_t v) { put(v, 2); }
  void u32(std::uint32_t v) { put(v, 4); }
  void u64(std::uint64_t v) { put(v, 8); }
  void i64(std::int64_t v) { put(static_cast<std::uint64_t>(v), 8); }
  void count(std::size_t n) { u32(static_cast<std::uint32_t>(n)); }
  void text(std::string_view s) {
    count(s.size());
    out_ += s;
  }

 private:
  void put(std::uint64_t v, int bytes) {
    for (int i = 0; i < bytes; ++i) out_ += static_cast<char>(v >> (8 * i));
  }
  std::string& out_;
};

/// Reads never pass the end: after the first that would, everything is 0 and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  bool ok() const { return ok_; }
  bool at_end() const { return in_.empty(); }
  std::uint8_t u8() { return static_cast<std::uint8_t>(get(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(get(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(get(4)); }
  std::uint64_t u64() { return get(8); }
  std::int64_t i64() { return static_cast<std::int64_t>(get(8)); }
  bool flag() {
    const auto v = u8();
    if (v > 1) ok_ = false;
    return v == 1;
  }
  /// A number of things of at least `least` bytes each: never more than the bytes that are left could hold.
  std::size_t count(std::size_t least) {
    const std::size_t n = u32();
    if (n > in_.size() / least) ok_ = false;
    return ok_ ? n : 0;
  }
  std::string_view text() {
    const std::size_t n = count(1);
    const auto s = in_.substr(0, n);
    in_.remove_prefix(n);
    return s;
  }
  void refuse() { ok_ = false; }

 private:
  std::uint64_t get(std::size_t bytes) {
    if (!ok_ || in_.size() < bytes) {
      ok_ = false;
      return 0;
    }
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < bytes; ++i)
      v |= static_cast<std::uint64_t>(static_cast<unsigned char>(in_[i])) << (8 * i);
    in_.remove_prefix(bytes);
    return v;
  }
  std::string_view in_;
  bool ok_ = true;
};

void append(std::string& out, std::string_view part) {
  out += std::to_string(part.size());
  out += ':';
  out += part;
}

void append(std::string& out, const Node& n) {
  out += static_cast<char>('0' + static_cast<int>(n.kind));
  append(out, std::to_string(n.predicate));
  for (const Node& c : n.children) append(out, c);
  out += ';';
}

void write(Writer& w, const Plan& plan, const Group& g) {
  w.text(g.key);
  w.u32(g.municipality);
  for (const auto& s : g.shown) w.text(s);
  w.u64(g.serial);
  w.u64(g.touched);
  w.u8(g.had_episode);
  w.i64(g.episode_begin);
  w.i64(g.episode_end);
  w.u8(g.approximate);
  w.u64(g.thin_at);
  w.count(g.entries.size());
  for (const Entry& e : g.entries) {
    w.i64(e.time);
    w.u64(e.event);
    w.u64(e.line);
    w.u64(e.value);
    w.u32(e.place);
    w.u32(e.weight);
    w.u16(e.ref);
    w.u8(e.text);
    for (std::size_t i = 0; i < plan.carried.size(); ++i)
      w.text(e.carried ? std::string_view((*e.carried)[i]) : std::string_view{});
  }
  w.u8(g.sketch != nullptr);
  if (!g.sketch) return;
  for (const auto& seen : g.sketch->registers()) {
    w.u8(static_cast<std::uint8_t>(seen.size()));
    for (const auto& s : seen) {
      w.i64(s.time);
      w.u8(s.rank);
    }
  }
}

/// groups, carried: how many of each the definition has.
Group read(Reader& r, std::size_t groups, std::size_t carried, std::size_t refs, std::size_t places) {
  Group g;
  g.key = r.text();
  g.municipality = r.u32();
  for (std::size_t i = 0; i < groups; ++i) g.shown.emplace_back(r.text());
  g.serial = r.u64();
  g.touched = r.u64();
  g.had_episode = r.flag();
  g.episode_begin = r.i64();
  g.episode_end = r.i64();
  g.approximate = r.flag();
  g.thin_at = r.u64();
  const std::size_t entries = r.count(43);
  g.entries.reserve(entries);
  for (std::size_t i = 0; i < entries && r.ok(); ++i) {
    Entry& e = g.entries.emplace_back();
    e.time = r.i64();
    e.event = r.u64();
    e.line = r.u64();
    e.value = r.u64();
    e.place = r.u32();
    e.weight = r.u32();
    e.ref = r.u16();
    e.text = r.flag();
    if (e.ref >= refs || e.weight == 0 || (e.place >= places && e.place != kNoPlace)) r.refuse();
    if (i > 0 && e.time < g.entries[i - 1].time) r.refuse();
    if (carried == 0) continue;
    e.carried = std::make_unique<std::vector<std::string>>();
    for (std::size_t c = 0; c < carried; ++c) {
      e.carried->emplace_back(r.text());
      g.carried_bytes += sizeof(std::string) + e.carried->back().capacity();
    }
  }
  if (!r.flag()) return g;
  g.sketch = std::make_unique<DistinctSketch>();
  for (std::size_t i = 0; i < DistinctSketch::kRegisters && r.ok(); ++i) {
    std::vector<DistinctSketch::Seen> seen(r.u8());
    for (auto& s : seen) {
      s.time = r.i64();
      s.rank = r.u8();
    }
    if (r.ok() && !g.sketch->restore(i, std::move(seen))) r.refuse();
  }
  return g;
}

}  // namespace

std::uint64_t fingerprint(const Plan& plan) {
  const Correlation& c = *plan.rule;
  std::string s;
  append(s, c.meta.id);
  append(s, c.meta.title);
  append(s, to_string(c.type));
  append(s, std::to_string(plan.timespan));
  append(s, std::to_string(c.rules.size()));
  for (const auto& r : c.rules) append(s, r.written);
  append(s, std::to_string(c.group_by.size()));
  for (const auto& g : c.group_by) append(s, g);
  for (const auto& f : c.fields) append(s, f);
  append(s, "aliases");
  for (const auto& a : c.aliases) {
    append(s, a.name);
    for (const auto& f : a.field_of) append(s, f);
  }
  append(s, "bounds");
  for (const auto& b : c.bounds) {
    append(s, to_string(b.compare));
    append(s, std::to_string(b.value));
  }
  append(s, std::to_string(c.percentile));
  if (c.has_expression) append(s, c.expression);
  append(s, "carried");
  for (const auto& f : plan.carried) append(s, f);
  return hash64(s);
}

Result<void> CorrelationEngine::save(std::string& out) const {
  const Impl& i = *impl_;
  if (!i.held.empty()) return fail(Code::conflict, "hits are held back for replay: finish first");
  out.assign(kMagic);
  Writer w(out);
  w.u8(kVersion);
  w.u64(i.options.hash_seed);
  w.i64(i.newest);
  w.u64(i.serial);
  w.u64(i.touch);
  w.count(i.municipalities.size());
  for (const auto& m : i.municipalities) w.text(m);
  w.count(i.places.size());
  for (const auto& p : i.places) {
    w.text(p.municipality);
    w.text(p.format);
    w.text(p.file);
  }
  w.count(i.plans.size());
  for (std::size_t c = 0; c < i.plans.size(); ++c) {
    const Plan& plan = i.plans[c];
    w.u64(plan.fingerprint);
    w.count(plan.rule->group_by.size());
    w.count(plan.carried.size());
    w.count(plan.rule->rules.size());
    w.count(i.of[c].groups.size());
    for (const Group& g : i.of[c].groups) write(w, plan, g);
  }
  w.u64(hash64(out, kChecksumSeed));
  return {};
}

Result<void> CorrelationEngine::load(std::string_view bytes) {
  const auto refuse = [](const char* why) { return fail(Code::corrupt, std::string("correlation state: ") + why); };
  if (bytes.size() < kMagic.size() + 9 || !bytes.starts_with(kMagic)) return refuse("not one");
  if (static_cast<std::uint8_t>(bytes[kMagic.size()]) != kVersion)
    return refuse("of another version; start without it");
  Reader end(bytes.substr(bytes.size() - 8));
  const std::string_view body = bytes.substr(0, bytes.size() - 8);
  if (end.u64() != hash64(body, kChecksumSeed)) return refuse("the checksum is wrong: cut or changed");

  Impl& i = *impl_;
  Impl fresh(*i.set, i.options);
  Reader r(body.substr(kMagic.size() + 1));
  const std::uint64_t seed = r.u64();
  fresh.newest = r.i64();
  fresh.serial = r.u64();
  fresh.touch = r.u64();
  for (std::size_t n = r.count(4); n > 0 && r.ok(); --n) fresh.municipalities.emplace_back(r.text());
  for (std::size_t n = r.count(12); n > 0 && r.ok(); --n) {
    Origin where;
    where.municipality = r.text();
    where.format = r.text();
    where.file = r.text();
    const std::size_t before = fresh.places.size();
    fresh.place_of(where);
    if (fresh.places.size() != before + 1) r.refuse();  // twice the same: the numbers would not fit
  }
  std::uint64_t unknown = 0;
  for (std::size_t n = r.count(24); n > 0 && r.ok(); --n) {
    const std::uint64_t print = r.u64();
    const std::size_t shown = r.u32(), carried = r.u32(), refs = r.u32();
    Plan* plan = nullptr;
    for (Plan& p : fresh.plans)
      if (p.fingerprint == print) plan = &p;
    if (plan &&
        (shown != plan->rule->group_by.size() || carried != plan->carried.size() || refs != plan->rule->rules.size()))
      r.refuse();
    if (shown > 1000 || carried > 100'000) r.refuse();
    for (std::size_t groups = r.count(60); groups > 0 && r.ok(); --groups) {
      Group g = read(r, shown, carried, refs, fresh.places.size());
      if (!r.ok()) break;
      if (g.municipality >= fresh.municipalities.size()) {
        r.refuse();
        break;
      }
      if (!plan) {
        ++unknown;
        continue;
      }
      // What the flow relies on: a sketch only where values are counted and entries to speak of, no two groups of one key.
      const bool values = plan->rule->type == CorrelationType::value_count;
      if ((g.sketch && (!values || plan->settled || g.entries.empty())) ||
          fresh.of[plan->index].by_key.contains(g.key)) {
        r.refuse();
        break;
      }
      if (plan->rule->type == CorrelationType::value_sum || plan->rule->type == CorrelationType::value_avg)
        for (const Entry& e : g.entries)
          if (!std::isfinite(std::bit_cast<double>(e.value))) r.refuse();
      auto& mine = fresh.of[plan->index];
      mine.groups.push_back(std::move(g));
      Group& kept = mine.groups.back();
      mine.by_key.emplace(kept.key, std::prev(mine.groups.end()));
      if (plan->settled) fresh.schedule(*plan, kept);
      fresh.account(kept);
    }
  }
  if (!r.ok() || !r.at_end()) return refuse("the content does not fit together");

  fresh.options.hash_seed = seed;  // or values seen before would count as new
  fresh.now = i.now;
  fresh.stats = std::move(i.stats);
  fresh.stats.unknown_state += unknown;
  fresh.keep_within_memory();
  *impl_ = std::move(fresh);
  return {};
}

}  // namespace bavn::match::sigma
