#include "input/sources/listener.hpp"

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
#include <boost/asio/write.hpp>
#include <cstring>
#include <future>
#include <map>
#include <optional>

#include "base/let_go.hpp"
#include "base/log.hpp"
#include "input/lateness.hpp"

namespace bavn::input::sources {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr std::size_t kReadBuffer = 16U << 10U;  // of a connection
constexpr std::size_t kMaxOutput = 64U << 10U;   // answers that a sender does not take: then it is not read
constexpr std::size_t kAnswerCost = 64;          // of a record that waits for its answer, beside its bytes
constexpr unsigned kDatagrams = 16;              // read with one call
constexpr std::size_t kDatagram = 65536;
constexpr int kReceiveBuffer = 8 << 20;  // asked for; the kernel gives at most net.core.rmem_max
constexpr Duration kEndWait = 2s;
constexpr Duration kLinger =
    500ms;  // a connection that has said everything: what the other side still sends is read past,
            // for a socket closed with bytes unread takes back the last answers

using ConnectionId = std::uint64_t;

std::string plain(asio::ip::address a) {
  if (a.is_v6() && a.to_v6().is_v4_mapped()) a = asio::ip::make_address_v4(asio::ip::v4_mapped, a.to_v6());
  return a.to_string();
}

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  virtual ~Connection() = default;
  virtual void start() = 0;
  virtual void read() = 0;
  virtual void write() = 0;
  /// In order: no more is read, what is owed is said.
  virtual void end() = 0;
  /// At once.
  virtual void close() = 0;

  ConnectionId id = 0;
  std::string sender;
  std::unique_ptr<Conversation> talk;
  Duration last{0};  // byte, or its beginning, or its end
  bool shaking_hands = true, lingering = false;
};

}  // namespace

/// Everything below runs on the I/O thread, but for what is marked.
class Listener::Core : public std::enable_shared_from_this<Listener::Core> {
 public:
  Core(Runtime& runtime, Sink& sink, SourceBook& book, ListenerOptions options, Protocol protocol)
      : runtime_(runtime),
        sink_(sink),
        book_(book),
        options_(std::move(options)),
        protocol_(std::move(protocol)),
        work_(io_.get_executor()) {
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
      BAVN_TRY(tls_, tls_context(options_.certificate, options_.name));
    }
    BAVN_CHECK(options_.transport == Transport::udp ? listen_udp(address) : listen_tcp(address));
    const QueueId queue = runtime_.queue({protocol_.name, 1, 4});
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
    BAVN_TRY(auto context, tls_context({certificate, key, options_.certificate.client_ca_pem}, options_.name));
    asio::post(io_, [self = shared_from_this(), context] { self->tls_ = context; });
    return {};
  }

 private:
  struct Item {
    ConnectionId from;
    Ticket ticket;
  };
  struct Batch {
    std::string lines;
    std::vector<Item> items;  // one a line; none where nobody waits for an answer
  };
  struct Outgoing {
    std::string source, id;
    Batch batch;
    std::size_t cost() const { return batch.lines.size() + batch.items.size() * kAnswerCost; }
  };

  Duration now() const { return runtime_.steady(); }
  bool full() const { return held_ >= options_.hold || blocked_; }
  bool stopping() const { return stop_at_ != Duration{0}; }

  void run() {
    for (;;) {
      try {
        io_.run();
        break;
      } catch (const std::exception& e) {  // of a handler: its connection is lost, the others go on
        log::error("listener_handler_failed", {{"source", options_.name}, {"reason", e.what()}});
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
    for (const auto& [id, c] : open) c->end();
    paused_.clear();
    flush();
    stop_when_done();
  }
  void stop_when_done() {
    if (done_ || !stopping() || ((held_ != 0 || !connections_.empty()) && now() < stop_at_)) return;
    done_ = true;                            // run() returns when the last handler has
    if (held_ != 0 && !protocol_.answers) {  // what is not answered is sent again
      count("lost_at_stop", 1, fmt::format("{} bytes were not taken by the history in time", held_));
    }
    const auto open = connections_;
    for (const auto& [id, c] : open) c->close();
    tell_refused();
    timer_.cancel();
    work_.reset();
  }

  // ---- listening -----------------------------------------------------------------------------------------------------------

  template <class Socket, class Endpoint>
  Result<void> open(Socket& socket, const Endpoint& endpoint) {
    error_code ec;
    socket.open(endpoint.protocol(), ec);
    if (ec) return cannot_listen(ec);
    socket.set_option(asio::socket_base::reuse_address(options_.transport != Transport::udp), ec);
    if (endpoint.address().is_v6()) socket.set_option(asio::ip::v6_only(false), ec);
    socket.bind(endpoint, ec);
    if (ec) return cannot_listen(ec);
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
    if (ec) return cannot_listen(ec);
    return {};
  }

  Result<void> cannot_listen(const error_code& ec) const {
    const bool denied = ec == asio::error::access_denied;
    return fail(
        denied ? Code::forbidden : Code::unavailable,
        fmt::format("cannot listen on {} {}:{}: {}{}", protocol_.way, options_.address, options_.port, ec.message(),
                    denied ? "; ports below 1024 need CAP_NET_BIND_SERVICE, or choose a higher one" : ""),
        options_.name);
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
      else if (h.msg_len > options_.max_message || (h.msg_hdr.msg_flags & MSG_TRUNC) != 0) too_long(sender, 1);
      else if (held_ >= options_.hold) count("udp_dropped", 1, "the history had no room");
      else message(sender, 0, 0, text);
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
  class StreamConnection final : public Connection, private Intake {
   public:
    StreamConnection(Core& core, Stream stream) : core_(core), stream_(std::move(stream)) {}

    void start() override {
      if constexpr (kTls) {
        stream_.async_handshake(asio::ssl::stream_base::server, [self = me(), keep = core()](const error_code& ec) {
          if (ec) return self->failed(ec);
          self->begun();
        });
      } else {
        begun();
      }
    }

    void read() override {
      if (closed_ || reading_) return;
      if (!lingering) {
        if (!talk->reading()) return;
        if (core_.full() && !shaking_hands) return core_.paused_.push_back(id);
        if (talk->output_waiting() + writing_.size() > kMaxOutput) return;  // write() goes on with it
      }
      reading_ = true;
      stream_.async_read_some(asio::buffer(buffer_), [self = me(), keep = core()](const error_code& ec, std::size_t n) {
        self->reading_ = false;
        if (n != 0 && !self->lingering) self->take(n);
        if (!ec) return self->read();
        // Half closed: what is owed can still be said.
        if (ec == asio::error::eof && !self->lingering && self->talk->close()) return self->write();
        self->failed(ec);
      });
    }

    void write() override {
      if (closed_ || !writing_.empty()) return;
      writing_ = talk->take_output();
      if (writing_.empty()) {
        if (talk->over()) linger();
        return;
      }
      asio::async_write(stream_, asio::buffer(writing_),
                        [self = me(), keep = core()](const error_code& ec, std::size_t) {
                          let_go(self->writing_);
                          if (ec) return self->failed(ec);
                          self->write();
                          self->read();
                        });
    }

    void end() override {
      if (!ready_ || !talk->close()) return close();
      write();
    }

    void close() override {
      if (closed_) return;
      closed_ = true;
      talk->on_closed(*this);
      error_code ec;
      stream_.lowest_layer().close(ec);
      core_.gone(id);
    }

   private:
    static constexpr bool kTls = !std::is_same_v<Stream, tcp::socket>;
    std::shared_ptr<StreamConnection> me() { return std::static_pointer_cast<StreamConnection>(shared_from_this()); }
    std::shared_ptr<Core> core() { return core_.shared_from_this(); }

    bool message(Ticket ticket, std::string_view text) override { return core_.message(sender, id, ticket, text); }
    void too_long(std::uint64_t n) override { core_.too_long(sender, n); }
    void refused(std::string_view reason, std::uint64_t n, std::string_view what) override {
      if (n != 0) core_.count(reason, n, what.empty() ? sender : fmt::format("{}: {}", sender, what));
    }

    void begun() {
      ready_ = true;
      shaking_hands = !talk->open();
      last = core_.now();
      read();
    }

    void take(std::size_t n) {
      last = core_.now();
      talk->on_bytes({buffer_.data(), n}, *this);
      shaking_hands = shaking_hands && !talk->open();
      write();
      core_.taken();
    }

    void linger() {
      if (lingering) return;
      lingering = true;
      last = core_.now();
      error_code ec;
      stream_.lowest_layer().shutdown(tcp::socket::shutdown_send, ec);
      read();
    }

    void failed(const error_code& ec) {
      if (kTls && !closed_ && !lingering && ec != asio::error::eof && ec != asio::ssl::error::stream_truncated &&
          ec != asio::error::operation_aborted && ec != asio::error::connection_reset && ec != asio::error::broken_pipe)
        core_.count("tls_failed", 1, fmt::format("{}: {}", sender, ec.message()));
      close();
    }

    Core& core_;  // kept alive by every handler
    Stream stream_;
    std::array<char, kReadBuffer> buffer_{};
    std::string writing_;
    bool ready_ = false, reading_ = false, closed_ = false;
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
    socket.set_option(tcp::no_delay(true), ec);  // a sender waits for each answer
    std::shared_ptr<Connection> c;
    if (tls_)
      c = std::make_shared<StreamConnection<asio::ssl::stream<tcp::socket>>>(
          *this, asio::ssl::stream<tcp::socket>(std::move(socket), *tls_));
    else c = std::make_shared<StreamConnection<tcp::socket>>(*this, std::move(socket));
    c->id = ++last_id_;
    c->sender = sender;
    c->talk = protocol_.begin();
    c->last = now();
    connections_.emplace(c->id, c);
    ++connected_;
    c->start();
  }

  void gone(ConnectionId id) {
    if (connections_.erase(id) != 0) --connected_;
    if (stopping()) asio::post(io_, [self = shared_from_this()] { self->stop_when_done(); });
  }

  // ---- to the sink ---------------------------------------------------------------------------------------------------------

  bool message(const std::string& sender, ConnectionId from, Ticket ticket, std::string_view text) {
    const std::string& source = source_of(sender);
    Batch& batch = batches_[source];
    const std::size_t before = batch.lines.size();
    append_line(batch.lines, text);
    if (batch.lines.size() == before) return false;
    held_ += batch.lines.size() - before;
    if (protocol_.answers) {
      batch.items.push_back({from, ticket});
      held_ += kAnswerCost;
    }
    ++messages_;
    if (batch.lines.size() >= options_.batch) offer_batch(source, batch);
    return true;
  }
  /// What came with one read is there: who waits for an answer gets it soon, so it goes now, unless a delivery is on its way, then with the
  /// next.
  void taken() {
    if (protocol_.answers && on_the_way_ == 0 && waiting_.empty()) flush();
  }

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
    for (auto& [source, batch] : batches_)
      if (!batch.lines.empty()) offer_batch(source, batch);
  }
  void offer_batch(const std::string& source, Batch& batch) {
    // The id makes a repeated offer harmless; it means nothing to another run.
    offer({source, fmt::format("{}.{}", life_, ++batch_), std::exchange(batch, {})});
  }

  void offer(Outgoing out) {
    Delivery d;
    d.source = out.source;
    d.municipality = options_.municipality;
    d.tenant = options_.tenant;
    d.format = options_.format;
    d.id = out.id;
    d.bytes = out.batch.lines;
    d.line_is_record = protocol_.answers;
    ++on_the_way_;
    sink_.deliver(std::move(d), [weak = weak_from_this(), out = std::move(out)](Result<Receipt> receipt) mutable {
      if (const auto self = weak.lock())
        asio::post(self->io_, [weak, out = std::move(out), receipt = std::move(receipt)]() mutable {
          if (const auto core = weak.lock()) core->answered(std::move(out), receipt);
        });
    });
  }

  void answered(Outgoing out, const Result<Receipt>& receipt) {
    --on_the_way_;
    if (!receipt && receipt.error().code == Code::unavailable) {
      blocked_ = true;
      why_ = receipt.error().what;
      backoff_ = std::clamp<Duration>(backoff_ * 2, 250ms, 10s);
      retry_at_ = now() + backoff_;
      waiting_.push_back(std::move(out));
      return stop_when_done();
    }
    held_ -= out.cost();
    backoff_ = Duration{0};
    if (receipt) told(out.source, *receipt);
    else
      count("delivery_refused", static_cast<std::uint64_t>(std::ranges::count(out.batch.lines, '\n')),
            receipt.error().what);
    say_to_senders(out.batch.items, receipt);
    taken();
    if (waiting_.empty()) unblock();
    stop_when_done();
  }

  void say_to_senders(const std::vector<Item>& items, const Result<Receipt>& receipt) {
    std::vector<std::shared_ptr<Connection>> to;
    Connection* c = nullptr;
    ConnectionId id = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (items[i].from != id) {
        id = items[i].from;
        const auto it = connections_.find(id);
        c = it == connections_.end() ? nullptr : it->second.get();
        if (c != nullptr) to.push_back(it->second);
      }
      if (c == nullptr) continue;  // gone: it sends these again
      if (!receipt) c->talk->refused(items[i].ticket, receipt.error().what);
      else if (std::binary_search(receipt->refused_lines.begin(), receipt->refused_lines.end(), i + 1))
        c->talk->passed_over(items[i].ticket, "it cannot be read");
      else c->talk->stored(items[i].ticket);
    }
    for (const auto& one : to) one->write();
  }

  void told(const std::string& source, const Receipt& receipt) {
    last_success_ = runtime_.now();
    late_.saw(receipt.newest_happened, last_success_);
    if (source == options_.name) return;
    Lateness& late = late_of_[source];
    late.saw(receipt.newest_happened, last_success_);
    SourceReport r;
    r.source = source;
    r.state = SourceState::working;
    r.at = r.last_success = last_success_;
    r.lag_seconds = late.seconds();
    book_.say(std::move(r));
  }

  void unblock() {
    blocked_ = !sink_.has_room(options_.batch);
    if (blocked_) {
      why_ = "the history has no room now";
      return;
    }
    if (full()) return;
    for (const ConnectionId id : std::exchange(paused_, {})) {
      const auto it = connections_.find(id);
      if (it == connections_.end()) continue;
      it->second->last = now();  // it was not read, not silent
      it->second->read();
    }
  }

  void tick() {
    if (done_) return;
    timer_.expires_after(options_.tick);
    timer_.async_wait([self = shared_from_this()](const error_code& ec) {
      if (!ec) self->tick();
    });
    if (!protocol_.answers) flush();
    if (!waiting_.empty() && now() >= retry_at_) {
      for (Outgoing& out : std::exchange(waiting_, {})) offer(std::move(out));
    } else if (waiting_.empty()) {
      taken();
      unblock();
    }
    if (accept_later_) {
      accept_later_ = false;
      if (acceptor_->is_open()) accept();
    }
    close_late();
    tell_refused();
    say();
    stop_when_done();
  }

  void close_late() {
    std::vector<std::shared_ptr<Connection>> late;
    for (const auto& [id, c] : connections_) {
      if (full() && !c->lingering && !c->shaking_hands) continue;  // it may be silent because it is not read
      const Duration limit = c->lingering ? kLinger : c->shaking_hands ? options_.handshake : options_.idle;
      if (now() - c->last >= limit) late.push_back(c);
    }
    for (const auto& c : late) {
      if (!c->lingering) count(c->shaking_hands ? protocol_.too_slow : "connection_idle", 1, c->sender);
      // Whoever has not opened, or takes no answers, is not waited for.
      if (c->lingering || c->shaking_hands || c->talk->over() || c->talk->output_waiting() != 0) c->close();
      else c->end();
    }
  }

  void count(std::string_view reason, std::uint64_t n, std::string first) {
    if (n == 0) return;
    Refused& r = refused_[std::string(reason)];
    if (r.count == 0) r.first = std::move(first);
    r.count += n;
  }
  void too_long(const std::string& sender, std::uint64_t n) {
    if (n != 0) count("message_too_long", n, fmt::format("{}: more than {} bytes", sender, options_.max_message));
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
    r.cursor = fmt::format("{} {}:{}, {} connections, {} messages", protocol_.way, options_.address, port(),
                           connections_.size(), messages_);
    const bool same = said_ && said_->state == r.state && said_->text == r.text;
    if (same && (said_->cursor == r.cursor || r.at - said_->at < 1s)) return;
    said_ = r;
    book_.say(std::move(r));
  }

  Runtime& runtime_;
  Sink& sink_;
  SourceBook& book_;
  const ListenerOptions options_;
  const Protocol protocol_;
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
  std::vector<char> datagrams_;
  std::uint32_t kernel_dropped_ = 0;
  std::optional<tcp::acceptor> acceptor_;
  std::map<ConnectionId, std::shared_ptr<Connection>> connections_;
  ConnectionId last_id_ = 0;
  std::vector<ConnectionId> paused_;
  bool accept_later_ = false, done_ = false;

  std::map<std::string, std::string> senders_;  // address -> source
  std::map<std::string, Batch> batches_;        // by source: not yet offered
  std::vector<Outgoing> waiting_;               // for another try
  std::size_t held_ = 0;                        // what is in batches_, on its way and waiting, with kAnswerCost each
  std::size_t on_the_way_ = 0;                  // deliveries
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

Result<std::unique_ptr<Listener>> Listener::start(Runtime& runtime, Sink& sink, SourceBook& book,
                                                  ListenerOptions options, Protocol protocol) {
  auto core = std::make_shared<Core>(runtime, sink, book, std::move(options), std::move(protocol));
  BAVN_CHECK(core->begin());
  return std::unique_ptr<Listener>(new Listener(std::move(core)));
}

Listener::Listener(std::shared_ptr<Core> core) : core_(std::move(core)) {}
Listener::~Listener() {
  core_->end();
}
std::uint16_t Listener::port() const {
  return core_->port();
}
std::size_t Listener::connections() const {
  return core_->connections();
}
Result<void> Listener::replace_certificate(const std::string& certificate_pem, const std::string& key_pem) {
  return core_->replace(certificate_pem, key_pem);
}

}  // namespace bavn::input::sources
