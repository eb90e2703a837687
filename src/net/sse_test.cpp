#include "net/sse.hpp"

#include <gtest/gtest.h>

namespace bavn::net {

namespace {

// Each event as id|event|data;
std::string read(std::string_view bytes, std::size_t piece) {
  SseParser parser(1000);
  std::string told;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const auto r =
        parser.feed(bytes.substr(at, piece), [&](SseEvent e) { told += e.id + "|" + e.event + "|" + e.data + ";"; });
    EXPECT_TRUE(r);
  }
  return told;
}

}  // namespace

TEST(Sse, ReadsTheSameInPiecesOfAnySize) {
  constexpr std::string_view bytes =
      "\xEF\xBB\xBF: hello\nid: 1\nevent: a\ndata: x\ndata:y\ndata\n\nid:2\rdata: z\r\rdata: CRLF\r\n\r\nevent: "
      "nothing\n\n"
      "id\ndata:  two spaces\nretry: 10\nunknown: 1\n\ndata: cut";
  for (std::size_t piece = 1; piece < 40; ++piece)
    EXPECT_EQ(read(bytes, piece), "1|a|x\ny\n;2||z;2||CRLF;|| two spaces;") << piece;
}

TEST(Sse, ReadsBackWhatItWrites) {
  for (const SseEvent& e :
       {SseEvent{"7.1", "urgent", "{\"a\":1}"}, SseEvent{"8", "", ""}, SseEvent{"9", "x", "\na\n\nb\n"}}) {
    SseParser parser(1000);
    std::vector<SseEvent> got;
    ASSERT_TRUE(parser.feed(sse_bytes(e), [&](SseEvent x) { got.push_back(std::move(x)); }));
    ASSERT_EQ(got.size(), 1U);
    EXPECT_EQ(got[0].id, e.id);
    EXPECT_EQ(got[0].event, e.event);
    EXPECT_EQ(got[0].data, e.data);
  }
}

TEST(Sse, ALineBreakInIdOrNameCannotForgeAnEvent) {
  EXPECT_EQ(sse_bytes({"1\ndata: forged\n\n", "a\rid: 2", "x\r\ny"}),
            "id: 1data: forged\nevent: aid: 2\ndata: x\ndata: y\n\n");
}

TEST(Sse, AnEventAboveTheLimitIsAnErrorHoweverItComes) {
  for (const std::size_t piece : {1U, 7U, 5000U}) {
    for (const std::string& bytes : {"data: " + std::string(2000, 'x') + "\n\n", std::string(2000, 'x'), [] {
                                       std::string many;
                                       for (int i = 0; i < 500; ++i) many += "data: abc\n";
                                       return many;
                                     }()}) {
      SseParser parser(1000);
      bool failed = false;
      for (std::size_t at = 0; at < bytes.size() && !failed; at += piece)
        failed = !parser.feed(std::string_view(bytes).substr(at, piece), [](SseEvent) { FAIL(); });
      EXPECT_TRUE(failed);
      EXPECT_FALSE(parser.feed("\n\n", [](SseEvent) { FAIL(); })) << "and it stays one";
    }
  }
}

}  // namespace bavn::net
