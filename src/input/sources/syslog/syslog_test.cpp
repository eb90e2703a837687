#include "input/sources/syslog/syslog.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "base/eventually.hpp"
#include "base/threads.hpp"
#include "base/x509.hpp"
#include "input/testing.hpp"

namespace bavn::input::sources::syslog {
namespace {

using namespace std::chrono_literals;
using input::testing::FakeBook;
using input::testing::FakeSink;

/// A sender as simple as the old ones are.
class Sender {
 public:
  Sender(int kind, std::uint16_t port) : fd_(::socket(AF_INET, kind, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  ~Sender() { close(); }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  bool send(std::string_view bytes) const {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  /// The same line again and again until the other side takes no more; `sent` bytes of it went before. Returns all that went.
  std::size_t push(std::string_view line, std::size_t sent, std::size_t at_most) const {
    while (sent < at_most) {
      const std::string_view rest = line.substr(sent % line.size());
      const ssize_t n = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0) break;
      sent += static_cast<std::size_t>(n);
    }
    return sent;
  }
  bool closed_by_peer() const {
    char c = 0;
    timeval t{60, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    return ::recv(fd_, &c, 1, 0) <= 0;
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  int fd() const { return fd_; }
  bool connected() const { return connected_; }

 private:
  int fd_;
  bool connected_ = false;
};

class SyslogTest : public ::testing::Test {
 protected:
  SyslogTest() {
    std::signal(SIGPIPE, SIG_IGN);
    options.name = "syslog.test";
    options.address = "127.0.0.1";
    options.port = 0;
    options.tick = 20ms;
  }
  void start(Transport transport) {
    options.transport = transport;
    auto started = start_listener(threads, sink, book, options);
    ASSERT_TRUE(started) << started.error().what;
    source = *std::move(started);
  }
  bool got(std::size_t n) {
    return eventually([&] { return sink.count() >= n; });
  }

  Threads threads;
  FakeSink sink{threads};
  FakeBook book;
  SyslogOptions options;
  std::unique_ptr<Listener> source;
};

TEST_F(SyslogTest, ADatagramIsALine) {
  start(Transport::udp);
  const Sender sender(SOCK_DGRAM, source->port());
  ASSERT_TRUE(sender.send("<34>1 2026-01-01T00:00:00Z fw.example.org app - - - blocked"));
  ASSERT_TRUE(sender.send(std::string_view("<34>two\nlines\n\0", 15)));
  ASSERT_TRUE(got(2));
  EXPECT_EQ(sink.lines()[0], "<34>1 2026-01-01T00:00:00Z fw.example.org app - - - blocked");
  EXPECT_EQ(sink.lines()[1], "<34>two#012lines");
  EXPECT_EQ(sink.stored()[0].source, "syslog.test");
}

TEST_F(SyslogTest, TcpTakesBothFramingsAndTheRestWhenTheConnectionEnds) {
  start(Transport::tcp);
  Sender sender(SOCK_STREAM, source->port());
  ASSERT_TRUE(sender.send("<1>one\n8 <2>two\nx<3>thr"));
  ASSERT_TRUE(sender.send("ee"));
  sender.close();
  ASSERT_TRUE(got(3));
  EXPECT_TRUE(eventually([&] { return source->connections() == 0; }));
  EXPECT_EQ(sink.lines()[0], "<1>one");
  EXPECT_EQ(sink.lines()[1], "<2>two#012x");
  EXPECT_EQ(sink.lines()[2], "<3>three");
}

TEST_F(SyslogTest, EachSenderCanBeASourceOfItsOwn) {
  options.per_sender = true;
  start(Transport::udp);
  const Sender sender(SOCK_DGRAM, source->port());
  ASSERT_TRUE(sender.send("<1>a"));
  ASSERT_TRUE(got(1));
  EXPECT_EQ(sink.stored()[0].source, "syslog.test/127.0.0.1");
  EXPECT_TRUE(eventually([&] { return book.last("syslog.test/127.0.0.1").state == SourceState::working; }));
}

TEST_F(SyslogTest, WhoIsNotAllowedIsCountedAndNotRead) {
  options.allow = {"192.0.2.0/24"};
  start(Transport::tcp);
  const Sender sender(SOCK_STREAM, source->port());
  EXPECT_TRUE(sender.closed_by_peer());
  EXPECT_TRUE(eventually([&] { return book.refused_for("sender_not_allowed").count == 1; }));
  EXPECT_EQ(book.refused_for("sender_not_allowed").first, "127.0.0.1");
}

TEST_F(SyslogTest, ConnectionsBeyondTheLimitAreClosedAndCounted) {
  options.max_connections = 1;
  start(Transport::tcp);
  const Sender first(SOCK_STREAM, source->port());
  ASSERT_TRUE(eventually([&] { return source->connections() == 1; }));
  const Sender second(SOCK_STREAM, source->port());
  EXPECT_TRUE(second.closed_by_peer());
  EXPECT_TRUE(first.send("<1>still here\n"));
  EXPECT_TRUE(got(1));
}

TEST_F(SyslogTest, ASilentConnectionIsClosed) {
  options.idle = 100ms;
  start(Transport::tcp);
  const Sender sender(SOCK_STREAM, source->port());
  EXPECT_TRUE(sender.closed_by_peer());
  EXPECT_TRUE(eventually([&] { return book.refused_for("connection_idle").count == 1; }));
}

TEST_F(SyslogTest, WhenTheSinkIsFullTcpSendersWaitAndNothingIsLost) {
  options.hold = 64U << 10U;
  options.batch = 16U << 10U;
  sink.set_full(100);
  start(Transport::tcp);
  Sender sender(SOCK_STREAM, source->port());
  const std::string line = "<1>" + std::string(996, 'x') + "\n";
  const int small = 128 << 10;
  ::setsockopt(sender.fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  std::size_t sent = 0;
  std::size_t quiet = 0;
  EXPECT_TRUE(eventually([&] {
    const std::size_t before = std::exchange(sent, sender.push(line, sent, 100U << 20U));
    quiet = sent == before ? quiet + 1 : 0;
    return quiet > 60;  // 300 ms without a byte taken
  })) << "the source goes on reading with nowhere to put it";
  EXPECT_EQ(sink.count(), 0U);
  EXPECT_EQ(book.last("syslog.test").state, SourceState::waiting);
  sink.set_full(0);
  // A part of a line may have gone: it is ended.
  ASSERT_TRUE(eventually([&] {
    const std::size_t whole = (sent + line.size() - 1) / line.size() * line.size();
    sent = sender.push(line, sent, whole);
    return sent == whole;
  }));
  sender.close();
  EXPECT_TRUE(got(sent / line.size())) << sink.count() << " of " << sent / line.size();
  EXPECT_EQ(sink.count(), sent / line.size());
  EXPECT_EQ(sink.duplicates(), 0U);
}

TEST_F(SyslogTest, WhenTheSinkIsFullDatagramsAreKeptThenDroppedAndEveryOneIsCounted) {
  options.hold = 10'000;
  sink.set_full(100);
  start(Transport::udp);
  const Sender sender(SOCK_DGRAM, source->port());
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(sender.send("<1>" + std::string(196, 'x')));
  ASSERT_TRUE(eventually([&] { return book.refused_for("udp_dropped").count > 0; }));
  sink.set_full(0);
  EXPECT_TRUE(eventually([&] { return sink.count() + book.refused_for("udp_dropped").count == 200; }))
      << sink.count() << " + " << book.refused_for("udp_dropped").count;
}

TEST_F(SyslogTest, TooLongMessagesAreCountedAndTheConnectionGoesOn) {
  options.max_message = 100;
  start(Transport::tcp);
  const Sender sender(SOCK_STREAM, source->port());
  ASSERT_TRUE(sender.send("<1>" + std::string(200, 'x') + "\n<1>short\n"));
  ASSERT_TRUE(got(1));
  EXPECT_EQ(sink.lines()[0], "<1>short");
  EXPECT_TRUE(eventually([&] { return book.refused_for("message_too_long").count == 1; }));
}

TEST_F(SyslogTest, WhatIsHeldIsGivenToTheSinkBeforeTheSourceEnds) {
  options.tick = 1h;
  start(Transport::tcp);
  const Sender sender(SOCK_STREAM, source->port());
  ASSERT_TRUE(sender.send("<1>one\n"));
  ASSERT_TRUE(eventually([&] { return source->connections() == 1; }));
  ASSERT_TRUE(sender.send("<1>two\n"));
  ::shutdown(sender.fd(), SHUT_WR);
  ASSERT_TRUE(eventually([&] { return source->connections() == 0; }));
  source.reset();
  EXPECT_EQ(sink.count(), 2U);
}

TEST_F(SyslogTest, WhatIsCutOffByTheStopIsCounted) {
  start(Transport::tcp);
  const Sender sender(SOCK_STREAM, source->port());
  ASSERT_TRUE(sender.send("<1>whole\n20 <2>not all"));
  ASSERT_TRUE(got(1));
  source.reset();
  EXPECT_EQ(book.refused_for("message_cut_off").count, 1U);
}

TEST_F(SyslogTest, AConnectionThatIsNotReadIsNotSilent) {
  options.idle = 100ms;
  options.hold = 1000;
  sink.set_full(100);
  start(Transport::tcp);
  const Sender sender(SOCK_STREAM, source->port());
  ASSERT_TRUE(sender.send("<1>" + std::string(1000, 'x') + "\n"));
  ASSERT_TRUE(eventually([&] { return book.last("syslog.test").state == SourceState::waiting; }));
  ASSERT_TRUE(sender.send("<2>waits\n"));
  const Duration since = threads.steady();
  ASSERT_TRUE(eventually([&] { return threads.steady() - since > 300ms; }));
  sink.set_full(0);
  EXPECT_TRUE(got(2)) << "the connection was closed, and what it had sent is lost";
}

TEST_F(SyslogTest, ATakenPortAndABrokenCertificateAreErrorsWithTheirReason) {
  start(Transport::tcp);
  SyslogOptions same = options;
  same.port = source->port();
  const auto second = start_listener(threads, sink, book, same);
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().what.contains("Address already in use")) << second.error().what;
  options.transport = Transport::tls;
  options.certificate.certificate_pem = "nonsense";
  EXPECT_EQ(start_listener(threads, sink, book, options).error().code, Code::bad_input);
  options.transport = Transport::udp;
  options.allow = {"everybody"};
  EXPECT_TRUE(start_listener(threads, sink, book, options).error().what.contains("'everybody' is no network"));
}

class SyslogOverTls : public SyslogTest {
 protected:
  SyslogOverTls() {
    const Instant now = threads.now();
    authority = x509::make_authority("Test CA", now - 1h, now + 1h, {}).value();
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
  /// What a TLS sender does. False: refused.
  bool send(std::string_view bytes, const std::string& certificate = "", const std::string& key = "") {
    const Sender sender(SOCK_STREAM, source->port());
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    const auto from = [](const std::string& pem) { return BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())); };
    BIO* in = from(authority.certificate_pem);
    X509* ca = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca);
    X509_free(ca);
    BIO_free(in);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (!certificate.empty()) {
      in = from(certificate);
      X509* own = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
      SSL_CTX_use_certificate(context, own);
      X509_free(own);
      BIO_free(in);
      in = from(key);
      EVP_PKEY* k = PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr);
      SSL_CTX_use_PrivateKey(context, k);
      EVP_PKEY_free(k);
      BIO_free(in);
    }
    SSL* ssl = SSL_new(context);
    SSL_set_fd(ssl, sender.fd());
    bool ok = SSL_connect(ssl) == 1 && SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size())) > 0;
    if (ok) {  // with TLS 1.3 a refused certificate shows at the first read
      SSL_shutdown(ssl);
      char c = 0;
      ok = SSL_read(ssl, &c, 1) <= 0 &&
           (ERR_peek_error() == 0 || ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
      ERR_clear_error();
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    return ok;
  }
  x509::Authority authority;
};

TEST_F(SyslogOverTls, MessagesComeThrough) {
  start(Transport::tls);
  EXPECT_TRUE(send("9 <1>secret8 <2>again"));
  ASSERT_TRUE(got(2));
  EXPECT_EQ(sink.lines()[0], "<1>secret");
}

TEST_F(SyslogOverTls, WhenSendersNeedACertificateThoseWithoutAreRefusedAndCounted) {
  options.certificate.client_ca_pem = authority.certificate_pem;
  start(Transport::tls);
  send("7 <1>mine");
  EXPECT_TRUE(eventually([&] { return book.refused_for("tls_failed").count >= 1; }));
  std::string certificate, key;
  issue(x509::Use::client, "fw.example.org", certificate, key);
  send("7 <1>mine", certificate, key);
  EXPECT_TRUE(got(1));
  EXPECT_EQ(sink.count(), 1U);
}

TEST_F(SyslogOverTls, PlainBytesAreNoHandshake) {
  start(Transport::tls);
  const Sender sender(SOCK_STREAM, source->port());
  ASSERT_TRUE(sender.send("<1>plain text\n"));
  EXPECT_TRUE(eventually([&] { return book.refused_for("tls_failed").count == 1; }));
  EXPECT_EQ(sink.count(), 0U);
}

TEST_F(SyslogOverTls, WhoNeverFinishesTheHandshakeIsClosed) {
  options.handshake = 100ms;
  start(Transport::tls);
  const Sender sender(SOCK_STREAM, source->port());
  EXPECT_TRUE(sender.closed_by_peer());
  EXPECT_TRUE(eventually([&] { return book.refused_for("tls_handshake_too_slow").count == 1; }));
}

TEST_F(SyslogOverTls, ARenewedCertificateIsUsedByNewConnections) {
  start(Transport::tls);
  std::string certificate, key;
  issue(x509::Use::server, "renewed", certificate, key);
  EXPECT_TRUE(source->replace_certificate(certificate, key));
  EXPECT_FALSE(source->replace_certificate("nonsense", key));
  EXPECT_TRUE(send("5 <1>ok"));
  EXPECT_TRUE(got(1));
}

}  // namespace
}  // namespace bavn::input::sources::syslog
