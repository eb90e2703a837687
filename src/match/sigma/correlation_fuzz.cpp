// Any bytes as saved state: refused, or an engine that goes on working and saves again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/hash.hpp"
#include "match/sigma/correlation.hpp"

using namespace bavn;
using namespace bavn::match::sigma;

static RuleSet rules_for_fuzzing() {
  RuleSet set;
  set.rules.resize(2);
  for (const auto type : {CorrelationType::event_count, CorrelationType::value_count, CorrelationType::temporal_ordered,
                          CorrelationType::value_avg, CorrelationType::value_percentile}) {
    Correlation& c = set.correlations.emplace_back();
    c.meta.id = to_string(type);
    c.type = type;
    c.rules = {{false, 0, "a"}, {false, 1, "b"}};
    c.group_by = {"user"};
    c.timespan = std::chrono::minutes{10};
    c.fields = {"n"};
    if (type != CorrelationType::temporal_ordered) c.bounds = {{Compare::greater_equal, 2}};
  }
  return set;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const RuleSet set = rules_for_fuzzing();
  CorrelationEngine engine(set, {.max_memory = 1 << 20});
  // The checksum is not what is to be fuzzed.
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.size() >= 8) {
    const std::uint64_t sum = hash64(std::string_view(bytes).substr(0, bytes.size() - 8), 0x62766E63);
    for (std::size_t i = 0; i < 8; ++i) bytes[bytes.size() - 8 + i] = static_cast<char>(sum >> (8 * i));
  }
  if (!engine.load(bytes)) return 0;
  const auto sink = [](const CorrelationFinding&) {};
  for (std::uint32_t i = 0; i < 4; ++i)
    engine.on_hit({.rule = i % 2,
                   .at = {from_micros(1'700'000'000'000'000 + i)},
                   .where = {"m", "f", "x", i},
                   .values = {{0, "u"}, {1, "7"}}},
                  sink);
  std::string again;
  if (!engine.save(again) || !CorrelationEngine(set).load(again)) __builtin_trap();
  engine.finish(sink);
  return 0;
}
