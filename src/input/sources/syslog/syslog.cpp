#include "input/sources/syslog/syslog.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstring>
#include <future>
#include <map>
#include <optional>
#include <set>

#include "base/log.hpp"
#include "input/lateness.hpp"
#include "input/sources/listening.hpp"
#include "input/sources/syslog/framing.hpp"

namespace bavn::input::sources::syslog {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr std::size_t kReadBuffer = 16U << 10U;  // of a connection
constexpr unsigned kDatagrams = 16;              // read with one call
constexpr std::size_t kDatagram = 65536;
constexpr int kReceiveBuffer = 8 << 20;  // asked for; the kernel gives at most net.core.rmem_max
constexpr Duration kEndWait = 2s;

std::string_view word(Transport t) {
  constexpr std::array<std::string_view, 3> kWords = {"udp", "tcp", "tls"};
  return kWords[static_cast<std::size_t>(t)];
}

std::string plain(asio::ip::address a) {
  if (a.is_v6() && a.to_v6().is_v4_mapped()) a = asio::ip::make_address_v4(asio::ip::v4_mapped, a.to_v6());
  return a.to_string();
}

Error listen_error(const SyslogOptions& o, const error_code& ec) {
  const bool denied = ec == asio::error::access_denied;
  return {denied ? Code::forbidden : Code::unavailable,
          fmt::format("cannot listen on {} {}:{}: {}{}", word(o.transport), o.address, o.port, ec.message(),
                      denied ? "; ports below 1024 need CAP_NET_BIND_SERVICE, or choose a higher one" : ""),
          o.name};
}

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  virtual ~Connection() = default;
  virtual void start() = 0;
  virtual void read() = 0;
  virtual void close() = 0;

  std::string sender;
  Duration last{0};  // byte, or its beginning
  bool shaking_hands = false;
};

}  // namespace

/// Everything below runs on the I/O thread, but for what is marked.
class SyslogSource::Core : public std::enable_shared_from_this<SyslogSource::Core> {
 public:
  Core(Runtime& runtime, Sink& sink, SourceBook& book, SyslogOptions options)
      : runtime_(runtime), sink_(sink), book_(book), options_(std::move(options)), work_(io_.get_executor()) {
    std::array<std::byte, 8> random{};
    runtime_.random(random);
    for (const std::byte b : random) life_ += fmt::format("{:02x}", static_cast<unsigned>(b));
  }

  Result<void> begin() {  // caller's thread
    BAVN_TRY(may_send_, Senders::of(options_.allow, options_.name));
    error_code ec;
    const auto address = asio::ip::make_address(options_.address, ec);
    if (ec)
      return fail(Code::bad_input, fmt::format("'{}' is no address to listen on", options_.address), options_.name);
    if (options_.transport == Transport::tls) {
      BAVN_TRY(tls_, tls_context({options_.certificate_pem, options_.key_pem, options_.client_ca_pem}, options_.name));
    }
    BAVN_CHECK(options_.transport == Transport::udp ? listen_udp(address) : listen_tcp(address));
    const QueueId queue = runtime_.queue({"syslog", 1, 4});
    if (!runtime_.post(queue, [self = shared_from_this()] { self->run(); }))
      return fail(Code::unavailable, "the program is stopping", options_.name);
    asio::post(io_, [self = shared_from_this()] {
      self->tick();
      if (self->udp_) self->wait_udp();
      if (self->acceptor_) self->accept();
    });
    return {};
  }

  void end() {  // caller's thread
    asio::post(io_, [self = shared_from_this()] { self->stop(); });
    ended_.get_future().wait();
  }

  std::uint16_t port() const { return port_; }
  std::size_t connections() const { return connected_; }

  Result<void> replace(const std::string& certificate, const std::string& key) {  // any thread
    BAVN_TRY(auto context, tls_context({certificate, key, options_.client_ca_pem}, options_.name));
    asio::post(io_, [self = shared_from_this(), context] { self->tls_ = context; });
    return {};
  }

  const SyslogOptions& options() const { return options_; }
  Duration now() const { return runtime_.steady(); }
  bool full() const { return held_ >= options_.hold || blocked_; }
  void pause(std::shared_ptr<Connection> c) { paused_.push_back(std::move(c)); }

  void message(const std::string& sender, std::string_view text) {
    std::string& batch = batches_[source_of(sender)];
    const std::size_t before = batch.size();
    append_line(batch, text);
    held_ += batch.size() - before;
    ++messages_;
    if (batch.size() >= options_.batch) flush();
  }
  void count(std::string_view reason, std::uint64_t n, std::string first) {
    if (n == 0) return;
    Refused& r = refused_[std::string(reason)];
    if (r.count == 0) r.first = std::move(first);
    r.count += n;
  }
  void gone(const std::shared_ptr<Connection>& c) {
    if (connections_.erase(c) != 0) --connected_;
  }

 private:
  struct Outgoing {
    std::string source, id, bytes;
  };

  void run() {
    for (;;) {
      try {
        io_.run();
        break;
      } catch (const std::exception& e) {  // of a handler: its connection is lost, the others go on
        log::error("syslog_handler_failed", {{"source", options_.name}, {"reason", e.what()}});
      }
    }
    ended_.set_value();
  }

  void stop() {
    stop_at_ = now() + kEndWait;
    error_code ec;
    if (acceptor_) acceptor_->close(ec);
    if (udp_) udp_->close(ec);
    const auto open = connections_;
    for (const auto& c : open) c->close();
    paused_.clear();
    flush();
    stop_when_done();
  }
  void stop_when_done() {
    if (done_ || stop_at_ == Duration{0} || (held_ != 0 && now() < stop_at_)) return;
    if (held_ != 0) count("lost_at_stop", 1, fmt::format("{} bytes were not taken by the history in time", held_));
    tell_refused();
    done_ = true;  // run() returns when the last handler has
    timer_.cancel();
    work_.reset();
  }

  // ---- listening -----------------------------------------------------------------------------------------------------------

  template <class Socket, class Endpoint>
  Result<void> open(Socket& socket, const Endpoint& endpoint) {
    error_code ec;
    socket.open(endpoint.protocol(), ec);
    if (ec) return std::unexpected(listen_error(options_, ec));
    socket.set_option(asio::socket_base::reuse_address(options_.transport != Transport::udp), ec);
    if (endpoint.address().is_v6()) socket.set_option(asio::ip::v6_only(false), ec);
    socket.bind(endpoint, ec);
    if (ec) return std::unexpected(listen_error(options_, ec));
    port_ = socket.local_endpoint(ec).port();
    return {};
  }

  Result<void> listen_udp(const asio::ip::address& address) {
    udp_.emplace(io_);
    BAVN_CHECK(open(*udp_, udp::endpoint(address, options_.port)));
    error_code ec;
    udp_->set_option(asio::socket_base::receive_buffer_size(kReceiveBuffer), ec);
    udp_->non_blocking(true, ec);
    const int on = 1;  // the kernel tells how many it had to drop
    ::setsockopt(udp_->native_handle(), SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    datagrams_.resize(kDatagrams * kDatagram);
    return {};
  }

  Result<void> listen_tcp(const asio::ip::address& address) {
    acceptor_.emplace(io_);
    BAVN_CHECK(open(*acceptor_, tcp::endpoint(address, options_.port)));
    error_code ec;
    acceptor_->listen(asio::socket_base::max_listen_connections, ec);
    if (ec) return std::unexpected(listen_error(options_, ec));
    return {};
  }

  // ---- UDP -----------------------------------------------------------------------------------------------------------------

  void wait_udp() {
    udp_->async_wait(udp::socket::wait_read, [self = shared_from_this()](const error_code& ec) {
      if (ec || !self->udp_->is_open()) return;
      self->read_udp();
      self->wait_udp();
    });
  }

  void read_udp() {
    std::array<mmsghdr, kDatagrams> headers{};
    std::array<iovec, kDatagrams> parts{};
    std::array<sockaddr_storage, kDatagrams> names{};
    alignas(cmsghdr) std::array<std::array<char, CMSG_SPACE(sizeof(std::uint32_t))>, kDatagrams> control{};
    for (unsigned i = 0; i < kDatagrams; ++i) {
      parts[i] = {datagrams_.data() + i * kDatagram, kDatagram};
      headers[i].msg_hdr = {&names[i], sizeof names[i], &parts[i], 1, control[i].data(), control[i].size(), 0};
    }
    const int n = ::recvmmsg(udp_->native_handle(), headers.data(), kDatagrams, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < n; ++i) {
      const auto& h = headers[static_cast<std::size_t>(i)];
      if (const cmsghdr* c = CMSG_FIRSTHDR(&h.msg_hdr);
          c != nullptr && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
        std::uint32_t dropped = 0;
        std::memcpy(&dropped, CMSG_DATA(c), sizeof dropped);
        count("udp_dropped", dropped - kernel_dropped_, "by the system: they came faster than they were read");
        kernel_dropped_ = dropped;
      }
      const std::string sender = name_of(names[static_cast<std::size_t>(i)]);
      const std::string_view text(static_cast<const char*>(h.msg_hdr.msg_iov->iov_base), h.msg_len);
      if (!may_send_.allowed(sender)) count("sender_not_allowed", 1, sender);
      else if (h.msg_len > options_.max_message || (h.msg_hdr.msg_flags & MSG_TRUNC) != 0)
        count("message_too_long", 1, fmt::format("{}: more than {} bytes", sender, options_.max_message));
      else if (held_ >= options_.hold) count("udp_dropped", 1, "the history had no room");
      else message(sender, text);
    }
  }

  static std::string name_of(const sockaddr_storage& name) {
    if (name.ss_family == AF_INET) {
      const auto& in = reinterpret_cast<const sockaddr_in&>(name);
      return asio::ip::address_v4(ntohl(in.sin_addr.s_addr)).to_string();
    }
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(name);
    asio::ip::address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), &in6.sin6_addr, bytes.size());
    return plain(asio::ip::address_v6(bytes));
  }

  // ---- TCP and TLS ---------------------------------------------------------------------------------------------------------

  template <class Stream>
  class StreamConnection final : public Connection {
   public:
    StreamConnection(Core& core, Stream stream)
        : core_(core), stream_(std::move(stream)), framer_(core.options().max_message) {}

    void start() override {
      if constexpr (kTls) {
        shaking_hands = true;
        stream_.async_handshake(asio::ssl::stream_base::server, [self = me(), keep = core()](const error_code& ec) {
          self->shaking_hands = false;
          self->last = keep->now();
          if (ec) return self->over(ec);
          self->read();
        });
      } else {
        read();
      }
    }
    void read() override {
      if (closed_) return;
      if (core_.full()) return core_.pause(shared_from_this());
      stream_.async_read_some(asio::buffer(buffer_), [self = me(), keep = core()](const error_code& ec, std::size_t n) {
        if (n != 0) self->take(n);
        if (ec) return self->over(ec);
        self->read();
      });
    }
    void close() override {
      if (closed_) return;
      closed_ = true;
      if (!framer_.finish([&](std::string_view m) { core_.message(sender, m); }))
        core_.count("message_cut_off", 1, sender);
      error_code ec;
      stream_.lowest_layer().close(ec);
      core_.gone(shared_from_this());
    }

   private:
    static constexpr bool kTls = !std::is_same_v<Stream, tcp::socket>;
    std::shared_ptr<StreamConnection> me() { return std::static_pointer_cast<StreamConnection>(shared_from_this()); }
    std::shared_ptr<Core> core() { return core_.shared_from_this(); }
    void take(std::size_t n) {
      last = core_.now();
      const std::uint64_t too_long = framer_.stats().too_long;
      framer_.feed({buffer_.data(), n}, [&](std::string_view m) { core_.message(sender, m); });
      core_.count("message_too_long", framer_.stats().too_long - too_long,
                  fmt::format("{}: more than {} bytes", sender, core_.options().max_message));
    }
    void over(const error_code& ec) {
      if (kTls && ec != asio::error::eof && ec != asio::ssl::error::stream_truncated &&
          ec != asio::error::operation_aborted && ec != asio::error::connection_reset)
        core_.count("tls_failed", 1, fmt::format("{}: {}", sender, ec.message()));
      close();
    }

    Core& core_;  // kept alive by every handler
    Stream stream_;
    Framer framer_;
    std::array<char, kReadBuffer> buffer_{};
    bool closed_ = false;
  };

  void accept() {
    acceptor_->async_accept([self = shared_from_this()](const error_code& ec, tcp::socket socket) {
      if (!self->acceptor_->is_open()) return;
      if (ec) {  // no handles left: what is queued waits a moment
        self->count("accept_failed", 1, ec.message());
        self->accept_later_ = true;
        return;
      }
      self->accepted(std::move(socket));
      self->accept();
    });
  }

  void accepted(tcp::socket socket) {
    error_code ec;
    const auto remote = socket.remote_endpoint(ec);
    if (ec) return;  // gone again
    const std::string sender = plain(remote.address());
    if (!may_send_.allowed(sender)) return count("sender_not_allowed", 1, sender);
    if (connections_.size() >= options_.max_connections)
      return count("too_many_connections", 1, fmt::format("{}: {} are open", sender, connections_.size()));
    socket.set_option(asio::socket_base::keep_alive(true), ec);
    std::shared_ptr<Connection> c;
    if (tls_)
      c = std::make_shared<StreamConnection<asio::ssl::stream<tcp::socket>>>(
          *this, asio::ssl::stream<tcp::socket>(std::move(socket), *tls_));
    else c = std::make_shared<StreamConnection<tcp::socket>>(*this, std::move(socket));
    c->sender = sender;
    c->last = now();
    connections_.insert(c);
    ++connected_;
    c->start();
  }

  // ---- to the sink ---------------------------------------------------------------------------------------------------------

  const std::string& source_of(const std::string& sender) {
    if (!options_.per_sender) return options_.name;
    auto it = senders_.find(sender);
    if (it == senders_.end()) {
      if (senders_.size() >= options_.max_senders) return options_.name;
      it = senders_.emplace(sender, options_.name + "/" + sender).first;
    }
    return it->second;
  }

  void flush() {
    for (auto& [source, bytes] : batches_) {
      if (bytes.empty()) continue;
      // The id makes a repeated offer harmless; it means nothing to another run.
      offer({source, fmt::format("{}.{}", life_, ++batch_), std::exchange(bytes, {})});
    }
  }

  void offer(Outgoing out) {
    Delivery d;
    d.source = out.source;
    d.municipality = options_.municipality;
    d.tenant = options_.tenant;
    d.format = options_.format;
    d.id = out.id;
    d.bytes = out.bytes;
    sink_.deliver(std::move(d), [weak = weak_from_this(), out = std::move(out)](Result<Receipt> receipt) mutable {
      if (const auto self = weak.lock())
        asio::post(self->io_, [weak, out = std::move(out), receipt = std::move(receipt)]() mutable {
          if (const auto core = weak.lock()) core->answered(std::move(out), receipt);
        });
    });
  }

  void answered(Outgoing out, const Result<Receipt>& receipt) {
    if (!receipt && receipt.error().code == Code::unavailable) {
      blocked_ = true;
      why_ = receipt.error().what;
      backoff_ = std::clamp<Duration>(backoff_ * 2, 250ms, 10s);
      retry_at_ = now() + backoff_;
      waiting_.push_back(std::move(out));
      return stop_when_done();
    }
    held_ -= out.bytes.size();
    backoff_ = Duration{0};
    if (!receipt) {
      count("delivery_refused", static_cast<std::uint64_t>(std::count(out.bytes.begin(), out.bytes.end(), '\n')),
            receipt.error().what);
    } else {
      last_success_ = runtime_.now();
      late_.saw(receipt->newest_happened, last_success_);
      if (out.source != options_.name) {
        Lateness& late = late_of_[out.source];
        late.saw(receipt->newest_happened, last_success_);
        SourceReport r;
        r.source = out.source;
        r.state = SourceState::working;
        r.at = r.last_success = last_success_;
        r.lag_seconds = late.seconds();
        book_.say(std::move(r));
      }
    }
    if (waiting_.empty()) unblock();
    stop_when_done();
  }

  void unblock() {
    blocked_ = !sink_.has_room(options_.batch);
    if (blocked_) {
      why_ = "the history has no room now";
      return;
    }
    if (full()) return;
    auto paused = std::exchange(paused_, {});
    for (const auto& c : paused) {
      c->last = now();  // it was not read, not silent
      c->read();
    }
  }

  void tick() {
    if (done_) return;
    timer_.expires_after(options_.flush);
    timer_.async_wait([self = shared_from_this()](const error_code& ec) {
      if (!ec) self->tick();
    });
    flush();
    if (!waiting_.empty() && now() >= retry_at_) {
      for (Outgoing& out : std::exchange(waiting_, {})) offer(std::move(out));
    } else if (waiting_.empty()) {
      unblock();
    }
    if (accept_later_) {
      accept_later_ = false;
      if (acceptor_->is_open()) accept();
    }
    std::vector<std::shared_ptr<Connection>> late;
    for (const auto& c : connections_) {
      if (full() && !c->shaking_hands) continue;  // it may be silent because it is not read
      if (now() - c->last >= (c->shaking_hands ? options_.handshake : options_.idle)) late.push_back(c);
    }
    for (const auto& c : late) {
      count(c->shaking_hands ? "tls_handshake_too_slow" : "connection_idle", 1, c->sender);
      c->close();
    }
    tell_refused();
    say();
    stop_when_done();
  }

  void tell_refused() {
    for (auto& [reason, r] : std::exchange(refused_, {})) book_.refused(options_.name, reason, r.count, r.first);
  }

  void say() {
    SourceReport r;
    r.source = options_.name;
    r.state = blocked_ ? SourceState::waiting : SourceState::working;
    if (blocked_)
      r.text = fmt::format("{}; {}", why_,
                           options_.transport == Transport::udp
                               ? "datagrams are kept while there is room, then dropped and counted"
                               : "senders wait");
    r.at = runtime_.now();
    r.last_success = last_success_;
    r.lag_seconds = late_.seconds();
    r.cursor = fmt::format("{} {}:{}, {} connections, {} messages", word(options_.transport), options_.address, port(),
                           connections_.size(), messages_);
    const bool same = said_ && said_->state == r.state && said_->text == r.text;
    if (same && (said_->cursor == r.cursor || r.at - said_->at < 1s)) return;
    said_ = r;
    book_.say(std::move(r));
  }

  Runtime& runtime_;
  Sink& sink_;
  SourceBook& book_;
  const SyslogOptions options_;
  std::string life_;
  Senders may_send_;
  std::promise<void> ended_;
  std::uint16_t port_ = 0;
  std::atomic<std::size_t> connected_ = 0;

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::steady_timer timer_{io_};
  std::shared_ptr<asio::ssl::context> tls_;
  std::optional<udp::socket> udp_;
  std::optional<tcp::acceptor> acceptor_;
  std::vector<char> datagrams_;
  std::uint32_t kernel_dropped_ = 0;
  std::set<std::shared_ptr<Connection>> connections_;
  std::vector<std::shared_ptr<Connection>> paused_;
  bool accept_later_ = false, done_ = false;

  std::map<std::string, std::string> senders_;  // address -> source
  std::map<std::string, std::string> batches_;  // source -> lines
  std::vector<Outgoing> waiting_;               // for another try
  std::size_t held_ = 0;                        // bytes in batches_, on their way and waiting
  std::uint64_t batch_ = 0, messages_ = 0;
  bool blocked_ = false;
  std::string why_;
  Duration backoff_{0}, retry_at_{0}, stop_at_{0};
  std::map<std::string, Refused> refused_;
  Instant last_success_{};
  Lateness late_;
  std::map<std::string, Lateness> late_of_;  // by the source a sender belongs to
  std::optional<SourceReport> said_;
};

Result<std::unique_ptr<SyslogSource>> SyslogSource::start(Runtime& runtime, Sink& sink, SourceBook& book,
                                                          SyslogOptions options) {
  auto core = std::make_shared<Core>(runtime, sink, book, std::move(options));
  BAVN_CHECK(core->begin());
  return std::unique_ptr<SyslogSource>(new SyslogSource(std::move(core)));
}

SyslogSource::SyslogSource(std::shared_ptr<Core> core) : core_(std::move(core)) {}
SyslogSource::~SyslogSource() {
  core_->end();
}
std::uint16_t SyslogSource::port() const {
  return core_->port();
}
std::size_t SyslogSource::connections() const {
  return core_->connections();
}
Result<void> SyslogSource::replace_certificate(const std::string& certificate_pem, const std::string& key_pem) {
  return core_->replace(certificate_pem, key_pem);
}

}  // namespace bavn::input::sources::syslog
