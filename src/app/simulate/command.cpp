#include "app/simulate/command.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>
#include <vector>

#include "app/commands.hpp"
#include "app/simulate/outcome.hpp"
#include "app/simulate/run.hpp"
#include "app/simulate/scenario.hpp"
#include "base/content.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"

namespace bavn::app {

namespace {

using namespace simulate;

constexpr int kAsExpected = 0, kNotAsExpected = 1, kBadFile = 2;
constexpr std::string_view kFolder = "content/scenarios/";

std::vector<std::string_view> names_inside() {
  std::vector<std::string_view> out;
  for (std::string_view path : content::list(kFolder)) {
    path.remove_prefix(kFolder.size());
    if (path.ends_with(".yaml") && path.find('/') == std::string_view::npos)
      out.push_back(path.substr(0, path.size() - 5));
  }
  return out;
}

/// A file, or what comes with Bavn under that name.
std::optional<std::string> text_of(const std::string& what, std::string& trouble) {
  std::error_code ec;
  if (std::filesystem::is_regular_file(what, ec)) {
    if (std::filesystem::file_size(what, ec) > (1U << 20U)) {
      trouble = fmt::format("{} is larger than 1 MiB: no scenario is", what);
      return std::nullopt;
    }
    std::ifstream in(what, std::ios::binary);
    std::ostringstream all;
    all << in.rdbuf();
    if (in) return all.str();
    trouble = fmt::format("{} cannot be read", what);
    return std::nullopt;
  }
  if (const auto inside = content::file(std::string(kFolder) + what + ".yaml")) return std::string(*inside);
  const auto names = names_inside();
  const auto guess = nearest(what, names);
  trouble = fmt::format(
      "{}: no such file, and no scenario that comes with Bavn is called so{}; `bavn simulate --list` names them", what,
      guess.empty() ? "" : fmt::format(" (did you mean {}?)", guess));
  return std::nullopt;
}

std::string counted(std::size_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

int check_report(const SimulateCommand& c, const ScenarioFile& file) {
  if (c.json) {
    std::string out;
    JsonWriter w(out);
    w.object().member("file", c.scenario).member("right", file.faults.empty()).key("faults").array();
    for (const auto& f : file.faults)
      w.object()
          .member("line", static_cast<std::int64_t>(f.line))
          .member("where", f.where)
          .member("what", f.what)
          .member("fix", f.fix)
          .end();
    w.end().end();
    fmt::print("{}\n", out);
  } else {
    for (const auto& f : file.faults) fmt::print("{}\n", to_string(f, c.scenario));
    if (file.faults.empty())
      fmt::print("{}: {} is right: {}, {} long, {}\n", c.scenario, file.scenario.name,
                 counted(file.scenario.attacks.size(), "attack"), format_duration(file.scenario.lasts),
                 counted(file.scenario.expect.size(), "limit"));
    else fmt::print("{}\n", counted(file.faults.size(), "fault"));
  }
  return file.faults.empty() ? kAsExpected : kBadFile;
}

}  // namespace

int simulate_command(const SimulateCommand& c) {
  if (c.explain) {
    fmt::print("{}", explain_scenario());
    return kAsExpected;
  }
  if (c.list) {
    for (const auto name : names_inside()) {
      const auto file = read_scenario(*content::file(fmt::format("{}{}.yaml", kFolder, name)));
      const std::string about(trim(file.scenario.about));
      fmt::print("{:24} {}\n", name, about.substr(0, about.find_first_of(".\n")));
    }
    return kAsExpected;
  }
  std::string trouble;
  if (c.scenario.empty()) trouble = "which scenario? `bavn simulate --list` names those that come with Bavn";
  const auto text = c.scenario.empty() ? std::nullopt : text_of(c.scenario, trouble);
  if (!text) {
    fmt::print(stderr, "bavn simulate: {}\n", trouble);
    return kBadFile;
  }
  const ScenarioFile file = read_scenario(*text);
  if (c.check) return check_report(c, file);
  if (!file.faults.empty()) {
    for (const auto& f : file.faults) fmt::print(stderr, "{}\n", to_string(f, c.scenario));
    fmt::print(stderr, "bavn simulate: {}; nothing was run\n", counted(file.faults.size(), "fault"));
    return kBadFile;
  }
  const Scenario& scenario = file.scenario;
  const std::uint64_t seed = c.seed.value_or(scenario.seed);

  if (c.what_if) {
    const auto table = what_if(scenario, seed, c.jobs, c.json);
    if (!table) {
      fmt::print(stderr, "bavn simulate: {}\n", to_string(table.error()));
      return kNotAsExpected;
    }
    fmt::print("{}\n", *table);
    return kAsExpected;
  }
  if (c.runs <= 1) {
    const auto outcome = run(scenario, seed, c.purge_again);
    if (!outcome) {
      fmt::print(stderr, "bavn simulate: {}\n", to_string(outcome.error()));
      return kNotAsExpected;
    }
    fmt::print("{}\n", c.json ? report_json(*outcome, scenario) : report_text(*outcome, scenario));
    return outcome->as_expected ? kAsExpected : kNotAsExpected;
  }
  const auto outcomes = run_many(scenario, seed, c.runs, c.jobs, [&](const Outcome& o) {
    fmt::print(stderr, "seed {}: {}, {:.1f} s\n", o.seed, o.as_expected ? "as expected" : "NOT as expected",
               o.wall_seconds);
  });
  if (!outcomes) {
    fmt::print(stderr, "bavn simulate: {}\n", to_string(outcomes.error()));
    return kNotAsExpected;
  }
  fmt::print("{}\n", table_of(*outcomes, c.json));
  for (const auto& o : *outcomes)
    if (!o.as_expected) return kNotAsExpected;
  return kAsExpected;
}

void add_simulate_command(CLI::App& app, int& rc) {
  auto c = std::make_shared<SimulateCommand>();
  auto* cmd = app.add_subcommand("simulate",
                                 "A community on one machine and a virtual clock: replay an attack, or quiet months");
  cmd->add_option("scenario", c->scenario,
                  "A scenario file (docs/scenarios.md), or the name of one that comes with Bavn");
  cmd->add_option("--seed", c->seed, "Instead of the file's: same file, same seed, same run");
  cmd->add_option("--runs", c->runs, "So many runs with seeds one after the other; a table of precision and recall")
      ->check(CLI::Range(1, 100000));
  cmd->add_option("--jobs", c->jobs, "Of these so many at once")->check(CLI::Range(1, 256));
  cmd->add_flag("--check", c->check, "Only read the file and name everything that is wrong with it");
  cmd->add_flag("--what-if", c->what_if,
                "The same run with other logs, other hands, other thresholds: a table of what each is worth");
  cmd->add_flag("--purge-again", c->purge_again,
                "After the run every purge is undone and done once more, and each count is printed")
      ->excludes("--runs")
      ->excludes("--what-if");
  cmd->add_flag("--explain", c->explain, "Every field of a scenario file");
  cmd->add_flag("--list", c->list, "The scenarios that come with Bavn");
  cmd->add_flag("--json", c->json, "One JSON object on stdout");
  cmd->footer(
      "Exit codes: 0 it ended as expected, 1 it did not, 2 the file cannot be used. Example: bavn simulate 2024-10");
  cmd->callback([c, &rc] { rc = simulate_command(*c); });
}

}  // namespace bavn::app
