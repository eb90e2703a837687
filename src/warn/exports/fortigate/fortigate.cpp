// External threat feeds of FortiGate (README.md).
#include <fmt/format.h>

#include <array>

#include "warn/exports/writing.hpp"

namespace bavn::warn::exports::fortigate {

namespace {

using event::Kind;

constexpr std::string_view kText = "text/plain; charset=utf-8";
// Before FortiOS 7.4.4 a feed had 131,072 lines at most; a domain takes two.
constexpr std::array<File, 4> kFiles = {{
    {"fortigate.domains", kText, "Domain name feed: the domain and everything below it", 65'000},
    {"fortigate.urls", kText, "FortiGuard category feed: addresses of pages", 131'000},
    {"fortigate.addresses", kText, "IP address feed", 131'000},
    {"fortigate.hashes", kText, "Malware hash feed", 131'000},
}};

class Fortigate final : public Export {
 public:
  std::span<const File> files() const override { return kFiles; }

  Result<Written> write(const File& file, const List& list, const Options&) const override {
    Writer w(file, list, "#");
    const auto line = [&](const Entry& e) { w.put(e.what.value + "\n"); };
    if (file.name == kFiles[0].name)
      w.each({Kind::domain}, [&](const Entry& e) { w.put(fmt::format("{0}\n*.{0}\n", e.what.value)); });
    else if (file.name == kFiles[1].name) w.each({Kind::url}, line);
    else if (file.name == kFiles[2].name) w.each({Kind::ipv4, Kind::ipv6, Kind::cidr}, line);
    else
      w.each({Kind::md5, Kind::sha1, Kind::sha256},
             [&](const Entry& e) { w.put(fmt::format("{} {}\n", e.what.value, e.id)); });
    return w.done();
  }
};

}  // namespace

std::unique_ptr<Export> make() {
  return std::make_unique<Fortigate>();
}

}  // namespace bavn::warn::exports::fortigate
