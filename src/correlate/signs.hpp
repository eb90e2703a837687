#pragma once
// What signs are worth: which of the four groups they fill, whether they are second signs for those who hold the mail, and whether they are
// enough to light a warning without a person. Pure; the numbers are Options. Kinds: docs/noticing.md, and docs/correlating.md ("Weights").
// Life: values. Thread rules: plain functions.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "correlate/options.hpp"
#include "event/notices.hpp"

namespace bavn::correlate {

/// Kinds that the hub adds itself.
constexpr std::string_view kTakeoverKinds[] = {"takeover_suspected", "takeover_likely", "takeover_sure"};
constexpr std::string_view kPersonYes = "person_yes";
constexpr std::string_view kIndicator = "indicator";

struct SignFact {
  std::string group, kind;
  std::int64_t municipality = 0, at_us = 0, count = 1;
  std::string detail;
};

enum class Strength : std::uint8_t { none, weak, strong };
struct SignWorth {
  Strength strength = Strength::none;  // for lighting
  std::string_view family;             // weak signs of one family are one
};
bool known_group(std::string_view group);
/// "suspected" 0, "likely" 1, "sure" 2; -1: no level.
int takeover_level(std::string_view level);
/// Of a kind by itself; reports are worth what their number is (weigh).
SignWorth worth_of(const SignFact& sign, const Options& options);

struct Weight {
  bool identity = false, payload = false, harm = false, intelligence = false;
  bool lights = false;      // payload or harm enough to light what a trigger found
  bool takeover = false;    // a takeover sign of the sender's account
  int takeover_level = -1;  // as takeover_level(); -1: only single signs, or none
  std::int64_t clicks = 0, reporters = 0, reporting_municipalities = 0;
  std::int64_t fell = 0;            // sign-ins after a click, at how many municipalities
  std::vector<event::Sign> second;  // second signs, each kind once
  int groups() const { return int{identity} + int{payload} + int{harm} + int{intelligence}; }
};
/// mails: known so far, for the share of people who report anything. not_of: signs that this municipality told are left out (0: none are).
Weight weigh(const std::vector<SignFact>& signs, std::int64_t mails, const Options& options, std::int64_t not_of = 0);

}  // namespace bavn::correlate
