#pragma once
// Inside of Purge: the rows, what decides (in Tx, purge.cpp) and what works (on the queue, purge_work.cpp).
#include <deque>
#include <map>
#include <set>

#include "act/purge.hpp"
#include "act/purge_graph.hpp"
#include "base/guarded.hpp"

namespace bavn::act {

inline constexpr std::string_view kPurgeTimer = "purge.go";

struct CaseRow {
  std::string notice, sender;
  std::int64_t from_us = 0, to_us = 0, said = 0;
  std::string state, why, paused, want;
  bool withdrawn = false;
  std::string approved_by;
  bool yes = false;
  std::string code_hash;
  std::int64_t code_tries = 0, ask_until_us = 0, refused = 0, round = 0;
  bool round_open = false;
  std::int64_t pause_step = 0;
  bool looked = false;
  std::optional<std::int64_t> locate_us;
  std::int64_t next_us = 0, wait_until_us = 0, watch_until_us = 0, opened_us = 0, changed_us = 0, emptied_us = 0;
};
BOOST_DESCRIBE_STRUCT(CaseRow, (),
                      (notice, sender, from_us, to_us, said, state, why, paused, want, withdrawn, approved_by, yes,
                       code_hash, code_tries, ask_until_us, refused, round, round_open, pause_step, looked, locate_us,
                       next_us, wait_until_us, watch_until_us, opened_us, changed_us, emptied_us))

struct WorkRow {
  std::int64_t id = 0, nr = 0;
  std::string mailbox, message_id, sender, forward_of, network_id, way, state, item, folder;
  std::int64_t delivered_us = 0, counted_us = 0, round = 0;
};
BOOST_DESCRIBE_STRUCT(WorkRow, (),
                      (id, nr, mailbox, message_id, sender, forward_of, network_id, way, state, item, folder,
                       delivered_us, counted_us, round))

/// What is to be done now; made in a Tx, carried out on the queue.
struct Plan {
  std::optional<LocateAsk> locate;
  std::vector<std::string> mailboxes;
  bool defender = false;
};

struct Purge::Inner : std::enable_shared_from_this<Purge::Inner> {
  Inner(Runtime& r, store::State& s, const SigningKey& k, PurgeOptions o, PurgeWays w)
      : runtime(r), state(s), node_key(k), options(std::move(o)), ways(std::move(w)) {}

  // purge.cpp, in a Tx
  Result<std::optional<CaseRow>> load(store::Reader& db, std::string_view notice) const;
  Result<void> save(store::Tx& tx, CaseRow& c) const;
  Result<void> refuse(store::Tx& tx, std::string_view notice, std::string_view why) const;
  /// State, why, event and audit note together.
  Result<void> turn(store::Tx& tx, CaseRow& c, std::string_view state, std::string why) const;
  Result<void> wake(store::Tx& tx, std::string_view notice) const {
    return tx.set_timer(tx.now(), kPurgeTimer, notice);
  }
  /// May it go, must somebody be asked, or is something missing: begins, asks or says why not.
  Result<void> judge(store::Tx& tx, CaseRow& c) const;
  Result<void> begin(store::Tx& tx, CaseRow& c, std::string why) const;
  Result<void> begin_undo(store::Tx& tx, CaseRow& c, std::string_view who) const;
  Result<void> prove(store::Tx& tx, const CaseRow& c, std::string_view what) const;
  /// The mandate's rule for purge, or why there is none.
  struct Rule {
    std::optional<Mandate> mandate;
    ActionRule rule;
    std::string why;  // not empty: nothing may be done
  };
  Rule rule_now(Instant now) const;
  Rule rule_anew(Instant now) const;
  struct LastRule {
    std::string bytes;
    Instant at;
    Rule rule;
  };
  mutable Guarded<LastRule> last_rule;
  Result<std::string> usable_signs(store::Reader& db, const CaseRow& c, bool own_only) const;
  /// How many of `wanted` copies may be moved now; the rest waits until *later, or for ever (why).
  struct Room {
    std::int64_t copies = 0;
    std::optional<Instant> later;
    std::string why;
    bool stop = false;
  };
  Result<Room> room(store::Tx& tx, std::int64_t wanted) const;

  // purge_work.cpp
  void start();
  void drive(std::string notice);
  /// looking: somebody looks through the trace for it now. On the State's thread, like all that is const here.
  Result<Plan> plan(store::Tx& tx, const std::string& notice, bool looking) const;
  Result<void> open_round(store::Tx& tx, CaseRow& c) const;
  Result<void> close_round(store::Tx& tx, CaseRow& c) const;
  void run(const std::string& notice, Plan plan);
  Result<void> merge(store::Tx& tx, const std::string& notice, const Result<Located>& located,
                     std::size_t asked_for) const;
  /// The unit, then `then` on the queue with its outcome.
  void write(store::Unit unit, std::move_only_function<void(Inner&, Result<void>)> then);
  void send(GraphCall call, std::move_only_function<void(Inner&, GraphReply)> then);

  struct MailboxWork;
  void work(std::string notice, std::string mailbox);
  void next_group(std::shared_ptr<MailboxWork> w);
  void search(std::shared_ptr<MailboxWork> w);
  void look_in_recoverable(std::shared_ptr<MailboxWork> w);
  void decide(std::shared_ptr<MailboxWork> w);
  void move_next(std::shared_ptr<MailboxWork> w);
  void back_next(std::shared_ptr<MailboxWork> w);
  void group_failed(std::shared_ptr<MailboxWork> w, const GraphReply& reply);
  void group_done(std::shared_ptr<MailboxWork> w);
  void finish(const std::string& notice, const std::string& key);
  /// The State did not take it: the same again after a pause.
  void stumbled(const std::string& notice, const std::string& key, const Error& error);

  struct DefenderWork;
  void work_defender(std::string notice);
  void defender_check(std::shared_ptr<DefenderWork> w);
  void defender_act(std::shared_ptr<DefenderWork> w);

  Runtime& runtime;
  store::State& state;
  const SigningKey& node_key;
  PurgeOptions options;
  Guarded<std::vector<std::string>> domains;  // lower case
  void use_domains(std::vector<std::string> own);
  PurgeWays ways;
  // From here on only on the queue.
  QueueId queue{};
  std::set<std::string> busy;      // mailboxes somebody works on
  std::set<std::string> locating;  // notices
  std::set<std::string> driving, drive_again;
  std::set<std::string> held_up;  // notices that wait for a free hand
};

/// State of a copy and why, in one statement.
Result<void> set_copy(store::Tx& tx, std::int64_t id, std::string_view state, std::string_view reason);

}  // namespace bavn::act
