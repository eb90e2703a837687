#include "formats/catalogue.hpp"

#include <algorithm>
#include <fstream>

#include "base/content.hpp"

namespace bavn::formats {

Result<Catalogue> Catalogue::builtin() {
  Catalogue c;
  for (const char* folder : {"content/formats/", "src/formats/"}) {
    for (std::string_view path : content::list(folder)) {
      if (!path.ends_with("/format.yml")) continue;
      BAVN_TRY(auto d, parse_description(*content::file(path), path));
      BAVN_CHECK(c.add(std::move(d)));
    }
  }
  return c;
}

Result<void> Catalogue::add_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Code::not_found, "the format description cannot be read", path);
  std::string text(1U << 20, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() == 1U << 20) return fail(Code::bad_input, "a format description of more than 1 MiB", path);
  BAVN_TRY(auto d, parse_description(text, path));
  return add(std::move(d));
}

Result<void> Catalogue::add(Description d) {
  if (find(d.name)) return fail(Code::conflict, "format '" + d.name + "' exists already; give yours another name");
  if (d.reader != "json" && d.reader != "text") {
    const auto& known = text_readers();
    if (std::none_of(known.begin(), known.end(), [&](const TextReader& r) { return d.reader == r.name; }))
      return fail(Code::bad_input,
                  "format '" + d.name + "': there is no reader '" + d.reader + "'; use json or a built-in reader");
  }
  if (formats_.size() >= 1000) return fail(Code::bad_input, "more than 1000 formats");
  formats_.push_back(std::move(d));
  return {};
}

std::optional<event::FormatId> Catalogue::find(std::string_view name) const {
  for (std::size_t i = 0; i < formats_.size(); ++i)
    if (formats_[i].name == name) return static_cast<event::FormatId>(i);
  return std::nullopt;
}

void Catalogue::add_names(event::FieldPlan& plan) const {
  for (const Description& d : formats_) {
    for (const auto& [name, role] : d.observables) plan.add(name);
    for (const LogsourceEntry& l : d.logsource) {
      for (const auto& [name, values] : l.when) plan.add(name);
      for (const auto& [to, from] : l.aliases)
        if (plan.slot(to)) plan.add(from);
    }
  }
}

void Catalogue::add_fact_names(event::FieldPlan& plan) const {
  for (const Description& d : formats_)
    for (const std::string_view name : event::fields_of(d.facts)) plan.add(name);
}

}  // namespace bavn::formats
