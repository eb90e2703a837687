#pragma once
// A warning that went out, as STIX: a report about a campaign, indicators for what is looked for, and one sighting that says how many mails
// there were. No member is in it: not its name, not its domain, and nothing that holds one.
// Thread rules: plain functions.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "event/observable.hpp"
#include "event/tlp.hpp"
#include "exchange/stix/indicator.hpp"

namespace bavn::exchange::stix {

struct ToldWarning {
  std::string id{}, campaign{};
  std::string state{}, severity{};  // sent, updated, over
  event::Tlp tlp = event::Tlp::red;
  bool sure = false;  // a person confirmed it
  Instant sent{}, changed{}, first_seen{};
  std::int64_t mails = 0;
  std::vector<event::Observable> look_for{};
};

/// about: the case as the warning's row has it (docs/warnings.md). members: mail domains of members. Empty: it is not for partners (it went to
/// some members only). id, state, sent and changed are the caller's to set.
Result<std::optional<ToldWarning>> told_warning(std::string_view about, std::span<const std::string> members);

struct WarningObject {
  std::string id{}, type{}, kind{}, body{};  // kind: of an indicator's observable
};
/// The source that its indicators have; the same for all objects of one warning.
std::string warning_source(std::string_view id);
std::vector<WarningObject> warning_objects(const Author& author, const ToldWarning& w);
/// The same object, taken back.
Result<std::string> revoked_object(std::string_view body, Instant modified);

}  // namespace bavn::exchange::stix
