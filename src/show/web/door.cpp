#include "show/web/door.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "event/ip.hpp"
#include "exchange/taxii/server.hpp"
#include "net/json_value.hpp"
#include "show/web/answers.hpp"
#include "show/web/inner.hpp"

namespace bavn::show::web {

namespace {

constexpr std::size_t kMostKept = 256 * 1024;
constexpr std::string_view kProblem = "application/problem+json";

struct OnceRow {
  store::Blob request;
  std::string run;
  std::optional<std::int64_t> status;
  std::string headers;
  store::Blob body;
  bool kept = false;
};
BOOST_DESCRIBE_STRUCT(OnceRow, (), (request, run, status, headers, body, kept))

/// The type of a problem that was given none: servers and the router know only a status.
std::string_view name_of(int status) {
  switch (status) {
    case 400: return "bad-input";
    case 401: return "unauthenticated";
    case 403: return "forbidden";
    case 404: return "not-found";
    case 405: return "method-not-allowed";
    case 408: return "too-slow";
    case 409: return "conflict";
    case 412: return "stale-edit";
    case 413: return "too-large";
    case 415: return "bad-coding";
    case 421: return "wrong-host";
    case 422: return "not-accepted";
    case 428: return "if-match-missing";
    case 429: return "too-many-requests";
    case 431: return "header-too-large";
    case 501: return "not-implemented";
    case 503: return "unavailable";
    default: return status >= 500 ? "internal" : "bad-input";
  }
}

bool is_write(net::Method m) {
  return m != net::Method::get && m != net::Method::head;
}

const std::string* header(const net::Request& q, std::string_view name) {
  return q.headers.find(name);
}

/// "host:port" of an URL.
std::string_view authority_of(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  url.remove_prefix(scheme + 3);
  return url.substr(0, url.find('/'));
}

void set_default(net::Reply& reply, std::string_view name, std::string_view value) {
  if (reply.headers.find(name) == nullptr) reply.headers.set(name, std::string(value));
}

/// What browsers may do with a reply. Everything of ours is of our own origin; nothing is inline, nothing is embedded.
void keep_safe(net::Reply& reply, bool tls) {
  set_default(reply, "Content-Security-Policy", kPolicy);
  set_default(reply, "X-Content-Type-Options", "nosniff");
  set_default(reply, "Referrer-Policy", "same-origin");
  set_default(reply, "Cross-Origin-Opener-Policy", "same-origin");
  set_default(reply, "Cross-Origin-Resource-Policy", "same-origin");
  set_default(reply, "Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()");
  if (tls) set_default(reply, "Strict-Transport-Security", "max-age=31536000");
  set_default(reply, "Cache-Control", "no-store");
}

net::Reply key_problem(int status, std::string_view name, std::string_view detail) {
  return problem(status, name, detail);
}

}  // namespace

DoorKeeper::DoorKeeper(const Parts& parts, const Options& options)
    : runtime_(parts.runtime),
      state_(parts.state),
      texts_(parts.texts),
      options_(options),
      limits_(parts.runtime),
      run_(new_trace()),
      limited_(parts.metrics.counter("web_limited")),
      foreign_(parts.metrics.counter("web_other_origin")),
      replayed_(parts.metrics.counter("web_replayed")),
      failed_(parts.metrics.counter("web_unauthenticated")) {}

std::string DoorKeeper::new_trace() {
  std::array<std::byte, 16> bytes{};
  runtime_.random(bytes);
  return to_hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

void DoorKeeper::use_url(const std::string& url) {
  host_.with([&](std::string& s) { s = to_lower(authority_of(url)); });
  origin_.with([&](std::string& s) { s = to_lower(url); });
}

net::Door DoorKeeper::door(std::function<bool(const event::Scope&)> streams_left,
                           std::function<std::optional<net::Reply>(const net::Request&)> otherwise) {
  streams_left_ = std::move(streams_left);
  net::Door d;
  d.arrive = [this](net::Request& q) { return arrive(q); };
  d.knock = [this](net::Request& q, const net::Route& r) { return knock(q, r); };
  d.enter = [this](net::Request& q, const net::Route& r, net::Respond& respond) { return enter(q, r, respond); };
  d.otherwise = std::move(otherwise);
  return d;
}

// The last address that no proxy of ours wrote: what stands before it anybody could have made up.
std::string DoorKeeper::address_of(const net::Request& q) const {
  const auto trusted = [this](std::string_view a) {
    return std::find(options_.proxies.begin(), options_.proxies.end(), a) != options_.proxies.end();
  };
  if (!trusted(q.peer.address)) return q.peer.address;
  std::vector<std::string_view> chain;
  for (const auto& [name, value] : q.headers.all())
    if (iequals(name, "X-Forwarded-For"))
      for (const std::string_view each : split(value, ',')) chain.push_back(trim(each));
  for (auto it = chain.rbegin(); it != chain.rend(); ++it)
    if (!trusted(*it)) return it->size() <= 64 ? std::string(*it) : q.peer.address;
  return q.peer.address;
}

std::function<void(net::Reply&)> DoorKeeper::arrive(net::Request& q) {
  // A trace that a proxy or another program of ours began is gone on with (W3C Trace Context, level 1).
  if (const std::string* parent = header(q, "traceparent");
      parent != nullptr && parent->size() == 55 && (*parent)[2] == '-' && (*parent)[35] == '-')
    if (const std::string id = parent->substr(3, 32);
        id.find_first_not_of("0123456789abcdef") == std::string::npos && id.find_first_not_of('0') != std::string::npos)
      q.trace = id;
  if (q.trace.empty()) q.trace = new_trace();
  q.peer.address = address_of(q);
  Visit visit{language_of(q), q.trace, q.peer.address, false, exchange::taxii::asked_of_taxii(q)};
  const std::string* accept = header(q, "Accept");
  visit.wants_page =
      accept != nullptr && accept->find("text/html") != std::string::npos && !q.path.starts_with("/api/");
  return [this, visit = std::move(visit)](net::Reply& reply) { leave(visit, reply); };
}

// A browser says where a request came from (Fetch Metadata); one that does not still sends Origin with a POST. Programs send neither,
// and no cookie. See also api/bavn.yaml.
std::optional<net::Reply> DoorKeeper::of_another_origin(const net::Request& q) const {
  const auto refuse = [] {
    return problem(403, "other-origin", "a browser sent this from another site; nothing was done");
  };
  if (const std::string* site = header(q, "Sec-Fetch-Site"); site != nullptr)
    return *site == "same-origin" || *site == "none" ? std::nullopt : std::optional(refuse());
  if (const std::string* origin = header(q, "Origin"); origin != nullptr) {
    const std::string theirs = to_lower(*origin);
    const std::string* host = header(q, "Host");
    const bool ours = theirs == origin_.with([](const std::string& s) { return s; }) ||
                      (host != nullptr && authority_of(theirs) == to_lower(*host));
    return ours ? std::nullopt : std::optional(refuse());
  }
  if (header(q, "Cookie") != nullptr && header(q, "Authorization") == nullptr && header(q, "X-Bavn") == nullptr)
    return refuse();
  return std::nullopt;
}

std::optional<net::Reply> DoorKeeper::knock(net::Request& q, const net::Route& route) {
  if (is_write(q.method))
    if (auto no = of_another_origin(q)) {
      foreign_.add();
      log::warn("web_other_origin", {{"route", route.pattern}, {"address", q.peer.address}, {"trace", q.trace}});
      return no;
    }
  // Whoever was refused that often in a minute is guessing.
  if (!limits_.look("failed " + q.peer.address, options_.strangers_per_minute).allowed) {
    limited_.add();
    net::Reply reply = problem(429, "too-many-requests", "this address was refused too often in the last minute");
    reply.headers.set("Retry-After", "60");
    return reply;
  }
  return std::nullopt;
}

std::optional<net::Reply> DoorKeeper::enter(net::Request& q, const net::Route& route, net::Respond& respond) {
  const bool stranger = q.scope.who() == "nobody";
  // MISP's programs post their searches, too: what takes the rest of a path by itself counts as reading.
  const bool writes = is_write(q.method) && !route.pattern.ends_with("/{rest...}");
  const std::string_view policy = stranger ? "strangers" : writes ? "writes" : "requests";
  const std::int64_t quota = stranger ? options_.strangers_per_minute
                             : writes ? options_.writes_per_minute
                                      : options_.requests_per_minute;
  const auto left = limits_.take(fmt::format("{} {}", policy, stranger ? q.peer.address : q.scope.who()), quota);
  const auto mark = [policy = std::string(policy), left](net::Reply& reply) {
    reply.headers.set("RateLimit-Policy", fmt::format("\"{}\";q={};w=60", policy, left.quota));
    reply.headers.set("RateLimit", fmt::format("\"{}\";r={};t={}", policy, left.remaining, left.seconds));
  };
  if (!left.allowed) {
    limited_.add();
    net::Reply reply =
        problem(429, "too-many-requests",
                fmt::format("{} {} a minute are allowed; the next one in {} s", left.quota, policy, left.seconds));
    reply.headers.set("Retry-After", std::to_string(left.seconds));
    mark(reply);
    return reply;
  }
  if (route.stream) {
    if (stranger) {
      net::Reply reply = problem(401, "unauthenticated", "nobody is signed in");
      reply.headers.set("WWW-Authenticate", "Bearer");
      return reply;
    }
    if (streams_left_ && !streams_left_(q.scope)) {
      limited_.add();
      net::Reply reply =
          problem(429, "too-many-streams", "this person has as many streams open as one may; close a window");
      reply.headers.set("Retry-After", "30");
      return reply;
    }
    return std::nullopt;
  }
  respond = [mark, respond = std::move(respond)](net::Reply reply) mutable {
    mark(reply);
    respond(std::move(reply));
  };
  if (q.method == net::Method::post && !stranger)
    if (const std::string* key = header(q, "Idempotency-Key"); key != nullptr) return once(q, *key, respond);
  return std::nullopt;
}

// A row stands for the key before the handler runs, so that a second request, or one after a crash, never runs it again.
std::optional<net::Reply> DoorKeeper::once(net::Request& q, std::string_view key, net::Respond& respond) {
  const auto printable = [](char c) { return c >= 0x20 && c < 0x7f; };
  if (key.empty() || key.size() > 255 || !std::all_of(key.begin(), key.end(), printable))
    return problem(400, "bad-input", "an Idempotency-Key has 1 to 255 printable characters",
                   {{"Idempotency-Key", "1 to 255 printable characters"}});
  std::string what = fmt::format("{} {}\n", to_string(q.method), q.path);
  for (const auto& [name, value] : q.query) what += fmt::format("{}={}\n", name, value);
  what += '\n';
  const store::Blob request{blake2b256(what + q.body)};
  const std::string who = q.scope.who(), name(key);
  std::optional<net::Reply> reply;
  const auto began = state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto row,
             tx.one<OnceRow>("SELECT request, run, status, headers, body, kept FROM web_once "
                             "WHERE who = :who AND key = :key AND at_us > :since",
                             {{"who", who}, {"key", name}, {"since", tx.now() - std::chrono::hours(24)}}));
    if (!row) {
      BAVN_CHECK(
          tx.exec("INSERT INTO web_once (who, key, request, run, status, headers, body, kept, at_us) "
                  "VALUES (:who, :key, :request, :run, NULL, '', x'', 0, :at) ON CONFLICT (who, key) DO UPDATE "
                  "SET request = excluded.request, run = excluded.run, status = NULL, headers = '', "
                  "body = x'', kept = 0, at_us = excluded.at_us",
                  {{"who", who}, {"key", name}, {"request", request}, {"run", run_}, {"at", tx.now()}}));
      return {};
    }
    if (row->request.bytes != request.bytes)
      reply = key_problem(422, "key-reused", "this Idempotency-Key was used for another request; use a new one");
    else if (!row->status && row->run == run_)
      reply = key_problem(409, "key-in-use", "the request with this Idempotency-Key is still being handled");
    else if (!row->status)
      reply = key_problem(409, "outcome-unknown",
                          "the request with this Idempotency-Key was cut by a restart; look whether it was done");
    else if (!row->kept)
      reply = key_problem(409, "shown-once", "it was done; its answer was shown once and is not kept");
    else {
      net::Reply kept;
      kept.status = static_cast<int>(*row->status);
      for (const std::string_view line : split(row->headers, '\n'))
        if (const auto colon = line.find(": "); colon != std::string_view::npos)
          kept.headers.set(line.substr(0, colon), std::string(line.substr(colon + 2)));
      kept.headers.set("Idempotency-Replayed", "true");
      kept.body = row->body.bytes;
      reply = std::move(kept);
    }
    return {};
  });
  if (!began) return net::problem(began.error());
  if (reply) {
    replayed_.add();
    if (reply->status == 409) reply->headers.set("Retry-After", "1");
    return reply;
  }
  respond = [this, who, name, respond = std::move(respond)](net::Reply done) mutable {
    // What was refused had no effect, and may be sent again with the same key: after a proof, when there is room. A 500 may have had one.
    const bool refused = done.status >= 400 && done.status != 500;
    const bool kept = done.headers.find(kShownOnce) == nullptr && !done.file && done.body.size() <= kMostKept;
    std::string headers;
    for (const std::string_view each : {"Content-Type", "ETag", "Location"})
      if (const std::string* value = done.headers.find(each); value != nullptr)
        headers += fmt::format("{}: {}\n", each, *value);
    const std::int64_t status = done.status;
    store::Blob body{kept ? done.body : std::string()};
    auto waiting = std::make_shared<std::pair<net::Respond, net::Reply>>(std::move(respond), std::move(done));
    state_.write(
        [who, name, refused, kept, status, headers = std::move(headers),
         body = std::move(body)](store::Tx& tx) -> Result<void> {
          const auto changed =
              refused ? tx.exec("DELETE FROM web_once WHERE who = :who AND key = :key", {{"who", who}, {"key", name}})
                      : tx.exec(
                            "UPDATE web_once SET status = :status, headers = :headers, body = :body, kept = :kept "
                            "WHERE who = :who AND key = :key",
                            {{"status", status},
                             {"headers", headers},
                             {"body", body},
                             {"kept", kept},
                             {"who", who},
                             {"key", name}});
          return changed ? Result<void>() : Result<void>(std::unexpected(changed.error()));
        },
        [waiting](const Result<void>& written) {
          if (!written) log::warn("web_reply_not_kept", {{"reason", to_string(written.error())}});
          waiting->first(std::move(waiting->second));
        });
  };
  return std::nullopt;
}

void DoorKeeper::leave(const Visit& visit, net::Reply& reply) {
  if (reply.status == 401) {
    failed_.add();
    (void)limits_.take("failed " + visit.address, options_.strangers_per_minute);
  }
  if (reply.headers.find(kShownOnce) != nullptr) {
    net::Headers others;
    for (const auto& [name, value] : reply.headers.all())
      if (!iequals(name, kShownOnce)) others.add(name, value);
    reply.headers = std::move(others);
  }
  if (visit.taxii) exchange::taxii::in_taxiis_words(reply);
  explain(visit, reply);
  keep_safe(reply, origin_.with([](const std::string& s) { return s.starts_with("https:"); }));
}

void DoorKeeper::explain(const Visit& visit, net::Reply& reply) const {
  const std::string* type = reply.headers.find("Content-Type");
  if (type == nullptr || *type != kProblem) return;
  const auto read = net::JsonDocument::parse(reply.body);
  if (!read || read->root()["trace"]) return;  // explained already
  const auto root = read->root();
  std::string_view named = root["type"].text_or({});
  const std::string name(named.starts_with("/problems/") ? named.substr(10) : name_of(reply.status));
  std::string key = "problem." + name;
  std::replace(key.begin(), key.end(), '-', '_');
  const bool known = texts_.has(key + ".title");
  const std::string title =
      known ? texts_.say(visit.language, key + ".title") : std::string(root["title"].text_or(name));
  const std::string advice = known && texts_.has(key + ".advice") ? texts_.say(visit.language, key + ".advice") : "";
  if (reply.status == 503 && reply.headers.find("Retry-After") == nullptr) reply.headers.set("Retry-After", "5");
  if (visit.wants_page && error_page_) {
    net::Reply page = error_page_(visit.language, reply.status, title, advice, visit.trace);
    for (const auto& [header_name, value] : reply.headers.all())
      if (!iequals(header_name, "Content-Type")) page.headers.set(header_name, value);
    reply = std::move(page);
    return;
  }
  std::string body;
  JsonWriter w(body);
  w.object().member("type", "/problems/" + name).member("title", title).member("status", reply.status);
  if (const auto detail = root["detail"].text(); detail && !detail->empty()) w.member("detail", *detail);
  if (!advice.empty()) w.member("advice", advice);
  for (const net::JsonValue m : root) {
    const std::string_view k = m.key();
    if (k != "type" && k != "title" && k != "status" && k != "detail" && k != "advice") w.key(k).raw(m.to_text());
  }
  w.member("trace", visit.trace).end();
  reply.body = std::move(body);
  reply.headers.set("Content-Language", std::string(to_string(visit.language)));
}

}  // namespace bavn::show::web
