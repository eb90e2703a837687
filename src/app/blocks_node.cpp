#include "app/blocks_node.hpp"

#include <fmt/format.h>
#include <boost/describe.hpp>

#include <array>
#include <charconv>

#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "net/json_views.hpp"

namespace bavn::app {

namespace {

using net::Needs;

struct NewOverride {
  std::string what, kind, value, reason;
  std::int64_t hours = 0;
};
BOOST_DESCRIBE_STRUCT(NewOverride, (), (what, kind, value, reason, hours))

net::Reply reply_of(const Result<void>& done) {
  if (!done) return net::problem(done.error());
  net::Reply reply;
  reply.status = 204;
  return reply;
}

std::string_view person(const net::Request& q) {
  return q.asked("as").value_or("");
}

/// RFC 9110 section 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT".
std::string http_date(Instant t) {
  constexpr std::array kDays = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
  constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(t - day));
  const auto since = day.time_since_epoch().count();
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[static_cast<std::size_t>(((since % 7) + 7) % 7)],
                     static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()), time.hours().count(), time.minutes().count(),
                     time.seconds().count());
}

/// What http_date() writes and every client sends back; nothing else is understood (a newer answer is then sent, which is right, too).
std::optional<Instant> read_http_date(std::string_view s) {
  if (s.size() != 29 || !s.ends_with(" GMT") || s.substr(3, 2) != ", ") return std::nullopt;
  const auto number = [&](std::size_t at, std::size_t n) {
    int v = -1;
    const auto [end, error] = std::from_chars(s.data() + at, s.data() + at + n, v);
    return error == std::errc() && end == s.data() + at + n ? v : -1;
  };
  const auto month = std::string_view("JanFebMarAprMayJunJulAugSepOctNovDec").find(s.substr(8, 3));
  const int day = number(5, 2), year = number(12, 4), h = number(17, 2), m = number(20, 2), sec = number(23, 2);
  if (month == std::string_view::npos || month % 3 != 0 || day < 1 || year < 1970 || h < 0 || m < 0 || sec < 0)
    return std::nullopt;
  const auto days = days_from_civil(year, static_cast<unsigned>(month / 3 + 1), static_cast<unsigned>(day));
  return from_micros(((days * 24 + h) * 60 + m) * 60'000'000 + sec * 1'000'000LL);
}

/// Bearer, the password of Basic (what firewalls can do), or ?token= (what the rest can do).
std::string token_of(const net::Request& q) {
  if (const std::string* header = q.headers.find("Authorization")) {
    const std::string_view h = *header;
    if (h.size() > 7 && iequals(h.substr(0, 7), "Bearer ")) return std::string(trim(h.substr(7)));
    if (h.size() > 6 && iequals(h.substr(0, 6), "Basic "))
      if (const auto pair = from_base64(trim(h.substr(6)))) {
        const auto colon = pair->find(':');
        return colon == std::string::npos ? std::string() : pair->substr(colon + 1);
      }
    return {};
  }
  return std::string(q.asked("token").value_or(""));
}

bool unchanged(const net::Request& q, const warn::blocks::Kept& list) {
  if (const std::string* tags =
          q.headers.find("If-None-Match")) {  // it alone counts when it is there (RFC 9110 section 13.1.3)
    if (trim(*tags) == "*") return true;
    for (std::string_view tag : split(*tags, ',')) {
      tag = trim(tag);
      if (tag.starts_with("W/")) tag.remove_prefix(2);
      if (tag == list.etag) return true;
    }
    return false;
  }
  const std::string* since = q.headers.find("If-Modified-Since");
  const auto at = since != nullptr ? read_http_date(trim(*since)) : std::nullopt;
  return at && std::chrono::floor<std::chrono::seconds>(list.made) <= *at;
}

net::Reply list_reply(const net::Request& q, const warn::blocks::Kept& list) {
  net::Reply reply;
  reply.headers.set("ETag", list.etag);
  reply.headers.set("Last-Modified", http_date(list.made));
  reply.headers.set("Cache-Control", "private, no-cache");
  reply.headers.set("X-Content-Type-Options", "nosniff");
  if (list.stale) reply.headers.set("Bavn-Stale", "the newest list could not be written; this is the last good one");
  if (unchanged(q, list)) {
    reply.status = 304;
    return reply;
  }
  reply.headers.set("Content-Type", list.content_type);
  reply.body = list.body;
  return reply;
}

std::string overview(const warn::blocks::NodeBlocks& blocks, const std::vector<warn::blocks::NodeEntry>& entries,
                     const std::vector<warn::blocks::Override>& overrides, const std::string& killed) {
  std::string out;
  JsonWriter w(out);
  w.object().member("stopped", killed).key("can").object();
  for (const auto kind : {event::Kind::url, event::Kind::domain, event::Kind::ipv4, event::Kind::email,
                          event::Kind::message_id, event::Kind::sha256})
    w.member(event::to_string(kind), blocks.can(kind));
  w.end().key("entries").raw(net::to_json(entries)).key("overrides").raw(net::to_json(overrides)).end();
  return out;
}

std::string files_json() {
  std::string out;
  JsonWriter w(out);
  w.array();
  for (const auto& f : warn::exports::files())
    w.object().member("list", f.file.name).member("export", f.export_name).member("what", f.file.what).end();
  w.end();
  return out;
}

}  // namespace

void add_list_routes(net::Router& router, warn::blocks::NodeBlocks& blocks) {
  router.get("/lists/{file}", Needs::anyone, [&blocks](const net::Request& q) -> net::Reply {
    if (const auto may = blocks.may_fetch(token_of(q), q.param("file")); !may) {
      net::Reply reply = net::problem(401, "Unauthorized", may.error().what);
      reply.headers.set("WWW-Authenticate", "Basic realm=\"Bavn lists\", charset=\"UTF-8\"");
      return reply;
    }
    const auto list = blocks.file(q.param("file"));
    return list ? list_reply(q, *list) : net::problem(list.error());
  });
}

void add_block_routes_node(net::Router& control, warn::blocks::NodeBlocks& blocks) {
  control.get("/api/blocks", Needs::indicator_read, [&blocks](const net::Request& q) -> net::Reply {
    const auto entries = blocks.list(q.asked("all").has_value());
    if (!entries) return net::problem(entries.error());
    const auto overrides = blocks.overrides();
    if (!overrides) return net::problem(overrides.error());
    const auto killed = blocks.killed();
    if (!killed) return net::problem(killed.error());
    return net::json(overview(blocks, *entries, *overrides, *killed));
  });
  control.post("/api/blocks/overrides", Needs::operate, [&blocks](const net::Request& q) -> net::Reply {
    const auto o = net::from_json<NewOverride>(q.body, net::Unknown::refuse);
    if (!o) return net::problem(o.error());
    return reply_of(blocks.add_override(person(q), o->what, o->kind, o->value, o->reason, o->hours));
  });
  control.post("/api/blocks/overrides/drop", Needs::operate, [&blocks](const net::Request& q) {
    return reply_of(blocks.drop_override(person(q), q.asked("kind").value_or(""), q.asked("value").value_or("")));
  });
  control.post("/api/blocks/kill", Needs::operate, [&blocks](const net::Request& q) {
    return reply_of(blocks.kill(person(q), q.asked("why").value_or("")));
  });
  control.post("/api/blocks/revive", Needs::operate, [&blocks](const net::Request& q) {
    return reply_of(blocks.revive(person(q), q.asked("why").value_or("")));
  });
  control.get("/api/blocks/lists", Needs::indicator_read, [](const net::Request&) { return net::json(files_json()); });
  control.get("/api/blocks/lists/{file}", Needs::indicator_read, [&blocks](const net::Request& q) -> net::Reply {
    const auto list = blocks.file(q.param("file"));
    return list ? list_reply(q, *list) : net::problem(list.error());
  });
  control.get("/api/blocks/tokens", Needs::operate, [&blocks](const net::Request&) -> net::Reply {
    const auto all = blocks.tokens();
    return all ? net::json(net::to_json(*all)) : net::problem(all.error());
  });
  control.post("/api/blocks/tokens", Needs::operate, [&blocks](const net::Request& q) -> net::Reply {
    const auto token = blocks.issue_token(person(q), q.asked("list").value_or(""), q.asked("device").value_or(""));
    if (!token) return net::problem(token.error());
    std::string out;
    JsonWriter(out).object().member("token", *token).end();
    return net::json(out, 201);
  });
  control.post("/api/blocks/tokens/{id}/revoke", Needs::operate, [&blocks](const net::Request& q) -> net::Reply {
    std::int64_t id = 0;
    const std::string_view text = q.param("id");
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size())
      return net::problem(Error{Code::bad_input, "a token has a number; `bavn blocks token list` shows it", ""});
    return reply_of(blocks.revoke_token(person(q), id));
  });
}

}  // namespace bavn::app
