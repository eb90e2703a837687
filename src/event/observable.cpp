#include "event/observable.hpp"

#include <idn2.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/hash.hpp"
#include "base/text.hpp"
#include "event/canonical.hpp"
#include "event/domain.hpp"
#include "event/ip.hpp"

namespace bavn::event {

namespace {

constexpr std::size_t kLongestUrl = 8192;
constexpr std::size_t kLongestText = 2048;

bool is_hex(char c) {
  return ascii_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool high(char c) {
  return static_cast<unsigned char>(c) >= 0x80;
}
unsigned hex_value(char c) {
  return static_cast<unsigned>(ascii_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
}

// 0: not in a name; 1: not ASCII; else the character in lower case.
constexpr std::array<char, 256> kNameChar = [] {
  std::array<char, 256> t{};
  for (int c = 'a'; c <= 'z'; ++c) t[static_cast<std::size_t>(c)] = static_cast<char>(c);
  for (int c = 'A'; c <= 'Z'; ++c) t[static_cast<std::size_t>(c)] = static_cast<char>(c + 32);
  for (int c = '0'; c <= '9'; ++c) t[static_cast<std::size_t>(c)] = static_cast<char>(c);
  t['-'] = '-';
  t['_'] = '_';
  t['.'] = '.';
  for (std::size_t c = 128; c < 256; ++c) t[c] = 1;
  return t;
}();

// Appends an ASCII host name of at least `labels` labels; nothing is appended on failure. high_bytes: it has bytes for IDNA.
bool append_name(std::string_view in, std::string& out, unsigned labels, bool& high_bytes) {
  high_bytes = false;
  if (!in.empty() && in.back() == '.') in.remove_suffix(1);
  if (in.empty() || in.size() > 1024) return false;
  const std::size_t from = out.size();
  out.resize(from + in.size());
  char* p = out.data() + from;
  unsigned label = 0, count = 1;
  bool letters = false, ok = in.size() <= 253;
  for (char c : in) {
    const char n = kNameChar[static_cast<unsigned char>(c)];
    if (n <= 1) {
      if (n == 1) high_bytes = true;
      ok = false;
      if (n == 0) {
        high_bytes = false;
        break;
      }
    }
    if (n == '.') {
      if (label == 0 || label > 63) ok = false;
      label = 0;
      ++count;
      letters = false;
    } else {
      ++label;
      letters |= !ascii_digit(n) && n != '-';
    }
    *p++ = n;
  }
  ok = ok && label != 0 && label <= 63 && letters && count >= labels;
  if (!ok) out.resize(from);
  return ok;
}

bool append_domain(std::string_view in, std::string& out, unsigned labels) {
  bool high_bytes = false;
  if (append_name(in, out, labels, high_bytes)) return true;
  if (!high_bytes || !is_valid_utf8(in)) return false;
  const std::string name(in);
  char* ascii = nullptr;
  if (idn2_to_ascii_8z(name.c_str(), &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK) return false;
  const bool ok = append_name(ascii, out, labels, high_bytes);
  idn2_free(ascii);
  return ok;
}

// Lower case with white space runs as one blank; ASCII stays on the fast path.
void append_folded(std::string_view s, std::string& out) {
  const std::size_t from = out.size();
  out.reserve(from + s.size());
  bool blank = false, non_ascii = false;
  for (char c : s) {
    if (static_cast<unsigned char>(c) <= ' ') {
      blank = out.size() > from;
      continue;
    }
    if (blank) out += ' ';
    blank = false;
    non_ascii |= high(c);
    out += ascii_lower(c);
  }
  if (non_ascii) out.replace(from, std::string::npos, to_lower_utf8(std::string_view(out).substr(from)));
}

bool append_hex(std::string_view s, std::size_t length, std::string& out) {
  if (s.size() != length || !std::all_of(s.begin(), s.end(), is_hex)) return false;
  for (char c : s) out += ascii_lower(c);
  return true;
}

bool is_guid(std::string_view s) {
  if (s.size() != 36) return false;
  for (std::size_t i = 0; i < 36; ++i)
    if ((i == 8 || i == 13 || i == 18 || i == 23) ? s[i] != '-' : !is_hex(s[i])) return false;
  return true;
}

bool mail_local_char(char c) {
  return letter(c) || ascii_digit(c) || high(c) || (c != 0 && std::strchr(".!#$%&'*+/=?^_`{|}~-", c) != nullptr);
}

bool append_iban_or_number(std::string_view s, std::string& out) {
  const std::size_t from = out.size();
  for (char c : s) {
    if (c == ' ' || c == '-' || c == '.' || c == '/') continue;
    if (!ascii_digit(c) && !letter(c)) return false;
    out += letter(c) ? static_cast<char>(c & ~0x20) : c;
  }
  const std::string_view number = std::string_view(out).substr(from);
  if (number.size() < 6 || number.size() > 34) return false;
  if (std::all_of(number.begin(), number.end(), ascii_digit)) return true;
  if (number.size() < 15 || !letter(number[0]) || !letter(number[1]) || !ascii_digit(number[2]) ||
      !ascii_digit(number[3]))
    return false;
  unsigned remainder =
      0;  // ISO 7064 mod 97-10: the first four characters moved to the end, letters as 10..35, must leave 1
  for (std::size_t i = 0; i < number.size(); ++i) {
    const char c = number[(i + 4) % number.size()];
    remainder = ascii_digit(c) ? (remainder * 10 + static_cast<unsigned>(c - '0')) % 97
                               : (remainder * 100 + static_cast<unsigned>(c - 'A' + 10)) % 97;
  }
  return remainder == 1;
}

bool append_phone(std::string_view s, std::string& out) {
  const std::size_t from = out.size();
  for (char c : s) {
    if (c == ' ' || c == '-' || c == '.' || c == '/' || c == '(' || c == ')') continue;
    if (c == '+' && out.size() == from) out += '+';
    else if (ascii_digit(c)) out += c;
    else return false;
  }
  if (std::string_view(out).substr(from).starts_with("00")) out.replace(from, 2, "+");
  const std::size_t digits = out.size() - from - (out.size() > from && out[from] == '+' ? 1 : 0);
  return digits >= 5 && digits <= 15;
}

bool append_asn(std::string_view s, std::string& out) {
  if (s.size() > 2 && iequals(s.substr(0, 2), "as")) s = trim(s.substr(2));
  while (s.size() > 1 && s[0] == '0') s.remove_prefix(1);
  if (s.empty() || s.size() > 10 || s == "0" || !std::all_of(s.begin(), s.end(), ascii_digit)) return false;
  out += "AS";
  out += s;
  return true;
}

std::string_view without(std::string_view s, char open, char close) {
  if (s.size() >= 2 && s.front() == open && s.back() == close) return trim(s.substr(1, s.size() - 2));
  return s;
}

// Resolves "/./" and "/../" in out[begin, end of path), RFC 3986 section 5.2.4; the query behind it moves along.
void remove_dot_segments(std::string& out, std::size_t begin) {
  const std::size_t query = std::min(out.find('?', begin), out.size());
  std::size_t write = begin, read = begin;
  while (read < query) {  // out[read] == '/'
    std::size_t next = read + 1;
    while (next < query && out[next] != '/') ++next;
    const std::string_view segment(out.data() + read + 1, next - read - 1);
    if (segment == ".." || segment == ".") {
      if (segment == "..")
        while (write > begin && out[--write] != '/') {
        }
      if (next == query) out[write++] = '/';
    } else {
      std::memmove(out.data() + write, out.data() + read, next - read);
      write += next - read;
    }
    read = next;
  }
  out.erase(write, query - write);
}

// Appends path and query in canonical form; true when the path may hold dot segments.
bool append_path(std::string_view in, bool web, std::string& out) {
  constexpr char kHex[] = "0123456789ABCDEF";
  bool dots = false, query = false;
  const auto encoded = [&](unsigned char c) {
    out += '%';
    out += kHex[c >> 4];
    out += kHex[c & 15];
  };
  for (std::size_t i = 0; i < in.size(); ++i) {
    char c = in[i];
    if (c == '#') break;
    if (c == '?') query = true;
    if (c == '\\' && web && !query) c = '/';
    if (c == '%') {
      if (i + 2 < in.size() && is_hex(in[i + 1]) && is_hex(in[i + 2])) {
        const auto byte = static_cast<unsigned char>(hex_value(in[i + 1]) << 4 | hex_value(in[i + 2]));
        i += 2;
        if (byte <= ' ' || byte >= 0x7F || byte == '/' || byte == '?' || byte == '#' || byte == '%' || byte == '\\') {
          encoded(byte);
          continue;
        }
        c = static_cast<char>(byte);
      } else {
        encoded('%');
        continue;
      }
    } else if (static_cast<unsigned char>(c) <= ' ' || static_cast<unsigned char>(c) >= 0x7F) {
      encoded(static_cast<unsigned char>(c));
      continue;
    }
    dots |= c == '.' && !query && out.back() == '/';
    out += c;
  }
  return dots;
}

// The authority's host, appended in canonical form. `labels`: how many a name must have.
bool append_host(std::string_view host, unsigned labels, std::string& out, UrlHost& kind) {
  if (host.empty() || host.size() > 1024) return false;
  if (host.front() == '[') {
    const auto ip = host.size() >= 4 && host.back() == ']' ? parse_ip(host) : std::nullopt;
    if (!ip) return false;
    kind = ip->v6 ? UrlHost::ipv6 : UrlHost::ipv4;
    if (ip->v6) out += '[';
    append_ip(out, *ip);
    if (ip->v6) out += ']';
    return true;
  }
  std::string decoded;
  if (host.find('%') != std::string_view::npos) {
    for (std::size_t i = 0; i < host.size(); ++i) {
      if (host[i] == '%' && i + 2 < host.size() && is_hex(host[i + 1]) && is_hex(host[i + 2])) {
        decoded += static_cast<char>(hex_value(host[i + 1]) << 4 | hex_value(host[i + 2]));
        i += 2;
      } else {
        decoded += host[i];
      }
    }
    host = decoded;
  }
  if (host.back() == '.') host.remove_suffix(1);
  if (host.empty()) return false;
  const auto dot = host.rfind('.');
  if (ascii_digit(host[dot == std::string_view::npos ? 0 : std::min(dot + 1, host.size() - 1)])) {
    auto ip = parse_ip(host);
    if (!ip && labels == 1) ip = parse_ip_like_browser(host);
    if (ip) {
      kind = UrlHost::ipv4;
      append_ip(out, *ip);
      return !ip->v6;
    }
  }
  kind = UrlHost::name;
  const std::size_t from = out.size();
  if (!append_domain(host, out, labels)) return false;
  if (labels == 1 && ascii_digit(out[from]))  // a name that became a number by IDNA
    if (const auto ip = parse_ip_like_browser(std::string_view(out).substr(from))) {
      out.resize(from);
      kind = UrlHost::ipv4;
      append_ip(out, *ip);
    }
  return true;
}

}  // namespace

bool canonical_domain(std::string_view in, std::string& out) {
  out.clear();
  return append_domain(in, out, 2);
}

bool canonical_url(std::string_view in, std::string& out, UrlParts& parts, bool any_host) {
  out.clear();
  in = trim(in);
  if (in.empty() || in.size() > kLongestUrl) return false;
  bool web = true, has_scheme = false;
  std::size_t n = 0;
  while (n < in.size() && n < 20 &&
         (letter(in[n]) || ascii_digit(in[n]) || in[n] == '+' || in[n] == '-' || in[n] == '.'))
    ++n;
  const auto slash = [&](std::size_t i) { return i < in.size() && (in[i] == '/' || in[i] == '\\'); };
  if (n > 1 && n < in.size() && in[n] == ':' && slash(n + 1) && slash(n + 2)) {
    const std::string_view scheme = in.substr(0, n);
    has_scheme = true;
    web = iequals(scheme, "http") || iequals(scheme, "https");
    if (!web) {
      if (!letter(scheme[0]) || in.substr(n, 3) != "://" || iequals(scheme, "file")) return false;
      for (char c : scheme) out += ascii_lower(c);
      out += "://";
    }
    in.remove_prefix(n + 3);
    while (web && slash(0)) in.remove_prefix(1);  // browsers skip further slashes
  } else if (in.starts_with("//")) {
    in.remove_prefix(2);
  }
  std::size_t end = 0;
  while (end < in.size() && in[end] != '/' && in[end] != '?' && in[end] != '#' && !(web && in[end] == '\\')) ++end;
  std::string_view authority = in.substr(0, end);
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    if (!has_scheme) return false;  // a mail address
    authority.remove_prefix(at + 1);
  }
  std::string_view port;
  if (const auto colon = authority.rfind(':');
      colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    port = authority.substr(colon + 1);
    authority = authority.substr(0, colon);
    if (!std::all_of(port.begin(), port.end(), ascii_digit)) return false;
    while (port.size() > 1 && port[0] == '0') port.remove_prefix(1);
    if (port.size() > 5) return false;
  }
  const std::size_t host_begin = out.size();
  if (!append_host(authority, any_host || has_scheme ? 1 : 2, out, parts.kind)) return false;
  if (!any_host && !has_scheme && parts.kind == UrlHost::name &&
      !has_known_tld(std::string_view(out).substr(host_begin)))
    return false;
  parts.host_begin = host_begin;
  parts.host_end = out.size();
  if (parts.kind == UrlHost::ipv6) {
    ++parts.host_begin;
    --parts.host_end;
  }
  const bool default_port = web ? port == "80" || port == "443" : out.starts_with("ftp:") && port == "21";
  if (!port.empty() && !default_port) {
    out += ':';
    out += port;
  }
  const std::size_t path = out.size();
  in.remove_prefix(end);
  if (in.empty() || (in[0] != '/' && !(web && in[0] == '\\'))) out += '/';
  if (append_path(in, web, out)) remove_dot_segments(out, path);
  while (out.back() == '?') out.pop_back();
  if (out.back() == '/' && out.find('?', path) == std::string::npos)
    while (out.size() > path + 1 && out.back() == '/') out.pop_back();
  return out.size() <= kLongestUrl;
}

bool canonical_email(std::string_view in, std::string& out, std::size_t& domain_begin) {
  out.clear();
  in = trim(in);
  if (const auto open = in.rfind('<'); open != std::string_view::npos) {
    const auto close = in.find('>', open);
    if (close == std::string_view::npos) return false;
    in = trim(in.substr(open + 1, close - open - 1));
  }
  if (in.size() > 7 && iequals(in.substr(0, 7), "mailto:")) in = in.substr(7, in.find('?') - 7);
  if (in.size() > 5 && iequals(in.substr(0, 5), "smtp:")) in.remove_prefix(5);  // Exchange proxy addresses
  const auto at = in.rfind('@');
  if (at == std::string_view::npos || at == 0 || at > 128) return false;
  bool non_ascii = false;
  for (char c : in.substr(0, at)) {
    if (!mail_local_char(c)) return false;
    non_ascii |= high(c);
    out += ascii_lower(c);
  }
  if (non_ascii) out = to_lower_utf8(out);
  out += '@';
  domain_begin = out.size();
  return append_domain(in.substr(at + 1), out, 2);
}

bool canonical_file_name(std::string_view in, std::string& out) {
  out.clear();
  const auto skipped = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '"'; };
  while (!in.empty() && skipped(in.back())) in.remove_suffix(1);
  if (const auto slash = in.find_last_of("/\\"); slash != std::string_view::npos) in.remove_prefix(slash + 1);
  while (!in.empty() && skipped(in.front())) in.remove_prefix(1);
  if (in.empty() || in.size() > kLongestText || in == "." || in == ".." || in == "-") return false;
  append_folded(in, out);
  return true;
}

std::optional<Kind> canonical_into(Kind kind, std::string_view value, std::string& out) {
  const auto if_ok = [&](bool ok) { return ok ? std::optional(kind) : std::nullopt; };
  out.clear();
  while (!value.empty() && static_cast<unsigned char>(value.front()) <= ' ') value.remove_prefix(1);
  while (!value.empty() && static_cast<unsigned char>(value.back()) <= ' ') value.remove_suffix(1);
  if (value.empty()) return std::nullopt;
  switch (kind) {
    case Kind::domain:
    case Kind::mail_domain:
      if (kind == Kind::mail_domain && value.starts_with('@')) value.remove_prefix(1);
      if (value.starts_with("*.")) value.remove_prefix(2);
      else if (value.starts_with('.')) value.remove_prefix(1);
      return if_ok(canonical_domain(value, out));
    case Kind::url: {
      UrlParts parts;
      return if_ok(canonical_url(value, out, parts, true));
    }
    case Kind::ipv4:
    case Kind::ipv6:
    case Kind::cidr: {
      Ip ip;
      if (const auto network = parse_cidr(value)) {
        ip = network->network;
        if (network->prefix < ip.width()) {
          append_ip(out, ip);
          out += '/';
          out += std::to_string(network->prefix);
          return Kind::cidr;
        }
      } else if (const auto parsed = parse_ip(value)) {
        ip = *parsed;
      } else {
        return std::nullopt;
      }
      append_ip(out, ip);
      return ip.v6 ? Kind::ipv6 : Kind::ipv4;
    }
    case Kind::md5:
    case Kind::ja3: return if_ok(append_hex(value, 32, out));
    case Kind::sha1: return if_ok(append_hex(value, 40, out));
    case Kind::sha256: return if_ok(append_hex(value, 64, out));
    case Kind::email: {
      std::size_t domain = 0;
      return if_ok(canonical_email(value, out, domain));
    }
    case Kind::message_id:
      value = without(value, '<', '>');
      if (value.empty() || value.size() > 998 || value.find_first_of("<>") != std::string_view::npos)
        return std::nullopt;
      if (std::any_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) <= ' '; }))
        return std::nullopt;
      out = value;
      return kind;
    case Kind::subject:
      if (value.size() > kLongestText) return std::nullopt;
      append_folded(value, out);
      return if_ok(!out.empty());
    case Kind::file_name: return if_ok(canonical_file_name(value, out));
    case Kind::user_agent:
      if (value.size() > kLongestText || value == "-") return std::nullopt;
      out = value;
      return kind;
    case Kind::asn: return if_ok(append_asn(value, out));
    case Kind::app_id:
      value = without(value, '{', '}');
      if (value.empty() || value.size() > 256 || value == "-") return std::nullopt;
      if (std::any_of(value.begin(), value.end(),
                      [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '{' || c == '}'; }))
        return std::nullopt;
      append_folded(value, out);
      return kind;
    case Kind::account:
      if (value.size() > 512 || value == "-") return std::nullopt;
      append_folded(value, out);
      return if_ok(!out.empty() && out != "-");
    case Kind::bank_account: return if_ok(append_iban_or_number(value, out));
    case Kind::phone: return if_ok(append_phone(value, out));
  }
  return std::nullopt;
}

std::optional<Observable> canonical(Kind kind, std::string_view value) {
  std::string out;
  const auto is = canonical_into(kind, value, out);
  if (!is) return std::nullopt;
  return Observable{*is, std::move(out)};
}

std::optional<Observable> canonical(std::string_view kind_name, std::string_view value) {
  if (const auto kind = parse_kind(kind_name)) {
    auto found = canonical(*kind, value);
    if (!found && *kind == Kind::domain && parse_ip(trim(value))) found = canonical(Kind::ipv4, value);
    return found;
  }
  if (!iequals(trim(kind_name), "hash")) return std::nullopt;
  value = trim(value);
  for (Kind kind : {Kind::md5, Kind::sha1, Kind::sha256})
    if (auto found = canonical(kind, value)) return found;
  return std::nullopt;
}

namespace {

constexpr std::string_view kNames[kKinds] = {
    "",           "domain", "url",   "ipv4",        "ipv6",       "cidr",         "md5",
    "sha1",       "sha256", "email", "mail_domain", "message_id", "subject",      "file_name",
    "user_agent", "asn",    "ja3",   "app_id",      "account",    "bank_account", "phone"};

constexpr std::pair<std::string_view, Kind> kAliases[] = {
    {"ip", Kind::ipv4},
    {"ip_address", Kind::ipv4},
    {"address", Kind::ipv4},
    {"network", Kind::cidr},
    {"subnet", Kind::cidr},
    {"hostname", Kind::domain},
    {"host", Kind::domain},
    {"fqdn", Kind::domain},
    {"uri", Kind::url},
    {"link", Kind::url},
    {"mail", Kind::email},
    {"e_mail", Kind::email},
    {"email_address", Kind::email},
    {"email_domain", Kind::mail_domain},
    {"filename", Kind::file_name},
    {"file", Kind::file_name},
    {"useragent", Kind::user_agent},
    {"as", Kind::asn},
    {"ja3_fingerprint", Kind::ja3},
    {"application_id", Kind::app_id},
    {"appid", Kind::app_id},
    {"user", Kind::account},
    {"username", Kind::account},
    {"upn", Kind::account},
    {"iban", Kind::bank_account},
    {"phone_number", Kind::phone},
    {"sha_1", Kind::sha1},
    {"sha_256", Kind::sha256},
    {"messageid", Kind::message_id},
    {"email_subject", Kind::subject},
};

}  // namespace

std::string_view to_string(Kind k) {
  const auto i = static_cast<unsigned>(k);
  return i < kKinds ? kNames[i] : std::string_view{};
}

std::optional<Kind> parse_kind(std::string_view name) {
  std::string key = to_lower(trim(name));
  for (char& c : key)
    if (c == '-' || c == ' ') c = '_';
  for (unsigned i = 1; i < kKinds; ++i)
    if (kNames[i] == key) return static_cast<Kind>(i);
  for (const auto& [alias, kind] : kAliases)
    if (alias == key) return kind;
  return std::nullopt;
}

std::string refang(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  const auto bracketed = [](std::string_view rest, std::string_view inner) -> std::size_t {
    if (rest.size() < inner.size() + 2) return 0;
    const char close = rest[0] == '[' ? ']' : rest[0] == '(' ? ')' : rest[0] == '{' ? '}' : 0;
    return close != 0 && iequals(rest.substr(1, inner.size()), inner) && rest[inner.size() + 1] == close
               ? inner.size() + 2
               : 0;
  };
  constexpr std::pair<std::string_view, char> kInner[] = {{".", '.'},  {"dot", '.'}, {"@", '@'},
                                                          {"at", '@'}, {":", ':'},   {"/", '/'}};
  for (std::size_t i = 0; i < s.size();) {
    const char c = s[i];
    const std::string_view rest = s.substr(i);
    if (c == '[' || c == '(' || c == '{') {
      std::size_t used = 0;
      for (const auto& [inner, plain] : kInner)
        if ((used = bracketed(rest, inner)) != 0) {
          out += plain;
          break;
        }
      if (used == 0 && (used = bracketed(rest, "://")) != 0) out += "://";
      if (used != 0) {
        i += used;
        continue;
      }
    }
    if (c == '\\' && rest.size() > 1 && rest[1] == '.') {
      ++i;
      continue;
    }
    out += c;
    ++i;
  }
  const std::string_view v(out);
  if (v.size() > 4 && (iequals(v.substr(0, 4), "hxxp") || iequals(v.substr(0, 4), "htxp"))) out.replace(0, 4, "http");
  else if (v.size() > 6 && iequals(v.substr(0, 3), "fxp") && v[3] == ':') out.replace(0, 3, "ftp");
  return out;
}

std::optional<Observable> guess(std::string_view value) {
  value = trim(value);
  if (value.empty() || value.size() > kLongestUrl) return std::nullopt;
  const std::string plain = refang(value);
  std::string_view v = trim(plain);
  if (v.empty()) return std::nullopt;
  if (auto found = canonical("hash", v)) return found;
  if (v.find_first_not_of("0123456789abcdefABCDEF.:/[]%") == std::string_view::npos || v.front() == '[')
    if (auto found = canonical(Kind::ipv4, v)) return found;
  std::string out;
  UrlParts parts;
  if (v.find('/') == std::string_view::npos)  // "192.0.2.1:8080" and "evil.example:8080" name the host
    if (const auto colon = v.rfind(':');
        colon != std::string_view::npos && colon + 1 < v.size() &&
        std::all_of(v.begin() + static_cast<std::ptrdiff_t>(colon) + 1, v.end(), ascii_digit))
      v = v.substr(0, colon);
  if (auto found = canonical(Kind::ipv4, v); found && found->kind != Kind::cidr) return found;
  if (v.find('/') != std::string_view::npos && canonical_url(v, out, parts, false)) return Observable{Kind::url, out};
  if (v.find('@') != std::string_view::npos) {
    if (v.front() == '<' && v.find('.') != std::string_view::npos && v.find_first_of("$%") != std::string_view::npos)
      return canonical(Kind::message_id, v);
    if (v.front() == '@') return canonical(Kind::mail_domain, v);
    return canonical(Kind::email, v);
  }
  if (is_guid(without(v, '{', '}'))) return canonical(Kind::app_id, v);
  if (v.size() > 2 && iequals(v.substr(0, 2), "as") && std::all_of(v.begin() + 2, v.end(), ascii_digit))
    return canonical(Kind::asn, v);
  if (auto found = canonical(Kind::domain, v); found && has_known_tld(found->value)) return found;
  return std::nullopt;
}

std::uint64_t observable_hash(Kind kind, std::string_view canonical_value, std::uint64_t key) {
  return hash64(canonical_value, key ^ (static_cast<std::uint64_t>(kind) * 0x9E3779B97F4A7C15ULL));
}

std::string_view url_host(std::string_view url) {
  const auto begin = url.find("://");
  const auto first = url.find('/');
  if (begin != std::string_view::npos && begin + 1 == first) url.remove_prefix(begin + 3);
  if (!url.empty() && url[0] == '[') return url.substr(1, url.find(']') - 1);
  return url.substr(0, url.find_first_of(":/"));
}

}  // namespace bavn::event
