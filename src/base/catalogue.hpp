#pragma once
// Every sentence that people read, in Danish, Norwegian and English: i18n/{da,nb,en}.json, flat keys, part of the binary.
//   "notify.test.subject": "Prøve: kan vi få fat i dig, {name}?"
// {name} is a placeholder; {{ and }} are braces. What is counted has two keys, "x.one" and "x.other", with {n} for the number.
// Life: an immutable value, made in main. Thread rules: any thread.
#include <array>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace bavn {

enum class Language : std::uint8_t { da, nb, en };
std::string_view to_string(Language language);
std::optional<Language> language_of(std::string_view code);  // "da", "nb", also "nb-NO", "no"

class Catalogue {
 public:
  using Values = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  static Catalogue embedded();  // a catalogue with faults is a broken build (BAVN_ASSERT)
  /// texts: the JSON of da, nb, en. bad_input lists every fault: a key that one language lacks, other placeholders, half a plural.
  static Result<Catalogue> read(const std::array<std::string_view, 3>& texts);

  /// A key that is not there, or a placeholder without a value, is a broken promise (BAVN_ASSERT).
  std::string say(Language language, std::string_view key, Values values = {}) const;
  /// key.one or key.other; {n} is the number.
  std::string count(Language language, std::string_view key, std::int64_t n, Values values = {}) const;
  bool has(std::string_view key) const;
  std::vector<std::string_view> keys() const;

 private:
  std::array<std::map<std::string, std::string, std::less<>>, 3> texts_;
};

}  // namespace bavn
