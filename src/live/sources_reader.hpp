#pragma once
// What each source gave: records, bytes, what was refused and why, when it was last heard, how late its newest record was.
// Thread rules: any thread but the state's writer. Life: the State outlives it.
#include <string>
#include <vector>

#include "event/scope.hpp"
#include "store/state.hpp"

namespace bavn::live {

struct RefusedReason {
  std::string reason;
  std::int64_t count = 0;
  std::string first;  // "line 3: ..."
  std::int64_t first_at_us = 0, last_at_us = 0;
};

struct SourceRow {
  std::string source;
  std::int64_t municipality = 0, tenant = 0;
  std::int64_t records = 0, bytes = 0, refused = 0, duplicates = 0;    // in all
  std::int64_t records_today = 0, bytes_today = 0, refused_today = 0;  // UTC day of `now`
  std::int64_t first_at_us = 0, last_at_us = 0, newest_happened_us = 0;
  std::int64_t lag_us = -1;
  std::vector<RefusedReason> reasons;
};

class SourcesReader {
 public:
  explicit SourcesReader(const store::State& state) : state_(state) {}
  Result<std::vector<SourceRow>> list(const event::Scope& scope, Instant now) const;

 private:
  const store::State& state_;
};

void append_json(std::string& out, const SourceRow& row);

}  // namespace bavn::live
