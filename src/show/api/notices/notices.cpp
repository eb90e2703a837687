#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include "base/text.hpp"
#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

struct JudgeBody {
  std::string state, why;
};
BOOST_DESCRIBE_STRUCT(JudgeBody, (), (state, why))

void write(JsonWriter& w, const notice::NoticedRow& n) {
  w.object().member("id", n.id).member("kind", n.kind).member("concern", n.concern);
  add_text(w, "level", n.level);
  for (const auto& [name, us] :
       {std::pair("first_at", n.first_us), std::pair("last_at", n.last_us), std::pair("noticed_at", n.noticed_us)})
    w.member(name, web::time_text(from_micros(us)));
  w.member("part", n.part).member("mails", n.mails).member("recipients", n.recipients).member("outside", n.outside);
  w.member("usual", n.usual).member("source", n.source).member("late_seconds", n.late_s);
  if (!n.judged.empty()) {
    w.member("judged", n.judged).member("judged_by", n.judged_by).member("judged_why", n.judged_why);
    add_time(w, "judged_at", n.judged_us);
  }
  add_municipality(w, "municipality", MunicipalityId{static_cast<std::uint16_t>(n.municipality)});
  w.end();
}

net::Reply list(const NodeParts& p, const net::Request& q) {
  const auto page = web::page_of(q, "notices");
  if (!page) return net::problem(page.error());
  if (p.notices == nullptr) return web::list({}, std::nullopt);
  notice::NoticedFilter filter;
  filter.kind = q.asked("kind").value_or("");
  if (!filter.kind.empty() && filter.kind != "sender" && filter.kind != "takeover" && filter.kind != "burst" &&
      filter.kind != "harm")
    return net::problem(Error{Code::bad_input, "a notice is of kind sender, takeover, burst or harm", "?kind"});
  filter.before = page->after;
  filter.limit = static_cast<std::int64_t>(page->limit) + 1;
  const auto rows = p.notices->list(q.scope, filter);
  if (!rows) return net::problem(rows.error());
  std::vector<std::string> items;
  std::optional<std::string> next;
  for (const auto& n : *rows) {
    if (items.size() == page->limit) {
      next = web::cursor_of("notices", (*rows)[page->limit - 1].id);
      break;
    }
    std::string out;
    JsonWriter w(out);
    write(w, n);
    items.push_back(std::move(out));
  }
  return web::list(items, next);
}

net::Reply show(const NodeParts& p, const net::Request& q) {
  if (p.notices == nullptr) return not_here("notice");
  const auto found = p.notices->show(q.scope, q.param("id"));
  if (!found) return net::problem(found.error());
  std::string out;
  JsonWriter w(out);
  w.object().key("notice");
  write(w, found->notice);
  w.key("signs").array();
  for (const auto& s : found->signs) {
    w.object().member("group", s.group).member("kind", s.kind).member("at", web::time_text(from_micros(s.at_us)));
    add_text(w, "detail", s.detail);
    w.end();
  }
  w.end().key("domains").array();
  for (const auto& d : found->domains) w.object().member("domain", d.domain).member("mails", d.mails).end();
  w.end().key("message_ids").array();
  for (const auto& m : found->message_ids) w.value(m);
  w.end().end();
  return net::json(out);
}

net::Reply judge(const NodeParts& p, const net::Request& q) {
  if (p.notices == nullptr) return not_here("notice");
  JudgeBody body;
  if (auto bad = read_body(q, body)) return *bad;
  if (body.state != "real" && body.state != "false") return web::refused({{"/state", "real or false"}});
  if (trim(body.why).empty() || body.why.size() > 2000)
    return web::refused({{"/why", "a reason of 1 to 2000 bytes is wanted"}});
  if (const auto done = p.notices->judge(q.scope, q.param("id"), body.state, body.why); !done)
    return trouble(done.error());
  const auto now = p.notices->show(q.scope, q.param("id"));
  if (!now) return net::problem(now.error());
  std::string out;
  JsonWriter w(out);
  write(w, now->notice);
  return net::json(out);
}

}  // namespace

void add_notice_routes(net::Router& router, const Parts& parts) {
  router.get("/api/notices", Needs::alert_read, [parts](const net::Request& q) { return list(*parts, q); });
  router.get("/api/notices/{id}", Needs::alert_read, [parts](const net::Request& q) { return show(*parts, q); });
  router.post("/api/notices/{id}/judge", Needs::alert_write,
              [parts](const net::Request& q) { return judge(*parts, q); });
}

}  // namespace bavn::show::api
