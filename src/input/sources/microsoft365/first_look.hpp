#pragma once
// The first look at a tenant: what works, what does not and why, and what the past already shows. For the setup and for a page.
// Everything is asked through Ask, one question after the other, so the same code runs in a command (which waits) and in a test.
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "input/sources/microsoft365/apis.hpp"

namespace bavn::input::microsoft365 {

using Ask = std::function<Answer(Call)>;

enum class Light : std::uint8_t {
  green,
  yellow,
  red
};  // works; works not yet or is not licensed; somebody must do something
std::string_view to_string(Light light);

struct SourceCheck {
  const Api* api = nullptr;
  Light light = Light::red;
  std::string says = {};                       // for people
  TroubleKind trouble = TroubleKind::stopped;  // of what is not green
  std::int64_t lag_seconds = -1;               // age of the newest record there is
};

/// One small question a source.
std::vector<SourceCheck> check_sources(const Ask& ask, const Access& access, Instant now);

struct MailApplication {
  std::string name, right, since;
};
struct Forwarding {
  std::string mailbox, what, at;
};
struct LookalikeSender {
  std::string domain, why;
  std::uint64_t mails = 0;
};

struct Past {
  std::vector<MailApplication> applications;  // may read or send mail of everybody
  std::vector<Forwarding> forwarding;         // mailboxes that forward, rules that forward, hide or delete
  std::vector<LookalikeSender> lookalikes;
  bool users_may_register = false, users_may_consent = false;
  std::uint64_t access_policies = 0;   // conditional access policies that are on
  std::uint64_t mails = 0, blobs = 0;  // looked at
  std::vector<std::string> not_seen;   // what could not be looked at, and why
};
/// trace_days: 1 .. 90. Reads at most 20 pages of trace and 300 blobs.
Past look_back(const Ask& ask, const Access& access, const std::vector<std::string>& domains, Instant now,
               unsigned trace_days);

/// TXT records of a name; not_found: there are none.
using Resolver = std::function<Result<std::vector<std::string>>(const std::string& name)>;

struct DmarcState {
  std::string domain, policy, says;  // policy: none, quarantine, reject; empty: no record
  Light light = Light::red;
};
DmarcState dmarc_of(const std::string& domain, const Resolver& resolver);

}  // namespace bavn::input::microsoft365
