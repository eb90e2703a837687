#include "app/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

extern char** environ;

namespace bavn::app {

void tell_systemd(std::string_view state) {
  const char* where = std::getenv("NOTIFY_SOCKET");
  if (where == nullptr || (where[0] != '/' && where[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(where);
  if (length >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, where, length);
  if (where[0] == '@') address.sun_path[0] = '\0';  // an abstract socket
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
         static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
  close(fd);
}

Result<void> become(const std::string& user) {
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) return fail(Code::not_found, "there is no such user on this machine", user);
  if (geteuid() == entry->pw_uid) return {};
  if (initgroups(user.c_str(), entry->pw_gid) != 0 || setgid(entry->pw_gid) != 0 || setuid(entry->pw_uid) != 0)
    return fail(Code::forbidden, fmt::format("cannot become this user: {}", std::strerror(errno)), user);
  if (setuid(0) == 0) return fail(Code::forbidden, "root could be taken back after giving it up", user);
  return {};
}

Result<void> make_guest_user(const std::string& user, const std::string& folder) {
  if (getpwnam(user.c_str()) == nullptr) {
    std::array<const char*, 8> words{"useradd",    "--system", "--no-create-home", "--shell", "/usr/sbin/nologin",
                                     user.c_str(), nullptr};
    pid_t pid = 0;
    int status = 0;
    if (posix_spawnp(&pid, "useradd", nullptr, nullptr, const_cast<char* const*>(words.data()), environ) != 0 ||
        waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
      return fail(Code::unavailable, "useradd could not make the user", user);
  }
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) return fail(Code::unavailable, "useradd said yes, but there is no such user", user);
  std::error_code ec;
  const auto give = [&](const std::filesystem::path& p) {
    return lchown(p.c_str(), entry->pw_uid, entry->pw_gid) == 0;
  };
  bool all = give(folder);
  for (const auto& e : std::filesystem::recursive_directory_iterator(folder, ec)) all = give(e.path()) && all;
  if (ec || !all) return fail(Code::unavailable, fmt::format("cannot give the folder to {}", user), folder);
  return {};
}

std::string program_path() {
  std::error_code ec;
  std::string path = std::filesystem::read_symlink("/proc/self/exe", ec).string();
  // After the file was replaced the link says "... (deleted)": the new one lies at the same place, which is what an upgrade wants.
  constexpr std::string_view kGone = " (deleted)";
  if (path.ends_with(kGone)) path.resize(path.size() - kGone.size());
  return path;
}

}  // namespace bavn::app
