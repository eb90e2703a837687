// feeds/: the partners of kind misp_feed, which the desk of partners keeps; /misp/feed/: the feed that we are.
#include <fmt/format.h>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "exchange/misp/inner.hpp"
#include "exchange/peers/desk.hpp"

namespace bavn::exchange::misp {

namespace {

void write(JsonWriter& w, const ShownPeer& p) {
  w.object()
      .key("Feed")
      .object()
      .member("id", std::to_string(p.peer.id))
      .member("name", p.peer.name)
      .member("provider", p.peer.name);
  w.member("url", p.peer.url)
      .member("enabled", p.peer.state != "paused")
      .member("source_format", "misp")
      .member("input_source", "network");
  w.member("distribution", "1")
      .member("sharing_group_id", "0")
      .member("tag_id", "0")
      .member("default", false)
      .member("fixed_event", false);
  w.member("delta_merge", false)
      .member("publish", true)
      .member("override_ids", false)
      .member("settings", "[]")
      .member("rules", "");
  w.member("caching_enabled", false).member("lookup_visible", false).end().end();
}

/// As it is, to be written again with changes.
NewPeer as_written(const Peer& p) {
  NewPeer n;
  n.name = p.name;
  n.kind = p.kind;
  n.direction = p.direction;
  n.url = p.url;
  n.sign_in = p.sign_in;
  n.user = p.user;
  n.options = p.options;
  n.ceiling = p.ceiling;
  n.kinds = p.kinds;
  n.sectors = p.sectors;
  n.confidence = p.confidence;
  n.strongest = p.strongest;
  n.tlp = p.tlp;
  n.valid_days = p.valid_days;
  n.every_minutes = p.every_s / 60;
  return n;
}

std::uint64_t value_of_tag(std::string_view text) {
  std::uint64_t n = 0;
  for (const char ch : sha256(text).substr(0, 8)) n = (n << 8U) | static_cast<unsigned char>(ch);
  return n;
}

}  // namespace

std::optional<net::Reply> Misp::Inner::feeds(Call& c) {
  if (c.viewer.partner()) return fault(c, 403, "Not permitted here", "which feeds we read is our own affair");
  if (links.desk == nullptr) return c.action == "index" ? std::optional(net::json("[]")) : std::nullopt;
  PeerDesk& desk = *links.desk;
  const event::Scope& scope = c.q.scope;
  std::string out;
  JsonWriter w(out);
  if (c.action == "index") {
    BAVN_MISP_TRY(const auto peers, c, desk.list(scope));
    w.array();
    for (const ShownPeer& p : peers)
      if (p.peer.kind == "misp_feed") write(w, p);
    w.end();
    return net::json(std::move(out));
  }
  if (c.action == "add" && c.posts()) {
    BAVN_MISP_TRY(const auto body, c, c.body());
    const net::JsonValue f = body.root()["Feed"].is_object() ? body.root()["Feed"] : body.root();
    if (const auto format = f["source_format"].text_or("misp"); format != "misp")
      return fault(c, 400, "Bad Request", "feeds here are MISP feeds; lists of text and CSV are read with bavn import");
    NewPeer p;
    p.name = std::string(f["name"].text_or({}));
    p.kind = "misp_feed";
    p.url = std::string(f["url"].text_or({}));
    BAVN_MISP_TRY(const auto id, c, desk.add(scope, p, !truth(f["enabled"]).value_or(false)));
    BAVN_MISP_TRY(const auto made, c, desk.show(scope, id));
    write(w, made);
    return net::json(std::move(out));
  }
  const bool cache = c.action == "cacheFeeds";
  if (c.action == "fetchFromAllFeeds" ||
      (cache && (c.word() == "all" || c.word() == "misp" || c.word() == "freetext"))) {
    BAVN_MISP_TRY(const auto peers, c, desk.list(scope));
    std::size_t asked = 0;
    for (const ShownPeer& p : peers) {
      if (p.peer.kind != "misp_feed" || p.peer.state == "paused" || c.word() == "freetext") continue;
      BAVN_MISP_CHECK(c, desk.pull_now(scope, p.peer.id));
      ++asked;
    }
    if (cache) return done(c, fmt::format("There is no cache: {} feeds are read whole.", asked));
    w.object().member("result", fmt::format("Pull queued for background execution: {} feeds.", asked)).end();
    return net::json(std::move(out));
  }
  if (c.action == "compareFeeds" || c.action == "loadDefaultFeeds")
    return fault(c, 404, "Not served here",
                 c.action == "compareFeeds"
                     ? "feeds are not compared here: search for a value, its events say who has it"
                     : "no feeds ship with this: add those you trust");
  std::string number_text(c.word());
  if (number_text.empty() || number_text.size() > 18 ||
      !std::all_of(number_text.begin(), number_text.end(), ascii_digit))
    return std::nullopt;
  const std::int64_t id = std::stoll(number_text);
  const auto peer = desk.show(scope, id);
  if (!peer || peer->peer.kind != "misp_feed") return not_there(c, "Invalid feed");
  if (c.action == "view") {
    write(w, *peer);
    return net::json(std::move(out));
  }
  if (c.action == "edit" && c.posts()) {
    BAVN_MISP_TRY(const auto body, c, c.body());
    const net::JsonValue f = body.root()["Feed"].is_object() ? body.root()["Feed"] : body.root();
    if (truth(f["caching_enabled"]).value_or(false))
      return fault(c, 400, "Bad Request", "feeds are read whole here: there is no cache to turn on");
    if (const auto format = f["source_format"].text_or("misp"); format != "misp")
      return fault(c, 400, "Bad Request", "feeds here are MISP feeds; lists of text and CSV are read with bavn import");
    NewPeer p = as_written(peer->peer);
    if (const auto name = f["name"].text()) p.name = std::string(*name);
    if (const auto url = f["url"].text()) p.url = std::string(*url);
    if (p.name != peer->peer.name || p.url != peer->peer.url) BAVN_MISP_CHECK(c, desk.change(scope, id, p, {}));
    const bool on = peer->peer.state != "paused";
    if (const bool wanted = truth(f["enabled"]).value_or(on); wanted != on)
      BAVN_MISP_CHECK(c, desk.pause(scope, id, !wanted));
    BAVN_MISP_TRY(const auto changed, c, desk.show(scope, id));
    write(w, changed);
    return net::json(std::move(out));
  }
  if (cache && c.posts()) {
    BAVN_MISP_CHECK(c, desk.pull_now(scope, id));
    return done(c, "There is no cache: the feed is read whole.");
  }
  if (c.action == "fetchFromFeed") {
    BAVN_MISP_CHECK(c, desk.pull_now(scope, id));
    w.object().member("result", "Pull queued for background execution.").end();
    return net::json(std::move(out));
  }
  if ((c.action == "enable" || c.action == "disable") && c.posts()) {
    BAVN_MISP_CHECK(c, desk.pause(scope, id, c.action == "disable"));
    return done(c, c.action == "enable" ? "Feed enabled." : "Feed disabled.");
  }
  if (c.action == "delete" && (c.posts() || c.q.method == net::Method::del)) {
    BAVN_MISP_CHECK(c, desk.remove(scope, id, false));
    return done(c, "Feed deleted.");
  }
  return std::nullopt;
}

std::optional<net::Reply> Misp::Inner::feed_out(Call& c) {
  if (c.q.method != net::Method::get && c.q.method != net::Method::head) return std::nullopt;
  Render render(book, c.viewer);
  const auto answer_with = [&](Sink& out, std::string_view type, std::string_view mark) -> net::Reply {
    BAVN_MISP_TRY(auto reply, c, out.reply(type));
    reply.headers.set("ETag", std::string(mark));
    reply.headers.set("Cache-Control", "no-cache");
    return reply;
  };
  const auto same = [&](std::string_view mark) -> std::optional<net::Reply> {
    const auto* have = c.q.headers.find("If-None-Match");
    if (have == nullptr || have->find(mark) == std::string::npos) return std::nullopt;
    net::Reply reply;
    reply.status = 304;
    reply.headers.set("ETag", std::string(mark));
    return reply;
  };
  if (c.action == "manifest.json" || c.action == "hashes.csv") {
    Search s;
    s.published = true;
    BAVN_MISP_TRY(const auto ids, c, found(book, c.viewer, s));
    // What the tag is made of is read first: an unchanged feed costs no rendering.
    std::string marks = c.viewer.who;
    for (const std::int64_t id : ids) {
      BAVN_MISP_TRY(const auto changed, c, state.read([&](store::Reader& r) {
        return r.all<std::int64_t>("SELECT changed_us FROM misp_event WHERE id = :i", {{"i", id}});
      }));
      if (!changed.empty()) marks += fmt::format(" {} {}", id, changed.front());
      if (marks.size() > 65536) marks = sha256(marks);
    }
    const std::string mark = fmt::format("\"{:016x}\"", value_of_tag(marks + c.action));
    if (auto reply = same(mark)) return reply;
    Sink out = sink();
    const bool manifest = c.action == "manifest.json";
    if (manifest) out.text() += '{';
    bool first = true;
    for (const std::int64_t id : ids) {
      BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, std::to_string(id)));
      if (!e) continue;
      if (manifest) {
        BAVN_MISP_TRY(const auto row, c, render.feed_manifest_row(*e));
        out.text() += (first ? "" : ", ") + row;
        first = false;
        BAVN_MISP_CHECK(c, out.settle());
      } else {
        BAVN_MISP_CHECK(c, render.feed_hashes(out, *e));
      }
    }
    if (manifest) out.text() += '}';
    return answer_with(out, manifest ? "application/json" : "text/csv; charset=utf-8", mark);
  }
  std::string_view name = c.action;
  if (!name.ends_with(".json")) return std::nullopt;
  name.remove_suffix(5);
  if (!is_uuid(name)) return std::nullopt;
  BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, name));
  if (!e || !e->published) return not_there(c, "Invalid event");
  const std::string mark =
      fmt::format("\"{:016x}\"", value_of_tag(fmt::format("{} {} {}", c.viewer.who, e->uuid, e->changed_us)));
  if (auto reply = same(mark)) return reply;
  Sink out = sink();
  BAVN_MISP_CHECK(c, render.feed_event(out, *e));
  return answer_with(out, "application/json", mark);
}

}  // namespace bavn::exchange::misp
