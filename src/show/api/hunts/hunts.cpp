#include "show/api/hunts/hunts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>

#include "base/hash.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "hunt/hunt.hpp"
#include "hunt/observables.hpp"
#include "show/api/node/words.hpp"
#include "show/api/records/records.hpp"

namespace bavn::show::api {

namespace {

constexpr Setting kSettings[] = {
    {"hunts.hits",
     Unit::none,
     std::int64_t{10'000},
     {100, 100'000},
     "Hits of one hunt that are kept and shown; more stop it: who finds more asks for too much.",
     Restart::yes},
    {"hunts.kept",
     Unit::none,
     std::int64_t{20},
     {1, 200},
     "Hunts that are over and whose hits are still shown; they lie in memory, about 12 MiB each at most.",
     Restart::yes},
    {"hunts.longest",
     Unit::minutes,
     std::int64_t{30},
     {1, 1440},
     "A hunt that has not ended by then is stopped, so that one mistyped question does not keep others waiting.",
     Restart::yes},
    {"hunts.threads",
     Unit::none,
     std::int64_t{1},
     {1, 64},
     "Threads of a hunt; what records come in must not wait for those who search.",
     Restart::yes},
};

std::string random_id(Runtime& runtime) {
  std::array<std::byte, 9> bytes{};
  runtime.random(bytes);
  std::string out = "h-";
  for (const std::byte b : bytes) out += fmt::format("{:02x}", static_cast<unsigned>(b));
  return out;
}

}  // namespace

std::span<const Setting> hunt_settings() {
  return kSettings;
}

HuntLimits HuntLimits::from(const Settings& s) {
  HuntLimits l;
  l.hits = static_cast<std::size_t>(s.integer("hunts.hits"));
  l.kept = static_cast<std::size_t>(s.integer("hunts.kept"));
  l.longest = s.duration("hunts.longest");
  l.jobs = static_cast<unsigned>(s.integer("hunts.threads"));
  return l;
}

std::string_view to_string(HuntKind k) {
  switch (k) {
    case HuntKind::observables: return "observables";
    case HuntKind::text: return "text";
    case HuntKind::rules: return "rules";
    case HuntKind::indicators: return "indicators";
  }
  return "observables";
}

std::string_view to_string(HuntState s) {
  switch (s) {
    case HuntState::waiting: return "waiting";
    case HuntState::running: return "running";
    case HuntState::done: return "done";
    case HuntState::cancelled: return "cancelled";
    case HuntState::failed: return "failed";
    case HuntState::limit: return "limit";
  }
  return "failed";
}

std::string hunt_json(const HuntView& v) {
  std::string out;
  JsonWriter w(out);
  w.object().member("id", v.id).member("state", to_string(v.state)).member("kind", to_string(v.wanted.kind));
  w.member("by", v.by).member("reason", v.wanted.reason);
  w.member("started_at", web::time_text(from_micros(v.started_us)));
  add_time(w, "ended_at", v.ended_us);
  if (v.wanted.from) w.member("from", web::time_text(*v.wanted.from));
  if (v.wanted.until) w.member("until", web::time_text(*v.wanted.until));
  add_text(w, "source", v.wanted.source);
  add_text(w, "format", v.wanted.format);
  add_text(w, "text", v.wanted.text);
  w.key("observables").array();
  for (const auto& o : v.wanted.observables) begin_observable(w, o).member("personal", is_personal(o.kind)).end();
  w.end().member("left_out", static_cast<std::uint64_t>(v.wanted.left_out));
  w.member("frames", v.frames).member("frames_done", v.frames_done).member("records", v.records);
  w.member("hits", v.hits).member("kept", v.kept).member("limit", static_cast<std::uint64_t>(v.wanted.limit));
  if (v.unreadable != 0) w.member("unreadable", v.unreadable);
  if (!v.not_by_index.empty()) {
    w.key("not_by_index").array();
    for (const auto& o : v.not_by_index) w.value(o);
    w.end();
  }
  add_text(w, "trouble", v.trouble);
  w.end();
  return out;
}

std::string hit_json(const HuntHitView& v) {
  std::string out;
  JsonWriter w(out);
  w.object().member("n", v.n).member("record", v.record).member("source", v.source).member("format", v.format);
  add_time(w, "happened_at", v.happened_us);
  w.member("received_at", web::time_text(from_micros(v.received_us)));
  if (v.observable) begin_observable(w.key("observable"), *v.observable).end();
  if (!v.rule_id.empty() || !v.rule_title.empty())
    w.key("rule").object().member("id", v.rule_id).member("title", v.rule_title).member("level", v.rule_level).end();
  w.member("line", v.line);
  if (v.cut) w.member("cut", true);
  w.end();
  return out;
}

struct Hunts::Job {
  explicit Job(event::Scope s) : scope(std::move(s)) {}
  const event::Scope scope;  // of who asked, as it was then
  std::stop_source stop;
  // Below: with Inner::mutex.
  HuntView view;
  std::vector<HuntHitView> hits;
  std::vector<std::shared_ptr<net::EventStream>> followers;
  bool cancelled = false;
  bool forgotten = false;
  std::int64_t told_us = 0;  // progress, last
};

struct Hunts::Inner : std::enable_shared_from_this<Hunts::Inner> {
  Inner(Runtime& r, store::State& s, const history::History& h, EngineNow e, HuntLimits l)
      : runtime(r), state(s), history(h), engine(std::move(e)), limits(l), queue(r.queue({.name = "hunts"})) {}

  Runtime& runtime;
  store::State& state;
  const history::History& history;
  EngineNow engine;
  HuntLimits limits;
  QueueId queue;
  mutable std::mutex mutex;
  std::condition_variable idle;
  std::deque<std::shared_ptr<Job>> jobs;  // newest first
  bool running = false, stopped = false;

  static bool sees(const event::Scope& scope, const Job& job) {
    if (scope.who() == job.scope.who() || scope.sees_all()) return true;
    // A colleague of all the municipalities that were looked at.
    return !job.scope.sees_all() && std::all_of(job.scope.municipalities().begin(), job.scope.municipalities().end(),
                                                [&](MunicipalityId m) { return scope.sees(m); });
  }
  std::shared_ptr<Job> job(const event::Scope& scope, std::string_view id) const {
    for (const auto& j : jobs)
      if (j->view.id == id && sees(scope, *j)) return j;
    return nullptr;
  }

  void tell(Job& j, net::SseEvent event) {
    std::erase_if(j.followers, [&](const auto& f) { return !f->send(event); });
  }
  void tell_progress(Job& j, bool now) {
    constexpr std::int64_t kEvery = 250'000;  // microseconds
    const std::int64_t at = micros(runtime.now());
    if (!now && at - j.told_us < kEvery) return;
    j.told_us = at;
    tell(j, {{}, j.view.over() ? "over" : "progress", hunt_json(j.view)});
  }

  void found(Job& j, HuntHitView hit) {
    const std::lock_guard lock(mutex);
    ++j.view.hits;
    hit.n = j.hits.size() + 1;
    tell(j, {std::to_string(hit.n), "hit", hit_json(hit)});
    j.hits.push_back(std::move(hit));
    j.view.kept = j.hits.size();
  }

  Result<hunt::HuntReport> work(Job& j) {
    const auto e = engine();
    hunt::HuntOptions o;
    if (j.view.wanted.from) o.filter.from_us = micros(*j.view.wanted.from);
    if (j.view.wanted.until) o.filter.until_us = micros(*j.view.wanted.until);
    o.filter.source = j.view.wanted.source;
    o.filter.format = j.view.wanted.format;
    o.limit = j.view.wanted.limit;
    o.jobs = limits.jobs;
    o.stop = j.stop.get_token();
    const Duration begun = runtime.steady();
    o.progress = [&, this](const hunt::HuntProgress& p) {
      const std::lock_guard lock(mutex);
      j.view.frames = p.frames;
      j.view.frames_done = p.frames_done;
      j.view.records = p.records;
      if (runtime.steady() - begun > limits.longest && !j.stop.stop_requested()) {
        j.view.trouble = "it took longer than hunts.longest allows; what was found until then is shown";
        j.stop.request_stop();
      }
      tell_progress(j, false);
    };
    const auto record = [&, this](const hunt::RecordHit& h) {
      HuntHitView v;
      const RecordRef ref{h.frame.segment, h.frame.frame, h.record + 1, hash64(h.line), h.happened_us, h.received_us};
      v.record = ref.text();
      v.source = h.frame.source.name;
      v.format = h.frame.format;
      v.happened_us = h.happened_us;
      v.received_us = h.received_us;
      if (h.observable != nullptr) v.observable = *h.observable;
      v.cut = h.line.size() > limits.line_bytes;
      v.line = shown(h.line, limits.line_bytes);
      found(j, std::move(v));
    };
    const auto finding = [&, this](const event::Finding& f) {
      HuntHitView v;
      const auto parts = split(f.file, '/');
      RecordRef ref;
      if (parts.size() == 2) {
        ref.segment = static_cast<std::uint32_t>(std::strtoul(std::string(parts[0]).c_str(), nullptr, 10));
        ref.frame = static_cast<std::uint32_t>(std::strtoul(std::string(parts[1]).c_str(), nullptr, 10));
      }
      ref.line = static_cast<std::uint32_t>(f.line);
      ref.happened_us = micros(f.happened_at);
      if (const auto opened = open_line(history, j.scope, ref)) {
        ref.hash = hash64(opened->line);
        ref.received_us = opened->received_us;
        v.source = opened->frame.source.name;
        v.received_us = opened->received_us;
        v.cut = opened->line.size() > limits.line_bytes;
        v.line = shown(opened->line, limits.line_bytes);
      }
      v.record = ref.text();
      v.format = f.format;
      v.happened_us = micros(f.happened_at);
      if (f.kind == event::FindingKind::indicator) {
        v.rule_id = "indicators:" + f.indicator_source;
        v.rule_title = f.indicator_kind + " " + f.indicator_value;
        v.rule_level = f.action;
        v.observable = event::canonical(f.indicator_kind, f.indicator_value);
      } else {
        v.rule_id = f.rule_id;
        v.rule_title = f.rule_title;
        v.rule_level = f.rule_level;
      }
      found(j, std::move(v));
    };
    const HuntWanted& wanted = j.view.wanted;  // never changes after the start
    switch (wanted.kind) {
      case HuntKind::observables: return hunt::hunt_observables(*e, history, j.scope, wanted.observables, o, record);
      case HuntKind::text: return hunt::hunt_text(*e, history, j.scope, wanted.text, o, record);
      case HuntKind::rules: return hunt::hunt_rules(*e, runtime, history, j.scope, o, finding);
      case HuntKind::indicators: return hunt::hunt_indicators(*e, runtime, history, j.scope, o, finding);
    }
    return fail(Code::bad_input, "nothing to hunt for");
  }

  void run(const std::shared_ptr<Job>& j) {
    {
      const std::lock_guard lock(mutex);
      if (j->view.over()) return;
      if (j->cancelled || stopped) return over(*j, HuntState::cancelled, {});
      running = true;
      j->view.state = HuntState::running;
      tell_progress(*j, true);
    }
    const auto report = work(*j);
    {
      const std::lock_guard lock(mutex);
      if (!report) {
        over(*j, HuntState::failed, to_string(report.error()));
      } else {
        j->view.records = report->records;
        j->view.unreadable = report->unreadable;
        for (const auto& o : report->not_by_index) j->view.not_by_index.push_back(o.value);
        over(*j,
             j->cancelled                                  ? HuntState::cancelled
             : j->view.hits >= j->view.wanted.limit        ? HuntState::limit
             : report->stopped || !j->view.trouble.empty() ? HuntState::failed
                                                           : HuntState::done,
             j->view.trouble);
      }
    }
    write_end(*j);
    const std::lock_guard lock(mutex);
    running = false;  // stop() waits for this: nothing of ours is used behind it
    idle.notify_all();
  }

  /// With the mutex.
  void over(Job& j, HuntState how, std::string trouble) {
    j.view.state = how;
    j.view.trouble = std::move(trouble);
    j.view.ended_us = micros(runtime.now());
    tell_progress(j, true);
    for (const auto& f : j.followers) f->close();
    j.followers.clear();
    std::size_t kept = 0;
    std::erase_if(jobs, [&](const auto& other) { return other->view.over() && ++kept > limits.kept; });
  }

  void write_end(const Job& j) {
    HuntView v;
    {
      const std::lock_guard lock(mutex);
      v = j.view;
    }
    state.write([v](store::Tx& tx) -> Result<void> {
      std::string detail;
      JsonWriter w(detail);
      w.object().member("state", to_string(v.state)).member("records", v.records).member("hits", v.hits).end();
      BAVN_CHECK(tx.audit({v.by, "hunt.ended", v.id, detail}));
      return tx.emit("hunt.ended", v.id, detail);
    });
  }

  Result<void> write_start(const HuntView& v) const {
    std::map<std::string, std::int64_t> kinds;
    for (const auto& o : v.wanted.observables) ++kinds[std::string(event::to_string(o.kind))];
    std::string detail;
    JsonWriter w(detail);
    w.object().member("kind", to_string(v.wanted.kind)).member("reason", v.wanted.reason).key("observables").object();
    for (const auto& [kind, n] : kinds) w.member(kind, n);
    w.end();
    // What was looked for: the first few. A text may be anything, also a personal number: its hash tells two questions apart.
    constexpr std::size_t kNamed = 20;
    w.key("values").array();
    for (std::size_t i = 0; i < std::min(v.wanted.observables.size(), kNamed); ++i)
      w.value(shown(v.wanted.observables[i].value, 200));
    w.end();
    if (v.wanted.kind == HuntKind::text) w.member("text_hash", fmt::format("{:016x}", hash64(v.wanted.text)));
    if (v.wanted.from) w.member("from", web::time_text(*v.wanted.from));
    if (v.wanted.until) w.member("until", web::time_text(*v.wanted.until));
    w.end();
    return state.write_now([&](store::Tx& tx) { return tx.audit({v.by, "hunt.started", v.id, detail}); });
  }
};

Hunts::Hunts(Runtime& runtime, store::State& state, const history::History& history, EngineNow engine,
             HuntLimits limits)
    : inner_(std::make_shared<Inner>(runtime, state, history, std::move(engine), limits)), limits_(limits) {}

Hunts::~Hunts() {
  stop();
}

void Hunts::stop() {
  std::unique_lock lock(inner_->mutex);
  inner_->stopped = true;
  for (const auto& j : inner_->jobs) {
    j->cancelled = true;
    j->stop.request_stop();
  }
  inner_->idle.wait(lock, [this] { return !inner_->running; });
}

Result<HuntView> Hunts::start(const event::Scope& scope, HuntWanted wanted) {
  if (!scope.may(event::Right::hunt)) return fail(Code::forbidden, scope.who() + " may not hunt");
  if (wanted.from && wanted.until && *wanted.from > *wanted.until)
    return fail(Code::bad_input, "from is later than until", "/from");
  if (wanted.reason.size() > 1000 || !is_valid_utf8(wanted.reason))
    return fail(Code::bad_input, "a reason has at most 1000 bytes", "/reason");
  wanted.reason = trim(wanted.reason);
  if (wanted.kind == HuntKind::observables && wanted.observables.empty())
    return fail(Code::bad_input, "there is nothing in it that can be looked for", "/paste");
  if (wanted.observables.size() > limits_.observables)
    return fail(Code::bad_input, fmt::format("at most {} observables at once", limits_.observables), "/observables");
  if (wanted.kind == HuntKind::text) {
    wanted.text = trim(wanted.text);
    if (wanted.text.size() < 3 || wanted.text.size() > 200 || wanted.text.find('\n') != std::string::npos)
      return fail(Code::bad_input, "a text of 3 to 200 bytes in one line is wanted", "/text");
  }
  const bool personal =
      wanted.kind == HuntKind::text || std::any_of(wanted.observables.begin(), wanted.observables.end(),
                                                   [](const auto& o) { return is_personal(o.kind); });
  if (personal && wanted.reason.empty())
    return fail(Code::bad_input, "who looks for persons says why; it is kept in the audit log", "/reason");
  wanted.limit = std::clamp<std::size_t>(wanted.limit, 1, limits_.hits);
  auto job = std::make_shared<Job>(scope);
  job->view.id = random_id(inner_->runtime);
  job->view.by = scope.who();
  job->view.started_us = micros(inner_->runtime.now());
  job->view.wanted = std::move(wanted);
  const HuntView begun = job->view;
  {
    const std::lock_guard lock(inner_->mutex);
    if (inner_->stopped) return fail(Code::unavailable, "the node is stopping");
    const auto waiting =
        std::count_if(inner_->jobs.begin(), inner_->jobs.end(), [](const auto& j) { return !j->view.over(); });
    if (static_cast<std::size_t>(waiting) > limits_.waiting)
      return fail(Code::conflict, fmt::format("{} hunts are under way; cancel one or wait", waiting));
  }
  BAVN_CHECK(inner_->write_start(begun));
  {
    const std::lock_guard lock(inner_->mutex);
    inner_->jobs.push_front(job);
  }
  const bool posted = inner_->runtime.post(inner_->queue, [inner = inner_, job] { inner->run(job); });
  if (!posted) {
    const std::lock_guard lock(inner_->mutex);
    std::erase(inner_->jobs, job);
    return fail(Code::unavailable, "no hunt can be taken now");
  }
  return begun;
}

std::vector<HuntView> Hunts::list(const event::Scope& scope) const {
  const std::lock_guard lock(inner_->mutex);
  std::vector<HuntView> out;
  for (const auto& j : inner_->jobs)
    if (Inner::sees(scope, *j)) out.push_back(j->view);
  return out;
}

namespace {
Error no_hunt() {
  return {Code::not_found, "there is no such hunt; those that are over are kept for a while only", {}};
}
}  // namespace

Result<HuntView> Hunts::find(const event::Scope& scope, std::string_view id) const {
  const std::lock_guard lock(inner_->mutex);
  const auto j = inner_->job(scope, id);
  if (!j) return std::unexpected(no_hunt());
  return j->view;
}

Result<std::vector<HuntHitView>> Hunts::hits(const event::Scope& scope, std::string_view id, std::uint64_t from,
                                             std::size_t most) const {
  const std::lock_guard lock(inner_->mutex);
  const auto j = inner_->job(scope, id);
  if (!j) return std::unexpected(no_hunt());
  std::vector<HuntHitView> out;
  for (std::size_t i = from == 0 ? 0 : from - 1; i < j->hits.size() && out.size() < most; ++i)
    out.push_back(j->hits[i]);
  return out;
}

Result<void> Hunts::cancel(const event::Scope& scope, std::string_view id) {
  const std::lock_guard lock(inner_->mutex);
  const auto j = inner_->job(scope, id);
  if (!j) return std::unexpected(no_hunt());
  if (j->view.over()) {
    std::erase(inner_->jobs, j);
    return {};
  }
  j->cancelled = true;
  j->stop.request_stop();
  if (j->view.state == HuntState::waiting) inner_->over(*j, HuntState::cancelled, {});
  return {};
}

Result<void> Hunts::follow(const event::Scope& scope, std::string_view id, std::uint64_t after,
                           std::shared_ptr<net::EventStream> stream) {
  constexpr std::size_t kMostFollowers = 20;
  const std::lock_guard lock(inner_->mutex);
  const auto j = inner_->job(scope, id);
  if (!j) return std::unexpected(no_hunt());
  if (j->followers.size() >= kMostFollowers) return fail(Code::unavailable, "too many look at this hunt already");
  for (std::size_t i = after; i < j->hits.size(); ++i)
    if (!stream->send({std::to_string(j->hits[i].n), "hit", hit_json(j->hits[i])})) return {};
  stream->send({{}, j->view.over() ? "over" : "progress", hunt_json(j->view)});
  if (j->view.over()) stream->close();
  else j->followers.push_back(std::move(stream));
  return {};
}

}  // namespace bavn::show::api
