#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "net/json_value.hpp"
#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"
#include "store/audit.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;
using store::AuditRow;

std::string json_of(const AuditRow& r) {
  std::string out;
  JsonWriter w(out);
  w.object().member("seq", std::to_string(r.seq)).member("at", web::time_text(from_micros(r.at_us)));
  w.member("who", r.who).member("action", r.action).member("subject", r.subject);
  const auto detail = net::JsonDocument::parse(r.detail);
  w.key("detail").raw(detail && detail->root().is_object() ? r.detail : "{}");
  w.member("hash", to_hex(r.hash.bytes)).end();
  return out;
}

/// Entries are not marked by municipality: they may name any that the node serves.
std::optional<Error> not_theirs(const NodeParts& p, const event::Scope& scope) {
  if (std::ranges::all_of(p.municipalities, [&](MunicipalityId m) { return scope.sees(m); })) return std::nullopt;
  return Error{Code::forbidden,
               "this node serves several municipalities and its audit log names them all: whoever may see each of them "
               "reads it",
               ""};
}

net::Reply list(const NodeParts& p, const net::Request& q) {
  if (auto no = not_theirs(p, q.scope)) return net::problem(*no);
  const auto page = web::page_of(q, "audit");
  if (!page) return net::problem(page.error());
  std::int64_t before = 0;
  if (!page->after.empty()) {
    const auto [end, ec] = std::from_chars(page->after.data(), page->after.data() + page->after.size(), before);
    if (ec != std::errc{} || before <= 0)
      return net::problem(Error{Code::bad_input, "this cursor is none of ours", "?cursor"});
  }
  const auto who = q.asked("who").value_or(""), action = q.asked("action").value_or("");
  if (who.size() > 200 || action.size() > 100)
    return net::problem(Error{Code::bad_input, "that is too long to look for", "?who"});
  const auto rows = p.state.read([&](store::Reader& db) {
    return db.all<AuditRow>(
        "SELECT seq, at_us, who, action, subject, detail, previous, hash FROM audit WHERE (:before = 0 OR seq < "
        ":before) AND (:who = '' OR who = :who) AND (:action = '' OR substr(action, 1, length(:action)) = :action) "
        "ORDER BY seq DESC LIMIT :limit",
        {{"before", before}, {"who", who}, {"action", action}, {"limit", static_cast<std::int64_t>(page->limit) + 1}});
  });
  if (!rows) return net::problem(rows.error());
  std::vector<std::string> items;
  std::optional<std::string> next;
  for (const AuditRow& r : *rows) {
    if (items.size() == page->limit) {
      next = web::cursor_of("audit", std::to_string((*rows)[page->limit - 1].seq));
      break;
    }
    items.push_back(json_of(r));
  }
  return web::list(items, next);
}

net::Reply verify(const NodeParts& p, const net::Request& q) {
  if (auto no = not_theirs(p, q.scope)) return net::problem(*no);
  const auto report = p.state.read([](store::Reader& db) { return store::audit::verify(db); });
  if (!report) return net::problem(report.error());
  std::string out;
  JsonWriter w(out);
  w.object().member("whole", report->ok()).member("entries", report->entries);
  w.member("first", std::to_string(report->first)).member("last", std::to_string(report->last));
  if (report->taken_by_retention != 0) w.member("taken_by_retention", std::to_string(report->taken_by_retention));
  w.member("witnesses", static_cast<std::uint64_t>(report->witnesses));
  w.member("witnessed_to", std::to_string(report->witnessed_to)).key("findings").array();
  for (const auto& f : report->findings) w.value(fmt::format("{}: {}", name_of(f.fault), f.text));
  w.end().end();
  return net::json(out);
}

}  // namespace

void add_audit_routes(net::Router& router, const Parts& parts) {
  router.get("/api/node/audit", Needs::audit_read, [parts](const net::Request& q) { return list(*parts, q); });
  router.post("/api/node/audit/verify", Needs::audit_read,
              [parts](const net::Request& q) { return verify(*parts, q); });
}

}  // namespace bavn::show::api
