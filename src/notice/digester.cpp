#include "notice/digester.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <map>
#include <unordered_map>

#include "base/bytes.hpp"
#include "base/digest.hpp"
#include "base/text.hpp"
#include "event/domain.hpp"
#include "event/observable.hpp"
#include "net/json_views.hpp"

namespace bavn::notice {

namespace {

constexpr std::int64_t kDay = 86'400'000'000;
constexpr std::size_t kThingsOfMail = 100;  // links and attachments of one mail that are looked at
constexpr std::size_t kBatch = 200;         // items: a report holds 256 KiB
constexpr std::size_t kSenderDomains = 8, kSupport = 12, kMailIds = 64;
constexpr std::size_t kSources = 8;
constexpr std::size_t kMostHarmless = 2'000;
constexpr std::uint8_t kVersion = 1;
constexpr std::uint16_t kHarmlessAgain = 30;  // days after which the hub is told once more

constexpr Setting kSettings[] = {
    {"digests.on",
     Unit::none,
     true,
     {},
     "Tell the hub keyed digests of links and active attachments that are new here.",
     Restart::no},
    {"digests.novel_days",
     Unit::days,
     std::int64_t{90},
     {30, 180},
     "A thing is new when it was not seen for so long: most newsletters, systems and forms come back within a quarter.",
     Restart::yes},
    {"digests.learn_hours",
     Unit::hours,
     std::int64_t{72},
     {0, 720},
     "So long after its first mail a node only learns: everything is new to it, and would flood the hub.",
     Restart::no},
    {"digests.bulk_days",
     Unit::days,
     std::int64_t{14},
     {1, 90},
     "A sending domain counts as known after so many days: attackers rarely warm one up so long for one municipality.",
     Restart::no},
    {"digests.bulk_mails",
     Unit::none,
     std::int64_t{50},
     {5, 60'000},
     "So many earlier mails make a sender a bulk sender where there is no List-Id.",
     Restart::no},
    {"digests.young_host_days",
     Unit::days,
     std::int64_t{14},
     {1, 90},
     "A host first seen here within so many days is a payload sign: most phishing hosts are younger.",
     Restart::no},
    {"digests.per_day",
     Unit::none,
     std::int64_t{20'000},
     {100, 200'000},
     "At most so many digests leave this node in a day; the rest is counted and said.",
     Restart::no},
    {"digests.remembered",
     Unit::none,
     std::int64_t{1'000'000},
     {10'000, 20'000'000},
     "Things in the memory of what was seen, 16 bytes each; full, it forgets what was seen longest ago.",
     Restart::yes},
    {"digests.fresh",
     Unit::none,
     std::int64_t{20'000},
     {1'000, 200'000},
     "New things that are followed at once, about 1 KiB each; beyond, the oldest is let go.",
     Restart::yes},
    {"digests.follow_hours",
     Unit::hours,
     std::int64_t{48},
     {6, 168},
     "How long a new thing is followed: its mails counted and told, a report about it heard. Waves are over in hours.",
     Restart::yes},
    {"digests.reveal",
     Unit::none,
     std::string_view("automatic"),
     {3, 9},
     "What the node does when the hub asks what a digest is: automatic, or ask a person (an hour of asking makes "
     "clicks rise from 10 to 48 %).",
     Restart::no},
    {"digests.ask_minutes",
     Unit::minutes,
     std::int64_t{10},
     {1, 60},
     "So long a person has to say yes; then it counts as no, and the page says what that cost.",
     Restart::no},
};

std::uint16_t day_of(Instant t) {
  return static_cast<std::uint16_t>(std::clamp<std::int64_t>(micros(t) / kDay, 1, 65'000));
}

/// 1, 2, 5, 10, 20, 50, ...: how many, but not exactly.
std::int64_t bucket(std::int64_t mails) {
  std::int64_t at = 1;
  for (const std::int64_t step :
       {2, 5, 10, 20, 50, 100, 200, 500, 1'000, 2'000, 5'000, 10'000, 20'000, 50'000, 100'000})
    if (mails >= step) at = step;
  return at;
}

bool delivered(event::Delivery d) {
  return d == event::Delivery::delivered || d == event::Delivery::expanded || d == event::Delivery::pending;
}

/// What shows a page when it is opened: a payload sign of its own.
bool is_page(std::string_view name) {
  const auto dot = name.rfind('.');
  const auto ending = dot == std::string_view::npos ? std::string() : to_lower(name.substr(dot + 1));
  for (const std::string_view e : {"html", "htm", "xhtml", "shtml", "svg", "mht", "mhtml", "hta"})
    if (ending == e) return true;
  return false;
}

enum SignBit : std::uint8_t { login_form = 1, qr_code = 2, active_attachment = 4, new_host = 8, failed_auth = 16 };
struct SignName {
  SignBit bit;
  std::string_view group, kind;
};
constexpr std::array kSigns = {SignName{login_form, "payload", "login_form"}, SignName{qr_code, "payload", "qr_code"},
                               SignName{active_attachment, "payload", "active_attachment"},
                               SignName{new_host, "payload", "new_host"},
                               SignName{failed_auth, "identity", "failed_auth"}};

struct Fresh {
  MunicipalityId municipality{};
  std::string kind, text;  // what is digested
  std::string scheme, host, path, file_name, sha256;
  Instant first{}, last{};
  std::array<std::uint32_t, kSources> mails{};  // by source: two logs that tell of one mail count once
  std::int64_t told_bucket = 0;
  std::vector<std::string> sender_domains, support;
  std::size_t told_domains = 0;
  std::uint8_t signs = 0, told_signs = 0;
  bool held = false;  // left out; told only when somebody reports it
  bool told = false, retell = false;
  bool queued = false, changed = false;  // changed: its row is behind
  std::vector<std::pair<std::int64_t, std::string>> digests;
  std::vector<std::uint64_t> mail_ids;
  std::int64_t count() const { return *std::max_element(mails.begin(), mails.end()); }
};

}  // namespace

std::span<const Setting> digest_settings() {
  return kSettings;
}

DigestOptions DigestOptions::from(const Settings& s) {
  return {.on = s.flag("digests.on"),
          .novel_days = s.integer("digests.novel_days"),
          .learn_hours = s.integer("digests.learn_hours"),
          .bulk_days = s.integer("digests.bulk_days"),
          .bulk_mails = s.integer("digests.bulk_mails"),
          .young_host_days = s.integer("digests.young_host_days"),
          .per_day = s.integer("digests.per_day"),
          .remembered = s.integer("digests.remembered"),
          .fresh = s.integer("digests.fresh"),
          .follow = std::chrono::hours(s.integer("digests.follow_hours"))};
}

struct Digester::Inner {
  std::shared_ptr<const Community> community;
  std::shared_ptr<const HostLists> lists;
  KeysNow keys;
  DigestOptions options;
  Key hash_key;
  DigestCounts counts;
  NoveltyMemory memory;
  Instant since{};  // of the first mail
  std::unordered_map<std::uint64_t, Fresh> fresh;
  std::deque<std::uint64_t> order, queue, changed;  // by first sight; to be told; whose rows are behind
  std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> by_mail;  // Message-ID's hash -> things
  std::int64_t day = 0, told_today = 0, floor = 0;
  std::map<std::uint16_t, std::int64_t> left_out;
  std::map<std::string, std::uint16_t, std::less<>> harmless_told;  // municipality/domain -> day
  std::vector<std::pair<MunicipalityId, event::HarmlessDomain>> harmless_new;
  std::set<std::string, std::less<>> harmless_here;  // from the hub

  Inner(std::shared_ptr<const Community> c, std::shared_ptr<const HostLists> l, KeysNow k, DigestOptions o, Key h)
      : community(std::move(c)),
        lists(std::move(l)),
        keys(std::move(k)),
        options(o),
        hash_key(h),
        memory(static_cast<std::size_t>(o.remembered), static_cast<unsigned>(o.novel_days)) {}

  std::uint64_t hash(MunicipalityId of, std::string_view kind, std::string_view text) const {
    std::string bytes = std::to_string(of.value);
    bytes.append(kind).push_back('\0');
    bytes.append(text);
    std::uint64_t h = 0;
    const auto digest = blake2b256(bytes, hash_key.reveal());
    std::memcpy(&h, digest.data(), sizeof h);
    return h == 0 ? 1 : h;
  }

  void forget_old(Instant now) {
    while (!order.empty()) {
      const auto at = fresh.find(order.front());
      if (at != fresh.end() && at->second.first + options.follow >= now) return;
      drop(order.front());
      order.pop_front();
    }
  }
  void drop(std::uint64_t thing) {
    const auto at = fresh.find(thing);
    if (at == fresh.end()) return;
    for (const auto id : at->second.mail_ids)
      if (const auto mail = by_mail.find(id); mail != by_mail.end()) {
        std::erase(mail->second, thing);
        if (mail->second.empty()) by_mail.erase(mail);
      }
    fresh.erase(at);
  }
  void enqueue(std::uint64_t thing, Fresh& f) {
    if (f.held || f.queued) return;
    f.queued = true;
    queue.push_back(thing);
  }
  void touch(std::uint64_t thing, Fresh& f) {
    if (f.changed || !f.told) return;
    f.changed = true;
    changed.push_back(thing);
  }
  Fresh& begin(std::uint64_t thing, Fresh f) {
    while (fresh.size() >= static_cast<std::size_t>(options.fresh) && !order.empty()) {
      const auto oldest = fresh.find(order.front());
      if (oldest != fresh.end() && !oldest->second.held && !oldest->second.told) ++counts.left_out_full;
      drop(order.front());
      order.pop_front();
    }
    order.push_back(thing);
    return fresh.insert_or_assign(thing, std::move(f)).first->second;
  }

  struct Sender {
    bool person = false, bulk = false;
    std::string domain;  // a member's, when it is a person's mailbox
  };
  Sender learn_sender(const event::MailFact& mail, std::uint16_t today);
  void learn_harmless(MunicipalityId of, const std::string& domain, std::uint16_t first, std::uint16_t today);
  void see(const event::MailFact& mail, const Sender& sender, Instant received, Fresh f, std::string_view plain_host,
           std::vector<std::string>& support);
  bool lift(std::uint64_t thing);
  std::uint64_t thing_of_url(MunicipalityId of, const std::string& url, const std::string& account,
                             Skeleton* out) const;
  Fresh url_thing(MunicipalityId of, Skeleton skeleton) const;
};

Digester::Digester(std::shared_ptr<const Community> community, std::shared_ptr<const HostLists> lists, KeysNow keys,
                   DigestOptions options, Key hash_key)
    : inner_(std::make_unique<Inner>(std::move(community), std::move(lists), std::move(keys), options, hash_key)) {}
Digester::~Digester() = default;

void Digester::use_community(std::shared_ptr<const Community> community) {
  inner_->community = std::move(community);
}
const DigestCounts& Digester::counts() const {
  return inner_->counts;
}
const NoveltyMemory& Digester::memory() const {
  return inner_->memory;
}
Duration Digester::looks_back() const {
  return std::chrono::days(inner_->options.novel_days);
}
std::size_t Digester::bytes() const {
  return inner_->memory.bytes() + inner_->fresh.size() * 1'000;
}
bool Digester::waiting() const {
  return !inner_->queue.empty() || !inner_->changed.empty() || !inner_->harmless_new.empty();
}

// ---- feeding ----------------------------------------------------------------------------------------------------------------------------

void Digester::feed(const event::MailFact& mail, Instant received) {
  Inner& in = *inner_;
  if (!in.options.on) return;
  ++in.counts.mails;
  in.forget_old(received);
  if (!delivered(mail.delivery)) {
    ++in.counts.not_delivered;
    return;
  }
  if (in.since == Instant{}) in.since = received;
  const std::uint16_t today = day_of(received);
  const MunicipalityId of = mail.head.municipality;
  const auto sender = in.learn_sender(mail, today);
  if (mail.automatic && !sender.person) {
    ++in.counts.automatic;
    return;
  }
  if (sender.bulk) ++in.counts.bulk;
  if (mail.urls.empty() && mail.attachments.empty()) return;

  // function mailboxes ("info", "post") are words that links hold for other reasons
  std::vector<std::string> persons;
  for (const auto& r : mail.recipients)
    if (persons.size() < 1'000 && (in.community->person_mailbox(r) || !in.community->member(r))) persons.push_back(r);
  const Names names(persons);
  std::vector<std::string> support;  // sender and subject's shape, made when something is new
  std::set<std::string, std::less<>> here;
  for (const auto& url : mail.urls) {
    if (here.size() >= kThingsOfMail) break;
    auto skeleton = skeleton_of(url, *in.lists, names);
    if (!skeleton) {
      ++in.counts.not_public;
      continue;
    }
    if (mail.calendar && !sender.person && in.lists->meeting(skeleton->plain_host)) {
      ++in.counts.calendar;
      continue;
    }
    if (!here.insert(skeleton->text).second) continue;
    const std::string plain_host = skeleton->plain_host;
    in.see(mail, sender, received, in.url_thing(of, std::move(*skeleton)), plain_host, support);
  }
  for (const auto& a : mail.attachments) {
    if (here.size() >= kThingsOfMail) break;
    if (!a.active && !active_name(a.name)) continue;
    const auto hash = event::canonical(event::Kind::sha256, a.sha256);
    if (!hash || !here.insert(hash->value).second) continue;
    Fresh f;
    f.municipality = of;
    f.kind = "attachment";
    f.text = hash->value;
    f.sha256 = hash->value;
    f.file_name = shown_file_name(a.name, names);
    if (is_page(a.name)) f.signs |= active_attachment;
    in.see(mail, sender, received, std::move(f), {}, support);
  }
}

Digester::Inner::Sender Digester::Inner::learn_sender(const event::MailFact& mail, std::uint16_t today) {
  Sender out;
  const MunicipalityId of = mail.head.municipality;
  out.person = community->person_mailbox(mail.sender);
  if (out.person) out.domain = std::string(domain_of(mail.sender));
  if (mail.sender.empty()) return out;
  const auto address = memory.see(hash(of, "s", mail.sender), today);
  if (mail.signed_by.empty() || mail.failed_auth) return out;
  const auto registrable = event::registrable_domain(mail.signed_by);
  const std::string domain(registrable.empty() ? std::string_view(mail.signed_by) : registrable);
  const auto known = memory.see(hash(of, "d", domain), today);
  if (out.person || lists->free_mail(domain) || community->member_of_domain(domain)) return out;
  const bool many = !mail.list_id.empty() || address.before > options.bulk_mails;
  const bool long_known = known.known && today - known.first_day >= options.bulk_days;
  if (many && long_known) learn_harmless(of, domain, known.first_day, today);
  out.bulk = many && (long_known || harmless_here.contains(domain));
  return out;
}

void Digester::Inner::learn_harmless(MunicipalityId of, const std::string& domain, std::uint16_t first,
                                     std::uint16_t today) {
  // a host of many strangers vouches for none of them
  if (lists->shared(domain) || !event::has_known_tld(domain)) return;
  auto& told = harmless_told[std::to_string(of.value) + "/" + domain];
  if (told != 0 && today - told < kHarmlessAgain) return;
  if (harmless_told.size() > 10'000) {
    std::erase_if(harmless_told, [&](const auto& t) { return today - t.second > 2 * kHarmlessAgain; });
    return;
  }
  told = today;
  harmless_new.emplace_back(of, event::HarmlessDomain{domain, std::int64_t{first} * kDay, 0});
}

Fresh Digester::Inner::url_thing(MunicipalityId of, Skeleton skeleton) const {
  Fresh f;
  f.municipality = of;
  f.kind = "url";
  f.text = std::move(skeleton.text);
  f.scheme = std::move(skeleton.scheme);
  f.host = std::move(skeleton.host);
  f.path = std::move(skeleton.path);
  return f;
}

void Digester::Inner::see(const event::MailFact& mail, const Sender& sender, Instant received, Fresh f,
                          std::string_view plain_host, std::vector<std::string>& support) {
  ++counts.things;
  const std::uint16_t today = day_of(received);
  const MunicipalityId of = f.municipality;
  const std::uint64_t thing = hash(of, f.kind, f.text);
  const bool known = memory.see(thing, today).known;
  if (!plain_host.empty()) {
    const auto host = memory.see(hash(of, "h", plain_host), today);
    // a memory younger than that finds every host young
    if (today - memory.since_day() >= options.young_host_days && today - host.first_day < options.young_host_days)
      f.signs |= new_host;
  }
  auto at = fresh.find(thing);
  if (at == fresh.end() && known) return;
  if (mail.login_form) f.signs |= login_form;
  if (mail.qr_code) f.signs |= qr_code;
  if (mail.failed_auth && community->member(mail.sender)) f.signs |= failed_auth;
  const bool learning = received - since < std::chrono::hours(options.learn_hours);
  const bool hold = !sender.person && (sender.bulk || learning);
  if (at == fresh.end()) {
    f.first = received;
    f.held = hold;
    if (learning && hold) ++counts.learning;
    const std::uint8_t signs = f.signs;
    begin(thing, std::move(f)).signs = signs;
    at = fresh.find(thing);
    if (!hold) ++counts.novel;
  } else {
    at->second.signs |= f.signs;
    if (at->second.held && sender.person) {  // a person of ours sends what a newsletter brought
      at->second.held = false;
      ++counts.novel;
    }
  }
  Fresh& now = at->second;
  now.last = received;
  const auto source = std::min<std::size_t>(static_cast<std::size_t>(mail.head.source), kSources - 1);
  now.mails[source] += static_cast<std::uint32_t>(std::clamp<std::size_t>(mail.recipients.size(), 1, 100'000));
  if (!sender.domain.empty() && now.sender_domains.size() < kSenderDomains &&
      std::find(now.sender_domains.begin(), now.sender_domains.end(), sender.domain) == now.sender_domains.end())
    now.sender_domains.push_back(sender.domain);
  const auto supports = [&](std::string kind, std::string_view text) {
    if (text.empty()) return;
    kind.push_back('\0');
    kind.append(text);
    if (now.support.size() < kSupport && std::find(now.support.begin(), now.support.end(), kind) == now.support.end())
      now.support.push_back(std::move(kind));
  };
  if (support.empty()) support = {to_lower(mail.sender), subject_shape(mail.subject)};
  supports("host", plain_host);
  supports("sender", support[0]);
  supports("subject", support[1]);
  if (!mail.message_id.empty()) {
    const auto id = hash(of, "m", mail.message_id);
    if (now.mail_ids.size() < kMailIds &&
        std::find(now.mail_ids.begin(), now.mail_ids.end(), id) == now.mail_ids.end()) {
      now.mail_ids.push_back(id);
      by_mail[id].push_back(thing);
    }
  }
  if (bucket(now.count()) > now.told_bucket || now.sender_domains.size() > now.told_domains ||
      now.signs != now.told_signs)
    enqueue(thing, now);
  touch(thing, now);
}

bool Digester::Inner::lift(std::uint64_t thing) {
  const auto at = fresh.find(thing);
  if (at == fresh.end()) return false;
  if (at->second.held) {
    at->second.held = false;
    ++counts.novel;
    enqueue(thing, at->second);
  }
  return true;
}

std::uint64_t Digester::Inner::thing_of_url(MunicipalityId of, const std::string& url, const std::string& account,
                                            Skeleton* out) const {
  const std::vector<std::string> who = account.empty() ? std::vector<std::string>() : std::vector{account};
  auto skeleton = skeleton_of(url, *lists, Names(who));
  if (!skeleton) return 0;
  const auto thing = hash(of, "url", skeleton->text);
  if (out != nullptr) *out = std::move(*skeleton);
  return thing;
}

void Digester::harm(const event::HarmFact& harm, Instant received) {
  Inner& in = *inner_;
  if (!in.options.on || harm.harm == event::Harm::click || harm.harm == event::Harm::risk_alert ||
      harm.harm == event::Harm::login_after_click)
    return;
  in.forget_old(received);
  const MunicipalityId of = harm.head.municipality;
  if (!harm.message_id.empty())
    if (const auto at = in.by_mail.find(in.hash(of, "m", harm.message_id)); at != in.by_mail.end())
      for (const auto thing : std::vector(at->second)) in.lift(thing);
  if (harm.url.empty()) return;
  Skeleton skeleton;
  const auto thing = in.thing_of_url(of, harm.url, harm.account, &skeleton);
  if (thing == 0 || in.lift(thing)) return;
  // no log showed the link: the report itself does
  const std::uint16_t today = day_of(received);
  if (in.memory.see(thing, today).known) return;
  in.memory.see(in.hash(of, "h", skeleton.plain_host), today);
  auto f = in.url_thing(of, std::move(skeleton));
  f.first = f.last = received;
  f.mails[static_cast<std::size_t>(event::FactSource::person)] = 1;
  Fresh& now = in.begin(thing, std::move(f));
  ++in.counts.novel;
  in.enqueue(thing, now);
}

std::string Digester::digest_of(const event::HarmFact& harm) const {
  const Inner& in = *inner_;
  const auto told = [&](std::uint64_t thing) {
    const auto at = in.fresh.find(thing);
    return at == in.fresh.end() || at->second.digests.empty() ? std::string() : at->second.digests.back().second;
  };
  if (!harm.url.empty())
    if (auto found = told(in.thing_of_url(harm.head.municipality, harm.url, harm.account, nullptr)); !found.empty())
      return found;
  if (!harm.message_id.empty())
    if (const auto at = in.by_mail.find(in.hash(harm.head.municipality, "m", harm.message_id)); at != in.by_mail.end())
      for (const auto thing : at->second)
        if (auto found = told(thing); !found.empty()) return found;
  return {};
}

Result<void> Digester::use_harmless(std::string_view payload) {
  if (payload.size() > 1'000'000) return fail(Code::bad_input, "the list of what is harmless is too large");
  BAVN_TRY(const auto list, net::from_json<event::HarmlessList>(payload, net::Unknown::ignore));
  if (list.domains.size() > kMostHarmless)
    return fail(Code::bad_input, "the list of what is harmless has more domains than can be");
  std::set<std::string, std::less<>> domains;
  for (const auto& d : list.domains) {
    const auto known = event::canonical(event::Kind::mail_domain, d.domain);
    // what may never be on it is left out here too, whoever sent it
    if (!known || inner_->lists->free_mail(known->value) || inner_->lists->shared(known->value) ||
        inner_->community->member_of_domain(known->value))
      continue;
    domains.insert(known->value);
  }
  inner_->harmless_here = std::move(domains);
  return {};
}

// ---- telling ----------------------------------------------------------------------------------------------------------------------------

DigestsOut Digester::take(Instant now) {
  Inner& in = *inner_;
  DigestsOut out;
  for (auto& [of, domain] : in.harmless_new) {
    auto at =
        std::find_if(out.harmless.begin(), out.harmless.end(), [&](const auto& h) { return h.municipality == of; });
    if (at == out.harmless.end()) at = out.harmless.insert(at, {of, {}});
    if (at->list.domains.size() < kMostHarmless) at->list.domains.push_back(std::move(domain));
  }
  in.harmless_new.clear();

  const auto keys = in.keys ? in.keys() : nullptr;
  const auto in_force = keys ? keys->in_force(now) : std::vector<const event::EpochKey*>();
  if (const std::int64_t today = micros(now) / kDay; today != in.day) {
    in.day = today;
    in.told_today = 0;
  }
  if (keys && keys->floor() > in.floor) {
    // a reserve replaced the key: what is going on is told again, with the digest it was known by beside the new one
    in.floor = keys->floor();
    for (const auto thing : in.order)
      if (const auto at = in.fresh.find(thing); at != in.fresh.end() && at->second.told) {
        at->second.retell = true;
        in.enqueue(thing, at->second);
      }
  }
  // without a key things wait, as long as they are followed
  if (in_force.empty() && in.queue.size() > in.fresh.size() + 1'000)
    std::erase_if(in.queue, [&](std::uint64_t thing) { return !in.fresh.contains(thing); });
  std::deque<std::uint64_t> ready;
  if (!in_force.empty()) ready.swap(in.queue);
  for (const auto thing : ready) {
    const auto at = in.fresh.find(thing);
    if (at == in.fresh.end() || at->second.held) continue;
    Fresh& f = at->second;
    f.queued = false;
    const auto mails = bucket(f.count());
    if (mails <= f.told_bucket && f.sender_domains.size() <= f.told_domains && f.signs == f.told_signs && !f.retell)
      continue;
    if (in.told_today >= in.options.per_day) {
      ++in.counts.left_out_limit;
      ++in.left_out[f.municipality.value];
      f.told_bucket = mails;  // it is not counted twice; what comes on top may be told tomorrow
      continue;
    }
    std::vector<const event::EpochKey*> epochs;
    if (!f.digests.empty() && std::none_of(in_force.begin(), in_force.end(),
                                           [&](const auto* k) { return k->epoch == f.digests.back().first; }))
      if (const auto* before = keys->find(f.digests.back().first)) epochs.push_back(before);
    epochs.insert(epochs.end(), in_force.begin(), in_force.end());
    event::DigestItem item{.digests = {},
                           .kind = f.kind,
                           .first_us = micros(f.first),
                           .mails = mails,
                           .sender_domain = f.sender_domains.empty() ? std::string() : f.sender_domains.back(),
                           .support = {},
                           .signs = {}};
    std::vector<std::int64_t> numbers;
    for (const auto* key : epochs) {
      numbers.push_back(key->epoch);
      item.digests.push_back(keyed_digest(*key, f.kind, f.text));
      if (std::none_of(f.digests.begin(), f.digests.end(), [&](const auto& d) { return d.first == key->epoch; }))
        f.digests.emplace_back(key->epoch, item.digests.back());
    }
    for (const auto* key : in_force)
      for (const auto& s : f.support) item.support.push_back(keyed_digest(*key, "support", s));
    for (const auto& s : kSigns)
      if ((f.signs & s.bit) != 0) item.signs.push_back({std::string(s.group), std::string(s.kind), micros(f.last), {}});
    f.told = true;
    f.retell = false;
    f.told_bucket = mails;
    f.told_domains = f.sender_domains.size();
    f.told_signs = f.signs;
    ++in.told_today;
    ++in.counts.told;
    in.touch(thing, f);
    auto batch = std::find_if(out.tell.begin(), out.tell.end(), [&](const auto& b) {
      return b.municipality == f.municipality && b.batch.epochs == numbers && b.batch.items.size() < kBatch;
    });
    if (batch == out.tell.end()) {
      batch = out.tell.insert(batch, {f.municipality, {.epochs = std::move(numbers), .items = {}, .left_out = 0}});
      if (const auto left = in.left_out.find(f.municipality.value); left != in.left_out.end()) {
        batch->batch.left_out = left->second;
        in.left_out.erase(left);
      }
    }
    batch->batch.items.push_back(std::move(item));
  }
  in.counts.without_key = in.queue.size();

  for (const auto thing : in.changed) {
    const auto at = in.fresh.find(thing);
    if (at == in.fresh.end()) continue;
    Fresh& f = at->second;
    f.changed = false;
    event::Revealed shown;
    shown.kind = f.kind;
    shown.scheme = f.scheme;
    shown.host = f.host;
    shown.path = f.path;
    shown.file_name = f.file_name;
    shown.sha256 = f.sha256;
    shown.sender_domains = f.sender_domains;
    out.things.push_back(
        {thing, f.municipality, std::move(shown), micros(f.first), micros(f.last), f.count(), f.digests});
  }
  in.changed.clear();
  return out;
}

// ---- state ------------------------------------------------------------------------------------------------------------------------------

void Digester::save(std::string& into) const {
  const Inner& in = *inner_;
  ByteWriter w(into);
  w.fixed(kVersion);
  in.memory.save(w);
  w.zigzag(micros(in.since));
  w.zigzag(in.day);
  w.zigzag(in.told_today);
  w.zigzag(in.floor);
  w.varint(in.left_out.size());
  for (const auto& [of, n] : in.left_out) {
    w.fixed(of);
    w.zigzag(n);
  }
  w.varint(in.harmless_told.size());
  for (const auto& [name, day] : in.harmless_told) {
    w.text(name);
    w.fixed(day);
  }
  std::vector<std::uint64_t> alive;
  for (const auto thing : in.order)
    if (in.fresh.contains(thing)) alive.push_back(thing);
  w.varint(alive.size());
  for (const auto thing : alive) {
    const Fresh& f = in.fresh.at(thing);
    w.fixed(thing);
    w.fixed(f.municipality.value);
    for (const auto* s : {&f.kind, &f.text, &f.scheme, &f.host, &f.path, &f.file_name, &f.sha256}) w.text(*s);
    w.zigzag(micros(f.first));
    w.zigzag(micros(f.last));
    for (const auto n : f.mails) w.varint(n);
    w.zigzag(f.told_bucket);
    w.varint(f.sender_domains.size());
    for (const auto& d : f.sender_domains) w.text(d);
    w.varint(f.support.size());
    for (const auto& s : f.support) w.text(s);
    w.varint(f.told_domains);
    w.fixed(f.signs);
    w.fixed(f.told_signs);
    for (const bool b : {f.held, f.told, f.retell, f.queued, f.changed}) w.flag(b);
    w.varint(f.digests.size());
    for (const auto& [epoch, digest] : f.digests) {
      w.zigzag(epoch);
      w.text(digest);
    }
    w.varint(f.mail_ids.size());
    for (const auto id : f.mail_ids) w.fixed(id);
  }
  for (const auto* list : {&in.queue, &in.changed}) {
    w.varint(list->size());
    for (const auto thing : *list) w.fixed(thing);
  }
  w.varint(in.harmless_new.size());
  for (const auto& [of, d] : in.harmless_new) {
    w.fixed(of.value);
    w.text(d.domain);
    w.zigzag(d.since_us);
  }
}

Result<void> Digester::load(std::string_view saved) {
  Inner& in = *inner_;
  constexpr std::size_t kMost = 1'000'000;
  ByteReader r(saved);
  const auto corrupt = [] {
    return fail(Code::corrupt, "the saved state of digests is cut or changed; it is learnt anew from history");
  };
  if (r.fixed<std::uint8_t>() != kVersion)
    return fail(Code::corrupt, "the saved state of digests is of another version");
  Inner read(in.community, in.lists, in.keys, in.options, in.hash_key);
  BAVN_CHECK(read.memory.load(r));
  read.since = from_micros(r.zigzag());
  read.day = r.zigzag();
  read.told_today = r.zigzag();
  read.floor = r.zigzag();
  for (std::size_t n = r.count(kMost, 3); n > 0 && !r.bad(); --n) {
    const auto of = r.fixed<std::uint16_t>();
    read.left_out[of] = r.zigzag();
  }
  for (std::size_t n = r.count(kMost, 3); n > 0 && !r.bad(); --n) {
    const std::string name(r.text());
    read.harmless_told[name] = r.fixed<std::uint16_t>();
  }
  for (std::size_t n = r.count(kMost, 40); n > 0 && !r.bad(); --n) {
    const auto thing = r.fixed<std::uint64_t>();
    Fresh f;
    f.municipality = MunicipalityId{r.fixed<std::uint16_t>()};
    for (auto* s : {&f.kind, &f.text, &f.scheme, &f.host, &f.path, &f.file_name, &f.sha256}) *s = r.text();
    f.first = from_micros(r.zigzag());
    f.last = from_micros(r.zigzag());
    for (auto& m : f.mails) m = static_cast<std::uint32_t>(r.varint());
    f.told_bucket = r.zigzag();
    for (std::size_t k = r.count(kSenderDomains); k > 0; --k) f.sender_domains.emplace_back(r.text());
    for (std::size_t k = r.count(kSupport); k > 0; --k) f.support.emplace_back(r.text());
    f.told_domains = r.varint();
    f.signs = r.fixed<std::uint8_t>();
    f.told_signs = r.fixed<std::uint8_t>();
    for (bool* b : {&f.held, &f.told, &f.retell, &f.queued, &f.changed}) *b = r.flag();
    for (std::size_t k = r.count(1'000, 2); k > 0; --k) {
      const auto epoch = r.zigzag();
      f.digests.emplace_back(epoch, r.text());
    }
    for (std::size_t k = r.count(kMailIds, 8); k > 0; --k) {
      f.mail_ids.push_back(r.fixed<std::uint64_t>());
      read.by_mail[f.mail_ids.back()].push_back(thing);
    }
    if (r.bad() || f.told_domains > f.sender_domains.size() || (f.kind != "url" && f.kind != "attachment") ||
        read.fresh.contains(thing))
      return corrupt();
    read.order.push_back(thing);
    read.fresh.emplace(thing, std::move(f));
  }
  for (auto* list : {&read.queue, &read.changed})
    for (std::size_t n = r.count(kMost, 8); n > 0; --n) list->push_back(r.fixed<std::uint64_t>());
  for (std::size_t n = r.count(kMost, 4); n > 0 && !r.bad(); --n) {
    const MunicipalityId of{r.fixed<std::uint16_t>()};
    event::HarmlessDomain d;
    d.domain = r.text();
    d.since_us = r.zigzag();
    read.harmless_new.emplace_back(of, std::move(d));
  }
  if (r.bad() || r.left() != 0) return corrupt();
  read.counts = in.counts;
  read.harmless_here = std::move(in.harmless_here);
  *inner_ = std::move(read);
  return {};
}

}  // namespace bavn::notice
