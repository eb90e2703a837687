#pragma once
// Names and times as STIX 2.1 writes them: UUIDs, "indicator--UUID", timestamps. Thread rules: plain functions.
#include <string>
#include <string_view>

#include "base/runtime.hpp"
#include "base/time.hpp"

namespace bavn::exchange::stix {

/// RFC 9562 version 4, and version 5: the same name in the same name space (a UUID) is the same UUID everywhere.
std::string uuid4(Runtime& runtime);
std::string uuid5(std::string_view name_space, std::string_view name);
bool is_uuid(std::string_view s);
/// "TYPE--UUID" whose type is this one (STIX 2.1 section 2.9): 3 to 250 letters, digits and hyphens.
bool is_id(std::string_view id, std::string_view type);

/// With three digits of a second, as `created` and `modified` must have (section 3.2).
std::string timestamp(Instant t);
/// With six: date_added.
std::string timestamp_us(Instant t);

}  // namespace bavn::exchange::stix
