#include <algorithm>

#include "base/log.hpp"
#include "store/core.hpp"

namespace bavn::store {

namespace {

constexpr std::size_t kUnitsPerCommit = 50;
constexpr unsigned kBulkEvery = 4;  // while others never end, each fourth commit takes one bulk unit
constexpr Duration kGather = std::chrono::milliseconds(5);
constexpr std::size_t kMostQueued = 20'000;
constexpr Duration kLongestRead = std::chrono::seconds(1);

std::unexpected<Error> not_stored(const Error& why) {
  return fail(why.code, "not stored: " + why.what, why.where);
}

}  // namespace

Gate::Pass Gate::enter() {
  const std::lock_guard lock(mutex_);
  if (closed_) return Pass(nullptr);
  ++inside_;
  return Pass(this);
}

void Gate::leave() {
  const std::lock_guard lock(mutex_);
  if (--inside_ == 0) empty_.notify_all();
}

void Gate::close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  empty_.wait(lock, [&] { return inside_ == 0; });
}

Tallies::Tallies(Metrics* metrics) {
  units.share(metrics, "state_units");
  commits.share(metrics, "state_commits");
  failures.share(metrics, "state_failures");
  refused.share(metrics, "state_refused");
  events_delivered.share(metrics, "state_events_delivered");
  events_failed.share(metrics, "state_events_failed");
  timers_fired.share(metrics, "state_timers_fired");
  timers_failed.share(metrics, "state_timers_failed");
  jobs_done.share(metrics, "state_jobs_done");
  jobs_retried.share(metrics, "state_jobs_retried");
  jobs_failed.share(metrics, "state_jobs_failed");
}

Duration pause_after(Runtime& runtime, std::int64_t tries, Duration longest) {
  const auto doublings = std::clamp<std::int64_t>(tries - 1, 0, 20);
  const Duration plain = std::min<Duration>(std::chrono::seconds(1) * (std::int64_t{1} << doublings), longest);
  const auto fifth = static_cast<std::uint64_t>(plain.count() / 5);
  const Duration jittered = plain - Duration(fifth) + Duration(runtime.random_below(2 * fifth + 1));
  return std::min(jittered, longest);
}

Writer::Writer(Runtime& runtime, std::unique_ptr<Connection> connection, Tallies& tallies)
    : runtime_(runtime),
      connection_(std::move(connection)),
      tallies_(tallies),
      queue_(runtime.queue({.name = "state-writer", .threads = 1, .limit = 100'000})) {}

void Writer::write(Unit unit, Done then, Lane lane) {
  add({std::move(unit), std::move(then), nullptr, lane});
}

Result<void> Writer::write_now(Unit unit) {
  BAVN_ASSERT(busy_on_.load() != std::this_thread::get_id());  // a unit or its `then` would wait for itself
  if (!runtime_.single_threaded()) {
    std::promise<Result<void>> waiter;
    auto answered = waiter.get_future();
    add({std::move(unit), {}, &waiter, Lane::normal});
    return answered.get();
  }
  // In step with what was queued before; the `then`s of those have their turn later, not inside our caller.
  for (auto batch = take(); !batch.empty(); batch = take()) {
    auto results = commit(batch);
    for (std::size_t i = 0; i < batch.size(); ++i) answer(batch[i], std::move(results[i]), true);
  }
  {
    const std::lock_guard lock(mutex_);
    if (refusing_) return fail(Code::unavailable, "not stored: the program is stopping");
  }
  std::vector<Item> alone;
  alone.push_back({std::move(unit), {}, nullptr, Lane::normal});
  return std::move(commit(alone)[0]);
}

void Writer::add(Item item) {
  const char* refused = nullptr;
  auto want = Scheduled::no;
  {
    const std::lock_guard lock(mutex_);
    if (refusing_) {
      refused = "not stored: the program is stopping";
    } else if (pending_.size() + bulk_.size() >= kMostQueued) {
      refused = "not stored: too much waits to be written; try again later";
    } else {
      // Somebody waits: at once, and what comes meanwhile shares the next commit. Else gather for a moment.
      const bool hurry = item.waiter != nullptr || pending_.size() + 1 >= kUnitsPerCommit || runtime_.single_threaded();
      (item.lane == Lane::bulk ? bulk_ : pending_).push_back(std::move(item));
      const auto wanted = hurry ? Scheduled::now : Scheduled::soon;
      if (!working_ && wanted > scheduled_) scheduled_ = want = wanted;
    }
  }
  if (refused != nullptr) {
    tallies_.refused.add();
    answer(item, fail(Code::unavailable, refused), true);
  } else if (want == Scheduled::now) {
    post([this] { drain(); });
  } else if (want == Scheduled::soon) {
    after(kGather, [this] { drain(); });
  }
}

void Writer::post(QueueId queue, std::function<void()> f) {
  auto task = [alive = alive_, f = std::move(f)] {
    if (const auto pass = alive->enter()) f();
  };
  // A full queue of a handler: its turn comes later. after() knows no limit.
  if (!runtime_.post(queue, task)) runtime_.after(std::chrono::milliseconds(10), queue, std::move(task));
}

TimerId Writer::after(Duration delay, std::function<void()> f) {
  return runtime_.after(delay, queue_, [alive = alive_, f = std::move(f)] {
    if (const auto pass = alive->enter()) f();
  });
}

std::vector<Writer::Item> Writer::take() {
  const std::lock_guard lock(mutex_);
  std::vector<Item> batch;
  while (!pending_.empty() && batch.size() < kUnitsPerCommit) {
    batch.push_back(std::move(pending_.front()));
    pending_.pop_front();
  }
  if (!bulk_.empty() && (batch.empty() || ++since_bulk_ >= kBulkEvery)) {
    batch.push_back(std::move(bulk_.front()));  // one: who comes next waits for no more than this
    bulk_.pop_front();
    since_bulk_ = 0;
  }
  working_ = !batch.empty();
  if (!working_) {
    scheduled_ = Scheduled::no;
    idle_.notify_all();
  }
  return batch;
}

void Writer::drain() {
  for (auto batch = take(); !batch.empty(); batch = take()) {
    auto results = commit(batch);
    busy_on_ = std::this_thread::get_id();
    for (std::size_t i = 0; i < batch.size(); ++i) answer(batch[i], std::move(results[i]), false);
    busy_on_ = std::thread::id();
    // Under load this would never end, and what else runs on this queue (cursors of consumers, timers) would wait for seconds.
    if (!runtime_.single_threaded()) return post([this] { drain(); });
  }
}

void Writer::answer(Item& item, Result<void> result, bool later) {
  if (item.waiter != nullptr) {
    item.waiter->set_value(std::move(result));
  } else if (!item.then) {
    if (!result) log::warn("state_unit_failed", {{"reason", to_string(result.error())}});
  } else if (later) {
    post([then = std::make_shared<Done>(std::move(item.then)), result = std::move(result)] { (*then)(result); });
  } else {
    item.then(std::move(result));
  }
}

std::vector<Result<void>> Writer::commit(std::vector<Item>& batch) {
  std::vector<Result<void>> results(batch.size());
  Tx::Effects effects;
  busy_on_ = std::this_thread::get_id();
  Result<void> whole = connection_->script("BEGIN IMMEDIATE");
  for (std::size_t i = 0; whole && i < batch.size(); ++i) {
    results[i] = run_one(batch[i], effects);
    // On a full or broken disk SQLite gives up the whole transaction, and with it the units before.
    if (!connection_->in_transaction())
      whole = fail(results[i] ? Code::bad_input : results[i].error().code,
                   results[i] ? "a unit ended the transaction by itself" : results[i].error().what);
  }
  const auto good = static_cast<std::uint64_t>(std::ranges::count_if(results, [](const auto& r) { return bool(r); }));
  if (whole) whole = connection_->script(good > 0 ? "COMMIT" : "ROLLBACK");
  if (!whole && connection_->in_transaction()) static_cast<void>(connection_->script("ROLLBACK"));
  busy_on_ = std::thread::id();

  if (!whole) {
    for (auto& r : results)
      if (r) r = not_stored(whole.error());
    tallies_.failures.add(batch.size());
    note_failing(&whole.error());
    return results;
  }
  tallies_.failures.add(batch.size() - good);
  if (good == 0) return results;
  tallies_.units.add(good);
  tallies_.commits.add();
  note_failing(nullptr);
  if (on_effects_ && (effects.emitted || effects.jobs || !effects.timers.empty())) on_effects_(effects);
  return results;
}

Result<void> Writer::run_one(Item& item, Tx::Effects& effects) {
  BAVN_CHECK(connection_->script("SAVEPOINT unit"));
  Tx tx(*connection_, runtime_.now());
  Result<void> ok;
  unit_on_ = std::this_thread::get_id();
  try {
    ok = item.unit(tx);
  } catch (const std::exception& e) {
    ok = fail(Code::bad_input, std::string("a unit of work threw: ") + e.what());
  }
  unit_on_ = std::thread::id();
  if (!connection_->in_transaction()) return ok;
  if (ok) {
    BAVN_CHECK(connection_->script("RELEASE unit"));
    effects.emitted |= tx.effects_.emitted;
    effects.jobs |= tx.effects_.jobs;
    effects.timers.insert(effects.timers.end(), tx.effects_.timers.begin(), tx.effects_.timers.end());
    return {};
  }
  static_cast<void>(connection_->script("ROLLBACK TO unit; RELEASE unit"));
  return ok;
}

void Writer::note_failing(const Error* error) {
  failing_.with([&](std::string& failing) {
    if (error != nullptr && failing.empty()) log::error("state_failing", {{"reason", to_string(*error)}});
    if (error == nullptr && !failing.empty()) log::info("state_recovered", {{"was", failing}});
    failing = error != nullptr ? to_string(*error) : std::string();
  });
}

void Writer::finish() {
  {
    const std::lock_guard lock(mutex_);
    refusing_ = true;
  }
  if (runtime_.single_threaded()) {
    drain();
    return;
  }
  post([this] { drain(); });
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return pending_.empty() && bulk_.empty() && !working_; });
}

void Writer::close() {
  {
    const std::lock_guard lock(mutex_);
    refusing_ = true;
  }
  alive_->close();
  const std::lock_guard lock(mutex_);
  bulk_.clear();  // nobody waits for these
  for (Item& item : pending_)
    if (item.waiter != nullptr) item.waiter->set_value(fail(Code::unavailable, "not stored: the program is stopping"));
  pending_.clear();
}

std::size_t Writer::queued() const {
  const std::lock_guard lock(mutex_);
  return pending_.size() + bulk_.size();
}

std::unique_ptr<Connection> ReaderPool::borrow() {
  auto connection = idle_.with([](auto& idle) -> std::unique_ptr<Connection> {
    if (idle.empty()) return nullptr;
    auto c = std::move(idle.back());
    idle.pop_back();
    return c;
  });
  if (!connection) {
    auto opened = open_sqlite(options_);
    connection = opened ? std::move(*opened) : broken_connection(opened.error());
  }
  // One snapshot for all of a read. A database in memory has no snapshots: there a reader would hold up the writer.
  if (!options_.memory) static_cast<void>(connection->script("BEGIN"));
  if (!runtime_.single_threaded())
    connection->interrupt_when([&r = runtime_, end = runtime_.steady() + kLongestRead] { return r.steady() > end; });
  return connection;
}

void ReaderPool::give_back(std::unique_ptr<Connection> connection) {
  if (connection->broken()) return;
  connection->interrupt_when({});
  if (connection->in_transaction() && !connection->script("ROLLBACK")) return;
  idle_.with([&](auto& idle) {
    if (idle.size() < kept_) idle.push_back(std::move(connection));
  });
}

void Core::handle(QueueId queue, std::function<void()> f) {
  writer.post(queue, [gate = handlers, f = std::move(f)] {
    if (const auto pass = gate->enter()) f();
  });
}

}  // namespace bavn::store
