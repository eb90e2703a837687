// Zeek's intelligence framework (README.md).
#include <fmt/format.h>

#include <array>

#include "warn/exports/writing.hpp"

namespace bavn::warn::exports::zeek {

namespace {

using event::Kind;

constexpr std::array<File, 1> kFiles = {{
    {"zeek.intel", "text/tab-separated-values; charset=utf-8", "Intel::read_files of Zeek", 0},
}};

class Zeek final : public Export {
 public:
  std::span<const File> files() const override { return kFiles; }

  Result<Written> write(const File& file, const List& list, const Options&) const override {
    Writer w(file, list, "");
    w.body() = fmt::format("#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\tmeta.do_notice\n# Bavn {}\n",
                           about(file, list));
    const auto row = [&](std::string_view type) {
      return [&w, type](const Entry& e) {
        if (e.what.value.starts_with('#') || e.what.value == "-") return w.leave_out(e, "Zeek would not read it");
        w.put(fmt::format("{}\tIntel::{}\tBavn\t{} expires {}\tT\n", e.what.value, type, e.id, format_time(e.until)));
      };
    };
    w.each({Kind::domain}, row("DOMAIN"));
    w.each({Kind::url}, row("URL"));
    w.each({Kind::ipv4, Kind::ipv6}, row("ADDR"));
    w.each({Kind::cidr}, row("SUBNET"));
    w.each({Kind::email}, row("EMAIL"));
    w.each({Kind::md5, Kind::sha1, Kind::sha256}, row("FILE_HASH"));
    return w.done();
  }
};

}  // namespace

std::unique_ptr<Export> make() {
  return std::make_unique<Zeek>();
}

}  // namespace bavn::warn::exports::zeek
