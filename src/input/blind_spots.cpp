#include "input/blind_spots.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "base/content.hpp"
#include "base/text.hpp"
#include "input/sources/microsoft365/apis.hpp"

namespace bavn::input {

namespace {

const std::vector<std::string_view> kKeys = {"name", "formats", "sources", "feeds", "delay", "permission", "blind"};

struct Bad {
  std::string what;
};

Words3 words(const YAML::Node& node, std::string_view key) {
  if (!node.IsMap()) throw Bad{fmt::format("'{}' needs texts in da, nb and en", key)};
  const auto one = [&](const char* language) {
    const YAML::Node text = node[language];
    if (!text || !text.IsScalar() || text.Scalar().empty())
      throw Bad{fmt::format("'{}' has no text in {}", key, language)};
    return text.Scalar();
  };
  return {one("da"), one("nb"), one("en")};
}

std::vector<std::string> list(const YAML::Node& node) {
  std::vector<std::string> out;
  if (!node) return out;
  if (!node.IsSequence()) throw Bad{"a list stands in [ ]"};
  for (const YAML::Node& n : node) out.push_back(n.Scalar());
  return out;
}

bool named(const std::string& source, const std::string& kind) {
  return source == kind || (source.starts_with(kind) && std::string_view("@/").contains(source[kind.size()]));
}

}  // namespace

const std::string& Words3::in(std::string_view language) const {
  return language == "da" ? da : language == "nb" ? nb : en;
}

Result<Sight> read_sight(std::string_view yaml, std::string_view name) {
  try {
    const YAML::Node root = YAML::Load(std::string(yaml));
    if (!root.IsMap()) throw Bad{"a kind of source is a map"};
    for (const auto& entry : root) {
      const std::string& key = entry.first.Scalar();
      if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
        throw Bad{fmt::format("there is no key '{}'; did you mean '{}'?", key, nearest(key, kKeys))};
    }
    Sight s;
    const std::string_view file = name.substr(name.rfind('/') + 1);
    s.id = file.substr(0, file.rfind('.'));
    s.name = words(root["name"], "name");
    s.delay = words(root["delay"], "delay");
    s.permission = words(root["permission"], "permission");
    s.blind = words(root["blind"], "blind");
    s.formats = list(root["formats"]);
    s.sources = list(root["sources"]);
    if (s.formats.empty() && s.sources.empty()) throw Bad{"it needs 'formats' or 'sources' to be known by"};
    if (const YAML::Node feeds = root["feeds"]) {
      s.logsources = list(feeds["logsources"]);
      s.observables = list(feeds["observables"]);
      s.digests = list(feeds["digests"]);
    }
    return s;
  } catch (const Bad& e) {
    return fail(Code::bad_input, e.what, std::string(name));
  } catch (const YAML::Exception& e) {
    return fail(Code::bad_input, e.what(), std::string(name));
  }
}

Result<std::vector<Sight>> all_sights() {
  std::vector<Sight> out;
  for (const auto& api : microsoft365::apis()) {
    Sight s;
    s.id = "m365." + std::string(api.name);
    s.sources = {s.id};
    const auto three = [](const auto& w) { return Words3{std::string(w.da), std::string(w.nb), std::string(w.en)}; };
    s.name = three(api.title);
    s.blind = three(api.blind);
    s.delay = {std::string(api.delay), std::string(api.delay), std::string(api.delay)};
    std::string rights;
    for (const auto& p : api.permissions) rights += (rights.empty() ? "" : ", ") + std::string(p);
    if (!api.licence.empty()) rights += fmt::format(" ({})", api.licence);
    s.permission = {rights, rights, rights};
    for (const auto& f : api.feeds) s.logsources.emplace_back(f);
    out.push_back(std::move(s));
  }
  for (const std::string_view path : content::list("content/sources/")) {
    auto sight = read_sight(*content::file(path), path);
    if (!sight) return fail(Code::corrupt, sight.error().what, sight.error().where);
    out.push_back(*std::move(sight));
  }
  return out;
}

std::vector<Sight> blind_spots(const std::vector<Sight>& sights, const Seen& seen) {
  std::vector<Sight> out;
  for (const Sight& s : sights) {
    const bool by_format = std::any_of(s.formats.begin(), s.formats.end(), [&](const std::string& f) {
      return std::find(seen.formats.begin(), seen.formats.end(), f) != seen.formats.end();
    });
    const bool by_name = std::any_of(s.sources.begin(), s.sources.end(), [&](const std::string& kind) {
      return std::any_of(seen.sources.begin(), seen.sources.end(),
                         [&](const std::string& n) { return named(n, kind); });
    });
    if (!by_format && !by_name) out.push_back(s);
  }
  return out;
}

}  // namespace bavn::input
