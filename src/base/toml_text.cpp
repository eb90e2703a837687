#include "base/toml_text.hpp"

#include <string>

namespace bavn {

Result<void> plain_outside_quotes(std::string_view toml, std::string_view file) {
  std::size_t line = 1;
  std::string_view open;  // the quotes we are in
  bool comment = false;
  for (std::size_t at = 0; at < toml.size(); ++at) {
    const char c = toml[at];
    if (c == '\n') {
      ++line;
      comment = false;
      if (open.size() == 1) open = {};  // a string of one line does not go on; the parser says what is wrong
      continue;
    }
    if (comment) continue;
    if (!open.empty()) {
      if (open[0] == '"' && c == '\\') ++at;
      else if (toml.substr(at).starts_with(open)) {
        at += open.size() - 1;
        open = {};
      }
      continue;
    }
    if (c == '#') comment = true;
    else if (c == '"' || c == '\'') {
      const std::string_view three = c == '"' ? "\"\"\"" : "'''";
      open = toml.substr(at).starts_with(three) ? three : three.substr(0, 1);
      at += open.size() - 1;
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      return fail(Code::bad_input, "letters beyond ASCII belong between quotes",
                  std::string(file) + ":" + std::to_string(line));
    }
  }
  return {};
}

}  // namespace bavn
