#pragma once
// The node's desk of notices: a Watch for each municipality of the node and the digester, fed by `live`, kept in rows. What came out is stored
// and told in the Tx that moves `matched_to`, or in the Tx of a timer when something waited; a part that was told is never told again.
// What is told: reports "sender_notice", "takeover", "burst", "harm", TLP amber. Outbox: notice.sender, notice.takeover, notice.burst,
// notice.harm (subject: id; detail: {"part"}), notice.judged ({"state"}); municipality set.
// Life: after State; open() before State::start(); gone after State::stop(). Thread rules: feed, take, save, load as FactWatcher; the rest any
// thread (never the State's writer but where a Tx is passed in).
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/runtime.hpp"
#include "event/scope.hpp"
#include "event/tlp.hpp"
#include "notice/digesting.hpp"
#include "notice/exercise.hpp"
#include "notice/fact_watcher.hpp"
#include "notice/tell.hpp"
#include "notice/watch.hpp"
#include "store/retention.hpp"
#include "store/state.hpp"

namespace bavn::notice {

struct DeskOptions {
  WatchOptions watch;
  std::string key;               // the community's; see Watch
  Digesting* digests = nullptr;  // null: this node sends no digests. Outlives the desk
};

/// A row of what was noticed, for the municipality's own page.
struct NoticedRow {
  std::string id, kind;  // sender, takeover, burst, harm
  std::int64_t municipality = 0;
  std::string concern;  // whose mailbox, account or mail: an address
  std::string level;    // of a takeover
  std::int64_t part = 0, first_us = 0, last_us = 0, noticed_us = 0, updated_us = 0;
  std::int64_t mails = 0, recipients = 0, outside = 0, usual = 0;
  std::string source;
  std::int64_t late_s = 0;
  std::string judged, judged_by, judged_why;  // real, false; empty: nobody said so yet
  std::int64_t judged_us = 0;
};
BOOST_DESCRIBE_STRUCT(NoticedRow, (),
                      (id, kind, municipality, concern, level, part, first_us, last_us, noticed_us, updated_us, mails,
                       recipients, outside, usual, source, late_s, judged, judged_by, judged_why, judged_us))
struct NoticedDomain {
  std::string domain;
  std::int64_t mails = 0;
};
BOOST_DESCRIBE_STRUCT(NoticedDomain, (), (domain, mails))
struct NoticedMore {
  NoticedRow notice;
  std::vector<event::Sign> signs;
  std::vector<NoticedDomain> domains;
  std::vector<std::string> message_ids;  // the first 1,000
};
BOOST_DESCRIBE_STRUCT(NoticedMore, (), (notice, signs, domains, message_ids))
struct NoticedFilter {
  std::string kind;  // empty: any
  std::optional<MunicipalityId> municipality;
  std::int64_t since_us = 0;
  std::string before;  // id of the last row shown; empty: from the newest
  std::int64_t limit = 100;
};

class Desk : public FactWatcher {
 public:
  /// Reads what is kept (exercises, named mail) and registers its timer.
  static Result<std::unique_ptr<Desk>> open(Runtime& runtime, store::State& state,
                                            std::shared_ptr<const Community> community, DeskOptions options, Tell tell);
  ~Desk() override;

  // FactWatcher
  void feed(std::span<const event::Fact> facts, Instant received, bool again) override;
  store::Unit take() override;
  Result<void> save(std::string& into) const override;
  Result<void> load(std::string_view saved) override;
  Duration memory() const override;

  void use_community(std::shared_ptr<const Community> community);
  /// Entries of the urgent stream: "exercise", "sender_ids" (to know which notice a harm is about), "reveal", "digest_key", "harmless"; others are not
  /// ours and are left alone (false). Errors: bad_input.
  Result<bool> take_entry(store::Tx& tx, std::string_view kind, std::string_view payload, MunicipalityId municipality);

  Result<std::vector<NoticedRow>> list(const event::Scope& scope, const NoticedFilter& filter) const;
  Result<NoticedMore> show(const event::Scope& scope, std::string_view id) const;
  Result<std::vector<Exercise>> exercises(const event::Scope& scope) const;
  /// A person of the municipality says what it was; audited. state: real, false.
  Result<void> judge(const event::Scope& scope, std::string_view id, std::string_view state, std::string_view why);
  /// By municipality.
  std::map<std::uint16_t, WatchCounts> counts() const;

 private:
  struct Inner;
  explicit Desk(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

/// Of its tables, for Retention::open.
std::vector<store::RetentionRule> notice_retention();

}  // namespace bavn::notice
