#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include <charconv>

#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

struct OrderRow {
  std::int64_t id = 0, received_at_us = 0, done = 0;
  std::string order_id, action, target, reason;
  std::optional<std::string> proof;
};
BOOST_DESCRIBE_STRUCT(OrderRow, (), (id, received_at_us, done, order_id, action, target, reason, proof))

void add_hours(JsonWriter& w, const act::Hours& h) {
  const auto text = [](unsigned minute) { return fmt::format("{:02}:{:02}", minute / 60 % 24, minute % 60); };
  w.key("hours").object().member("from", text(h.from)).member("to", text(h.to)).end();
}

std::string_view what_of(std::string_view action) {
  for (const auto& a : act::actions())
    if (a.name == action) return a.what;
  return "";
}

net::Reply show(const NodeParts& p) {
  constexpr std::size_t kMostText = 256 * 1024;
  const act::MandateCheck check = p.mandate ? p.mandate() : act::MandateCheck{};
  std::string out;
  JsonWriter w(out);
  w.object().member("holds", p.mandate && check.holds()).key("findings").array();
  for (const auto& f : check.findings) w.object().member("blocks", f.blocks).member("what", f.what).end();
  w.end();
  const act::Mandate* m = check.mandate ? &*check.mandate : nullptr;
  if (m != nullptr) {
    w.member("version", m->version);
    w.key("leader").object().member("name", m->leader.name).member("title", m->leader.title).end();
    w.member("valid_from", web::time_text(m->valid_from)).member("valid_until", web::time_text(m->valid_until));
  }
  w.key("rules").array();
  if (m != nullptr)
    for (const auto& r : m->rules) {
      w.object().member("action", r.action).member("what", what_of(r.action)).member("mode", to_string(r.mode));
      w.member("per_hour", static_cast<std::uint64_t>(r.per_hour));
      add_hours(w, r.hours);
      if (r.action == "purge") w.member("own_signs_only", r.own_signs_only).member("undo_withdrawn", r.undo_withdrawn);
      w.end();
    }
  w.end().key("people").array();
  if (m != nullptr)
    for (const auto& one : m->people) {
      w.object().member("name", one.name).member("of", one.of).member("second_only", one.second_only);
      add_hours(w, one.hours);
      w.end();
    }
  w.end().key("protected_accounts").array();
  if (m != nullptr)
    for (const auto& a : m->protected_accounts) w.value(a);
  w.end();
  DiskFiles files;
  if (const auto text = read_file(files, act::MandateFiles::in(p.folder).mandate, kMostText)) w.member("text", *text);
  const auto tests = p.state.read([&](store::Reader& db) { return act::OrderDesk::tests(db, p.runtime.now()); });
  if (!tests) return net::problem(tests.error());
  w.key("test").object();
  if (tests->passed) w.member("passed_at", web::time_text(*tests->passed));
  if (tests->started) w.member("started_at", web::time_text(*tests->started));
  w.member("due", web::time_text(tests->due)).member("overdue", tests->overdue).end();
  w.end();
  return net::json(out);
}

net::Reply orders(const NodeParts& p, const net::Request& q) {
  const auto page = web::page_of(q, "orders");
  if (!page) return net::problem(page.error());
  std::int64_t before = 0;
  if (!page->after.empty()) {
    const auto [end, ec] = std::from_chars(page->after.data(), page->after.data() + page->after.size(), before);
    if (ec != std::errc{} || before <= 0)
      return net::problem(Error{Code::bad_input, "this cursor is none of ours", "?cursor"});
  }
  std::vector<std::string> items;
  std::optional<std::string> next;
  if (!q.scope.sees(p.home())) return web::list(items, next);  // orders are to the first municipality alone
  const auto rows = p.state.read([&](store::Reader& db) {
    return db.all<OrderRow>(
        "SELECT id, received_at_us, done, order_id, action, target, reason, proof FROM act_order WHERE :before = 0 OR "
        "id < :before ORDER BY id DESC LIMIT :limit",
        {{"before", before}, {"limit", static_cast<std::int64_t>(page->limit) + 1}});
  });
  if (!rows) return net::problem(rows.error());
  for (const OrderRow& r : *rows) {
    if (items.size() == page->limit) {
      next = web::cursor_of("orders", std::to_string((*rows)[page->limit - 1].id));
      break;
    }
    std::string out;
    JsonWriter w(out);
    w.object().member("id", std::to_string(r.id)).member("order", r.order_id).member("action", r.action);
    w.member("target", r.target).member("at", web::time_text(from_micros(r.received_at_us)));
    w.member("outcome", r.done != 0 ? "done" : "refused").member("says", r.reason);
    if (r.proof && !r.proof->empty()) w.member("proof", *r.proof);
    w.end();
    items.push_back(std::move(out));
  }
  return web::list(items, next);
}

}  // namespace

void add_mandate_routes(net::Router& router, const Parts& parts) {
  router.get("/api/mandate", Needs::tenants_read, [parts](const net::Request& q) -> net::Reply {
    if (!parts->municipalities.empty() && !q.scope.sees(parts->home()))
      return net::problem(Error{Code::not_found, "there is no mandate here that the caller sees", {}});
    return show(*parts);
  });
  router.post("/api/mandate/test", Needs::operate, [parts](const net::Request& q) -> net::Reply {
    if (!parts->test_contacts) return not_here("duty contact to be tested");
    const auto sent = parts->test_contacts();
    if (!sent) return trouble(sent.error());
    if (const auto noted = parts->state.write_now([&](store::Tx& tx) {
          return tx.audit({q.scope.who(), "mandate.tested", "", fmt::format("{{\"sent\":{}}}", *sent)});
        });
        !noted)
      return net::problem(noted.error());
    return net::json(fmt::format("{{\"sent\":{}}}", *sent), 202);
  });
  router.get("/api/node/orders", Needs::alert_read, [parts](const net::Request& q) { return orders(*parts, q); });
}

}  // namespace bavn::show::api
