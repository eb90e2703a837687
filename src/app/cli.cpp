#include "app/cli.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <csignal>

#include "app/commands.hpp"

namespace bavn::app {

int run_command_line(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app{"Bavn: the warning beacon of municipal cyber defence"};
  app.require_subcommand(1);
  app.set_version_flag("--version", "bavn 0.1.0");
  app.footer("Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some input could not be read.");
  int rc = kDone;

  ScanOptions so;
  // allow_extra_args(false): an option takes the one word behind it; the next word is a file again.
  auto* scan_cmd = app.add_subcommand("scan", "Match files against rules and indicators, offline");
  scan_cmd->add_option("--rules", so.rules, "Sigma rules: a file or a folder (repeatable); without it the rules that come with Bavn")->allow_extra_args(false);
  scan_cmd->add_option("--indicators", so.indicators, "Indicators: CSV, text, MISP JSON, STIX 2.1; file or folder (repeatable)")->allow_extra_args(false);
  scan_cmd->add_option("--allow", so.allow, "Allow lists in MISP warninglist shape; file or folder (repeatable)")->allow_extra_args(false);
  scan_cmd->add_option("--mapping", so.mappings, "Your own format: a format.yml as in content/formats (repeatable)")->allow_extra_args(false);
  scan_cmd->add_option("--format", so.format, "Name of the format; without it each line is recognised");
  scan_cmd->add_option("--min-level", so.min_level, "Least level: informational, low, medium, high, critical");
  scan_cmd->add_option("--jobs", so.jobs, "Threads; one per core when not given");
  scan_cmd->add_option("--placeholders", so.placeholders, "Values for |expand: lines name = value");
  scan_cmd->add_option("--rule-cache", so.rule_cache, "File that keeps the compiled rules between runs");
  scan_cmd->add_option("--municipality", so.municipality, "Name to put on the findings");
  scan_cmd->add_flag("--json", so.json, "Findings as NDJSON on stdout, the summary as JSON on stderr");
  scan_cmd->add_flag("--quiet", so.quiet, "No summary");
  scan_cmd->add_option("files", so.files, "Files and folders; - is standard input")->required();
  scan_cmd->footer("Example: bavn scan --rules rules/ --indicators list.csv /var/log/audit/");
  scan_cmd->callback([&] {
    so.builtin_rules = so.rules.empty();
    rc = scan(so);
  });

  RulesOptions ro;
  auto* rules_cmd = app.add_subcommand("rules", "Check, list, test and explain Sigma rules");
  rules_cmd->require_subcommand(1);
  for (const char* action : {"check", "list", "test", "explain"}) {
    static const std::map<std::string, std::string> kHelp = {
        {"check", "Load rules and say which cannot be used or can never match, and why"},
        {"list", "List rules"},
        {"test", "Run the test events that lie beside rules (<name>.tests.ndjson)"},
        {"explain", "Show the compiled form and the witness of one rule"}};
    auto* sub = rules_cmd->add_subcommand(action, kHelp.at(action));
    if (std::string(action) == "explain") sub->add_option("id", ro.id, "Rule id or title")->required();
    sub->add_option("paths", ro.paths, "Files and folders; without them the rules that come with Bavn");
    sub->add_option("--placeholders", ro.placeholders, "Values for |expand");
    sub->add_option("--rule-cache", ro.rule_cache, "File that keeps the compiled rules between runs");
    sub->add_flag("--json", ro.json, "NDJSON on stdout");
    sub->callback([&ro, &rc, action] {
      ro.action = action;
      ro.builtin_rules = ro.paths.empty();
      rc = rules(ro);
    });
  }

  FormatsOptions fo;
  auto* formats_cmd = app.add_subcommand("formats", "The log formats that Bavn reads");
  formats_cmd->require_subcommand(1);
  auto* list_cmd = formats_cmd->add_subcommand("list", "List them");
  list_cmd->add_flag("--json", fo.json, "NDJSON on stdout");
  list_cmd->callback([&] {
    fo.action = "list";
    rc = formats(fo);
  });
  auto* explain_cmd = formats_cmd->add_subcommand("explain", "Show a format: how it is known, its fields, observables and log sources");
  explain_cmd->add_option("name", fo.name, "The format's name")->required();
  explain_cmd->callback([&] {
    fo.action = "explain";
    rc = formats(fo);
  });
  auto* test_cmd = formats_cmd->add_subcommand("test", "Read files and show each record as Bavn sees it, one JSON object a line");
  test_cmd->add_option("--format", fo.name, "The format's name; without it each line is recognised");
  test_cmd->add_option("files", fo.files, "Files and folders")->required();
  test_cmd->callback([&] {
    fo.action = "test";
    rc = formats(fo);
  });

  BenchOptions bo;
  auto* bench_cmd = app.add_subcommand("bench", "Measure this machine; figures are ratios to limits measured in the same run");
  bench_cmd->require_subcommand(1);
  auto* hot_cmd = bench_cmd->add_subcommand("hotpath", "Reading and matching, one core, in CPU seconds");
  hot_cmd->add_option("--rules", bo.rules, "Sigma rules: file or folder (repeatable)")->allow_extra_args(false);
  hot_cmd->add_option("--events", bo.events, "Event files or folders (NDJSON)")->allow_extra_args(false)->required();
  hot_cmd->add_option("--random-indicators", bo.random_indicators, "How many made-up indicators to match besides");
  hot_cmd->add_option("--megabytes", bo.megabytes, "Size of each lane");
  hot_cmd->add_flag("--json", bo.json, "One JSON object a lane on stdout");
  hot_cmd->callback([&] { rc = bench_hotpath(bo); });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return code == 0 ? kDone : kUsage;
  }
  return rc;
}

}  // namespace bavn::app
