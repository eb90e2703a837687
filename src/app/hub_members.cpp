#include "app/hub_members.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace bavn::app {

Result<void> HubMembers::refresh() {
  const event::Scope owner = event::Scope::local_owner();
  std::map<MunicipalityId, correlate::Member> all;
  const auto member = [&](MunicipalityId id) -> correlate::Member& {
    const auto [at, fresh] = all.try_emplace(id);
    if (fresh) {
      const auto* known = directory_.municipalities().find(id);
      at->second.id = id;
      at->second.code = fmt::format("{:04}", id.value);
      if (known != nullptr) at->second.name = known->name;
    }
    return at->second;
  };
  BAVN_TRY(const auto members, directory_.members(owner));
  for (const auto& m : members)
    if (!m.left) member(m.municipality);
  for (const auto& facts : domains_.all()) {
    correlate::Member& m = member(facts.municipality);
    m.domains = facts.domains;
    m.may_be_named = facts.may_be_named;
  }
  BAVN_TRY(const auto nodes, directory_.nodes(owner));
  for (const auto& node : nodes)
    if (node.state == tenants::NodeState::enrolled)
      for (const MunicipalityId id : node.municipalities) member(id).connected = true;
  std::vector<correlate::Member> list;
  for (auto& [id, m] : all) list.push_back(std::move(m));
  known_.with([&](auto& known) { known = std::move(list); });
  return {};
}

std::vector<correlate::Member> HubMembers::all() const {
  return known_.with([](const auto& known) { return known; });
}

std::optional<correlate::Member> HubMembers::of(MunicipalityId id) const {
  return known_.with([&](const auto& known) -> std::optional<correlate::Member> {
    const auto at = std::ranges::lower_bound(known, id, {}, &correlate::Member::id);
    return at != known.end() && at->id == id ? std::optional(*at) : std::nullopt;
  });
}

}  // namespace bavn::app
