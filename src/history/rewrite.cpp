// Writing segments anew: the cold pass (merged, compressed harder), erasures (without what must go), retention.
#include <sodium.h>

#include <algorithm>

#include "base/let_go.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "history/inner.hpp"

namespace bavn::history {

namespace {

constexpr std::size_t kGroupBytes = 512U << 20U;  // of segments merged at once
constexpr std::size_t kWriteBuffer = 1U << 20U;

std::string blake2b(std::string_view bytes) {
  unsigned char h[32];
  crypto_generichash(h, sizeof h, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), nullptr, 0);
  std::string hex(2 * sizeof h + 1, '\0');
  sodium_bin2hex(hex.data(), hex.size(), h, sizeof h);
  hex.pop_back();
  return hex;
}

/// Calls each(index, line) for the lines of a frame.
template <class F>
void for_lines(std::string_view lines, std::uint32_t count, F&& each) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t end = lines.find('\n');
    each(i, lines.substr(0, end));
    if (end == std::string_view::npos) break;
    lines.remove_prefix(end + 1);
  }
}

void add_run(std::vector<Run>& runs, std::int64_t received_us) {
  if (!runs.empty() && runs.back().received_us == received_us) ++runs.back().count;
  else runs.push_back({1, received_us});
}

}  // namespace

struct History::Inner::Rewrite {
  bool merge = false;  // frames of a source become frames of about 256 KiB
  bool packed = false;
  int level = 3;
  SegmentFile::Fate fate = SegmentFile::Fate::unlink;
  // Frames that lose records, and which ones.
  std::map<std::uint32_t, std::set<std::uint32_t>> hit;
  std::function<bool(const FrameInfo&, std::string_view context, std::string_view line)> goes;
  ErasureReport* report = nullptr;
  std::map<Source, std::shared_ptr<const Dictionary>> dictionaries;

  bool hits(std::uint32_t segment, std::uint32_t frame) const {
    const auto it = hit.find(segment);
    return it != hit.end() && it->second.contains(frame);
  }
};

/// A segment under construction. Nothing of it counts before the manifest names it.
struct History::Inner::Output {
  Inner& inner;
  Rewrite& how;
  std::int32_t day;
  std::uint32_t n = 0;
  std::shared_ptr<SegmentFile> file;
  std::unique_ptr<File> out;
  std::uint64_t flushed = 0;
  std::string buffer;
  Directory directory;
  std::map<Source, std::uint32_t> source_ids;
  std::map<std::string, std::uint32_t, std::less<>> format_ids;
  std::map<Source, std::uint32_t> dictionary_numbers;
  std::vector<IndexEntry> entries;

  Result<void> start() {
    n = inner.next_segment++;
    inner.forget_segment(n, false);
    file = std::make_shared<SegmentFile>(inner.files, inner.segment_path(n), n, day);
    file->leave(SegmentFile::Fate::unlink);  // until it is finished
    BAVN_TRY(out, inner.files.open(file->path(), OpenMode::create));
    buffer = encode(SegmentHeader{SegmentKind::rewritten, n, day, inner.now_us()});
    return {};
  }
  std::uint64_t size() const { return flushed + buffer.size(); }
  bool full() const {
    return size() >= inner.options.segment_bytes || entries.size() * sizeof(IndexEntry) >= inner.options.index_bytes;
  }
  Result<void> flush() {
    BAVN_CHECK(out->pwrite(flushed, buffer));
    flushed += buffer.size();
    buffer.clear();
    return {};
  }
  Directory::Dictionary put(const FrameHeader& h, const Key& key, std::string_view packed) {
    const std::uint64_t at = size();
    const FrameStart begun = begin_frame(buffer, h);
    const std::string associated = buffer.substr(begun.header_begin, begun.header_end - begun.header_begin);
    seal(buffer, key, associated, packed);
    finish_frame(buffer, begun);
    return {at, static_cast<std::uint32_t>(size() - at), 0};
  }

  Result<std::uint32_t> add(FrameInfo info, const BatchId& batch, const std::vector<Run>& runs,
                            std::string_view context, std::string_view lines) {
    BAVN_TRY(const SourceKey key, inner.keys->find_or_make(day, info.source));
    FrameHeader h;
    h.segment = n;
    h.municipality = info.source.municipality;
    h.tenant = info.source.tenant;
    h.day = day;
    h.key_id = key.id;
    h.received_us = info.received_us;
    h.source = info.source.name;
    h.format = info.format;
    const std::uint32_t source = local_id(source_ids, directory.sources, info.source);
    const Dictionary* dictionary = nullptr;
    if (const auto it = how.dictionaries.find(info.source); it != how.dictionaries.end()) {
      dictionary = it->second.get();
      auto& number = dictionary_numbers[info.source];
      if (number == 0) {
        number = static_cast<std::uint32_t>(directory.dictionaries.size() + 1);
        h.kind = FrameKind::dictionary;
        h.number = number;
        h.plain_bytes = static_cast<std::uint32_t>(dictionary->bytes().size());
        auto where = put(h, key.key, dictionary->bytes());
        where.source = source;
        directory.dictionaries.push_back(where);
      }
      h.dictionary = number;
    }
    const std::string plain = encode_plain(runs, context, lines);
    h.kind = FrameKind::lines;
    h.number = static_cast<std::uint32_t>(directory.frames.size());
    h.batch = batch;
    h.count = info.count;
    h.plain_bytes = static_cast<std::uint32_t>(plain.size());
    h.lines_bytes = static_cast<std::uint32_t>(lines.size());
    h.min_happened_us = info.min_happened_us;
    h.max_happened_us = info.max_happened_us;
    const auto where = put(h, key.key, compress(plain, how.level, dictionary));
    directory.frames.push_back({where.offset, where.length, source,
                                local_id(format_ids, directory.formats, info.format), info.count, h.lines_bytes,
                                info.received_us, info.min_happened_us, info.max_happened_us, batch, false});
    info.segment = n;
    info.frame = h.number;
    info.lines_bytes = h.lines_bytes;
    if (info.count > 0) {
      std::vector<Posting> postings;
      inner.options.extract(info, context, lines, postings);
      for (const CountedPosting& p : count_postings(std::move(postings)))
        entries.push_back(IndexEntry::make(p.kind, p.hash, h.number, p.count));
    }
    if (buffer.size() >= kWriteBuffer) BAVN_CHECK(flush());
    return h.number;
  }

  Result<std::shared_ptr<Sealed>> finish() {
    BAVN_CHECK(flush());
    BAVN_CHECK(out->sync());
    BAVN_CHECK(inner.files.sync_dir(inner.path));
    std::sort(entries.begin(), entries.end(), before);
    BAVN_CHECK(inner.write_index(n, entries.size(), [&](std::size_t i) -> const IndexEntry& { return entries[i]; }));
    let_go(entries);
    BAVN_CHECK(replace_file(inner.files, file->directory_path(), encode(directory)));
    auto s = std::make_shared<Sealed>();
    s->meta = meta_of(n, day, directory, flushed);
    s->meta.rewritten = true;
    s->meta.packed = how.packed;
    s->file = file;
    return s;
  }
};

/// A dictionary for every source that has enough lines in `inputs`, learned from what stays.
Result<void> History::Inner::learn(const std::vector<std::shared_ptr<Sealed>>& inputs, Rewrite& how) {
  struct Wanted {
    std::vector<std::pair<std::size_t, std::uint32_t>> frames;  // input, frame
    std::uint64_t bytes = 0;
  };
  std::map<Source, Wanted> wanted;
  std::vector<std::shared_ptr<const Directory>> directories_of;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    BAVN_TRY(auto d, directory(*inputs[i]->file));
    for (std::uint32_t f = 0; f < d->frames.size(); ++f) {
      if (d->frames[f].dropped || d->frames[f].count == 0) continue;
      Wanted& w = wanted[d->sources[d->frames[f].source]];
      w.frames.emplace_back(i, f);
      w.bytes += d->frames[f].lines_bytes;
    }
    directories_of.push_back(std::move(d));
  }
  FrameText text;
  for (auto& [source, w] : wanted) {
    if (w.bytes < (1U << 20U)) continue;
    std::vector<std::string> samples;
    const std::size_t take = std::min<std::size_t>(w.frames.size(), 64);
    for (std::size_t k = 0; k < take; ++k) {
      const auto [i, f] = w.frames[k * w.frames.size() / take];
      if (!read_frame(*inputs[i]->file, *directories_of[i], f, text)) continue;
      const FrameInfo info = info_of(inputs[i]->meta.segment, f, *directories_of[i]);
      std::size_t bytes = 0;
      const bool filtered = how.goes && how.hits(info.segment, f);
      for_lines(text.lines(), info.count, [&](std::uint32_t, std::string_view line) {
        if (bytes > (16U << 10U) || (filtered && how.goes(info, text.context(), line))) return;
        samples.emplace_back(line.substr(0, 4096));
        bytes += samples.back().size();
      });
    }
    const std::size_t size = std::min<std::size_t>(64U << 10U, w.bytes / 64);
    if (auto d = train({samples.begin(), samples.end()}, size, how.level))
      how.dictionaries.emplace(source, std::move(d));
  }
  return {};
}

/// inputs: segments of one day. Replaces them by new ones in one step. A damaged frame stops it: nothing changes then.
Result<void> History::Inner::rewrite(const std::vector<std::shared_ptr<Sealed>>& inputs, Rewrite& how,
                                     const std::stop_token& stop) {
  BAVN_CHECK(learn(inputs, how));
  std::vector<std::shared_ptr<Sealed>> outputs;
  std::unique_ptr<Output> out;
  struct Merged {
    std::vector<Run> runs;
    std::string lines;
    std::uint32_t count = 0;
    std::int64_t min_us = std::numeric_limits<std::int64_t>::max(), max_us = std::numeric_limits<std::int64_t>::min();
  };
  struct Like {
    Source source;
    std::string format, context;
    auto operator<=>(const Like&) const = default;
  };
  std::map<Like, Merged> merging;
  bool asked = false;
  const auto ready = [&]() -> Result<void> {
    if (out && out->full()) {
      BAVN_TRY(auto s, out->finish());
      outputs.push_back(std::move(s));
      out.reset();
    }
    if (out) return {};
    out.reset(new Output{*this, how, inputs.front()->meta.day, 0, {}, {}, 0, {}, {}, {}, {}, {}, {}});
    return out->start();
  };
  const auto put_merged = [&](const Like& like, Merged& m) -> Result<void> {
    if (m.count == 0) return {};
    BAVN_CHECK(ready());
    FrameInfo info;
    info.source = like.source;
    info.format = like.format;
    info.count = m.count;
    info.received_us = m.runs.front().received_us;
    info.min_happened_us = m.min_us;
    info.max_happened_us = m.max_us;
    BAVN_TRY(const std::uint32_t frame, out->add(info, {}, m.runs, like.context, m.lines));
    (void)frame;
    m = Merged();
    return {};
  };
  const auto work = [&]() -> Result<void> {
    FrameText text;
    for (const auto& input : inputs) {
      BAVN_TRY(const auto d, directory(*input->file));
      BAVN_TRY(const auto keep_open, input->file->file());
      for (std::uint32_t f = 0; f < d->frames.size(); ++f) {
        if (stop.stop_requested()) return fail(Code::unavailable, "stopped");
        const FrameEntry& e = d->frames[f];
        if (e.dropped) continue;
        if (auto ok = read_frame(*input->file, *d, f, text); !ok) {
          if (ok.error().code != Code::not_found) return ok;
          if (how.report != nullptr) how.report->records_erased += e.count;
          continue;
        }
        FrameInfo info = info_of(input->meta.segment, f, *d);
        if (how.merge && (e.batch == BatchId{} || e.received_us < now_us() - kRememberBatches)) {
          if (info.count == 0) continue;
          const Like like{info.source, info.format, std::string(text.context())};
          Merged& m = merging[like];
          if (m.count > 0) m.lines += '\n';
          m.lines += text.lines();
          m.count += info.count;
          m.min_us = std::min(m.min_us, info.min_happened_us);
          m.max_us = std::max(m.max_us, info.max_happened_us);
          for (const Run& r : text.runs()) {
            if (!m.runs.empty() && m.runs.back().received_us == r.received_us) m.runs.back().count += r.count;
            else m.runs.push_back(r);
          }
          if (m.lines.size() >= kPackedFrame) BAVN_CHECK(put_merged(like, m));
          continue;
        }
        BAVN_CHECK(ready());
        const bool hit = how.goes && how.hits(info.segment, f);
        if (!hit) {
          BAVN_TRY(const std::uint32_t same, out->add(info, e.batch, text.runs(), text.context(), text.lines()));
          (void)same;
          continue;
        }
        std::string left;
        std::vector<Run> runs;
        std::uint32_t count = 0;
        for_lines(text.lines(), info.count, [&](std::uint32_t i, std::string_view line) {
          if (how.goes(info, text.context(), line)) return;
          if (count++ > 0) left += '\n';
          left += line;
          add_run(runs, text.received_us(i));
        });
        ErasedFrame proof{info.segment, f, out->n, 0, info.count, count, blake2b(text.lines()), blake2b(left)};
        info.count = count;
        BAVN_TRY(proof.new_frame, out->add(info, e.batch, runs, text.context(), left));
        if (how.report != nullptr) {
          how.report->records_erased += proof.records_before - proof.records_after;
          how.report->frames.push_back(std::move(proof));
        }
      }
    }
    for (auto& [like, m] : merging) BAVN_CHECK(put_merged(like, m));
    if (out && !out->directory.frames.empty()) {
      BAVN_TRY(auto s, out->finish());
      outputs.push_back(std::move(s));
    }
    const std::lock_guard lock(manifest_mutex);
    std::vector<SegmentMeta> add;
    std::set<std::uint32_t> remove;
    for (const auto& s : outputs) add.push_back(s->meta);
    for (const auto& s : inputs) remove.insert(s->meta.segment);
    for (const auto& s : outputs) s->file->leave(SegmentFile::Fate::stay);
    asked = true;
    BAVN_CHECK(replace_manifest(add, remove));
    const std::unique_lock live_lock(live_mutex);
    for (const auto& s : outputs) {
      sealed.emplace(s->meta.segment, s);
    }
    for (const std::uint32_t n : remove) sealed.erase(n);
    return {};
  };
  if (auto ok = work(); !ok) {
    // Once the manifest was asked to change, the disk may already count the new segments: they stay until the next start.
    if (!asked) {
      if (out) forget_segment(out->n, true);
      for (const auto& s : outputs) forget_segment(s->meta.segment, true);
    }
    return ok;
  }
  for (const auto& s : inputs) {
    forget_segment(s->meta.segment, true);
    s->file->leave(how.fate, path + "/spare-" + std::to_string(s->meta.segment));
  }
  return {};
}

Result<void> History::Inner::drop(const std::vector<std::shared_ptr<Sealed>>& which, SegmentFile::Fate fate) {
  std::set<std::uint32_t> numbers;
  for (const auto& s : which) numbers.insert(s->meta.segment);
  {
    const std::lock_guard lock(manifest_mutex);
    BAVN_CHECK(replace_manifest({}, numbers));
    const std::unique_lock live_lock(live_mutex);
    for (const std::uint32_t n : numbers) sealed.erase(n);
  }
  for (const auto& s : which) {
    forget_segment(s->meta.segment, true);
    s->file->leave(fate);
  }
  return {};
}

Result<std::uint64_t> History::pack(const event::Scope& scope, std::int32_t days, std::stop_token stop) {
  BAVN_CHECK(need(scope, event::Right::operate, "pack segments"));
  const std::lock_guard lock(inner_->rewrite_mutex);
  const std::int32_t until = day_of(inner_->now_us()) - days;
  std::map<std::int32_t, std::vector<std::shared_ptr<Sealed>>> by_day;
  for (auto& s : inner_->sealed_newest_first())
    if (s->meta.day <= until && !s->meta.packed) by_day[s->meta.day].insert(by_day[s->meta.day].begin(), s);
  std::uint64_t done = 0;
  std::optional<Error> trouble;
  for (auto& [day, all] : by_day) {
    for (std::size_t i = 0; i < all.size();) {
      std::vector<std::shared_ptr<Sealed>> group;
      for (std::uint64_t bytes = 0; i < all.size() && (group.empty() || bytes + all[i]->meta.file_bytes <= kGroupBytes);
           ++i) {
        bytes += all[i]->meta.file_bytes;
        group.push_back(all[i]);
      }
      Inner::Rewrite how;
      how.merge = how.packed = true;
      how.level = 9;
      how.fate = SegmentFile::Fate::recycle;
      if (auto ok = inner_->rewrite(group, how, stop); !ok) {
        if (stop.stop_requested()) return done;
        log::error("history_pack_failed", {{"day", day}, {"reason", to_string(ok.error())}});
        if (!trouble) trouble = ok.error();
        continue;
      }
      done += group.size();
    }
  }
  if (trouble) return std::unexpected(*trouble);
  return done;
}

Result<std::uint64_t> History::retain(const event::Scope& scope, std::int32_t days) {
  BAVN_CHECK(need(scope, event::Right::operate, "drop old records"));
  const std::lock_guard lock(inner_->rewrite_mutex);
  const std::int32_t oldest = day_of(inner_->now_us()) - days;
  std::vector<std::shared_ptr<Sealed>> old;
  for (auto& s : inner_->sealed_newest_first())
    if (s->meta.day < oldest) old.push_back(s);
  if (!old.empty()) BAVN_CHECK(inner_->drop(old, SegmentFile::Fate::unlink));
  BAVN_TRY(const std::size_t keys, inner_->keys->erase([&](std::int32_t day, const Source&) { return day < oldest; }));
  if (!old.empty() || keys > 0) log::info("history_retention", {{"segments", old.size()}, {"keys", keys}});
  return old.size();
}

Result<ErasureReport> History::erase_source(const event::Scope& scope, const Source& source, std::int32_t from_day,
                                            std::int32_t until_day) {
  BAVN_CHECK(need(scope, event::Right::event_erase, "erase records"));
  if (!scope.sees(source.municipality)) return fail(Code::forbidden, "this source belongs to another municipality");
  const std::lock_guard lock(inner_->rewrite_mutex);
  ErasureReport report;
  BAVN_CHECK(inner_->seal_all([&]() -> Result<void> {
    BAVN_TRY(report.keys_deleted, inner_->keys->erase([&](std::int32_t day, const Source& s) {
      return s == source && day >= from_day && day <= until_day;
    }));
    const std::lock_guard learning_lock(inner_->learning_mutex);
    inner_->learning.erase(source);
    return {};
  }));
  inner_->dictionaries.clear();
  for (auto& s : inner_->sealed_newest_first()) {
    if (s->meta.day < from_day || s->meta.day > until_day || !s->meta.sources.contains(source)) continue;
    Inner::Rewrite how;
    how.packed = s->meta.packed;
    how.level = s->meta.packed ? 9 : 3;
    how.report = &report;
    BAVN_CHECK(inner_->rewrite({s}, how, {}));
    ++report.segments_rewritten;
  }
  return report;
}

Result<ErasureReport> History::erase_day(const event::Scope& scope, std::int32_t day) {
  BAVN_CHECK(need(scope, event::Right::event_erase, "erase records"));
  if (!scope.sees_all())
    return fail(Code::forbidden, "a whole day is erased by who sees every municipality of this store");
  const std::lock_guard lock(inner_->rewrite_mutex);
  ErasureReport report;
  BAVN_CHECK(inner_->seal_all([&]() -> Result<void> {
    BAVN_TRY(report.keys_deleted, inner_->keys->erase([&](std::int32_t d, const Source&) { return d == day; }));
    const std::lock_guard learning_lock(inner_->learning_mutex);
    inner_->learning.clear();
    return {};
  }));
  inner_->dictionaries.clear();
  std::vector<std::shared_ptr<Sealed>> gone;
  for (auto& s : inner_->sealed_newest_first()) {
    if (s->meta.day != day) continue;
    report.records_erased += s->meta.records;
    gone.push_back(s);
  }
  if (!gone.empty()) BAVN_CHECK(inner_->drop(gone, SegmentFile::Fate::unlink));
  return report;
}

Result<ErasureReport> History::erase_person(const event::Scope& scope, const PersonErasure& person) {
  BAVN_CHECK(need(scope, event::Right::event_erase, "erase records"));
  if (!person.concerns && person.texts.empty())
    return fail(Code::bad_input, "an erasure needs texts, or a way to tell which records it concerns");
  for (const std::string& t : person.texts)
    if (t.size() < 3) return fail(Code::bad_input, "a text of less than 3 bytes would erase what it should not");
  const std::lock_guard lock(inner_->rewrite_mutex);
  BAVN_CHECK(inner_->seal_all([&]() -> Result<void> {
    const std::lock_guard learning_lock(inner_->learning_mutex);
    inner_->learning.clear();  // samples and dictionaries may hold the person
    return {};
  }));
  ErasureReport report;
  Inner::Rewrite how;
  how.goes = person.concerns ? person.concerns : [&person](const FrameInfo&, std::string_view, std::string_view line) {
    return std::any_of(person.texts.begin(), person.texts.end(),
                       [&](const std::string& t) { return icontains(line, t); });
  };
  std::map<std::uint32_t, std::set<std::uint32_t>> candidates;
  for (const Posting& p : person.observables)
    BAVN_CHECK(inner_->kv->scan(kObs, index_prefix(p.kind, p.hash), [&](std::string_view key, std::string_view value) {
      const auto where = decode_index_key(key);
      const auto what = decode_index_value(value);
      if (where && what) candidates[where->segment].insert(what->frames.begin(), what->frames.end());
      return true;
    }));
  std::map<std::int32_t, std::set<Source>> touched;  // whose dictionaries of that day may hold pieces
  FrameText text;
  const auto all = inner_->sealed_newest_first();
  for (const auto& s : all) {
    const std::uint32_t n = s->meta.segment;
    if (person.texts.empty() && !candidates.contains(n)) continue;
    BAVN_TRY(const auto d, inner_->directory(*s->file));
    BAVN_TRY(const auto keep_open, s->file->file());
    for (std::uint32_t f = 0; f < d->frames.size(); ++f) {
      const FrameInfo info = info_of(n, f, *d);
      if (info.count == 0 || !scope.sees(info.source.municipality)) continue;
      if (person.texts.empty() && !candidates[n].contains(f)) continue;
      if (auto ok = inner_->read_frame(*s->file, *d, f, text); !ok) {
        if (ok.error().code == Code::not_found) continue;
        return std::unexpected(ok.error());
      }
      bool hit = false;
      for_lines(text.lines(), info.count,
                [&](std::uint32_t, std::string_view line) { hit = hit || how.goes(info, text.context(), line); });
      if (!hit) continue;
      how.hit[n].insert(f);
      touched[s->meta.day].insert(info.source);
    }
  }
  how.report = &report;
  how.fate = SegmentFile::Fate::wipe;
  for (const auto& s : all) {
    bool again = how.hit.contains(s->meta.segment);
    if (const auto it = touched.find(s->meta.day); !again && it != touched.end()) {
      BAVN_TRY(const auto d, inner_->directory(*s->file));
      again = std::any_of(d->dictionaries.begin(), d->dictionaries.end(),
                          [&](const auto& x) { return it->second.contains(d->sources[x.source]); });
    }
    if (!again) continue;
    how.packed = s->meta.packed;
    how.level = s->meta.packed ? 9 : 3;
    how.dictionaries.clear();
    BAVN_CHECK(inner_->rewrite({s}, how, {}));
    ++report.segments_rewritten;
  }
  inner_->dictionaries.clear();
  for (const Posting& p : person.observables)
    BAVN_CHECK(inner_->kv->compact(kObs, index_prefix(p.kind, p.hash), index_behind(p.kind, p.hash)));
  return report;
}

}  // namespace bavn::history
