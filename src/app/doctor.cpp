// bavn doctor: is the history whole; make its index again, pack, retain, erase.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "base/json_writer.hpp"
#include "hunt/observables.hpp"

namespace bavn::app {

namespace {

struct Done {
  std::vector<std::pair<std::string, std::uint64_t>> counts;  // what was done, in order
  std::vector<history::ErasedFrame> frames;
};

Result<void> treat(const DoctorOptions& options, DataFolder& data, const event::Scope& owner, std::stop_token stop,
                   Done& done) {
  history::History& history = *data.history;
  const auto erased = [&](const history::ErasureReport& r) {
    done.counts.emplace_back("events_erased", r.records_erased);
    done.counts.emplace_back("segments_rewritten", r.segments_rewritten);
    done.counts.emplace_back("keys_deleted", r.keys_deleted);
    done.frames.insert(done.frames.end(), r.frames.begin(), r.frames.end());
  };
  if (!options.erase_source.empty()) {
    history::Source source;
    source.name = options.erase_source;
    source.municipality = MunicipalityId{options.municipality};
    BAVN_TRY(const auto r, history.erase_source(owner, source));
    erased(r);
  }
  if (!options.erase_day.empty()) {
    const auto t = parse_time(options.erase_day);
    if (!t)
      return fail(Code::bad_input, fmt::format("--erase-day '{}': a day like 2024-10-01 is wanted", options.erase_day));
    BAVN_TRY(const auto r, history.erase_day(owner, history::day_of(micros(*t))));
    erased(r);
  }
  if (!options.erase_person.empty()) {
    if (options.erase_person.size() < 4)
      return fail(Code::bad_input,
                  "--erase-person: four characters at least; less would erase what is meant for nobody");
    BAVN_TRY(const auto r, history.erase_person(owner, hunt::erasure_of(*data.engine, options.erase_person)));
    erased(r);
  }
  if (options.retain_days) {
    BAVN_TRY(const auto n, history.retain(owner, *options.retain_days));
    done.counts.emplace_back("segments_dropped", n);
  }
  if (options.cold_pass) {
    BAVN_TRY(const auto n, history.pack(owner, options.cold_days, stop));
    done.counts.emplace_back("segments_packed", n);
  }
  if (options.rebuild_index) {
    BAVN_CHECK(history.rebuild_index(owner));
    done.counts.emplace_back("index_rebuilt", 1);
  }
  return {};
}

void print(const Done& done, const history::CheckReport& check, const history::Stats& s, bool stopped, bool json) {
  const std::uint64_t disk = s.segment_bytes + s.index_bytes;
  if (json) {
    std::string out;
    JsonWriter w(out);
    w.object().member("ok", check.ok() && !stopped).member("stopped", stopped).key("done").object();
    for (const auto& [name, n] : done.counts) w.member(name, n);
    w.end().key("erased_frames").array();
    for (const auto& f : done.frames) {
      w.object()
          .member("before", fmt::format("{}/{}", f.segment, f.frame))
          .member("after", fmt::format("{}/{}", f.new_segment, f.new_frame));
      w.member("events_before", f.records_before).member("events_after", f.records_after);
      w.member("hash_before", f.hash_before).member("hash_after", f.hash_after).end();
    }
    w.end().key("check").object();
    w.member("segments", check.segments).member("frames", check.frames).member("events", check.records);
    w.member("erased_frames", check.erased_frames)
        .member("postings", check.postings)
        .member("problems", check.problem_count)
        .end();
    w.key("problems").array();
    for (const auto& p : check.problems) w.value(p);
    w.end()
        .member("raw_bytes", s.lines_bytes)
        .member("segment_bytes", s.segment_bytes)
        .member("index_bytes", s.index_bytes);
    w.member("keys", s.keys).member("torn_bytes_cut", s.cut_bytes).member("failing", s.failing).end();
    fmt::print("{}\n", out);
    return;
  }
  for (const auto& [name, n] : done.counts) fmt::print("{}: {}\n", name, n);
  for (const auto& f : done.frames)
    fmt::print("  {}/{} -> {}/{}: {} -> {} events, {} -> {}\n", f.segment, f.frame, f.new_segment, f.new_frame,
               f.records_before, f.records_after, f.hash_before, f.hash_after);
  fmt::print("{} events in {} frames of {} segments read; {} postings compared with the index; {} frames are erased\n",
             check.records, check.frames, check.segments, check.postings, check.erased_frames);
  fmt::print("{:.1f} MB raw in {:.1f} MB with the index ({:.1f} %)\n", megabytes(s.lines_bytes), megabytes(disk),
             100.0 * static_cast<double>(disk) / static_cast<double>(std::max<std::uint64_t>(s.lines_bytes, 1)));
  if (s.cut_bytes != 0)
    fmt::print("{} bytes of an unfinished or damaged end of the newest part were cut off\n", s.cut_bytes);
  if (!s.failing.empty()) fmt::print("storing fails now: {}\n", s.failing);
  for (const auto& p : check.problems) fmt::print("PROBLEM {}\n", p);
  if (stopped) fmt::print("stopped: not everything was checked\n");
  else
    fmt::print("{}\n", check.ok() ? "everything is whole"
                                  : fmt::format("{} problems; if they are in the index, --rebuild-index makes it again",
                                                check.problem_count));
}

}  // namespace

int doctor(const DoctorOptions& options) {
  StopOnSignal stop;
  auto data = open_data(options.data, {}, false);
  if (!data) return failed(data.error());
  const event::Scope owner = event::Scope::local_owner();
  Done done;
  if (const auto ok = treat(options, **data, owner, stop.token(), done); !ok) return failed(ok.error());
  const auto check = (*data)->history->check(owner, stop.token());
  if (!check) return failed(check.error());
  const bool stopped = stop.token().stop_requested();
  print(done, *check, (*data)->history->stats(), stopped, options.json);
  return !check->ok() ? kFailed : stopped ? kPartly : kDone;
}

}  // namespace bavn::app
