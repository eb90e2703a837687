#pragma once
// The types and categories of MISP's format, from content/misp/types.txt. A type that is not in it is taken as it is: MISP gets new ones each year.
// Thread rules: immutable after the first use.
#include <string>
#include <string_view>
#include <vector>

namespace bavn::exchange::misp {

struct AttributeType {
  std::string_view name, default_category;
  bool to_ids = false;
  std::vector<std::string_view> categories{};
};

const std::vector<AttributeType>& types();
/// Null: not known.
const AttributeType* type_of(std::string_view name);
const std::vector<std::string_view>& categories();
/// {"result": {"sane_defaults", "types", "categories", "category_type_mappings"}}
std::string describe_types();
/// Letters, digits and what types of MISP are made of.
bool may_be_type(std::string_view name);

}  // namespace bavn::exchange::misp
