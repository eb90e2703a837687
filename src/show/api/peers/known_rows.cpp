#include "show/api/peers/known_rows.hpp"

#include <fmt/format.h>

#include <boost/describe/class.hpp>

#include "base/text.hpp"
#include "show/api/indicators/book.hpp"

namespace bavn::show::api {

namespace {

namespace mi = match::indicators;

struct KnownRow {
  std::int64_t id = 0;
  std::string kind, value, source, action;
  std::int64_t confidence = 0;
  std::string tlp;
  std::int64_t valid_from_us = 0, valid_until_us = 0;
  std::string comment;
  std::int64_t added_us = 0;
  std::optional<std::string> sectors;
};
BOOST_DESCRIBE_STRUCT(KnownRow, (),
                      (id, kind, value, source, action, confidence, tlp, valid_from_us, valid_until_us, comment,
                       added_us, sectors))
struct RemovalRow {
  std::string kind, value, source;
};
BOOST_DESCRIBE_STRUCT(RemovalRow, (), (kind, value, source))

event::Kind kind_of(std::string_view name) {
  return name == "pattern" ? event::Kind{} : event::parse_kind(name).value_or(event::Kind{});
}

}  // namespace

Result<std::vector<exchange::Known>> known_rows(store::Reader& db, const exchange::LibraryAsk& ask) {
  std::string allowed = ",";
  for (const auto tlp :
       {event::Tlp::clear, event::Tlp::green, event::Tlp::amber, event::Tlp::amber_strict, event::Tlp::red})
    if (tlp <= ask.ceiling) allowed += std::string(event::to_string(tlp)) + ",";
  // A tag on "NorCERT" holds for "NorCERT: ESET", too. The index is named: the order is what it has.
  const std::string sql = fmt::format(
      "SELECT id, kind, value, source, action, confidence, tlp, valid_from_us, valid_until_us, comment, added_us, "
      "(SELECT group_concat(sector, ',') FROM exchange_sector s WHERE s.source IN (i.source, CASE WHEN "
      "instr(i.source, ': ') > 0 THEN substr(i.source, 1, instr(i.source, ': ') - 1) ELSE i.source END)) AS sectors "
      "FROM hub_indicator i INDEXED BY {} WHERE {} (added_us, id) > (:after, :after_id) AND (:until = 0 OR added_us < "
      ":until) AND instr(:allowed, ',' || tlp || ',') > 0 AND (:ended OR valid_until_us = 0 OR valid_until_us > :now) "
      "AND (:kind = '' OR kind = :kind) AND (:except = '' OR (source <> :except AND substr(source, 1, "
      "length(:except) + 2) <> :except || ': ')) AND NOT EXISTS (SELECT 1 FROM exchange_sector c WHERE c.source = "
      "i.source AND c.sector = '{}') ORDER BY added_us, id LIMIT :n",
      !ask.value.empty()   ? "hub_indicator_value"
      : ask.source.empty() ? "hub_indicator_changed"
                           : "hub_indicator_source_changed",
      !ask.value.empty()   ? "(:source = '' OR source = :source) AND value = :value AND"
      : ask.source.empty() ? ":source = '' AND :value = '' AND"
                           : "source = :source AND :value = '' AND",
      exchange::kMembersOnly);
  BAVN_TRY(auto rows, db.all<KnownRow>(sql, {{"after", ask.after},
                                             {"after_id", ask.after_id},
                                             {"until", ask.until},
                                             {"allowed", allowed},
                                             {"ended", ask.ended_too},
                                             {"now", ask.now},
                                             {"kind", ask.kind},
                                             {"except", ask.except_peer},
                                             {"source", ask.source},
                                             {"value", ask.value},
                                             {"n", std::clamp<std::size_t>(ask.limit, 1, 10'000)}}));
  std::vector<exchange::Known> out;
  out.reserve(rows.size());
  for (auto& r : rows) {
    exchange::Known k;
    k.id = r.id;
    k.indicator.kind = kind_of(r.kind);
    k.indicator.value = std::move(r.value);
    k.indicator.source = std::move(r.source);
    k.indicator.confidence = static_cast<std::uint8_t>(std::clamp<std::int64_t>(r.confidence, 0, 100));
    k.indicator.tlp = event::parse_tlp(r.tlp).value_or(event::Tlp::red);
    k.indicator.valid_from = from_micros(r.valid_from_us);
    k.indicator.valid_until = from_micros(r.valid_until_us);
    k.indicator.action = mi::parse_action(r.action).value_or(mi::Action::watch);
    k.indicator.comment = std::move(r.comment);
    k.changed = from_micros(r.added_us);
    if (r.sectors)
      for (const auto s : split(*r.sectors, ',')) k.sectors.emplace_back(s);
    out.push_back(std::move(k));
  }
  return out;
}

Result<std::vector<mi::Removal>> rows_of_peer(store::Reader& db, std::string_view peer) {
  // ';' is the character behind ':': everything that begins with "PEER:".
  BAVN_TRY(auto rows, db.all<RemovalRow>("SELECT kind, value, source FROM hub_indicator WHERE source = :p OR (source "
                                         ">= :p || ': ' AND source < :p || ';')",
                                         {{"p", peer}}));
  std::vector<mi::Removal> out;
  out.reserve(rows.size());
  for (auto& r : rows) out.push_back({kind_of(r.kind), std::move(r.value), std::move(r.source)});
  return out;
}

}  // namespace bavn::show::api
