#include "net/connection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <vector>

#include "base/let_go.hpp"
#include "base/text.hpp"
#include "net/body_plan.hpp"
#include "net/content_coding.hpp"
#include "net/respond_once.hpp"
#include "net/sse.hpp"

namespace bavn::net {

namespace {

namespace http = boost::beast::http;
using namespace std::chrono_literals;

constexpr std::size_t header_limit = 64U << 10U;
constexpr std::size_t first_buffer = 4U << 10U, largest_buffer = header_limit + (8U << 10U);
constexpr std::size_t max_fields = 200;
constexpr std::size_t first_body = 1U << 20U;  // taken at once for a declared length; more only as it arrives
constexpr std::size_t file_piece = 512U << 10U;
constexpr std::size_t one_write = 16U << 10U;  // bodies up to here go with their header in one piece (one TLS record)
constexpr Duration linger = 2s;
constexpr std::uint64_t least_body_bytes = 64U << 10U;  // in each body_deadline

class HttpConnection;

// What the handler's EventStream and the connection share. Any thread.
class StreamState : public std::enable_shared_from_this<StreamState> {
 public:
  StreamState(std::shared_ptr<ServerCore> core, std::weak_ptr<HttpConnection> connection, std::uint64_t generation,
              bool chunked)
      : core_(std::move(core)), connection_(std::move(connection)), generation_(generation), chunked_(chunked) {}

  bool send(const SseEvent& event);
  void open();
  void end();
  void refuse();  // the handler's other answer counts
  void gone();    // the other end is
  std::size_t waiting() const;
  void on_close(std::move_only_function<void()> f);

  std::uint64_t generation() const { return generation_; }
  bool chunked() const { return chunked_; }
  /// What is to be written now; last: the stream ends with it.
  std::string take(bool& last);
  std::string framed(std::string bytes) const;

 private:
  void schedule();  // mutex_ held

  std::shared_ptr<ServerCore> core_;
  std::weak_ptr<HttpConnection> connection_;
  const std::uint64_t generation_;
  const bool chunked_;
  mutable std::mutex mutex_;
  std::string pending_;
  std::size_t in_flight_ = 0;
  bool open_ = false, over_ = false, gone_ = false, scheduled_ = false;
  std::move_only_function<void()> on_close_;
};

class StreamHandle final : public EventStream {
 public:
  explicit StreamHandle(std::shared_ptr<StreamState> state) : state_(std::move(state)) {}
  ~StreamHandle() override { state_->end(); }
  bool send(SseEvent event) override { return state_->send(event); }
  void close() override { state_->end(); }
  std::size_t waiting_bytes() const override { return state_->waiting(); }
  void on_close(std::move_only_function<void()> f) override { state_->on_close(std::move(f)); }

 private:
  std::shared_ptr<StreamState> state_;
};

// A reply with its file opened, which may take a disk's time and so is done before the I/O thread sees it.
struct Answer {
  Reply reply;
  std::shared_ptr<File> file;
  std::uint64_t size = 0;
};

class HttpConnection final : public Connection, public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport)
      : core_(std::move(core)), transport_(std::move(transport)) {}

  void start() override;
  void tick(Duration now) override;
  void cut() override { close(); }
  void finish_soon() override;
  const Peer& peer() const override { return transport_->peer(); }

  void on_answer(std::uint64_t generation, Answer answer);
  void flush_stream(const std::shared_ptr<StreamState>& state);
  void cut_slow(std::size_t waiting);

 private:
  enum class Phase : std::uint8_t { handshake, idle, header, body, handling, writing, streaming, draining, closed };
  using Parser = http::request_parser<http::string_body>;

  void enter(Phase phase, Duration deadline) {
    phase_ = phase;
    deadline_ = core_->runtime.steady() + deadline;
    written_then_ = transport_->written();
    received_then_ = received_;
  }
  // One read and one write at a time.
  void read(std::span<char> into, void (HttpConnection::*then)(std::size_t n));
  void write(std::string_view first, std::string_view second, std::move_only_function<void()> then);
  void next_request();
  void parse_header();
  void more_input();
  void came_header(std::size_t n);
  void came_body(std::size_t n);
  void came_chunks(std::size_t n);
  void came_nothing(std::size_t n);
  void on_header();
  void no_such_method();
  void begin_body();
  void read_body();
  void parse_chunks();
  bool hold(std::size_t bytes);
  void dispatch();
  void reply_now(Reply reply);
  void write_file(std::shared_ptr<File> file, std::uint64_t offset, std::uint64_t left);
  void after_reply();
  void stream_written();
  void watch_for_close();
  void drain();
  void discard(std::size_t n);
  void close();
  bool refused_as_revoked();

  std::shared_ptr<ServerCore> core_;
  std::unique_ptr<Transport> transport_;
  Phase phase_ = Phase::handshake;
  Duration deadline_{0};
  std::uint64_t written_then_ = 0, received_ = 0, received_then_ = 0;

  bool reading_ = false, writing_ = false;
  bool abandoned_ = false;  // the read under way is for a request that was answered before it came
  std::vector<char> in_;    // what came and is not yet used: [begin_, end_)
  std::size_t begin_ = 0, end_ = 0;
  std::optional<Parser> parser_;
  Request request_;
  Request asked_;  // what the reply's body depends on
  const Route* route_ = nullptr;
  std::uint64_t body_length_ = 0, body_filled_ = 0;
  BodyHold hold_;
  bool keep_alive_ = true, http11_ = true, finishing_ = false;
  std::uint64_t generation_ = 0;  // of the request being handled; a late answer to an earlier one is dropped

  std::string head_, body_;  // being written
  std::shared_ptr<StreamState> stream_;
  bool stream_last_ = false;
  Duration last_sent_{0};
};

// StreamState

bool StreamState::send(const SseEvent& event) {
  std::string bytes = framed(sse_bytes(event));
  const std::lock_guard lock(mutex_);
  if (over_ || gone_) return false;
  if (pending_.size() + in_flight_ + bytes.size() > core_->options.stream_buffer) {
    over_ = true;
    core_->on_io([weak = connection_, waiting = pending_.size() + in_flight_] {
      if (const auto c = weak.lock()) c->cut_slow(waiting);
    });
    return false;
  }
  pending_ += bytes;
  open_ = true;
  schedule();
  return true;
}

void StreamState::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  schedule();
}

void StreamState::end() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(over_, true) || gone_) return;
  if (open_) schedule();
}

void StreamState::refuse() {
  const std::lock_guard lock(mutex_);
  over_ = gone_ = true;
}

void StreamState::gone() {
  std::move_only_function<void()> f;
  {
    const std::lock_guard lock(mutex_);
    gone_ = over_ = true;
    pending_.clear();
    f = std::exchange(on_close_, nullptr);
  }
  if (f) f();
}

std::size_t StreamState::waiting() const {
  const std::lock_guard lock(mutex_);
  return pending_.size() + in_flight_;
}

void StreamState::on_close(std::move_only_function<void()> f) {
  {
    const std::lock_guard lock(mutex_);
    if (!gone_) {
      on_close_ = std::move(f);
      return;
    }
  }
  f();
}

void StreamState::schedule() {
  if (gone_ || std::exchange(scheduled_, true)) return;
  core_->on_io([self = shared_from_this()] {
    if (const auto c = self->connection_.lock()) c->flush_stream(self);
    else self->gone();
  });
}

std::string StreamState::take(bool& last) {
  const std::lock_guard lock(mutex_);
  scheduled_ = false;
  std::string out = std::exchange(pending_, {});
  in_flight_ = out.size();
  last = over_;
  if (last && chunked_) out += "0\r\n\r\n";
  return out;
}

std::string StreamState::framed(std::string bytes) const {
  if (!chunked_) return bytes;
  std::string out = fmt::format("{:x}\r\n", bytes.size());
  out += bytes;
  out += "\r\n";
  return out;
}

// Reading

void HttpConnection::start() {
  enter(Phase::handshake, core_->options.header_deadline);
  transport_->handshake([self = shared_from_this()](bool ok, std::string reason) {
    if (self->phase_ == Phase::closed) return;
    if (!ok) {
      self->core_->refused("tls", self->peer().address, reason);
      return self->close();
    }
    if (!self->refused_as_revoked()) self->next_request();
  });
}

bool HttpConnection::refused_as_revoked() {
  if (!core_->is_revoked(peer().certificate_serial)) return false;
  core_->refused("revoked", peer().address, peer().certificate_serial);
  close();
  return true;
}

void HttpConnection::read(std::span<char> into, void (HttpConnection::*then)(std::size_t)) {
  reading_ = true;
  transport_->read_some(into, [self = shared_from_this(), then](bool ok, std::size_t n) {
    self->reading_ = false;
    if (self->phase_ == Phase::closed) return;
    if (!ok || n == 0) return self->close();
    self->received_ += n;
    if (std::exchange(self->abandoned_, false)) {
      if (self->phase_ == Phase::draining) self->discard(n);
      return;
    }
    (self.get()->*then)(n);
  });
}

void HttpConnection::write(std::string_view first, std::string_view second, std::move_only_function<void()> then) {
  BAVN_ASSERT(!writing_);
  writing_ = true;
  transport_->write(first, second, [self = shared_from_this(), then = std::move(then)](bool ok, std::size_t) mutable {
    self->writing_ = false;
    if (self->phase_ == Phase::closed) return;
    if (!ok) return self->close();
    then();
  });
}

void HttpConnection::next_request() {
  if (finishing_ || core_->stopping) return drain();
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(header_limit));
  parser_->body_limit(boost::none);  // ours is checked before the body is read
  request_ = {};
  asked_ = {};
  route_ = nullptr;
  keep_alive_ = true;
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (in_.size() > first_buffer) in_ = {};  // a long header was an exception
    enter(Phase::idle, core_->options.idle_deadline);
  } else {
    enter(Phase::header, core_->options.header_deadline);
  }
  parse_header();
}

// Makes room in in_ and reads into it.
void HttpConnection::more_input() {
  if (begin_ > 0) {
    std::copy(in_.begin() + static_cast<std::ptrdiff_t>(begin_), in_.begin() + static_cast<std::ptrdiff_t>(end_),
              in_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == in_.size()) {
    if (in_.size() >= largest_buffer) {
      keep_alive_ = false;
      return reply_now(problem(431, "Header too large", "a line or header is too long"));
    }
    in_.resize(std::clamp(in_.size() * 2, first_buffer, largest_buffer));
  }
  read(std::span(in_).subspan(end_),
       phase_ == Phase::body ? &HttpConnection::came_chunks : &HttpConnection::came_header);
}

void HttpConnection::came_header(std::size_t n) {
  end_ += n;
  if (phase_ == Phase::idle) enter(Phase::header, core_->options.header_deadline);
  parse_header();
}

void HttpConnection::parse_header() {
  if (begin_ == end_) return more_input();
  boost::beast::error_code ec;
  begin_ += parser_->put(boost::asio::const_buffer(in_.data() + begin_, end_ - begin_), ec);
  if (ec == http::error::need_more || (!ec && !parser_->is_header_done())) return more_input();
  if (ec) {
    keep_alive_ = false;
    core_->refused("not_http", peer().address, ec.message());
    if (ec == http::error::header_limit)
      return reply_now(problem(431, "Header too large", "the header is larger than 64 KiB"));
    return reply_now(problem(400, "Bad request", fmt::format("this is not HTTP as we read it: {}", ec.message())));
  }
  on_header();
}

void HttpConnection::on_header() {
  if (core_->requests) core_->requests->add();
  if (refused_as_revoked()) return;
  const auto& message = parser_->get();
  const auto has = [&](http::field f) { return message.find(f) != message.end(); };
  const auto value = [&](http::field f) {
    const auto v = message[f];
    return std::string_view(v.data(), v.size());
  };
  // Whatever is refused here leaves its body unread: the connection ends with the answer, unless there is no body.
  const bool chunked = has(http::field::transfer_encoding);
  const auto length = parser_->content_length();
  const bool has_body = chunked || (length && *length > 0);
  http11_ = message.version() == 11;
  const bool wants_more = http11_ && message.keep_alive();
  keep_alive_ = wants_more && !has_body;
  asked_ = {};
  std::optional<Method> method;
  switch (message.method()) {
    case http::verb::get: method = Method::get; break;
    case http::verb::head: method = Method::head; break;
    case http::verb::post: method = Method::post; break;
    case http::verb::put: method = Method::put; break;
    case http::verb::patch: method = Method::patch; break;
    case http::verb::delete_: method = Method::del; break;
    default: break;
  }
  if (message.version() != 11 && message.version() != 10)
    return reply_now(problem(505, "HTTP version", "HTTP/1.1 is spoken here"));
  if (http11_ && !has(http::field::host)) return reply_now(problem(400, "Bad request", "there is no Host header"));
  if (chunked && !iequals(value(http::field::transfer_encoding), "chunked"))
    return reply_now(problem(501, "Not implemented", "the only Transfer-Encoding read here is chunked"));
  const auto target = message.target();
  auto request = request_for(method.value_or(Method::get), std::string_view(target.data(), target.size()));
  if (!request) return reply_now(problem(request.error()));
  request_ = std::move(*request);
  if (!method) return no_such_method();
  std::size_t fields = 0;
  for (const auto& field : message) {
    if (++fields > max_fields) return reply_now(problem(431, "Header too large", "too many header fields"));
    const auto name = field.name_string(), v = field.value();
    request_.headers.add(std::string_view(name.data(), name.size()), std::string(v.data(), v.size()));
  }
  request_.peer = peer();
  asked_ = asked_of(request_);
  const auto route = core_->router.match(*method, request_.path, request_.params);
  if (!route) {
    // Without a route the router answers by itself: 404 or 405, no handler runs.
    std::optional<Reply> reply;
    core_->router.handle(std::move(request_), [&](Reply r) { reply = std::move(r); });
    return reply_now(std::move(*reply));
  }
  route_ = *route;
  const RouteOptions& options = route_->options;
  if (length && *length > options.max_body) {
    core_->refused("too_large", peer().address, route_->pattern);
    return reply_now(problem(413, "Content too large",
                             fmt::format("the body has {} bytes, and {} are allowed here", *length, options.max_body)));
  }
  if (has_body && request_.headers.find("Content-Encoding") && !options.gzip_body)
    return reply_now(problem(415, "Unsupported media type", "bodies are not decoded here"));
  if (has_body && options.has_room && !options.has_room(length ? *length : options.max_body)) {
    core_->refused("no_room", peer().address, route_->pattern);
    return reply_now(problem(503, "Unavailable", "there is no room for this now; send it again later"));
  }
  if (has_body && !hold(length ? std::min<std::uint64_t>(*length, first_body) : 0)) return;
  keep_alive_ = wants_more;
  if (!has_body) return dispatch();
  enter(Phase::body, core_->options.body_deadline);
  if (iequals(value(http::field::expect), "100-continue") && begin_ == end_) {
    head_ = "HTTP/1.1 100 Continue\r\n\r\n";
    return write(head_, {}, [self = shared_from_this()] { self->begin_body(); });
  }
  begin_body();
}

// TRACE, OPTIONS and the like: HTTP has them, no route of ours does (RFC 9110 section 15.5.6).
void HttpConnection::no_such_method() {
  keep_alive_ = false;
  std::string allowed;
  for (const Route& route : core_->router.routes()) {
    Request at = request_;
    const auto found = core_->router.match(route.method, request_.path, at.params);
    if (!found || *found != &route) continue;
    if (!allowed.empty()) allowed += ", ";
    allowed += to_string(route.method);
  }
  if (allowed.empty()) return reply_now(problem({Code::not_found, "there is nothing at " + request_.path, {}}));
  Reply reply = problem(405, "Method not allowed", "this method is not possible here, but " + allowed + " is");
  reply.headers.set("Allow", allowed);
  reply_now(std::move(reply));
}

void HttpConnection::begin_body() {
  if (const auto length = parser_->content_length()) {
    body_length_ = *length;
    body_filled_ = std::min<std::uint64_t>(body_length_, end_ - begin_);
    request_.body.reserve(std::min<std::uint64_t>(body_length_, first_body));
    request_.body.assign(in_.data() + begin_, body_filled_);
    begin_ += body_filled_;
    return read_body();
  }
  parser_->body_limit(route_->options.max_body);
  parser_->eager(true);
  parse_chunks();
}

// The body may be so large; false: answered that there is no room.
bool HttpConnection::hold(std::size_t bytes) {
  if (hold_.grow(core_, bytes)) return true;
  keep_alive_ = false;
  let_go(request_.body);
  let_go(parser_->get().body());  // of chunks
  core_->refused("no_room", peer().address, "bodies of others");
  reply_now(problem(503, "Unavailable", "too many requests come in together; send it again later"));
  return false;
}

// Straight from the socket into the string that the handler gets.
void HttpConnection::read_body() {
  if (body_filled_ == body_length_) {
    request_.body.resize(body_filled_);
    return dispatch();
  }
  std::string& body = request_.body;
  if (body.size() == body_filled_) {
    const std::uint64_t size =
        std::min<std::uint64_t>(body_length_, std::max<std::uint64_t>(first_body, body_filled_ * 2));
    if (!hold(size)) return;
    body.resize_and_overwrite(size, [](char*, std::size_t n) { return n; });
  }
  read(std::span(body).subspan(body_filled_), &HttpConnection::came_body);
}

void HttpConnection::came_body(std::size_t n) {
  body_filled_ += n;
  read_body();
}

void HttpConnection::came_chunks(std::size_t n) {
  end_ += n;
  parse_chunks();
}

void HttpConnection::parse_chunks() {
  boost::beast::error_code ec;
  while (begin_ < end_ && !parser_->is_done() && !ec)
    begin_ += parser_->put(boost::asio::const_buffer(in_.data() + begin_, end_ - begin_), ec);
  if (ec && ec != http::error::need_more) {
    keep_alive_ = false;
    core_->refused(ec == http::error::body_limit ? "too_large" : "not_http", peer().address, ec.message());
    if (ec == http::error::body_limit)
      return reply_now(
          problem(413, "Content too large",
                  fmt::format("the body has more than the {} bytes allowed here", route_->options.max_body)));
    return reply_now(problem(400, "Bad request", fmt::format("the chunks of the body are broken: {}", ec.message())));
  }
  if (!hold(parser_->get().body().size())) return;
  if (!parser_->is_done()) return more_input();
  request_.body = std::move(parser_->get().body());
  dispatch();
}

// Handling

void deliver(const std::shared_ptr<ServerCore>& core, const std::weak_ptr<HttpConnection>& to, std::uint64_t generation,
             Reply reply) {
  Answer answer;
  if (reply.file) {
    auto file = core->runtime.files().open(reply.file->path, OpenMode::read);
    auto size = file ? (*file)->size() : Result<std::uint64_t>(std::unexpected(file.error()));
    if (size) {
      answer.file = std::move(*file);
      answer.size = *size;
    } else {
      reply = problem(size.error());
    }
  }
  answer.reply = std::move(reply);
  core->on_io([to, generation, answer = std::move(answer)]() mutable {
    if (const auto c = to.lock()) c->on_answer(generation, std::move(answer));
  });
}

void HttpConnection::dispatch() {
  if (core_->received) core_->received->add(request_.body.size());
  enter(Phase::handling, route_->options.deadline);
  const std::uint64_t generation = ++generation_;
  const std::weak_ptr<HttpConnection> self = weak_from_this();
  if (route_->stream && request_.method == Method::head)
    return reply_now(problem(405, "Method not allowed", "a stream has no HEAD"));
  const auto hold = std::make_shared<BodyHold>(std::move(hold_));
  Respond respond = respond_once([core = core_, self, generation, hold](Reply reply) {
    hold->release();
    deliver(core, self, generation, std::move(reply));
  });
  const bool posted = core_->runtime.post(
      core_->options.handlers, [core = core_, self, generation, route = route_, http11 = http11_, hold,
                                request = std::move(request_), respond = std::move(respond)]() mutable {
        const struct Free {
          BodyHold& hold;
          ~Free() { hold.release(); }
        } free{*hold};
        if (!core->gate.enter()) return;
        struct Leave {
          Gate& gate;
          ~Leave() { gate.leave(); }
        } leave{core->gate};
        if (auto decoded = decode_body(request, route->options.max_body); !decoded) {
          const std::string& where = decoded.error().where;
          Reply reply = problem(where == "413"   ? 413
                                : where == "415" ? 415
                                                 : 400,
                                "Body not accepted", decoded.error().what);
          core->router.polish(request, reply);
          return respond(std::move(reply));
        }
        if (!route->stream) return core->router.handle(std::move(request), std::move(respond));
        const auto state = std::make_shared<StreamState>(core, self, generation, http11);
        bool refused = false;
        core->router.open_stream(std::move(request), std::make_shared<StreamHandle>(state), [&](Reply reply) {
          refused = true;
          state->refuse();
          respond(std::move(reply));
        });
        if (refused) return;
        state->open();
        // The stream is the answer: what respond_once would say when it dies comes too late and is dropped.
      });
  if (!posted) {
    core_->refused("busy", peer().address, route_->pattern);
    reply_now(problem(503, "Unavailable", "too many requests wait already; send it again later"));
  }
}

void HttpConnection::reply_now(Reply reply) {
  hold_.release();
  core_->router.polish(request_, reply);  // one that came from the router already stays as it is
  abandoned_ = reading_;
  phase_ = Phase::handling;
  on_answer(++generation_, {std::move(reply), nullptr, 0});
}

// Writing

void HttpConnection::on_answer(std::uint64_t generation, Answer answer) {
  if (phase_ != Phase::handling || generation != generation_) return;
  Reply& reply = answer.reply;
  const BodyPlan plan = plan_body(asked_, reply, answer.file ? answer.size : reply.body.size());
  const bool no_body = asked_.method == Method::head || reply.status == 304 || reply.status == 204;
  if (finishing_ || core_->stopping) keep_alive_ = false;
  const auto reason = http::obsolete_reason(static_cast<http::status>(reply.status));
  head_ = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", reply.status, std::string_view(reason.data(), reason.size()),
                      core_->date());
  for (const auto& [name, v] : reply.headers.all()) {
    if (iequals(name, "Content-Length") || iequals(name, "Connection") || iequals(name, "Transfer-Encoding")) continue;
    head_.append(name).append(": ");
    for (const char c : v)
      if (static_cast<unsigned char>(c) >= ' ' || c == '\t') head_ += c;
    head_ += "\r\n";
  }
  if (reply.status != 304 && reply.status != 204) head_ += fmt::format("Content-Length: {}\r\n", plan.length);
  if (!keep_alive_) head_ += "Connection: close\r\n";
  head_ += "\r\n";
  enter(Phase::writing, core_->options.idle_deadline);
  if (core_->sent && !no_body) core_->sent->add(plan.length);
  const auto done = [self = shared_from_this()] { self->after_reply(); };
  if (no_body || plan.length == 0) return write(head_, {}, done);
  if (answer.file) {
    body_.clear();
    return write_file(std::move(answer.file), plan.offset, plan.length);
  }
  body_ = std::move(reply.body);
  if (body_.size() <= one_write) {
    head_.append(body_, plan.offset, plan.length);
    return write(head_, {}, done);
  }
  write(head_, std::string_view(body_).substr(plan.offset, plan.length), done);
}

// A piece is read on the handlers' queue, written here, and so on. head_ goes with the first piece.
void HttpConnection::write_file(std::shared_ptr<File> file, std::uint64_t offset, std::uint64_t left) {
  if (left == 0) return after_reply();
  core_->runtime.after(Duration(0), core_->options.handlers,
                       [core = core_, self = weak_from_this(), file, offset, left] {
                         std::string piece(std::min<std::uint64_t>(left, file_piece), '\0');
                         const auto n = file->pread(offset, piece);
                         const bool whole = n && *n == piece.size();
                         core->on_io([self, file, offset, left, whole, piece = std::move(piece)]() mutable {
                           const auto c = self.lock();
                           if (!c || c->phase_ != Phase::writing) return;
                           if (!whole)
                             return c->close();  // the length is promised already: a cut is all that can be said
                           c->body_ = std::move(piece);
                           c->write(c->head_, c->body_, [c, file, offset, left] {
                             c->head_.clear();
                             c->write_file(file, offset + c->body_.size(), left - c->body_.size());
                           });
                         });
                       });
}

void HttpConnection::after_reply() {
  let_go(body_);
  if (!keep_alive_) return drain();
  next_request();
}

void HttpConnection::flush_stream(const std::shared_ptr<StreamState>& state) {
  if (phase_ == Phase::closed || (!stream_ && (phase_ != Phase::handling || state->generation() != generation_)) ||
      (stream_ && stream_ != state))
    return state->gone();
  std::string head;
  if (!stream_) {
    stream_ = state;
    head = fmt::format(
        "HTTP/1.1 200 OK\r\nDate: {}\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
        "X-Accel-Buffering: no\r\nConnection: close\r\n{}\r\n",
        core_->date(), state->chunked() ? "Transfer-Encoding: chunked\r\n" : "");
    enter(Phase::streaming, core_->options.idle_deadline);
    watch_for_close();
    if (phase_ == Phase::closed) return;
  }
  if (writing_ || stream_last_) return;
  head_ = std::move(head);
  body_ = state->take(stream_last_);
  if (head_.empty() && body_.empty()) {
    if (stream_last_) close();
    return;
  }
  enter(Phase::streaming, core_->options.idle_deadline);
  write(head_, body_, [self = shared_from_this()] { self->stream_written(); });
}

void HttpConnection::stream_written() {
  last_sent_ = core_->runtime.steady();
  if (stream_last_) return close();
  flush_stream(stream_);
}

void HttpConnection::cut_slow(std::size_t waiting) {
  core_->refused("stream_slow", peer().address, fmt::format("{} bytes waited", waiting));
  close();
}

// The client has nothing to say in a stream: whatever comes is dropped, its end is seen.
void HttpConnection::watch_for_close() {
  begin_ = end_ = 0;
  in_.resize(first_buffer);
  read(in_, &HttpConnection::came_nothing);
}

void HttpConnection::came_nothing(std::size_t) {
  if (phase_ == Phase::streaming) watch_for_close();
}

// Ending

// A close with unread bytes would reset the connection and take our answer with it: read on until the client has gone.
void HttpConnection::drain() {
  enter(Phase::draining, linger);
  transport_->shut_sending();
  if (!reading_) discard(0);  // else the read under way goes on here
}

void HttpConnection::discard(std::size_t) {
  begin_ = end_ = 0;
  in_.resize(first_buffer);
  read(in_, &HttpConnection::discard);
}

void HttpConnection::finish_soon() {
  finishing_ = true;
  if (phase_ != Phase::handling && phase_ != Phase::writing && phase_ != Phase::body && phase_ != Phase::draining)
    close();
}

void HttpConnection::close() {
  if (phase_ == Phase::closed) return;
  phase_ = Phase::closed;
  transport_->close();
  if (const auto stream = std::exchange(stream_, nullptr)) stream->gone();
  core_->connections.erase(shared_from_this());
}

void HttpConnection::tick(Duration now) {
  if (phase_ == Phase::streaming && !writing_) {
    if (now - last_sent_ < core_->options.heartbeat) return;
    head_ = stream_->framed(":\n\n");
    enter(Phase::streaming, core_->options.idle_deadline);
    return write(head_, {}, [self = shared_from_this()] { self->stream_written(); });
  }
  if (now < deadline_) return;
  switch (phase_) {
    case Phase::body:
      if (received_ - received_then_ >= least_body_bytes) return enter(phase_, core_->options.body_deadline);
      [[fallthrough]];
    case Phase::header:
      keep_alive_ = false;
      core_->refused("slow", peer().address);
      if (writing_) return close();  // not even our "100 Continue" was taken
      return reply_now(problem(408, "Request timeout", "the request did not arrive in time"));
    case Phase::handling:
      core_->refused("not_answered", peer().address, route_ ? route_->pattern : std::string());
      return reply_now(problem(500, "Internal error", "the request was not answered in time"));
    case Phase::writing:
    case Phase::streaming:
      if (transport_->written() != written_then_) return enter(phase_, core_->options.idle_deadline);
      core_->refused("slow_reader", peer().address);
      return close();
    case Phase::handshake: core_->refused("slow", peer().address); [[fallthrough]];
    case Phase::idle:
    case Phase::draining: return close();
    case Phase::closed: return;
  }
}

}  // namespace

std::shared_ptr<Connection> make_connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport) {
  return std::make_shared<HttpConnection>(std::move(core), std::move(transport));
}

}  // namespace bavn::net
