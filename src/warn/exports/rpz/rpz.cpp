// Response policy zones for BIND, Unbound, Knot Resolver, PowerDNS (README.md).
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "warn/exports/writing.hpp"

namespace bavn::warn::exports::rpz {

namespace {

constexpr std::size_t kLongestName = 220;  // with "*." and the zone's own name below 253
constexpr std::array<File, 2> kFiles = {{
    {"rpz.zone", "text/dns; charset=utf-8", "Names and answer addresses that resolvers refuse", 0},
    {"rpz_passthru.zone", "text/dns; charset=utf-8", "What no zone of yours may block: stands first", 0},
}};

/// SOA with the serial of the list; localhost is the usual name for a zone nobody asks for.
std::string head(const File& file, const List& list) {
  return fmt::format("; Bavn {}\n$TTL 60\n@ SOA localhost. bavn.localhost. {} 60 60 432000 60\n@ NS localhost.\n",
                     about(file, list), list.serial % 4294967295U + 1U);
}

Result<std::string> target(const Options& options) {
  const std::string action = option(options, "rpz.action", "nxdomain");
  if (action == "nxdomain") return ".";
  if (action == "nodata") return "*.";
  if (action == "drop") return "rpz-drop.";
  if (action == "tcp_only") return "rpz-tcp-only.";
  if (safe_name(action) && action.contains('.')) return action + ".";
  return fail(Code::bad_input, "rpz.action is nxdomain, nodata, drop, tcp_only or the name of a page of your own",
              action);
}

/// 192.0.2.1 -> 32.1.2.0.192.rpz-ip; 2001:db8::1 -> 128.1.zz.db8.2001.rpz-ip
std::string ip_owner(const event::Cidr& c) {
  std::string text;
  append_ip(text, c.network);
  std::string out = fmt::format("{}", c.prefix);
  if (!c.network.v6) {
    const auto parts = split(text, '.');
    for (auto at = parts.rbegin(); at != parts.rend(); ++at) out += fmt::format(".{}", *at);
    return out + ".rpz-ip";
  }
  std::vector<std::string> words;
  bool gap = false;
  for (const std::string_view word : split(text, ':')) {
    if (!word.empty()) words.emplace_back(word);
    else if (!gap) {
      words.emplace_back("zz");
      gap = true;
    }
  }
  for (auto at = words.rbegin(); at != words.rend(); ++at) out += "." + *at;
  return out + ".rpz-ip";
}

class Rpz final : public Export {
 public:
  std::span<const File> files() const override { return kFiles; }

  Result<Written> write(const File& file, const List& list, const Options& options) const override {
    Writer w(file, list, "", {.has = true});
    w.body() = head(file, list);
    if (file.name == kFiles[1].name) {
      for (const std::string& name : list.never) {
        if (!safe_name(name) || name.size() > kLongestName) continue;
        w.put(fmt::format("{0} CNAME rpz-passthru.\n*.{0} CNAME rpz-passthru.\n", name));
      }
      return w.done();
    }
    BAVN_TRY(const std::string to, target(options));
    for (const std::string& name : w.allowed().names())
      if (name.size() <= kLongestName)
        w.body() += fmt::format("{0} CNAME rpz-passthru. ; let through here\n*.{0} CNAME rpz-passthru.\n", name);
    w.each({event::Kind::domain}, [&](const Entry& e) {
      if (e.what.value.size() > kLongestName) return w.leave_out(e, "the name is too long for a policy zone");
      w.put(fmt::format("{0} CNAME {1} ; {2}, until {3}\n*.{0} CNAME {1}\n", e.what.value, to, e.id,
                        format_time(e.until)));
    });
    // Addresses in answers; an exception for a name does not reach them, so what is let through here counts as everywhere.
    w.each({event::Kind::ipv4, event::Kind::ipv6, event::Kind::cidr}, [&](const Entry& e) {
      if (auto why = w.allowed().covers(e.what); !why.empty()) return w.leave_out(e, std::move(why));
      const auto network = event::parse_cidr(e.what.value);
      const auto ip = event::parse_ip(e.what.value);
      if (!network && !ip) return w.leave_out(e, "it is no address");
      const event::Cidr c = network ? *network : event::Cidr{*ip, static_cast<std::uint8_t>(ip->width())};
      w.put(fmt::format("{} CNAME {} ; {}, until {}\n", ip_owner(c), to, e.id, format_time(e.until)));
    });
    return w.done();
  }
};

}  // namespace

std::unique_ptr<Export> make() {
  return std::make_unique<Rpz>();
}

}  // namespace bavn::warn::exports::rpz
