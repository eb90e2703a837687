#include <array>
#include <utility>

#include "correlate/members.hpp"

namespace bavn::correlate {

namespace {

using Pair = std::pair<std::string_view, std::string_view>;

/// Registrable domains, and endings of such ("*min.dk": ends with).
constexpr std::array kKnown = {
    Pair{"stm.dk", "ministry"},       Pair{"um.dk", "ministry"},
    Pair{"fm.dk", "ministry"},        Pair{"regjeringen.no", "ministry"},
    Pair{"skat.dk", "ministry"},      Pair{"digst.dk", "ministry"},
    Pair{"sst.dk", "health"},         Pair{"sundhedsdata.dk", "health"},
    Pair{"helsenorge.no", "health"},  Pair{"nhn.no", "health"},
    Pair{"kl.dk", "union"},           Pair{"ks.no", "union"},
    Pair{"kombit.dk", "union"},       Pair{"regioner.dk", "union"},
    Pair{"politi.dk", "police"},      Pair{"politiet.no", "police"},
    Pair{"pet.dk", "police"},         Pair{"regionh.dk", "region"},
    Pair{"rn.dk", "region"},          Pair{"rm.dk", "region"},
    Pair{"rsyd.dk", "region"},        Pair{"regionsjaelland.dk", "region"},
    Pair{"gmail.com", "free mail"},   Pair{"hotmail.com", "free mail"},
    Pair{"outlook.com", "free mail"}, Pair{"outlook.dk", "free mail"},
    Pair{"hotmail.dk", "free mail"},  Pair{"live.dk", "free mail"},
    Pair{"icloud.com", "free mail"},  Pair{"yahoo.com", "free mail"},
    Pair{"yahoo.dk", "free mail"},    Pair{"me.com", "free mail"},
    Pair{"mail.dk", "free mail"},     Pair{"online.no", "free mail"},
    Pair{"proton.me", "free mail"},
};
constexpr std::array kEndings = {
    Pair{"min.dk", "ministry"},         Pair{"dep.no", "ministry"},         Pair{"styrelsen.dk", "ministry"},
    Pair{"kommune.dk", "municipality"}, Pair{"kommune.no", "municipality"}, Pair{"skole.dk", "school"},
    Pair{"skolen.dk", "school"},        Pair{"gym.dk", "school"},           Pair{"vgs.no", "school"},
    Pair{"fylke.no", "region"},
};

}  // namespace

std::string_view kind_of_victim(std::string_view domain) {
  for (std::string_view d = domain; d.contains('.'); d = d.substr(d.find('.') + 1))
    for (const auto& [name, kind] : kKnown)
      if (d == name) return kind;
  for (const auto& [ending, kind] : kEndings)
    if (domain.ends_with(ending)) return kind;
  return "company";
}

}  // namespace bavn::correlate
