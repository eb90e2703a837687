// bavn ingest: files into the history of a data folder.
#include "hunt/ingest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "base/json_writer.hpp"
#include "jail/jail.hpp"

namespace bavn::app {

namespace {

// A run of this size is worth a segment of its own; less waits in the open one for more.
constexpr std::uint64_t kSealFrom = 16U << 20U;

void summary(const hunt::IngestReport& r, const history::Stats& s, double seconds, bool stopped, bool json) {
  const double raw = static_cast<double>(std::max<std::uint64_t>(s.lines_bytes, 1));
  const std::uint64_t disk = s.segment_bytes + s.index_bytes;
  if (json) {
    std::string out;
    JsonWriter w(out);
    w.object().key("summary").object();
    w.member("files", r.files)
        .member("files_unreadable", r.files_failed)
        .member("events", r.records)
        .member("bytes", r.bytes);
    w.member("duplicates", r.duplicates)
        .member("lines_refused", r.lines_refused)
        .member("events_without_time", r.without_time);
    w.member("stopped", stopped).member("seconds", seconds);
    w.member("events_per_second", static_cast<double>(r.records) / std::max(seconds, 1e-9));
    w.key("formats").object();
    for (const auto& [name, n] : r.formats) w.member(name, n);
    w.end().key("refused").array();
    for (const auto& [reason, x] : r.refused)
      w.object().member("reason", reason).member("lines", x.n).member("first", x.first).end();
    w.end().key("history").object();
    w.member("events", s.records).member("raw_bytes", s.lines_bytes).member("segment_bytes", s.segment_bytes);
    w.member("index_bytes", s.index_bytes).member("open_index_bytes", s.open_index_bytes);
    w.member("size_ratio", static_cast<double>(disk) / raw).end();
    w.end().end();
    fmt::print("{}\n", out);
    return;
  }
  fmt::print("{}{} events, {:.1f} MB from {} files in {:.2f} s ({:.0f} events/s, {:.1f} MB/s)\n",
             stopped ? "stopped after " : "", r.records, megabytes(r.bytes), r.files, seconds,
             static_cast<double>(r.records) / std::max(seconds, 1e-9), megabytes(r.bytes) / std::max(seconds, 1e-9));
  for (const auto& [name, n] : r.formats) fmt::print("  {:>10} {}\n", n, name);
  if (r.duplicates != 0) fmt::print("{} events were there already and are stored once\n", r.duplicates);
  if (r.without_time != 0) fmt::print("{} events have no readable time\n", r.without_time);
  if (r.lines_refused != 0) {
    fmt::print("{} lines refused:\n", r.lines_refused);
    for (const auto& [reason, x] : r.refused) fmt::print("  {:>10} {}; first {}\n", x.n, reason, x.first);
  }
  fmt::print("on disk now: {} events, {:.1f} MB raw in {:.1f} MB with the index: {:.1f} % of raw\n", s.records,
             megabytes(s.lines_bytes), megabytes(disk), 100.0 * static_cast<double>(disk) / raw);
  if (s.open_index_bytes != 0)
    fmt::print("the index of the newest part ({:.1f} MB) is in memory until that part is sealed\n",
               megabytes(s.open_index_bytes));
}

}  // namespace

int ingest(const IngestOptions& options) {
  unsigned missing = 0;
  const auto files = files_below(options.files, missing);
  if (files.empty()) {
    fmt::print(stderr, "nothing to read\n");
    return missing != 0 ? kFailed : kUsage;
  }
  StopOnSignal stop;
  auto data = open_data(options.data, {}, true);
  if (!data) return failed(data.error());
  Metrics metrics;
  jail::Jail jail(metrics);
  const event::Scope owner = event::Scope::local_owner();
  hunt::IngestOptions io;
  io.source = options.source;
  io.municipality = MunicipalityId{options.municipality};
  io.format = options.format;
  io.jobs = threads_for(options.jobs);
  io.parsers = &jail;
  io.stop = stop.token();
  Runtime& runtime = (*data)->runtime;
  history::History& history = *(*data)->history;
  const Duration start = runtime.steady();
  const auto report = [&] {
    Progress progress(options.quiet);
    io.progress = [&](const hunt::IngestProgress& p) {
      progress.show([&] {
        if (options.json)
          return fmt::format(R"({{"progress":{{"events":{},"bytes":{},"files_done":{},"files":{}}}}})", p.records,
                             p.bytes, p.files_done, files.size());
        return fmt::format("{} events, {:.1f} MB durable; {} of {} files", p.records, megabytes(p.bytes), p.files_done,
                           files.size());
      });
    };
    return hunt::ingest(*(*data)->engine, runtime, history, owner, files, io);
  }();
  if (!report) {
    fmt::print(stderr, "what was acknowledged before is stored\n");
    return failed(report.error());
  }
  const double seconds = std::chrono::duration<double>(runtime.steady() - start).count();
  for (const std::string& e : report->errors) fmt::print(stderr, "{}\n", e);
  if (report->bytes >= kSealFrom)
    if (const auto ok = history.seal_now(owner); !ok) return failed(ok.error());
  const bool stopped = io.stop.stop_requested();
  summary(*report, history.stats(), seconds, stopped, options.json);
  std::fflush(stdout);
  return report->files_failed != 0 || missing != 0 || stopped ? kPartly : kDone;
}

}  // namespace bavn::app
