#pragma once
// The hub's block list. Propose -> preview (every connected node says what it would have hit in its own history) -> out: exact things
// (Message-ID, URL with path, address, hash) to all at once, hosts, domains and networks in stages 1 -> 5 -> all, rolled back when a stage
// reports too many hits, when nodes say no more than that, or when a person stops it. Above a radius a second person must say yes.
// Every entry expires. A kill switch withdraws one entry, all of one municipality, or everything. Who and why is in the audit log; what
// NeverBlock holds is refused here and again at the node.
// Tables: hub/0132_blocks.sql. Outbox: "block.proposed", "block.previewed", "block.waits", "block.staged", "block.in_force",
// "block.rolled_back", "block.ended" (subject = id). All deadlines are timer rows ("blocks.preview", "blocks.stage", "blocks.expire").
// Life: after Runtime and State; open() before State::start(). Thread rules: any thread; *_tx inside a Tx.
#include <boost/describe/class.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "store/retention.hpp"
#include "store/state.hpp"
#include "warn/never_block.hpp"

namespace bavn::warn::blocks {

std::span<const Setting> hub_settings();
/// What ended long ago.
std::vector<store::RetentionRule> hub_retention();

/// A report of a node, as beacon::Report.
struct Report {
  std::string node, id, kind;
  MunicipalityId municipality{};
  Instant at;
  std::string_view body;
};

/// Filled by app: an urgent entry, to one municipality or to all.
using Down = std::function<Result<void>(store::Tx&, std::optional<MunicipalityId> to, std::string_view kind,
                                        const std::string& json)>;
/// Filled by app: who takes part, and who of them is connected now.
struct Connected {
  MunicipalityId municipality{};
  bool now = false;
};
using WhoIsThere = std::function<Result<std::vector<Connected>>(store::Reader&)>;

struct Proposal {
  std::string kind, value;            // as people write it
  std::string action = "block";       // watch, warn, hold, block
  std::string reason;                 // for people; at least a few words
  std::optional<std::int64_t> hours;  // how long; the kind's usual when not given
  std::optional<std::string> campaign;
};
BOOST_DESCRIBE_STRUCT(Proposal, (), (kind, value, action, reason, hours, campaign))

/// States: asked (only a question); preview -> waits (for the second person) -> stage_1 -> stage_5 -> in_force -> over (expired) | stopped | rolled_back | refused.
struct Entry {
  std::string id, kind, value, action, reason, campaign, state;
  std::int64_t created_us = 0, from_us = 0, until_us = 0, ended_us = 0;
  std::string proposed_by, approved_by, ended_by, ended_why;
  bool exact = false, needs_two = false;
  std::string needs_two_why;
  std::int64_t asked = 0, answered = 0, hits = 0, people = 0,
               municipalities = 0;  // of the preview; municipalities: with hits
  std::int64_t can_path = 0, can_host = 0, can_nothing = 0;
  std::int64_t sent_to = 0;                       // municipalities that have it
  std::int64_t hits_since = 0, people_since = 0;  // said by nodes since it is out
  std::int64_t renewals = 0;
};
BOOST_DESCRIBE_STRUCT(Entry, (),
                      (id, kind, value, action, reason, campaign, state, created_us, from_us, until_us, ended_us,
                       proposed_by, approved_by, ended_by, ended_why, exact, needs_two, needs_two_why, asked, answered,
                       hits, people, municipalities, can_path, can_host, can_nothing, sent_to, hits_since, people_since,
                       renewals))

/// One municipality's part of an entry.
struct Part {
  std::int64_t municipality = 0, asked_us = 0;
  std::optional<std::int64_t> answered_us;
  std::int64_t hits = 0, people = 0, days = 0;
  std::string can;         // path, host, nothing; empty: no answer
  std::int64_t stage = 0;  // 1, 5, 98..: in which it got it; 0: not
  std::string state;       // what the node says: in_force, refused, overridden, gone, killed
  std::string why;
  std::int64_t hits_since = 0, people_since = 0;
};
BOOST_DESCRIBE_STRUCT(Part, (),
                      (municipality, asked_us, answered_us, hits, people, days, can, stage, state, why, hits_since,
                       people_since))

struct Shown {
  Entry entry;
  std::vector<Part> parts;
};
BOOST_DESCRIBE_STRUCT(Shown, (), (entry, parts))

struct Kill {
  std::int64_t municipality = 0;  // 0: everything
  std::string by, why;
  std::int64_t at_us = 0;
};
BOOST_DESCRIBE_STRUCT(Kill, (), (municipality, by, why, at_us))

class HubBlocks {
 public:
  /// settings: of hub_settings(); null: the defaults.
  static Result<std::unique_ptr<HubBlocks>> open(Runtime& runtime, store::State& state, WhoIsThere who_is_there,
                                                 Down down, const Settings* settings);
  ~HubBlocks();
  /// Before the first proposal, and whenever members change.
  void use_never_block(std::shared_ptr<const NeverBlock> never);
  std::shared_ptr<const NeverBlock> never_block() const;

  // What people do. by: the person's name; every call is audited. Errors: forbidden (NeverBlock, or the same person twice), bad_input,
  // conflict (it is on the list), not_found.
  Result<Entry> propose(std::string_view by, const Proposal& proposal);
  /// Only the question: what would it hit? Also of what NeverBlock holds; ended_why says so. It never goes out, and show() has the answers.
  Result<Entry> ask(std::string_view by, std::string_view kind, std::string_view value);
  /// The second person's yes; also to a renewal that waits for one, and to a stage whose nodes are silent.
  Result<Entry> approve(std::string_view by, std::string_view id);
  Result<Entry> stop(std::string_view by, std::string_view id, std::string_view why);
  Result<Entry> renew(std::string_view by, std::string_view id, std::int64_t hours);
  /// nullopt: everything, and nothing new goes out until revive().
  Result<void> kill(std::string_view by, std::optional<MunicipalityId> municipality, std::string_view why);
  Result<void> revive(std::string_view by, std::optional<MunicipalityId> municipality, std::string_view why);

  // What nodes say: kinds "block_preview" and "block_state".
  Result<void> take(store::Tx& tx, const Report& report);
  /// A node that is new or was made anew: what is in force, to it alone.
  Result<void> welcome(store::Tx& tx, MunicipalityId municipality);

  Result<std::vector<Entry>> list(bool also_ended = false, std::size_t most = 1000) const;
  /// A page, newest first: those made before, or then and with a later id. 0: from the newest.
  Result<std::vector<Entry>> page(bool also_ended, std::int64_t before_us, std::string_view after_id,
                                  std::size_t most) const;
  Result<Shown> show(std::string_view id) const;
  Result<std::vector<Kill>> kills() const;

  struct Inner;

 private:
  explicit HubBlocks(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}
  std::shared_ptr<Inner> inner_;
};

}  // namespace bavn::warn::blocks
