#pragma once
// Runs a scenario: hub and nodes as they are, over simulated time and links, fed with what a Traffic says their logs say.
// Thread rules: each run is one thread of its own and shares nothing with others.
#include <functional>
#include <string>
#include <vector>

#include "app/simulate/outcome.hpp"
#include "app/simulate/scenario.hpp"
#include "base/result.hpp"

namespace bavn::app::simulate {

/// purge_again: after it every purge is undone and done once more (Outcome::purges).
Result<Outcome> run(const Scenario& scenario, std::uint64_t seed, bool purge_again = false);
/// Seeds seed, seed + 1, ...; `done` after each, from any of `jobs` threads but one at a time. Outcomes in order of seeds.
Result<std::vector<Outcome>> run_many(const Scenario& scenario, std::uint64_t seed, unsigned runs, unsigned jobs,
                                      const std::function<void(const Outcome&)>& done);
/// The same scenario with one thing changed each time.
Result<std::string> what_if(const Scenario& scenario, std::uint64_t seed, unsigned jobs, bool json);

}  // namespace bavn::app::simulate
