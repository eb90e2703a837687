#include "input/sources/listener.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "base/eventually.hpp"
#include "base/threads.hpp"
#include "input/testing.hpp"

namespace bavn::input::sources {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using input::testing::FakeBook;
using input::testing::FakeSink;

/// What stands between ';' is a message, as long as it comes with one read. Answers: "stored;", "passed over: why;", "refused: why;".
class Semicolons final : public Conversation {
 public:
  void on_bytes(std::string_view bytes, Intake& to) override {
    for (const std::string_view text : split(bytes, ';'))
      if (!to.message(++last_, text)) stored(last_);
  }
  void on_closed(Intake& to) override { to.refused("gone", 1, "with a word"); }
  void stored(Ticket) override { out_ += "stored;"; }
  void passed_over(Ticket, std::string_view why) override { out_ += fmt::format("passed over: {};", why); }
  void refused(Ticket, std::string_view why) override { out_ += fmt::format("refused: {};", why); }
  std::string take_output() override { return std::exchange(out_, {}); }

 private:
  Ticket last_ = 0;
  std::string out_;
};

/// Says of every second record of a delivery that it cannot be read.
class EverySecondRefused final : public Sink {
 public:
  bool has_room(std::size_t) const override { return true; }
  void deliver(Delivery d, std::move_only_function<void(Result<Receipt>)> done) override {
    Receipt r;
    const auto lines = static_cast<std::uint64_t>(std::ranges::count(d.bytes, '\n'));
    for (std::uint64_t n = 2; n <= lines; n += 2) r.refused_lines.push_back(n);
    r.refused = r.refused_lines.size();
    r.accepted = lines - r.refused;
    done(std::move(r));
  }
};

class Sender {
 public:
  explicit Sender(std::uint16_t port, const char* from = "127.0.0.1") : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval t{60, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    ::inet_pton(AF_INET, from, &address.sin_addr);
    ::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~Sender() { ::close(fd_); }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  bool send(std::string_view bytes) const {
    return connected_ && ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  std::string answer() const {
    char buffer[1000];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    return {buffer, n > 0 ? static_cast<std::size_t>(n) : 0};
  }

 private:
  int fd_;
  bool connected_ = false;
};

class ListenerTest : public ::testing::Test {
 protected:
  ListenerTest() {
    options.name = "test";
    options.address = "127.0.0.1";
    options.tick = 20ms;
    protocol = {"test", "test tcp", "too_slow", false, [] { return std::make_unique<Semicolons>(); }};
  }
  void start(Sink& to) {
    auto started = Listener::start(threads, to, book, options, protocol);
    ASSERT_TRUE(started) << started.error().what;
    listener = *std::move(started);
  }

  Threads threads;
  FakeSink sink{threads};
  FakeBook book;
  ListenerOptions options;
  Protocol protocol;
  std::unique_ptr<Listener> listener;
};

TEST_F(ListenerTest, BeyondMaxSendersTheRestIsTheSourceItself) {
  options.per_sender = true;
  options.max_senders = 2;
  start(sink);
  for (const char* from : {"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.2"}) {
    const std::size_t before = sink.count();
    const Sender sender(listener->port(), from);
    ASSERT_TRUE(sender.send("from "s + from));
    ASSERT_TRUE(eventually([&] { return sink.count() > before; }));
  }
  std::vector<std::string> sources;
  for (const Delivery& d : sink.stored()) sources.push_back(d.source);
  EXPECT_EQ(sources, (std::vector<std::string>{"test/127.0.0.1", "test/127.0.0.2", "test", "test/127.0.0.2"}));
}

TEST_F(ListenerTest, EachRecordIsAnsweredAsTheSinkSaidOfIt) {
  protocol.answers = true;
  EverySecondRefused half;
  start(half);
  const Sender sender(listener->port());
  ASSERT_TRUE(sender.send("one;two;three"));
  EXPECT_EQ(sender.answer(), "stored;passed over: it cannot be read;stored;");
  ASSERT_TRUE(sender.send("\n"));
  EXPECT_EQ(sender.answer(), "stored;") << "there is nothing to keep";
}

TEST_F(ListenerTest, WhereNobodyIsAnsweredABatchGoesEachTickAndBeforeWhenItIsLarge) {
  options.tick = 1h;
  options.batch = 1000;
  start(sink);
  {
    const Sender first(listener->port());
    ASSERT_TRUE(first.send("small"));
    ASSERT_TRUE(eventually([&] { return listener->connections() == 1; }));
  }
  ASSERT_TRUE(eventually([&] { return listener->connections() == 0; }));  // so it was read
  const Sender second(listener->port());
  ASSERT_TRUE(second.send(std::string(1000, 'x')));
  ASSERT_TRUE(eventually([&] { return sink.count() == 2; }));
  ASSERT_EQ(sink.stored().size(), 1U) << "the small one did not wait for its tick";
  EXPECT_FALSE(sink.stored()[0].line_is_record);
}

TEST_F(ListenerTest, WhatNobodySendsAgainAndTheSinkDoesNotTakeBeforeTheEndIsSaidToBeLost) {
  sink.set_full(100);
  start(sink);
  const Sender sender(listener->port());
  ASSERT_TRUE(sender.send("kept by nobody"));
  ASSERT_TRUE(eventually([&] { return book.last("test").state == SourceState::waiting; }));
  listener.reset();
  EXPECT_EQ(book.refused_for("lost_at_stop").first, "15 bytes were not taken by the history in time");
  EXPECT_EQ(book.refused_for("gone").first, "127.0.0.1: with a word") << "what a conversation says at its end counts";
}

TEST(Listening, OneMessageIsOneLine) {
  std::string out;
  append_line(out, "<1>a\nb\n\0"s);
  append_line(out, "\n");
  append_line(out, "<2>c\r\n");
  EXPECT_EQ(out, "<1>a#012b\n<2>c\n");
}

}  // namespace
}  // namespace bavn::input::sources
