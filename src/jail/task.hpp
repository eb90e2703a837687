#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn::jail {

enum class Task : std::uint8_t {
  xml_events = 1,       // xml_events.hpp
  archive_list = 2,     // archive.hpp
  archive_extract = 3,  // archive.hpp
  pdf_text = 4,         // pdf_text.hpp
  mail_text = 5,        // mail_text.hpp
};

/// What both sides hold an item to.
inline constexpr std::size_t kMaxInput = 64U << 20;
inline constexpr std::size_t kMaxAnswer = 192U << 20;

/// How many times the usual deadline a task may take: pages are laid out, not only read.
constexpr int patience(Task task) {
  return task == Task::pdf_text || task == Task::mail_text ? 3 : 1;
}

/// Does the task in this process: what a worker does with an item, and what tests and fuzzers call.
Result<std::string> read_item(Task task, std::string_view input);

/// Whoever reads hostile bytes for others. Thread rules: run() from any thread.
class Parsers {
 public:
  virtual ~Parsers() = default;
  /// Errors: bad_input (the item is at fault, with the reason), unavailable (no worker could be started), corrupt (poison).
  virtual Result<std::string> run(Task task, std::string_view input) = 0;
};

/// In this process, without any fence: for tests, simulation and fuzzers.
class Unjailed final : public Parsers {
 public:
  Result<std::string> run(Task task, std::string_view input) override { return read_item(task, input); }
};

}  // namespace bavn::jail
