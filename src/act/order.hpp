#pragma once
// An order to a node, and what the node makes of it. An order is one JSON text; the signatures are over SHA-256 of (its bytes, municipality,
// not_after, nonce), so that the same check takes a passkey's challenge. Two different people pinned in the mandate must have signed.
// The hub's key alone moves nothing; what is refused is refused with its reason, and everything is in the audit log.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "act/mandate.hpp"
#include "base/runtime.hpp"
#include "store/state.hpp"

namespace bavn::act {

struct Order {
  std::string id;
  MunicipalityId municipality;
  std::string action, target, reason;
  Instant not_before, not_after;  // at most 24 hours apart
  std::string nonce;              // hex of 16 random bytes
};

struct OrderSignature {
  std::string kind, key, signature;  // ed25519, PublicKey::text(), base64url
};

/// As it travels: {"order": "<JSON>", "signatures": [...]}.
struct SignedOrder {
  std::string order;
  std::vector<OrderSignature> signatures;
  std::string text() const;
  static Result<SignedOrder> parse(std::string_view text);
  Result<Order> content() const;
};

Result<SignedOrder> new_order(Runtime& runtime, MunicipalityId municipality, std::string_view action,
                              std::string_view target, std::string_view reason, std::chrono::minutes valid);
/// Adds one person's signature. conflict: this key signed already.
Result<void> sign_order(SignedOrder& order, const SigningKey& person);
std::string challenge(std::string_view order_bytes, const Order& order);  // 32 bytes

/// How one kind of signature is checked; ed25519 is there, a passkey is one more.
using CheckSignature =
    std::function<bool(const Pinned& person, std::string_view challenge, std::string_view signature)>;
bool check_ed25519(const Pinned& person, std::string_view challenge, std::string_view signature);

/// Who may have signed it, by the mandate: names of the (at least two) people. forbidden, with the reason.
Result<std::vector<std::string>> who_signed(const SignedOrder& order, const Mandate& mandate, Instant now,
                                            const std::map<std::string, CheckSignature>& kinds);

/// Carries out "call_me"; the app puts notify behind it. Runs inside the Tx that stores the order.
struct CallMeAsk {
  MunicipalityId municipality;
  std::string municipality_name;
  std::vector<std::string> people;
  std::string reason, order;
  Instant until;
};
using CallOut = std::function<Result<std::size_t>(store::Tx&, const CallMeAsk&)>;

struct Outcome {
  std::string order;  // its id; empty when not even that could be read
  bool done = false;
  std::string reason;  // why not, or what was done
  std::string proof;   // {"proof": "<JSON>", "key": ..., "signature": ...} by the node's key; of what was done
};

/// Carries out another action inside the Tx that stores the order; what was begun, in words. An error refuses the order with its reason.
using CarryOut =
    std::function<Result<std::string>(store::Tx&, const Order& order, const std::vector<std::string>& people)>;

/// The node's desk for orders.
class OrderDesk {
 public:
  OrderDesk(Runtime& runtime, MandateFiles files, MunicipalityId own, const SigningKey& node_key, CallOut call_out);

  /// Who carries out "purge" and the like; without one such an order is refused. Before the first take().
  void carry_out(std::string action, CarryOut f) { carry_out_[std::move(action)] = std::move(f); }

  /// Never twice, whatever comes again. An Error is trouble of the State only; a refusal is an Outcome. Call it inside the beacon's Tx.
  Result<Outcome> take(store::Tx& tx, std::string_view signed_order) const;

  // The monthly test: "call me" without an order.
  /// Starts one and gives its id; send_test of notify gets about = "mandate_test:<id>".
  static Result<std::int64_t> start_test(store::Tx& tx);
  /// To be called for each "way.confirmed" with its `about`; others are ignored.
  static Result<void> on_confirmed(store::Tx& tx, std::string_view about);
  struct Tests {
    std::optional<Instant> passed, started;
    Instant due;  // 31 days after the last pass, or since ever
    bool overdue = false;
  };
  static Result<Tests> tests(store::Reader& db, Instant now);

 private:
  Result<Outcome> refuse(store::Tx& tx, const Order* order, std::string why) const;
  Runtime& runtime_;
  MandateFiles files_;
  MunicipalityId own_;
  const SigningKey& node_key_;
  CallOut call_out_;
  std::map<std::string, CarryOut, std::less<>> carry_out_;
  std::map<std::string, CheckSignature> kinds_{{"ed25519", check_ed25519}};
};

/// For whoever gets an Outcome's proof.
bool proof_holds(std::string_view proof, const PublicKey& node);

}  // namespace bavn::act
