#pragma once
// Sigma YAML -> RuleSet. Synchronous; throws nothing. A document that cannot be used is refused with its reason, the others go on.
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "match/sigma/rule.hpp"

namespace bavn::match::sigma {

struct Options {
  /// Values for `|expand`: lines `name = value` (one a line, a name may come again: a list); '#' starts a comment. Empty: rules
  /// that need placeholders are refused, as the specification asks.
  std::string placeholders_file;
  /// Compiled rules are kept here and used again while no file changed. Empty: no cache. A cache that cannot be read is ignored
  /// with a warning; one that cannot be written is a warning too.
  std::string cache_file;
};

/// paths: files, or folders that are searched for .yml and .yaml (sorted by name). A path that does not exist is an Error; all
/// other trouble is in RuleSet::refused and RuleSet::warnings.
Result<RuleSet> load(std::span<const std::string> paths, const Options& options = {});

/// The same for texts in memory: (name, YAML). For tests, fuzzers and rules that come from the hub. Uses no cache.
Result<RuleSet> load_texts(std::span<const std::pair<std::string, std::string>> texts, const Options& options = {});

/// Reads `text` as load does, for the editor and tests of one rule.
Result<RuleSet> load_text(std::string_view text, const Options& options = {});

}  // namespace bavn::match::sigma
