// bavn scan: match files offline. Each worker reads whole files; correlations run over all files in the order of event time.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "app/commands.hpp"
#include "app/indicator_report.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "hunt/engine.hpp"
#include "jail/jail.hpp"
#include "match/sigma/correlation.hpp"

namespace bavn::app {

namespace fs = std::filesystem;
namespace sigma = match::sigma;
using match::hotpath::Hit;

std::vector<std::string> files_below(const std::vector<std::string>& paths, unsigned& missing) {
  std::vector<std::string> out;
  for (const std::string& p : paths) {
    std::error_code ec;
    if (p == "-") {
      out.push_back(p);
    } else if (fs::is_directory(p, ec)) {
      std::vector<std::string> here, folders = {p};
      while (!folders.empty()) {
        const std::string folder = std::move(folders.back());
        folders.pop_back();
        fs::directory_iterator it(folder, ec);
        for (; !ec && it != fs::directory_iterator(); it.increment(ec)) {
          std::error_code kind;
          if (it->is_directory(kind) && !it->is_symlink(kind)) folders.push_back(it->path().string());
          else if (it->is_regular_file(kind)) here.push_back(it->path().string());
        }
        if (ec) {
          ++missing;
          fmt::print(stderr, "{}: cannot read this folder: {}\n", folder, ec.message());
        }
      }
      std::sort(here.begin(), here.end());
      out.insert(out.end(), here.begin(), here.end());
    } else if (fs::exists(p, ec)) {
      out.push_back(p);
    } else {
      ++missing;
      fmt::print(stderr, "{}: there is no such file or folder\n", p);
    }
  }
  return out;
}

namespace {

struct RefusalCount {
  std::uint64_t n = 0;
  std::string first;  // file:line: detail
};

struct RefusalsOfFile {
  std::uint64_t n = 0, line = 0;  // line: of the first
  std::string detail;
};

constexpr std::size_t kShownFiles = 1000;

// What one worker counted; added up at the end.
struct Tally {
  std::uint64_t events = 0, bytes = 0, lines_refused = 0, repaired = 0, meta = 0, without_time = 0;
  std::map<std::string, std::uint64_t> formats;
  std::map<std::string, RefusalCount> refused;
  std::map<std::pair<std::string, std::string>, RefusalsOfFile> refused_in;  // file, reason
  std::vector<std::uint64_t> per_rule;
  std::map<std::string, std::uint64_t> per_indicator_source, allowed;
  std::uint64_t expired = 0;
  std::uint64_t files_failed = 0;

  void add(const Tally& o) {
    events += o.events;
    bytes += o.bytes;
    lines_refused += o.lines_refused;
    repaired += o.repaired;
    meta += o.meta;
    without_time += o.without_time;
    files_failed += o.files_failed;
    expired += o.expired;
    for (const auto& [k, v] : o.per_indicator_source) per_indicator_source[k] += v;
    for (const auto& [k, v] : o.allowed) allowed[k] += v;
    for (const auto& [k, v] : o.formats) formats[k] += v;
    for (const auto& [k, v] : o.refused) {
      auto& r = refused[k];
      if (r.n == 0) r.first = v.first;
      r.n += v.n;
    }
    for (const auto& [where, v] : o.refused_in) {
      auto& r = refused_in[where];
      if (r.n == 0) r = {0, v.line, v.detail};
      r.n += v.n;
    }
    if (per_rule.size() < o.per_rule.size()) per_rule.resize(o.per_rule.size());
    for (std::size_t i = 0; i < o.per_rule.size(); ++i) per_rule[i] += o.per_rule[i];
  }
};

class Output {
 public:
  explicit Output(bool json) : json_(json) {}
  void write(const event::Finding& f) {
    std::string line;
    if (json_) {
      event::append_json(line, f);
    } else if (f.kind == event::FindingKind::indicator) {
      line = fmt::format("{:<13} {}:{} {} {} ({})", "indicator", f.file, f.line, f.indicator_kind, f.indicator_value,
                         f.indicator_source);
    } else {
      line = fmt::format("{:<13} {}:{} {}", f.rule_level.empty() ? "-" : f.rule_level, f.file, f.line, f.rule_title);
    }
    line += '\n';
    std::lock_guard lock(mutex_);
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size() && !failed_) {
      if (errno != EPIPE) fmt::print(stderr, "cannot write the findings: {}\n", std::strerror(errno));
      failed_ = true;
    }
    ++written_;
  }
  std::uint64_t written() const { return written_; }
  /// Nobody takes the findings any more (a closed pipe, a full disk): there is no point in going on.
  bool failed() const { return failed_; }

 private:
  bool json_;
  std::mutex mutex_;
  std::uint64_t written_ = 0;
  std::atomic<bool> failed_ = false;
};

class Scan {
 public:
  Scan(const ScanOptions& options, hunt::Engine& engine)
      : options_(options), engine_(engine), out_(options.json), correlations_(engine.rules(), replay()) {}

  Result<void> format() {
    if (options_.format.empty()) return {};
    format_ = engine_.catalogue().find(options_.format);
    if (format_) return {};
    std::vector<std::string_view> names;
    for (const auto& d : engine_.catalogue().all()) names.push_back(d.name);
    const auto guess = nearest(options_.format, names);
    return fail(Code::bad_input,
                fmt::format("there is no format '{}'{}; `bavn formats list` shows them", options_.format,
                            guess.empty() ? "" : fmt::format("; did you mean '{}'?", guess)));
  }

  void run(const std::vector<std::string>& files, unsigned jobs) {
    std::atomic<std::size_t> next{0};
    std::vector<std::jthread> threads;
    std::vector<Tally> tallies(jobs);
    const auto work = [&](unsigned me) {
      formats::ReaderOptions ro;
      ro.format = format_;
      hunt::Worker worker(engine_, ro);
      tallies[me].per_rule.resize(engine_.rules().rules.size());
      for (std::size_t i = next++; i < files.size() && !out_.failed(); i = next++)
        one_file(worker, files[i], tallies[me]);
      tallies[me].repaired = worker.reader().stats().repaired;
      tallies[me].meta = worker.reader().stats().meta;
      tallies[me].allowed = worker.indicator_match().allowed();
      tallies[me].expired = worker.indicator_match().expired();
    };
    for (unsigned j = 1; j < jobs; ++j) threads.emplace_back(work, j);
    work(0);
    threads.clear();
    for (const Tally& t : tallies) total_.add(t);
    const Instant now = system_now();
    correlations_.finish([&](const sigma::CorrelationFinding& found) {
      const sigma::Correlation& c = engine_.rules().correlations[found.correlation];
      if (!c.reports || c.meta.level < engine_.min_level()) return;
      event::Finding f = sigma::to_finding(engine_.rules(), found, now);
      f.municipality = options_.municipality;
      ++per_correlation_[found.correlation];
      out_.write(f);
    });
  }

  const Tally& total() const { return total_; }
  std::uint64_t findings() const { return out_.written(); }
  const std::map<std::uint32_t, std::uint64_t>& per_correlation() const { return per_correlation_; }

 private:
  static sigma::CorrelationOptions replay() {
    sigma::CorrelationOptions o;
    o.replay = true;
    o.max_memory = std::size_t{512} << 20;
    return o;
  }

  void one_file(hunt::Worker& worker, const std::string& path, Tally& tally) {
    formats::SourceOptions so;
    so.lines_are_told = true;
    so.parsers = &jail_;
    auto opened = formats::Source::open_all(path, so);
    if (!opened) {
      fmt::print(stderr, "{}\n", to_string(opened.error()));
      ++tally.files_failed;
      return;
    }
    for (auto& [name, source] : *opened) one_source(worker, name, *source, tally);
  }

  void one_source(hunt::Worker& worker, const std::string& path, formats::Source& source, Tally& tally) {
    const auto refuse = [&](const char* reason, std::uint64_t line, const std::string& detail) {
      auto& r = tally.refused[reason];
      if (r.n++ == 0) r.first = fmt::format("{}:{}: {}", path, line, detail);
      auto& of_file = tally.refused_in[{path, reason}];
      if (of_file.n++ == 0) {
        of_file.line = line;
        of_file.detail = detail;
      }
      ++tally.lines_refused;
    };
    const std::int64_t modified = source.modified_us();
    worker.reader().new_source(format_, modified != 0 ? from_micros(modified) : system_now());
    event::EventBatch batch;
    std::vector<std::uint64_t> by_format(engine_.catalogue().all().size());
    while (!source.done() && !out_.failed()) {
      auto chunk = source.next(batch);
      if (!chunk) {
        fmt::print(stderr, "{}\n", to_string(chunk.error()));
        ++tally.files_failed;
        break;
      }
      source.read_lines(worker.process(batch, *chunk));
      tally.events += batch.records.size();
      for (const auto& r : batch.records) {
        ++by_format[r.format];
        tally.without_time += r.happened_us == 0;
      }
      for (const auto& r : batch.refusals) refuse(r.reason, r.line, r.detail);
      const Instant now = system_now();
      for (const Hit& h : worker.hits()) {
        const sigma::Rule& rule = engine_.rules().rules[h.rule];
        if (correlations_.wants(h.rule)) {
          const event::Record& r = batch.records[h.record];
          const match::hotpath::BatchRecordView view(engine_.plan(), batch, r);
          auto hit =
              correlations_.capture(h.rule, HappenedAt{from_micros(r.happened_us)}, view,
                                    {options_.municipality, engine_.catalogue().at(r.format).name, path, r.line});
          std::lock_guard lock(correlation_mutex_);
          correlations_.on_hit(std::move(hit),
                               [](const sigma::CorrelationFinding&) {});  // replay: all come out of finish()
        }
        if (!rule.reports || rule.meta.level < engine_.min_level()) continue;
        ++tally.per_rule[h.rule];
        event::Finding f = worker.finding(batch, h, path, now);
        f.municipality = options_.municipality;
        out_.write(f);
      }
      for (const hunt::IndicatorHit& h : worker.indicator_hits()) {
        ++tally.per_indicator_source[h.indicator.source];
        event::Finding f = worker.finding(batch, h, path, now);
        f.municipality = options_.municipality;
        out_.write(f);
      }
    }
    tally.bytes += source.bytes_read();
    for (std::size_t i = 0; i < by_format.size(); ++i)
      if (by_format[i] != 0)
        tally.formats[engine_.catalogue().at(static_cast<event::FormatId>(i)).name] += by_format[i];
  }

  const ScanOptions& options_;
  hunt::Engine& engine_;
  std::optional<event::FormatId> format_;
  Output out_;
  std::mutex correlation_mutex_;
  Metrics metrics_;
  jail::Jail jail_{metrics_};
  sigma::CorrelationEngine correlations_;
  std::map<std::uint32_t, std::uint64_t> per_correlation_;
  Tally total_;
};

void summary(const Scan& scan, const hunt::Engine& engine, double seconds, bool json) {
  const Tally& t = scan.total();
  const sigma::RuleSet& set = engine.rules();
  std::vector<std::pair<std::uint64_t, std::size_t>> per_rule;
  for (std::size_t i = 0; i < t.per_rule.size(); ++i)
    if (t.per_rule[i] != 0) per_rule.emplace_back(t.per_rule[i], i);
  std::sort(per_rule.begin(), per_rule.end(), [](const auto& a, const auto& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  });
  if (json) {
    std::string out;
    JsonWriter w(out);
    w.object().key("summary").object();
    w.member("events", t.events).member("bytes", t.bytes).member("seconds", seconds);
    w.member("mb_per_s", seconds > 0 ? static_cast<double>(t.bytes) / 1e6 / seconds : 0.0);
    w.member("findings", scan.findings()).member("rules", static_cast<std::uint64_t>(set.rules.size()));
    w.member("correlations", static_cast<std::uint64_t>(set.correlations.size()));
    w.member("rules_refused", static_cast<std::uint64_t>(set.refused.size()));
    w.member("lines_refused", t.lines_refused).member("lines_repaired", t.repaired).member("header_lines", t.meta);
    w.member("events_without_time", t.without_time).member("files_unreadable", t.files_failed);
    w.key("formats").object();
    for (const auto& [name, n] : t.formats) w.member(name, n);
    w.end().key("refused").array();
    for (const auto& [reason, r] : t.refused) {
      w.object().member("reason", reason).member("lines", r.n).member("first", r.first);
      w.end();
    }
    w.end().key("refused_in").array();
    std::size_t shown = 0;
    for (const auto& [where, r] : t.refused_in) {
      if (++shown > kShownFiles) break;
      w.object()
          .member("file", where.first)
          .member("reason", where.second)
          .member("lines", r.n)
          .member("line", r.line)
          .member("detail", r.detail);
      w.end();
    }
    w.end().member("indicators", static_cast<std::uint64_t>(engine.indicators().snapshot()->size()));
    w.key("indicator_lists").array();
    for (const auto& [path, r] : engine.indicator_reports()) append_json(w, path, r);
    w.end().key("findings_per_indicator_source").object();
    for (const auto& [source, n] : t.per_indicator_source) w.member(source, n);
    w.end().key("allowed").object();
    for (const auto& [list, n] : t.allowed) w.member(list, n);
    w.end().member("indicators_expired", t.expired);
    w.key("findings_per_rule").array();
    for (const auto& [n, i] : per_rule) {
      w.object().member("id", set.rules[i].meta.id).member("title", set.rules[i].meta.title).member("findings", n);
      w.end();
    }
    for (const auto& [i, n] : scan.per_correlation()) {
      w.object()
          .member("id", set.correlations[i].meta.id)
          .member("title", set.correlations[i].meta.title)
          .member("findings", n);
      w.end();
    }
    w.end().key("rules_not_applied").array();
    for (const auto& r : set.refused) {
      w.object()
          .member("file", r.file)
          .member("line", r.line)
          .member("id", r.id)
          .member("title", r.title)
          .member("reason", r.reason);
      w.end();
    }
    w.end();
    w.end().end();
    fmt::print(stderr, "{}\n", out);
    return;
  }
  fmt::print(stderr, "\n{} events, {:.1f} MB in {:.2f} s ({:.1f} MB/s, {:.0f} events/s); {} findings\n", t.events,
             static_cast<double>(t.bytes) / 1e6, seconds, static_cast<double>(t.bytes) / 1e6 / std::max(seconds, 1e-9),
             static_cast<double>(t.events) / std::max(seconds, 1e-9), scan.findings());
  fmt::print(stderr, "formats:");
  for (const auto& [name, n] : t.formats) fmt::print(stderr, " {} {}", name, n);
  fmt::print(stderr, "\n");
  if (t.repaired != 0) fmt::print(stderr, "{} lines were not UTF-8 and were read as Windows-1252\n", t.repaired);
  if (t.without_time != 0) fmt::print(stderr, "{} events have no readable time\n", t.without_time);
  if (t.lines_refused != 0) {
    fmt::print(stderr, "{} lines refused:\n", t.lines_refused);
    for (const auto& [reason, r] : t.refused) fmt::print(stderr, "  {:>8} {}; first {}\n", r.n, reason, r.first);
    if (t.refused_in.size() > t.refused.size()) {
      std::vector<std::pair<std::uint64_t, const std::pair<std::string, std::string>*>> most;
      for (const auto& [where, r] : t.refused_in) most.emplace_back(r.n, &where);
      std::stable_sort(most.begin(), most.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
      fmt::print(stderr, "where most were refused:\n");
      for (std::size_t i = 0; i < std::min<std::size_t>(most.size(), 20); ++i)
        fmt::print(stderr, "  {:>8} {} in {}\n", most[i].first, most[i].second->second, most[i].second->first);
    }
  }
  if (!set.refused.empty()) {
    fmt::print(stderr, "{} rules could not be used (`bavn rules check` lists them all):\n", set.refused.size());
    for (std::size_t i = 0; i < std::min<std::size_t>(set.refused.size(), 10); ++i)
      fmt::print(stderr, "  {}:{}: {}\n", set.refused[i].file, set.refused[i].line, set.refused[i].reason);
  }
  for (const auto& [path, r] : engine.indicator_reports()) {
    fmt::print(stderr, "{}: {} indicators ({})", path, r.loaded, r.format);
    if (r.refused_count() != 0) fmt::print(stderr, ", {} refused", r.refused_count());
    if (r.skipped_count() != 0) fmt::print(stderr, ", {} skipped", r.skipped_count());
    fmt::print(stderr, "\n");
    for (const auto& [reason, x] : r.refused)
      fmt::print(stderr, "  {:>8} {}; first {} '{}'\n", x.count, reason, x.first_where, x.first_value);
  }
  for (const auto& [source, n] : t.per_indicator_source)
    fmt::print(stderr, "  {:>8} findings of indicators of {}\n", n, source);
  for (const auto& [list, n] : t.allowed) fmt::print(stderr, "  {:>8} hits taken back by allow list {}\n", n, list);
  if (!per_rule.empty() || !scan.per_correlation().empty()) fmt::print(stderr, "findings per rule:\n");
  for (std::size_t i = 0; i < std::min<std::size_t>(per_rule.size(), 40); ++i)
    fmt::print(stderr, "  {:>8} {:<13} {}\n", per_rule[i].first,
               sigma::to_string(set.rules[per_rule[i].second].meta.level), set.rules[per_rule[i].second].meta.title);
  for (const auto& [i, n] : scan.per_correlation())
    fmt::print(stderr, "  {:>8} {:<13} {}\n", n, sigma::to_string(set.correlations[i].meta.level),
               set.correlations[i].meta.title);
}

}  // namespace

int scan(const ScanOptions& options) {
  hunt::EngineOptions eo;
  eo.rules = options.rules;
  eo.builtin_rules = options.builtin_rules;
  eo.placeholders_file = options.placeholders;
  eo.rule_cache = options.rule_cache;
  eo.indicators = options.indicators;
  eo.allow = options.allow;
  eo.formats = options.mappings;
  if (!options.min_level.empty()) {
    bool known = false;
    for (int l = 0; l <= static_cast<int>(sigma::Level::critical); ++l)
      if (options.min_level == sigma::to_string(static_cast<sigma::Level>(l))) {
        eo.min_level = static_cast<sigma::Level>(l);
        known = true;
      }
    if (!known) {
      fmt::print(stderr, "--min-level {}: one of informational, low, medium, high, critical is wanted\n",
                 options.min_level);
      return kUsage;
    }
  }
  auto engine = hunt::Engine::open(eo);
  if (!engine) {
    fmt::print(stderr, "{}\n", to_string(engine.error()));
    return kFailed;
  }
  unsigned missing = 0;
  const auto files = files_below(options.files, missing);
  if (files.empty()) {
    fmt::print(stderr, "nothing to read\n");
    return missing != 0 ? kFailed : kUsage;
  }
  Scan scan(options, **engine);
  if (auto ok = scan.format(); !ok) {
    fmt::print(stderr, "{}\n", to_string(ok.error()));
    return kUsage;
  }
  const auto start = std::chrono::steady_clock::now();
  unsigned jobs = options.jobs != 0 ? options.jobs : std::max(1U, std::thread::hardware_concurrency());
  jobs = std::min<unsigned>(jobs, static_cast<unsigned>(files.size()));
  scan.run(files, std::max(1U, jobs));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::fflush(stdout);
  if (!options.quiet) summary(scan, **engine, seconds, options.json);
  if (std::ferror(stdout) != 0) return kFailed;
  return scan.total().files_failed != 0 || missing != 0 ? kPartly : kDone;
}

}  // namespace bavn::app
