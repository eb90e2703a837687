#include "show/api/purges/purges.hpp"

#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include "base/text.hpp"
#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

struct AnswerBody {
  std::optional<std::string> code;
};
BOOST_DESCRIBE_STRUCT(AnswerBody, (), (code))

constexpr std::size_t kMostCopies = 5000;  // of one page; the rest is counted

/// Purges are of the first municipality of the node.
bool may_see(const NodeParts& p, const net::Request& q) {
  return p.municipalities.empty() || q.scope.sees(p.home());
}
Error no_case() {
  return {Code::not_found, "there is no purge of this id here", {}};
}

net::Reply as_it_is(const NodeParts& p, std::string_view notice) {
  const auto found = p.state.read([&](store::Reader& db) { return act::Purge::find(db, notice); });
  if (!found) return net::problem(found.error());
  std::string out;
  JsonWriter w(out);
  write_purge(w, *found);
  return net::json(out);
}

net::Reply list(const NodeParts& p, const net::Request& q) {
  std::vector<std::string> items;
  if (!may_see(p, q)) return web::list(items, std::nullopt);
  const auto all = p.state.read([](store::Reader& db) { return act::Purge::cases(db); });
  if (!all) return net::problem(all.error());
  for (const auto& c : *all) {
    std::string out;
    JsonWriter w(out);
    write_purge(w, c);
    items.push_back(std::move(out));
  }
  return web::list(items, std::nullopt);
}

struct More {
  act::PurgeCase summary;
  std::vector<act::PurgeRound> rounds;
  std::vector<act::PurgeCopy> copies;
  std::vector<std::string> proofs;
};

net::Reply show(const NodeParts& p, const net::Request& q) {
  if (!may_see(p, q)) return net::problem(no_case());
  const auto more = p.state.read([&](store::Reader& db) -> Result<More> {
    More m;
    BAVN_TRY(m.summary, act::Purge::find(db, q.param("id")));
    BAVN_TRY(m.rounds, act::Purge::rounds(db, q.param("id")));
    BAVN_TRY(m.copies, act::Purge::copies(db, q.param("id")));
    BAVN_TRY(m.proofs, act::Purge::proofs(db, q.param("id")));
    return m;
  });
  if (!more) return net::problem(more.error());
  std::string out;
  JsonWriter w(out);
  w.object().key("purge");
  write_purge(w, more->summary);
  w.key("rounds").array();
  for (const auto& r : more->rounds) {
    w.object().member("n", r.nr).member("what", r.what).member("started_at", web::time_text(from_micros(r.started_us)));
    add_time(w, "ended_at", r.ended_us);
    w.member("searched", r.searched).member("present", r.present).member("moved", r.moved).member("failed", r.failed);
    w.end();
  }
  w.end().key("copies").array();
  for (std::size_t i = 0; i < std::min(more->copies.size(), kMostCopies); ++i) {
    const auto& c = more->copies[i];
    w.object().member("mailbox", c.mailbox).member("message_id", c.message_id).member("state", c.state);
    w.member("reason", c.reason);
    add_text(w, "way", c.way);
    add_text(w, "forward_of", c.forward_of);
    add_time(w, "delivered_at", c.delivered_us);
    add_time(w, "moved_at", c.moved_us);
    add_time(w, "back_at", c.back_us);
    w.end();
  }
  w.end();
  if (more->copies.size() > kMostCopies)
    w.member("more_copies", static_cast<std::uint64_t>(more->copies.size() - kMostCopies));
  w.key("proofs").array();
  for (const auto& proof : more->proofs) w.value(proof);
  w.end().end();
  return net::json(out);
}

net::Reply answer(const NodeParts& p, const net::Request& q, bool yes) {
  if (p.purge == nullptr) return not_here("purge");
  if (!may_see(p, q)) return net::problem(no_case());
  AnswerBody body;
  if (!trim(q.body).empty())
    if (auto bad = read_body(q, body)) return *bad;
  bool counted = false;
  const auto done = p.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(counted, p.purge->answer(tx, q.param("id"), yes, q.scope.who(), body.code.value_or("")));
    return {};
  });
  if (!done) return trouble(done.error());
  if (!counted) return net::problem(Error{Code::forbidden, "the code is wrong", "/code"});
  return as_it_is(p, q.param("id"));
}

net::Reply turn(const NodeParts& p, const net::Request& q, bool undo) {
  if (p.purge == nullptr) return not_here("purge");
  if (!may_see(p, q)) return net::problem(no_case());
  const auto done = p.state.write_now([&](store::Tx& tx) {
    return undo ? p.purge->undo(tx, q.param("id"), q.scope.who()) : p.purge->redo(tx, q.param("id"), q.scope.who());
  });
  return done ? as_it_is(p, q.param("id")) : trouble(done.error());
}

}  // namespace

void write_purge(JsonWriter& w, const act::PurgeCase& c) {
  w.object().member("id", c.notice).member("sender", c.sender).member("state", c.state).member("why", c.why);
  add_text(w, "paused", c.paused);
  w.key("signs").array();
  for (const auto sign : split(c.signs, ','))
    if (!trim(sign).empty()) w.value(trim(sign));
  w.end();
  add_text(w, "approved_by", c.approved_by);
  add_text(w, "way", c.way);
  add_time(w, "from", c.from_us);
  add_time(w, "until", c.to_us);
  w.member("opened_at", web::time_text(from_micros(c.opened_us)));
  w.member("changed_at", web::time_text(from_micros(c.changed_us)));
  add_time(w, "first_moved_at", c.first_moved_us);
  add_time(w, "emptied_at", c.emptied_us);
  add_time(w, "watch_until", c.watch_until_us);
  add_time(w, "ask_until", c.ask_until_us);
  add_time(w, "next_at", c.next_us);
  for (const auto& [name, n] :
       {std::pair("said", c.said), std::pair("message_ids", c.message_ids), std::pair("located", c.located),
        std::pair("refused", c.refused), std::pair("mailboxes", c.mailboxes), std::pair("copies", c.copies),
        std::pair("found", c.found), std::pair("moved", c.moved), std::pair("gone", c.gone),
        std::pair("left_alone", c.left_alone), std::pair("failed", c.failed), std::pair("back", c.back),
        std::pair("lost", c.lost), std::pair("rounds", c.rounds)})
    w.member(name, n);
  w.end();
}

void add_purge_routes(net::Router& router, const Parts& parts, const Proved& proved) {
  router.get("/api/purges", Needs::alert_read, [parts](const net::Request& q) { return list(*parts, q); });
  router.get("/api/purges/{id}", Needs::alert_read, [parts](const net::Request& q) { return show(*parts, q); });
  for (const bool yes : {true, false})
    router.post(yes ? "/api/purges/{id}/yes" : "/api/purges/{id}/no", Needs::operate,
                proved([parts, yes](const net::Request& q) { return answer(*parts, q, yes); }));
  for (const bool undo : {true, false})
    router.post(undo ? "/api/purges/{id}/undo" : "/api/purges/{id}/redo", Needs::operate,
                proved([parts, undo](const net::Request& q) { return turn(*parts, q, undo); }));
}

}  // namespace bavn::show::api
