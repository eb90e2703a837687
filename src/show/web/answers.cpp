#include "show/web/answers.hpp"

#include <fmt/format.h>

#include <charconv>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "show/web/inner.hpp"

namespace bavn::show::web {

namespace {

using namespace std::chrono;

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t n = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return n;
}

/// Whether a list of tags (RFC 9110 section 13.1) names this one. weak: W/ is looked away from.
bool names(std::string_view header, std::string_view etag, bool weak) {
  for (const std::string_view each : split(header, ',')) {
    std::string_view tag = trim(each);
    if (tag == "*") return true;
    if (weak && tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag) return true;
  }
  return false;
}

}  // namespace

net::Reply problem(int status, std::string_view name, std::string_view detail, std::vector<Fault> faults) {
  net::Reply reply;
  reply.status = status;
  reply.headers.set("Content-Type", "application/problem+json");
  JsonWriter w(reply.body);
  w.object().member("type", fmt::format("/problems/{}", name)).member("title", name).member("status", status);
  w.member("detail", detail);
  if (!faults.empty()) {
    w.key("errors").array();
    for (const Fault& f : faults) w.object().member("pointer", f.pointer).member("detail", f.detail).end();
    w.end();
  }
  w.end();
  return reply;
}

net::Reply refused(std::vector<Fault> faults) {
  const std::string detail = faults.empty() ? "the body was not accepted" : faults.front().detail;
  return problem(422, "not-accepted", detail, std::move(faults));
}

net::Reply answer(const Result<std::string>& json) {
  return json ? net::json(*json) : net::problem(json.error());
}

net::Reply done(const Result<void>& result) {
  if (!result) return net::problem(result.error());
  net::Reply reply;
  reply.status = 204;
  return reply;
}

net::Reply created(std::string json, std::string location) {
  net::Reply reply = net::json(std::move(json), 201);
  reply.headers.set("Location", std::move(location));
  return reply;
}

net::Reply shown_once(net::Reply reply) {
  reply.headers.set(kShownOnce, "1");
  return reply;
}

Result<Page> page_of(const net::Request& request, std::string_view list, std::size_t usual, std::size_t most) {
  Page page;
  page.limit = usual;
  BAVN_TRY(const auto limit, number_asked(request, "limit", 1, static_cast<std::int64_t>(most)));
  if (limit) page.limit = static_cast<std::size_t>(*limit);
  const auto cursor = request.asked("cursor");
  if (!cursor || cursor->empty()) return page;
  const auto read = cursor->size() <= 2000 ? from_base64url(*cursor) : fail(Code::bad_input, "too long");
  const std::string mark = fmt::format("{}\n", list);
  if (!read || !read->starts_with(mark))
    return fail(Code::bad_input, "this cursor is not of this list; begin without one", "?cursor");
  page.after = read->substr(mark.size());
  return page;
}

std::string cursor_of(std::string_view list, std::string_view position) {
  return to_base64url(fmt::format("{}\n{}", list, position));
}

net::Reply list(const std::vector<std::string>& items, const std::optional<std::string>& next) {
  std::string body;
  std::size_t size = 64;
  for (const std::string& each : items) size += each.size() + 1;
  body.reserve(size);
  JsonWriter w(body);
  w.object().key("items").array();
  for (const std::string& each : items) w.raw(each);
  w.end();
  if (next) w.member("next", *next);
  w.end();
  return net::json(std::move(body));
}

std::string etag_of(std::uint64_t version) {
  return fmt::format("\"{}\"", version);
}

std::string etag_of_text(std::string_view text) {
  return fmt::format("\"{}\"", to_base64url(blake2b256(text)).substr(0, 22));
}

std::optional<net::Reply> must_match(const net::Request& request, std::string_view etag) {
  const std::string* header = request.headers.find("If-Match");
  if (header == nullptr)
    return problem(428, "if-match-missing",
                   "an edit names the version it changes: If-Match with the ETag that was read");
  if (names(*header, etag, false)) return std::nullopt;
  net::Reply reply = problem(412, "stale-edit", "it was changed since it was read; read it again");
  reply.headers.set("ETag", std::string(etag));
  return reply;
}

std::optional<net::Reply> unchanged(const net::Request& request, std::string_view etag) {
  const std::string* header = request.headers.find("If-None-Match");
  if (header == nullptr || !names(*header, etag, true)) return std::nullopt;
  net::Reply reply;
  reply.status = 304;
  reply.headers.set("ETag", std::string(etag));
  return reply;
}

net::Reply tagged(net::Reply reply, std::string etag) {
  reply.headers.set("ETag", std::move(etag));
  return reply;
}

std::string time_text(Instant t) {
  const auto whole = floor<milliseconds>(t);
  const auto day = floor<days>(whole);
  const year_month_day date(day);
  const hh_mm_ss<milliseconds> time(whole - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                     time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

Result<std::optional<Instant>> time_asked(const net::Request& request, std::string_view name) {
  const auto text = request.asked(name);
  if (!text) return std::optional<Instant>();
  const auto time = text->size() <= 64 ? parse_time(*text) : std::nullopt;
  if (!time)
    return fail(Code::bad_input, fmt::format("{} is a time like 2024-10-01T12:00:00Z", name), fmt::format("?{}", name));
  return time;
}

Result<std::optional<std::int64_t>> number_asked(const net::Request& request, std::string_view name, std::int64_t least,
                                                 std::int64_t most) {
  const auto text = request.asked(name);
  if (!text) return std::optional<std::int64_t>();
  const auto n = whole_number(*text);
  if (!n || *n < least || *n > most)
    return fail(Code::bad_input, fmt::format("{} is a whole number from {} to {}", name, least, most),
                fmt::format("?{}", name));
  return n;
}

Result<std::int64_t> id_of(const net::Request& request, std::string_view name) {
  const auto n = whole_number(request.param(name));
  if (!n || *n < 0) return fail(Code::not_found, "there is no such thing");
  return *n;
}

Language language_of(const net::Request& request) {
  if (const auto asked = request.asked("language"))
    if (const auto language = bavn::language_of(*asked)) return *language;
  // RFC 9110 section 12.5.4: the best of what we have; equal weights in their order.
  Language best = Language::en;
  int best_weight = 0;
  if (const std::string* header = request.headers.find("Accept-Language"); header != nullptr)
    for (const std::string_view each : split(std::string_view(*header).substr(0, 1000), ',')) {
      const std::size_t semicolon = each.find(';');
      int weight = 1000;
      if (semicolon != std::string_view::npos) {
        const std::string_view q = trim(each.substr(semicolon + 1));
        if (q.starts_with("q=")) {
          double value = 0;
          const std::string_view number = q.substr(2);
          const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), value);
          weight = ec == std::errc{} && value >= 0 && value <= 1 ? static_cast<int>(value * 1000) : 0;
        }
      }
      const auto language = bavn::language_of(trim(each.substr(0, semicolon)));
      if (language && weight > best_weight) {
        best = *language;
        best_weight = weight;
      }
    }
  return best;
}

}  // namespace bavn::show::web
