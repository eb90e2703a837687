#pragma once
// Who takes part: the mail domains of all member municipalities (from the hub, signed), this node's own, and which local parts are a
// function's mailbox rather than a person's. Life: immutable snapshot, shared_ptr<const Community>. Thread rules: any thread.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"

namespace bavn::notice {

/// "a@mail.town.dk" -> "mail.town.dk"; empty when it is no address.
std::string_view domain_of(std::string_view address);

class Community {
 public:
  /// A domain stands for its subdomains too, unless one of them is another member's.
  Result<void> add(std::string_view domain, MunicipalityId of);
  void add_own(MunicipalityId m) { own_.insert(m); }
  /// Addresses that look like a person's and are none, or the other way round: "known by a person at the node".
  void say_person(std::string_view address, bool person);

  std::optional<MunicipalityId> member_of_domain(std::string_view domain) const;
  std::optional<MunicipalityId> member(std::string_view address) const;
  bool own(std::string_view address) const;
  /// A member's mailbox that is a person's: not info@, noreply@, post@, kommunikation@, nyhedsbrev@, ... and not what was said to be none.
  bool person_mailbox(std::string_view address) const;
  std::size_t domains() const { return of_.size(); }

 private:
  std::map<std::string, MunicipalityId, std::less<>> of_;
  std::set<MunicipalityId> own_;
  std::map<std::string, bool, std::less<>> said_;
};

}  // namespace bavn::notice
