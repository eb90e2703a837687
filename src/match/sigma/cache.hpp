#pragma once
// A compiled RuleSet as bytes. The key says what it was made from; anything that does not fit is refused as a whole.
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "match/sigma/rule.hpp"

namespace bavn::match::sigma {

/// Raise when Predicate, Node, Rule ... or the meaning of any of them changes.
constexpr std::uint32_t kCacheVersion = 1;

std::string encode_cache(const RuleSet& set, std::string_view key);
/// not_found: made from something else. corrupt: the bytes are damaged. Compiles the regular expressions again.
Result<RuleSet> decode_cache(std::string_view bytes, std::string_view key);

}  // namespace bavn::match::sigma
