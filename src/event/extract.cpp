#include "event/extract.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "event/canonical.hpp"
#include "event/domain.hpp"
#include "event/ip.hpp"

namespace bavn::event {

namespace {

enum CharClass : std::uint8_t {
  kBreak = 0,  // ends a word of free text
  kPlain = 1,  // part of words
  kHex = 2,    // 0-9a-fA-F
  kDot = 4,
  kColon = 8,
  kAt = 16,
};

constexpr std::array<std::uint8_t, 256> kClass = [] {
  std::array<std::uint8_t, 256> t{};
  for (std::size_t c = 0x21; c < 256; ++c) t[c] = kPlain;
  for (const char c : {'"', '\'', '<', '>', '(', ')', '{', '}', '[', ']', ',', ';', '|', '\\', '`', '^'})
    t[static_cast<unsigned char>(c)] = kBreak;
  t[0x7F] = kBreak;
  for (std::size_t c = '0'; c <= '9'; ++c) t[c] = kHex;
  for (std::size_t c = 'a'; c <= 'f'; ++c) t[c] = kHex;
  for (std::size_t c = 'A'; c <= 'F'; ++c) t[c] = kHex;
  t['.'] = kDot;
  t[':'] = kColon;
  t['@'] = kAt;
  return t;
}();

constexpr std::array<bool, 256> kMailChar = [] {
  std::array<bool, 256> t{};
  for (std::size_t c = 128; c < 256; ++c) t[c] = true;
  for (std::size_t c = '0'; c <= '9'; ++c) t[c] = true;
  for (std::size_t c = 'a'; c <= 'z'; ++c) t[c] = t[c - 32] = true;
  for (const char c : {'.', '!', '#', '$', '%', '&', '*', '+', '/', '=', '?', '^', '_', '{', '|', '}', '~', '-'})
    t[static_cast<unsigned char>(c)] = true;
  return t;
}();
bool mail_char(char c) {
  return kMailChar[static_cast<unsigned char>(c)];
}

// Of the part behind the '@': "ola@nabo.example##Receive" ends before the '#'.
bool domain_char(char c) {
  return mail_char(c) && std::string_view("!#$%&'*+/=?^`{|}~").find(c) == std::string_view::npos;
}

// Free text is full of these; as the end of a bare name they are file endings far more often than domains.
bool looks_like_file(std::string_view domain) {
  const std::string_view tld = domain.substr(domain.rfind('.') + 1);
  for (const std::string_view ending : {"zip", "mov", "sh", "py", "md", "rs", "pl", "so", "ps", "cc", "app", "java"})
    if (tld == ending) return true;
  return false;
}

}  // namespace

bool Extractor::ip(std::string_view value, ObservableSink sink) {
  std::optional<Ip> found;
  if (value.empty() || value.size() > 64) return false;
  if (value[0] == '[') {
    found = parse_ip(value.substr(0, value.find(']') + 1));
  } else {
    found = parse_ip(value);
    if (!found)
      if (const auto colon = value.rfind(':'); colon != std::string_view::npos && value.find(':') == colon)
        found = parse_ip(value.substr(0, colon));
  }
  if (!found || *found == Ip{.bytes = {}, .v6 = found->v6}) return false;
  out_.clear();
  append_ip(out_, *found);
  sink(found->v6 ? Kind::ipv6 : Kind::ipv4, out_);
  return true;
}

bool Extractor::url(std::string_view value, ObservableSink sink, bool any_host) {
  UrlParts parts;
  if (!canonical_url(value, out_, parts, any_host)) return false;
  sink(Kind::url, out_);
  const std::string_view host = std::string_view(out_).substr(parts.host_begin, parts.host_end - parts.host_begin);
  if (parts.kind == UrlHost::ipv4) sink(Kind::ipv4, host);
  else if (parts.kind == UrlHost::ipv6) sink(Kind::ipv6, host);
  else if (host.find('.') != std::string_view::npos) sink(Kind::domain, host);
  return true;
}

bool Extractor::email(std::string_view value, ObservableSink sink, bool with_domain) {
  std::size_t domain = 0;
  if (!canonical_email(value, out_, domain)) return false;
  sink(Kind::email, out_);
  if (with_domain) sink(Kind::mail_domain, std::string_view(out_).substr(domain));
  return true;
}

void Extractor::emails(std::string_view value, ObservableSink sink) {
  value = value.substr(0, kLongestText);
  unsigned count = 0;
  for (std::size_t at = value.find('@'); at != std::string_view::npos && count < kMostOfOneText;
       at = value.find('@', at + 1)) {
    std::size_t begin = at, end = at + 1;
    while (begin > 0 && at - begin <= 128 && mail_char(value[begin - 1])) --begin;
    while (end < value.size() && end - at <= 256 && domain_char(value[end])) ++end;
    while (end > at && value[end - 1] == '.') --end;
    count += email(value.substr(begin, end - begin), sink, true) ? 1 : 0;
  }
}

bool Extractor::hash(std::string_view value, ObservableSink sink) {
  const Kind kind = value.size() == 32 ? Kind::md5 : value.size() == 40 ? Kind::sha1 : Kind::sha256;
  if (value.size() != 32 && value.size() != 40 && value.size() != 64) return false;
  if (!canonical_into(kind, value, out_)) return false;
  sink(kind, out_);
  return true;
}

void Extractor::hashes(std::string_view value, ObservableSink sink) {
  value = value.substr(0, kLongestText);
  const auto separator = [](char c) {
    return c == ',' || c == ';' || c == '|' || static_cast<unsigned char>(c) <= ' ';
  };
  for (std::size_t i = 0; i < value.size();) {
    while (i < value.size() && separator(value[i])) ++i;
    std::size_t end = i;
    while (end < value.size() && !separator(value[end])) ++end;
    std::string_view part = value.substr(i, end - i);
    i = end;
    if (const auto equals = part.find_first_of("=:"); equals != std::string_view::npos) {
      if (iequals(part.substr(0, equals), "imphash")) continue;
      part.remove_prefix(equals + 1);
    }
    hash(part, sink);
  }
}

void Extractor::word(std::string_view w, ObservableSink sink) {
  // w: no breaks; at least one '.', ':' or '@', or the length of a hash
  const auto scheme = w.find("://");
  if (scheme != std::string_view::npos && scheme > 0) {
    std::size_t from = scheme;  // "url=https://..." starts at the scheme's first letter
    while (from > 0 && ((w[from - 1] | 0x20) >= 'a' && (w[from - 1] | 0x20) <= 'z')) --from;
    url(w.substr(from), sink, false);
    return;
  }
  if (w.find('@') != std::string_view::npos) {
    emails(w, sink);
    return;
  }
  if (const auto equals = w.rfind('='); equals != std::string_view::npos && w.find('/') == std::string_view::npos) {
    w.remove_prefix(equals + 1);
    if (w.empty()) return;
  }
  if (hash(w, sink) || ip(w, sink)) return;
  if (const auto colon = w.find(':'); colon != std::string_view::npos && w.find('/') == std::string_view::npos) {
    // "host:port", "key:value"; never more than two parts are of interest
    const std::string_view left = w.substr(0, colon), right = w.substr(w.rfind(':') + 1);
    for (const std::string_view part : {left, right}) {
      if (part.size() < 4 || hash(part, sink) || ip(part, sink)) continue;
      if (part.find('.') != std::string_view::npos && part.find(':') == std::string_view::npos) word(part, sink);
    }
    return;
  }
  const auto slash = w.find('/');
  if (slash != std::string_view::npos) {
    if (slash == 0) return;  // a path
    const std::string_view host = w.substr(0, slash);
    if (host.find('.') == std::string_view::npos) return;
    if (ip(host, sink)) {  // "192.0.2.1/24" and "192.0.2.1/x": the address counts
      return;
    }
    if (canonical_domain(host.substr(0, host.find(':')), out_) && !looks_like_file(out_)) url(w, sink, false);
    return;
  }
  const auto dot = w.find('.');
  if (dot == std::string_view::npos || dot == 0) return;
  const auto last = w.rfind('.');
  if (ascii_digit(w[last + 1 < w.size() ? last + 1 : last])) return;  // "1.2.3": a number or a version
  if (canonical_domain(w, out_) && has_known_tld(out_) && !looks_like_file(out_)) sink(Kind::domain, out_);
}

void Extractor::text(std::string_view value, ObservableSink sink) {
  value = value.substr(0, kLongestText);
  unsigned count = 0;
  const auto counted = [&](Kind k, std::string_view v) {
    if (++count <= kMostOfOneText) sink(k, v);
  };
  const char* p = value.data();
  const char* const end = p + value.size();
  while (p < end && count < kMostOfOneText) {
    while (p < end && kClass[static_cast<unsigned char>(*p)] == kBreak) ++p;
    const char* const from = p;
    unsigned seen = 0;
    while (p < end) {
      const unsigned c = kClass[static_cast<unsigned char>(*p)];
      if (c == kBreak) break;
      seen |= c;
      ++p;
    }
    auto length = static_cast<std::size_t>(p - from);
    const bool special = (seen & (kDot | kColon | kAt)) != 0 || length >= 32;
    if (!special || length < 4) continue;
    const char* const stop = p;
    while (length > 0 &&
           (from[length - 1] == '.' || from[length - 1] == ':' || from[length - 1] == '!' || from[length - 1] == '?'))
      --length;
    if (length < 4) continue;
    // An IPv6 address in brackets is a word of its own here; a URL that has one needs its brackets back.
    if (from[length - 1] == '/' && stop < end && *stop == '[') {
      const char* q = stop;
      while (q < end && static_cast<unsigned char>(*q) > ' ' && *q != '"' && *q != '\'' && *q != '<' && *q != '>') ++q;
      p = q;
      length = static_cast<std::size_t>(q - from);
    }
    word(std::string_view(from, length), counted);
  }
}

void Extractor::extract(Role role, std::string_view value, ObservableSink sink) {
  value = trim(value);
  if (value.size() < 2) return;
  const auto one = [&](Kind kind) {
    if (const auto is = canonical_into(kind, value, out_)) sink(*is, out_);
  };
  switch (role) {
    case Role::none:
    case Role::url_path: return;
    case Role::ip:
      if (!ip(value, sink) && value.find_first_of(", ") != std::string_view::npos) {
        value = value.substr(0, 4096);
        while (!value.empty()) {
          const auto cut = value.find_first_of(", ");
          ip(value.substr(0, cut), sink);
          if (cut == std::string_view::npos) break;
          value.remove_prefix(cut + 1);
        }
      }
      return;
    case Role::domain:
      if (canonical_domain(value, out_)) sink(Kind::domain, out_);
      return;
    case Role::host_or_ip:
      if (!ip(value, sink) && canonical_domain(value.substr(0, value.find(':')), out_)) sink(Kind::domain, out_);
      return;
    case Role::url: url(value, sink, false); return;
    case Role::email:
      if (value.find('@') != std::string_view::npos && !email(value, sink, true)) emails(value, sink);
      return;
    case Role::emails: emails(value, sink); return;
    case Role::hash: hash(value, sink); return;
    case Role::hashes: hashes(value, sink); return;
    case Role::message_id: return one(Kind::message_id);
    case Role::subject: return one(Kind::subject);
    case Role::file_name:
      if (canonical_file_name(value, out_)) sink(Kind::file_name, out_);
      return;
    case Role::user_agent: return one(Kind::user_agent);
    case Role::asn: return one(Kind::asn);
    case Role::ja3: return one(Kind::ja3);
    case Role::app_id: return one(Kind::app_id);
    case Role::account:
      one(Kind::account);
      if (value.find('@') != std::string_view::npos) email(value, sink, false);
      return;
    case Role::bank_account: return one(Kind::bank_account);
    case Role::phone: return one(Kind::phone);
    case Role::text: text(value, sink); return;
  }
}

void Extractor::url_of(std::string_view host, std::string_view path, ObservableSink sink) {
  host = trim(host);
  path = trim(path);
  if (host.empty() || host == "-") return;
  if (path.find("://") != std::string_view::npos &&
      path.find("://") < 12) {  // proxies log the whole URL in the request line
    url(path, sink, false);
    return;
  }
  joined_.assign("http://");
  joined_ += host;
  if (!path.starts_with('/')) joined_ += '/';
  if (path != "-") joined_ += path;
  url(joined_, sink, true);
}

}  // namespace bavn::event
