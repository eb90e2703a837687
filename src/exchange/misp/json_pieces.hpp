#pragma once
// A large JSON text cut into its members or elements, one at a time, without a tree of the whole: an event of 200,000 attributes is read with the
// memory of one of them. What is handed out is not checked inside: read it with net::JsonDocument, which is strict.
// Thread rules: plain functions; what they hand out are views of the text.
#include <functional>
#include <string_view>

#include "base/result.hpp"

namespace bavn::exchange::misp {

using EachMember = std::function<Result<void>(std::string_view key, std::string_view value)>;
using EachElement = std::function<Result<void>(std::string_view value)>;

/// bad_input: it is no object, or it ends too early, or a key comes twice, or something stands behind it. Keys with escapes are decoded.
Result<void> each_member(std::string_view object, const EachMember& f);
Result<void> each_element(std::string_view array, const EachElement& f);
/// The first character that is no white space; 0: nothing.
char first_of(std::string_view json);

}  // namespace bavn::exchange::misp
