#include "store/sql/fault_vfs.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <random>

#include "base/result.hpp"

namespace bavn::store {

struct FaultVfs::Inner {
  explicit Inner(std::string n) : name(std::move(n)) {}
  std::string name;
  sqlite3_vfs vfs{};
  sqlite3_vfs* real = nullptr;
  mutable std::mutex mutex;
  std::uint64_t calls = 0, from = 0, times = 0, given = 0;
  Fault fault = Fault::io_error;

  bool remembering = false;
  std::map<std::string, std::string> durable;  // what a file held at its last sync

  std::string content(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void synced(const std::string& path) {
    const std::lock_guard lock(mutex);
    if (remembering && !path.empty()) durable[path] = content(path);
  }

  std::optional<Fault> step() {
    const std::lock_guard lock(mutex);
    ++calls;
    if (from == 0 || calls < from || calls >= from + times) return std::nullopt;
    ++given;
    return fault;
  }
};

namespace {

struct Wrapped {
  sqlite3_file base;
  FaultVfs::Inner* owner;
  const char* path;    // SQLite keeps it as long as the file is open
  sqlite3_file* real;  // behind this, in the same allocation
};

Wrapped& of(sqlite3_file* f) {
  return *reinterpret_cast<Wrapped*>(f);
}
sqlite3_file* real(sqlite3_file* f) {
  return of(f).real;
}
FaultVfs::Inner& owner(sqlite3_vfs* v) {
  return *static_cast<FaultVfs::Inner*>(v->pAppData);
}
int code(FaultVfs::Fault fault, int io) {
  return fault == FaultVfs::Fault::no_space ? SQLITE_FULL : io;
}

int file_write(sqlite3_file* f, const void* data, int n, sqlite3_int64 at) {
  if (const auto fault = of(f).owner->step()) {
    real(f)->pMethods->xWrite(real(f), data, n / 2, at);
    return code(*fault, SQLITE_IOERR_WRITE);
  }
  return real(f)->pMethods->xWrite(real(f), data, n, at);
}
int file_truncate(sqlite3_file* f, sqlite3_int64 size) {
  if (const auto fault = of(f).owner->step()) return code(*fault, SQLITE_IOERR_TRUNCATE);
  return real(f)->pMethods->xTruncate(real(f), size);
}
int file_sync(sqlite3_file* f, int) {
  if (const auto fault = of(f).owner->step()) return code(*fault, SQLITE_IOERR_FSYNC);
  if (of(f).path != nullptr) of(f).owner->synced(of(f).path);
  return SQLITE_OK;  // the machine's power stays on in tests, and a real sync takes milliseconds
}
int file_close(sqlite3_file* f) {
  return real(f)->pMethods->xClose(real(f));
}
int file_read(sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
  return real(f)->pMethods->xRead(real(f), to, n, at);
}
int file_size(sqlite3_file* f, sqlite3_int64* size) {
  return real(f)->pMethods->xFileSize(real(f), size);
}
int file_lock(sqlite3_file* f, int level) {
  return real(f)->pMethods->xLock(real(f), level);
}
int file_unlock(sqlite3_file* f, int level) {
  return real(f)->pMethods->xUnlock(real(f), level);
}
int file_check_lock(sqlite3_file* f, int* out) {
  return real(f)->pMethods->xCheckReservedLock(real(f), out);
}
int file_control(sqlite3_file* f, int op, void* arg) {
  return real(f)->pMethods->xFileControl(real(f), op, arg);
}
int file_sector(sqlite3_file* f) {
  return real(f)->pMethods->xSectorSize(real(f));
}
int file_device(sqlite3_file* f) {
  return real(f)->pMethods->xDeviceCharacteristics(real(f));
}
int shm_map(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
  return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}
int shm_lock(sqlite3_file* f, int at, int n, int flags) {
  return real(f)->pMethods->xShmLock(real(f), at, n, flags);
}
void shm_barrier(sqlite3_file* f) {
  real(f)->pMethods->xShmBarrier(real(f));
}
int shm_unmap(sqlite3_file* f, int remove) {
  return real(f)->pMethods->xShmUnmap(real(f), remove);
}

// Version 2: without memory mapping, so that every byte comes by here.
const sqlite3_io_methods kMethods = {2,           file_close, file_read,   file_write,      file_truncate, file_sync,
                                     file_size,   file_lock,  file_unlock, file_check_lock, file_control,  file_sector,
                                     file_device, shm_map,    shm_lock,    shm_barrier,     shm_unmap,     nullptr,
                                     nullptr};

int vfs_open(sqlite3_vfs* v, const char* path, sqlite3_file* f, int flags, int* out) {
  FaultVfs::Inner& o = owner(v);
  Wrapped& w = of(f);
  w.base.pMethods = nullptr;
  w.owner = &o;
  w.path = path;
  w.real = reinterpret_cast<sqlite3_file*>(&w + 1);
  int there = 1;
  if (path != nullptr && (flags & SQLITE_OPEN_CREATE) != 0) o.real->xAccess(o.real, path, SQLITE_ACCESS_EXISTS, &there);
  if (there == 0 && o.step()) return SQLITE_CANTOPEN;
  const int rc = o.real->xOpen(o.real, path, w.real, flags, out);
  if (w.real->pMethods != nullptr) w.base.pMethods = &kMethods;
  return rc;
}
int vfs_delete(sqlite3_vfs* v, const char* path, int sync) {
  if (const auto fault = owner(v).step()) return code(*fault, SQLITE_IOERR_DELETE);
  return owner(v).real->xDelete(owner(v).real, path, sync);
}
int vfs_access(sqlite3_vfs* v, const char* path, int flags, int* out) {
  return owner(v).real->xAccess(owner(v).real, path, flags, out);
}
int vfs_full_path(sqlite3_vfs* v, const char* path, int n, char* out) {
  return owner(v).real->xFullPathname(owner(v).real, path, n, out);
}
int vfs_random(sqlite3_vfs* v, int n, char* out) {
  return owner(v).real->xRandomness(owner(v).real, n, out);
}
int vfs_sleep(sqlite3_vfs* v, int us) {
  return owner(v).real->xSleep(owner(v).real, us);
}
int vfs_time(sqlite3_vfs* v, double* out) {
  return owner(v).real->xCurrentTime(owner(v).real, out);
}
int vfs_last_error(sqlite3_vfs* v, int n, char* out) {
  return owner(v).real->xGetLastError(owner(v).real, n, out);
}

}  // namespace

FaultVfs::FaultVfs(std::string name) : inner_(std::make_unique<Inner>(std::move(name))) {
  Inner& i = *inner_;
  i.real = sqlite3_vfs_find(nullptr);
  BAVN_ASSERT(i.real != nullptr && sqlite3_vfs_find(i.name.c_str()) == nullptr);
  i.vfs.iVersion = 1;
  i.vfs.szOsFile = static_cast<int>(sizeof(Wrapped)) + i.real->szOsFile;
  i.vfs.mxPathname = i.real->mxPathname;
  i.vfs.zName = i.name.c_str();
  i.vfs.pAppData = &i;
  i.vfs.xOpen = vfs_open;
  i.vfs.xDelete = vfs_delete;
  i.vfs.xAccess = vfs_access;
  i.vfs.xFullPathname = vfs_full_path;
  i.vfs.xRandomness = vfs_random;
  i.vfs.xSleep = vfs_sleep;
  i.vfs.xCurrentTime = vfs_time;
  i.vfs.xGetLastError = vfs_last_error;
  BAVN_ASSERT(sqlite3_vfs_register(&i.vfs, 0) == SQLITE_OK);
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&inner_->vfs);
}

void FaultVfs::fail_at(std::uint64_t n, Fault fault, std::uint64_t times) {
  const std::lock_guard lock(inner_->mutex);
  inner_->from = n == 0 ? 0 : inner_->calls + n;
  inner_->times = times;
  inner_->fault = fault;
  inner_->given = 0;
}

void FaultVfs::remember_durable() {
  const std::lock_guard lock(inner_->mutex);
  inner_->remembering = true;
}

void FaultVfs::cut_power(std::uint64_t seed) {
  constexpr std::size_t kSector = 512;
  const std::lock_guard lock(inner_->mutex);
  std::mt19937_64 dice(seed);
  for (const auto& [path, old] : inner_->durable) {
    std::error_code ec;
    if (path.ends_with("-shm") || !std::filesystem::exists(path, ec)) continue;
    const std::string now = inner_->content(path);
    std::string left((dice() & 1U) != 0 ? now.size() : old.size(), '\0');
    for (std::size_t at = 0; at < left.size(); at += kSector) {
      const std::string& from = (dice() & 1U) != 0 ? now : old;
      if (at < from.size()) from.copy(left.data() + at, std::min(kSector, left.size() - at), at);
    }
    std::ofstream(path, std::ios::binary | std::ios::trunc) << left;
    std::filesystem::remove(path.substr(0, path.rfind("-wal")) + "-shm", ec);
  }
  inner_->durable.clear();
}

std::uint64_t FaultVfs::writing_calls() const {
  const std::lock_guard lock(inner_->mutex);
  return inner_->calls;
}

std::uint64_t FaultVfs::faults_given() const {
  const std::lock_guard lock(inner_->mutex);
  return inner_->given;
}

const std::string& FaultVfs::name() const {
  return inner_->name;
}

}  // namespace bavn::store
