#include "history/history.hpp"

#include <algorithm>
#include <filesystem>

#include "base/log.hpp"
#include "history/inner.hpp"

namespace bavn::history {

namespace {

constexpr std::int64_t kDayMicros = 24LL * 3600 * 1'000'000;
constexpr std::size_t kSmallFrame =
    64U << 10U;  // below, a dictionary pays (measured: 2 x at 1 KiB, nothing at 256 KiB)
constexpr std::size_t kSampleBytes = 128U << 10U;
constexpr std::size_t kDictionaryBytes = 16U << 10U;
constexpr std::size_t kMaxContext = 4U << 20U;
constexpr std::size_t kSpares = 2;

std::optional<std::uint32_t> number_in(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  std::uint64_t n = 0;
  for (const char c : name) {
    if (c < '0' || c > '9') return std::nullopt;
    n = n * 10 + static_cast<std::uint64_t>(c - '0');
    if (n > 0xFFFFFFFEU) return std::nullopt;
  }
  return name.empty() ? std::nullopt : std::optional(static_cast<std::uint32_t>(n));
}

}  // namespace

std::int32_t day_of(std::int64_t us) {
  return static_cast<std::int32_t>(us >= 0 ? us / kDayMicros : -((-us + kDayMicros - 1) / kDayMicros));
}

Options Options::guest(Extract extract) {
  Options o;
  o.extract = std::move(extract);
  o.segment_bytes = 32U << 20U;
  o.index_bytes = 8U << 20U;
  o.cache_bytes = 8U << 20U;
  return o;
}

Result<void> need(const event::Scope& scope, event::Right right, const char* doing) {
  if (scope.may(right)) return {};
  return fail(Code::forbidden, scope.who() + " may not " + doing);
}

bool passes(const event::Scope& scope, const Filter& f, const FrameInfo& i) {
  return i.count > 0 && scope.sees(i.source.municipality) && i.max_happened_us >= f.from_us &&
         i.min_happened_us <= f.until_us && (f.source.empty() || f.source == i.source.name) &&
         (f.format.empty() || f.format == i.format) && (!f.municipality || *f.municipality == i.source.municipality);
}

// ---- opening

Result<std::unique_ptr<History>> History::open(Runtime& runtime, const std::string& path, Options options) {
  BAVN_ASSERT(options.extract);
  if (options.index_path.empty()) options.index_path = path + "/index";
  if (options.keys_path.empty()) options.keys_path = path + "/keys";
  auto inner = std::make_unique<Inner>(runtime, path, std::move(options));
  BAVN_CHECK(inner->start());
  return std::unique_ptr<History>(new History(std::move(inner)));
}

History::History(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}

History::~History() {
  const std::lock_guard lock(inner_->gate->mutex);
  inner_->gate->inner = nullptr;
  inner_->kv.reset();  // its compactions ask for what else is in there
}

Result<void> History::Inner::start() {
  BAVN_CHECK(files.make_dirs(path));
  BAVN_CHECK(files.sync_dir(parent_of(path)));
  BAVN_TRY(keys, Keyring::open(files, options.keys_path));

  store::KvOptions kv_options;
  kv_options.cache_bytes = options.cache_bytes;
  kv_options.families.push_back({"obs", kPrefixBytes, [this](std::string_view key) {
                                   const auto k = decode_index_key(key);
                                   if (!k) return true;
                                   const std::shared_lock lock(keep_mutex);
                                   return k->segment >= forget.size() || !forget[k->segment];
                                 }});
  kv_options.families.push_back({"kv", 0, {}});
  std::error_code ignored;
  std::filesystem::remove_all(options.index_path + "-new", ignored);
  std::filesystem::create_directories(options.index_path + "-new", ignored);
  auto opened = store::Kv::open(options.index_path, kv_options);
  if (!opened && opened.error().code == Code::corrupt) {
    log::error("history_index_damaged",
               {{"reason", opened.error().what}, {"next", "it is made again from the segments"}});
    std::filesystem::remove_all(options.index_path, ignored);
    opened = store::Kv::open(options.index_path, kv_options);
  }
  if (!opened) return std::unexpected(opened.error());
  kv = std::move(*opened);

  Manifest manifest;
  const std::string manifest_path = path + "/MANIFEST";
  if (files.exists(manifest_path)) {
    BAVN_TRY(const std::string bytes, read_file(files, manifest_path, 1ULL << 30U));
    BAVN_TRY(manifest, decode_manifest(bytes));
  }
  BAVN_TRY(const auto names, files.list(path));
  std::set<std::uint32_t> on_disk, listed, indexed;
  std::uint32_t next = manifest.next_segment;
  for (const SegmentMeta& meta : manifest.segments) next = std::max(next, meta.segment + 1);
  for (const std::string& name : names) {
    if (const auto n = number_in(name, "seg-")) on_disk.insert(*n);
    if (const auto n = number_in(name, "spare-")) next = std::max(next, *n + 1);
  }
  bool other_form = false;
  BAVN_CHECK(kv->scan_range(kObs, index_prefix(0, 0), index_prefix(1, 0), [&](std::string_view key, std::string_view) {
    const auto k = decode_index_key(key);
    if (!k) return true;
    indexed.insert(k->segment);
    other_form = other_form || k->hash != kIndexForm;
    return true;
  }));
  if (!on_disk.empty()) next = std::max(next, *on_disk.rbegin() + 1);
  if (!indexed.empty()) next = std::max(next, *indexed.rbegin() + 1);
  if (other_form) {
    log::warn("history_index_old", {{"segments", manifest.segments.size()}, {"next", "all are indexed again"}});
    BAVN_CHECK(kv->clear(kObs));
    indexed.clear();
  }
  next_segment = next;
  sealed_until = manifest.sealed_until;
  {
    const std::unique_lock lock(keep_mutex);
    forget.assign(next, true);
    for (const SegmentMeta& meta : manifest.segments) forget[meta.segment] = false;
  }
  for (const SegmentMeta& meta : manifest.segments) {
    auto s = std::make_shared<Sealed>();
    s->meta = meta;
    s->file = std::make_shared<SegmentFile>(files, segment_path(meta.segment), meta.segment, meta.day);
    sealed.emplace(meta.segment, std::move(s));
    listed.insert(meta.segment);
    if (!on_disk.contains(meta.segment))
      log::error("history_segment_missing", {{"segment", meta.segment}, {"records", meta.records}});
  }
  // Numbers seen anywhere are never given out again, also when their files go now.
  BAVN_CHECK(replace_manifest({}, {}));

  const std::int64_t yesterday = now_us() - kRememberBatches;
  for (const auto& [n, s] : sealed) {
    if (s->meta.received_until_us < yesterday || !on_disk.contains(n)) continue;
    BAVN_TRY(const auto d, directory(*s->file));
    remember_from(n, *d);
  }
  for (const std::uint32_t n : on_disk)
    if (!listed.contains(n) && n > sealed_until) {
      BAVN_CHECK(recover(n));
    } else if (!listed.contains(n)) {
      (void)files.unlink(segment_path(n));
      (void)files.unlink(segment_path(n) + ".dir");
    }
  for (const auto& [n, s] : sealed) {
    if (indexed.contains(n) || !listed.contains(n) || !on_disk.contains(n)) continue;
    log::warn("history_index_incomplete", {{"segment", n}, {"next", "it is indexed again"}});
    BAVN_TRY(const auto d, directory(*s->file));
    BAVN_CHECK(index_segment(n, s->file, *d));
  }
  seal_queue = runtime.queue({.name = "history-seal", .threads = 1, .limit = 64});
  gate->inner = this;
  return {};
}

void History::Inner::remember_from(std::uint32_t segment, const Directory& d) {
  for (std::uint32_t i = 0; i < d.frames.size(); ++i) {
    const FrameEntry& f = d.frames[i];
    if (!f.dropped && f.batch != BatchId{} && f.received_us >= now_us() - kRememberBatches)
      remember(d.sources[f.source], f.batch, f.received_us, {segment, i, false});
  }
}

void History::Inner::remember(const Source& s, const BatchId& id, std::int64_t received_us, const Ack& ack) {
  const auto key = std::pair(s, id);
  remembered.insert_or_assign(key, Remembered{received_us, ack});
  remembered_order.emplace_back(received_us, key);
  while (!remembered_order.empty() && (remembered_order.front().first < received_us - kRememberBatches ||
                                       remembered_order.size() > kMaxRemembered)) {
    const auto it = remembered.find(remembered_order.front().second);
    if (it != remembered.end() && it->second.received_us == remembered_order.front().first) remembered.erase(it);
    remembered_order.pop_front();
  }
}

// ---- appending

Result<Ack> History::append(const event::Scope& scope, const Batch& batch) {
  BAVN_TRY(const auto acks, append(scope, std::span(&batch, 1)));
  return acks.front();
}

Result<std::vector<Ack>> History::append(const event::Scope& scope, std::span<const Batch> batches) {
  BAVN_CHECK(need(scope, event::Right::event_write, "add records"));
  Entry entry;
  entry.batches.resize(batches.size());
  for (std::size_t i = 0; i < batches.size(); ++i) {
    if (auto ok = inner_->prepare(scope, batches[i], entry.batches[i]); !ok) {
      inner_->refused += batches.size();
      return std::unexpected(ok.error());
    }
    entry.bytes += entry.batches[i].packed.size();
  }
  return inner_->append(entry);
}

Prepared::Prepared(std::unique_ptr<Pending> pending) : pending_(std::move(pending)) {}
Prepared::Prepared(Prepared&&) noexcept = default;
Prepared& Prepared::operator=(Prepared&&) noexcept = default;
Prepared::~Prepared() = default;
std::size_t Prepared::packed_bytes() const {
  return pending_->packed.size();
}
std::int64_t Prepared::received_us() const {
  return pending_->received_us;
}
std::int64_t Prepared::max_happened_us() const {
  return pending_->max_us;
}

Result<Prepared> History::prepare(const event::Scope& scope, const Batch& batch) const {
  BAVN_CHECK(need(scope, event::Right::event_write, "add records"));
  auto pending = std::make_unique<Pending>();
  if (auto ok = inner_->prepare(scope, batch, *pending); !ok) {
    ++inner_->refused;
    return std::unexpected(ok.error());
  }
  return Prepared(std::move(pending));
}

Result<std::vector<Ack>> History::append(std::vector<Prepared>& prepared) {
  Entry entry;
  for (Prepared& p : prepared) {
    entry.bytes += p.packed_bytes();
    entry.batches.push_back(std::move(*p.pending_));
  }
  auto acks = inner_->append(entry);
  // Given back, so that a failed append can be tried again.
  if (!acks)
    for (std::size_t i = 0; i < prepared.size(); ++i) *prepared[i].pending_ = std::move(entry.batches[i]);
  return acks;
}

Result<std::vector<Ack>> History::Inner::append(Entry& entry) {
  std::unique_lock lock(queue_mutex);
  queue.push_back(&entry);
  while (!entry.done) {
    if (led) {
      queue_changed.wait(lock);
      continue;
    }
    led = true;
    std::vector<Entry*> group;
    for (std::size_t bytes = 0; !queue.empty() && (group.empty() || bytes < options.group_bytes);) {
      group.push_back(queue.front());
      bytes += group.back()->bytes;
      queue.pop_front();
    }
    lock.unlock();
    commit(group);
    lock.lock();
    for (Entry* e : group) e->done = true;
    led = false;
    queue_changed.notify_all();
  }
  if (entry.error) return std::unexpected(*entry.error);
  std::vector<Ack> acks;
  for (const Pending& p : entry.batches) acks.push_back(p.ack);
  return acks;
}

Result<void> History::Inner::prepare(const event::Scope& scope, const Batch& b, Pending& p) {
  const auto bad = [&](const std::string& what) { return fail(Code::bad_input, what, std::string(b.source)); };
  if (!scope.sees(b.municipality))
    return fail(Code::forbidden, scope.who() + " may not add records for this municipality");
  if (b.source.empty() || b.source.size() > kMaxName) return bad("a source needs a name of 1 to 200 bytes");
  if (b.format.empty() || b.format.size() > kMaxName) return bad("a format needs a name of 1 to 200 bytes");
  if (b.context.size() > kMaxContext) return bad("the lines before the records are longer than 4 MiB");
  if (b.lines.size() > kMaxBatchBytes) return bad("a batch is larger than 64 MiB: split it");
  const auto newlines = static_cast<std::uint64_t>(std::count(b.lines.begin(), b.lines.end(), '\n'));
  if (b.count == 0 || newlines + 1 != b.count || b.happened_us.size() != b.count)
    return bad("a batch says it holds " + std::to_string(b.count) + " records but its lines or times are others");
  for (const Posting& x : b.postings)
    if (x.kind == 0) return bad("0 is no kind of observable");
  p.id = b.id;
  p.format = b.format;
  p.count = b.count;
  p.lines_bytes = static_cast<std::uint32_t>(b.lines.size());
  p.source = {std::string(b.source), b.municipality, b.tenant};
  p.received_us = now_us();
  p.min_us = std::numeric_limits<std::int64_t>::max();
  p.max_us = std::numeric_limits<std::int64_t>::min();
  for (const std::int64_t t : b.happened_us) {
    p.min_us = std::min(p.min_us, t == 0 ? p.received_us : t);
    p.max_us = std::max(p.max_us, t == 0 ? p.received_us : t);
  }
  p.dictionary = dictionary_for(p, b.lines);
  p.dictionary_day = day_of(p.received_us);
  const std::string plain = encode_plain({{b.count, p.received_us}}, b.context, b.lines);
  p.plain_bytes = static_cast<std::uint32_t>(plain.size());
  p.packed = compress(plain, 1, p.dictionary.get());
  p.postings = count_postings({b.postings.begin(), b.postings.end()});
  return {};
}

std::shared_ptr<const Dictionary> History::Inner::dictionary_for(const Pending& p, std::string_view lines) {
  if (lines.size() >= kSmallFrame) return nullptr;
  std::vector<std::string> samples;
  const std::int32_t today = day_of(p.received_us);
  {
    const std::lock_guard lock(learning_mutex);
    Learning& l = learning[p.source];
    // A dictionary holds pieces of lines: it lives and dies with the key of its day.
    if (l.day != today) {
      l = Learning();
      l.day = today;
    }
    if (l.tried) return l.dictionary;
    for (std::size_t at = 0; at < lines.size() && l.bytes < kSampleBytes;) {
      const std::size_t end = std::min(lines.find('\n', at), lines.size());
      l.samples.emplace_back(lines.substr(at, std::min<std::size_t>(end - at, 2048)));
      l.bytes += l.samples.back().size();
      at = end + 1;
    }
    if (l.bytes < kSampleBytes) return nullptr;
    l.tried = true;
    samples.swap(l.samples);
  }
  auto dictionary = train({samples.begin(), samples.end()}, kDictionaryBytes, 1);
  const std::lock_guard lock(learning_mutex);
  Learning& l = learning[p.source];
  if (l.day == today && l.tried) l.dictionary = dictionary;
  return dictionary;
}

bool History::Inner::is_current(const Source& s, const std::shared_ptr<const Dictionary>& dictionary) {
  const std::lock_guard lock(learning_mutex);
  const auto it = learning.find(s);
  return it != learning.end() && it->second.dictionary == dictionary;
}

void History::Inner::commit(std::vector<Entry*>& group) {
  auto ok = write_group(group);
  {
    const std::lock_guard lock(failing_mutex);
    if (!ok && append_failing.empty()) log::error("history_append_failed", {{"reason", to_string(ok.error())}});
    if (ok && !append_failing.empty()) log::info("history_append_works_again");
    append_failing = ok ? std::string() : to_string(ok.error());
  }
  for (Entry* e : group) {
    if (ok) appended += e->batches.size();
    else refused += e->batches.size();
    if (!ok) e->error = ok.error();
  }
}

Result<void> History::Inner::need_open_segment() {
  if (open) {
    const bool full = open->broken || open->end >= options.segment_bytes ||
                      open->index_bytes() >= options.index_bytes ||
                      open->directory.frames.size() > kMaxFrameNumber / 2 || open->file->day() != day_of(now_us());
    if (!full) return {};
    BAVN_CHECK(roll());
  }
  const std::uint32_t n = next_segment++;
  forget_segment(n, false);
  auto fresh = std::make_shared<OpenSegment>();
  const std::int64_t now = now_us();
  fresh->file = std::make_shared<SegmentFile>(files, segment_path(n), n, day_of(now));
  // A recycled file is already allocated: its fdatasync takes half the time (measured).
  BAVN_TRY(const auto names, files.list(path));
  std::size_t spares = 0;
  bool recycled = false;
  for (const std::string& name : names) {
    if (!name.starts_with("spare-")) continue;
    if (!recycled && files.rename(path + "/" + name, segment_path(n))) recycled = true;
    else if (++spares > kSpares) (void)files.unlink(path + "/" + name);
  }
  const auto make = [&]() -> Result<void> {
    BAVN_TRY(fresh->out, files.open(segment_path(n), OpenMode::create));
    const std::string header = encode(SegmentHeader{SegmentKind::journal, n, fresh->file->day(), now});
    BAVN_CHECK(fresh->out->pwrite(0, header));
    BAVN_CHECK(fresh->out->sync());
    fresh->end = header.size();
    return files.sync_dir(path);
  };
  if (auto ok = make(); !ok) {
    (void)files.unlink(segment_path(n));
    return ok;
  }
  {
    const std::unique_lock lock(live_mutex);
    open = std::move(fresh);
  }
  runtime.after(options.segment_age, seal_queue, [g = gate, n] {
    const std::lock_guard lock(g->mutex);
    if (g->inner != nullptr) g->inner->seal_in_background(n);
  });
  return {};
}

/// The open segment becomes the one that is sealed. The leader calls it.
Result<void> History::Inner::roll() {
  if (!open) return {};
  if (open->directory.frames.empty()) {
    const std::unique_lock lock(live_mutex);
    open->file->leave(SegmentFile::Fate::unlink);
    forget_segment(open->file->segment(), true);
    open.reset();
    return {};
  }
  BAVN_CHECK(seal_pending());
  const std::unique_lock lock(live_mutex);
  sealing = std::move(open);
  open.reset();
  (void)runtime.post(seal_queue, [g = gate] {
    const std::lock_guard gate_lock(g->mutex);
    if (g->inner != nullptr) g->inner->seal_in_background();
  });
  return {};
}

Result<void> History::Inner::write_group(std::vector<Entry*>& group) {
  BAVN_CHECK(need_open_segment());
  OpenSegment& seg = *open;
  const std::uint32_t n = seg.file->segment();
  const std::int32_t day = seg.file->day();
  std::string out;
  auto next_frame = static_cast<std::uint32_t>(seg.directory.frames.size());
  std::map<std::pair<Source, BatchId>, Ack> in_group;
  std::vector<std::pair<std::shared_ptr<const Dictionary>, Directory::Dictionary>> fresh_dictionaries;
  std::vector<Source> dictionary_sources;
  auto numbers = seg.dictionaries;

  for (Entry* e : group) {
    for (Pending& p : e->batches) {
      p.written = false;
      if (p.id != BatchId{}) {
        const auto key = std::pair(p.source, p.id);
        const auto known = remembered.find(key);
        const auto here = in_group.find(key);
        if (known != remembered.end() && known->second.received_us >= p.received_us - kRememberBatches)
          p.ack = known->second.ack;
        else if (here != in_group.end()) p.ack = here->second;
        p.ack.duplicate =
            (known != remembered.end() && known->second.received_us >= p.received_us - kRememberBatches) ||
            here != in_group.end();
        if (p.ack.duplicate) continue;
        in_group.emplace(key, Ack{n, next_frame, false});
      }
      BAVN_TRY(const SourceKey key, keys->find_or_make(day, p.source));
      FrameHeader h;
      h.segment = n;
      h.municipality = p.source.municipality;
      h.tenant = p.source.tenant;
      h.day = day;
      h.key_id = key.id;
      h.received_us = p.received_us;
      h.source = p.source.name;
      h.format = p.format;
      // Midnight or an erasure came between: that dictionary stays behind.
      if (p.dictionary && (p.dictionary_day != day || !is_current(p.source, p.dictionary))) {
        BAVN_TRY(const std::string plain, decompress(p.packed, p.plain_bytes, p.dictionary.get()));
        p.dictionary = nullptr;
        p.packed = compress(plain, 1, nullptr);
      }
      const auto emit = [&](std::string_view packed) {
        const FrameStart start = begin_frame(out, h);
        const std::string associated = out.substr(start.header_begin, start.header_end - start.header_begin);
        seal(out, key.key, associated, packed);
        finish_frame(out, start);
        return start;
      };
      std::uint32_t dictionary = 0;
      if (p.dictionary) {
        auto& slot = numbers[p.dictionary.get()];
        if (slot.first == 0) {
          slot = {static_cast<std::uint32_t>(numbers.size()), p.dictionary};
          h.kind = FrameKind::dictionary;
          h.number = slot.first;
          h.plain_bytes = static_cast<std::uint32_t>(p.dictionary->bytes().size());
          const FrameStart start = emit(p.dictionary->bytes());
          fresh_dictionaries.emplace_back(
              p.dictionary,
              Directory::Dictionary{seg.end + start.at, static_cast<std::uint32_t>(out.size() - start.at), 0});
          dictionary_sources.push_back(p.source);
        }
        dictionary = slot.first;
      }
      h.kind = FrameKind::lines;
      h.number = next_frame++;
      h.batch = p.id;
      h.count = p.count;
      h.plain_bytes = p.plain_bytes;
      h.lines_bytes = p.lines_bytes;
      h.min_happened_us = p.min_us;
      h.max_happened_us = p.max_us;
      h.dictionary = dictionary;
      const FrameStart start = emit(p.packed);
      p.offset = seg.end + start.at;
      p.length = static_cast<std::uint32_t>(out.size() - start.at);
      p.ack = {n, h.number, false};
      p.written = true;
    }
  }
  if (out.empty()) return {};
  BAVN_CHECK(seg.out->pwrite(seg.end, out));
  if (auto ok = seg.out->sync(); !ok) {
    // What the kernel could not write it now calls clean: this file is never trusted again beyond what was acknowledged.
    seg.broken = true;
    (void)seg.out->truncate(seg.end);
    return ok;
  }
  {
    const std::unique_lock lock(seg.mutex);
    for (std::size_t i = 0; i < fresh_dictionaries.size(); ++i) {
      fresh_dictionaries[i].second.source = local_id(seg.source_ids, seg.directory.sources, dictionary_sources[i]);
      seg.directory.dictionaries.push_back(fresh_dictionaries[i].second);
    }
    for (Entry* e : group) {
      for (const Pending& p : e->batches) {
        if (!p.written) {
          ++duplicates;
          continue;
        }
        FrameEntry f{p.offset,
                     p.length,
                     local_id(seg.source_ids, seg.directory.sources, p.source),
                     local_id(seg.format_ids, seg.directory.formats, p.format),
                     p.count,
                     p.lines_bytes,
                     p.received_us,
                     p.min_us,
                     p.max_us,
                     p.id,
                     false};
        seg.directory.frames.push_back(f);
        seg.add(p.ack.frame, p.postings);
      }
    }
    seg.end += out.size();
  }
  seg.dictionaries = std::move(numbers);
  for (Entry* e : group)
    for (const Pending& p : e->batches)
      if (p.written && p.id != BatchId{}) remember(p.source, p.id, p.received_us, p.ack);
  return {};
}

Result<void> History::Inner::lead(const std::function<Result<void>()>& f) {
  std::unique_lock lock(queue_mutex);
  queue_changed.wait(lock, [&] { return !led; });
  led = true;
  lock.unlock();
  auto result = f();
  lock.lock();
  led = false;
  queue_changed.notify_all();
  return result;
}

Result<void> History::Inner::seal_all(const std::function<Result<void>()>& then) {
  return lead([&]() -> Result<void> {
    BAVN_CHECK(roll());
    BAVN_CHECK(seal_pending());
    return then ? then() : Result<void>();
  });
}

Result<void> History::seal_now(const event::Scope& scope) {
  BAVN_CHECK(need(scope, event::Right::operate, "seal segments"));
  return inner_->seal_all({});
}

/// only_segment: the open segment came of age; it is sealed if it is still that one. 0: what waits to be sealed.
void History::Inner::seal_in_background(std::uint32_t only_segment) {
  if (only_segment != 0) {
    (void)lead([&]() -> Result<void> {
      if (open && open->file->segment() == only_segment) return roll();
      return {};
    });
  }
  if (!seal_pending()) {
    runtime.after(std::chrono::seconds(5), seal_queue, [g = gate] {
      const std::lock_guard lock(g->mutex);
      if (g->inner != nullptr) g->inner->seal_in_background();
    });
  }
}

Stats History::stats() const {
  Stats s;
  std::shared_ptr<OpenSegment> open, sealing;
  {
    const std::shared_lock lock(inner_->live_mutex);
    for (const auto& [n, x] : inner_->sealed) {
      ++s.segments;
      s.frames += x->meta.frames;
      s.records += x->meta.records;
      s.lines_bytes += x->meta.lines_bytes;
      s.segment_bytes += x->meta.file_bytes;
    }
    open = inner_->open;
    sealing = inner_->sealing;
  }
  for (const auto& seg : {open, sealing}) {
    if (!seg) continue;
    const std::shared_lock lock(seg->mutex);
    ++s.segments;
    for (const FrameEntry& f : seg->directory.frames) {
      ++s.frames;
      s.records += f.count;
      s.lines_bytes += f.lines_bytes;
    }
    s.segment_bytes += seg->end;
    s.open_index_bytes += seg->index_bytes();
  }
  s.index_bytes = inner_->kv->bytes_on_disk(kObs);
  s.keys = inner_->keys->size();
  s.appended = inner_->appended;
  s.duplicates = inner_->duplicates;
  s.refused = inner_->refused;
  s.seals = inner_->seals;
  s.cut_bytes = inner_->cut_bytes;
  const std::lock_guard lock(inner_->failing_mutex);
  s.failing = !inner_->append_failing.empty() ? inner_->append_failing : inner_->seal_failing;
  return s;
}

}  // namespace bavn::history
