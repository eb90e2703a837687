// Access lists of Squid (README.md).
#include <fmt/format.h>

#include <array>

#include "warn/exports/writing.hpp"

namespace bavn::warn::exports::proxy {

namespace {

using event::Kind;

constexpr std::string_view kText = "text/plain; charset=utf-8";
// Squid tries the patterns one after the other for each request: more than some thousands are felt.
constexpr std::array<File, 4> kFiles = {{
    {"squid.domains", kText, "dstdomain: the domain and everything below it", 200'000},
    {"squid.urls", kText, "url_regex: one pattern a page", 5'000},
    {"squid.addresses", kText, "dst: IP addresses and networks", 200'000},
    {"squid.conf", kText, "The lines for squid.conf that use these lists", 0},
}};

constexpr std::string_view kConf =
    R"(# Fetch the lists every minute (docs/blocking.md has the line for cron), then: squid -k reconfigure
acl bavn_domains dstdomain "/etc/squid/bavn/squid.domains"
acl bavn_urls url_regex "/etc/squid/bavn/squid.urls"
acl bavn_addresses dst "/etc/squid/bavn/squid.addresses"
# Before the first http_access that allows anything:
http_access deny bavn_domains
http_access deny bavn_urls
http_access deny bavn_addresses
)";

class Proxy final : public Export {
 public:
  std::span<const File> files() const override { return kFiles; }

  Result<Written> write(const File& file, const List& list, const Options&) const override {
    if (file.name == kFiles[3].name) {
      Written out;
      out.body = kConf;
      return out;
    }
    Writer w(file, list, "#");
    if (file.name == kFiles[0].name) domains(w);
    else if (file.name == kFiles[1].name)
      w.each({Kind::url}, [&](const Entry& e) { w.put(url_pattern(e.what.value) + "\n"); });
    else w.each({Kind::ipv4, Kind::ipv6, Kind::cidr}, [&](const Entry& e) { w.put(e.what.value + "\n"); });
    return w.done();
  }

 private:
  /// ".evil.example" stands for what is below it, too; Squid complains of a name that another one holds already.
  static void domains(Writer& w) {
    std::set<std::string, std::less<>> listed;
    for (const Entry& e : w.list().entries)
      if (e.what.kind == Kind::domain && (e.action == "block" || e.action == "hold") && safe_id(e.id) &&
          w.allowed().covers(e.what).empty())
        listed.insert(e.what.value);
    w.each({Kind::domain}, [&](const Entry& e) {
      for (std::string_view name = e.what.value;;) {
        const auto dot = name.find('.');
        if (dot == std::string_view::npos) break;
        name = name.substr(dot + 1);
        if (listed.contains(name)) return w.leave_out(e, fmt::format("{} holds it already", name));
      }
      w.put("." + e.what.value + "\n");
    });
  }
};

}  // namespace

std::unique_ptr<Export> make() {
  return std::make_unique<Proxy>();
}

}  // namespace bavn::warn::exports::proxy
