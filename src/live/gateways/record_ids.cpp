#include "live/gateways/record_ids.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <set>
#include <unordered_set>

#include "base/digest.hpp"
#include "base/hash.hpp"
#include "base/log.hpp"

namespace bavn::live {

namespace {

constexpr std::string_view kMagic = "BVRECID1";
constexpr std::int64_t kDay = 24LL * 3600 * 1'000'000;
constexpr std::int64_t kClockSlack = 60'000'000;            // a clock that was set meanwhile
constexpr Duration kBlockEvery = std::chrono::seconds(30);  // so much is read again from history after a crash
constexpr std::size_t kBlockIds = 8192;                     // or so many
constexpr std::size_t kEntryBytes = 24, kBlockHead = 4 + 8 + 8;

struct IdHash {
  std::size_t operator()(const std::array<std::uint64_t, 2>& id) const { return id[0]; }
};

/// Open addressing, never above seven eighths full.
class Table {
 public:
  const RecordKey* find(const std::array<std::uint64_t, 2>& id) const {
    if (slots_.empty()) return nullptr;
    for (std::size_t at = id[0] & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      if (!slots_[at].named()) return nullptr;
      if (slots_[at].id == id) return &slots_[at];
    }
  }
  void put(const RecordKey& key) {
    if ((used_ + 1) * 8 > slots_.size() * 7) grow();
    for (std::size_t at = key.id[0] & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      if (!slots_[at].named()) ++used_;
      else if (slots_[at].id != key.id) continue;
      slots_[at] = key;
      return;
    }
  }
  std::size_t size() const { return used_; }

 private:
  void grow() {
    std::vector<RecordKey> old(slots_.empty() ? 1024 : slots_.size() * 2);
    old.swap(slots_);
    used_ = 0;
    for (const RecordKey& k : old)
      if (k.named()) put(k);
  }
  std::vector<RecordKey> slots_;
  std::size_t used_ = 0;
};

void append_number(std::string& to, std::uint64_t n, std::size_t bytes) {
  to.append(reinterpret_cast<const char*>(&n), bytes);  // little-endian machines only, as all of the journal
}

std::uint64_t number_at(std::string_view from, std::size_t at, std::size_t bytes) {
  std::uint64_t n = 0;
  std::memcpy(&n, from.data() + at, bytes);
  return n;
}

/// The document without its closing brace.
std::string_view head_of(std::string_view document) {
  std::string_view head = document.substr(0, document.rfind('}'));
  while (!head.empty() && (head.back() == ' ' || head.back() == '\t' || head.back() == '\r')) head.remove_suffix(1);
  return head;
}

}  // namespace

RecordKeys::RecordKeys(std::string_view source, MunicipalityId municipality, TenantId tenant)
    : source_(std::string(source) + '\0' + std::to_string(municipality.value) + '/' + std::to_string(tenant.value)) {}

RecordKey RecordKeys::of(std::string_view index, std::string_view id, std::string_view document) const {
  RecordKey key;
  if (id.empty()) return key;
  std::string text;
  text.reserve(source_.size() + index.size() + id.size() + 2);
  text.append(source_).append(1, '\0').append(index).append(1, '\0').append(id);
  const std::string digest = blake2b256(text);  // two ids of one hash would lose a record
  std::memcpy(key.id.data(), digest.data(), sizeof key.id);
  if (!key.named()) key.id[0] = 1;
  key.content = hash64(head_of(document));
  return key;
}

RecordKey RecordKeys::of_line(std::string_view line) const {
  // What append_named_line wrote: a quote inside an id is escaped, so the last of these begins ours.
  constexpr std::string_view id_name = R"("_id":)", index_name = R"("_index":)";
  if (!line.ends_with("\"}")) return {};
  const std::size_t at = line.rfind(id_name);
  if (at == std::string_view::npos || at == 0 || at + id_name.size() + 3 > line.size() ||
      line[at + id_name.size()] != '"')
    return {};
  const std::string_view id = line.substr(at + id_name.size(), line.size() - 1 - at - id_name.size());
  for (std::size_t i = 1; i + 1 < id.size(); ++i) {
    if (id[i] == '\\') ++i;
    else if (id[i] == '"') return {};  // something else ends the line
  }
  std::string_view document = line.substr(0, at - 1), index;
  if (document.ends_with('"')) {
    const std::size_t from = document.rfind(index_name);
    if (from != std::string_view::npos && from != 0 && from + index_name.size() + 2 <= document.size() &&
        document[from + index_name.size()] == '"') {
      const std::string_view text = document.substr(from + index_name.size());
      bool whole = true;
      for (std::size_t i = 1; i + 1 < text.size() && whole; ++i) {
        if (text[i] == '\\') ++i;
        else whole = text[i] != '"';
      }
      if (whole) {
        index = text;
        document = document.substr(0, from - 1);
      }
    }
  }
  if (document.empty() && line[0] == '{') document = "{";  // all that the record had was its name
  std::string closed(document);
  closed += '}';
  return of(index, id, closed);
}

void append_named_line(std::string& out, std::string_view document, std::string_view index, std::string_view id) {
  if (index.empty() && id.empty()) {
    out += document;
    return;
  }
  const std::string_view head = head_of(document);
  out += head;
  bool more = head != "{";
  const auto member = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    if (more) out += ',';
    more = true;
    out.append(1, '"').append(name).append("\":").append(value);
  };
  member("_index", index);
  member("_id", id);
  out += '}';
}

struct RecordIds::Inner : std::enable_shared_from_this<RecordIds::Inner> {
  Inner(Runtime& r, Options o) : runtime(r), options(std::move(o)) {}

  std::string path(std::size_t n) const { return options.folder + "/record_ids." + std::to_string(n); }
  std::int64_t now() const { return micros(runtime.now()); }

  /// The newer of the two files is the one that is written to.
  struct Generation {
    Table table;
    std::unique_ptr<File> file;
    std::uint64_t end = 0;
    std::int64_t born_us = 0, block_us = 0;
  };
  Result<void> load(std::size_t n);
  Result<void> begin(std::size_t n);
  Result<void> rescan(const history::History& history, std::int64_t since_us);
  Result<void> write_block();
  void stored(const RecordKey& key);
  void turn();
  void tick();

  const RecordKey* find(const std::array<std::uint64_t, 2>& id) const {
    const RecordKey* k = generations[current].table.find(id);
    return k != nullptr ? k : generations[1 - current].table.find(id);
  }

  Runtime& runtime;
  const Options options;
  QueueId queue{};
  mutable std::mutex mutex;  // of all below
  Generation generations[2];
  std::size_t current = 0;
  std::unordered_set<std::array<std::uint64_t, 2>, IdHash> under_way;
  std::multiset<std::int64_t> claims;  // since when
  std::vector<RecordKey> fresh;        // not in the file yet
  std::uint64_t read_again = 0;
  bool failing = false, closed = false;
};

Result<void> RecordIds::Inner::load(std::size_t n) {
  Generation& g = generations[n];
  if (!runtime.files().exists(path(n))) return {};
  const auto bytes = read_file(runtime.files(), path(n), 1ULL << 32U);
  if (!bytes) return std::unexpected(bytes.error());
  const std::string_view all = *bytes;
  if (!all.starts_with(kMagic) || all.size() < kMagic.size() + 8) {
    log::warn("record_ids_damaged", {{"file", path(n)}, {"reason", "it does not begin as one of ours; begun anew"}});
    return {};
  }
  g.born_us = g.block_us = static_cast<std::int64_t>(number_at(all, kMagic.size(), 8));
  std::size_t at = kMagic.size() + 8;
  while (all.size() - at >= kBlockHead) {
    const std::size_t count = number_at(all, at, 4);
    if ((all.size() - at - kBlockHead) / kEntryBytes < count) break;
    const std::string_view body = all.substr(at + 12 + 8, count * kEntryBytes);
    if (hash64(body, hash64(all.substr(at, 12))) != number_at(all, at + 12, 8)) break;
    g.block_us = static_cast<std::int64_t>(number_at(all, at + 4, 8));
    for (std::size_t i = 0; i < count; ++i)
      g.table.put({{number_at(body, i * kEntryBytes, 8), number_at(body, i * kEntryBytes + 8, 8)},
                   number_at(body, i * kEntryBytes + 16, 8)});
    at += kBlockHead + count * kEntryBytes;
  }
  g.end = at;  // what a crash cut is written over
  return {};
}

Result<void> RecordIds::Inner::begin(std::size_t n) {
  Generation& g = generations[n];
  g.born_us = g.block_us = now();
  std::string head(kMagic);
  append_number(head, static_cast<std::uint64_t>(g.born_us), 8);
  BAVN_TRY(g.file, runtime.files().open(path(n), OpenMode::create));
  BAVN_CHECK(g.file->truncate(0));
  BAVN_CHECK(g.file->pwrite(0, head));
  BAVN_CHECK(g.file->sync());
  g.end = head.size();
  return runtime.files().sync_dir(options.folder);
}

Result<void> RecordIds::Inner::rescan(const history::History& history, std::int64_t since_us) {
  const auto scope = event::Scope::local_owner();
  history::FrameText text;
  for (const history::SegmentInfo& s : history.segments(scope)) {
    if (s.packed || s.day < history::day_of(since_us)) continue;
    BAVN_TRY(const auto frames, history.frames(scope, s, {}));
    for (const history::FrameRef& f : frames) {
      if (f.info.received_us < since_us || !f.info.source.name.starts_with("http.")) continue;
      if (const auto ok = history.read(scope, f, text); !ok) {
        if (ok.error().code == Code::unavailable) return ok;
        continue;  // erased or damaged: `bavn doctor` says so
      }
      const RecordKeys keys(f.info.source.name, f.info.source.municipality, f.info.source.tenant);
      std::string_view lines = text.lines();
      while (!lines.empty()) {
        const std::size_t end = lines.find('\n');
        const RecordKey key = keys.of_line(lines.substr(0, end));
        lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
        if (!key.named()) continue;
        const RecordKey* known = find(key.id);
        if (known != nullptr && known->content == key.content) continue;
        stored(key);
        ++read_again;
      }
    }
  }
  return {};
}

void RecordIds::Inner::stored(const RecordKey& key) {
  generations[current].table.put(key);
  fresh.push_back(key);
}

/// One block: count, until when all stored ids are in the file, a sum, the ids.
Result<void> RecordIds::Inner::write_block() {
  Generation& g = generations[current];
  if (!g.file) BAVN_CHECK(begin(current));  // it could not be made before
  const std::int64_t until = std::min(now(), claims.empty() ? now() : *claims.begin());
  std::string block;
  append_number(block, fresh.size(), 4);
  append_number(block, static_cast<std::uint64_t>(until), 8);
  std::string body;
  body.reserve(fresh.size() * kEntryBytes);
  for (const RecordKey& k : fresh) {
    append_number(body, k.id[0], 8);
    append_number(body, k.id[1], 8);
    append_number(body, k.content, 8);
  }
  append_number(block, hash64(body, hash64(block)), 8);
  block += body;
  BAVN_CHECK(g.file->pwrite(g.end, block));
  g.end += block.size();
  g.block_us = until;
  fresh.clear();
  return {};
}

/// The older half goes when the newer is a day old, or full.
void RecordIds::Inner::turn() {
  const Generation& g = generations[current];
  const bool old = now() - g.born_us > kDay, full = g.table.size() >= std::max<std::size_t>(options.most / 2, 1);
  if (fresh.size() >= kBlockIds || old || full) {
    if (const auto ok = write_block(); !ok && !failing) {
      // Nothing is lost by it: what the file lacks is read from history at the next start.
      failing = true;
      log::warn("record_ids_not_written", {{"reason", to_string(ok.error())}});
    } else if (ok) {
      failing = false;
    }
  }
  if (fresh.size() > options.most) fresh.clear();
  if ((!old && !full) || failing) return;
  if (const auto ok = g.file->sync(); !ok) {  // the next start reads history from where the new file begins
    log::warn("record_ids_not_written", {{"reason", to_string(ok.error())}});
    return;
  }
  current = 1 - current;
  generations[current] = {};
  generations[current].born_us = now();
  if (const auto ok = begin(current); !ok) {
    failing = true;
    log::warn("record_ids_not_written", {{"reason", to_string(ok.error())}});
  }
}

void RecordIds::Inner::tick() {
  runtime.after(kBlockEvery, queue, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    const std::lock_guard lock(self->mutex);
    if (self->closed) return;
    if (const auto ok = self->write_block(); !ok) self->failing = true;
    self->turn();
    self->tick();
  });
}

Result<std::unique_ptr<RecordIds>> RecordIds::open(Runtime& runtime, const history::History& history, Options options) {
  auto inner = std::make_shared<Inner>(runtime, std::move(options));
  BAVN_CHECK(inner->load(0));
  BAVN_CHECK(inner->load(1));
  auto& g = inner->generations;
  inner->current = g[1].born_us > g[0].born_us ? 1 : 0;
  if (g[inner->current].born_us == 0) {
    BAVN_CHECK(inner->begin(inner->current));
  } else {
    BAVN_TRY(g[inner->current].file, runtime.files().open(inner->path(inner->current), OpenMode::write));
    BAVN_CHECK(inner->rescan(history, g[inner->current].block_us - kClockSlack));
    if (inner->read_again != 0) log::info("record_ids_read_again", {{"ids", inner->read_again}});
  }
  inner->queue = runtime.queue({.name = "record-ids", .threads = 1, .limit = 100});
  inner->tick();
  return std::unique_ptr<RecordIds>(new RecordIds(std::move(inner)));
}

RecordIds::RecordIds(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}

RecordIds::~RecordIds() {
  const std::lock_guard lock(inner_->mutex);
  (void)inner_->write_block();
  inner_->closed = true;
}

Result<void> RecordIds::flush() {
  const std::lock_guard lock(inner_->mutex);
  return inner_->write_block();
}

std::size_t RecordIds::size() const {
  const std::lock_guard lock(inner_->mutex);
  return inner_->generations[0].table.size() + inner_->generations[1].table.size();
}

std::uint64_t RecordIds::read_again() const {
  const std::lock_guard lock(inner_->mutex);
  return inner_->read_again;
}

Result<RecordIds::Asked> RecordIds::claim(std::span<const RecordKey> keys,
                                          const std::function<bool(std::size_t, Seen)>& wanted) {
  Asked out;
  out.seen.assign(keys.size(), Seen::no);
  std::vector<RecordKey> claimed;
  const std::lock_guard lock(inner_->mutex);
  for (const RecordKey& k : keys)
    if (k.named() && inner_->under_way.contains(k.id))
      return fail(Code::unavailable,
                  "records of these ids are being stored for another request; send it again in a second");
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!keys[i].named()) continue;
    if (const RecordKey* known = inner_->find(keys[i].id))
      out.seen[i] = known->content == keys[i].content ? Seen::same : Seen::other;
    if (wanted(i, out.seen[i])) claimed.push_back(keys[i]);
  }
  for (const RecordKey& k : claimed) inner_->under_way.insert(k.id);
  const std::int64_t since = inner_->now();
  if (!claimed.empty()) {
    inner_->claims.insert(since);
    out.claim = Claim(inner_, std::move(claimed), since);
  }
  return out;
}

RecordIds::Claim::Claim(std::shared_ptr<Inner> inner, std::vector<RecordKey> keys, std::int64_t since_us)
    : inner_(std::move(inner)), keys_(std::move(keys)), since_us_(since_us) {}
RecordIds::Claim::Claim(Claim&&) noexcept = default;
RecordIds::Claim& RecordIds::Claim::operator=(Claim&&) noexcept = default;

RecordIds::Claim::~Claim() {
  if (inner_) settle({});
}

void RecordIds::Claim::settle(const std::vector<bool>& stored) {
  const auto inner = std::exchange(inner_, nullptr);
  if (!inner) return;
  const std::lock_guard lock(inner->mutex);
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    inner->under_way.erase(keys_[i].id);
    if (i < stored.size() && stored[i]) inner->stored(keys_[i]);
  }
  if (const auto it = inner->claims.find(since_us_); it != inner->claims.end()) inner->claims.erase(it);
  if (!inner->closed) inner->turn();
}

}  // namespace bavn::live
