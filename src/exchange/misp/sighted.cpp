// What nodes see of what stands in events becomes sightings in the name of our organisation: that it was seen, and when; no member is named,
// and each report is one, however many records it counts.
#include <fmt/format.h>

#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "event/observable.hpp"
#include "exchange/misp/inner.hpp"
#include "exchange/misp/outward.hpp"

namespace bavn::exchange::misp {

namespace {

constexpr std::int64_t kMostAttributes = 100;  // of one value; more is a list of something common

struct Shared {
  std::string tlp, body;
};
BOOST_DESCRIBE_STRUCT(Shared, (), (tlp, body))

struct Whose {
  std::string ceiling;
};
BOOST_DESCRIBE_STRUCT(Whose, (), (ceiling))

}  // namespace

Result<void> Misp::Inner::node_saw(const store::DomainEvent& e) {
  if (e.kind != "report.sighting") return {};
  const auto colon = e.subject.find(':');
  if (colon == std::string::npos) return {};
  BAVN_TRY(const auto report, state.read([&](store::Reader& r) {
    return r.one<Shared>("SELECT tlp, body FROM hub_shared WHERE node = :n AND item = :i",
                         {{"n", e.subject.substr(0, colon)}, {"i", e.subject.substr(colon + 1)}});
  }));
  if (!report) return {};
  const auto document = net::JsonDocument::parse(report->body);
  if (!document) return {};
  // The title of such an alert: "domain evil.example".
  const std::string_view title = document->root()["title"].text_or({});
  const auto blank = title.find(' ');
  const auto kind = event::parse_kind(title.substr(0, blank));
  const auto what =
      kind && blank != std::string_view::npos ? event::canonical(*kind, title.substr(blank + 1)) : std::nullopt;
  if (!what) return {};  // a pattern: no attribute has it as its value
  std::string values;
  JsonWriter w(values);
  w.array();
  if (what->kind == event::Kind::url && what->value.find("://") == std::string::npos)
    w.value(folded("http://" + what->value)).value(folded("https://" + what->value));
  w.value(folded(what->value)).end();
  BAVN_TRY(auto attributes, state.read([&](store::Reader& r) {
    return r.all<AttributeRow>(
        fmt::format("SELECT {} FROM misp_attribute a JOIN misp_event e ON e.id = a.event WHERE a.id IN (SELECT id FROM "
                    "misp_attribute WHERE value1 IN (SELECT value FROM json_each(:v)) UNION SELECT id FROM "
                    "misp_attribute WHERE value2 <> '' AND value2 IN (SELECT value FROM json_each(:v))) AND a.to_ids = "
                    "1 AND a.deleted = 0 AND e.whole = 1 AND e.published = 1 ORDER BY a.id LIMIT :n",
                    kAttributeColumns),
        {{"v", values}, {"n", kMostAttributes}});
  }));
  Viewer us;
  us.who = std::string(kNodes);
  us.name = options.name;
  SightingIn s;
  s.source = options.name;
  s.tlp = event::parse_tlp(report->tlp).value_or(event::Tlp::red);
  const std::int64_t seen_us = document->root()["last_seen_us"].integer().value_or(0);
  s.at = (seen_us > 0 ? seen_us : e.at_us) / 1'000'000;
  s.inside = !tells_sightings;
  for (AttributeRow& a : attributes) {
    // The same report twice is the same sighting.
    s.uuid = made_uuid(fmt::format("sighting {}|{}|{}", book.own().uuid, e.subject, a.uuid));
    BAVN_TRY(const auto of_day, state.read([&](store::Reader& r) {
      return r.number(
          "SELECT COUNT(*) FROM misp_sighting WHERE attribute = :a AND owner = :w AND at >= :from AND at < :from + "
          "86400",
          {{"a", a.id}, {"w", kNodes}, {"from", s.at / 86400 * 86400}});
    }));
    if (of_day >= sightings_a_day) {
      log::debug("misp_sighting_over_the_day", {{"attribute", a.uuid}});
      continue;
    }
    // Asked now: what is allowed later does not tell what was seen before.
    BAVN_TRY(const auto partner, state.read([&](store::Reader& r) {
      return r.one<Whose>(
          "SELECT p.ceiling AS ceiling FROM misp_event e JOIN exchange_peer p ON p.id = e.peer WHERE e.id = :e AND "
          "p.kind = 'misp' AND p.direction <> 'in'",
          {{"e", a.event}});
    }));
    s.telling = tells_sightings && partner && event::parse_tlp(partner->ceiling).value_or(event::Tlp::clear) >= s.tlp;
    BAVN_CHECK(book.add_sightings(us, {std::move(a)}, s));
  }
  return {};
}

}  // namespace bavn::exchange::misp
