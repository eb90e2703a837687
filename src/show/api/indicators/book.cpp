#include "show/api/indicators/book.hpp"

#include <fmt/format.h>

#include "base/text.hpp"
#include "event/observable.hpp"

namespace bavn::show::api {

namespace {

#define BAVN_BOOK_COLUMNS \
  "id, kind, value, source, action, confidence, tlp, valid_from_us, valid_until_us, comment, added_us, added_by"

std::string_view kind_name(event::Kind kind) {
  return kind == event::Kind{} ? std::string_view("pattern") : event::to_string(kind);
}

}  // namespace

std::string book_prefix(std::string_view text) {
  std::string s = event::refang(trim(text));
  for (const std::string_view scheme : {"https://", "http://"})
    if (to_lower(s.substr(0, scheme.size())) == scheme) s.erase(0, scheme.size());
  // Names are kept in lower case, what stands behind the first slash as it was.
  const std::size_t slash = std::min(s.find('/'), s.size());
  return to_lower(s.substr(0, slash)) + s.substr(slash);
}

Result<void> book_add(store::Tx& tx, std::span<const match::indicators::Indicator> indicators, std::string_view who) {
  for (const auto& i : indicators)
    BAVN_CHECK(tx.exec(
        "INSERT INTO hub_indicator (kind, value, source, action, confidence, tlp, valid_from_us, valid_until_us, "
        "comment, added_us, added_by) VALUES (:kind, :value, :source, :action, :confidence, :tlp, :from, :until, "
        ":comment, :now, :who) ON CONFLICT (kind, value, source) DO UPDATE SET action = excluded.action, confidence = "
        "excluded.confidence, tlp = excluded.tlp, valid_from_us = excluded.valid_from_us, valid_until_us = "
        "excluded.valid_until_us, comment = excluded.comment, added_us = excluded.added_us, added_by = "
        "excluded.added_by",
        {{"kind", kind_name(i.kind)},
         {"value", i.value},
         {"source", i.source},
         {"action", match::indicators::to_string(i.action)},
         {"confidence", i.confidence},
         {"tlp", event::to_string(i.tlp)},
         {"from", std::max<std::int64_t>(0, micros(i.valid_from))},
         {"until", std::max<std::int64_t>(0, micros(i.valid_until))},
         {"comment", i.comment},
         {"now", tx.now()},
         {"who", who}}));
  return {};
}

Result<bool> book_remove(store::Tx& tx, const match::indicators::Removal& r) {
  BAVN_TRY(const auto gone,
           tx.exec("DELETE FROM hub_indicator WHERE kind = :k AND value = :v AND (:s = '' OR source = :s)",
                   {{"k", kind_name(r.kind)}, {"v", r.value}, {"s", r.source}}));
  return gone > 0;
}

Result<std::vector<BookRow>> book_page(store::Reader& db, const BookFilter& f, Instant now) {
  const std::string prefix = book_prefix(f.text);
  // The index is named: which one shows a page without sorting is known here, and must not hang on statistics.
  const std::string_view index =
      !prefix.empty()     ? (f.source.empty() ? "hub_indicator_value" : "hub_indicator_source_value")
      : !f.source.empty() ? (f.kind.empty() ? "hub_indicator_source" : "hub_indicator_source_kind")
      : !f.kind.empty()   ? std::string_view("hub_indicator_kind")
                          : std::string_view();
  std::string sql = fmt::format("SELECT " BAVN_BOOK_COLUMNS
                                " FROM hub_indicator {} WHERE (valid_until_us = 0 OR "
                                "valid_until_us > :now) AND (:action = '' OR action = :action)",
                                index.empty() ? std::string("NOT INDEXED") : fmt::format("INDEXED BY {}", index));
  sql += f.kind.empty() ? " AND :kind = ''" : " AND kind = :kind";
  sql += f.source.empty() ? " AND :source = ''" : " AND source = :source";
  if (prefix.empty()) {
    sql += " AND (:before = 0 OR id < :before) ORDER BY id DESC LIMIT :n";
    return db.all<BookRow>(sql, {{"now", now},
                                 {"action", f.action},
                                 {"kind", f.kind},
                                 {"source", f.source},
                                 {"before", f.before_id},
                                 {"n", f.limit + 1}});
  }
  const bool further = !f.after_value.empty();
  sql += " AND value >= :from AND value < :to";
  if (further) sql += " AND (value > :from OR id > :after)";
  sql += " ORDER BY value, id LIMIT :n";
  const std::string& from = further ? f.after_value : prefix;
  const std::string to = prefix + "\xf4\x8f\xbf\xbf";  // the last character there is
  if (further)
    return db.all<BookRow>(sql, {{"now", now},
                                 {"action", f.action},
                                 {"kind", f.kind},
                                 {"source", f.source},
                                 {"from", from},
                                 {"to", to},
                                 {"after", f.after_id},
                                 {"n", f.limit + 1}});
  return db.all<BookRow>(sql, {{"now", now},
                               {"action", f.action},
                               {"kind", f.kind},
                               {"source", f.source},
                               {"from", from},
                               {"to", to},
                               {"n", f.limit + 1}});
}

Result<std::optional<BookRow>> book_row(store::Reader& db, std::int64_t id) {
  return db.one<BookRow>("SELECT " BAVN_BOOK_COLUMNS " FROM hub_indicator WHERE id = :i", {{"i", id}});
}

Result<std::vector<std::string>> book_also(store::Reader& db, const BookRow& row) {
  return db.all<std::string>(
      "SELECT source FROM hub_indicator WHERE kind = :k AND value = :v AND source <> :s ORDER BY source LIMIT 100",
      {{"k", row.kind}, {"v", row.value}, {"s", row.source}});
}

Result<std::vector<BookCount>> book_counts(store::Reader& db) {
  return db.all<BookCount>(
      "SELECT source, kind, count, newest_us FROM hub_indicator_count WHERE count > 0 ORDER BY source, kind");
}

}  // namespace bavn::show::api
