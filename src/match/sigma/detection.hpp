#pragma once
// One selection of a rule (a map, a list or a value under `detection`) -> Node over predicates. Load time only.
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "match/sigma/pattern.hpp"
#include "match/sigma/rule.hpp"
#include "match/sigma/yaml.hpp"

namespace bavn::match::sigma {

/// Compiles each pattern once for a whole load.
using RegexCache = std::unordered_map<std::string, std::shared_ptr<const Regex>>;

/// What the selections of one document gave; predicate ids are indexes into `predicates`.
struct Selections {
  std::vector<std::string> names;
  std::vector<Node> nodes;
  std::vector<Predicate> predicates;
  std::vector<std::string> remarks;  // odd but usable: "'all' on a single value ..."
};

/// section: the map under `detection` or `filter`; `skip`: its keys that are no selections. Error::where: the line.
Result<Selections> compile_selections(const Yaml& section, const std::vector<std::string_view>& skip,
                                      const Placeholders& placeholders, RegexCache& regexes);

/// Network and prefix of "10.0.0.0/8", "2001:db8::/32" or one address, as Predicate holds them (host bits cleared).
bool parse_network(std::string_view text, std::array<std::uint8_t, 16>& network, std::uint8_t& prefix_bits);
/// One address in the value of an event: v4, v6, [v6], with port or %zone; IPv4-mapped v6 is v4. v4 as ::ffff:a.b.c.d.
bool parse_address(std::string_view text, std::array<std::uint8_t, 16>& address);
/// A finite number in decimal or 0x form, spaces around it allowed.
std::optional<double> parse_number(std::string_view text);

}  // namespace bavn::match::sigma
