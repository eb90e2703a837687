// The public samples of the corpora (read in place, never copied) through the Reader: is every file's format told, has every record its
// time, and do we see what Elastic's own pipelines see? The expected documents name addresses, accounts, URLs and hashes; each must be
// an observable of ours, under a fitting role.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/text.hpp"
#include "formats/reader.hpp"
#include "formats/source.hpp"

namespace bavn::formats {
namespace {

namespace fs = std::filesystem;
using event::Role;

fs::path corpora() {
  if (const char* env = std::getenv("BAVN_CORPORA")) return env;
  return fs::path(BAVN_SOURCE_DIR) / ".." / "shared" / "corpora";
}

std::string slurp(const fs::path& p) {
  std::ifstream in(p, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

// What a record gave, kept beyond its batch.
struct Seen {
  std::string format;
  std::int64_t happened_us = 0;
  event::Route route;
  std::multimap<std::string, std::string> fields;  // by rule field name; "" for values that only have a role
  std::vector<std::pair<Role, std::string>> observables;
};

struct Result {
  std::vector<Seen> records;
  std::vector<event::Refusal> refusals;
};

const Catalogue& catalogue() {
  static const auto c = *Catalogue::builtin();
  return c;
}

Result read(std::unique_ptr<Source> source, const std::vector<std::string>& wanted = {}) {
  event::FieldPlan plan;
  for (const auto& name : wanted) plan.add(name);
  catalogue().add_names(plan);
  event::RouteTable routes;
  Reader reader(catalogue(), plan, routes, {});
  event::EventBatch batch;
  Result out;
  std::string scratch;
  while (!source->done()) {
    const auto chunk = source->next(batch);
    if (!chunk) {
      ADD_FAILURE() << to_string(chunk.error());
      break;
    }
    reader.read(batch, chunk->from, chunk->to, chunk->first_line);
    for (const auto& r : batch.records) {
      Seen s;
      s.format = catalogue().at(r.format).name;
      s.happened_us = r.happened_us;
      if (r.route != event::kNoRoute) s.route = routes.at(r.route);
      for (const auto& f : batch.fields_of(r)) {
        const std::string text(batch.text(f, scratch));
        s.fields.emplace(f.slot == event::kNoSlot ? std::string() : std::string(plan.name(f.slot)), text);
        if (f.role != Role::none) s.observables.emplace_back(f.role, text);
      }
      out.records.push_back(std::move(s));
    }
    out.refusals.insert(out.refusals.end(), batch.refusals.begin(), batch.refusals.end());
  }
  return out;
}

// A Wazuh rule test holds records behind "log 1 pass = "; a Panther test beside other members in "event".
std::string records_of(const fs::path& p) {
  std::string out;
  std::istringstream in(slurp(p));
  std::string line;
  simdjson::dom::parser parser;
  while (std::getline(in, line)) {
    if (p.extension() == ".ini") {
      const std::size_t at = line.find(" = {");
      if (at == std::string::npos || !line.starts_with("log ")) continue;
      out += line.substr(at + 3) + "\n";
    } else {
      simdjson::dom::element event;
      if (parser.parse(line)["event"].get(event) == simdjson::SUCCESS) out += simdjson::minify(event) + "\n";
    }
  }
  return out;
}

Result read_file(const fs::path& p, const std::vector<std::string>& wanted = {}) {
  if (p.extension() == ".ini" || p.string().find("panther-tests") != std::string::npos)
    return read(Source::of_bytes(records_of(p)), wanted);
  auto source = Source::open(p.string());
  if (!source) {
    ADD_FAILURE() << to_string(source.error());
    return {};
  }
  return read(std::move(*source), wanted);
}

struct Folder {
  const char* path;
  std::set<std::string> formats;  // that its records may be of
  double with_time = 1.0;         // at least this share of the records has a time
  const char* only = "";          // part of the file name
  const char* but = "\n";         // files with this in their name are not JSON
};

const std::vector<Folder>& folders() {
  static const std::vector<Folder> all = {
      {"logs/m365_audit", {"m365_audit"}, 0.9},
      {"logs/entra_signin", {"entra_signin"}},
      {"logs/entra_audit", {"entra_audit"}},
      {"logs/entra_risk", {"entra_risk"}},
      {"logs/entra_provisioning", {"entra_provisioning"}},
      {"logs/azure_activity", {"azure_activity", "entra_signin"}},
      {"logs/exchange_message_trace", {"message_trace"}},
      {"logs/defender_xdr", {"defender_xdr", "json"}, 0.85},
      {"logs/mail_other/elastic_proofpoint_tap", {"proofpoint_tap"}},
      {"logs/windows_sysmon", {"windows_event"}},
      {"logs/windows_winlogbeat", {"windows_event"}},
      {"logs/windows_json", {"windows_event"}},
      {"logs/linux_sysmon", {"linux_sysmon"}},
      {"logs/linux_auditd/elastic_auditd_manager", {"auditbeat"}, 0.0},
      {"logs/linux_journald/vector", {"linux_journald"}},
      {"logs/linux_journald/elastic", {"iptables"}},
      {"logs/cef/elastic", {"cef_json"}, 0.5},
      {"logs/dns_windows/azure_sentinel", {"dns_windows_etw"}},
      {"logs/proxy_squid/azure_sentinel", {"squid_rows"}},
      {"logs/proxy_zscaler", {"zscaler"}, 1.0, "", "alerts"},
      {"logs/suricata_eve/elastic", {"suricata_eve"}},
      {"logs/suricata_eve/crowdsec", {"suricata_eve"}, 1.0, "eve"},
      {"logs/dns_coredns", {"dns_coredns"}, 0.2, "json"},
      {"logs/zeek_json", {"zeek"}},
      {"detection/zeek-json", {"zeek"}},
      {"detection/suricata-eve", {"suricata_eve"}},
      {"detection/sigmahq-regression", {"windows_event"}, 1.0, "", "manifest"},
      {"detection/otrf-security-datasets/atomic", {"windows_event"}, 1.0},
      {"detection/otrf-security-datasets/compound", {"entra_audit"}, 1.0, "AADAudit"},
      {"detection/otrf-security-datasets/compound", {"defender_xdr"}, 1.0, "Microsoft365Defender"},
      {"detection/otrf-security-datasets/compound", {"m365_audit"}, 1.0, "OfficeActivity"},
      {"detection/otrf-security-datasets/compound", {"windows_event"}, 1.0, "WindowsEvents"},
      {"detection/otrf-security-datasets/compound/apt29", {"zeek"}, 1.0, "", "loaded_scripts"},
      {"detection/panther-tests", {"entra_signin", "entra_audit"}, 1.0, "azure_signin"},
      {"detection/panther-tests", {"azure_activity"}, 1.0, "azure_activity"},
      {"detection/panther-tests", {"m365_audit", "defender_xdr"}, 1.0, "microsoft"},
      {"detection/panther-tests", {"google_workspace", "json"}, 0.5, "gsuite"},
      {"detection/panther-tests", {"okta", "json"}, 0.3, "okta"},
      {"detection/panther-tests", {"duo"}, 0.5, "duo"},
      {"detection/panther-tests", {"onelogin"}, 0.0, "onelogin"},
      {"detection/panther-tests", {"zscaler"}, 0.0, "zscaler"},
  };
  return all;
}

std::vector<fs::path> files_of(const Folder& f) {
  std::vector<fs::path> out;
  for (const auto& e : fs::recursive_directory_iterator(corpora() / f.path)) {
    const std::string name = e.path().filename().string();
    const auto ext = e.path().extension();
    if (!e.is_regular_file() || name.find("expected") != std::string::npos) continue;
    if (ext != ".json" && ext != ".ndjson" && ext != ".log" && ext != ".ini") continue;
    if (name.find(f.only) == std::string::npos || name.find(f.but) != std::string::npos) continue;
    out.push_back(e.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

class Corpora : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(corpora() / "logs")) GTEST_SKIP() << "no corpora at " << corpora() << "; set BAVN_CORPORA";
  }
};

TEST_F(Corpora, TellTheirFormatAndHaveTheirTime) {
  for (const Folder& f : folders()) {
    std::size_t records = 0, timed = 0, refused = 0;
    std::map<std::string, std::size_t> formats;
    std::set<std::string> strangers;
    for (const fs::path& p : files_of(f)) {
      const Result r = read_file(p);
      refused += r.refusals.size();
      for (const auto& x : r.refusals) strangers.insert(p.filename().string() + ": " + x.reason + " " + x.detail);
      for (const Seen& s : r.records) {
        ++records;
        timed += s.happened_us != 0 ? 1U : 0U;
        ++formats[s.format];
        if (!f.formats.contains(s.format)) strangers.insert(p.filename().string() + ": " + s.format);
        if (s.happened_us == 0) strangers.insert(p.filename().string() + ": no time");
      }
    }
    std::string told;
    for (const auto& [name, n] : formats) told += " " + name + " " + std::to_string(n);
    std::printf("%-45s %-14s records %5zu refused %2zu timed %5zu:%s\n", f.path, f.only, records, refused, timed,
                told.c_str());
    std::string odd;
    for (const auto& s : strangers) odd += "\n  " + s;
    EXPECT_GT(records, 0U) << f.path;
    EXPECT_EQ(refused, 0U) << f.path << odd;
    for (const auto& [name, n] : formats) EXPECT_TRUE(f.formats.contains(name)) << f.path << odd;
    EXPECT_GE(static_cast<double>(timed), f.with_time * static_cast<double>(records)) << f.path << odd;
  }
}

// ---- what Elastic sees -----------------------------------------------------------------------------------------------------------

void texts(simdjson::dom::element e, std::string_view path, std::vector<std::string>& out) {
  const std::size_t dot = path.find('.');
  if (e.is_array()) {
    for (auto x : e.get_array()) texts(x, path, out);
    return;
  }
  if (path.empty()) {
    if (e.is_string()) out.emplace_back(e.get_string().value());
    else if (e.is_int64() || e.is_uint64()) out.push_back(simdjson::minify(e));
    return;
  }
  simdjson::dom::element child;
  if (!e.is_object()) return;
  if (e[path].get(child) == simdjson::SUCCESS) texts(child, "", out);
  else if (e[path.substr(0, dot)].get(child) == simdjson::SUCCESS)
    texts(child, dot == std::string_view::npos ? "" : path.substr(dot + 1), out);
}

struct Fact {
  const char* path;  // in Elastic's document
  std::set<Role> roles;
};

const std::vector<Fact>& facts() {
  static const std::vector<Fact> all = {
      {"source.ip", {Role::ip, Role::host_or_ip}},
      {"client.ip", {Role::ip, Role::host_or_ip}},
      {"destination.ip", {Role::ip, Role::host_or_ip}},
      {"dns.question.name", {Role::domain, Role::host_or_ip}},
      {"url.original", {Role::url, Role::url_path, Role::text}},
      {"url.full", {Role::url, Role::url_path, Role::text}},
      {"user.email", {Role::account, Role::email}},
      {"user.name", {Role::account, Role::email}},
      {"user_agent.original", {Role::user_agent}},
      {"email.message_id", {Role::message_id}},
      {"email.subject", {Role::subject}},
      {"email.from.address", {Role::email, Role::emails}},
      {"email.to.address", {Role::email, Role::emails}},
      {"file.hash.sha256", {Role::hash, Role::hashes}},
      {"file.hash.sha1", {Role::hash, Role::hashes}},
      {"process.hash.sha256", {Role::hash, Role::hashes}},
      {"process.command_line", {Role::text}},
  };
  return all;
}

std::string plain(std::string_view s) {
  std::string out = to_lower(s);
  for (const char* noise : {"https://", "http://", "<", ">", "\"", "[", "]", "::ffff:"})
    for (std::size_t at = out.find(noise); at != std::string::npos; at = out.find(noise))
      out.erase(at, std::strlen(noise));
  while (!out.empty() && (out.back() == '.' || out.back() == '/')) out.pop_back();
  return out;
}

TEST_F(Corpora, SeeWhatElasticsPipelinesSee) {
  struct Count {
    std::size_t there = 0, found = 0;
    std::set<std::string> missing;
  };
  std::map<std::string, std::map<std::string, Count>> by_folder;
  for (const Folder& f : folders())
    for (const fs::path& p : files_of(f)) {
      const fs::path expected = p.string() + "-expected.json";
      if (!fs::exists(expected)) continue;
      const Result got = read_file(p);
      simdjson::dom::parser parser;
      const std::string text = slurp(expected);
      simdjson::dom::element doc;
      ASSERT_EQ(parser.parse(text).get(doc), simdjson::SUCCESS) << expected;
      const auto docs = doc["expected"].get_array().value();
      if (docs.size() != got.records.size()) continue;  // records that the pipeline joins or drops
      std::size_t i = 0;
      for (auto want : docs) {
        const Seen& s = got.records[i++];
        if (!want.is_object()) continue;
        auto& counts = by_folder[f.path];
        std::vector<std::string> values;
        texts(want, "@timestamp", values);
        if (!values.empty() && s.happened_us != 0) {
          Count& c = counts["@timestamp"];
          ++c.there;
          const auto t = parse_time(values[0]);
          if (t && std::llabs(micros(*t) - s.happened_us) < 1'000'000) ++c.found;
          else
            c.missing.insert(p.filename().string() + ": " + values[0] + " is " +
                             format_time(from_micros(s.happened_us)));
        }
        for (const Fact& fact : facts()) {
          values.clear();
          texts(want, fact.path, values);
          Count& c = counts[fact.path];
          for (const auto& v : values) {
            const std::string wanted = plain(v);
            if (wanted.empty()) continue;
            ++c.there;
            bool found = false;
            for (const auto& [role, value] : s.observables)
              found = found || (fact.roles.contains(role) && plain(value).find(wanted) != std::string::npos) ||
                      (role == Role::url_path && wanted.ends_with(plain(value)));
            if (found) ++c.found;
            else c.missing.insert(p.filename().string() + " #" + std::to_string(i) + ": " + v.substr(0, 120));
          }
        }
      }
    }
  std::size_t all = 0, found = 0;
  for (const auto& [folder, counts] : by_folder)
    for (const auto& [fact, c] : counts) {
      if (c.there == 0) continue;
      all += c.there;
      found += c.found;
      std::printf("%-45s %-22s %4zu of %4zu\n", folder.c_str(), fact.c_str(), c.found, c.there);
      if (std::getenv("BAVN_VERBOSE") != nullptr)
        for (const auto& m : c.missing) std::printf("    %s\n", m.c_str());
    }
  std::printf("all facts: %zu of %zu\n", found, all);
  EXPECT_GT(all, 1000U);
  EXPECT_GE(static_cast<double>(found), 0.9 * static_cast<double>(all));
}

}  // namespace
}  // namespace bavn::formats
