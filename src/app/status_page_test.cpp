#include "app/status_page.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace bavn::app {
namespace {

StatusView sample() {
  StatusView v;
  v.title = "Hub of a joint CERT";
  v.version = "0.1.0";
  v.now = from_micros(1'730'000'000'000'000);
  v.since = v.now - std::chrono::minutes(12);
  v.figures = {{"Log entries", "1,204"}, {"Indicators", "1,000,000"}, {"Slowest node", "0.2 s"}};
  v.municipalities = {
      {.code = "0157",
       .name = "Gentofte",
       .state = "connected",
       .last_seen = v.now,
       .behind = 0,
       .open_alerts = 2,
       .private_mb = 61,
       .sources = {{"Sign-ins", "working", "", 240, std::nullopt, 10'231, 0},
                   {"Mail trace", "working", "", 1'260, std::nullopt, 20'400, 3}},
       .alerts = {{"Odd sign-in, then the mailbox is made to hide or leak", "high", "anna@example.org", 3, v.now}}},
      {.code = "0173",
       .name = "Lyngby-Taarbæk",
       .state = "connected",
       .last_seen = v.now,
       .behind = 2,
       .open_alerts = 0,
       .private_mb = 58,
       .sources = {{"Sign-ins", "failing", "permission AuditLog.Read.All is missing", std::nullopt, std::nullopt, 0,
                    0}},
       .alerts = {}},
      {.code = "0766",
       .name = "Hedensted",
       .state = "away",
       .last_seen = v.now - std::chrono::hours(3),
       .behind = 0,
       .open_alerts = 0,
       .private_mb = 0,
       .sources = {},
       .alerts = {}},
      {.code = "0482",
       .name = "Langeland",
       .state = "never",
       .last_seen = {},
       .behind = 0,
       .open_alerts = 0,
       .private_mb = 0,
       .sources = {},
       .alerts = {}}};
  v.waves = {
      {.title = "Mail from gentofte.example to 6 municipalities",
       .state = "warned",
       .severity = "critical",
       .first = v.now - std::chrono::minutes(9),
       .figures = {{"Municipalities", "6"}, {"Mails", "1,426"}, {"Minutes to notice", "3.9"}, {"Answers", "5 of 6"}},
       .steps = {"08:03:54 noticed by Gentofte", "08:03:54 every receiver has its Message-IDs",
                 "08:03:55 warned without a person: the account shows signs of a takeover"}}};
  v.commands = {"bavn alerts --data build/demo/hub/guests/0157", "bavn hub status --data build/demo/hub"};
  return v;
}

TEST(StatusPage, SaysHowManyAreConnectedAndWhatBurns) {
  const std::string html = status_html(sample());
  if (const char* out = std::getenv("BAVN_STATUS_SAMPLE")) std::ofstream(out) << html;
  EXPECT_NE(html.find("2 of 4 connected. 2 open alerts."), std::string::npos);
  EXPECT_NE(html.find("tile burns"), std::string::npos);
  EXPECT_NE(html.find("away for 3 h"), std::string::npos);
  EXPECT_NE(html.find("connected, 2 behind"), std::string::npos);
  EXPECT_LT(html.find("What burns"), html.find("Log entries")) << "what burns stands first";
  EXPECT_NE(html.find("<dt>Minutes to notice</dt><dd>3.9</dd>"), std::string::npos);
}

TEST(StatusPage, WhatComesFromOutsideIsText) {
  StatusView v = sample();
  v.municipalities[0].alerts[0].about = "<script>alert(1)</script>\"'&";
  v.municipalities[1].sources[0].text = "<b onmouseover=\"x\">";
  const std::string html = status_html(v);
  EXPECT_EQ(html.find("<script>alert"), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"), std::string::npos);
  EXPECT_EQ(html.find("<b on"), std::string::npos);
}

TEST(StatusPage, TheSameAsJson) {
  const std::string json = status_json(sample());
  EXPECT_NE(json.find(R"("state":"away","last_seen":")"), std::string::npos);
  EXPECT_NE(json.find(R"("open_alerts":2)"), std::string::npos);
}

TEST(StatusPage, DurationsAreShort) {
  EXPECT_EQ(plain_duration(-3), "0 s");
  EXPECT_EQ(plain_duration(119), "119 s");
  EXPECT_EQ(plain_duration(3600), "60 min");
  EXPECT_EQ(plain_duration(3 * 86400), "3 days");
}

}  // namespace
}  // namespace bavn::app
