#include "exchange/misp/outward.hpp"

#include <gtest/gtest.h>

#include "base/temp_folder.hpp"
#include "exchange/misp/render.hpp"
#include "match/indicators/load.hpp"

namespace bavn::exchange::misp {
namespace {

namespace mi = match::indicators;
using event::Kind;
using event::Tlp;

const Org kOwn{1, "11111111-2222-4333-8444-555555555555", "Test CERT", true};

Known known(std::int64_t id, Kind kind, std::string value, Tlp tlp, std::string source = "Test CERT") {
  Known k;
  k.id = id;
  k.indicator = {.kind = kind, .value = std::move(value), .source = std::move(source), .tlp = tlp, .comment = "why"};
  k.changed = *parse_time("2026-05-01T08:00:00Z") + std::chrono::seconds(id);
  return k;
}

std::vector<Known> one_of_each() {
  const std::pair<Kind, const char*> values[] = {
      {Kind::domain, "evil.example"},
      {Kind::url, "evil.example/a?b=c"},
      {Kind::ipv4, "192.0.2.1"},
      {Kind::ipv6, "2001:db8::1"},
      {Kind::cidr, "198.51.100.0/24"},
      {Kind::md5, "0cc175b9c0f1b6a831c399e269772661"},
      {Kind::sha1, "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"},
      {Kind::sha256, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},
      {Kind::email, "a@evil.example"},
      {Kind::message_id, "1234@evil.example"},
      {Kind::subject, "your invoice"},
      {Kind::file_name, "invoice.exe"},
      {Kind::user_agent, "EvilBot/1.0"},
      {Kind::asn, "AS64500"},
      {Kind::ja3, "e7d705a3286e19ea42f587b344ee6865"},
      {Kind::app_id, "com.example.evil"},
      {Kind::bank_account, "DK5000400440116243"},
      {Kind::phone, "+4512345678"},
      {Kind{}, "[domain-name:value = 'x.example' AND url:value = 'http://y.example/']"},
  };
  std::vector<Known> out;
  for (const auto& [kind, value] : values)
    out.push_back(known(static_cast<std::int64_t>(out.size()) + 1, kind, value, Tlp::green));
  return out;
}

std::vector<mi::Indicator> read_back(std::string_view text) {
  std::vector<mi::Indicator> back;
  const auto report = mi::load_bytes(text, "file", [&](const mi::Indicator& i) -> Result<void> {
    back.push_back(i);
    return {};
  });
  EXPECT_TRUE(report) << to_string(report.error());
  if (report) {
    EXPECT_EQ(report->format, "misp");
    for (const auto& [why, r] : report->refused) ADD_FAILURE() << why << ": " << r.first_value;
    for (const auto& [why, r] : report->skipped) ADD_FAILURE() << why << ": " << r.first_value;
  }
  return back;
}

TEST(MispView, IsReadBackByOurOwnReader) {
  const auto all = one_of_each();
  const auto text = misp_view(kOwn).write(all, {.ceiling = Tlp::green});
  ASSERT_TRUE(text);
  const auto back = read_back(*text);
  ASSERT_EQ(back.size(), all.size());
  for (std::size_t n = 0; n < all.size(); ++n) {
    EXPECT_EQ(back[n].kind, all[n].indicator.kind) << all[n].indicator.value;
    EXPECT_EQ(back[n].value, all[n].indicator.value);
    EXPECT_EQ(back[n].source, all[n].indicator.source);
    EXPECT_EQ(back[n].tlp, all[n].indicator.tlp);
    EXPECT_EQ(back[n].comment, all[n].indicator.comment);
  }
  EXPECT_EQ(*text, *misp_view(kOwn).write(all, {.ceiling = Tlp::green})) << "the same knowledge is the same file";
}

TEST(MispView, NothingAboveTheCeilingIsInIt) {
  const std::vector<Known> all = {known(1, Kind::domain, "clear.example", Tlp::clear),
                                  known(2, Kind::domain, "green.example", Tlp::green),
                                  known(3, Kind::domain, "amber.example", Tlp::amber, "Other"),
                                  known(4, Kind::domain, "strict.example", Tlp::amber_strict)};
  for (const Tlp ceiling : {Tlp::clear, Tlp::green, Tlp::amber}) {
    const auto text = misp_view(kOwn).write(all, {.ceiling = ceiling});
    ASSERT_TRUE(text);
    for (const Known& k : all)
      EXPECT_EQ(text->find(k.indicator.value) != std::string::npos, k.indicator.tlp <= ceiling) << k.indicator.value;
    for (const mi::Indicator& i : read_back(*text)) EXPECT_LE(i.tlp, ceiling);
  }
}

TEST(MispFeedFolder, IsReadAsAFeedAndForgetsWhatIsGone) {
  TempFolder folder;
  DiskFiles files;
  const std::string at = (folder.path() / "feed").string();
  std::vector<Known> all = one_of_each();
  all.push_back(known(90, Kind::domain, "other.example", Tlp::clear, "Other"));
  const auto first = write_feed(files, at, *misp_view(kOwn).write(all, {.ceiling = Tlp::green}));
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_EQ(first->events, 2U);
  EXPECT_EQ(first->hashes, all.size());
  std::size_t read = 0;
  const auto report = mi::load_file(at, [&](const mi::Indicator&) -> Result<void> {
    ++read;
    return {};
  });
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_EQ(report->format, "misp_feed");
  EXPECT_EQ(read, all.size());
  EXPECT_NE(read_file(files, at + "/hashes.csv", 1U << 20U)->find(md5_hex("other.example") + ","), std::string::npos);

  all.pop_back();  // withdrawn: nothing of it is left behind in the folder
  const auto second = write_feed(files, at, *misp_view(kOwn).write(all, {.ceiling = Tlp::green}));
  ASSERT_TRUE(second) << to_string(second.error());
  EXPECT_EQ(second->events, 1U);
  EXPECT_EQ(second->removed, 1U);
  EXPECT_EQ(files.list(at)->size(), 3U);

  ASSERT_TRUE(replace_file(files, at + "/manifest.json", "[1]"));
  EXPECT_EQ(write_feed(files, at, "{\"response\":[]}").error().code, Code::conflict);
}

}  // namespace
}  // namespace bavn::exchange::misp
