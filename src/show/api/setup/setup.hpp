#pragma once
// The first ten minutes of a node, as steps that people answer one by one. What a step does is app's to say (the same code as
// `bavn node setup`); here is what of it people see. Life: outlives the router. Thread rules: any thread.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "event/scope.hpp"

namespace bavn::show::api {

struct SetupAsk {
  std::string name, type = "text", doc, value;  // value: as answered before
  bool required = false;
};
struct SetupCheck {
  std::string name, light, says, blind;  // light: green, yellow, red
  std::int64_t lag_seconds = -1;
};
struct SetupPast {
  struct Application {
    std::string name, right, since;
  };
  struct Forwarding {
    std::string mailbox, what, at;
  };
  struct Lookalike {
    std::string domain, why;
    std::int64_t mails = 0;
  };
  struct Dmarc {
    std::string domain, policy, says;
  };
  std::vector<Application> applications;
  std::vector<Forwarding> forwarding;
  std::vector<Lookalike> lookalikes;
  std::vector<Dmarc> dmarc;
  bool users_may_register = false, users_may_consent = false, looked = false;
  std::int64_t access_policies = 0, mails = 0;
  std::vector<std::string> not_seen;
};
struct SetupStep {
  std::string id;              // enrol, microsoft365, what_works, past, duty_contact, test_beacon
  std::string state = "todo";  // todo, running, waiting (for a person), done, attention, skipped, failed
  std::string says;
  double seconds = 0;
  std::int64_t at_us = 0;
  bool script = false;  // there is a script to be read and run
  std::vector<std::string> lines;
  std::vector<SetupAsk> asks;
  std::vector<SetupCheck> checks;
  SetupPast past;
};
struct SetupView {
  std::string state = "todo";
  std::int64_t started_us = 0;
  bool restart_needed = false;
  std::vector<SetupStep> steps;
};
std::string setup_json(const SetupView& view);

class SetupDesk {
 public:
  virtual ~SetupDesk() = default;
  virtual SetupView view() const = 0;
  /// Begins the step; how it went is in view(). bad_input names "/answers/NAME"; conflict: one runs, or another must be done first.
  virtual Result<void> run(const event::Scope& scope, std::string_view step,
                           const std::map<std::string, std::string>& answers, bool skip) = 0;
  /// not_found: none is waiting to be run.
  virtual Result<std::string> consent_script() const = 0;
};

}  // namespace bavn::show::api
