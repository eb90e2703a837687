#include "jail/xml_events.hpp"

#include <gtest/gtest.h>

#include "base/text.hpp"

namespace bavn::jail {

namespace {

const std::string kEvent =
    R"(<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Sysmon' Guid='{5770385f-c22a-43e0-bf4c-06f5698ffbd9}'/><EventID>1</EventID><Version>5</Version><TimeCreated SystemTime='2024-10-01T08:00:00.123456Z'/><EventRecordID>4711</EventRecordID><Correlation/><Execution ProcessID='2332' ThreadID='3420'/><Channel>Microsoft-Windows-Sysmon/Operational</Channel><Computer>pc-17.kommune.example.org</Computer><Security UserID='S-1-5-18'/></System><EventData><Data Name='RuleName'>-</Data><Data Name='Image'>C:\Windows\System32\whoami.exe</Data><Data Name='CommandLine'>whoami &lt;/all&gt; &amp; "x"</Data><Data Name='ParentUser'></Data></EventData></Event>)";
const std::string kJson =
    R"({"Event":{"#attributes":{"xmlns":"http://schemas.microsoft.com/win/2004/08/events/event"},"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Sysmon","Guid":"{5770385f-c22a-43e0-bf4c-06f5698ffbd9}"}},"EventID":1,"Version":5,"TimeCreated":{"#attributes":{"SystemTime":"2024-10-01T08:00:00.123456Z"}},"EventRecordID":4711,"Correlation":null,"Execution":{"#attributes":{"ProcessID":2332,"ThreadID":3420}},"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"pc-17.kommune.example.org","Security":{"#attributes":{"UserID":"S-1-5-18"}}},"EventData":{"RuleName":"-","Image":"C:\\Windows\\System32\\whoami.exe","CommandLine":"whoami </all> & \"x\"","ParentUser":""}}})"
    "\n";

std::string utf16(std::string_view ascii, bool big_endian) {
  std::string out = big_endian ? "\xFE\xFF" : "\xFF\xFE";
  for (char c : ascii) {
    if (big_endian) out += '\0';
    out += c;
    if (!big_endian) out += '\0';
  }
  return out;
}

}  // namespace

TEST(XmlEvents, HaveTheShapeOfEvtxDump) {
  EXPECT_EQ(xml_events(kEvent).value(), kJson);
}

TEST(XmlEvents, OneManyWrappedDeclaredOrInUtf16AreTheSame) {
  EXPECT_EQ(xml_events(kEvent + kEvent).value(), kJson + kJson);
  EXPECT_EQ(xml_events(kEvent + "\r\n" + kEvent).value(), kJson + kJson);
  EXPECT_EQ(xml_events("\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\n<Events>" + kEvent +
                       kEvent + "</Events>")
                .value(),
            kJson + kJson);
  EXPECT_EQ(xml_events(utf16("<?xml version='1.0' encoding='utf-16'?><Events>" + kEvent + "</Events>", false)).value(),
            kJson);
  EXPECT_EQ(xml_events(utf16(kEvent, true)).value(), kJson);
}

TEST(XmlEvents, TextBesideAttributesAndDataWithoutNames) {
  EXPECT_EQ(
      xml_events("<Event><System><EventID "
                 "Qualifiers='16384'>7045</EventID></System><EventData><Data>a</Data><Data>b</Data><Binary>00</"
                 "Binary></EventData></Event>")
          .value(),
      R"({"Event":{"System":{"EventID":{"#attributes":{"Qualifiers":16384},"#text":7045}},"EventData":{"Data":{"#text":["a","b"]},"Binary":"00"}}})"
      "\n");
  EXPECT_EQ(xml_events("<Event><EventData><Data>only</Data></EventData></Event>").value(),
            R"({"Event":{"EventData":{"Data":{"#text":"only"}}}})"
            "\n");
}

TEST(XmlEvents, NumbersStayTextWhereTheyAreData) {
  EXPECT_EQ(
      xml_events("<Event><System><EventID>007</EventID><Level>12345678901234567890</Level><Computer>42</Computer></"
                 "System><EventData><Data Name='LogonType'>3</Data></EventData></Event>")
          .value(),
      R"({"Event":{"System":{"EventID":"007","Level":"12345678901234567890","Computer":"42"},"EventData":{"LogonType":"3"}}})"
      "\n");
}

TEST(XmlEvents, AKeyIsWrittenOnce) {
  EXPECT_EQ(xml_events("<Event><EventData><Data Name='A'>1</Data><Data Name='A'>2</Data></EventData></Event>").value(),
            R"({"Event":{"EventData":{"A":"1"}}})"
            "\n");
}

TEST(XmlEvents, ABrokenEventLosesItselfOnly) {
  const std::string broken = kEvent.substr(0, kEvent.find("</EventData>")) + "</Wrong></Event>";
  const std::string got = xml_events(kEvent + broken + kEvent).value();
  const auto lines = split(got, '\n');
  ASSERT_EQ(lines.size(), 4U) << got;
  EXPECT_EQ(std::string(lines[0]) + "\n", kJson);
  EXPECT_TRUE(lines[1].starts_with("{\"#refused\":{\"offset\":")) << lines[1];
  EXPECT_TRUE(lines[1].find("mismatched tag") != std::string_view::npos) << lines[1];
  EXPECT_EQ(std::string(lines[2]) + "\n", kJson);
}

TEST(XmlEvents, ACutFileGivesWhatIsWhole) {
  const std::string got = xml_events(kEvent + kEvent.substr(0, 200)).value();
  EXPECT_TRUE(got.starts_with(kJson));
  EXPECT_NE(got.find("cut in the middle of an event"), std::string::npos) << got;
}

TEST(XmlEvents, EveryCutOfAnEventIsSurvived) {
  for (std::size_t n = 1; n < kEvent.size(); ++n) {
    const auto got = xml_events(std::string_view(kEvent).substr(0, n));
    EXPECT_TRUE(!got || got->find("#refused") != std::string::npos) << n;
  }
}

TEST(XmlEvents, ABillionLaughsAreRefusedAndWhatFollowsIsRead) {
  std::string bomb = "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'>";
  for (int i = 1; i < 10; ++i) {
    bomb += "<!ENTITY lol" + std::to_string(i) + " '";
    for (int k = 0; k < 10; ++k) bomb += "&lol" + (i == 1 ? std::string() : std::to_string(i - 1)) + ";";
    bomb += "'>";
  }
  bomb += "]><Event><EventData><Data Name='x'>&lol9;</Data></EventData></Event>";
  const std::string got = xml_events(bomb + kEvent).value();
  EXPECT_NE(got.find("a document type"), std::string::npos) << got;
  EXPECT_NE(got.find("undefined entity"), std::string::npos) << got;
  EXPECT_TRUE(got.ends_with(kJson)) << got;
  EXPECT_LT(got.size(), 2000U);
}

TEST(XmlEvents, AnExternalEntityIsNotFetched) {
  const std::string got = xml_events(
                              "<!DOCTYPE e [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><Event><EventData><Data "
                              "Name='x'>&x;</Data></EventData></Event>")
                              .value();
  EXPECT_EQ(got.find("root:"), std::string::npos);
  EXPECT_NE(got.find("undefined entity"), std::string::npos);
}

TEST(XmlEvents, DepthElementsAndTextHaveLimits) {
  std::string deep = "<Event>", wide = "<Event>";
  for (int i = 0; i < 40; ++i) deep += "<a>";
  EXPECT_NE(xml_events(deep).value().find("deeper than 32"), std::string::npos);
  for (int i = 0; i < 30'000; ++i) wide += "<a/>";
  EXPECT_NE(xml_events(wide + "</Event>").value().find("more than 20,000 elements"), std::string::npos);
  EXPECT_NE(xml_events("<Event><a>" + std::string(5U << 20, 'x') + "</a></Event>").value().find("more than 4 MiB"),
            std::string::npos);
  std::string faults;
  for (int i = 0; i < 1000; ++i) faults += "<Event></Wrong>";
  EXPECT_NE(xml_events(faults).value().find("the 100th fault"), std::string::npos);
}

TEST(XmlEvents, BytesThatAreNotUtf8AreReadAsWindows1252) {
  EXPECT_EQ(xml_events("<Event><EventData><Data Name='by'>K\xF8"
                       "benhavn</Data></EventData></Event>")
                .value(),
            "{\"Event\":{\"EventData\":{\"by\":\"K\xC3\xB8"
            "benhavn\"}}}\n");
}

TEST(XmlEvents, WhatHoldsNoEventSaysSo) {
  EXPECT_EQ(xml_events("<html><body/></html>").error().what, "XML without any <Event>");
  EXPECT_EQ(xml_events("").error().what, "XML without any <Event>");
}

}  // namespace bavn::jail
