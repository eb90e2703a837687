#include "warn/exports/writing.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "event/domain.hpp"

namespace bavn::warn::exports {

namespace {

using event::Kind;

constexpr std::size_t kMostNamed = 100;  // of what is left out

bool alnum(char c) {
  return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}
bool of(std::string_view text, std::string_view also) {
  return std::ranges::all_of(text, [&](char c) { return alnum(c) || also.contains(c); });
}
std::string backwards(std::string_view name) {
  return std::string(name.rbegin(), name.rend()) + ".";
}
bool meets(const event::Cidr& a, const event::Cidr& b) {
  const unsigned p = std::min(a.prefix, b.prefix);
  return a.network.v6 == b.network.v6 && event::masked(a.network, p) == event::masked(b.network, p);
}
std::optional<event::Cidr> network_of(const event::Observable& what) {
  if (what.kind == Kind::cidr) return event::parse_cidr(what.value);
  const auto ip = event::parse_ip(what.value);
  return ip ? std::optional(event::Cidr{*ip, static_cast<std::uint8_t>(ip->width())}) : std::nullopt;
}

}  // namespace

bool safe_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  for (const std::string_view label : split(name, '.'))
    if (label.empty() || label.size() > 63 || !of(label, "-_") || label.front() == '-') return false;
  return true;
}

bool safe_url(std::string_view url) {
  return url.size() <= 2048 && of(url, "-._~:/?@!$&+=%[]") && !event::url_host(url).empty() && url.front() != '-' &&
         url.front() != '/';
}

bool safe_address(std::string_view address) {
  const auto at = address.rfind('@');
  return at != std::string_view::npos && at > 0 && at <= 64 && of(address.substr(0, at), "!$%&+-./=?_{|}~") &&
         !std::string_view("/-=+@").contains(address.front()) && safe_name(address.substr(at + 1));
}

bool safe_message_id(std::string_view id) {
  return !id.empty() && id.size() <= 900 && std::ranges::all_of(id, [](char c) {
    return c > ' ' && c < 0x7f && !std::string_view("\"'<>\\`").contains(c);
  });
}

bool safe_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 && of(id, "-");
}

Allowed::Allowed(const std::vector<event::Observable>& allow) {
  for (const event::Observable& a : allow) {
    exact_.insert(a);
    if (a.kind == Kind::domain || a.kind == Kind::mail_domain) {
      if (safe_name(a.value) && std::ranges::find(names_, a.value) == names_.end()) names_.push_back(a.value);
      backwards_.insert(backwards(a.value));
    }
    if (a.kind == Kind::url) hosts_.insert(backwards(event::url_host(a.value)));
    if (a.kind == Kind::email) hosts_.insert(backwards(std::string_view(a.value).substr(a.value.rfind('@') + 1)));
    if (a.kind == Kind::ipv4 || a.kind == Kind::ipv6 || a.kind == Kind::cidr)
      if (const auto n = network_of(a)) networks_.push_back(*n);
  }
  std::ranges::sort(names_);
}

std::string Allowed::covers_all(const event::Observable& what) const {
  if (exact_.contains(what)) return "it is let through here";
  std::string_view host;
  if (what.kind == Kind::domain || what.kind == Kind::mail_domain) host = what.value;
  if (what.kind == Kind::url) host = event::url_host(what.value);
  if (what.kind == Kind::email) host = std::string_view(what.value).substr(what.value.rfind('@') + 1);
  for (std::string_view name = host; !name.empty();) {
    if (backwards_.contains(backwards(name))) return fmt::format("{} is let through here", name);
    const auto dot = name.find('.');
    name = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
  }
  return {};
}

std::string Allowed::covers(const event::Observable& what) const {
  if (auto why = covers_all(what); !why.empty()) return why;
  if (what.kind == Kind::domain || what.kind == Kind::mail_domain) {
    const std::string start = backwards(what.value);
    for (const auto* names : {&backwards_, &hosts_})
      if (const auto at = names->lower_bound(start); at != names->end() && at->starts_with(start))
        return "something below it is let through here, and this list knows no exceptions";
  }
  if (what.kind == Kind::url)
    for (const event::Observable& a : exact_)
      if (a.kind == Kind::url && a.value.starts_with(what.value))
        return "an address that begins like it is let through here, and this list knows no exceptions";
  if (const auto n = what.kind == Kind::ipv4 || what.kind == Kind::ipv6 || what.kind == Kind::cidr ? network_of(what)
                                                                                                   : std::nullopt)
    for (const event::Cidr& a : networks_)
      if (meets(a, *n)) return "an address of it is let through here";
  return {};
}

std::string about(const File& file, const List& list) {
  std::string out =
      fmt::format("{}: list {} of {} for {}, {} entries", file.name, list.serial, format_time(list.made),
                  safe_id(list.municipality) ? list.municipality : "this municipality", list.entries.size());
  if (list.entries.empty()) return out + " in force: nothing is blocked";
  const auto [next, last] = std::ranges::minmax_element(list.entries, {}, &Entry::until);
  return out + fmt::format(" in force; expires: the next {}, the last {}", format_time(next->until),
                           format_time(last->until));
}

Writer::Writer(const File& file, const List& list, std::string_view comment, Exceptions exceptions)
    : file_(file), list_(list), exceptions_(exceptions), allowed_(list.allow) {
  if (!comment.empty()) out_.body = fmt::format("{} Bavn {}\n", comment, about(file, list));
}

bool Writer::safe(const Entry& e) const {
  const auto known = event::canonical(e.what.kind, e.what.value);
  if (!known || *known != e.what || !safe_id(e.id)) return false;
  switch (e.what.kind) {
    case Kind::domain:
    case Kind::mail_domain: return safe_name(e.what.value);
    case Kind::url: return safe_url(e.what.value);
    case Kind::email: return safe_address(e.what.value);
    case Kind::message_id: return safe_message_id(e.what.value);
    case Kind::ipv4:
    case Kind::ipv6:
    case Kind::cidr: return of(e.what.value, ".:/");
    case Kind::md5:
    case Kind::sha1:
    case Kind::sha256: return of(e.what.value, "");
    default: return false;
  }
}

void Writer::leave_out(const Entry& entry, std::string reason) {
  ++out_.left_out_count;
  if (out_.left_out.size() < kMostNamed)
    out_.left_out.push_back({repair_utf8(entry.what.value.substr(0, 200)), std::move(reason)});
}

void Writer::put(std::string_view lines) {
  out_.body += lines;
  ++out_.entries;
}

void Writer::each(std::initializer_list<Kind> kinds, const std::function<void(const Entry&)>& f) {
  for (const Entry& e : list_.entries) {
    if (std::ranges::find(kinds, e.what.kind) == kinds.end()) continue;
    if (e.action != "block" && e.action != "hold") continue;
    if (!seen_.insert(e.what).second) continue;
    if (!safe(e)) {
      leave_out(e, "this format could misread it");
      continue;
    }
    if (auto why = exceptions_.has ? allowed_.covers_all(e.what) : allowed_.covers(e.what); !why.empty()) {
      leave_out(e, std::move(why));
      continue;
    }
    if (file_.limit != 0 && out_.entries >= file_.limit) {
      leave_out(e, fmt::format("the limit of {} entries; newer ones go first", file_.limit));
      continue;
    }
    f(e);
  }
}

std::string regex_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\.^$|()[]{}*+?/").contains(c)) out += '\\';
    out += c;
  }
  return out;
}

std::string url_pattern(std::string_view url) {
  const auto scheme = url.find("://");
  const auto path = event::url_path_begin(url);
  const bool other = scheme != std::string_view::npos && path > scheme;
  const std::string_view authority = other ? url.substr(scheme + 3, path - scheme - 3) : url.substr(0, path);
  const std::string_view rest = path == std::string_view::npos ? std::string_view("/") : url.substr(path);
  std::string out = other ? fmt::format("^{}:\\/\\/", regex_escaped(url.substr(0, scheme))) : "^https?:\\/\\/";
  out += regex_escaped(authority);
  const bool has_port = authority.rfind(':') != std::string_view::npos && !authority.ends_with(']');
  if (!has_port && !other) out += "(:80|:443)?";
  out += regex_escaped(rest);
  out += rest.contains('?') ? "(#|$)" : rest.ends_with('/') ? "" : "([\\/?#]|$)";
  return out;
}

std::string option(const Options& options, std::string_view name, std::string_view otherwise) {
  const auto at = options.find(name);
  return at == options.end() || at->second.empty() ? std::string(otherwise) : at->second;
}

}  // namespace bavn::warn::exports
