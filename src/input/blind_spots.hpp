#pragma once
// "What this municipality cannot see": each kind of source with what it feeds, its delay, the permission it needs, and what is blind without
// it, in Danish, Norwegian and English. From content/sources/*.yml and the table of Microsoft 365.
// Life: immutable values. Thread rules: any.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn::input {

struct Words3 {
  std::string da, nb, en;
  /// language: "da", "nb", anything else English.
  const std::string& in(std::string_view language) const;
};

struct Sight {
  std::string id;  // "dns_resolver", "m365.signins"
  Words3 name, delay, permission, blind;
  std::vector<std::string> formats;  // any of them arriving gives this sight
  std::vector<std::string> sources;  // or a source of such a name, or of such a name with "@" or "/" and more behind it
  std::vector<std::string> logsources, observables, digests;
};

/// All kinds that are known. Errors: corrupt, when a file of the program's own content is broken.
Result<std::vector<Sight>> all_sights();
/// One file. name: for messages; its stem is the id.
Result<Sight> read_sight(std::string_view yaml, std::string_view name);

struct Seen {
  std::vector<std::string> sources;  // names of sources that are configured and not off
  std::vector<std::string> formats;  // of records that arrived lately, and those named in sources.toml
};

/// The kinds that nothing of `seen` gives, in the order of all_sights().
std::vector<Sight> blind_spots(const std::vector<Sight>& sights, const Seen& seen);

}  // namespace bavn::input
