#include "base/sim_files.hpp"

#include <algorithm>
#include <cstring>

#include "base/hash.hpp"

namespace bavn {

namespace {
constexpr std::size_t kSector = 512;
}

struct SimFiles::Node {
  struct Write {
    std::uint64_t offset;
    std::string bytes;  // of a truncation: empty
    bool truncation = false;
  };
  std::string now;      // what a reader sees
  std::string durable;  // what a power cut leaves at least
  std::uint64_t inode = 0;
  std::int64_t modified_us = 0;
  std::vector<Write> unsynced;

  static void apply(std::string& to, const Write& w) {
    if (w.truncation) {
      to.resize(w.offset, '\0');
      return;
    }
    if (to.size() < w.offset + w.bytes.size()) to.resize(w.offset + w.bytes.size(), '\0');
    std::memcpy(to.data() + w.offset, w.bytes.data(), w.bytes.size());
  }
  void write(Write w) {
    apply(now, w);
    unsynced.push_back(std::move(w));
  }
};

class SimFile final : public File {
 public:
  SimFile(SimFiles& files, std::shared_ptr<SimFiles::Node> node, std::string path, bool writable)
      : files_(files), node_(std::move(node)), path_(std::move(path)), writable_(writable), life_(files.life_) {}

  Result<void> pwrite(std::uint64_t offset, std::string_view bytes) override {
    const std::lock_guard lock(files_.mutex_);
    BAVN_CHECK(alive());
    if (!writable_) return fail(Code::unavailable, "cannot write: Bad file descriptor", path_);
    if (auto ok = files_.step("cannot write", path_); !ok) {
      node_->write({offset, std::string(bytes.substr(0, files_.random_() % (bytes.size() + 1))), false});
      return ok;
    }
    node_->write({offset, std::string(bytes), false});
    node_->modified_us = files_.now_us_;
    return {};
  }

  Result<std::size_t> pread(std::uint64_t offset, std::span<char> into) const override {
    const std::lock_guard lock(files_.mutex_);
    BAVN_CHECK(alive());
    if (offset >= node_->now.size()) return std::size_t{0};
    const std::size_t n = std::min<std::size_t>(into.size(), node_->now.size() - offset);
    std::memcpy(into.data(), node_->now.data() + offset, n);
    return n;
  }

  Result<void> sync() override {
    const std::lock_guard lock(files_.mutex_);
    BAVN_CHECK(alive());
    // As on Linux: after a failed sync the pages count as clean although they were not written.
    if (auto ok = files_.step("cannot make durable", path_); !ok) {
      node_->unsynced.clear();
      return ok;
    }
    for (const auto& w : node_->unsynced) SimFiles::Node::apply(node_->durable, w);
    node_->unsynced.clear();
    return {};
  }

  Result<void> truncate(std::uint64_t size) override {
    const std::lock_guard lock(files_.mutex_);
    BAVN_CHECK(alive());
    BAVN_CHECK(files_.step("cannot cut", path_));
    node_->write({size, {}, true});
    node_->modified_us = files_.now_us_;
    return {};
  }

  Result<std::uint64_t> size() const override {
    const std::lock_guard lock(files_.mutex_);
    BAVN_CHECK(alive());
    return node_->now.size();
  }

  Result<FileStat> stat() const override {
    const std::lock_guard lock(files_.mutex_);
    BAVN_CHECK(alive());
    return FileStat{1, node_->inode, node_->now.size(), node_->modified_us, false, true};
  }

 private:
  Result<void> alive() const {
    if (life_ != files_.life_) return fail(Code::unavailable, "the power was cut", path_);
    return {};
  }
  SimFiles& files_;
  std::shared_ptr<SimFiles::Node> node_;
  std::string path_;
  bool writable_;
  std::uint64_t life_;
};

SimFiles::SimFiles(std::uint64_t seed) : random_(seed) {}
SimFiles::~SimFiles() = default;

void SimFiles::fail_at(std::uint64_t n, Fault fault, std::uint64_t times) {
  const std::lock_guard lock(mutex_);
  fail_from_ = n == 0 ? 0 : calls_ + n;
  fail_times_ = times;
  fault_ = fault;
}

std::uint64_t SimFiles::writing_calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

std::uint64_t SimFiles::faults_given() const {
  const std::lock_guard lock(mutex_);
  return given_;
}

Result<void> SimFiles::step(const char* doing, const std::string& path) {
  ++calls_;
  if (fail_from_ == 0 || calls_ < fail_from_ || calls_ >= fail_from_ + fail_times_) return {};
  ++given_;
  return fail(Code::unavailable,
              std::string(doing) + (fault_ == Fault::no_space ? ": No space left on device" : ": Input/output error"),
              path);
}

void SimFiles::cut_power() {
  const std::lock_guard lock(mutex_);
  ++life_;
  const std::size_t kept = pending_.empty() ? 0 : random_() % (pending_.size() + 1);
  for (std::size_t i = 0; i < kept; ++i) {
    if (pending_[i].node) durable_names_[pending_[i].path] = pending_[i].node;
    else durable_names_.erase(pending_[i].path);
    if (!pending_[i].gone.empty()) durable_names_.erase(pending_[i].gone);
  }
  pending_.clear();
  names_ = durable_names_;
  for (auto& [path, node] : names_) {
    std::string state = node->durable;
    for (const auto& w : node->unsynced) {
      if (w.truncation) {
        if (random_() % 2 == 0) Node::apply(state, w);
        continue;
      }
      for (std::size_t at = 0; at < w.bytes.size();) {
        const std::size_t n = std::min(kSector - (w.offset + at) % kSector, w.bytes.size() - at);
        if (random_() % 2 == 0) Node::apply(state, {w.offset + at, w.bytes.substr(at, n), false});
        at += n;
      }
    }
    node->unsynced.clear();
    node->durable = node->now = state;
  }
}

void SimFiles::flip_bit(const std::string& path, std::uint64_t byte, unsigned bit) {
  const std::lock_guard lock(mutex_);
  auto it = names_.find(path);
  BAVN_ASSERT(it != names_.end() && byte < it->second->now.size());
  it->second->now[byte] = static_cast<char>(it->second->now[byte] ^ (1 << bit));
  it->second->durable = it->second->now;
}

Result<std::unique_ptr<File>> SimFiles::open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  if (denied_.contains(path)) return fail(Code::forbidden, "cannot open: Permission denied", path);
  auto it = names_.find(path);
  if (it == names_.end()) {
    if (mode != OpenMode::create) return fail(Code::not_found, "cannot open: No such file or directory", path);
    BAVN_CHECK(step("cannot open", path));
    it = names_.emplace(path, std::make_shared<Node>()).first;
    it->second->inode = ++last_inode_;
    it->second->modified_us = now_us_;
    pending_.push_back({parent_of(path), path, it->second, {}});
  }
  return std::make_unique<SimFile>(*this, it->second, path, mode != OpenMode::read);
}

Result<void> SimFiles::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  BAVN_CHECK(step("cannot rename", from));
  auto it = names_.find(from);
  if (it == names_.end()) return fail(Code::not_found, "cannot rename: No such file or directory", from);
  auto node = it->second;
  names_.erase(it);
  names_[to] = node;
  pending_.push_back({parent_of(to), to, node, from});
  return {};
}

Result<void> SimFiles::unlink(const std::string& path) {
  const std::lock_guard lock(mutex_);
  BAVN_CHECK(step("cannot remove", path));
  if (names_.erase(path) == 0) return fail(Code::not_found, "cannot remove: No such file or directory", path);
  pending_.push_back({parent_of(path), path, nullptr, {}});
  return {};
}

Result<void> SimFiles::sync_dir(const std::string& path) {
  const std::lock_guard lock(mutex_);
  BAVN_CHECK(step("cannot make durable", path));
  for (auto it = pending_.begin(); it != pending_.end();) {
    if (it->folder != path) {
      ++it;
      continue;
    }
    if (it->node) durable_names_[it->path] = it->node;
    else durable_names_.erase(it->path);
    if (!it->gone.empty()) durable_names_.erase(it->gone);
    it = pending_.erase(it);
  }
  return {};
}

Result<void> SimFiles::make_dirs(const std::string&) {
  return {};
}

Result<std::vector<std::string>> SimFiles::list(const std::string& path) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> found;
  for (const auto& [name, node] : names_)
    if (parent_of(name) == path) found.push_back(name.substr(path.size() + 1));
  return found;
}

Result<std::shared_ptr<const Mapping>> SimFiles::map(const std::string& path) {
  const std::lock_guard lock(mutex_);
  auto it = names_.find(path);
  if (it == names_.end()) return fail(Code::not_found, "cannot map: No such file or directory", path);
  auto copy = std::make_shared<const std::string>(it->second->now);
  return std::make_shared<const Mapping>(copy->data(), copy->size(), [copy] {});
}

Result<FileStat> SimFiles::stat(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (auto it = names_.find(path); it != names_.end())
    return FileStat{1, it->second->inode, it->second->now.size(), it->second->modified_us, false, true};
  const std::string inside = path + "/";  // folders are where names have been made
  if (auto it = names_.lower_bound(inside); it != names_.end() && it->first.starts_with(inside))
    return FileStat{1, hash64(path), 0, 0, true, false};
  return fail(Code::not_found, "cannot look at: No such file or directory", path);
}

void SimFiles::set_now(std::int64_t us) {
  const std::lock_guard lock(mutex_);
  now_us_ = us;
}

void SimFiles::deny(const std::string& path, bool denied) {
  const std::lock_guard lock(mutex_);
  if (denied) denied_.insert(path);
  else denied_.erase(path);
}

bool SimFiles::exists(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (names_.contains(path)) return true;
  // A folder is there when something is in it.
  const auto below = names_.lower_bound(path + "/");
  return below != names_.end() && std::string_view(below->first).starts_with(path + "/");
}

}  // namespace bavn
