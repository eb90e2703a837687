#pragma once
// What nobody can block, whoever signs: public suffixes, hosts that many strangers share (a path on them may be blocked), members' domains,
// state services, what a municipality runs on (content/never_block/), private and wide networks, a node's own names and networks.
// The same check stands at every way in: proposals, indicators that block, entries at the node, hand-made ones, and once more when a list
// is written out. Life: immutable snapshot. Thread rules: any thread.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/runtime.hpp"
#include "event/ip.hpp"
#include "event/observable.hpp"

namespace bavn::warn {

struct Refusal {
  std::string reason;  // for people, names the list and the entry that hit
  std::string fix;     // what can be done instead; may be empty
};

/// Kinds that a block list can carry: the others can be watched for, never blocked.
bool can_be_listed(event::Kind kind);

class NeverBlock {
 public:
  /// What comes with Bavn, the mail and web domains of all members, and (at a node) own names and networks. A member's domain that is a
  /// public suffix or no name at all would stop all blocking: it is left out and named in left_out().
  static Result<NeverBlock> open(std::vector<std::string> member_domains, std::vector<std::string> own_networks = {});

  /// The same with more networks that are never blocked: a municipality's own. What is no network is named in left_out().
  NeverBlock with_networks(const std::vector<std::string>& more) const;

  /// nullopt: it may be blocked. Answers for the observable itself and for everything it would take with it (".dk", a /8, a parent).
  /// Kinds that no list can carry are refused, too.
  std::optional<Refusal> check(const event::Observable& what) const;
  /// The longest that it may be blocked at a time because of whose it is: a member's address. nullopt: only the limits of its kind count.
  bool members_address(const event::Observable& what) const;

  /// bio.link, sites.google.com, ...: many strangers share the host (or, github.io, each has a name below it).
  bool shared_host(std::string_view host) const;
  bool members_domain(std::string_view host) const;
  /// Names that are never blocked, canonical and sorted: for lists that can say "let through".
  std::vector<std::string> names() const;
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  struct Network {
    event::Cidr cidr;
    std::string text, whose;
  };
  using Names = std::map<std::string, std::string, std::less<>>;  // what -> which list
  enum class Rule : std::uint8_t { free, never, customers, shared };
  struct Verdict {
    Rule rule = Rule::free;
    std::string_view name, list;  // the nearest entry at or above
  };
  Verdict nearest(std::string_view host) const;
  std::optional<Refusal> check_host(std::string_view host) const;
  std::optional<Refusal> check_below(std::string_view host) const;
  std::optional<Refusal> check_url(std::string_view url) const;
  std::optional<Refusal> check_address(std::string_view address, std::string_view domain) const;
  std::optional<Refusal> check_network(std::string_view text) const;
  Result<void> add_network(std::string_view text, std::string whose);
  void index();

  Names members_;    // a member's, and what is below
  Names never_;      // state, services: it, and what is below
  Names customers_;  // itself never; what is below is a customer's and may be
  Names shared_;     // "bio.link/", "docs.google.com/forms/d/e/": URL prefixes, lower case
  Names shared_hosts_;
  Names free_mail_;
  Names generic_;
  Names backwards_;  // every protected name written backwards -> the name: what a parent would take with it
  std::vector<Network> networks_;
  std::vector<std::string> left_out_;
};

/// For what must not know where the lists are: what NeverBlock holds may be watched for, never blocked.
using BlockGuard = std::function<std::optional<Refusal>(const event::Observable& what)>;

}  // namespace bavn::warn
