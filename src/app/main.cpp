#include <malloc.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string_view>
#include <thread>

#include "app/cli.hpp"
#include "app/commands.hpp"
#include "jail/worker.hpp"

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "parse-worker") return bavn::jail::worker_main();
  // As many heaps as cores: glibc's eight times as many keep what short-lived threads' work left behind (a third of the node's memory
  // under a storm, `bavn bench intake`), and gain nothing.
  mallopt(M_ARENA_MAX, static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 2U, 64U)));
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
