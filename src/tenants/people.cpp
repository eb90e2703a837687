#include "tenants/people.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "tenants/access.hpp"

namespace bavn::tenants {

struct PersonRow {
  PersonId id;
  MunicipalityId municipality;
  std::string name, title, language;
  std::optional<Instant> left_at_us;
};
BOOST_DESCRIBE_STRUCT(PersonRow, (), (id, municipality, name, title, language, left_at_us))

struct WayRow {
  std::int64_t id;
  std::string kind, address;
  bool outside_tenant;
  int rank;
  std::optional<Instant> confirmed_at_us;
};
BOOST_DESCRIBE_STRUCT(WayRow, (), (id, kind, address, outside_tenant, rank, confirmed_at_us))

struct TenantRow {
  TenantId id;
  MunicipalityId municipality;
  std::string kind, name;
  std::optional<std::string> external_id;
};
BOOST_DESCRIBE_STRUCT(TenantRow, (), (id, municipality, kind, name, external_id))

namespace {

using event::Right;

constexpr auto bits(auto... rights) {
  return (0U | ... | static_cast<std::uint32_t>(rights));
}

struct RoleFacts {
  Role role;
  std::string_view name;
  std::uint32_t rights;
  bool must_expire;
};

// Least first: a role has what its work needs. Reading one's own municipality is not reading everybody's: Scope holds both.
constexpr std::array kRoles{
    RoleFacts{Role::analyst, "analyst",
              bits(Right::event_read, Right::finding_read, Right::indicator_read, Right::indicator_write, Right::hunt,
                   Right::alert_read, Right::alert_write, Right::tenants_read, Right::publish),
              false},
    RoleFacts{Role::duty_lead, "duty_lead",
              bits(Right::event_read, Right::finding_read, Right::indicator_read, Right::indicator_write, Right::hunt,
                   Right::alert_read, Right::alert_write, Right::tenants_read, Right::tenants_write, Right::publish,
                   Right::order, Right::audit_read, Right::left_us_read, Right::people_write, Right::settings_write),
              false},
    RoleFacts{
        Role::municipal_it, "municipal_it",
        bits(Right::event_read, Right::event_write, Right::event_erase, Right::finding_read, Right::indicator_read,
             Right::indicator_write, Right::hunt, Right::operate, Right::alert_read, Right::alert_write,
             Right::tenants_read, Right::left_us_read, Right::audit_read, Right::people_write, Right::settings_write),
        false},
    RoleFacts{Role::municipal_leader, "municipal_leader",
              bits(Right::alert_read, Right::tenants_read, Right::left_us_read, Right::audit_read), false},
    RoleFacts{Role::duty_contact, "duty_contact", bits(Right::alert_read, Right::tenants_read, Right::left_us_read),
              false},
    RoleFacts{Role::programme, "programme", bits(Right::tenants_read), false},
    RoleFacts{Role::employee, "employee", 0, false},
    RoleFacts{Role::supplier, "supplier", bits(Right::alert_read), true},
    RoleFacts{Role::partner, "partner", bits(Right::indicator_read), true},
    RoleFacts{Role::auditor, "auditor", bits(Right::tenants_read, Right::audit_read, Right::left_us_read), true},
    RoleFacts{Role::data_protection, "data_protection",
              bits(Right::left_us_read, Right::audit_read, Right::tenants_read), false},
};

const RoleFacts& facts(Role role) {
  const auto at = std::find_if(kRoles.begin(), kRoles.end(), [&](const auto& f) { return f.role == role; });
  BAVN_ASSERT(at != kRoles.end());
  return *at;
}

/// What may be shown of a person to whom: the TLP ceiling follows from working at the CERT or not.
event::Tlp ceiling_of(const Person& person) {
  const bool outsider = std::any_of(person.roles.begin(), person.roles.end(), must_expire);
  return outsider ? event::Tlp::green : person.municipality.value == 0 ? event::Tlp::red : event::Tlp::amber_strict;
}

std::string subject(PersonId id) {
  return fmt::format("person:{}", id.value);
}

Result<std::string> one_line(std::string_view text, std::string_view what, std::size_t limit = 200) {
  const auto trimmed = trim(text);
  if (trimmed.empty()) return fail(Code::bad_input, fmt::format("{} is empty", what));
  if (trimmed.size() > limit || !is_valid_utf8(trimmed))
    return fail(Code::bad_input, fmt::format("{} is longer than {} bytes or not UTF-8", what, limit));
  for (const char c : trimmed)
    if (static_cast<unsigned char>(c) < 0x20) return fail(Code::bad_input, fmt::format("{} must be one line", what));
  return std::string(trimmed);
}

Result<std::vector<WayRow>> ways_of(store::Reader& db, PersonId id) {
  return db.all<WayRow>(
      "SELECT id, kind, address, outside_tenant, rank, confirmed_at_us FROM contact_way WHERE person = :p ORDER BY "
      "rank, id",
      {{"p", id}});
}

Result<Person> whole(store::Reader& db, const PersonRow& row, Instant now) {
  Person p{row.id, row.municipality, row.name, row.title, row.language, {}, {}, row.left_at_us.has_value()};
  BAVN_TRY(const auto roles,
           db.all<std::string>(
               "SELECT role FROM person_role WHERE person = :p AND (until_us IS NULL OR until_us > :now) ORDER BY role",
               {{"p", row.id}, {"now", now}}));
  for (const auto& name : roles)
    if (const auto role = role_of(name)) p.roles.push_back(*role);
  BAVN_TRY(const auto ways, ways_of(db, row.id));
  for (const auto& w : ways) {
    const auto kind = way_kind_of(w.kind);
    if (!kind) return fail(Code::corrupt, fmt::format("contact_way {} has the unknown kind \"{}\"", w.id, w.kind));
    p.ways.push_back({w.id, *kind, w.address, w.outside_tenant, w.rank, w.confirmed_at_us});
  }
  return p;
}

Result<PersonRow> row_of(store::Reader& db, const event::Scope& scope, PersonId id) {
  BAVN_TRY(const auto row,
           db.one<PersonRow>("SELECT id, municipality, name, title, language, left_at_us FROM person WHERE id = :id",
                             {{"id", id}}));
  if (!row || !scope.sees(row->municipality))
    return fail(Code::not_found, fmt::format("there is no person {}", id.value));
  return *row;
}

/// A way that can be used at all. What a webhook's address may be (no inner networks) is net's to refuse when it is called.
Result<void> check_way(const NewWay& way) {
  BAVN_TRY(const auto address, one_line(way.address, "the address", 500));
  switch (way.kind) {
    case WayKind::webhook: {
      if (!address.starts_with("https://") && !address.starts_with("http://127.") &&
          !address.starts_with("http://localhost"))
        return fail(Code::bad_input, "a webhook's address starts with https:// (http:// only on this machine)");
      const auto secret = way.webhook_secret.starts_with("whsec_") ? from_base64(way.webhook_secret.substr(6))
                                                                   : fail(Code::bad_input, "");
      if (!secret || secret->size() < 24 || secret->size() > 64)
        return fail(Code::bad_input, "a webhook needs a secret: \"whsec_\" and base64 of 24 to 64 random bytes");
      return {};
    }
    case WayKind::mail: {
      const auto at = address.find('@');
      if (at == 0 || at == std::string::npos || at + 1 == address.size() ||
          address.find_first_of(" <>,;\"") != std::string::npos || address.find('@', at + 1) != std::string::npos)
        return fail(Code::bad_input, fmt::format("\"{}\" is not one mail address", address));
      return {};
    }
    case WayKind::phone:
    case WayKind::sms: {
      const auto digits = std::count_if(address.begin(), address.end(), ascii_digit);
      if (!address.starts_with('+') || digits < 8 || digits > 15 ||
          address.find_first_not_of("+0123456789 ") != std::string::npos)
        return fail(Code::bad_input,
                    fmt::format("\"{}\" is not a phone number with its country: +45 12 34 56 78", address));
      return {};
    }
  }
  return fail(Code::bad_input, "a way is a webhook, a mail address, a phone or an SMS number");
}

}  // namespace

std::string_view to_string(Role role) {
  return facts(role).name;
}
std::optional<Role> role_of(std::string_view name) {
  for (const auto& f : kRoles)
    if (f.name == name) return f.role;
  return std::nullopt;
}
std::uint32_t rights_of(Role role) {
  return facts(role).rights;
}
bool must_expire(Role role) {
  return facts(role).must_expire;
}

std::string_view to_string(WayKind kind) {
  switch (kind) {
    case WayKind::webhook: return "webhook";
    case WayKind::mail: return "mail";
    case WayKind::phone: return "phone";
    case WayKind::sms: return "sms";
  }
  return "mail";
}
std::optional<WayKind> way_kind_of(std::string_view name) {
  for (const auto kind : {WayKind::webhook, WayKind::mail, WayKind::phone, WayKind::sms})
    if (to_string(kind) == name) return kind;
  return std::nullopt;
}

Result<PersonId> People::add(const event::Scope& scope, const NewPerson& person) {
  BAVN_CHECK(require(scope, Right::people_write, person.municipality, "add people"));
  BAVN_TRY(const auto name, one_line(person.name, "the name"));
  if (person.language != "da" && person.language != "nb" && person.language != "en")
    return fail(Code::bad_input, fmt::format("\"{}\" is not one of the languages da, nb, en", person.language));
  PersonId id;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    const auto inserted = tx.exec(
        "INSERT INTO person (municipality, name, title, language, created_at_us) VALUES (:m, :name, :title, :language, "
        ":now)",
        {{"m", person.municipality},
         {"name", name},
         {"title", trim(person.title)},
         {"language", person.language},
         {"now", tx.now()}});
    if (!inserted && inserted.error().code == Code::conflict)
      return fail(Code::conflict, fmt::format("{} is there already", name));
    BAVN_CHECK(inserted);
    id.value = static_cast<std::uint64_t>(tx.last_id());
    return tx.audit(
        {scope.who(), "person.added", subject(id), fmt::format("{{\"municipality\":{}}}", person.municipality.value)});
  }));
  return id;
}

Result<Person> People::find(const event::Scope& scope, PersonId id) const {
  BAVN_CHECK(require(scope, Right::tenants_read, "see people"));
  return state_.read([&](store::Reader& db) -> Result<Person> {
    BAVN_TRY(const auto row, row_of(db, scope, id));
    return whole(db, row, runtime_.now());
  });
}

Result<std::vector<Person>> People::of(const event::Scope& scope, MunicipalityId municipality) const {
  BAVN_CHECK(require(scope, Right::tenants_read, municipality, "see people"));
  return state_.read([&](store::Reader& db) -> Result<std::vector<Person>> {
    BAVN_TRY(const auto rows,
             db.all<PersonRow>("SELECT id, municipality, name, title, language, left_at_us FROM person "
                               "WHERE municipality = :m AND left_at_us IS NULL ORDER BY name",
                               {{"m", municipality}}));
    std::vector<Person> people;
    for (const auto& row : rows) {
      BAVN_TRY(auto person, whole(db, row, runtime_.now()));
      people.push_back(std::move(person));
    }
    return people;
  });
}

Result<void> People::leave(const event::Scope& scope, PersonId id) {
  BAVN_CHECK(require(scope, Right::people_write, "change people"));
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(row_of(tx, scope, id));
    BAVN_CHECK(tx.exec("UPDATE person SET left_at_us = :now WHERE id = :id AND left_at_us IS NULL",
                       {{"now", tx.now()}, {"id", id}}));
    BAVN_CHECK(tx.exec("DELETE FROM person_role WHERE person = :id", {{"id", id}}));
    BAVN_CHECK(tx.exec("DELETE FROM contact_way WHERE person = :id", {{"id", id}}));
    BAVN_CHECK(tx.emit("person.left", subject(id)));
    return tx.audit({scope.who(), "person.left", subject(id), "{}"});
  });
}

Result<void> People::set_language(PersonId id, std::string_view language, std::string_view who) {
  if (language != "da" && language != "nb" && language != "en")
    return fail(Code::bad_input, fmt::format("\"{}\" is not one of the languages da, nb, en", language), "/language");
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto n, tx.exec("UPDATE person SET language = :l WHERE id = :id AND left_at_us IS NULL",
                                   {{"l", language}, {"id", id}}));
    if (n == 0) return fail(Code::not_found, fmt::format("there is no person {}", id.value));
    return tx.audit(
        {std::string(who), "person.language", subject(id), fmt::format("{{\"language\":\"{}\"}}", language)});
  });
}

Result<void> People::give_role(const event::Scope& scope, PersonId id, Role role, std::optional<Instant> until) {
  BAVN_CHECK(require(scope, Right::people_write, "give roles"));
  // Nobody gives what they do not have: a way around a missing right would lead through a second person.
  if ((rights_of(role) & ~scope.rights()) != 0)
    return fail(Code::forbidden, fmt::format("{} may not give the role {}: it can do more than the giver", scope.who(),
                                             to_string(role)));
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto row, row_of(tx, scope, id));
    if (row.left_at_us) return fail(Code::conflict, fmt::format("{} has left", row.name));
    if (must_expire(role) && !until)
      return fail(Code::bad_input,
                  fmt::format("the role {} is given for a time only: say until when", to_string(role)));
    if (until && *until <= tx.now()) return fail(Code::bad_input, fmt::format("{} is past", format_time(*until)));
    BAVN_CHECK(tx.exec(
        "INSERT INTO person_role (person, role, given_by, given_at_us, until_us) VALUES (:p, :role, :who, :now, "
        ":until) "
        "ON CONFLICT (person, role) DO UPDATE SET given_by = excluded.given_by, given_at_us = excluded.given_at_us, "
        "until_us = excluded.until_us",
        {{"p", id}, {"role", to_string(role)}, {"who", scope.who()}, {"now", tx.now()}, {"until", until}}));
    BAVN_CHECK(tx.emit("person.changed", subject(id)));
    return tx.audit({scope.who(), "role.given", subject(id), fmt::format("{{\"role\":\"{}\"}}", to_string(role))});
  });
}

Result<void> People::take_role(const event::Scope& scope, PersonId id, Role role) {
  BAVN_CHECK(require(scope, Right::people_write, "take roles"));
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(row_of(tx, scope, id));
    BAVN_TRY(const auto n, tx.exec("DELETE FROM person_role WHERE person = :p AND role = :role",
                                   {{"p", id}, {"role", to_string(role)}}));
    if (n == 0)
      return fail(Code::not_found, fmt::format("person {} does not have the role {}", id.value, to_string(role)));
    BAVN_CHECK(tx.emit("person.changed", subject(id)));
    return tx.audit({scope.who(), "role.taken", subject(id), fmt::format("{{\"role\":\"{}\"}}", to_string(role))});
  });
}

Result<event::Scope> People::scope_of(const event::Scope& scope, PersonId id) const {
  BAVN_TRY(const auto person, find(scope, id));
  return scope_for(person);
}

event::Scope People::scope_for(const Person& person) {
  std::uint32_t rights = 0;
  for (const Role role : person.roles) rights |= rights_of(role);
  const bool insider =
      person.municipality.value == 0 && std::none_of(person.roles.begin(), person.roles.end(), must_expire);
  if (insider && rights != 0) return event::Scope::everywhere(subject(person.id), rights, ceiling_of(person));
  return event::Scope(subject(person.id), {person.municipality}, rights, ceiling_of(person));
}

Result<std::int64_t> People::add_way(const event::Scope& scope, PersonId id, const NewWay& way) {
  BAVN_CHECK(require(scope, Right::people_write, "change contact cards"));
  BAVN_CHECK(check_way(way));
  std::int64_t made = 0;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto row, row_of(tx, scope, id));
    if (row.left_at_us) return fail(Code::conflict, fmt::format("{} has left", row.name));
    const auto secret = way.kind == WayKind::webhook ? std::optional(way.webhook_secret) : std::nullopt;
    const auto inserted = tx.exec(
        "INSERT INTO contact_way (person, kind, address, secret, outside_tenant, rank, created_at_us) "
        "VALUES (:p, :kind, :address, :secret, :outside, :rank, :now)",
        {{"p", id},
         {"kind", to_string(way.kind)},
         {"address", trim(way.address)},
         {"secret", secret},
         {"outside", way.outside_tenant},
         {"rank", way.rank},
         {"now", tx.now()}});
    if (!inserted && inserted.error().code == Code::conflict)
      return fail(Code::conflict, fmt::format("{} has this way already", row.name));
    BAVN_CHECK(inserted);
    made = tx.last_id();
    return tx.audit({scope.who(), "way.added", subject(id),
                     fmt::format("{{\"way\":{},\"kind\":\"{}\"}}", made, to_string(way.kind))});
  }));
  return made;
}

Result<void> People::remove_way(const event::Scope& scope, PersonId id, std::int64_t way) {
  BAVN_CHECK(require(scope, Right::people_write, "change contact cards"));
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(row_of(tx, scope, id));
    BAVN_TRY(const auto n,
             tx.exec("DELETE FROM contact_way WHERE id = :way AND person = :p", {{"way", way}, {"p", id}}));
    if (n == 0) return fail(Code::not_found, fmt::format("person {} has no way {}", id.value, way));
    return tx.audit({scope.who(), "way.removed", subject(id), fmt::format("{{\"way\":{}}}", way)});
  });
}

Result<void> People::confirm_way(store::Tx& tx, std::int64_t way) {
  BAVN_TRY(const auto n,
           tx.exec("UPDATE contact_way SET confirmed_at_us = :now WHERE id = :way", {{"now", tx.now()}, {"way", way}}));
  if (n == 0) return fail(Code::not_found, "this way to reach a person was removed meanwhile");
  return tx.audit({"duty contact", "way.confirmed", fmt::format("way:{}", way), "{}"});
}

Result<std::vector<Person>> people_with_role(store::Reader& db, MunicipalityId municipality, Role role, Instant now) {
  BAVN_TRY(
      const auto rows,
      db.all<PersonRow>(
          "SELECT p.id, p.municipality, p.name, p.title, p.language, p.left_at_us FROM person p JOIN person_role r ON "
          "r.person = p.id WHERE p.municipality = :m AND r.role = :role AND p.left_at_us IS NULL AND "
          "(r.until_us IS NULL OR r.until_us > :now) ORDER BY r.given_at_us, p.id",
          {{"m", municipality}, {"role", to_string(role)}, {"now", now}}));
  std::vector<Person> people;
  for (const auto& row : rows) {
    BAVN_TRY(auto person, whole(db, row, now));
    people.push_back(std::move(person));
  }
  return people;
}

Result<std::vector<Person>> People::duty_contacts(const event::Scope& scope, MunicipalityId municipality) const {
  BAVN_CHECK(require(scope, Right::tenants_read, municipality, "see people"));
  return state_.read(
      [&](store::Reader& db) { return people_with_role(db, municipality, Role::duty_contact, runtime_.now()); });
}

std::string_view how_reachable(const std::vector<Person>& duty_contacts) {
  const auto answered = [](const Person& p) {
    return std::ranges::any_of(p.ways, [](const auto& way) { return way.confirmed.has_value(); });
  };
  return duty_contacts.empty() ? "none" : std::ranges::any_of(duty_contacts, answered) ? "tested" : "untested";
}

Result<std::vector<std::string>> People::duty_gaps(const event::Scope& scope, MunicipalityId municipality) const {
  BAVN_TRY(const auto people, duty_contacts(scope, municipality));
  std::vector<std::string> gaps;
  if (people.empty()) gaps.push_back("nobody is duty contact: name a person who answers at night");
  for (const auto& person : people) {
    const auto outside =
        std::count_if(person.ways.begin(), person.ways.end(), [](const auto& w) { return w.outside_tenant; });
    if (outside < 2)
      gaps.push_back(
          fmt::format("{} has {} of 2 ways that work when the municipality's own mail is taken: add a private phone, a "
                      "private mail address or a webhook elsewhere",
                      person.name, outside));
    const bool tested =
        std::any_of(person.ways.begin(), person.ways.end(), [](const auto& w) { return w.confirmed.has_value(); });
    if (!person.ways.empty() && !tested) gaps.push_back(fmt::format("no way to reach {} was ever tested", person.name));
  }
  return gaps;
}

Result<TenantId> People::add_tenant(const event::Scope& scope, MunicipalityId municipality, std::string_view kind,
                                    std::string_view name, std::optional<std::string> external_id) {
  BAVN_CHECK(require(scope, Right::tenants_write, municipality, "add tenants"));
  if (kind != "microsoft365" && kind != "active_directory" && kind != "other")
    return fail(Code::bad_input, fmt::format("\"{}\" is not one of microsoft365, active_directory, other", kind));
  BAVN_TRY(const auto clean, one_line(name, "the tenant's name"));
  TenantId id;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    const auto inserted = tx.exec(
        "INSERT INTO tenant (municipality, kind, name, external_id, created_at_us) VALUES (:m, :kind, :name, "
        ":external, :now)",
        {{"m", municipality}, {"kind", kind}, {"name", clean}, {"external", external_id}, {"now", tx.now()}});
    if (!inserted && inserted.error().code == Code::conflict)
      return fail(Code::conflict, fmt::format("the tenant {} is there already", clean));
    BAVN_CHECK(inserted);
    if (!std::in_range<std::uint16_t>(tx.last_id())) return fail(Code::unavailable, "no tenant numbers are left");
    id.value = static_cast<std::uint16_t>(tx.last_id());
    return tx.audit({scope.who(), "tenant.added", fmt::format("tenant:{}", id.value),
                     fmt::format("{{\"municipality\":{}}}", municipality.value)});
  }));
  return id;
}

Result<std::vector<Tenant>> People::tenants(const event::Scope& scope, MunicipalityId municipality) const {
  BAVN_CHECK(require(scope, Right::tenants_read, municipality, "see tenants"));
  return state_.read([&](store::Reader& db) -> Result<std::vector<Tenant>> {
    BAVN_TRY(const auto rows,
             db.all<TenantRow>(
                 "SELECT id, municipality, kind, name, external_id FROM tenant WHERE municipality = :m ORDER BY id",
                 {{"m", municipality}}));
    std::vector<Tenant> tenants;
    for (const auto& r : rows) tenants.push_back({r.id, r.municipality, r.kind, r.name, r.external_id});
    return tenants;
  });
}

}  // namespace bavn::tenants
