// What we know ourselves, as a MISP sees it: an event for each source, day and marking, published and read-only. Partners' indicators are not among
// them: their events are here as they came, and nobody gets his own words back in our name.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "exchange/misp/inner.hpp"
#include "exchange/misp/outward.hpp"

namespace bavn::exchange::misp {

namespace {

constexpr std::size_t kPage = 1000, kMostATurn = 50'000;

struct Cursor {
  std::int64_t at_us = 0, id = 0;
};
BOOST_DESCRIBE_STRUCT(Cursor, (), (at_us, id))

}  // namespace

Result<void> Misp::Inner::own_events() {
  if (links.library == nullptr || !links.library->read) return {};
  BAVN_TRY(const auto partners,
           state.read([&](store::Reader& r) { return r.all<std::string>("SELECT name FROM exchange_peer"); }));
  const auto of_partner = [&](std::string_view source) {
    return std::any_of(partners.begin(), partners.end(), [&](const std::string& p) {
      return source == p || (source.starts_with(p) && source.substr(p.size()).starts_with(": "));
    });
  };
  Viewer us;
  us.who = std::string(kOwnEvents);
  us.name = options.name;
  us.reads = us.writes = us.publishes = true;
  us.ceiling = event::Tlp::red;
  const auto cursor_of = [&](std::string_view name) -> Result<Cursor> {
    BAVN_TRY(const auto rows, state.read([&](store::Reader& r) {
      return r.all<Cursor>("SELECT at_us, id FROM misp_cursor WHERE name = :n", {{"n", name}});
    }));
    return rows.empty() ? Cursor{} : rows.front();
  };
  const auto keep = [&](std::string_view name, const Cursor& c) {
    return state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("INSERT OR REPLACE INTO misp_cursor (name, at_us, id) VALUES (:n, :at, :id)",
                         {{"n", name}, {"at", c.at_us}, {"id", c.id}}));
      return {};
    });
  };
  BAVN_TRY(Cursor at, cursor_of("own"));
  for (std::size_t seen = 0; seen < kMostATurn;) {
    LibraryAsk ask;
    ask.ceiling = event::Tlp::amber_strict;  // red is for those who are named
    ask.after = from_micros(at.at_us);
    ask.after_id = at.id;
    ask.until = runtime.now();
    ask.limit = kPage;
    BAVN_TRY(const auto page, links.library->read(ask));
    std::vector<const Known*> ours;
    for (const Known& k : page) {
      if (of_partner(k.indicator.source)) continue;
      BAVN_TRY(const auto from_event, state.read([&](store::Reader& r) {
        return r.number("SELECT COUNT(*) FROM misp_indicator WHERE value = :v AND source = :s",
                        {{"v", k.indicator.value}, {"s", k.indicator.source}});
      }));
      if (from_event > 0) continue;      // of an event that is here
      if (!k.sectors.empty()) continue;  // for some only: events of a day are for all who may have their marking
      ours.push_back(&k);
    }
    for (const OutwardEvent& e : outward_events(ours)) {
      std::string json;
      append_event(json, book.own(), e, runtime.now());
      const auto put = book.put(us, json, {.how = Putting::sync});
      if (!put && put.error().code == Code::unavailable) return std::unexpected(put.error());
      if (!put) log::warn("misp_own_event_not_written", {{"source", e.source}, {"reason", to_string(put.error())}});
    }
    seen += page.size();
    if (!page.empty()) {
      at = {micros(page.back().changed), page.back().id};
      BAVN_CHECK(keep("own", at));
    }
    if (page.size() < kPage) break;
  }
  // Withdrawn is deleted, and the event says that it changed.
  if (!links.library->gone) return {};
  BAVN_TRY(Cursor gone_at, cursor_of("gone"));
  for (;;) {
    BAVN_TRY(const auto gone, links.library->gone(gone_at.id, kPage));
    for (const Gone& g : gone) {
      match::indicators::Indicator was;
      was.kind = event::parse_kind(g.kind).value_or(event::Kind{});
      was.value = g.value;
      BAVN_CHECK(state.write_now([&](store::Tx& tx) -> Result<void> {
        BAVN_TRY(
            const auto rows,
            tx.all<AttributeRow>(
                fmt::format(
                    "SELECT {} FROM misp_attribute a JOIN misp_event e ON e.id = a.event JOIN misp_org o ON o.id = "
                    "e.orgc WHERE a.value1 = :v AND a.type = :t AND a.deleted = 0 AND e.owner = :w AND o.name = :s",
                    kAttributeColumns),
                {{"v", folded(value_for(was))}, {"t", type_for(was)}, {"w", kOwnEvents}, {"s", g.source}}));
        const std::int64_t now = micros(tx.now()) / 1'000'000;
        for (const AttributeRow& a : rows) {
          BAVN_CHECK(
              tx.exec("UPDATE misp_attribute SET deleted = 1, timestamp = MAX(timestamp + 1, :now) WHERE id = :a",
                      {{"now", now}, {"a", a.id}}));
          BAVN_CHECK(
              tx.exec("UPDATE misp_event SET timestamp = MAX(timestamp + 1, :now), changed_us = :us, attribute_count = "
                      "attribute_count - 1 "
                      "WHERE id = :e",
                      {{"now", now}, {"us", tx.now()}, {"e", a.event}}));
        }
        return {};
      }));
      gone_at.id = g.id;
    }
    if (gone.empty()) return {};
    BAVN_CHECK(keep("gone", gone_at));
    if (gone.size() < kPage) return {};
  }
}

}  // namespace bavn::exchange::misp
