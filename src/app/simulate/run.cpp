#include "app/simulate/run.hpp"

namespace bavn::app::simulate {

namespace {

Error not_yet() {
  return {Code::unavailable, "running a scenario is not part of this build; --check, --explain and --list are", {}};
}

}  // namespace

Result<Outcome> run(const Scenario&, std::uint64_t) {
  return std::unexpected(not_yet());
}

Result<std::vector<Outcome>> run_many(const Scenario&, std::uint64_t, unsigned, unsigned,
                                      const std::function<void(const Outcome&)>&) {
  return std::unexpected(not_yet());
}

Result<std::string> what_if(const Scenario&, std::uint64_t, unsigned, bool) {
  return std::unexpected(not_yet());
}

}  // namespace bavn::app::simulate
