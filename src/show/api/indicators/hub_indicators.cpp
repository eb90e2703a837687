#include <algorithm>

#include "event/extract.hpp"
#include "show/api/hub_inner.hpp"
#include "show/api/indicators/book.hpp"

namespace bavn::show::api {

namespace {

namespace mi = match::indicators;

constexpr std::size_t kMostItems = 10'000, kMostPasted = 1'000'000, kMostList = 512U << 20U;

struct IndicatorView {
  std::string id, kind, value, defanged, source, action;
  std::int64_t confidence = 0;
  std::string tlp;
  When valid_from, valid_until;
  std::string comment, added_at, added_by;
  std::optional<std::vector<std::string>> also;
};
BOOST_DESCRIBE_STRUCT(IndicatorView, (),
                      (id, kind, value, defanged, source, action, confidence, tlp, valid_from, valid_until, comment,
                       added_at, added_by, also))

struct NewIndicator {
  std::optional<std::string> kind;
  std::string value;
  std::optional<std::int64_t> confidence;
  std::optional<Instant> valid_until;
  std::optional<std::string> comment;
};
BOOST_DESCRIBE_STRUCT(NewIndicator, (), (kind, value, confidence, valid_until, comment))
struct NewIndicators {
  std::string source;
  std::optional<std::string> action, tlp;
  std::optional<std::vector<NewIndicator>> items;
  std::optional<std::string> text;
};
BOOST_DESCRIBE_STRUCT(NewIndicators, (), (source, action, tlp, items, text))

struct RefusedView {
  std::string reason;
  std::uint64_t count = 0;
  std::string first;
};
BOOST_DESCRIBE_STRUCT(RefusedView, (), (reason, count, first))
struct ReportView {
  std::int64_t indicators = 0, base = 0;
  std::vector<RefusedView> refused, never_blocked;
};
BOOST_DESCRIBE_STRUCT(ReportView, (), (indicators, base, refused, never_blocked))
struct BaseView {
  std::int64_t indicators = 0;
};
BOOST_DESCRIBE_STRUCT(BaseView, (), (indicators))
struct CountView {
  std::string name;
  std::int64_t count = 0;
  When newest_at;
};
BOOST_DESCRIBE_STRUCT(CountView, (), (name, count, newest_at))
struct SourcesView {
  std::int64_t total = 0;
  std::vector<CountView> sources, kinds;
};
BOOST_DESCRIBE_STRUCT(SourcesView, (), (total, sources, kinds))
struct ContentView {
  std::string kind, name;
  std::int64_t bytes = 0;
  std::string at;
};
BOOST_DESCRIBE_STRUCT(ContentView, (), (kind, name, bytes, at))
struct ContentRow {
  std::string kind, name;
  std::int64_t bytes = 0, at_us = 0;
};
BOOST_DESCRIBE_STRUCT(ContentRow, (), (kind, name, bytes, at_us))

IndicatorView view_of(const Hub& hub, const BookRow& r) {
  return {std::to_string(r.id),
          r.kind,
          r.value,
          hub.shown(r.kind, r.value).defanged,
          r.source,
          r.action,
          r.confidence,
          r.tlp,
          at(r.valid_from_us),
          at(r.valid_until_us),
          r.comment,
          at_always(r.added_us),
          r.added_by,
          std::nullopt};
}

/// What is marked narrower than a person's ceiling is not theirs to see.
bool may_see(const event::Scope& scope, const BookRow& r) {
  return event::parse_tlp(r.tlp).value_or(event::Tlp::red) <= scope.ceiling();
}

net::Reply list(const Hub& hub, const net::Request& q) {
  const auto page = web::page_of(q, "indicators");
  if (!page) return net::problem(page.error());
  BookFilter f;
  f.kind = std::string(q.asked("kind").value_or(""));
  f.source = std::string(q.asked("source").value_or(""));
  f.action = std::string(q.asked("action").value_or(""));
  f.text = std::string(q.asked("text").value_or("").substr(0, 500));
  f.limit = page->limit;
  if (!f.action.empty() && !mi::parse_action(f.action))
    return net::problem(Error{Code::bad_input, "action is watch, warn, hold or block", "?action"});
  // A position is the id, or the id and the value it stands at.
  if (const auto split = page->after.find('|'); split != std::string::npos) {
    f.after_id = number_in(std::string_view(page->after).substr(0, split)).value_or(0);
    f.after_value = page->after.substr(split + 1);
  } else {
    f.before_id = number_in(page->after).value_or(0);
  }
  auto rows = hub.state.read([&](store::Reader& db) { return book_page(db, f, hub.runtime.now()); });
  if (!rows) return net::problem(rows.error());
  std::optional<std::string> next;
  if (rows->size() > f.limit) {
    rows->resize(f.limit);
    const BookRow& last = rows->back();
    next = web::cursor_of("indicators", book_prefix(f.text).empty() ? std::to_string(last.id)
                                                                    : fmt::format("{}|{}", last.id, last.value));
  }
  std::vector<IndicatorView> views;
  for (const auto& r : *rows)
    if (may_see(q.scope, r)) views.push_back(view_of(hub, r));
  return list_of(views, next);
}

Result<BookRow> row_asked(const Hub& hub, const net::Request& q) {
  BAVN_TRY(const auto id, web::id_of(q));
  BAVN_TRY(auto row, hub.state.read([&](store::Reader& db) { return book_row(db, id); }));
  if (!row || !may_see(q.scope, *row)) return fail(Code::not_found, "there is no such indicator");
  return std::move(*row);
}

net::Reply show(const Hub& hub, const net::Request& q) {
  const auto row = row_asked(hub, q);
  if (!row) return net::problem(row.error());
  auto v = view_of(hub, *row);
  auto also = hub.state.read([&](store::Reader& db) { return book_also(db, *row); });
  if (!also) return net::problem(also.error());
  if (!also->empty()) v.also = std::move(*also);
  return net::json(net::to_json(v));
}

net::Reply report(const Result<SharedIndicators>& done) {
  if (!done) return net::problem(done.error());
  ReportView v{static_cast<std::int64_t>(done->indicators), static_cast<std::int64_t>(done->base), {}, {}};
  for (const auto& r : done->refused) v.refused.push_back({r.reason, r.count, r.first});
  for (const auto& r : done->never_blocked) v.never_blocked.push_back({r.reason, r.count, r.first});
  return net::json(net::to_json(v));
}

/// Observables out of what somebody pasted: lines, mails, tickets. Each word is looked at, with and without what clings to it.
void pasted(std::string_view text, const std::function<void(const event::Observable&)>& emit) {
  const auto clings = [](char c) { return std::string_view("<>()\"'`,;|").find(c) != std::string_view::npos; };
  std::size_t from = 0;
  while (from < text.size()) {
    while (from < text.size() && (static_cast<unsigned char>(text[from]) <= ' ' || clings(text[from]))) ++from;
    std::size_t to = from;
    while (to < text.size() && static_cast<unsigned char>(text[to]) > ' ' && !clings(text[to])) ++to;
    std::string_view word = text.substr(from, to - from);
    while (!word.empty() && (word.back() == '.' || word.back() == ':' || word.back() == '!' || word.back() == '?'))
      word.remove_suffix(1);
    from = to;
    if (word.size() < 4 || word.size() > 4000) continue;
    const auto seen = event::guess(word);
    // A word with a dot inside is a name only when it has a top-level domain; guess() knows.
    if (seen) emit(*seen);
  }
}

net::Reply add(const Hub& hub, const net::Request& q) {
  const auto asked = body_of<NewIndicators>(q);
  if (!asked) return net::problem(asked.error());
  const auto action = mi::parse_action(asked->action.value_or("watch"));
  if (!action) return net::problem(Error{Code::bad_input, "action is watch, warn, hold or block", "/action"});
  std::string marking = asked->tlp.value_or("amber");
  std::ranges::replace(marking, '_', '+');
  const auto tlp = event::parse_tlp(marking);
  if (!tlp) return net::problem(Error{Code::bad_input, "tlp is clear, green, amber or amber_strict", "/tlp"});
  if (asked->source.empty() || asked->source.size() > 200)
    return net::problem(Error{Code::bad_input, "a source has 1 to 200 bytes", "/source"});
  if (asked->items && asked->items->size() > kMostItems)
    return net::problem(
        Error{Code::bad_input, fmt::format("at most {} at a time; a file takes more", kMostItems), "/items"});
  if (asked->text && asked->text->size() > kMostPasted)
    return net::problem(
        Error{Code::bad_input, fmt::format("at most {} bytes; a file takes more", kMostPasted), "/text"});
  std::vector<mi::Indicator> all;
  const auto one = [&](const event::Observable& o) {
    mi::Indicator i;
    i.kind = o.kind;
    i.value = o.value;
    i.source = asked->source;
    i.action = *action;
    i.tlp = *tlp;
    return i;
  };
  std::vector<web::Fault> faults;
  for (std::size_t n = 0; asked->items && n < asked->items->size(); ++n) {
    const NewIndicator& given = (*asked->items)[n];
    const auto refanged = event::refang(given.value);
    const auto o = given.kind ? event::canonical(std::string_view(*given.kind), refanged) : event::guess(refanged);
    if (!o) {
      if (faults.size() < 100)
        faults.push_back(
            {fmt::format("/items/{}/value", n), given.kind ? fmt::format("this is no {}", given.kind->substr(0, 40))
                                                           : std::string("this is nothing that can be looked for")});
      continue;
    }
    auto i = one(*o);
    if (given.confidence) i.confidence = static_cast<std::uint8_t>(std::clamp<std::int64_t>(*given.confidence, 0, 100));
    if (given.valid_until) i.valid_until = *given.valid_until;
    if (given.comment) i.comment = given.comment->substr(0, 500);
    all.push_back(std::move(i));
  }
  if (!faults.empty()) return web::refused(std::move(faults));
  if (asked->text)
    pasted(*asked->text, [&](const event::Observable& o) {
      if (all.size() < kMostItems &&
          std::ranges::none_of(all, [&](const auto& i) { return i.kind == o.kind && i.value == o.value; }))
        all.push_back(one(o));
    });
  if (all.empty())
    return net::problem(Error{Code::bad_input, "there is nothing in it that can be looked for", "/text"});
  return report(hub.share(q.scope, std::move(all), asked->source));
}

net::Reply add_list(const Hub& hub, const net::Request& q) {
  mi::LoadOptions defaults;
  defaults.source = std::string(q.asked("source").value_or("").substr(0, 200));
  if (const auto action = q.asked("action")) {
    const auto a = mi::parse_action(*action);
    if (!a) return net::problem(Error{Code::bad_input, "action is watch, warn, hold or block", "?action"});
    defaults.action = *a;
  }
  return report(hub.share_list(q.scope, q.body, q.asked("name").value_or("list").substr(0, 200), defaults));
}

net::Reply remove(const Hub& hub, const net::Request& q) {
  const auto row = row_asked(hub, q);
  if (!row) return net::problem(row.error());
  const auto kind = event::parse_kind(row->kind);
  if (!kind)
    return net::problem(Error{Code::conflict, "a pattern goes with its list: publish the list without it", ""});
  return web::done(hub.unshare(q.scope, {*kind, row->value, row->source}));
}

net::Reply sources(const Hub& hub) {
  const auto counts = hub.state.read([](store::Reader& db) { return book_counts(db); });
  if (!counts) return net::problem(counts.error());
  SourcesView v;
  std::map<std::string, std::int64_t> kinds;
  for (const auto& c : *counts) {
    v.total += c.count;
    kinds[c.kind] += c.count;
    if (v.sources.empty() || v.sources.back().name != c.source) v.sources.push_back({c.source, 0, std::nullopt});
    v.sources.back().count += c.count;
    if (const auto newest = at(c.newest_us); !v.sources.back().newest_at || newest > v.sources.back().newest_at)
      v.sources.back().newest_at = newest;
  }
  for (const auto& [name, n] : kinds) v.kinds.push_back({name, n, std::nullopt});
  std::ranges::stable_sort(v.sources, std::greater{}, &CountView::count);
  std::ranges::stable_sort(v.kinds, std::greater{}, &CountView::count);
  return net::json(net::to_json(v));
}

Result<void> for_all(const net::Request& q) {
  if (q.scope.sees_all()) return {};
  return fail(Code::forbidden, "what all nodes get is published by the joint CERT");
}
net::Handler by_cert(std::function<net::Reply(const net::Request&)> f) {
  return [f = std::move(f)](const net::Request& q) {
    const auto may = for_all(q);
    return may ? f(q) : net::problem(may.error());
  };
}

net::Reply content(const Hub& hub, const net::Request& q, std::string payload) {
  const std::string kind(q.param("kind"));
  if (kind != "rules" && kind != "settings" && kind != "content")
    return net::problem(Error{Code::bad_input, "content is rules, settings or content", kind});
  return web::done(hub.publish_content(q.scope, kind, q.param("name"), std::move(payload)));
}

}  // namespace

void add_indicator_routes(net::Router& router, const HubPtr& hub) {
  router.get("/api/indicators", Needs::indicator_read, [hub](const net::Request& q) { return list(*hub, q); });
  router.get("/api/indicator-sources", Needs::indicator_read, [hub](const net::Request&) { return sources(*hub); });
  router.post("/api/indicators", Needs::publish, by_cert([hub](const net::Request& q) { return add(*hub, q); }),
              {.max_body = 2U << 20U});
  router.post("/api/indicators/lists", Needs::publish,
              by_cert([hub](const net::Request& q) { return add_list(*hub, q); }),
              {.max_body = kMostList, .deadline = std::chrono::seconds(600)});
  router.get("/api/indicators/{id}", Needs::indicator_read, [hub](const net::Request& q) { return show(*hub, q); });
  router.del("/api/indicators/{id}", Needs::publish, by_cert([hub](const net::Request& q) { return remove(*hub, q); }));
  router.post("/api/bases", Needs::publish, by_cert([hub](const net::Request&) -> net::Reply {
                const auto made = hub->make_base();
                return made ? net::json(net::to_json(BaseView{static_cast<std::int64_t>(*made)}))
                            : net::problem(made.error());
              }),
              {.deadline = std::chrono::seconds(300)});
  router.get("/api/content", Needs::tenants_read, [hub](const net::Request&) -> net::Reply {
    const auto rows = hub->state.read([](store::Reader& db) {
      return db.all<ContentRow>(
          "SELECT kind, name, length(payload) AS bytes, at_us FROM hub_content ORDER BY kind, name LIMIT 10000");
    });
    if (!rows) return net::problem(rows.error());
    std::vector<ContentView> views;
    for (const auto& r : *rows) views.push_back({r.kind, r.name, r.bytes, at_always(r.at_us)});
    return list_of(views);
  });
  router.post("/api/content/{kind}/{name}", Needs::publish, by_cert([hub](const net::Request& q) -> net::Reply {
                if (q.body.empty())
                  return net::problem(Error{Code::bad_input, "content has a text; DELETE withdraws it", ""});
                return content(*hub, q, q.body);
              }));
  router.del("/api/content/{kind}/{name}", Needs::publish,
             by_cert([hub](const net::Request& q) { return content(*hub, q, ""); }));
}

}  // namespace bavn::show::api
