#include "notify/mail.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "base/threads.hpp"

namespace bavn::notify {
namespace {

// A mail server for one conversation: takes or refuses the recipient, keeps what was said.
class OneMailServer {
 public:
  explicit OneMailServer(bool takes) : takes_(takes) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    thread_ = std::jthread([this] { talk(); });
  }
  ~OneMailServer() {
    (void)heard();
    ::close(listener_);
  }
  /// Ends it and gives what was said.
  std::vector<std::string> heard() {
    ::shutdown(listener_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    return said_;
  }
  std::uint16_t port = 0;

 private:
  void talk() {
    const int c = ::accept(listener_, nullptr, nullptr);
    if (c < 0) return;
    const auto answer = [&](std::string line) {
      line += "\r\n";
      (void)!::write(c, line.data(), line.size());
    };
    answer("220 catcher.example.org");
    std::string buffer;
    bool data = false;
    char chunk[4096];
    for (;;) {
      const auto n = ::read(c, chunk, sizeof chunk);
      if (n <= 0) break;
      buffer.append(chunk, static_cast<std::size_t>(n));
      for (auto end = buffer.find("\r\n"); end != std::string::npos; end = buffer.find("\r\n")) {
        const std::string line = buffer.substr(0, end);
        buffer.erase(0, end + 2);
        said_.push_back(line);
        if (data) {
          if (line != ".") continue;
          data = false;
          answer("250 2.0.0 Ok: queued as 7F3");
        } else if (line.starts_with("EHLO")) {
          answer("250 catcher.example.org");
        } else if (line.starts_with("RCPT") && !takes_) {
          answer("550 5.1.1 no such person");
        } else if (line == "DATA") {
          data = true;
          answer("354 go on");
        } else if (line == "QUIT") {
          answer("221 goodbye");
          ::close(c);
          return;
        } else {
          answer("250 Ok");
        }
      }
    }
    ::close(c);
  }
  bool takes_;
  std::vector<std::string> said_;
  int listener_ = -1;
  std::jthread thread_;
};

Result<std::string> send(std::uint16_t port, const Mail& mail) {
  Threads threads;
  const auto queue = threads.queue({.name = "test"});
  auto carrier = smtp_carrier(threads,
                              {.host = "127.0.0.1",
                               .port = port,
                               .tls = MailTls::none,
                               .user = {},
                               .from = "bavn@node.example.org",
                               .ca_file = {}},
                              Secret<std::string>(""));
  EXPECT_TRUE(carrier);
  std::promise<Result<std::string>> done;
  (*carrier)->send(mail, queue, [&](Result<std::string> r) { done.set_value(std::move(r)); });
  return done.get_future().get();
}

const Mail kMail{"anna@private.example.org", "RING NU: København", "Kære Anna\n.\nslut", "msg_1"};

TEST(Smtp, AMailArrivesWholeAndTheAnswerIsTheProof) {
  OneMailServer server(true);
  EXPECT_EQ(send(server.port, kMail).value(), "250 2.0.0 Ok: queued as 7F3");
  const auto said = server.heard();
  const auto has = [&](std::string_view line) { return std::find(said.begin(), said.end(), line) != said.end(); };
  EXPECT_TRUE(has("MAIL FROM:<bavn@node.example.org>"));
  EXPECT_TRUE(has("RCPT TO:<anna@private.example.org>"));
  EXPECT_TRUE(has("Auto-Submitted: auto-generated"));
  EXPECT_TRUE(has("Message-ID: <msg_1@node.example.org>"));
}

TEST(Smtp, ARefusalSaysWhatTheServerSaid) {
  OneMailServer server(false);
  const auto refused = send(server.port, kMail);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_NE(refused.error().what.find("550 5.1.1 no such person"), std::string::npos) << refused.error().what;
}

TEST(Smtp, NobodyThereIsSaid) {
  std::uint16_t port = 0;
  {
    OneMailServer gone(true);
    port = gone.port;
  }
  EXPECT_NE(send(port, kMail).error().what.find("did not take the mail"), std::string::npos);
}

TEST(Smtp, SettingsThatCannotWorkAreRefused) {
  Threads threads;
  const auto made = [&](SmtpOptions o) {
    return smtp_carrier(threads, std::move(o), Secret<std::string>("p")).has_value();
  };
  EXPECT_FALSE(made({.host = "", .user = {}, .from = "a@example.org", .ca_file = {}}));
  EXPECT_FALSE(made({.host = "smtp://x", .user = {}, .from = "a@example.org", .ca_file = {}}));
  EXPECT_FALSE(made({.host = "mail.example.org", .user = {}, .from = "nobody", .ca_file = {}}));
  EXPECT_FALSE(
      made({.host = "mail.example.org", .tls = MailTls::none, .user = "u", .from = "a@example.org", .ca_file = {}}));
  EXPECT_TRUE(made({.host = "mail.example.org", .user = "u", .from = "a@example.org", .ca_file = {}}));
}

TEST(Mail, IsPlainAsciiOnTheWireAndReadsBack) {
  const auto text = message_text(
      {"anna@example.org", "RING NÅ: " + std::string(60, 'x') + "ø\r\nBcc: all@example.org", "Blåbærgrød\nto", "msg_2"},
      "bavn@node.example.org", *parse_time("2026-03-01T02:03:04Z"));
  std::size_t lines = 0;
  for (const auto line : split(text, '\n')) {
    EXPECT_LE(line.size(), 100U);
    EXPECT_FALSE(line.starts_with("Bcc"));
    ++lines;
  }
  EXPECT_GT(lines, 10U);
  for (const char c : text) EXPECT_GE(c, 0);
  EXPECT_NE(text.find("Date: Sun, 1 Mar 2026 02:03:04 +0000\r\n"), std::string::npos);
  const auto body = text.substr(text.find("\r\n\r\n") + 4);
  EXPECT_EQ(from_base64(trim(body)).value(), "Blåbærgrød\r\nto");
}

}  // namespace
}  // namespace bavn::notify
