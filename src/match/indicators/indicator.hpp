#pragma once
// Indicator: an observable (or a STIX pattern) that somebody says is bad, with who says so, how sure, for whom, how long.
// Life: plain values.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.hpp"
#include "event/observable.hpp"
#include "event/tlp.hpp"

namespace bavn::match::indicators {

enum class Action : std::uint8_t { watch, warn, hold, block };  // ordered: larger = stronger
std::string_view to_string(Action a);
std::optional<Action> parse_action(std::string_view s);

struct Indicator {
  event::Kind kind{};  // 0 for a STIX pattern
  std::string value;   // canonical; for a STIX pattern its text
  std::string source;
  std::uint8_t confidence = 50;  // 0..100
  event::Tlp tlp = event::Tlp::amber;
  Instant valid_from{};   // 1970: always
  Instant valid_until{};  // 1970: open; the first instant at which it is no longer valid
  Action action = Action::watch;
  std::string comment;
  bool is_pattern() const { return kind == event::Kind{}; }
  friend bool operator==(const Indicator&, const Indicator&) = default;
};

}  // namespace bavn::match::indicators
