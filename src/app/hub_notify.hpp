#pragma once
// The hub's own ways to people: reminders to municipalities whose node does not answer a warning, and calls to duty contacts when correlation
// wants one ("call.wanted"). Both go to the contact cards that the hub keeps, outside a municipality's mail when its accounts are taken.
// Outbox: "call.impossible" (subject = municipality): there is nobody with a way that could be used.
// Life: opened before State::start(), gone after State::stop(). Thread rules: any thread.
#include <memory>
#include <string>
#include <vector>

#include "base/catalogue.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "net/client.hpp"
#include "notify/notify.hpp"
#include "notify/sms.hpp"
#include "store/state.hpp"
#include "tenants/municipalities.hpp"
#include "warn/desk.hpp"

namespace bavn::app {

class HubNotify {
 public:
  /// notify.*: mail and SMS.
  static std::vector<Setting> settings_table();
  /// settings: null: webhooks alone. name: of the CERT, who calls. mail: instead of the settings' server. What is named must outlive it.
  static Result<std::unique_ptr<HubNotify>> open(Runtime& runtime, store::State& state, net::Client& client,
                                                 const Catalogue& texts, const Settings* settings, std::string name,
                                                 notify::MailCarrier* mail = nullptr);
  notify::Notify& notify() { return *notify_; }
  warn::Remind remind();

 private:
  HubNotify(store::State& state, const Catalogue& texts, std::string name)
      : state_(state), texts_(texts), name_(std::move(name)) {}
  Result<void> on_call(const store::DomainEvent& event);

  store::State& state_;
  const Catalogue& texts_;
  std::string name_;
  tenants::Municipalities municipalities_ = tenants::Municipalities::all();
  std::unique_ptr<notify::MailCarrier> mail_;
  std::unique_ptr<notify::SmsGateway> sms_;
  std::unique_ptr<notify::Notify> notify_;
};

}  // namespace bavn::app
