// Custom intelligence feed of Check Point gateways: CSV in Check Point's own shape (README.md).
#include <fmt/format.h>

#include <array>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "warn/exports/writing.hpp"

namespace bavn::warn::exports::checkpoint {

namespace {

using event::Kind;

constexpr std::array<File, 1> kFiles = {{
    {"checkpoint.csv", "text/csv; charset=utf-8", "Custom intelligence feed", 200'000},
}};

/// The first and last address of a network of IPv4: "192.0.2.0-192.0.2.15".
std::string range_of(const event::Cidr& c) {
  event::Ip last = c.network;
  for (unsigned bit = c.prefix; bit < 32; ++bit)
    last.bytes[bit / 8] = static_cast<std::uint8_t>(last.bytes[bit / 8] | (0x80U >> (bit % 8)));
  std::string out;
  append_ip(out, c.network);
  out += '-';
  append_ip(out, last);
  return out;
}

class Checkpoint final : public Export {
 public:
  std::span<const File> files() const override { return kFiles; }

  Result<Written> write(const File& file, const List& list, const Options&) const override {
    Writer w(file, list, "");
    w.body() =
        fmt::format("#! DESCRIPTION = Bavn {}\n#UNIQ-NAME,VALUE,TYPE,CONFIDENCE,SEVERITY,PRODUCT,COMMENT\n", [&] {
          std::string text = about(file, list);
          for (char& c : text)
            if (c == ',') c = ';';  // the reader counts fields in comments, too
          return text;
        }());
    const auto row = [&](const Entry& e, std::string_view type, const std::string& value, std::string_view product) {
      // The name must be unique and stay the same: of the value, not of its place.
      const std::string name = "bavn_" + to_hex(blake2b256(fmt::format("{} {}", type, value))).substr(0, 16);
      w.put(
          fmt::format("{},{},{},high,high,{},{} expires {}\n", name, value, type, product, e.id, format_time(e.until)));
    };
    w.each({Kind::domain}, [&](const Entry& e) { row(e, "Domain", e.what.value, "AB"); });
    w.each({Kind::url}, [&](const Entry& e) { row(e, "URL", e.what.value, "AV"); });
    w.each({Kind::ipv4}, [&](const Entry& e) { row(e, "IP", e.what.value, "AB"); });
    w.each({Kind::cidr}, [&](const Entry& e) {
      const auto c = event::parse_cidr(e.what.value);
      if (!c || c->network.v6) return w.leave_out(e, "this feed knows IPv4 only");
      row(e, "IP Range", range_of(*c), "AB");
    });
    w.each({Kind::ipv6}, [&](const Entry& e) { w.leave_out(e, "this feed knows IPv4 only"); });
    w.each({Kind::md5}, [&](const Entry& e) { row(e, "MD5", e.what.value, "AV"); });
    w.each({Kind::sha1}, [&](const Entry& e) { row(e, "SHA1", e.what.value, "AV"); });
    w.each({Kind::sha256}, [&](const Entry& e) { row(e, "SHA256", e.what.value, "AV"); });
    w.each({Kind::email}, [&](const Entry& e) { row(e, "Mail-from", e.what.value, "AV"); });
    return w.done();
  }
};

}  // namespace

std::unique_ptr<Export> make() {
  return std::make_unique<Checkpoint>();
}

}  // namespace bavn::warn::exports::checkpoint
