#include "input/sources/relp/relp.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <map>
#include <optional>

#include "base/let_go.hpp"
#include "base/log.hpp"
#include "input/lateness.hpp"
#include "input/sources/relp/session.hpp"
#include "input/sources/syslog/framing.hpp"

namespace bavn::input::sources::relp {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr std::size_t kReadBuffer = 16U << 10U;  // of a connection
constexpr std::size_t kMaxOutput = 64U << 10U;   // answers that a sender does not take: then it is not read
constexpr std::size_t kRecordCost = 64;          // of a record beside its bytes: ticket, answer
constexpr Duration kEndWait = 2s;
constexpr Duration kLinger =
    500ms;  // a connection that has said everything: what the other side still sends is read past,
            // for a socket closed with bytes unread takes back the last answers

using ConnectionId = std::uint64_t;

std::string plain(asio::ip::address a) {
  if (a.is_v6() && a.to_v6().is_v4_mapped()) a = asio::ip::make_address_v4(asio::ip::v4_mapped, a.to_v6());
  return a.to_string();
}

Error listen_error(const RelpOptions& o, const error_code& ec) {
  const bool denied = ec == asio::error::access_denied;
  return {denied ? Code::forbidden : Code::unavailable,
          fmt::format("cannot listen on {}:{}: {}{}", o.address, o.port, ec.message(),
                      denied ? "; ports below 1024 need CAP_NET_BIND_SERVICE, or choose a higher one" : ""),
          o.name};
}

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  explicit Connection(std::size_t max_message) : session(max_message) {}
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
  Session session;
  Duration last{0};  // byte, or its beginning, or its end
  bool shaking_hands = false, lingering = false;
};

}  // namespace

/// Everything below runs on the I/O thread, but for what is marked.
class RelpSource::Core : public std::enable_shared_from_this<RelpSource::Core> {
 public:
  Core(Runtime& runtime, Sink& sink, SourceBook& book, RelpOptions options)
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
    if (options_.tls) {
      BAVN_TRY(tls_, tls_context(options_.certificate, options_.name));
    }
    BAVN_CHECK(listen(tcp::endpoint(address, options_.port)));
    const QueueId queue = runtime_.queue({"relp", 1, 4});
    if (!runtime_.post(queue, [self = shared_from_this()] { self->run(); }))
      return fail(Code::unavailable, "the program is stopping", options_.name);
    asio::post(io_, [self = shared_from_this()] {
      self->tick();
      self->accept();
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

  const RelpOptions& options() const { return options_; }
  Duration now() const { return runtime_.steady(); }
  bool full() const { return held_ >= options_.hold || blocked_; }
  bool stopping() const { return stop_at_ != Duration{0}; }
  void pause(ConnectionId id) { paused_.push_back(id); }

  void message(Connection& from, Ticket ticket, std::string_view text) {
    const std::string& source = source_of(from.sender);
    Batch& batch = batches_[source];
    const std::size_t before = batch.lines.size();
    syslog::append_line(batch.lines, text);
    if (batch.lines.size() == before) return from.session.stored(ticket);  // line ends alone
    batch.items.push_back({from.id, ticket});
    held_ += batch.lines.size() - before + kRecordCost;
    ++messages_;
    if (batch.lines.size() >= options_.batch) offer_batch(source, batch);
  }
  /// What came with one read is there: it goes now, unless a delivery is on its way, then with the next.
  void taken() {
    if (on_the_way_ == 0 && waiting_.empty()) flush();
  }
  void count(std::string_view reason, std::uint64_t n, std::string first) {
    if (n == 0) return;
    Refused& r = refused_[std::string(reason)];
    if (r.count == 0) r.first = std::move(first);
    r.count += n;
  }
  void gone(ConnectionId id) {
    if (connections_.erase(id) != 0) --connected_;
    if (stopping()) asio::post(io_, [self = shared_from_this()] { self->stop_when_done(); });
  }

 private:
  struct Item {
    ConnectionId from;
    Ticket ticket;
  };
  struct Batch {
    std::string lines;
    std::vector<Item> items;  // one a line
  };
  struct Outgoing {
    std::string source, id;
    Batch batch;
    std::size_t cost() const { return batch.lines.size() + batch.items.size() * kRecordCost; }
  };

  void run() {
    for (;;) {
      try {
        io_.run();
        break;
      } catch (const std::exception& e) {  // of a handler: its connection is lost, the others go on
        log::error("relp_handler_failed", {{"source", options_.name}, {"reason", e.what()}});
      }
    }
    ended_.set_value();
  }

  void stop() {
    stop_at_ = now() + kEndWait;
    error_code ec;
    acceptor_->close(ec);
    flush();
    const auto open = connections_;
    for (const auto& [id, c] : open) c->end();
    paused_.clear();
    stop_when_done();
  }
  /// What is not answered by then is sent again by those who sent it.
  void stop_when_done() {
    if (done_ || !stopping() || ((held_ != 0 || !connections_.empty()) && now() < stop_at_)) return;
    done_ = true;  // run() returns when the last handler has
    const auto open = connections_;
    for (const auto& [id, c] : open) c->close();
    tell_refused();
    timer_.cancel();
    work_.reset();
  }

  Result<void> listen(const tcp::endpoint& endpoint) {
    acceptor_.emplace(io_);
    error_code ec;
    acceptor_->open(endpoint.protocol(), ec);
    if (ec) return std::unexpected(listen_error(options_, ec));
    acceptor_->set_option(asio::socket_base::reuse_address(true), ec);
    if (endpoint.address().is_v6()) acceptor_->set_option(asio::ip::v6_only(false), ec);
    acceptor_->bind(endpoint, ec);
    if (!ec) port_ = acceptor_->local_endpoint(ec).port();
    if (!ec) acceptor_->listen(asio::socket_base::max_listen_connections, ec);
    if (ec) return std::unexpected(listen_error(options_, ec));
    return {};
  }

  // ---- connections -----------------------------------------------------------------------------------------------------------

  template <class Stream>
  class StreamConnection final : public Connection {
   public:
    StreamConnection(Core& core, Stream stream)
        : Connection(core.options().max_message), core_(core), stream_(std::move(stream)) {}

    void start() override {
      shaking_hands = true;  // until "open" has come
      if constexpr (kTls) {
        stream_.async_handshake(asio::ssl::stream_base::server, [self = me(), keep = core()](const error_code& ec) {
          if (ec) return self->failed(ec);
          self->ready_ = true;
          self->last = keep->now();
          if (self->ending_) return self->close();
          self->read();
        });
      } else {
        ready_ = true;
        read();
      }
    }

    void read() override {
      if (closed_ || reading_) return;
      if (!lingering) {
        if (!session.reading()) return;
        if (core_.full() && !shaking_hands) return core_.pause(id);
        if (session.output_waiting() + writing_.size() > kMaxOutput) return;  // write() goes on with it
      }
      reading_ = true;
      stream_.async_read_some(asio::buffer(buffer_), [self = me(), keep = core()](const error_code& ec, std::size_t n) {
        self->reading_ = false;
        if (n != 0 && !self->lingering) self->take(n);
        if (!ec) return self->read();
        if (ec != asio::error::eof || self->lingering) return self->failed(ec);
        self->session.close();  // half closed: what is owed can still be said
        self->write();
      });
    }

    void write() override {
      if (closed_ || !writing_.empty()) return;
      writing_ = session.take_output();
      if (writing_.empty()) {
        if (session.over()) linger();
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
      ending_ = true;
      if (!ready_) return close();
      session.close();
      write();
    }

    void close() override {
      if (closed_) return;
      closed_ = true;
      error_code ec;
      stream_.lowest_layer().close(ec);
      core_.gone(id);
    }

   private:
    static constexpr bool kTls = !std::is_same_v<Stream, tcp::socket>;
    std::shared_ptr<StreamConnection> me() { return std::static_pointer_cast<StreamConnection>(shared_from_this()); }
    std::shared_ptr<Core> core() { return core_.shared_from_this(); }

    void take(std::size_t n) {
      last = core_.now();
      const SessionStats before = session.stats();
      session.on_bytes({buffer_.data(), n},
                       [&](Ticket ticket, std::string_view text) { core_.message(*this, ticket, text); });
      if (session.open()) shaking_hands = false;
      core_.count("message_too_long", session.stats().too_long - before.too_long,
                  fmt::format("{}: more than {} bytes", sender, core_.options().max_message));
      core_.count("relp_command_unknown", session.stats().unknown - before.unknown, sender);
      if (!session.fault().empty() && !told_) {
        told_ = true;
        core_.count("relp_broken", 1, fmt::format("{}: {}", sender, session.fault()));
      }
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
    bool ready_ = false, reading_ = false, ending_ = false, closed_ = false, told_ = false;
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
    c->last = now();
    connections_.emplace(c->id, c);
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
    for (auto& [source, batch] : batches_)
      if (!batch.items.empty()) offer_batch(source, batch);
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
    d.line_is_record = true;
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
    if (!receipt) count("delivery_refused", out.batch.items.size(), receipt.error().what);
    else told(out.source, *receipt);
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
      if (!receipt) c->session.refused(items[i].ticket, receipt.error().what);
      else if (std::binary_search(receipt->refused_lines.begin(), receipt->refused_lines.end(), i + 1))
        c->session.passed_over(items[i].ticket, "it cannot be read");
      else c->session.stored(items[i].ticket);
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
    for (const ConnectionId id : std::exchange(paused_, {}))
      if (const auto it = connections_.find(id); it != connections_.end()) it->second->read();
  }

  void tick() {
    if (done_) return;
    timer_.expires_after(options_.tick);
    timer_.async_wait([self = shared_from_this()](const error_code& ec) {
      if (!ec) self->tick();
    });
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
      if (!c->lingering) count(c->shaking_hands ? "relp_open_too_slow" : "connection_idle", 1, c->sender);
      // Whoever has not opened, or takes no answers, is not waited for.
      if (c->lingering || c->shaking_hands || c->session.over() || c->session.output_waiting() != 0) c->close();
      else c->end();
    }
  }

  void tell_refused() {
    for (auto& [reason, r] : std::exchange(refused_, {})) book_.refused(options_.name, reason, r.count, r.first);
  }

  void say() {
    SourceReport r;
    r.source = options_.name;
    r.state = blocked_ ? SourceState::waiting : SourceState::working;
    if (blocked_) r.text = why_ + "; senders wait";
    r.at = runtime_.now();
    r.last_success = last_success_;
    r.lag_seconds = late_.seconds();
    r.cursor = fmt::format("relp{} {}:{}, {} connections, {} messages", options_.tls ? " tls" : "", options_.address,
                           port(), connections_.size(), messages_);
    const bool same = said_ && said_->state == r.state && said_->text == r.text;
    if (same && (said_->cursor == r.cursor || r.at - said_->at < 1s)) return;
    said_ = r;
    book_.say(std::move(r));
  }

  Runtime& runtime_;
  Sink& sink_;
  SourceBook& book_;
  const RelpOptions options_;
  std::string life_;
  Senders may_send_;
  std::promise<void> ended_;
  std::uint16_t port_ = 0;
  std::atomic<std::size_t> connected_ = 0;

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::steady_timer timer_{io_};
  std::shared_ptr<asio::ssl::context> tls_;
  std::optional<tcp::acceptor> acceptor_;
  std::map<ConnectionId, std::shared_ptr<Connection>> connections_;
  ConnectionId last_id_ = 0;
  std::vector<ConnectionId> paused_;
  bool accept_later_ = false, done_ = false;

  std::map<std::string, std::string> senders_;  // address -> source
  std::map<std::string, Batch> batches_;        // by source: not yet offered
  std::vector<Outgoing> waiting_;               // for another try
  std::size_t held_ = 0;                        // what is in batches_, on its way and waiting, with kRecordCost each
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

Result<std::unique_ptr<RelpSource>> RelpSource::start(Runtime& runtime, Sink& sink, SourceBook& book,
                                                      RelpOptions options) {
  auto core = std::make_shared<Core>(runtime, sink, book, std::move(options));
  BAVN_CHECK(core->begin());
  return std::unique_ptr<RelpSource>(new RelpSource(std::move(core)));
}

RelpSource::RelpSource(std::shared_ptr<Core> core) : core_(std::move(core)) {}
RelpSource::~RelpSource() {
  core_->end();
}
std::uint16_t RelpSource::port() const {
  return core_->port();
}
std::size_t RelpSource::connections() const {
  return core_->connections();
}
Result<void> RelpSource::replace_certificate(const std::string& certificate_pem, const std::string& key_pem) {
  return core_->replace(certificate_pem, key_pem);
}

}  // namespace bavn::input::sources::relp
