#pragma once
// What happens in a scenario, as facts that each municipality's logs tell, each as late as its log is: quiet life, attacks, and what people do
// about attacks' mail. It is made day by day, so a quarter of a year of all municipalities needs little memory; and it is asked for moment by
// moment, because whether somebody clicks depends on what was done before.
// Modelled: every mail of the kinds in the catalogue and of attacks (sender, recipients, subject, links, attachments, wording), the sign-ins
// and changes of accounts to which something odd happens, clicks, reports, verdicts. Not modelled: other mail (it reaches no threshold) and the
// sign-ins of all others.
// Life: as the Towns it is given. Thread rules: one thread.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "app/simulate/dice.hpp"
#include "app/simulate/scenario.hpp"
#include "app/simulate/towns.hpp"
#include "event/facts.hpp"

namespace bavn::app::simulate {

/// One attack's mail in one mailbox of a municipality, followed to its end.
struct Copy {
  std::size_t attack = 0, town = 0;
  std::string recipient, sender, message_id, url;
  Instant sent{};
  bool real = true, clicker = false, logs_in = false, reporter = false;
  Instant would_click{}, would_report{};  // had nobody done anything
  double heeds = 0;                       // who is below people.heed_rate does not click once warned
  // What came of it.
  Instant removed{}, clicked{}, reported{};  // zero: not
  bool by_machine = false;
};

/// What is true of one attack: what its mail looks like, however it is found.
struct Truth {
  std::string name;
  bool real = true, happens = false;
  Instant begins{};                         // its first step
  Instant first_mail{}, last_mail{};        // zero: no mail
  std::set<std::string> senders, accounts;  // addresses; accounts that are taken
  std::set<std::string> link_starts;        // "bio.link/orbes", canonical, without query
  std::set<std::string> files;              // names and hashes
  std::int64_t mails = 0, outside = 0;
  /// Minutes count from here.
  Instant zero() const { return first_mail == Instant{} ? begins : first_mail; }
};

/// What a municipality's node reads at one moment.
struct Batch {
  std::size_t town = 0;
  std::vector<event::Fact> facts;
};

class Traffic {
 public:
  Traffic(const Scenario& scenario, const Towns& towns, std::uint64_t seed);

  Instant from() const { return from_; }  // of the quiet days
  Instant start() const { return scenario_.start; }
  Instant until() const { return scenario_.start + scenario_.lasts; }

  /// What logs told before the quiet days, for nodes to learn from: harmless mail of one day (a day before from(), one record a mail-out and
  /// municipality), and the ordinary days of accounts that were before from().
  std::vector<Batch> past_day(Instant day);
  std::vector<Batch> take_early();

  /// When something is next; empty: nothing more until the end.
  std::optional<Instant> next();
  struct Due {
    std::vector<Batch> batches;
    std::vector<std::size_t> clicks, reports;  // copies whose owner is about to
  };
  /// What is due at next().
  Due take();

  std::vector<Copy>& copies() { return copies_; }
  const std::vector<Copy>& copies() const { return copies_; }
  const std::vector<Truth>& truths() const { return truths_; }
  /// Which attacks this is of; none: it is quiet life. Several may share a mailbox, a link or a file.
  std::vector<std::size_t> attacks_of_sender(std::string_view address) const;
  std::vector<std::size_t> attacks_of_link(std::string_view url) const;  // as revealed: masked; or a host alone
  std::vector<std::size_t> attacks_of_file(std::string_view name_or_hash) const;
  const std::vector<std::size_t>* copies_of(std::string_view message_id) const;

  /// It happened; the logs of the municipality tell of it in their time.
  void clicked(std::size_t copy);
  void reported(std::size_t copy);

  struct Counts {
    std::uint64_t facts = 0, mail_outs = 0, benign_mails = 0, odd_events = 0, batches = 0;
    std::map<std::string, std::uint64_t> by_kind;  // mail-outs
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Item {
    std::int64_t at = 0;
    std::uint64_t order = 0;
    std::uint32_t town = 0;
    std::int8_t what = 0;  // 0 fact, 1 click, 2 report
    std::size_t copy = 0;
    std::unique_ptr<event::Fact> fact;
  };
  struct Later {
    bool operator()(const Item& a, const Item& b) const { return a.at != b.at ? a.at > b.at : a.order > b.order; }
  };
  /// Who somebody is in the logs: network, device, browser, application.
  struct Identity {
    std::string ip, asn, country, user_agent, device, session;
  };
  /// One mail as it leaves, before logs tell of it.
  struct Mail {
    std::string sender, message_id, subject;
    std::vector<std::string> recipients, urls;
    std::vector<event::MailAttachment> attachments;
    std::string simhash, signed_by, list_id, session, app;
    bool qr_code = false, login_form = false, automatic = false, calendar = false, failed_auth = false;
    Instant at{};
  };

  void push(Item item);
  void tell(std::size_t town, std::string_view log, event::Fact fact);
  Instant late(std::size_t town, std::string_view log, Instant happened) const;
  void tell_mail_in(std::size_t town, const Mail& mail);
  void tell_mail_out(std::size_t town, const Mail& mail);
  void tell_sign_in(std::size_t town, const std::string& account, const Identity& who, Instant at, bool interactive,
                    bool device_code, std::string_view risk);
  void tell_change(std::size_t town, const std::string& account, std::string_view change, const Identity& who,
                   std::string detail, Instant at, const std::string& app = {});
  void tell_usual(std::size_t town, const std::string& account, Instant first_day, int days);
  void tell_click(std::size_t town, const std::string& account, const std::string& sender,
                  const std::string& message_id, const std::string& url, Instant at, Dice& dice);

  Identity usual(std::size_t town, const std::string& account) const;
  static Identity stranger(Dice& dice, int network);
  static Mail shaped(const MailShape& shape, std::uint64_t issue, std::uint64_t n, const std::string& town);

  void make_day();
  void make_kind(const BenignKind& kind, Instant day, bool working);
  void mail_out(const BenignKind& kind, Instant at, std::uint64_t issue, Dice& dice);
  void make_event(const BenignEvent& event, Instant day, bool working);
  void make_attack(std::size_t n);
  Instant make_mail(std::size_t n, const Step& step, std::size_t step_n, Instant at,
                    const std::map<std::string, Identity, std::less<>>& taken);
  bool working_day(Instant day) const;

  const Scenario& scenario_;
  const Towns& towns_;
  std::uint64_t seed_;
  Instant from_{}, next_day_{};
  std::priority_queue<Item, std::vector<Item>, Later> queue_;
  std::uint64_t order_ = 0;
  std::vector<Batch>* past_ = nullptr;  // where facts go while a day of the past is made
  std::vector<Batch> early_;
  std::vector<BenignKind> kinds_;
  std::vector<BenignEvent> events_;
  std::vector<Copy> copies_;
  std::vector<Truth> truths_;
  std::map<std::string, std::vector<std::size_t>, std::less<>> by_message_;
  Counts counts_;
};

/// Does a link (canonical, without query) begin with this pattern: whole segments, "*" any text within one, "#" digits; a host alone: that
/// host and those below it.
bool masked_match(std::string_view pattern, std::string_view link);
double share_done(const Curve& curve, Duration after);  // 0 .. the curve's last share
Duration time_of(const Curve& curve, double share);     // the other way round; share: 0 .. 1 of the last one

}  // namespace bavn::app::simulate
