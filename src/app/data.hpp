#pragma once
// What the commands over a data folder share: opening it, progress on stderr, Ctrl-C.
#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "base/threads.hpp"
#include "history/history.hpp"
#include "hunt/engine.hpp"

namespace bavn::app {

/// Ctrl-C and SIGTERM ask for a stop; the second time the process ends at once. Make it before any other thread is started: threads
/// inherit that the signals are not theirs.
class StopOnSignal {
 public:
  StopOnSignal();
  ~StopOnSignal();
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::jthread watcher_;
};

/// DIR/history with the engine that reads its lines. history dies before the engine, the engine before the runtime.
struct DataFolder {
  Threads runtime;
  std::unique_ptr<hunt::Engine> engine;
  std::unique_ptr<history::History> history;
};
/// create: the folder is made when it is not there; else that is not_found.
Result<std::unique_ptr<DataFolder>> open_data(const std::string& folder, const hunt::EngineOptions& engine,
                                              bool create);

/// A line on stderr, at most twice a second: in place on a terminal, as lines elsewhere.
class Progress {
 public:
  explicit Progress(bool quiet);
  ~Progress();
  void show(const std::function<std::string()>& text);

 private:
  bool quiet_, terminal_, shown_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

unsigned threads_for(unsigned jobs);
/// Prints the error; kFailed, or kUsage for bad input.
int failed(const Error& error);
/// Said on stderr: a file that was named cannot be read. Whatever the reason, that is no wrong usage.
int unreadable(const Error& error);
double megabytes(std::uint64_t bytes);

}  // namespace bavn::app
