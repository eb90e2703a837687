#pragma once
// Messages to people over the ways of their contact cards: rows and jobs in the State, tried until delivered or too late, with proof of
// every attempt. Webhooks carry the headers of Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature), mail goes by SMTP, SMS
// through a gateway; a phone is for people to dial. A test carries a one-time code; whoever answers with it proves that this way reaches the person.
// Outbox: "message.delivered", "message.given_up" (detail {"about", "way"}), "way.confirmed" (subject "way:<id>", detail {"about": ...}).
// Thread rules: any thread; the State's rules for units. Life: open before State::start(), gone after State::stop().
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/catalogue.hpp"
#include "base/guarded.hpp"
#include "base/runtime.hpp"
#include "net/client.hpp"
#include "net/http.hpp"
#include "notify/mail.hpp"
#include "notify/sms.hpp"
#include "store/retention.hpp"
#include "store/state.hpp"
#include "tenants/people.hpp"

namespace bavn::notify {

struct NotifyOptions {
  std::string confirm_url{};  // "https://node.example.org/confirm/"; empty: the code is typed
  Duration code_valid = std::chrono::hours{72};
  std::size_t guesses = 10;   // wrong codes in 15 minutes, then none is taken
  SmsGateway* sms = nullptr;  // null: none is set up; a message by SMS then waits and says so. Must outlive it
};

struct CallMe {
  MunicipalityId municipality;
  std::string municipality_name;
  std::vector<std::string> people;  // who asks
  std::string reason, order;
  Instant until;  // pointless afterwards
};

/// What people of a municipality are to know: its duty contacts and its IT people, each in their own language.
struct News {
  MunicipalityId municipality;
  std::string kind, about;  // "warning", "warning:<id>"
  struct Words {
    Language language = Language::en;
    std::string subject, body, sms;
    std::string call_only_subject, call_only;  // what may stand in mail that others read
  };
  std::vector<Words> words;  // at least one
  bool urgent = false;       // by SMS too
  bool taken = false;        // the municipality's own mail is in others' hands: it gets `call_only`
  Instant until;
};

/// Asks the duty contact whether mailboxes may be emptied; the code makes the answer the duty contact's.
struct AskPurge {
  MunicipalityId municipality;
  std::string municipality_name, zone, notice, sender, code;
  std::vector<std::string> because;  // identity, payload, harm, ordered: texts "notify.purge.because.*"
  std::int64_t mailboxes = 0;
  Instant until;
};

/// Mail to an address that is on no contact card: a subscriber's. The address goes when it is delivered or given up; logs, the record and proofs
/// never have it. Letters wait for messages, never the other way round.
struct Letter {
  std::string to, kind, about, subject, body;
  std::string headers;  // "Name: value", one a line
  Instant until;
};

struct Attempt {
  Instant at;
  bool good = false;
  std::string answer;
};
/// What is known of one message, for people and for the record.
struct Proof {
  std::int64_t message = 0;
  std::string kind, about, state;
  Instant made{};
  std::optional<Instant> done;
  std::vector<Attempt> attempts;
};

class Notify {
 public:
  /// mail: null when no mail server is set up; a message by mail then waits and says so. client and mail must outlive it.
  static Result<std::unique_ptr<Notify>> open(Runtime& runtime, store::State& state, net::Client& client,
                                              MailCarrier* mail, const Catalogue& texts, NotifyOptions options = {});

  /// A test to every way of the person but phones; the number of messages. about: told again when the person answers.
  Result<std::size_t> send_test(store::Tx& tx, const tenants::Person& person, std::string_view municipality_name,
                                std::string_view zone, std::string_view about);
  /// "Call now" to every duty contact, by all their ways. not_found: there is none with a webhook or mail address.
  Result<std::size_t> call(store::Tx& tx, const CallMe& call);

  /// How many messages; 0: nobody there has a way that could be used.
  Result<std::size_t> tell(store::Tx& tx, const News& news);

  /// The question to every duty contact, by all their ways. not_found as above.
  Result<std::size_t> ask(store::Tx& tx, const AskPurge& question);

  /// A letter, by mail.
  Result<void> post(store::Tx& tx, const Letter& letter);
  /// Letters about this that wait are not sent.
  static Result<void> recall(store::Tx& tx, std::string_view about);
  bool has_mail() const { return mail_ != nullptr; }

  /// The code of a test, as typed. forbidden: wrong, used, expired, or too many guesses.
  Result<void> confirm(std::string_view code);

  Result<std::vector<Proof>> proofs_about(std::string_view about) const;

 private:
  Notify(Runtime& runtime, store::State& state, net::Client& client, MailCarrier* mail, const Catalogue& texts,
         NotifyOptions options)
      : runtime_(runtime), state_(state), client_(client), mail_(mail), texts_(texts), options_(std::move(options)) {}
  struct NewMessage {
    std::int64_t way = 0;
    std::string kind, about;
    MunicipalityId municipality;
    std::string subject, body;
    Instant until;
    std::string sms{};                 // one line; empty: subject and body
    std::string address{}, headers{};  // of a letter
  };
  Result<std::int64_t> add(store::Tx& tx, const NewMessage& message);
  void deliver(const store::Job& job, store::Done done);
  /// letter: the address that is not to be kept; empty: a message by a way.
  void attempted(std::int64_t message, Result<std::string> answer, store::Done done, std::string letter = {});

  Runtime& runtime_;
  store::State& state_;
  net::Client& client_;
  MailCarrier* mail_;
  const Catalogue& texts_;
  NotifyOptions options_;
  QueueId queue_{};
  Guarded<std::deque<Instant>> guesses_;
};

/// Letters that were sent, and their attempts.
store::RetentionRule letter_retention();

/// GET /confirm/{code} asks (a mail filter that opens links confirms nothing), POST /confirm/{code} confirms. For people: HTML, no script.
void add_confirm_routes(net::Router& router, Notify& notify, const Catalogue& texts);

}  // namespace bavn::notify
