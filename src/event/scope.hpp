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
  event_read = 1U << 0,
  event_write = 1U << 1,
  event_erase = 1U << 2,
  finding_read = 1U << 3,
  indicator_read = 1U << 4,
  indicator_write = 1U << 5,
  hunt = 1U << 6,
  operate = 1U << 7,  // doctor, retention, rebuild
};

class Scope {
 public:
  /// The owner of the data folder on its own machine (the command line): every tenant, every right, TLP red.
  static Scope local_owner();
  Scope(std::string who, std::vector<MunicipalityId> municipalities, std::uint32_t rights, Tlp ceiling)
      : who_(std::move(who)), municipalities_(std::move(municipalities)), rights_(rights), ceiling_(ceiling) {}

  const std::string& who() const { return who_; }
  bool may(Right r) const { return (rights_ & static_cast<std::uint32_t>(r)) != 0; }
  bool sees(MunicipalityId m) const;
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
