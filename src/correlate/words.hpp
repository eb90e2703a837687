#pragma once
// Reading what nodes say: one place for the limits of foreign words. Errors are refused_for(). Thread rules: plain functions.
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"
#include "event/notices.hpp"

namespace bavn::correlate {

/// Reads a body and checks every length, time and name in it; addresses and domains become canonical.
Result<event::SenderNotice> read_sender_notice(std::string_view body, Instant now);
Result<event::BurstNotice> read_burst(std::string_view body, Instant now);
Result<event::TakeoverNotice> read_takeover(std::string_view body, Instant now);
Result<event::HarmNotice> read_harm(std::string_view body, Instant now);

std::string_view domain_of(std::string_view address);

}  // namespace bavn::correlate
