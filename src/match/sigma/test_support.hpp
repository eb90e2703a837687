#pragma once
// For tests of this folder: events written as YAML (or JSON) maps become RecordViews.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "match/sigma/exact.hpp"
#include "match/sigma/yaml.hpp"

namespace bavn::match::sigma::testing {

/// Fields by dotted path; lists give several values; `_raw` is the raw message.
class YamlRecord final : public RecordView {
 public:
  explicit YamlRecord(const Yaml& y) { add("", y); }
  void set(std::string field, std::string text) {
    values_.push_back({std::move(field), std::move(text), ValueKind::string});
  }

  void for_each(std::string_view field, const Visit& visit) const override {
    for (const auto& v : values_)
      if (v.field == field && !visit(v.text, v.kind)) return;
  }
  void for_any(const Visit& visit) const override {
    for (const auto& v : values_)
      if (!visit(v.text, v.kind)) return;
  }

 private:
  struct Value {
    std::string field, text;
    ValueKind kind;
  };
  void add(const std::string& path, const Yaml& y) {
    if (y.is_map()) {
      for (std::size_t i = 0; i < y.keys.size(); ++i)
        add(path.empty() ? y.keys[i] : path + "." + y.keys[i], y.items[i]);
    } else if (y.is_list()) {
      for (const auto& item : y.items) add(path, item);
    } else {
      ValueKind kind = ValueKind::string;
      if (y.is_null()) kind = ValueKind::null;
      else if (!y.quoted && (y.text == "true" || y.text == "false")) kind = ValueKind::boolean;
      else if (!y.quoted && !y.text.empty() && y.text.find_first_not_of("0123456789.-+eE") == std::string::npos)
        kind = ValueKind::number;
      values_.push_back({path, y.text, kind});
    }
  }
  std::vector<Value> values_;
};

inline std::string read_text(const std::filesystem::path& p) {
  std::ifstream in(p, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

/// The folder of the collected corpora, or empty when there is none here.
inline std::filesystem::path corpora(const std::string& folder) {
  const char* named = std::getenv("BAVN_CORPORA");
  const std::filesystem::path root = named != nullptr ? named : BAVN_SOURCE_DIR "/../shared/corpora";
  return std::filesystem::exists(root / folder) ? root / folder : std::filesystem::path();
}

}  // namespace bavn::match::sigma::testing
