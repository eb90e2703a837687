#include "exchange/misp/types.hpp"

#include <algorithm>

#include "base/content.hpp"
#include "base/json_writer.hpp"
#include "base/result.hpp"
#include "base/text.hpp"

namespace bavn::exchange::misp {

const std::vector<AttributeType>& types() {
  static const std::vector<AttributeType> all = [] {
    std::vector<AttributeType> out;
    const auto file = content::file("content/misp/types.txt");
    BAVN_ASSERT(file.has_value());
    for (const std::string_view line : split(*file, '\n')) {
      if (line.empty() || line.starts_with('#')) continue;
      const auto columns = split(line, '\t');
      BAVN_ASSERT(columns.size() == 4);
      out.push_back({columns[0], columns[1], columns[2] == "1", split(columns[3], ';')});
    }
    return out;
  }();
  return all;
}

const AttributeType* type_of(std::string_view name) {
  const auto& all = types();
  const auto it = std::find_if(all.begin(), all.end(), [&](const AttributeType& t) { return t.name == name; });
  return it == all.end() ? nullptr : &*it;
}

const std::vector<std::string_view>& categories() {
  static const std::vector<std::string_view> all = {"Internal reference",
                                                    "Targeting data",
                                                    "Antivirus detection",
                                                    "Payload delivery",
                                                    "Artifacts dropped",
                                                    "Payload installation",
                                                    "Persistence mechanism",
                                                    "Network activity",
                                                    "Payload type",
                                                    "Attribution",
                                                    "External analysis",
                                                    "Financial fraud",
                                                    "Support Tool",
                                                    "Social network",
                                                    "Person",
                                                    "Other"};
  return all;
}

std::string describe_types() {
  std::string out;
  JsonWriter w(out);
  w.object().key("result").object().key("sane_defaults").object();
  for (const auto& t : types())
    w.key(t.name).object().member("default_category", t.default_category).member("to_ids", t.to_ids ? 1 : 0).end();
  w.end().key("types").array();
  for (const auto& t : types()) w.value(t.name);
  w.end().key("categories").array();
  for (const auto c : categories()) w.value(c);
  w.end().key("category_type_mappings").object();
  for (const auto c : categories()) {
    w.key(c).array();
    for (const auto& t : types())
      if (std::find(t.categories.begin(), t.categories.end(), c) != t.categories.end()) w.value(t.name);
    w.end();
  }
  w.end().end().end();
  return out;
}

bool may_be_type(std::string_view name) {
  return !name.empty() && name.size() <= 100 && std::all_of(name.begin(), name.end(), [](char c) {
    return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') ||
           std::string_view("-|_.+:/ ").find(c) != std::string_view::npos;
  });
}

}  // namespace bavn::exchange::misp
