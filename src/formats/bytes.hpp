#pragma once
// Bytes on their way to lines: read piece by piece, unpacked where they are packed. For sources that follow growing files and cut records
// themselves; who reads a whole file uses Source.
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "event/batch.hpp"

namespace bavn::formats {

class Bytes {
 public:
  virtual ~Bytes() = default;
  /// Up to n bytes into p; 0 at the end.
  virtual Result<std::size_t> read(char* p, std::size_t n) = 0;
  /// All that is still to be read where it already lies, for as long as this lives; nothing when it does not lie anywhere.
  virtual std::string_view rest() const { return {}; }
  /// Goes on after n bytes of rest().
  virtual void skip(std::size_t) {}
  /// What could not be read so far; line: of what read() gave.
  virtual std::vector<event::Refusal> take_refusals() { return {}; }
};

/// Takes gzip and zstd off, at most three layers. path: for messages. Errors of read(): corrupt when the packed data is damaged or ends
/// in the middle; what was unpacked before comes first.
Result<std::unique_ptr<Bytes>> unpacked(std::unique_ptr<Bytes> in, const std::string& path);

/// JSON that does not keep one record a line: pretty-printed, or in an array. head: the first bytes, at least the first line.
bool looks_structured(std::string_view head);
/// The byte order mark of UTF-16 or "" when the head begins Windows events as XML; nothing when it does not.
std::optional<std::string> xml_events_mark(std::string_view head);

}  // namespace bavn::formats
