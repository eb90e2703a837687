#include "notice/community.hpp"

#include <array>

#include "event/observable.hpp"

namespace bavn::notice {

namespace {

/// Local parts of mailboxes that belong to a function, in Danish, Norwegian and English. The first word before . - _ + counts too.
constexpr std::array kFunctions = {
    "abuse",
    "admin",
    "administration",
    "alarm",
    "backup",
    "bogholderi",
    "borgerservice",
    "booking",
    "bibliotek",
    "donotreply",
    "drift",
    "edoc",
    "esdh",
    "faktura",
    "fakturaer",
    "fax",
    "hr",
    "hostmaster",
    "helpdesk",
    "info",
    "it",
    "itservice",
    "jobcenter",
    "kommunen",
    "kommunikation",
    "kontakt",
    "kommune",
    "kundeservice",
    "loen",
    "lon",
    "mail",
    "mailer-daemon",
    "marketing",
    "news",
    "newsletter",
    "nyhedsbrev",
    "nyheter",
    "nyheder",
    "no-reply",
    "noreply",
    "notification",
    "notifications",
    "post",
    "postkasse",
    "postmaster",
    "postmottak",
    "presse",
    "raadhus",
    "reception",
    "regnskab",
    "root",
    "scanner",
    "service",
    "servicedesk",
    "sikkerpost",
    "sekretariat",
    "sikkerhed",
    "support",
    "survey",
    "sundhed",
    "system",
    "teknik",
    "undersoegelse",
    "webmaster",
    "workflow",
    "alerts",
    "dpo",
    "databeskyttelse",
    "digitalpost",
    "konference",
};

bool names_function(std::string_view local) {
  for (const std::string_view f : kFunctions) {
    if (local == f) return true;
    if (local.starts_with(f) && local.size() > f.size() && std::string_view(".-_+").contains(local[f.size()]) &&
        f.size() > 3)
      return true;
  }
  return false;
}

}  // namespace

std::string_view domain_of(std::string_view address) {
  const auto at = address.rfind('@');
  return at == std::string_view::npos || at == 0 ? std::string_view() : address.substr(at + 1);
}

Result<void> Community::add(std::string_view domain, MunicipalityId of) {
  const auto known = event::canonical(event::Kind::mail_domain, domain);
  if (!known) return fail(Code::bad_input, "this is no mail domain", std::string(domain));
  const auto [at, fresh] = of_.emplace(known->value, of);
  if (!fresh && at->second != of) return fail(Code::conflict, "this domain is another municipality's", known->value);
  return {};
}

void Community::say_person(std::string_view address, bool person) {
  said_.insert_or_assign(std::string(address), person);
}

std::optional<MunicipalityId> Community::member_of_domain(std::string_view domain) const {
  while (!domain.empty()) {
    if (const auto at = of_.find(domain); at != of_.end()) return at->second;
    const auto dot = domain.find('.');
    domain = dot == std::string_view::npos ? std::string_view() : domain.substr(dot + 1);
  }
  return std::nullopt;
}

std::optional<MunicipalityId> Community::member(std::string_view address) const {
  return member_of_domain(domain_of(address));
}

bool Community::own(std::string_view address) const {
  const auto m = member(address);
  return m && own_.contains(*m);
}

bool Community::person_mailbox(std::string_view address) const {
  if (!member(address)) return false;
  if (const auto said = said_.find(address); said != said_.end()) return said->second;
  return !names_function(address.substr(0, address.rfind('@')));
}

}  // namespace bavn::notice
