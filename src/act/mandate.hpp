#pragma once
// What a municipality lets others do in its name: one text file at the node (mandate.toml), signed by a named leader (mandate.toml.sig),
// edited nowhere else. Whose leader signs is pinned at the node (leader.pub) the first time.
// Life: immutable values, read anew for every order: what is in force is what lies there. Thread rules: any thread.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.hpp"
#include "base/ids.hpp"
#include "base/sign.hpp"
#include "base/time.hpp"

namespace bavn::act {

enum class Mode : std::uint8_t { off, ask, act };
std::string_view to_string(Mode mode);

/// What this version can do when it is ordered to. Others may stand in a mandate as "off" only.
struct ActionFacts {
  std::string_view name, what;  // what: one sentence
  bool available = false;
  bool may_ask = false;  // whether "ask" means anything
};
const std::vector<ActionFacts>& actions();

struct Hours {  // local time, minutes since midnight; from > to goes over midnight; equal: always
  unsigned from = 0, to = 0;
  bool holds(unsigned minute) const;
};

struct ActionRule {
  std::string action;
  Mode mode = Mode::off;
  unsigned per_hour = 0;  // of "purge": copies of mails
  Hours hours;
  bool own_signs_only = false;  // of "purge": a second sign counts only when this node saw it itself
  bool undo_withdrawn = false;  // of "purge": what was moved for a notice that is withdrawn goes back by itself
};

/// A person whose yes counts. kind says how it is given: "ed25519" (a key file) now; a passkey is checked by the same Proofs.
struct Pinned {
  std::string name, of;
  std::string kind = "ed25519", key;
  bool second_only = false;  // counts only beside somebody who may order: the duty contact at night
  Hours hours;               // when the yes counts
};

struct Leader {
  std::string name, title;
  PublicKey key;
};

struct Mandate {
  MunicipalityId municipality;
  std::string municipality_name, zone;
  std::uint64_t version = 1;
  Instant valid_from, valid_until;
  Leader leader;
  std::vector<Pinned> people;
  std::vector<ActionRule> rules;
  std::vector<std::string> protected_accounts;

  const ActionRule* rule(std::string_view action) const;
  static Result<Mandate> parse(std::string_view toml, std::string_view file);
};

struct MandateFinding {
  bool blocks = false;  // the mandate does not hold until this is mended
  std::string what;     // and how to mend it
};
struct MandateCheck {
  std::optional<Mandate> mandate;
  std::vector<MandateFinding> findings;
  bool holds() const;
};

struct MandateFiles {
  std::string mandate, signature, leader;  // paths
  static MandateFiles in(const std::string& folder);
};

/// Reads, verifies and judges. Never an error: what is wrong is in the findings.
MandateCheck check_mandate(Files& files, const MandateFiles& at, MunicipalityId own, Instant now);

struct MandateAnswers {
  MunicipalityId municipality;
  std::string municipality_name, zone, leader_name, leader_title;
  PublicKey leader_key;
  std::vector<Pinned> people;
};
/// Writes a mandate with everything off but call_me, with its comments for people. conflict: there is one.
Result<void> new_mandate(Files& files, const MandateFiles& at, const MandateAnswers& answers, Instant now);
/// Signs it with the leader's key and pins the leader when none is pinned. forbidden: the key is not the leader's of the file.
Result<void> sign_mandate(Files& files, const MandateFiles& at, const SigningKey& leader, Instant now);

}  // namespace bavn::act
