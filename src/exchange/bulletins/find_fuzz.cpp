#include <cstdint>

#include "base/result.hpp"
#include "exchange/bulletins/find.hpp"
#include "exchange/bulletins/markdown.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& f : bavn::exchange::find_observables(text)) {
    BAVN_ASSERT(f.from < f.to && f.to <= text.size());
    (void)bavn::exchange::around(text, f.from, f.to);
  }
  const std::string html = bavn::exchange::html_of_markdown(text, {});
  BAVN_ASSERT(html.find("<script") == std::string::npos && html.find("<img") == std::string::npos);
  return 0;
}
