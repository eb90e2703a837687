#include "base/encoding.hpp"
#include "show/api/hub_inner.hpp"
#include "store/audit.hpp"

namespace bavn::show::api {

namespace {

struct RowView {
  std::string seq, at, who, action, subject;
  net::RawJson detail;
  std::string hash;
};
BOOST_DESCRIBE_STRUCT(RowView, (), (seq, at, who, action, subject, detail, hash))
struct FindingView {
  std::string fault, first, last, text;
};
BOOST_DESCRIBE_STRUCT(FindingView, (), (fault, first, last, text))
struct ReportView {
  bool ok = true;
  std::string first, last;
  std::int64_t entries = 0;
  std::string taken_by_retention;
  std::int64_t witnesses = 0;
  std::string witnessed_to;
  bool signatures_checked = false;
  std::vector<FindingView> findings;
};
BOOST_DESCRIBE_STRUCT(ReportView, (),
                      (ok, first, last, entries, taken_by_retention, witnesses, witnessed_to, signatures_checked,
                       findings))

/// A filter that finds little must not read a log of years at one go: it looks so far, and the next page looks further.
constexpr std::int64_t kLookedAt = 200'000;

net::Reply list(const Hub& hub, const net::Request& q) {
  if (!q.scope.sees_all())
    return net::problem(
        Error{Code::forbidden, "the hub's audit log names all municipalities; yours is at your node", ""});
  const auto page = web::page_of(q, "audit");
  if (!page) return net::problem(page.error());
  const auto cut = [&](std::string_view name, std::size_t most) {
    return std::string(q.asked(name).value_or("").substr(0, most));
  };
  const std::string who = cut("who", 200), action = cut("action", 100), subject = cut("subject", 200);
  std::int64_t lowest = 0, newest = 0;
  const auto rows = hub.state.read([&](store::Reader& db) -> Result<std::vector<store::AuditRow>> {
    BAVN_TRY(const auto head, db.number("SELECT ifnull(max(seq), 0) FROM audit"));
    newest = page->after.empty() ? head + 1 : number_in(page->after).value_or(0);
    lowest = std::max<std::int64_t>(0, newest - 1 - kLookedAt);
    return db.all<store::AuditRow>(
        "SELECT seq, at_us, who, action, subject, detail, previous, hash FROM audit WHERE seq < :before AND seq > "
        ":lowest AND (:who = '' OR who = :who) AND (:action = '' OR substr(action, 1, length(:action)) = :action) AND "
        "(:subject = '' OR subject = :subject) ORDER BY seq DESC LIMIT :n",
        {{"before", newest},
         {"lowest", lowest},
         {"who", who},
         {"action", action},
         {"subject", subject},
         {"n", page->limit + 1}});
  });
  if (!rows) return net::problem(rows.error());
  std::optional<std::string> next;
  std::vector<RowView> views;
  for (const auto& r : *rows) {
    if (views.size() == page->limit) {
      next = web::cursor_of("audit", views.back().seq);
      break;
    }
    const auto detail = net::JsonDocument::parse(r.detail);
    views.push_back({std::to_string(r.seq), at_always(r.at_us), r.who, r.action, r.subject,
                     net::RawJson{detail && detail->root().is_object() ? r.detail : std::string("{}")},
                     to_hex(std::string_view(r.hash.bytes).substr(0, 8))});
  }
  if (!next && lowest > 0) next = web::cursor_of("audit", std::to_string(lowest + 1));
  return list_of(views, next);
}

net::Reply verify(const Hub& hub, const net::Request& q) {
  if (!q.scope.sees_all()) return net::problem(Error{Code::forbidden, "the hub's audit log is the joint CERT's", ""});
  const auto report = hub.state.read([](store::Reader& db) { return store::audit::verify(db); });
  if (!report) return net::problem(report.error());
  ReportView v{report->ok(),
               std::to_string(report->first),
               std::to_string(report->last),
               report->entries,
               std::to_string(report->taken_by_retention),
               static_cast<std::int64_t>(report->witnesses),
               std::to_string(report->witnessed_to),
               false,
               {}};
  for (const auto& f : report->findings)
    v.findings.push_back(
        {std::string(store::audit::name_of(f.fault)), std::to_string(f.first), std::to_string(f.last), f.text});
  return net::json(net::to_json(v));
}

}  // namespace

void add_audit_routes(net::Router& router, const HubPtr& hub) {
  router.get("/api/audit", Needs::audit_read, [hub](const net::Request& q) { return list(*hub, q); });
  router.get("/api/audit/verification", Needs::audit_read, [hub](const net::Request& q) { return verify(*hub, q); },
             {.deadline = std::chrono::seconds(120)});
}

}  // namespace bavn::show::api
