#include "match/indicators/stix_pattern.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/text.hpp"
#include "event/ip.hpp"
#include "match/indicators/bounded_regex.hpp"

namespace bavn::match::indicators {

using event::Kind;
using event::Observable;

enum class Op : std::uint8_t {
  equal,
  not_equal,
  less,
  more,
  less_equal,
  more_equal,
  in,
  like,
  matches,
  subset,
  superset,
  exists
};

struct StixPattern::Node {
  enum class Type : std::uint8_t { compare, all, any } type = Type::compare;
  std::vector<Node> parts;  // all, any
  // compare
  Op op = Op::equal;
  bool negated = false;
  bool text_type = false;  // "x_ref.type": true when the record has such an observable
  std::string path;
  std::vector<Kind> kinds;
  std::vector<std::string> values;  // as written (LIKE, MATCHES) or one per set element
  std::vector<Observable> canonical;
  std::shared_ptr<const BoundedRegex> regex;
};

namespace {

using Node = StixPattern::Node;

struct PathKinds {
  std::string_view path;
  std::vector<Kind> kinds;
};

bool is_hash_name(std::string_view name, std::string_view want) {
  std::string folded;
  for (char c : name)
    if (c != '-' && c != '_' && c != '\'') folded += ascii_lower(c);
  return folded == want;
}

constexpr unsigned kDeepest = 64;
constexpr std::size_t kMostComparisons = 10000;

class Parser {
 public:
  explicit Parser(std::string_view s) : s_(s) {}

  Result<Node> whole() {
    skip();
    BAVN_TRY(Node n, followed_by());
    if (at_ < s_.size()) return wrong("something follows the pattern");
    return n;
  }
  std::string unsupported;  // first construct that is not evaluated

 private:
  std::unexpected<Error> wrong(std::string_view what) const {
    return fail(Code::bad_input, "STIX pattern: " + std::string(what) + " at character " + std::to_string(at_ + 1));
  }
  char peek(std::size_t k = 0) const { return at_ + k < s_.size() ? s_[at_ + k] : '\0'; }
  static bool word_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  }

  void skip() {
    while (at_ < s_.size()) {
      const auto c = static_cast<unsigned char>(s_[at_]);
      if (c <= ' ') {
        ++at_;
      } else if (c == 0xC2 && static_cast<unsigned char>(peek(1)) == 0xA0) {
        at_ += 2;
      } else if (c == '/' && peek(1) == '*') {
        const auto end = s_.find("*/", at_ + 2);
        at_ = end == std::string_view::npos ? s_.size() : end + 2;
      } else if (c == '/' && peek(1) == '/') {
        const auto end = s_.find('\n', at_);
        at_ = end == std::string_view::npos ? s_.size() : end + 1;
      } else {
        return;
      }
    }
  }
  bool symbol(std::string_view t) {
    if (s_.substr(at_, t.size()) != t) return false;
    at_ += t.size();
    skip();
    return true;
  }
  bool keyword(std::string_view w) {
    if (s_.substr(at_, w.size()) != w || word_char(peek(w.size()))) return false;
    at_ += w.size();
    skip();
    return true;
  }
  void not_evaluated(std::string_view what) {
    if (unsupported.empty()) unsupported = "uses " + std::string(what);
  }
  static Node join(Node::Type type, Node a, Node b) {
    if (a.type == type) {
      a.parts.push_back(std::move(b));
      return a;
    }
    Node n;
    n.type = type;
    n.parts.push_back(std::move(a));
    n.parts.push_back(std::move(b));
    return n;
  }

  Result<Node> followed_by() {
    if (++depth_ > kDeepest) return wrong("nested too deep");
    BAVN_TRY(Node n, observations_or());
    while (keyword("FOLLOWEDBY")) {
      not_evaluated("FOLLOWEDBY");
      BAVN_TRY(Node next, observations_or());
      n = join(Node::Type::all, std::move(n), std::move(next));
    }
    --depth_;
    return n;
  }
  Result<Node> observations_or() {
    BAVN_TRY(Node n, observations_and());
    while (keyword("OR")) {
      BAVN_TRY(Node next, observations_and());
      n = join(Node::Type::any, std::move(n), std::move(next));
    }
    return n;
  }
  Result<Node> observations_and() {
    BAVN_TRY(Node n, observation());
    while (keyword("AND")) {
      BAVN_TRY(Node next, observation());
      n = join(Node::Type::all, std::move(n), std::move(next));
    }
    return n;
  }
  Result<Node> observation() {
    Node n;
    if (symbol("[")) {
      BAVN_TRY(Node inner, comparison_or());
      if (!symbol("]")) return wrong("] is missing");
      n = std::move(inner);
    } else if (symbol("(")) {
      BAVN_TRY(Node inner, followed_by());
      if (!symbol(")")) return wrong(") is missing");
      n = std::move(inner);
    } else {
      return wrong("[ is missing");
    }
    for (;;) {
      if (keyword("WITHIN")) {
        not_evaluated("WITHIN");
        if (!number() || !keyword("SECONDS")) return wrong("WITHIN needs a number and SECONDS");
      } else if (keyword("REPEATS")) {
        not_evaluated("REPEATS");
        if (!number() || !keyword("TIMES")) return wrong("REPEATS needs a number and TIMES");
      } else if (keyword("START")) {
        not_evaluated("START and STOP");
        if (!timestamp() || !keyword("STOP") || !timestamp()) return wrong("START needs t'...' STOP t'...'");
      } else {
        return n;
      }
    }
  }
  bool number() {
    const std::size_t from = at_;
    while ((peek() >= '0' && peek() <= '9') || peek() == '.') ++at_;
    const bool ok = at_ > from;
    skip();
    return ok;
  }
  bool timestamp() {
    std::string v;
    if (peek() != 't' || peek(1) != '\'') return false;
    ++at_;
    return quoted(v);
  }
  Result<Node> comparison_or() {
    if (++depth_ > kDeepest) return wrong("nested too deep");
    BAVN_TRY(Node n, comparison_and());
    while (keyword("OR")) {
      BAVN_TRY(Node next, comparison_and());
      n = join(Node::Type::any, std::move(n), std::move(next));
    }
    --depth_;
    return n;
  }
  Result<Node> comparison_and() {
    BAVN_TRY(Node n, comparison());
    while (keyword("AND")) {
      BAVN_TRY(Node next, comparison());
      n = join(Node::Type::all, std::move(n), std::move(next));
    }
    return n;
  }
  Result<Node> comparison() {
    if (symbol("(")) {
      BAVN_TRY(Node n, comparison_or());
      if (!symbol(")")) return wrong(") is missing");
      return n;
    }
    if (++comparisons_ > kMostComparisons) return wrong("more than 10,000 comparisons");
    Node n;
    const std::size_t start = at_;
    bool before = keyword("NOT");
    if (keyword("EXISTS")) {
      n.op = Op::exists;
      n.negated = before;
      BAVN_TRY(n.path, path());
      return n;
    }
    if (before) {
      at_ = start;
      return wrong("NOT stands after the path");
    }
    BAVN_TRY(n.path, path());
    n.negated = keyword("NOT");
    if (keyword("IN")) {
      n.op = Op::in;
      if (!symbol("(")) return wrong("( is missing");
      if (!symbol(")")) {
        do {
          std::string v;
          if (!literal(v)) return wrong("a value is missing");
          n.values.push_back(std::move(v));
        } while (symbol(","));
        if (!symbol(")")) return wrong(") is missing");
      }
      return n;
    }
    const bool text_only = keyword("LIKE")         ? (n.op = Op::like, true)
                           : keyword("MATCHES")    ? (n.op = Op::matches, true)
                           : keyword("ISSUBSET")   ? (n.op = Op::subset, true)
                           : keyword("ISSUPERSET") ? (n.op = Op::superset, true)
                                                   : false;
    if (!text_only) {
      if (symbol("==") || symbol("=")) n.op = Op::equal;
      else if (symbol("!=") || symbol("<>")) n.op = Op::not_equal;
      else if (symbol("<=")) n.op = Op::less_equal;
      else if (symbol(">=")) n.op = Op::more_equal;
      else if (symbol("<")) n.op = Op::less;
      else if (symbol(">")) n.op = Op::more;
      else return wrong("an operator is missing");
    }
    std::string v;
    if (text_only ? peek() != '\'' || !quoted(v) : !literal(v)) return wrong("a value is missing");
    n.values.push_back(std::move(v));
    return n;
  }
  Result<std::string> path() {
    const std::size_t from = at_;
    std::string out;
    while (word_char(peek())) out += s_[at_++];
    if (at_ == from || peek() != ':') return wrong("an object path is missing");
    out += ':';
    ++at_;
    bool first = true;
    for (;;) {
      if (peek() == '\'') {
        std::string name;
        if (!quoted(name, false)) return wrong("' is missing");
        out += '\'' + name + '\'';
      } else if (word_char(peek())) {
        while (word_char(peek())) out += s_[at_++];
      } else {
        return wrong(first ? "an object path is cut" : "a path step is missing");
      }
      first = false;
      while (peek() == '[') {
        const auto close = s_.find(']', at_);
        const std::string_view index =
            close == std::string_view::npos ? std::string_view{} : s_.substr(at_ + 1, close - at_ - 1);
        const bool digits =
            !index.empty() && index.find_first_not_of("0123456789", index[0] == '-' ? 1 : 0) == std::string_view::npos;
        if (index != "*" && !digits) return wrong("an index must be a number or *");
        out += "[*]";
        at_ = close + 1;
      }
      if (peek() != '.') break;
      ++at_;
      out += '.';
    }
    skip();
    return out;
  }
  // '...' with \' and \\ ; at_ stands on the quote
  bool quoted(std::string& out, bool then_skip = true) {
    if (peek() != '\'') return false;
    for (std::size_t i = at_ + 1; i < s_.size(); ++i) {
      const char c = s_[i];
      if (c == '\\' && i + 1 < s_.size() && (s_[i + 1] == '\'' || s_[i + 1] == '\\')) {
        out += s_[++i];
      } else if (c == '\'') {
        at_ = i + 1;
        if (then_skip) skip();
        return true;
      } else {
        out += c;
      }
    }
    return false;
  }
  bool literal(std::string& out) {
    if (peek() == '\'') return quoted(out);
    if ((peek() == 't' || peek() == 'h' || peek() == 'b') && peek(1) == '\'') {
      ++at_;
      return quoted(out);
    }
    if (keyword("true") || keyword("True") || keyword("TRUE")) return out = "true", true;
    if (keyword("false") || keyword("False") || keyword("FALSE")) return out = "false", true;
    const std::size_t from = at_;
    if (peek() == '-' || peek() == '+') ++at_;
    while ((peek() >= '0' && peek() <= '9') || peek() == '.' || ((peek() == 'e' || peek() == 'E') && at_ > from) ||
           (peek() == '-' && at_ > from && (s_[at_ - 1] | 0x20) == 'e'))
      ++at_;
    out = s_.substr(from, at_ - from);
    skip();
    return std::any_of(out.begin(), out.end(), [](char c) { return c >= '0' && c <= '9'; });
  }

  std::string_view s_;
  std::size_t at_ = 0;
  unsigned depth_ = 0;
  std::size_t comparisons_ = 0;
};

// Fills kinds, canonical values and regular expressions; appends why a comparison cannot be evaluated.
void prepare(Node& n, std::string& why) {
  for (Node& part : n.parts) prepare(part, why);
  if (n.type != Node::Type::compare) return;
  const auto cannot = [&](const std::string& reason) {
    if (why.empty()) why = reason;
    n.kinds.clear();
  };
  if (n.path.ends_with("_ref.type") && n.values.size() == 1) {
    const std::string& type = n.values[0];
    if (type == "ipv4-addr") n.kinds = {Kind::ipv4};
    else if (type == "ipv6-addr") n.kinds = {Kind::ipv6};
    else if (type == "domain-name") n.kinds = {Kind::domain};
    n.text_type = n.op == Op::equal && !n.negated;
    if (n.kinds.empty() || !n.text_type) cannot("path " + n.path + " is not observed");
    return;
  }
  n.kinds = kinds_of_stix_path(n.path);
  if (n.kinds.empty()) return cannot("path " + n.path + " is not observed");
  switch (n.op) {
    case Op::equal:
    case Op::not_equal:
    case Op::in:
      for (const std::string& v : n.values)
        for (const Kind kind : n.kinds)
          if (auto o = event::canonical(kind, v)) {
            if (std::find(n.canonical.begin(), n.canonical.end(), *o) == n.canonical.end())
              n.canonical.push_back(std::move(*o));
            break;
          }
      if (n.canonical.empty()) cannot("no value of " + n.path + " can occur");
      return;
    case Op::subset:
    case Op::superset:
      if (auto o = event::canonical(Kind::cidr, n.values[0])) n.canonical.push_back(std::move(*o));
      else cannot("'" + n.values[0] + "' is no network");
      return;
    case Op::like:
      if (n.values[0].size() > 1024) cannot("LIKE value longer than 1,024 bytes");
      return;
    case Op::matches: {
      auto regex = BoundedRegex::compile(n.values[0]);
      if (regex) n.regex = std::move(*regex);
      else cannot("MATCHES: " + regex.error().what);
      return;
    }
    case Op::less:
    case Op::more:
    case Op::less_equal:
    case Op::more_equal:
    case Op::exists: return;
  }
}

bool can_match(const Node& n) {
  if (n.type == Node::Type::all) return std::all_of(n.parts.begin(), n.parts.end(), can_match);
  if (n.type == Node::Type::any) return std::any_of(n.parts.begin(), n.parts.end(), can_match);
  return !n.kinds.empty();
}

bool covers(const Observable& network, Kind kind, std::string_view value) {
  const auto ip = event::parse_ip(value);
  if (network.kind != Kind::cidr) return network.kind == kind && network.value == value;
  const auto cidr = event::parse_cidr(network.value);
  return ip && cidr && ip->v6 == cidr->network.v6 && event::masked(*ip, cidr->prefix) == cidr->network;
}

// LIKE: % any run, _ one byte; case-sensitive as STIX has it, on canonical (lower case) values the pattern is lowered too.
bool like(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '%') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && (pattern[p] == '_' || ascii_lower(pattern[p]) == ascii_lower(text[t]))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '%') ++p;
  return p == pattern.size();
}

bool holds(const Node& n, const Seen& seen) {
  const auto& [kind, value] = seen;
  const auto same = [&](const Observable& o) {
    return o.kind == Kind::cidr ? covers(o, kind, value) : o.kind == kind && o.value == value;
  };
  switch (n.op) {
    case Op::equal:
    case Op::in: return std::any_of(n.canonical.begin(), n.canonical.end(), same) != n.negated;
    case Op::not_equal: return std::none_of(n.canonical.begin(), n.canonical.end(), same) != n.negated;
    case Op::less: return (value < std::string_view(n.values[0])) != n.negated;
    case Op::more: return (value > std::string_view(n.values[0])) != n.negated;
    case Op::less_equal: return (value <= std::string_view(n.values[0])) != n.negated;
    case Op::more_equal: return (value >= std::string_view(n.values[0])) != n.negated;
    case Op::like: return like(n.values[0], value) != n.negated;
    case Op::matches: return n.regex->search(value) != n.negated;
    case Op::subset: return covers(n.canonical[0], kind, value) != n.negated;
    case Op::superset: return (n.canonical[0].kind == kind && n.canonical[0].value == value) != n.negated;
    case Op::exists: return true;
  }
  return false;
}

bool evaluate(const Node& n, std::span<const Seen> record) {
  if (n.type == Node::Type::all)
    return std::all_of(n.parts.begin(), n.parts.end(), [&](const Node& p) { return evaluate(p, record); });
  if (n.type == Node::Type::any)
    return std::any_of(n.parts.begin(), n.parts.end(), [&](const Node& p) { return evaluate(p, record); });
  const auto of_kind = [&](const Seen& s) {
    return std::find(n.kinds.begin(), n.kinds.end(), s.first) != n.kinds.end();
  };
  if (n.op == Op::exists) return std::any_of(record.begin(), record.end(), of_kind) != n.negated && !n.kinds.empty();
  return std::any_of(record.begin(), record.end(),
                     [&](const Seen& s) { return of_kind(s) && (n.text_type || holds(n, s)); });
}

// A set of which the record must have one for n to hold; empty: none known.
std::vector<Observable> witnesses_of(const Node& n) {
  std::vector<Observable> out;
  switch (n.type) {
    case Node::Type::compare:
      if (!n.negated && !n.text_type &&
          (n.op == Op::equal || n.op == Op::in || n.op == Op::subset || n.op == Op::superset))
        return n.canonical;
      return out;
    case Node::Type::all:
      for (const Node& p : n.parts) {
        auto w = witnesses_of(p);
        if (!w.empty() && (out.empty() || w.size() < out.size())) out = std::move(w);
      }
      return out;
    case Node::Type::any:
      for (const Node& p : n.parts) {
        if (!can_match(p)) continue;
        auto w = witnesses_of(p);
        if (w.empty()) return {};
        out.insert(out.end(), std::make_move_iterator(w.begin()), std::make_move_iterator(w.end()));
      }
      return out;
  }
  return out;
}

// True when n is an OR of plain equalities.
bool only_values(const Node& n, std::vector<Observable>& out) {
  if (n.type == Node::Type::any)
    return std::all_of(n.parts.begin(), n.parts.end(), [&](const Node& p) { return only_values(p, out); });
  if (n.type == Node::Type::all || n.negated || n.text_type) return false;
  if (n.op != Op::equal && n.op != Op::in && n.op != Op::subset) return false;
  if (n.canonical.size() != n.values.size()) return false;
  out.insert(out.end(), n.canonical.begin(), n.canonical.end());
  return true;
}

}  // namespace

std::vector<Kind> kinds_of_stix_path(std::string_view path) {
  const auto colon = path.find(':');
  if (colon == std::string_view::npos) return {};
  const std::string_view object = path.substr(0, colon), rest = path.substr(colon + 1);
  const auto is = [&](std::string_view o, std::string_view r) { return object == o && rest == r; };
  const auto address = [](std::string_view r, std::string_view ref) { return r == std::string(ref) + ".value"; };
  if (is("domain-name", "value") || is("hostname", "value")) return {Kind::domain};
  if (is("url", "value")) return {Kind::url};
  if (is("ipv4-addr", "value") || is("ipv6-addr", "value") || is("domain-name", "resolves_to_refs[*].value"))
    return {Kind::ipv4, Kind::ipv6, Kind::cidr};
  if (object == "network-traffic" && (address(rest, "src_ref") || address(rest, "dst_ref")))
    return {Kind::ipv4, Kind::ipv6, Kind::cidr, Kind::domain};
  if (object == "network-traffic" && rest.find("request_header.'User-Agent'") != std::string_view::npos)
    return {Kind::user_agent};
  if (is("email-addr", "value") ||
      (object == "email-message" && (rest == "from_ref.value" || rest == "sender_ref.value" ||
                                     rest == "to_refs[*].value" || rest == "cc_refs[*].value")))
    return {Kind::email};
  if (is("email-message", "subject")) return {Kind::subject};
  if (is("email-message", "message_id")) return {Kind::message_id};
  if (is("file", "name") || is("process", "name") || is("email-message", "body_multipart[*].body_raw_ref.name"))
    return {Kind::file_name};
  if (is("autonomous-system", "number")) return {Kind::asn};
  if (is("user-account", "user_id") || is("user-account", "account_login")) return {Kind::account};
  if (is("app", "id") || is("x-bavn-app-id", "value")) return {Kind::app_id};
  // Kinds that no object of STIX has (exchange/stix writes them so).
  if (is("x-bavn-ja3", "value")) return {Kind::ja3};
  if (is("x-bavn-bank-account", "value")) return {Kind::bank_account};
  if (is("x-bavn-phone", "value")) return {Kind::phone};
  const auto hashes = rest.find("hashes.");
  if ((object == "file" || object == "x509-certificate" || object == "artifact") && hashes != std::string_view::npos) {
    const std::string_view name = rest.substr(hashes + 7);
    if (is_hash_name(name, "md5")) return {Kind::md5};
    if (is_hash_name(name, "sha1")) return {Kind::sha1};
    if (is_hash_name(name, "sha256")) return {Kind::sha256};
  }
  return {};
}

StixPattern::StixPattern() = default;
StixPattern::StixPattern(StixPattern&&) noexcept = default;
StixPattern& StixPattern::operator=(StixPattern&&) noexcept = default;
StixPattern::~StixPattern() = default;

Result<StixPattern> StixPattern::parse(std::string_view text) {
  if (text.size() > kLongest) return fail(Code::bad_input, "STIX pattern longer than 64 KiB");
  Parser parser(text);
  BAVN_TRY(Node root, parser.whole());
  StixPattern p;
  p.text_ = text;
  std::string why;
  prepare(root, why);
  p.not_evaluated_ = parser.unsupported;
  if (p.not_evaluated_.empty() && !can_match(root)) p.not_evaluated_ = why.empty() ? "nothing in it is observed" : why;
  p.root_ = std::make_unique<Node>(std::move(root));
  if (p.not_evaluated_.empty()) {
    if (!only_values(*p.root_, p.plain_)) p.plain_.clear();
    p.witnesses_ = witnesses_of(*p.root_);
  }
  return p;
}

bool StixPattern::matches(std::span<const Seen> record) const {
  return not_evaluated_.empty() && evaluate(*root_, record);
}

}  // namespace bavn::match::indicators
