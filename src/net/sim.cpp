#include "net/sim.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/guarded.hpp"
#include "base/x509.hpp"
#include "net/body_plan.hpp"
#include "net/content_coding.hpp"
#include "net/respond_once.hpp"
#include "net/url.hpp"

namespace bavn::net {

namespace {

// Messages: a kind, then fields with their lengths. Both ends are this file.
constexpr char kind_request = 'Q', kind_reply = 'R', kind_open = 'O', kind_event = 'E';

class Packer {
 public:
  explicit Packer(char kind) : out_(1, kind) {}
  Packer& number(std::uint64_t n) {
    for (int i = 0; i < 8; ++i) out_ += static_cast<char>(n >> (8U * static_cast<unsigned>(i)));
    return *this;
  }
  Packer& text(std::string_view s) {
    number(s.size());
    out_ += s;
    return *this;
  }
  Packer& headers(const Headers& h) {
    number(h.all().size());
    for (const auto& [name, value] : h.all()) text(name).text(value);
    return *this;
  }
  std::string done() { return std::move(out_); }

 private:
  std::string out_;
};

class Unpacker {
 public:
  explicit Unpacker(std::string_view in) : in_(in) { BAVN_ASSERT(!in_.empty()); }
  char kind() {
    const char k = in_.front();
    in_.remove_prefix(1);
    return k;
  }
  std::uint64_t number() {
    BAVN_ASSERT(in_.size() >= 8);
    std::uint64_t n = 0;
    for (unsigned i = 0; i < 8; ++i) n |= std::uint64_t{static_cast<unsigned char>(in_[i])} << (8 * i);
    in_.remove_prefix(8);
    return n;
  }
  std::string text() {
    const std::uint64_t size = number();
    BAVN_ASSERT(in_.size() >= size);
    std::string s(in_.substr(0, size));
    in_.remove_prefix(size);
    return s;
  }
  Headers headers() {
    Headers h;
    for (std::uint64_t n = number(); n > 0; --n) {
      std::string name = text();
      h.add(name, text());
    }
    return h;
  }

 private:
  std::string_view in_;
};

// The server's end.

class SimStream final : public EventStream {
 public:
  explicit SimStream(std::shared_ptr<Link> link) : link_(std::move(link)) {}
  ~SimStream() override { close(); }

  /// The 200. Before the first event, or when the handler has taken the stream.
  void open() {
    if (!state_.with([](State& s) { return std::exchange(s.open, true); })) link_->send(Packer(kind_open).done());
  }
  bool send(SseEvent event) override {
    open();
    const std::uint64_t n = state_.with([](State& s) { return s.over ? 0 : ++s.sent; });
    if (n == 0) return false;
    return link_->send(Packer(kind_event).number(n).text(event.id).text(event.event).text(event.data).done());
  }
  void close() override {
    if (state_.with([](State& s) { return !std::exchange(s.over, true) && s.open; })) link_->close();
  }
  std::size_t waiting_bytes() const override { return 0; }  // what is on its way is the link's business
  void on_close(std::move_only_function<void()> f) override {
    const bool gone = state_.with([&](State& s) {
      if (!s.gone) s.on_close = std::move(f);
      return s.gone;
    });
    if (gone) f();
  }
  void cut() {
    auto f = state_.with([](State& s) {
      s.over = s.gone = true;
      return std::exchange(s.on_close, nullptr);
    });
    if (f) f();
  }

 private:
  struct State {
    bool open = false, over = false, gone = false;
    std::uint64_t sent = 0;
    std::move_only_function<void()> on_close;
  };
  std::shared_ptr<Link> link_;
  Guarded<State> state_;
};

struct Served {
  Served(Runtime& r, const Router& served) : runtime(r), router(&served) {}
  Runtime& runtime;
  Guarded<const Router*> router;  // null when the server is gone
  Guarded<std::vector<std::pair<std::string, std::weak_ptr<Link>>>> by_serial;
};

// One request or stream.
struct Session {
  std::shared_ptr<Served> served;
  std::shared_ptr<Link> link;
  std::weak_ptr<SimStream> stream;
  bool streams = false;

  void reply(const Request& asked, Reply reply) const;
  void on_request(std::string_view message);
};

void Session::reply(const Request& asked, Reply reply) const {
  std::shared_ptr<const Mapping> mapped;
  if (reply.file) {
    auto found = served->runtime.files().map(reply.file->path);
    if (found) mapped = std::move(*found);
    else reply = problem(found.error());
  }
  const std::string_view all = mapped ? mapped->bytes() : std::string_view(reply.body);
  const BodyPlan plan = plan_body(asked, reply, all.size());
  reply.headers.set("Content-Length", std::to_string(plan.length));
  const std::string_view body =
      asked.method == Method::head ? std::string_view() : all.substr(plan.offset, plan.length);
  link->send(
      Packer(kind_reply).number(static_cast<std::uint64_t>(reply.status)).headers(reply.headers).text(body).done());
}

void Session::on_request(std::string_view message) {
  const Router* router = served->router.with([](const Router* r) { return r; });
  if (!router || streams) return;
  Unpacker in(message);
  if (in.kind() != kind_request) return;
  const auto method = static_cast<Method>(in.number());
  auto parsed = request_for(method, in.text());
  Request request = parsed ? std::move(*parsed) : Request{};
  request.method = method;
  request.headers = in.headers();
  request.body = in.text();
  request.peer.address = in.text();
  request.peer.tls = in.number() != 0;
  request.peer.certificate_serial = in.text();
  request.peer.certificate_name = in.text();
  const Request asked = asked_of(request);
  if (!parsed) return reply(asked, problem(parsed.error()));
  if (!request.peer.certificate_serial.empty())
    served->by_serial.with([&](auto& all) {
      std::erase_if(all, [](const auto& one) { return one.second.expired(); });
      all.emplace_back(request.peer.certificate_serial, link);
    });
  const auto route = router->match(method, request.path, request.params);
  if (route) {
    const RouteOptions& options = (*route)->options;
    if (options.has_room && !options.has_room(request.body.size()))
      return reply(asked, problem(503, "Unavailable", "there is no room for this now"));
    if (request.body.size() > options.max_body)
      return reply(asked, problem(413, "Content too large", "the body is larger than this route takes"));
    if (auto decoded = decode_body(request, options.max_body); !decoded)
      return reply(asked, problem(decoded.error().where == "413" ? 413 : 400, "Bad body", decoded.error().what));
  }
  const auto answer = [session = *this, asked](Reply r) { session.reply(asked, std::move(r)); };
  if (!route || !(*route)->stream) return router->handle(std::move(request), respond_once(answer));
  streams = true;
  auto opened = std::make_shared<SimStream>(link);
  stream = opened;
  bool refused = false;  // only while open_stream runs
  router->open_stream(std::move(request), opened, [&](Reply r) {
    refused = true;
    answer(std::move(r));
  });
  if (!refused) opened->open();
}

class SimServerHere final : public SimServer {
 public:
  SimServerHere(std::shared_ptr<Served> served, std::string address)
      : served_(std::move(served)), address_(std::move(address)) {}
  ~SimServerHere() override {
    served_->router.with([](const Router*& r) { r = nullptr; });
    served_->runtime.links().unlisten(address_);
  }
  void cut(const std::string& serial) override {
    std::vector<std::shared_ptr<Link>> links;
    served_->by_serial.with([&](auto& all) {
      for (const auto& [one, weak] : all)
        if (one == serial)
          if (auto link = weak.lock()) links.push_back(std::move(link));
    });
    for (const auto& link : links) link->close();
  }

 private:
  std::shared_ptr<Served> served_;
  std::string address_;
};

// The client's end.

struct Exchange {
  Exchange(Runtime& runtime_, QueueId queue_) : runtime(runtime_), queue(queue_) {}
  struct State {
    std::shared_ptr<Link> link;
    TimerId timer{};
    bool over = false;
    std::uint64_t seen = 0;  // events
    bool opened = false;
  };
  Runtime& runtime;
  const QueueId queue;
  std::size_t max_reply = 0;
  std::move_only_function<void(Result<ClientReply>)> then;  // a request
  StreamEvents events;                                      // or a stream
  Guarded<State> state;

  // True for the one who ends it.
  bool end() {
    const auto [first, link, timer] = state.with(
        [](State& s) { return std::tuple(!std::exchange(s.over, true), std::exchange(s.link, nullptr), s.timer); });
    if (!first) return false;
    runtime.cancel(timer);
    if (link) link->close();
    return true;
  }
  void finish(Result<ClientReply> result) {
    if (!end()) return;
    auto answer = std::move(then);
    auto ended = std::move(events.on_end);
    events = {};  // what the handlers hold may hold the stream: let go
    if (answer) answer(std::move(result));
    else if (ended)
      ended(result ? Error{Code::bad_input, fmt::format("the stream was refused with {}", result->status), {}}
                   : std::move(result.error()));
  }
  void on_message(std::string_view message);
};

// An answer that is no stream, in the words both clients use.
Error refused_stream(const ClientReply& reply) {
  Code code = Code::bad_input;
  if (reply.status == 401 || reply.status == 403) code = Code::forbidden;
  if (reply.status == 404) code = Code::not_found;
  if (reply.status == 429 || reply.status >= 500) code = Code::unavailable;
  return {code, fmt::format("the stream was refused with status {}", reply.status), {}};
}

void Exchange::on_message(std::string_view message) {
  if (state.with([](const State& s) { return s.over; })) return;
  Unpacker in(message);
  switch (in.kind()) {
    case kind_reply: {
      ClientReply reply;
      reply.status = static_cast<int>(in.number());
      reply.headers = in.headers();
      reply.body = in.text();
      if (!then) return finish(std::unexpected(refused_stream(reply)));
      if (reply.body.size() > max_reply)
        return finish(fail(Code::bad_input, fmt::format("the reply is larger than {} bytes", max_reply)));
      return finish(std::move(reply));
    }
    case kind_open: {
      if (then || state.with([](State& s) { return std::exchange(s.opened, true); })) return;
      runtime.cancel(state.with([](const State& s) { return s.timer; }));
      if (events.on_open) events.on_open();
      return;
    }
    case kind_event: {
      const std::uint64_t n = in.number();
      const bool next = state.with([&](State& s) { return n > s.seen ? (s.seen = n, true) : false; });
      SseEvent event;
      event.id = in.text();
      event.event = in.text();
      event.data = in.text();
      if (next && events.on_event) events.on_event(std::move(event));
      return;
    }
    default: return;
  }
}

class SimOpenStream final : public OpenStream {
 public:
  explicit SimOpenStream(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~SimOpenStream() override { exchange_->end(); }
  void close() override {
    exchange_->runtime.after(Duration(0), exchange_->queue, [exchange = exchange_] {
      exchange->finish(fail(Code::unavailable, "the stream was closed here"));
    });
  }

 private:
  std::shared_ptr<Exchange> exchange_;
};

class SimClient final : public Client {
 public:
  SimClient(Runtime& runtime, Peer as) : runtime_(runtime), as_(std::move(as)) {}
  ~SimClient() override {
    waiting_.with([&](auto& waiting) {
      for (const auto& weak : waiting)
        if (auto exchange = weak.lock())
          runtime_.after(Duration(0), exchange->queue,
                         [exchange] { exchange->finish(fail(Code::unavailable, "the client is shutting down")); });
    });
  }
  void send(ClientRequest request, QueueId queue, std::move_only_function<void(Result<ClientReply>)> then) override {
    auto exchange = std::make_shared<Exchange>(runtime_, queue);
    exchange->then = std::move(then);
    begin(std::move(request), exchange);
  }
  std::shared_ptr<OpenStream> stream(ClientRequest request, QueueId queue, StreamEvents events) override {
    auto exchange = std::make_shared<Exchange>(runtime_, queue);
    exchange->events = std::move(events);
    request.method = Method::get;
    begin(std::move(request), exchange);
    return std::make_shared<SimOpenStream>(std::move(exchange));
  }

 private:
  void begin(ClientRequest request, const std::shared_ptr<Exchange>& exchange) {
    const auto end_with = [&](Error error) {
      runtime_.after(Duration(0), exchange->queue, [exchange, error] { exchange->finish(std::unexpected(error)); });
    };
    waiting_.with([&](auto& waiting) {
      std::erase_if(waiting, [](const auto& w) { return w.expired(); });
      waiting.push_back(exchange);
    });
    exchange->max_reply = request.max_reply;
    const auto url = parse_url(request.url);
    if (!url) return end_with(url.error());
    Peer peer = as_;
    peer.tls = url->tls;
    if (request.tls && !request.tls->certificate_pem.empty()) {
      const auto own = x509::read_certificate(request.tls->certificate_pem);
      if (!own) return end_with(own.error());
      peer.certificate_serial = own->serial;
      peer.certificate_name = own->common_name;
    }
    if (!peer.tls) peer.certificate_serial = peer.certificate_name = "";
    auto link = runtime_.links().connect(
        url->host_and_port(), exchange->queue,
        {.on_message = [exchange](std::string m) { exchange->on_message(m); },
         .on_cut = [exchange] { exchange->finish(fail(Code::unavailable, "the connection was cut")); }});
    if (!link) return end_with(link.error());
    const TimerId timer = runtime_.after(
        request.timeout, exchange->queue, [weak = std::weak_ptr(exchange), seconds = request.timeout.count()] {
          if (auto e = weak.lock())
            e->finish(fail(Code::unavailable, fmt::format("no answer within {} seconds", seconds)));
        });
    const bool over = exchange->state.with([&](Exchange::State& s) {
      s.timer = timer;
      if (!s.over) s.link = *link;
      return s.over;
    });
    if (over) {  // cut meanwhile
      runtime_.cancel(timer);
      (*link)->close();
      return;
    }
    (*link)->send(Packer(kind_request)
                      .number(static_cast<std::uint64_t>(request.method))
                      .text(url->target)
                      .headers(request.headers)
                      .text(request.body)
                      .text(peer.address)
                      .number(peer.tls ? 1 : 0)
                      .text(peer.certificate_serial)
                      .text(peer.certificate_name)
                      .done());
  }

  Runtime& runtime_;
  const Peer as_;
  Guarded<std::vector<std::weak_ptr<Exchange>>> waiting_;
};

}  // namespace

Result<std::unique_ptr<SimServer>> SimServer::start(Runtime& runtime, const Router& router, std::string host_and_port,
                                                    QueueId queue) {
  auto served = std::make_shared<Served>(runtime, router);
  BAVN_CHECK(runtime.links().listen(host_and_port, queue, [served](std::shared_ptr<Link> link) -> LinkEvents {
    auto session = std::make_shared<Session>(Session{served, std::move(link), {}, false});
    return {.on_message = [session](std::string m) { session->on_request(m); },
            .on_cut =
                [session] {
                  if (auto stream = session->stream.lock()) stream->cut();
                }};
  }));
  return std::make_unique<SimServerHere>(std::move(served), std::move(host_and_port));
}

std::unique_ptr<Client> sim_client(Runtime& runtime, Peer as) {
  return std::make_unique<SimClient>(runtime, std::move(as));
}

}  // namespace bavn::net
