// `bavn config explain|check`.
#include <fmt/format.h>

#include <filesystem>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/hub_process.hpp"
#include "app/node_core.hpp"
#include "input/sources_file.hpp"

namespace bavn::app {

int config_command(const ConfigCommand& c) {
  const auto node = node_settings(), of_hub = hub_settings();
  if (c.action == "explain") {
    if (c.what == "sources") fmt::print("{}", input::explain_sources());
    else fmt::print("{}", Settings::defaults(c.what == "hub" ? of_hub : node).explain());
    return kDone;
  }
  if (!std::filesystem::is_directory(c.data)) return failed(Error{Code::not_found, "there is no such folder", c.data});
  const bool hub = std::filesystem::is_directory(c.data + "/trust");
  DiskFiles files;
  int code = kDone;
  const auto check = [&](const std::string& name, const auto& read) {
    const std::string path = c.data + "/" + name;
    if (!files.exists(path)) {
      fmt::print("{}: not there, the defaults hold\n", name);
      return;
    }
    const auto text = read_file(files, path, 1U << 20U);
    const Result<void> done = text ? read(*text, path) : Result<void>(std::unexpected(text.error()));
    if (done) fmt::print("{}: all right\n", name);
    else code = failed(done.error());
  };
  check("settings.toml", [&](const std::string& text, const std::string& path) -> Result<void> {
    BAVN_CHECK(Settings::read(hub ? of_hub : node, text, path));
    return {};
  });
  if (!hub)
    check("sources.toml", [&](const std::string& text, const std::string& path) -> Result<void> {
      const std::vector<MunicipalityId> any{MunicipalityId{}};  // whom it serves is known when it runs
      BAVN_CHECK(input::read_sources(text, path, any, files, c.data));
      return {};
    });
  return code;
}

}  // namespace bavn::app
