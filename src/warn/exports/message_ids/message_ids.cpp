// Message-IDs as mail systems write them (README.md).
#include <fmt/format.h>

#include <array>

#include "warn/exports/writing.hpp"

namespace bavn::warn::exports::message_ids {

namespace {

constexpr std::array<File, 2> kFiles = {{
    {"message_ids.txt", "text/plain; charset=utf-8", "Message-IDs with < and >, one a line", 0},
    {"message_ids.csv", "text/csv; charset=utf-8", "The same as CSV with a heading, for Import-Csv of PowerShell", 0},
}};

class MessageIds final : public Export {
 public:
  std::span<const File> files() const override { return kFiles; }

  Result<Written> write(const File& file, const List& list, const Options&) const override {
    const bool csv = file.name == kFiles[1].name;
    Writer w(file, list, csv ? "" : "#");
    if (csv) w.body() = "InternetMessageId,Entry,Expires\n";
    w.each({event::Kind::message_id}, [&](const Entry& e) {
      // Quotes never get here (safe_message_id), so the field cannot end early; '<' keeps spreadsheets from reading a formula.
      w.put(csv ? fmt::format("\"<{}>\",{},{}\n", e.what.value, e.id, format_time(e.until))
                : fmt::format("<{}>\n", e.what.value));
    });
    return w.done();
  }
};

}  // namespace

std::unique_ptr<Export> make() {
  return std::make_unique<MessageIds>();
}

}  // namespace bavn::warn::exports::message_ids
