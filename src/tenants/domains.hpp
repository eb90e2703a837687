#pragma once
// The mail domains of members, and whether they may be named when a wave comes from them (both agreed at enrolment). What is noticed and
// correlated stands on this list: it is changed at the hub only, by a person, audited, and sent to every node.
// Outbox: "community.changed". Life: after State. Thread rules: any thread but the State's writer for set().
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.hpp"
#include "event/scope.hpp"
#include "store/state.hpp"
#include "tenants/municipalities.hpp"

namespace bavn::tenants {

struct MemberFacts {
  MunicipalityId municipality;
  std::vector<std::string> domains;  // canonical, sorted
  bool may_be_named = true;
};

class MemberDomains {
 public:
  static Result<std::unique_ptr<MemberDomains>> open(store::State& state);

  /// Replaces what is known of one municipality. bad_input: no domain, a public suffix, more than 50; conflict: another member's.
  Result<void> set(const event::Scope& scope, MunicipalityId of, std::vector<std::string> domains, bool may_be_named);
  /// Reads anew: who hears "community.changed" may be faster than set() itself. Not inside a unit of the State.
  Result<void> reload();
  std::vector<MemberFacts> all() const;
  std::optional<MemberFacts> of(MunicipalityId m) const;
  /// The owner of this domain or of the nearest one above it.
  std::optional<MunicipalityId> owner(std::string_view domain) const;
  /// For nodes: {"members":[{"municipality":157,"code":"0157","name":"Gentofte","domains":["gentofte.dk"]}]}.
  std::string text(const Municipalities& names) const;

 private:
  struct Known {
    std::map<MunicipalityId, MemberFacts> members;
    std::map<std::string, MunicipalityId, std::less<>> owners;
  };
  explicit MemberDomains(store::State& state) : state_(state) {}
  store::State& state_;
  std::mutex reloading_;
  Guarded<Known> known_;
};

struct CommunityMember {
  MunicipalityId municipality;
  std::string code, name;
  std::vector<std::string> domains;
};
/// Reads what text() wrote. bad_input with the JSON pointer.
Result<std::vector<CommunityMember>> read_community(std::string_view json);

}  // namespace bavn::tenants
