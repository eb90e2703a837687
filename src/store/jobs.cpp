#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "store/core.hpp"

namespace bavn::store {

namespace {
constexpr Duration kLongestPause = std::chrono::hours(1);
constexpr Duration kLook = std::chrono::seconds(15);  // so long a jump of the wall clock may go unnoticed
// A retry that is due later than any pause reaches was written before the clock was set back.
constexpr Duration kNoPauseReaches = std::chrono::hours(2);
}  // namespace

void Jobs::add(std::string kind, QueueId queue, std::function<void(const Job&, Done)> f, unsigned give_up,
               unsigned at_once) {
  BAVN_ASSERT(give_up > 0 && at_once > 0);
  kinds_.push_back(
      {.name = std::move(kind), .queue = queue, .f = std::move(f), .give_up = give_up, .at_once = at_once});
}

void Jobs::start() {
  started_ = true;
  wake();
}

void Jobs::wake() {
  for (Kind& kind : kinds_) pump(kind);
}

void Jobs::pump(Kind& kind) {
  Runtime& runtime = core_.runtime();
  while (kind.in_flight.size() < kind.at_once) {
    const Instant now = runtime.now();
    const auto waiting = core_.read([&](Reader& r) {
      return r.all<Job>(
          "SELECT id, kind, subject, payload, tries, not_before_us FROM job "
          "WHERE kind = :kind AND failed = 0 AND "
          "(not_before_us <= :now OR (tries > 0 AND not_before_us > :beyond)) ORDER BY id LIMIT :most",
          {{"kind", kind.name}, {"now", now}, {"beyond", now + kNoPauseReaches}, {"most", kind.in_flight.size() + 1}});
    });
    if (!waiting) {
      log::error("jobs_unread", {{"kind", kind.name}, {"reason", to_string(waiting.error())}});
      runtime.cancel(kind.wake);
      kind.wake = core_.writer.after(std::chrono::seconds(1), [this, &kind] { pump(kind); });
      return;
    }
    const auto next = std::ranges::find_if(*waiting, [&](const Job& j) { return !kind.in_flight.contains(j.id); });
    if (next == waiting->end()) break;
    kind.in_flight.insert(next->id);
    core_.handle(kind.queue, [this, &kind, job = *next] {
      kind.f(job, [this, &kind, job, alive = core_.recording](Result<void> result) {
        if (const auto pass = alive->enter()) settle(kind, job, std::move(result));
      });
    });
  }
  const auto later = core_.read([&](Reader& r) {
    return r.one<std::optional<std::int64_t>>(
        "SELECT min(not_before_us) FROM job WHERE kind = :kind AND failed = 0 AND not_before_us > :now",
        {{"kind", kind.name}, {"now", runtime.now()}});
  });
  runtime.cancel(kind.wake);
  if (later && (!*later || !**later)) return;  // nothing waits for a time
  const Duration wait = later ? from_micros(***later) - runtime.now() : kLook;
  kind.wake = core_.writer.after(std::clamp<Duration>(wait, Duration(0), kLook), [this, &kind] { pump(kind); });
}

// On any thread. What came of a job is written until it is: a job that is done is not tried again for a full disk.
void Jobs::settle(Kind& kind, const Job& job, Result<void> result) {
  const std::int64_t tries = job.tries + 1;
  const bool failed = !result && tries >= static_cast<std::int64_t>(kind.give_up);
  const Instant again =
      core_.runtime().now() + (result ? Duration(0) : pause_after(core_.runtime(), tries, kLongestPause));
  core_.writer.write(
      [=](Tx& tx) -> Result<void> {
        if (result) {
          BAVN_CHECK(tx.exec("DELETE FROM job WHERE id = :id", {{"id", job.id}}));
          return {};
        }
        BAVN_CHECK(
            tx.exec("UPDATE job SET tries = :tries, not_before_us = :again, failed = :failed, last_error = :why "
                    "WHERE id = :id",
                    {{"tries", tries},
                     {"again", again},
                     {"failed", failed},
                     {"why", to_string(result.error())},
                     {"id", job.id}}));
        return {};
      },
      [=, this, &kind](const Result<void>& written) {
        if (!written) {
          core_.writer.after(std::chrono::seconds(1), [=, this, &kind] { settle(kind, job, result); });
          return;
        }
        if (result) core_.tallies.jobs_done.add();
        else if (failed) core_.tallies.jobs_failed.add();
        else core_.tallies.jobs_retried.add();
        if (!result)
          log::warn(failed ? "job_given_up" : "job_failed",
                    {{"kind", job.kind}, {"job", job.id}, {"tries", tries}, {"reason", to_string(result.error())}});
        kind.in_flight.erase(job.id);
        pump(kind);
      });
}

}  // namespace bavn::store
