#pragma once
// The digests of a node, as the desk of notices asks for them: keyring, digester, what is kept and revealed, in one.
// Life: after Runtime and State, before State::start(); outlives the Desk. Thread rules: as Digesting; use_*, counts and keyring any thread.
#include <memory>
#include <string>

#include "base/metrics.hpp"
#include "base/settings.hpp"
#include "notice/digest_keyring.hpp"
#include "notice/digest_reveals.hpp"
#include "notice/digester.hpp"
#include "notice/digesting.hpp"
#include "notice/tell.hpp"

namespace bavn::notice {

struct DigestDeskOptions {
  DigestOptions digests{};
  RevealOptions reveals{};
  static DigestDeskOptions from(const Settings& settings);
};

class DigestDesk : public Digesting {
 public:
  /// own: node_seal_key(). stewards: read_stewards(); none: everything is learnt, nothing can be told, health says so.
  static Result<std::unique_ptr<DigestDesk>> open(Runtime& runtime, store::State& state,
                                                  std::shared_ptr<const Community> community, SealKey own,
                                                  std::vector<event::Steward> stewards, Tell tell,
                                                  DigestDeskOptions options, Metrics& metrics);
  ~DigestDesk() override;

  // Digesting
  void feed(const event::MailFact& mail, Instant received, bool again) override;
  std::optional<std::string> harm(const event::HarmFact& harm, Instant received, bool again) override;
  store::Unit take() override;
  /// "reveal", "digest_key" and "harmless".
  Result<void> take_entry(store::Tx& tx, std::string_view kind, std::string_view payload,
                          MunicipalityId municipality) override;
  Result<void> save(std::string& into) const override;
  Result<void> load(std::string_view saved) override;
  Duration memory() const override;

  void use_community(std::shared_ptr<const Community> community);
  /// Tells the hub the node's address ("digest_address") for this municipality, unless it was told already.
  Result<void> tell_address(store::Tx& tx, MunicipalityId of);
  DigestCounts counts() const;
  const DigestKeyring& keyring() const;
  DigestReveals& reveals();
  /// What people should know: no steward pinned, no key in force, the last key ends soon. Empty: all is well. An i18n key.
  std::string trouble(Instant now) const;

 private:
  struct Inner;
  explicit DigestDesk(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace bavn::notice
