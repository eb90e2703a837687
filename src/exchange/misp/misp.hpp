#pragma once
// MISP both ways: unmodified PyMISP works here, a MISP pulls from here, a feed is offered, and partners' MISPs and feeds are read.
// Events live in the tables of Book; what published ones mark for detection becomes indicators through Links, and is withdrawn with them.
// Routes are below /misp/, and at the root of the web address, where clients expect them.
// Life: opened after State and before State::start(), gone after State::stop(). Thread rules: any thread but the State's writer.
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/settings.hpp"
#include "exchange/peers/library.hpp"
#include "exchange/peers/partner.hpp"
#include "exchange/peers/pull.hpp"
#include "exchange/peers/views.hpp"
#include "match/indicators/set.hpp"
#include "net/http.hpp"
#include "store/state.hpp"

namespace bavn::exchange {
class PeerDesk;
}

namespace bavn::exchange::misp {

/// The rows of misp.*.
std::span<const Setting> misp_settings();

struct MispOptions {
  std::string name = "joint CERT";     // of our organisation
  std::string folder{};                // for answers that are too large for memory
  const Settings* settings = nullptr;  // with the rows of misp_settings(); null: defaults
};

struct MispLinks {
  /// Partners' keys and feeds; null: only our own people's keys, and no feeds.
  PeerDesk* desk = nullptr;
  /// Partners' indicators, and what we know; null: partners' events give none, and our own indicators are no events.
  const Library* library = nullptr;
  /// What our own people publish. null: their events give no indicators.
  std::function<Result<void>(std::vector<match::indicators::Indicator>, std::string_view name)> publish{};
  std::function<Result<void>(std::span<const match::indicators::Removal>)> withdraw{};
};

class Misp {
 public:
  static Result<std::unique_ptr<Misp>> open(Runtime& runtime, store::State& state, MispOptions options);
  ~Misp();
  /// Before State::start(); what is reached through them outlives the State's handlers.
  Result<void> connect(MispLinks links);
  void add_routes(net::Router& router);
  /// The kinds "misp" and "misp_feed", for the desk of partners. They use this while they run.
  Pullers pullers();
  /// What we know as one JSON document of events, with the ids that they have over REST.
  ExportView view() const;

  struct Inner;

 private:
  explicit Misp(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace bavn::exchange::misp
