#pragma once
// The inside of Correlator, for its .cpp files: one struct, its functions by topic. Not for other modules.
// Everything that changes runs in a unit of the state's writer, so it needs no lock; what it remembers outside of tables (rates, refusals)
// is counting only and may be lost in a crash.
#include <boost/describe/class.hpp>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/guarded.hpp"
#include "correlate/correlator.hpp"
#include "correlate/signs.hpp"
#include "event/notices.hpp"

namespace bavn::correlate {

struct ThingRow {
  std::string key{}, kind{};
  std::int64_t campaign = 0, municipality = 0, from_municipality = 0;
  std::string sender{};
  std::int64_t first_us = 0, last_us = 0, noticed_us = 0, received_us = 0;
  std::int64_t mails = 0, recipients = 0, outside = 0, usual = 0;
  std::string source{};
  std::int64_t late_s = 0, part = 0;
  std::string subject_hash{}, body_hash{}, about_kind{}, about{}, about_name{}, second{};
  std::int64_t withdrawn = 0;
};
BOOST_DESCRIBE_STRUCT(ThingRow, (),
                      (key, kind, campaign, municipality, from_municipality, sender, first_us, last_us, noticed_us,
                       received_us, mails, recipients, outside, usual, source, late_s, part, subject_hash, body_hash,
                       about_kind, about, about_name, second, withdrawn))

struct CampaignRow {
  std::int64_t id = 0;
  std::string state, cause, trigger;
  std::int64_t severity = 0, impact = 0, spread = 0, rank = 0, first_us = 0, last_us = 0, noticed_us = 0, opened_us = 0,
               active_us = 0, suspicion_us = 0, would_light_us = 0, lit_us = 0, over_us = 0;
  std::string lit_by;
  std::int64_t judged = -1;
  std::string judged_by, judged_why;
  std::int64_t judged_us = 0, municipalities = 0, senders = 0, mails = 0, outside = 0, clicks = 0, reporters = 0,
               things = 0, told = 0;
  std::string told_what;
  std::int64_t merged_into = 0, doubted = 0, sole = 0;
};
BOOST_DESCRIBE_STRUCT(CampaignRow, (),
                      (id, state, cause, trigger, severity, impact, spread, rank, first_us, last_us, noticed_us,
                       opened_us, active_us, suspicion_us, would_light_us, lit_us, over_us, lit_by, judged, judged_by,
                       judged_why, judged_us, municipalities, senders, mails, outside, clicks, reporters, things, told,
                       told_what, merged_into, doubted, sole))

struct ReachRow {
  std::string thing;
  std::int64_t municipality = 0, mails = 0, first_us = 0, last_us = 0, parts = 0;
  std::string domains;
};
BOOST_DESCRIBE_STRUCT(ReachRow, (), (thing, municipality, mails, first_us, last_us, parts, domains))

struct SignRow {
  std::string thing, grp, kind;
  std::int64_t municipality = 0;
  std::string ref;
  std::int64_t at_us = 0, count = 0;
  std::string detail;
};
BOOST_DESCRIBE_STRUCT(SignRow, (), (thing, grp, kind, municipality, ref, at_us, count, detail))

/// What a campaign is, read together.
struct Picture {
  std::vector<ThingRow> things;
  std::vector<ReachRow> reach;
  std::vector<SignRow> signs;
};
Result<Picture> picture_of(store::Reader& db, std::int64_t campaign);
/// Mails by (from, to): what a notice and a burst both tell is counted once.
std::map<std::pair<std::int64_t, std::int64_t>, ReachRow> edges_of(const Picture& picture);
std::vector<SignFact> facts_from(const std::vector<SignRow>& rows);

#define BAVN_THING_COLUMNS                                                                                             \
  "key, kind, campaign, municipality, from_municipality, sender, first_us, last_us, noticed_us, received_us, mails, "  \
  "recipients, outside, usual, source, late_s, part, subject_hash, body_hash, about_kind, about, about_name, second, " \
  "withdrawn"
#define BAVN_CAMPAIGN_COLUMNS                                                                                        \
  "id, state, cause, trigger, severity, impact, spread, rank, first_us, last_us, noticed_us, opened_us, active_us, " \
  "suspicion_us, would_light_us, lit_us, over_us, lit_by, judged, judged_by, judged_why, judged_us, "                \
  "municipalities, senders, mails, outside, clicks, reporters, things, told, told_what, merged_into, doubted, sole"

constexpr std::string_view kShiftTimer = "correlate.shift", kQuietTimer = "correlate.quiet";
constexpr std::int64_t kSignsPerThing = 64;  // rows; more are counted as refused

/// tx.exec() without the number of rows.
Result<void> change(store::Tx& tx, std::string_view sql, store::Binds binds);
/// A refusal: `reason` is a word for counting ("foreign_sender"), `what` for people.
std::unexpected<Error> refused_for(Code code, std::string_view reason, std::string what);

struct Correlator::Inner {
  Runtime& runtime;
  store::State& state;
  const Members& members;
  Down down;
  Options options;
  Metrics& metrics;
  Digests* digests;
  Intelligence known;

  // Reports (reports.cpp)
  Result<void> take(store::Tx& tx, const Report& report);
  Result<void> take_sender_notice(store::Tx& tx, const Report& report);
  Result<void> take_burst(store::Tx& tx, const Report& report);
  Result<void> take_takeover(store::Tx& tx, const Report& report);
  Result<void> take_harm(store::Tx& tx, const Report& report);
  Result<void> take_digests(store::Tx& tx, const Report& report);
  Result<void> join_waiting_harm(store::Tx& tx);
  Result<void> within_rate(const Report& report, std::string_view what, std::int64_t limit);
  void note_refused(MunicipalityId of, std::string_view kind, std::string_view reason, std::string_view example);

  // Sender notices on their way to receivers (sender_notices.cpp)
  struct ToOne {
    std::int64_t mails = 0;
    std::vector<std::string> domains, ids;
  };
  Result<void> send_ids(store::Tx& tx, const ThingRow& notice, const std::map<std::uint16_t, ToOne>& to);
  /// Tells every receiver when second signs are new, or the notice was withdrawn; `except` were told just now.
  Result<void> tell_second_signs(store::Tx& tx, ThingRow& notice, const std::map<std::uint16_t, ToOne>& except,
                                 bool anyway = false);
  Result<Weight> second_signs_of(store::Tx& tx, const ThingRow& notice);

  // Signs (second_signs.cpp)
  Result<bool> add_sign(store::Tx& tx, const std::string& thing, const event::Sign& sign, std::int64_t municipality,
                        std::string_view ref = {}, std::int64_t count = 1);
  Result<bool> add_takeover(store::Tx& tx, const std::string& thing, std::int64_t municipality, std::string_view level,
                            std::int64_t at_us, std::string_view steps);
  /// Takeovers and signs of harm that came before the thing did.
  Result<bool> join_earlier_signs(store::Tx& tx, const ThingRow& thing);
  Result<std::vector<ThingRow>> things_of_sender(store::Tx& tx, std::string_view sender, std::int64_t from_us,
                                                 std::int64_t to_us);
  Result<void> after_signs(store::Tx& tx, ThingRow thing);

  // Clusters (clusters.cpp)
  Result<void> insert_thing(store::Tx& tx, const ThingRow& thing);
  Result<std::optional<ThingRow>> thing(store::Tx& tx, std::string_view key);
  /// Puts the thing into the campaign it belongs to, merges campaigns it joins, or opens one. Gives the campaign's id; 0: that campaign is full,
  /// and the thing is not kept (never a sender notice: its receivers must hear of it).
  /// senders: municipalities of a group's sender domains.
  Result<std::int64_t> assign(store::Tx& tx, ThingRow& thing, std::string_view cause,
                              const std::vector<std::int64_t>& senders = {});
  Result<std::int64_t> open_campaign(store::Tx& tx, const ThingRow& thing, std::string_view cause);
  struct Found {
    std::int64_t score = 0;
    bool chain = false, near_subject = false, near_body = false, sender = false;
  };
  Result<std::map<std::int64_t, Found>> look_alike(store::Tx& tx, const ThingRow& thing,
                                                   const std::vector<std::int64_t>& senders);
  Result<void> near(store::Tx& tx, const ThingRow& thing, std::string_view kind, std::string_view hash,
                    std::int64_t at_most, std::map<std::int64_t, Found>& found);
  Result<void> add_links(store::Tx& tx, const ThingRow& thing);
  Result<bool> taken_over(store::Tx& tx, const ThingRow& thing, std::int64_t campaign);
  Result<bool> content_known(store::Tx& tx, std::int64_t campaign, std::string_view kind);
  Result<std::int64_t> merge(store::Tx& tx, std::int64_t a, std::int64_t b);
  Result<std::optional<CampaignRow>> campaign(store::Tx& tx, std::int64_t id);
  Result<CampaignRow> need_campaign(store::Tx& tx, std::int64_t id);

  // Groups of digests (candidates.cpp)
  Result<void> take_group(store::Tx& tx, const Group& group);
  bool pilot();

  // What a campaign is now (verdicts.cpp)
  Result<void> evaluate(store::Tx& tx, std::int64_t campaign);
  struct Verdict {
    std::string trigger;  // empty: nothing lights
  };
  Result<Verdict> verdict(store::Tx& tx, const CampaignRow& c, const Picture& p, const std::vector<SignFact>& signs);
  Result<void> light(store::Tx& tx, CampaignRow& c, const std::string& trigger, const std::string& by);
  Result<void> suspect(store::Tx& tx, CampaignRow& c, bool anyway);
  Result<void> on_shift(store::Tx& tx);
  Result<void> on_quiet(store::Tx& tx, std::int64_t campaign);
  Result<void> save(store::Tx& tx, const CampaignRow& c);
  std::int64_t shift_start(Instant now) const;

  // Brakes and people (brakes.cpp)
  Result<void> judge(store::Tx& tx, std::int64_t id, bool real, std::string_view who, std::string_view why);
  Result<void> count_false(store::Tx& tx, const std::string& trigger);
  Result<bool> alone(store::Tx& tx, std::int64_t municipality);
  enum class Mode : std::uint8_t { shadow, live, confirm };
  Result<Mode> mode_of(store::Tx& tx, std::string_view trigger);
  Result<void> set_mode(store::Tx& tx, std::string_view trigger, std::string_view mode, std::string_view who,
                        std::string_view why);
  /// The duty contact is to be called; at night within the month's budget. Once for each (municipality, about, reason).
  Result<void> call(store::Tx& tx, std::int64_t municipality, const std::string& about, std::string_view reason,
                    std::int64_t campaign);

  struct Rate {
    std::int64_t hour = 0, count = 0;
  };
  std::map<std::pair<std::uint16_t, std::string_view>, Rate> rates{};
  struct Refused {
    std::int64_t count = 0, first_us = 0, last_us = 0;
    std::string example;
  };
  struct Refusals {
    std::map<std::tuple<std::uint16_t, std::string, std::string>, Refused> waiting;  // for the table
    std::map<std::string, std::uint64_t> all;
    bool writing = false;
  };
  std::shared_ptr<Guarded<Refusals>> refusals = std::make_shared<Guarded<Refusals>>();
  std::optional<Duration> pilot_at{};
  bool is_pilot = false;
};

}  // namespace bavn::correlate
