#include "match/indicators/load.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "match/indicators/allow_list.hpp"

namespace bavn::match::indicators {

using event::Kind;
using event::Tlp;
namespace fs = std::filesystem;

namespace {

struct Loaded {
  std::vector<Indicator> all;
  LoadReport report;
  std::string error;
  std::vector<std::string> values() const {
    std::vector<std::string> out;
    for (const auto& i : all)
      out.push_back(i.is_pattern() ? "pattern " + i.value : std::string(event::to_string(i.kind)) + " " + i.value);
    return out;
  }
};

Loaded load(std::string_view bytes, LoadOptions options = {}) {
  Loaded out;
  IndicatorBuilder check;
  auto report = load_bytes(
      bytes, "list",
      [&](const Indicator& i) -> Result<void> {
        BAVN_CHECK(check.add(i));
        out.all.push_back(i);
        return {};
      },
      std::move(options));
  if (report) out.report = *report;
  else out.error = report.error().what;
  return out;
}

using Strings = std::vector<std::string>;

std::optional<fs::path> corpus() {
  const char* env = std::getenv("BAVN_CORPORA");
  const fs::path root = env != nullptr ? fs::path(env) : fs::path(BAVN_SOURCE_DIR) / "../shared/corpora";
  std::error_code error;
  if (!fs::exists(root / "threat_intel", error)) return std::nullopt;
  return root / "threat_intel";
}

}  // namespace

TEST(LoadCsv, EveryColumnInAnyOrderQuotedWithBom) {
  const auto l = load(
      "\xEF\xBB\xBF"
      "comment,action,value,kind,tlp,confidence,valid_until,valid_from,source\r\n"
      "\"a, \"\"b\"\"\nc\",warn,hxxps://Evil[.]example/a,url,amber+strict,80,2026-07-01T00:00:00Z,2026-01-01,feed\r\n");
  ASSERT_EQ(l.values(), (Strings{"url evil.example/a"})) << l.error;
  const Indicator& i = l.all[0];
  EXPECT_EQ(i.comment, "a, \"b\"\nc");
  EXPECT_EQ(i.action, Action::warn);
  EXPECT_EQ(i.tlp, Tlp::amber_strict);
  EXPECT_EQ(i.confidence, 80);
  EXPECT_EQ(i.source, "feed");
  EXPECT_EQ(format_time(i.valid_from), "2026-01-01T00:00:00Z");
  EXPECT_EQ(format_time(i.valid_until), "2026-07-01T00:00:00Z");
  EXPECT_EQ(l.report.format, "csv");
}

TEST(LoadCsv, RefusalsSayLineAndReason) {
  const auto l = load(
      "kind,value,confidence,action,tlp\n"
      "domain,ok.example,,,\n"
      "domain,not a domain,,,\n"
      "colour,blue,,,\n"
      "domain,a.example,300,,\n"
      "domain,b.example,,explode,\n"
      "ip,0.0.0.0/0,,,\n"
      "domain,,,,\n"
      "domain,red.example,,,TLP:PURPLE\n"
      "ip,192.0.2.0/24,,,\n"
      "hash,d41d8cd98f00b204e9800998ecf8427e,,,\n"
      "domain,\"open.example,,,\n");
  EXPECT_EQ(l.values(), (Strings{"domain ok.example", "domain red.example", "cidr 192.0.2.0/24",
                                 "md5 d41d8cd98f00b204e9800998ecf8427e"}));
  EXPECT_EQ(l.all[1].tlp, Tlp::red);
  EXPECT_EQ(l.report.refused_count(), 7U);
  EXPECT_EQ(l.report.refused.at("not a value of kind domain").first_where, "line 3");
  EXPECT_EQ(l.report.refused.at("unknown kind colour").first_where, "line 4");
  EXPECT_EQ(l.report.refused.at("confidence is not 0..100").first_value, "a.example");
  EXPECT_EQ(l.report.refused.at("action is not watch, warn, hold or block").count, 1U);
  EXPECT_EQ(l.report.refused.at("network too wide: at least /8, IPv6 /16").first_where, "line 7");
  EXPECT_EQ(l.report.refused.at("value is missing").first_where, "line 8");
  EXPECT_EQ(l.report.refused.at("quote not closed").first_where, "line 12");
}

TEST(LoadCsv, ColumnsNamedByKindAndOtherSeparators) {
  EXPECT_EQ(load("md5;sha1\nd41d8cd98f00b204e9800998ecf8427e; da39a3ee5e6b4b0d3255bfef95601890afd80709\n").values(),
            (Strings{"md5 d41d8cd98f00b204e9800998ecf8427e", "sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709"}));
  EXPECT_EQ(load("kind,value\ndomain,192.0.2.1\n").values(), (Strings{"ipv4 192.0.2.1"}));
  EXPECT_EQ(load("name,email\nBo,bo@contact.example\n").values(), Strings{});
  EXPECT_FALSE(load("d41d8cd98f00b204e9800998ecf8427e,5bad262f-c810-4775-9e84-4a7d0a016219\n").error.empty());
  EXPECT_EQ(load("value\nevil.example\n192.0.2.1\n").values(), (Strings{"domain evil.example", "ipv4 192.0.2.1"}));
  EXPECT_EQ(load("# made up\ntype\tindicator\ndomain|ip\tevil.example|192.0.2.1\n").values(),
            (Strings{"domain evil.example", "ipv4 192.0.2.1"}));
}

TEST(LoadCsv, ListsOfOthersAsTheyWriteThem) {
  // The names of the columns in a comment, quotes behind blanks, columns that no reader knows.
  EXPECT_EQ(load("#####\n# Made up dump (CSV, recent URLs only) #\n#####\n#\n# id,dateadded,url,url_status,reporter\n"
                 "\"3\",\"2023-11-14 22:13:20\",\"http://evil.example:8080/a/b.exe\",\"online\",\"rep\"\n")
                .values(),
            Strings{"url evil.example:8080/a/b.exe"});
  EXPECT_EQ(load("# \"first_seen_utc\",\"ioc_id\",\"ioc_value\",\"ioc_type\",\"confidence_level\"\n"
                 "\"2023-11-14 22:13:20\", \"1\", \"203.0.113.67:8443\", \"ip:port\", \"100\"\n"
                 "\"2023-11-14 22:13:20\", \"4\", "
                 "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\", \"sha256_hash\", \"100\"\n")
                .values(),
            (Strings{"ipv4 203.0.113.67", "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}));
  EXPECT_EQ(load("\"first_seen_utc\",\"dst_ip\",\"dst_port\",\"malware\"\n\"2023-11-14\",\"203.0.113.66\",\"443\","
                 "\"x\"\n# END\n")
                .values(),
            Strings{"ipv4 203.0.113.66"});
  EXPECT_EQ(load("# Listingdate,SHA1,Listingreason\n2023-11-14 22:13:20,da39a3ee5e6b4b0d3255bfef95601890afd80709,C&C\n")
                .values(),
            Strings{"sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709"});
  EXPECT_EQ(
      load("Indicator type,Indicator,Description\nFileHash-MD5,d41d8cd98f00b204e9800998ecf8427e,\nIPv4,192.0.2.1,\n")
          .values(),
      (Strings{"md5 d41d8cd98f00b204e9800998ecf8427e", "ipv4 192.0.2.1"}));
  const auto defender = load(
      "IndicatorType,IndicatorValue,ExpirationTime,Action,Title\nDomainName,evil.example,,Block,t\n"
      "IpAddress,192.0.2.1,2027-01-01T00:00:00Z,Alert,t\nDomainName,good.example,,Allowed,t\n");
  EXPECT_EQ(defender.values(), (Strings{"domain evil.example", "ipv4 192.0.2.1"}));
  EXPECT_EQ(defender.report.skipped_count(), 1U);
  EXPECT_NE(defender.all.at(1).valid_until, Instant{});
  // Where a URL lies is not bad for that; a comment is no header; a contact is no indicator.
  EXPECT_EQ(load("date,url,ip,contact_email\n2026,http://evil.example/x,192.0.2.1,\"a@b.example\"\n").values(),
            Strings{"url evil.example/x"});
  EXPECT_EQ(load("# domain, url and ip\nevil.example\n").values(), Strings{"domain evil.example"});
  EXPECT_EQ(load("type|value\ndomain|evil.example\n").values(), Strings{"domain evil.example"});
}

TEST(LoadFile, APipeIsReadToItsEnd) {
  const fs::path path = fs::temp_directory_path() / ("bavn_pipe_" + std::to_string(::getpid()));
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path) << "evil.example\n192.0.2.1\n"; });
  std::size_t n = 0;
  const auto report = load_file(path.string(), [&](const Indicator&) -> Result<void> {
    ++n;
    return {};
  });
  writer.join();
  fs::remove(path);
  ASSERT_TRUE(report) << report.error().what;
  EXPECT_EQ(n, 2U);
}

TEST(LoadText, CommentsDefangedHostsFilesAndRanges) {
  const auto l = load(
      "# comment\n; comment\n// comment\n\nhxxp://evil[.]example/a#b  # seen\n192.0.2.0/24 ; drop\n0.0.0.0 a.example "
      "b.example localhost\n"
      "127.0.0.1 localhost\n*.wild.example\nhello "
      "world\n\"quoted.example\",x\n198.51.100.0\t198.51.100.255\t24\tx\nbo[at]evil[dot]example\r\n");
  EXPECT_EQ(l.values(),
            (Strings{"url evil.example/a", "cidr 192.0.2.0/24", "domain a.example", "domain b.example",
                     "domain wild.example", "domain quoted.example", "cidr 198.51.100.0/24", "email bo@evil.example"}));
  EXPECT_EQ(l.report.refused.at("no observable of any kind").first_where, "line 10");
  EXPECT_EQ(l.report.skipped_count(), 2U);
  EXPECT_EQ(l.all[0].source, "list");
}

TEST(LoadMisp, AttributesObjectsTagsAndWhatIsSkipped) {
  const auto l = load(R"({"response":[{"Event":{"info":"wave","Orgc":{"name":"CERT X"},
    "Attribute":[{"type":"domain|ip","value":"evil.example|192.0.2.1","to_ids":true,"comment":"c2"},
                 {"type":"filename|sha256","value":"a|b.exe|e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","to_ids":"1"},
                 {"type":"ip-dst|port","value":"192.0.2.2|443","to_ids":true,"Tag":[{"name":"tlp:red"}]},
                 {"type":"link","value":"https://report.example/","to_ids":false},
                 {"type":"domain","value":"gone.example","to_ids":true,"deleted":true},
                 {"type":"mutex","value":"x","to_ids":true},
                 {"type":"md5","value":"zz","to_ids":true}],
    "Object":[{"name":"url","Attribute":[{"type":"url","value":"http://evil.example/x","to_ids":true}]}],
    "Tag":[{"name":"tlp:green"}]}}]})");
  EXPECT_EQ(l.values(), (Strings{"domain evil.example", "ipv4 192.0.2.1",
                                 "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                 "ipv4 192.0.2.2", "url evil.example/x"}))
      << l.error;
  EXPECT_EQ(l.all[0].source, "CERT X");
  EXPECT_EQ(l.all[0].tlp, Tlp::green);
  EXPECT_EQ(l.all[0].comment, "c2");
  EXPECT_EQ(l.all[3].tlp, Tlp::red);
  EXPECT_EQ(l.all[4].comment, "wave");
  EXPECT_EQ(l.report.skipped.at("deleted").count, 1U);
  EXPECT_EQ(l.report.skipped.at("not for detection (to_ids is false)").count, 1U);
  EXPECT_EQ(l.report.skipped.at("MISP type mutex is no observable that is seen in logs").first_where,
            "/response/0/Event/Attribute/5");
  EXPECT_EQ(l.report.refused.at("not a value of MISP type md5").count, 1U);
}

TEST(LoadMisp, AnAttributeIsNoFreerThanItsEvent) {
  const auto l = load(R"({"Event":{"info":"x","Tag":[{"name":"tlp:amber+strict"}],"Attribute":[
    {"type":"domain","value":"a.example","to_ids":true,"Tag":[{"name":"tlp:clear"}]},
    {"type":"domain","value":"b.example","to_ids":true,"Tag":[{"name":"tlp:red"}]},
    {"type":"domain","value":"c.example","to_ids":true}]}})");
  ASSERT_EQ(l.all.size(), 3U) << l.error;
  EXPECT_EQ(l.all[0].tlp, Tlp::amber_strict);
  EXPECT_EQ(l.all[1].tlp, Tlp::red);
  EXPECT_EQ(l.all[2].tlp, Tlp::amber_strict);
}

TEST(LoadStix, MarkingsOfBothGenerationsOfPartsAndOfNobody) {
  const auto tlp = [](const std::string& members) {
    const auto l = load(R"({"type":"bundle","objects":[
      {"type":"marking-definition","id":"marking-definition--own","extensions":{"extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d":{"tlp_2_0":"amber+strict"}}},
      {"type":"marking-definition","id":"marking-definition--odd","definition_type":"x-acme","definition":{"x":1}},
      {"type":"indicator","pattern":"[domain-name:value = 'a.example']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z",)" +
                        members + "}]}");
    EXPECT_EQ(l.all.size(), 1U) << l.error;
    return l.all.empty() ? Tlp::clear : l.all[0].tlp;
  };
  constexpr std::string_view green = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
                             strict = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
                             red1 = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed";
  const auto refs = [](std::string_view a, std::string_view b) {
    return "\"object_marking_refs\":[\"" + std::string(a) + "\",\"" + std::string(b) + "\"]";
  };
  EXPECT_EQ(tlp(refs(green, green)), Tlp::green);
  EXPECT_EQ(tlp(refs(green, red1)), Tlp::red);
  EXPECT_EQ(tlp(refs(strict, red1)), Tlp::amber_strict) << "TLP 1 has no such level";
  EXPECT_EQ(tlp(refs(green, "marking-definition--own")), Tlp::amber_strict);
  EXPECT_EQ(tlp(refs(green, "marking-definition--odd")), Tlp::red);
  EXPECT_EQ(tlp(R"("object_marking_refs":[7])"), Tlp::red);
  EXPECT_EQ(tlp(refs(green, green) + R"(,"granular_markings":[{"selectors":["pattern"],"marking_ref":")" +
                std::string(red1) + R"("},{"lang":"da","selectors":["name"]}])"),
            Tlp::red);
}

TEST(LoadStix, TheDescriptionIsTheCommentAndALabelSaysWhatIsOnlyWatchedFor) {
  LoadOptions warned;
  warned.action = Action::warn;
  const auto l = load(R"({"type":"bundle","objects":[
    {"type":"indicator","name":"domain a.example","description":"C&C of the wave","pattern":"[domain-name:value = 'a.example']",
     "pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","labels":["x","action:watch"]},
    {"type":"indicator","name":"only a name","pattern":"[domain-name:value = 'b.example']","pattern_type":"stix",
     "valid_from":"2026-01-01T00:00:00Z","labels":["action:block","action:odd"]}]})",
                      warned);
  ASSERT_EQ(l.all.size(), 2U) << l.error;
  EXPECT_EQ(l.all[0].comment, "C&C of the wave");
  EXPECT_EQ(l.all[0].action, Action::watch);
  EXPECT_EQ(l.all[1].comment, "only a name");
  EXPECT_EQ(l.all[1].action, Action::warn) << "a label takes away, it gives nothing";
}

TEST(LoadText, XmlIsNoListOfLines) {
  for (const char* text : {"<?xml version=\"1.0\"?>\n<stix:STIX_Package>\nevil.example\n</stix:STIX_Package>",
                           "<html>\nevil.example\n</html>"})
    EXPECT_TRUE(load(text).error.contains("STIX 1 and OpenIOC are not read")) << load(text).error;
  EXPECT_EQ(load("<bo@evil.example>\n").values(), (Strings{"email bo@evil.example"}));
}

TEST(LoadStix, PatternsMarkingsAndWhatIsSkipped) {
  const auto l = load(R"({"type":"bundle","objects":[
    {"type":"identity","id":"identity--1","name":"CERT X"},
    {"type":"marking-definition","id":"marking-definition--own","definition_type":"statement","definition":{"statement":"ours"}},
    {"type":"indicator","id":"indicator--1","created_by_ref":"identity--1","pattern_type":"stix","pattern":"[domain-name:value = 'Evil.Example']",
     "valid_from":"2026-01-01T00:00:00Z","confidence":90,"object_marking_refs":["marking-definition--own","marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"]},
    {"type":"indicator","pattern_type":"stix","pattern":"[ipv4-addr:value = '192.0.2.1/32' OR file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']","valid_from":"2026-01-01T00:00:00Z"},
    {"type":"indicator","pattern_type":"stix","pattern":"[domain-name:value = 'a.example'] FOLLOWEDBY [domain-name:value = 'b.example']","valid_from":"2026-01-01T00:00:00Z"},
    {"type":"indicator","pattern_type":"stix","pattern":"[url:value = 'http://red.example/x']","valid_from":"2026-01-01T00:00:00Z","object_marking_refs":["marking-definition--unknown"]},
    {"type":"indicator","pattern_type":"yara","pattern":"rule x {}","valid_from":"2026-01-01T00:00:00Z"},
    {"type":"indicator","pattern_type":"stix","pattern":"[domain-name:value = 'r.example']","revoked":true,"valid_from":"2026-01-01T00:00:00Z"},
    {"type":"indicator","pattern_type":"stix","pattern":"[domain-name:value","valid_from":"2026-01-01T00:00:00Z"}]})");
  EXPECT_EQ(l.values(),
            (Strings{"domain evil.example", "ipv4 192.0.2.1", "md5 d41d8cd98f00b204e9800998ecf8427e",
                     "pattern [domain-name:value = 'a.example'] FOLLOWEDBY [domain-name:value = 'b.example']",
                     "url red.example/x"}))
      << l.error;
  EXPECT_EQ(l.all[0].source, "CERT X");
  EXPECT_EQ(l.all[0].confidence, 90);
  EXPECT_EQ(l.all[0].tlp, Tlp::amber);
  EXPECT_EQ(l.all[4].tlp, Tlp::red);
  EXPECT_EQ(l.report.not_evaluated, 1U);
  EXPECT_EQ(l.report.notes.at("uses FOLLOWEDBY").count, 1U);
  EXPECT_EQ(l.report.skipped.at("pattern of type yara, not stix").count, 1U);
  EXPECT_EQ(l.report.skipped.at("revoked").count, 1U);
  EXPECT_EQ(l.report.refused_count(), 1U);
}

TEST(LoadHostile, BrokenListsAreRefusedOrCountedNeverACrash) {
  EXPECT_EQ(load("").report.loaded, 0U);
  EXPECT_FALSE(load("{").error.empty());
  EXPECT_FALSE(load("{\"a\":1}").error.empty());
  EXPECT_FALSE(load("{\"Event\":" + std::string(5000, '[')).error.empty());
  EXPECT_FALSE(load(std::string("a\0b\n", 4)).error.empty());
  EXPECT_EQ(load("\xFF\xFE"
                 "a")
                .report.refused_count(),
            1U);
  EXPECT_FALSE(load("BAVNIND1 and nothing else").error.empty());
  EXPECT_FALSE(load(R"({"name":"x","type":"string","list":[],"matching_attributes":[]})").error.empty());
  EXPECT_EQ(
      load("kind,value\ndomain,\"" + std::string(200000, 'x') + "\ndomain,after.example\n").report.refused_count(), 1U);
  EXPECT_EQ(load(std::string(100000, 'x') + "\nevil.example\n").values(), (Strings{"domain evil.example"}));
  EXPECT_EQ(load(R"({"Event":{"Attribute":[1,null,{"type":7},{"type":"domain"}],"Object":[3],"Tag":[4,{"name":5}]}})")
                .report.refused_count(),
            5U);
  EXPECT_EQ(
      load(
          R"({"type":"bundle","objects":[1,{"type":"indicator"},{"type":"indicator","pattern":"[url:value = 'x']","valid_from":7}]})")
          .report.loaded,
      0U);
}

TEST(LoadCorpora, EveryCollectedListLoadsOrSaysWhyNot) {
  const auto root = corpus();
  if (!root) GTEST_SKIP() << "the collected corpora are not here: set BAVN_CORPORA to their folder";
  std::size_t files = 0, refused_files = 0;
  std::uint64_t loaded = 0, marked_or_not = 0;
  LoadOptions everything;
  everything.only_to_ids = false;
  std::ostringstream said;
  for (const auto& entry : fs::recursive_directory_iterator(*root)) {
    if (!entry.is_regular_file()) continue;
    const std::string rel = fs::relative(entry.path(), *root).string();
    if (!rel.starts_with("misp_events") && !rel.starts_with("plain_feeds") && !rel.starts_with("stix21") &&
        !rel.starts_with("misp_feeds/derived"))
      continue;
    ++files;
    IndicatorBuilder b;
    const auto r = load_file(entry.path().string(), b);
    if (!r) {
      ++refused_files;
      EXPECT_FALSE(r.error().what.empty());
      said << rel << ": " << r.error().what << "\n";
      continue;
    }
    loaded += r->loaded;
    said << rel << ": " << r->format << " " << r->loaded << " loaded, " << r->skipped_count() << " skipped, "
         << r->refused_count() << " refused";
    for (const auto& [reason, x] : r->refused)
      said << "; " << reason << " x" << x.count << " (" << x.first_where << " " << x.first_value << ")";
    said << "\n";
    IndicatorBuilder unmarked;
    marked_or_not += load_file(entry.path().string(), unmarked, everything)->loaded;
    const bool list = rel.starts_with("misp_events/eset") || rel.starts_with("stix21/mvt-indicators/") ||
                      rel.starts_with("stix21/amnesty");
    EXPECT_TRUE(!list || rel.ends_with(".yaml") || r->loaded + r->skipped_count() > 0) << rel;
    EXPECT_TRUE(!list || !rel.ends_with(".stix2.json") || r->refused_count() == 0) << rel;
  }
  EXPECT_GT(files, 50U);
  EXPECT_GT(loaded, 2000U);
  EXPECT_GT(marked_or_not, loaded + 500);
  if (std::getenv("BAVN_VERBOSE") != nullptr) std::printf("%s", said.str().c_str());
  std::printf("%zu files, %zu of no known shape, %llu indicators (%llu with those not marked for detection)\n", files,
              refused_files, static_cast<unsigned long long>(loaded), static_cast<unsigned long long>(marked_or_not));

  IndicatorBuilder feed;
  const auto r = load_file((*root / "misp_feeds/derived_eset_feed").string(), feed);
  ASSERT_TRUE(r) << to_string(r.error());
  EXPECT_EQ(r->format, "misp_feed");
  EXPECT_GT(r->loaded, 300U);
  const auto events = feed.build();
  bool found = false;
  events->for_each([&](const Indicator& i) { found |= i.source == "ESET"; });
  EXPECT_TRUE(found);
}

TEST(LoadCorpora, EveryExampleOfTheSpecificationParses) {
  const auto root = corpus();
  if (!root) GTEST_SKIP() << "the collected corpora are not here: set BAVN_CORPORA to their folder";
  std::ifstream in(*root / "stix21/patterns/spec_examples.txt");
  std::string line;
  unsigned n = 0, evaluated = 0;
  while (std::getline(in, line)) {
    if (line.empty()) continue;
    const auto p = StixPattern::parse(line);
    ++n;
    EXPECT_TRUE(p) << line << ": " << (p ? "" : p.error().what);
    evaluated += p && p->not_evaluated().empty() ? 1 : 0;
  }
  EXPECT_GT(n, 20U);
  EXPECT_GE(evaluated, 10U);
}

TEST(StixPattern, OperatorsAreEvaluatedOnOneRecord) {
  const auto holds = [](std::string_view text, std::vector<Seen> record) {
    const auto p = StixPattern::parse(text);
    EXPECT_TRUE(p) << text << ": " << (p ? "" : p.error().what);
    return p && p->matches(record);
  };
  const std::vector<Seen> r = {{Kind::domain, "www.evil.example"},
                               {Kind::ipv4, "192.0.2.7"},
                               {Kind::file_name, "invoice.pdf.exe"},
                               {Kind::email, "bo@evil.example"}};
  EXPECT_TRUE(holds("[domain-name:value = 'WWW.evil.example']", r));
  EXPECT_FALSE(holds("[domain-name:value = 'evil.example']", r));
  EXPECT_TRUE(holds("[domain-name:value != 'evil.example']", r));
  EXPECT_FALSE(holds("[domain-name:value NOT = 'www.evil.example']", r));
  EXPECT_TRUE(holds("[ipv4-addr:value IN ('192.0.2.1', '192.0.2.7')]", r));
  EXPECT_TRUE(holds("[ipv4-addr:value ISSUBSET '192.0.2.0/24']", r));
  EXPECT_FALSE(holds("[ipv4-addr:value ISSUBSET '198.51.100.0/24']", r));
  EXPECT_TRUE(holds("[file:name LIKE '%.pdf.ex_']", r));
  EXPECT_TRUE(holds("[file:name NOT LIKE '%.doc']", r));
  EXPECT_TRUE(holds("[file:name MATCHES '^invoice.*\\\\.exe$']", r));
  EXPECT_TRUE(holds(
      "[email-message:from_ref.value = 'bo@evil.example' AND (file:name = 'x' OR file:name = 'invoice.pdf.exe')]", r));
  EXPECT_TRUE(holds("[file:name = 'invoice.pdf.exe'] AND [domain-name:value = 'www.evil.example']", r));
  EXPECT_TRUE(holds("[file:name = 'x'] OR ([domain-name:value = 'www.evil.example'])", r));
  EXPECT_TRUE(
      holds("[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '192.0.2.7/32']", r));
  EXPECT_FALSE(holds("[file:name = 'invoice.pdf.exe' AND windows-registry-key:key = 'x']", r));
  EXPECT_TRUE(holds("[EXISTS file:name]", r));
  EXPECT_EQ(StixPattern::parse("[windows-registry-key:key = 'x']")->not_evaluated(),
            "path windows-registry-key:key is not observed");
  EXPECT_EQ(StixPattern::parse("[url:value = 'http://a.example/x'] REPEATS 5 TIMES WITHIN 10 SECONDS")->not_evaluated(),
            "uses REPEATS");
  EXPECT_EQ(StixPattern::parse("[file:name LIKE '%.exe']")->witnesses().size(), 0U);
  for (const char* bad :
       {"", "[", "[]", "domain-name:value = 'x'", "[domain-name:value = ]", "[domain-name:value = 'x'",
        "[a:b = 'x'] trailing", "[a:b ~ 'x']", "[a:b[x] = 1]", "[a: = 1]", "[a:b = 'x' AND]", "[NOT a:b = 'x']"})
    EXPECT_FALSE(StixPattern::parse(bad)) << bad;
  EXPECT_FALSE(StixPattern::parse(std::string(5000, '(')));
  std::string many = "[a:b = 1";
  for (int n = 0; n < 20000; ++n) many += " OR a:b=1";
  EXPECT_FALSE(StixPattern::parse(many + "]"));
}

TEST(StixPattern, ARegularExpressionCannotRunLong) {
  const auto p = StixPattern::parse("[file:name MATCHES '(a+)+$']");
  ASSERT_TRUE(p);
  const std::string hostile = std::string(5000, 'a') + "b";
  const std::vector<Seen> r = {{Kind::file_name, hostile}};
  EXPECT_FALSE(p->matches(r));
}

TEST(Lists, Utf16AsPowerShellWritesItIsRead) {
  const std::u16string text = u"value,comment\r\nevil.example,p\u00e5 dansk \U0001F600\r\n203.0.113.9,\r\n";
  for (const bool big : {false, true}) {
    std::string bytes = big ? "\xFE\xFF" : "\xFF\xFE";
    for (const char16_t c : text) {
      bytes += static_cast<char>(big ? c >> 8 : c & 0xFF);
      bytes += static_cast<char>(big ? c & 0xFF : c >> 8);
    }
    std::vector<std::string> found;
    const auto r = load_bytes(bytes, "list.csv", [&](const Indicator& i) -> Result<void> {
      found.push_back(i.value);
      return {};
    });
    ASSERT_TRUE(r) << to_string(r.error());
    EXPECT_EQ(r->format, "csv");
    EXPECT_EQ(found, (std::vector<std::string>{"evil.example", "203.0.113.9"}));
    EXPECT_EQ(r->refused_count(), 0U);
  }
}

TEST(Lists, WhatResolversAndAdBlockersAreGiven) {
  const auto values = [](std::string_view text, LoadReport& report) {
    std::vector<std::string> found;
    auto r = load_bytes(text, "list.txt", [&](const Indicator& i) -> Result<void> {
      found.push_back(std::string(event::to_string(i.kind)) + " " + i.value);
      return {};
    });
    EXPECT_TRUE(r) << to_string(r.error());
    if (r) report = *r;
    return found;
  };
  using Found = std::vector<std::string>;
  LoadReport r;
  EXPECT_EQ(values("[Adblock Plus 2.0]\n! Title: x\n||evil.example^\n||b.evil.example^$third-party,important\r\n"
                   "@@||good.example^\n||evil.example/login^\n||203.0.113.9^\n||ads.*.example^\n",
                   r),
            (Found{"domain evil.example", "domain b.evil.example", "url evil.example/login", "ipv4 203.0.113.9"}));
  EXPECT_EQ(r.skipped_count(), 1U);
  EXPECT_EQ(r.refused_count(), 1U);
  EXPECT_EQ(
      values("# dnsmasq\naddress=/evil.example/0.0.0.0\naddress=/a.example/b.example/#\nserver=/c.example/\n"
             "local=/d.example/\naddress=/#/1.2.3.4\n",
             r),
      (Found{"domain evil.example", "domain a.example", "domain b.example", "domain c.example", "domain d.example"}));
  EXPECT_EQ(r.refused_count(), 1U);
  EXPECT_EQ(values("server:\n  local-zone: \"evil.example.\" always_nxdomain\nlocal-zone: b.example static\n"
                   "  local-data: \"c.example A 0.0.0.0\"\n",
                   r),
            (Found{"domain evil.example", "domain b.example", "domain c.example"}));
  EXPECT_EQ(r.refused_count(), 1U);  // "server:"
  EXPECT_EQ(values("$TTL 60\nevil.example CNAME .\n*.evil.example CNAME .\n", r),
            (Found{"domain evil.example", "domain evil.example"}));  // a response policy zone
}

TEST(AllowLists, EachTypeHitsWhatItMeansAndNamesItself) {
  AllowLists a;
  ASSERT_TRUE(a.load_bytes(R"({"name":"strings","type":"string","list":["Portal.example","192.0.2.1"]})", "x"));
  ASSERT_TRUE(a.load_bytes(R"({"name":"hosts","type":"hostname","list":["good.example",".dot.example"]})", "x"));
  ASSERT_TRUE(a.load_bytes(R"({"name":"parts","type":"substring","list":["//safe/"]})", "x"));
  ASSERT_TRUE(
      a.load_bytes(R"({"name":"nets","type":"cidr","list":["198.51.100.0/24","2001:db8::/32","203.0.113.9"]})", "x"));
  ASSERT_TRUE(a.load_bytes(R"({"name":"expressions","type":"regex","list":["/^[0-9]+\\.cdn\\.example$/i"]})", "x"));
  EXPECT_EQ(a.check(Kind::domain, "portal.example"), "strings");
  EXPECT_EQ(a.check(Kind::domain, "www.portal.example"), "");
  EXPECT_EQ(a.check(Kind::ipv4, "192.0.2.1"), "strings");
  EXPECT_EQ(a.check(Kind::domain, "www.good.example"), "hosts");
  EXPECT_EQ(a.check(Kind::domain, "notgood.example"), "");
  EXPECT_EQ(a.check(Kind::url, "www.dot.example:8080/x"), "hosts");
  EXPECT_EQ(a.check(Kind::email, "bo@good.example"), "hosts");
  EXPECT_EQ(a.check(Kind::url, "evil.example//safe/x"), "parts");
  EXPECT_EQ(a.check(Kind::ipv4, "198.51.100.7"), "nets");
  EXPECT_EQ(a.check(Kind::cidr, "198.51.100.128/25"), "nets");
  EXPECT_EQ(a.check(Kind::cidr, "198.51.0.0/16"), "");
  EXPECT_EQ(a.check(Kind::ipv6, "2001:db8::1"), "nets");
  EXPECT_EQ(a.check(Kind::ipv4, "203.0.113.9"), "nets");
  EXPECT_EQ(a.check(Kind::domain, "42.cdn.example"), "expressions");
  EXPECT_FALSE(a.load_bytes("{}", "x"));
  EXPECT_FALSE(a.load_bytes(R"({"name":"x","type":"magic","list":[]})", "x"));
}

TEST(AllowLists, TheCollectedListsLoad) {
  const auto root = corpus();
  if (!root) GTEST_SKIP() << "the collected corpora are not here: set BAVN_CORPORA to their folder";
  AllowLists a;
  const auto r = a.load((*root / "warninglists").string());
  ASSERT_TRUE(r) << to_string(r.error());
  EXPECT_GT(r->lists, 40U);
  EXPECT_GT(r->entries, 10000U);
  EXPECT_FALSE(a.check(Kind::ipv4, "10.1.2.3").empty());
  EXPECT_FALSE(a.check(Kind::ipv6, "2001:4860:4860::8888").empty());
  EXPECT_FALSE(a.check(Kind::domain, "google.com").empty());
  EXPECT_EQ(a.check(Kind::domain, "surely-not-listed.example.invalid"), "");
  for (const auto& [reason, n] : r->refused) std::printf("%s x%zu\n", reason.c_str(), n);
}

}  // namespace bavn::match::indicators
