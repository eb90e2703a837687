#pragma once
// The duty contact of a node's municipality: who is called at night, by which ways, and whether they were ever tried: commands `bavn contact`,
// which ask the running node (show/api/contacts).

namespace CLI {
class App;
}

namespace bavn::app {

/// rc: set by the command that runs.
void add_contact_commands(CLI::App& app, int& rc);

}  // namespace bavn::app
