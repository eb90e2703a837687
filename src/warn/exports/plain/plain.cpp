// One value a line, for whatever reads that (README.md).
#include <array>

#include "warn/exports/writing.hpp"

namespace bavn::warn::exports::plain {

namespace {

using event::Kind;

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::array<File, 6> kFiles = {{
    {"plain.domains", kText, "Domains, one a line; what is below them is meant, too", 0},
    {"plain.urls", kText, "Addresses of pages without http:// or https://, one a line", 0},
    {"plain.addresses", kText, "IP addresses and networks, one a line", 0},
    {"plain.senders", kText, "Mail addresses and mail domains, one a line", 0},
    {"plain.hashes", kText, "MD5, SHA-1 and SHA-256 of files, one a line", 0},
    {"plain.message_ids", kText, "Message-IDs without < and >, one a line", 0},
}};

class Plain final : public Export {
 public:
  std::span<const File> files() const override { return kFiles; }

  Result<Written> write(const File& file, const List& list, const Options&) const override {
    Writer w(file, list, "#");
    const auto line = [&](const Entry& e) { w.put(e.what.value + "\n"); };
    if (file.name == kFiles[0].name) w.each({Kind::domain}, line);
    else if (file.name == kFiles[1].name) w.each({Kind::url}, line);
    else if (file.name == kFiles[2].name) w.each({Kind::ipv4, Kind::ipv6, Kind::cidr}, line);
    else if (file.name == kFiles[3].name) w.each({Kind::email, Kind::mail_domain}, line);
    else if (file.name == kFiles[4].name) w.each({Kind::md5, Kind::sha1, Kind::sha256}, line);
    else
      w.each({Kind::message_id}, [&](const Entry& e) {
        if (e.what.value.starts_with('#')) return w.leave_out(e, "it would be read as a comment");
        line(e);
      });
    return w.done();
  }
};

}  // namespace

std::unique_ptr<Export> make() {
  return std::make_unique<Plain>();
}

}  // namespace bavn::warn::exports::plain
