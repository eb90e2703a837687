#include "input/sources/microsoft365/page.hpp"

#include <gtest/gtest.h>

namespace bavn::input::microsoft365 {
namespace {

const PageShape kSignIns{.time = "createdDateTime", .key = {"id"}};

TEST(Page, RecordsLeaveAsTheyCameOneALine) {
  const auto page =
      read_page(R"({"@odata.context":"x","@odata.count":2,"@odata.nextLink":"https://graph.example.org/next",
    "value":[ {"id":"a","createdDateTime":"2026-03-02T07:38:12Z","n":1.50,
      "text":"two  spaces\n"} , {"id":"b","createdDateTime":"bad"} , 7 ]})",
                kSignIns);
  ASSERT_TRUE(page) << to_string(page.error());
  ASSERT_EQ(page->records.size(), 2U);
  EXPECT_EQ(page->records[0].line,
            R"({"id":"a","createdDateTime":"2026-03-02T07:38:12Z","n":1.50,"text":"two  spaces\n"})");
  EXPECT_EQ(format_time(page->records[0].at), "2026-03-02T07:38:12Z");
  EXPECT_EQ(page->records[1].at, Instant{});
  EXPECT_EQ(page->next, "https://graph.example.org/next");
  EXPECT_EQ(page->count, 2U);
  EXPECT_EQ(page->no_objects, 1U);
  EXPECT_NE(page->records[0].key, page->records[1].key);
}

TEST(Page, HalfAPageIsAnErrorAndNoRecordOfItIsTaken) {
  const std::string whole = R"({"value":[{"id":"a","createdDateTime":"2026-03-02T07:38:12Z"},{"id":"b"}]})";
  ASSERT_TRUE(read_page(whole, kSignIns));
  for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(read_page(whole.substr(0, n), kSignIns)) << n;
}

TEST(Page, AWebPageIsNamedAsSuch) {
  const auto page =
      read_page("\n<!DOCTYPE html><html><head><title>Sign in to the proxy</title></head></html>", kSignIns);
  ASSERT_FALSE(page);
  EXPECT_NE(page.error().what.find("Sign in to the proxy"), std::string::npos);
}

TEST(Page, AListWhereNoneIsSaysSo) {
  EXPECT_FALSE(read_page("{}", kSignIns));
  EXPECT_FALSE(read_page(R"({"value":"many"})", kSignIns));
  EXPECT_FALSE(read_page("[]", kSignIns));
  const auto blob = read_page(R"([{"Id":"1","CreationTime":"2026-03-02T07:39:51"}])",
                              PageShape{.list = "", .time = "CreationTime", .key = {"Id"}});
  ASSERT_TRUE(blob);
  EXPECT_EQ(format_time(blob->records.at(0).at), "2026-03-02T07:39:51Z");
}

TEST(Page, WhatIsAddedStandsFirst) {
  const PageShape shape{
      .list = "results", .time = "Timestamp", .key = {"ReportId"}, .adds = "\"Type\":\"EmailEvents\","};
  const auto page = read_page(R"({"schema":[],"results":[{"ReportId":"1"},{}]})", shape);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->records[0].line, R"({"Type":"EmailEvents","ReportId":"1"})");
  EXPECT_EQ(page->records[1].line, R"({"Type":"EmailEvents"})");
}

TEST(Page, ErrorsAreReadInTheThreeShapesTheyCome) {
  const auto graph = read_error(
      R"({"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges","innerError":{}}})");
  EXPECT_EQ(graph.code, "Authorization_RequestDenied");
  const auto token = read_error(
      R"({"error":"invalid_client","error_description":"AADSTS700027: no such key","error_codes":[700027]})");
  EXPECT_EQ(token.message, "AADSTS700027: no such key");
  EXPECT_EQ(read_error("<html>").code, "");
  EXPECT_EQ(read_error("").message, "");
}

}  // namespace
}  // namespace bavn::input::microsoft365
