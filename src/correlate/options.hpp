#pragma once
// Every number that correlation decides by, as settings with their reasons. Life: values.
#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "base/settings.hpp"
#include "base/time.hpp"

namespace bavn::correlate {

std::span<const Setting> settings();

struct Options {
  // Candidates
  std::int64_t candidate_municipalities = 3, candidate_member_sender = 2;
  std::chrono::seconds candidate_window{6 * 3600};
  std::int64_t pilot_below = 25, pilot_municipalities = 2;
  // Second signs
  std::chrono::seconds takeover_window{48 * 3600}, harm_window{48 * 3600};
  std::int64_t reporters = 2, reporters_permille = 5, light_reports_alone = 5, light_reporters = 3,
               light_reporting_municipalities = 2;
  std::int64_t light_verdicts = 2, light_of_one = 1;
  std::chrono::seconds light_of_one_window{72 * 3600};
  std::string light_takeover = "likely";  // suspected, likely, sure
  // Suspicions
  std::int64_t suspicions_per_shift = 5, suspicions_of_one = 2;
  std::chrono::seconds shift{8 * 3600};
  // Brakes
  std::string first_mode = "shadow";  // of triggers that nobody has set: shadow, live, confirm
  std::int64_t false_before_confirm = 2;
  std::chrono::days false_window{30};
  std::int64_t replay_days = 90, replay_municipalities = 20;
  // Campaigns
  std::int64_t near_subject = 6, near_body = 7;  // bits of 64 that may differ
  std::chrono::seconds campaign_window{72 * 3600}, quiet{24 * 3600};
  std::int64_t things_per_campaign = 500;
  // Calls
  std::int64_t night_calls_per_month = 1, night_from = 22, night_to = 6;
  std::string zone = "Europe/Copenhagen";
  // Limits of one municipality
  std::int64_t notices_per_hour = 60, harms_per_hour = 600, parts_per_notice = 500;
  static Options from(const Settings& settings);
};

}  // namespace bavn::correlate
