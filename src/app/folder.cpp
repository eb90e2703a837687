#include "app/folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "base/text.hpp"
#include "base/threads.hpp"
#include "net/json_views.hpp"

namespace bavn::app {

namespace {

constexpr std::uint64_t kSmallFile = 64U << 10U;

std::optional<int> read_number(int fd) {
  std::array<char, 32> text{};
  const ssize_t n = pread(fd, text.data(), text.size() - 1, 0);
  if (n <= 0) return std::nullopt;
  const int pid = std::atoi(text.data());
  return pid > 0 ? std::optional(pid) : std::nullopt;
}

Error system_error(std::string_view what, const std::string& path) {
  return Error{Code::unavailable, fmt::format("{}: {}", what, std::strerror(errno)), path};
}

}  // namespace

Folder::Held::~Held() {
  if (ftruncate(fd_, 0) != 0) { /* the lock says it, not the number */
  }
  close(fd_);
}

Result<std::unique_ptr<Folder::Held>> Folder::hold(bool create) const {
  std::error_code ec;
  if (create) {
    std::filesystem::create_directories(path_, ec);
    if (ec) return fail(Code::unavailable, "cannot make the folder: " + ec.message(), path_);
    chmod(path_.c_str(), 0700);
  } else if (!std::filesystem::is_directory(path_, ec)) {
    return fail(Code::not_found, "there is no such folder; `bavn hub init` or `bavn node enrol` makes one", path_);
  }
  const int fd = open(at("lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return std::unexpected(system_error("cannot open the lock", at("lock")));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const auto pid = read_number(fd);
    close(fd);
    return fail(Code::conflict,
                fmt::format("another Bavn runs on this folder{}; stop it first",
                            pid ? fmt::format(" (process {})", *pid) : std::string()),
                path_);
  }
  const std::string number = fmt::format("{}\n", getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, number.data(), number.size(), 0) != static_cast<ssize_t>(number.size())) {
    const Error e = system_error("cannot write the lock", at("lock"));
    close(fd);
    return std::unexpected(e);
  }
  std::filesystem::create_directories(at("run"), ec);
  return std::make_unique<Held>(fd);
}

std::optional<int> Folder::holder() const {
  const int fd = open(at("lock").c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::optional<int> pid;
  if (flock(fd, LOCK_SH | LOCK_NB) != 0) pid = read_number(fd).value_or(0);
  close(fd);
  return pid;
}

Result<void> Folder::write_control(const ControlAddress& control) const {
  DiskFiles files;
  return replace_file(files, at("run/control"), control.url + "\n" + control.key + "\n");
}

Result<ControlAddress> Folder::control() const {
  if (!holder()) return fail(Code::not_found, "no Bavn runs on this folder", path_);
  DiskFiles files;
  BAVN_TRY(const std::string text, read_file(files, at("run/control"), kSmallFile));
  const auto end = text.find('\n');
  if (end == std::string::npos || text.size() < end + 3) return fail(Code::corrupt, "unreadable", at("run/control"));
  return ControlAddress{text.substr(0, end), text.substr(end + 1, text.size() - end - 2)};
}

Result<void> Folder::write_web(std::string_view url) const {
  DiskFiles files;
  return replace_file(files, at("run/web"), std::string(url) + "\n");
}

std::string Folder::web() const {
  if (!holder()) return {};
  DiskFiles files;
  const auto text = read_file(files, at("run/web"), kSmallFile);
  const std::string_view url = text ? trim(*text) : std::string_view();
  // A guest writes it and the hub's page links to it: nothing but an address of pages gets through.
  const bool pages = url.size() <= 500 && (url.starts_with("https://") || url.starts_with("http://"));
  const bool plain = std::ranges::all_of(url, [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '<'; });
  return pages && plain ? std::string(url) : std::string();
}

void Folder::touch_alive() const {
  const int fd = open(at("run/alive").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  futimens(fd, nullptr);
  close(fd);
}

std::optional<double> Folder::silent_for() const {
  struct stat info{};
  if (stat(at("run/alive").c_str(), &info) != 0) return std::nullopt;
  struct stat lock{};
  if (stat(at("lock").c_str(), &lock) != 0 || info.st_mtime < lock.st_mtime)
    return std::nullopt;  // of an earlier process
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec - info.st_mtim.tv_sec) +
         static_cast<double>(now.tv_nsec - info.st_mtim.tv_nsec) / 1e9;
}

std::string random_key(Runtime& runtime) {
  std::array<std::byte, 32> bytes{};
  runtime.random(bytes);
  std::string out;
  for (const std::byte b : bytes) out += fmt::format("{:02x}", static_cast<unsigned>(b));
  return out;
}

bool same_secret(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

Result<net::ClientReply> call(Runtime& runtime, net::Client& client, net::ClientRequest request) {
  struct Waiting {
    std::mutex mutex;
    std::condition_variable done;
    std::optional<Result<net::ClientReply>> answer;
  };
  auto waiting = std::make_shared<Waiting>();
  const QueueId queue = runtime.queue({.name = "call"});
  client.send(std::move(request), queue, [waiting](Result<net::ClientReply> answer) {
    const std::lock_guard lock(waiting->mutex);
    waiting->answer = std::move(answer);
    waiting->done.notify_all();
  });
  std::unique_lock lock(waiting->mutex);
  waiting->done.wait(lock, [&] { return waiting->answer.has_value(); });
  return std::move(*waiting->answer);
}

Result<std::string> call_control(const Folder& folder, net::Method method, std::string_view path_and_query,
                                 std::string body) {
  BAVN_TRY(const ControlAddress control, folder.control());
  Threads runtime;
  net::EgressPolicy policy;
  policy.inside = {"127.0.0.1"};
  const auto client = net::curl_client(runtime, policy);
  net::ClientRequest request;
  request.method = method;
  request.url = control.url + std::string(path_and_query);
  request.body = std::move(body);
  request.headers.set("Authorization", "Bearer " + control.key);
  request.headers.set("If-Match", "*");  // whoever types a command means what is there now
  BAVN_TRY(net::ClientReply reply, call(runtime, *client, std::move(request)));
  if (reply.status >= 200 && reply.status < 300) return std::move(reply.body);
  const auto problem = net::JsonDocument::parse(reply.body);
  std::string what = problem ? std::string(problem->root()["detail"].text_or("")) : std::string();
  if (what.empty()) what = fmt::format("the answer was {}", reply.status);
  const Code code = reply.status == 404                          ? Code::not_found
                    : reply.status == 409                        ? Code::conflict
                    : reply.status == 403 || reply.status == 401 ? Code::forbidden
                    : reply.status == 400                        ? Code::bad_input
                                                                 : Code::unavailable;
  return fail(code, std::move(what));
}

}  // namespace bavn::app
