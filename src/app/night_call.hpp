#pragma once
// A node's mandate at work: orders that came down are checked and carried out, the duty contact is called, the monthly test is sent and
// its answer recorded. Puts notify behind act's "call me"; the two do not know each other.
// Life: open before State::start(); gone after State::stop(). Thread rules: any thread.
#include <memory>
#include <string>

#include "act/order.hpp"
#include "notify/notify.hpp"

namespace bavn::app {

struct NightCallOptions {
  std::string folder;  // where mandate.toml lies
  MunicipalityId municipality;
  std::string municipality_name, zone;
  notify::NotifyOptions notify;
};

class NightCall {
 public:
  /// client, mail (may be null), texts and node_key must outlive it.
  static Result<std::unique_ptr<NightCall>> open(Runtime& runtime, store::State& state, net::Client& client,
                                                 notify::MailCarrier* mail, const Catalogue& texts,
                                                 const SigningKey& node_key, NightCallOptions options);

  /// For the beacon's handler of kind "order": inside the Tx that stores the cursor. The Outcome goes back up as an "answer".
  Result<act::Outcome> take(store::Tx& tx, std::string_view payload) { return desk_.take(tx, payload); }
  /// Who carries out another action than the call. Before the first take().
  void carry_out(std::string action, act::CarryOut f) { desk_.carry_out(std::move(action), std::move(f)); }
  /// Sends the test to every duty contact now; the number of messages. The monthly one is a timer of its own.
  Result<std::size_t> test_now();
  notify::Notify& notify() { return *notify_; }
  act::MandateCheck mandate() const;

 private:
  NightCall(Runtime& runtime, store::State& state, const SigningKey& node_key, NightCallOptions options);
  Result<std::size_t> test(store::Tx& tx);
  Runtime& runtime_;
  store::State& state_;
  NightCallOptions options_;
  std::unique_ptr<notify::Notify> notify_;
  act::OrderDesk desk_;
};

}  // namespace bavn::app
