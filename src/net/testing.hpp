#pragma once
// For tests of this folder and above: certificates made on the spot, a raw TCP client, and waiting for answers.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <string>

#include "base/runtime.hpp"
#include "base/x509.hpp"
#include "net/client.hpp"
#include "net/server.hpp"

namespace bavn::net::testing {

/// An authority with a server's certificate for localhost and 127.0.0.1.
class Certificates {
 public:
  explicit Certificates(Runtime& runtime);
  ServerTls server(bool ask_clients = true) const;
  /// A client certificate. ends: how long from now it is valid; negative: it is over.
  TlsIdentity client(const std::string& name, std::chrono::hours ends = std::chrono::hours(24)) const;
  const std::string& authority() const { return authority_.certificate_pem; }

 private:
  std::string issue(const std::string& key, x509::Use use, const std::string& name, std::chrono::hours ends) const;
  std::array<std::byte, 16> serial() const;
  Runtime& runtime_;
  x509::Authority authority_;
  std::string server_key_, server_certificate_;
};

/// Blocks, so not from the runtime's own queues.
inline Result<ClientReply> ask(Client& client, QueueId queue, ClientRequest request);

/// Plain TCP to 127.0.0.1.
class RawSocket {
 public:
  explicit RawSocket(std::uint16_t port, int receive_buffer = 0);
  ~RawSocket();
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;
  bool send(std::string_view bytes) const;
  /// Reads until the text has come, the other end closes, or ten seconds are over. What came so far is returned.
  std::string read_until(std::string_view text) const;
  std::string read_all() const { return read_until("\x01\x02 never \x03"); }
  /// Milliseconds until the other end closes.
  std::int64_t closed_after() const;

 private:
  int fd_ = -1;
};

inline std::array<std::byte, 16> Certificates::serial() const {
  std::array<std::byte, 16> bytes{};
  runtime_.random(bytes);
  return bytes;
}

inline Certificates::Certificates(Runtime& runtime) : runtime_(runtime) {
  const Instant now = runtime.now();
  authority_ =
      x509::make_authority("test authority", now - std::chrono::hours(48), now + std::chrono::hours(48), serial())
          .value();
  server_key_ = x509::make_key();
  server_certificate_ = issue(server_key_, x509::Use::server, "localhost", std::chrono::hours(24));
}

inline std::string Certificates::issue(const std::string& key, x509::Use use, const std::string& name,
                                       std::chrono::hours ends) const {
  const Instant now = runtime_.now();
  x509::Wish wish{.use = use,
                  .common_name = name,
                  .names = {},
                  .not_before = now - std::chrono::hours(47),
                  .not_after = now + ends,
                  .serial = serial()};
  if (use == x509::Use::server) wish.names = {x509::host("localhost"), x509::host("127.0.0.1")};
  return x509::issue(authority_, x509::make_request(key, name).value(), wish).value();
}

inline ServerTls Certificates::server(bool ask_clients) const {
  return {.certificate_pem = server_certificate_,
          .key_pem = server_key_,
          .client_ca_pem = ask_clients ? authority_.certificate_pem : ""};
}

inline TlsIdentity Certificates::client(const std::string& name, std::chrono::hours ends) const {
  const std::string key = x509::make_key();
  return {.certificate_pem = issue(key, x509::Use::client, name, ends),
          .key_pem = key,
          .ca_pem = authority_.certificate_pem};
}

inline Result<ClientReply> ask(Client& client, QueueId queue, ClientRequest request) {
  std::promise<Result<ClientReply>> promise;
  auto future = promise.get_future();
  client.send(std::move(request), queue, [&](Result<ClientReply> r) { promise.set_value(std::move(r)); });
  return future.get();
}

inline RawSocket::RawSocket(std::uint16_t port, int receive_buffer)
    : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (receive_buffer > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0) << "port " << port;
}

inline RawSocket::~RawSocket() {
  close(fd_);
}

inline bool RawSocket::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

inline std::string RawSocket::read_until(std::string_view text) const {
  std::string got;
  char buffer[16384];
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (got.find(text) == std::string::npos) {
    pollfd p{fd_, POLLIN, 0};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    if (left <= 0 || poll(&p, 1, static_cast<int>(left)) <= 0) break;
    const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) break;
    got.append(buffer, static_cast<std::size_t>(n));
  }
  return got;
}

inline std::int64_t RawSocket::closed_after() const {
  const auto start = std::chrono::steady_clock::now();
  read_all();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace bavn::net::testing
