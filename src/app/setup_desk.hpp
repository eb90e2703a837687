#pragma once
// The first ten minutes of a node as a page walks them: the steps of `bavn node setup`, at a node that runs. What was done stands in
// setup.json of its folder, so a restart goes on where it stopped; the key of an application that nobody has consented to yet lies beside
// the others (m365/waiting.key.pem, 0600).
// Life: after the NodeCore it looks at, gone before it; its destructor waits for the step that runs. Thread rules: any thread; steps run
// one at a time on a queue of their own, and wait there for their answers.
#include <memory>
#include <string>

#include "app/night_call.hpp"
#include "base/guarded.hpp"
#include "base/runtime.hpp"
#include "beacon/node.hpp"
#include "net/client.hpp"
#include "show/api/setup/setup.hpp"
#include "store/state.hpp"

namespace bavn::app {

struct SetupDeskParts {
  Runtime& runtime;
  store::State& state;
  net::Client& client;          // goes where the node's settings allow
  std::string folder, name;     // name: of the node; empty: not enrolled
  std::string language = "da";  // of the municipality: da, nb or en
  MunicipalityId municipality{};
  NightCall* night = nullptr;            // null: not enrolled
  beacon::NodeBeacon* beacon = nullptr;  // null: not enrolled
};

class SetupDesk final : public show::api::SetupDesk {
 public:
  explicit SetupDesk(SetupDeskParts parts);
  ~SetupDesk() override;
  /// No step goes on after this; what runs is waited for.
  void stop();

  show::api::SetupView view() const override;
  Result<void> run(const event::Scope& scope, std::string_view step, const std::map<std::string, std::string>& answers,
                   bool skip) override;
  Result<std::string> consent_script() const override;

 private:
  struct Inner;
  std::shared_ptr<Inner> inner_;
};

}  // namespace bavn::app
