#include <cstdlib>

#include "base/text.hpp"
#include "warn/exports/check_lines.hpp"

// Lines "KIND VALUE" (KIND: one byte) put straight into a list, canonical or not: no list may hold a line its reader would misread.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn;
  warn::exports::List list;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const std::string_view piece : split(bytes, '\x1e')) {
    if (piece.size() < 2 || list.entries.size() > 50) continue;
    const auto kind = static_cast<event::Kind>(1 + static_cast<unsigned char>(piece[0]) % (event::kKinds - 1));
    const std::string_view value = piece.substr(1);
    const auto known = event::canonical(kind, value);
    list.entries.emplace_back().what = {kind, std::string(value)};
    list.entries.back().id = "e";
    if (known) (list.entries.emplace_back(list.entries.back())).what = *known;
  }
  list.municipality = bytes.substr(0, 20);
  for (const auto& found : warn::exports::files()) {
    const auto written = warn::exports::write(found.file.name, list, {});
    if (!written || !warn::exports::check_lines(found.file.name, written->body, list).empty()) std::abort();
  }
  return 0;
}
