// The words of `bavn stand-in`, `bavn node setup` and `bavn node leave`.
#include <CLI/CLI.hpp>

#include <fmt/format.h>

#include <memory>

#include "app/commands.hpp"
#include "app/node_setup.hpp"
#include "app/stand_in.hpp"

namespace bavn::app {

void add_microsoft365_commands(CLI::App& app, int& rc) {
  struct Commands {
    StandInCommand stand_in;
    SetupCommand setup;
    LeaveCommand leave;
    bool explain = false;
  };
  const auto c = std::make_shared<Commands>();
  auto* stand = app.add_subcommand("stand-in", "Made-up services for demonstrations, rehearsals and tests");
  stand->require_subcommand(1);
  auto* m =
      stand->add_subcommand("microsoft365", "A Microsoft 365 that behaves as documented, with people who do not exist");
  auto& s = c->stand_in;
  m->add_option("--port", s.port, "Port; 0: any free one");
  m->add_option("--address", s.address, "Address to listen on");
  m->add_option("--tenants", s.tenants, "How many municipalities")->check(CLI::Range(1, 200));
  m->add_option("--people", s.people, "People in each")->check(CLI::Range(5, 2000));
  m->add_option("--seed", s.seed, "The same seed, the same world");
  m->add_option("--scenario", s.scenario,
                "quiet, october (a takeover begins two minutes after the start) or hostile (everything goes wrong)");
  m->add_option("--delay-scale", s.delay_scale, "Delays of records, times this; 0.02 for a demonstration")
      ->check(CLI::Range(0.0, 10.0));
  m->add_option("--busy", s.busy, "Records of everyday life, times this; 0.01 for big towns on a small machine")
      ->check(CLI::Range(0.0, 10.0));
  m->add_option("--consent-seconds", s.consent_seconds, "Until a right that was granted works");
  m->add_flag("--json", s.json, "One JSON object on stdout when it listens");
  m->footer("Example: bavn stand-in microsoft365 --port 8365 --tenants 7 --scenario october");
  m->callback([c, &rc] { rc = stand_in(c->stand_in); });

  const auto found = app.get_subcommands([](const CLI::App* each) { return each->get_name() == "node"; });
  if (found.empty()) return;
  CLI::App* node = found.front();
  auto* setup = node->add_subcommand("setup", "A municipality's first ten minutes, step by step");
  setup->add_option("--data", c->setup.data, "The node's data folder");
  setup->add_option("--answers", c->setup.answers, "TOML file with the answers; without it the questions are asked");
  setup->add_flag("--explain", c->explain, "Print every answer with its meaning, as a file to fill in");
  setup->add_flag("--json", c->setup.json, "One JSON object with the steps and their seconds");
  setup->footer("Example: bavn node setup --data /var/lib/bavn --answers fjordby.toml");
  setup->callback([c, &rc] {
    if (c->explain) {
      fmt::print("{}", setup_answers_explained());
      rc = kDone;
      return;
    }
    if (c->setup.data.empty()) throw CLI::RequiredError("--data");
    rc = node_setup(c->setup);
  });
  auto* leave =
      node->add_subcommand("leave", "Export everything, tell the hub, erase, and prove it; the node must be stopped");
  leave->add_option("--data", c->leave.data, "The node's data folder")->required();
  leave->add_option("--export", c->leave.to, "Folder for what is taken along; must not exist")->required();
  leave->add_option("--consent", c->leave.consent, "Where the removal script is run by itself (a stand-in)");
  leave->add_flag("--yes", c->leave.yes, "Do not ask");
  leave->add_flag("--json", c->leave.json, "The proof on stdout");
  leave->footer("Example: bavn node leave --data /var/lib/bavn --export /media/usb/bavn");
  leave->callback([c, &rc] { rc = node_leave(c->leave); });
}

}  // namespace bavn::app
