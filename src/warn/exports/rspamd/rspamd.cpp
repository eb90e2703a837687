// Maps of Rspamd's multimap and the configuration that uses them (README.md).
#include <fmt/format.h>

#include <array>

#include "warn/exports/writing.hpp"

namespace bavn::warn::exports::rspamd {

namespace {

using event::Kind;

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::array<File, 7> kFiles = {{
    {"rspamd_senders.map", kText, "Mail addresses", 0},
    {"rspamd_sender_domains.map", kText, "Mail domains", 0},
    {"rspamd_hosts.map", kText, "Patterns of hosts in links: the domain and what is below", 20'000},
    {"rspamd_urls.map", kText, "Patterns of links", 20'000},
    {"rspamd_ips.map", kText, "Addresses and networks of sending servers", 0},
    {"rspamd_message_ids.map", kText, "Message-IDs", 0},
    {"rspamd.conf", kText, "local.d/multimap.conf: the rules that use the maps", 0},
}};

constexpr std::string_view kConf =
    R"(# local.d/multimap.conf. NODE: where the lists are read; TOKEN_...: of each list, from: bavn blocks token
# Rspamd asks with ETag and Last-Modified; a list that did not change costs one answer without content.
BAVN_SENDER {
  type = "from"; extract_from = "both"; map = "https://bavn:TOKEN_SENDERS@NODE/lists/rspamd_senders.map";
  score = 20.0; description = "On the block list: sender";
}
BAVN_SENDER_DOMAIN {
  type = "from"; extract_from = "both"; filter = "email:domain";
  map = "https://bavn:TOKEN_SENDER_DOMAINS@NODE/lists/rspamd_sender_domains.map";
  score = 20.0; description = "On the block list: sender's domain";
}
BAVN_HOST {
  type = "url"; filter = "host"; regexp = true; map = "https://bavn:TOKEN_HOSTS@NODE/lists/rspamd_hosts.map";
  score = 20.0; description = "On the block list: host of a link";
}
BAVN_URL {
  type = "url"; filter = "full"; regexp = true; map = "https://bavn:TOKEN_URLS@NODE/lists/rspamd_urls.map";
  score = 20.0; description = "On the block list: link";
}
BAVN_IP {
  type = "ip"; map = "https://bavn:TOKEN_IPS@NODE/lists/rspamd_ips.map";
  score = 20.0; description = "On the block list: sending server";
}
BAVN_MESSAGE_ID {
  type = "selector"; selector = "messageid"; map = "https://bavn:TOKEN_MESSAGE_IDS@NODE/lists/rspamd_message_ids.map";
  score = 20.0; description = "On the block list: this very mail";
}
)";

/// A key of a map ends at white space; '#' begins a comment, '/' a pattern, '"' a quoted key.
bool key(std::string_view s) {
  return !s.empty() && s.find_first_of("#\" \t;") == std::string_view::npos && s.front() != '/';
}

class Rspamd final : public Export {
 public:
  std::span<const File> files() const override { return kFiles; }

  Result<Written> write(const File& file, const List& list, const Options&) const override {
    if (file.name == kFiles[6].name) {
      Written out;
      out.body = kConf;
      return out;
    }
    Writer w(file, list, "#");
    const auto line = [&](const Entry& e) {
      if (!key(e.what.value)) return w.leave_out(e, "Rspamd would misread it");
      w.put(e.what.value + "\n");
    };
    if (file.name == kFiles[0].name) w.each({Kind::email}, line);
    else if (file.name == kFiles[1].name) w.each({Kind::mail_domain}, line);
    else if (file.name == kFiles[2].name)
      w.each({Kind::domain},
             [&](const Entry& e) { w.put(fmt::format("/^(.*\\.)?{}$/i\n", regex_escaped(e.what.value))); });
    else if (file.name == kFiles[3].name)
      w.each({Kind::url}, [&](const Entry& e) { w.put(fmt::format("/{}/\n", url_pattern(e.what.value))); });
    else if (file.name == kFiles[4].name) w.each({Kind::ipv4, Kind::ipv6, Kind::cidr}, line);
    else w.each({Kind::message_id}, line);
    return w.done();
  }
};

}  // namespace

std::unique_ptr<Export> make() {
  return std::make_unique<Rspamd>();
}

}  // namespace bavn::warn::exports::rspamd
