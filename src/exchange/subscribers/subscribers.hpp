#pragma once
// Bulletins by mail: who gets them, up to which TLP, in which language. People who sign in subscribe with a mail address of their own contact card;
// anybody else gets what is TLP:CLEAR, after a link that was sent to the address was used. An address gets nothing else before that, what is
// answered never says whether it subscribes, and ending it is one click (RFC 8058).
// TLP:CLEAR and TLP:GREEN are sent in full. Mail lies in servers, archives and phones that nobody of the circle runs, and a taken mailbox is what
// many bulletins are about: of TLP:AMBER only the title and a link are sent, of what is narrower not even the title.
// A subscriber is told once of what a bulletin says, again when it says something else, and that it is withdrawn.
// Addresses are personal data: not in logs, not in the audit log, erased when the subscription ends; what was not confirmed ends by a timer.
// Life: opened before State::start(), gone after State::stop(). Thread rules: any thread but the State's writer.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/catalogue.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "event/scope.hpp"
#include "exchange/bulletins/bulletins.hpp"
#include "store/state.hpp"
#include "tenants/people.hpp"

namespace bavn::exchange {

/// The rows of subscriptions.*.
std::span<const Setting> subscription_settings();

struct SubscriptionLimits {
  bool outsiders = true;
  std::chrono::seconds confirm{}, again{}, tried{};
  std::int64_t asks_per_hour = 0, most = 0;
  std::size_t text = 0;
  /// null: the defaults.
  static SubscriptionLimits from(const Settings* settings);
};

/// A mail to one address.
struct Letter {
  std::string to, about, subject, text;
  std::string headers{};  // "Name: value", one a line
  Instant until{};
};

/// What became of one mail. Known for as long as letters are kept (30 days).
struct Mailed {
  Instant at{};
  std::string state{};  // waiting, delivered, given_up
  std::size_t attempts = 0;
  std::string answer{};  // of the mail server, the last one; without the address
  std::optional<Instant> done{};
  std::optional<std::int64_t> bulletin{};  // that it was about; empty: that is no longer known
  std::string title{};
  bool withdrawn = false;  // it said that the bulletin holds no longer
};

struct SubscriberParts {
  Runtime& runtime;
  store::State& state;
  const Catalogue& texts;
  const Bulletins& bulletins;
  std::string name;  // of the CERT
  SubscriptionLimits limits = SubscriptionLimits::from(nullptr);
  /// Empty: there is no mail server, and nobody can subscribe.
  std::function<Result<void>(store::Tx&, const Letter&)> post{};
  /// Letters about this that wait are not sent.
  std::function<Result<void>(store::Tx&, std::string_view about)> recall{};
  /// What became of the letters about this, oldest first; empty: that is not told.
  std::function<Result<std::vector<Mailed>>(std::string_view about)> mailed{};
  /// "https://hub.example", where links lead; empty: not known (yet).
  std::function<std::string()> site{};
  /// Whether others read the municipality's own mail; empty: never.
  std::function<bool(MunicipalityId)> taken{};
};

/// What somebody who is signed in has and could have.
struct OwnSubscription {
  bool possible = false;  // mail can be sent
  std::string state{};    // none, waits (for its link), subscribed
  std::string address{};  // of it; empty: none
  event::Tlp ceiling = event::Tlp::green;
  std::string language{};
  Instant since{};
  struct Address {
    std::string address{};
    bool confirmed = false;
  };
  std::vector<Address> addresses{};          // of the contact card
  event::Tlp narrowest = event::Tlp::clear;  // that this person may have
};
struct SubscriptionWish {
  std::string address{};  // empty: the first of the contact card
  event::Tlp ceiling = event::Tlp::green;
  std::string language{};
};

/// For whoever manages.
struct Subscriber {
  std::int64_t id = 0;
  std::string address{}, language{};
  std::optional<std::int64_t> person{};  // empty: somebody from outside
  event::Tlp ceiling = event::Tlp::clear;
  Instant since{};
  std::vector<Mailed> mails{};  // without what they were about
};

/// An address that was sent a link which is not used yet.
struct Invited {
  std::int64_t id = 0;
  std::string address{}, language{};
  std::optional<std::int64_t> person{};
  Instant asked{}, ends{};
  std::optional<Mailed> mail{};
};

class Subscribers {
 public:
  static std::unique_ptr<Subscribers> open(SubscriberParts parts);

  /// Mail can be sent and links can be made.
  bool possible() const;
  /// And anybody may ask.
  bool open_to_all() const { return parts_.limits.outsiders && possible(); }

  // Anybody. None of these says whether an address subscribes.
  /// bad_input: no address; unavailable: too many ask, or it is not offered.
  Result<void> ask(std::string_view address, Language language);
  /// forbidden: the link is wrong, used or too old.
  Result<void> confirm(std::string_view token);
  /// The same whether there was such a subscription.
  Result<void> end(std::string_view token);

  // Somebody who is signed in. forbidden: a key or partner, who is no person.
  Result<OwnSubscription> own(const event::Scope& scope) const;
  Result<OwnSubscription> subscribe(const event::Scope& scope, const SubscriptionWish& wish);
  Result<void> unsubscribe(const event::Scope& scope);

  // Whoever manages people for the joint CERT.
  Result<std::vector<Subscriber>> page(const event::Scope& scope, std::int64_t after, std::size_t limit) const;
  Result<void> remove(const event::Scope& scope, std::int64_t id);
  /// Newest first, at most `limit`.
  Result<std::vector<Mailed>> mails(const event::Scope& scope, std::int64_t id, std::size_t limit) const;
  /// Everybody who was sent a link and has not used it, whoever asked.
  Result<std::vector<Invited>> invited(const event::Scope& scope) const;
  /// Sends somebody from outside the link; what happens then is theirs. conflict: subscribes already, or was sent one a moment ago.
  Result<std::int64_t> invite(const event::Scope& scope, std::string_view address, Language language);
  /// The link is good no longer, the address is erased.
  Result<void> take_back(const event::Scope& scope, std::int64_t id);

 private:
  explicit Subscribers(SubscriberParts parts) : parts_(std::move(parts)), people_(parts_.runtime, parts_.state) {}
  struct Row;
  struct Asked;
  Result<tenants::Person> person_of(const event::Scope& scope) const;
  Result<void> ask(store::Tx& tx, const Asked& asked);
  Result<void> begin(store::Tx& tx, const Asked& asked, std::string_view who);
  Result<void> end_ask(store::Tx& tx, std::int64_t id);
  Result<void> may_manage(const event::Scope& scope) const;
  Result<void> end_row(store::Tx& tx, std::int64_t id, std::string_view who, std::string_view why);
  Result<void> on_event(const store::DomainEvent& event);
  Result<void> told(const Bulletin& bulletin, bool withdrawn);
  /// What this subscriber gets of it; empty: nothing. gone: the subscription has no reason any more.
  std::optional<Letter> letter(const Row& row, const Bulletin& bulletin, bool withdrawn, bool again, bool& gone) const;
  std::string new_token() const;

  SubscriberParts parts_;
  tenants::People people_;
};

/// The text as mail carries it: what the bulletin warns of is written with brackets, so that no program makes a link of it and no filter stops
/// it; at most `most` bytes, whole lines, `cut` when there was more.
std::string mail_text(const Bulletin& bulletin, const BulletinText& text, std::size_t most, bool& cut);

}  // namespace bavn::exchange
