#pragma once
// Two worker processes that read hostile bytes. Life: made in main before anything needs it; the destructor ends the workers.
// Thread rules: run() from any thread; it waits while all workers are busy. It watches real processes, so it uses the real
// clock; under Sim use Unjailed.
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/metrics.hpp"
#include "jail/task.hpp"

namespace bavn::jail {

struct JailOptions {
  std::string program = "/proc/self/exe";  // started again with the word parse-worker
  unsigned workers = 2;
  std::chrono::milliseconds deadline{2000};  // for each started 16 MiB of input
  unsigned items_per_worker = 1000;
};

class Jail final : public Parsers {
 public:
  /// metrics: counts jail_worker_died, jail_item_poison, jail_worker_recycled. Workers start with the first item.
  explicit Jail(Metrics& metrics, JailOptions options = {});
  ~Jail() override;

  Result<std::string> run(Task task, std::string_view input) override;

 private:
  class Worker;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bavn::jail
