#pragma once
// What came through each way into a source: who sends (User-Agent), requests, records, what was known already, how often it was told to come
// back, the last request that could not be read. Beside what live_source counts of the source as a whole.
// Exact but for the last seconds before a crash. Life: the State outlives it. Thread rules: any thread.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/guarded.hpp"
#include "base/runtime.hpp"
#include "event/scope.hpp"
#include "live/intake.hpp"
#include "store/state.hpp"

namespace bavn::live {

struct GatewayRow {
  std::string source;
  std::int64_t municipality = 0, tenant = 0;
  std::string way;     // "elastic", "hec"
  std::string client;  // the last one's User-Agent, at most 200 bytes
  std::int64_t requests = 0, records = 0, refused = 0, duplicates = 0;
  std::int64_t turned_away = 0;  // requests answered with 503: nothing of them was kept
  std::int64_t faults = 0;       // requests that could not be read
  std::int64_t first_at_us = 0, last_at_us = 0, fault_at_us = 0;
  std::string fault;  // the last one, at most 300 bytes
};

struct GatewayCounts {
  std::uint64_t records = 0, refused = 0, duplicates = 0;
  bool turned_away = false;
  std::string fault{};
};

class GatewayBook {
 public:
  GatewayBook(Runtime& runtime, store::State& state);
  ~GatewayBook();
  void count(const IntakeToken& token, std::string_view way, const net::Request& from, const GatewayCounts& counts);
  void count(const IntakeToken& token, std::string_view way, std::string_view client, const GatewayCounts& counts);
  Result<std::vector<GatewayRow>> list(const event::Scope& scope) const;
  Result<void> flush();  // waits

 private:
  struct Inner;
  std::shared_ptr<Inner> inner_;
};

}  // namespace bavn::live
