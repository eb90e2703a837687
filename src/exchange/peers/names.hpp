#pragma once
// Short lists of names in one column, as a JSON array. Thread rules: plain functions.
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bavn::exchange {

std::string names_json(std::span<const std::string> names);
/// What is no array of texts is no names.
std::vector<std::string> names_in(std::string_view json);

}  // namespace bavn::exchange
