#pragma once
// State: the tables of one hub or node in one SQLite file. One writer thread owns the write connection; units of work are queued,
// 5 ms or 50 of them share a commit, each in its own savepoint: a failed unit fails alone. Reads come from a pool of read-only connections.
// What a unit changes, it may announce (emit), and note (audit), in the same transaction.
// Under Sim the same code runs in one thread: a unit posted is run and committed by its turn on the writer's queue.
// Life: one State per file and process; after the Runtime, gone before it. Thread rules: any thread; write_now never on the writer's queue.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

/// A deadline that survives restarts.
struct Timer {
  std::int64_t id = 0;
  std::int64_t due_us = 0;
  std::string kind, subject;
};

/// Work that is tried until it is done: a message to send, a segment to build.
struct Job {
  std::int64_t id = 0;
  std::string kind, subject, payload;
  std::int64_t tries = 0;
  std::int64_t not_before_us = 0;
};

/// Who did what to which thing. hash = BLAKE2b-256(previous hash, all other fields): see store/audit.hpp.
struct AuditNote {
  std::string who, action, subject, detail;  // detail: JSON object; never a secret, mail body or personal number
};

class Tx : public Reader {
 public:
  using Reader::Reader;
  /// Rows changed.
  Result<std::int64_t> exec(std::string_view sql, Binds binds = {});
  std::int64_t last_id() const;  // of the last INSERT
  Result<void> emit(std::string_view kind, std::string_view subject, std::string_view detail_json = "{}",
                    MunicipalityId of = {});
  Result<void> audit(const AuditNote& note);
  /// One timer per (kind, subject): setting it again moves it.
  Result<void> set_timer(Instant due, std::string_view kind, std::string_view subject);
  Result<void> clear_timer(std::string_view kind, std::string_view subject);
  Result<void> add_job(std::string_view kind, std::string_view subject, std::string_view payload,
                       Instant not_before = {});
  Instant now() const;  // the Runtime's, the same for the whole unit

 private:
  friend class State;
  Instant now_{};
};

using Unit = std::move_only_function<Result<void>(Tx&)>;

struct StateOptions {
  std::string path;                 // of the SQLite file; ":memory:" for tests
  std::vector<std::string> schema;  // folders of src/store/schema used: "core", then "hub" and/or "node"
  unsigned readers = 4;
};

class State {
 public:
  static Result<std::unique_ptr<State>> open(Runtime& runtime, StateOptions options);
  ~State();

  /// Queued; `then` is called on the writer's queue after the commit (or with the unit's error, its changes undone).
  void write(Unit unit, std::move_only_function<void(Result<void>)> then = {});
  /// Waits for the commit. Under Sim: runs and commits at once.
  Result<void> write_now(Unit unit);
  /// f(Reader&) on a read connection; what f returns is returned. No read lasts above a second.
  template <class F>
  auto read(F&& f) const {
    auto lease = borrow();
    return std::forward<F>(f)(lease.reader());
  }

  // Outbox. Called on `queue`, in order of seq, from the consumer's cursor on; the cursor moves when `on_event` returns a value, and
  // an error is tried again later. At least once: be idempotent.
  void subscribe(std::string consumer, QueueId queue, std::function<Result<void>(const DomainEvent&)> on_event);
  // Timers and jobs: handlers by kind. A timer's row goes when its handler returned a value; a job is tried again with growing pauses
  // (1 s .. 1 h) until it does; `give_up` tries: the job is kept as failed, and counted.
  void on_timer(std::string kind, QueueId queue, std::function<Result<void>(const Timer&)> f);
  void on_job(std::string kind, QueueId queue, std::function<Result<void>(const Job&)> f, unsigned give_up = 1000);
  /// Starts firing what is due and delivering events. Handlers must be set before.
  void start();

  /// A consistent copy while writes go on (SQLite backup), then integrity_check on the copy.
  Result<void> backup(const std::string& path) const;

  struct Inner;

 private:
  class Lease {
   public:
    Lease(const State& state, std::unique_ptr<Reader> reader) : state_(state), reader_(std::move(reader)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease();
    Reader& reader() { return *reader_; }

   private:
    const State& state_;
    std::unique_ptr<Reader> reader_;
  };
  Lease borrow() const;
  explicit State(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace bavn::store
