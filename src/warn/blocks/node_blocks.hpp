#pragma once
// The node's block list: what the hub sent, what a person here added or let through, and the lists made of it. Everything is checked again
// with NeverBlock and the own names and networks: when it comes, when a person adds it, and when a list is written.
// Tables: node/0133_blocks_node.sql. Life: after Runtime and State; open() before State::start(). Thread rules: any thread; take* in a Tx.
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
#include "event/tlp.hpp"
#include "store/retention.hpp"
#include "store/state.hpp"
#include "warn/exports/export.hpp"
#include "warn/never_block.hpp"

namespace bavn::warn::blocks {

std::span<const Setting> node_settings();
/// Exceptions that are over and tokens that were revoked.
std::vector<store::RetentionRule> node_retention();

/// Filled by app: a report up.
using Tell =
    std::function<Result<void>(store::Tx&, std::string_view kind, std::string_view json, MunicipalityId, event::Tlp)>;

/// What an observable hit here. people: accounts or mailboxes, as far as the logs name any.
struct Seen {
  std::int64_t hits = 0, people = 0, days = 0;  // days: how far back this node's history goes, at most what was asked
};
/// Filled by app (history): counts of `what` in [from, to). `then` is called once, from any thread.
using Look = std::function<void(const event::Observable& what, Instant from, Instant to,
                                std::function<void(Result<Seen>)> then)>;

struct NodeEntry {
  std::string id, kind, value, action, reason, campaign, by;
  std::string state;  // in_force, refused (by NeverBlock here), allowed (let through here), gone, over, own (made here)
  std::string why;
  std::int64_t from_us = 0, until_us = 0;
};
BOOST_DESCRIBE_STRUCT(NodeEntry, (), (id, kind, value, action, reason, campaign, by, state, why, from_us, until_us))

struct Override {
  std::string kind, value, what;  // what: allow, deny
  std::string reason, by;
  std::int64_t at_us = 0, until_us = 0;
};
BOOST_DESCRIBE_STRUCT(Override, (), (kind, value, what, reason, by, at_us, until_us))

struct ListToken {
  std::int64_t id = 0;
  std::string list, hash, name, made_by;  // name: of the device that asks
  std::int64_t made_at_us = 0, revoked_at_us = 0, used_at_us = 0;
};
BOOST_DESCRIBE_STRUCT(ListToken, (), (id, list, hash, name, made_by, made_at_us, revoked_at_us, used_at_us))

/// A list as it is served.
struct Kept {
  std::string body, content_type, etag;
  Instant made;         // Last-Modified: when its content changed last
  bool stale = false;   // the newest could not be written; this is the last good one
  std::string trouble;  // why
};

class NodeBlocks {
 public:
  static Result<std::unique_ptr<NodeBlocks>> open(Runtime& runtime, store::State& state, MunicipalityId municipality,
                                                  Tell tell, Look look, const Settings* settings);
  ~NodeBlocks();
  void use_never_block(std::shared_ptr<const NeverBlock> never);

  // What the hub says: kinds "block" and "block_ask". What is refused is kept with the reason and told.
  Result<void> take(store::Tx& tx, std::string_view payload);
  Result<void> take_ask(store::Tx& tx, std::string_view payload);

  // What people here do; audited, with reason and end.
  Result<void> add_override(std::string_view by, std::string_view what, std::string_view kind, std::string_view value,
                            std::string_view reason, std::int64_t hours);
  Result<void> drop_override(std::string_view by, std::string_view kind, std::string_view value);
  /// The lists are served empty until revive().
  Result<void> kill(std::string_view by, std::string_view why);
  Result<void> revive(std::string_view by, std::string_view why);
  Result<std::string> killed() const;  // why; empty: not

  Result<std::vector<NodeEntry>> list(bool also_ended = false, std::size_t most = 1000) const;
  Result<std::vector<Override>> overrides() const;
  /// path: exactly this can be blocked here; host: only all of its host; nothing.
  std::string_view can(event::Kind kind) const;

  // Lists. file: one of exports::files().
  Result<exports::List> in_force() const;
  /// Written anew when the list changed since; else as it was. Errors: not_found, and what writing says when there is no good one yet.
  Result<Kept> file(std::string_view file);
  /// The token, shown once: only its hash is kept.
  Result<std::string> issue_token(std::string_view by, std::string_view file, std::string_view device);
  Result<void> revoke_token(std::string_view by, std::int64_t id);
  Result<std::vector<ListToken>> tokens() const;
  /// not_found: it is no token of ours; forbidden: of another list, or revoked.
  Result<void> may_fetch(std::string_view token, std::string_view file);

  struct Inner;

 private:
  explicit NodeBlocks(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}
  std::shared_ptr<Inner> inner_;
};

}  // namespace bavn::warn::blocks
