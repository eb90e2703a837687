#pragma once
// STIX 2.1 patterns: the full grammar is parsed; =, !=, <, >, <=, >=, IN, LIKE, MATCHES, ISSUBSET, ISSUPERSET, EXISTS, NOT, AND, OR are
// evaluated on the observables of one record. FOLLOWEDBY, WITHIN, REPEATS and START/STOP are stored and not evaluated.
// Thread rules: immutable after parse.
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "event/observable.hpp"

namespace bavn::match::indicators {

using Seen = std::pair<event::Kind, std::string_view>;  // one observable of the record: kind, canonical value

class StixPattern {
 public:
  static constexpr std::size_t kLongest = 64 * 1024;
  /// Error: what and at which character.
  static Result<StixPattern> parse(std::string_view text);
  StixPattern(StixPattern&&) noexcept;
  StixPattern& operator=(StixPattern&&) noexcept;
  ~StixPattern();

  const std::string& text() const { return text_; }
  /// Empty when it is evaluated; else why not: "uses FOLLOWEDBY", "path windows-registry-key:key is not observed".
  const std::string& not_evaluated() const { return not_evaluated_; }
  /// Set when the pattern is one comparison with one value of an observed kind, or an OR of such.
  const std::vector<event::Observable>& plain() const { return plain_; }
  /// Observables of which at least one is in every record that the pattern matches; empty: there is no such set.
  const std::vector<event::Observable>& witnesses() const { return witnesses_; }
  bool matches(std::span<const Seen> record) const;

  struct Node;

 private:
  StixPattern();
  std::string text_, not_evaluated_;
  std::vector<event::Observable> plain_, witnesses_;
  std::unique_ptr<Node> root_;
};

/// The kinds of observable that a STIX object path may be ("domain-name:value" -> domain); empty when none is.
std::vector<event::Kind> kinds_of_stix_path(std::string_view object_path);

}  // namespace bavn::match::indicators
