#include "app/duty_call.hpp"

#include <fmt/format.h>

#include "base/json_writer.hpp"
#include "base/local_time.hpp"
#include "base/log.hpp"

namespace bavn::app {

Result<std::size_t> DutyCall::call(store::Tx& tx, const CallWanted& wanted) {
  const Instant now = tx.now();
  BAVN_TRY(const auto local, local_time(now, options_.zone));
  const unsigned hour = local.hour;
  const bool night = options_.night_from > options_.night_to ? hour >= options_.night_from || hour < options_.night_to
                                                             : hour >= options_.night_from && hour < options_.night_to;
  using std::chrono::days;
  BAVN_TRY(
      const std::int64_t about_it,
      tx.number(
          "SELECT count(*) FROM duty_call WHERE municipality = :m AND at_us > :since AND messages > 0 AND "
          "account = :a AND taken >= :t",
          {{"m", wanted.municipality}, {"since", now - days(1)}, {"a", wanted.account}, {"t", wanted.taken ? 1 : 0}}));
  if (about_it > 0) return std::size_t{0};  // they know
  BAVN_TRY(const std::int64_t nights,
           tx.number("SELECT count(*) FROM duty_call WHERE municipality = :m AND at_us > :since AND messages > 0 AND "
                     "night = 1",
                     {{"m", wanted.municipality}, {"since", now - days(30)}}));
  BAVN_TRY(const std::int64_t today,
           tx.number("SELECT count(*) FROM duty_call WHERE municipality = :m AND at_us > :since AND messages > 0",
                     {{"m", wanted.municipality}, {"since", now - days(1)}}));
  std::string withheld;
  if (night && !wanted.taken) withheld = "it is night, and the account shows no sign of a takeover";
  else if (night && nights >= options_.nights_a_month) withheld = "this month's night call was made already";
  else if (!night && today >= options_.days_calls) withheld = "enough calls were made today";
  std::size_t messages = 0;
  if (withheld.empty()) {
    const std::string mails = std::to_string(wanted.mails);
    const auto sent = notify_.call(
        tx, {.municipality = wanted.municipality,
             .municipality_name = options_.municipality_name,
             .people = {"Bavn"},
             .reason = wanted.taken ? texts_.say(options_.language, "duty_call.taken", {{"account", wanted.account}})
                                    : texts_.say(options_.language, "duty_call.many",
                                                 {{"account", wanted.account}, {"mails", mails}}),
             .order = fmt::format("bavn-{}", micros(now) / 1'000'000),
             .until = now + std::chrono::hours(12)});
    if (sent) messages = *sent;
    else if (sent.error().code == Code::not_found) withheld = "nobody can be called: " + sent.error().what;
    else return sent;
  }
  BAVN_CHECK(
      tx.exec("INSERT INTO duty_call (municipality, account, at_us, night, taken, messages, withheld) VALUES "
              "(:m, :a, :at, :n, :t, :k, :w)",
              {{"m", wanted.municipality},
               {"a", wanted.account},
               {"at", now},
               {"n", night},
               {"t", wanted.taken},
               {"k", static_cast<std::int64_t>(messages)},
               {"w", withheld}}));
  std::string detail;
  JsonWriter(detail)
      .object()
      .member("night", night)
      .member("messages", static_cast<std::int64_t>(messages))
      .member("withheld", withheld)
      .end();
  BAVN_CHECK(tx.audit({"bavn", withheld.empty() ? "duty.called" : "duty.call_withheld", "account", detail}));
  if (!withheld.empty()) log::warn("duty_call_withheld", {{"reason", withheld}});
  return messages;
}

store::RetentionRule DutyCall::retention() {
  return store::retention_rule(
      "duty_call", 400, "calls are compared with the year before",
      "DELETE FROM duty_call WHERE id IN (SELECT id FROM duty_call WHERE at_us < :before LIMIT 10000)");
}

}  // namespace bavn::app
