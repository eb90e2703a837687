#pragma once
// The partners of a hub: who they are, what they may have and what we take; when those are asked that we ask, and how it went. A partner that
// does not answer is tried again with growing pauses, one that refuses once a day; what it gave stays. Changes are audited.
// Outbox: "peer.changed" (subject = id) for every change of what pages show, "peer.state" when it turns ok, away or refused.
// Timers: "exchange.pull" (subject = id). Jobs: the same.
// Life: after State (opened before State::start()) and the Client, gone after State::stop(). Thread rules: any thread but the State's writer.
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/guarded.hpp"
#include "base/settings.hpp"
#include "exchange/peers/judge.hpp"
#include "exchange/peers/library.hpp"
#include "exchange/peers/partner.hpp"
#include "exchange/peers/pull.hpp"
#include "store/state.hpp"

namespace bavn::exchange {

/// As a person writes it. Left out: the secret stays; all else becomes its default.
struct NewPeer {
  std::string name{}, kind{}, direction = "in", url{}, sign_in = "none", user{};
  std::optional<std::string> secret{};
  std::string options = "{}";
  event::Tlp ceiling = event::Tlp::green;
  std::vector<std::string> kinds{}, sectors{};
  std::int64_t confidence = 50;
  match::indicators::Action strongest = match::indicators::Action::warn;
  event::Tlp tlp = event::Tlp::amber;
  std::int64_t valid_days = 90;
  std::int64_t every_minutes = 60;
};

struct ShownPeer {
  Peer peer{};
  bool has_secret = false;
  std::int64_t keys = 0;
  Instant next{};  // 1970: it is not asked
  /// Changes when something that a person wrote changes.
  std::string version{};
};

struct DroppedRow {
  std::int64_t id = 0, at_us = 0;
  std::string what{}, object{}, reason{};
};
struct DropCount {
  std::string reason{};
  std::int64_t count = 0, first_us = 0, newest_us = 0;
};
struct SourceSectors {
  std::string source{};
  std::vector<std::string> sectors{};
};

struct Imported {
  std::string format{};
  std::uint64_t read = 0;
  Taken taken{};
};

struct DeskParts {
  Runtime& runtime;
  store::State& state;
  net::Client* client = nullptr;       // null: nobody is asked
  const Settings* settings = nullptr;  // with the rows of exchange_settings(); null: defaults
  Pullers pullers{};
  // What the hub does with indicators.
  std::function<Result<void>(const event::Scope&, std::vector<match::indicators::Indicator>, std::string_view name)>
      publish{};
  std::function<Result<std::uint64_t>(const event::Scope&, std::span<const match::indicators::Removal>)> withdraw{};
  /// Everything of these sources.
  std::function<Result<std::vector<match::indicators::Removal>>(store::Reader&, std::string_view peer)> of_peer{};
  std::function<Result<std::vector<Known>>(store::Reader&, const LibraryAsk&)> read{};
  NeverBlocked never_blocked{};
};

class PeerDesk {
 public:
  static Result<std::unique_ptr<PeerDesk>> open(DeskParts parts);
  ~PeerDesk();
  PartnerKeys& keys() { return *keys_; }
  const Library& library() const { return library_; }
  const Limits& limits() const { return limits_; }
  /// Sets the timers of those that have none: once, after State::start().
  Result<void> start();

  Result<std::vector<ShownPeer>> list(const event::Scope& scope) const;
  Result<ShownPeer> show(const event::Scope& scope, std::int64_t id) const;
  /// Its id, or its name.
  Result<std::int64_t> named(std::string_view id_or_name) const;

  /// paused: it is not asked before somebody resumes it.
  Result<std::int64_t> add(const event::Scope& scope, const NewPeer& peer, bool paused = false);
  /// version: of what was read; empty: any. conflict with `where` "/version": somebody was faster.
  Result<void> change(const event::Scope& scope, std::int64_t id, const NewPeer& peer, std::string_view version);
  Result<void> remove(const event::Scope& scope, std::int64_t id, bool with_indicators);
  Result<void> pause(const event::Scope& scope, std::int64_t id, bool paused);
  Result<void> pull_now(const event::Scope& scope, std::int64_t id);

  Result<std::vector<DroppedRow>> dropped(const event::Scope& scope, std::int64_t id, std::string_view reason,
                                          std::int64_t before_id, std::size_t limit) const;
  Result<std::vector<DropCount>> drop_counts(const event::Scope& scope, std::int64_t id) const;

  Result<std::vector<SourceSectors>> sectors(const event::Scope& scope) const;
  Result<void> set_sectors(const event::Scope& scope, const SourceSectors& of);

  /// A file in the name of a partner.
  Result<Imported> import(const event::Scope& scope, std::int64_t peer, std::string_view bytes, std::string_view name,
                          std::optional<event::Tlp> tlp, bool dry_run);

  /// What goes out to a partner: what it may have, in the order it changed.
  Result<std::vector<Known>> for_partner(const Partner& partner, LibraryAsk ask) const;

 private:
  explicit PeerDesk(DeskParts parts);
  Result<void> check(const NewPeer& peer) const;
  Result<Peer> peer(std::int64_t id) const;
  Result<Taken> publish(std::int64_t peer, std::vector<Delivered> delivered, std::string_view name);
  Result<std::uint64_t> withdraw(std::int64_t peer, std::vector<match::indicators::Removal> removals);
  Result<void> write_taken(store::Tx& tx, std::int64_t peer, const Taken& taken) const;
  void pull(const store::Job& job, store::Done done);
  void ended(const Peer& before, Result<Pulled> result, store::Done done);
  Result<void> pulled(store::Tx& tx, const Peer& before, const Result<Pulled>& result) const;
  bool is_asked(const Peer& p) const;
  Result<void> plan(store::Tx& tx, const Peer& p, Instant at) const;

  DeskParts parts_;
  Limits limits_{};
  QueueId queue_{};
  std::unique_ptr<PartnerKeys> keys_;
  Library library_{};
  struct Gate;
  std::shared_ptr<Gate> gate_;  // what is on its way when this goes must not find it half gone
  Guarded<std::set<std::int64_t>> running_;
};

}  // namespace bavn::exchange
