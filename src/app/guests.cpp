#include "app/guests.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "app/folder.hpp"
#include "base/log.hpp"

extern char** environ;

namespace bavn::app {

namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr Duration kFirstPause = seconds(1), kLongestPause = minutes(5), kSteadyAfter = minutes(2),
                   kEndWithin = seconds(20);
constexpr std::uintmax_t kLogLimit = 16U << 20U;

Instant changed_at(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return {};
  return from_micros(info.st_mtim.tv_sec * 1'000'000LL + info.st_mtim.tv_nsec / 1000);
}

Result<void> touch(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail(Code::unavailable, std::strerror(errno), path);
  futimens(fd, nullptr);
  close(fd);
  return {};
}

bool is_code(std::string_view s) {
  return !s.empty() && s.size() <= 5 && std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Not somebody who enrols or repairs the folder, us included.
bool is_node(int pid) {
  std::ifstream in(fmt::format("/proc/{}/cmdline", pid));
  std::string program, command, option;
  return pid > 0 && pid != getpid() && std::getline(in, program, '\0') && std::getline(in, command, '\0') &&
         std::getline(in, option, '\0') && command == "node" && option == "--data";
}

std::string owner_of(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0 || info.st_uid == geteuid()) return {};
  const passwd* user = getpwuid(info.st_uid);
  return user != nullptr ? user->pw_name : std::to_string(info.st_uid);
}

}  // namespace

std::string_view to_string(GuestState s) {
  switch (s) {
    case GuestState::stopped: return "stopped";
    case GuestState::starting: return "starting";
    case GuestState::running: return "running";
    case GuestState::waiting: return "waiting";
    case GuestState::silent: return "silent";
  }
  return "?";
}

std::optional<std::pair<double, double>> memory_of(int pid) {
  std::ifstream in(fmt::format("/proc/{}/smaps_rollup", pid));
  if (!in) return std::nullopt;
  std::string word;
  double mine = 0, shared = 0, kb = 0;
  while (in >> word) {
    if (word == "Private_Clean:" || word == "Private_Dirty:") {
      in >> kb;
      mine += kb / 1000 * 1.024;
    } else if (word == "Shared_Clean:" || word == "Shared_Dirty:") {
      in >> kb;
      shared += kb / 1000 * 1.024;
    }
  }
  if (mine == 0 && shared == 0) return std::nullopt;
  return std::pair{mine, shared};
}

Guests::Guests(Runtime& runtime, Options options)
    : runtime_(runtime), options_(std::move(options)), queue_(runtime.queue({.name = "guests"})) {}

Guests::~Guests() {
  *alive_ = false;
}

void Guests::start() {
  const bool posted = runtime_.post(queue_, [this, alive = alive_] {
    if (*alive) look_once();
  });
  BAVN_ASSERT(posted);
}

void Guests::look_once() {
  reap();
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(options_.folder, ec)) {
    const std::string code = entry.path().filename().string();
    if (!entry.is_directory(ec) || !is_code(code)) continue;
    watched_.with([&](auto& all) {
      Watched& w = all[code];
      w.guest.code = code;
      w.guest.folder = entry.path().string();
      w.guest.user = owner_of(w.guest.folder);
    });
  }
  if (!ending_all_.with([](bool e) { return e; })) {
    const Instant restart = changed_at(options_.folder + "/restart");
    watched_.with([&](auto& all) {
      bool one_restarting = std::any_of(all.begin(), all.end(), [](const auto& each) { return each.second.ending; });
      for (auto it = all.begin(); it != all.end();) {
        std::error_code gone;
        if (!std::filesystem::is_directory(it->second.guest.folder, gone)) {
          it = all.erase(it);
          continue;
        }
        look_at(it->second, std::max(restart, changed_at(it->second.guest.folder + "/restart")), one_restarting);
        ++it;
      }
    });
  }
  runtime_.after(options_.look_every, queue_, [this, alive = alive_] {
    if (*alive) look_once();
  });
}

/// One guest, as it is now against as it should be.
void Guests::look_at(Watched& w, Instant restart_wanted, bool& one_restarting) {
  Guest& g = w.guest;
  const Folder folder(g.folder);
  const auto holder = folder.holder();
  const Duration now = runtime_.steady();
  const bool wanted =
      !std::filesystem::exists(g.folder + "/stopped") && std::filesystem::exists(g.folder + "/keys/enrolment.json");
  if (holder && g.pid != *holder && is_node(*holder)) {  // one that an earlier supervisor started
    g.pid = *holder;
    g.started = changed_at(g.folder + "/lock");
    w.started = now;
  }
  const bool alive = g.pid != 0 && kill(g.pid, 0) == 0;
  if (!alive) {
    if (g.pid != 0) {
      g.pid = 0;
      w.ending = false;
      if (g.state == GuestState::running && now - w.started > kSteadyAfter) w.pause = Duration{0};
      w.pause = std::clamp(w.pause * 2, kFirstPause, kLongestPause);
      w.not_before = wanted ? now + w.pause : Duration{0};
      g.state = wanted ? GuestState::waiting : GuestState::stopped;
      if (wanted) log::warn("guest_ended", {{"municipality", g.code}, {"how", g.last_end}});
    }
    if (!wanted) {
      g.state = GuestState::stopped;
      return;
    }
    if (now < w.not_before) return;
    auto pid = spawn(g);
    if (!pid) {
      log::error("guest_not_started", {{"municipality", g.code}, {"reason", pid.error().what}});
      w.pause = std::clamp(w.pause * 2, kFirstPause, kLongestPause);
      w.not_before = now + w.pause;
      g.state = GuestState::waiting;
      return;
    }
    g.restarts += w.started != Duration{0} ? 1 : 0;
    g.pid = *pid;
    g.started = runtime_.now();
    w.started = now;
    g.state = GuestState::starting;
    return;
  }
  if (w.ending) {
    if (now >= w.kill_at) kill(g.pid, SIGKILL);
    return;
  }
  const auto silent = folder.silent_for();
  const auto end = [&] {
    kill(g.pid, SIGTERM);
    w.ending = true;
    w.kill_at = now + kEndWithin;
  };
  if (!wanted) return end();
  if (silent && *silent * 1e6 < static_cast<double>(options_.silent_after.count())) g.state = GuestState::running;
  else if (now - w.started > options_.silent_after) {
    g.state = GuestState::silent;
    log::error("guest_silent", {{"municipality", g.code}, {"seconds", silent.value_or(0)}});
    return end();
  }
  if (g.started < restart_wanted && !one_restarting && g.state == GuestState::running) {
    one_restarting = true;
    end();
  }
}

void Guests::reap() {
  int status = 0;
  // Only our own guests: another child of this process belongs to somebody else.
  watched_.with([&](auto& all) {
    for (auto& [code, w] : all) {
      if (w.guest.pid == 0 || waitpid(w.guest.pid, &status, WNOHANG) != w.guest.pid) continue;
      w.guest.last_end = WIFSIGNALED(status) ? fmt::format("ended by signal {}", WTERMSIG(status))
                                             : fmt::format("ended with {}", WEXITSTATUS(status));
    }
  });
}

Result<int> Guests::spawn(const Guest& guest) {
  const std::string log = guest.folder + "/log";
  std::error_code ec;
  if (std::filesystem::file_size(log, ec) > kLogLimit && !ec) std::filesystem::rename(log, log + ".1", ec);
  std::vector<std::string> words{options_.program, "node", "--data", guest.folder, "--guest"};
  if (!guest.user.empty()) words.insert(words.end(), {"--user", guest.user});
  words.insert(words.end(), options_.arguments.begin(), options_.arguments.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);  // the hub's sockets and files are none of a guest's business
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, normal;
  sigemptyset(&none);
  sigemptyset(&normal);
  for (const int s : {SIGINT, SIGTERM, SIGPIPE, SIGHUP, SIGCHLD}) sigaddset(&normal, s);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &normal);
  posix_spawnattr_setpgroup(&attributes, 0);  // Ctrl-C at a terminal is for the supervisor
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  pid_t pid = 0;
  const int code = posix_spawn(&pid, options_.program.c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (code != 0) return fail(Code::unavailable, fmt::format("cannot start: {}", std::strerror(code)), options_.program);
  return pid;
}

void Guests::end_all(Duration at_most) {
  ending_all_.with([](bool& e) { e = true; });
  const auto each = [&](int signal) {
    return watched_.with([&](auto& all) {
      std::size_t left = 0;
      for (auto& [code, w] : all) {
        if (w.guest.pid == 0) continue;
        int status = 0;
        if (waitpid(w.guest.pid, &status, WNOHANG) == w.guest.pid || kill(w.guest.pid, 0) != 0) {
          w.guest.pid = 0;
          w.guest.state = GuestState::stopped;
          continue;
        }
        if (signal != 0) kill(w.guest.pid, signal);
        ++left;
      }
      return left;
    });
  };
  each(SIGTERM);
  const Duration until = runtime_.steady() + at_most;
  while (each(0) != 0 && runtime_.steady() < until) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  each(SIGKILL);
  while (each(0) != 0 && runtime_.steady() < until + seconds(5))
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

std::vector<Guest> Guests::list() const {
  auto all = watched_.with([](const auto& w) {
    std::vector<Guest> out;
    for (const auto& [code, each] : w) out.push_back(each.guest);
    return out;
  });
  for (Guest& g : all)
    if (g.pid != 0)
      if (const auto memory = memory_of(g.pid)) std::tie(g.private_mb, g.shared_mb) = *memory;
  return all;
}

Result<std::string> Guests::add(const std::string& folder, const std::string& code) {
  if (!is_code(code))
    return fail(Code::bad_input, "a guest is named by its municipality's number, up to five digits", code);
  const std::string path = folder + "/" + code;
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  if (std::filesystem::exists(path)) return fail(Code::conflict, "this guest is there already", path);
  if (!std::filesystem::create_directory(path, ec))
    return fail(Code::unavailable, "cannot make the folder: " + ec.message(), path);
  chmod(path.c_str(), 0700);
  return path;
}

Result<void> Guests::set_stopped(const std::string& folder, const std::string& code, bool stopped) {
  const std::string path = folder + "/" + code;
  if (!is_code(code) || !std::filesystem::is_directory(path))
    return fail(Code::not_found, "no guest of this number; `bavn hub guests list` shows them", code);
  if (stopped) return touch(path + "/stopped");
  std::error_code ec;
  std::filesystem::remove(path + "/stopped", ec);
  if (ec) return fail(Code::unavailable, ec.message(), path + "/stopped");
  return {};
}

Result<void> Guests::restart(const std::string& folder, const std::string& code) {
  const std::string guest = folder + "/" + code;
  if (!is_code(code) || !std::filesystem::is_directory(guest))
    return fail(Code::not_found, "there is no guest node of this municipality here", code);
  return touch(guest + "/restart");
}

Result<void> Guests::restart_all(const std::string& folder) {
  return touch(folder + "/restart");
}

std::vector<Guest> Guests::look(const std::string& folder) {
  std::vector<Guest> out;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ec)) {
    const std::string code = entry.path().filename().string();
    if (!entry.is_directory(ec) || !is_code(code)) continue;
    Guest g;
    g.code = code;
    g.folder = entry.path().string();
    g.user = owner_of(g.folder);
    const Folder inside(g.folder);
    const bool wanted = !std::filesystem::exists(g.folder + "/stopped");
    if (const auto pid = inside.holder()) {
      g.pid = *pid;
      g.started = changed_at(g.folder + "/lock");
      const auto silent = inside.silent_for();
      g.state = !silent ? GuestState::starting : *silent < 60 ? GuestState::running : GuestState::silent;
      g.web = inside.web();
      if (const auto memory = memory_of(*pid)) std::tie(g.private_mb, g.shared_mb) = *memory;
    } else {
      g.state = wanted ? GuestState::waiting : GuestState::stopped;
    }
    out.push_back(std::move(g));
  }
  std::sort(out.begin(), out.end(), [](const Guest& a, const Guest& b) { return a.code < b.code; });
  return out;
}

}  // namespace bavn::app
