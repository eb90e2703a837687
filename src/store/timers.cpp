// The one scheduler of deadlines. The rows are the truth; armed_ is what they look like from here, with the moment on the steady clock.
#include <algorithm>

#include "base/log.hpp"
#include "store/core.hpp"

namespace bavn::store {

namespace {
constexpr Duration kLook = std::chrono::seconds(15);  // so long a jump of the wall clock may go unnoticed
constexpr Duration kLongestPause = std::chrono::hours(1);
}  // namespace

void Timers::add(std::string kind, QueueId queue, std::function<Result<void>(const Timer&)> f) {
  handlers_[std::move(kind)] = {.queue = queue, .f = std::move(f), .in_tx = {}};
}

void Timers::add_tx(std::string kind, std::function<Result<void>(Tx&, const Timer&)> f) {
  handlers_[std::move(kind)] = {.queue = {}, .f = {}, .in_tx = std::move(f)};
}

void Timers::start() {
  const auto rows = core_.read(
      [](Reader& r) { return r.all<Timer>("SELECT id, due_us, kind, subject, turn FROM timer ORDER BY id"); });
  if (!rows) {
    log::error("timers_unread", {{"reason", to_string(rows.error())}});
    core_.writer.after(std::chrono::seconds(1), [this] { start(); });
    return;
  }
  started_ = true;
  for (const Timer& t : *rows)
    if (!armed_.contains(t.id)) arm(t.id, t.due_us, t.turn);
  schedule();
}

void Timers::changed(const std::vector<Tx::TimerChange>& changes) {
  for (const auto& c : changes) {
    disarm(c.id);
    if (!c.gone) arm(c.id, c.due_us, c.turn);
  }
  if (started_) schedule();
}

void Timers::arm(std::int64_t id, std::int64_t due_us, std::int64_t turn) {
  Runtime& r = core_.runtime();
  const Duration wait = from_micros(due_us) - r.now();
  const Armed a{.due_us = due_us, .turn = turn, .steady_due = r.steady() + std::max(wait, Duration(0))};
  by_due_.insert({a.due_us, id});
  by_steady_.insert({a.steady_due, id});
  armed_[id] = a;
}

void Timers::disarm(std::int64_t id) {
  const auto it = armed_.find(id);
  if (it == armed_.end()) return;
  by_due_.erase({it->second.due_us, id});
  by_steady_.erase({it->second.steady_due, id});
  armed_.erase(it);
}

void Timers::schedule() {
  if (by_due_.empty()) return;  // a wake-up that is set does no harm
  Runtime& r = core_.runtime();
  const Duration by_wall = from_micros(by_due_.begin()->first) - r.now();
  const Duration by_steady = by_steady_.begin()->first - r.steady();
  const Duration wait = std::clamp<Duration>(std::min(by_wall, by_steady), Duration(0), kLook);
  const Duration at = r.steady() + wait;
  if (at >= wake_at_) return;
  if (wake_at_ != Duration::max()) r.cancel(wake_);
  wake_at_ = at;
  wake_ = core_.writer.after(wait, [this] {
    wake_at_ = Duration::max();
    tick();
  });
}

void Timers::tick() {
  Runtime& r = core_.runtime();
  const std::int64_t now = micros(r.now());
  std::vector<std::int64_t> due;
  for (auto it = by_due_.begin(); it != by_due_.end() && it->first <= now; ++it) due.push_back(it->second);
  for (auto it = by_steady_.begin(); it != by_steady_.end() && it->first <= r.steady(); ++it)
    if (armed_.at(it->second).due_us > now) due.push_back(it->second);
  for (const std::int64_t id : due) fire(id);
  schedule();
}

void Timers::fire(std::int64_t id) {
  Armed& a = armed_.at(id);
  by_due_.erase({a.due_us, id});  // it waits no longer; finished() or a new setting arms it again
  by_steady_.erase({a.steady_due, id});
  const std::int64_t turn = a.turn;
  const auto row = core_.read([&](Reader& r) {
    return r.one<Timer>("SELECT id, due_us, kind, subject, turn FROM timer WHERE id = :id AND turn = :turn",
                        {{"id", id}, {"turn", turn}});
  });
  if (!row) return finished(id, turn, std::unexpected(row.error()));
  if (!*row) return;  // set anew or cleared: that commit's news is on its way
  const Timer timer = **row;
  const auto handler = handlers_.find(timer.kind);
  if (handler == handlers_.end()) {
    log::warn("timer_without_handler", {{"kind", timer.kind}, {"subject", timer.subject}});
    return;  // kept: a program that knows the kind fires it at its start
  }
  const Handler& h = handler->second;
  if (h.in_tx) {
    core_.writer.write(
        [&h, timer](Tx& tx) -> Result<void> {
          BAVN_TRY(const auto there, tx.exec("DELETE FROM timer WHERE id = :id AND turn = :turn",
                                             {{"id", timer.id}, {"turn", timer.turn}}));
          return there == 0 ? Result<void>() : h.in_tx(tx, timer);
        },
        [this, timer](Result<void> ok) { finished(timer.id, timer.turn, std::move(ok)); });
    return;
  }
  core_.handle(h.queue, [this, &h, timer] {
    if (auto ok = h.f(timer)) forget(timer);
    else core_.writer.post([this, timer, ok] { finished(timer.id, timer.turn, ok); });
  });
}

// The handler is done; the row goes. When that cannot be written now, it is tried until it can: the handler is not called again.
void Timers::forget(const Timer& timer) {
  core_.writer.write(
      [timer](Tx& tx) -> Result<void> {
        BAVN_CHECK(
            tx.exec("DELETE FROM timer WHERE id = :id AND turn = :turn", {{"id", timer.id}, {"turn", timer.turn}}));
        return {};
      },
      [this, timer](const Result<void>& ok) {
        if (ok) finished(timer.id, timer.turn, {});
        else core_.writer.after(std::chrono::seconds(1), [this, timer] { forget(timer); });
      });
}

void Timers::finished(std::int64_t id, std::int64_t turn, Result<void> result) {
  if (result) core_.tallies.timers_fired.add();
  else core_.tallies.timers_failed.add();
  const auto it = armed_.find(id);
  if (it == armed_.end() || it->second.turn != turn) return;  // set anew or cleared meanwhile
  if (result) {
    armed_.erase(it);
    return;
  }
  Armed& a = it->second;
  const Duration pause = pause_after(core_.runtime(), ++a.failures, kLongestPause);
  log::warn("timer_failed",
            {{"timer", id}, {"reason", to_string(result.error())}, {"again_in_s", pause.count() / 1'000'000}});
  a.due_us = micros(core_.runtime().now() + pause);
  a.steady_due = core_.runtime().steady() + pause;
  by_due_.insert({a.due_us, id});
  by_steady_.insert({a.steady_due, id});
  schedule();
}

}  // namespace bavn::store
