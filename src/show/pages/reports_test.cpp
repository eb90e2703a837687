#include "show/pages/reports.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"
#include "net/json_value.hpp"
#include "show/pages/pages.hpp"

namespace bavn::show::pages {
namespace {

using net::Method;
using net::Reply;
using net::Request;

struct World {
  World() {
    desk.add_routes(router);
    state->start();
  }
  ~World() { state->stop(); }
  Reply ask(Method method, std::string_view target, std::string body = {}, const char* from = "192.0.2.7") {
    Request q = net::request_for(method, target).value();
    q.peer.address = from;
    q.body = std::move(body);
    std::optional<Reply> reply;
    router.handle(std::move(q), [&](Reply r) { reply = std::move(r); });
    sim.run_until([&] { return reply.has_value(); }, std::chrono::seconds(10));
    return reply.value_or(Reply{.status = 0});
  }
  /// The page one is sent to.
  std::string report(const std::string& body, const char* from = "192.0.2.7") {
    const Reply r = ask(Method::post, "/report?language=en", body, from);
    EXPECT_EQ(r.status, 303) << r.body;
    const std::string* where = r.headers.find("Location");
    return where == nullptr ? "" : *where;
  }
  std::string thanks(const std::string& where) { return ask(Method::get, where).body; }

  Sim sim{1};
  Catalogue texts = Catalogue::embedded();
  std::unique_ptr<store::State> state = store::State::open(sim, {.path = ":memory:", .schema = {"core"}}).value();
  std::vector<std::string> delivered;
  Result<void> answer{};
  ReportDesk desk{sim, *state, texts,
                  [this](std::string lines, std::string, std::move_only_function<void(Result<void>)> done) {
                    if (answer) delivered.push_back(std::move(lines));
                    done(answer);
                  }};
  net::Router router;
};

TEST(Reports, TheFirstIsToldThatTheyWereTheFirstOfAll) {
  World w;
  const std::string first =
      w.report("sender=IT+%3Cit%40evil.example%3E&subject=Faktura&reporter=anna%40kommune.example&did=read");
  EXPECT_NE(w.thanks(first).find("You are the first to report this mail."), std::string::npos);
  const std::string second = w.report("sender=it%40EVIL.example&subject=+faktura&reporter=bo%40kommune.example");
  EXPECT_NE(w.thanks(second).find("1 colleague reported it before you."), std::string::npos);
  w.report("sender=it%40evil.example&subject=FAKTURA", "192.0.2.8");
  EXPECT_NE(w.thanks(first).find("You were the first of 3."), std::string::npos);
  EXPECT_EQ(w.report("sender=it%40evil.example&subject=faktura&reporter=anna%40kommune.example"), first)
      << "twice is once";
  EXPECT_NE(w.thanks(first).find("You were the first of 3."), std::string::npos);
  const std::string other = w.report("sender=it%40other.example&subject=faktura&reporter=bo%40kommune.example");
  EXPECT_NE(w.thanks(other).find("You are the first to report"), std::string::npos);
}

TEST(Reports, WhatIsTypedIsTwoRecordsAndAWarningToTheEmployee) {
  World w;
  const std::string where =
      w.report("sender=it%40evil.example&link=https%3A%2F%2Fevil.example%2Flogin%2F&did=typed&note=hej");
  ASSERT_EQ(w.delivered.size(), 1U);
  const auto lines = w.delivered[0];
  EXPECT_TRUE(lines.starts_with(R"({"bavn_report":"reported","at":"2024-10-01T08:00:00.)")) << lines;
  EXPECT_NE(lines.find("\n{\"bavn_report\":\"clicked\""), std::string::npos) << lines;
  EXPECT_NE(lines.find(R"("link":"evil.example/login")"), std::string::npos) << lines;
  EXPECT_NE(w.thanks(where).find("Change your password now"), std::string::npos);
  EXPECT_EQ(w.thanks(w.report("sender=x%40evil.example&did=read")).find("Change your password now"), std::string::npos);
}

TEST(Reports, PastedHeadersSayWhichMailItIs) {
  const auto read = read_report(
      "headers=Received%3A+x%0D%0AFrom%3A+%22IT%22+%3CIT%40Evil.example%3E%0D%0Amessage-id%3A%0D%0A+%3Ca.b%40evil."
      "example%3E"
      "%0D%0ASubject%3A+Hej%0D%0A+Anna%0D%0A%0D%0AMessage-ID%3A+%3Cother%3E");
  EXPECT_TRUE(read.faults.empty());
  EXPECT_EQ(read.report.message_id, "a.b@evil.example");
  EXPECT_EQ(read.report.sender, "it@evil.example");
  EXPECT_EQ(read.report.subject, "Hej Anna");
}

TEST(Reports, WhatIsMissingIsSaidAtItsFieldAndNothingTypedIsLost) {
  World w;
  const Reply r =
      w.ask(Method::post, "/report?language=da", "subject=Min+%C3%A6ble&reporter=ikke-en-adresse&did=opened");
  EXPECT_EQ(r.status, 422);
  EXPECT_TRUE(w.delivered.empty());
  EXPECT_NE(r.body.find("<a href=\"#sender\">"), std::string::npos);
  EXPECT_NE(r.body.find("aria-describedby=\"reporter-hint reporter-fault\" aria-invalid=\"true\""), std::string::npos)
      << r.body;
  EXPECT_NE(r.body.find("value=\"Min æble\""), std::string::npos);
  EXPECT_NE(r.body.find("value=\"opened\" checked"), std::string::npos);
}

TEST(Reports, NothingHostileComesBackAsMarkup) {
  World w;
  const std::string evil = "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%00%E2%80%AEgnp%FF";
  const Reply r =
      w.ask(Method::post, "/report", "subject=" + evil + "&reporter=" + evil + "&note=" + evil + "&did=" + evil);
  EXPECT_EQ(r.status, 422);
  EXPECT_EQ(r.body.find("<script"), std::string::npos);
  EXPECT_EQ(r.body.find("\xE2\x80\xAE"), std::string::npos);
  EXPECT_NE(w.report("sender=" + evil), "");
  EXPECT_TRUE(net::JsonDocument::parse(w.delivered.at(0))) << w.delivered[0];
  for (const char* body : {"%", "%ZZ=1", "", "sender", "=&=&", "sender=%C3"})
    EXPECT_NE(w.ask(Method::post, "/report", body).status, 0) << body;
  EXPECT_LE(read_report("sender=" + std::string(300'000, 'a')).report.sender.size(), 254U);
}

TEST(Reports, WhatCannotBeKeptIsNotThankedFor) {
  World w;
  w.answer = fail(Code::unavailable, "the disk is full");
  const Reply r = w.ask(Method::post, "/report?language=nb", "sender=it%40evil.example");
  EXPECT_EQ(r.status, 503);
  EXPECT_NE(r.body.find("it@evil.example"), std::string::npos) << "the form is still filled in";
  EXPECT_EQ(*w.state->read([](store::Reader& x) { return x.number("SELECT count(*) FROM web_report"); }), 0);
}

TEST(Reports, OneAddressCannotFloodTheDesk) {
  World w;
  int taken = 0;
  for (int n = 0; n < 30; ++n)
    taken += w.ask(Method::post, "/report", "sender=it" + std::to_string(n) + "%40evil.example").status == 303 ? 1 : 0;
  EXPECT_EQ(taken, 20);
  EXPECT_EQ(w.ask(Method::post, "/report", "sender=it%40evil.example", "192.0.2.9").status, 303) << "others are heard";
}

TEST(Reports, TheFormIsThereInThreeLanguagesAndWithoutScript) {
  World w;
  for (const auto& [target, language] :
       {std::pair("/report", "en"), {"/anmeld", "da"}, {"/rapporter", "nb"}, {"/report?language=da", "da"}}) {
    const Reply r = w.ask(Method::get, target);
    EXPECT_EQ(r.status, 200);
    EXPECT_NE(r.body.find("<html lang=\"" + std::string(language) + "\">"), std::string::npos) << target;
    EXPECT_EQ(r.body.find("<script"), std::string::npos);
    EXPECT_EQ(r.body.find("style="), std::string::npos);
  }
  EXPECT_EQ(w.ask(Method::get, "/report/thanks/unknown").status, 404);
}

}  // namespace
}  // namespace bavn::show::pages
