#pragma once
// What correlation at the hub asks about the community. The app answers from tenants. Thread rules: any thread.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"

namespace bavn::correlate {

struct Member {
  MunicipalityId id;
  std::string code, name;            // "0157", "Gentofte"
  std::vector<std::string> domains;  // of mail
  bool connected = false;            // a node of it has been heard in the last minutes
  bool may_be_named = true;          // agreed at enrolment: "our domain may be named to members when we are the sender"
};

class Members {
 public:
  virtual ~Members() = default;
  virtual std::vector<Member> all() const = 0;
  virtual std::optional<Member> of(MunicipalityId id) const = 0;
  virtual std::optional<MunicipalityId> of_domain(std::string_view domain) const = 0;
};

/// What kind of victim a domain outside the community belongs to, by its name alone: "ministry" (and agencies), "region", "municipality",
/// "union" (KL and its kind, trade unions), "school", "police", "court", "church", "health", "bank", "utility", "supplier" (who runs the systems
/// of municipalities), "club", "free mail", "company". For counts and letters; unknown names are companies.
std::string_view kind_of_victim(std::string_view domain);

}  // namespace bavn::correlate
