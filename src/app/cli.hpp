#pragma once
#include <string>

namespace CLI {
class App;
}

namespace bavn::app {

void add_server_commands(CLI::App& app, int& rc);  // cli_servers.cpp
/// The whole command line; returns the exit code.
int run_command_line(int argc, char** argv);
std::string manual_page(const CLI::App& app);  // man.cpp: roff, for bavn(1)
}  // namespace bavn::app
