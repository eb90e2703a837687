#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/content.hpp"
#include "base/text.hpp"
#include "warn/case.hpp"
#include "warn/testing.hpp"

namespace bavn::warn {
namespace {

std::vector<event::WarningText> texts(const Case& c, Phase phase = Phase::sent) {
  return texts_of(Catalogue::embedded(), checked(c).value().c, phase);
}
bool holds(const event::WarningText& t, std::string_view what) {
  const auto in = [&](const std::string& s) { return s.find(what) != std::string::npos; };
  return in(t.title) || in(t.summary) || in(t.for_employees) || in(t.sms) ||
         std::any_of(t.do_now.begin(), t.do_now.end(), in) || std::any_of(t.reasons.begin(), t.reasons.end(), in);
}
bool advises(const Case& c, Advice a) {
  const auto all = advice_for(checked(c).value().c);
  return std::find(all.begin(), all.end(), a) != all.end();
}

TEST(WarningTexts, OctoberReadsAsInTheDocumentation) {
  std::ifstream file(BAVN_SOURCE_DIR "/docs/warnings.md");
  std::stringstream docs;
  docs << file.rdbuf();
  const auto c = read_case(std::string(content::file("content/warnings/october_2024.json").value())).value();
  const auto words = Catalogue::embedded();
  for (const auto& t : texts(c))
    EXPECT_NE(docs.str().find(printed(words, t)), std::string::npos)
        << "docs/warnings.md shows another text than `bavn warnings text --case content/warnings/october_2024.json "
           "--language "
        << t.language << "` prints:\n"
        << printed(words, t);
}

TEST(WarningTexts, EveryAdviceHasItsReasonInEveryLanguage) {
  Case c = october();
  c.look_for.push_back({"url", "https://pay.evil.example/x"});
  c.look_for.push_back({"domain", "behind.example"});
  c.look_for.push_back({"sha256", std::string(64, 'a')});
  c.look_for.push_back({"file_name", "Faktura.html"});
  c.look_for.push_back({"bank_account", "DK5000400440116243"});
  c.behind_others = {"behind.example"};
  for (const char* kind : {"inbox_rule", "device_code", "qr_code"}) c.signs.push_back({"payload", kind, 0, {}});
  for (const auto& t : texts(c)) {
    EXPECT_EQ(t.do_now.size(), 15U);
    ASSERT_EQ(t.do_now.size(), t.reasons.size());
    for (const auto& r : t.reasons) EXPECT_FALSE(r.empty());
    EXPECT_FALSE(holds(t, "{"));
  }
}

TEST(WarningTexts, AnSmsFitsIntoOneMessage) {
  for (const auto& from : {std::string("gentofte.dk"), std::string(50, 'a') + "." + std::string(60, 'b') + ".example"})
    for (const bool named : {true, false})
      for (const auto phase : {Phase::sent, Phase::over, Phase::withdrawn})
        for (const char* trigger : {"sender_notice", "digest"}) {
          Case c = october();
          c.trigger = trigger;
          c.from_domain = std::string(trigger) == "digest" ? "" : from;
          c.may_be_named = named;
          for (const std::int64_t seen : {c.first_seen_us, std::int64_t{0}}) {
            c.first_seen_us = seen;  // 0: a person who wrote it did not know
            for (const auto& t : texts(c, phase)) {
              std::size_t characters = 0;
              for (const char b : t.sms) characters += (static_cast<unsigned char>(b) & 0xC0U) != 0x80U;
              EXPECT_LE(characters, 160U) << t.sms;
              EXPECT_EQ(t.sms.find("?"), std::string::npos) << t.sms;
              EXPECT_EQ(t.sms.find('{'), std::string::npos) << t.sms;
            }
          }
        }
}

TEST(WarningTexts, ASharedHostIsNeverToBeBlockedItsPathIs) {
  const auto t = texts(october())[2];
  EXPECT_TRUE(holds(t, "Block bio[.]link/orbes in proxy, firewall or Defender, but not all of bio[.]link."));
  EXPECT_FALSE(advises(october(), Advice::block_host));
  Case c = october();
  c.look_for = {{"url", "https://evil.example/a"}, {"url", "https://evil.example/b"}};
  EXPECT_TRUE(advises(c, Advice::block_host));
  EXPECT_FALSE(advises(c, Advice::block_path));
  c.behind_others = {"evil.example"};
  EXPECT_TRUE(advises(c, Advice::block_name));
  EXPECT_FALSE(advises(c, Advice::block_host));
  c.look_for = {{"domain", "bio.link"}};
  EXPECT_FALSE(advises(c, Advice::block_path)) << "nothing of a shared host alone can be blocked";
  c.look_for = {{"url", "https://sites.gentofte.dk/x"}};
  EXPECT_FALSE(advises(c, Advice::block_host)) << "a member's host";
}

TEST(WarningTexts, AdviceFollowsTheCase) {
  Case c;
  c.campaign = "c";
  EXPECT_EQ(advice_for(checked(c).value().c), (std::vector{Advice::purge, Advice::report_not_delete}));
  EXPECT_TRUE(advises(october(), Advice::apps));
  EXPECT_FALSE(advises(october(), Advice::rules));
  EXPECT_FALSE(advises(october(), Advice::qr_code));
  EXPECT_TRUE(advises(october(), Advice::call_known));
  const auto all = advice_for(october());
  EXPECT_LT(std::find(all.begin(), all.end(), Advice::apps), std::find(all.begin(), all.end(), Advice::end_sessions))
      << "an app with its own secret goes on when sessions are ended";
}

TEST(WarningTexts, WithoutItsConsentNothingNamesTheSender) {
  Case c = october();
  c.may_be_named = false;
  c.from_address = "anna@gentofte.dk";
  c.look_for.push_back({"email", "anna@gentofte.dk"});
  c.look_for.push_back({"mail_domain", "gentofte.dk"});
  c.look_for.push_back({"url", "https://www.gentofte.dk/x"});
  const auto ok = checked(c).value();
  EXPECT_EQ(ok.left_out, 3U);
  EXPECT_EQ(ok.c.look_for.size(), 1U);
  for (const auto& t : texts(c)) EXPECT_FALSE(holds(t, "gentofte"));
  c.may_be_named = true;
  EXPECT_EQ(checked(c).value().left_out, 0U);
  for (const auto& t : texts(c)) EXPECT_TRUE(holds(t, "gentofte.dk"));
}

TEST(WarningTexts, TheEndSaysThatItIsOver) {
  const auto over = texts(october(), Phase::over), gone = texts(october(), Phase::withdrawn);
  EXPECT_EQ(over[0].title, "Afsluttet: Falske mails fra en konto hos gentofte.dk");
  EXPECT_NE(gone[2].summary.find("It was not an attack"), std::string::npos);
  EXPECT_EQ(gone[1].do_now.size(), 1U);
}

// What an attacker could put into a field, each kind of harm once.
const std::vector<std::string>& hostile() {
  static const std::vector<std::string> kAll{
      "<script>alert(1)</script>",
      "{from} {0} {{x}} %s ${jndi:ldap://x} {",
      "a\r\nBcc: all@example.org\r\n\r\nbody",
      "\u202Egnp.exe\u202C \u2066x\u2069 \u200B\uFEFF\u00AD",
      std::string("nul\0in\x1b[31mside\x07", 16),
      "\xff\xfe\xc0\xaf broken",
      "\U000E0041\U000E0042 tags \U0010FFFF",
      "[click](https://evil.example) http://evil.example www.evil.example",
      "e\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301 zalgo",
      "\"quoted\" \\ ' ; DROP TABLE warning; --",
      std::string(10U << 20U, 'A'),
      std::string(1U << 20U, '\n'),
  };
  return kAll;
}

void expect_harmless(const std::string& s) {
  EXPECT_TRUE(is_valid_utf8(s));
  EXPECT_LT(s.size(), 20'000U);
  for (const char* bad : {"<", ">", "http", "](", "www.", "\u202E", "\u2066", "\u200B", "\uFEFF", "\U000E0041"})
    EXPECT_EQ(s.find(bad), std::string::npos) << bad << " in " << s.substr(0, 300);
  for (const char c : s) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n') << int(c);
}

TEST(WarningTexts, HostileTextInEveryFieldIsHarmless) {
  for (const auto& bad : hostile()) {
    Case c = october();
    c.trigger = c.from_domain = c.from_address = bad;
    c.subjects = {bad, bad, bad + "2"};
    c.look_for = {
        {"url", bad}, {bad, "https://bio.link/orbes"}, {"file_name", bad}, {"url", "https://evil.example/" + bad}};
    c.shared_hosts = c.behind_others = c.notices = {bad};
    c.signs = {{bad, bad, 0, bad}, {"payload", "login_form", 0, bad}};
    const auto ok = checked(c);
    ASSERT_TRUE(ok);
    EXPECT_LT(net::to_json(ok->c).size(), 40'000U);
    for (const auto phase : {Phase::sent, Phase::updated, Phase::over, Phase::withdrawn})
      for (const auto& t : texts_of(Catalogue::embedded(), ok->c, phase)) {
        for (const auto* s : {&t.title, &t.summary, &t.for_employees, &t.sms}) expect_harmless(*s);
        for (const auto& s : t.do_now) expect_harmless(s);
        for (const auto& s : t.reasons) expect_harmless(s);
      }
    c.campaign = bad;
    EXPECT_FALSE(checked(c)) << "an id is a word";
    c = october();
    c.severity = bad;
    EXPECT_FALSE(checked(c));
    c = october();
    c.tlp = bad;
    EXPECT_FALSE(checked(c));
    expect_harmless(harmless(bad, 200));
    expect_harmless(harmless_lines(bad, 2000));
    event::WarningAnswer a;
    a.state = "seen_here";
    a.hits = 3;
    a.looked_in = a.cannot_see = {bad};
    expect_harmless(answer_line(Catalogue::embedded(), Language::da, a));
  }
  EXPECT_EQ(harmless(std::string(500, 'a'), 10), std::string(10, 'a') + "…");
  EXPECT_EQ(harmless("see FTP://evil.example/x", 50), "see FxP://evil.example/x");
  EXPECT_EQ(defanged("ftp://evil.example/a.b"), "fxp://evil[.]example/a.b");
  EXPECT_EQ(defanged("HTTPS://evil.example/a.b"), "hxxps://evil[.]example/a.b");
  EXPECT_EQ(defanged("ldap://evil.example/a.b"), "ldap[:]//evil[.]example/a.b");
  EXPECT_EQ(defanged("bio.link/orbes"), "bio[.]link/orbes");
  EXPECT_EQ(defanged("bio.link/r?to=http://x.example/"), "bio[.]link/r?to=http://x.example/");
  EXPECT_EQ(harmless("  to \t lines \n here ", 50), "to lines here");
  EXPECT_EQ(harmless_lines("a\n\n\n\n\nb \n", 50), "a\n\nb");
  EXPECT_EQ(harmless("æøå ÆØÅ – 5 %", 50), "æøå ÆØÅ – 5 %");
}

TEST(WarningTexts, AnAnswerSaysOnlyWhatIsKnown) {
  const auto words = Catalogue::embedded();
  event::WarningAnswer a;
  a.state = "not_seen";
  a.looked_in = {"message_trace", "dns"};
  a.cannot_see = {"proxy"};
  EXPECT_EQ(answer_line(words, Language::da, a),
            "ikke set i Microsofts message trace og DNS-log; kan ikke se: proxylog.");
  a.state = "cannot_know";
  a.looked_in.clear();
  EXPECT_EQ(answer_line(words, Language::en, a),
            "we cannot know: none of the logs that could show it is connected; cannot see: proxy logs.");
  a.state = "seen_here";
  a.hits = 1426;
  a.clicks = 1;
  a.looked_in = {"message_trace"};
  a.cannot_see.clear();
  a.purged = 1400;
  a.purge_left = 26;
  EXPECT_EQ(answer_line(words, Language::en, a),
            "1,426 mails seen in Microsoft's message trace; one person opened the link; 1,400 mails removed, 26 left.");
}

TEST(CaseFile, SaysWhatIsWrong) {
  EXPECT_FALSE(read_case("{"));
  const auto unknown = read_case(R"({"severity":"high","look_for":[],"sevrity":"x"})");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().where, "/sevrity");
  EXPECT_TRUE(read_case(R"({"severity":"high","look_for":[]})"));
  EXPECT_FALSE(checked(read_case(R"({"severity":"bad","look_for":[]})").value()));
}

}  // namespace
}  // namespace bavn::warn
