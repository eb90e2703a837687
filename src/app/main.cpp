#include <string_view>

#include "app/cli.hpp"
#include "jail/worker.hpp"

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "parse-worker") return bavn::jail::worker_main();
  return bavn::app::run_command_line(argc, argv);
}
