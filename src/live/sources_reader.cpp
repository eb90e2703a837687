#include "live/sources_reader.hpp"

#include <boost/describe.hpp>

#include "base/json_writer.hpp"

namespace bavn::live {

namespace {

struct Row {
  std::string source;
  std::int64_t municipality = 0, tenant = 0, first_at_us = 0, last_at_us = 0, newest_happened_us = 0, lag_us = 0,
               records = 0, bytes = 0, refused = 0, duplicates = 0, records_today = 0, bytes_today = 0,
               refused_today = 0;
};
BOOST_DESCRIBE_STRUCT(Row, (),
                      (source, municipality, tenant, first_at_us, last_at_us, newest_happened_us, lag_us, records,
                       bytes, refused, duplicates, records_today, bytes_today, refused_today))

struct ReasonRow {
  std::string source;
  std::int64_t municipality = 0, tenant = 0;
  std::string reason;
  std::int64_t count = 0;
  std::string first;
  std::int64_t first_at_us = 0, last_at_us = 0;
};
BOOST_DESCRIBE_STRUCT(ReasonRow, (), (source, municipality, tenant, reason, count, first, first_at_us, last_at_us))

}  // namespace

Result<std::vector<SourceRow>> SourcesReader::list(const event::Scope& scope, Instant now) const {
  if (!scope.may(event::Right::alert_read)) return fail(Code::forbidden, scope.who() + " may not read the sources");
  const std::int64_t day = micros(now) / (24LL * 3600 * 1'000'000);
  return state_.read([&](store::Reader& db) -> Result<std::vector<SourceRow>> {
    BAVN_TRY(
        const auto rows,
        db.all<Row>(
            "SELECT s.source, s.municipality, s.tenant, s.first_at_us, s.last_at_us, s.newest_happened_us, s.lag_us, "
            "s.records, s.bytes, s.refused, s.duplicates, coalesce(d.records, 0) AS records_today, coalesce(d.bytes, "
            "0) "
            "AS bytes_today, coalesce(d.refused, 0) AS refused_today FROM live_source s LEFT JOIN live_source_day d ON "
            "d.source = s.source AND d.municipality = s.municipality AND d.tenant = s.tenant AND d.day = :day ORDER BY "
            "s.municipality, s.source, s.tenant",
            {{"day", day}}));
    BAVN_TRY(const auto reasons,
             db.all<ReasonRow>("SELECT source, municipality, tenant, reason, count, first, first_at_us, last_at_us "
                               "FROM live_refused ORDER BY count DESC"));
    std::vector<SourceRow> out;
    for (const Row& r : rows) {
      if (!scope.sees(MunicipalityId{static_cast<std::uint16_t>(r.municipality)})) continue;
      SourceRow o;
      o.source = r.source;
      o.municipality = r.municipality;
      o.tenant = r.tenant;
      o.records = r.records;
      o.bytes = r.bytes;
      o.refused = r.refused;
      o.duplicates = r.duplicates;
      o.records_today = r.records_today;
      o.bytes_today = r.bytes_today;
      o.refused_today = r.refused_today;
      o.first_at_us = r.first_at_us;
      o.last_at_us = r.last_at_us;
      o.newest_happened_us = r.newest_happened_us;
      o.lag_us = r.lag_us;
      for (const ReasonRow& x : reasons)
        if (x.source == r.source && x.municipality == r.municipality && x.tenant == r.tenant)
          o.reasons.push_back({x.reason, x.count, x.first, x.first_at_us, x.last_at_us});
      out.push_back(std::move(o));
    }
    return out;
  });
}

void append_json(std::string& out, const SourceRow& r) {
  const auto time = [](std::int64_t us) { return us == 0 ? std::string() : format_time(from_micros(us)); };
  JsonWriter w(out);
  w.object().member("source", r.source).member("municipality", r.municipality).member("tenant", r.tenant);
  w.member("records", r.records)
      .member("bytes", r.bytes)
      .member("refused", r.refused)
      .member("duplicates", r.duplicates);
  w.member("records_today", r.records_today)
      .member("bytes_today", r.bytes_today)
      .member("refused_today", r.refused_today);
  w.member("first_at", time(r.first_at_us)).member("last_at", time(r.last_at_us));
  w.member("newest_happened", time(r.newest_happened_us));
  if (r.lag_us >= 0) w.member("lag_seconds", r.lag_us / 1'000'000);
  w.key("reasons").array();
  for (const RefusedReason& x : r.reasons) {
    w.object().member("reason", x.reason).member("count", x.count).member("first", x.first);
    w.member("first_at", time(x.first_at_us)).member("last_at", time(x.last_at_us)).end();
  }
  w.end().end();
}

}  // namespace bavn::live
