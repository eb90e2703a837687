#include "input/sources/files/records.hpp"

#include <gtest/gtest.h>

namespace bavn::input::sources::files {
namespace {

using namespace std::string_literals;

std::string records_of(Shape shape, std::string_view bytes) {
  const Cut cut = whole_records(shape, bytes);
  return std::string(bytes.substr(cut.from, cut.to - cut.from));
}

TEST(Records, ALineWithoutItsEndIsNotWhole) {
  EXPECT_EQ(records_of(Shape::lines, "one\ntwo\nthr"), "one\ntwo\n");
  EXPECT_EQ(whole_records(Shape::lines, "thr").consumed, 0U);
}

TEST(Records, ZeroBytesBeforeALineGoAndAtTheEndWait) {
  EXPECT_EQ(records_of(Shape::lines, "\0\0\0one\n\0\0"s), "one\n");
  EXPECT_EQ(whole_records(Shape::lines, "\0\0\0one\n\0\0"s).consumed, 7U);
  std::string out;
  EXPECT_TRUE(without_zeros("one\n\0\0two\nthr\0ee\n"s, out));
  EXPECT_EQ(out, "one\ntwo\nthr\0ee\n"s) << "a zero byte inside a line is the line's";
  EXPECT_FALSE(without_zeros("one\n", out));
}

TEST(Records, PrettyPrintedObjectsAreCutBetweenThem) {
  EXPECT_EQ(records_of(Shape::json, "{\n \"a\": \"}{\\\"\"\n}\n{\n \"b\": [1, {\"c\""), "{\n \"a\": \"}{\\\"\"\n}");
  EXPECT_EQ(records_of(Shape::json, "{\n \"a\": 1\n"), "");
}

TEST(Records, ElementsOfAnArrayAreRecordsAndItsBracketsAreNot) {
  EXPECT_EQ(records_of(Shape::json, "[\n  {\n  \"a\": 1\n  },\n  {\n  \"a\": 2\n  }\n]\n"),
            "{\n  \"a\": 1\n  },\n  {\n  \"a\": 2\n  }");
  EXPECT_EQ(whole_records(Shape::json, "]\n").consumed, 2U) << "the end of the array is done with";
  EXPECT_EQ(records_of(Shape::json, ",\n  {\n  \"a\": 3\n  },\n {"), "{\n  \"a\": 3\n  }");
}

TEST(Records, AfterABrokenObjectTheNextAtTheLeftEdgeIsARecordAgain) {
  const std::string_view bytes = "{\n \"a\": [\n{\n \"b\": 1\n}\n";
  const Cut cut = whole_records(Shape::json, bytes);
  EXPECT_TRUE(std::string_view(bytes.substr(cut.from, cut.to - cut.from)).ends_with("{\n \"b\": 1\n}"));
}

TEST(Records, WindowsEventsAreCutAfterTheirEnd) {
  EXPECT_EQ(records_of(Shape::xml, "<Event><A/></Event>\r\n<Event>"), "<Event><A/></Event>");
  EXPECT_EQ(whole_records(Shape::xml, "<Event><A/></Event>\r\n<Event>").consumed, 21U);
}

TEST(Records, TheShapeIsKnownByTheHead) {
  EXPECT_EQ(shape_of("{\"a\":1}\n"), Shape::lines);
  EXPECT_EQ(shape_of("{\n  \"a\": 1\n}"), Shape::json);
  EXPECT_EQ(shape_of("<Event xmlns='x'>"), Shape::xml);
  EXPECT_EQ(shape_of("Jan  1 host app: <Event>"), Shape::lines);
}

TEST(Records, HeaderLinesAreFoundAndSeparateWhatIsReadByItself) {
  const std::string_view zeek =
      "#separator \\x09\n#fields\tts\tuid\n1\tA\n2\tB\n#close\tx\n#separator \\x09\n#fields\tts\n3\n";
  EXPECT_EQ(header_block(zeek), "#separator \\x09\n#fields\tts\tuid\n");
  EXPECT_EQ(next_header("1\tA\n#Fields: date\n"), 4U);
  EXPECT_EQ(next_header("1\tA\n# a comment\n2\n"), std::string_view::npos);
  EXPECT_EQ(next_header("#Software: x\n#Fields: date\n1\n"), std::string_view::npos) << "one block is one header";
}

}  // namespace
}  // namespace bavn::input::sources::files
