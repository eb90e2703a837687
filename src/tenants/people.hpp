#pragma once
// People with their roles, and the ways to reach them; tenants of a municipality. Hub and node have the same tables: a node knows its own
// municipality's people, the hub everybody's.
// Every call takes a Scope. A foreign municipality's person is not_found, as if there were none. Every change is in the audit log.
// Thread rules: any thread but the State's writer (writing waits for the commit).
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/runtime.hpp"
#include "event/scope.hpp"
#include "store/state.hpp"

namespace bavn::tenants {

enum class Role : std::uint8_t {
  analyst,
  duty_lead,
  municipal_it,
  municipal_leader,
  duty_contact,  // reached at any hour; may give the second signature at night when the mandate says so
  programme,
  employee,
  supplier,
  partner,
  auditor,
  data_protection
};
std::string_view to_string(Role role);
std::optional<Role> role_of(std::string_view name);
/// What the role may do (event::Right bits), in the municipalities of the person. The one place that says so.
std::uint32_t rights_of(Role role);
/// Roles of this kind must end by a date: they are given to outsiders.
bool must_expire(Role role);

enum class WayKind : std::uint8_t { webhook, mail, phone, sms };  // phone: for people to dial; sms: for a gateway
std::string_view to_string(WayKind kind);
std::optional<WayKind> way_kind_of(std::string_view name);

struct ContactWay {
  std::int64_t id = 0;
  WayKind kind = WayKind::mail;
  std::string address;          // https://..., name@example.org, +45 12 34 56 78
  bool outside_tenant = false;  // works when the municipality's own directory and mail are taken
  int rank = 1;
  std::optional<Instant> confirmed;
};

struct Person {
  PersonId id;
  MunicipalityId municipality;  // 0: the joint CERT
  std::string name, title, language;
  std::vector<Role> roles;  // those that hold now
  std::vector<ContactWay> ways;
  bool left = false;
};

struct NewPerson {
  MunicipalityId municipality;
  std::string name, title, language = "en";
};

struct NewWay {
  WayKind kind = WayKind::mail;
  std::string address;
  bool outside_tenant = false;
  int rank = 1;
  std::string webhook_secret{};  // of a webhook: whsec_ and base64 of 24 to 64 bytes (Standard Webhooks)
};

struct Tenant {
  TenantId id;
  MunicipalityId municipality;
  std::string kind, name;
  std::optional<std::string> external_id;
};

/// Of duty contacts: "none", "untested" (no way of theirs ever answered a test) or "tested".
std::string_view how_reachable(const std::vector<Person>& duty_contacts);

class People {
 public:
  People(Runtime& runtime, store::State& state) : runtime_(runtime), state_(state) {}

  Result<PersonId> add(const event::Scope& scope, const NewPerson& person);
  Result<Person> find(const event::Scope& scope, PersonId id) const;
  Result<std::vector<Person>> of(const event::Scope& scope, MunicipalityId municipality) const;
  /// Gone from the work ("person.left", as "person.changed" when roles change, is announced in the outbox): roles end, ways are erased, the name stays for the records.
  Result<void> leave(const event::Scope& scope, PersonId id);
  Result<void> give_role(const event::Scope& scope, PersonId id, Role role, std::optional<Instant> until = {});
  Result<void> take_role(const event::Scope& scope, PersonId id, Role role);
  /// The person's own choice: da, nb or en.
  Result<void> set_language(PersonId id, std::string_view language, std::string_view who);
  /// The same for a person who was just read.
  static event::Scope scope_for(const Person& person);
  /// What the person may do now: the sum of the roles that hold.
  Result<event::Scope> scope_of(const event::Scope& scope, PersonId id) const;

  Result<std::int64_t> add_way(const event::Scope& scope, PersonId id, const NewWay& way);
  Result<void> remove_way(const event::Scope& scope, PersonId id, std::int64_t way);
  /// Called by notify inside the unit that saw the answer to a test.
  static Result<void> confirm_way(store::Tx& tx, std::int64_t way);

  /// Whom to call for a municipality, best first: people with the role duty_contact.
  Result<std::vector<Person>> duty_contacts(const event::Scope& scope, MunicipalityId municipality) const;
  /// What is missing before a night call can work, in words; empty: nothing.
  Result<std::vector<std::string>> duty_gaps(const event::Scope& scope, MunicipalityId municipality) const;

  Result<TenantId> add_tenant(const event::Scope& scope, MunicipalityId municipality, std::string_view kind,
                              std::string_view name, std::optional<std::string> external_id);
  Result<std::vector<Tenant>> tenants(const event::Scope& scope, MunicipalityId municipality) const;

 private:
  Runtime& runtime_;
  store::State& state_;
};

/// For units of other modules that run inside a Tx: people with this role, ways included.
Result<std::vector<Person>> people_with_role(store::Reader& db, MunicipalityId municipality, Role role, Instant now);

}  // namespace bavn::tenants
