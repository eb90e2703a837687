#pragma once
// The only way to the clock, to timers, other threads, random numbers, disks and other machines. Two implementations: Threads (real)
// and Sim (one thread, virtual time, an order given by a seed): what runs under one runs under the other.
// Nothing above base sleeps, asks the system for the time, or starts a thread.
// Life: made in main (or a test) before everything else, dies last. Thread rules: every function from any thread.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/files.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace bavn {

using Task = std::move_only_function<void()>;
using QueueId = Id<struct QueueTag, std::uint32_t>;
using TimerId = Id<struct TimerTag>;
using Duration = std::chrono::microseconds;

struct QueueOptions {
  std::string name;           // the thread's name
  unsigned threads = 1;       // 1: tasks run one after the other in the order they were posted
  std::size_t limit = 10000;  // waiting tasks; a post beyond is refused
};

/// One end of a connection that carries messages in order until it is cut. A message is never split and never merged.
class Link {
 public:
  virtual ~Link() = default;
  /// False when the link is known to be cut. True says nothing about arrival: only an answer does.
  virtual bool send(std::string message) = 0;
  virtual void close() = 0;
};

struct LinkEvents {
  std::move_only_function<void(std::string message)> on_message;
  std::move_only_function<void()> on_cut;  // once; no message comes after it
};

/// Called for every new connection; the events it returns are called on the queue given to listen().
using OnLink = std::move_only_function<LinkEvents(std::shared_ptr<Link>)>;

/// The queue of a link has one thread: its handlers run one after the other.
class Links {
 public:
  virtual ~Links() = default;
  virtual Result<void> listen(std::string address, QueueId queue,
                              OnLink on_link) = 0;  // conflict: somebody listens there
  /// Cuts every link of this address; somebody else may listen there then.
  virtual void unlisten(std::string_view address) = 0;
  virtual Result<std::shared_ptr<Link>> connect(std::string_view address, QueueId queue, LinkEvents events) = 0;
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual Instant now() const = 0;      // the wall clock: may jump
  virtual Duration steady() const = 0;  // since some start, never backwards: for measuring

  virtual QueueId queue(QueueOptions options) = 0;
  /// False: the queue is full or the runtime is stopping; the task is gone and was not run.
  [[nodiscard]] virtual bool post(QueueId queue, Task task) = 0;
  /// Posts the task when `delay` has gone by, whatever the queue's limit. Timers die with the process: a deadline that must
  /// survive is a row in the store, and a timer only asks for it again.
  virtual TimerId after(Duration delay, QueueId queue, Task task) = 0;
  /// True: it will not run. False: it runs, ran, or never was.
  virtual bool cancel(TimerId timer) = 0;

  virtual void random(std::span<std::byte> out) = 0;  // fit for keys under Threads; repeatable under Sim
  std::uint64_t random_number();
  /// 0 .. below-1, without bias.
  std::uint64_t random_below(std::uint64_t below);

  virtual Links& links() = 0;
  virtual Files& files() = 0;

  /// True: every queue is run by the one thread that also calls us, so waiting for another queue would be for ever (Sim).
  virtual bool single_threaded() const { return false; }
};

}  // namespace bavn
