#pragma once
// What one municipality's node notices from facts, without I/O: the takeover chain, the sender notice, the burst at the receiver, signs of harm.
// Facts come in the order of the journal, which is not the order things happened in: what is noticed depends on when things happened, not on
// when they were told, as long as they come within WatchOptions::detail of each other (then the last part of each notice says the same).
// The same facts and times give the same notices, so that what crashed is made again. Ids are keyed hashes of who and when.
// Late and doubled facts: one recipient of one Message-ID counts once; what is older than WatchOptions::too_old only teaches.
// Memory is bounded by the options; what did not fit is counted. Life: a value. Thread rules: one thread at a time.
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "event/facts.hpp"
#include "event/notices.hpp"
#include "notice/community.hpp"
#include "notice/exercise.hpp"
#include "notice/settings.hpp"

namespace bavn::notice {

using Noticed = std::variant<event::SenderNotice, event::TakeoverNotice, event::BurstNotice, event::HarmNotice>;

/// Since it was made or loaded.
struct WatchCounts {
  std::uint64_t facts = 0, mails = 0, doubled = 0, too_old = 0, of_exercises = 0, automatic = 0;
  std::uint64_t odd_sign_ins = 0;
  std::uint64_t full_senders = 0, full_accounts = 0, full_mails = 0, full_notices = 0,
                full_harm = 0;  // bounds that were hit
};

class Watch {
 public:
  /// key: the community's, for hashes of subjects that nodes share: equal subjects have equal hashes at all nodes, and at nobody's else.
  Watch(MunicipalityId municipality, std::shared_ptr<const Community> community, const WatchOptions& options,
        std::string key);
  Watch(Watch&&) noexcept;
  Watch& operator=(Watch&&) noexcept;
  ~Watch();

  /// digest: of what a harm is about, as the digester knows it (digesting.hpp).
  void feed(const event::Fact& fact, Instant received, std::vector<Noticed>& out, std::string_view digest = {});
  /// Parts that waited long enough. feed() does it too, with `received`.
  void advance(Instant now, std::vector<Noticed>& out);
  /// When advance() has something to do; empty: nothing waits.
  std::optional<Instant> due() const;

  void use_community(std::shared_ptr<const Community> community);
  void use_exercises(std::vector<Exercise> exercises);
  /// Mail that another node's sender notice named to us (entry "sender_ids"): harm about it names that notice.
  void know_notice(const event::SenderIds& ids);
  /// A person said what the notice of this sender was: what a thief sent does not become the mailbox's habit, what its owner sent does.
  void judged(std::string_view sender, bool real);

  Result<void> save(std::string& into) const;
  /// Errors: corrupt; then nothing has changed.
  Result<void> load(std::string_view saved);
  const WatchCounts& counts() const;
  std::size_t bytes() const;  // of memory, about
  MunicipalityId municipality() const;

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace bavn::notice
