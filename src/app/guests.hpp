#pragma once
// Guest nodes: one process, user, folder, key and certificate for each municipality that has no machine of its own, below
// HUB/guests/CODE. The supervisor starts what should run, starts again what ended (pauses 1 s .. 5 min), ends and starts again what has
// been silent for a minute, and takes over guests that outlived an earlier supervisor. Wishes are files, so commands need no
// connection: guests/CODE/stopped (do not run), guests/restart (all that started before its time: one after the other).
// As root each guest runs as a system user of its own (bavn-CODE); otherwise all run as the supervisor's user, and `list` says so.
// Life: from start() to the destructor, which leaves the guests running unless end_all() was asked. Thread rules: any thread.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/guarded.hpp"
#include "base/runtime.hpp"

namespace bavn::app {

enum class GuestState : std::uint8_t { stopped, starting, running, waiting, silent };
std::string_view to_string(GuestState s);

struct Guest {
  std::string code;  // of the municipality: the folder's name
  std::string folder;
  std::string user;  // empty: as the supervisor
  GuestState state = GuestState::stopped;
  int pid = 0;
  Instant started{};
  std::uint64_t restarts = 0;  // since the supervisor's start
  std::string last_end;        // "ended with 1", "ended by signal 9"
  std::string web;             // where its own pages are; empty: it has none
  double private_mb = 0;       // of the running process; 0 when unknown
  double shared_mb = 0;
};

class Guests {
 public:
  struct Options {
    std::string folder;                  // HUB/guests
    std::string program;                 // the bavn binary
    std::vector<std::string> arguments;  // more of `bavn node --data FOLDER`
    Duration look_every = std::chrono::milliseconds(500);
    Duration silent_after = std::chrono::seconds(60);
  };
  Guests(Runtime& runtime, Options options);
  ~Guests();
  void start();
  /// Asks every guest to end and waits for it, at most this long; what is left is killed.
  void end_all(Duration at_most);

  std::vector<Guest> list() const;

  /// Makes the folder (and the user when root). conflict: it is there.
  static Result<std::string> add(const std::string& folder, const std::string& code);
  static Result<void> set_stopped(const std::string& folder, const std::string& code, bool stopped);
  static Result<void> restart_all(const std::string& folder);
  /// This one alone; not_found: there is none of this code.
  static Result<void> restart(const std::string& folder, const std::string& code);
  /// What is there, seen from outside: folders, locks, processes.
  static std::vector<Guest> look(const std::string& folder);

 private:
  struct Watched {
    Guest guest;
    Duration not_before{0};
    Duration pause{0};
    Duration started{0};  // steady
    bool ending = false;
    Duration kill_at{0};
  };
  void look_once();
  void look_at(Watched& w, Instant restart_wanted, bool& one_restarting);
  void reap();
  Result<int> spawn(const Guest& guest);

  Runtime& runtime_;
  Options options_;
  QueueId queue_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Guarded<std::map<std::string, Watched>> watched_;
  Guarded<bool> ending_all_{false};
};

/// Megabytes of a process: private (its own dirty and clean pages) and shared. Empty: it is gone or belongs to another.
std::optional<std::pair<double, double>> memory_of(int pid);

}  // namespace bavn::app
