#include "show/api/handover/handover.hpp"

#include "base/text.hpp"

namespace bavn::show::api {

namespace {

constexpr std::size_t kMostText = 10'000;  // bytes: two pages are a report, not a note
constexpr std::int64_t kKept = 200;        // versions: about a month of three shifts a day, written twice

struct Row {
  std::int64_t version = 0;
  std::string text, who;
  std::int64_t at_us = 0;
};
BOOST_DESCRIBE_STRUCT(Row, (), (version, text, who, at_us))

struct HandoverView {
  std::string text;
  std::optional<std::string> by, by_name;
  When at;
  std::int64_t version = 0;
  std::vector<HandoverNote> earlier;
};
BOOST_DESCRIBE_STRUCT(HandoverView, (), (text, by, by_name, at, version, earlier))

struct NewHandover {
  std::string text;
};
BOOST_DESCRIBE_STRUCT(NewHandover, (), (text))

/// "person:7" as people know them; who is none of ours (a key, the owner of the machine) has no name.
Result<std::optional<std::string>> name_of(store::Reader& db, std::string_view who) {
  constexpr std::string_view kPerson = "person:";
  const auto id = who.starts_with(kPerson) ? number_in(who.substr(kPerson.size())) : std::nullopt;
  if (!id) return std::optional<std::string>();
  return db.one<std::string>("SELECT name FROM person WHERE id = :i", {{"i", *id}});
}

Result<std::vector<HandoverNote>> newest(store::Reader& db, std::int64_t n) {
  BAVN_TRY(const auto rows,
           db.all<Row>("SELECT version, text, who, at_us FROM hub_handover ORDER BY version DESC LIMIT "
                       ":n",
                       {{"n", n}}));
  std::vector<HandoverNote> notes;
  for (const auto& r : rows) {
    BAVN_TRY(auto name, name_of(db, r.who));
    notes.push_back({r.text, r.who, std::move(name), at_always(r.at_us), r.version});
  }
  return notes;
}

net::Reply show(const Hub& hub, const net::Request& q) {
  auto notes = hub.state.read([](store::Reader& db) { return newest(db, 21); });
  if (!notes) return net::problem(notes.error());
  HandoverView v{};
  if (!notes->empty()) {
    HandoverNote& first = notes->front();
    v = {first.text, first.by, first.by_name, first.at, first.version, {}};
    v.earlier.assign(notes->begin() + 1, notes->end());
  }
  const std::string etag = web::etag_of(static_cast<std::uint64_t>(v.version));
  if (auto same = web::unchanged(q, etag)) return std::move(*same);
  return web::tagged(net::json(net::to_json(v)), etag);
}

}  // namespace

Result<std::optional<HandoverNote>> newest_handover(store::Reader& db) {
  BAVN_TRY(auto notes, newest(db, 1));
  if (notes.empty() || notes.front().text.empty()) return std::optional<HandoverNote>();
  return std::optional(std::move(notes.front()));
}

void add_handover_routes(net::Router& router, const HubPtr& hub) {
  const auto ours = [](const net::Request& q) -> Result<void> {
    if (q.scope.sees_all()) return {};
    return fail(Code::forbidden, "the hand-over is between shifts of the joint CERT");
  };
  router.get("/api/handover", Needs::alert_read, [hub, ours](const net::Request& q) {
    const auto may = ours(q);
    return may ? show(*hub, q) : net::problem(may.error());
  });
  router.put("/api/handover", Needs::alert_write, [hub, ours](const net::Request& q) -> net::Reply {
    if (const auto may = ours(q); !may) return net::problem(may.error());
    const auto asked = body_of<NewHandover>(q);
    if (!asked) return net::problem(asked.error());
    if (asked->text.size() > kMostText || !is_valid_utf8(asked->text))
      return net::problem(Error{Code::bad_input, fmt::format("a note has at most {} bytes", kMostText), "/text"});
    std::optional<net::Reply> stale;
    const auto done = hub->change([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(const auto version, tx.number("SELECT ifnull(max(version), 0) FROM hub_handover"));
      stale = web::must_match(q, web::etag_of(static_cast<std::uint64_t>(version)));
      if (stale) return {};
      BAVN_CHECK(tx.exec("INSERT INTO hub_handover (version, text, who, at_us) VALUES (:v, :t, :w, :now)",
                         {{"v", version + 1}, {"t", asked->text}, {"w", person(q)}, {"now", tx.now()}}));
      BAVN_CHECK(tx.exec("DELETE FROM hub_handover WHERE version <= :old", {{"old", version + 1 - kKept}}));
      BAVN_CHECK(tx.emit("handover.written", std::to_string(version + 1)));
      return tx.audit({person(q), "handover.written", std::to_string(version + 1), "{}"});
    });
    if (!done) return net::problem(done.error());
    return stale ? std::move(*stale) : show(*hub, q);
  });
}

}  // namespace bavn::show::api
