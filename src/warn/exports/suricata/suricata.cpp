// Datasets of Suricata and the rules that ask them (README.md).
#include <fmt/format.h>

#include <array>

#include "base/encoding.hpp"
#include "warn/exports/writing.hpp"

namespace bavn::warn::exports::suricata {

namespace {

using event::Kind;

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::array<File, 5> kFiles = {{
    {"suricata_names.lst", kText, "Dataset of type string: names, base64", 500'000},
    {"suricata_addresses.lst", kText, "Dataset of type ip", 500'000},
    {"suricata_md5.lst", kText, "Dataset of type md5", 500'000},
    {"suricata_sha256.lst", kText, "Dataset of type sha256", 500'000},
    {"suricata.rules", kText, "The rules that ask the datasets", 0},
}};

/// sids 1957001..: of the range for local rules.
constexpr std::string_view kRules =
    R"(alert dns $HOME_NET any -> any any (msg:"Bavn: a name on the block list is asked for"; dns.query; dataset:isset,bavn-names,type string,load suricata_names.lst; classtype:trojan-activity; sid:1957001; rev:1;)
alert tls $HOME_NET any -> $EXTERNAL_NET any (msg:"Bavn: TLS to a name on the block list"; flow:established,to_server; tls.sni; dataset:isset,bavn-names,type string,load suricata_names.lst; classtype:trojan-activity; sid:1957002; rev:1;)
alert http $HOME_NET any -> $EXTERNAL_NET any (msg:"Bavn: HTTP to a host on the block list"; flow:established,to_server; http.host; dataset:isset,bavn-names,type string,load suricata_names.lst; classtype:trojan-activity; sid:1957003; rev:1;)
alert ip $HOME_NET any -> $EXTERNAL_NET any (msg:"Bavn: traffic to an address on the block list"; ip.dst; dataset:isset,bavn-addresses,type ip,load suricata_addresses.lst; classtype:trojan-activity; sid:1957004; rev:1;)
alert http any any -> any any (msg:"Bavn: a file on the block list"; file.data; filemd5:suricata_md5.lst; classtype:trojan-activity; sid:1957005; rev:1;)
alert http any any -> any any (msg:"Bavn: a file on the block list"; file.data; filesha256:suricata_sha256.lst; classtype:trojan-activity; sid:1957006; rev:1;)
)";

class Suricata final : public Export {
 public:
  std::span<const File> files() const override { return kFiles; }

  Result<Written> write(const File& file, const List& list, const Options&) const override {
    if (file.name == kFiles[4].name) {
      Written out;
      out.body = fmt::format("# Bavn: alert becomes drop where Suricata stands in the way of the traffic\n{}", kRules);
      return out;
    }
    Writer w(file, list, "");  // datasets know no comments
    if (file.name == kFiles[0].name)
      // A dataset compares whole names: the name itself and with "www." in front; see README.md.
      w.each({Kind::domain}, [&](const Entry& e) {
        w.put(fmt::format("{}\n{}\n", to_base64(e.what.value), to_base64("www." + e.what.value)));
      });
    else if (file.name == kFiles[1].name) {
      w.each({Kind::ipv4, Kind::ipv6}, [&](const Entry& e) { w.put(e.what.value + "\n"); });
      w.each({Kind::cidr}, [&](const Entry& e) { w.leave_out(e, "a dataset holds addresses, no networks"); });
    } else if (file.name == kFiles[2].name) {
      w.each({Kind::md5}, [&](const Entry& e) { w.put(e.what.value + "\n"); });
    } else {
      w.each({Kind::sha256}, [&](const Entry& e) { w.put(e.what.value + "\n"); });
    }
    return w.done();
  }
};

}  // namespace

std::unique_ptr<Export> make() {
  return std::make_unique<Suricata>();
}

}  // namespace bavn::warn::exports::suricata
