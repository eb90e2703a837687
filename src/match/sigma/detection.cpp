#include "match/sigma/detection.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/text.hpp"
#include "match/sigma/condition.hpp"
#include "match/sigma/regex.hpp"

namespace bavn::match::sigma {

namespace {

constexpr std::size_t kMaxPredicates = 100'000;  // of one document
constexpr std::size_t kMaxValue = 65'536;        // bytes of one value

const std::vector<std::string_view> kModifiers = {
    "all",  "startswith", "endswith", "contains",     "exists",     "cased",     "neq",   "windash", "re",
    "i",    "m",          "s",        "base64",       "utf16le",    "utf16be",   "utf16", "wide",    "lt",
    "lte",  "gt",         "gte",      "minute",       "hour",       "day",       "week",  "month",   "year",
    "cidr", "expand",     "fieldref", "base64offset", "ignorecase", "multiline", "dotall"};

enum class Anchor { none, contains, starts, ends };

// What the modifiers of one key ask for. Transforms run in the order they are written.
struct Ask {
  std::string field;
  bool all = false, neq = false, cased = false, exists = false, cidr = false, re = false, field_ref = false;
  Anchor anchor = Anchor::none;
  std::optional<Op> compare;
  std::optional<TimePart> part;
  std::uint8_t regex_flags = 0;
  std::vector<std::string> transforms;
};

std::unexpected<Error> at_line(std::uint32_t line, std::string what) {
  return fail(Code::bad_input, std::move(what), std::to_string(line));
}
std::unexpected<Error> at_line(std::uint32_t line, Error e) {
  return fail(e.code, std::move(e.what), std::to_string(line));
}

std::optional<TimePart> time_part(std::string_view m) {
  for (const auto p :
       {TimePart::minute, TimePart::hour, TimePart::day, TimePart::week, TimePart::month, TimePart::year})
    if (to_string(p) == m) return p;
  return std::nullopt;
}

std::optional<Op> comparison(std::string_view m) {
  if (m == "lt") return Op::less;
  if (m == "lte") return Op::less_equal;
  if (m == "gt") return Op::greater;
  if (m == "gte") return Op::greater_equal;
  return std::nullopt;
}

Result<Ask> parse_key(const std::string& key, std::uint32_t line) {
  Ask ask;
  const auto parts = split(key, '|');
  ask.field = std::string(parts.front());
  if (ask.field.size() > 512) return at_line(line, "a field name longer than 512 bytes");
  const auto anchor = [&](Anchor a) {
    const bool second = ask.anchor != Anchor::none && ask.anchor != a;
    ask.anchor = a;
    return !second;
  };
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const auto m = parts[i];
    bool ok = true;
    if (m == "all") ask.all = true;
    else if (m == "neq") ask.neq = true;
    else if (m == "cased") ask.cased = true;
    else if (m == "exists") ask.exists = true;
    else if (m == "cidr") ask.cidr = true;
    else if (m == "re") ask.re = true;
    else if (m == "fieldref") ask.field_ref = true;
    else if (m == "contains") ok = anchor(Anchor::contains);
    else if (m == "startswith") ok = anchor(Anchor::starts);
    else if (m == "endswith") ok = anchor(Anchor::ends);
    else if (const auto c = comparison(m)) {
      ok = !ask.compare;
      ask.compare = c;
    } else if (const auto p = time_part(m)) {
      ok = !ask.part;
      ask.part = p;
    } else if (m == "i" || m == "ignorecase" || m == "m" || m == "multiline" || m == "s" || m == "dotall") {
      if (!ask.re) return at_line(line, fmt::format("'{}': the modifier '{}' only follows 're'", key, m));
      ask.regex_flags = static_cast<std::uint8_t>(ask.regex_flags | (m[0] == 'i'   ? Predicate::kRegexIgnoreCase
                                                                     : m[0] == 'm' ? Predicate::kRegexMultiline
                                                                                   : Predicate::kRegexDotAll));
    } else if (m == "windash" || m == "base64" || m == "base64offset" || m == "utf16le" || m == "utf16be" ||
               m == "utf16" || m == "wide" || m == "expand") {
      // An anchor written before an encoding would put wildcards into what is encoded.
      if (ask.anchor != Anchor::none && m.starts_with("base64"))
        return at_line(
            line,
            fmt::format("'{}': '{}' cannot encode the wildcards of the modifier before it: put it first", key, m));
      ask.transforms.emplace_back(m);
    } else {
      const auto near = nearest(m, kModifiers);
      return at_line(
          line, m.empty() ? fmt::format("'{}': a modifier is missing after '|'", key)
                          : fmt::format("'{}': the modifier '{}' is unknown{}", key, m,
                                        near.empty() ? std::string() : fmt::format(" (did you mean '{}'?)", near)));
    }
    if (!ok) return at_line(line, fmt::format("'{}': modifiers that exclude each other", key));
  }
  // `re` reads the value as written: nothing but placeholders may have changed it before.
  const bool encodes =
      std::any_of(ask.transforms.begin(), ask.transforms.end(), [](const auto& t) { return t != "expand"; });
  const int kinds = (ask.re ? 1 : 0) + (ask.cidr ? 1 : 0) + (ask.exists ? 1 : 0) + (ask.field_ref ? 1 : 0) +
                    (ask.compare || ask.part ? 1 : 0);
  if (kinds > 1 || (kinds == 1 && encodes))
    return at_line(line, fmt::format("'{}': modifiers that exclude each other", key));
  if (kinds == 1 && ask.cased && !ask.field_ref)
    return at_line(line, fmt::format("'{}': 'cased' has no meaning here: remove it", key));
  if (ask.anchor != Anchor::none && (ask.cidr || ask.exists || ask.compare || ask.part))
    return at_line(line, fmt::format("'{}': modifiers that exclude each other", key));
  if (ask.exists && (ask.neq || ask.all))
    return at_line(line, fmt::format("'{}': 'exists' stands alone with true or false", key));
  if (!ask.transforms.empty() && (ask.exists || ask.field_ref || ask.compare || ask.part))
    return at_line(line, fmt::format("'{}': modifiers that exclude each other", key));
  if (ask.neq && ask.compare)
    return at_line(line, fmt::format("'{}': 'neq' with a comparison: turn the comparison round", key));
  if (ask.field.empty() && (ask.exists || ask.field_ref || ask.cidr || ask.compare || ask.part))
    return at_line(line, fmt::format("'{}': this modifier needs a field name", key));
  return ask;
}

std::string quoted_for_regex(std::string_view s) {
  std::string out;
  for (const char c : s) {
    if (std::string_view("\\^$.|?*+()[]{}#-").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

class Compiler {
 public:
  Compiler(const Placeholders& placeholders, RegexCache& regexes) : placeholders_(placeholders), regexes_(regexes) {}

  Result<Node> selection(const Yaml& y) {
    if (y.is_map()) {
      if (y.items.empty()) return at_line(y.line, "a selection is empty");
      std::vector<Node> parts;
      for (std::size_t i = 0; i < y.items.size(); ++i) {
        const std::uint32_t line = y.items[i].line;
        BAVN_TRY(const Ask ask, parse_key(y.keys[i], line));
        BAVN_TRY(Node n, item(ask, y.items[i]));
        parts.push_back(std::move(n));
      }
      return join(Node::Kind::all_of, std::move(parts));
    }
    if (y.is_list()) {
      if (y.items.empty()) return at_line(y.line, "a selection is an empty list");
      std::vector<Node> parts;
      for (const auto& part : y.items) {
        BAVN_TRY(Node n, selection(part));
        parts.push_back(std::move(n));
      }
      return join(Node::Kind::any_of, std::move(parts));
    }
    return item(Ask{}, y);  // a keyword
  }

  std::vector<Predicate> predicates;
  std::vector<std::string> remarks;

 private:
  Result<Node> item(const Ask& ask, const Yaml& y) {
    if (y.is_map())
      return at_line(y.line, fmt::format("'{}' holds a map where a value or a list of values was expected", ask.field));
    if (y.is_list() && y.items.empty())
      return at_line(y.line, fmt::format("'{}' has an empty list: nothing could match", ask.field));
    std::vector<Node> parts;
    const auto one = [&](const Yaml& v) -> Result<void> {
      if (v.is_map() || v.is_list())
        return at_line(v.line, fmt::format("'{}' holds a list inside a list of values", ask.field));
      auto n = value(ask, v);
      if (!n)
        return n.error().where.empty() ? at_line(v.line, std::move(n).error())
                                       : std::unexpected<Error>(std::move(n).error());
      parts.push_back(*std::move(n));
      return {};
    };
    if (y.is_list()) {
      for (const auto& v : y.items) BAVN_CHECK(one(v));
    } else {
      BAVN_CHECK(one(y));
    }
    if (ask.all && parts.size() == 1)
      remarks.push_back(fmt::format("'{}|all' has a single value: 'all' does nothing (line {})", ask.field, y.line));
    Node n = join(ask.all ? Node::Kind::all_of : Node::Kind::any_of, std::move(parts));
    return ask.neq ? negated(std::move(n)) : std::move(n);
  }

  Result<Node> value(const Ask& ask, const Yaml& v) {
    if (v.text.size() > kMaxValue) return at_line(v.line, fmt::format("a value longer than {} bytes", kMaxValue));
    Predicate p;
    p.field = ask.field;
    p.cased = ask.cased;
    if (v.is_null()) {
      if (ask.field.empty()) return at_line(v.line, "a keyword is empty");
      if (ask.exists || ask.re || ask.cidr || ask.field_ref || ask.compare || ask.part || ask.anchor != Anchor::none ||
          !ask.transforms.empty())
        return at_line(v.line,
                       fmt::format("'{}': these modifiers need a value; for an empty text write ''", ask.field));
      p.op = Op::is_null;
      p.cased = false;
      return leaf(std::move(p));
    }
    if (ask.exists) {
      const bool yes = iequals(v.text, "true"), no = iequals(v.text, "false");
      if (!yes && !no) return at_line(v.line, fmt::format("'{}|exists' takes true or false", ask.field));
      p.op = Op::exists;
      BAVN_TRY(Node n, leaf(std::move(p)));
      return yes ? std::move(n) : negated(std::move(n));
    }
    if (ask.compare || ask.part) return number(ask, v, std::move(p));
    if (ask.field_ref) return field_ref(ask, v, std::move(p));
    if (ask.re) return regex(ask, v, std::move(p));
    return text(ask, v, std::move(p));
  }

  Result<Node> number(const Ask& ask, const Yaml& v, Predicate p) {
    const auto n = parse_number(v.text);
    if (!n) return at_line(v.line, fmt::format("'{}' compares with '{}', which is no number", ask.field, v.text));
    p.number = *n;
    if (!ask.part) {
      p.op = *ask.compare;
      return leaf(std::move(p));
    }
    if (*n != std::floor(*n))
      return at_line(v.line, fmt::format("'{}|{}' takes a whole number", ask.field, to_string(*ask.part)));
    p.op = Op::time_part;
    p.part = *ask.part;
    p.compare = ask.compare.value_or(Op::equals);
    return leaf(std::move(p));
  }

  Result<Node> field_ref(const Ask& ask, const Yaml& v, Predicate p) {
    if (trim(v.text).empty()) return at_line(v.line, fmt::format("'{}|fieldref' needs the name of a field", ask.field));
    p.op = Op::field_ref;
    p.other_field = v.text;
    p.relation = ask.anchor == Anchor::contains ? Op::contains
                 : ask.anchor == Anchor::starts ? Op::starts_with
                 : ask.anchor == Anchor::ends   ? Op::ends_with
                                                : Op::equals;
    return leaf(std::move(p));
  }

  Result<Node> regex(const Ask& ask, const Yaml& v, Predicate p) {
    std::vector<std::string> patterns{v.text};
    if (!ask.transforms.empty()) {  // expand: the values go in as plain text
      BAVN_TRY(const auto forms, expand(plain_pattern(v.text), quoted_placeholders()));
      patterns.clear();
      for (const auto& form : forms) patterns.push_back(*bytes_of(form));
    }
    std::vector<Node> ways;
    for (auto& pattern : patterns) {
      if (pattern.empty()) return at_line(v.line, fmt::format("'{}|re' needs a pattern", ask.field));
      if (ask.anchor == Anchor::starts) pattern = "\\A(?:" + pattern + ")";
      if (ask.anchor == Anchor::ends) pattern = "(?:" + pattern + ")\\z";
      Predicate q = p;
      q.op = Op::regex;
      q.cased = (ask.regex_flags & Predicate::kRegexIgnoreCase) == 0;
      q.regex_flags = ask.regex_flags;
      auto& compiled = regexes_[fmt::format("{}:{}", ask.regex_flags, pattern)];
      if (!compiled) {
        auto r = Regex::compile(pattern, ask.regex_flags);
        if (!r) return at_line(v.line, std::move(r).error());
        compiled = *r;
      }
      q.regex = compiled;
      q.value = pattern;
      BAVN_TRY(Node n, leaf(std::move(q)));
      ways.push_back(std::move(n));
    }
    return join(Node::Kind::any_of, std::move(ways));
  }

  // Placeholder values as regular expression text, with every wildcard already resolved to be plain.
  Placeholders quoted_placeholders() const {
    Placeholders out;
    for (const auto& [name, values] : placeholders_) {
      for (const auto& value : values) {
        std::string escaped;
        for (const char c : quoted_for_regex(value)) {
          if (c == '\\' || c == '*' || c == '?') escaped += '\\';  // expand() reads them as Sigma text
          escaped += c;
        }
        out[name].push_back(std::move(escaped));
      }
    }
    return out;
  }

  Result<Node> text(const Ask& ask, const Yaml& v, Predicate p) {
    std::vector<Pattern> forms{parse_pattern(v.text)};
    for (const auto& t : ask.transforms) {
      std::vector<Pattern> next;
      for (const auto& form : forms) {
        if (t == "windash" || t == "base64offset" || t == "expand") {
          BAVN_TRY(auto more, t == "windash"  ? windash(form)
                              : t == "expand" ? expand(form, placeholders_)
                                              : to_base64_offsets(form));
          std::move(more.begin(), more.end(), std::back_inserter(next));
        } else {
          BAVN_TRY(auto one, t == "base64"    ? to_base64(form)
                             : t == "utf16be" ? to_utf16(form, Utf16::big)
                             : t == "utf16"   ? to_utf16(form, Utf16::little_with_bom)
                                              : to_utf16(form, Utf16::little));
          next.push_back(std::move(one));
        }
        if (next.size() > kMaxPredicates) return too_many(v.line);
      }
      forms = std::move(next);
    }
    std::vector<Node> ways;
    for (auto& form : forms) {
      BAVN_TRY(Node n, ask.cidr ? network(ask, v, form, p) : match(ask, v, std::move(form), p));
      ways.push_back(std::move(n));
    }
    return join(Node::Kind::any_of, std::move(ways));
  }

  Result<Node> network(const Ask& ask, const Yaml& v, const Pattern& form, Predicate p) {
    const auto bytes = bytes_of(form);
    p.op = Op::cidr;
    if (!bytes || !parse_network(trim(*bytes), p.network, p.prefix_bits))
      return at_line(v.line, fmt::format("'{}|cidr': '{}' is no network: write 192.0.2.0/24 or 2001:db8::/32",
                                         ask.field, bytes ? *bytes : v.text));
    p.value = std::string(trim(*bytes));
    return leaf(std::move(p));
  }

  // Pattern -> the plainest operator that says it.
  Result<Node> match(const Ask& ask, const Yaml& v, Pattern form, Predicate p) {
    const bool keyword = ask.field.empty();
    const auto in_front = [&] { form.insert(form.begin(), kRun); };
    const auto behind = [&] { form += kRun; };
    if (ask.anchor == Anchor::contains || (keyword && ask.anchor == Anchor::none)) {
      in_front();
      behind();
    } else if (ask.anchor == Anchor::starts) {
      behind();
    } else if (ask.anchor == Anchor::ends) {
      in_front();
    }
    std::size_t begin = 0, end = form.size();
    while (begin < end && form[begin] == kRun) ++begin;
    while (end > begin && form[end - 1] == kRun) --end;
    const bool open_front = begin > 0, open_back = end < form.size();
    std::string body;
    bool wild = false, run = false;
    for (std::size_t i = begin; i < end; ++i) {
      const char16_t u = form[i];
      if (u == kRun && run) continue;
      run = u == kRun;
      wild = wild || u == kRun || u == kOne;
      if (u == kRun) body += kAnyRun;
      else if (u == kOne) body += kAnyOne;
      else if (u == kBom) body += "\xEF\xBB\xBF";
      else body += static_cast<char>(u);
    }
    std::string plain;
    for (std::size_t i = begin; i < end; ++i)
      if (form[i] < 0x100) plain += static_cast<char>(form[i]);
      else plain += ' ';
    if (!is_valid_utf8(plain))
      return at_line(
          v.line,
          fmt::format("'{}': these bytes are no text, so no value can hold them: add 'base64' or 'base64offset' "
                      "after the UTF-16 encoding",
                      ask.field));
    if (body.empty()) {
      if (open_front || open_back) {
        if (keyword) return at_line(v.line, "a keyword that fits everything: remove it");
        p.op = Op::has_value;
        p.cased = false;
        return leaf(std::move(p));
      }
      p.op = Op::equals;
      return leaf(std::move(p));
    }
    if (wild) {
      p.op = Op::wildcard;
      if (open_front) body.insert(body.begin(), kAnyRun);
      if (open_back) body += kAnyRun;
    } else {
      p.op = open_front && open_back ? Op::contains
             : open_front            ? Op::ends_with
             : open_back             ? Op::starts_with
                                     : Op::equals;
    }
    p.value = p.cased ? std::move(body) : to_lower_utf8(body);
    return leaf(std::move(p));
  }

  Result<Node> leaf(Predicate p) {
    if (predicates.size() >= kMaxPredicates) return too_many(0);
    p.derive();
    Node n;
    n.predicate = static_cast<PredicateId>(predicates.size());
    predicates.push_back(std::move(p));
    return n;
  }
  static std::unexpected<Error> too_many(std::uint32_t line) {
    return at_line(line, fmt::format("a rule with more than {} tests: split it", kMaxPredicates));
  }

  const Placeholders& placeholders_;
  RegexCache& regexes_;
};

}  // namespace

Result<Selections> compile_selections(const Yaml& section, const std::vector<std::string_view>& skip,
                                      const Placeholders& placeholders, RegexCache& regexes) {
  Compiler compiler(placeholders, regexes);
  Selections out;
  for (std::size_t i = 0; i < section.items.size(); ++i) {
    if (std::find(skip.begin(), skip.end(), section.keys[i]) != skip.end()) continue;
    auto node = compiler.selection(section.items[i]);
    if (!node) {
      Error e = std::move(node).error();
      e.what = fmt::format("selection '{}': {}", section.keys[i], e.what);
      return std::unexpected<Error>(std::move(e));
    }
    out.names.push_back(section.keys[i]);
    out.nodes.push_back(*std::move(node));
  }
  if (out.names.empty()) return at_line(section.line, "there is no selection: name what to look for");
  out.predicates = std::move(compiler.predicates);
  out.remarks = std::move(compiler.remarks);
  return out;
}

namespace {

bool parse_plain_address(std::string_view text, std::array<std::uint8_t, 16>& out) {
  char buffer[INET6_ADDRSTRLEN + 1];
  if (text.empty() || text.size() >= sizeof buffer) return false;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = 0;
  if (text.find(':') == std::string_view::npos) {
    in_addr v4{};
    if (inet_pton(AF_INET, buffer, &v4) != 1) return false;
    out = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    std::memcpy(out.data() + 12, &v4, 4);
    return true;
  }
  in6_addr v6{};
  if (inet_pton(AF_INET6, buffer, &v6) != 1) return false;
  std::memcpy(out.data(), &v6, 16);
  return true;
}

bool is_port(std::string_view s) {
  return !s.empty() && s.size() <= 5 && std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

bool parse_address(std::string_view text, std::array<std::uint8_t, 16>& address) {
  text = trim(text);
  if (text.empty() || text.size() > 64) return false;
  if (text.front() == '[') {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return false;
    const auto rest = text.substr(close + 1);
    if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return false;
    text = text.substr(1, close - 1);
  } else if (const auto colon = text.find(':');
             colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) {
    if (!is_port(text.substr(colon + 1))) return false;
    text = text.substr(0, colon);  // a.b.c.d:port
  }
  if (const auto zone = text.find('%'); zone != std::string_view::npos) text = text.substr(0, zone);
  return parse_plain_address(text, address);
}

bool parse_network(std::string_view text, std::array<std::uint8_t, 16>& network, std::uint8_t& prefix_bits) {
  const auto slash = text.find('/');
  if (!parse_plain_address(text.substr(0, slash), network)) return false;
  const unsigned most = text.find(':') == std::string_view::npos ? 32 : 128;
  unsigned bits = most;
  if (slash != std::string_view::npos) {
    const auto digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc() || end != digits.data() + digits.size() || bits > most) return false;
  }
  bits += 128 - most;
  prefix_bits = static_cast<std::uint8_t>(bits);
  for (unsigned i = bits; i < 128; ++i)
    network[i / 8] = static_cast<std::uint8_t>(network[i / 8] & ~(0x80U >> (i % 8)));
  return true;
}

std::optional<double> parse_number(std::string_view text) {
  text = trim(text);
  if (text.empty() || text.size() > 64) return std::nullopt;
  const char* end = text.data() + text.size();
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    std::uint64_t n = 0;
    const auto [at, error] = std::from_chars(text.data() + 2, end, n, 16);
    return error == std::errc() && at == end ? std::optional(static_cast<double>(n)) : std::nullopt;
  }
  if (text.front() == '+') text.remove_prefix(1);
  double d = 0;
  const auto [at, error] = std::from_chars(text.data(), end, d);
  return error == std::errc() && at == end && std::isfinite(d) ? std::optional(d) : std::nullopt;
}

}  // namespace bavn::match::sigma
