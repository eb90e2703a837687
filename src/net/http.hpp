#pragma once
// HTTP as plain values: what a handler sees and answers. Nothing here knows sockets: the same Router is served by Server (Boost.Beast,
// TLS), by SimNet (messages in virtual time) and called directly by tests.
// Life: a Router is filled once, then handed to a server and not changed. Thread rules: handlers run on the route's queue.
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/runtime.hpp"
#include "event/scope.hpp"

namespace bavn::net {

enum class Method : std::uint8_t { get, head, post, put, patch, del };
std::string_view to_string(Method m);

/// Names compare without case (RFC 9110 section 5.1). Order is kept.
class Headers {
 public:
  void set(std::string_view name, std::string value);
  void add(std::string_view name, std::string value);
  const std::string* find(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return all_; }

 private:
  std::vector<std::pair<std::string, std::string>> all_;
};

/// Who is at the other end, as far as the connection proves it.
struct Peer {
  std::string address{};  // "192.0.2.7"
  bool tls = false;
  std::string certificate_serial{};  // lower hex; empty: no client certificate. Chain and dates were verified
  std::string certificate_name{};    // its common name
};

struct Request {
  Method method = Method::get;
  std::string path{};                                        // decoded, without query
  std::map<std::string, std::string, std::less<>> params{};  // {id} of the route
  std::map<std::string, std::string, std::less<>> query{};   // decoded; the first of each name
  Headers headers{};
  std::string body{};  // decoded when Content-Encoding is gzip or zstd; never above the route's limit
  Peer peer{};
  std::string trace{};  // names this request in the log and in problems; made by the Door
  event::Scope scope{"nobody", {}, 0, event::Tlp::clear};  // set by the Authenticator before the handler runs

  std::string_view param(std::string_view name) const;                 // of the route's own pattern: always there
  std::optional<std::string_view> asked(std::string_view name) const;  // of the query
};

/// A Request from "/path?query" as it stands in a request line: path and query percent-decoded. bad_input: no path, a broken
/// escape, an encoded slash or NUL, more than 200 query parameters.
Result<Request> request_for(Method method, std::string_view target);
std::optional<std::string> percent_decoded(std::string_view s);
/// Everything but letters, digits and -._~ as %XX: for a path segment or a query value.
std::string percent_encoded(std::string_view s);

/// Bytes of a file, immutable while served (an indicator base, a log segment); Range requests are answered by the server.
struct FileBody {
  std::string path;
};

struct Reply {
  int status = 200;
  Headers headers{};
  std::string body{};
  std::optional<FileBody> file{};  // instead of body
};

Reply text(std::string body, std::string_view content_type = "text/plain; charset=utf-8", int status = 200);
Reply json(std::string body, int status = 200);
/// RFC 9457. The Code gives the status: bad_input 400, forbidden 403, not_found 404, conflict 409, unavailable 503, corrupt 500.
Reply problem(const Error& error);
Reply problem(int status, std::string_view title, std::string_view detail);

/// One event of text/event-stream (WHATWG HTML section 9.2).
struct SseEvent {
  std::string id{}, event{}, data{};
};

/// The server's end of a stream. Bounded: a client that does not read is cut off and comes back with the id it saw last.
/// Thread rules: any thread. It ends when the last shared_ptr is gone, or by close().
class EventStream {
 public:
  virtual ~EventStream() = default;
  virtual bool send(SseEvent event) = 0;  // false: it is over
  virtual void close() = 0;
  virtual std::size_t waiting_bytes() const = 0;
  /// Called once, on any thread, when the other end is gone; at once when it is gone already.
  virtual void on_close(std::move_only_function<void()> f) = 0;
};

using Needs = event::Right;  // Right::anyone for what needs no right; a route without Needs does not compile

using Handler = std::function<Reply(const Request&)>;
using Respond = std::move_only_function<void(Reply)>;  // once, from any thread; never called: 500 after the deadline
using AsyncHandler = std::function<void(Request, Respond)>;
/// Last-Event-ID is in the request's headers.
using StreamHandler = std::function<void(const Request&, std::shared_ptr<EventStream>)>;

struct RouteOptions {
  std::size_t max_body = 1U << 20U;  // bytes, after decoding
  std::chrono::seconds deadline{30};
  bool gzip_body = true;  // Content-Encoding gzip and zstd are accepted
  /// Asked with the declared length before the body is read; false: 503 with Retry-After, nothing is read.
  std::function<bool(std::size_t length)> has_room{};
};

struct Route {
  Method method;
  std::string pattern;
  Needs needs;
  RouteOptions options;
  Handler handler;  // one of the three
  AsyncHandler async;
  StreamHandler stream;
};

/// What stands between the network and every handler of a router: limits, checks, the words of errors. Each part may be empty.
/// Thread rules: called from the handlers' queue, `arrive` and `otherwise` also on the I/O thread: all of them are quick.
struct Door {
  /// First of all, also where no route is. What it returns is applied to every reply to this request.
  std::function<std::function<void(Reply&)>(Request&)> arrive{};
  /// The route is known, nobody is authenticated yet. A Reply is the answer.
  std::function<std::optional<Reply>(Request&, const Route&)> knock{};
  /// The scope is known and may use the route. A Reply is the answer; `respond` may be wrapped (not that of a stream: it only refuses).
  std::function<std::optional<Reply>(Request&, const Route&, Respond&)> enter{};
  /// GET and HEAD of what no route has; nothing: 404.
  std::function<std::optional<Reply>(const Request&)> otherwise{};
};

class Router {
 public:
  /// pattern: "/api/alerts/{id}". Two routes of one method and pattern are a broken promise (BAVN_ASSERT).
  void get(std::string pattern, Needs needs, Handler handler, RouteOptions options = {});
  void post(std::string pattern, Needs needs, Handler handler, RouteOptions options = {});
  void put(std::string pattern, Needs needs, Handler handler, RouteOptions options = {});
  void del(std::string pattern, Needs needs, Handler handler, RouteOptions options = {});
  void async(Method method, std::string pattern, Needs needs, AsyncHandler handler, RouteOptions options = {});
  void stream(std::string pattern, Needs needs, StreamHandler handler, RouteOptions options = {});

  /// Says who asks. An error is answered as problem(401); without one set, every Scope is nobody's.
  using Authenticator = std::function<Result<event::Scope>(const Request&)>;
  void authenticate(Authenticator authenticator) { authenticator_ = std::move(authenticator); }

  void guard(Door door) { door_ = std::move(door); }

  /// The route and its parameters; HEAD finds what GET finds. not_found: no such path; conflict: another method (405; `where` is
  /// the list for Allow).
  Result<const Route*> match(Method method, std::string_view path,
                             std::map<std::string, std::string, std::less<>>& params) const;
  const std::vector<Route>& routes() const { return routes_; }
  const Authenticator& authenticator() const { return authenticator_; }

  /// Everything but the sockets: authentication, right, handler. Streams are refused here (see open_stream).
  /// A handler that throws is answered with 500 and logged as handler_failed.
  void handle(Request request, Respond respond) const;
  /// Either the handler gets the stream or `refused` is called with the reason; a server sends the 200 when this returns without.
  void open_stream(Request request, std::shared_ptr<EventStream> stream, Respond refused) const;
  /// The Door's last word on a reply that a server gives by itself (too large, too slow).
  void polish(Request& request, Reply& reply) const;

 private:
  void add(Route route);
  std::optional<Reply> refusal(Request& request, const Route& route) const;  // sets request.scope
  Respond arrived(Request& request, Respond respond) const;
  std::vector<Route> routes_;
  Authenticator authenticator_;
  Door door_;
};

}  // namespace bavn::net
