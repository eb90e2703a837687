#pragma once
namespace bavn::app {
/// The whole command line; returns the exit code.
int run_command_line(int argc, char** argv);
}  // namespace bavn::app
