#include "base/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace bavn {

namespace {

std::unexpected<Error> system_error(const char* doing, const std::string& path, int code) {
  return fail(code == ENOENT                    ? Code::not_found
              : code == EACCES || code == EPERM ? Code::forbidden
                                                : Code::unavailable,
              std::string(doing) + ": " + std::generic_category().message(code), path);
}

FileStat stat_of(const struct stat& st) {
  return {st.st_dev,
          st.st_ino,
          static_cast<std::uint64_t>(st.st_size),
          st.st_mtim.tv_sec * 1'000'000 + st.st_mtim.tv_nsec / 1000,
          S_ISDIR(st.st_mode),
          S_ISREG(st.st_mode)};
}

class DiskFile final : public File {
 public:
  DiskFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~DiskFile() override { ::close(fd_); }

  Result<void> pwrite(std::uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return system_error("cannot write", path_, errno);
      bytes.remove_prefix(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return {};
  }

  Result<std::size_t> pread(std::uint64_t offset, std::span<char> into) const override {
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t n = ::pread(fd_, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return system_error("cannot read", path_, errno);
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  Result<void> sync() override {
    if (::fdatasync(fd_) != 0) return system_error("cannot make durable", path_, errno);
    return {};
  }

  Result<void> truncate(std::uint64_t size) override {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return system_error("cannot cut", path_, errno);
    return {};
  }

  Result<std::uint64_t> size() const override {
    struct stat st{};
    if (::fstat(fd_, &st) != 0) return system_error("cannot read the size of", path_, errno);
    return static_cast<std::uint64_t>(st.st_size);
  }

  Result<FileStat> stat() const override {
    struct stat st{};
    if (::fstat(fd_, &st) != 0) return system_error("cannot look at", path_, errno);
    return stat_of(st);
  }

 private:
  int fd_;
  std::string path_;
};

}  // namespace

Result<std::unique_ptr<File>> DiskFiles::open(const std::string& path, OpenMode mode) {
  const int flags = mode == OpenMode::read ? O_RDONLY : mode == OpenMode::write ? O_RDWR : O_RDWR | O_CREAT;
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, 0600);  // a pipe of that name does not hang us
  if (fd < 0) return system_error("cannot open", path, errno);
  return std::make_unique<DiskFile>(fd, path);
}

Result<void> DiskFiles::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return system_error("cannot rename", from, errno);
  return {};
}

Result<void> DiskFiles::unlink(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return system_error("cannot remove", path, errno);
  return {};
}

Result<void> DiskFiles::sync_dir(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error("cannot open folder", path, errno);
  const int failed = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  if (failed != 0) return system_error("cannot make durable", path, failed);
  return {};
}

Result<void> DiskFiles::make_dirs(const std::string& path) {
  for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (!part.empty() && ::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST)
      return system_error("cannot make folder", part, errno);
    if (at == std::string::npos) return {};
  }
}

Result<std::vector<std::string>> DiskFiles::list(const std::string& path) {
  DIR* dir = ::opendir(path.c_str());
  if (dir == nullptr) return system_error("cannot list folder", path, errno);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::shared_ptr<const Mapping>> DiskFiles::map(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error("cannot open", path, errno);
  struct stat st{};
  if (::fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    const int code = S_ISREG(st.st_mode) ? errno : EISDIR;
    ::close(fd);
    return system_error("cannot map", path, code);
  }
  const auto size = static_cast<std::size_t>(st.st_size);
  void* at = size == 0 ? nullptr : ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  const int code = errno;
  ::close(fd);
  if (at == MAP_FAILED) return system_error("cannot map", path, code);
  return std::make_shared<const Mapping>(static_cast<const char*>(at), size, [at, size] {
    if (at != nullptr) ::munmap(at, size);
  });
}

bool DiskFiles::exists(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0;
}

Result<FileStat> DiskFiles::stat(const std::string& path) {
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return system_error("cannot look at", path, errno);
  return stat_of(st);
}

std::string parent_of(const std::string& path) {
  const auto at = path.rfind('/');
  if (at == std::string::npos) return ".";
  return at == 0 ? "/" : path.substr(0, at);
}

Result<std::string> read_file(Files& files, const std::string& path, std::uint64_t limit) {
  BAVN_TRY(auto file, files.open(path, OpenMode::read));
  BAVN_TRY(const std::uint64_t size, file->size());
  if (size > limit) return fail(Code::bad_input, "the file is larger than " + std::to_string(limit) + " bytes", path);
  std::string content(size, '\0');
  BAVN_TRY(const std::size_t got, file->pread(0, content));
  content.resize(got);
  return content;
}

Result<void> replace_file(Files& files, const std::string& path, std::string_view content) {
  const std::string fresh = path + ".new";
  {
    BAVN_TRY(auto file, files.open(fresh, OpenMode::create));
    BAVN_CHECK(file->truncate(0));
    BAVN_CHECK(file->pwrite(0, content));
    BAVN_CHECK(file->sync());
  }
  BAVN_CHECK(files.rename(fresh, path));
  return files.sync_dir(parent_of(path));
}

}  // namespace bavn
