// The words of `bavn hub`, `bavn node` and `bavn serve`.
#include <CLI/CLI.hpp>

#include "app/cli.hpp"
#include "app/commands.hpp"

namespace bavn::app {

namespace {

struct Commands {
  HubCommand hub;
  NodeCommand node;
  ServeCommand serve;
};

CLI::App* step(CLI::App& parent, const char* name, const char* help) {
  return parent.add_subcommand(name, help);
}

void add_hub(CLI::App& app, const std::shared_ptr<Commands>& c, int& rc) {
  HubCommand& h = c->hub;
  auto* hub = app.add_subcommand("hub", "Run the hub of a joint CERT, and everything its owner does with it");
  hub->require_subcommand(0, 1);
  hub->add_option("--data", h.data, "The hub's data folder");
  hub->add_flag("--guests", h.with_guests, "Also run its guest nodes (else: bavn hub guests run)");
  hub->footer(
      "Example: bavn hub init --data /var/lib/bavn-hub --host cert.example.org && bavn hub --data /var/lib/bavn-hub");
  const auto act = [c, &rc](const char* action) {
    return [c, &rc, action] {
      c->hub.action = action;
      rc = hub_command(c->hub);
    };
  };
  const auto leaf = [&](CLI::App& parent, const char* name, const char* help, const char* action) {
    auto* sub = step(parent, name, help);
    sub->add_option("--data", h.data, "The hub's data folder")->required();
    sub->add_flag("--json", h.json, "JSON on stdout");
    sub->callback(act(action));
    return sub;
  };
  hub->callback([c, &rc, hub] {
    if (!hub->get_subcommands().empty()) return;
    if (c->hub.data.empty()) throw CLI::RequiredError("--data");
    c->hub.action = "run";
    rc = hub_command(c->hub);
  });
  auto* init = leaf(*hub, "init", "Make a hub: keys, tables, settings", "init");
  init->add_option("--host", h.hosts,
                   "Name or address under which nodes reach it; the first goes into enrolment codes (repeatable)")
      ->required()
      ->allow_extra_args(false);
  init->add_option("--name", h.name, "Whose hub it is, for people");
  init->add_option("--address", h.address, "Address to listen on for nodes; every one when not given");
  init->add_option("--port", h.port, "Port to listen on for nodes; 8443 when not given");
  leaf(*hub, "status", "What the status page shows", "status");
  leaf(*hub, "link", "The link that opens the status page", "link");
  leaf(*hub, "settings", "Every setting with its default, bounds and reason", "settings");

  leaf(*hub, "rotate-key", "Replace the hub's key (lost, stolen, or old); the hub must be stopped", "rotate-key")
      ->add_option("root", h.words, "The file of the root key")
      ->required()
      ->expected(1);

  auto* municipality = step(*hub, "municipality", "Members of the community");
  municipality->require_subcommand(1);
  auto* add = leaf(*municipality, "add", "Invite a municipality: prints the code with which its node enrols",
                   "municipality add");
  add->add_option("names", h.words, "Official codes or names; several share one node")->required();
  add->add_option("--operator", h.by, "Who runs the node; the municipality itself when not given");
  add->add_option("--form", h.form, "package, vm or guest");
  leaf(*municipality, "list", "Members with the mail domains that are theirs", "municipality list");
  auto* domains = leaf(*municipality, "domains", "Say which mail domains are a member's (all of them, each time)",
                       "municipality domains");
  domains->add_option("names", h.words, "Official code or name, then its mail domains")->required();
  domains->add_flag("--not-named", h.not_named,
                    "Its domain may not be named to other members when a wave comes from it");

  auto* node = step(*hub, "node", "Nodes of the community");
  node->require_subcommand(1);
  leaf(*node, "list", "List them", "node list");
  leaf(*node, "code", "Another enrolment code: the first was lost or the machine replaced", "node code")
      ->add_option("name", h.words, "The node's name")
      ->required();
  auto* revoke = leaf(*node, "revoke", "Revoke a node's certificates and cut its connections now", "node revoke");
  revoke->add_option("name", h.words, "The node's name")->required();
  revoke->add_option("--why", h.why, "For the audit log")->required();

  auto* guests = step(*hub, "guests", "Guest nodes: one process for each municipality without a machine of its own");
  guests->require_subcommand(1);
  leaf(*guests, "run", "Start and watch them (a service of its own)", "guests run");
  leaf(*guests, "list", "List them with state and memory", "guests list");
  auto* guest_add =
      leaf(*guests, "add", "Invite municipalities and enrol a guest for each; the hub must run", "guests add");
  guest_add->add_option("names", h.words, "Official codes or names")->required();
  guest_add->add_flag("!--same-user", h.own_user, "Run them as the supervisor's user, also when it is root");
  leaf(*guests, "stop", "Stop guests", "guests stop")->add_option("codes", h.words, "Four digits each")->required();
  leaf(*guests, "start", "Start guests that were stopped", "guests start")
      ->add_option("codes", h.words, "Four digits each")
      ->required();
  leaf(*guests, "upgrade", "Start all again with the program that is installed now, one after the other",
       "guests upgrade");

  auto* publish = step(*hub, "publish", "Send something to every node");
  publish->require_subcommand(1);
  auto* indicators =
      leaf(*publish, "indicators", "Lists in any shape that `bavn indicators check` reads", "publish indicators");
  indicators->add_option("files", h.words, "Files")->required();
  indicators->add_option("--source", h.source, "Who says so; the list's own name when not given");
  indicators->add_option("--action", h.indicator_action, "watch, warn, hold or block where the list says nothing");
  leaf(*publish, "rules", "Sigma rules, one file each", "publish rules")
      ->add_option("files", h.words, "Files")
      ->required();

  auto* order = leaf(*publish, "order", "A signed order, to the node of its municipality", "publish order");
  order->add_option("file", h.words, "As `bavn order sign` left it")->required()->expected(1);
  order->add_option("--seconds", h.seconds, "How long to wait for the node's answer");

  auto* test = leaf(*hub, "test-beacon", "Light a harmless warning and see who answers, and how fast", "test-beacon");
  test->add_option("municipality", h.words, "Only this one");
  test->add_option("--observable", h.observable, "Let each node look for this in its history");
  test->add_option("--seconds", h.seconds, "How long to wait for answers");
}

void add_node(CLI::App& app, const std::shared_ptr<Commands>& c, int& rc) {
  NodeCommand& n = c->node;
  auto* node = app.add_subcommand("node", "Run a municipality's node, and everything its owner does with it");
  node->require_subcommand(0, 1);
  node->add_option("--data", n.data, "The node's data folder");
  node->add_flag("--guest", n.guest, "Small queues and caches: one of many on a machine");
  node->add_option("--user", n.user, "Become this user first");
  node->add_option("--shared-base", n.shared_bases, "Folder where indicator bases of this machine lie (repeatable)")
      ->allow_extra_args(false);
  node->add_option("--rules", n.rules, "Own Sigma rules beside those that come with Bavn (repeatable)")
      ->allow_extra_args(false);
  node->add_option("--stdin", n.stdin_name,
                   "Read standard input as the source of this name; end with it, by the exit code");
  node->add_option("--format", n.format, "Format of --stdin; recognised when not given");
  node->footer("Example: bavn node enrol bavn1... --data /var/lib/bavn && bavn node --data /var/lib/bavn");
  node->callback([c, &rc, node] {
    if (!node->get_subcommands().empty()) return;
    if (c->node.data.empty()) throw CLI::RequiredError("--data");
    c->node.action = "run";
    rc = node_command(c->node);
  });
  const auto leaf = [&](const char* name, const char* help) {
    auto* sub = node->add_subcommand(name, help);
    sub->add_option("--data", n.data, "The node's data folder")->required();
    sub->add_flag("--json", n.json, "JSON on stdout");
    sub->callback([c, &rc, name] {
      c->node.action = name;
      rc = node_command(c->node);
    });
    return sub;
  };
  auto* enrol = leaf("enrol", "Become a node with the code from the hub");
  enrol->add_option("code", n.words, "bavn1....")->required()->expected(1);
  enrol->add_option("--name", n.name, "What this machine is called, for people");
  enrol->add_flag("--again", n.again,
                  "This machine was a node before (revoked, or its hub restored): put the old enrolment aside");
  leaf("status", "What the status page shows");
  leaf("link", "The link that opens the status page");
  leaf("left", "What left us: every item and request that left this node, one JSON object a line");
  leaf("inbox", "Warnings and other urgent words from the hub");
  auto* token = leaf("token", "A token with which a shipper delivers over HTTP as one source");
  token->add_option("source", n.words, "The source's name")->required()->expected(1);
  token->add_option("--format", n.format, "Its format; recognised when not given");
  leaf("tokens", "The tokens of shippers");
  leaf("token-revoke", "Revoke a shipper's token")->add_option("id", n.words, "Its number")->required()->expected(1);
  leaf("settle-fork", "After two entries of one number: a person decides to believe the hub again");
  leaf("settings", "Every setting with its default, bounds and reason");
}

void add_config(CLI::App& app, int& rc) {
  const auto c = std::make_shared<ConfigCommand>();
  auto* config = app.add_subcommand("config", "Settings: every one with its reason; a folder's files checked");
  config->require_subcommand(1);
  auto* explain =
      config->add_subcommand("explain", "Every setting with its default, bounds and reason, as a file to start from");
  explain->add_option("what", c->what, "hub, node or sources")
      ->required()
      ->check(CLI::IsMember({"hub", "node", "sources"}));
  auto* check =
      config->add_subcommand("check", "Read settings.toml and sources.toml of a folder and say what is wrong");
  check->add_option("--data", c->data, "The data folder of a hub or node")->required();
  for (auto* sub : {explain, check})
    sub->callback([c, sub, &rc] {
      c->action = sub->get_name();
      rc = config_command(*c);
    });
}

}  // namespace

void add_server_commands(CLI::App& app, int& rc) {
  const auto c = std::make_shared<Commands>();
  add_hub(app, c, rc);
  add_node(app, c, rc);
  add_config(app, rc);
  auto* serve_cmd = app.add_subcommand("serve", "Hub and node in one process, to try Bavn on one machine");
  serve_cmd->add_option("--data", c->serve.data, "Folder; made when it is not there")->required();
  serve_cmd->add_option("--municipality", c->serve.municipality, "Code or name of the node's municipality")->required();
  serve_cmd->add_option("--port", c->serve.port, "Port of the hub; 8443 when not given");
  serve_cmd->footer("Example: bavn serve --data /var/lib/bavn --municipality Gentofte");
  serve_cmd->callback([c, &rc] { rc = serve(c->serve); });
}

}  // namespace bavn::app
