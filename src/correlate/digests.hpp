#pragma once
// The book of digests: who has seen which novel thing when, with epochs joined, reveals asked for and their answers checked against the rules.
// A node is believed only about itself: each municipality counts once in a group, a flood is cut and said, two digests of one epoch never
// become one group, and a revealed value that breaks the rules of event/masked.hpp is refused before anything of it is kept.
// Outbox: digest.flood (subject: node), digest.revealed, digest.disputed (subject: group), harmless.changed.
// Tables hub_digest*, hub_harmless*. Timers "digests.reveal", "digests.harmless".
// Life: after State and Members, before State::start(); gone after State::stop(). Thread rules: calls inside a Tx; refusals() any thread.
#include <boost/describe/class.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "correlate/group.hpp"
#include "correlate/members.hpp"
#include "correlate/report.hpp"
#include "store/retention.hpp"

namespace bavn::correlate {

std::span<const Setting> digest_settings();

struct DigestBookOptions {
  std::int64_t per_day = 25'000;  // items of one node and day
  std::int64_t reveal_from = 3;   // municipalities that are asked at once
  std::chrono::seconds reveal_wait{15 * 60};
  std::chrono::seconds window{6 * 3600};  // of Group::seen
  std::int64_t harmless_municipalities = 5;
  static DigestBookOptions from(const Settings& settings);
};

/// To all: payload of the bulk stream. The app puts the beacon behind it.
using Spread =
    std::function<Result<void>(store::Tx&, std::string_view audience, std::string_view kind, const std::string& json)>;

/// How much came in since: novel things first told, and how many of all were revealed.
struct DigestFigures {
  std::int64_t groups = 0, revealed = 0;
};
Result<DigestFigures> digest_figures(store::Reader& db, Instant since);

class DigestBook : public Digests {
 public:
  static Result<std::unique_ptr<DigestBook>> open(Runtime& runtime, store::State& state, const Members& members,
                                                  Down down, Spread spread, DigestBookOptions options,
                                                  Metrics& metrics);
  ~DigestBook() override;

  Result<std::vector<Group>> take(store::Tx& tx, const Report& report) override;  // "digest", "revealed"
  Result<void> want_reveal(store::Tx& tx, const std::string& group, std::string_view reason) override;
  Result<std::optional<Group>> group_of(store::Tx& tx, const std::string& digest) override;

  /// By id; as it stands, with those who saw it within the window of its last sight.
  Result<std::optional<Group>> group(store::Reader& db, const std::string& id) const;
  /// Groups that share a supporting digest (host, sender, subject shape) with this one; they never trigger.
  Result<std::vector<std::string>> related(store::Reader& db, const std::string& group, std::int64_t limit = 50) const;
  /// When a revealed host was first seen by anybody in the community; empty: never.
  Result<std::optional<Instant>> host_first_seen(store::Reader& db, std::string_view host) const;

  // What is harmless, learnt at nodes: domains of bulk senders, told in the open.
  /// Report "harmless".
  Result<void> take_harmless(store::Tx& tx, const Report& report);
  /// A person (or a real campaign) strikes a domain; it does not come back by itself.
  Result<void> strike(store::Tx& tx, std::string_view domain, std::string_view who, std::string_view why);
  Result<event::HarmlessList> harmless(store::Reader& db) const;

  /// Since the start, by "kind/reason".
  std::map<std::string, std::uint64_t> refusals() const;
  static std::vector<store::RetentionRule> retention();

  struct Inner;

 private:
  explicit DigestBook(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace bavn::correlate
