#include "live/pipeline.hpp"

#include <algorithm>
#include <atomic>
#include <boost/describe.hpp>
#include <cstring>
#include <deque>
#include <map>
#include <set>
#include <shared_mutex>
#include <thread>

#include "base/hash.hpp"
#include "base/let_go.hpp"
#include "base/log.hpp"
#include "live/matched.hpp"

namespace bavn::live {

namespace {

constexpr std::int64_t kDay = 24LL * 3600 * 1'000'000;
constexpr std::size_t kCatchUpBytes = 4U << 20U;             // of lines in one unit of the catch-up
constexpr std::size_t kUnitWeight = 10'000;                  // findings and hits in one unit of the state
constexpr Duration kRetry = std::chrono::seconds(1);         // after a failed write of the state
constexpr Duration kQuiet = std::chrono::milliseconds(500);  // between units that only move the cursor
constexpr std::string_view kCorrelationsMagic = "BVCORR1\n", kFactsMagic = "BVFACTS1";

struct Cursor {
  std::uint32_t segment = 0, frame = 0;
  bool none = true;  // before everything
  bool covers(std::uint32_t s, std::uint32_t f) const { return !none && std::pair(s, f) <= std::pair(segment, frame); }
  void move(std::uint32_t s, std::uint32_t f) {
    segment = s;
    frame = f;
    none = false;
  }
  friend bool operator==(const Cursor& a, const Cursor& b) {
    return a.none == b.none && (a.none || std::pair(a.segment, a.frame) == std::pair(b.segment, b.frame));
  }
};
Cursor earlier(const Cursor& a, const Cursor& b) {
  return a.none || (!b.none && b.covers(a.segment, a.frame)) ? a : b;
}

struct CursorRow {
  std::uint32_t segment = 0, frame = 0;
};
BOOST_DESCRIBE_STRUCT(CursorRow, (), (segment, frame))

struct SourceKey {
  std::string source;
  MunicipalityId municipality{};
  TenantId tenant{};
  friend auto operator<=>(const SourceKey&, const SourceKey&) = default;
};

/// What a source gave since the last unit.
struct Counts {
  std::uint64_t records = 0, bytes = 0, refused = 0, duplicates = 0;
  std::int64_t last_at_us = 0, newest_happened_us = 0;
  std::int64_t newest_came_us = 0;  // when records with a time came last; 0: none did
  std::map<std::string, input::Refused> reasons;
  std::map<std::int64_t, std::array<std::uint64_t, 3>> days;  // received day: records, bytes, refused
};

/// One transaction of the state: findings, counts, cursor.
struct Taken {
  Cursor cursor;
  std::vector<alerts::Found> found;
  std::map<SourceKey, Counts> sources;
  std::map<std::int64_t, std::uint64_t> happened_days;
  std::uint64_t weight = 0, correlated = 0;
  store::Unit noticed;  // what the watcher made of facts
};

Result<void> write_counts(store::Tx& tx, const SourceKey& key, const Counts& c) {
  // The lag is that of the newest record there ever was, when something came last: what comes late beside it does not set it back.
  BAVN_CHECK(
      tx.exec("INSERT INTO live_source (source, municipality, tenant, first_at_us, last_at_us, newest_happened_us, "
              "lag_us, records, bytes, "
              "refused, duplicates) VALUES (:source, :m, :t, :at, :at, :newest, CASE WHEN :came > 0 THEN :came - "
              ":newest ELSE -1 END, :records, :bytes, :refused, "
              ":duplicates) ON CONFLICT "
              "(source, municipality, tenant) DO UPDATE SET last_at_us = max(last_at_us, :at), newest_happened_us = "
              "max(min(newest_happened_us, :at), :newest), lag_us = CASE WHEN :came > 0 THEN max(0, :came - "
              "max(min(newest_happened_us, :at), :newest)) ELSE lag_us END, records = "
              "records + :records, "
              "bytes = bytes + :bytes, refused = refused + :refused, duplicates = duplicates + :duplicates",
              {{"source", key.source},
               {"m", key.municipality},
               {"t", key.tenant},
               {"at", c.last_at_us},
               {"newest", c.newest_happened_us},
               {"came", c.newest_came_us},
               {"records", static_cast<std::int64_t>(c.records)},
               {"bytes", static_cast<std::int64_t>(c.bytes)},
               {"refused", static_cast<std::int64_t>(c.refused)},
               {"duplicates", static_cast<std::int64_t>(c.duplicates)}}));
  for (const auto& [day, n] : c.days)
    BAVN_CHECK(tx.exec(
        "INSERT INTO live_source_day (source, municipality, tenant, day, records, bytes, refused) VALUES (:source, :m, "
        ":t, :day, :records, :bytes, :refused) ON CONFLICT (source, municipality, tenant, day) DO UPDATE SET records = "
        "records + :records, bytes = bytes + :bytes, refused = refused + :refused",
        {{"source", key.source},
         {"m", key.municipality},
         {"t", key.tenant},
         {"day", day},
         {"records", static_cast<std::int64_t>(n[0])},
         {"bytes", static_cast<std::int64_t>(n[1])},
         {"refused", static_cast<std::int64_t>(n[2])}}));
  for (const auto& [reason, r] : c.reasons)
    BAVN_CHECK(tx.exec(
        "INSERT INTO live_refused (source, municipality, tenant, reason, count, first, first_at_us, last_at_us) VALUES "
        "(:source, :m, :t, :reason, :count, :first, :at, :at) ON CONFLICT (source, municipality, tenant, reason) DO "
        "UPDATE SET count = count + :count, last_at_us = :at",
        {{"source", key.source},
         {"m", key.municipality},
         {"t", key.tenant},
         {"reason", reason},
         {"count", static_cast<std::int64_t>(r.count)},
         {"first", r.first},
         {"at", c.last_at_us}}));
  return {};
}

std::vector<alerts::RuleInfo> rules_of(const hunt::Engine& engine) {
  std::vector<alerts::RuleInfo> out;
  const auto add = [&](const sigma::Meta& m, event::FindingKind kind) {
    if (m.level < engine.min_level()) return;
    event::Finding f;
    f.kind = kind;
    f.rule_id = m.id;
    f.rule_title = m.title;
    out.push_back({alerts::rule_of(f), m.title, std::string(sigma::to_string(m.level))});
  };
  for (const sigma::Rule& r : engine.rules().rules)
    if (r.reports) add(r.meta, event::FindingKind::sigma);
  for (const sigma::Correlation& c : engine.rules().correlations)
    if (c.reports) add(c.meta, event::FindingKind::correlation);
  return out;
}

constexpr Setting kSettings[] = {
    {"live.queue_bytes",
     Unit::bytes,
     std::int64_t{64} << 20,
     {1 << 20, 1 << 30},
     "Deliveries that may wait to be read and stored; beyond it senders are told to come back.",
     Restart::yes},
    {"live.workers",
     Unit::none,
     std::int64_t{0},
     {0, 256},
     "Threads that read and match; 0: one per core.",
     Restart::yes},
    {"live.waiting_findings",
     Unit::none,
     std::int64_t{10'000},
     {100, 1'000'000},
     "Findings that may wait for the state; beyond it they are made again from history later.",
     Restart::yes},
    {"live.correlation_bytes",
     Unit::bytes,
     std::int64_t{64} << 20,
     {1 << 20, 1 << 30},
     "Memory of correlations; the longest unused group goes first, and is counted.",
     Restart::yes},
    {"intake.record_ids",
     Unit::none,
     std::int64_t{1'000'000},
     {1000, 100'000'000},
     "Ids of records that shippers sent with them are known for a day, or until there are so many: within that, what "
     "is "
     "sent twice is stored once. A million take 50 MB.",
     Restart::yes},
    {"intake.elastic_version",
     Unit::none,
     std::string_view("8.11.0"),
     {1, 40},
     "Version that shippers for Elasticsearch are told; Beats refuse one older than themselves.",
     Restart::yes},
    {"intake.hec_query_token",
     Unit::none,
     false,
     {0, 1},
     "May senders to the Splunk collector put their token into the query? It would stand in logs on the way.",
     Restart::yes},
};

}  // namespace

std::span<const Setting> settings() {
  return kSettings;
}

Options Options::from(const Settings& s, std::string folder) {
  Options o;
  o.folder = std::move(folder);
  o.queue_bytes = static_cast<std::size_t>(s.integer("live.queue_bytes"));
  o.workers = static_cast<unsigned>(s.integer("live.workers"));
  if (o.workers == 0) o.workers = std::max(1U, std::thread::hardware_concurrency());
  o.waiting_findings = static_cast<std::size_t>(s.integer("live.waiting_findings"));
  o.correlation_bytes = static_cast<std::size_t>(s.integer("live.correlation_bytes"));
  return o;
}

Options Options::guest_profile(std::string folder) {
  Options o;
  o.folder = std::move(folder);
  o.queue_bytes = 16U << 20U;
  o.group_bytes = 1U << 20U;
  o.correlation_bytes = 8U << 20U;
  o.rebuild_bytes = 64U << 20U;
  o.guest = true;
  return o;
}

struct Pipeline::Inner : std::enable_shared_from_this<Pipeline::Inner> {
  /// Read, matched and compressed: waits to be written.
  struct Job {
    std::vector<std::unique_ptr<Piece>> pieces;
    std::vector<history::Prepared> prepared;
    input::Receipt receipt;
    SourceKey from;
    std::size_t budget = 0, lines = 0;
    std::move_only_function<void(Result<input::Receipt>)> done;
  };

  Inner(Runtime& r, store::State& s, const alerts::AlertBook& b, Options o)
      : runtime(r), state(s), book(b), options(std::move(o)) {}

  Result<void> open();
  void close();

  // ---- workers and journal
  void deliver(input::Delivery d, std::move_only_function<void(Result<input::Receipt>)> done);
  void read(input::Delivery d, std::size_t budget, std::move_only_function<void(Result<input::Receipt>)> done);
  void write_journal();
  void write_group(std::vector<Job> jobs);
  void answer(Job& job, Result<input::Receipt> receipt);
  void count(const SourceKey& from, const input::Receipt& receipt);

  // ---- findings, on one queue
  void wake_composer();
  void compose();
  void catch_up();
  Result<bool> next_refs();
  void correlate(MatchedFrame& frame, Taken& unit);
  void watch(MatchedFrame& frame);
  bool wanted(const history::FrameRef& ref) const;
  void add(MatchedFrame& frame, Taken& unit);
  void send(std::shared_ptr<Taken> unit);
  void sent(const std::shared_ptr<Taken>& unit, const Result<void>& ok);
  void take_engine(const std::shared_ptr<Loaded>& now);

  // ---- the state of correlations and facts
  bool correlates() const { return !matching->engine->rules().correlations.empty(); }
  Result<void> load_state();
  Result<void> save_state();
  bool load_file(const std::string& name, std::string_view magic, Cursor& cursor,
                 const std::function<Result<void>(std::string_view)>& load) const;
  Result<void> save_file(const std::string& name, std::string_view magic, std::string_view state);
  Result<Cursor> start_of_rebuild(std::int64_t since, bool only_facts) const;

  // ---- rates of new rules
  void measure();
  void measure_step();

  std::shared_ptr<Loaded> loaded_now() const {
    const std::lock_guard lock(loaded_mutex);
    return loaded;
  }
  /// Runs f on the queue while this lives; what stands in f's captures goes when it does not.
  template <class F>
  bool post(QueueId queue, F f) {
    return runtime.post(queue, [self = shared_from_this(), f = std::move(f)]() mutable {
      const std::shared_lock alive(self->gate);
      if (!self->closing) f(*self);
    });
  }
  template <class F>
  void after(Duration delay, QueueId queue, F f) {
    runtime.after(delay, queue, [weak = weak_from_this(), f = std::move(f)]() mutable {
      const auto self = weak.lock();
      if (!self) return;
      const std::shared_lock alive(self->gate);
      if (!self->closing) f(*self);
    });
  }

  Runtime& runtime;
  store::State& state;
  const alerts::AlertBook book;
  const Options options;
  const event::Scope scope = event::Scope::local_owner();
  std::shared_mutex gate;  // shared by running tasks; the destructor takes it alone
  std::atomic<bool> closing{false};
  QueueId work_queue{}, journal_queue{}, compose_queue{}, measure_queue{};

  mutable std::mutex loaded_mutex;
  std::shared_ptr<Loaded> loaded;
  std::unique_ptr<history::History> history;

  std::atomic<std::size_t> waiting_bytes{0};
  std::atomic<std::uint64_t> deliveries{0}, refused_full{0}, failed{0}, duplicates{0}, records{0}, refused_records{0},
      bytes_taken{0}, findings{0}, correlated{0}, facts{0}, again{0}, unreadable{0};

  std::mutex journal_mutex;
  std::deque<Job> journal;
  bool journal_runs = false;

  mutable std::mutex mutex;  // of what follows
  std::deque<MatchedFrame> waiting;
  std::size_t waiting_weight = 0;
  std::map<SourceKey, Counts> counts;
  bool behind = true;
  Cursor appended;  // of the last frame acknowledged by the journal in this life
  bool composer_posted = false, in_flight = false, timer_set = false;
  std::string append_failing, state_failing;

  // The composer's own (its queue runs one task at a time).
  std::shared_ptr<Loaded> matching;
  std::unique_ptr<sigma::CorrelationEngine> correlations;
  notice::FactJoiner joiner;
  std::vector<event::Fact> facts_now;     // of the frame that is fed
  Cursor fed;                             // frames that are in a unit sent or being made
  Cursor stored;                          // matched_to, committed
  Cursor correlated_to, watched_to;       // what the saved states had seen
  std::deque<history::FrameRef> backlog;  // found behind `fed`, not yet read
  Duration last_sent{0}, last_saved{0};

  Cursor measure_until;  // new rules are tried on frames up to here; the composer's

  // The measuring queue's own.
  std::vector<std::string> measured_rules;
  std::deque<history::FrameRef> measured_refs;
  std::map<std::pair<std::string, std::int64_t>, std::pair<std::uint64_t, std::set<std::string>>> measured_days;
  std::atomic<bool> measuring{false};
};

// ---- life --------------------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Pipeline>> Pipeline::open(Runtime& runtime, store::State& state, const alerts::AlertBook& book,
                                                 Options options) {
  auto inner = std::make_shared<Inner>(runtime, state, book, std::move(options));
  BAVN_CHECK(inner->open());
  return std::unique_ptr<Pipeline>(new Pipeline(std::move(inner)));
}

Pipeline::Pipeline(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}

Pipeline::~Pipeline() {
  inner_->close();
}

Result<void> Pipeline::Inner::open() {
  hunt::EngineOptions with = options.engine;
  with.facts = with.facts || options.watcher != nullptr;
  BAVN_TRY(auto engine, hunt::Engine::open(with));
  loaded = std::make_shared<Loaded>(std::shared_ptr<hunt::Engine>(std::move(engine)), 1, options.watcher != nullptr);
  matching = loaded;
  history::Options ho;
  // Asked when the index is made again, of whatever engine is in use then.
  const history::Extract extract = [this](const history::FrameInfo& info, std::string_view context,
                                          std::string_view lines, std::vector<history::Posting>& out) {
    const auto now = loaded_now();
    hunt::extract_with (*now->engine)(info, context, lines, out);
  };
  if (options.guest) ho = history::Options::guest(extract);
  else ho.extract = extract;
  if (options.tune_history) options.tune_history(ho);
  BAVN_TRY(history, history::History::open(runtime, options.folder + "/history", std::move(ho)));
  BAVN_TRY(auto row, state.read([](store::Reader& db) {
    return db.one<CursorRow>("SELECT segment, frame FROM live_cursor WHERE id = 1");
  }));
  if (row) stored.move(row->segment, row->frame);
  measure_until = stored;
  const auto rules = rules_of(*loaded->engine);
  BAVN_CHECK(state.write_now([&](store::Tx& tx) { return book.rules_loaded(tx, rules); }));
  BAVN_CHECK(load_state());
  work_queue = runtime.queue({.name = "live-work", .threads = std::max(1U, options.workers), .limit = 100'000});
  journal_queue = runtime.queue({.name = "live-journal", .threads = 1, .limit = 100'000});
  compose_queue = runtime.queue({.name = "live-alerts", .threads = 1, .limit = 100'000});
  measure_queue = runtime.queue({.name = "live-rates", .threads = 1, .limit = 1000});
  last_saved = runtime.steady();
  wake_composer();
  return {};
}

void Pipeline::Inner::close() {
  closing = true;
  std::deque<Job> left;
  {
    const std::unique_lock alone(gate);
    const std::lock_guard lock(journal_mutex);
    left.swap(journal);
  }
  for (Job& j : left) j.done(fail(Code::unavailable, "the node is stopping"));
  if (history != nullptr && !in_flight) {
    if (auto ok = save_state(); !ok) log::warn("state_not_saved", {{"reason", to_string(ok.error())}});
  }
  left.clear();
  backlog.clear();
  measured_refs.clear();
  history.reset();
}

// ---- deliveries --------------------------------------------------------------------------------------------------------------

bool Pipeline::has_room(std::size_t bytes) const {
  const std::size_t now = inner_->waiting_bytes;
  return now == 0 || now + bytes <= inner_->options.queue_bytes;
}

void Pipeline::deliver(input::Delivery delivery, std::move_only_function<void(Result<input::Receipt>)> done) {
  inner_->deliver(std::move(delivery), std::move(done));
}

void Pipeline::Inner::deliver(input::Delivery d, std::move_only_function<void(Result<input::Receipt>)> done) {
  ++deliveries;
  const std::size_t budget = d.bytes.size() + d.context.size() + 512;
  std::size_t now = waiting_bytes.load();
  do {
    if (now != 0 && now + budget > options.queue_bytes) {
      ++refused_full;
      return done(fail(Code::unavailable, "the intake is full; send it again in a second", d.source));
    }
  } while (!waiting_bytes.compare_exchange_weak(now, now + budget));
  struct Waiting {
    input::Delivery d;
    std::move_only_function<void(Result<input::Receipt>)> done;
    ~Waiting() {  // the runtime stopped, or this did
      if (done) done(fail(Code::unavailable, "the node is stopping or has too many deliveries; send it again"));
    }
  };
  auto waits = std::make_unique<Waiting>(std::move(d), std::move(done));
  const bool posted = post(work_queue, [budget, w = std::move(waits)](Inner& self) mutable {
    self.read(std::move(w->d), budget, std::exchange(w->done, nullptr));
  });
  if (!posted) waiting_bytes -= budget;  // the task is gone and has answered
}

void Pipeline::Inner::read(input::Delivery d, std::size_t budget,
                           std::move_only_function<void(Result<input::Receipt>)> done) {
  Job job;
  job.from = {d.source, d.municipality, d.tenant};
  job.budget = budget;
  job.done = std::move(done);
  const auto now = loaded_now();
  {
    auto desk = now->desk();
    auto read = desk->read(d, options.frame_bytes, runtime.now());
    if (!read) return answer(job, std::unexpected(read.error()));
    job.pieces = std::move(read->pieces);
    job.receipt = std::move(read->receipt);
  }
  let_go(d.bytes);
  for (auto& p : job.pieces) {
    history::Batch b;
    b.source = p->matched.source;  // stays where it is when the job moves
    b.municipality = d.municipality;
    b.tenant = d.tenant;
    b.format = p->format_name;
    b.context = p->context;
    b.id = p->id;
    b.lines = p->lines;
    b.count = static_cast<std::uint32_t>(p->happened_us.size());
    b.happened_us = p->happened_us;
    b.postings = p->postings;
    auto prepared = history->prepare(scope, b);
    if (!prepared) return answer(job, std::unexpected(prepared.error()));
    p->matched.received_us = prepared->received_us();
    p->matched.max_happened_us = prepared->max_happened_us();
    job.lines += p->lines.size();
    job.prepared.push_back(std::move(*prepared));
    let_go(p->lines);
    let_go(p->postings);
  }
  if (job.pieces.empty()) {
    auto receipt = job.receipt;
    return answer(job, std::move(receipt));
  }
  const std::lock_guard lock(journal_mutex);
  journal.push_back(std::move(job));
  if (!journal_runs) journal_runs = post(journal_queue, [](Inner& self) { self.write_journal(); });
  if (!journal_runs) {  // stopping: nothing of it was kept
    Job back = std::move(journal.back());
    journal.pop_back();
    back.done(fail(Code::unavailable, "the node is stopping"));
  }
}

void Pipeline::Inner::write_journal() {
  for (;;) {
    std::vector<Job> group;
    {
      const std::lock_guard lock(journal_mutex);
      if (closing) return;  // close() answers what waits
      for (std::size_t lines = 0; !journal.empty() && (group.empty() || lines < options.group_bytes);) {
        lines += journal.front().lines;
        group.push_back(std::move(journal.front()));
        journal.pop_front();
      }
      if (group.empty()) {
        journal_runs = false;
        return;
      }
    }
    write_group(std::move(group));
  }
}

void Pipeline::Inner::write_group(std::vector<Job> jobs) {
  std::vector<history::Prepared> all;
  for (Job& j : jobs)
    for (history::Prepared& p : j.prepared) all.push_back(std::move(p));
  const auto acks = history->append(all);
  {
    const std::lock_guard lock(mutex);
    append_failing = acks ? std::string() : to_string(acks.error());
  }
  if (!acks) {
    for (Job& j : jobs) answer(j, std::unexpected(acks.error()));
    return;
  }
  all.clear();
  std::size_t next = 0;
  std::vector<MatchedFrame> frames;
  for (Job& j : jobs) {
    std::uint64_t doubled = 0;
    for (auto& p : j.pieces) {
      const history::Ack& ack = (*acks)[next++];
      if (ack.duplicate) {
        doubled += p->happened_us.size();
        continue;
      }
      p->matched.segment = ack.segment;
      p->matched.frame = ack.frame;
      p->matched.settle();
      frames.push_back(std::move(p->matched));
    }
    duplicates += doubled;
    j.receipt.duplicate = doubled != 0 && doubled == j.receipt.accepted;
    if (doubled != 0) {
      const std::lock_guard lock(mutex);
      counts[j.from].duplicates += doubled;
    }
    auto receipt = j.receipt;
    answer(j, std::move(receipt));
  }
  {
    const std::lock_guard lock(mutex);
    for (MatchedFrame& f : frames) {
      appended.move(f.segment, f.frame);
      if (behind) continue;
      waiting_weight += f.weight();
      waiting.push_back(std::move(f));
    }
    if (!behind && waiting_weight > options.waiting_findings) {
      // The cursor stays where it is; what lies behind it is matched again from history.
      behind = true;
      waiting.clear();
      waiting_weight = 0;
    }
  }
  wake_composer();
}

void Pipeline::Inner::answer(Job& job, Result<input::Receipt> receipt) {
  job.pieces.clear();
  job.prepared.clear();
  if (receipt) {
    records += receipt->duplicate ? 0 : receipt->accepted;
    refused_records += receipt->refused;
    count(job.from, *receipt);
  } else {
    ++failed;
  }
  waiting_bytes -= job.budget;
  job.done(std::move(receipt));
}

/// Everything but records and bytes: those are counted with their frames.
void Pipeline::Inner::count(const SourceKey& from, const input::Receipt& receipt) {
  const std::int64_t now = micros(runtime.now());
  {
    const std::lock_guard lock(mutex);
    Counts& c = counts[from];
    c.last_at_us = std::max(c.last_at_us, now);
    c.refused += receipt.refused;
    if (receipt.refused != 0) c.days[now / kDay][2] += receipt.refused;
    for (const auto& [reason, r] : receipt.reasons) {
      input::Refused& to = c.reasons[reason];
      if (to.count == 0) to.first = r.first.substr(0, 500);
      to.count += r.count;
    }
    if (receipt.newest_happened != Instant{} && !receipt.duplicate) {
      // A record from the future is one of now, or every later lag would be hidden by it.
      c.newest_happened_us = std::max(c.newest_happened_us, std::min(now, micros(receipt.newest_happened)));
      c.newest_came_us = now;
    }
  }
  if (receipt.accepted == 0) wake_composer();
}

// ---- findings ----------------------------------------------------------------------------------------------------------------

void Pipeline::Inner::wake_composer() {
  const std::lock_guard lock(mutex);
  if (composer_posted || in_flight) return;
  composer_posted = post(compose_queue, [](Inner& self) { self.compose(); });
}

void Pipeline::Inner::compose() {
  auto unit = std::make_shared<Taken>();
  const auto now = loaded_now();
  bool must_catch_up = false;
  std::vector<MatchedFrame> frames;
  {
    const std::lock_guard lock(mutex);
    composer_posted = false;
    if (in_flight) return;
    if (!behind && std::any_of(waiting.begin(), waiting.end(),
                               [&](const MatchedFrame& f) { return f.generation != now->generation; })) {
      behind = true;  // matched by rules that are gone: once more with those of now
      waiting.clear();
      waiting_weight = 0;
    }
    must_catch_up = behind;
    if (!must_catch_up) {
      const bool quiet = std::all_of(waiting.begin(), waiting.end(),
                                     [](const MatchedFrame& f) { return f.found.empty() && f.hits.empty(); });
      const Duration since = runtime.steady() - last_sent;
      if (quiet && since < kQuiet && waiting_weight < options.waiting_findings / 4) {
        if (!timer_set && (!waiting.empty() || !counts.empty())) {
          timer_set = true;
          after(kQuiet - since, compose_queue, [](Inner& self) {
            {
              const std::lock_guard inner_lock(self.mutex);
              self.timer_set = false;
            }
            self.compose();
          });
        }
        return;
      }
      std::size_t weight = 0;
      while (!waiting.empty() && (frames.empty() || weight < kUnitWeight)) {
        MatchedFrame& next = waiting.front();
        weight += next.weight();
        // A frame is in the history a moment before it waits here: who caught up in between has fed it already.
        if (!fed.covers(next.segment, next.frame)) frames.push_back(std::move(next));
        waiting.pop_front();
      }
      waiting_weight -= weight;
      unit->sources.swap(counts);
    }
  }
  take_engine(now);
  if (must_catch_up) return catch_up();
  if (frames.empty() && unit->sources.empty()) return;
  for (MatchedFrame& f : frames) add(f, *unit);
  if (options.watcher != nullptr) unit->noticed = options.watcher->take();
  send(std::move(unit));
}

/// The rules changed: groups of correlations that stayed the same are kept.
void Pipeline::Inner::take_engine(const std::shared_ptr<Loaded>& now) {
  if (matching == now) return;
  std::string bytes;
  sigma::CorrelationOptions co;
  co.max_memory = options.correlation_bytes;
  auto fresh = std::make_unique<sigma::CorrelationEngine>(now->engine->rules(), co);
  if (correlations && correlations->save(bytes))
    if (auto ok = fresh->load(bytes); !ok)
      log::warn("correlations_not_taken_over", {{"reason", to_string(ok.error())}});
  correlations = std::move(fresh);
  matching = now;
  measure_until = fed;  // what comes after is counted as it is matched
  auto rules = std::make_shared<std::vector<alerts::RuleInfo>>(rules_of(*now->engine));
  state.write([rules, b = book](store::Tx& tx) { return b.rules_loaded(tx, *rules); },
              [weak = weak_from_this()](Result<void> ok) {
                const auto self = weak.lock();
                if (!ok) log::error("rules_not_written", {{"reason", to_string(ok.error())}});
                if (ok && self) (void)self->post(self->compose_queue, [](Inner& i) { i.measure(); });
              });
}

void Pipeline::Inner::add(MatchedFrame& f, Taken& unit) {
  const SourceKey key{f.source, f.municipality, f.tenant};
  if (!stored.covers(f.segment, f.frame)) {
    Counts& c = unit.sources[key];
    c.records += f.records;
    c.bytes += f.bytes;
    c.last_at_us = std::max(c.last_at_us, f.received_us);
    auto& day = c.days[f.received_us / kDay];
    day[0] += f.records;
    day[1] += f.bytes;
    unit.happened_days[f.max_happened_us / kDay] += f.records;
    bytes_taken += f.bytes;
  }
  correlate(f, unit);
  watch(f);
  if (!stored.covers(f.segment, f.frame))
    unit.found.insert(unit.found.end(), std::make_move_iterator(f.found.begin()),
                      std::make_move_iterator(f.found.end()));
  fed.move(f.segment, f.frame);
  if (!stored.covers(f.segment, f.frame)) unit.cursor = fed;
}

/// Frames come in journal order in every life, and event time is moved by what they hold, so that the same findings come out.
void Pipeline::Inner::correlate(MatchedFrame& f, Taken& unit) {
  if (!correlates() || correlated_to.covers(f.segment, f.frame)) return;
  const bool known = stored.covers(f.segment, f.frame);  // its findings are in the alerts already
  const auto take = [&](const sigma::CorrelationFinding& found) {
    const sigma::Correlation& c = matching->engine->rules().correlations[found.correlation];
    if (known || !c.reports || c.meta.level < matching->engine->min_level()) return;
    alerts::Found out = found_of(matching->engine->rules(), found, f);
    ++unit.correlated;
    unit.found.push_back(std::move(out));
  };
  correlations->clock(from_micros(f.received_us));
  for (sigma::Hit& h : f.hits) correlations->on_hit(std::move(h), take);
  correlations->advance(HappenedAt{from_micros(std::min(f.max_happened_us, f.received_us))}, take);
}

void Pipeline::Inner::watch(MatchedFrame& f) {
  if (f.facts.empty() || watched_to.covers(f.segment, f.frame)) return;
  facts_now.clear();
  joiner.feed(std::move(f.facts), from_micros(f.received_us), facts_now);
  if (facts_now.empty()) return;
  facts += facts_now.size();
  options.watcher->feed(facts_now, from_micros(f.received_us), stored.covers(f.segment, f.frame));
}

/// Is anything to be made of a frame again?
bool Pipeline::Inner::wanted(const history::FrameRef& ref) const {
  const auto [segment, frame] = std::pair(ref.info.segment, ref.info.frame);
  return !stored.covers(segment, frame) || (correlates() && !correlated_to.covers(segment, frame)) ||
         (options.watcher != nullptr && !watched_to.covers(segment, frame) && matching->reads_facts(ref.info.format));
}

void Pipeline::Inner::send(std::shared_ptr<Taken> unit) {
  unit->weight = 0;
  for (const alerts::Found& f : unit->found) unit->weight += f.count;
  {
    const std::lock_guard lock(mutex);
    in_flight = true;
  }
  last_sent = runtime.steady();
  state.write(
      [unit, b = book](store::Tx& tx) -> Result<void> {
        BAVN_CHECK(b.record(tx, unit->found));
        if (unit->noticed) BAVN_CHECK(unit->noticed(tx));
        for (const auto& [day, n] : unit->happened_days) BAVN_CHECK(b.seen_records(tx, day, n));
        for (const auto& [key, c] : unit->sources) BAVN_CHECK(write_counts(tx, key, c));
        if (!unit->cursor.none)
          BAVN_CHECK(tx.exec(
              "INSERT INTO live_cursor (id, segment, frame) VALUES (1, :segment, :frame) ON CONFLICT (id) DO UPDATE "
              "SET segment = :segment, frame = :frame",
              {{"segment", unit->cursor.segment}, {"frame", unit->cursor.frame}}));
        return {};
      },
      [weak = weak_from_this(), unit](Result<void> ok) {
        const auto self = weak.lock();
        if (!self) return;
        (void)self->post(self->compose_queue, [unit, ok = std::move(ok)](Inner& inner) { inner.sent(unit, ok); });
      });
}

void Pipeline::Inner::sent(const std::shared_ptr<Taken>& unit, const Result<void>& ok) {
  if (!ok) {
    {
      const std::lock_guard lock(mutex);
      if (state_failing.empty()) log::error("alerts_not_written", {{"reason", to_string(ok.error())}});
      state_failing = to_string(ok.error());
    }
    // The unit is kept and tried again; what comes meanwhile waits, and beyond the limit is made again from history.
    return after(kRetry, compose_queue, [unit](Inner& self) { self.send(unit); });
  }
  findings += unit->weight;
  correlated += unit->correlated;
  if (!unit->cursor.none) stored = unit->cursor;
  {
    const std::lock_guard lock(mutex);
    state_failing.clear();
    in_flight = false;
  }
  if (runtime.steady() - last_saved > options.save_every) {
    if (auto saved = save_state(); !saved) log::warn("state_not_saved", {{"reason", to_string(saved.error())}});
    last_saved = runtime.steady();
  }
  compose();
}

// ---- catching up -------------------------------------------------------------------------------------------------------------

/// Fills backlog with the frames behind `fed`. False: there are none.
Result<bool> Pipeline::Inner::next_refs() {
  auto segments = history->segments(scope);
  std::erase_if(segments, [&](const history::SegmentInfo& s) {
    // What the cold pass or an erasure wrote anew was matched long before.
    return s.packed || (!fed.none && s.segment < fed.segment);
  });
  std::sort(segments.begin(), segments.end(), [](const auto& a, const auto& b) { return a.segment < b.segment; });
  for (const history::SegmentInfo& s : segments) {
    BAVN_TRY(auto found, history->frames(scope, s, {}));
    for (history::FrameRef& r : found)
      if (!fed.covers(r.info.segment, r.info.frame) && wanted(r)) backlog.push_back(std::move(r));
    if (!backlog.empty()) return true;
  }
  return false;
}

void Pipeline::Inner::catch_up() {
  if (backlog.empty()) {
    Cursor last;
    {
      const std::lock_guard lock(mutex);
      last = appended;
    }
    const auto more = next_refs();
    if (!more) {
      log::error("catch_up_failed", {{"reason", to_string(more.error())}});
      return after(kRetry, compose_queue, [](Inner& self) { self.compose(); });
    }
    if (!*more) {
      {
        const std::lock_guard lock(mutex);
        if (!stored.none && !fed.covers(stored.segment, stored.frame))
          fed = stored;  // nobody wanted the rest of it again
        // What was acknowledged before we looked and is not there was erased meanwhile.
        if (!last.none && !fed.covers(last.segment, last.frame)) fed = last;
        if (!appended.none && !fed.covers(appended.segment, appended.frame)) {
          composer_posted = post(compose_queue, [](Inner& self) { self.compose(); });
          return;
        }
        behind = false;
      }
      measure();
      wake_composer();
      return;
    }
  }
  auto unit = std::make_shared<Taken>();
  std::size_t lines = 0, weight = 0;
  history::FrameText text;
  auto desk = matching->desk();
  while (!backlog.empty() && lines < kCatchUpBytes && weight < kUnitWeight) {
    const history::FrameRef ref = std::move(backlog.front());
    backlog.pop_front();
    MatchedFrame frame;
    if (auto ok = history->read(scope, ref, text); !ok) {
      if (ok.error().code == Code::unavailable) {  // a failing disk: later
        log::error("catch_up_failed", {{"reason", to_string(ok.error())}});
        backlog.clear();
        break;
      }
      ++unreadable;
      log::error("frame_not_matched",
                 {{"segment", ref.info.segment}, {"frame", ref.info.frame}, {"reason", to_string(ok.error())}});
      frame.segment = ref.info.segment;
      frame.frame = ref.info.frame;
      fed.move(frame.segment, frame.frame);
      if (!stored.covers(frame.segment, frame.frame)) unit->cursor = fed;
      continue;
    }
    const auto [segment, number] = std::pair(ref.info.segment, ref.info.frame);
    desk->match(ref, text,
                {.findings = !stored.covers(segment, number),
                 .hits = correlates() && !correlated_to.covers(segment, number),
                 .facts = options.watcher != nullptr && !watched_to.covers(segment, number)},
                frame);
    ++again;
    lines += ref.info.lines_bytes;
    weight += frame.weight();
    add(frame, *unit);
  }
  {
    const std::lock_guard lock(mutex);
    for (auto& [key, c] : counts) {
      Counts& to = unit->sources[key];
      to.refused += c.refused;
      to.duplicates += c.duplicates;
      to.last_at_us = std::max(to.last_at_us, c.last_at_us);
      to.newest_happened_us = std::max(to.newest_happened_us, c.newest_happened_us);
      to.newest_came_us = std::max(to.newest_came_us, c.newest_came_us);
      for (auto& [reason, r] : c.reasons) to.reasons.insert_or_assign(reason, r);
      for (const auto& [day, n] : c.days) to.days[day][2] += n[2];
    }
    counts.clear();
  }
  if (options.watcher != nullptr) unit->noticed = options.watcher->take();
  if (unit->cursor.none && unit->sources.empty() && !unit->noticed) {
    const bool failing = lines == 0 && weight == 0 && backlog.empty();
    if (failing) return after(kRetry, compose_queue, [](Inner& self) { self.compose(); });
    return wake_composer();
  }
  send(std::move(unit));
}

// ---- the state of correlations and facts -----------------------------------------------------------------------------------------

/// magic, the cursor, a sum over both, the state. False: it is not there, damaged, or ahead of the alerts: what it has seen and they have
/// not would be counted twice.
bool Pipeline::Inner::load_file(const std::string& name, std::string_view magic, Cursor& cursor,
                                const std::function<Result<void>(std::string_view)>& load) const {
  const std::string path = options.folder + "/" + name;
  if (!runtime.files().exists(path)) return false;
  auto bytes = read_file(runtime.files(), path, 1ULL << 30U);
  std::string why = "it is damaged or of another history";
  if (bytes && bytes->starts_with(magic) && bytes->size() > magic.size() + 17) {
    const std::string_view rest = std::string_view(*bytes).substr(magic.size());
    std::uint32_t segment = 0, frame = 0;
    std::uint64_t sum = 0;
    std::memcpy(&segment, rest.data(), 4);
    std::memcpy(&frame, rest.data() + 4, 4);
    const bool none = rest[8] != 0;
    std::memcpy(&sum, rest.data() + 9, 8);
    const std::string_view saved = rest.substr(17);
    if (sum == hash64(saved, hash64(rest.substr(0, 9))) && (none || stored.covers(segment, frame))) {
      const auto ok = load(saved);
      if (ok) {
        if (!none) cursor.move(segment, frame);
        return true;
      }
      why = to_string(ok.error());
    }
  }
  log::warn("state_rebuilt", {{"of", name}, {"reason", why}});
  return false;
}

Result<void> Pipeline::Inner::save_file(const std::string& name, std::string_view magic, std::string_view saved) {
  std::string head(9, '\0');
  std::memcpy(head.data(), &fed.segment, 4);
  std::memcpy(head.data() + 4, &fed.frame, 4);
  head[8] = fed.none ? 1 : 0;
  const std::uint64_t sum = hash64(saved, hash64(head));
  std::string bytes(magic);
  bytes += head;
  bytes.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  bytes += saved;
  return replace_file(runtime.files(), options.folder + "/" + name, bytes);
}

Result<void> Pipeline::Inner::load_state() {
  sigma::CorrelationOptions co;
  co.max_memory = options.correlation_bytes;
  correlations = std::make_unique<sigma::CorrelationEngine>(matching->engine->rules(), co);
  const std::int64_t now = micros(runtime.now());
  if (!correlates()) {
    correlated_to = stored;
  } else if (!load_file("correlations", kCorrelationsMagic, correlated_to,
                        [&](std::string_view saved) { return correlations->load(saved); })) {
    // From as far back as the longest window reaches.
    std::int64_t longest = 0;
    for (const sigma::Correlation& c : matching->engine->rules().correlations)
      longest = std::max<std::int64_t>(longest, std::chrono::microseconds(c.timespan).count());
    BAVN_TRY(correlated_to, start_of_rebuild(now - longest - 2 * 3600LL * 1'000'000, false));
  }
  const auto load_facts = [&](std::string_view saved) -> Result<void> {
    std::uint64_t joined = 0;
    if (saved.size() < sizeof joined) return fail(Code::corrupt, "the saved state of facts is cut");
    std::memcpy(&joined, saved.data(), sizeof joined);
    saved.remove_prefix(sizeof joined);
    if (joined > saved.size()) return fail(Code::corrupt, "the saved state of facts is cut");
    notice::FactJoiner whole;  // both or none
    BAVN_CHECK(whole.load(saved.substr(0, joined)));
    BAVN_CHECK(options.watcher->load(saved.substr(joined)));
    return joiner.load(saved.substr(0, joined));
  };
  if (options.watcher == nullptr) {
    watched_to = stored;
  } else if (!load_file("facts", kFactsMagic, watched_to, load_facts)) {
    BAVN_TRY(watched_to, start_of_rebuild(now - options.watcher->memory().count(), true));
  }
  fed = earlier(earlier(correlated_to, watched_to), stored);
  return {};
}

/// Without a saved state: the frame before the first that was received since then, within the budget. only_facts: frames without facts
/// cost nothing of it.
Result<Cursor> Pipeline::Inner::start_of_rebuild(std::int64_t since, bool only_facts) const {
  Cursor start = stored;
  if (stored.none) return start;
  auto segments = history->segments(scope);
  std::erase_if(segments, [&](const auto& s) { return s.packed || s.segment > stored.segment; });
  std::sort(segments.begin(), segments.end(), [](const auto& a, const auto& b) { return a.segment > b.segment; });
  std::uint64_t read = 0;
  for (const history::SegmentInfo& s : segments) {
    BAVN_TRY(const auto frames, history->frames(scope, s, {}));
    for (auto it = frames.rbegin(); it != frames.rend(); ++it) {
      if (!stored.covers(it->info.segment, it->info.frame)) continue;
      if (!only_facts || matching->reads_facts(it->info.format)) read += it->info.lines_bytes;
      if (it->info.received_us < since || read > options.rebuild_bytes) return start;
      if (it->info.frame > 0) start.move(it->info.segment, it->info.frame - 1);
      else if (it->info.segment > 0) start.move(it->info.segment - 1, 0xFFFFFFFFU);
      else start.none = true;
    }
  }
  return start;
}

Result<void> Pipeline::Inner::save_state() {
  // Only what the alerts know: `fed` is ahead while a unit is on its way.
  if (!correlations || !(fed == stored)) return {};
  if (correlates()) {
    std::string saved;
    BAVN_CHECK(correlations->save(saved));
    BAVN_CHECK(save_file("correlations", kCorrelationsMagic, saved));
  }
  if (options.watcher != nullptr) {
    std::string saved(sizeof(std::uint64_t), '\0');
    joiner.save(saved);
    const std::uint64_t joined = saved.size() - sizeof joined;
    std::memcpy(saved.data(), &joined, sizeof joined);
    BAVN_CHECK(options.watcher->save(saved));
    BAVN_CHECK(save_file("facts", kFactsMagic, saved));
  }
  return {};
}

// ---- rates -------------------------------------------------------------------------------------------------------------------

/// New rules are tried on what came before them, on a queue of its own, a few frames at a time.
void Pipeline::Inner::measure() {
  if (measuring.exchange(true)) return;
  const bool posted = post(measure_queue, [until = measure_until](Inner& self) {
    auto rules = self.state.read([](store::Reader& db) { return alerts::AlertBook::to_measure(db); });
    self.measured_rules = rules ? std::move(*rules) : std::vector<std::string>();
    self.measured_days.clear();
    self.measured_refs.clear();
    if (self.measured_rules.empty()) {
      self.measuring = false;
      return;
    }
    // The newest 30 days, as much of them as the budget lets us read.
    std::uint64_t bytes = 0;
    const std::int64_t since = micros(self.runtime.now()) - 30 * kDay;
    for (const history::SegmentInfo& s : self.history->segments(self.scope)) {
      if (bytes > 8 * self.options.rebuild_bytes || s.day < since / kDay) break;
      if (auto refs = self.history->frames(self.scope, s, {}))
        for (history::FrameRef& r : *refs) {
          if (!s.packed && !until.covers(r.info.segment, r.info.frame)) continue;
          bytes += r.info.lines_bytes;
          self.measured_refs.push_back(std::move(r));
        }
    }
    self.measure_step();
  });
  if (!posted) measuring = false;
}

void Pipeline::Inner::measure_step() {
  const auto now = loaded_now();
  auto desk = now->desk();
  history::FrameText text;
  std::size_t lines = 0;
  while (!measured_refs.empty() && lines < kCatchUpBytes) {
    const history::FrameRef ref = std::move(measured_refs.front());
    measured_refs.pop_front();
    lines += ref.info.lines_bytes;
    if (!history->read(scope, ref, text)) continue;  // erased or damaged: the catch-up and doctor say so
    MatchedFrame frame;
    desk->match(ref, text, {.facts = false}, frame);
    for (const alerts::Found& f : frame.found) {
      const std::string rule = alerts::rule_of(f.finding);
      if (!std::binary_search(measured_rules.begin(), measured_rules.end(), rule)) continue;
      auto& day = measured_days[{rule, f.first_us / kDay}];
      day.first += f.count;
      if (day.second.size() < 10'000) day.second.insert(alerts::alert_key(f));
    }
  }
  if (!measured_refs.empty()) {
    (void)post(measure_queue, [](Inner& self) { self.measure_step(); });
    return;
  }
  auto days = std::make_shared<std::vector<alerts::AlertBook::Measured>>();
  for (const auto& [key, n] : measured_days) days->push_back({key.first, key.second, n.first, n.second.size()});
  auto rules = std::make_shared<std::vector<std::string>>(std::move(measured_rules));
  measured_days.clear();
  state.write([rules, days, b = book](store::Tx& tx) { return b.measured(tx, *rules, *days); },
              [weak = weak_from_this()](Result<void> ok) {
                if (!ok) log::warn("rates_not_written", {{"reason", to_string(ok.error())}});
                if (const auto self = weak.lock()) self->measuring = false;
              });
}

// ---- the rest ----------------------------------------------------------------------------------------------------------------

history::History& Pipeline::history() {
  return *inner_->history;
}
const history::History& Pipeline::history() const {
  return *inner_->history;
}

std::shared_ptr<hunt::Engine> Pipeline::engine() const {
  return inner_->loaded_now()->engine;
}

void Pipeline::swap(std::shared_ptr<hunt::Engine> engine) {
  const bool facts = inner_->options.watcher != nullptr;
  BAVN_ASSERT(!facts || engine->facts());
  auto fresh = std::make_shared<Loaded>(std::move(engine), inner_->loaded_now()->generation + 1, facts);
  {
    const std::lock_guard lock(inner_->loaded_mutex);
    inner_->loaded = std::move(fresh);
  }
  (void)inner_->post(inner_->compose_queue, [](Inner& i) { i.compose(); });
}

Stats Pipeline::stats() const {
  Stats s;
  const Inner& i = *inner_;
  s.waiting_bytes = i.waiting_bytes;
  s.deliveries = i.deliveries;
  s.refused_full = i.refused_full;
  s.failed = i.failed;
  s.duplicates = i.duplicates;
  s.records = i.records;
  s.refused_records = i.refused_records;
  s.bytes = i.bytes_taken;
  s.findings = i.findings;
  s.correlation_findings = i.correlated;
  s.facts = i.facts;
  s.frames_matched_again = i.again;
  s.frames_unreadable = i.unreadable;
  const std::lock_guard lock(i.mutex);
  s.behind = i.behind;
  s.failing = !i.append_failing.empty() ? i.append_failing : i.state_failing;
  return s;
}

bool Pipeline::idle() const {
  if (inner_->waiting_bytes != 0 || inner_->measuring) return false;
  const std::lock_guard lock(inner_->mutex);
  return !inner_->behind && !inner_->in_flight && inner_->waiting.empty() && inner_->counts.empty();
}

}  // namespace bavn::live
