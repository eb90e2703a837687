#include "app/hub_open_data.hpp"

#include <algorithm>
#include <boost/describe.hpp>

#include "show/web/answers.hpp"

namespace bavn::app {

namespace {

struct KindRow {
  std::string kind;
  std::int64_t value = 0, behind = 0;
};
BOOST_DESCRIBE_STRUCT(KindRow, (), (kind, value, behind))

constexpr std::string_view kCauses[] = {"attachment", "burst", "sender_notice", "url"};

Result<std::optional<Instant>> first_of(store::Reader& db) {
  BAVN_TRY(
      const auto us,
      db.number("SELECT coalesce(min(at), 0) FROM (SELECT min(sent_at_us) AS at FROM warning WHERE sent_at_us > 0 "
                "UNION ALL SELECT min(noticed_us) FROM corr_campaign WHERE noticed_us > 0 UNION ALL SELECT "
                "min(added_us) FROM hub_indicator UNION ALL SELECT min(from_us) FROM block_entry WHERE from_us > 0)"));
  return us > 0 ? std::optional(from_micros(us)) : std::nullopt;
}

Result<std::vector<exchange::MonthCount>> month_of(store::Reader& db, Instant from, Instant until) {
  std::vector<exchange::MonthCount> all;
  const auto add = [&](std::string_view measure, std::string_view kind, std::int64_t value, std::int64_t behind) {
    all.push_back({{}, std::string(measure), std::string(kind), value, behind});
  };
  // Municipalities are known: those that were warned.
  BAVN_TRY(const auto warnings, db.number("SELECT count(*) FROM warning WHERE sent_at_us >= :a AND sent_at_us < :b",
                                          {{"a", from}, {"b", until}}));
  BAVN_TRY(
      const auto warned,
      db.number("SELECT count(DISTINCT t.municipality) FROM warning_town t JOIN warning w ON w.id = t.warning WHERE "
                "w.sent_at_us >= :a AND w.sent_at_us < :b",
                {{"a", from}, {"b", until}}));
  add("warnings_sent", "", warnings, warned);
  add("municipalities_warned", "", warned, warned);
  BAVN_TRY(
      const auto minutes,
      db.all<std::int64_t>("SELECT (sent_at_us - first_seen_us) / 60000000 FROM warning WHERE sent_at_us >= :a AND "
                           "sent_at_us < :b AND first_seen_us > 0 AND sent_at_us >= first_seen_us ORDER BY 1",
                           {{"a", from}, {"b", until}}));
  if (!minutes.empty()) {
    const auto n = minutes.size();
    BAVN_TRY(const auto told,
             db.number("SELECT count(DISTINCT t.municipality) FROM warning_town t JOIN warning w ON w.id = t.warning "
                       "WHERE w.sent_at_us >= :a AND w.sent_at_us < :b AND w.first_seen_us > 0 AND w.sent_at_us >= "
                       "w.first_seen_us",
                       {{"a", from}, {"b", until}}));
    // 0 minutes would pass for "nothing"; what is faster than a minute is one.
    add("median_minutes_to_warning", "",
        std::max<std::int64_t>(1, n % 2 == 1 ? minutes[n / 2] : (minutes[n / 2 - 1] + minutes[n / 2]) / 2), told);
  }
  // Those whom the mails of the campaigns reached; what nobody was ever shown (candidates) or was no attack is none.
  BAVN_TRY(
      const auto campaigns,
      db.all<KindRow>("SELECT c.cause AS kind, count(DISTINCT c.id) AS value, count(DISTINCT r.municipality) AS "
                      "behind FROM corr_campaign c LEFT JOIN corr_thing t ON t.campaign = c.id AND t.withdrawn = 0 "
                      "LEFT JOIN corr_reach r ON r.thing = t.key WHERE c.noticed_us >= :a AND c.noticed_us < :b AND "
                      "c.state NOT IN ('false', 'merged') AND c.judged <> 0 AND (c.suspicion_us > 0 OR c.lit_us > "
                      "0) GROUP BY c.cause",
                      {{"a", from}, {"b", until}}));
  for (const std::string_view cause : kCauses) {
    const auto at = std::ranges::find(campaigns, cause, &KindRow::kind);
    add("campaigns", cause, at == campaigns.end() ? 0 : at->value, at == campaigns.end() ? 0 : at->behind);
  }
  // Nobody knows whose they were: the things themselves count.
  BAVN_TRY(
      const auto indicators,
      db.all<KindRow>("SELECT CASE kind WHEN '' THEN 'pattern' ELSE kind END AS kind, count(*) AS value, count(*) AS "
                      "behind FROM hub_indicator WHERE added_us >= :a AND added_us < :b GROUP BY 1 ORDER BY 1",
                      {{"a", from}, {"b", until}}));
  for (const auto& i : indicators) add("indicators_shared", i.kind, i.value, i.behind);
  BAVN_TRY(const auto blocks, db.number("SELECT count(*) FROM block_entry WHERE from_us >= :a AND from_us < :b",
                                        {{"a", from}, {"b", until}}));
  add("block_entries", "", blocks, blocks);
  return all;
}

net::Reply file(const exchange::OpenData& data, const net::Request& q, const Result<std::string>& body,
                std::string_view type) {
  if (!data.published())
    return net::problem(
        {Code::not_found, "this CERT publishes no open data (open_data.publish in the settings of its hub)", {}});
  if (!body) return net::problem(body.error());
  const std::string etag = show::web::etag_of_text(*body);
  auto same = show::web::unchanged(q, etag);
  net::Reply reply = same ? std::move(*same) : show::web::tagged(net::text(*body, std::string(type)), etag);
  reply.headers.set("Cache-Control", "public, max-age=3600");
  // Pages of others may read it, too: there is nothing in it that depends on who asks.
  reply.headers.set("Access-Control-Allow-Origin", "*");
  reply.headers.set("Cross-Origin-Resource-Policy", "cross-origin");
  return reply;
}

}  // namespace

exchange::CountSource count_source() {
  return {first_of, month_of};
}

Result<std::unique_ptr<exchange::OpenData>> open_data(HubCore& hub, Runtime& runtime, const HubOptions& options) {
  BAVN_TRY(auto of, exchange::OpenDataOptions::from(options.settings));
  return exchange::OpenData::open({.runtime = runtime,
                                   .state = hub.state(),
                                   .texts = hub.texts(),
                                   .name = options.name.empty() ? "CERT" : options.name,
                                   .options = std::move(of),
                                   .source = count_source()});
}

void add_open_data(net::Router& router, const exchange::OpenData& data, std::function<std::string()> site) {
  const auto none = [] { return Result<std::string>(std::string()); };
  router.get("/open-data/catalog.jsonld", net::Needs::anyone, [&data, site, none](const net::Request& q) {
    return file(data, q, data.published() ? data.catalog(site()) : none(), "application/ld+json");
  });
  router.get("/open-data/counts.csv", net::Needs::anyone, [&data, none](const net::Request& q) {
    return file(data, q, data.published() ? data.csv() : none(), "text/csv; charset=utf-8; header=present");
  });
  router.get("/open-data/counts.json", net::Needs::anyone, [&data, none](const net::Request& q) {
    return file(data, q, data.published() ? data.json() : none(), "application/json");
  });
  router.get("/open-data/counts.csv-metadata.json", net::Needs::anyone,
             [&data](const net::Request& q) { return file(data, q, data.csv_metadata(), "application/csvm+json"); });
}

}  // namespace bavn::app
