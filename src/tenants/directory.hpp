#pragma once
// The hub's book: operators, member municipalities, their nodes, enrolment codes and certificates. What a certificate may do is looked up
// here and nowhere else: tenancy is never taken from what a node says.
// Every call takes a Scope (tenants_read, tenants_write); every change is in the audit log and in the outbox ("node.admitted",
// "node.enrolled", "certificate.renewed", "certificate.revoked", "member.left").
// Thread rules: any thread but the State's writer. Life: after Runtime, State and Trust.
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.hpp"
#include "base/ids.hpp"
#include "base/runtime.hpp"
#include "event/scope.hpp"
#include "store/state.hpp"
#include "tenants/municipalities.hpp"
#include "tenants/trust.hpp"

namespace bavn::tenants {

using OperatorId = Id<struct OperatorTag>;
using NodeId = Id<struct NodeTag>;

enum class Form : std::uint8_t { guest, package, vm };
std::string_view to_string(Form form);
std::optional<Form> form_of(std::string_view name);

struct Operator {
  OperatorId id;
  std::string name;
};

struct Member {
  MunicipalityId municipality;
  OperatorId by;
  Instant since;
  std::optional<Instant> left;
};

enum class NodeState : std::uint8_t {
  waiting,
  enrolled,
  expired,
  revoked,
  retired
};  // waiting: for its code to be used
std::string_view to_string(NodeState state);

struct Node {
  NodeId id;
  OperatorId by;
  std::string name;
  Form form = Form::package;
  NodeState state = NodeState::waiting;
  std::vector<MunicipalityId> municipalities;
  std::optional<std::string> sign_key;  // PublicKey::text()
  std::optional<std::string> serial;    // of the newest certificate
  std::optional<Instant> certificate_until, enrolled, last_seen;
  std::optional<std::int64_t> clock_offset_us;
};

struct Admission {
  std::vector<MunicipalityId> municipalities;  // at least one
  std::string by;    // operator; empty: the municipality itself. Made when there is none of this name
  std::string node;  // unique name; empty: the municipality's
  Form form = Form::package;
};

/// The code is shown once and kept nowhere.
struct NewCode {
  NodeId node;
  std::string code;
  Instant expires;
};

struct EnrolAsk {
  std::string secret;       // of the code, 16 bytes
  std::string request_pem;  // PKCS#10
  std::string name;         // what the machine calls itself, for people
  std::string sign_key;     // PublicKey::text(); may be empty
};
struct Enrolled {
  std::string certificate_pem;
  NodeId node;
  std::string name, by;
  std::vector<MunicipalityId> municipalities;
};

struct DirectoryOptions {
  std::chrono::days certificate_life{30};
  std::size_t guesses = 10;  // wrong codes from one address in `guess_window`, then it is refused
  std::chrono::minutes guess_window{15};
};

class Directory {
 public:
  static Result<std::unique_ptr<Directory>> open(Runtime& runtime, store::State& state, const Trust& trust,
                                                 DirectoryOptions options = {});

  const Municipalities& municipalities() const { return municipalities_; }

  // Who takes part.
  /// hub: "host:port" under which the node reaches us. Municipalities that are no members become such. conflict: a member of another
  /// operator, or a node of this name.
  Result<NewCode> admit(const event::Scope& scope, const Admission& admission, std::string_view hub,
                        std::chrono::hours valid = std::chrono::days{7});
  /// Another code for a node: lost, expired, or its machine was replaced. Codes not yet used are withdrawn.
  Result<NewCode> new_code(const event::Scope& scope, NodeId node, std::string_view hub,
                           std::chrono::hours valid = std::chrono::days{7});
  Result<void> withdraw_codes(const event::Scope& scope, NodeId node);
  /// The municipality leaves: nodes that served nobody else are retired, their certificates revoked.
  Result<void> leave(const event::Scope& scope, MunicipalityId municipality, std::string_view why);
  /// Every certificate of the node is revoked and its codes withdrawn; it may be enrolled again with a new code.
  Result<void> revoke_node(const event::Scope& scope, NodeId node, std::string_view why);
  Result<void> revoke_certificate(const event::Scope& scope, const std::string& serial, std::string_view why);

  Result<std::vector<Operator>> operators(const event::Scope& scope) const;
  Result<std::vector<Member>> members(const event::Scope& scope) const;  // those the scope sees
  Result<std::vector<Node>> nodes(const event::Scope& scope) const;      // those with a municipality the scope sees
  Result<Node> node(const event::Scope& scope, NodeId id) const;
  Result<NodeId> node_named(const event::Scope& scope, std::string_view name) const;

  // What nodes ask (routes.hpp makes HTTP of it). from: the peer's address.
  /// forbidden: wrong, expired or withdrawn code, or too many guesses; conflict: used. The same request again gives the same certificate,
  /// so a lost answer costs nothing.
  Result<Enrolled> enrol(const EnrolAsk& ask, std::string_view from);
  Result<Enrolled> renew(const std::string& serial, const std::string& request_pem);

  // What a certificate is worth, from memory.
  /// The node's scope: follow and report, for exactly its municipalities. forbidden, with the reason: unknown, revoked, expired.
  Result<event::Scope> scope_of(const std::string& serial) const;
  Result<NodeId> node_of(const std::string& serial) const;
  /// For net::ServerTls: true for anything but a certificate that holds now.
  bool revoked(const std::string& serial) const;
  /// Called after the commit that revoked it, on the revoker's thread: cut its connections.
  void on_revoked(std::function<void(const std::string& serial)> f);

  /// The node was heard; offset: node minus hub, when it was measured. Call it inside the unit that stores a ping.
  static Result<void> seen(store::Tx& tx, NodeId node, std::optional<std::int64_t> clock_offset_us = {});

 private:
  struct Known {
    NodeId node;
    std::vector<MunicipalityId> municipalities;
    Instant not_after;
    bool revoked = false;
  };
  using Guesses = std::map<std::string, std::deque<Instant>, std::less<>>;

  Directory(Runtime& runtime, store::State& state, const Trust& trust, DirectoryOptions options)
      : runtime_(runtime), state_(state), trust_(trust), options_(options) {}
  Result<void> reload();
  Result<std::string> code_inside(store::Tx& tx, const event::Scope& scope, NodeId node, std::string_view hub,
                                  Instant expires);
  Result<std::string> issue_inside(store::Tx& tx, NodeId node, const std::string& name, const std::string& request_pem,
                                   std::optional<std::string> renews);
  Result<void> revoke_inside(store::Tx& tx, const event::Scope& scope, NodeId node, std::string_view why,
                             std::vector<std::string>& cut);
  Result<void> after_change(const std::vector<std::string>& cut);
  bool too_many_guesses(std::string_view from);
  void wrong_guess(std::string_view from);

  Runtime& runtime_;
  store::State& state_;
  const Trust& trust_;
  DirectoryOptions options_;
  Municipalities municipalities_ = Municipalities::all();
  Guarded<std::map<std::string, Known, std::less<>>> known_;
  Guarded<Guesses> guesses_;
  Guarded<std::function<void(const std::string&)>> on_revoked_;
};

}  // namespace bavn::tenants
