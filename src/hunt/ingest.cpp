#include "hunt/ingest.hpp"

#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/hash.hpp"
#include "hunt/observables.hpp"

namespace bavn::hunt {

namespace {

constexpr std::int64_t kDay = 24LL * 3600 * 1'000'000;

/// Lines of one format that will be one frame.
struct Piece {
  event::FormatId format = 0;
  std::string context, lines;
  std::vector<std::int64_t> happened_us;
  std::vector<history::Posting> postings;
  std::uint64_t first_line = 0;
};

class FileIngest {
 public:
  FileIngest(Engine& engine, Runtime& runtime, history::History& history, const event::Scope& scope,
             const IngestOptions& options, std::optional<event::FormatId> format)
      : engine_(engine),
        runtime_(runtime),
        history_(history),
        scope_(scope),
        options_(options),
        format_(format),
        reader_(engine.catalogue(), engine.plan(), engine.routes(), reader_options(format)) {}

  Result<void> file(const std::string& path, IngestReport& report,
                    const std::function<void(std::uint64_t, std::uint64_t)>& told) {
    formats::SourceOptions so;
    so.chunk = options_.chunk;
    so.lines_are_told = true;
    so.parsers = options_.parsers;
    auto opened = formats::Source::open_all(path, so);
    if (!opened) {
      ++report.files_failed;
      report.errors.push_back(to_string(opened.error()));
      return {};
    }
    ++report.files;
    for (auto& [name, source] : *opened) BAVN_CHECK(one_source(name, *source, report, told));
    return {};
  }

 private:
  Result<void> one_source(const std::string& path, formats::Source& source, IngestReport& report,
                          const std::function<void(std::uint64_t, std::uint64_t)>& told) {
    const auto slash = path.rfind('/');
    name_ = !options_.source.empty() ? options_.source : path.substr(slash == std::string::npos ? 0 : slash + 1);
    if (name_.size() > history::kMaxName) name_.resize(history::kMaxName);
    const std::int64_t modified = source.modified_us();
    // Rounded, so that files of one source share a context and can be merged.
    const std::int64_t reference = (modified != 0 ? modified : micros(runtime_.now())) / kDay * kDay + kDay - 1;
    reader_.new_source(format_, from_micros(reference));
    event::EventBatch batch;
    while (!source.done() && !options_.stop.stop_requested()) {
      const auto chunk = source.next(batch);
      if (!chunk) {
        ++report.files_failed;
        report.errors.push_back(to_string(chunk.error()));
        break;
      }
      take_refusals(batch, 0, path, report);
      // Header lines (Zeek, W3C) belong to the lines after them: what stands between two headers is read by itself.
      std::size_t from = chunk->from;
      std::uint64_t line = chunk->first_line;
      while (from < chunk->to) {
        std::size_t to = chunk->to;
        for (std::size_t at = batch.raw.find("\n#", from); at != std::string::npos && at + 1 < chunk->to;
             at = batch.raw.find("\n#", at + 1)) {
          if (at > from && line_start(batch.raw, from, at) != '#') {
            to = at + 1;
            break;
          }
        }
        batch.records.clear();
        batch.fields.clear();
        batch.derived.clear();
        const std::size_t refused = batch.refusals.size();
        line += reader_.read(batch, from, to, line);
        take_refusals(batch, refused, path, report);
        add_pieces(batch, reference, report);
        if (waiting_bytes_ >= options_.append) BAVN_CHECK(flush(path, report, told));
        from = to;
      }
      source.read_lines(line - chunk->first_line);
    }
    return flush(path, report, told);
  }

  static formats::ReaderOptions reader_options(std::optional<event::FormatId> format) {
    formats::ReaderOptions o;
    o.format = format;
    return o;
  }
  /// First byte of the line that ends at `end`.
  static char line_start(std::string_view raw, std::size_t from, std::size_t end) {
    const std::size_t before = raw.rfind('\n', end - 1);
    return raw[before == std::string::npos || before < from ? from : before + 1];
  }

  static void take_refusals(const event::EventBatch& batch, std::size_t from, const std::string& path,
                            IngestReport& report) {
    for (std::size_t i = from; i < batch.refusals.size(); ++i) {
      const event::Refusal& r = batch.refusals[i];
      auto& entry = report.refused[r.reason];
      if (entry.n++ == 0) entry.first = path + ":" + std::to_string(r.line) + ": " + r.detail;
      ++report.lines_refused;
    }
  }

  void add_pieces(const event::EventBatch& batch, std::int64_t reference, IngestReport& report) {
    std::string context;
    const std::string header = reader_.context();
    std::size_t piece = waiting_.size();  // pieces of this run only: an earlier run may have had another header
    const event::Record* previous = nullptr;
    for (const event::Record& r : batch.records) {
      const bool same_line = previous != nullptr && previous->offset == r.offset && previous->length == r.length;
      previous = &r;
      std::size_t at = piece;
      while (at < waiting_.size() && waiting_[at].format != r.format) ++at;
      if (at == waiting_.size()) {
        if (context.empty()) context = encode(FrameContext{reference, format_.has_value(), header});
        waiting_.push_back({r.format, context, {}, {}, {}, r.line});
      }
      Piece& p = waiting_[at];
      if (!same_line) {
        const std::string_view text = batch.line(r);
        if (text.find('\n') != std::string_view::npos) {
          auto& entry = report.refused["record_with_line_end"];
          if (entry.n++ == 0) entry.first = name_ + ":" + std::to_string(r.line);
          ++report.lines_refused;
          continue;
        }
        if (!p.happened_us.empty()) p.lines += '\n';
        p.lines += text;
        p.happened_us.push_back(r.happened_us);
        waiting_bytes_ += text.size() + 1;
        report.without_time += r.happened_us == 0 ? 1 : 0;
      }
      observables_.postings(batch, r, p.postings);
    }
  }

  Result<void> flush(const std::string& path, IngestReport& report,
                     const std::function<void(std::uint64_t, std::uint64_t)>& told) {
    std::vector<history::Batch> batches;
    for (const Piece& p : waiting_) {
      if (p.happened_us.empty()) continue;
      history::Batch b;
      b.source = name_;
      b.municipality = options_.municipality;
      b.tenant = options_.tenant;
      b.format = engine_.catalogue().at(p.format).name;
      b.context = p.context;
      b.lines = p.lines;
      b.count = static_cast<std::uint32_t>(p.happened_us.size());
      b.happened_us = p.happened_us;
      b.postings = p.postings;
      const std::uint64_t id[2] = {hash64(p.lines, hash64(path)), hash64(p.lines, p.first_line + 1)};
      std::memcpy(b.id.data(), id, sizeof id);
      batches.push_back(b);
    }
    std::uint64_t records = 0, bytes = 0;
    if (!batches.empty()) {
      BAVN_TRY(const auto acks, history_.append(scope_, batches));
      for (std::size_t i = 0; i < acks.size(); ++i) {
        if (acks[i].duplicate) {
          report.duplicates += batches[i].count;
          continue;
        }
        records += batches[i].count;
        bytes += batches[i].lines.size() + 1;
        report.formats[std::string(batches[i].format)] += batches[i].count;
      }
    }
    report.records += records;
    report.bytes += bytes;
    waiting_.clear();
    waiting_bytes_ = 0;
    told(records, bytes);
    return {};
  }

  Engine& engine_;
  Runtime& runtime_;
  history::History& history_;
  const event::Scope& scope_;
  const IngestOptions& options_;
  std::optional<event::FormatId> format_;
  formats::Reader reader_;
  RecordObservables observables_;
  std::string name_;
  std::vector<Piece> waiting_;
  std::size_t waiting_bytes_ = 0;
};

void add(IngestReport& to, const IngestReport& from) {
  to.files += from.files;
  to.files_failed += from.files_failed;
  to.records += from.records;
  to.bytes += from.bytes;
  to.duplicates += from.duplicates;
  to.lines_refused += from.lines_refused;
  to.without_time += from.without_time;
  for (const auto& [reason, r] : from.refused) {
    auto& entry = to.refused[reason];
    if (entry.n == 0) entry.first = r.first;
    entry.n += r.n;
  }
  for (const auto& [format, n] : from.formats) to.formats[format] += n;
  to.errors.insert(to.errors.end(), from.errors.begin(), from.errors.end());
}

}  // namespace

Result<IngestReport> ingest(Engine& engine, Runtime& runtime, history::History& history, const event::Scope& scope,
                            const std::vector<std::string>& files, const IngestOptions& options) {
  std::optional<event::FormatId> format;
  if (!options.format.empty()) {
    format = engine.catalogue().find(options.format);
    if (!format)
      return fail(Code::bad_input, "there is no format '" + options.format + "'; `bavn formats list` shows them");
  }
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  IngestReport total;
  IngestProgress progress;
  std::optional<Error> trouble;
  const auto work = [&] {
    FileIngest worker(engine, runtime, history, scope, options, format);
    IngestReport mine;
    for (std::size_t i = next++; i < files.size() && !options.stop.stop_requested(); i = next++) {
      const auto ok = worker.file(files[i], mine, [&](std::uint64_t records, std::uint64_t bytes) {
        if (!options.progress) return;
        const std::lock_guard lock(mutex);
        progress.records += records;
        progress.bytes += bytes;
        options.progress(progress);
      });
      const std::lock_guard lock(mutex);
      ++progress.files_done;
      if (!ok && !trouble) trouble = ok.error();
      if (trouble) break;
    }
    const std::lock_guard lock(mutex);
    add(total, mine);
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned j = 1; j < options.jobs && j < files.size(); ++j) threads.emplace_back(work);
    work();
  }
  if (trouble) return std::unexpected(*trouble);
  return total;
}

}  // namespace bavn::hunt
