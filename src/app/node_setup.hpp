#pragma once
// `bavn node setup`: a municipality's first ten minutes. `bavn node leave`: out again, with everything, and with proof.
#include <string>

namespace bavn::app {

struct SetupCommand {
  std::string data, answers;  // answers: a TOML file; without it the questions are asked
  bool json = false;
};
int node_setup(const SetupCommand& command);
/// Every answer with its meaning, as a file that can be filled in.
std::string setup_answers_explained();

struct LeaveCommand {
  std::string data, to, consent;  // consent: where the removal script is run by itself (a stand-in)
  bool yes = false, json = false;
};
int node_leave(const LeaveCommand& command);

}  // namespace bavn::app
