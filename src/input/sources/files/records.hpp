#pragma once
// Where whole records end in bytes that are still growing. No I/O, no state: the same bytes give the same cut.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "jail/task.hpp"

namespace bavn::input::sources::files {

enum class Shape : std::uint8_t {
  lines,
  json,  // pretty-printed objects, one after the other or in one array
  xml,   // Windows events: <Event ...>...</Event>
};

struct Cut {
  std::size_t from = 0, to = 0;  // the whole records
  std::size_t consumed = 0;      // >= to: what lies around them (brackets, blanks, zero bytes) is done with too
};

/// bytes begin where a record may begin. Zero bytes in front of a line are no part of it: copytruncate under a writer that does not
/// append, and a crash of the machine, leave them. At the end they are not yet written: nothing of them is consumed.
Cut whole_records(Shape shape, std::string_view bytes);

/// What kind of file begins like this. head: at least the first line, or its first kilobytes.
Shape shape_of(std::string_view head);

/// Whole lines without the zero bytes before them; true when there were any.
bool without_zeros(std::string_view lines, std::string& out);

/// Pretty-printed JSON and XML records become one a line, as everywhere else. What cannot is told with its reason and left out.
/// parsers: null refuses XML.
std::string one_a_line(std::string_view records, jail::Parsers* parsers, std::size_t max_record,
                       const std::function<void(const std::string& reason, std::string_view detail)>& refused);

/// The lines of a log that says in its head which columns it has (Zeek TSV, W3C of IIS): a block of such lines. Empty: none.
/// `lines` begins with it.
std::string_view header_block(std::string_view lines);
/// Where the next header block begins after the first line; npos: nowhere. What stands between two is read by itself.
std::size_t next_header(std::string_view lines);

}  // namespace bavn::input::sources::files
