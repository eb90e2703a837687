#pragma once
// The community as correlation sees it: members with their domains, and who has a node. A snapshot in memory, so that it can be asked inside
// a Tx. Life: after Directory and MemberDomains. Thread rules: any thread; refresh() not inside a unit of the State.
#include <vector>

#include "base/guarded.hpp"
#include "correlate/members.hpp"
#include "tenants/directory.hpp"
#include "tenants/domains.hpp"

namespace bavn::app {

class HubMembers final : public correlate::Members {
 public:
  HubMembers(const tenants::Directory& directory, const tenants::MemberDomains& domains)
      : directory_(directory), domains_(domains) {}
  Result<void> refresh();

  std::vector<correlate::Member> all() const override;
  std::optional<correlate::Member> of(MunicipalityId id) const override;
  std::optional<MunicipalityId> of_domain(std::string_view domain) const override { return domains_.owner(domain); }

 private:
  const tenants::Directory& directory_;
  const tenants::MemberDomains& domains_;
  Guarded<std::vector<correlate::Member>> known_;  // by id
};

}  // namespace bavn::app
