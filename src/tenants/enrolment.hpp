#pragma once
// The node's side of trust: becomes a node with a code, keeps its certificate fresh, follows a new hub key. A state machine over
// net::Client: the same under Sim and for real. What it holds is one file, replaced whole, so that key, certificate and pinned root can
// never come apart: <folder>/enrolment.json (0600); the node's signing key is <folder>/node.sign.
// Renewal is due after two thirds of the certificate's life (20 of 30 days) and is tried until it succeeds; a lost answer is asked for
// again with the same key, so it never costs a second certificate.
// Thread rules: any thread; the work happens on `queue`, which has one thread. Life: after Runtime and Client; what waits is answered
// with `unavailable` when it goes.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/runtime.hpp"
#include "base/sign.hpp"
#include "net/client.hpp"
#include "tenants/trust.hpp"

namespace bavn::tenants {

/// Immutable; a renewal makes a new one.
struct NodeIdentity {
  std::string hub;  // "host:port"; with https:// before and a path behind it is a URL
  PublicKey root;   // pinned at enrolment
  HubStatement statement;
  std::string statement_text;
  std::uint64_t node = 0;
  std::string name, by;
  std::vector<MunicipalityId> municipalities;
  std::string serial;
  Instant issued, until;
  std::shared_ptr<const net::TlsIdentity> tls;  // own certificate and key, the hub's authority
};

enum class EnrolmentState : std::uint8_t {
  none,      // no code was used here
  enrolled,  // all is well
  late,      // renewal is due and does not succeed; the certificate still holds
  expired,   // the certificate ended
  refused    // the hub says no: revoked, unknown
};
std::string_view to_string(EnrolmentState state);

struct EnrolmentStatus {
  EnrolmentState state = EnrolmentState::none;
  std::string text{};  // for people: what happened and what to do; empty when all is well
  Instant until{}, renewal_due{};
  std::uint64_t failures = 0;  // of renewal, in a row
};

class Enrolment {
 public:
  static Result<std::unique_ptr<Enrolment>> open(Runtime& runtime, net::Client& client, QueueId queue,
                                                 std::string folder);
  virtual ~Enrolment() = default;

  /// machine: what this machine calls itself, for people. Errors say which it was: mistyped, unknown, used, expired or withdrawn code;
  /// another root than the code's; a wrong clock; a hub that does not answer. Trying again with the same code is safe.
  /// conflict: this is a node already.
  virtual void enrol(std::string_view code, std::string machine, std::move_only_function<void(Result<void>)> then) = 0;
  /// Renews from now on, and once a day asks for the newest statement.
  virtual void start() = 0;
  /// At once, whatever the date.
  virtual void renew_now(std::move_only_function<void(Result<void>)> then) = 0;
  /// A statement that came another way (the beacon's hello): kept when it is the root's and not older than ours.
  virtual Result<void> accept_statement(std::string_view text) = 0;

  virtual std::shared_ptr<const NodeIdentity> identity() const = 0;  // null: none
  /// Made when first asked for, before any enrolment too: proofs are signed with it.
  virtual const SigningKey& sign_key() const = 0;
  virtual EnrolmentStatus status() const = 0;
  /// Called on `queue` after each new identity: give the new certificate to whoever holds the old one.
  virtual void on_change(std::function<void(std::shared_ptr<const NodeIdentity>)> f) = 0;
  /// Forgets everything: files are erased. The hub is not told.
  virtual Result<void> forget() = 0;
};

}  // namespace bavn::tenants
