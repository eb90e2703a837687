#include "exchange/peers/names.hpp"

#include "base/json_writer.hpp"
#include "net/json_value.hpp"

namespace bavn::exchange {

std::string names_json(std::span<const std::string> names) {
  std::string out;
  JsonWriter w(out);
  w.array();
  for (const auto& n : names) w.value(n);
  w.end();
  return out;
}

std::vector<std::string> names_in(std::string_view json) {
  std::vector<std::string> out;
  const auto document = net::JsonDocument::parse(json);
  if (!document) return out;
  for (const net::JsonValue v : document->root())
    if (const auto t = v.text()) out.emplace_back(*t);
  return out;
}

}  // namespace bavn::exchange
