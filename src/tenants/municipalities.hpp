#pragma once
// The municipalities there are, from content/municipalities. Facts, not members: who takes part is the Directory's to say.
// Life: an immutable value. Thread rules: any thread.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"

namespace bavn::tenants {

enum class Country : std::uint8_t { denmark, norway };

struct Municipality {
  MunicipalityId id;         // the official code as a number: 101 (København), 301 (Oslo)
  std::string name, region;  // "København", "Hovedstaden"
  Country country;

  std::string code() const;           // four digits: "0101"
  std::string_view language() const;  // of its people: "da", "nb"
  std::string_view zone() const;      // "Europe/Copenhagen"
};

class Municipalities {
 public:
  static Municipalities all();  // from the embedded lists; a broken list is a broken build (BAVN_ASSERT)

  const Municipality* find(MunicipalityId id) const;
  /// By code or by name, whatever the case; "Kommune" behind the name is fine. not_found says the nearest name.
  Result<const Municipality*> named(std::string_view code_or_name) const;
  std::span<const Municipality> list() const { return list_; }  // in order of code

 private:
  std::vector<Municipality> list_;
};

}  // namespace bavn::tenants
