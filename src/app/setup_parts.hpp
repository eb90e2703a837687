#pragma once
// What the first ten minutes consist of, wherever they are walked: at a terminal (node_setup) or on a page (setup_desk).
// Thread rules: free functions that wait for their answers; never on a queue that these answers need.
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/runtime.hpp"
#include "event/scope.hpp"
#include "input/sources/microsoft365/access.hpp"
#include "input/sources/microsoft365/first_look.hpp"
#include "store/state.hpp"

namespace bavn::app {

std::string host_in(std::string_view url);  // "graph.example" of "https://graph.example:8443/v1"; empty: none
std::vector<std::string> lower_words(std::string_view text);
/// TXT records of a name by the machine's resolver, for DMARC.
Result<std::vector<std::string>> txt_records(const std::string& name);

/// Questions to one tenant, one after the other, each waited for. The Access is stopped when this goes, on its own queue.
class TenantQuestions {
 public:
  TenantQuestions(Runtime& runtime, net::Client& client, const input::microsoft365::Account& account);
  ~TenantQuestions();
  TenantQuestions(const TenantQuestions&) = delete;
  TenantQuestions& operator=(const TenantQuestions&) = delete;
  const input::microsoft365::Access& access() const { return *access_; }
  const input::microsoft365::Ask& ask() const { return ask_; }

 private:
  Runtime& runtime_;
  std::shared_ptr<input::microsoft365::Access> access_;
  input::microsoft365::Ask ask_;
};

struct DutyAnswers {
  std::string name, language, phone, mail, webhook;
};
/// Written down once: the same name again changes nothing. Only https webhooks are kept for calls.
Result<void> keep_duty_contact(const event::Scope& scope, Runtime& runtime, store::State& state,
                               MunicipalityId municipality, const DutyAnswers& who);

}  // namespace bavn::app
