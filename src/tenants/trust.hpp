#pragma once
// Why a node believes a hub: a root key that is kept away from it certifies, in a statement, the hub's signing key and the authority of
// its TLS certificates. A node pins the root by the fingerprint in its enrolment code; a stolen hub can be replaced without visiting
// nodes, and the root is needed only for that.
// Files in the hub's trust folder (all 0600): root.key (to be taken away), root.pub, hub.key, authority.key, authority.pem, server.key,
// server.pem, statement.<epoch>.json.
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime.hpp"
#include "base/sign.hpp"
#include "base/x509.hpp"

namespace bavn::tenants {

struct HubStatement {
  PublicKey hub_key;
  std::uint64_t epoch = 1;  // goes up by one with each new statement; a node never goes back
  std::string authority_pem;
  Instant not_before, not_after;
};

/// A statement travels as one text, {"payload": "<JSON>", "signature": "<base64url>"}: the signature is over the payload's bytes, so no
/// canonical form is needed. forbidden: not signed by this root. The dates are not looked at.
Result<HubStatement> read_statement(std::string_view text, const PublicKey& root);
/// The dates, too. unavailable: they do not fit `now` (and then says that the clock may be wrong).
Result<HubStatement> check_statement(std::string_view text, const PublicKey& root, Instant now);

struct TrustBirth {
  std::string root_key_path;  // to be taken away
  std::string root_fingerprint;
};

class Trust {
 public:
  /// Makes all keys. names: host names and addresses under which nodes reach the hub. conflict when there is a hub already.
  static Result<TrustBirth> init(Runtime& runtime, const std::string& folder, const std::vector<std::string>& names);
  static Result<Trust> open(Runtime& runtime, const std::string& folder);
  /// A new hub key in a new statement of the next epoch; root_key_path: where the root key is now. Nodes follow by themselves.
  static Result<void> rotate_hub_key(Runtime& runtime, const std::string& folder, const std::string& root_key_path);

  const PublicKey& root() const { return root_; }
  const SigningKey& hub_key() const { return hub_key_; }
  const HubStatement& statement() const { return statement_; }
  /// The texts of all statements so far, oldest first; the last one is statement().
  const std::vector<std::string>& statements() const { return statements_; }
  const x509::Authority& authority() const { return authority_; }
  const std::string& server_certificate_pem() const { return server_pem_; }
  const std::string& server_key_pem() const { return server_key_pem_; }
  /// True while the root key still lies beside the others: `bavn doctor` and the status page say so.
  bool root_key_is_here() const;

  /// The server's certificate lives 90 days; due after 60. Returns whether a new one was made (give it to net::Server).
  Result<bool> renew_server_certificate_if_due();
  /// The same with other names, at once.
  Result<void> remake_server_certificate(const std::vector<std::string>& names);

 private:
  Trust(Runtime& runtime, std::string folder, PublicKey root, SigningKey hub_key)
      : runtime_(&runtime), folder_(std::move(folder)), root_(root), hub_key_(std::move(hub_key)) {}

  Runtime* runtime_;
  std::string folder_;
  PublicKey root_;
  SigningKey hub_key_;
  HubStatement statement_;
  std::vector<std::string> statements_;
  x509::Authority authority_;
  std::string server_pem_, server_key_pem_;
};

std::array<std::byte, 16> random_serial(Runtime& runtime);

}  // namespace bavn::tenants
