// Looking up and reading.
#include <algorithm>

#include "history/inner.hpp"

namespace bavn::history {

namespace {

constexpr const char* kNoSuchFrame = "the index names a frame that is not there: run `bavn doctor --rebuild-index`";

/// Frames of one segment: many observables of a range are in the same ones.
struct SegmentHit {
  std::shared_ptr<Sealed> sealed;
  std::vector<std::uint32_t> frames;
  std::size_t settled = 0;  // so many are ascending and each once

  void add(const std::vector<std::uint32_t>& more) {
    frames.insert(frames.end(), more.begin(), more.end());
    if (frames.size() > 2 * settled + 4096) settle();
  }
  void settle() {
    if (settled == frames.size()) return;
    std::sort(frames.begin(), frames.end());
    frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
    settled = frames.size();
  }
};

}  // namespace

Result<std::shared_ptr<const Directory>> History::Inner::directory(const SegmentFile& file) const {
  if (auto d = directories.find(file.segment())) return d;
  std::shared_ptr<const Directory> d;
  const auto bytes = read_file(files, file.directory_path(), 1ULL << 30U);
  if (bytes) {
    if (auto decoded = decode_directory(*bytes)) d = std::make_shared<const Directory>(std::move(*decoded));
  }
  if (!d) {  // it can be made again from the frames
    std::uint64_t valid_until = 0, size = 0;
    BAVN_TRY(auto scanned, scan_segment(file, &valid_until, &size));
    d = std::make_shared<const Directory>(std::move(scanned));
  }
  directories.keep(file.segment(), d, sizeof(Directory) + 128 + d->frames.size() * sizeof(FrameEntry));
  return d;
}

Result<void> History::Inner::read_frame(const SegmentFile& file, const Directory& d, std::uint32_t frame,
                                        FrameText& into) const {
  const FrameEntry& f = d.frames[frame];
  return read_at(file, &d, f.offset, f.length, frame, into);
}

Result<void> History::Inner::read_at(const SegmentFile& file, const Directory* d, std::uint64_t offset,
                                     std::uint32_t length, std::uint32_t frame, FrameText& into) const {
  const auto corrupt = [&](const std::string& what) {
    return fail(Code::corrupt, what, file.path() + " frame " + std::to_string(frame));
  };
  const auto open_frame = [&](std::uint64_t at, std::uint32_t n, FrameKind kind, std::uint32_t number,
                              std::string& bytes, FrameHeader& header) -> Result<std::string> {
    BAVN_TRY(bytes, file.bytes(at, n));
    const auto f = decode_frame(bytes);
    if (!f) return corrupt(f.error().what);
    header = f->header;
    if (header.segment != file.segment() || header.kind != kind || header.number != number)
      return corrupt("another frame stands where this one should");
    const auto key =
        keys->find(header.day, {std::string(header.source), header.municipality, header.tenant}, header.key_id);
    if (!key) return fail(Code::not_found, "the frame was erased: its key is gone", file.path());
    auto plain = unseal(*key, f->associated, f->sealed);
    if (!plain) return corrupt(plain.error().what);
    return plain;
  };
  std::string bytes;
  FrameHeader header;
  BAVN_TRY(const std::string packed, open_frame(offset, length, FrameKind::lines, frame, bytes, header));
  std::shared_ptr<const Dictionary> dictionary;
  if (header.dictionary != 0) {
    const auto cache_key = std::pair(file.segment(), header.dictionary);
    dictionary = dictionaries.find(cache_key);
    if (!dictionary) {
      Directory::Dictionary where;
      const auto look = [&](const Directory& in) {
        if (header.dictionary <= in.dictionaries.size()) where = in.dictionaries[header.dictionary - 1];
      };
      if (d != nullptr) {
        look(*d);
      } else {
        std::shared_ptr<OpenSegment> in_ram;
        {
          const std::shared_lock lock(live_mutex);
          for (const auto& s : {open, sealing})
            if (s && s->file->segment() == file.segment()) in_ram = s;
        }
        if (in_ram) {
          const std::shared_lock lock(in_ram->mutex);
          look(in_ram->directory);
        } else {
          BAVN_TRY(const auto loaded, directory(file));
          look(*loaded);
        }
      }
      if (where.length == 0) return corrupt("the frame's dictionary is not there");
      std::string dictionary_bytes;
      FrameHeader dictionary_header;
      BAVN_TRY(std::string plain, open_frame(where.offset, where.length, FrameKind::dictionary, header.dictionary,
                                             dictionary_bytes, dictionary_header));
      dictionary = std::make_shared<const Dictionary>(std::move(plain), 0);
      dictionaries.keep(cache_key, dictionary);
    }
  }
  auto plain = decompress(packed, header.plain_bytes, dictionary.get());
  if (!plain) return corrupt(plain.error().what);
  if (auto ok = into.take(std::move(*plain), header); !ok) return corrupt(ok.error().what);
  return {};
}

Result<void> History::read(const event::Scope& scope, const FrameRef& frame, FrameText& into) const {
  BAVN_CHECK(need(scope, event::Right::event_read, "read records"));
  if (!scope.sees(frame.info.source.municipality))
    return fail(Code::forbidden, "this record belongs to another municipality");
  return inner_->read_at(*frame.file, nullptr, frame.offset, frame.length, frame.info.frame, into);
}

Result<std::vector<FrameRef>> History::lookup(const event::Scope& scope, const Posting& observable,
                                              const Filter& filter) const {
  return lookup(scope, PostingRange{observable.kind, observable.hash, observable.hash}, filter);
}

Result<std::vector<FrameRef>> History::lookup(const event::Scope& scope, const PostingRange& range,
                                              const Filter& filter) const {
  BAVN_CHECK(need(scope, event::Right::hunt, "hunt"));
  std::vector<FrameRef> found;
  std::map<std::uint32_t, SegmentHit> hits;
  {
    // Shared while the index is asked: a seal or rewrite between index and segment list would hide frames.
    const std::shared_lock lock(inner_->live_mutex);
    for (const auto& seg : {inner_->open, inner_->sealing}) {
      if (!seg) continue;
      const std::shared_lock seg_lock(seg->mutex);
      std::vector<std::uint32_t> frames;
      seg->find(range, frames, nullptr);
      for (auto it = frames.rbegin(); it != frames.rend(); ++it) {
        const FrameEntry& f = seg->directory.frames[*it];
        FrameInfo info = info_of(seg->file->segment(), *it, seg->directory);
        if (passes(scope, filter, info)) found.push_back({std::move(info), seg->file, f.offset, f.length});
      }
    }
    bool damaged = false;
    const auto take = [&](std::string_view key, std::string_view value) {
      const auto where = decode_index_key(key);
      const auto what = decode_index_value(value);
      if (!where || !what) {
        damaged = true;
        return false;
      }
      const auto it = inner_->sealed.find(where->segment);
      if (it == inner_->sealed.end()) return true;
      SegmentHit& hit = hits[where->segment];
      hit.sealed = it->second;
      hit.add(what->frames);
      return true;
    };
    const std::string from = index_prefix(range.kind, range.first);
    BAVN_CHECK(range.first == range.last
                   ? inner_->kv->scan(kObs, from, take)
                   : inner_->kv->scan_range(kObs, from, index_behind(range.kind, range.last), take));
    if (damaged) return fail(Code::corrupt, "the index is damaged: run `bavn doctor --rebuild-index`");
  }
  for (auto it = hits.rbegin(); it != hits.rend() && found.size() < filter.limit; ++it) {
    it->second.settle();
    const auto& [s, frames, settled] = it->second;
    if (s->meta.max_happened_us < filter.from_us || s->meta.min_happened_us > filter.until_us) continue;
    BAVN_TRY(const auto d, inner_->directory(*s->file));
    for (auto n = frames.rbegin(); n != frames.rend() && found.size() < filter.limit; ++n) {
      if (*n >= d->frames.size()) return fail(Code::corrupt, kNoSuchFrame);
      FrameInfo info = info_of(s->file->segment(), *n, *d);
      if (passes(scope, filter, info))
        found.push_back({std::move(info), s->file, d->frames[*n].offset, d->frames[*n].length});
    }
  }
  if (found.size() > filter.limit) found.resize(filter.limit);
  return found;
}

Result<std::optional<Seen>> History::seen(const event::Scope& scope, const Posting& observable) const {
  BAVN_CHECK(need(scope, event::Right::event_read, "read records"));
  std::optional<Seen> all;
  const auto add = [&](std::int64_t first, std::int64_t last, std::uint64_t count) {
    if (!all) all = Seen{first, last, 0};
    all->first_us = std::min(all->first_us, first);
    all->last_us = std::max(all->last_us, last);
    all->count += count;
  };
  std::vector<std::pair<std::shared_ptr<Sealed>, IndexValue>> in_sealed;
  std::shared_lock lock(inner_->live_mutex);
  const auto visible = [&](const SegmentMeta& m) {
    return scope.sees_all() ||
           std::all_of(m.sources.begin(), m.sources.end(), [&](const Source& s) { return scope.sees(s.municipality); });
  };
  for (const auto& seg : {inner_->open, inner_->sealing}) {
    if (!seg) continue;
    const std::shared_lock seg_lock(seg->mutex);
    const auto& sources = seg->directory.sources;
    if (!std::all_of(sources.begin(), sources.end(), [&](const Source& s) { return scope.sees(s.municipality); }))
      continue;
    std::vector<std::uint32_t> frames;
    std::uint64_t count = 0;
    seg->find({observable.kind, observable.hash, observable.hash}, frames, &count);
    for (const std::uint32_t f : frames)
      add(seg->directory.frames[f].min_happened_us, seg->directory.frames[f].max_happened_us, 0);
    if (!frames.empty()) all->count += count;
  }
  const std::string from = index_prefix(observable.kind, observable.hash);
  BAVN_CHECK(inner_->kv->scan(kObs, from, [&](std::string_view key, std::string_view value) {
    const auto where = decode_index_key(key);
    auto what = decode_index_value(value);
    if (!where || !what) return true;
    const auto it = inner_->sealed.find(where->segment);
    if (it != inner_->sealed.end() && visible(it->second->meta)) in_sealed.emplace_back(it->second, std::move(*what));
    return true;
  }));
  lock.unlock();
  for (const auto& [s, what] : in_sealed) {
    BAVN_TRY(const auto d, inner_->directory(*s->file));
    for (const std::uint32_t f : what.frames) {
      if (f >= d->frames.size()) return fail(Code::corrupt, kNoSuchFrame);
      add(d->frames[f].min_happened_us, d->frames[f].max_happened_us, 0);
    }
    all->count += what.count;
  }
  return all;
}

std::vector<std::shared_ptr<Sealed>> History::Inner::sealed_newest_first() const {
  std::vector<std::shared_ptr<Sealed>> all;
  const std::shared_lock lock(live_mutex);
  for (const auto& [n, s] : sealed) all.push_back(s);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::pair(a->meta.day, a->meta.segment) > std::pair(b->meta.day, b->meta.segment);
  });
  return all;
}

std::vector<SegmentInfo> History::segments(const event::Scope& scope) const {
  std::vector<SegmentInfo> all;
  if (!need(scope, event::Right::hunt, "hunt")) return all;
  {
    const std::shared_lock lock(inner_->live_mutex);
    for (const auto& seg : {inner_->open, inner_->sealing}) {
      if (!seg) continue;
      const std::shared_lock seg_lock(seg->mutex);
      const SegmentMeta m = meta_of(seg->file->segment(), seg->file->day(), seg->directory, seg->end);
      all.push_back({m.segment, m.day, m.records, m.lines_bytes, m.file_bytes, m.frames, false, nullptr, seg});
    }
  }
  for (const auto& s : inner_->sealed_newest_first()) {
    const auto& m = s->meta;
    if (std::none_of(m.sources.begin(), m.sources.end(), [&](const Source& x) { return scope.sees(x.municipality); }))
      continue;
    all.push_back({m.segment, m.day, m.records, m.lines_bytes, m.file_bytes, m.frames, m.packed, s, nullptr});
  }
  return all;
}

Result<std::vector<FrameRef>> History::frames(const event::Scope& scope, const SegmentInfo& segment,
                                              const Filter& filter) const {
  BAVN_CHECK(need(scope, event::Right::hunt, "hunt"));
  std::vector<FrameRef> found;
  const auto take = [&](const Directory& d, const std::shared_ptr<SegmentFile>& file) {
    for (std::uint32_t i = 0; i < d.frames.size() && found.size() < filter.limit; ++i) {
      FrameInfo info = info_of(segment.segment, i, d);
      if (passes(scope, filter, info)) found.push_back({std::move(info), file, d.frames[i].offset, d.frames[i].length});
    }
  };
  if (segment.open) {
    const std::shared_lock lock(segment.open->mutex);
    take(segment.open->directory, segment.open->file);
  } else if (segment.sealed) {
    const auto& m = segment.sealed->meta;
    const bool prune =
        m.max_happened_us < filter.from_us || m.min_happened_us > filter.until_us ||
        (!filter.source.empty() &&
         std::none_of(m.sources.begin(), m.sources.end(), [&](const Source& x) { return x.name == filter.source; }));
    if (prune) return found;
    BAVN_TRY(const auto d, inner_->directory(*segment.sealed->file));
    take(*d, segment.sealed->file);
  }
  return found;
}

Result<void> History::for_each_frame(const event::Scope& scope, const Filter& filter, std::stop_token stop,
                                     const std::function<bool(const FrameInfo&, const FrameText&)>& each) const {
  BAVN_CHECK(need(scope, event::Right::hunt, "hunt"));
  std::optional<Error> trouble;
  FrameText text;
  std::size_t given = 0;
  for (const SegmentInfo& s : segments(scope)) {
    BAVN_TRY(const auto refs, frames(scope, s, filter));
    if (refs.empty()) continue;
    const auto keep_open = refs.front().file->file();
    for (const FrameRef& ref : refs) {
      if (stop.stop_requested() || given >= filter.limit) return {};
      if (auto ok = read(scope, ref, text); !ok) {
        if (ok.error().code != Code::not_found && !trouble) trouble = ok.error();
        continue;
      }
      ++given;
      if (!each(ref.info, text)) return {};
    }
  }
  if (trouble) return std::unexpected(*trouble);
  return {};
}

}  // namespace bavn::history
