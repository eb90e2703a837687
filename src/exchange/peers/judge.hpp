#pragma once
// What becomes of what a partner delivers: published in its name, watched for only, or dropped with its reason. Pure functions.
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/settings.hpp"
#include "event/observable.hpp"
#include "exchange/peers/library.hpp"
#include "exchange/peers/pull.hpp"

namespace bavn::exchange {

/// The rows of exchange.*.
std::span<const Setting> exchange_settings();

struct Limits {
  event::Tlp narrowest = event::Tlp::amber;
  std::chrono::seconds clock_slack = std::chrono::minutes(60);
  std::chrono::seconds longest_pause = std::chrono::hours(6);
  std::int64_t dropped_kept = 10'000;
  std::size_t largest_answer = 256U << 20U;
  std::chrono::seconds bulletins = std::chrono::hours(24 * 90);
  unsigned at_once = 2;
  std::vector<std::string> inside{};  // hosts
  /// bad_input: narrowest_published is no TLP. null: defaults.
  static Result<Limits> from(const Settings* settings);
};
/// Where partners' machines may be.
net::EgressPolicy exchange_egress(const Limits& limits);

/// Why it may never be blocked; nothing: it may.
using NeverBlocked = std::function<std::optional<std::string>(const event::Observable&)>;

struct Judged {
  std::vector<match::indicators::Indicator> publish{};
  Taken taken{};
  std::set<std::string> closed{};  // sources whose indicators no other partner may have
};
Judged judge(const Peer& peer, std::vector<Delivered> delivered, Instant now, const Limits& limits,
             const NeverBlocked& never_blocked);

/// "PEER", or "PEER: SOURCE".
std::string source_of(const Peer& peer, std::string_view source);
void note_dropped(Taken& taken, std::string_view what, std::string_view object, std::string_view reason,
                  bool is_dropped = true);

}  // namespace bavn::exchange
