#include "app/data.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>

#include "app/commands.hpp"
#include "hunt/observables.hpp"

namespace bavn::app {

namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

StopOnSignal::StopOnSignal() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  watcher_ = std::jthread([this](std::stop_token end) {
    const sigset_t wanted = stop_signals();
    while (!end.stop_requested()) {
      const timespec wait{0, 100'000'000};
      if (sigtimedwait(&wanted, nullptr, &wait) < 0) continue;
      if (source_.stop_requested()) std::_Exit(130);
      std::fputs("\nstopping; once more ends at once\n", stderr);
      source_.request_stop();
    }
  });
}

StopOnSignal::~StopOnSignal() {
  watcher_.request_stop();
  watcher_.join();
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

Result<std::unique_ptr<DataFolder>> open_data(const std::string& folder, const hunt::EngineOptions& engine,
                                              bool create) {
  const std::string path = folder + "/history";
  std::error_code ec;
  if (create) {
    std::filesystem::create_directories(path, ec);
    if (ec) return fail(Code::unavailable, "cannot make the folder: " + ec.message(), path);
  } else if (!std::filesystem::is_directory(path, ec)) {
    return fail(Code::not_found, "there is no history here; `bavn ingest --data` makes one", path);
  }
  auto data = std::make_unique<DataFolder>();
  BAVN_TRY(data->engine, hunt::Engine::open(engine));
  history::Options options;
  options.extract = hunt::extract_with(*data->engine);
  BAVN_TRY(data->history, history::History::open(data->runtime, path, options));
  return data;
}

Progress::Progress(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
  if (shown_ && terminal_) std::fputc('\n', stderr);
}

void Progress::show(const std::function<std::string()>& text) {
  const auto now = std::chrono::steady_clock::now();
  if (quiet_ || now - last_ < std::chrono::milliseconds(500)) return;
  last_ = now;
  shown_ = true;
  if (terminal_) fmt::print(stderr, "\r\x1b[K{}", text());
  else fmt::print(stderr, "{}\n", text());
  std::fflush(stderr);
}

unsigned threads_for(unsigned jobs) {
  return jobs != 0 ? jobs : std::max(1U, std::thread::hardware_concurrency());
}

int failed(const Error& error) {
  fmt::print(stderr, "{}\n", to_string(error));
  return error.code == Code::bad_input ? kUsage : kFailed;
}

int unreadable(const Error& error) {
  failed(error);
  return kFailed;
}

double megabytes(std::uint64_t bytes) {
  return static_cast<double>(bytes) / 1e6;
}

}  // namespace bavn::app
