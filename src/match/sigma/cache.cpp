#include "match/sigma/cache.hpp"

#include <cstring>
#include <type_traits>
#include <unordered_map>

#include "base/hash.hpp"
#include "match/sigma/regex.hpp"

namespace bavn::match::sigma {

namespace {

constexpr std::string_view kCacheMagic = "bavnsig1";
constexpr std::size_t kMaxDepth = 256;

// One description of each type serves both directions: Out appends, In reads and remembers the first failure.
struct Out {
  std::string bytes;
  static constexpr bool reading = false;

  template <class T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
  void io(const T& v) {
    bytes.append(reinterpret_cast<const char*>(&v), sizeof v);
  }
  void io(const std::string& s) {
    io(static_cast<std::uint32_t>(s.size()));
    bytes += s;
  }
};

struct In {
  std::string_view bytes;
  bool ok = true;
  static constexpr bool reading = true;

  template <class T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
  void io(T& v) {
    if (bytes.size() < sizeof v) {
      ok = false;
      return;
    }
    std::memcpy(&v, bytes.data(), sizeof v);
    bytes.remove_prefix(sizeof v);
  }
  void io(std::string& s) {
    std::uint32_t n = 0;
    io(n);
    if (!ok || n > bytes.size()) {
      ok = false;
      return;
    }
    s.assign(bytes.substr(0, n));
    bytes.remove_prefix(n);
  }
};

template <class A, class T>
  requires(std::is_arithmetic_v<std::remove_const_t<T>> || std::is_enum_v<std::remove_const_t<T>>)
void io(A& a, T& v) {
  a.io(v);
}
template <class A, class S>
  requires std::is_same_v<std::remove_const_t<S>, std::string>
void io(A& a, S& s) {
  a.io(s);
}
template <class A, class V, class Each>
void io_list(A& a, V& v, Each each) {
  if constexpr (A::reading) {
    std::uint32_t n = 0;
    a.io(n);
    if (!a.ok || n > a.bytes.size()) {  // every element takes at least a byte
      a.ok = false;
      return;
    }
    for (std::uint32_t i = 0; i < n && a.ok; ++i) each(v.emplace_back());
  } else {
    a.io(static_cast<std::uint32_t>(v.size()));
    for (auto& x : v) each(x);
  }
}
template <class A, class V>
void io_all(A& a, V& v) {
  io_list(a, v, [&](auto& x) { io(a, x); });
}

template <class A, class P>
void io_predicate(A& a, P& p) {
  io(a, p.field);
  io(a, p.op);
  io(a, p.cased);
  io(a, p.value);
  io(a, p.other_field);
  io(a, p.relation);
  io(a, p.part);
  io(a, p.compare);
  io(a, p.number);
  for (auto& b : p.network) io(a, b);
  io(a, p.prefix_bits);
  io(a, p.regex_flags);
}

template <class A, class N>
void io_node(A& a, N& n, std::size_t depth) {
  if constexpr (A::reading) {
    if (depth > kMaxDepth) {
      a.ok = false;
      return;
    }
  }
  io(a, n.kind);
  if constexpr (A::reading) {
    if (n.kind > Node::Kind::negate) a.ok = false;
    if (!a.ok) return;
  }
  if (n.kind == Node::Kind::leaf) io(a, n.predicate);
  else io_list(a, n.children, [&](auto& c) { io_node(a, c, depth + 1); });
  if constexpr (A::reading) {
    if (n.kind != Node::Kind::leaf && n.children.empty()) a.ok = false;
  }
}

template <class A, class M>
void io_meta(A& a, M& m) {
  for (auto* s : {&m.id, &m.name, &m.title, &m.status, &m.description, &m.author, &m.date, &m.modified, &m.taxonomy,
                  &m.license, &m.file})
    io(a, *s);
  for (auto* v : {&m.tags, &m.references, &m.false_positives, &m.fields}) io_all(a, *v);
  io(a, m.level);
  io(a, m.line);
}

template <class A, class L>
void io_logsource(A& a, L& l) {
  for (auto* s : {&l.category, &l.product, &l.service, &l.definition}) io(a, *s);
}

template <class A, class S>
void io_set(A& a, S& set) {
  io_list(a, set.predicates, [&](auto& p) { io_predicate(a, p); });
  io_list(a, set.rules, [&](auto& r) {
    io_meta(a, r.meta);
    io_logsource(a, r.logsource);
    io_node(a, r.condition, 0);
    io(a, r.reports);
    io_all(a, r.correlations);
  });
  io_list(a, set.correlations, [&](auto& c) {
    io_meta(a, c.meta);
    io(a, c.type);
    io_list(a, c.rules, [&](auto& r) {
      io(a, r.is_correlation);
      io(a, r.index);
      io(a, r.written);
    });
    io_list(a, c.aliases, [&](auto& alias) {
      io(a, alias.name);
      io_all(a, alias.field_of);
    });
    io_all(a, c.group_by);
    std::int64_t seconds = c.timespan.count();
    io(a, seconds);
    if constexpr (A::reading) c.timespan = std::chrono::seconds(seconds);
    io_list(a, c.bounds, [&](auto& b) {
      io(a, b.compare);
      io(a, b.value);
    });
    io_all(a, c.fields);
    io(a, c.percentile);
    io(a, c.has_expression);
    io_node(a, c.expression, 0);
    io(a, c.generate);
    io(a, c.reports);
    io_all(a, c.correlations);
  });
  io_list(a, set.filters, [&](auto& f) {
    io_meta(a, f.meta);
    io_logsource(a, f.logsource);
    io_all(a, f.applied_to);
  });
  io_list(a, set.refused, [&](auto& r) {
    for (auto* s : {&r.file, &r.id, &r.title, &r.reason}) io(a, *s);
    io(a, r.line);
  });
  io_list(a, set.warnings, [&](auto& w) {
    io(a, w.file);
    io(a, w.line);
    io(a, w.what);
  });
  std::uint64_t files = set.files;
  io(a, files);
  if constexpr (A::reading) set.files = files;
}

bool below(const Node& n, std::size_t limit) {
  if (n.kind == Node::Kind::leaf) return n.predicate < limit;
  for (const auto& c : n.children)
    if (!below(c, limit)) return false;
  return true;
}

bool references_hold(const RuleSet& set) {
  for (const auto& r : set.rules) {
    if (!below(r.condition, set.predicates.size())) return false;
    for (const auto c : r.correlations)
      if (c >= set.correlations.size()) return false;
  }
  for (const auto& c : set.correlations) {
    for (const auto& r : c.rules)
      if (r.index >= (r.is_correlation ? set.correlations.size() : set.rules.size())) return false;
    for (const auto i : c.correlations)
      if (i >= set.correlations.size()) return false;
    if (c.has_expression && !below(c.expression, c.rules.size())) return false;
  }
  for (const auto& f : set.filters)
    for (const auto r : f.applied_to)
      if (r >= set.rules.size()) return false;
  return true;
}

}  // namespace

std::string encode_cache(const RuleSet& set, std::string_view key) {
  Out body;
  io_set(body, set);
  Out out;
  out.bytes = kCacheMagic;
  out.io(kCacheVersion);
  out.io(std::string(key));
  out.io(static_cast<std::uint64_t>(body.bytes.size()));
  out.io(hash64(body.bytes));
  return out.bytes + body.bytes;
}

Result<RuleSet> decode_cache(std::string_view bytes, std::string_view key) {
  if (!bytes.starts_with(kCacheMagic)) return fail(Code::corrupt, "this is no rule cache");
  In in{bytes.substr(kCacheMagic.size())};
  std::uint32_t version = 0;
  std::string made_from;
  std::uint64_t size = 0, hash = 0;
  in.io(version);
  if (!in.ok) return fail(Code::corrupt, "the rule cache is cut off");
  if (version != kCacheVersion) return fail(Code::not_found, "the rule cache is of another version");
  in.io(made_from);
  in.io(size);
  in.io(hash);
  if (!in.ok || in.bytes.size() != size || hash64(in.bytes) != hash)
    return fail(Code::corrupt, "the rule cache is damaged");
  if (made_from != key) return fail(Code::not_found, "the rule cache is of other files");
  RuleSet set;
  io_set(in, set);
  if (!in.ok || !in.bytes.empty() || !references_hold(set)) return fail(Code::corrupt, "the rule cache is damaged");
  std::unordered_map<std::string, std::shared_ptr<const Regex>> compiled;
  for (auto& p : set.predicates) {
    p.derive();
    if (p.op > Op::time_part) return fail(Code::corrupt, "the rule cache is damaged");
    if (p.op != Op::regex) continue;
    auto& regex = compiled[std::string(1, static_cast<char>(p.regex_flags)) + p.value];
    if (!regex) {
      BAVN_TRY(regex, Regex::compile(p.value, p.regex_flags));
    }
    p.regex = regex;
  }
  set.from_cache = true;
  return set;
}

}  // namespace bavn::match::sigma
