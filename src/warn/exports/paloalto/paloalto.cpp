// External dynamic lists of PAN-OS (README.md).
#include <fmt/format.h>

#include <array>

#include "warn/exports/writing.hpp"

namespace bavn::warn::exports::paloalto {

namespace {

using event::Kind;

constexpr std::string_view kText = "text/plain; charset=utf-8";
// The smallest machines take 50,000 entries of a kind; domains and pages take two lines each.
constexpr std::array<File, 3> kFiles = {{
    {"paloalto.domains", kText, "Domain list: the domain and everything below it", 25'000},
    {"paloalto.urls", kText, "URL list", 25'000},
    {"paloalto.addresses", kText, "IP address list", 50'000},
}};

class Paloalto final : public Export {
 public:
  std::span<const File> files() const override { return kFiles; }

  Result<Written> write(const File& file, const List& list, const Options&) const override {
    Writer w(file, list, "");  // a line of its own that is a comment would count as an entry that is none
    if (file.name == kFiles[0].name)
      w.each({Kind::domain}, [&](const Entry& e) { w.put(fmt::format("{0}\n*.{0}\n", e.what.value)); });
    else if (file.name == kFiles[1].name)
      w.each({Kind::url}, [&](const Entry& e) {
        const bool open = !e.what.value.contains('?') && !e.what.value.ends_with('/');
        w.put(open ? fmt::format("{0}\n{0}/\n", e.what.value) : e.what.value + "\n");
      });
    else
      w.each({Kind::ipv4, Kind::ipv6, Kind::cidr}, [&](const Entry& e) {
        w.put(fmt::format("{} # {}, expires {}\n", e.what.value, e.id, format_time(e.until)));
      });
    return w.done();
  }
};

}  // namespace

std::unique_ptr<Export> make() {
  return std::make_unique<Paloalto>();
}

}  // namespace bavn::warn::exports::paloalto
