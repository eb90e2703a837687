#pragma once
// Inside of Watch: what is remembered of senders, accounts and harm. Only for watch*.cpp. docs/noticing.md says what counts and why.
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "base/hash.hpp"
#include "notice/saved.hpp"
#include "notice/watch.hpp"

namespace bavn::notice {

using Us = std::int64_t;
constexpr Us kMinute = 60LL * 1'000'000;
constexpr Us kDay = 24 * 60 * kMinute;

inline Us us(std::chrono::seconds s) {
  return s.count() * 1'000'000;
}
inline Us floored(Us at, Us by) {
  return at >= 0 ? at / by : -((-at + by - 1) / by);
}

/// Kinds of signs, as docs/noticing.md lists them.
enum class Is : std::uint8_t {
  odd_sign_in,
  session_moved,
  device_code,
  far_country,
  sign_in_after_click,
  risk_alert,
  new_app,  // changes, in the order of event::Change
  new_service_principal,
  new_secret,
  consent,
  app_role,
  inbox_rule,
  forwarding,
  mailbox_permission,
  new_mfa_method,
  new_device,
  app_sends,
  mass_sending,
  fan_out,
  failed_auth,
  login_form,
  qr_code,
  active_attachment,
  click,
  reported,
  vendor_verdict,
  login_after_click,
  count_
};
event::Sign sign(Is kind, Us at, std::string detail);
std::string_view name(Is kind);
inline bool is_sign_in(Is k) {
  return k <= Is::sign_in_after_click;
}
inline bool is_change(Is k) {
  return k >= Is::new_app && k <= Is::new_device;
}

inline std::uint64_t message_key(std::string_view message_id) {
  return hash64(message_id, 0x6d696431);
}
/// Without its query: what differs per recipient usually stands there.
inline std::uint64_t link_key(std::string_view url) {
  return hash64(url.substr(0, url.find('?')), 0x75726c31);
}
inline std::uint64_t sender_key(std::string_view address) {
  return hash64(address, 0x736e6431);
}

/// The most in a window, by day for a month and by week for 14 weeks. Days and weeks that fell out are forgotten.
struct Maxima {
  std::array<std::uint16_t, 32> days{};
  std::array<std::uint16_t, 14> weeks{};
  std::int32_t last_day = std::numeric_limits<std::int32_t>::min();
  void add(Us at, std::size_t n);
  std::size_t most(Us before, Us span) const;
  std::size_t most_of_weeks(Us before) const;
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.days, s.weeks, s.last_day);
  }
};

/// What a sender sent in one window of the clock: (Message-ID, recipient) as hashes, the lowest bit set for members' recipients. A bucket that
/// is filled again by re-read records ends with the same number, so closed ones need not be remembered.
struct Bucket {
  std::int64_t index = 0;
  Us touched = 0;
  std::vector<std::uint64_t> pairs;
  std::int64_t members = 0;
  std::int64_t beyond = 0;                 // not kept singly
  std::vector<std::uint16_t> towns;        // other municipalities, at most 8
  std::unordered_set<std::uint64_t> many;  // of `pairs`, when they are many; not saved
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.index, s.touched, s.pairs, s.members, s.beyond, s.towns);
  }
};

struct Recipient {
  std::uint64_t hash = 0;
  std::uint16_t town = 0;  // municipality; 0: no member
  bool told = false;       // it is in the notice
  std::string domain;
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.hash, s.town, s.told, s.domain);
  }
};

struct Mail {
  std::uint64_t id_hash = 0;
  Us at = 0, arrived = 0, late = 0;
  std::string message_id;
  std::string subject;  // masked
  std::uint64_t subject_sim = 0, body_sim = 0;
  std::vector<std::uint64_t> urls;
  std::uint64_t session = 0;
  bool failed_auth = false, login_form = false, qr_code = false, active = false;
  std::uint8_t source = 0;
  std::vector<Recipient> to;
  bool loose = false;  // in Sender::loose; not saved
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.id_hash, s.at, s.arrived, s.late, s.message_id, s.subject, s.subject_sim, s.body_sim, s.urls, s.session,
      s.failed_auth, s.login_form, s.qr_code, s.active, s.source, s.to);
  }
};

/// Near-same mails of one sender: single linkage over subjects, bodies and links. Made again from the mails when needed.
class Groups {
 public:
  std::size_t add(const Mail& mail);  // its group's number; of() says which it has become
  std::size_t of(std::size_t group);
  void grow(std::size_t group, std::size_t by) { pairs_[of(group)] += by; }
  std::size_t pairs(std::size_t group) { return pairs_[of(group)]; }
  void clear() { *this = {}; }

 private:
  struct Feature {
    std::uint64_t sim;
    std::size_t length, group;
  };
  std::size_t join(std::size_t a, std::size_t b);
  void feature(std::uint64_t value, std::size_t group);
  void near(std::vector<Feature>& known, std::uint64_t sim, std::size_t length, std::size_t most, std::size_t group);
  std::vector<std::size_t> up_, pairs_;
  std::unordered_map<std::uint64_t, std::size_t> exact_;  // subject, body, link -> group
  std::vector<Feature> subjects_, bodies_;
};

struct DomainPart {
  std::int64_t mails = 0;
  std::vector<std::string> waiting;  // Message-IDs not told yet
  std::uint64_t last = 0;            // hash of the newest Message-ID
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.mails, s.waiting, s.last);
  }
};

/// A sign that counts.
struct Mark {
  Is kind = Is::fan_out;
  Us at = 0;
  std::int64_t count = 0;
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.kind, s.at, s.count);
  }
};

/// A sender notice (own sender) or a burst (another member's), open until late mail can no longer belong to it.
struct Notice {
  std::string id;
  std::int64_t part = 0;
  Us from = 0, to = 0, noticed = 0, late = 0;
  std::uint8_t source = 0;
  std::int64_t usual = 0, mails = 0, outside = 0;
  bool all = false;    // unlike mails too
  bool taken = false;  // the account looks taken: what it sends teaches nothing
  std::vector<std::pair<Us, Us>> spans;
  std::unordered_set<std::uint64_t> pairs, recipients;
  std::map<std::string, DomainPart> domains;
  std::map<std::string, std::int64_t> outside_domains;
  std::map<std::string, std::int64_t> subjects;  // masked -> recipients
  std::map<std::uint64_t, std::int64_t> bodies;
  std::vector<Mark> marks;
  std::int64_t waiting = 0;      // Message-IDs not told yet
  std::int64_t told_mails = 0;   // in the last part
  std::uint64_t told_signs = 0;  // hash of the signs of the last part
  bool changed = false;          // something to tell
  struct Closed {
    Us at = 0;
    std::int64_t members = 0, all = 0;
    template <class A, class S>
    static void io(A& a, S& s) {
      a(s.at, s.members, s.all);
    }
  };
  std::vector<Closed> closed;  // its buckets: what they teach is decided when it is over
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.id, s.part, s.from, s.to, s.noticed, s.late, s.source, s.usual, s.mails, s.outside, s.all, s.taken, s.closed,
      s.spans, s.pairs, s.recipients, s.domains, s.outside_domains, s.subjects, s.bodies, s.marks, s.waiting,
      s.told_mails, s.told_signs, s.changed);
  }
};

struct Sender {
  Us last = 0;
  Us due = 0;  // in Inner::due; 0: nothing waits
  Maxima members, all;
  std::vector<Bucket> open;
  std::vector<Mail> mails;  // in the order they came
  std::int64_t pairs = 0;   // recipients of `mails`
  std::int64_t check_at = 0;
  std::unique_ptr<Notice> notice;
  // not saved
  std::int8_t person = -1;
  std::unordered_map<std::uint64_t, std::size_t> at;  // id_hash -> mails, when there are many
  Groups groups;
  std::unordered_set<std::uint64_t> have;  // pairs of `mails`, when there are many
  std::vector<std::size_t> group;          // of each mail, up to where they were grouped
  std::vector<std::size_t> loose;          // mails not wholly in the notice
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.last, s.due, s.members, s.all, s.open, s.mails, s.pairs, s.check_at, s.notice);
  }
};

/// Things an account was seen with; the longest unseen makes room.
struct Known {
  struct One {
    std::uint64_t what = 0;
    Us first = 0, last = 0;
    template <class A, class S>
    static void io(A& a, S& s) {
      a(s.what, s.first, s.last);
    }
  };
  std::vector<One> seen;
  void see(std::uint64_t what, Us at, std::size_t most);
  /// Seen first at least `age` before.
  bool knows(std::uint64_t what, Us at, Us age) const;
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.seen);
  }
};

/// Sign-ins from one place with one program.
struct Stay {
  std::uint64_t network = 0, agent = 0, country = 0, session = 0, block = 0;
  bool device = false;  // a known one
  Us first = 0, last = 0;
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.network, s.agent, s.country, s.session, s.block, s.device, s.first, s.last);
  }
};

struct Step {
  Is kind = Is::odd_sign_in;
  Us at = 0;
  std::uint64_t session = 0, block = 0, target = 0;
  bool habit = false;
  std::string detail;
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.kind, s.at, s.session, s.block, s.target, s.habit, s.detail);
  }
};

struct Click {
  Us at = 0;
  std::string sender, notice, digest;  // what was clicked, as far as known
  bool told = false;                   // that a sign-in followed
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.at, s.sender, s.notice, s.digest, s.told);
  }
};

struct Incident {
  std::string id;
  std::int64_t part = 0;
  int level = 0;
  Us first = 0, noticed = 0, late = 0;
  std::uint8_t source = 0;
  std::uint64_t told = 0;  // hash of the steps of the last part
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.id, s.part, s.level, s.first, s.noticed, s.late, s.source, s.told);
  }
};

struct Account {
  Us last = 0, first_sign_in = 0, due = 0;
  std::int64_t sign_ins = 0;
  Known networks, blocks, agents, devices, countries, codes;
  std::vector<Stay> stays;
  std::vector<Step> steps;
  std::vector<std::pair<std::uint8_t, std::int32_t>> change_days;
  std::vector<Click> clicks;
  std::unique_ptr<Incident> incident;
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.last, s.first_sign_in, s.due, s.sign_ins, s.networks, s.blocks, s.agents, s.devices, s.countries, s.codes,
      s.stays, s.steps, s.change_days, s.clicks, s.incident);
  }
};

/// Which mail a Message-ID or a link stands for.
struct Place {
  std::string sender, notice;
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.sender, s.notice);
  }
};
/// Two generations: when the young one is full it becomes the old one, whose places go.
struct Places {
  std::unordered_map<std::uint64_t, Place> young, old;
  bool put(std::uint64_t key, Place place, std::size_t most);  // true: some went
  const Place* find(std::uint64_t key) const;
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.young, s.old);
  }
};

struct HarmSeen {
  std::string id;
  Us first = 0, last = 0;
  std::set<std::uint64_t> who;  // hashes, at most 100
  std::int64_t count = 0, told = 0;
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.id, s.first, s.last, s.who, s.count, s.told);
  }
};

/// A harm told before what it is about.
struct Orphan {
  Is kind = Is::reported;
  Us at = 0, arrived = 0;
  std::uint64_t who = 0;
  std::string digest;
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.kind, s.at, s.arrived, s.who, s.digest);
  }
};

struct MadeApp {
  std::string account;
  Us at = 0;
  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.account, s.at);
  }
};

template <class T>
using ByName = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;

struct Watch::Inner {
  MunicipalityId municipality;
  std::shared_ptr<const Community> community;
  WatchOptions o;
  std::string key;
  std::uint64_t body_pad = 0;
  std::vector<Exercise> exercises;
  WatchCounts counts;
  std::vector<Noticed>* out = nullptr;  // while feed() or advance() runs

  Us clock = 0, swept = 0;
  ByName<Sender> senders;
  ByName<Account> accounts;
  std::int64_t detail_pairs = 0, open_notices = 0;
  std::unordered_map<std::uint64_t, MadeApp> apps;
  std::unordered_map<std::uint64_t, std::pair<Us, Us>> app_mail;  // apps that sent own mail: first, last
  Places ids, links;
  std::unordered_map<std::uint64_t, std::pair<Us, Us>> host_seen;  // of clicked links that a proxy told: first, last
  Us hosts_since = 0;
  std::map<std::string, HarmSeen> harms;
  std::unordered_map<std::uint64_t, std::vector<Orphan>> orphans;  // by hash of Message-ID, link or sender
  std::set<std::tuple<Us, bool, std::string>> due;                 // true: an account

  // watch.cpp
  void advance(Us now);
  void sweep();
  std::string id_of(std::string_view kind, std::string_view who, std::uint64_t what) const;
  std::string keyed(std::string_view purpose, std::string_view text) const;
  void wait(const std::string& name, Sender& s, Us at);
  void wait(const std::string& name, Account& a, Us at);
  template <class T>
  void wait_for(const std::string& name, T& t, Us at, bool account);

  // watch_mail.cpp
  void feed(const event::MailFact& m, Us received);
  bool is_person(const std::string& address, Sender& s) const;
  bool teach(Sender& s, const event::MailFact& m, std::uint64_t id, Us at, bool own);
  bool keep(Sender& s, const event::MailFact& m, std::uint64_t id, Us at, Us received, bool own);
  void index(Sender& s);
  void group(Sender& s);
  bool near_enough(const std::string& address, const Sender& s, Us at, bool own) const;
  std::size_t usual_of(const Sender& s, Us start, bool all) const;
  bool habit(const Sender& s, Us start, bool all, std::size_t n) const;
  void check(const std::string& address, Sender& s, bool own);
  void include(const std::string& address, Sender& s, bool own);
  void take_in(const std::string& address, Sender& s, Mail& m, bool own);
  void remember_places(const std::string& address, const event::MailFact& m, std::uint64_t id);
  void look_again(const std::string& address);  // its account changed
  void tell(const std::string& address, Sender& s);
  std::vector<event::Sign> signs_of(const std::string& address, const Notice& n, bool own);
  void close_buckets(Sender& s, Us older);
  void prune(Sender& s, Us arrived_before);
  void forget_details(Sender& s);
  void drop_details();
  void make_room_for_senders();

  // watch_account.cpp
  void feed(const event::SignInFact& f, Us received);
  void feed(const event::ChangeFact& f, Us received);
  Account& account(std::string_view name);
  bool settled(const Account& a, Us at) const;
  /// Is `x` the stranger of two places that cannot both be the owner's?
  void compare(const std::string& name, Account& a, const Stay& x, const Stay& y, Us received, std::uint8_t source);
  bool stranger(const Account& a, const Stay& s) const;
  void add_step(const std::string& name, Account& a, Step step, Us received, std::uint8_t source);
  void after_click(const std::string& name, Account& a, Us received, std::uint8_t source);
  void risk(const std::string& name, Us at, Us received, std::uint8_t source, std::string detail);
  void sent(const std::string& name, Us at, Us received, std::uint8_t source, std::uint64_t session,
            std::int64_t recipients);
  void app_sent(std::uint64_t app, Us at, Us received, std::uint8_t source);
  void app_step(std::uint64_t app, Us received, std::uint8_t source);
  void judge(const std::string& name, Account& a, Us received, Us late, std::uint8_t source);
  int level(const Account& a) const;
  /// 0: nothing; 1: a strange sign-in or risk in the chain before `at`; 2: suspected or more.
  int suspicion(std::string_view name, Us at) const;
  std::vector<const Step*> steps_near(const Account& a, Us from, Us to) const;
  void tell(const std::string& name, Account& a);
  void make_room_for_accounts();

  // watch_harm.cpp
  void feed(const event::HarmFact& f, Us received, std::string_view digest);
  void harm(Is kind, Us at, std::uint64_t who, const std::string& sender, const std::string& notice,
            std::string_view digest);
  void mark_notice(Is kind, Us at, std::uint64_t who, const std::string& sender);
  Place place_of(const event::HarmFact& f) const;
  void leave_orphan(std::uint64_t at, Orphan orphan);
  void adopt(std::uint64_t at, const std::string& sender, const std::string& notice);
  void tell_harm(const Orphan& o, const std::string& sender, const std::string& notice);
  bool count_harm(const std::string& which, Us at, std::uint64_t who, HarmSeen*& seen);
  bool new_host(std::string_view url, Us at);

  template <class A, class S>
  static void io(A& a, S& s) {
    a(s.clock, s.swept, s.senders, s.accounts, s.apps, s.app_mail, s.ids, s.links, s.host_seen, s.hosts_since, s.harms,
      s.orphans);
  }
};

}  // namespace bavn::notice
