#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include <charconv>

#include "base/text.hpp"
#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

constexpr std::size_t kMostPaste = 200'000;

struct NewObservable {
  std::optional<std::string> kind;
  std::string value;
};
BOOST_DESCRIBE_STRUCT(NewObservable, (), (kind, value))
struct NewHunt {
  std::optional<std::vector<NewObservable>> observables;
  std::optional<std::string> paste, text;
  std::optional<bool> rules, indicators;
  std::optional<Instant> from, until;
  std::optional<std::string> source, format, reason;
  std::optional<std::int64_t> limit;
};
BOOST_DESCRIBE_STRUCT(NewHunt, (),
                      (observables, paste, text, rules, indicators, from, until, source, format, limit, reason))
struct Paste {
  std::string text;
};
BOOST_DESCRIBE_STRUCT(Paste, (), (text))

Result<HuntWanted> wanted_of(const NewHunt& body, const HuntLimits& limits) {
  HuntWanted w;
  const bool seen = body.observables.has_value() || body.paste.has_value();
  const int ways = (seen ? 1 : 0) + (body.text ? 1 : 0) + (body.rules.value_or(false) ? 1 : 0) +
                   (body.indicators.value_or(false) ? 1 : 0);
  if (ways != 1)
    return fail(Code::bad_input, "exactly one of observables or paste, text, rules, indicators is wanted", "/");
  w.kind = seen                         ? HuntKind::observables
           : body.text                  ? HuntKind::text
           : body.rules.value_or(false) ? HuntKind::rules
                                        : HuntKind::indicators;
  if (body.paste) {
    if (body.paste->size() > kMostPaste)
      return fail(Code::bad_input, fmt::format("at most {} bytes of text are read", kMostPaste), "/paste");
    auto read = read_paste(*body.paste, limits.observables);
    w.observables = std::move(read.observables);
    w.left_out = read.left_out;
  }
  std::size_t n = 0;
  for (const auto& o : body.observables.value_or(std::vector<NewObservable>{})) {
    const std::string at = fmt::format("/observables/{}/value", n++);
    if (o.value.size() > 2000) return fail(Code::bad_input, "at most 2000 bytes", at);
    auto read = o.kind && !o.kind->empty() ? event::canonical(*o.kind, event::refang(o.value)) : event::guess(o.value);
    if (!read)
      return fail(Code::bad_input,
                  o.kind ? fmt::format("this is no {}", shown(*o.kind, 40))
                         : std::string("this could be no observable; say which kind it is (account, subject, ...)"),
                  at);
    if (std::find(w.observables.begin(), w.observables.end(), *read) == w.observables.end())
      w.observables.push_back(std::move(*read));
  }
  w.text = body.text.value_or("");
  w.source = body.source.value_or("");
  w.format = body.format.value_or("");
  w.reason = body.reason.value_or("");
  w.from = body.from;
  w.until = body.until;
  if (body.limit && *body.limit < 1) return fail(Code::bad_input, "a limit is at least 1", "/limit");
  w.limit = body.limit ? static_cast<std::size_t>(*body.limit) : limits.hits;
  return w;
}

net::Reply start(const NodeParts& p, const net::Request& q) {
  NewHunt body;
  if (auto bad = read_body(q, body)) return *bad;
  auto wanted = wanted_of(body, p.hunts.limits());
  if (!wanted) return trouble(wanted.error());
  const auto begun = p.hunts.start(q.scope, std::move(*wanted));
  if (!begun) return trouble(begun.error());
  net::Reply reply = net::json(hunt_json(*begun), 202);
  reply.headers.set("Location", "/api/hunts/" + begun->id);
  return reply;
}

net::Reply list(const NodeParts& p, const net::Request& q) {
  const auto page = web::page_of(q, "hunts");
  if (!page) return net::problem(page.error());
  const auto all = p.hunts.list(q.scope);
  std::vector<std::string> items;
  std::optional<std::string> next;
  bool on = page->after.empty();
  for (const HuntView& v : all) {
    if (!on) {
      on = v.id == page->after;
      continue;
    }
    if (items.size() == page->limit) {
      next = web::cursor_of("hunts", all[static_cast<std::size_t>(&v - all.data()) - 1].id);
      break;
    }
    items.push_back(hunt_json(v));
  }
  return web::list(items, next);
}

net::Reply hits(const NodeParts& p, const net::Request& q) {
  const auto page = web::page_of(q, "hits");
  if (!page) return net::problem(page.error());
  std::uint64_t after = 0;
  if (!page->after.empty()) {
    const auto [end, ec] = std::from_chars(page->after.data(), page->after.data() + page->after.size(), after);
    if (ec != std::errc{} || end != page->after.data() + page->after.size())
      return net::problem(Error{Code::bad_input, "this cursor is none of ours", "?cursor"});
  }
  const auto found = p.hunts.hits(q.scope, q.param("id"), after + 1, page->limit + 1);
  if (!found) return net::problem(found.error());
  std::vector<std::string> items;
  for (std::size_t i = 0; i < std::min(found->size(), page->limit); ++i) items.push_back(hit_json((*found)[i]));
  std::optional<std::string> next;
  if (found->size() > page->limit) next = web::cursor_of("hits", std::to_string(after + page->limit));
  return web::list(items, next);
}

net::Reply read(const NodeParts& p, const net::Request& q) {
  Paste body;
  if (auto bad = read_body(q, body)) return *bad;
  if (body.text.size() > kMostPaste)
    return web::refused({{"/text", fmt::format("at most {} bytes of text are read", kMostPaste)}});
  const auto found = read_paste(body.text, p.hunts.limits().observables);
  std::string out;
  JsonWriter w(out);
  bool personal = false;
  w.object().key("observables").array();
  for (const auto& o : found.observables) {
    personal |= is_personal(o.kind);
    begin_observable(w, o).member("personal", is_personal(o.kind)).end();
  }
  w.end().member("left_out", static_cast<std::uint64_t>(found.left_out)).member("needs_reason", personal).end();
  return net::json(out);
}

}  // namespace

void add_hunt_routes(net::Router& router, const Parts& parts) {
  router.post("/api/observables/read", Needs::hunt, [parts](const net::Request& q) { return read(*parts, q); });
  router.get("/api/hunts", Needs::hunt, [parts](const net::Request& q) { return list(*parts, q); });
  router.post("/api/hunts", Needs::hunt, [parts](const net::Request& q) { return start(*parts, q); });
  router.get("/api/hunts/{id}", Needs::hunt, [parts](const net::Request& q) -> net::Reply {
    const auto found = parts->hunts.find(q.scope, q.param("id"));
    return found ? net::json(hunt_json(*found)) : net::problem(found.error());
  });
  router.del("/api/hunts/{id}", Needs::hunt,
             [parts](const net::Request& q) { return done_or(parts->hunts.cancel(q.scope, q.param("id"))); });
  router.get("/api/hunts/{id}/hits", Needs::hunt, [parts](const net::Request& q) { return hits(*parts, q); });
  router.stream("/api/hunts/{id}/stream", Needs::hunt,
                [parts](const net::Request& q, std::shared_ptr<net::EventStream> stream) {
                  std::uint64_t after = 0;
                  if (const std::string* last = q.headers.find("Last-Event-ID"))
                    std::from_chars(last->data(), last->data() + last->size(), after);
                  const auto followed = parts->hunts.follow(q.scope, q.param("id"), after, stream);
                  if (followed) return;
                  // A stream has its status already: what is wrong is its only event.
                  std::string why;
                  JsonWriter(why).object().member("detail", followed.error().what).end();
                  stream->send({{}, "refused", why});
                  stream->close();
                });
}

}  // namespace bavn::show::api
