#pragma once
// Who asks, for which municipalities and tenants, with which rights, up to which TLP. Every store call takes a Scope; every
// release takes a May. Life: a value, made where a person, key or node is authenticated, never stored.
#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "event/tlp.hpp"

namespace bavn::event {

enum class Right : std::uint32_t {
  anyone = 0,  // what needs no right: health, enrolment by code
  event_read = 1U << 0,
  event_write = 1U << 1,
  event_erase = 1U << 2,
  finding_read = 1U << 3,
  indicator_read = 1U << 4,
  indicator_write = 1U << 5,
  hunt = 1U << 6,
  operate = 1U << 7,  // doctor, retention, rebuild
  alert_read = 1U << 8,
  alert_write = 1U << 9,     // acknowledge, note, settings of rules
  follow = 1U << 10,         // a node: the streams down
  report = 1U << 11,         // a node: batches up, for its own municipalities only
  tenants_read = 1U << 12,   // operators, municipalities, nodes, coverage
  tenants_write = 1U << 13,  // and enrolment codes, revocation
  publish = 1U << 14,        // indicators, rules, content and warnings into the streams
  order = 1U << 15,          // propose and sign orders to nodes
  audit_read = 1U << 16,
  left_us_read = 1U << 17,    // "What left us"
  people_write = 1U << 18,    // people, their roles and invitations, recovery of lost keys
  settings_write = 1U << 19,  // settings, providers of identity
};

class Scope {
 public:
  /// The owner of the data folder on its own machine (the command line): every tenant, every right, TLP red.
  static Scope local_owner();
  /// The same owner where only looking is allowed (a browser): every tenant, TLP red, these rights.
  static Scope local_reader(std::uint32_t rights);
  /// Somebody of the joint CERT, whose work is every municipality.
  static Scope everywhere(std::string who, std::uint32_t rights, Tlp ceiling);
  Scope(std::string who, std::vector<MunicipalityId> municipalities, std::uint32_t rights, Tlp ceiling)
      : who_(std::move(who)), municipalities_(std::move(municipalities)), rights_(rights), ceiling_(ceiling) {}

  const std::string& who() const { return who_; }
  std::uint32_t rights() const { return rights_; }
  bool may(Right r) const { return (rights_ & static_cast<std::uint32_t>(r)) == static_cast<std::uint32_t>(r); }
  bool sees(MunicipalityId m) const;
  const std::vector<MunicipalityId>& municipalities() const { return municipalities_; }  // empty when it sees all
  Tlp ceiling() const { return ceiling_; }
  bool sees_all() const { return all_; }

 private:
  std::string who_;
  std::vector<MunicipalityId> municipalities_;
  std::uint32_t rights_ = 0;
  Tlp ceiling_ = Tlp::clear;
  bool all_ = false;
};

/// The one place that decides release: made from a Scope, carried to what is released.
class May {
 public:
  explicit May(const Scope& scope) : scope_(scope) {}
  bool release(MunicipalityId of, Tlp marked) const { return scope_.sees(of) && marked <= scope_.ceiling(); }

 private:
  const Scope& scope_;
};

}  // namespace bavn::event
