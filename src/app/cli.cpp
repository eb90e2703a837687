#include "app/cli.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <csignal>

#include "app/blocks.hpp"
#include "app/campaigns.hpp"
#include "app/commands.hpp"
#include "app/contacts.hpp"
#include "app/digest_keys.hpp"
#include "app/mandate.hpp"
#include "app/notices_node.hpp"
#include "app/peers_cli.hpp"
#include "app/purge_routes.hpp"
#include "app/simulate/command.hpp"
#include "app/stand_in.hpp"
#include "app/warnings.hpp"

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
  scan_cmd
      ->add_option("--rules", so.rules,
                   "Sigma rules: a file or a folder (repeatable); without it the rules that come with Bavn")
      ->allow_extra_args(false);
  scan_cmd
      ->add_option("--indicators", so.indicators,
                   "Indicators: CSV, text, MISP JSON, STIX 2.1; file or folder (repeatable)")
      ->allow_extra_args(false);
  scan_cmd->add_option("--allow", so.allow, "Allow lists in MISP warninglist shape; file or folder (repeatable)")
      ->allow_extra_args(false);
  scan_cmd->add_option("--mapping", so.mappings, "Your own format: a format.yml as in content/formats (repeatable)")
      ->allow_extra_args(false);
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
  auto* explain_cmd =
      formats_cmd->add_subcommand("explain", "Show a format: how it is known, its fields, observables and log sources");
  explain_cmd->add_option("name", fo.name, "The format's name")->required();
  explain_cmd->callback([&] {
    fo.action = "explain";
    rc = formats(fo);
  });
  auto* test_cmd =
      formats_cmd->add_subcommand("test", "Read files and show each record as Bavn sees it, one JSON object a line");
  test_cmd->add_option("--format", fo.name, "The format's name; without it each line is recognised");
  test_cmd->add_option("files", fo.files, "Files and folders")->required();
  test_cmd->callback([&] {
    fo.action = "test";
    rc = formats(fo);
  });
  auto* facts_cmd = formats_cmd->add_subcommand(
      "facts", "Read files and show what they say of mail, sign-ins, changes and harm: what notices are made from");
  facts_cmd->add_option("--format", fo.name, "The format's name; without it each line is recognised");
  facts_cmd->add_option("files", fo.files, "Files and folders, read in this order")->required();
  facts_cmd->callback([&] {
    fo.action = "facts";
    rc = formats(fo);
  });

  BenchOptions bo;
  auto* bench_cmd =
      app.add_subcommand("bench", "Measure this machine; figures are ratios to limits measured in the same run");
  bench_cmd->require_subcommand(1);
  auto* hot_cmd = bench_cmd->add_subcommand("hotpath", "Reading and matching, one core, in CPU seconds");
  hot_cmd->add_option("--rules", bo.rules, "Sigma rules: file or folder (repeatable)")->allow_extra_args(false);
  hot_cmd->add_option("--events", bo.events, "Event files or folders (NDJSON)")->allow_extra_args(false)->required();
  hot_cmd->add_option("--random-indicators", bo.random_indicators, "How many made-up indicators to match besides");
  hot_cmd->add_option("--megabytes", bo.megabytes, "Size of each lane");
  hot_cmd->add_option("--lane", bo.only, "Only this lane: mixed, windows, cloud or worst (repeatable)")
      ->allow_extra_args(false);
  hot_cmd->add_option("--rounds", bo.rounds, "How often each lane is read; the median counts")
      ->check(CLI::Range(1, 1000));
  hot_cmd->add_flag("--json", bo.json, "One JSON object a lane on stdout");
  hot_cmd->callback([&] { rc = bench_hotpath(bo); });
  auto* history_cmd = bench_cmd->add_subcommand("history", "Storing, looking up and reading back, on the disk");
  history_cmd->add_option("--events", bo.count, "How many made-up events; 2,000,000 when not given");
  history_cmd->add_option("--directory", bo.directory,
                          "Where a folder is made and removed again; the temporary folder when not given");
  history_cmd->add_flag("--json", bo.json, "One JSON object a lane on stdout");
  history_cmd->callback([&] { rc = bench_history(bo); });
  auto* indicators_bench_cmd = bench_cmd->add_subcommand("indicators", "Size, lookups and additions of a made-up list");
  indicators_bench_cmd->add_option("--count", bo.count, "How many; 1,000,000 when not given");
  indicators_bench_cmd->add_flag("--json", bo.json, "One JSON object on stdout");
  indicators_bench_cmd->callback([&] { rc = bench_indicators(bo); });

  BeaconBench bb;
  auto* beacon_cmd = bench_cmd->add_subcommand(
      "beacon", "A hub and guest nodes on this machine: from published to applied at all of them");
  beacon_cmd->add_option("--nodes", bb.nodes, "Guest node processes; 98 when not given");
  beacon_cmd->add_option("--indicators", bb.indicators,
                         "Made-up indicators in the shared base; 1,000,000 when not given");
  beacon_cmd->add_option("--entries", bb.entries, "Log entries published; 60 when not given");
  beacon_cmd->add_option("--rate", bb.rate, "Entries a second; 2 when not given");
  beacon_cmd->add_option("--reporters", bb.reporters, "Nodes that report in bulk meanwhile; 4 when not given");
  beacon_cmd->add_option("--directory", bb.directory,
                         "Where a folder is made and removed again; the temporary folder when not given");
  beacon_cmd->add_flag("--keep", bb.keep, "Keep the folder");
  beacon_cmd->add_flag("--json", bb.json, "One JSON object on stdout");
  beacon_cmd->callback([&] { rc = bench_beacon(bb); });

  auto* intake_cmd =
      bench_cmd->add_subcommand("intake", "Durable intake over HTTP on this machine, then more than it can take");
  intake_cmd->add_option("--seconds", bo.seconds, "Length of each part; 10 when not given");
  intake_cmd->add_option("--overload", bo.overload,
                         "How many times what it can take is offered then; 10 when not given");
  intake_cmd->add_option("--rules", bo.rules, "Sigma rules instead of those that come with Bavn (repeatable)")
      ->allow_extra_args(false);
  intake_cmd->add_option("--events", bo.events, "Event files or folders instead of made-up ones")
      ->allow_extra_args(false);
  intake_cmd->add_option("--directory", bo.directory,
                         "Where a folder is made and removed again; the temporary folder when not given");
  intake_cmd
      ->add_option("--via", bo.via,
                   "Also as shippers deliver: bulk (Elastic's _bulk), bulk_ids (with an id for each record), hec "
                   "(Splunk's collector); measured beside the plain way in the same run")
      ->check(CLI::IsMember({"bulk", "bulk_ids", "hec"}));
  intake_cmd->add_flag("--facts", bo.facts, "Facts are read too, as in a node that watches");
  intake_cmd->add_flag("--json", bo.json, "One JSON object on stdout");
  intake_cmd->callback([&] { rc = bench_intake(bo); });

  AlertsOptions ao;
  auto* alerts_cmd =
      app.add_subcommand("alerts", "What was found: list, show, acknowledge, close; rules with their rates");
  alerts_cmd->require_subcommand(1);
  for (const auto& [action, help] :
       {std::pair{"list", "Alerts, the worst first"}, std::pair{"show", "One alert with its examples"},
        std::pair{"ack", "Say that somebody looks at it"}, std::pair{"close", "Say what it was"},
        std::pair{"rules", "Rules with their rates and states"}, std::pair{"rule", "Change a rule's state by hand"}}) {
    auto* sub = alerts_cmd->add_subcommand(action, help);
    const std::string name = action;
    if (name == "show" || name == "ack" || name == "close")
      sub->add_option("id", ao.id, "The alert's number")->required();
    if (name == "rule") {
      sub->add_option("rule", ao.id, "The rule, as `bavn alerts rules --json` names it")->required();
      sub->add_option("state", ao.state, "live, count_only or demoted")->required();
    }
    if (name == "ack" || name == "close" || name == "rule")
      sub->add_option("--why", ao.why, "The reason, for the audit log");
    if (name == "list") {
      sub->add_option("--state", ao.state, "open, acknowledged or closed");
      sub->add_option("--place", ao.place, "queue, over_budget or counted");
      sub->add_option("--limit", ao.limit, "At most so many");
    }
    sub->add_option("--data", ao.data, "The node's data folder")->required();
    sub->add_flag("--json", ao.json, "NDJSON on stdout");
    sub->callback([&ao, &rc, name] {
      ao.action = name;
      rc = alerts_command(ao);
    });
  }
  alerts_cmd->footer("Example: bavn alerts list --data /var/lib/bavn");

  IngestOptions io;
  auto* ingest_cmd =
      app.add_subcommand("ingest", "Store files in the history of a data folder, durable and searchable");
  ingest_cmd->add_option("--data", io.data, "The data folder; made when it is not there")->required();
  ingest_cmd->add_option("--source", io.source, "Name of the source; the file's name when not given");
  ingest_cmd->add_option("--format", io.format, "Name of the format; without it each line is recognised");
  ingest_cmd->add_option("--municipality", io.municipality, "Number of the municipality that the events belong to");
  ingest_cmd->add_option("--jobs", io.jobs, "Threads; one per core when not given");
  ingest_cmd->add_flag("--json", io.json, "Progress as NDJSON on stderr, the summary as one JSON object on stdout");
  ingest_cmd->add_flag("--quiet", io.quiet, "No progress");
  ingest_cmd->add_option("files", io.files, "Files and folders; - is standard input")->required();
  ingest_cmd->footer("Example: bavn ingest --data /var/lib/bavn --source firewall /var/log/suricata/eve.json");
  ingest_cmd->callback([&] { rc = ingest(io); });

  HuntOptions ho;
  auto* hunt_cmd = app.add_subcommand("hunt", "Look into the history for observables, indicators, rules or text");
  hunt_cmd->add_option("--data", ho.data, "The data folder")->required();
  hunt_cmd
      ->add_option("--observable", ho.observables,
                   "A domain, URL, address, network, hash, mail address ... (repeatable)")
      ->allow_extra_args(false);
  hunt_cmd
      ->add_option("--kind", ho.kinds,
                   "What the observable is, if it cannot be told from itself: account, subject, file_name ...")
      ->allow_extra_args(false);
  hunt_cmd
      ->add_option("--indicators", ho.indicators,
                   "Indicators: CSV, text, MISP JSON, STIX 2.1; file or folder (repeatable)")
      ->allow_extra_args(false);
  hunt_cmd->add_option("--allow", ho.allow, "Allow lists in MISP warninglist shape; file or folder (repeatable)")
      ->allow_extra_args(false);
  hunt_cmd->add_option("--rules", ho.rules, "Sigma rules: a file or a folder (repeatable)")->allow_extra_args(false);
  hunt_cmd->add_flag("--builtin-rules", ho.builtin_rules, "The rules that come with Bavn");
  hunt_cmd->add_option("--placeholders", ho.placeholders, "Values for |expand: lines name = value");
  hunt_cmd->add_option("--text", ho.text, "Text that a line holds, upper and lower case alike");
  hunt_cmd->add_option("--from", ho.from, "Happened then or later: 2024-10-01T12:00:00Z or 2024-10-01");
  hunt_cmd->add_option("--to", ho.to, "Happened then or before");
  hunt_cmd->add_option("--source", ho.source, "Only this source");
  hunt_cmd->add_option("--limit", ho.limit, "Stop after so many hits");
  hunt_cmd->add_option("--jobs", ho.jobs, "Threads; one per core when not given");
  hunt_cmd->add_option("--repeat", ho.repeat,
                       "Ask so many times and show the milliseconds of each; hits are printed once");
  hunt_cmd->add_flag("--json", ho.json, "Hits as NDJSON on stdout, the summary as JSON on stderr");
  hunt_cmd->add_flag("--quiet", ho.quiet, "No progress, no summary");
  hunt_cmd->footer("Example: bavn hunt --data /var/lib/bavn --observable evil.example --from 2024-09-01");
  hunt_cmd->callback([&] { rc = hunt_command(ho); });

  add_server_commands(app, rc);
  add_mandate_commands(app, rc);
  add_campaign_commands(app, rc);
  add_contact_commands(app, rc);
  add_block_commands(app, rc);
  add_digest_commands(app, rc);
  add_warning_commands(app, rc);
  add_microsoft365_commands(app, rc);
  add_peer_commands(app, rc);
  add_notice_commands(app, rc);
  add_purge_commands(app, rc);
  add_simulate_command(app, rc);

  app.add_subcommand("man", "Print the manual page: bavn man | man -l -")->callback([&] {
    fmt::print("{}", manual_page(app));
  });

  DoctorOptions dopt;
  auto* doctor_cmd = app.add_subcommand("doctor", "Check a data folder; make its index again, pack, retain, erase");
  doctor_cmd->add_option("--data", dopt.data, "The data folder")->required();
  doctor_cmd->add_flag("--rebuild-index", dopt.rebuild_index, "Make the index again from the stored lines");
  doctor_cmd->add_option("--erase-source", dopt.erase_source, "Erase what this source sent, by deleting its keys");
  doctor_cmd->add_option("--municipality", dopt.municipality, "The municipality of --erase-source");
  doctor_cmd->add_option("--erase-day", dopt.erase_day, "Erase what was received on this day (UTC)");
  doctor_cmd->add_option("--erase-person", dopt.erase_person,
                         "Erase every event that holds this address, account, number or text");
  doctor_cmd->add_option("--retain", dopt.retain_days, "Drop what was received more than so many days ago");
  doctor_cmd->add_flag("--cold-pass", dopt.cold_pass, "Merge segments and compress them harder");
  doctor_cmd->add_option("--cold-days", dopt.cold_days,
                         "For --cold-pass: received at least so many days ago; 2 when not given");
  doctor_cmd->add_flag("--json", dopt.json, "One JSON object on stdout");
  doctor_cmd->footer("Erasing is final. Example: bavn doctor --data /var/lib/bavn");
  doctor_cmd->callback([&] { rc = doctor(dopt); });

  IndicatorsOptions ino;
  auto* indicators_cmd = app.add_subcommand("indicators", "Check, list and convert lists of indicators");
  indicators_cmd->require_subcommand(1);
  for (const auto& [action, help] :
       {std::pair{"check", "Load lists and say what was taken, skipped and refused, and why"},
        std::pair{"list", "Every indicator of the lists"},
        std::pair{"convert", "Lists into one binary base that loads at once"}}) {
    auto* sub = indicators_cmd->add_subcommand(action, help);
    sub->add_option("files", ino.files, "CSV, text, MISP JSON, STIX 2.1, binary base; files and folders")->required();
    if (std::string(action) == "convert") sub->add_option("--out", ino.out, "The file to write")->required();
    sub->add_flag("--json", ino.json, "NDJSON on stdout");
    sub->callback([&ino, &rc, action] {
      ino.action = action;
      rc = indicators_command(ino);
    });
  }

  AuditOptions auo;
  auto* audit_cmd =
      app.add_subcommand("audit", "The audit log: who did what, and whether it is still what was written");
  audit_cmd->require_subcommand(1);
  for (const auto& [action, help] : {std::pair{"verify", "Find what was changed, taken out, moved or cut off"},
                                     std::pair{"list", "The entries, oldest first"}}) {
    auto* sub = audit_cmd->add_subcommand(action, help);
    sub->add_option("--data", auo.data, "The data folder")->required();
    if (std::string(action) == "verify") {
      auto* other =
          sub->add_option("--witness-data", auo.other_data, "Data folder of a party that signed this log's heads");
      auto* chain = sub->add_option("--chain", auo.chain, "How this log is called there");
      other->needs(chain);
      chain->needs(other);
    } else {
      sub->add_option("--from", auo.from, "Number of the first entry");
      sub->add_option("--limit", auo.limit, "At most so many; 1000 when not given");
    }
    sub->add_flag("--json", auo.json, "JSON on stdout");
    sub->callback([&auo, &rc, action] {
      auo.action = action;
      rc = audit_command(auo);
    });
  }

  BackupOptions bko;
  auto* backup_cmd = app.add_subcommand("backup", "Copy a data folder while it is in use");
  backup_cmd->add_option("--data", bko.data, "The data folder")->required();
  backup_cmd->add_option("--to", bko.to, "A folder that is not there yet, or empty")->required();
  backup_cmd->add_flag("--with-keys", bko.with_keys,
                       "The keys too: such a backup reads everything, erased events as well");
  backup_cmd->add_flag("--json", bko.json, "One JSON object on stdout");
  backup_cmd->footer("Example: bavn backup --data /var/lib/bavn --to /backup/2024-10-01");
  backup_cmd->callback([&] { rc = backup(bko); });

  RestoreOptions reo;
  auto* restore_cmd = app.add_subcommand("restore", "Bring a backup back into a new folder");
  restore_cmd->add_option("--from", reo.from, "The backup")->required();
  restore_cmd->add_option("--data", reo.data, "The new data folder; not there yet, or empty")->required();
  restore_cmd->add_flag("--verify", reo.verify, "Compare tables and history with what the backup says it holds");
  restore_cmd->add_flag("--json", reo.json, "One JSON object on stdout");
  restore_cmd->callback([&] { rc = restore(reo); });

  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& e) {
    // "A subcommand is required" is what it says of a mistyped one too.
    const CLI::App* at = &app;
    for (int i = 1; i < argc && argv[i][0] != '-' && at->get_require_subcommand_min() != 0; ++i) {
      const auto named = at->get_subcommands([&](const CLI::App* a) { return a->get_name() == argv[i]; });
      if (named.empty()) {
        fmt::print(stderr, "there is no command '{}'; `{} --help` lists them\n", argv[i],
                   at == &app ? "bavn" : "bavn " + at->get_name());
        return kUsage;
      }
      at = named.front();
    }
    app.exit(e);
    return kUsage;
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return code == 0 ? kDone : kUsage;
  }
  return rc;
}

}  // namespace bavn::app
