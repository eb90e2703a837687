#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "base/json_writer.hpp"
#include "base/let_go.hpp"
#include "base/text.hpp"
#include "live/gateways/gateways.hpp"
#include "live/gateways/hec_body.hpp"
#include "net/json_value.hpp"

namespace bavn::live {

namespace {

using net::Needs;
constexpr std::string_view kWay = "hec";

// Codes, texts and statuses as Splunk's documentation lists them ("Troubleshoot HTTP Event Collector").
struct Said {
  int code, status;
  std::string_view text;
};
constexpr Said kSaid[] = {
    {0, 200, "Success"},
    {2, 401, "Token is required"},
    {3, 401, "Invalid authorization"},
    {4, 403, "Invalid token"},
    {5, 400, "No data"},
    {6, 400, "Invalid data format"},
    {8, 500, "Internal server error"},
    {9, 503, "Server is busy"},
    {10, 400, "Data channel is missing"},
    {11, 400, "Invalid data channel"},
    {12, 400, "Event field is required"},
    {13, 400, "Event field cannot be blank"},
    {15, 400, "Error in handling indexed fields"},
    {16, 400, "Query string authorization is not enabled"},
    {17, 200, "HEC is healthy"},
    {18, 503, "HEC is unhealthy, queues are full"},
    {27, 413, "Request entity too large"},
    {404, 404, "The requested URL was not found on this server."},
    {405, 405, "Method Not Allowed"},
};

net::Reply say(int code, std::int64_t event = -1, std::int64_t ack = -1, int status = 0) {
  const auto said = std::find_if(std::begin(kSaid), std::end(kSaid), [&](const Said& s) { return s.code == code; });
  BAVN_ASSERT(said != std::end(kSaid));
  std::string out;
  JsonWriter w(out);
  w.object().member("text", said->text).member("code", said->code);
  if (event >= 0) w.member("invalid-event-number", event);
  if (ack >= 0) w.member("ackId", ack);
  w.end();
  net::Reply reply = net::json(std::move(out), status != 0 ? status : said->status);
  if (reply.status == 503) reply.headers.set("Retry-After", "1");
  if (reply.status == 401) reply.headers.set("WWW-Authenticate", "Basic realm=\"HEC\"");
  return reply;
}

bool is_guid(std::string_view s) {
  if (s.size() != 36) return false;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const char c = ascii_lower(s[i]);
    if (i == 8 || i == 13 || i == 18 || i == 23 ? c != '-' : !ascii_digit(c) && (c < 'a' || c > 'f')) return false;
  }
  return true;
}

struct Collector : std::enable_shared_from_this<Collector> {
  explicit Collector(const Gateways& gateways) : g(gateways), next_ack(micros(gateways.runtime.now())) {}
  const Gateways g;
  // An ackId is only handed out when its events are on disk, and none is handed out twice: they go on from the time of the start, which is
  // beyond all of an earlier life. So every id below the next is acknowledged, whoever gave it.
  std::atomic<std::int64_t> next_ack;

  /// The token, or what to answer.
  std::expected<std::shared_ptr<const IntakeToken>, net::Reply> token_of(net::Request& q) const {
    const std::string* header = q.headers.find("Authorization");
    if (header == nullptr) {
      const auto asked = q.asked("token");
      if (!asked) return std::unexpected(say(2));
      if (!g.options.hec_query_token) return std::unexpected(say(16));
      q.headers.set("Authorization", "Splunk " + std::string(*asked));
      header = q.headers.find("Authorization");
    }
    if (trim(*header).find(' ') == std::string_view::npos) return std::unexpected(say(3));
    auto token = g.tokens.of(q);
    if (!token) return std::unexpected(say(4));
    return token;
  }

  /// Empty: none was given. code 11: it is no GUID.
  std::expected<std::string, net::Reply> channel_of(const net::Request& q) const {
    std::string channel;
    if (const std::string* header = q.headers.find("X-Splunk-Request-Channel")) channel = trim(*header);
    else if (const auto asked = q.asked("channel")) channel = *asked;
    if (!channel.empty() && !is_guid(channel)) return std::unexpected(say(11));
    return channel;
  }

  static HecMeta meta_of(const net::Request& q) {
    HecMeta m;
    const auto take = [&](const char* name, std::string& to) {
      if (const auto v = q.asked(name); v && !v->empty()) append_json_string(to, v->substr(0, 1000));
    };
    take("time", m.time);
    take("host", m.host);
    take("source", m.source);
    take("sourcetype", m.sourcetype);
    take("index", m.index);
    return m;
  }

  void events(net::Request q, bool raw, net::Respond respond) {
    auto token = token_of(q);
    if (!token) return respond(std::move(token.error()));
    auto channel = channel_of(q);
    if (!channel) return respond(std::move(channel.error()));
    std::string client;
    if (const std::string* agent = q.headers.find("User-Agent")) client = *agent;
    auto lines = raw ? read_hec_raw(q.body, meta_of(q)) : read_hec_events(q.body, meta_of(q));
    if (!lines && !raw && !is_valid_utf8(q.body)) {  // Windows-1252, as everywhere
      q.body = repair_utf8(q.body);
      lines = read_hec_events(q.body, meta_of(q));
    }
    if (!lines) {
      const HecFault fault = lines.error();
      g.book.count(**token, kWay, client, {.fault = fmt::format("HEC code {} at event {}", fault.code, fault.event)});
      return respond(say(fault.code, fault.event));
    }
    let_go(q.body);
    input::Delivery d = delivery_of(g, **token);
    d.bytes = std::move(lines->lines);
    if (raw && !(*token)->format.empty()) d.format = (*token)->format;
    if (raw) d.line_is_record = false;  // header lines of a format have their meaning
    g.sink.deliver(
        std::move(d), [self = shared_from_this(), token = *token, client = std::move(client), acks = !channel->empty(),
                       n = lines->events, respond = std::move(respond)](Result<input::Receipt> receipt) mutable {
          if (!receipt) {
            const bool full = receipt.error().code == Code::unavailable;
            self->g.book.count(*token, kWay, client,
                               {.turned_away = full, .fault = full ? std::string() : receipt.error().what});
            return respond(say(full ? 9 : 6));
          }
          self->g.book.count(*token, kWay, client, {.records = receipt->accepted, .refused = receipt->refused});
          if (receipt->accepted == 0 && receipt->refused != 0)
            return respond(
                say(6, receipt->refused_lines.empty() ? 0 : static_cast<std::int64_t>(receipt->refused_lines[0]) - 1));
          respond(say(0, -1, acks ? self->next_ack.fetch_add(1) : -1));
        });
  }

  net::Reply acks(net::Request q) {
    auto token = token_of(q);
    if (!token) return std::move(token.error());
    auto channel = channel_of(q);
    if (!channel) return std::move(channel.error());
    if (channel->empty()) return say(10);
    const auto document = net::JsonDocument::parse(q.body);
    const auto wanted = document ? document->root()["acks"] : net::JsonValue();
    if (!wanted.is_array()) return say(6);
    const std::int64_t next = next_ack.load();
    std::string out;
    JsonWriter w(out);
    w.object().key("acks").object();
    for (const net::JsonValue v : wanted) {
      const auto n = v.integer();
      if (!n) return say(6);
      w.member(std::to_string(*n), *n >= 0 && *n < next);
    }
    w.end().end();
    return net::json(std::move(out));
  }

  net::Reply health(net::Request q) const {
    if (q.headers.find("Authorization") != nullptr || q.asked("token")) {
      const auto token = token_of(q);
      if (!token) return token.error().status == 403 ? say(4, -1, -1, 400) : token.error();
    }
    return say(g.sink.has_room(1) ? 17 : 18);
  }
};

}  // namespace

bool asked_of_hec(const net::Request& request) {
  return request.path == "/services/collector" || request.path.starts_with("/services/collector/");
}

void in_hecs_words(net::Reply& reply) {
  const std::string* type = reply.headers.find("Content-Type");
  if (type == nullptr || !type->starts_with("application/problem+json")) return;
  const int status = reply.status;
  const int code = status == 413                    ? 27
                   : status == 404 || status == 405 ? status
                   : status == 503 || status == 429 ? 9
                   : status < 500                   ? 6
                                                    : 8;
  net::Reply said = say(code, -1, -1, status);
  reply.body = std::move(said.body);
  for (const auto& [name, value] : said.headers.all()) reply.headers.set(name, value);
}

void add_hec_routes(net::Router& router, const Gateways& gateways) {
  auto c = std::make_shared<Collector>(gateways);
  net::RouteOptions body;
  body.max_body = c->g.options.max_body;
  body.deadline = std::chrono::seconds(60);
  body.has_room = [&sink = c->g.sink](std::size_t length) { return sink.has_room(length); };
  const std::string root = "/services/collector";
  // Needs::anyone: this protocol has its own words for a missing or wrong token, which the handler says before it reads anything.
  for (const char* path : {"", "/event", "/event/1.0"})
    router.async(
        net::Method::post, root + path, Needs::anyone,
        [c](net::Request q, net::Respond respond) { c->events(std::move(q), false, std::move(respond)); }, body);
  for (const char* path : {"/raw", "/raw/1.0"})
    router.async(
        net::Method::post, root + path, Needs::anyone,
        [c](net::Request q, net::Respond respond) { c->events(std::move(q), true, std::move(respond)); }, body);
  net::RouteOptions small;
  small.max_body = 1U << 20U;
  for (const char* path : {"/ack", "/ack/1.0"})
    router.post(root + path, Needs::anyone, [c](const net::Request& q) { return c->acks(q); }, small);
  for (const char* path : {"/health", "/health/1.0"})
    router.get(root + path, Needs::anyone, [c](const net::Request& q) { return c->health(q); });
}

}  // namespace bavn::live
