#include "net/server.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <vector>

#include "base/guarded.hpp"
#include "base/log.hpp"
#include "base/x509.hpp"
#include "net/connection.hpp"

namespace bavn::net {

namespace {

namespace asio = boost::asio;
using Ec = boost::system::error_code;
using Executor = asio::io_context::executor_type;  // by its own type: no virtual calls in every operation
using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;
using namespace std::chrono_literals;

constexpr Duration stop_grace = 2s;

void prepare(Socket& socket) {
  Ec ignored;
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
}

template <class Stream>
void write_all(Stream& stream, std::string_view first, std::string_view second, std::uint64_t& written, IoDone then) {
  const std::array<asio::const_buffer, 2> buffers{asio::buffer(first), asio::buffer(second)};
  std::uint64_t counted = 0;
  asio::async_write(
      stream, buffers,
      [&written, counted](const Ec& ec, std::size_t n) mutable -> std::size_t {
        written += n - std::exchange(counted, n);
        return ec ? 0 : 256U << 10U;
      },
      [then = std::move(then)](const Ec& ec, std::size_t n) mutable { then(!ec, n); });
}

class PlainTransport final : public Transport {
 public:
  PlainTransport(Socket socket, Peer peer) : socket_(std::move(socket)), peer_(std::move(peer)) { prepare(socket_); }
  void handshake(std::move_only_function<void(bool, std::string)> then) override { then(true, {}); }
  void read_some(std::span<char> into, IoDone then) override {
    socket_.async_read_some(asio::buffer(into.data(), into.size()),
                            [then = std::move(then)](const Ec& ec, std::size_t n) mutable { then(!ec, n); });
  }
  void write(std::string_view first, std::string_view second, IoDone then) override {
    write_all(socket_, first, second, written_, std::move(then));
  }
  std::uint64_t written() const override { return written_; }
  void shut_sending() override {
    Ec ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }
  void close() override {
    Ec ignored;
    socket_.close(ignored);
  }
  const Peer& peer() const override { return peer_; }

 private:
  Socket socket_;
  Peer peer_;
  std::uint64_t written_ = 0;
};

// Why OpenSSL refused the other end, in words.
std::string reason_of(SSL* ssl, const Ec& ec) {
  const long verdict = SSL_get_verify_result(ssl);
  if (verdict != X509_V_OK) return X509_verify_cert_error_string(verdict);
  return ec.message();
}

class TlsTransport final : public Transport {
 public:
  TlsTransport(Socket socket, std::shared_ptr<asio::ssl::context> context, Peer peer)
      : context_(std::move(context)), stream_(std::move(socket), *context_), peer_(std::move(peer)) {
    prepare(stream_.next_layer());
  }
  void handshake(std::move_only_function<void(bool, std::string)> then) override {
    stream_.async_handshake(asio::ssl::stream_base::server, [this, then = std::move(then)](const Ec& ec) mutable {
      if (ec) return then(false, reason_of(stream_.native_handle(), ec));
      peer_.tls = true;
      if (X509* certificate = SSL_get0_peer_certificate(stream_.native_handle())) {
        unsigned char* der = nullptr;
        const int length = i2d_X509(certificate, &der);
        auto read =
            length > 0
                ? x509::read_certificate_der({reinterpret_cast<const char*>(der), static_cast<std::size_t>(length)})
                : fail(Code::bad_input, "the client certificate cannot be encoded");
        OPENSSL_free(der);
        if (!read) return then(false, read.error().what);
        peer_.certificate_serial = std::move(read->serial);
        peer_.certificate_name = std::move(read->common_name);
      }
      then(true, {});
    });
  }
  void read_some(std::span<char> into, IoDone then) override {
    stream_.async_read_some(asio::buffer(into.data(), into.size()),
                            [then = std::move(then)](const Ec& ec, std::size_t n) mutable { then(!ec, n); });
  }
  void write(std::string_view first, std::string_view second, IoDone then) override {
    write_all(stream_, first, second, written_, std::move(then));
  }
  std::uint64_t written() const override { return written_; }
  // close_notify would have to wait for the reads under way; every answer carries its length, so its end is known without.
  void shut_sending() override {}
  void close() override {
    Ec ignored;
    stream_.lowest_layer().close(ignored);
  }
  const Peer& peer() const override { return peer_; }

 private:
  std::shared_ptr<asio::ssl::context> context_;
  asio::ssl::stream<Socket> stream_;
  Peer peer_;
  std::uint64_t written_ = 0;
};

Error openssl_error(std::string_view what) {
  char text[256] = "";
  if (const unsigned long code = ERR_get_error()) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return {Code::bad_input, fmt::format("{}: {}", what, text), {}};
}

Result<std::shared_ptr<asio::ssl::context>> tls_context(const ServerTls& tls) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX* native = context->native_handle();
  Ec ec;
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  // Nothing is resumed: a resumed session would carry a client certificate past its end and its revocation.
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(native, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(native, 0);
  context->use_certificate_chain(asio::buffer(tls.certificate_pem), ec);
  if (ec) return std::unexpected(openssl_error("the server's certificate cannot be read"));
  context->use_private_key(asio::buffer(tls.key_pem), asio::ssl::context::pem, ec);
  if (ec) return std::unexpected(openssl_error("the server's key cannot be read or is not its certificate's"));
  if (!tls.client_ca_pem.empty()) {
    context->add_certificate_authority(asio::buffer(tls.client_ca_pem), ec);
    if (ec) return std::unexpected(openssl_error("the authority of client certificates cannot be read"));
    // A client without a certificate may come in: enrolment has none yet. Rights are the router's business.
    context->set_verify_mode(asio::ssl::verify_peer, ec);
  }
  return context;
}

class AsioCore final : public ServerCore {
 public:
  AsioCore(Runtime& r, const Router& served, ServerOptions o) : ServerCore(r, served, std::move(o)) {}
  void on_io(Task task) override { asio::post(io, std::move(task)); }

  Result<void> listen(std::shared_ptr<asio::ssl::context> tls);
  void accept();
  void accepted(Socket socket);
  void tick();
  void stop();

  asio::io_context io{1};
  std::optional<Acceptor> acceptor;
  std::optional<Timer> ticker;
  Guarded<std::shared_ptr<asio::ssl::context>> context;
  std::uint16_t port = 0;
  Duration stop_by{0};
};

Result<void> AsioCore::listen(std::shared_ptr<asio::ssl::context> tls) {
  context.with([&](auto& c) { c = std::move(tls); });
  Ec ec;
  const auto address = asio::ip::make_address(options.address == "localhost" ? "127.0.0.1" : options.address, ec);
  if (ec) return fail(Code::bad_input, fmt::format("{} is not an address to listen at", options.address));
  const asio::ip::tcp::endpoint endpoint(address, options.port);
  acceptor.emplace(io);
  acceptor->open(endpoint.protocol(), ec);
  if (!ec) acceptor->set_option(asio::socket_base::reuse_address(true), ec);
  if (!ec) acceptor->bind(endpoint, ec);
  if (!ec) acceptor->listen(1024, ec);
  if (ec)
    return fail(ec == asio::error::address_in_use ? Code::conflict : Code::unavailable,
                fmt::format("cannot listen at {} port {}: {}", options.address, options.port, ec.message()));
  port = acceptor->local_endpoint(ec).port();
  ticker.emplace(io);
  accept();
  tick();
  return {};
}

void AsioCore::accept() {
  acceptor->async_accept([this](const Ec& ec, Socket socket) {
    if (stopping) return;
    if (ec) {
      // Out of file descriptors, most likely: wait until some are given back.
      refused("accept", {}, ec.message());
      auto later = std::make_shared<Timer>(io, 100ms);
      later->async_wait([this, later](const Ec&) {
        if (!stopping) accept();
      });
      return;
    }
    accepted(std::move(socket));
    accept();
  });
}

void AsioCore::accepted(Socket socket) {
  Ec ec;
  const auto endpoint = socket.remote_endpoint(ec);
  if (ec) return;  // gone already
  auto address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  Peer peer{.address = address.to_string()};
  const auto tls = context.with([](const auto& c) { return c; });
  if (connections.size() >= options.max_connections) {
    refused("connections", peer.address);
    if (!tls) {
      constexpr std::string_view full =
          "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
      socket.non_blocking(true, ec);
      socket.write_some(asio::buffer(full), ec);
    }
    return;
  }
  std::unique_ptr<Transport> transport;
  if (tls) transport = std::make_unique<TlsTransport>(std::move(socket), tls, std::move(peer));
  else transport = std::make_unique<PlainTransport>(std::move(socket), std::move(peer));
  const auto connection = make_connection(std::static_pointer_cast<ServerCore>(self.lock()), std::move(transport));
  connections.insert(connection);
  connection->start();
}

void AsioCore::tick() {
  const Duration now = runtime.steady();
  const std::vector<std::shared_ptr<Connection>> all(connections.begin(), connections.end());
  for (const auto& connection : all) {
    connection->tick(now);
    if (stopping && now >= stop_by) connection->cut();
  }
  if (stopping && connections.empty()) return;  // nothing is left to wait for: run() returns
  const auto shortest =
      std::min({options.header_deadline, options.body_deadline, options.idle_deadline, options.heartbeat});
  ticker->expires_after(stopping ? 20ms : std::clamp(shortest / 8, 10ms, 1000ms));
  ticker->async_wait([this](const Ec&) { tick(); });
}

void AsioCore::stop() {
  stopping = true;
  stop_by = runtime.steady() + stop_grace;
  Ec ignored;
  acceptor->close(ignored);
  const std::vector<std::shared_ptr<Connection>> all(connections.begin(), connections.end());
  for (const auto& connection : all) connection->finish_soon();
  ticker->cancel();
}

class BeastServer final : public Server {
 public:
  BeastServer(std::shared_ptr<AsioCore> core, std::future<void> over)
      : core_(std::move(core)), over_(std::move(over)) {}
  ~BeastServer() override {
    core_->on_io([core = core_.get()] { core->stop(); });
    over_.wait();
    core_->gate.close_and_wait();
  }
  std::uint16_t port() const override { return core_->port; }
  Result<void> replace_tls(ServerTls tls) override {
    BAVN_TRY(auto context, tls_context(tls));
    core_->context.with([&](auto& c) { c = std::move(context); });
    return {};
  }
  void cut(const std::string& serial) override {
    core_->on_io([core = core_.get(), serial] {
      const std::vector<std::shared_ptr<Connection>> all(core->connections.begin(), core->connections.end());
      for (const auto& connection : all)
        if (connection->peer().certificate_serial == serial) connection->cut();
    });
  }

 private:
  std::shared_ptr<AsioCore> core_;
  std::future<void> over_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(Runtime& runtime, const Router& router, ServerOptions options) {
  std::shared_ptr<asio::ssl::context> tls;
  if (options.tls) {
    BAVN_TRY(tls, tls_context(*options.tls));
  }
  auto core = std::make_shared<AsioCore>(runtime, router, std::move(options));
  core->self = core;
  BAVN_CHECK(core->listen(std::move(tls)));
  std::promise<void> promise;
  std::future<void> over = promise.get_future();
  const QueueId queue = runtime.queue({.name = "net-io", .threads = 1, .limit = 1});
  const bool posted = runtime.post(queue, [core, promise = std::move(promise)]() mutable {
    for (;;) try {
        core->io.run();
        break;
      } catch (const std::exception& e) {  // no memory, or an on_close of somebody: the other connections go on
        log::error("http_io", {{"reason", e.what()}});
      }
    promise.set_value();
  });
  if (!posted) return fail(Code::unavailable, "the runtime is stopping");
  return std::make_unique<BeastServer>(std::move(core), std::move(over));
}

}  // namespace bavn::net
