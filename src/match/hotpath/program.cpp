#include "match/hotpath/program.hpp"

#include <hs.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>

#include "base/hash.hpp"
#include "base/result.hpp"
#include "base/text.hpp"
#include "match/sigma/exact.hpp"

namespace bavn::match::hotpath {

using sigma::Node;
using sigma::Op;
using sigma::Predicate;
using sigma::RuleSet;

namespace {

constexpr std::size_t kRuns[3] = {12, 8, 4};

std::uint64_t hash_of(std::string_view s) {
  return hash64(s, 0x5157A11BULL);
}

std::uint32_t gram_at(const char* p) {
  std::uint32_t v;
  std::memcpy(&v, p, 4);
  return v;
}
std::uint32_t gram_hash(std::uint32_t g) {
  return g * 0x9E3779B1U;
}
std::uint64_t gram_key(std::uint32_t g) {
  return (g * 0x9E3779B97F4A7C15ULL) >> 20;
}

/// How often a lower-case byte stands in log values, roughly: letters of common words and path marks are frequent. Used only to pick
/// the rarest run of a literal, so ranks matter, not values.
double byte_weight(unsigned char c) {
  static constexpr std::string_view kCommon = "e\\tsainrocl.dmpuw -0/1:2h3f";
  if (c >= 0x80) return 0.3;
  const auto at = kCommon.find(static_cast<char>(c));
  if (at != std::string_view::npos) return 3.0 - static_cast<double>(at) * 0.08;
  if (c >= 'a' && c <= 'z') return 0.7;
  if (c >= '0' && c <= '9') return 0.8;
  return 0.5;
}

double gram_weight(const char* p) {
  static constexpr std::array<std::string_view, 40> kFrequent = {
      ".exe", "\\win", "wind",  "indo",  "ndow",  "dows",  "ows\\", "\\sys", "syst", "yste",
      "stem", "tem3",  "em32",  "m32\\", "prog",  "rogr",  "ogra",  "gram",  "http", "ttp:",
      "tps:", "://w",  "www.",  ".com",  "user",  "sers",  "micr",  "icro",  "cros", "roso",
      "osof", "soft",  "c:\\w", "c:\\p", ":\\wi", ":\\pr", "file",  ".dll",  "powe", "hell"};
  const std::string_view g(p, 4);
  for (std::string_view f : kFrequent)
    if (f == g) return 1000;
  double w = 1;
  for (int i = 0; i < 4; ++i) w *= byte_weight(static_cast<unsigned char>(p[i]));
  return w;
}

std::optional<std::size_t> rarest_run(std::string_view literal) {
  if (literal.size() < 4) return std::nullopt;
  std::size_t best = 0;
  double best_weight = std::numeric_limits<double>::max();
  for (std::size_t i = 0; i + 4 <= literal.size(); ++i) {
    const double w = gram_weight(literal.data() + i);
    if (w < best_weight) {
      best_weight = w;
      best = i;
    }
  }
  return best;
}

/// The longest run that every match of the pattern must hold, folded; empty when none is sure.
std::string required_literal(const Predicate& p) {
  std::string best, now;
  const auto take = [&] {
    if (now.size() > best.size()) best = now;
    now.clear();
  };
  if (p.op == Op::wildcard) {
    for (char c : p.value) {
      if (c == sigma::kAnyRun || c == sigma::kAnyOne) take();
      else now += c;
    }
    take();
    return to_lower_utf8(best);
  }
  // Regex: runs of plain characters outside groups, classes and alternatives; the character before a quantifier is not sure.
  const std::string& s = p.value;
  int depth = 0;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const char c = s[i];
    if (c == '|' && depth == 0) return {};
    if (c == '\\') {
      if (i + 1 >= s.size()) break;
      const char e = s[++i];
      const bool plain = std::string_view("\\.+*?()[]{}|^$/-\"'_:; ,=%&@#!<>~`").find(e) != std::string_view::npos;
      if (depth == 0 && plain) now += e;
      else {
        take();
        if (e == 'Q' || e == 'x' || e == 'u' || e == 'p' || e == 'P' || e == 'c' || e == 'o' || e == 'N' || e == 'g' ||
            e == 'k') {
          return best.size() >= 4 && depth == 0 ? to_lower_utf8(best) : std::string();
        }
      }
    } else if (c == '[') {
      take();
      ++i;
      if (i < s.size() && s[i] == '^') ++i;
      if (i < s.size() && s[i] == ']') ++i;
      for (; i < s.size() && s[i] != ']'; ++i) {
        if (s[i] == '\\') ++i;
        else if (s[i] == '[' && i + 1 < s.size() && s[i + 1] == ':') {
          const auto close = s.find(":]", i);
          if (close == std::string::npos) return {};
          i = close + 1;
        }
      }
    } else if (c == '(') {
      take();
      if (s.compare(i, 2, "(?") == 0 && depth == 0 && i + 2 < s.size() && s[i + 2] != ':') {
        // flags, look-around: what comes is not sure to be plain
        if (s.find('x', i) < s.find(')', i)) return {};
      }
      ++depth;
    } else if (c == ')') {
      take();
      if (depth > 0) --depth;
    } else if (c == '*' || c == '?' || c == '{') {
      if (!now.empty()) now.pop_back();
      take();
      if (c == '{')
        while (i < s.size() && s[i] != '}') ++i;
    } else if (c == '+') {
      take();
    } else if (c == '.' || c == '^' || c == '$') {
      take();
    } else if (depth == 0) {
      if ((static_cast<unsigned char>(c) & 0x80) != 0) take();
      else now += c;
    }
  }
  take();
  return to_lower_utf8(best);
}

std::string longest_run(std::string_view literal, bool escapable) {
  std::string best, now;
  for (const char c : literal) {
    const bool plain = c >= ' ' && c <= '~' && (escapable || (c != '"' && c != '/' && c != '\\'));
    if (plain) now += c;
    if (now.size() > best.size()) best = now;
    if (!plain) now.clear();
  }
  return best;
}

/// What is looked for in raw bytes: the longest run without anything that JSON escapes, which is a plain literal for the search; where
/// that is short, the longest run of printable ASCII, whose escapes KeywordWitnesses allows for (a slower pattern).
std::string plain_run(std::string_view literal) {
  const std::string plain = longest_run(literal, false);
  return plain.size() >= 8 ? plain : longest_run(literal, true);
}

std::string keyword_literal_of(const Predicate& p) {
  switch (p.op) {
    case Op::equals:
    case Op::contains:
    case Op::starts_with:
    case Op::ends_with: return p.cased ? to_lower_utf8(p.value) : p.value;
    case Op::wildcard:
    case Op::regex: return required_literal(p);
    default: return {};
  }
}

/// What must stand in the raw record, in any case, for the keyword to hold on any value of it.
std::string keyword_literal(const Predicate& p) {
  return plain_run(keyword_literal_of(p));
}

/// Every run of plain bytes that must stand in the folded value.
std::vector<std::string> literal_parts(const Predicate& p) {
  if (p.op != Op::wildcard) return {keyword_literal_of(p)};
  std::vector<std::string> out;
  std::string now;
  for (char c : p.value + sigma::kAnyRun) {
    if (c != sigma::kAnyRun && c != sigma::kAnyOne) {
      now += c;
      continue;
    }
    if (!now.empty()) out.push_back(to_lower_utf8(now));
    now.clear();
  }
  return out;
}

void list_leaves(const Node& n, std::vector<PredicateId>& out) {
  if (n.kind == Node::Kind::leaf) out.push_back(n.predicate);
  for (const Node& c : n.children) list_leaves(c, out);
}

bool has_keyword(const RuleSet& set, const Node& n) {
  if (n.kind == Node::Kind::leaf) return set.predicates[n.predicate].field.empty();
  return std::any_of(n.children.begin(), n.children.end(), [&](const Node& c) { return has_keyword(set, c); });
}

bool is_base_name(std::string_view v) {
  return v.size() > 2 && (v[0] == '\\' || v[0] == '/') && v.find_first_of("\\/", 1) == std::string_view::npos;
}

/// About how often the test holds on a value of its field, plus what it costs to try on every value; infinity: no witness.
double cost(const Predicate& p) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  static constexpr std::array<std::string_view, 22> kEverywhere = {
      "\\powershell.exe", "\\cmd.exe",       "\\svchost.exe",  "\\explorer.exe", "\\rundll32.exe", "\\conhost.exe",
      "\\wscript.exe",    "\\cscript.exe",   "\\msiexec.exe",  "\\reg.exe",      "\\net.exe",      "\\net1.exe",
      "\\wmic.exe",       "\\pwsh.exe",      "\\mshta.exe",    "\\regsvr32.exe", "\\schtasks.exe", "\\services.exe",
      "\\lsass.exe",      "\\taskhostw.exe", "\\wmiprvse.exe", "\\python.exe"};
  const double n = static_cast<double>(p.value.size());
  const bool id = p.field == "EventID" || p.field == "EventCode" || p.field == "type" || p.field == "Channel" ||
                  p.field == "Workload";
  switch (p.op) {
    case Op::equals:
      if (p.value.empty()) return 0.5;
      return (id ? 0.15 : 0.0) + (n <= 2 ? 0.1 : n <= 4 ? 0.03 : 0.004);
    case Op::ends_with:
      if (is_base_name(p.value)) {
        for (std::string_view e : kEverywhere)
          if (p.value == e) return 0.03;
        return 0.002;
      }
      return p.value == ".exe" ? 0.9 : n < 4 ? 0.5 : n < 8 ? 0.02 : 0.003;
    case Op::starts_with:
      if (p.value.starts_with("c:\\windows") || p.value.starts_with("c:\\program")) return 0.2;
      return n < 4 ? 0.5 : n < 8 ? 0.05 : 0.01;
    case Op::contains: {
      if (n < 4) return 0.6;
      const double w = gram_weight(p.value.data() + *rarest_run(p.value));
      return (n < 6 ? 0.02 : 0.004) + (w >= 1000 ? 0.3 : w * 0.0005);
    }
    case Op::wildcard:
    case Op::regex: {
      const std::string literal = required_literal(p);
      const auto run = rarest_run(literal);
      if (!run) return 1.5;
      return 0.02 + (gram_weight(literal.data() + *run) >= 1000 ? 0.3 : 0.0);
    }
    case Op::cidr: return 0.4;
    case Op::less:
    case Op::less_equal:
    case Op::greater:
    case Op::greater_equal:
    case Op::time_part: return 1.0;
    case Op::exists:
    case Op::has_value: return 1.2;
    case Op::is_null:
    case Op::field_ref: return kNone;
  }
  return kNone;
}

struct Choice {
  double cost = std::numeric_limits<double>::infinity();
  std::vector<PredicateId> witnesses;
};

Choice choose(const RuleSet& set, const Node& n) {
  switch (n.kind) {
    case Node::Kind::leaf: {
      const Predicate& p = set.predicates[n.predicate];
      Choice c;
      c.cost = cost(p);
      // A keyword is looked for in the whole record at once: a literal of it must stand there.
      if (p.field.empty() && keyword_literal(p).empty()) return {};
      if (c.cost < std::numeric_limits<double>::infinity()) c.witnesses.push_back(n.predicate);
      return c;
    }
    case Node::Kind::negate: return {};
    case Node::Kind::all_of: {
      Choice best;
      for (const Node& child : n.children) {
        Choice c = choose(set, child);
        if (c.cost < best.cost) best = std::move(c);
      }
      return best;
    }
    case Node::Kind::any_of: {
      Choice sum;
      sum.cost = 0;
      for (const Node& child : n.children) {
        Choice c = choose(set, child);
        if (c.witnesses.empty()) return {};
        sum.cost += c.cost;
        sum.witnesses.insert(sum.witnesses.end(), c.witnesses.begin(), c.witnesses.end());
      }
      return sum;
    }
  }
  return {};
}

}  // namespace

namespace {

void flatten(const sigma::Node& n, std::uint32_t to, std::vector<FlatNode>& nodes) {
  const auto first = static_cast<std::uint32_t>(nodes.size());
  nodes[to] = {n.kind, n.predicate, first, static_cast<std::uint32_t>(n.children.size())};
  nodes.resize(nodes.size() + n.children.size());
  for (std::uint32_t i = 0; i < n.children.size(); ++i) flatten(n.children[i], first + i, nodes);
}

}  // namespace

void add_names(const RuleSet& set, event::FieldPlan& plan) {
  for (const Predicate& p : set.predicates) {
    if (!p.field.empty()) plan.add(p.field);
    if (!p.other_field.empty()) plan.add(p.other_field);
  }
  for (const sigma::Correlation& c : set.correlations) {
    for (const auto& g : c.group_by) plan.add(g);
    for (const auto& f : c.fields) plan.add(f);
    for (const auto& a : c.aliases)
      for (const auto& f : a.field_of)
        if (!f.empty()) plan.add(f);
  }
}

void Witnesses::Table::seal() {
  std::sort(raw_.begin(), raw_.end());
  raw_.erase(std::unique(raw_.begin(), raw_.end()), raw_.end());
  std::size_t keys = 0;
  for (std::size_t i = 0; i < raw_.size(); ++i) keys += i == 0 || raw_[i].first != raw_[i - 1].first;
  if (keys == 0) return;
  std::size_t n = 8;
  while (n < keys * 2) n *= 2;
  slots_.assign(n, {});
  mask_ = n - 1;
  for (std::size_t i = 0; i < raw_.size();) {
    std::size_t j = i;
    Slot s{raw_[i].first, static_cast<std::uint32_t>(ids_.size()), 0};
    for (; j < raw_.size() && raw_[j].first == s.key; ++j) ids_.push_back(raw_[j].second);
    s.count = static_cast<std::uint32_t>(j - i);
    std::size_t k = s.key & mask_;
    while (slots_[k].count != 0) k = (k + 1) & mask_;
    slots_[k] = s;
    i = j;
  }
  raw_.clear();
  raw_.shrink_to_fit();
}

void Witnesses::add(PredicateId id, const Predicate& p) {
  all_.push_back(id);
  // `cased` values are looked up folded as well: what is found is confirmed exactly.
  const std::string v = p.cased ? to_lower_utf8(p.value) : p.value;
  const auto gram = [&](std::string_view literal) {
    const auto run = rarest_run(literal);
    if (!run) return false;
    grams_.add(gram_key(gram_at(literal.data() + *run)), id);
    if (gram_bits_.empty()) gram_bits_.assign(1024, 0);  // 64 Ki bits
    const std::uint32_t h = gram_hash(gram_at(literal.data() + *run)) >> 16;
    gram_bits_[h >> 6] |= 1ULL << (h & 63U);
    return true;
  };
  switch (p.op) {
    case Op::equals: whole_.add(hash_of(v), id); return;
    case Op::ends_with:
      if (is_base_name(v)) {
        base_name_.add(hash_of(std::string_view(v).substr(1)), id);
        return;
      }
      for (int i = 0; i < 3; ++i)
        if (v.size() >= kRuns[i]) {
          ends_[i].add(hash_of(std::string_view(v).substr(v.size() - kRuns[i])), id);
          use_ends_[i] = true;
          return;
        }
      break;
    case Op::starts_with:
      for (int i = 0; i < 3; ++i)
        if (v.size() >= kRuns[i]) {
          starts_[i].add(hash_of(std::string_view(v).substr(0, kRuns[i])), id);
          use_starts_[i] = true;
          return;
        }
      break;
    case Op::contains:
      if (gram(v)) return;
      break;
    case Op::wildcard:
    case Op::regex:
      if (gram(required_literal(p))) return;
      break;
    default: break;
  }
  each_.push_back(id);
}

void Witnesses::seal() {
  whole_.seal();
  base_name_.seal();
  grams_.seal();
  for (int i = 0; i < 3; ++i) {
    ends_[i].seal();
    starts_[i].seal();
  }
}

void Witnesses::find(const RuleSet& set, std::string_view value, event::ValueKind kind, std::string& folded,
                     std::vector<PredicateId>& out) const {
  const auto confirm = [&](PredicateId id) {
    if (sigma::satisfied(set.predicates[id], value, kind)) out.push_back(id);
  };
  for (PredicateId id : each_) confirm(id);
  bool ascii = true;
  folded.resize(value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    ascii = ascii && static_cast<signed char>(c) >= 0;
    folded[i] = static_cast<char>(c + (static_cast<unsigned char>(c - 'A') < 26U ? 32 : 0));
  }
  if (!ascii) folded = to_lower_utf8(value);
  const std::string_view v = folded;
  if (!whole_.empty()) whole_.each(hash_of(v), confirm);
  if (!base_name_.empty()) {
    const auto slash = v.find_last_of("\\/");
    if (slash != std::string_view::npos) base_name_.each(hash_of(v.substr(slash + 1)), confirm);
  }
  for (int i = 0; i < 3; ++i) {
    if (use_ends_[i] && v.size() >= kRuns[i]) ends_[i].each(hash_of(v.substr(v.size() - kRuns[i])), confirm);
    if (use_starts_[i] && v.size() >= kRuns[i]) starts_[i].each(hash_of(v.substr(0, kRuns[i])), confirm);
  }
  if (!gram_bits_.empty() && v.size() >= 4) {
    const char* p = v.data();
    const std::uint64_t* bits = gram_bits_.data();
    for (std::size_t i = 0, n = v.size() - 3; i < n; ++i) {
      const std::uint32_t g = gram_at(p + i);
      const std::uint32_t h = gram_hash(g) >> 16;
      if ((bits[h >> 6] >> (h & 63U) & 1U) != 0) grams_.each(gram_key(g), confirm);
    }
  }
}

KeywordWitnesses::~KeywordWitnesses() {
  hs_free_database(database_);
}

KeywordWitnesses::Scratch::~Scratch() {
  hs_free_scratch(raw_);
}

KeywordWitnesses::KeywordWitnesses(Runs runs) : runs_(std::move(runs)) {
  // The filter looks for what stands in the raw bytes just so: parts that JSON does not escape.
  for (const auto& [run, id] : runs_) {
    std::string best, now;
    for (const char c : run + '"') {
      if (c != '"' && c != '/' && c != '\\') {
        now += c;
        continue;
      }
      if (now.size() > best.size()) best = now;
      now.clear();
    }
    filter_.add(best);
  }
  filter_.add("\\u00");
  filter_.seal();
  std::vector<std::string> escaped;
  for (const auto& [run, id] : runs_) {
    std::string e;
    for (char c : run) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == ' ' || c == '_';
      if (c == '"' || c == '/') e += "\\\\?";  // JSON writes \" and may write \/
      if (!plain) e += '\\';
      e += c;
      if (c == '\\') e += "\\\\?";  // and \\ for one backslash
    }
    escaped.push_back(std::move(e));
  }
  std::vector<const char*> patterns;
  std::vector<unsigned> flags, ids;
  for (std::size_t i = 0; i < escaped.size(); ++i) {
    patterns.push_back(escaped[i].c_str());
    flags.push_back(HS_FLAG_CASELESS | HS_FLAG_SINGLEMATCH);
    ids.push_back(runs_[i].second);
  }
  patterns.push_back("\\\\u00[2-7]");
  flags.push_back(HS_FLAG_SINGLEMATCH);
  ids.push_back(kEscapedLetters);
  hs_compile_error_t* error = nullptr;
  const auto rc = hs_compile_multi(patterns.data(), flags.data(), ids.data(), static_cast<unsigned>(patterns.size()),
                                   HS_MODE_BLOCK, nullptr, &database_, &error);
  hs_free_compile_error(error);
  BAVN_ASSERT(rc == HS_SUCCESS);
}

void KeywordWitnesses::find(std::string_view bytes, Scratch& scratch, std::vector<PredicateId>& out) const {
  Scratch::Use* use = nullptr;
  for (Scratch::Use& u : scratch.ready_)
    if (u.of == this) use = &u;
  if (use == nullptr) {
    BAVN_ASSERT(hs_alloc_scratch(database_, &scratch.raw_) == HS_SUCCESS);
    use = &scratch.ready_.emplace_back(Scratch::Use{this});
  }
  if (filter_.usable()) {
    if (++use->asked >= (use->unfiltered ? 65536U : 4096U)) {
      use->unfiltered = !use->unfiltered && use->passed * 2 > use->asked;
      use->asked = use->passed = 0;
    }
    if (!use->unfiltered) {
      if (!filter_.may_contain(bytes)) return;
      ++use->passed;
    }
  }
  const auto on_match = [](unsigned id, unsigned long long, unsigned long long, unsigned, void* to) {
    static_cast<std::vector<PredicateId>*>(to)->push_back(id);
    return 0;
  };
  const auto rc =
      hs_scan(database_, bytes.data(), static_cast<unsigned>(bytes.size()), 0, scratch.raw_, on_match, &out);
  BAVN_ASSERT(rc == HS_SUCCESS);
}

bool Program::applies(const sigma::LogSource& l, const event::Route& r) {
  if (r.unknown) return true;
  const auto has = [](const std::vector<std::string>& v, const std::string& x) {
    return x.empty() || std::find(v.begin(), v.end(), x) != v.end();
  };
  return has(r.products, l.product) && has(r.services, l.service) && has(r.categories, l.category);
}

const std::vector<std::string>& Program::keyword_parts(PredicateId p) const {
  const auto it = keyword_parts_.find(p);
  return it == keyword_parts_.end() ? no_parts_ : it->second;
}

Program::Program(std::shared_ptr<const RuleSet> set, const event::FieldPlan& plan,
                 std::function<bool(const sigma::LogSource&)> delivered)
    : set_(std::move(set)), plan_(plan) {
  for (PredicateId id = 0; id < set_->predicates.size(); ++id)
    if (set_->predicates[id].field.empty()) keyword_parts_[id] = literal_parts(set_->predicates[id]);
  for (const Predicate& p : set_->predicates) {
    slots_.push_back(p.field.empty() ? event::kNoSlot : plan_.slot(p.field).value_or(event::kNoSlot));
    other_slots_.push_back(p.other_field.empty() ? event::kNoSlot : plan_.slot(p.other_field).value_or(event::kNoSlot));
  }
  for (const sigma::Rule& r : set_->rules) {
    Choice c = choose(*set_, r.condition);
    std::sort(c.witnesses.begin(), c.witnesses.end());
    c.witnesses.erase(std::unique(c.witnesses.begin(), c.witnesses.end()), c.witnesses.end());
    has_witness_.push_back(c.witnesses.empty() ? 0 : 1);
    asks_text_.push_back(has_keyword(*set_, r.condition) ? 1 : 0);
    bool keywords = c.witnesses.empty() && asks_text_.back() != 0;
    for (PredicateId w : c.witnesses) keywords = keywords || set_->predicates[w].field.empty();
    keyword_rule_.push_back(keywords && delivered && delivered(r.logsource) ? 1 : 0);
    witnesses_.push_back(std::move(c.witnesses));
    conditions_.push_back(static_cast<std::uint32_t>(nodes_.size()));
    nodes_.emplace_back();
    flatten(r.condition, conditions_.back(), nodes_);
  }
}

const RouteProgram& Program::route(event::RouteId id, const event::Route& r) const {
  std::lock_guard lock(mutex_);
  if (id >= routes_.size()) routes_.resize(id + 1U);
  if (routes_[id]) return *routes_[id];
  auto p = std::make_unique<RouteProgram>();
  p->by_slot.assign(plan_.size(), 0);
  p->reads.assign(plan_.size(), 0);
  p->unknown = r.unknown;
  std::vector<PredicateId> leaves;
  KeywordWitnesses::Runs runs;
  const auto field_of = [&](event::Slot slot) -> std::size_t {
    std::uint16_t& field = p->by_slot[slot];
    if (field == 0) {
      p->fields.emplace_back();
      field = static_cast<std::uint16_t>(p->fields.size());
    }
    return field - 1U;
  };
  for (RuleIndex i = 0; i < set_->rules.size(); ++i) {
    if (!applies(set_->rules[i].logsource, r) || (r.unknown && keyword_rule_[i] != 0)) continue;
    p->rules.push_back(i);
    leaves.clear();
    list_leaves(set_->rules[i].condition, leaves);
    for (PredicateId leaf : leaves)
      for (event::Slot slot : {slots_[leaf], other_slots_[leaf]})
        if (slot != event::kNoSlot) p->reads[slot] = 1;
    if (has_witness_[i] == 0) {
      if (!r.unknown) {
        p->always.push_back(i);
        continue;
      }
      for (PredicateId leaf : leaves) {
        if (slots_[leaf] == event::kNoSlot) {
          if (set_->predicates[leaf].field.empty()) p->always.push_back(i);
          continue;
        }
        const std::size_t field = field_of(slots_[leaf]);
        if (p->present.size() <= field) p->present.resize(field + 1);
        auto& list = p->present[field];
        if (std::find(list.begin(), list.end(), i) == list.end()) list.push_back(i);
      }
      continue;
    }
    for (PredicateId w : witnesses_[i]) {
      const auto [it, fresh] = p->witness_number.try_emplace(w, static_cast<std::uint32_t>(p->targets.size()));
      if (fresh) {
        p->targets.emplace_back();
        const Predicate& predicate = set_->predicates[w];
        if (predicate.field.empty()) {
          runs.emplace_back(keyword_literal(predicate), w);
        } else if (slots_[w] != event::kNoSlot) {
          p->fields[field_of(slots_[w])].add(w, predicate);
        }
      }
      p->targets[it->second].push_back(i);
    }
  }
  p->present.resize(p->fields.size());
  std::sort(p->always.begin(), p->always.end());
  p->always.erase(std::unique(p->always.begin(), p->always.end()), p->always.end());
  if (!runs.empty()) {
    auto& keywords = keywords_[runs];
    if (!keywords) keywords = std::make_shared<const KeywordWitnesses>(runs);
    p->keywords = keywords;
  }
  for (Witnesses& w : p->fields) w.seal();
  routes_[id] = std::move(p);
  return *routes_[id];
}

}  // namespace bavn::match::hotpath
