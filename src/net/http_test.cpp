#include "net/http.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "base/log.hpp"
#include "net/health.hpp"

namespace bavn::net {

namespace {

Reply ask(const Router& router, Request request) {
  std::optional<Reply> got;
  router.handle(std::move(request), [&](Reply r) { got = std::move(r); });
  EXPECT_TRUE(got) << "an answer was due at once";
  return got.value_or(Reply{});
}

Reply ask(const Router& router, Method method, std::string_view target) {
  auto request = request_for(method, target);
  EXPECT_TRUE(request) << to_string(request.error());
  return ask(router, std::move(*request));
}

Handler says(std::string what) {
  return [what](const Request&) { return text(what); };
}

}  // namespace

TEST(Router, FindsRoutesAndTheirParameters) {
  Router r;
  r.get("/", Needs::anyone, says("root"));
  r.get("/api/alerts/{id}", Needs::anyone,
        [](const Request& q) { return text("alert " + std::string(q.param("id"))); });
  r.get("/api/alerts/count", Needs::anyone, says("count"));
  r.get("/api/alerts/{id}/notes/{note}", Needs::anyone,
        [](const Request& q) { return text(std::string(q.param("id")) + ":" + std::string(q.param("note"))); });
  EXPECT_EQ(ask(r, Method::get, "/").body, "root");
  EXPECT_EQ(ask(r, Method::get, "/api/alerts/7").body, "alert 7");
  EXPECT_EQ(ask(r, Method::get, "/api/alerts/count").body, "count");
  EXPECT_EQ(ask(r, Method::get, "/api/alerts/a%20b/notes/%C3%A6").body, "a b:\xC3\xA6");
  EXPECT_EQ(ask(r, Method::get, "/api/alerts/").status, 404);
  EXPECT_EQ(ask(r, Method::get, "/api/alerts").status, 404);
  EXPECT_EQ(ask(r, Method::get, "/api/alerts/7/notes").status, 404);
  EXPECT_EQ(ask(r, Method::get, "/api/alerts/7/notes/1/2").status, 404);
}

TEST(Router, TheRestOfAPathIsOneParameterWithItsSlashes) {
  Router r;
  r.get("/misp/{rest...}", Needs::anyone, says("rest"));
  r.get("/misp/fixed", Needs::anyone, says("fixed"));
  std::map<std::string, std::string, std::less<>> params;
  const auto deep = r.match(Method::get, "/misp/events/view/5/a:1", params);
  ASSERT_TRUE(deep);
  EXPECT_EQ((*deep)->pattern, "/misp/{rest...}");
  EXPECT_EQ(params["rest"], "events/view/5/a:1");
  const auto fixed = r.match(Method::get, "/misp/fixed", params);
  ASSERT_TRUE(fixed);
  EXPECT_EQ((*fixed)->pattern, "/misp/fixed");
  EXPECT_FALSE(r.match(Method::get, "/misp", params));
  EXPECT_FALSE(r.match(Method::get, "/misp/", params));
  EXPECT_FALSE(r.match(Method::get, "/mispelt/events", params));
}

TEST(Router, AnotherMethodIs405AndSaysWhichArePossible) {
  Router r;
  r.get("/a", Needs::anyone, says("get"));
  r.post("/a", Needs::anyone, says("post"));
  const Reply reply = ask(r, Method::del, "/a");
  EXPECT_EQ(reply.status, 405);
  EXPECT_EQ(*reply.headers.find("allow"), "GET, POST");
  EXPECT_EQ(ask(r, Method::head, "/a").status, 200) << "HEAD is served where GET is";
}

TEST(Router, NobodyPassesWithoutTheRightTheRouteNeeds) {
  Router r;
  r.get("/open", Needs::anyone, says("hello"));
  r.get("/alerts", Needs::alert_read, [](const Request& q) { return text(q.scope.who()); });
  EXPECT_EQ(ask(r, Method::get, "/alerts").status, 403) << "no authenticator: nobody has rights";
  r.authenticate([](const Request& q) -> Result<event::Scope> {
    const std::string* who = q.headers.find("Authorization");
    if (!who) return fail(Code::forbidden, "no credentials");
    if (*who == "reader")
      return event::Scope("reader", {}, static_cast<std::uint32_t>(event::Right::alert_read), event::Tlp::green);
    return event::Scope("stranger", {}, 0, event::Tlp::clear);
  });
  EXPECT_EQ(ask(r, Method::get, "/alerts").status, 401);
  EXPECT_EQ(ask(r, Method::get, "/open").body, "hello") << "what anyone may see needs no credentials";
  Request request = *request_for(Method::get, "/alerts");
  request.headers.set("authorization", "stranger");
  EXPECT_EQ(ask(r, request).status, 403);
  request.headers.set("AUTHORIZATION", "reader");
  EXPECT_EQ(ask(r, request).body, "reader");
}

TEST(Router, AHandlerThatThrowsIsAnsweredAndLogged) {
  log::Capture log;
  Router r;
  r.get("/bad", Needs::anyone, [](const Request&) -> Reply { throw std::runtime_error("out of luck"); });
  const Reply reply = ask(r, Method::get, "/bad");
  EXPECT_EQ(reply.status, 500);
  EXPECT_EQ(reply.body.find("luck"), std::string::npos) << "the inside is not told to strangers";
  EXPECT_NE(log.lines().find("handler_failed"), std::string::npos);
}

TEST(Router, AStreamIsOpenedOnlyForWhoMayFollow) {
  Router r;
  int opened = 0;
  r.stream("/stream", Needs::follow, [&](const Request&, std::shared_ptr<EventStream>) { ++opened; });
  std::optional<Reply> refused;
  r.open_stream(*request_for(Method::get, "/stream"), nullptr, [&](Reply reply) { refused = std::move(reply); });
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 403);
  r.authenticate([](const Request&) -> Result<event::Scope> { return event::Scope::local_owner(); });
  r.open_stream(*request_for(Method::get, "/stream"), nullptr, [&](Reply) { FAIL(); });
  EXPECT_EQ(opened, 1);
}

TEST(Problem, HasStatusTypeAndPointerOfTheError) {
  const Reply reply = problem(Error{Code::bad_input, "the number is out of range", "/answers/0/hits"});
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(*reply.headers.find("content-type"), "application/problem+json");
  EXPECT_EQ(reply.body, R"({"type":"/problems/bad-input","title":"Bad request","status":400,)"
                        R"("detail":"the number is out of range",)"
                        R"("errors":[{"pointer":"/answers/0/hits","detail":"the number is out of range"}]})");
  EXPECT_EQ(problem(Error{Code::conflict, "x", ""}).status, 409);
  EXPECT_TRUE(problem(Error{Code::unavailable, "x", ""}).headers.find("Retry-After"));
}

TEST(Target, PathAndQueryAreDecodedOnce) {
  const auto q = request_for(Method::get, "/a%2525/b?x=1&y=a+b%2B&x=2&empty=&flag");
  ASSERT_TRUE(q);
  EXPECT_EQ(q->path, "/a%25/b");
  EXPECT_EQ(q->asked("x"), "1");
  EXPECT_EQ(q->asked("y"), "a b+");
  EXPECT_EQ(q->asked("empty"), "");
  EXPECT_EQ(q->asked("flag"), "");
  EXPECT_FALSE(q->asked("z"));
  EXPECT_EQ(request_for(Method::get, "http://hub.example.org/x?y=1")->path, "/x");
  EXPECT_EQ(request_for(Method::get, "https://hub.example.org")->path, "/");
}

TEST(Target, WhatTwoReadersWouldReadDifferentlyIsRefused) {
  for (const char* bad : {"", "*", "hub:443", "/a%2Fb", "/a%2fb", "/a%00", "/%zz", "/%4", "/a?x=%", "/a?%f=1"})
    EXPECT_FALSE(request_for(Method::get, bad)) << bad;
  std::string many = "/a?";
  for (int i = 0; i < 201; ++i) many += "x" + std::to_string(i) + "=1&";
  EXPECT_FALSE(request_for(Method::get, many));
}

TEST(Target, EncodingAndDecodingAreInverse) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(percent_decoded(percent_encoded(all)), all);
  EXPECT_EQ(percent_encoded("a-z_0.9~/"), "a-z_0.9~%2F");
}

TEST(Health, LiveReadyAndCounters) {
  Router r;
  Metrics metrics;
  metrics.counter("mail_refused", "source=relay-1").add(3);
  bool ready = true;
  add_health_routes(r, metrics, [&]() -> Result<void> {
    if (!ready) return fail(Code::corrupt, "the disk is full");
    return {};
  });
  EXPECT_EQ(ask(r, Method::get, "/livez").status, 200);
  EXPECT_EQ(ask(r, Method::get, "/readyz").status, 200);
  ready = false;
  const Reply reply = ask(r, Method::get, "/readyz");
  EXPECT_EQ(reply.status, 503);
  EXPECT_NE(reply.body.find("the disk is full"), std::string::npos);
  EXPECT_EQ(ask(r, Method::get, "/metrics").status, 403);
  r.authenticate([](const Request&) -> Result<event::Scope> { return event::Scope::local_owner(); });
  EXPECT_NE(ask(r, Method::get, "/metrics").body.find("bavn_mail_refused_total{source=\"relay-1\"} 3\n"),
            std::string::npos);
}

}  // namespace bavn::net
