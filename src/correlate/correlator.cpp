#include "correlate/correlator.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "correlate/correlator_inner.hpp"

namespace bavn::correlate {

Correlator::Correlator(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
Correlator::~Correlator() = default;

Result<std::unique_ptr<Correlator>> Correlator::open(Runtime& runtime, store::State& state, const Members& members,
                                                     Down down, Options options, Metrics& metrics, Digests* digests,
                                                     Intelligence known) {
  if (options.first_mode != "shadow" && options.first_mode != "live" && options.first_mode != "confirm")
    return fail(Code::bad_input, fmt::format("{} is no mode; shadow, live or confirm", options.first_mode),
                "correlate.first_mode");
  if (takeover_level(options.light_takeover) < 0)
    return fail(Code::bad_input, fmt::format("{} is no level; suspected, likely or sure", options.light_takeover),
                "correlate.light_takeover");
  std::unique_ptr<Inner> inner(new Inner{.runtime = runtime,
                                         .state = state,
                                         .members = members,
                                         .down = std::move(down),
                                         .options = std::move(options),
                                         .metrics = metrics,
                                         .digests = digests,
                                         .known = std::move(known)});
  Inner* self = inner.get();
  state.on_timer_tx(std::string(kShiftTimer),
                    [self](store::Tx& tx, const store::Timer&) { return self->on_shift(tx); });
  state.on_timer_tx(std::string(kQuietTimer), [self](store::Tx& tx, const store::Timer& timer) -> Result<void> {
    return self->on_quiet(tx, std::stoll(timer.subject));
  });
  // Since when false warnings are counted, and how triggers began.
  BAVN_CHECK(state.write_now([self](store::Tx& tx) -> Result<void> {
    for (const std::string_view name : {"sender_notice", "burst"})
      BAVN_CHECK(change(
          tx,
          "INSERT OR IGNORE INTO corr_trigger (name, mode, why, by_whom, since_us) VALUES (:n, :m, :w, "
          "'settings', :s)",
          {{"n", name},
           {"m", self->options.first_mode},
           {"w", self->options.first_mode == "shadow" ? "no replay of 90 days has been made" : "correlate.first_mode"},
           {"s", tx.now()}}));
    return {};
  }));
  return std::unique_ptr<Correlator>(new Correlator(std::move(inner)));
}

bool Correlator::takes(std::string_view kind) {
  return kind == "sender_notice" || kind == "takeover" || kind == "burst" || kind == "harm" || kind == "digest" ||
         kind == "revealed";
}

Result<void> Correlator::take(store::Tx& tx, const Report& report) {
  return inner_->take(tx, report);
}

bool Correlator::is_pilot() const {
  const auto all = inner_->members.all();
  return std::count_if(all.begin(), all.end(), [](const Member& m) { return m.connected; }) <
         inner_->options.pilot_below;
}

std::map<std::string, std::uint64_t> Correlator::refusals() const {
  return inner_->refusals->with([](const Inner::Refusals& r) { return r.all; });
}

}  // namespace bavn::correlate
