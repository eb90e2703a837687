// Segments: the open one's index in RAM, sealing it, finding it again after a crash.
#include <algorithm>
#include <bit>

#include "base/let_go.hpp"
#include "base/log.hpp"
#include "history/inner.hpp"

namespace bavn::history {

SegmentFile::~SegmentFile() {
  const Fate fate = fate_;
  if (fate == Fate::stay) return;
  (void)files_.unlink(directory_path());
  if (fate == Fate::recycle && files_.rename(path_, spare_)) return;
  if (fate == Fate::wipe) {
    // The blocks of an unlinked file keep their bytes; overwrite what a person asked us to erase. (A disk that remaps
    // sectors may keep a copy: it is encrypted, and its key goes with the day.)
    if (auto f = files_.open(path_, OpenMode::write)) {
      const std::string zeros(1U << 20U, '\0');
      const std::uint64_t size = (*f)->size().value_or(0);
      for (std::uint64_t at = 0; at < size; at += zeros.size())
        if (!(*f)->pwrite(at, std::string_view(zeros).substr(0, std::min<std::uint64_t>(zeros.size(), size - at))))
          break;
      (void)(*f)->sync();
    }
  }
  (void)files_.unlink(path_);
}

Result<std::shared_ptr<File>> SegmentFile::file() const {
  const std::lock_guard lock(mutex_);
  if (auto f = open_.lock()) return f;
  BAVN_TRY(auto opened, files_.open(path_, OpenMode::read));
  std::shared_ptr<File> f = std::move(opened);
  open_ = f;
  return f;
}

Result<std::string> SegmentFile::bytes(std::uint64_t offset, std::uint32_t length) const {
  BAVN_TRY(const auto f, file());
  std::string b(length, '\0');
  BAVN_TRY(const std::size_t got, f->pread(offset, b));
  if (got != length) return fail(Code::corrupt, "a segment ends before its frame", path_);
  return b;
}

// ---- the index of the open segment

/// By the upper bits of the product, which all bits of a hash reach: an address fills the lower half alone.
std::size_t OpenSegment::slot(std::uint8_t kind, std::uint64_t hash) const {
  return (hash ^ (std::uint64_t{kind} << 24U)) * 0x9E3779B97F4A7C15U >> (65U - std::bit_width(heads.size()));
}

void OpenSegment::link(std::uint32_t node) {
  const IndexEntry& e = nodes[node].entry;
  std::uint32_t& head = heads[slot(e.kind(), e.hash())];
  nodes[node].next = head;
  head = node;
}

void OpenSegment::add(std::uint32_t frame, const std::vector<CountedPosting>& postings) {
  if (nodes.size() + postings.size() > heads.size()) {
    std::size_t size = std::max<std::size_t>(heads.size(), 1024);
    while (size < nodes.size() + postings.size()) size *= 2;
    heads.assign(size, kNone);
    for (std::uint32_t i = 0; i < nodes.size(); ++i) link(i);
  }
  for (const CountedPosting& p : postings) {
    nodes.push_back({IndexEntry::make(p.kind, p.hash, frame, p.count), kNone});
    link(static_cast<std::uint32_t>(nodes.size() - 1));
  }
}

void OpenSegment::find(const PostingRange& range, std::vector<std::uint32_t>& frames, std::uint64_t* count) const {
  const auto take = [&](const IndexEntry& e) {
    frames.push_back(e.frame());
    if (count != nullptr) *count += e.count;
  };
  const auto inside = [&](const IndexEntry& e) {
    return e.kind() == range.kind && e.hash() >= range.first && e.hash() <= range.last;
  };
  if (sorted) {
    const IndexEntry wanted = IndexEntry::make(range.kind, range.first, 0, 0);
    auto it = std::lower_bound(nodes.begin(), nodes.end(), wanted,
                               [](const Node& a, const IndexEntry& b) { return before(a.entry, b); });
    for (; it != nodes.end() && inside(it->entry); ++it) take(it->entry);
  } else if (range.first != range.last) {
    for (const Node& n : nodes)
      if (inside(n.entry)) take(n.entry);
  } else if (!heads.empty()) {
    for (std::uint32_t i = heads[slot(range.kind, range.first)]; i != kNone; i = nodes[i].next)
      if (inside(nodes[i].entry)) take(nodes[i].entry);
  }
  std::sort(frames.begin(), frames.end());
  frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
}

void OpenSegment::sort() {
  if (sorted) return;
  let_go(heads);
  std::sort(nodes.begin(), nodes.end(), [](const Node& a, const Node& b) { return before(a.entry, b.entry); });
  sorted = true;
}

std::size_t OpenSegment::index_bytes() const {
  return nodes.size() * sizeof(Node) + heads.size() * sizeof(std::uint32_t) +
         directory.frames.size() * sizeof(FrameEntry);
}

std::uint32_t local_id(std::map<Source, std::uint32_t>& ids, std::vector<Source>& table, const Source& s) {
  const auto [it, fresh] = ids.emplace(s, static_cast<std::uint32_t>(table.size()));
  if (fresh) table.push_back(s);
  return it->second;
}

std::uint32_t local_id(std::map<std::string, std::uint32_t, std::less<>>& ids, std::vector<std::string>& table,
                       std::string_view s) {
  if (const auto it = ids.find(s); it != ids.end()) return it->second;
  table.emplace_back(s);
  return ids.emplace(std::string(s), static_cast<std::uint32_t>(table.size() - 1)).first->second;
}

FrameInfo info_of(std::uint32_t segment, std::uint32_t frame, const Directory& d) {
  const FrameEntry& f = d.frames[frame];
  return {segment,       frame,         d.sources[f.source], d.formats[f.format], f.dropped ? 0 : f.count,
          f.lines_bytes, f.received_us, f.min_happened_us,   f.max_happened_us};
}

SegmentMeta meta_of(std::uint32_t segment, std::int32_t day, const Directory& d, std::uint64_t file_bytes) {
  SegmentMeta m;
  m.segment = segment;
  m.day = day;
  m.file_bytes = file_bytes;
  m.frames = static_cast<std::uint32_t>(d.frames.size());
  m.min_happened_us = std::numeric_limits<std::int64_t>::max();
  m.max_happened_us = std::numeric_limits<std::int64_t>::min();
  for (const FrameEntry& f : d.frames) {
    m.received_until_us = std::max(m.received_until_us, f.received_us);
    if (f.dropped || f.count == 0) continue;
    m.records += f.count;
    m.lines_bytes += f.lines_bytes;
    m.min_happened_us = std::min(m.min_happened_us, f.min_happened_us);
    m.max_happened_us = std::max(m.max_happened_us, f.max_happened_us);
  }
  m.sources.insert(d.sources.begin(), d.sources.end());
  return m;
}

// ---- sealing

Result<void> History::Inner::seal_pending() {
  const std::lock_guard one(seal_mutex);
  std::shared_ptr<OpenSegment> seg;
  {
    const std::shared_lock lock(live_mutex);
    seg = sealing;
  }
  if (!seg) return {};
  const std::uint32_t n = seg->file->segment();
  const std::int32_t day = seg->file->day();
  const auto work = [&]() -> Result<void> {
    {
      const std::unique_lock lock(seg->mutex);
      seg->sort();
    }
    BAVN_CHECK(
        write_index(n, seg->nodes.size(), [&](std::size_t i) -> const IndexEntry& { return seg->nodes[i].entry; }));
    if (const auto size = seg->out->size(); size && *size > seg->end) (void)seg->out->truncate(seg->end);
    BAVN_CHECK(replace_file(files, seg->file->directory_path(), encode(seg->directory)));
    const std::lock_guard manifest_lock(manifest_mutex);
    auto s = std::make_shared<Sealed>();
    s->meta = meta_of(n, day, seg->directory, seg->end);
    s->file = seg->file;
    BAVN_CHECK(replace_manifest({s->meta}, {}));
    const std::unique_lock lock(live_mutex);
    sealed.emplace(n, std::move(s));
    sealing.reset();
    return {};
  };
  auto ok = work();
  if (ok) ++seals;
  const std::lock_guard lock(failing_mutex);
  if (!ok && seal_failing.empty())
    log::error("history_seal_failed", {{"segment", n}, {"reason", to_string(ok.error())}});
  if (ok && !seal_failing.empty()) log::info("history_seal_works_again", {{"segment", n}});
  seal_failing = ok ? std::string() : to_string(ok.error());
  return ok;
}

/// Entries come in their order (before()). The file is ingested when this returns; the segment counts only once the manifest
/// names it.
Result<Digest> History::Inner::write_index(std::uint32_t segment, std::size_t n,
                                           const std::function<const IndexEntry&(std::size_t)>& at) {
  Digest digest;
  for (std::size_t i = 0; i < n; ++i) digest.add(at(i).kind(), at(i).hash(), at(i).frame());
  const std::string path_new = options.index_path + "-new/" + std::to_string(segment) + ".sst";
  BAVN_TRY(auto sorted, kv->sorted_file(kObs, path_new));
  BAVN_CHECK(sorted->add(index_key(0, kIndexForm, segment), encode(digest)));
  IndexValue v;
  for (std::size_t i = 0; i < n;) {
    const std::uint8_t kind = at(i).kind();
    const std::uint64_t hash = at(i).hash();
    v.frames.clear();
    v.count = 0;
    for (; i < n && at(i).hash() == hash && at(i).kind() == kind; ++i) {
      v.frames.push_back(at(i).frame());
      v.count += at(i).count;
    }
    BAVN_CHECK(sorted->add(index_key(kind, hash, segment), encode(v)));
  }
  BAVN_CHECK(sorted->finish());
  BAVN_CHECK(kv->ingest(kObs, path_new));
  return digest;
}

/// Makes the index of a segment again from its lines. Erased frames have no postings; damaged ones are said and skipped.
Result<void> History::Inner::index_segment(std::uint32_t segment, const std::shared_ptr<SegmentFile>& file,
                                           const Directory& d) {
  std::vector<IndexEntry> entries;
  std::vector<Posting> postings;
  FrameText text;
  for (std::uint32_t i = 0; i < d.frames.size(); ++i) {
    if (d.frames[i].dropped || d.frames[i].count == 0) continue;
    if (auto ok = read_frame(*file, d, i, text); !ok) {
      if (ok.error().code == Code::not_found) continue;
      if (ok.error().code != Code::corrupt) return ok;
      log::error("history_frame_damaged", {{"segment", segment}, {"frame", i}, {"reason", ok.error().what}});
      continue;
    }
    postings.clear();
    options.extract(info_of(segment, i, d), text.context(), text.lines(), postings);
    for (const CountedPosting& p : count_postings(std::move(postings)))
      entries.push_back(IndexEntry::make(p.kind, p.hash, i, p.count));
    postings = {};
  }
  std::sort(entries.begin(), entries.end(), before);
  BAVN_CHECK(write_index(segment, entries.size(), [&](std::size_t i) -> const IndexEntry& { return entries[i]; }));
  return {};
}

/// The caller holds manifest_mutex (or is open(), alone). After an error the disk may hold the old or the new list: files of
/// both stay until the next start.
Result<void> History::Inner::replace_manifest(const std::vector<SegmentMeta>& add,
                                              const std::set<std::uint32_t>& remove) {
  Manifest m;
  m.next_segment = next_segment;
  {
    const std::shared_lock lock(live_mutex);
    for (const auto& [n, s] : sealed)
      if (!remove.contains(n)) m.segments.push_back(s->meta);
  }
  m.segments.insert(m.segments.end(), add.begin(), add.end());
  m.sealed_until = sealed_until;
  for (const SegmentMeta& s : add)
    if (!s.rewritten) m.sealed_until = std::max(m.sealed_until, s.segment);
  BAVN_CHECK(replace_file(files, path + "/MANIFEST", encode(m)));
  sealed_until = m.sealed_until;
  return {};
}

void History::Inner::forget_segment(std::uint32_t segment, bool dead) {
  const std::unique_lock lock(keep_mutex);
  if (forget.size() <= segment) forget.resize(segment + 1, false);
  forget[segment] = dead;
}

// ---- after a crash

/// Reads a segment file from its beginning. A frame that is not whole ends it, unless whole ones of this segment follow: then
/// the disk damaged something in the middle, and only that is lost.
Result<Directory> History::Inner::scan_segment(const SegmentFile& file, std::uint64_t* valid_until,
                                               std::uint64_t* size) const {
  BAVN_TRY(const auto f, file.file());
  BAVN_TRY(*size, f->size());
  Directory d;
  std::map<Source, std::uint32_t> source_ids;
  std::map<std::string, std::uint32_t, std::less<>> format_ids;
  std::uint64_t at = kSegmentHeaderBytes;
  *valid_until = at;
  std::string buffer;
  const auto frame_at = [&](std::uint64_t offset) -> std::optional<DecodedFrame> {
    char prefix[kFramePrefix];
    const auto got = f->pread(offset, prefix);
    if (!got || *got != sizeof prefix) return std::nullopt;
    const auto length = frame_length({prefix, sizeof prefix});
    if (!length || offset + *length > *size) return std::nullopt;
    buffer.resize(*length);
    if (const auto n = f->pread(offset, buffer); !n || *n != *length) return std::nullopt;
    const auto frame = decode_frame(buffer);
    if (!frame || frame->header.segment != file.segment()) return std::nullopt;
    return *frame;
  };
  const auto next_whole = [&](std::uint64_t from) -> std::optional<std::uint64_t> {
    std::string window(1U << 20U, '\0');
    while (from + kFramePrefix < *size) {
      const auto got = f->pread(from, window);
      if (!got || *got < kFramePrefix) return std::nullopt;
      const std::string_view bytes(window.data(), *got);
      for (std::size_t p = bytes.find("BVF1"); p != std::string_view::npos; p = bytes.find("BVF1", p + 1))
        if (frame_at(from + p)) return from + p;
      from += *got - 3;
    }
    return std::nullopt;
  };
  while (at < *size) {
    auto frame = frame_at(at);
    if (!frame) {
      const auto next = next_whole(at + 1);
      if (!next) break;
      log::error("history_damaged", {{"segment", file.segment()}, {"offset", at}, {"bytes", *next - at}});
      at = *next;
      frame = frame_at(at);
    }
    const FrameHeader& h = frame->header;
    const std::uint32_t source = local_id(source_ids, d.sources, {std::string(h.source), h.municipality, h.tenant});
    const std::uint32_t format = local_id(format_ids, d.formats, h.format);
    const auto length = static_cast<std::uint32_t>(frame->length);
    if (h.kind == FrameKind::dictionary) {
      if (h.number <= d.dictionaries.size() || h.number > d.dictionaries.size() + 4096) break;
      d.dictionaries.resize(h.number, {0, 0, source});
      d.dictionaries.back() = {at, length, source};
    } else {
      if (h.number < d.frames.size() || h.number > d.frames.size() + 65536) break;
      FrameEntry lost;
      lost.dropped = true;
      lost.source = source;
      lost.format = format;
      d.frames.resize(h.number, lost);
      d.frames.push_back({at, length, source, format, h.count, h.lines_bytes, h.received_us, h.min_happened_us,
                          h.max_happened_us, h.batch, false});
    }
    at += length;
    *valid_until = at;
  }
  return d;
}

/// A segment file that the manifest does not name: the open one of a process that died, or a rewrite that was not finished.
Result<void> History::Inner::recover(std::uint32_t n) {
  auto file = std::make_shared<SegmentFile>(files, segment_path(n), n, 0);
  std::string head(kSegmentHeaderBytes, '\0');
  {
    BAVN_TRY(const auto f, file->file());
    BAVN_TRY(const std::size_t got, f->pread(0, head));
    head.resize(got);
  }
  const auto header = decode_segment_header(head);
  if (!header || header->segment != n || header->kind != SegmentKind::journal) {
    file->leave(SegmentFile::Fate::unlink);
    return {};
  }
  file = std::make_shared<SegmentFile>(files, segment_path(n), n, header->day);
  std::uint64_t valid_until = 0, size = 0;
  BAVN_TRY(Directory d, scan_segment(*file, &valid_until, &size));
  if (valid_until < size) {
    cut_bytes += size - valid_until;
    log::warn("history_tail_cut", {{"segment", n}, {"at", valid_until}, {"bytes", size - valid_until}});
    BAVN_TRY(const auto out, files.open(segment_path(n), OpenMode::write));
    BAVN_CHECK(out->truncate(valid_until));
    BAVN_CHECK(out->sync());
  }
  if (d.frames.empty()) {
    file->leave(SegmentFile::Fate::unlink);
    return {};
  }
  for (FrameEntry& f : d.frames) {  // a batch whose first writing was not acknowledged and that was sent again
    if (f.dropped || f.batch == BatchId{}) continue;
    const auto key = std::pair(d.sources[f.source], f.batch);
    if (const auto it = remembered.find(key);
        it != remembered.end() && it->second.received_us >= f.received_us - kRememberBatches)
      f.dropped = true;
    else remember(key.first, key.second, f.received_us, {n, static_cast<std::uint32_t>(&f - d.frames.data()), false});
  }
  forget_segment(n, false);
  BAVN_CHECK(replace_file(files, file->directory_path(), encode(d)));
  BAVN_CHECK(index_segment(n, file, d));
  auto s = std::make_shared<Sealed>();
  s->meta = meta_of(n, header->day, d, valid_until);
  s->file = file;
  BAVN_CHECK(replace_manifest({s->meta}, {}));
  log::info("history_recovered", {{"segment", n}, {"records", s->meta.records}});
  sealed.emplace(n, std::move(s));
  return {};
}

}  // namespace bavn::history
