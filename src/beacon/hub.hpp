#pragma once
// The hub's end: publishes signed entries into streams, streams them to nodes, takes their reports, measures their clocks, witnesses
// their audit logs. Tables beacon_* of the schema folder "hub"; files (segments, bases) in a folder of its own.
// What the caller's Tx committed is published, once; what a report's Tx committed has its effect, once.
// Life: after State and Runtime; the Router it added routes to must be gone first. Thread rules: any thread; publishing inside a Tx.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.hpp"
#include "base/runtime.hpp"
#include "beacon/head.hpp"
#include "beacon/witness.hpp"
#include "event/scope.hpp"
#include "event/tlp.hpp"
#include "net/http.hpp"
#include "store/state.hpp"

namespace bavn::beacon {

/// What the hub knows of the node behind a certificate. The app answers from tenants.
struct NodeFacts {
  std::string node;  // stable name: rows of the hub are kept under it
  std::vector<MunicipalityId> municipalities;
  std::vector<std::string> audiences;  // beside "all": "health", "water", "pilot"
  bool revoked = false;
  std::string witness_key;  // PublicKey::text() as enrolled; empty: pinned at the first ping
};
class NodesOf {
 public:
  virtual ~NodesOf() = default;
  /// By the serial of the client certificate (net::Peer). not_found: nobody's.
  virtual Result<NodeFacts> by_certificate(const std::string& serial) = 0;
};

/// The key that signs, and why a node believes it: the statements (root-signed texts, as tenants made them) of every epoch whose
/// entries are still in the log, oldest first; the last one is of `key`.
struct HubKey {
  std::shared_ptr<const SigningKey> key;
  std::uint64_t epoch = 1;
  std::vector<std::string> statements;
};

struct HubOptions {
  std::string folder;
  std::chrono::days keep_urgent{400}, keep_bulk{30}, keep_reports{90};  // of ids and answers of batches
  Duration segment_wait =
      std::chrono::seconds{1};               // a bulk item is in a segment after at most this, or when 4 MiB wait
  Duration tick = std::chrono::seconds{15};  // a word on idle streams; revocation is looked at, too
  std::uint64_t items_a_day = 2'000'000,
                bytes_a_day = 2ULL << 30U;   // of one node; alerts, answers, notices may take twice that
  std::size_t stream_waiting = 512U << 10U;  // bytes that may wait for one node before it gets no more
  unsigned reports_at_once = 32;             // more are answered 503
  /// Of at most 64 KiB: what seconds hang on is small, comes from every node at once, and must not wait behind large ones.
  unsigned small_reports_at_once = 512;
};

struct Post {
  std::string kind;       // indicators, rules, content, settings, warning, order, reveal, revocation, test_beacon
  std::string payload{};  // urgent: <= 64 KiB; bulk: <= 1 MiB
  Instant not_before{};   // zero: now
  Instant not_after{};    // zero: in 400 days
  std::string id{};       // not empty: the same id is published once, however often it is asked for
};

struct Published {
  std::string stream;
  std::uint64_t seq = 0;       // 0: a bulk item that waits for its segment
  std::uint64_t position = 0;  // in the lane: what stands in the SSE id
  bool again = false;          // this id was published before
};

/// One item of a batch, as its handler sees it. The municipality is one of the node's.
struct Report {
  std::string node;
  std::string id;  // the sender's; unique per node, for ever
  std::string kind;
  MunicipalityId municipality{};
  event::Tlp tlp = event::Tlp::red;
  Instant at;             // the node's clock
  std::string_view body;  // JSON object, valid, at most 256 KiB
};
/// Runs inside the Tx that notes the item as done. bad_input and forbidden refuse the item for good (its changes are undone, the rest
/// goes on); any other error undoes the whole batch, which the node sends again.
using OnReport = std::function<Result<void>(store::Tx&, const Report&)>;

/// What the hub last heard from a node.
struct NodeSeen {
  std::string node;
  std::int64_t last_ping_us = 0, last_report_us = 0;
  std::int64_t offset_us = 0, round_trip_us = 0;  // the node's clock minus ours
  bool clock_marked = false;                      // more than 5 s wrong: its minutes are not published
  bool connected = false;
  std::string version;
  std::string trouble;  // what the node says of its own stream; empty: nothing
};

class HubBeacon {
 public:
  /// Takes over: when `key.epoch` is above the log's, every stream gets an entry of kind "epoch" that fences the hub before.
  static Result<std::unique_ptr<HubBeacon>> open(Runtime& runtime, store::State& state, NodesOf& nodes,
                                                 Metrics& metrics, HubKey key, HubOptions options);
  ~HubBeacon();

  // Down. Inside a Tx; nodes get it when that has committed.
  /// to: one municipality, or nullopt for all.
  Result<Published> urgent(store::Tx& tx, std::optional<MunicipalityId> to, const Post& post);
  /// audience: "all", "health", ...
  Result<Published> bulk(store::Tx& tx, std::string_view audience, const Post& post);
  /// A new indicator base. `file`: copied into the folder. items: what else is in force (rules, content, settings), at most 4 MiB.
  /// covers_seq: the bulk/<audience> entry up to which it holds everything (Published::seq of the last segment; bulk_tip()).
  void base(std::string audience, std::string file, std::vector<Item> items, std::uint64_t covers_seq,
            std::move_only_function<void(Result<Published>)> then);
  /// Seals what waits, whatever its size; `then` gets the tip of bulk/<audience> afterwards.
  void seal_now(std::string audience, std::move_only_function<void(Result<std::uint64_t>)> then);
  Result<std::uint64_t> tip(store::Reader& reader, std::string_view stream) const;  // seq; 0: empty

  // Up.
  /// Before add_routes().
  void on_report(std::string kind, OnReport handler);
  /// Items of kinds without handler are kept by this one. Without it they are refused.
  void on_other_report(OnReport handler);
  void witness(ReadAuditHead own_audit);

  void add_routes(net::Router& router);
  /// After State::start(). Seals what waited, begins to tick.
  void start();
  /// Ends every stream of this certificate now (revocation). The server cuts its connections (net::Server::cut).
  void cut(const std::string& certificate_serial);
  Result<std::vector<NodeSeen>> nodes(store::Reader& reader) const;
  std::size_t streams_open() const;

  struct Inner;

 private:
  explicit HubBeacon(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace bavn::beacon
