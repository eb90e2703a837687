#include "input/sources/files/watch.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <future>
#include <map>
#include <mutex>

#include "base/log.hpp"

namespace bavn::input::sources::files {

namespace {
constexpr std::uint32_t kNames = IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr int kPauseMs = 20;  // a busy log is one wake-up in this time, not thousands
}  // namespace

struct FolderWatch::Inner {
  std::mutex mutex;
  int inotify = -1, stop = -1;
  std::map<int, std::function<void(bool)>> clients;
  std::map<std::string, int> watched;      // folder -> descriptor of inotify
  std::map<int, std::set<int>> wanted_by;  // descriptor -> clients
  int last_client = 0;
  std::promise<void> ended;

  void run() {
    std::array<pollfd, 2> fds{{{inotify, POLLIN, 0}, {stop, POLLIN, 0}}};
    for (;;) {
      if (::poll(fds.data(), fds.size(), -1) < 0) continue;
      if (fds[1].revents != 0) break;
      take_events();
      pollfd only_stop{stop, POLLIN, 0};
      if (::poll(&only_stop, 1, kPauseMs) > 0) break;
    }
    ended.set_value();
  }

  void take_events() {
    alignas(inotify_event) std::array<char, 16384> buffer;
    std::map<int, bool> told;  // client -> names
    const std::lock_guard lock(mutex);
    for (;;) {
      const ssize_t n = ::read(inotify, buffer.data(), buffer.size());
      if (n <= 0) break;
      for (ssize_t at = 0; at < n;) {
        inotify_event event;
        std::memcpy(&event, buffer.data() + at, sizeof event);
        at += static_cast<ssize_t>(sizeof event + event.len);
        if ((event.mask & IN_Q_OVERFLOW) != 0)
          for (const auto& [client, changed] : clients) told[client] = true;
        if ((event.mask & IN_IGNORED) != 0) {  // the folder is gone: when it comes back it is watched anew
          const int gone = event.wd;
          std::erase_if(watched, [gone](const auto& w) { return w.second == gone; });
          wanted_by.erase(gone);
          continue;
        }
        for (const int client : wanted_by[event.wd]) told[client] |= (event.mask & kNames) != 0;
      }
    }
    for (const auto& [client, names] : told)
      if (const auto it = clients.find(client); it != clients.end()) it->second(names);
  }
};

FolderWatch::FolderWatch(Runtime& runtime) : inner_(std::make_shared<Inner>()) {
  inner_->inotify = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  inner_->stop = ::eventfd(0, EFD_CLOEXEC);
  const QueueId queue = runtime.queue({"folder-watch", 1, 4});
  if (inner_->inotify < 0 || inner_->stop < 0 || !runtime.post(queue, [inner = inner_] { inner->run(); })) {
    log::warn("folder_watch_off", {{"reason", std::strerror(errno)}, {"effect", "files are polled"}});
    inner_->ended.set_value();
  }
}

FolderWatch::~FolderWatch() {
  const std::uint64_t one = 1;
  if (inner_->stop >= 0) (void)!::write(inner_->stop, &one, sizeof one);
  inner_->ended.get_future().wait();
  if (inner_->inotify >= 0) ::close(inner_->inotify);
  if (inner_->stop >= 0) ::close(inner_->stop);
}

int FolderWatch::add(std::function<void(bool)> changed) {
  const std::lock_guard lock(inner_->mutex);
  inner_->clients[++inner_->last_client] = std::move(changed);
  return inner_->last_client;
}

void FolderWatch::folders(int client, std::set<std::string> folders) {
  const std::lock_guard lock(inner_->mutex);
  if (inner_->inotify < 0) return;
  for (auto& [wd, clients] : inner_->wanted_by) clients.erase(client);
  for (const std::string& folder : folders) {
    auto it = inner_->watched.find(folder);
    if (it == inner_->watched.end()) {
      const int wd = ::inotify_add_watch(inner_->inotify, folder.c_str(), kNames | IN_MODIFY);
      if (wd < 0) continue;  // polled
      it = inner_->watched.emplace(folder, wd).first;
    }
    inner_->wanted_by[it->second].insert(client);
  }
}

void FolderWatch::remove(int client) {
  const std::lock_guard lock(inner_->mutex);
  inner_->clients.erase(client);
  for (auto& [wd, clients] : inner_->wanted_by) clients.erase(client);
}

}  // namespace bavn::input::sources::files
