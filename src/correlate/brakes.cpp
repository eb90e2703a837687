// What holds triggers back, and what people decide.
#include <fmt/format.h>

#include <algorithm>

#include "base/local_time.hpp"
#include "base/log.hpp"
#include "correlate/correlator_inner.hpp"

namespace bavn::correlate {

namespace {

constexpr std::string_view kTriggers[] = {"sender_notice", "burst"};
constexpr std::string_view kModes[] = {"shadow", "live", "confirm"};

bool is_one_of(std::span<const std::string_view> all, std::string_view one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

}  // namespace

Result<Correlator::Inner::Mode> Correlator::Inner::mode_of(store::Tx& tx, std::string_view trigger) {
  BAVN_TRY(const auto modes, tx.all<std::string>("SELECT mode FROM corr_trigger WHERE name = :n", {{"n", trigger}}));
  const std::string_view mode = modes.empty() ? options.first_mode : modes.front();
  return mode == "live" ? Mode::live : mode == "confirm" ? Mode::confirm : Mode::shadow;
}

Result<void> Correlator::Inner::set_mode(store::Tx& tx, std::string_view trigger, std::string_view mode,
                                         std::string_view who, std::string_view why) {
  if (!is_one_of(kTriggers, trigger))
    return fail(Code::bad_input, fmt::format("there is no trigger {}; there are sender_notice and burst", trigger));
  if (!is_one_of(kModes, mode))
    return fail(Code::bad_input, fmt::format("{} is no mode; shadow, live or confirm", mode));
  BAVN_CHECK(change(tx,
                    "INSERT INTO corr_trigger (name, mode, why, by_whom, since_us) VALUES (:n, :m, :w, :b, :s) "
                    "ON CONFLICT DO UPDATE SET mode = excluded.mode, why = excluded.why, by_whom = excluded.by_whom, "
                    "since_us = excluded.since_us",
                    {{"n", trigger}, {"m", mode}, {"w", why}, {"b", who}, {"s", tx.now()}}));
  BAVN_CHECK(tx.audit({std::string(who), "trigger." + std::string(mode), std::string(trigger),
                       fmt::format(R"({{"why":{}}})", quoted(why))}));
  return tx.emit("trigger.changed", trigger, fmt::format(R"({{"mode":"{}","why":{}}})", mode, quoted(why)));
}

Result<bool> Correlator::Inner::alone(store::Tx& tx, std::int64_t municipality) {
  if (municipality == 0) return true;
  BAVN_TRY(const auto row,
           tx.one<std::int64_t>("SELECT alone FROM corr_member WHERE municipality = :m", {{"m", municipality}}));
  return row.value_or(1) != 0;
}

Result<void> Correlator::Inner::count_false(store::Tx& tx, const std::string& trigger) {
  if (!is_one_of(kTriggers, trigger)) return {};
  BAVN_TRY(const auto mode, mode_of(tx, trigger));
  if (mode != Mode::live) return {};
  const Instant since = tx.now() - options.false_window;
  BAVN_TRY(const auto count,
           tx.number("SELECT count(*) FROM corr_campaign WHERE lit_us >= :s AND lit_us > 0 AND trigger = :t "
                     "AND judged = 0",
                     {{"s", since}, {"t", trigger}}));
  if (count < options.false_before_confirm) return {};
  log::warn("trigger_braked", {{"trigger", trigger}, {"false_warnings", count}});
  return set_mode(tx, trigger, "confirm", "brake",
                  fmt::format("{} false warnings in {} days", count, options.false_window.count()));
}

Result<void> Correlator::Inner::judge(store::Tx& tx, std::int64_t id, bool real, std::string_view who,
                                      std::string_view why) {
  BAVN_TRY(auto c, need_campaign(tx, id));
  if (c.judged == (real ? 1 : 0)) return {};  // said before
  const bool turned = c.judged >= 0;
  c.judged = real ? 1 : 0;
  c.judged_by = who;
  c.judged_why = std::string(why.substr(0, 500));
  c.judged_us = micros(tx.now());
  const bool was_lit = c.lit_us > 0, would = c.would_light_us > 0;
  if (real && c.state == "false") c.state = was_lit ? "lit" : "suspicion";
  if (!real) c.state = "false";
  BAVN_CHECK(save(tx, c));
  BAVN_CHECK(tx.audit({std::string(who), real ? "campaign.real" : "campaign.false", std::to_string(c.id),
                       fmt::format(R"({{"why":{}}})", quoted(c.judged_why))}));

  // Its notices: to be emptied no longer, or again.
  BAVN_TRY(auto notices, tx.all<ThingRow>("SELECT " BAVN_THING_COLUMNS
                                          " FROM corr_thing WHERE campaign = :c AND kind <> 'group' LIMIT 5000",
                                          {{"c", c.id}}));
  for (auto& n : notices) {
    n.withdrawn = real ? 0 : 1;
    BAVN_CHECK(change(tx, "UPDATE corr_thing SET withdrawn = :w WHERE key = :k", {{"w", n.withdrawn}, {"k", n.key}}));
  }
  for (auto& n : notices)
    if (n.kind == "notice" && (!real || turned)) BAVN_CHECK(tell_second_signs(tx, n, {}, true));

  // Whose signs made it burn, or would have. People who report are not to blame for it.
  BAVN_TRY(const auto signers,
           tx.all<std::int64_t>(
               "SELECT DISTINCT s.municipality FROM corr_thing t JOIN corr_sign s ON s.thing = t.key WHERE "
               "t.campaign = :c AND s.grp IN ('payload', 'harm') AND s.kind NOT IN ('reported', 'click') AND "
               "s.municipality > 0 LIMIT 500",
               {{"c", c.id}}));
  if (was_lit || would || real)
    for (const auto m : signers)
      BAVN_CHECK(change(tx,
                        "INSERT INTO corr_member (municipality, alone, why, by_whom, since_us, not_real, real) VALUES "
                        "(:m, :a, :w, :b, :s, "
                        ":f, :r) ON CONFLICT DO UPDATE SET alone = min(alone, excluded.alone), why = CASE WHEN "
                        "excluded.alone = 0 THEN "
                        "excluded.why ELSE why END, by_whom = CASE WHEN excluded.alone = 0 THEN excluded.by_whom ELSE "
                        "by_whom END, since_us "
                        "= CASE WHEN excluded.alone = 0 THEN excluded.since_us ELSE since_us END, not_real = not_real "
                        "+ excluded.not_real, "
                        "real = real + excluded.real",
                        {{"m", m},
                         {"a", real ? 1 : 0},
                         {"w", real ? std::string() : fmt::format("campaign {} was false", c.id)},
                         {"b", who},
                         {"s", tx.now()},
                         {"f", real ? 0 : 1},
                         {"r", real ? 1 : 0}}));
  if (!real) {
    BAVN_CHECK(tx.emit("campaign.false", std::to_string(c.id), fmt::format(R"({{"was_lit":{}}})", was_lit)));
    if (was_lit) BAVN_CHECK(count_false(tx, c.trigger));
  } else {
    BAVN_CHECK(tx.emit("campaign.updated", std::to_string(c.id), R"({"judged":"real"})"));
  }
  return {};
}

Result<void> Correlator::Inner::call(store::Tx& tx, std::int64_t municipality, const std::string& about,
                                     std::string_view reason, std::int64_t of_campaign) {
  // One call is enough for one thing, whatever is learnt after it; what was withheld is written down once a reason.
  BAVN_TRY(const auto before,
           tx.number("SELECT count(*) FROM corr_call WHERE municipality = :m AND about = :a AND (made = 1 OR "
                     "reason = :r)",
                     {{"m", municipality}, {"a", about}, {"r", reason}}));
  if (before > 0) return {};
  const auto local = local_time(tx.now(), options.zone);
  const auto hour = local ? static_cast<std::int64_t>(local->hour) : 12;
  const bool night = options.night_from > options.night_to ? hour >= options.night_from || hour < options.night_to
                                                           : hour >= options.night_from && hour < options.night_to;
  bool made = true;
  if (night) {
    BAVN_TRY(const auto calls,
             tx.number("SELECT count(*) FROM corr_call WHERE municipality = :m AND at_us > :s AND night = 1 "
                       "AND made = 1",
                       {{"m", municipality}, {"s", tx.now() - std::chrono::days(30)}}));
    made = calls < options.night_calls_per_month;
  }
  BAVN_CHECK(change(
      tx, "INSERT INTO corr_call (municipality, about, reason, at_us, night, made) VALUES (:m, :a, :r, :t, :n, :d)",
      {{"m", municipality}, {"a", about}, {"r", reason}, {"t", tx.now()}, {"n", night}, {"d", made}}));
  return tx.emit(made ? "call.wanted" : "call.withheld", std::to_string(municipality),
                 fmt::format(R"({{"municipality":{},"reason":"{}","about":"{}","campaign":{},"night":{}}})",
                             municipality, reason, about, of_campaign, night),
                 MunicipalityId{static_cast<std::uint16_t>(municipality)});
}

Result<void> Correlator::judge(store::Tx& tx, std::int64_t campaign, bool real, std::string_view who,
                               std::string_view why) {
  return inner_->judge(tx, campaign, real, who, why);
}

Result<void> Correlator::confirm(store::Tx& tx, std::int64_t campaign, std::string_view who) {
  BAVN_TRY(auto c, inner_->need_campaign(tx, campaign));
  if (c.lit_us > 0 && c.state == "lit") return {};
  if (c.judged == 0)
    return fail(Code::conflict, fmt::format("campaign {} was judged false; judge it real first", c.id));
  c.judged = 1;
  c.judged_by = who;
  c.judged_us = micros(tx.now());
  BAVN_CHECK(tx.audit({std::string(who), "campaign.confirm", std::to_string(c.id), "{}"}));
  BAVN_CHECK(inner_->light(tx, c, "person", std::string(who)));
  return inner_->evaluate(tx, c.id);
}

Result<void> Correlator::answer(store::Tx& tx, std::string_view notice, MunicipalityId of, bool yes,
                                std::string_view who) {
  const std::string key = fmt::format("notice:{}", notice);
  BAVN_TRY(auto row, inner_->thing(tx, key));
  // bad_input and not not_found: it may come as a node's report, which would else be sent again for ever.
  if (!row) return refused_for(Code::bad_input, "no_such_notice", "the notice that was answered is not known here");
  BAVN_TRY(const auto reached, tx.number("SELECT count(*) FROM corr_reach WHERE thing = :t AND municipality = :m",
                                         {{"t", key}, {"m", of.value}}));
  if (reached == 0 && row->municipality != of.value)
    return fail(Code::forbidden,
                fmt::format("notice {} neither came from nor went to municipality {}", notice, of.value));
  BAVN_CHECK(tx.audit(
      {std::string(who), yes ? "notice.yes" : "notice.no", key, fmt::format(R"({{"municipality":{}}})", of.value)}));
  if (yes) {
    const event::Sign sign{"harm", std::string(kPersonYes), micros(tx.now()), {}};
    BAVN_TRY(const bool added, inner_->add_sign(tx, key, sign, of.value));
    return added ? inner_->after_signs(tx, *row) : Result<void>{};
  }
  if (row->municipality != of.value)
    return fail(Code::forbidden, "only the sender's municipality can say that its own mail is no attack");
  BAVN_CHECK(change(tx, "UPDATE corr_campaign SET doubted = 1 WHERE id = :c", {{"c", row->campaign}}));
  return inner_->evaluate(tx, row->campaign);
}

Result<std::int64_t> Correlator::merge(store::Tx& tx, std::int64_t campaign, std::int64_t other, std::string_view who,
                                       std::string_view why) {
  BAVN_TRY(const auto a, inner_->need_campaign(tx, campaign));
  BAVN_TRY(const auto b, inner_->need_campaign(tx, other));
  if (a.id == b.id) return fail(Code::conflict, fmt::format("{} and {} are one campaign already", campaign, other));
  for (const CampaignRow* c : {&a, &b})
    if (c->judged == 0)
      return fail(Code::conflict, fmt::format("campaign {} was judged false; judge it real first", c->id));
  BAVN_TRY(const auto left, inner_->merge(tx, a.id, b.id));
  BAVN_CHECK(tx.audit({std::string(who), "campaign.merged", std::to_string(left),
                       fmt::format(R"({{"with":{},"why":{}}})", left == a.id ? b.id : a.id, quoted(why))}));
  BAVN_CHECK(inner_->evaluate(tx, left));
  return left;
}

Result<void> Correlator::close(store::Tx& tx, std::int64_t campaign, std::string_view who) {
  BAVN_TRY(auto c, inner_->need_campaign(tx, campaign));
  if (c.state == "over" || c.state == "false") return {};
  const bool shown = c.state != "candidate";
  c.state = "over";
  c.over_us = micros(tx.now());
  BAVN_CHECK(inner_->save(tx, c));
  BAVN_CHECK(tx.audit({std::string(who), "campaign.over", std::to_string(c.id), "{}"}));
  return shown ? tx.emit("campaign.over", std::to_string(c.id), R"({"by":"person"})") : Result<void>{};
}

Result<void> Correlator::set_mode(store::Tx& tx, std::string_view trigger, std::string_view mode, std::string_view who,
                                  std::string_view why) {
  return inner_->set_mode(tx, trigger, mode, who, why);
}

Result<void> Correlator::replayed(store::Tx& tx, std::string_view trigger, std::int64_t days,
                                  std::int64_t municipalities, std::int64_t false_warnings, std::string_view who) {
  const Options& o = inner_->options;
  if (false_warnings != 0)
    return fail(Code::conflict,
                fmt::format("the replay had {} false warnings; the trigger stays in shadow", false_warnings));
  if (days < o.replay_days || municipalities < o.replay_municipalities)
    return fail(Code::conflict,
                fmt::format("a replay of {} days over {} municipalities is too small; {} days over {} are needed", days,
                            municipalities, o.replay_days, o.replay_municipalities));
  BAVN_TRY(const auto mode, inner_->mode_of(tx, trigger));
  if (mode != Inner::Mode::shadow)
    return fail(Code::conflict, fmt::format("{} is not in shadow; a person decides", trigger));
  return inner_->set_mode(
      tx, trigger, "live", who,
      fmt::format("no false warning in a replay of {} days over {} municipalities", days, municipalities));
}

Result<void> Correlator::trust(store::Tx& tx, MunicipalityId of, std::string_view who, std::string_view why) {
  BAVN_CHECK(tx.audit(
      {std::string(who), "member.trust", std::to_string(of.value), fmt::format(R"({{"why":{}}})", quoted(why))}));
  return change(tx, "UPDATE corr_member SET alone = 1, why = :w, by_whom = :b, since_us = :s WHERE municipality = :m",
                {{"w", why}, {"b", who}, {"s", tx.now()}, {"m", of.value}});
}

}  // namespace bavn::correlate
