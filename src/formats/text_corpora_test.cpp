// The text readers against logs of other projects (BAVN_CORPORA): how many lines are read, and whether the main facts are the
// ones that those projects found. Nothing of these logs is part of the repository.
#include <gtest/gtest.h>
#include <simdjson.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "base/text.hpp"
#include "formats/catalogue.hpp"
#include "formats/line_tools.hpp"

namespace bavn::formats {
namespace {

namespace fs = std::filesystem;

struct Fields final : FieldSink {
  std::multimap<std::string, std::string> all;
  std::optional<Instant> t;
  int times = 0;
  std::string format_name;
  void put(std::string_view n, std::string_view v) override { all.emplace(n, v); }
  void happened(Instant i) override { t = i, ++times; }
  void format(std::string_view n) override { format_name = n; }
  bool has(const std::string& n, std::string_view v) const {
    for (auto [at, end] = all.equal_range(n); at != end; ++at)
      if (iequals(at->second, v)) return true;
    return false;
  }
  std::string first(const std::string& n) const {
    const auto at = all.find(n);
    return at == all.end() ? std::string() : at->second;
  }
};

fs::path corpora() {
  if (const char* p = std::getenv("BAVN_CORPORA")) return fs::path(p) / "logs";
  return fs::path(BAVN_SOURCE_DIR) / "../shared/corpora/logs";
}
bool absent() {
  return !fs::exists(corpora());
}

std::unique_ptr<LineReader> reader(std::string_view name) {
  for (const TextReader& t : text_readers())
    if (t.name == name) {
      auto r = t.make();
      r->set_reference(*parse_time("2026-03-01T00:00:00Z"));
      return r;
    }
  return nullptr;
}

std::vector<std::string> lines_of(const fs::path& p) {
  std::vector<std::string> out;
  std::ifstream in(p, std::ios::binary);
  const bool ini = p.extension() == ".ini";
  for (std::string line; std::getline(in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (ini) {
      const std::size_t pass = line.find(" pass = ");
      if (!line.starts_with("log ") || pass == std::string::npos) continue;
      line = line.substr(pass + 8);
    }
    if (!is_valid_utf8(line)) line = repair_utf8(line);
    out.push_back(std::move(line));
  }
  return out;
}

std::vector<fs::path> files(const std::string& folder) {
  std::vector<fs::path> out;
  if (!fs::exists(corpora() / folder)) return out;
  for (const auto& f : fs::recursive_directory_iterator(corpora() / folder)) {
    const std::string name = f.path().filename().string();
    if (!f.is_regular_file() || name.ends_with("-expected.json") || name.ends_with(".expected.txt")) continue;
    if (f.path().extension() == ".json" || f.path().extension() == ".yaml") continue;
    out.push_back(f.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

struct Share {
  const char* format;
  const char* folder;
  double at_least;        // of the lines that are no header and not empty
  const char* skip = "";  // files with this in their name are another format
};

class ReadShare : public testing::TestWithParam<Share> {};

TEST_P(ReadShare, NearlyEveryRealLineIsRead) {
  if (absent()) GTEST_SKIP() << "set BAVN_CORPORA: " << corpora() << " is absent";
  const Share& c = GetParam();
  auto r = reader(c.format);
  ASSERT_NE(r, nullptr) << c.format;
  std::size_t events = 0, metas = 0, lost = 0;
  std::map<std::string, int> reasons;
  std::vector<std::string> examples;
  for (const fs::path& f : files(c.folder)) {
    if (*c.skip != '\0' && f.filename().string().find(c.skip) != std::string::npos) continue;
    r->reset();
    for (const std::string& line : lines_of(f)) {
      if (trim(line).empty()) continue;
      Fields got;
      std::string reason;
      const LineVerdict v = r->read(line, got, reason);
      if (v == LineVerdict::event) {
        ++events;
        EXPECT_LE(got.times, 1) << line;
        EXPECT_FALSE(got.all.empty()) << line;
      } else if (v == LineVerdict::meta) {
        ++metas;
      } else {
        ++lost;
        ++reasons[reason];
        EXPECT_FALSE(reason.empty()) << line;
        if (examples.size() < 6) examples.push_back(f.filename().string() + ": " + line.substr(0, 160));
      }
    }
  }
  ASSERT_GT(events, 0U);
  const double share = static_cast<double>(events) / static_cast<double>(events + lost);
  std::cout << c.format << " over " << c.folder << ": " << events << " events, " << metas << " headers, " << lost
            << " refused, " << share * 100 << " % read\n";
  for (const auto& [why, n] : reasons) std::cout << "  " << n << " x " << why << "\n";
  for (const std::string& e : examples) std::cout << "  e.g. " << e << "\n";
  EXPECT_GE(share, c.at_least);
}

INSTANTIATE_TEST_SUITE_P(
    Corpora, ReadShare,
    testing::Values(Share{"cef", "cef", 0.98}, Share{"leef", "leef", 0.98}, Share{"fortigate", "fw_fortigate", 0.98},
                    Share{"paloalto", "fw_paloalto", 0.98}, Share{"checkpoint", "fw_checkpoint", 0.98},
                    Share{"cisco_asa", "fw_cisco_asa", 0.98}, Share{"fortimail", "mail_other/elastic_fortimail", 0.98},
                    Share{"sophos_xg", "fw_other/elastic_sophos", 0.98}, Share{"iptables", "fw_iptables", 0.98},
                    Share{"squid", "proxy_squid", 0.98}, Share{"dns_bind", "dns_bind", 0.98},
                    Share{"dns_windows", "dns_windows", 0.98}, Share{"auditd", "linux_auditd", 0.98},
                    Share{"postfix", "postfix", 0.98}, Share{"dovecot", "dovecot", 0.98},
                    Share{"linux_auth", "linux_auth/crowdsec", 0.98}, Share{"linux_auth", "linux_auth/elastic", 0.98},
                    Share{"syslog", "linux_auth", 0.98}, Share{"syslog", "fw_pfsense", 0.98},
                    Share{"syslog", "fw_cisco_ios", 0.9}, Share{"syslog", "fw_other/elastic_juniper_srx", 0.98},
                    Share{"syslog", "syslog/rsyslog_messages", 0.9},
                    Share{"syslog", "syslog/rsyslog_fuzz_corpus", 0.98},
                    Share{"web_access", "web_apache", 0.97, "guacamole"}, Share{"web_access", "web_nginx", 0.98, "npm"},
                    Share{"iis", "web_iis", 0.95}, Share{"zeek_tsv", "zeek_tsv", 0.98},
                    Share{"dhcp_windows", "dhcp_windows", 0.98},
                    Share{"windows_syslog_snare", "windows_syslog_snare", 0.98}),
    [](const testing::TestParamInfo<Share>& i) { return std::string(i.param.format) + "_" + std::to_string(i.index); });

// ---- facts that Elastic's pipelines found in the same lines

struct Fact {
  std::string ecs;                  // "source.ip"
  std::vector<std::string> fields;  // any of ours may hold it
};
struct Compared {  // one entry of tests/ecs_facts.yml
  std::string format, folder;
  std::vector<Fact> facts;
  double at_least;
  bool compare_time;
  std::string skip;
};

std::optional<std::string> value_at(simdjson::dom::element e, std::string_view path) {
  while (!path.empty()) {
    const std::size_t dot = path.find('.');
    simdjson::dom::element next;
    if (e[path.substr(0, dot)].get(next) != simdjson::SUCCESS) {
      if (e[path].get(next) != simdjson::SUCCESS) return std::nullopt;
      path = {};
    } else {
      path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
    }
    e = next;
  }
  if (e.is_array()) {
    simdjson::dom::element one;
    if (e.at(0).get(one) != simdjson::SUCCESS) return std::nullopt;
    e = one;
  }
  std::string_view s;
  if (e.get(s) == simdjson::SUCCESS) return std::string(s);
  std::int64_t n;
  if (e.get(n) == simdjson::SUCCESS) return std::to_string(n);
  return std::nullopt;
}

class EcsFacts : public testing::TestWithParam<Compared> {};

TEST_P(EcsFacts, AreTheSameInOurFields) {
  if (absent()) GTEST_SKIP() << "set BAVN_CORPORA: " << corpora() << " is absent";
  const Compared& c = GetParam();
  auto r = reader(c.format);
  std::size_t same = 0, differ = 0;
  std::map<std::string, std::pair<int, int>> by_fact;
  std::vector<std::string> examples;
  for (const auto& entry : fs::recursive_directory_iterator(corpora() / c.folder)) {
    const std::string name = entry.path().string();
    if (!name.ends_with("-expected.json")) continue;
    if (!c.skip.empty() && name.find(c.skip) != std::string::npos) continue;
    simdjson::dom::parser parser;
    simdjson::dom::element doc;
    simdjson::dom::array expected;
    ASSERT_EQ(parser.load(name).get(doc), simdjson::SUCCESS);
    if (doc["expected"].get(expected) != simdjson::SUCCESS) continue;
    const fs::path input = name.substr(0, name.size() - 14);
    std::vector<std::string> lines;
    if (input.extension() == ".log")
      for (std::string& l : lines_of(input))
        if (!trim(l).empty() && !l.starts_with('#')) lines.push_back(std::move(l));
    r->reset();
    if (input.extension() == ".log")  // header lines are no records
      for (const std::string& l : lines_of(input))
        if (l.starts_with('#')) {
          Fields ignored;
          std::string reason;
          r->read(l, ignored, reason);
        }
    std::size_t i = 0;
    for (simdjson::dom::element e : expected) {
      const std::size_t at = i++;
      std::string line;
      if (lines.size() == expected.size()) line = lines[at];
      else if (auto original = value_at(e, "event.original")) line = *original;
      if (line.empty() || e.is_null()) continue;
      Fields got;
      std::string reason;
      if (r->read(line, got, reason) != LineVerdict::event) continue;  // counted by ReadShare
      const auto note = [&](const std::string& fact, bool equal, const std::string& want, const std::string& ours) {
        auto& [good, bad] = by_fact[fact];
        ++(equal ? good : bad);
        ++(equal ? same : differ);
        if (!equal && examples.size() < 14)
          examples.push_back(fact + " wants " + want + ", ours " + ours + ": " + line.substr(0, 200));
      };
      for (const Fact& f : c.facts) {
        const auto want = value_at(e, f.ecs);
        if (!want || want->empty() || *want == "-") continue;
        bool equal = false;
        std::string ours;
        for (const std::string& field : f.fields) {
          equal = equal || got.has(field, *want);
          // Elastic splits domain\\user and user@domain; the log has them in one
          for (auto [v, end] = got.all.equal_range(field); v != end && std::string_view(f.ecs).ends_with("user.name");
               ++v)
            equal = equal || v->second.ends_with("\\" + *want) || v->second.starts_with(*want + "@");
          if (ours.empty()) ours = got.first(field);
        }
        note(f.ecs, equal, *want, ours);
      }
      if (c.compare_time) {
        const auto want = value_at(e, "@timestamp");
        const auto t = want ? parse_time(*want) : std::nullopt;
        if (t)
          note("@timestamp", got.t && micros(*got.t) / 1000 == micros(*t) / 1000, *want,
               got.t ? format_time(*got.t) : "none");
      }
    }
  }
  ASSERT_GT(same + differ, 0U);
  const double share = static_cast<double>(same) / static_cast<double>(same + differ);
  std::cout << c.format << " over " << c.folder << ": " << same << " of " << same + differ << " facts equal ("
            << share * 100 << " %)\n";
  for (const auto& [fact, n] : by_fact)
    std::cout << "  " << fact << ": " << n.first << " equal, " << n.second << " differ\n";
  for (const std::string& e : examples) std::cout << "  e.g. " << e << "\n";
  EXPECT_GE(share, c.at_least);
}

std::vector<Compared> compared() {
  std::vector<Compared> out;
  for (const auto& n : YAML::LoadFile(BAVN_SOURCE_DIR "/src/formats/tests/ecs_facts.yml")) {
    Compared c{n["format"].as<std::string>(), n["folder"].as<std::string>(), {},
               n["at_least"].as<double>(),    n["time"].as<bool>(false),     n["skip"].as<std::string>("")};
    for (const auto& fact : n["facts"])
      c.facts.push_back({fact.first.as<std::string>(), fact.second.as<std::vector<std::string>>()});
    out.push_back(std::move(c));
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(Corpora, EcsFacts, testing::ValuesIn(compared()),
                         [](const testing::TestParamInfo<Compared>& i) {
                           return i.param.format + "_" + std::to_string(i.index);
                         });

TEST(PostfixGrok, FieldsAreTheSame) {
  if (absent()) GTEST_SKIP() << "set BAVN_CORPORA: " << corpora() << " is absent";
  auto r = reader("postfix");
  const std::map<std::string, std::string> names = {{"postfix_queueid", "queue_id"},
                                                    {"postfix_client_ip", "client_ip"},
                                                    {"postfix_client_hostname", "client_host"},
                                                    {"postfix_client_port", "client_port"},
                                                    {"postfix_relay_ip", "relay_ip"},
                                                    {"postfix_relay_hostname", "relay_host"},
                                                    {"postfix_relay_port", "relay_port"},
                                                    {"postfix_status", "status"},
                                                    {"postfix_from", "from"},
                                                    {"postfix_to", "to"},
                                                    {"postfix_message-id", "message-id"},
                                                    {"postfix_action", "action"},
                                                    {"postfix_smtp_stage", "stage"},
                                                    {"postfix_status_code", "status_code"},
                                                    {"postfix_status_code_enhanced", "dsn"},
                                                    {"postfix_status_data", "status_data"},
                                                    {"postfix_smtp_response", "response"},
                                                    {"postfix_tls_version", "tls_version"},
                                                    {"postfix_tls_cipher", "tls_cipher"}};
  std::size_t same = 0, differ = 0, read = 0, all = 0;
  for (const auto& f : fs::directory_iterator(corpora() / "postfix/postfix_grok")) {
    const YAML::Node doc = YAML::LoadFile(f.path().string());
    std::string daemon = f.path().stem().string();
    daemon = daemon.substr(0, daemon.rfind('_'));
    if (daemon == "delays" || daemon == "command_counter_data" || daemon == "relay" || !doc["data"])
      continue;  // pieces of lines
    if (daemon == "tls_features") daemon = "smtp";
    ++all;
    Fields got;
    std::string reason;
    const std::string line = "Mar  1 10:00:00 mx1 postfix/" + daemon + "[101]: " + doc["data"].Scalar();
    if (r->read(line, got, reason) != LineVerdict::event) continue;
    ++read;
    EXPECT_TRUE(got.has("daemon", daemon));
    for (const auto& kv : doc["results"]) {
      const auto name = names.find(kv.first.Scalar());
      const std::string want = kv.second.IsScalar() ? kv.second.Scalar() : "";
      if (name == names.end() || want.empty() || want == "unknown") continue;
      const bool equal = got.has(name->second, want);
      ++(equal ? same : differ);
      if (!equal)
        std::cout << "  " << f.path().stem().string() << ": " << name->second << " wants '" << want << "', ours '"
                  << got.first(name->second) << "'\n";
    }
  }
  std::cout << "postfix_grok: " << read << " of " << all << " lines read, " << same << " of " << same + differ
            << " facts equal\n";
  EXPECT_EQ(read, all);
  EXPECT_GE(static_cast<double>(same), 0.93 * static_cast<double>(same + differ));
}

TEST(LeefOfRsyslog, FieldsAreTheSame) {
  if (absent()) GTEST_SKIP() << "set BAVN_CORPORA: " << corpora() << " is absent";
  auto r = reader("leef");
  const auto lines = lines_of(corpora() / "leef/rsyslog/mmleefparse_basic.log");
  const auto expected = lines_of(corpora() / "leef/rsyslog/mmleefparse_basic.expected.txt");
  ASSERT_EQ(lines.size(), expected.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    Fields got;
    std::string reason;
    ASSERT_EQ(r->read(lines[i], got, reason), LineVerdict::event);
    const char* names[] = {"deviceVendor", "deviceVersion", "src", "dst", "action", "cat", "proto", "SessionID"};
    const auto want = split(expected[i], '|');
    ASSERT_EQ(want.size(), 8U);
    for (std::size_t k = 0; k < 8; ++k) EXPECT_TRUE(got.has(names[k], want[k])) << names[k] << " " << want[k];
  }
}

/// One byte of one line broken: the other lines are read as before (zeek_tsv and iis keep their header from line to line).
TEST(BrokenByte, CostsAtMostItsOwnLine) {
  if (absent()) GTEST_SKIP() << "set BAVN_CORPORA: " << corpora() << " is absent";
  for (const auto& [format, folder] : {std::pair{"zeek_tsv", "zeek_tsv/zed_sample_data"},
                                       {"postfix", "postfix/crowdsec"},
                                       {"iis", "web_iis"},
                                       {"fortigate", "fw_fortigate"},
                                       {"syslog", "linux_auth/crowdsec"}}) {
    for (const fs::path& f : files(folder)) {
      const auto lines = lines_of(f);
      std::size_t header = 0;
      while (header < lines.size() && lines[header].starts_with('#')) ++header;
      if (lines.size() < header + 3) continue;
      const auto run = [&](std::size_t broken) {
        auto r = reader(format);
        std::vector<std::multimap<std::string, std::string>> out;
        for (std::size_t i = 0; i < lines.size() && i < header + 60; ++i) {
          std::string line = lines[i];
          if (i == broken && !line.empty()) line[line.size() / 2] = '\x01';
          Fields got;
          std::string reason;
          const bool event = r->read(line, got, reason) == LineVerdict::event;
          out.push_back(event ? got.all : std::multimap<std::string, std::string>{});
        }
        return out;
      };
      const auto good = run(SIZE_MAX);
      const std::size_t broken = header + 1;
      const auto bad = run(broken);
      ASSERT_EQ(good.size(), bad.size());
      for (std::size_t i = 0; i < good.size(); ++i) EXPECT_TRUE(i == broken || good[i] == bad[i]) << f << " line " << i;
    }
  }
}

}  // namespace
}  // namespace bavn::formats
