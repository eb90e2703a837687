// Windows events as XML and archives, as Source hands them on.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "formats/source.hpp"

namespace bavn::formats {

namespace {

struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("bavn_packed_" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
    return (path / name).string();
  }
};

struct Read {
  std::string lines;
  std::vector<event::Refusal> refusals;
};

Read read(Source& source) {
  Read out;
  event::EventBatch batch;
  while (!source.done()) {
    auto chunk = source.next(batch);
    if (!chunk) {
      ADD_FAILURE() << chunk.error().what;
      break;
    }
    out.lines += batch.raw.substr(chunk->from, chunk->to - chunk->from);
    for (auto& r : batch.refusals) out.refusals.push_back(std::move(r));
  }
  return out;
}

std::string event(int id) {
  return "<Event xmlns='x'><System><EventID>" + std::to_string(id) + "</EventID></System></Event>";
}
std::string json(int id) {
  return R"({"Event":{"#attributes":{"xmlns":"x"},"System":{"EventID":)" + std::to_string(id) + "}}}\n";
}
std::string utf16(std::string_view ascii) {
  std::string out = "\xFF\xFE";
  for (char c : ascii) {
    out += c;
    out += '\0';
  }
  return out;
}

}  // namespace

TEST(XmlSource, WrappedBareAndUtf16EventsBecomeLines) {
  Folder folder;
  jail::Unjailed parsers;
  for (const std::string& text :
       {"<?xml version='1.0'?>\n<Events>\n" + event(1) + "\n" + event(2) + "\n</Events>\n", event(1) + event(2),
        utf16("<?xml version='1.0'?><Events>" + event(1) + event(2) + "</Events>")}) {
    auto source = Source::open(folder.write("e.xml", text), {.parsers = &parsers});
    ASSERT_TRUE(source);
    const Read got = read(**source);
    EXPECT_EQ(got.lines, json(1) + json(2));
    EXPECT_TRUE(got.refusals.empty());
  }
}

TEST(Source, WhatEvtxDumpPrintsIsItsEvents) {
  Folder folder;
  jail::Unjailed parsers;
  // As it prints without an option: a line "Record N", a declaration, the event over many lines.
  std::string xml;
  for (int i = 1; i < 3; ++i)
    xml += "Record " + std::to_string(i) + "\n<?xml version=\"1.0\" encoding=\"utf-8\"?>\n" + event(i) + "\n";
  auto source = Source::open(folder.write("e.txt", xml), {.parsers = &parsers});
  ASSERT_TRUE(source);
  const Read got = read(**source);
  EXPECT_EQ(got.lines, json(1) + json(2));
  EXPECT_TRUE(got.refusals.empty());
  // And as JSON, over many lines or one.
  for (const char* event : {"{\n  \"Event\": {\n    \"a\": 1\n  }\n}\n", "{\"Event\":{\"a\":1}}\n"}) {
    std::string text;
    for (int i = 1; i < 4; ++i) text += "Record " + std::to_string(i) + "\r\n" + event;
    auto json_source = Source::open(folder.write("e.json", text), {.parsers = &parsers});
    ASSERT_TRUE(json_source);
    const Read records = read(**json_source);
    EXPECT_TRUE(records.refusals.empty());
    EXPECT_EQ(records.lines.find("Record"), std::string::npos) << records.lines;
    EXPECT_EQ(std::count(records.lines.begin(), records.lines.end(), '1'), 3) << records.lines;
  }
}

TEST(XmlSource, AFileOfManyPartsLosesNothing) {
  Folder folder;
  jail::Unjailed parsers;
  std::string text = "<Events>", wanted;
  const std::string padding = "<!--" + std::string(2000, ' ') + "-->";
  for (int i = 0; i < 10'000; ++i) {
    text += event(i) + padding;
    wanted += json(i);
  }
  for (const std::string& bytes : {text + "</Events>", utf16(text + "</Events>")}) {
    auto source = Source::open(folder.write("many.xml", bytes), {.parsers = &parsers});
    ASSERT_TRUE(source);
    const Read got = read(**source);
    EXPECT_EQ(got.lines, wanted);
    EXPECT_TRUE(got.refusals.empty());
  }
}

TEST(XmlSource, ABrokenAndACutEventAreRefusalsWithReasons) {
  Folder folder;
  jail::Unjailed parsers;
  auto source = Source::open(folder.write("e.xml", event(1) + "<Event><System></Event>" + event(2) + "<Event><System>"),
                             {.parsers = &parsers});
  ASSERT_TRUE(source);
  const Read got = read(**source);
  EXPECT_EQ(got.lines, json(1) + json(2));
  ASSERT_EQ(got.refusals.size(), 2U);
  EXPECT_STREQ(got.refusals[0].reason, "xml_broken");
  EXPECT_EQ(got.refusals[0].detail, "mismatched tag");
  EXPECT_EQ(got.refusals[0].line, 2U);
  EXPECT_EQ(got.refusals[1].detail, "cut in the middle of an event");
}

TEST(XmlSource, AFileWithoutAnyEventSaysSo) {
  Folder folder;
  jail::Unjailed parsers;
  auto source = Source::open(folder.write("e.xml", "<Events><Eve"), {.parsers = &parsers});
  ASSERT_TRUE(source);
  EXPECT_EQ(read(**source).refusals.at(0).detail, "XML without any whole <Event>");
}

TEST(XmlSource, OtherXmlAndTextStayLines) {
  Folder folder;
  jail::Unjailed parsers;
  for (const std::string text : {"<html>\n<body/>\n", "<EventsAndMore>\n", "plain\n", ""}) {
    auto source = Source::open(folder.write("e", text), {.parsers = &parsers});
    ASSERT_TRUE(source);
    EXPECT_EQ(read(**source).lines, text);
  }
}

TEST(ArchiveSource, EachMemberIsASourceOfItsOwn) {
  // tar: two members of one block each, made by hand
  const auto member = [](const std::string& name, const std::string& content) {
    std::string head(512, '\0');
    head.replace(0, name.size(), name);
    head.replace(100, 7, "0000644");
    head.replace(108, 7, "0000000");
    head.replace(116, 7, "0000000");
    char size[13];
    std::snprintf(size, sizeof size, "%011o", static_cast<unsigned>(content.size()));
    head.replace(124, 11, size);
    head.replace(136, 11, "00000000000");
    head.replace(148, 8, "        ");
    head[156] = '0';
    head.replace(257, 8, std::string("ustar\00000", 8));
    unsigned sum = 0;
    for (char c : head) sum += static_cast<unsigned char>(c);
    char text[8];
    std::snprintf(text, sizeof text, "%06o", sum);
    head.replace(148, 7, text, 7);
    return head + content + std::string(512 - content.size() % 512, '\0');
  };
  Folder folder;
  jail::Unjailed parsers;
  const std::string path = folder.write(
      "logs.tar", member("a.ndjson", "{\"a\":1}\n") + member("b/e.xml", event(7)) + std::string(1024, '\0'));
  auto opened = Source::open_all(path, {.parsers = &parsers});
  ASSERT_TRUE(opened) << opened.error().what;
  ASSERT_EQ(opened->size(), 2U);
  EXPECT_EQ((*opened)[0].name, path + "!a.ndjson");
  EXPECT_EQ(read(*(*opened)[0].source).lines, "{\"a\":1}\n");
  EXPECT_EQ(read(*(*opened)[1].source).lines, json(7));
  EXPECT_EQ(Source::open_all(folder.write("bad.zip", "PK\x03\x04 not really"), {.parsers = &parsers}).error().code,
            Code::bad_input);
}

}  // namespace bavn::formats
