#pragma once
// The list in force as files that other programs read: a folder an export (exports/<name>/<name>.cpp, README.md, samples/), found by the
// build. Each file of an export is one list at `GET /lists/<file>`. An export takes nothing on trust: it leaves out, with the reason,
// whatever its format cannot carry or could misread, also when the entry was put into the table by hand.
// Life: values; an Export is stateless. Thread rules: any thread.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "event/observable.hpp"

namespace bavn::warn::exports {

struct Entry {
  std::string id;  // of the block list: letters, digits, '-'
  event::Observable what{};
  std::string action = "block";  // hold, block; watch and warn stand in no export
  Instant from, until;
  bool wanted_here = false;  // a person of this municipality put it on the list
};

/// What is in force at one node. Entries are newest first: where a format has a limit, the oldest are left out.
struct List {
  std::vector<Entry> entries;
  std::vector<event::Observable> allow;  // let through here, by a person
  std::vector<std::string> never;        // names that are never blocked
  Instant made;
  std::uint64_t serial = 1;  // rises with each change of the list
  std::string municipality;  // "0157": for comments
};

/// Settings of exports ("rpz.action"): what the table of exports declares, see settings() in export.cpp.
using Options = std::map<std::string, std::string, std::less<>>;

struct File {
  std::string_view name;  // "rpz.zone": of the list
  std::string_view content_type;
  std::string_view what;  // one sentence
  std::size_t limit = 0;  // entries; 0: none but the list's own
};

struct LeftOut {
  std::string value, reason;
};

struct Written {
  std::string body;
  std::size_t entries = 0;        // of the list that the file carries
  std::vector<LeftOut> left_out;  // at most 100 named
  std::size_t left_out_count = 0;
};

class Export {
 public:
  virtual ~Export() = default;
  virtual std::span<const File> files() const = 0;
  /// file: one of files().
  virtual Result<Written> write(const File& file, const List& list, const Options& options) const = 0;
};

struct Known {
  std::string_view name;  // of the folder
  std::unique_ptr<Export> (*make)();
};
const std::vector<Known>& all();  // written by CMake from the folders

struct FoundFile {
  std::string_view export_name;
  File file;
};
std::vector<FoundFile> files();
/// not_found names the nearest file there is.
Result<Written> write(std::string_view file, const List& list, const Options& options);

}  // namespace bavn::warn::exports
