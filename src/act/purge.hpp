#pragma once
// Emptying mailboxes of mails that a sender notice names: by Message-ID, into a folder they can be taken back from, counted, and undone.
// A case is one notice. Its copies are (mailbox, Message-ID) that the node's own message trace shows, from that sender, in that window:
// what the hub says is only where to look. Nothing moves but within the mandate's action "purge" (docs/purge.md).
// Rows are the truth: each step is written down before it is made and after; a process that is killed anywhere goes on and ends the same.
// Life: open() before State::start(), start() after it; stop() (or gone) after State::stop(). Thread rules: functions that take a Tx
// inside it; the others from any thread; ask and locate are called on Purge's own queue and answer from any thread.
#include <boost/describe/class.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "act/mandate.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "event/notices.hpp"
#include "store/retention.hpp"
#include "store/state.hpp"

namespace bavn::act {

/// One request to Microsoft Graph in the name of the tenant that the mailbox belongs to; path begins with the version: "/v1.0/users/...".
struct GraphCall {
  std::string mailbox;
  bool post = false;
  std::string path, body, permission;
  bool security = false;  // counts as a request to Defender, not to a mailbox
};
/// status 0: it was not reached, or told to wait for too long; `what` says so for people, with the fix when there is one.
struct GraphReply {
  int status = 0;
  std::string body, code, what;
};
using Ask = std::function<void(GraphCall, std::move_only_function<void(GraphReply)>)>;

/// Where those mails went, by the own message trace: also to a second mailbox by redirection (same Message-ID), and forwards by
/// recipients inside the own domains, which are looked at in the mailbox before anything is done.
struct LocateAsk {
  std::string notice, sender;
  Instant from, to;
  std::vector<std::string> message_ids;  // without <>
};
struct Place {
  std::string mailbox, message_id, sender;
  std::string network_id;  // of the message trace: Defender names a mail by it
  Instant at;
  std::string forward_of;  // the Message-ID it seems to be a forward of; empty: it is one of those asked for
  bool reported = false;   // this mailbox's owner reported it
};
struct Located {
  std::vector<Place> places;
};
using Locate = std::function<void(LocateAsk, std::move_only_function<void(Result<Located>)>)>;

/// The one-time question to the duty contact; inside the Tx. Returns how many messages went out.
struct PurgeQuestion {
  std::string notice, sender, code;
  std::vector<std::string> because;  // identity, payload, harm, ordered
  std::int64_t mailboxes = 0;        // known so far
  Instant until;                     // no answer until then counts as no
};
using AskDuty = std::function<Result<std::size_t>(store::Tx&, const PurgeQuestion&)>;

struct PurgeWays {
  Ask ask;
  Locate locate;
  AskDuty ask_duty;
};

std::span<const Setting> purge_settings();

struct PurgeOptions {
  MunicipalityId municipality;
  MandateFiles mandate;
  std::vector<std::string>
      domains;  // own mail domains; mailboxes of others are left alone. Empty: not known, all are tried
  // From purge_settings():
  Duration longest_window = std::chrono::hours(24);
  Duration wait = std::chrono::hours(48);      // for a second sign
  Duration answer = std::chrono::minutes(30);  // to the question
  Duration watch = std::chrono::hours(6);      // for late arrivals, after the notice last grew
  Duration recount = std::chrono::minutes(2);  // first pause; doubled up to recount_longest
  Duration recount_longest = std::chrono::minutes(60);
  unsigned at_once = 8;      // mailboxes
  std::size_t most = 20000;  // Message-IDs of a case
  std::string way = "auto";  // auto | mailbox | defender
  static PurgeOptions from(const Settings& settings);
};

/// A case as people see it. state: waiting (for a second sign), asked, off (the mandate), running, emptied (counted zero; late arrivals are
/// still looked for), done, stopped, withdrawn (undo is offered), undoing, undone.
struct PurgeCase {
  std::string notice, sender, state, why, paused, signs, approved_by, way;
  std::int64_t from_us = 0, to_us = 0, opened_us = 0, changed_us = 0;
  std::int64_t said = 0;         // mails, as the notice says
  std::int64_t message_ids = 0;  // given
  std::int64_t located = 0;      // of them, seen in the own trace
  std::int64_t refused = 0;      // of them, in the trace but not of that sender or window: never touched
  std::int64_t mailboxes = 0, copies = 0;
  std::int64_t found = 0, moved = 0, gone = 0, left_alone = 0, failed = 0, back = 0, lost = 0;
  std::int64_t rounds = 0;
  std::int64_t first_moved_us = 0, emptied_us = 0, watch_until_us = 0, ask_until_us = 0, next_us = 0;
};
BOOST_DESCRIBE_STRUCT(PurgeCase, (),
                      (notice, sender, state, why, paused, signs, approved_by, way, from_us, to_us, opened_us,
                       changed_us, said, message_ids, located, refused, mailboxes, copies, found, moved, gone,
                       left_alone, failed, back, lost, rounds, first_moved_us, emptied_us, watch_until_us, ask_until_us,
                       next_us))

/// state: found, moving, moved, gone (nothing to move: its owner deleted it, or it never came), left (on purpose), failed, undoing, back,
/// lost (it could not be taken back).
struct PurgeCopy {
  std::string mailbox, message_id, state, reason, way, forward_of;
  std::int64_t nr = 0;  // a mailbox may hold the same mail twice
  std::int64_t delivered_us = 0, moved_us = 0, back_us = 0;
};
BOOST_DESCRIBE_STRUCT(PurgeCopy, (),
                      (mailbox, message_id, state, reason, way, forward_of, nr, delivered_us, moved_us, back_us))

/// One time round all mailboxes. what: empty, back. present: copies that were in a mailbox when it was searched.
struct PurgeRound {
  std::int64_t nr = 0, started_us = 0, ended_us = 0;
  std::string what;
  std::int64_t searched = 0, present = 0, moved = 0, failed = 0;
};
BOOST_DESCRIBE_STRUCT(PurgeRound, (), (nr, started_us, ended_us, what, searched, present, moved, failed))

class Purge {
 public:
  /// node_key must outlive it.
  static Result<std::unique_ptr<Purge>> open(Runtime& runtime, store::State& state, const SigningKey& node_key,
                                             PurgeOptions options, PurgeWays ways);
  ~Purge();
  /// Goes on with what was under way.
  void start();
  /// The own mail domains as the community has them now. Any thread; counts from the next look into the trace on.
  void use_domains(std::vector<std::string> domains);

  /// An entry "sender_ids". What is wrong with it is counted, noted and refused with its reason; an Error is trouble of the State only.
  Result<void> take(store::Tx& tx, std::string_view payload);
  Result<void> take(store::Tx& tx, const event::SenderIds& ids);
  /// A second sign that this node saw itself about a sender's mails; also before the notice comes (kept for 48 h).
  Result<void> own_sign(store::Tx& tx, std::string_view sender, const event::Sign& sign);
  /// An order with two signatures, target "notice:<id>"; what was begun, for the proof of the order. See OrderDesk::carry_out.
  Result<std::string> order(store::Tx& tx, std::string_view target, const std::vector<std::string>& people,
                            std::string_view order_id);
  /// A person's yes or no. code: of the question, from whoever answers from outside; empty: the owner at this machine. False: a wrong
  /// code; it is counted (commit the Tx), and after five nothing but a yes at this machine counts.
  Result<bool> answer(store::Tx& tx, std::string_view notice, bool yes, std::string_view who, std::string_view code);
  /// Puts back where it was what Bavn moved, and nothing else.
  Result<void> undo(store::Tx& tx, std::string_view notice, std::string_view who);
  Result<void> redo(store::Tx& tx, std::string_view notice, std::string_view who);

  static Result<std::vector<PurgeCase>> cases(store::Reader& db, std::size_t limit = 200);
  static Result<PurgeCase> find(store::Reader& db, std::string_view notice);  // not_found
  static Result<std::vector<PurgeCopy>> copies(store::Reader& db, std::string_view notice);
  static Result<std::vector<PurgeRound>> rounds(store::Reader& db, std::string_view notice);
  /// Signed by the node's key; the newest first. See purge_proof_holds.
  static Result<std::vector<std::string>> proofs(store::Reader& db, std::string_view notice);

 private:
  struct Inner;
  explicit Purge(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

bool purge_proof_holds(std::string_view proof, const PublicKey& node);

/// Cases with everything that belongs to them, names of mailboxes too.
store::RetentionRule purge_retention();

}  // namespace bavn::act
