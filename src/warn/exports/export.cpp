#include "warn/exports/export.hpp"

#include "base/text.hpp"

namespace bavn::warn::exports {

std::vector<FoundFile> files() {
  std::vector<FoundFile> out;
  for (const Known& known : all())
    for (const File& file : known.make()->files()) out.push_back({known.name, file});
  return out;
}

Result<Written> write(std::string_view file, const List& list, const Options& options) {
  std::vector<std::string_view> names;
  for (const Known& known : all()) {
    const auto it = known.make();
    for (const File& f : it->files()) {
      if (f.name == file) return it->write(f, list, options);
      names.push_back(f.name);
    }
  }
  const auto near = nearest(file, names);
  std::string there;
  for (const auto name : names) there += (there.empty() ? "" : ", ") + std::string(name);
  return fail(Code::not_found,
              near.empty() ? "there is no such list; there are " + there
                           : "there is no such list; did you mean " + std::string(near) + "?",
              std::string(file.substr(0, 100)));
}

}  // namespace bavn::warn::exports
