#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string_view>

#include "app/cli.hpp"
#include "app/commands.hpp"
#include "jail/worker.hpp"

// Read by jemalloc at its start: as many heaps as cores, whatever number of threads come and go.
extern "C" const char* malloc_conf;
const char* malloc_conf = "percpu_arena:percpu";

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "parse-worker") return bavn::jail::worker_main();
  try {
    const int code = bavn::app::run_command_line(argc, argv);
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
    if (code == bavn::app::kDone && errno != EPIPE)
      std::fprintf(stderr, "bavn: cannot write all of the output: %s\n", std::strerror(errno));
  } catch (const std::exception& e) {  // fmt throws where stdout takes no more
    if (errno != EPIPE) std::fprintf(stderr, "bavn: %s\n", e.what());
  }
  return bavn::app::kFailed;
}
