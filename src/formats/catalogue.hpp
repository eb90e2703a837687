#pragma once
// Every known format. Life: built once at start, immutable, shared by all readers.
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "event/batch.hpp"
#include "event/plan.hpp"
#include "formats/description.hpp"
#include "formats/line_reader.hpp"

namespace bavn::formats {

class Catalogue {
 public:
  /// The formats that are part of the binary.
  static Result<Catalogue> builtin();
  /// Adds a user's description (its reader must be json or a built-in reader's name).
  Result<void> add(Description d);
  /// The same from a format.yml file of at most 1 MiB.
  Result<void> add_file(const std::string& path);

  const std::vector<Description>& all() const { return formats_; }
  const Description& at(event::FormatId id) const { return formats_[id]; }
  std::optional<event::FormatId> find(std::string_view name) const;

  /// Adds the names that formats themselves need: observables, times, log source conditions, aliases.
  void add_names(event::FieldPlan& plan) const;
  /// And those that facts are made from.
  void add_fact_names(event::FieldPlan& plan) const;

 private:
  std::vector<Description> formats_;
};

struct TextReader {
  const char* name;
  std::unique_ptr<LineReader> (*make)();
};
/// The code readers, from the folders of src/formats (table made by CMake).
const std::vector<TextReader>& text_readers();

}  // namespace bavn::formats
