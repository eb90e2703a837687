#pragma once
// One tenant of Microsoft 365 as a source: all pullers over one Access.
// Life: after Client, Sink, SourceBook and State, gone before them. Thread rules: all work on `queue`, which has one thread; before it is
// destroyed on another thread than that, stop_and_wait(). Under Sim the destructor is enough.
#include <memory>
#include <string>
#include <vector>

#include "input/sources/microsoft365/puller.hpp"

namespace bavn::input::microsoft365 {

struct TenantOptions {
  Account account;
  MunicipalityId municipality{};
  TenantId tenant{};
  std::string label = {};                 // "school"; empty for the first tenant
  std::vector<std::string> off = {};      // names of sources not wanted
  std::vector<std::string> domains = {};  // its mail domains, as the setup stored them
};

class Microsoft365 {
 public:
  Microsoft365(Runtime& runtime, net::Client& client, QueueId queue, Sink& sink, SourceBook& book, store::State& state,
               TenantOptions options);
  ~Microsoft365();
  Microsoft365(const Microsoft365&) = delete;
  Microsoft365& operator=(const Microsoft365&) = delete;

  void start();
  /// Nothing of it runs when this returns. Never on `queue`, never under Sim.
  void stop_and_wait();
  /// Polls everything now.
  void poke();
  Access& access() { return *access_; }
  std::shared_ptr<Access> shared_access() { return access_; }
  const std::vector<std::shared_ptr<Puller>>& pullers() const { return pullers_; }

 private:
  void stop_here();
  void on_queue(void (Puller::*what)());
  std::shared_ptr<Access> access_;
  std::vector<std::shared_ptr<Puller>> pullers_;
};

/// "m365.signins", "m365.signins@school"
std::string source_name(const Api& api, std::string_view label);

/// The accounts that the setup wrote into the node's state, with their keys from `<data>/m365/<label>.key.pem` and `.cert.pem`.
Result<std::vector<TenantOptions>> stored_accounts(const store::State& state, Files& files, const std::string& data);
/// Writes the account into the state and the key (mode 0600) and certificate into files.
Result<void> store_account(store::State& state, Files& files, const std::string& data, const TenantOptions& options,
                           const std::vector<std::string>& domains);
/// Key, certificate and everything that was remembered; records in the history are the history's.
Result<void> forget_account(store::State& state, Files& files, const std::string& data, std::string_view label);
std::string key_path(const std::string& data, std::string_view label);

}  // namespace bavn::input::microsoft365
