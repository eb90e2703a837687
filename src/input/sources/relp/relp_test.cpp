#include "input/sources/relp/relp.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "base/eventually.hpp"
#include "base/threads.hpp"
#include "base/x509.hpp"
#include "input/testing.hpp"

namespace bavn::input::sources::relp {
namespace {

using namespace std::chrono_literals;
using input::testing::FakeBook;
using input::testing::FakeSink;

constexpr std::string_view kOpen = "1 open 30 relp_version=1\ncommands=syslog\n";
constexpr std::string_view kOpened = "1 rsp 56 200 OK\nrelp_version=1\nrelp_software=bavn\ncommands=syslog\n";

/// A sender on a socket that blocks, and gives up after a minute.
class Sender {
 public:
  explicit Sender(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval t{60, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  ~Sender() { close(); }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  bool send(std::string_view bytes) const {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  bool syslog(std::string_view text) { return send(fmt::format("{} syslog {} {}\n", ++number_, text.size(), text)); }
  bool open() { return send(kOpen) && expect(kOpened); }
  /// These bytes are what comes next.
  bool expect(std::string_view bytes) {
    while (got_.size() < bytes.size() && receive()) {
    }
    const bool same = got_.starts_with(bytes);
    if (same) got_.erase(0, bytes.size());
    return same;
  }
  /// Everything until the other side closes.
  std::string rest() {
    while (receive()) {
    }
    return std::exchange(got_, {});
  }
  /// What is here already.
  std::string now() {
    char buffer[4096];
    for (ssize_t n = 0; (n = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT)) > 0;)
      got_.append(buffer, static_cast<std::size_t>(n));
    return std::exchange(got_, {});
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  bool receive() {
    char buffer[4096];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n > 0) got_.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
  }
  int fd_;
  bool connected_ = false;
  unsigned number_ = 1;
  std::string got_;
};

class RelpTest : public ::testing::Test {
 protected:
  RelpTest() {
    std::signal(SIGPIPE, SIG_IGN);
    options.name = "relp.test";
    options.address = "127.0.0.1";
    options.port = 0;
    options.tick = 20ms;
  }
  void start() {
    auto started = start_listener(threads, sink, book, options);
    ASSERT_TRUE(started) << started.error().what;
    source = *std::move(started);
  }

  Threads threads;
  FakeSink sink{threads};
  FakeBook book;
  RelpOptions options;
  std::unique_ptr<Listener> source;
};

TEST_F(RelpTest, AMessageIsAnsweredAfterTheSinkHasIt) {
  start();
  Sender sender(source->port());
  ASSERT_TRUE(sender.open());
  ASSERT_TRUE(sender.syslog("<13>one\nwith two lines\n"));
  ASSERT_TRUE(sender.expect("2 rsp 6 200 OK\n"));
  EXPECT_EQ(sink.lines(), std::vector<std::string>{"<13>one#012with two lines"});
  EXPECT_EQ(sink.stored()[0].source, "relp.test");
  EXPECT_TRUE(sink.stored()[0].line_is_record);
}

TEST_F(RelpTest, WhatTheSinkHasNotTakenIsNotAnsweredAndWhatComesMeanwhileGoesTogether) {
  sink.set_full(100);
  start();
  Sender sender(source->port());
  ASSERT_TRUE(sender.open());
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(sender.syslog(fmt::format("<13>{}", i)));
  ASSERT_TRUE(eventually([&] { return book.last("relp.test").state == SourceState::waiting; }));
  EXPECT_EQ(sender.now(), "");
  EXPECT_EQ(sink.count(), 0U);
  sink.set_full(0);
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(sender.expect(fmt::format("{} rsp 6 200 OK\n", i + 2))) << i;
  EXPECT_EQ(sink.count(), 500U);
  EXPECT_LT(sink.stored().size(), 100U) << "one delivery for each few messages";
  EXPECT_EQ(sink.duplicates(), 0U);
}

TEST_F(RelpTest, TooMuchUnansweredIsNotRead) {
  options.hold = 64U << 10U;
  options.batch = 16U << 10U;
  sink.set_full(100);
  start();
  Sender sender(source->port());
  ASSERT_TRUE(sender.open());
  const int small = 64 << 10;
  ::setsockopt(sender.fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  const std::string text(1000, 'x');
  std::string all;
  for (unsigned i = 2; i < 30'002; ++i) all += fmt::format("{} syslog {} {}\n", i, text.size(), text);
  std::size_t sent = 0, quiet = 0;
  EXPECT_TRUE(eventually([&] {
    const std::size_t before = sent;
    for (ssize_t n = 0; sent < all.size(); sent += static_cast<std::size_t>(n)) {
      n = ::send(sender.fd(), all.data() + sent, all.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0) break;
    }
    quiet = sent == before ? quiet + 1 : 0;
    return quiet > 60;  // 300 ms without a byte taken
  }));
  EXPECT_LT(sent, all.size()) << "the source goes on reading with nowhere to put it";
  EXPECT_EQ(sink.count(), 0U);
  sink.set_full(0);
  std::string answers;
  EXPECT_TRUE(eventually([&] {
    while (sent < all.size()) {
      const ssize_t n = ::send(sender.fd(), all.data() + sent, all.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0) break;
      sent += static_cast<std::size_t>(n);
    }
    answers += sender.now();
    return answers.ends_with("\n30001 rsp 6 200 OK\n");
  })) << answers.substr(answers.size() < 100 ? 0 : answers.size() - 100);
  EXPECT_EQ(sink.count(), 30'000U);
}

TEST_F(RelpTest, WhoTakesNoAnswersIsNotReadEither) {
  start();
  Sender sender(source->port());
  const int small = 4096;
  ::setsockopt(sender.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  ASSERT_TRUE(sender.send(kOpen));
  std::string all;
  for (unsigned i = 2; i < 2'000'000; ++i) all += fmt::format("{} starttls 0\n", i);
  std::size_t sent = 0, quiet = 0;
  EXPECT_TRUE(eventually([&] {
    const std::size_t before = sent;
    while (sent < all.size()) {
      const ssize_t n = ::send(sender.fd(), all.data() + sent, all.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0) break;
      sent += static_cast<std::size_t>(n);
    }
    quiet = sent == before ? quiet + 1 : 0;
    return quiet > 30;
  }));
  EXPECT_LT(sent, all.size());
}

TEST_F(RelpTest, RefusedRecordsAreAnsweredWithTheReasonAndCountedAndTheRestIsStored) {
  options.max_message = 100;
  sink.set_bad("nonsense");
  start();
  Sender sender(source->port());
  ASSERT_TRUE(sender.open());
  ASSERT_TRUE(sender.syslog("<13>" + std::string(200, 'x')));
  EXPECT_TRUE(sender.expect("2 rsp 37 200 OK, not kept: more than 100 bytes\n"));
  ASSERT_TRUE(sender.syslog("nonsense"));
  EXPECT_TRUE(sender.expect("3 rsp 24 500 nobody can read this\n"));
  ASSERT_TRUE(sender.syslog("<13>fine"));
  EXPECT_TRUE(sender.expect("4 rsp 6 200 OK\n"));
  EXPECT_TRUE(eventually([&] { return book.refused_for("message_too_long").count == 1; }));
  EXPECT_TRUE(eventually([&] { return book.refused_for("delivery_refused").count == 1; }));
  EXPECT_EQ(sink.count(), 1U);
}

TEST_F(RelpTest, ALineEndAloneIsAnsweredAtOnce) {
  start();
  Sender sender(source->port());
  ASSERT_TRUE(sender.open());
  ASSERT_TRUE(sender.syslog("\n"));
  EXPECT_TRUE(sender.expect("2 rsp 6 200 OK\n"));
  EXPECT_EQ(sink.count(), 0U);
}

TEST_F(RelpTest, CloseAndAHalfClosedConnectionGetWhatTheyAreOwed) {
  sink.set_delay(100'000);
  start();
  Sender one(source->port());
  ASSERT_TRUE(one.open());
  ASSERT_TRUE(one.send("2 syslog 1 x\n3 close 0\n"));
  EXPECT_EQ(one.rest(), "2 rsp 6 200 OK\n3 rsp 6 200 OK\n0 serverclose 0\n");
  Sender two(source->port());
  ASSERT_TRUE(two.open());
  ASSERT_TRUE(two.syslog("y"));
  ::shutdown(two.fd(), SHUT_WR);
  EXPECT_EQ(two.rest(), "2 rsp 6 200 OK\n0 serverclose 0\n");
  one.close();
  two.close();
  EXPECT_TRUE(eventually([&] { return source->connections() == 0; }));
}

TEST_F(RelpTest, AStopAnswersWhatIsOnItsWayAndSaysServerclose) {
  sink.set_delay(100'000);
  start();
  Sender busy(source->port()), idle(source->port());
  ASSERT_TRUE(busy.open());
  ASSERT_TRUE(idle.open());
  ASSERT_TRUE(busy.syslog("<13>last"));
  ASSERT_TRUE(eventually([&] { return book.last("relp.test").cursor.contains("1 messages") || sink.count() == 1; }));
  source.reset();
  EXPECT_EQ(busy.rest(), "2 rsp 6 200 OK\n0 serverclose 0\n");
  EXPECT_EQ(idle.rest(), "0 serverclose 0\n");
  EXPECT_EQ(sink.count(), 1U);
}

TEST_F(RelpTest, AStopWithADeadSinkEndsAndAnswersNothing) {
  sink.set_full(100);
  start();
  Sender sender(source->port());
  ASSERT_TRUE(sender.open());
  ASSERT_TRUE(sender.syslog("<13>not stored"));
  ASSERT_TRUE(eventually([&] { return book.last("relp.test").state == SourceState::waiting; }));
  source.reset();
  EXPECT_EQ(sender.rest(), "") << "an answer, and it is not stored";
  EXPECT_EQ(book.refused_for("lost_at_stop").count, 0U) << "it is sent again";
}

TEST_F(RelpTest, WhoIsGoneDoesNotStopTheOthers) {
  sink.set_full(100);
  start();
  Sender stays(source->port());
  ASSERT_TRUE(stays.open());
  for (int i = 0; i < 20; ++i) {
    Sender leaves(source->port());
    ASSERT_TRUE(leaves.open());
    ASSERT_TRUE(leaves.syslog("<13>left"));
  }
  ASSERT_TRUE(stays.syslog("<13>stayed"));
  sink.set_full(0);
  EXPECT_TRUE(stays.expect("2 rsp 6 200 OK\n"));
  EXPECT_TRUE(eventually([&] { return sink.count() == 21; })) << "what was taken is stored, whoever is gone";
}

TEST_F(RelpTest, LimitsAreHeldAndCounted) {
  options.max_connections = 1;
  options.handshake = 100ms;
  start();
  Sender silent(source->port());
  ASSERT_TRUE(eventually([&] { return source->connections() == 1; }));
  Sender second(source->port());
  EXPECT_EQ(second.rest(), "");
  EXPECT_TRUE(eventually([&] { return book.refused_for("too_many_connections").count == 1; }));
  EXPECT_EQ(silent.rest(), "") << "it never opened";
  EXPECT_TRUE(eventually([&] { return book.refused_for("relp_open_too_slow").count == 1; }));
  Sender noise(source->port());
  ASSERT_TRUE(noise.send("<13>Jan 10 08:00:00 plain syslog\n"));
  EXPECT_EQ(noise.rest(), "0 serverclose 0\n");
  EXPECT_TRUE(eventually([&] { return book.refused_for("relp_broken").count == 1; }));
  EXPECT_TRUE(book.refused_for("relp_broken").first.contains("127.0.0.1: a frame begins with a number"));
}

TEST_F(RelpTest, ASilentConnectionIsClosedInOrder) {
  options.idle = 100ms;
  start();
  Sender sender(source->port());
  ASSERT_TRUE(sender.open());
  EXPECT_EQ(sender.rest(), "0 serverclose 0\n");
  EXPECT_TRUE(eventually([&] { return book.refused_for("connection_idle").count == 1; }));
}

TEST_F(RelpTest, WhoIsNotAllowedIsCountedAndEachSenderCanBeASource) {
  options.allow = {"192.0.2.0/24"};
  start();
  Sender stranger(source->port());
  EXPECT_EQ(stranger.rest(), "");
  EXPECT_TRUE(eventually([&] { return book.refused_for("sender_not_allowed").count == 1; }));
  options.allow.clear();
  options.per_sender = true;
  source.reset();
  start();
  Sender sender(source->port());
  ASSERT_TRUE(sender.open());
  ASSERT_TRUE(sender.syslog("<13>a"));
  ASSERT_TRUE(sender.expect("2 rsp 6 200 OK\n"));
  EXPECT_EQ(sink.stored()[0].source, "relp.test/127.0.0.1");
}

TEST_F(RelpTest, ATakenPortAndABrokenCertificateAreErrorsWithTheirReason) {
  start();
  RelpOptions same = options;
  same.port = source->port();
  const auto second = start_listener(threads, sink, book, same);
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().what.contains("Address already in use")) << second.error().what;
  options.transport = Transport::tls;
  options.certificate.certificate_pem = "nonsense";
  EXPECT_EQ(start_listener(threads, sink, book, options).error().code, Code::bad_input);
}

class RelpOverTls : public RelpTest {
 protected:
  RelpOverTls() {
    const Instant now = threads.now();
    authority = x509::make_authority("Test CA", now - 1h, now + 1h, {}).value();
    options.transport = Transport::tls;
    issue(x509::Use::server, "localhost", options.certificate.certificate_pem, options.certificate.key_pem);
  }
  void issue(x509::Use use, const std::string& name, std::string& certificate, std::string& key) {
    key = x509::make_key();
    x509::Wish wish;
    wish.use = use;
    wish.common_name = name;
    wish.names = {x509::host("127.0.0.1")};
    wish.not_before = threads.now() - 1h;
    wish.not_after = threads.now() + 1h;
    threads.random(wish.serial);
    certificate = x509::issue(authority, x509::make_request(key, name).value(), wish).value();
  }
  /// Opens, sends one message, closes: what was answered.
  std::string talk(const std::string& certificate = "", const std::string& key = "") {
    const Sender socket(source->port());
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    const auto bio = [](const std::string& pem) { return BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())); };
    if (!certificate.empty()) {
      BIO* in = bio(certificate);
      X509* own = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
      SSL_CTX_use_certificate(context, own);
      X509_free(own);
      BIO_free(in);
      in = bio(key);
      EVP_PKEY* k = PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr);
      SSL_CTX_use_PrivateKey(context, k);
      EVP_PKEY_free(k);
      BIO_free(in);
    }
    SSL* ssl = SSL_new(context);
    SSL_set_fd(ssl, socket.fd());
    std::string out;
    const std::string all = std::string(kOpen) + "2 syslog 9 <1>secret\n3 close 0\n";
    if (SSL_connect(ssl) == 1 && SSL_write(ssl, all.data(), static_cast<int>(all.size())) > 0) {
      char buffer[1000];
      for (int n = 0; (n = SSL_read(ssl, buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<std::size_t>(n));
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    return out;
  }
  const std::string answers = std::string(kOpened) + "2 rsp 6 200 OK\n3 rsp 6 200 OK\n0 serverclose 0\n";
  x509::Authority authority;
};

TEST_F(RelpOverTls, MessagesComeThroughAndAreAnswered) {
  start();
  EXPECT_EQ(talk(), answers);
  EXPECT_EQ(sink.lines(), std::vector<std::string>{"<1>secret"});
  EXPECT_EQ(book.refused_for("tls_failed").count, 0U);
}

TEST_F(RelpOverTls, WhenSendersNeedACertificateThoseWithoutAreRefusedAndCounted) {
  options.certificate.client_ca_pem = authority.certificate_pem;
  start();
  EXPECT_EQ(talk(), "");
  EXPECT_TRUE(eventually([&] { return book.refused_for("tls_failed").count >= 1; }));
  std::string certificate, key;
  issue(x509::Use::client, "app1.example.org", certificate, key);
  EXPECT_EQ(talk(certificate, key), answers);
  EXPECT_EQ(sink.count(), 1U);
}

TEST_F(RelpOverTls, PlainBytesAreNoHandshakeAndWhoNeverFinishesItIsClosed) {
  options.handshake = 100ms;
  start();
  Sender plain(source->port());
  ASSERT_TRUE(plain.send(kOpen));
  EXPECT_TRUE(eventually([&] { return book.refused_for("tls_failed").count == 1; }));
  Sender silent(source->port());
  EXPECT_EQ(silent.rest(), "");
  EXPECT_TRUE(eventually([&] { return book.refused_for("relp_open_too_slow").count == 1; }));
}

TEST_F(RelpOverTls, ARenewedCertificateIsUsedByNewConnections) {
  start();
  std::string certificate, key;
  issue(x509::Use::server, "renewed", certificate, key);
  EXPECT_TRUE(source->replace_certificate(certificate, key));
  EXPECT_FALSE(source->replace_certificate("nonsense", key));
  EXPECT_EQ(talk(), answers);
}

}  // namespace
}  // namespace bavn::input::sources::relp
