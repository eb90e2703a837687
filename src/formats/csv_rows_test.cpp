// Tables with a header: what is one, what its rows become, and that a row kept in the history can be read with its header alone.
#include "formats/csv_rows.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "formats/reader.hpp"

namespace bavn::formats {
namespace {

std::optional<CsvRows> table(std::string_view header) {
  return CsvRows::of_header(header, [](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), "who") != names.end();
  });
}

TEST(CsvRows, AHeaderHasTheNamesOfAFormatEachOnce) {
  for (const char* header : {"who,what,when", "\"who\";\"what\";\"when\"", "what\twhen\twho", " who , what ,when \r"})
    EXPECT_TRUE(table(header)) << header;
  for (const char* no : {"", "who", "who,what", "who,,what", "who,what,who", "what,when,where", "who what when",
                         "who,what,\"when", "\"who\":1,\"what\":2,\"when\":3"})
    EXPECT_FALSE(table(no)) << no;
  EXPECT_FALSE(table("who,what," + std::string(200, 'x')));
  std::string many = "who";
  for (int i = 0; i < 256; ++i) many += ",n" + std::to_string(i);
  EXPECT_FALSE(table(many));
}

TEST(CsvRows, ARowIsAnObjectOrRefused) {
  const auto t = table("who,what,when");
  ASSERT_TRUE(t);
  std::string json;
  EXPECT_EQ(t->row("a,\"b, \"\"c\"\"\",", json), nullptr);
  EXPECT_EQ(json, R"({"who":"a","what":"b, \"c\"","when":null})");
  EXPECT_EQ(t->row("æ,{\"\"x\"\":1},\\", json), nullptr);
  EXPECT_EQ(json, R"({"who":"æ","what":"{\"\"x\"\":1}","when":"\\"})");
  EXPECT_STREQ(t->row("a,b", json), "fewer cells than the header has names");
  EXPECT_STREQ(t->row("a,b,c,d", json), "more cells than the header has names");
  EXPECT_STREQ(t->row("a,b,\"c", json), "a quoted cell does not end on its line");
}

class Read {
 public:
  Read() {
    for (const char* name : {"sender", "recipient", "subject", "src_ip", "Operation", "UserId", "text", "message"})
      plan.add(name);
    reader.emplace(catalogue, plan, routes, ReaderOptions{});
  }
  /// "line format field=value ..." for each record, then refusals.
  std::vector<std::string> of(const std::string& text) {
    batch.clear();
    batch.raw = text;
    reader->read(batch, 0, text.size(), 1);
    std::vector<std::string> out;
    std::string scratch;
    for (const event::Record& r : batch.records) {
      std::string s = std::to_string(r.line) + " " + catalogue.at(r.format).name;
      for (const event::Field& f : batch.fields_of(r))
        if (f.slot != event::kNoSlot)
          s += " " + std::string(plan.name(f.slot)) + "=" + std::string(batch.text(f, scratch));
      out.push_back(std::move(s));
    }
    for (const event::Refusal& r : batch.refusals) out.push_back(std::to_string(r.line) + " " + r.reason);
    return out;
  }
  const Catalogue catalogue = *Catalogue::builtin();
  event::FieldPlan plan;
  event::RouteTable routes;
  std::optional<Reader> reader;
  event::EventBatch batch;
};
using Lines = std::vector<std::string>;

const std::string kHeader = "origin_timestamp_utc,sender_address,recipient_status,message_subject,original_client_ip";
const std::string kRow = "2026-03-02T08:05:00Z,a@b.example,c@d.example##Receive,Hi,192.0.2.1";
const std::string kRead =
    " message_trace sender=a@b.example recipient=c@d.example##Receive subject=Hi src_ip=192.0.2.1";

TEST(CsvRows, RowsAreRecordsOfTheFormatAndTheRestIsRefused) {
  Read read;
  EXPECT_EQ(read.of(kHeader + "\n" + kRow + "\nnonsense\n" + kHeader + "\n" + kRow + "\n"),
            (Lines{"2" + kRead, "5" + kRead, "3 csv_row_broken"}));
  // Another table behind it.
  EXPECT_EQ(read.of("SenderAddress;RecipientAddress;MessageId;Received;Subject\na@b.example;c@d.example;<x@y>;;Hi;\n"
                    "a@b.example;c@d.example;<x@y>;;Hi\n"),
            (Lines{"3 message_trace sender=a@b.example recipient=c@d.example subject=Hi", "2 csv_row_broken"}));
  // The next source has no header, and lines of known formats are theirs.
  read.reader->new_source();
  const auto next = read.of(kRow + "\n");
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next[0].find("message_trace"), std::string::npos) << next[0];
  // What somebody sends cannot make the lines of others the rows of a table.
  read.reader->new_source();
  read.reader->no_table();
  for (const std::string& s : read.of(kHeader + "\n" + kRow + "\n"))
    EXPECT_EQ(s.find("message_trace"), std::string::npos) << s;
  // Only what comes first can be a header.
  read.reader->new_source();
  for (const std::string& s : read.of("{\"a\":1}\nb\n{\"a\":2}\n" + kHeader + "\n" + kRow + "\n"))
    EXPECT_EQ(s.find("message_trace"), std::string::npos) << s;
}

TEST(CsvRows, ARowOfTheHistoryIsReadWithItsHeaderAlone) {
  Read read;
  EXPECT_EQ(read.of("#TYPE Selected.Trace\r\n" + kHeader + "\r\n" + kRow + "\r\n" + kRow + "\r\n"),
            (Lines{"3" + kRead, "4" + kRead}));
  const std::string header = read.reader->context();
  EXPECT_EQ(header, kHeader);
  Read again;
  EXPECT_EQ(again.of(header + "\n" + kRow + "\n"), (Lines{"2" + kRead}));
  // With its format told, as a hunt tells it.
  Read told;
  told.reader->new_source(told.catalogue.find("message_trace"));
  EXPECT_EQ(told.of(header + "\n" + kRow + "\n"), (Lines{"2" + kRead}));
  Read other;
  other.reader->new_source(other.catalogue.find("entra_signin"));
  EXPECT_EQ(other.of(header + "\n" + kRow + "\n"), (Lines{"1 json_not_an_object", "2 json_not_an_object"}));
}

}  // namespace
}  // namespace bavn::formats
