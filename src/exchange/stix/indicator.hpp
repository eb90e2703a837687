#pragma once
// Our indicators as STIX indicators, and back.
// Out: ids are made of what the indicator is (kind, value, source), so that whoever reads us twice has it once. The source itself is not told.
// In: a pattern that is one value or an OR of values becomes plain indicators; others are kept as patterns; what is not evaluated says so.
// Thread rules: plain functions.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "event/tlp.hpp"
#include "match/indicators/indicator.hpp"
#include "net/json_value.hpp"

namespace bavn::exchange::stix {

/// Who speaks: a hub. Its UUID is the name space of every id below.
struct Author {
  std::string uuid{}, name{};
  Instant since{};
  std::string identity() const { return "identity--" + uuid; }
};

/// kind 0: a pattern, whose text is the value.
std::string indicator_id(const Author& author, event::Kind kind, std::string_view value, std::string_view source);
/// A pattern of STIX 2.1 for a canonical value, quotes and backslashes escaped. Kinds that no STIX object has are of our own
/// ("x-bavn-ja3:value"); kinds_of_stix_path reads each of them back.
std::string pattern_of(event::Kind kind, std::string_view value);

/// How an indicator stands at one moment: what the object says beside the indicator itself.
struct Standing {
  Instant created{}, modified{};
  std::vector<std::string> sectors{};
  bool revoked = false;
};
void append_indicator(std::string& out, const Author& author, const match::indicators::Indicator& i,
                      const Standing& at);
void append_identity(std::string& out, const Author& author);
/// The marking-definition objects of both generations: nine.
struct Marking {
  std::string id, body;
  Instant created{};
};
std::vector<Marking> markings();

struct IndicatorsRead {
  std::vector<match::indicators::Indicator> indicators{};  // more than one: an OR of values
  std::string not_evaluated{};  // why the pattern is stored and not looked for; then there are none
};
/// object: a STIX object of type indicator. defaults: source, confidence, action where it says nothing. tlp: of the object.
/// bad_input: its pattern is none, is of another language, its times or confidence are wrong.
Result<IndicatorsRead> indicators_of(net::JsonValue object, const match::indicators::Indicator& defaults,
                                     event::Tlp tlp);

}  // namespace bavn::exchange::stix
