// What a published event marks for detection becomes indicators, and is withdrawn with it. A job of one event looks at all of it again: doing it
// twice changes nothing, and a crash in between is made good by the next time.
#include <fmt/format.h>

#include <algorithm>

#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "event/observable.hpp"
#include "exchange/misp/inner.hpp"
#include "match/indicators/load.hpp"

namespace bavn::exchange::misp {

namespace mi = match::indicators;

namespace {

constexpr std::int64_t kPage = 1000;

struct Given {
  std::string kind, value, source;
  std::int64_t peer = 0;
};
BOOST_DESCRIBE_STRUCT(Given, (), (kind, value, source, peer))

/// What sightings say against an attribute. Who made the event and our own people decide; the others are heard.
struct Against {
  std::int64_t attribute = 0;
  std::int64_t ended_at = 0;  // seconds; said by one who decides
  bool refuted = false;       // a false positive, said by one who decides
  std::int64_t doubters = 0;  // organisations that call it one
};
BOOST_DESCRIBE_STRUCT(Against, (), (attribute, ended_at, refuted, doubters))

constexpr std::int64_t kADoubt = 10;  // of confidence; never more than half of it by those who do not decide

void doubt(mi::Indicator& i, const Against& a) {
  if (a.doubters == 0) return;
  const std::int64_t half = i.confidence / 2;
  i.confidence = static_cast<std::uint8_t>(
      a.refuted ? half : std::max<std::int64_t>(half, i.confidence - kADoubt * std::min<std::int64_t>(a.doubters, 10)));
  if (a.refuted) i.action = mi::Action::watch;
  i.comment = fmt::format("{}{}called a false positive by {}", repair_utf8(std::string_view(i.comment).substr(0, 440)),
                          i.comment.empty() ? "" : "; ", a.doubters);
}

std::string kind_name(event::Kind k) {
  return k == event::Kind{} ? std::string("pattern") : std::string(event::to_string(k));
}

/// One attribute as the reader of lists knows it.
std::string as_list(const EventRow& e, std::string_view source, std::string_view event_tags,
                    std::string_view attribute_tags, const AttributeRow& a) {
  std::string out;
  JsonWriter w(out);
  w.object().key("Event").object().member("info", e.info).key("Orgc").object().member("name", source).end();
  w.key("Tag").raw(event_tags).key("Attribute").array();
  std::string attribute = merged(a.body, fmt::format("{{\"uuid\":\"{}\",\"Tag\":{}}}", a.uuid, attribute_tags));
  w.raw(attribute).end().end().end();
  return out;
}

}  // namespace

Result<void> Misp::Inner::indicators_of(std::int64_t event, std::string_view mode) {
  const std::int64_t fresh = micros(runtime.now());
  Viewer all;
  all.who = "misp";
  all.reads = true;
  all.ceiling = event::Tlp::red;
  BAVN_TRY(const auto e, book.event(all, std::to_string(event)));
  const bool published = e && e->published;
  std::size_t given = 0, passed_over = 0;
  if (e && mode != "none" && (published || mode == "less")) {
    const bool gives = published && mode == "all";
    if (e->owner == kOwnEvents) return {};  // made of indicators
    if (e->peer != 0 && (links.library == nullptr || !links.library->defaults_of)) return {};
    if (e->peer == 0 && !links.publish) return {};
    BAVN_TRY(const auto orgc, book.org(e->orgc));
    mi::LoadOptions defaults;
    mi::Indicator blank;
    std::string source = orgc.name;
    if (e->peer != 0) {
      auto known = links.library->defaults_of(e->peer);
      if (!known) {
        // The partner was removed meanwhile: nobody answers for its indicators any more.
        log::warn("misp_indicators_without_partner", {{"event", e->uuid}});
        return indicators_of(event, "none");
      }
      blank = std::move(*known);
      defaults.confidence = blank.confidence;
      defaults.tlp = blank.tlp;
      defaults.action = blank.action;
      if (e->owner == "partner:" + source) source.clear();
    }
    Render render(book, all);
    BAVN_TRY(const auto event_tags, render.tags(e->id, 0, true));
    std::map<std::int64_t, Against> against;
    BAVN_TRY(const auto said, state.read([&](store::Reader& r) {
      return r.all<Against>(
          "SELECT attribute, MAX(CASE WHEN type = 2 AND voice > 0 THEN at ELSE 0 END) AS ended_at, MAX(type = 1 AND "
          "voice > 0) AS refuted, COUNT(DISTINCT CASE WHEN type = 1 THEN org END) AS doubters FROM misp_sighting WHERE "
          "event = :e AND type > 0 GROUP BY attribute",
          {{"e", event}});
    }));
    for (const Against& a : said) against[a.attribute] = a;
    for (std::int64_t after = 0;;) {
      BAVN_TRY(const auto rows, state.read([&](store::Reader& r) {
        return r.all<AttributeRow>(
            fmt::format(
                "SELECT {} FROM misp_attribute a WHERE a.event = :e AND a.id > :after AND a.to_ids = 1 AND a.deleted = "
                "0 "
                "AND (a.object = 0 OR EXISTS (SELECT 1 FROM misp_object o WHERE o.id = a.object AND o.deleted = 0)) "
                "ORDER BY a.id LIMIT {}",
                kAttributeColumns, kPage),
            {{"e", event}, {"after", after}});
      }));
      BAVN_TRY(const auto shut, state.read([&](store::Reader& r) {
        return r.all<std::int64_t>(
            "SELECT a.id FROM misp_attribute a WHERE a.event = :e AND a.id > :after AND a.id <= :upto AND (a.closed = "
            "1 OR "
            "EXISTS (SELECT 1 FROM misp_object o WHERE o.id = a.object AND o.closed = 1)) ORDER BY a.id",
            {{"e", event}, {"after", after}, {"upto", rows.empty() ? after : rows.back().id}});
      }));
      std::vector<Delivered> delivered;
      for (const AttributeRow& a : rows) {
        // What is for one's own organisation or a sharing group is for our members, and no partner's: as an indicator, too. Of ours
        // the marking says so; a partner's keeps its own, for our nodes, and a source of its own that is never passed on.
        const bool closed = e->closed || std::binary_search(shut.begin(), shut.end(), a.id);
        const auto least = !closed ? event::Tlp::clear : e->peer == 0 ? event::Tlp::amber_strict : event::Tlp::amber;
        const auto words = against.find(a.id);
        if (words != against.end() && words->second.ended_at >= a.timestamp) continue;  // over, until it is changed
        BAVN_TRY(const auto own_tags, render.tags(a.event, a.id, true));
        const auto read = mi::load_bytes(
            as_list(*e, source.empty() ? "misp" : source, event_tags, own_tags, a), "event",
            [&](const mi::Indicator& i) -> Result<void> {
              Delivered d{i, a.uuid};
              d.closed = closed && e->peer != 0;
              d.indicator.source = d.closed ? closed_source(source) : source;
              d.indicator.tlp = std::max(d.indicator.tlp, least);
              if (e->peer != 0) d.indicator.valid_until = blank.valid_until;
              if (words != against.end()) doubt(d.indicator, words->second);
              // Red is for those who are named, and an indicator goes to every node.
              if (e->peer == 0 && d.indicator.tlp == event::Tlp::red) ++passed_over;
              else delivered.push_back(std::move(d));
              return {};
            },
            defaults);
        if (!read) ++passed_over;  // its type is no observable; the report of a single attribute says no more
      }
      if (!delivered.empty()) {
        BAVN_CHECK(state.write_now([&](store::Tx& tx) -> Result<void> {
          for (const Delivered& d : delivered) {
            const std::string_view sql =
                gives ? "INSERT INTO misp_indicator (event, kind, value, source, peer, fresh) VALUES (:e, :k, :v, :s, "
                        ":p, :f) ON "
                        "CONFLICT (event, kind, value, source) DO UPDATE SET fresh = excluded.fresh"
                      : "UPDATE misp_indicator SET fresh = :f WHERE event = :e AND kind = :k AND value = :v AND source "
                        "= :s AND peer = :p";
            BAVN_CHECK(tx.exec(sql, {{"e", event},
                                     {"k", kind_name(d.indicator.kind)},
                                     {"v", d.indicator.value},
                                     {"s", d.indicator.source},
                                     {"p", e->peer},
                                     {"f", fresh}}));
          }
          return {};
        }));
        given += delivered.size();
        if (gives) {
          const std::string name = "event " + e->uuid;
          if (e->peer != 0) {
            const auto taken = links.library->publish(e->peer, std::move(delivered), name);
            if (!taken) return std::unexpected(taken.error());
          } else {
            std::vector<mi::Indicator> plain;
            plain.reserve(delivered.size());
            for (Delivered& d : delivered) plain.push_back(std::move(d.indicator));
            // All of them may be what must never be blocked or is not to be published: that is an answer, not trouble.
            if (const auto done_so = links.publish(std::move(plain), name);
                !done_so && done_so.error().code != Code::forbidden && done_so.error().code != Code::bad_input)
              return std::unexpected(done_so.error());
          }
        }
      }
      if (rows.size() < static_cast<std::size_t>(kPage)) break;
      after = rows.back().id;
    }
    if (gives)
      log::info("misp_event_published", {{"event", e->uuid},
                                         {"indicators", static_cast<std::int64_t>(given)},
                                         {"passed_over", static_cast<std::int64_t>(passed_over)}});
  }
  // What was given before and is not there any more, unless another event says it, too.
  for (;;) {
    BAVN_TRY(const auto old, state.read([&](store::Reader& r) {
      return r.all<Given>(
          "SELECT kind, value, source, peer FROM misp_indicator WHERE event = :e AND fresh <> :f LIMIT 1000",
          {{"e", event}, {"f", fresh}});
    }));
    if (old.empty()) return {};
    std::map<std::int64_t, std::vector<mi::Removal>> removals;
    for (const Given& g : old) {
      BAVN_TRY(const auto others_say, state.read([&](store::Reader& r) {
        return r.number(
            "SELECT COUNT(*) FROM misp_indicator WHERE value = :v AND kind = :k AND source = :s AND peer = :p AND "
            "event <> :e",
            {{"v", g.value}, {"k", g.kind}, {"s", g.source}, {"p", g.peer}, {"e", event}});
      }));
      if (others_say == 0)
        removals[g.peer].push_back({event::parse_kind(g.kind).value_or(event::Kind{}), g.value, g.source});
    }
    for (auto& [peer, list] : removals) {
      if (peer != 0 && links.library != nullptr) {
        const auto gone = links.library->withdraw(peer, std::move(list));
        if (!gone && gone.error().code != Code::not_found) return std::unexpected(gone.error());
      } else if (peer == 0 && links.withdraw) {
        BAVN_CHECK(links.withdraw(list));
      }
    }
    BAVN_CHECK(state.write_now([&](store::Tx& tx) -> Result<void> {
      for (const Given& g : old)
        BAVN_CHECK(tx.exec("DELETE FROM misp_indicator WHERE event = :e AND kind = :k AND value = :v AND source = :s",
                           {{"e", event}, {"k", g.kind}, {"v", g.value}, {"s", g.source}}));
      return {};
    }));
  }
}

}  // namespace bavn::exchange::misp
