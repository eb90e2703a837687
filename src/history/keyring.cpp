#include "history/keyring.hpp"

#include "base/bytes.hpp"
#include "base/hash.hpp"

namespace bavn::history {

namespace {
constexpr std::uint64_t kMaxKeyring = 1U << 30U;

std::string name_bytes(std::int32_t day, const Source& s, std::uint32_t id) {
  std::string out;
  ByteWriter w(out);
  w.fixed(day);
  w.fixed(id);
  w.fixed(s.municipality.value);
  w.fixed(s.tenant.value);
  w.text(s.name);
  return out;
}
}  // namespace

// Record: text(name), text(wrapped), xxh3 of both. The name is the associated data of the wrapping.
std::string Keyring::record(const Name& name, const SourceKey& key) const {
  const std::string n = name_bytes(name.first, name.second, key.id);
  std::string wrapped;
  seal(wrapped, node_, n, key.key.reveal());
  std::string out;
  ByteWriter w(out);
  w.text(n);
  w.text(wrapped);
  w.fixed(hash64(out));
  return out;
}

Result<std::unique_ptr<Keyring>> Keyring::open(Files& files, const std::string& folder) {
  BAVN_CHECK(files.make_dirs(folder));
  const std::string node_path = folder + "/node.key", ring_path = folder + "/keyring";
  std::unique_ptr<Keyring> ring(new Keyring(files, ring_path));
  if (!files.exists(node_path)) {
    if (files.exists(ring_path))
      return fail(Code::corrupt, "the node's key is missing but the keyring is there: put node.key back", node_path);
    ring->node_ = Key::random();
    BAVN_CHECK(replace_file(files, node_path, ring->node_.reveal()));
  } else {
    BAVN_TRY(const std::string bytes, read_file(files, node_path, 1024));
    if (bytes.size() != Key::kSize) return fail(Code::corrupt, "the node's key is not 32 bytes", node_path);
    ring->node_ = Key(std::span<const char, Key::kSize>(bytes.data(), Key::kSize));
  }
  BAVN_TRY(ring->file_, files.open(ring_path, OpenMode::create));
  BAVN_CHECK(files.sync_dir(folder));
  BAVN_TRY(const std::string content, read_file(files, ring_path, kMaxKeyring));
  ByteReader r(content);
  while (r.left() > 0) {
    const std::size_t begin = content.size() - r.left();
    const std::string_view name = r.text(), wrapped = r.text();
    const std::size_t body = content.size() - r.left() - begin;
    const auto sum = r.fixed<std::uint64_t>();
    // A cut or half-written last record: its key was never used, for a key is durable before its first frame.
    if (r.bad() || sum != hash64(std::string_view(content).substr(begin, body))) break;
    auto key = unseal(ring->node_, name, wrapped);
    if (!key || key->size() != Key::kSize)
      return fail(Code::corrupt, "the keyring was not made with this node's key", ring_path);
    ByteReader n(name);
    Source s;
    const auto day = n.fixed<std::int32_t>();
    const auto id = n.fixed<std::uint32_t>();
    s.municipality.value = n.fixed<std::uint16_t>();
    s.tenant.value = n.fixed<std::uint16_t>();
    s.name = n.text();
    ring->keys_.insert_or_assign({day, s},
                                 SourceKey{Key(std::span<const char, Key::kSize>(key->data(), Key::kSize)), id});
    ring->end_ = content.size() - r.left();
  }
  return ring;
}

std::optional<Key> Keyring::find(std::int32_t day, const Source& source, std::uint32_t id) const {
  const std::lock_guard lock(mutex_);
  const auto it = keys_.find({day, source});
  return it == keys_.end() || it->second.id != id ? std::nullopt : std::optional(it->second.key);
}

Result<SourceKey> Keyring::find_or_make(std::int32_t day, const Source& source) {
  const std::lock_guard lock(mutex_);
  const Name name{day, source};
  if (const auto it = keys_.find(name); it != keys_.end()) return it->second;
  SourceKey key{Key::random(), 0};
  random_bytes({reinterpret_cast<char*>(&key.id), sizeof key.id});
  const std::string bytes = record(name, key);
  BAVN_CHECK(file_->pwrite(end_, bytes));
  if (auto ok = file_->sync(); !ok) {
    // Nothing is known about this file any more: write it anew from what we hold.
    std::string all;
    for (const auto& [n, k] : keys_) all += record(n, k);
    if (replace_file(files_, path_, all)) {
      if (auto file = files_.open(path_, OpenMode::write)) {
        file_ = std::move(*file);
        end_ = all.size();
      }
    }
    return std::unexpected(ok.error());
  }
  end_ += bytes.size();
  keys_.emplace(name, key);
  return key;
}

Result<std::size_t> Keyring::erase(const std::function<bool(std::int32_t, const Source&)>& which) {
  const std::lock_guard lock(mutex_);
  std::map<Name, SourceKey> left;
  for (const auto& [name, key] : keys_)
    if (!which(name.first, name.second)) left.emplace(name, key);
  const std::size_t gone = keys_.size() - left.size();
  if (gone == 0) return gone;
  std::string all;
  for (const auto& [name, key] : left) all += record(name, key);
  BAVN_CHECK(replace_file(files_, path_, all));
  // The old file has no name any more; its blocks still hold wrapped keys until they are overwritten.
  BAVN_CHECK(file_->pwrite(0, std::string(end_, '\0')));
  BAVN_CHECK(file_->sync());
  BAVN_TRY(file_, files_.open(path_, OpenMode::write));
  end_ = all.size();
  keys_ = std::move(left);
  return gone;
}

std::size_t Keyring::size() const {
  const std::lock_guard lock(mutex_);
  return keys_.size();
}

}  // namespace bavn::history
