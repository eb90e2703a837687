#include "formats/reader.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "formats/render.hpp"
#include "formats/source.hpp"

namespace bavn::formats {
namespace {

struct Read {
  std::vector<std::string> lines;  // rendered, by record
  std::vector<event::Refusal> refusals;
};

Read read(std::string_view bytes, std::size_t chunk = 256U << 10) {
  static const auto catalogue = *Catalogue::builtin();
  event::FieldPlan plan;
  catalogue.add_names(plan);
  event::RouteTable routes;
  ReaderOptions o;
  o.learn = &plan;
  Reader reader(catalogue, plan, routes, o);
  SourceOptions so;
  so.chunk = chunk;
  auto source = Source::of_bytes(bytes, so);
  event::EventBatch batch;
  Read out;
  while (!source->done()) {
    auto c = source->next(batch);
    if (!c) break;
    reader.read(batch, c->from, c->to, c->first_line);
    for (const auto& r : batch.records)
      out.lines.push_back(std::to_string(r.line) + " " + render(batch, r, catalogue, plan, routes));
    for (const auto& r : batch.refusals) out.refusals.push_back(r);
  }
  return out;
}

std::string line(int i) {
  return R"({"seq":)" + std::to_string(i) + R"(,"name":"value )" + std::to_string(i) + "\"}\n";
}

// What a file would give: copied, its lines counted. With lines_are_told they are lent where they lie and counted by who reads them.
TEST(Reader, BytesInMemoryAreReadWhereTheyLieAsTheyAreCopied) {
  std::string all = "\xEF\xBB\xBF";
  for (int i = 0; i < 9000; ++i) {
    all += line(i);
    if (i % 1000 == 7) all += "\n{\"broken\n";
    if (i % 1000 == 511 && i > 6000) all += R"({"long":")" + std::string(90'000, 'x') + "\"}\n";
    if (i == 8000) all += R"({"too_long":")" + std::string(300'000, 'y') + "\"}\n";
  }
  all += R"({"seq":9000,"name":"without a line end"})";
  static const auto catalogue = *Catalogue::builtin();
  const auto read_all = [&](bool lent, std::size_t& in_place) {
    event::FieldPlan plan;
    catalogue.add_names(plan);
    event::RouteTable routes;
    ReaderOptions o;
    o.learn = &plan;
    Reader reader(catalogue, plan, routes, o);
    SourceOptions so;
    so.chunk = 32U << 10U;
    so.max_record = 200'000;
    so.lines_are_told = lent;
    auto source = lent ? Source::of_bytes(all, so) : *Source::of_decoded(all, so);
    event::EventBatch batch;
    std::vector<std::string> out;
    while (!source->done()) {
      const auto c = source->next(batch);
      if (!c) break;
      if (batch.raw.is_lent()) ++in_place;
      source->read_lines(reader.read(batch, c->from, c->to, c->first_line));
      for (const auto& r : batch.records)
        out.push_back(std::to_string(r.line) + " " + render(batch, r, catalogue, plan, routes));
      for (const auto& r : batch.refusals) out.push_back(std::to_string(r.line) + " " + r.reason + " " + r.detail);
    }
    EXPECT_EQ(source->bytes_read(), all.size());
    std::sort(out.begin(), out.end());  // refusals of the source come with another chunk
    return out;
  };
  std::size_t lent = 0, copied = 0;
  const auto there = read_all(true, lent), here = read_all(false, copied);
  EXPECT_EQ(there, here);
  EXPECT_EQ(here.size(), 9000U + 9 + 3 + 1 + 1);
  EXPECT_EQ(copied, 0U);
  EXPECT_GT(lent, 5U);  // until a line is longer than a chunk
}

TEST(Reader, OneBrokenLineAmongAThousandCostsThatLineAlone) {
  for (const char* broken :
       {"{\"a\": \"open\n", "{\"a\":1\n", "{\"a\":tru}\n", "{\"a\":1}}\n", "{\"a\":[1,}\n", "{\"a\" 1}\n",
        "{\"a\":\"x\" \"y\"}\n", "{\n", "{\"a\":\"\x01\"}\n", "{a:1}\n", "{\"a\":1e}x\n"}) {
    std::string all;
    for (int i = 0; i < 500; ++i) all += line(i);
    all += broken;
    for (int i = 500; i < 1000; ++i) all += line(i);
    const Read r = read(all);
    EXPECT_EQ(r.lines.size(), 1000U) << broken;
    ASSERT_EQ(r.refusals.size(), 1U) << broken;
    EXPECT_EQ(r.refusals[0].line, 501U) << broken;
  }
}

TEST(Reader, ABrokenFirstLineCostsThatLineAlone) {
  const Read r = read("{\"a\":1,\n" + line(1) + line(2));
  EXPECT_GE(r.lines.size(), 2U);
  EXPECT_GE(r.refusals.size(), 1U);
}

TEST(Reader, BytesThatAreNotUtf8AreRepairedAndFlagged) {
  std::string all;
  for (int i = 0; i < 10; ++i) all += line(i);
  all += "{\"name\":\"bl\xE5 sk\xE6r\"}\n";
  const Read r = read(all);
  ASSERT_EQ(r.lines.size(), 11U);
  EXPECT_NE(r.lines[10].find("\"repaired\":true"), std::string::npos);
  EXPECT_NE(r.lines[10].find("bl\xC3\xA5 sk\xC3\xA6r"), std::string::npos) << r.lines[10];
  EXPECT_TRUE(r.refusals.empty());
}

TEST(Reader, WhatARecordIsDoesNotHangOnWhatCameBefore) {
  // A JSON record around a line of text shared its place in the cache of routes with a format of text.
  const std::string around =
      R"({"@timestamp":"2026-02-11T08:00:00Z","ecs":{"version":"8.0.0"},"event":{"original":"Feb 11 08:00:00 pc sshd[1]: Failed password for ole from 192.0.2.7 port 22 ssh2"},"log":{"level":"info"}})"
      "\n";
  const std::string lines[] = {R"(192.0.2.7 - - [11/Feb/2026:08:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "made-up/1.0")"
                               "\n",
                               "Feb 11 08:00:00 pc sshd[1]: Failed password for ole from 192.0.2.7 port 22 ssh2\n",
                               "CEF:0|Example|Gateway|2.1|100|Blocked|7|src=192.0.2.31 dst=198.51.100.77\n",
                               "Feb 11 08:00:00 host app[1]: hello\n",
                               "type=USER_LOGIN msg=audit(1770800000.579:2995): pid=1 uid=0 res=failed\n"};
  for (const std::string& one : lines) {
    const Read alone = read(one), after = read(around + one);
    ASSERT_EQ(alone.lines.size(), 1U) << one;
    ASSERT_EQ(after.lines.size(), 2U) << one;
    EXPECT_EQ(after.lines[1].substr(2), alone.lines[0].substr(2));
  }
}

TEST(Reader, NestedArraysAndObjectsKeepTheirPaths) {
  const Read r = read(R"({"a":{"b":[{"c":1},{"c":"two"}],"d":null},"e":[true,false],"f":[],"g":{},"h":"x"})");
  ASSERT_EQ(r.lines.size(), 1U);
  EXPECT_NE(r.lines[0].find(R"("a.b.c":["1","two"])"), std::string::npos) << r.lines[0];
  EXPECT_NE(r.lines[0].find(R"("a.d":null)"), std::string::npos);
  EXPECT_NE(r.lines[0].find(R"("e":["true","false"])"), std::string::npos);
  EXPECT_NE(r.lines[0].find(R"("h":"x")"), std::string::npos);
}

TEST(Reader, TooDeepAndTooLongAreRefusedWithTheReason) {
  std::string deep = "{\"a\":";
  for (int i = 0; i < 100; ++i) deep += "{\"b\":";
  deep += "1";
  for (int i = 0; i < 101; ++i) deep += "}";
  Read r = read(deep + "\n" + line(1));
  EXPECT_EQ(r.lines.size(), 1U);
  ASSERT_EQ(r.refusals.size(), 1U);
  EXPECT_STREQ(r.refusals[0].reason, "json_too_deep");
  const std::string number = "{\"a\":" + std::string(5000, '9') + "}\n";
  r = read(number + line(1));
  EXPECT_EQ(r.lines.size(), 1U);
  ASSERT_EQ(r.refusals.size(), 1U);
  EXPECT_STREQ(r.refusals[0].reason, "json_number_too_long");
  const std::string huge = "{\"a\":\"" + std::string(20U << 20, 'x') + "\"}\n";
  r = read(line(1) + huge + line(2));
  EXPECT_EQ(r.lines.size(), 2U);
  ASSERT_EQ(r.refusals.size(), 1U);
  EXPECT_STREQ(r.refusals[0].reason, "record_too_long");
  EXPECT_EQ(r.refusals[0].line, 2U);
}

TEST(Source, PrettyPrintedArraysAndEnvelopesAreOneRecordEach) {
  EXPECT_EQ(read("{\n  \"a\": 1\n}\n{\n  \"a\": \"two { ] words\"\n}\n").lines.size(), 2U);
  EXPECT_EQ(read("[\n {\"a\":1},\n {\"a\":{\"b\":[1,2]}}\n]\n").lines.size(), 2U);
  EXPECT_EQ(read("[{\"a\":1},{\"a\":2},{\"a\":3}]").lines.size(), 3U);
  EXPECT_EQ(read("{\"a\":\"}{\"}{\"a\":2} {\"a\":[{}]}\n").lines.size(), 3U);  // as Firehose puts them into a bucket
  EXPECT_EQ(read("{\"a\":\"}{\\\"\"}").lines.size(), 1U);
  EXPECT_EQ(read("{\"value\":[{\"a\":1},{\"a\":2}],\"@odata.nextLink\":\"x\"}").lines.size(), 2U);
  EXPECT_EQ(read("{\"@odata.context\":\"c\",\"value\":[{\"a\":1},{\"a\":2}]}").lines.size(), 2U);
  EXPECT_EQ(read("{\n \"records\": [\n {\"a\":1}\n ]\n}").lines.size(), 1U);
  const Read own = read("{\n \"a\": {\"b\": 1},\n \"value\": [{\"c\": 1}]\n}");
  ASSERT_EQ(own.lines.size(), 1U);
  EXPECT_NE(own.lines[0].find("value.c"), std::string::npos);
}

TEST(Source, AnswersOfServicesAndSearchHitsAreTheirRecords) {
  for (const char* text :
       {R"({"@odata.nextLink":"https://x.example/?a=[{","value":[{"a":1},{"a":2}]})",
        R"({"count":2,"value":[{"a":1},{"a":2}]})",
        R"({"took":3,"timed_out":false,"_shards":{"total":1},"hits":{"total":{"value":2},"hits":[
          {"_index":"i","_id":"1","_source":{"a":1}},{"_index":"i","_id":"2","_source":{"a":2},"sort":[1]}]}})",
        "{\n  \"hits\" : {\n    \"hits\" : [\n      {\n        \"_index\" : \"i\",\n        \"_source\" : {\n          "
        "\"a\" : 1\n        }\n      },\n      {\n        \"_index\" : \"i\",\n        \"_source\" : {\n          "
        "\"a\" : "
        "2\n        }\n      }\n    ]\n  }\n}\n",
        "{\"_index\":\"i\",\"_id\":\"1\",\"_score\":1,\"_source\":{\"a\":1}}\n{\"_index\":\"i\",\"_source\":{\"a\":2}}"
        "\n"}) {
    const auto got = read(text);
    EXPECT_EQ(got.lines.size(), 2U) << text;
    EXPECT_EQ(got.refusals.size(), 0U) << text;
    for (const std::string& line : got.lines) {
      EXPECT_EQ(line.find("_source"), std::string::npos) << line;
      EXPECT_NE(line.find("\"a\""), std::string::npos) << line;
    }
  }
  // One broken hit costs itself; a record that only begins like an answer is one record.
  EXPECT_EQ(read("{\"_index\":\"i\",\"_source\":{\"a\":1}}\n{\"_index\":\"i\",\"_source\":{\"a\":}\n"
                 "{\"_index\":\"i\",\"_source\":{\"a\":3}}\n")
                .lines.size(),
            2U);
  EXPECT_EQ(read("{\"count\":2,\"who\":{\"value\":[{\"a\":1},{\"a\":2}]}}\n").lines.size(), 1U);
}

TEST(Source, ChunkBordersDoNotMatter) {
  std::string all;
  for (int i = 0; i < 300; ++i) all += line(i);
  const auto whole = read(all).lines;
  for (std::size_t chunk : {1U, 7U, 64U, 1000U}) EXPECT_EQ(read(all, chunk).lines, whole) << chunk;
}

TEST(Source, EmptyAndBlankFilesHaveNoRecords) {
  for (std::string_view s : {"", "\n", "\r\n\r\n", "   \n"}) {
    const Read r = read(s);
    EXPECT_TRUE(r.lines.empty());
    EXPECT_TRUE(r.refusals.empty());
  }
}

TEST(Reader, NulBytesAreNoText) {
  const Read r = read(std::string("\0\0\0\0\0\0\0\0\n", 9) + line(1));
  EXPECT_EQ(r.lines.size(), 1U);
  ASSERT_EQ(r.refusals.size(), 1U);
  EXPECT_STREQ(r.refusals[0].reason, "not_text");
}

TEST(Reader, TheTimeIsTheRecordsOwnWhenWhatSeemedARecordInsideIsNone) {
  // `message` is asked for a record inside; what is in it is broken, and the outer time comes before and after it
  const Read r = read(
      "{\"@timestamp\":\"2026-01-02T03:04:05Z\",\"message\":\"{\\\"time\\\":\\\"1999-01-01T00:00:00Z\\\",\",\"log\":{"
      "\"file\":\"x\"}}\n");
  ASSERT_EQ(r.lines.size(), 1U);
  EXPECT_NE(r.lines[0].find("2026-01-02T03:04:05Z"), std::string::npos) << r.lines[0];
}

TEST(Reader, ATextLineBeyondItsLimitIsRefusedAndTheNextIsRead) {
  const Read r = read(std::string((1U << 20) + 1, 'x') + "\nwords\n");
  ASSERT_EQ(r.refusals.size(), 1U);
  EXPECT_STREQ(r.refusals[0].reason, "record_too_long");
  ASSERT_EQ(r.lines.size(), 1U);
  EXPECT_TRUE(r.lines[0].starts_with("2 "));
}

}  // namespace
}  // namespace bavn::formats
