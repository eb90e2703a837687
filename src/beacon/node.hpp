#pragma once
// The node's end: follows the streams, sends what the spool holds, keeps time with the hub, exchanges audit heads, notes what left.
// Life: after State, Client and Runtime, gone before them. Handlers must be set before start(). Thread rules: any thread.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.hpp"
#include "base/runtime.hpp"
#include "beacon/follower.hpp"
#include "beacon/left_us.hpp"
#include "beacon/spool.hpp"
#include "beacon/witness.hpp"
#include "net/client.hpp"
#include "store/state.hpp"

namespace bavn::beacon {

/// One entry or bulk item, as its handler sees it: signature, chain and dates were checked.
struct Received {
  std::string_view stream, kind, payload;
  std::uint64_t epoch = 0, seq = 0;
  std::uint32_t item = 0;  // within a segment; 0 else
  Instant not_before, not_after;
};
/// Runs inside the Tx that stores the cursor: its effect comes once, in order. bad_input, forbidden, conflict and not_found: the entry is
/// kept as evidence with the reason, reported, and the stream goes on. unavailable and corrupt: nothing moved; it is tried again.
using OnEntry = std::function<Result<void>(store::Tx&, const Received&)>;

struct NewBase {
  std::string audience;
  std::string file;              // verified; stays until the base after the next
  std::uint64_t covers_seq = 0;  // of bulk/<audience>: deltas up to here are in it
};
using OnBase = std::function<Result<void>(store::Tx&, const NewBase&)>;

struct NodeOptions {
  std::string hub;   // "https://hub.example.org:8443"
  std::string node;  // its name at the hub
  std::string version;
  CheckStatement check;                        // against the pinned root: statements_of(root)
  std::vector<MunicipalityId> municipalities;  // of the certificate
  std::string folder;                          // bases and partial downloads
  std::vector<std::string>
      shared_bases;  // folders where a base may already be, named <hex of its hash>.base; only read
  std::function<std::shared_ptr<const net::TlsIdentity>()> tls;  // asked for each request: certificates are renewed
  std::shared_ptr<const SigningKey>
      witness;               // signs the hub's audit heads; its public half is pinned by the hub at the first ping
  ReadAuditHead audit_head;  // of this node; empty: no witnessing
  SpoolOptions spool;
  Duration ping_every = std::chrono::minutes{1}, witness_every = std::chrono::hours{1};
  Duration stream_silent = std::chrono::seconds{45};  // without a word: cut and reconnect
  Duration tick =
      std::chrono::seconds{1};  // what waited for its time is looked at; simulations of months look less often
};

/// Reads the statements of tenants, pinned to this root key.
CheckStatement statements_of(const PublicKey& root);

struct NodeStatus {
  FollowerStatus down;
  SpoolState up;
  std::string up_trouble;  // for people; empty: none
  std::optional<Duration> clock_offset, round_trip;
  bool clock_marked = false;
  Instant last_ping{}, last_acknowledged{};
};

class NodeBeacon {
 public:
  /// client: the bare one; what goes through it is noted (purpose "beacon").
  static Result<std::unique_ptr<NodeBeacon>> open(Runtime& runtime, store::State& state, net::Client& client,
                                                  Metrics& metrics, NodeOptions options);
  ~NodeBeacon();

  void on_entry(std::string kind, OnEntry handler);
  /// Kinds without handler are kept as evidence ("this node is older than its hub") unless this takes them.
  void on_other_entry(OnEntry handler);
  void on_base(OnBase handler);
  void start();
  void stop();

  /// report() of the spool, then sends soon.
  Result<void> report(store::Tx& tx, std::string_view kind, std::string_view json, MunicipalityId municipality,
                      event::Tlp tlp);
  Spool& spool();
  LeftUs& left_us();
  NodeStatus status() const;
  /// A person here believes the hub again after a fork; `who` goes into the audit log.
  void settle_fork(std::string who, std::move_only_function<void(Result<void>)> then = {});

  struct Inner;

 private:
  explicit NodeBeacon(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace bavn::beacon
