#pragma once
// Tables that services export as CSV (RFC 4180): Purview's audit search, message trace, sign-ins, Export-Csv of PowerShell. A row becomes
// the JSON object that the service's API would give: the header's names, the row's texts. It is then recognised and read like any JSON
// record; only tables are taken whose header has all keys by which a JSON format is recognised.
// Limits: 256 columns, names of 128 bytes. A row stands on one line; one whose quote is open at its end is refused.
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bavn::formats {

class CsvRows {
 public:
  /// The line as a header, columns apart by ',', ';' or a tab; nothing when it is none. known: are these the names of a known format?
  static std::optional<CsvRows> of_header(std::string_view line,
                                          const std::function<bool(const std::vector<std::string>&)>& known);
  std::string_view header() const { return header_; }
  /// Why the line is no row of the table, or null: json is its object. A cell without text is null. line is valid UTF-8.
  const char* row(std::string_view line, std::string& json) const;

 private:
  std::string header_;
  std::vector<std::string> names_;
  char separator_ = ',';
};

}  // namespace bavn::formats
