#pragma once
// What State is made of inside: the writer, the pool of readers, and the three that call handlers. Not for other modules.
// Thread rules: Writer and ReaderPool any thread. Outbox, Timers and Jobs live on the writer's queue: what changes them is posted there, so
// they need no lock; handlers run on their own queues and come back by a write.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/guarded.hpp"
#include "store/sql/engine.hpp"
#include "store/state.hpp"

namespace bavn::store {

/// Lets in until it is closed; close() waits for those who are in.
class Gate {
 public:
  class Pass {
   public:
    explicit Pass(Gate* gate) : gate_(gate) {}
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (gate_ != nullptr) gate_->leave();
    }
    explicit operator bool() const { return gate_ != nullptr; }

   private:
    Gate* gate_;
  };
  Pass enter();
  void close();

 private:
  void leave();
  std::mutex mutex_;
  std::condition_variable empty_;
  std::size_t inside_ = 0;
  bool closed_ = false;
};

/// A counter of ours and, when there are Metrics, theirs.
class Tally {
 public:
  void share(Metrics* metrics, std::string_view name) { shared_ = metrics ? &metrics->counter(name) : nullptr; }
  void add(std::uint64_t n = 1) {
    own_.add(n);
    if (shared_ != nullptr) shared_->add(n);
  }
  std::uint64_t value() const { return own_.value(); }

 private:
  Counter own_;
  Counter* shared_ = nullptr;
};

struct Tallies {
  explicit Tallies(Metrics* metrics);
  Tally units, commits, failures, refused, events_delivered, events_failed, timers_fired, timers_failed, jobs_done,
      jobs_retried, jobs_failed;
};

/// 1 s, 2 s, 4 s .. `longest`, each up to a fifth shorter or longer, never above `longest`. tries: how often it failed, from 1.
Duration pause_after(Runtime& runtime, std::int64_t tries, Duration longest);

class Writer {
 public:
  Writer(Runtime& runtime, std::unique_ptr<Connection> connection, Tallies& tallies);
  /// Called after each commit that has something to tell, on the writer's queue.
  void on_effects(std::function<void(const Tx::Effects&)> f) { on_effects_ = std::move(f); }

  void write(Unit unit, Done then, Lane lane = Lane::normal);
  Result<void> write_now(Unit unit);
  /// f runs on `queue` (the writer's own: without it) while this lives.
  void post(QueueId queue, std::function<void()> f);
  void post(std::function<void()> f) { post(queue_, std::move(f)); }
  TimerId after(Duration delay, std::function<void()> f);
  /// Refuses from now on; waits until what is queued is committed.
  void finish();
  /// Nothing posted runs any more; what is queued is dropped.
  void close();

  /// The calling thread is inside a unit: what it reads by the pool would be the past.
  bool inside_unit() const { return unit_on_.load() == std::this_thread::get_id(); }
  QueueId queue() const { return queue_; }
  Runtime& runtime() { return runtime_; }
  std::size_t queued() const;
  std::string failing() const {
    return failing_.with([](const std::string& s) { return s; });
  }

 private:
  struct Item {
    Unit unit;
    Done then;
    std::promise<Result<void>>* waiter = nullptr;
    Lane lane = Lane::normal;
  };
  void add(Item item);
  void drain();
  std::vector<Item> take();
  std::vector<Result<void>> commit(std::vector<Item>& batch);
  Result<void> run_one(Item& item, Tx::Effects& effects);
  void answer(Item& item, Result<void> result, bool later);
  void note_failing(const Error* error);

  Runtime& runtime_;
  std::unique_ptr<Connection> connection_;
  Tallies& tallies_;
  QueueId queue_;
  std::shared_ptr<Gate> alive_ = std::make_shared<Gate>();
  std::function<void(const Tx::Effects&)> on_effects_;
  std::atomic<std::thread::id> unit_on_{};  // the thread that runs a unit
  std::atomic<std::thread::id> busy_on_{};  // the thread that runs units or their `then`

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::deque<Item> pending_, bulk_;
  unsigned since_bulk_ = 0;
  enum class Scheduled : std::uint8_t { no, soon, now } scheduled_ = Scheduled::no;
  bool working_ = false, refusing_ = false;
  Guarded<std::string> failing_;
};

class ReaderPool {
 public:
  ReaderPool(Runtime& runtime, SqliteOptions options, unsigned kept)
      : runtime_(runtime), options_(std::move(options)), kept_(kept) {}
  std::unique_ptr<Connection> borrow();
  void give_back(std::unique_ptr<Connection> connection);
  const SqliteOptions& options() const { return options_; }

 private:
  Runtime& runtime_;
  SqliteOptions options_;
  unsigned kept_;
  Guarded<std::vector<std::unique_ptr<Connection>>> idle_;
};

/// What the handlers' callers share. handlers: closed first, so that no handler runs while the rest is taken down.
struct Core {
  Core(Runtime& runtime, std::unique_ptr<Connection> connection, SqliteOptions reading, unsigned kept, Metrics* m)
      : tallies(m), writer(runtime, std::move(connection), tallies), readers(runtime, std::move(reading), kept) {}
  template <class F>
  auto read(F&& f) {
    auto connection = readers.borrow();
    auto result = [&] {
      Reader reader(*connection);
      return f(reader);
    }();
    readers.give_back(std::move(connection));
    return result;
  }
  Runtime& runtime() { return writer.runtime(); }
  /// Runs f on `queue` unless stop() came before.
  void handle(QueueId queue, std::function<void()> f);

  Tallies tallies;
  Writer writer;
  ReaderPool readers;
  std::shared_ptr<Gate> handlers = std::make_shared<Gate>();
  std::shared_ptr<Gate> recording =
      std::make_shared<Gate>();  // closed last: what handlers that wait for others bring after it is lost
};

class Outbox {
 public:
  explicit Outbox(Core& core) : core_(core) {}
  void add(std::string name, QueueId queue, std::function<Result<void>(const DomainEvent&)> f,
           std::vector<std::string> kinds);
  void start();  // on the writer's queue, as all below
  void wake();

 private:
  struct Consumer {
    std::string name;
    QueueId queue;
    std::function<Result<void>(const DomainEvent&)> f;
    std::string kinds{};  // "|alert.opened|campaign.|"; empty: all
    std::int64_t cursor = 0, written = 0;
    std::int64_t failures = 0;  // in a row
    bool busy = false, again = false, noting = false;
  };
  void pump(Consumer& c);
  void deliver(Consumer& c);  // on the consumer's queue
  void settled(Consumer& c, std::int64_t cursor, bool failed, bool more);
  void write_down(Consumer& c, std::int64_t cursor, std::function<void()> then);
  void note_later(Consumer& c);
  Core& core_;
  std::deque<Consumer> consumers_;  // they never move
};

class Timers {
 public:
  explicit Timers(Core& core) : core_(core) {}
  void add(std::string kind, QueueId queue, std::function<Result<void>(const Timer&)> f);
  void add_tx(std::string kind, std::function<Result<void>(Tx&, const Timer&)> f);
  void start();
  void changed(const std::vector<Tx::TimerChange>& changes);

 private:
  struct Handler {
    QueueId queue;
    std::function<Result<void>(const Timer&)> f;
    std::function<Result<void>(Tx&, const Timer&)> in_tx;
  };
  struct Armed {
    std::int64_t due_us = 0, turn = 0;
    Duration steady_due{};
    std::int64_t failures = 0;
    bool running = false;
  };
  void arm(std::int64_t id, std::int64_t due_us, std::int64_t turn);
  void disarm(std::int64_t id);
  void schedule();
  void tick();
  void fire(std::int64_t id);
  void finished(std::int64_t id, std::int64_t turn, Result<void> result);
  void forget(const Timer& timer);

  Core& core_;
  std::map<std::string, Handler, std::less<>> handlers_;
  std::map<std::int64_t, Armed> armed_;
  std::set<std::pair<std::int64_t, std::int64_t>> by_due_;  // (due, id) of those that wait
  std::set<std::pair<Duration, std::int64_t>> by_steady_;
  bool started_ = false;
  TimerId wake_{};
  Duration wake_at_ = Duration::max();
};

class Jobs {
 public:
  explicit Jobs(Core& core) : core_(core) {}
  void add(std::string kind, QueueId queue, std::function<void(const Job&, Done)> f, unsigned give_up,
           unsigned at_once);
  void start();
  void wake();

 private:
  struct Kind {
    std::string name;
    QueueId queue;
    std::function<void(const Job&, Done)> f;
    unsigned give_up = 0, at_once = 1;
    std::set<std::int64_t> in_flight{};
    TimerId wake{};
  };
  void pump(Kind& kind);
  void settle(Kind& kind, const Job& job, Result<void> result);
  Core& core_;
  std::deque<Kind> kinds_;  // they never move
  bool started_ = false;
};

}  // namespace bavn::store
