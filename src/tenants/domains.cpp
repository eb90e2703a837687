#include "tenants/domains.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_writer.hpp"
#include "event/domain.hpp"
#include "event/observable.hpp"
#include "net/json_views.hpp"
#include "tenants/access.hpp"

namespace bavn::tenants {

BOOST_DESCRIBE_STRUCT(CommunityMember, (), (municipality, code, name, domains))

namespace {

constexpr std::size_t kMostDomains = 50;  // of one municipality; schools and waterworks included

struct DomainRow {
  std::string domain;
  MunicipalityId municipality;
};
BOOST_DESCRIBE_STRUCT(DomainRow, (), (domain, municipality))
struct AgreementRow {
  MunicipalityId municipality;
  bool may_be_named;
};
BOOST_DESCRIBE_STRUCT(AgreementRow, (), (municipality, may_be_named))
struct Community {
  std::vector<CommunityMember> members;
};
BOOST_DESCRIBE_STRUCT(Community, (), (members))

}  // namespace

Result<std::unique_ptr<MemberDomains>> MemberDomains::open(store::State& state) {
  std::unique_ptr<MemberDomains> d(new MemberDomains(state));
  BAVN_CHECK(d->reload());
  return d;
}

Result<void> MemberDomains::reload() {
  const std::lock_guard one_by_one(reloading_);  // of two at once the older must not be kept
  Known fresh;
  BAVN_TRY(const auto domains, state_.read([](store::Reader& r) {
    return r.all<DomainRow>("SELECT domain, municipality FROM member_domain ORDER BY domain");
  }));
  BAVN_TRY(const auto agreements, state_.read([](store::Reader& r) {
    return r.all<AgreementRow>("SELECT municipality, may_be_named FROM member_agreement");
  }));
  for (const DomainRow& row : domains) {
    fresh.owners.emplace(row.domain, row.municipality);
    MemberFacts& facts = fresh.members[row.municipality];
    facts.municipality = row.municipality;
    facts.domains.push_back(row.domain);
  }
  for (const AgreementRow& row : agreements)
    if (const auto at = fresh.members.find(row.municipality); at != fresh.members.end())
      at->second.may_be_named = row.may_be_named;
  known_.with([&](Known& k) { k = std::move(fresh); });
  return {};
}

Result<void> MemberDomains::set(const event::Scope& scope, MunicipalityId of, std::vector<std::string> domains,
                                bool may_be_named) {
  BAVN_CHECK(require(scope, event::Right::tenants_write, of, "say whose mail domains are whose"));
  if (domains.size() > kMostDomains)
    return fail(Code::bad_input, fmt::format("a municipality has at most {} mail domains", kMostDomains));
  for (std::string& d : domains) {
    const auto known = event::canonical(event::Kind::mail_domain, d);
    if (!known) return fail(Code::bad_input, "this is no mail domain", d);
    if (event::registrable_domain(known->value).empty())
      return fail(Code::bad_input, "this is a public suffix: everybody below it would count as the municipality", d);
    d = known->value;
  }
  std::ranges::sort(domains);
  domains.erase(std::unique(domains.begin(), domains.end()), domains.end());
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("DELETE FROM member_domain WHERE municipality = :m", {{"m", of}}));
    std::string detail;
    JsonWriter w(detail);
    w.object().member("may_be_named", may_be_named).key("domains").array();
    for (const std::string& d : domains) {
      w.value(d);
      BAVN_TRY(const auto fresh, tx.exec("INSERT OR IGNORE INTO member_domain (domain, municipality) VALUES (:d, :m)",
                                         {{"d", d}, {"m", of}}));
      if (fresh == 0) return fail(Code::conflict, "this domain is another member's", d);
    }
    w.end().end();
    BAVN_CHECK(tx.exec(
        "INSERT INTO member_agreement (municipality, may_be_named) VALUES (:m, :n) ON CONFLICT (municipality) DO "
        "UPDATE SET may_be_named = excluded.may_be_named",
        {{"m", of}, {"n", may_be_named}}));
    BAVN_CHECK(tx.emit("community.changed", fmt::format("{:04}", of.value), "{}", of));
    return tx.audit({scope.who(), "member.domains", fmt::format("{:04}", of.value), detail});
  }));
  return reload();
}

std::vector<MemberFacts> MemberDomains::all() const {
  return known_.with([](const Known& k) {
    std::vector<MemberFacts> out;
    for (const auto& [id, facts] : k.members) out.push_back(facts);
    return out;
  });
}

std::optional<MemberFacts> MemberDomains::of(MunicipalityId m) const {
  return known_.with([&](const Known& k) -> std::optional<MemberFacts> {
    const auto at = k.members.find(m);
    return at == k.members.end() ? std::nullopt : std::optional(at->second);
  });
}

std::optional<MunicipalityId> MemberDomains::owner(std::string_view domain) const {
  return known_.with([&](const Known& k) -> std::optional<MunicipalityId> {
    while (!domain.empty()) {
      if (const auto at = k.owners.find(domain); at != k.owners.end()) return at->second;
      const auto dot = domain.find('.');
      domain = dot == std::string_view::npos ? std::string_view() : domain.substr(dot + 1);
    }
    return std::nullopt;
  });
}

std::string MemberDomains::text(const Municipalities& names) const {
  Community c;
  for (const MemberFacts& m : all()) {
    const Municipality* known = names.find(m.municipality);
    c.members.push_back({m.municipality, known != nullptr ? known->code() : fmt::format("{:04}", m.municipality.value),
                         known != nullptr ? known->name : "", m.domains});
  }
  return net::to_json(c);
}

Result<std::vector<CommunityMember>> read_community(std::string_view json) {
  BAVN_TRY(auto c, net::from_json<Community>(json, net::Unknown::ignore));
  return std::move(c.members);
}

}  // namespace bavn::tenants
