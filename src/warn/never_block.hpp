#pragma once
// What nobody can block, whoever signs: public suffixes, shared hosts (as hosts; a path on them may be blocked), members' domains, the
// services a municipality cannot live without (content/never_block/), networks wider than a limit, private addresses.
// Life: immutable snapshot. Thread rules: any thread.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "event/observable.hpp"

namespace bavn::warn {

struct Refusal {
  std::string reason;  // for people, names the list and the entry that hit
  std::string fix;     // what can be done instead; may be empty
};

class NeverBlock {
 public:
  /// What comes with Bavn (content/never_block/), and the mail and web domains of all members.
  static Result<NeverBlock> open(std::vector<std::string> member_domains);
  /// nullopt: it may be blocked. Answers for the observable itself and for everything it would take with it (".dk", a /8, a parent).
  std::optional<Refusal> check(const event::Observable& what) const;
  /// bio.link, sites.google.com, ...: many strangers share the host.
  bool shared_host(std::string_view host) const;

 private:
  std::map<std::string, std::string, std::less<>> names_;   // domain -> which list
  std::map<std::string, std::string, std::less<>> shared_;  // host -> which list
};

}  // namespace bavn::warn
