#include "input/sources/relp/session.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace bavn::input::sources::relp {
namespace {

constexpr std::string_view kOpen =
    "1 open 86 relp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog\n";
constexpr std::string_view kOpened = "1 rsp 56 200 OK\nrelp_version=0\nrelp_software=bavn\ncommands=syslog\n";

class RelpSession : public ::testing::Test {
 protected:
  void feed(std::string_view bytes) {
    session.on_bytes(bytes, [&](Ticket ticket, std::string_view message) {
      tickets.push_back(ticket);
      messages.emplace_back(message);
    });
  }
  /// What is answered to these bytes at once.
  std::string answer(std::string_view bytes) {
    feed(bytes);
    return session.take_output();
  }
  void open() { ASSERT_EQ(answer(kOpen), kOpened); }

  Session session{100};
  std::vector<Ticket> tickets;
  std::vector<std::string> messages;
};

TEST_F(RelpSession, AMessageIsAnsweredWhenItIsStoredAndNotBefore) {
  open();
  EXPECT_EQ(answer("2 syslog 8 <13>onex\n3 syslog 6 <13>tw\n"), "");
  EXPECT_EQ(messages, (std::vector<std::string>{"<13>onex", "<13>tw"}));
  session.stored(tickets[0]);
  EXPECT_EQ(session.take_output(), "2 rsp 6 200 OK\n");
  session.stored(tickets[1]);
  EXPECT_EQ(session.take_output(), "3 rsp 6 200 OK\n");
  EXPECT_EQ(session.unanswered(), 0U);
}

TEST_F(RelpSession, AnswersLeaveInTheOrderOfTheCommands) {
  open();
  feed("2 syslog 1 a\n3 syslog 1 b\n4 syslog 1 c\n");
  session.stored(tickets[2]);
  session.passed_over(tickets[1], "why");
  EXPECT_EQ(session.take_output(), "") << "the first is not stored yet";
  session.stored(tickets[0]);
  EXPECT_EQ(session.take_output(), "2 rsp 6 200 OK\n3 rsp 21 200 OK, not kept: why\n4 rsp 6 200 OK\n");
}

TEST_F(RelpSession, EveryByteMayComeAlone) {
  for (const char c : std::string(kOpen) + "2 syslog 5 a\nb c\n3 syslog 0 \n4 syslog 0\n") feed({&c, 1});
  EXPECT_EQ(messages, (std::vector<std::string>{"a\nb c", "", ""}));
  EXPECT_EQ(session.take_output(), kOpened);
}

TEST_F(RelpSession, TheVersionIsTheSendersOrOursIfItIsNewer) {
  EXPECT_TRUE(answer("1 open 30 relp_version=1\ncommands=syslog\n").contains("relp_version=1\n"));
  session = Session(100);
  EXPECT_TRUE(answer("1 open 30 relp_version=9\ncommands=syslog\n").contains("relp_version=1\n"));
  EXPECT_TRUE(session.open());
}

TEST_F(RelpSession, OffersThatAreNotEnoughAreRefusedWithTheReasonAndTheSessionEnds) {
  EXPECT_EQ(answer("1 open 15 commands=syslog\n"), "1 rsp 30 500 no relp_version is offered\n0 serverclose 0\n");
  EXPECT_TRUE(session.over());
  session = Session(100);
  EXPECT_EQ(answer("1 open 32 relp_version=0\ncommands=eventlog\n2 syslog 1 x\n"),
            "1 rsp 37 500 the command syslog is not offered\n0 serverclose 0\n");
  session = Session(100);
  EXPECT_TRUE(answer("1 open 30 relp_version=x\ncommands=syslog\n").starts_with("1 rsp 30 500"));
  session = Session(100);
  EXPECT_EQ(answer("1 open 0\n"), "1 rsp 30 500 no relp_version is offered\n0 serverclose 0\n");
  EXPECT_TRUE(messages.empty());
}

TEST_F(RelpSession, WhatIsTooLongIsReadPastAndTheRestGoesOn) {
  open();
  EXPECT_EQ(answer("2 syslog 101 " + std::string(101, 'x') + "\n3 syslog 2 ok\n"),
            "2 rsp 37 200 OK, not kept: more than 100 bytes\n");
  EXPECT_EQ(messages, std::vector<std::string>{"ok"});
  EXPECT_EQ(session.stats().too_long, 1U);
  EXPECT_EQ(answer("4 syslog 999999999 " + std::string(100'000, 'x')), "");
  EXPECT_EQ(session.waiting(), 0U) << "nothing of it is kept";
  EXPECT_TRUE(session.reading());
}

TEST_F(RelpSession, AnUnknownCommandIsRefusedAndTheRestGoesOn) {
  open();
  EXPECT_EQ(answer("2 starttls 0\n3 eventlog 3 abc\n4 syslog 1 x\n"),
            "2 rsp 19 500 unknown command\n3 rsp 19 500 unknown command\n");
  EXPECT_EQ(session.stats().unknown, 2U);
  EXPECT_EQ(messages.size(), 1U);
}

TEST_F(RelpSession, CloseIsAnsweredAfterWhatCameBeforeIt) {
  open();
  EXPECT_EQ(answer("2 syslog 1 x\n3 close 0\n4 syslog 1 y\n"), "");
  EXPECT_EQ(messages.size(), 1U) << "after close nothing is read";
  EXPECT_FALSE(session.over());
  session.stored(tickets[0]);
  EXPECT_EQ(session.take_output(), "2 rsp 6 200 OK\n3 rsp 6 200 OK\n0 serverclose 0\n");
  EXPECT_TRUE(session.over());
  EXPECT_EQ(session.fault(), "");
}

TEST_F(RelpSession, AStopSaysServercloseAfterTheLastAnswer) {
  open();
  feed("2 syslog 1 x\n");
  session.close();
  EXPECT_EQ(answer("3 syslog 1 y\n"), "") << "no more is read";
  session.stored(tickets[0]);
  EXPECT_EQ(session.take_output(), "2 rsp 6 200 OK\n0 serverclose 0\n");
  EXPECT_TRUE(session.over());
}

TEST_F(RelpSession, WhatIsNoFrameEndsTheSessionButWhatWasTakenIsAnswered) {
  for (const std::string_view broken :
       {"x", " ", "1234567890 syslog 1 x\n", "3  1 x\n", "3 sys7log 1 x\n", "3 syslog x\n", "3 syslog  1 x\n",
        "3 syslog 1234567890 x\n", "3 syslog 1x\n", "3 syslog 1 xy\n", "3\n",
        "3 thirtythreelettersareonetoomanynow 0\n", "<13>Jan 10 08:00:00 plain syslog\n", "\x16\x03\x01\x02",
        "4 syslog 1 x\n", "2 syslog 1 x\n", "0 abort 0\n", "3 open 30 relp_version=1\ncommands=syslog\n"}) {
    session = Session(100);
    tickets.clear();
    open();
    feed("2 syslog 1 a\n");
    EXPECT_EQ(answer(broken), "") << broken;
    EXPECT_FALSE(session.reading()) << broken;
    EXPECT_NE(session.fault(), "") << broken;
    ASSERT_EQ(tickets.size(), 1U) << broken;
    session.stored(tickets[0]);
    EXPECT_TRUE(session.over());
    EXPECT_TRUE(session.take_output().starts_with("2 rsp 6 200 OK\n")) << broken;
  }
}

TEST_F(RelpSession, BeforeOpenThereIsNothingElse) {
  EXPECT_EQ(answer("1 syslog 1 x\n"), "0 serverclose 0\n");
  EXPECT_EQ(session.fault(), "'syslog' before open");
  session = Session(100);
  EXPECT_EQ(answer("1 open 99999 x"), "") << "offers of any length are not kept";
  EXPECT_EQ(session.waiting(), 0U);
}

TEST_F(RelpSession, HintsAreReadPast) {
  open();
  EXPECT_EQ(answer("0 hello 3 abc\n2 syslog 1 x\n"), "");
  EXPECT_EQ(messages.size(), 1U);
}

TEST_F(RelpSession, AReasonIsOneShortLine) {
  open();
  feed("2 syslog 1 x\n");
  session.refused(tickets[0], "first\nsecond " + std::string(200, 'y'));
  const std::string out = session.take_output();
  EXPECT_TRUE(out.starts_with("2 rsp 64 500 first second yyy")) << out;
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
}

}  // namespace
}  // namespace bavn::input::sources::relp
