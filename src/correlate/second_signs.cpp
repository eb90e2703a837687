// Signs beside the main one: kept once each, joined to what they are about whichever came first, and told on.
#include <algorithm>

#include "correlate/correlator_inner.hpp"

namespace bavn::correlate {

namespace {
struct TakeoverSeen {
  std::int64_t municipality = 0;
  std::string level, steps;
  std::int64_t noticed_us = 0;
};
BOOST_DESCRIBE_STRUCT(TakeoverSeen, (), (municipality, level, steps, noticed_us))
}  // namespace

std::vector<SignFact> facts_from(const std::vector<SignRow>& rows) {
  // The same report may stand with several things of one sender: it counts once.
  std::map<std::tuple<std::string_view, std::string_view, std::int64_t, std::string_view>, SignFact> once;
  for (const auto& r : rows) {
    auto [it, added] = once.try_emplace({r.grp, r.kind, r.municipality, r.ref},
                                        SignFact{r.grp, r.kind, r.municipality, r.at_us, r.count, r.detail});
    if (added) continue;
    it->second.at_us = std::min(it->second.at_us, r.at_us);
    it->second.count = std::max(it->second.count, r.count);
  }
  std::vector<SignFact> out;
  out.reserve(once.size());
  for (auto& [key, fact] : once) out.push_back(std::move(fact));
  return out;
}

/// True when it says something new.
Result<bool> Correlator::Inner::add_sign(store::Tx& tx, const std::string& about, const event::Sign& sign,
                                         std::int64_t municipality, std::string_view ref, std::int64_t count) {
  BAVN_TRY(const auto there,
           tx.one<std::int64_t>("SELECT count FROM corr_sign WHERE thing = :t AND grp = :g AND kind = :k AND "
                                "municipality = :m AND ref = :r",
                                {{"t", about}, {"g", sign.group}, {"k", sign.kind}, {"m", municipality}, {"r", ref}}));
  if (there && *there >= count) return false;
  if (!there) {
    BAVN_TRY(const auto kept, tx.number("SELECT count(*) FROM corr_sign WHERE thing = :t AND municipality = :m",
                                        {{"t", about}, {"m", municipality}}));
    if (kept >= kSignsPerThing) {
      note_refused(MunicipalityId{static_cast<std::uint16_t>(municipality)}, "harm", "too_many_signs",
                   "one municipality told more signs about one thing than are kept");
      return false;
    }
  }
  BAVN_CHECK(change(tx,
                    "INSERT INTO corr_sign (thing, grp, kind, municipality, ref, at_us, count, detail) "
                    "VALUES (:t, :g, :k, :m, :r, :a, :n, :d) ON CONFLICT DO UPDATE SET count = excluded.count",
                    {{"t", about},
                     {"g", sign.group},
                     {"k", sign.kind},
                     {"m", municipality},
                     {"r", ref},
                     {"a", sign.at_us},
                     {"n", count},
                     {"d", sign.detail}}));
  return true;
}

Result<bool> Correlator::Inner::add_takeover(store::Tx& tx, const std::string& about, std::int64_t municipality,
                                             std::string_view level, std::int64_t at_us, std::string_view steps) {
  event::Sign sign{.group = "harm",
                   .kind = std::string(kTakeoverKinds[std::max(0, takeover_level(level))]),
                   .at_us = at_us,
                   .detail = std::string(steps)};
  return add_sign(tx, about, sign, municipality);
}

Result<std::vector<ThingRow>> Correlator::Inner::things_of_sender(store::Tx& tx, std::string_view sender,
                                                                  std::int64_t from_us, std::int64_t to_us) {
  return tx.all<ThingRow>("SELECT " BAVN_THING_COLUMNS
                          " FROM corr_thing WHERE sender = :s AND sender <> '' AND last_us >= :f AND first_us <= :t "
                          "ORDER BY last_us DESC LIMIT 50",
                          {{"s", sender}, {"f", from_us}, {"t", to_us}});
}

Result<bool> Correlator::Inner::join_earlier_signs(store::Tx& tx, const ThingRow& row) {
  const std::int64_t takeover = std::chrono::microseconds(options.takeover_window).count();
  const std::int64_t harm = std::chrono::microseconds(options.harm_window).count();
  BAVN_TRY(
      const auto levels,
      tx.all<TakeoverSeen>("SELECT municipality, level, steps, noticed_us FROM corr_takeover WHERE account = :a AND "
                           "noticed_us >= :f AND first_us <= :t LIMIT 10",
                           {{"a", row.sender}, {"f", row.first_us - takeover}, {"t", row.last_us + takeover}}));
  bool more = false;
  for (const auto& l : levels) {
    BAVN_TRY(const bool added, add_takeover(tx, row.key, l.municipality, l.level, l.noticed_us, l.steps));
    more |= added;
  }
  BAVN_TRY(
      const auto joined,
      tx.exec("INSERT OR IGNORE INTO corr_sign (thing, grp, kind, municipality, ref, at_us, count, detail) "
              "SELECT :k, grp, kind, municipality, ref, at_us, count, detail FROM corr_sign "
              "WHERE thing = :s AND at_us >= :f AND at_us <= :t AND (:burst OR municipality = :own OR municipality IN "
              "(SELECT municipality FROM corr_reach WHERE thing = :k)) LIMIT 200",
              {{"k", row.key},
               {"s", "sender:" + row.sender},
               {"f", row.first_us - harm},
               {"t", row.last_us + harm},
               {"burst", row.kind != "notice"},
               {"own", row.municipality}}));
  return more || joined > 0;
}

Result<void> Correlator::Inner::after_signs(store::Tx& tx, ThingRow row) {
  // A takeover may show that two campaigns are one.
  BAVN_TRY(row.campaign, assign(tx, row, row.kind == "notice" ? "sender_notice" : row.kind));
  // Receivers of every notice of the same sender hear of it; a group's signs are for all notices of its campaign.
  BAVN_TRY(auto notices,
           tx.all<ThingRow>("SELECT " BAVN_THING_COLUMNS
                            " FROM corr_thing WHERE campaign = :c AND kind = 'notice' AND (sender = :s OR "
                            ":s = '') ORDER BY first_us DESC LIMIT 50",
                            {{"c", row.campaign}, {"s", row.sender}}));
  for (auto& n : notices) BAVN_CHECK(tell_second_signs(tx, n, {}));
  return evaluate(tx, row.campaign);
}

}  // namespace bavn::correlate
