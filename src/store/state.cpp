#include "store/state.hpp"

#include <fmt/format.h>

#include "base/files.hpp"
#include "base/log.hpp"
#include "store/audit_row.hpp"
#include "store/copy.hpp"
#include "store/core.hpp"
#include "store/schema.hpp"

namespace bavn::store {

namespace {

constexpr std::size_t kMostDetail =
    256 * 1024;  // bytes of a detail or payload; larger things are rows or files of their own

Result<void> not_too_large(std::string_view what, std::string_view text) {
  if (text.size() <= kMostDetail) return {};
  return fail(Code::bad_input, fmt::format("{} of {} bytes; {} are allowed", what, text.size(), kMostDetail));
}

struct Set {
  std::int64_t id, turn;
};
BOOST_DESCRIBE_STRUCT(Set, (), (id, turn))
struct Head {
  std::int64_t seq;
  Blob hash;
};
BOOST_DESCRIBE_STRUCT(Head, (), (seq, hash))

}  // namespace

struct State::Inner {
  Inner(Runtime& runtime, std::unique_ptr<Connection> connection, SqliteOptions reading, const StateOptions& options)
      : core(runtime, std::move(connection), std::move(reading), options.readers, options.metrics),
        outbox(core),
        timers(core),
        jobs(core) {
    core.writer.on_effects([this](const Tx::Effects& e) {
      if (!started) return;
      if (e.emitted) outbox.wake();
      if (!e.timers.empty()) timers.changed(e.timers);
      if (e.jobs) jobs.wake();
    });
  }
  Core core;
  Outbox outbox;
  Timers timers;
  Jobs jobs;
  std::unique_ptr<char> name;  // its address names a database in memory: no two that live have one
  bool started = false;        // written and read on the writer's queue
};

Result<std::int64_t> Tx::exec(std::string_view sql, Binds binds) {
  const std::int64_t before = connection_.total_changes();
  BAVN_TRY(Cursor cursor, run(sql, binds));
  for (;;) {
    BAVN_TRY(const bool more, cursor.step());
    if (!more) return connection_.total_changes() - before;
  }
}

std::int64_t Tx::last_id() const {
  return connection_.last_id();
}

Result<void> Tx::emit(std::string_view kind, std::string_view subject, std::string_view detail_json,
                      MunicipalityId of) {
  BAVN_CHECK(not_too_large("an event's detail", detail_json));
  BAVN_CHECK(
      exec("INSERT INTO domain_event (at_us, kind, subject, detail, municipality) "
           "VALUES (:at, :kind, :subject, :detail, :m)",
           {{"at", now_}, {"kind", kind}, {"subject", subject}, {"detail", detail_json}, {"m", of}}));
  effects_.emitted = true;
  return {};
}

Result<void> Tx::audit(const AuditNote& note) {
  BAVN_CHECK(not_too_large("an audit entry's detail", note.detail));
  AuditRow row{0, micros(now_), note.who, note.action, note.subject, note.detail, {}, {}};
  BAVN_TRY(auto head, one<Head>("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1"));
  // retention may have taken all of them; the chain goes on from what it left
  if (!head) {
    BAVN_TRY(head, one<Head>("SELECT seq, hash FROM audit_start"));
  }
  row.seq = head ? head->seq + 1 : 1;
  row.previous.bytes = head ? std::move(head->hash.bytes) : std::string(32, '\0');
  row.hash.bytes = hash_of(row);
  BAVN_CHECK(
      exec("INSERT INTO audit (seq, at_us, who, action, subject, detail, previous, hash) "
           "VALUES (:seq, :at, :who, :action, :subject, :detail, :previous, :hash)",
           {{"seq", row.seq},
            {"at", row.at_us},
            {"who", row.who},
            {"action", row.action},
            {"subject", row.subject},
            {"detail", row.detail},
            {"previous", row.previous},
            {"hash", row.hash}}));
  return {};
}

Result<void> Tx::set_timer(Instant due, std::string_view kind, std::string_view subject) {
  BAVN_TRY(const auto set,
           one<Set>("INSERT INTO timer (due_us, kind, subject) VALUES (:due, :kind, :subject) "
                    "ON CONFLICT (kind, subject) DO UPDATE SET due_us = excluded.due_us, turn = turn + 1 "
                    "RETURNING id, turn",
                    {{"due", due}, {"kind", kind}, {"subject", subject}}));
  effects_.timers.push_back({set->id, micros(due), set->turn, false});
  return {};
}

Result<void> Tx::clear_timer(std::string_view kind, std::string_view subject) {
  BAVN_TRY(const auto gone,
           one<std::int64_t>("DELETE FROM timer WHERE kind = :kind AND subject = :subject RETURNING id",
                             {{"kind", kind}, {"subject", subject}}));
  if (gone) effects_.timers.push_back({*gone, 0, 0, true});
  return {};
}

Result<void> Tx::add_job(std::string_view kind, std::string_view subject, std::string_view payload,
                         Instant not_before) {
  BAVN_CHECK(not_too_large("a job's payload", payload));
  BAVN_CHECK(
      exec("INSERT INTO job (kind, subject, payload, not_before_us, made_us) "
           "VALUES (:kind, :subject, :payload, :not_before, :made)",
           {{"kind", kind}, {"subject", subject}, {"payload", payload}, {"not_before", not_before}, {"made", now_}}));
  effects_.jobs = true;
  return {};
}

State::State(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}

Result<std::unique_ptr<State>> State::open(Runtime& runtime, StateOptions options) {
  BAVN_TRY(const auto known, embedded_migrations({}));
  BAVN_TRY(const auto wanted, embedded_migrations(options.schema));
  SqliteOptions sqlite{.path = options.path,
                       .use = SqliteOptions::Use::write,
                       .vfs = options.vfs,
                       .memory = options.path == ":memory:",
                       .max_page_count = options.max_page_count};
  auto name = std::make_unique<char>();
  if (sqlite.memory) {
    sqlite.path = fmt::format("bavn-{}", static_cast<const void*>(name.get()));
  } else {
    DiskFiles files;
    BAVN_CHECK(files.make_dirs(parent_of(options.path)));
    BAVN_CHECK(files.open(options.path, OpenMode::create));  // for its mode 0600, which SQLite's other files take over
  }
  BAVN_TRY(auto connection, open_sqlite(sqlite));
  BAVN_CHECK(migrate(*connection, wanted, known, runtime.now()));
  sqlite.use = SqliteOptions::Use::read;
  sqlite.max_page_count = 0;
  auto inner = std::make_unique<Inner>(runtime, std::move(connection), std::move(sqlite), options);
  inner->name = std::move(name);
  return std::unique_ptr<State>(new State(std::move(inner)));
}

State::~State() {
  inner_->core.handlers->close();
  inner_->core.recording->close();
  inner_->core.writer.close();
}

void State::stop() {
  inner_->core.handlers->close();
  inner_->core.writer.finish();
}

void State::write(Unit unit, Done then, Lane lane) {
  inner_->core.writer.write(std::move(unit), std::move(then), lane);
}

Result<void> State::write_now(Unit unit) {
  return inner_->core.writer.write_now(std::move(unit));
}

void State::subscribe(std::string consumer, QueueId queue, std::function<Result<void>(const DomainEvent&)> on_event,
                      std::vector<std::string> kinds) {
  inner_->outbox.add(std::move(consumer), queue, std::move(on_event), std::move(kinds));
}

void State::on_timer(std::string kind, QueueId queue, std::function<Result<void>(const Timer&)> f) {
  inner_->timers.add(std::move(kind), queue, std::move(f));
}

void State::on_timer_tx(std::string kind, std::function<Result<void>(Tx&, const Timer&)> f) {
  inner_->timers.add_tx(std::move(kind), std::move(f));
}

void State::on_job(std::string kind, QueueId queue, std::function<Result<void>(const Job&)> f, unsigned give_up) {
  on_job_async(std::move(kind), queue, [f = std::move(f)](const Job& job, Done done) { done(f(job)); }, give_up);
}

void State::on_job_async(std::string kind, QueueId queue, std::function<void(const Job&, Done)> f, unsigned give_up,
                         unsigned at_once) {
  inner_->jobs.add(std::move(kind), queue, std::move(f), give_up, at_once);
}

void State::start() {
  inner_->core.writer.post([inner = inner_.get()] {
    inner->started = true;
    inner->outbox.start();
    inner->timers.start();
    inner->jobs.start();
  });
}

Result<void> State::backup(const std::string& path) const {
  BAVN_TRY(auto from, open_sqlite(inner_->core.readers.options()));
  return copy_database(*from, path);
}

Counts State::counts() const {
  const Tallies& t = inner_->core.tallies;
  return {.units = t.units.value(),
          .commits = t.commits.value(),
          .failures = t.failures.value(),
          .refused = t.refused.value(),
          .queued = inner_->core.writer.queued(),
          .events_delivered = t.events_delivered.value(),
          .events_failed = t.events_failed.value(),
          .timers_fired = t.timers_fired.value(),
          .timers_failed = t.timers_failed.value(),
          .jobs_done = t.jobs_done.value(),
          .jobs_retried = t.jobs_retried.value(),
          .jobs_failed = t.jobs_failed.value()};
}

std::string State::failing() const {
  return inner_->core.writer.failing();
}

QueueId State::writer_queue() const {
  return inner_->core.writer.queue();
}

State::Lease::Lease(const State& state, std::unique_ptr<Connection> connection)
    : state_(state), connection_(std::move(connection)), reader_(*connection_) {}

State::Lease::~Lease() {
  state_.inner_->core.readers.give_back(std::move(connection_));
}

State::Lease State::borrow() const {
  if (inner_->core.writer.inside_unit())
    return Lease(*this, broken_connection({Code::bad_input, "a read inside a unit of work: its Tx reads", {}}));
  return Lease(*this, inner_->core.readers.borrow());
}

}  // namespace bavn::store
