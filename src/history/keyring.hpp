#pragma once
// One AES-256 key per (received day, source), wrapped by the node's key. Deleting a key erases what it sealed. The folder must
// not be in the backup: a backup that holds the keys undoes every erasure.
// Thread rules: every call from any thread.
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

#include "base/aead.hpp"
#include "base/files.hpp"
#include "history/frame.hpp"

namespace bavn::history {

struct SourceKey {
  Key key;
  std::uint32_t id = 0;  // random: frames name it, so that a key made after an erasure is never tried on older frames
};

class Keyring {
 public:
  /// folder: `node.key` and `keyring`. A missing node.key is made when there is no keyring either.
  static Result<std::unique_ptr<Keyring>> open(Files& files, const std::string& folder);

  std::optional<Key> find(std::int32_t day, const Source& source, std::uint32_t id) const;
  /// Makes the key when there is none; it is durable before this returns.
  Result<SourceKey> find_or_make(std::int32_t day, const Source& source);
  /// Deletes every key for which `which` says so, durably; the old file's bytes are overwritten. Returns how many.
  Result<std::size_t> erase(const std::function<bool(std::int32_t day, const Source& source)>& which);
  std::size_t size() const;

 private:
  using Name = std::pair<std::int32_t, Source>;
  Keyring(Files& files, std::string path) : files_(files), path_(std::move(path)) {}
  std::string record(const Name& name, const SourceKey& key) const;

  Files& files_;
  std::string path_;
  Key node_;
  mutable std::mutex mutex_;
  std::map<Name, SourceKey> keys_;
  std::unique_ptr<File> file_;
  std::uint64_t end_ = 0;
};

}  // namespace bavn::history
