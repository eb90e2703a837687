#include "jail/jail.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "base/log.hpp"
#include "jail/worker.hpp"

namespace bavn::jail {

namespace {

using Clock = std::chrono::steady_clock;
using Digest = std::array<unsigned char, 16>;

constexpr std::size_t kPoisonKept = 1024;

Digest digest_of(Task task, std::string_view input) {
  Digest out{};
  const auto key = static_cast<unsigned char>(task);
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, out.size());
  crypto_generichash_update(&state, &key, 1);
  crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(input.data()), input.size());
  crypto_generichash_final(&state, out.data(), out.size());
  return out;
}

}  // namespace

/// One process and the socket to it. Used by one thread at a time.
class Jail::Worker {
 public:
  static Result<std::unique_ptr<Worker>> start(const std::string& program) {
    int ends[2];  // a socket, not a pipe: send() can be told not to raise SIGPIPE
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return no_worker(errno);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::string name = "bavn", word = "parse-worker", locale = "LC_ALL=C.UTF-8";
    char* arguments[] = {name.data(), word.data(), nullptr};
    char* environment[] = {locale.data(), nullptr};  // nothing of the master's secrets
    pid_t pid = 0;
    const int spawned = posix_spawn(&pid, program.c_str(), &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(ends[1]);
    auto worker = std::unique_ptr<Worker>(new Worker(spawned == 0 ? pid : 0, ends[0]));
    if (spawned != 0) return no_worker(spawned);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    constexpr int kBuffer = 1 << 20;  // fewer switches; what the system grants will do
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &kBuffer, sizeof kBuffer);
    return worker;
  }

  ~Worker() {
    close(socket_);
    if (pid_ > 0) end();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  struct Answer {
    std::optional<Result<std::string>> result;  // nothing: the worker died
    std::string death;                          // how
  };

  Answer ask(Task task, std::string_view input, std::chrono::milliseconds allowed) {
    ++items_;
    const auto until = Clock::now() + allowed;
    const FrameHead head{.code = static_cast<std::uint32_t>(task), .size = input.size()};
    FrameHead reply;
    if (!give({reinterpret_cast<const char*>(&head), sizeof head}, until) || !give(input, until) ||
        !receive(reinterpret_cast<char*>(&reply), sizeof reply, until))
      return died();
    // What a worker says is as hostile as what it read.
    if (reply.magic != head.magic || reply.size > kMaxAnswer ||
        reply.code > 1U + static_cast<unsigned>(Code::corrupt)) {
      trouble_ = "answered nonsense";
      return died();
    }
    std::string body(reply.size, '\0');
    if (!receive(body.data(), body.size(), until)) return died();
    if (reply.code == 0) return {Result<std::string>(std::move(body)), {}};
    return {Result<std::string>(fail(static_cast<Code>(reply.code - 1), std::move(body))), {}};
  }

  unsigned items() const { return items_; }

 private:
  Worker(pid_t pid, int socket) : pid_(pid), socket_(socket) {}

  static std::unexpected<Error> no_worker(int reason) {
    return fail(Code::unavailable, fmt::format("no parse worker could be started: {}", strerror(reason)));
  }

  bool wait_for(short what, Clock::time_point until) {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
      if (left <= 0) {
        trouble_ = "ran into its deadline";
        return false;
      }
      pollfd p{socket_, what, 0};
      const int n = poll(&p, 1, static_cast<int>(left));
      if (n > 0) return true;
      if (n < 0 && errno != EINTR) return false;
    }
  }
  bool give(std::string_view bytes, Clock::time_point until) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
      else if (n < 0 && errno == EAGAIN) {
        if (!wait_for(POLLOUT, until)) return false;
      } else if (n < 0 && errno != EINTR) return false;
    }
    return true;
  }
  bool receive(char* into, std::size_t size, Clock::time_point until) {
    while (size > 0) {
      const ssize_t n = ::recv(socket_, into, size, 0);
      if (n > 0) {
        into += n;
        size -= static_cast<std::size_t>(n);
      } else if (n < 0 && errno == EAGAIN) {
        if (!wait_for(POLLIN, until)) return false;
      } else if (n == 0 || errno != EINTR) return false;
    }
    return true;
  }

  int end() {
    kill(pid_, SIGKILL);  // without effect on one that is dead already: its own signal is reported then
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status;
  }
  Answer died() {
    if (trouble_.empty()) {
      // Its pipe is closed, so it is ending; killing it now could hide the signal that says why.
      const auto until = Clock::now() + std::chrono::seconds(1);
      siginfo_t info{};
      while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0 &&
             Clock::now() < until)
        poll(nullptr, 0, 1);
    }
    const int status = end();
    if (!trouble_.empty()) return {std::nullopt, trouble_};
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
      return {std::nullopt, "made a forbidden system call (SIGSYS)"};
    if (WIFSIGNALED(status)) return {std::nullopt, fmt::format("was ended by SIG{}", sigabbrev_np(WTERMSIG(status)))};
    return {std::nullopt, fmt::format("ended with code {}", WEXITSTATUS(status))};
  }

  pid_t pid_;
  int socket_;
  unsigned items_ = 0;
  std::string trouble_;
};

struct Jail::State {
  Metrics& metrics;
  JailOptions options;
  std::mutex mutex;
  std::condition_variable freed;
  std::vector<std::unique_ptr<Worker>> idle;
  unsigned busy = 0;
  std::deque<Digest> poison;

  // A worker, or none yet (the caller starts one): waits while all are busy.
  std::unique_ptr<Worker> take() {
    std::unique_lock lock(mutex);
    freed.wait(lock, [&] { return busy < options.workers; });
    ++busy;
    if (idle.empty()) return nullptr;
    auto worker = std::move(idle.back());
    idle.pop_back();
    return worker;
  }
  void give_back(std::unique_ptr<Worker> worker) {
    if (worker && worker->items() >= options.items_per_worker) {
      worker.reset();
      metrics.counter("jail_worker_recycled").add();
    }
    {
      const std::lock_guard lock(mutex);
      --busy;
      if (worker) idle.push_back(std::move(worker));
    }
    freed.notify_one();
  }
};

Jail::Jail(Metrics& metrics, JailOptions options)
    : state_(new State{.metrics = metrics,
                       .options = std::move(options),
                       .mutex = {},
                       .freed = {},
                       .idle = {},
                       .busy = 0,
                       .poison = {}}) {
  BAVN_ASSERT(state_->options.workers > 0 && sodium_init() >= 0);
}
Jail::~Jail() = default;

Result<std::string> Jail::run(Task task, std::string_view input) {
  if (input.size() > kMaxInput) return fail(Code::bad_input, "the item is larger than 64 MiB; hand it over in parts");
  const Digest digest = digest_of(task, input);
  {
    const std::lock_guard lock(state_->mutex);
    if (std::find(state_->poison.begin(), state_->poison.end(), digest) != state_->poison.end())
      return fail(Code::corrupt, "poison: this item killed its worker twice before and is not tried again");
  }
  const auto allowed = state_->options.deadline * (patience(task) * static_cast<int>(1 + input.size() / (16U << 20)));
  auto worker = state_->take();
  std::string how;
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!worker) {
      auto started = Worker::start(state_->options.program);
      if (!started) {
        state_->give_back(nullptr);
        return std::unexpected(started.error());
      }
      worker = std::move(*started);
    }
    Worker::Answer answer = worker->ask(task, input, allowed);
    if (answer.result) {
      state_->give_back(std::move(worker));
      return *std::move(answer.result);
    }
    worker.reset();
    how = answer.death;
    log::counted(state_->metrics, log::Level::warn, "jail_worker_died",
                 {{"task", static_cast<int>(task)}, {"bytes", input.size()}, {"how", how}});
  }
  state_->give_back(nullptr);
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->poison.size() == kPoisonKept) state_->poison.pop_front();
    state_->poison.push_back(digest);
  }
  log::counted(state_->metrics, log::Level::error, "jail_item_poison",
               {{"task", static_cast<int>(task)}, {"bytes", input.size()}});
  return fail(Code::corrupt,
              fmt::format("poison: the item killed its worker twice (it {}); it is held, not tried again", how));
}

}  // namespace bavn::jail
