#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include <charconv>

#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

struct DayRow {
  std::int64_t day = 0, municipality = 0, items = 0, bytes = 0;
  std::string kind;
};
BOOST_DESCRIBE_STRUCT(DayRow, (), (day, municipality, items, bytes, kind))

Result<std::int64_t> before_of(const web::Page& page) {
  std::int64_t n = 0;
  if (page.after.empty()) return n;
  const auto [end, ec] = std::from_chars(page.after.data(), page.after.data() + page.after.size(), n);
  if (ec != std::errc{} || end != page.after.data() + page.after.size() || n <= 0)
    return fail(Code::bad_input, "this cursor is none of ours", "?cursor");
  return n;
}

std::string json_of(const beacon::LeftItem& i) {
  std::string out;
  JsonWriter w(out);
  w.object().member("id", std::to_string(i.id)).member("kind", i.kind).member("tlp", i.tlp).member("to", i.to);
  w.member("at", web::time_text(from_micros(i.at_us)));
  if (i.acknowledged_us) add_time(w, "acknowledged_at", *i.acknowledged_us);
  if (i.refused) w.member("refused", *i.refused);
  if (i.municipality != 0)
    add_municipality(w, "municipality", MunicipalityId{static_cast<std::uint16_t>(i.municipality)});
  w.member("text", i.text).end();
  return out;
}

std::string json_of(const beacon::LeftRequest& r) {
  std::string out;
  JsonWriter w(out);
  w.object().member("id", std::to_string(r.id)).member("at", web::time_text(from_micros(r.at_us)));
  w.member("purpose", r.purpose).member("method", r.method).member("host", r.host).member("path", r.path);
  w.member("bytes", r.bytes);
  add_text(w, "body_hash", r.body_hash);
  w.end();
  return out;
}

/// Newest first; one more than the page holds is asked for, so that "next" is known.
template <class Ask>
net::Reply page_reply(const NodeParts& p, const net::Request& q, std::string_view name, Ask&& ask) {
  const auto page = web::page_of(q, name);
  if (!page) return net::problem(page.error());
  const auto before = before_of(*page);
  if (!before) return net::problem(before.error());
  if (p.left == nullptr) return web::list({}, std::nullopt);
  const auto rows = ask(*before, static_cast<unsigned>(page->limit) + 1);
  if (!rows) return net::problem(rows.error());
  std::vector<std::string> items;
  std::optional<std::string> next;
  for (const auto& row : *rows) {
    if (items.size() == page->limit) {
      next = web::cursor_of(name, std::to_string((*rows)[page->limit - 1].id));
      break;
    }
    items.push_back(json_of(row));
  }
  return web::list(items, next);
}

net::Reply days(const NodeParts& p, const net::Request& q) {
  const auto asked = web::number_asked(q, "days", 1, 400);
  if (!asked) return net::problem(asked.error());
  const std::int64_t n = asked->value_or(30);
  const std::int64_t from = micros(p.runtime.now()) - n * 86'400'000'000LL;
  const auto rows = p.state.read([&](store::Reader& db) {
    return db.all<DayRow>(
        "SELECT at_us / 86400000000 AS day, municipality, kind, count(*) AS items, sum(length(CAST(text AS BLOB))) AS "
        "bytes FROM left_item WHERE at_us >= :from GROUP BY day, municipality, kind ORDER BY day, kind",
        {{"from", from}});
  });
  if (!rows) return net::problem(rows.error());
  std::map<std::pair<std::int64_t, std::string>, std::pair<std::int64_t, std::int64_t>> sums;
  for (const DayRow& r : *rows) {
    if (!q.scope.sees(MunicipalityId{static_cast<std::uint16_t>(r.municipality)})) continue;
    auto& [items, bytes] = sums[{r.day, r.kind}];
    items += r.items;
    bytes += r.bytes;
  }
  std::vector<std::string> items;
  for (const auto& [key, sum] : sums) {
    std::string out;
    JsonWriter w(out);
    w.object().member("day", web::time_text(from_micros(key.first * 86'400'000'000LL)).substr(0, 10));
    w.member("kind", key.second).member("items", sum.first).member("bytes", sum.second).end();
    items.push_back(std::move(out));
  }
  return web::list(items, std::nullopt);
}

net::Reply whole(const NodeParts& p, const net::Request& q) {
  const auto from = web::time_asked(q, "from"), until = web::time_asked(q, "until");
  if (!from) return net::problem(from.error());
  if (!until) return net::problem(until.error());
  std::string out;
  if (p.left != nullptr) {
    const auto done = p.left->export_ndjson(
        q.scope, from->value_or(Instant{}), until->value_or(p.runtime.now() + std::chrono::hours(1)),
        [&](std::string_view line) -> Result<void> {
          out += line;
          if (out.size() > (64U << 20U))
            return fail(Code::bad_input, "the list is longer than 64 MiB; ask for a part of it", "?from");
          return {};
        });
    if (!done) return net::problem(done.error());
  }
  net::Reply reply = net::text(std::move(out), "application/x-ndjson");
  reply.headers.set("Content-Disposition", "attachment; filename=\"left-us.ndjson\"");
  return reply;
}

}  // namespace

void add_left_us_routes(net::Router& router, const Parts& parts) {
  router.get("/api/left-us", Needs::left_us_read, [parts](const net::Request& q) {
    return page_reply(*parts, q, "left-us",
                      [&](std::int64_t before, unsigned most) { return parts->left->items(q.scope, before, most); });
  });
  router.get("/api/left-us/requests", Needs::left_us_read, [parts](const net::Request& q) {
    return page_reply(*parts, q, "left-requests",
                      [&](std::int64_t before, unsigned most) { return parts->left->requests(q.scope, before, most); });
  });
  router.get("/api/left-us/days", Needs::left_us_read, [parts](const net::Request& q) { return days(*parts, q); });
  router.get("/api/left-us/export", Needs::left_us_read, [parts](const net::Request& q) { return whole(*parts, q); });
}

}  // namespace bavn::show::api
