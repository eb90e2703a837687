#include "formats/csv_rows.hpp"

#include <algorithm>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "formats/line_tools.hpp"

namespace bavn::formats {

namespace {

constexpr std::size_t kMostColumns = 256, kLongestName = 128;

std::optional<std::vector<std::string>> names_of(std::string_view line, char separator) {
  std::vector<std::string> names;
  std::string scratch;
  std::string_view value;
  CsvFields fields(line, separator);
  while (fields.next(value, scratch)) {
    const std::string_view name = trim(value);
    if (name.empty() || name.size() > kLongestName || names.size() == kMostColumns) return std::nullopt;
    if (std::find(names.begin(), names.end(), name) != names.end()) return std::nullopt;
    names.emplace_back(name);
  }
  if (names.size() < 3 || fields.open_quote()) return std::nullopt;
  return names;
}

}  // namespace

std::optional<CsvRows> CsvRows::of_header(std::string_view line,
                                          const std::function<bool(const std::vector<std::string>&)>& known) {
  if (line.find("\":") != std::string_view::npos) return std::nullopt;  // a piece of JSON
  for (const char separator : {',', ';', '\t'}) {
    if (line.find(separator) == std::string_view::npos) continue;
    auto names = names_of(line, separator);
    if (!names || !known(*names)) continue;
    CsvRows rows;
    rows.header_ = line;
    rows.names_ = std::move(*names);
    rows.separator_ = separator;
    return rows;
  }
  return std::nullopt;
}

const char* CsvRows::row(std::string_view line, std::string& json) const {
  json.clear();
  JsonWriter w(json);
  w.object();
  std::string scratch;
  std::string_view value;
  std::size_t n = 0;
  CsvFields fields(line, separator_);
  for (; fields.next(value, scratch); ++n) {
    if (n == names_.size()) return "more cells than the header has names";
    w.key(names_[n]);
    if (value.empty()) w.null();
    else w.value(value);
  }
  if (fields.open_quote()) return "a quoted cell does not end on its line";
  if (n < names_.size()) return "fewer cells than the header has names";
  w.end();
  return nullptr;
}

}  // namespace bavn::formats
