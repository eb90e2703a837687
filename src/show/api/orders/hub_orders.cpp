// Orders that went through this hub, and what their nodes answered. The hub carries them; only the node judges.
#include "show/api/hub_inner.hpp"

namespace bavn::show::api {

namespace {

struct OrderRow {
  std::int64_t number = 0;
  std::string id;
  std::int64_t municipality = 0;
  std::string action;
  std::int64_t not_after_us = 0, signatures = 0, sent_us = 0;
  std::string sent_by;
  std::int64_t shared_after = 0;
};
BOOST_DESCRIBE_STRUCT(OrderRow, (),
                      (number, id, municipality, action, not_after_us, signatures, sent_us, sent_by, shared_after))
struct AnswerRow {
  std::string node;
  std::int64_t at_us = 0, received_at_us = 0;
  std::string body;
};
BOOST_DESCRIBE_STRUCT(AnswerRow, (), (node, at_us, received_at_us, body))
struct Said {
  std::optional<std::string> outcome, text, proof;
};
BOOST_DESCRIBE_STRUCT(Said, (), (outcome, text, proof))

struct AnswerView {
  std::string node, at, received_at, outcome, text;
  std::optional<std::string> proof;
};
BOOST_DESCRIBE_STRUCT(AnswerView, (), (node, at, received_at, outcome, text, proof))
struct OrderView {
  std::string id;
  Town municipality;
  std::string sent_at, sent_by, action, not_after;
  std::int64_t signatures = 0;
  std::vector<AnswerView> answers;
};
BOOST_DESCRIBE_STRUCT(OrderView, (), (id, municipality, sent_at, sent_by, action, not_after, signatures, answers))

constexpr std::string_view kColumns =
    "SELECT number, id, municipality, action, not_after_us, signatures, sent_us, sent_by, shared_after FROM hub_order ";

Result<OrderView> view_of(const Hub& hub, store::Reader& db, const OrderRow& r) {
  OrderView v{r.id,     hub.town(r.municipality),  at_always(r.sent_us), r.sent_by,
              r.action, at_always(r.not_after_us), r.signatures,         {}};
  BAVN_TRY(
      const auto rows,
      db.all<AnswerRow>("SELECT node, at_us, received_at_us, body FROM hub_shared WHERE id > :a AND kind = 'answer' "
                        "AND municipality = :m AND json_extract(body, '$.order') = :o ORDER BY id LIMIT 200",
                        {{"a", r.shared_after}, {"m", r.municipality}, {"o", r.id}}));
  for (const auto& a : rows) {
    const auto said = net::from_json<Said>(a.body, net::Unknown::ignore);
    if (!said) continue;
    v.answers.push_back({a.node, at_always(a.at_us), at_always(a.received_at_us), said->outcome.value_or(""),
                         said->text.value_or(""), said->proof});
  }
  return v;
}

net::Reply list(const Hub& hub, const net::Request& q) {
  const auto page = web::page_of(q, "orders");
  if (!page) return net::problem(page.error());
  std::vector<OrderView> views;
  std::optional<std::string> next;
  const auto read = hub.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(const auto rows,
             db.all<OrderRow>(std::string(kColumns) + "WHERE :b = 0 OR number < :b ORDER BY number DESC LIMIT :n",
                              {{"b", number_in(page->after).value_or(0)}, {"n", page->limit + 1}}));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i == page->limit) {
        next = web::cursor_of("orders", std::to_string(rows[i - 1].number));
        break;
      }
      if (!hub.sees(q.scope, rows[i].municipality)) continue;
      BAVN_TRY(auto v, view_of(hub, db, rows[i]));
      views.push_back(std::move(v));
    }
    return {};
  });
  return read ? list_of(views, next) : net::problem(read.error());
}

net::Reply show(const Hub& hub, const net::Request& q, std::string_view id, int status = 200) {
  const auto v = hub.state.read([&](store::Reader& db) -> Result<OrderView> {
    BAVN_TRY(const auto rows,
             db.all<OrderRow>(std::string(kColumns) + "WHERE id = :i ORDER BY number DESC LIMIT 1", {{"i", id}}));
    if (rows.empty() || !hub.sees(q.scope, rows.front().municipality))
      return fail(Code::not_found, "there is no such order");
    return view_of(hub, db, rows.front());
  });
  return view(v, status);
}

}  // namespace

void add_order_routes(net::Router& router, const HubPtr& hub) {
  router.get("/api/orders", Needs::order, [hub](const net::Request& q) { return list(*hub, q); });
  router.get("/api/orders/{id}", Needs::order, [hub](const net::Request& q) { return show(*hub, q, q.param("id")); });
  router.post("/api/orders", Needs::order, proved(hub, [hub](const net::Request& q) -> net::Reply {
                const auto id = hub->send_order(q.scope, q.body);
                return id ? show(*hub, q, *id, 201) : net::problem(id.error());
              }));
}

}  // namespace bavn::show::api
