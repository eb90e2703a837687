#pragma once
// Every number that decides what is noticed, as settings with their reasons. Life: values.
#include <cstdint>
#include <span>

#include "base/settings.hpp"
#include "base/time.hpp"

namespace bavn::notice {

/// The module's table, for the node's settings.
std::span<const Setting> settings();

struct WatchOptions {  // the defaults of the table, all of them: a test says so
  // sender notice
  std::int64_t recipients = 20, domains = 3;
  std::int64_t times_usual = 5, times_usual_unlike = 10, times_habit = 2;
  std::int64_t alike_least = 5;
  std::chrono::seconds window = std::chrono::minutes(10);
  std::chrono::seconds quiet = std::chrono::minutes(30);
  std::chrono::seconds part_after = std::chrono::seconds(8);
  std::int64_t part_mails = 500;
  // receiver burst
  std::int64_t burst_recipients = 15;
  // takeover chain
  std::chrono::seconds chain = std::chrono::hours(48);
  std::chrono::seconds after_click = std::chrono::minutes(60);
  std::chrono::seconds travel = std::chrono::hours(3);
  std::int64_t known_sign_ins = 5, known_days = 3;
  std::int64_t habit_days = 2;
  std::int64_t mass_recipients = 20;
  // time
  std::chrono::seconds detail = std::chrono::hours(6);
  std::chrono::seconds too_old = std::chrono::hours(48);
  std::chrono::seconds baseline = std::chrono::hours(24 * 30);
  // bounds
  std::int64_t senders = 60'000, accounts = 60'000, mails_of_sender = 20'000, details = 150'000, notices = 2'000,
               harm_places = 20'000;

  static WatchOptions from(const Settings& settings);
};

}  // namespace bavn::notice
