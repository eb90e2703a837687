// What `bavn doctor` asks: is everything there and readable, does the index say what the lines say; and making it again.
#include "base/log.hpp"
#include "history/inner.hpp"

namespace bavn::history {

Result<CheckReport> History::check(const event::Scope& scope, std::stop_token stop) const {
  BAVN_CHECK(need(scope, event::Right::operate, "check the history"));
  CheckReport report;
  const auto problem = [&](std::string what) {
    ++report.problem_count;
    if (report.problems.size() < 100) report.problems.push_back(std::move(what));
  };
  // One rewrite at a time, and none while we compare: segments and index must be of one moment.
  const std::lock_guard lock(inner_->rewrite_mutex);
  const auto segments_now = inner_->sealed_newest_first();
  std::map<std::uint32_t, Digest> in_index, marked;
  for (const auto& s : segments_now) in_index.emplace(s->meta.segment, Digest());
  BAVN_CHECK(inner_->kv->scan_all(kObs, [&](std::string_view key, std::string_view value) {
    const auto where = decode_index_key(key);
    if (!where) {
      problem("the index holds a key that is none");
      return true;
    }
    const auto it = in_index.find(where->segment);
    if (it == in_index.end()) return !stop.stop_requested();  // dead or newer
    if (where->kind == 0) {
      if (const auto d = decode_digest(value)) marked.emplace(where->segment, *d);
      return true;
    }
    const auto what = decode_index_value(value);
    if (!what) {
      problem("the index holds a value that is none, for segment " + std::to_string(where->segment));
      return true;
    }
    for (const std::uint32_t f : what->frames) it->second.add(where->kind, where->hash, f);
    report.postings += what->frames.size();
    return !stop.stop_requested();
  }));
  FrameText text;
  const auto check_frames = [&](std::uint32_t n, const SegmentFile& file, const Directory& d, Digest& digest,
                                bool& whole) {
    for (std::uint32_t i = 0; i < d.frames.size() && !stop.stop_requested(); ++i) {
      if (d.frames[i].dropped) {
        // A batch that came twice has its bytes; a frame without any was damaged on disk when a restart read it.
        if (d.frames[i].length == 0)
          problem(file.path() + " frame " + std::to_string(i) + " was damaged before a restart and is lost");
        continue;
      }
      ++report.frames;
      if (auto ok = inner_->read_frame(file, d, i, text); !ok) {
        whole = false;
        if (ok.error().code == Code::not_found) {
          ++report.erased_frames;
          continue;
        }
        problem(to_string(ok.error()));
        continue;
      }
      const FrameInfo info = info_of(n, i, d);
      const std::string_view lines = text.lines();
      std::uint64_t records = lines.empty() && info.count == 0 ? 0 : 1;
      for (const char c : lines) records += c == '\n' ? 1 : 0;
      if (records != info.count || lines.size() != info.lines_bytes) {
        problem(file.path() + " frame " + std::to_string(i) + ": the directory says " + std::to_string(info.count) +
                " records, there are " + std::to_string(records));
      }
      report.records += records;
      if (info.count == 0) continue;
      std::vector<Posting> postings;
      inner_->options.extract(info, text.context(), lines, postings);
      for (const CountedPosting& p : count_postings(std::move(postings))) digest.add(p.kind, p.hash, i);
    }
  };
  for (const auto& s : segments_now) {
    if (stop.stop_requested()) return fail(Code::unavailable, "the check was stopped");
    const std::uint32_t n = s->meta.segment;
    ++report.segments;
    const auto d = inner_->directory(*s->file);
    if (!d) {
      problem(to_string(d.error()));
      continue;
    }
    if ((*d)->frames.size() != s->meta.frames)
      problem(s->file->path() + ": the manifest says " + std::to_string(s->meta.frames) + " frames, the directory " +
              std::to_string((*d)->frames.size()));
    const auto keep_open = s->file->file();
    Digest lines;
    bool whole = true;
    check_frames(n, *s->file, **d, lines, whole);
    const std::string where = "the index of segment " + std::to_string(n);
    if (!marked.contains(n) || in_index[n] != marked[n])
      problem(where + " is not the one that was written: rebuild the index");
    else if (whole && in_index[n] != lines) problem(where + " does not say what its lines say: rebuild the index");
  }
  for (const SegmentInfo& s : segments(scope)) {
    if (!s.open) continue;
    ++report.segments;
    Digest lines, ram;
    Directory d;
    {
      const std::shared_lock open_lock(s.open->mutex);
      d = s.open->directory;
      for (const auto& node : s.open->nodes) ram.add(node.entry.kind(), node.entry.hash(), node.entry.frame());
    }
    bool whole = true;
    check_frames(s.segment, *s.open->file, d, lines, whole);
    report.postings += ram.entries;
    if (whole && lines != ram) problem("the index of the open segment does not say what its lines say");
  }
  return report;
}

Result<void> History::rebuild_index(const event::Scope& scope) {
  BAVN_CHECK(need(scope, event::Right::operate, "rebuild the index"));
  const std::lock_guard lock(inner_->rewrite_mutex);
  BAVN_CHECK(inner_->seal_all({}));
  const std::lock_guard seal_lock(inner_->seal_mutex);
  const std::unique_lock live_lock(inner_->live_mutex);  // an index that is half there must answer nobody
  BAVN_CHECK(inner_->kv->clear(kObs));
  for (const auto& [n, s] : inner_->sealed) {
    BAVN_TRY(const auto d, inner_->directory(*s->file));
    BAVN_CHECK(inner_->index_segment(n, s->file, *d));
  }
  return {};
}

Result<void> History::compact_index(const event::Scope& scope) {
  BAVN_CHECK(need(scope, event::Right::operate, "compact the index"));
  return inner_->kv->compact(kObs, "", "");
}

Result<void> History::settle_index(const event::Scope& scope) {
  BAVN_CHECK(need(scope, event::Right::operate, "wait for the index"));
  return inner_->kv->settle();
}

}  // namespace bavn::history
