#pragma once
// State: the tables of one hub or node in one SQLite file. One writer thread owns the write connection; units of work are queued,
// 5 ms or 50 of them share a commit, each in its own savepoint: a failed unit fails alone. Reads come from a pool of read-only connections.
// What a unit changes, it may announce (emit), and note (audit), in the same transaction.
// When the disk is full or broken, units answer `unavailable` with the reason, nothing of them is kept, reads go on; the next unit tries anew.
// Under Sim the same code runs in one thread: a unit posted is run and committed by its turn on the writer's queue.
// Life: one State per file and process; after the Runtime, gone before it; stop() before what its handlers and units use is gone.
// Thread rules: any thread; write_now never inside a unit or its `then` (asserted); stop() never on a handler's queue.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.hpp"
#include "base/runtime.hpp"
#include "store/sql/db.hpp"

namespace bavn::store {

/// One change that others may care about. Consumers have a cursor on seq and are idempotent.
struct DomainEvent {
  std::int64_t seq = 0;
  std::int64_t at_us = 0;
  std::string kind;     // "alert.opened"
  std::string subject;  // id of the thing
  std::string detail;   // JSON object, small; never a secret
  std::int64_t municipality = 0;
};
BOOST_DESCRIBE_STRUCT(DomainEvent, (), (seq, at_us, kind, subject, detail, municipality))

/// A deadline that survives restarts.
struct Timer {
  std::int64_t id = 0;
  std::int64_t due_us = 0;
  std::string kind, subject;
  std::int64_t turn = 0;  // counts how often it was set
};
BOOST_DESCRIBE_STRUCT(Timer, (), (id, due_us, kind, subject, turn))

/// Work that is tried until it is done: a message to send, a segment to build.
struct Job {
  std::int64_t id = 0;
  std::string kind, subject, payload;
  std::int64_t tries = 0;
  std::int64_t not_before_us = 0;
};
BOOST_DESCRIBE_STRUCT(Job, (), (id, kind, subject, payload, tries, not_before_us))

/// Who did what to which thing. hash = BLAKE2b-256(previous hash, all other fields): see store/audit.hpp.
struct AuditNote {
  std::string who, action, subject, detail;  // detail: JSON object; never a secret, mail body or personal number
};

class Tx : public Reader {
 public:
  /// Rows changed.
  Result<std::int64_t> exec(std::string_view sql, Binds binds = {});
  std::int64_t last_id() const;  // of the last INSERT
  Result<void> emit(std::string_view kind, std::string_view subject, std::string_view detail_json = "{}",
                    MunicipalityId of = {});
  Result<void> audit(const AuditNote& note);
  /// One timer per (kind, subject): setting it again moves it.
  Result<void> set_timer(Instant due, std::string_view kind, std::string_view subject);
  Result<void> clear_timer(std::string_view kind, std::string_view subject);
  /// Not tried before `not_before`; the default is at once.
  Result<void> add_job(std::string_view kind, std::string_view subject, std::string_view payload,
                       Instant not_before = {});
  Instant now() const { return now_; }  // the Runtime's, the same for the whole unit

 private:
  friend class Writer;
  friend class State;
  friend struct Core;
  friend class Timers;
  struct TimerChange {
    std::int64_t id, due_us, turn;
    bool gone;
  };
  struct Effects {  // what State must do after the commit
    bool emitted = false, jobs = false;
    std::vector<TimerChange> timers;
  };
  Tx(Connection& connection, Instant now) : Reader(connection), now_(now) {}
  Instant now_;
  Effects effects_;
};

using Unit = std::move_only_function<Result<void>(Tx&)>;
using Done = std::move_only_function<void(Result<void>)>;

/// bulk: large units that nobody's seconds hang on. They share no commit with each other, and others go first.
enum class Lane : std::uint8_t { normal, bulk };

struct StateOptions {
  std::string path{};                 // of the SQLite file; ":memory:" for tests
  std::vector<std::string> schema{};  // folders of src/store/schema used: "core", then "hub" and/or "node"
  unsigned readers = 4;               // connections kept for reading
  Metrics* metrics = nullptr;  // state_units, state_commits, state_failures, state_refused, ...: the names of Counts
  std::string vfs{};           // tests: a broken disk (sql/fault_vfs.hpp)
  std::int64_t max_page_count = 0;  // tests: a full disk
};

/// Since the start.
struct Counts {
  std::uint64_t units = 0;  // committed
  std::uint64_t commits = 0;
  std::uint64_t failures = 0;  // units that were undone, by their own error or the disk's
  std::uint64_t refused = 0;   // units not even queued
  std::uint64_t queued = 0;    // now
  std::uint64_t events_delivered = 0, events_failed = 0;
  std::uint64_t timers_fired = 0, timers_failed = 0;
  std::uint64_t jobs_done = 0, jobs_retried = 0, jobs_failed = 0;
};

class State {
 public:
  /// Opens or makes the file and brings its tables up to date. Errors: conflict when a newer bavn made it, corrupt.
  static Result<std::unique_ptr<State>> open(Runtime& runtime, StateOptions options);
  /// As stop(), but what is queued is dropped, its `then` not called.
  ~State();

  /// Queued; `then` is called on the writer's queue after the commit (or with the unit's error, its changes undone). `then` is short.
  void write(Unit unit, Done then = {}, Lane lane = Lane::normal);
  /// Waits for the commit. Under Sim: runs and commits at once.
  Result<void> write_now(Unit unit);
  /// f(Reader&) on a read connection, one snapshot; what f returns is returned. No read lasts above a second: it is stopped with an error.
  template <class F>
  auto read(F&& f) const {
    auto lease = borrow();
    return std::forward<F>(f)(lease.reader());
  }

  // Outbox. Called on `queue`, in order of seq, from the consumer's cursor on (a new one starts at the oldest kept); the cursor moves when
  // `on_event` returns a value, and an error is tried again with growing pauses (1 s .. 5 min). At least once: be idempotent.
  // kinds: what it wants to hear of, whole ("alert.opened") or by their beginning ("campaign."); empty: everything. Name them: a
  // consumer that hears of everything is as slow as the busiest kind.
  void subscribe(std::string consumer, QueueId queue, std::function<Result<void>(const DomainEvent&)> on_event,
                 std::vector<std::string> kinds = {});
  // Timers by kind. A timer's row goes when its handler returned a value; an error is tried again with growing pauses (1 s .. 1 h). Never
  // twice otherwise, but for a crash between the handler and its commit. A timer is due when the wall clock says so, or when as much time
  // has gone by on the steady clock as there was to wait when it was set: a clock set back delays nothing.
  void on_timer(std::string kind, QueueId queue, std::function<Result<void>(const Timer&)> f);
  /// The handler's changes and the end of the timer in one transaction, on the writer's queue: once, whatever crashes.
  void on_timer_tx(std::string kind, std::function<Result<void>(Tx&, const Timer&)> f);
  // Jobs by kind, one at a time, oldest first. A job is tried again with growing pauses (1 s .. 1 h) until its handler returns a value;
  // after `give_up` tries it is kept as failed, and counted.
  void on_job(std::string kind, QueueId queue, std::function<Result<void>(const Job&)> f, unsigned give_up = 1000);
  /// For handlers that wait for others: `done` is called once, from any thread. Up to `at_once` jobs of the kind run side by side.
  void on_job_async(std::string kind, QueueId queue, std::function<void(const Job&, Done done)> f,
                    unsigned give_up = 1000, unsigned at_once = 1);
  /// Starts firing what is due and delivering events. Handlers must be set before.
  void start();
  /// Ends it in order: no handler runs or will run when it returns, what was queued is committed (and its `then` called), later writes are
  /// refused. Reads go on.
  void stop();

  /// A consistent copy while writes go on (SQLite backup), then integrity_check on the copy. `path` must not exist.
  Result<void> backup(const std::string& path) const;
  Counts counts() const;
  /// Why nothing can be written now ("the disk is full ..."); empty when the last commit worked. For health pages.
  std::string failing() const;
  QueueId writer_queue() const;  // for those whose `then` must be in step with their own tasks

  struct Inner;

 private:
  class Lease {
   public:
    Lease(const State& state, std::unique_ptr<Connection> connection);
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease();
    Reader& reader() { return reader_; }

   private:
    const State& state_;
    std::unique_ptr<Connection> connection_;
    Reader reader_;
  };
  Lease borrow() const;
  explicit State(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace bavn::store
