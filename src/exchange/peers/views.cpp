#include "exchange/peers/views.hpp"

#include <fmt/format.h>

#include "base/text.hpp"

namespace bavn::exchange {

namespace {

/// RFC 4180: quoted where it must be.
void cell(std::string& out, std::string_view s) {
  if (s.find_first_of(",\"\r\n;\t") == std::string_view::npos) {
    out += s;
    return;
  }
  out += '"';
  for (const char c : s) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

/// A comment that a spreadsheet would run as a formula gets a blank in front; it is for people.
std::string harmless(std::string_view s) {
  return !s.empty() && std::string_view("=+-@\t\r").find(s.front()) != std::string_view::npos ? " " + std::string(s)
                                                                                              : std::string(s);
}

std::string time_of(Instant t) {
  return t == Instant{} ? std::string() : format_time(std::chrono::floor<std::chrono::seconds>(t));
}

Result<std::string> write_csv(std::span<const Known> all, const ExportAsk&) {
  std::string out = "kind,value,source,confidence,tlp,action,valid_from,valid_until,comment\r\n";
  for (const Known& k : all) {
    const auto& i = k.indicator;
    cell(out, i.is_pattern() ? "pattern" : event::to_string(i.kind));
    for (const std::string& each :
         {i.value, i.source, std::to_string(i.confidence), std::string(event::to_string(i.tlp)),
          std::string(match::indicators::to_string(i.action)), time_of(i.valid_from), time_of(i.valid_until),
          harmless(i.comment)}) {
      out += ',';
      cell(out, each);
    }
    out += "\r\n";
  }
  return out;
}

}  // namespace

ExportView csv_view() {
  return {"text/csv; charset=utf-8", "csv", write_csv};
}

}  // namespace bavn::exchange
