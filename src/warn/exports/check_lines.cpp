#include "warn/exports/check_lines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/encoding.hpp"
#include "base/text.hpp"

namespace bavn::warn::exports {

namespace {

using Values = std::set<std::string, std::less<>>;

bool only(std::string_view s, std::string_view allowed) {
  return !s.empty() && s.find_first_not_of(allowed) == std::string_view::npos;
}
constexpr std::string_view kName = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kAddress = "0123456789abcdef.:/";
constexpr std::string_view kUrl = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/?@!$&+=%[]";

std::string_view after(std::string_view s, std::string_view start) {
  return s.starts_with(start) ? s.substr(start.size()) : s;
}

std::string unescaped(std::string_view pattern) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    else if (std::string_view(".^$|()[]{}*+?/").contains(pattern[i])) return {};
    out += pattern[i];
  }
  return out;
}

/// ^https?:\/\/host(:80|:443)?\/path([\/?#]|$) of an entry.
bool is_url_pattern(std::string_view p, const Values& values) {
  std::string scheme;
  if (p.starts_with("^https?:\\/\\/")) {
    p.remove_prefix(12);
  } else {
    const auto at = p.find(":\\/\\/");
    if (!p.starts_with('^') || at == std::string_view::npos) return false;
    scheme = unescaped(p.substr(1, at - 1)) + "://";
    p.remove_prefix(at + 5);
  }
  for (const std::string_view tail : {"(#|$)", "([\\/?#]|$)"})
    if (p.ends_with(tail)) {
      p.remove_suffix(tail.size());
      break;
    }
  std::string rest(p);
  if (const auto ports = rest.find("(:80|:443)?"); ports != std::string::npos) rest.erase(ports, 11);
  const std::string url = scheme + unescaped(rest);
  return values.contains(url);
}

bool is_rpz(std::string_view line, const Values& values, const List& list) {
  line = trim(line.substr(0, line.find(';')));
  if (line.empty() || line == "$TTL 60" || line == "@ NS localhost.") return true;
  const auto words = split(line, ' ');
  if (words[0] == "@" && words.size() == 9 && words[1] == "SOA") {
    for (std::size_t i = 4; i < 9; ++i)
      if (!only(words[i], "0123456789")) return false;
    return words[2] == "localhost." && words[3] == "bavn.localhost.";
  }
  if (words.size() != 3 || words[1] != "CNAME") return false;
  if (words[2] != "." && words[2] != "rpz-passthru.") return false;
  const std::string_view owner = after(words[0], "*.");
  if (!only(owner, kName) || owner.size() > 220 || owner.ends_with('.')) return false;
  if (words[2] == "rpz-passthru.")
    return std::ranges::find(list.never, owner) != list.never.end() ||
           std::ranges::any_of(list.allow, [&](const auto& a) { return a.value == owner; });
  return owner.ends_with(".rpz-ip") || values.contains(owner);
}

}  // namespace

std::string check_lines(std::string_view file, std::string_view body, const List& list) {
  Values values;
  for (const Entry& e : list.entries)
    if (e.action == "block" || e.action == "hold") values.insert(e.what.value);
  const auto value = [&](std::string_view v) { return values.contains(v); };
  const std::string_view kind = file.substr(0, file.find_first_of("._"));
  // Fixed texts: what they say is in the golden files.
  if (file == "squid.conf" || file == "rspamd.conf" || file == "suricata.rules")
    return body.contains('\r') ? "a carriage return" : "";
  if (!body.empty() && !body.ends_with('\n')) return "the last line has no end";
  bool script_names = false, script_over = false;
  std::size_t n = 0;
  for (std::string_view line : split(body.substr(0, body.empty() ? 0 : body.size() - 1), '\n')) {
    ++n;
    const auto bad = [&] { return fmt::format("line {}: {}", n, line); };
    if (line.find_first_of(std::string_view("\r\0\x1b", 3)) != std::string_view::npos) return bad();
    if (file == "windows_dns.ps1") {
      if (line == "$names = @(") script_names = true;
      else if (script_names && line == ")") script_names = false, script_over = true;
      else if (script_names) {
        const auto space = line.find(' ', 3);
        if (!line.starts_with("  '") || !line.ends_with("Z'") || space == std::string_view::npos) return bad();
        const std::string_view name = line.substr(3, space - 3);
        if (!only(name, kName) || !value(name)) return bad();
        if (!only(line.substr(space + 1, line.size() - space - 2), "0123456789-:.TZ")) return bad();
      } else if (n == 1 && !line.starts_with("# Bavn windows_dns.ps1: list ")) return bad();
      continue;
    }
    if (file == "rpz.zone" || file == "rpz_passthru.zone") {
      if (!is_rpz(line, values, list)) return bad();
      continue;
    }
    if (line.empty()) {
      if (file.starts_with("suricata") || file.starts_with("paloalto")) continue;  // nothing but an empty list
      return bad();
    }
    const bool comments = kind == "plain" || kind == "fortigate" || kind == "squid" || kind == "rspamd" ||
                          file == "message_ids.txt" || kind == "checkpoint" || kind == "zeek";
    if (comments && line.starts_with('#')) {
      if (n > 2) return bad();
      continue;
    }
    bool good = false;
    if (file == "plain.message_ids" || file == "rspamd_message_ids.map")
      good = value(line) && line.find_first_of(" \t\"") == line.npos;
    else if (file == "message_ids.txt")
      good = line.starts_with('<') && line.ends_with('>') && value(line.substr(1, line.size() - 2));
    else if (file == "message_ids.csv") {
      const auto end = line.rfind(">\",");
      good = n == 1 ? line == "InternetMessageId,Entry,Expires"
                    : line.starts_with("\"<") && end != line.npos && value(line.substr(2, end - 2)) &&
                          std::count(line.begin(), line.end(), '"') == 2;
    } else if (file == "squid.urls") good = is_url_pattern(line, values);
    else if (file == "squid.domains") good = line.starts_with('.') && only(line, kName) && value(line.substr(1));
    else if (file == "rspamd_urls.map")
      good = line.starts_with("/^") && line.ends_with('/') && is_url_pattern(line.substr(1, line.size() - 2), values);
    else if (file == "rspamd_hosts.map")
      good =
          line.starts_with("/^(.*\\.)?") && line.ends_with("$/i") && value(unescaped(line.substr(9, line.size() - 12)));
    else if (file == "suricata_names.lst") {
      const auto name = from_base64(line);
      good = name && only(*name, kName) && (value(*name) || value(after(*name, "www.")));
    } else if (kind == "checkpoint") {
      const auto fields = split(line, ',');
      good = fields.size() == 7 && fields[0].starts_with("bavn_") && only(fields[0].substr(5), kHex) &&
             (value(fields[1]) || fields[2] == "IP Range") && line.find_first_of("\"'") == line.npos;
    } else if (kind == "zeek") {
      const auto fields = split(line, '\t');
      good = fields.size() == 5 && value(fields[0]) && fields[1].starts_with("Intel::") && fields[4] == "T";
    } else if (file == "paloalto.addresses") {
      const auto space = line.find(' ');
      good = space != line.npos && only(line.substr(0, space), kAddress) && value(line.substr(0, space));
    } else if (file == "fortigate.hashes") {
      good = only(line.substr(0, line.find(' ')), kHex) && value(line.substr(0, line.find(' ')));
    } else if (file.ends_with("addresses") || file.ends_with("ips.map") || file.ends_with("addresses.lst")) {
      good = only(line, kAddress) && value(line);
    } else if (file.ends_with("urls")) {
      good = only(line, kUrl) && (value(line) || (line.ends_with('/') && value(line.substr(0, line.size() - 1))));
    } else if (file.ends_with("hashes") || file.ends_with("md5.lst") || file.ends_with("sha256.lst")) {
      good = only(line, kHex) && value(line);
    } else if (file.ends_with("domains") || file == "rspamd_sender_domains.map") {
      good = only(after(line, "*."), kName) && value(after(line, "*."));
    } else if (file == "plain.senders" || file == "rspamd_senders.map") {
      good = value(line) && only(line, "abcdefghijklmnopqrstuvwxyz0123456789!$%&+-./=?_{|}~@");
    } else {
      return "nobody knows how to read " + std::string(file);
    }
    if (!good) return bad();
  }
  if (file == "windows_dns.ps1" && (script_names || !script_over)) return "the list of names has no end";
  return {};
}

}  // namespace bavn::warn::exports
