#include "hunt/hunt.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>

#include "base/threads.hpp"
#include "hunt/ingest.hpp"
#include "hunt/observables.hpp"

namespace bavn::hunt {
namespace {

const event::Scope& owner() {
  static const event::Scope scope = event::Scope::local_owner();
  return scope;
}

constexpr std::string_view kRules = R"(title: Shell started by a mail program
id: 8f1f7a52-0000-4000-8000-000000000001
logsource:
  product: windows
  category: process_creation
detection:
  selection:
    Image|endswith: '\powershell.exe'
    CommandLine|contains: 'DownloadString'
  condition: selection
level: high
---
title: Name below a bad domain
id: 8f1f7a52-0000-4000-8000-000000000002
logsource:
  category: dns
detection:
  selection:
    query|endswith: '.bad.example.org'
  condition: selection
level: medium
)";

class HuntTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = "/tmp/bavn_hunt_XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    write("rules.yml", std::string(kRules));
    EngineOptions o;
    o.rules = {folder_ + "/rules.yml"};
    auto engine = Engine::open(o);
    ASSERT_TRUE(engine) << to_string(engine.error());
    engine_ = std::move(*engine);
    open();
  }
  void TearDown() override {
    history_.reset();
    engine_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  void open() {
    history_.reset();
    history::Options o;
    o.extract = extract_with(*engine_);
    o.segment_bytes = 1U << 20U;
    auto h = history::History::open(threads_, folder_ + "/history", o);
    ASSERT_TRUE(h) << to_string(h.error());
    history_ = std::move(*h);
  }
  std::string write(const std::string& name, const std::string& content) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  IngestReport ingest_files(const std::vector<std::string>& files, IngestOptions o = {}) {
    auto r = ingest(*engine_, threads_, *history_, owner(), files, o);
    EXPECT_TRUE(r) << (r ? "" : to_string(r.error()));
    return r ? *r : IngestReport();
  }
  std::multiset<std::string> find(event::Kind kind, std::string_view value, HuntOptions o = {}) {
    std::multiset<std::string> lines;
    const auto wanted = event::canonical(kind, value);
    EXPECT_TRUE(wanted) << value;
    const auto r = hunt_observables(*engine_, *history_, owner(), std::span(&*wanted, 1), o,
                                    [&](const RecordHit& h) { lines.emplace(h.line); });
    EXPECT_TRUE(r) << (r ? "" : to_string(r.error()));
    return lines;
  }
  static std::string key(const event::Finding& f) {
    std::string k = f.rule_id + " " + std::to_string(micros(f.happened_at)) + " " + f.format;
    for (const auto& [name, value] : f.fields) k += "|" + name + "=" + value;
    return k;
  }
  std::multiset<std::string> live(const std::vector<std::string>& files) {
    std::multiset<std::string> found;
    for (const auto& path : files) {
      Worker worker(*engine_);
      auto source = formats::Source::open(path);
      if (!source) continue;
      constexpr std::int64_t day = 24LL * 3600 * 1'000'000;
      worker.reader().new_source(std::nullopt, from_micros((*source)->modified_us() / day * day + day - 1));
      event::EventBatch batch;
      while (!(*source)->done()) {
        const auto chunk = (*source)->next(batch);
        if (!chunk) break;
        worker.process(batch, *chunk);
        for (const auto& hit : worker.hits()) {
          if (engine_->rules().rules[hit.rule].reports) found.insert(key(worker.finding(batch, hit, "", Instant{})));
        }
      }
    }
    return found;
  }
  std::multiset<std::string> stored() {
    std::multiset<std::string> found;
    HuntOptions o;
    o.jobs = 2;
    const auto r = hunt_rules(*engine_, threads_, *history_, owner(), o, [&](const event::Finding& f) {
      if (f.kind == event::FindingKind::sigma) found.insert(key(f));
    });
    EXPECT_TRUE(r) << (r ? "" : to_string(r.error()));
    EXPECT_EQ(r->unreadable, 0U);
    return found;
  }

  std::string folder_;
  Threads threads_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<history::History> history_;
};

std::string suricata(int i, const std::string& name, const std::string& ip) {
  return R"({"timestamp":"2024-10-01T12:00:0)" + std::to_string(i % 10) +
         R"(.000000+0000","event_type":"dns","src_ip":"192.0.2.)" + std::to_string(i % 200 + 1) +
         R"(","src_port":5353,"dest_ip":")" + ip + R"(","dest_port":53,"proto":"UDP","dns":{"type":"query","id":)" +
         std::to_string(i) + R"(,"rrname":")" + name + R"(","rrtype":"A"}})";
}

TEST_F(HuntTest, AnObservableIsFoundWithItsParentsNetworksAndNothingElse) {
  std::string text;
  std::multiset<std::string> below, in_network;
  for (int i = 0; i < 500; ++i) {
    const bool bad = i % 50 == 7;
    const std::string line =
        suricata(i, bad ? "c" + std::to_string(i) + ".bad.example.org" : "www" + std::to_string(i) + ".example.net",
                 i % 40 == 3 ? "198.51.100." + std::to_string(i % 250) : "203.0.113.9");
    text += line + "\n";
    if (bad) below.insert(line);
    if (i % 40 == 3) in_network.insert(line);
  }
  const auto report = ingest_files({write("eve.json", text)});
  EXPECT_EQ(report.records, 500U);
  EXPECT_EQ(report.lines_refused, 0U);
  for (int life = 0; life < 3; ++life) {
    EXPECT_EQ(find(event::Kind::domain, "c57.bad.example.org").size(), 1U);
    EXPECT_EQ(find(event::Kind::cidr, "198.51.100.0/24"), in_network);
    EXPECT_EQ(find(event::Kind::cidr, "198.51.0.0/15"), in_network);
    EXPECT_EQ(find(event::Kind::domain, "not.example.com").size(), 0U);
    EXPECT_TRUE(find(event::Kind::domain, "ad.example.org").empty());
    EXPECT_EQ(find(event::Kind::domain, "bad.example.org"), below);
    const auto check = history_->check(owner());
    ASSERT_TRUE(check);
    EXPECT_TRUE(check->ok()) << check->problems.front();
    if (life == 0) open();
    if (life == 1) {
      ASSERT_TRUE(history_->seal_now(owner()));
      ASSERT_TRUE(history_->pack(owner(), 0));
    }
  }
}

TEST_F(HuntTest, NetworksOfEveryWidthFindTheirAddressesAndNoOthers) {
  std::mt19937_64 random(3);
  std::vector<std::pair<event::Ip, std::string>> model;
  const auto text_of = [](const event::Ip& ip) {
    std::string t;
    event::append_ip(t, ip);
    return t;
  };
  const auto add = [&](int n) {
    std::string text;
    for (int i = 0; i < n; ++i) {
      event::Ip ip = event::parse_ip(i % 2 == 0 ? "198.51.100.0" : "2001:db8:7:1::").value();
      // Near each other and far from each other: any number of their first bits is the same.
      const unsigned from = static_cast<unsigned>(random() % ip.width());
      for (unsigned bit = from; bit < ip.width(); ++bit)
        if (random() % 2 == 0) ip.bytes[bit / 8] ^= static_cast<std::uint8_t>(0x80U >> bit % 8);
      const std::string line = suricata(i, "w.example.net", text_of(ip));
      text += line + "\n";
      model.emplace_back(ip, line);
    }
    EXPECT_EQ(ingest_files({write("eve" + std::to_string(model.size()) + ".json", text)}).lines_refused, 0U);
  };
  add(300);
  ASSERT_TRUE(history_->seal_now(owner()));
  add(300);
  for (int life = 0; life < 2; ++life) {
    for (int i = 0; i < 150; ++i) {
      const event::Ip& near = model[random() % model.size()].first;
      const unsigned prefix = static_cast<unsigned>(random() % near.width()) + 1;
      const event::Ip network = event::masked(near, prefix);
      const std::string value = text_of(network) + "/" + std::to_string(prefix);
      std::multiset<std::string> expected;
      for (const auto& [ip, line] : model)
        if (ip.v6 == network.v6 && event::masked(ip, prefix) == network) expected.insert(line);
      // The sender's own address stands in every line.
      if (!network.v6 && event::masked(event::parse_ip("192.0.2.1").value(), std::min(prefix, 24U)) == network)
        continue;
      EXPECT_EQ(find(event::Kind::cidr, value), expected) << value;
      const auto range = index_range(*event::canonical(event::Kind::cidr, value));
      EXPECT_EQ(range.has_value(), prefix >= (network.v6 ? 16U : 8U)) << value;
    }
    ASSERT_TRUE(history_->seal_now(owner()));
  }
  const auto check = history_->check(owner());
  ASSERT_TRUE(check);
  EXPECT_TRUE(check->ok()) << check->problems.front();
  // An address of a person leaves with its postings.
  const auto& [ip, line] = model.front();
  const std::string address = text_of(ip);
  EXPECT_EQ(history_->seen(owner(), posting(event::Kind::ipv4, address)).value()->count, 1U);
  ASSERT_TRUE(history_->erase_person(owner(), erasure_of(*engine_, address)));
  EXPECT_FALSE(history_->seen(owner(), posting(event::Kind::ipv4, address)).value());
  EXPECT_TRUE(find(event::Kind::ipv4, address).empty());
}

TEST_F(HuntTest, TheSameFileAgainIsStoredOnceAndRefusedLinesAreCounted) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += suricata(i, "a.example.org", "203.0.113.9") + "\n";
  const std::string path = write("eve.json", text + "{\"broken\": \n");
  const auto first = ingest_files({path});
  EXPECT_EQ(first.records, 50U);
  EXPECT_EQ(first.lines_refused, 1U);
  ASSERT_EQ(first.refused.size(), 1U);
  EXPECT_NE(first.refused.begin()->second.first.find("eve.json:51"), std::string::npos)
      << first.refused.begin()->second.first;
  const auto again = ingest_files({path});
  EXPECT_EQ(again.records, 0U);
  EXPECT_EQ(again.duplicates, 50U);
  EXPECT_EQ(history_->stats().records, 50U);
  const auto missing = ingest_files({folder_ + "/none"});
  EXPECT_EQ(missing.files_failed, 1U);
  EXPECT_EQ(missing.errors.size(), 1U);
}

TEST_F(HuntTest, HeaderLinesStayWithTheirRecords) {
  const std::string text =
      "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n"
      "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tquery\n"
      "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\n"
      "1727784000.000000\tC1\t192.0.2.7\t5353\t203.0.113.9\t53\tudp\tx.bad.example.org\n"
      "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n"
      "#fields\tts\tuid\tquery\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\n"
      "#types\ttime\tstring\tstring\taddr\tport\taddr\tport\tenum\n"
      "1727784001.000000\tC2\ty.bad.example.org\t192.0.2.8\t5353\t203.0.113.9\t53\tudp\n";
  const auto report = ingest_files({write("dns.log", text)});
  EXPECT_EQ(report.records, 2U);
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(find(event::Kind::domain, "x.bad.example.org").size(), 1U);
    EXPECT_EQ(find(event::Kind::domain, "y.bad.example.org").size(), 1U);
    EXPECT_EQ(find(event::Kind::ipv4, "192.0.2.8").size(), 1U);
    EXPECT_EQ(stored(), live({folder_ + "/dns.log"}));
    ASSERT_TRUE(history_->rebuild_index(owner()));
  }
}

TEST_F(HuntTest, FilterLimitStopAndText) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += suricata(i, "n" + std::to_string(i) + ".example.org", "203.0.113.9") + "\n";
  ingest_files({write("eve.json", text)});
  HuntOptions o;
  o.limit = 5;
  EXPECT_EQ(find(event::Kind::ipv4, "203.0.113.9", o).size(), 5U);
  o = {};
  o.filter.from_us = micros(*parse_time("2024-10-01T12:00:03Z"));
  o.filter.until_us = o.filter.from_us;
  EXPECT_EQ(find(event::Kind::ipv4, "203.0.113.9", o).size(), 300U);
  o = {};
  o.filter.source = "other";
  EXPECT_TRUE(find(event::Kind::ipv4, "203.0.113.9", o).empty());
  std::stop_source stop;
  stop.request_stop();
  o = {};
  o.stop = stop.get_token();
  EXPECT_TRUE(find(event::Kind::ipv4, "203.0.113.9", o).empty());
  std::size_t hits = 0;
  const auto r = hunt_text(*engine_, *history_, owner(), "N17.EXAMPLE", {}, [&](const RecordHit& h) {
    ++hits;
    EXPECT_EQ(h.record, 17U);
    EXPECT_EQ(h.happened_us, micros(*parse_time("2024-10-01T12:00:07Z")));
  });
  ASSERT_TRUE(r);
  EXPECT_EQ(hits, 1U);
}

TEST_F(HuntTest, HuntingStoredHistoryFindsWhatLiveMatchingFinds) {
  std::mt19937_64 random(1);
  std::string dns, windows;
  for (int i = 0; i < 2000; ++i) {
    dns += suricata(i, random() % 9 == 0 ? "q.bad.example.org" : "q.example.org", "203.0.113.9") + "\n";
    windows +=
        R"({"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Provider_Name":"Microsoft-Windows-Sysmon","UtcTime":"2024-10-01 12:00:00.000","Image":"C:\\Windows\\)" +
        std::string(random() % 3 == 0 ? "powershell.exe" : "cmd.exe") + R"(","CommandLine":")" +
        std::string(random() % 2 == 0 ? "x DownloadString y" : "dir") + " " + std::to_string(i) + "\"}\n";
  }
  const std::vector<std::string> files{write("dns.json", dns), write("win.json", windows)};
  const auto expected = live(files);
  EXPECT_GT(expected.size(), 100U);
  IngestOptions o;
  o.jobs = 2;
  o.chunk = 64U << 10U;
  EXPECT_EQ(ingest_files(files, o).records, 4000U);
  EXPECT_EQ(stored(), expected);
  ASSERT_TRUE(history_->seal_now(owner()));
  ASSERT_TRUE(history_->pack(owner(), 0));
  EXPECT_EQ(stored(), expected);
}

TEST_F(HuntTest, HuntingTheCorporaFindsWhatLiveMatchingFinds) {
  const char* env = std::getenv("BAVN_CORPORA");
  const std::string corpora = env != nullptr ? env : BAVN_SOURCE_DIR "/../shared/corpora";
  if (!std::filesystem::exists(corpora + "/logs")) GTEST_SKIP() << "no corpora at " << corpora << " (set BAVN_CORPORA)";
  EngineOptions eo;
  eo.builtin_rules = true;
  auto engine = Engine::open(eo);
  ASSERT_TRUE(engine) << to_string(engine.error());
  history_.reset();
  engine_ = std::move(*engine);
  open();
  std::vector<std::string> files;
  std::uint64_t bytes = 0;
  for (const auto& e : std::filesystem::recursive_directory_iterator(corpora + "/logs"))
    if (e.is_regular_file() && e.file_size() < 4'000'000 && bytes < 60'000'000) {
      files.push_back(e.path());
      bytes += e.file_size();
    }
  std::sort(files.begin(), files.end());
  IngestOptions o;
  o.jobs = 2;
  const auto report = ingest_files(files, o);
  EXPECT_GT(report.records, 1000U);
  const auto check = history_->check(owner());
  ASSERT_TRUE(check);
  EXPECT_TRUE(check->ok()) << check->problem_count << ": " << check->problems.front();
  const auto now = live(files), then = stored();
  std::vector<std::string> lost, more;
  std::set_difference(now.begin(), now.end(), then.begin(), then.end(), std::back_inserter(lost));
  std::set_difference(then.begin(), then.end(), now.begin(), now.end(), std::back_inserter(more));
  EXPECT_GT(now.size(), 0U);
  EXPECT_TRUE(lost.empty()) << lost.size() << " of " << now.size()
                            << " findings are not in history, first: " << lost.front();
  EXPECT_TRUE(more.empty()) << more.size() << " findings are in history only, first: " << more.front();
}

}  // namespace
}  // namespace bavn::hunt
