#include "app/simulate/traffic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/local_time.hpp"
#include "base/text.hpp"
#include "event/observable.hpp"

namespace bavn::app::simulate {

namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
constexpr Duration kDay = hours{24};
/// Odd things are drawn so many days ahead, so that the account's ordinary days can be told first.
constexpr int kDaysAhead = 6;

std::string replaced(std::string text, std::string_view what, const std::string& by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

constexpr std::string_view kWords[] = {"affald",   "budget", "dagtilbud",   "sundhed",   "veje",
                                       "klima",    "skole",  "jobcenter",   "byggesag",  "digitalisering",
                                       "handicap", "aeldre", "kultur",      "beredskab", "indkoeb",
                                       "arkiv",    "gdpr",   "hjemmepleje", "tilsyn",    "energi"};

std::string issue_word(std::uint64_t issue) {
  return fmt::format("{}-{:x}", kWords[issue % std::size(kWords)], (issue >> 8U) & 0xFFFFFFU);
}

std::string simhash_of(std::uint64_t text, std::int64_t wording, std::uint64_t mail) {
  std::uint64_t bits = hash64("text", text);
  // A wording moves some bits, a name in the greeting one or two.
  Dice by_wording(text, fmt::format("wording {}", wording));
  for (int i = 0; wording > 0 && i < 3; ++i) bits ^= 1ULL << by_wording.below(64);
  Dice by_mail(mail, "greeting");
  if (by_mail.happens(0.5)) bits ^= 1ULL << by_mail.below(64);
  return fmt::format("{:016x}", bits);
}

/// What every log of a mail says.
event::MailFact envelope_of(const auto& mail) {
  event::MailFact f;
  f.head.happened = mail.at;
  f.sender = mail.sender;
  f.recipients = mail.recipients;
  f.message_id = mail.message_id;
  f.subject = mail.subject;
  f.automatic = mail.automatic;
  return f;
}

event::FactSource source_of(std::string_view log) {
  using S = event::FactSource;
  if (log == "message_trace") return S::message_trace;
  if (log == "audit_log") return S::audit_log;
  if (log == "sign_in") return S::sign_in;
  if (log == "directory_audit") return S::directory_audit;
  if (log == "defender") return S::defender;
  if (log == "mail_copy") return S::mail_copy;
  if (log == "proxy") return S::proxy;
  return S::person;
}

event::FactHead& head(event::Fact& f) {
  return std::visit([](auto& x) -> event::FactHead& { return x.head; }, f);
}

std::string host_of(std::string_view address) {
  return std::string(address.substr(address.find('@') + 1));
}

/// As logs' readers make it: "https://Bio.link/orbes" -> "bio.link/orbes".
std::string canonical_link(std::string link) {
  if (auto plain = event::canonical(event::Kind::url, link)) return std::move(plain->value);
  return link;
}

std::string without_query(std::string_view link) {
  return std::string(link.substr(0, link.find('?')));
}

/// Three words of an issue, as people write addresses of pages: no digits that would be masked.
std::string slug_of(std::uint64_t issue) {
  return fmt::format("{}-{}-{}", kWords[issue % std::size(kWords)], kWords[(issue >> 12U) % std::size(kWords)],
                     kWords[(issue >> 24U) % std::size(kWords)]);
}

/// The whole of `text` up to a '/' or its end.
bool glob(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty() || text.front() == '/';
  if (pattern.front() == '*') {
    for (std::size_t n = 0;; ++n) {
      if (glob(pattern.substr(1), text.substr(n))) return true;
      if (n >= text.size() || text[n] == '/') return false;
    }
  }
  if (pattern.front() == '#') {
    std::size_t n = 0;
    while (n < text.size() && ascii_digit(text[n]))
      if (glob(pattern.substr(1), text.substr(++n))) return true;
    return !text.empty() && text.front() == '#' && glob(pattern.substr(1), text.substr(1));
  }
  return !text.empty() && ascii_lower(pattern.front()) == ascii_lower(text.front()) &&
         glob(pattern.substr(1), text.substr(1));
}

}  // namespace

bool masked_match(std::string_view pattern, std::string_view link) {
  if (const auto scheme = pattern.find("://"); scheme != std::string_view::npos) pattern.remove_prefix(scheme + 3);
  pattern = pattern.substr(0, pattern.find('?'));
  if (pattern.find('/') == std::string_view::npos) {
    const std::string_view host = link.substr(0, link.find('/'));
    return !pattern.empty() && (host == pattern || (host.size() > pattern.size() && host.ends_with(pattern) &&
                                                    host[host.size() - pattern.size() - 1] == '.'));
  }
  while (pattern.size() > 1 && pattern.ends_with('/')) pattern.remove_suffix(1);
  return glob(pattern, link);
}

double share_done(const Curve& curve, Duration after) {
  if (curve.empty() || after <= Duration::zero()) return 0;
  const double t = static_cast<double>(after.count());
  double before_t = 1e6, before = 0;  // a second
  for (const auto& [d, share] : curve) {
    const double at = static_cast<double>(d.count());
    if (t <= at) {
      if (t <= before_t) return before;
      return before + (share - before) * (std::log(t) - std::log(before_t)) / (std::log(at) - std::log(before_t));
    }
    before_t = std::max(at, 1e6);
    before = share;
  }
  return before;
}

Duration time_of(const Curve& curve, double share) {
  if (curve.empty()) return Duration::zero();
  const double wanted = share * curve.back().second;
  double before_t = 1e6, before = 0;
  for (const auto& [d, s] : curve) {
    const double at = std::max(static_cast<double>(d.count()), 1e6);
    if (wanted <= s) {
      if (s <= before) return d;
      const double part = (wanted - before) / (s - before);
      return Duration{std::llround(std::exp(std::log(before_t) + part * (std::log(at) - std::log(before_t))))};
    }
    before_t = at;
    before = s;
  }
  return curve.back().first;
}

Traffic::Traffic(const Scenario& scenario, const Towns& towns, std::uint64_t seed)
    : scenario_(scenario), towns_(towns), seed_(seed), from_(scenario.start - scenario.quiet_days) {
  next_day_ = std::chrono::floor<std::chrono::days>(from_);
  if (scenario.benign.everyday) {
    Benign catalogue = everyday();
    kinds_ = std::move(catalogue.kinds);
    events_ = std::move(catalogue.events);
  }
  for (const auto& own : scenario.benign.kinds) {
    const auto same = std::find_if(kinds_.begin(), kinds_.end(),
                                   [&](const auto& k) { return !own.name.empty() && k.name == own.name; });
    if (same != kinds_.end()) *same = own;
    else kinds_.push_back(own);
  }
  for (const auto& e : scenario.benign.events) events_.push_back(e);
  for (auto& k : kinds_)
    if (const auto rate = scenario.benign.rates.find(k.name); rate != scenario.benign.rates.end()) {
      k.usual = k.from_start ? 0 : k.per_day;
      k.per_day = rate->second;
    } else if (k.from_start) {
      k.usual = 0;
    }
  for (std::size_t i = 0; i < scenario.attacks.size(); ++i) make_attack(i);
  // The first days' odd things have their ordinary days before the quiet days begin.
  for (int d = 0; d < kDaysAhead; ++d)
    for (const auto& e : events_) make_event(e, next_day_ + d * kDay, working_day(next_day_ + d * kDay));
}

bool Traffic::working_day(Instant day) const {
  const auto local = local_time(day + hours{12}, towns_.zone());
  return !local || local->weekday <= 5;
}

void Traffic::push(Item item) {
  item.order = order_++;
  queue_.push(std::move(item));
}

/// What a log tells of one minute comes together, as pullers fetch it; fast logs tell at once. The same moment, the same delay.
Instant Traffic::late(std::size_t town, std::string_view log, Instant happened) const {
  if (log == "person") {
    Dice d(seed_, fmt::format("person {} {}", town, micros(happened)));
    return happened + Duration{d.between(30'000'000, 300'000'000)};
  }
  const auto found = towns_[town].logs.find(log);
  const Span span = found == towns_[town].logs.end() ? Span{} : found->second.late;
  const Duration grain = span.high > minutes{2} ? Duration(minutes{1}) : Duration(seconds{1});
  const auto slot = happened.time_since_epoch() / grain;
  Dice dice(seed_ ^ static_cast<std::uint64_t>(slot) * 0x9E3779B1U, fmt::format("{}{}", log, town));
  const Duration by{dice.between(span.low.count(), span.high.count())};
  // Rounded within what was promised: up while there is room, else not at all.
  const Instant end_of_slot{Duration((slot + 1) * grain)};
  return std::max(happened + span.low, std::min(end_of_slot + by, happened + span.high));
}

void Traffic::tell(std::size_t town, std::string_view log, event::Fact fact) {
  if (!towns_[town].connected || (log != "person" && !towns_[town].has(log))) return;
  auto& h = head(fact);
  h.municipality = towns_[town].id;
  h.tenant = TenantId{towns_[town].id.value};
  h.source = source_of(log);
  h.received = late(town, log, h.happened);
  if (past_ != nullptr || h.happened < from_) {
    auto& into = past_ != nullptr ? *past_ : early_;
    into.push_back({town, {}});
    into.back().facts.push_back(std::move(fact));
    return;
  }
  ++counts_.facts;
  Item item;
  item.at = micros(h.received);
  item.town = static_cast<std::uint32_t>(town);
  item.fact = std::make_unique<event::Fact>(std::move(fact));
  push(std::move(item));
}

void Traffic::tell_mail_in(std::size_t town, const Mail& mail) {
  const Town& t = towns_[town];
  if (!t.connected) return;
  event::MailFact f = envelope_of(mail);
  // Of the past only what digests learn from.
  if (past_ == nullptr) tell(town, "message_trace", f);
  f.urls = mail.urls;
  f.attachments = mail.attachments;
  f.signed_by = mail.signed_by;
  f.list_id = mail.list_id;
  f.failed_auth = mail.failed_auth;
  f.calendar = mail.calendar;
  f.knows_content = true;
  if (t.has("defender") && (past_ == nullptr || !t.has("mail_copy"))) {
    event::MailFact d = f;
    if (mail.qr_code) d.urls.clear();  // the code is a picture to it
    tell(town, "defender", std::move(d));
  }
  f.body_simhash = mail.simhash;
  f.login_form = mail.login_form;
  f.qr_code = mail.qr_code;
  tell(town, "mail_copy", std::move(f));
}

void Traffic::tell_mail_out(std::size_t town, const Mail& mail) {
  const Town& t = towns_[town];
  if (!t.connected) return;
  event::MailFact f = envelope_of(mail);
  if (past_ != nullptr && t.has("message_trace")) return tell(town, "message_trace", std::move(f));
  tell(town, "message_trace", f);
  if (t.has("audit_log")) {
    event::MailFact a = f;
    a.session = mail.session;
    a.app = mail.app;
    tell(town, "audit_log", std::move(a));
  }
  if (t.has("mail_copy")) {
    f.urls = mail.urls;
    f.attachments = mail.attachments;
    f.body_simhash = mail.simhash;
    f.signed_by = mail.signed_by;
    f.list_id = mail.list_id;
    f.calendar = mail.calendar;
    f.login_form = mail.login_form;
    f.qr_code = mail.qr_code;
    f.knows_content = true;
    tell(town, "mail_copy", std::move(f));
  }
}

Traffic::Identity Traffic::usual(std::size_t town, const std::string& account) const {
  Dice d(seed_, "who " + account);
  Identity who;
  who.ip = fmt::format("192.0.2.{}", 1 + towns_[town].id.value % 250);
  who.asn = fmt::format("AS{}", 64512 + towns_[town].id.value % 1000);
  who.country = scenario_.country == "norway" ? "NO" : "DK";
  who.user_agent = d.happens(0.7) ? "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Edg/129"
                                  : "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/129";
  who.device = fmt::format("{:08x}-0000-4000-8000-{:012x}", d.next() & 0xFFFFFFFFU, d.next() & 0xFFFFFFFFFFFFU);
  who.session = fmt::format("{:016x}", d.next());
  return who;
}

Traffic::Identity Traffic::stranger(Dice& d, int network) {
  static const std::vector<std::string> kCountries = {"NL", "US", "DE", "FR", "GB", "PL", "SG"};
  Identity who;
  who.ip = fmt::format("{}.51.100.{}", network == 0 ? 198 : 203, 1 + d.below(250));
  who.asn = fmt::format("AS{}", 64000 + network * 200 + static_cast<int>(d.below(200)));
  who.country = d.one_of(kCountries);
  who.user_agent = network == 0 ? "Mozilla/5.0 (X11; Linux x86_64) Chrome/126" : "axios/1.7.2";
  who.session = fmt::format("{:016x}", d.next());
  return who;
}

void Traffic::tell_sign_in(std::size_t town, const std::string& account, const Identity& who, Instant at,
                           bool interactive, bool device_code, std::string_view risk) {
  event::SignInFact f;
  f.head.happened = at;
  f.account = account;
  f.ip = who.ip;
  f.asn = who.asn;
  f.country = who.country;
  f.user_agent = who.user_agent;
  f.device = who.device;
  f.session = who.session;
  f.app = "00000002-0000-0ff1-ce00-000000000000";
  f.app_name = "Office 365 Exchange Online";
  f.interactive = interactive;
  f.device_code = device_code;
  f.risk = risk;
  tell(town, "sign_in", std::move(f));
}

void Traffic::tell_change(std::size_t town, const std::string& account, std::string_view change, const Identity& who,
                          std::string detail, Instant at, const std::string& app) {
  using C = event::Change;
  static const std::map<std::string_view, C> kByName = {{"new_app", C::new_app},
                                                        {"new_service_principal", C::new_service_principal},
                                                        {"new_secret", C::new_secret},
                                                        {"consent", C::consent},
                                                        {"app_role", C::app_role},
                                                        {"inbox_rule", C::inbox_rule},
                                                        {"forwarding", C::forwarding},
                                                        {"mailbox_permission", C::mailbox_permission},
                                                        {"new_mfa_method", C::new_mfa_method},
                                                        {"new_device", C::new_device}};
  event::ChangeFact f;
  f.head.happened = at;
  f.change = kByName.at(change);
  f.account = account;
  const bool of_mailbox = f.change == C::inbox_rule || f.change == C::forwarding || f.change == C::mailbox_permission;
  f.target = !app.empty() ? app : of_mailbox ? account : fmt::format("{:08x}", hash64(detail) & 0xFFFFFFFFU);
  f.detail = std::move(detail);
  f.ip = who.ip;
  f.session = who.session;
  f.app = app;
  tell(town, of_mailbox ? "audit_log" : "directory_audit", std::move(f));
}

/// Ordinary mornings of an account: what it is known by.
void Traffic::tell_usual(std::size_t town, const std::string& account, Instant first_day, int days) {
  if (!towns_[town].connected) return;
  const Identity who = usual(town, account);
  Dice d(seed_, fmt::format("mornings {} {}", account, micros(first_day)));
  for (int i = 0; i < days; ++i) {
    const Instant day = first_day + i * kDay;
    for (int k = 0; k < 2; ++k) {
      const Instant at = day + hours{6 + 4 * k} + Duration{d.between(0, 3'600'000'000)};
      tell_sign_in(town, account, who, at, k == 0, false, "none");
    }
  }
}

void Traffic::tell_click(std::size_t town, const std::string& account, const std::string& sender,
                         const std::string& message_id, const std::string& url, Instant at, Dice&) {
  event::HarmFact f;
  f.head.happened = at;
  f.harm = event::Harm::click;
  f.account = account;
  f.url = url;
  if (towns_[town].has("proxy")) tell(town, "proxy", f);
  if (towns_[town].has("defender")) {
    f.sender = sender;
    f.message_id = message_id;
    tell(town, "defender", std::move(f));
  }
}

// ---- quiet life -----------------------------------------------------------------------------------------------------------------------

Traffic::Mail Traffic::shaped(const MailShape& shape, std::uint64_t issue, std::uint64_t n, const std::string& town) {
  const std::string person = fmt::format("{:016x}", hash64(fmt::format("{} {}", issue, n)));
  const auto fill = [&](std::string text) {
    text = replaced(std::move(text), "{n}", std::to_string(1000 + (issue + n) % 90000));
    text = replaced(std::move(text), "{issue}", issue_word(issue));
    text = replaced(std::move(text), "{slug}", slug_of(issue));
    text = replaced(std::move(text), "{person}", person);
    return replaced(std::move(text), "{town}", town);
  };
  Mail m;
  if (!shape.subjects.empty()) m.subject = fill(shape.subjects[issue % shape.subjects.size()]);
  for (const auto& l : shape.links) m.urls.push_back(canonical_link(fill(l)));
  for (const auto& a : shape.attachments) {
    event::MailAttachment out;
    out.name = fill(a.name);
    const std::uint64_t bytes = a.fresh ? issue : hash64(a.name);
    const bool each = a.name.find("{person}") != std::string::npos;
    for (std::uint64_t k = 0; k < 4; ++k)
      out.sha256 += fmt::format("{:016x}", hash64(a.name, bytes * 4 + k + (each ? n * 1000 : 0)));
    out.active = a.active;
    m.attachments.push_back(std::move(out));
  }
  m.simhash = simhash_of(issue, static_cast<std::int64_t>(n % static_cast<std::uint64_t>(shape.wordings)), issue + n);
  m.list_id = fill(shape.list_id);
  m.signed_by = shape.signed_by;
  m.qr_code = shape.qr_code;
  m.login_form = shape.login_form;
  m.automatic = shape.automatic;
  m.calendar = shape.calendar;
  m.failed_auth = shape.failed_auth;
  return m;
}

void Traffic::make_day() {
  const Instant day = next_day_;
  next_day_ += kDay;
  const bool working = working_day(day);
  for (const auto& k : kinds_) make_kind(k, day, working);
  for (const auto& e : events_) make_event(e, day + kDaysAhead * kDay, working_day(day + kDaysAhead * kDay));
}

void Traffic::make_kind(const BenignKind& kind, Instant day, bool working) {
  Dice dice(seed_, fmt::format("{} {}", kind.name, micros(day)));
  const bool before = kind.usual >= 0 && day + kDay <= scenario_.start;
  const std::int64_t n =
      dice.poisson((before ? kind.usual : kind.per_day) * scenario_.benign.scale * (working ? 1 : kind.weekend));
  for (std::int64_t i = 0; i < n; ++i) {
    // Local hours; a quarter of a year is not long enough for an hour to matter, the offset of the day is.
    const auto noon = local_time(day + hours{12}, towns_.zone());
    const Duration offset = noon ? hours{static_cast<int>(noon->hour) - 12} : hours{1};
    const Duration open = hours{std::max<std::int64_t>(1, kind.to_hour - kind.from_hour)};
    const Instant at = day - offset + hours{kind.from_hour} + Duration{dice.between(0, open.count())};
    const std::uint64_t issue = dice.next();
    if (kind.from_start && at < scenario_.start) continue;
    if (past_ != nullptr || (at >= from_ && at < until())) mail_out(kind, at, issue, dice);
  }
}

void Traffic::mail_out(const BenignKind& kind, Instant at, std::uint64_t issue, Dice& dice) {
  if (past_ == nullptr) {
    ++counts_.mail_outs;
    ++counts_.by_kind[kind.name];
  }
  std::size_t home = Towns::kNone;
  std::string sender;
  const std::uint64_t which = dice.below(static_cast<std::uint64_t>(kind.sender_count));
  if (kind.from == "member_person" || kind.from == "member_function") {
    // The same few persons do it again and again when there are few.
    Dice who(seed_, fmt::format("{} sender {}", kind.name, which));
    home = who.below(towns_.size());
    sender = kind.from == "member_person" ? towns_.person(home, who.between(0, towns_[home].mailboxes - 1))
                                          : Towns::function(towns_[home], who.next());
  } else if (!kind.senders.empty()) {
    sender = replaced(kind.senders[(which + issue) % kind.senders.size()], "{i}", std::to_string(which + 1));
  }
  std::vector<std::size_t> to(towns_.size());
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = i;
  dice.shuffle(to);
  const double share = kind.towns_low + (kind.towns_high - kind.towns_low) * dice.share();
  if (kind.towns_high <= 0 && home != Towns::kNone) to = {home};  // within the own municipality
  else
    to.resize(std::clamp<std::size_t>(static_cast<std::size_t>(std::lround(share * static_cast<double>(to.size()))), 1,
                                      to.size()));

  const bool has_links = !kind.mail.links.empty();
  const bool each = std::any_of(kind.mail.links.begin(), kind.mail.links.end(),
                                [](const auto& l) { return l.find("{person}") != std::string::npos; });
  std::vector<std::string> everybody;
  std::uint64_t n = 0;
  for (const std::size_t town : to) {
    const Town& t = towns_[town];
    const double size = t.size == "S" ? 0.5 : t.size == "L" ? 2 : t.size == "XL" ? 4 : 1;
    const auto people = std::clamp<std::int64_t>(
        std::llround(static_cast<double>(dice.between(kind.people_low, kind.people_high)) * size), 1, t.mailboxes);
    if (past_ == nullptr) counts_.benign_mails += static_cast<std::uint64_t>(people);
    const Instant when =
        at + Duration{static_cast<std::int64_t>(dice.share() * static_cast<double>(kind.takes.count()))};
    const std::uint64_t first = dice.next();
    if (!t.connected && home == Towns::kNone) continue;
    std::vector<std::string> recipients;
    // Of the past it matters what came, not to how many, but for members' own habits.
    const std::int64_t named = past_ != nullptr && home == Towns::kNone ? std::min<std::int64_t>(people, 3) : people;
    for (std::int64_t i = 0; i < named; ++i)
      recipients.push_back(
          towns_.person(town, static_cast<std::int64_t>((first + static_cast<std::uint64_t>(i) * 7919) %
                                                        static_cast<std::uint64_t>(t.mailboxes))));
    if (home != Towns::kNone) everybody.insert(everybody.end(), recipients.begin(), recipients.end());
    if (!t.connected) continue;
    if (past_ != nullptr && !t.has("defender") && !t.has("mail_copy")) continue;

    const bool links_seen = t.has("defender") || t.has("mail_copy");
    const std::string from = home == Towns::kNone ? host_of(sender) : towns_[home].domain;
    // One record for all unless each has something of its own that a log here can see.
    const std::int64_t mails = each && links_seen && past_ == nullptr ? people : 1;
    std::vector<std::string> urls;
    for (std::int64_t k = 0; k < mails; ++k) {
      Mail m = shaped(kind.mail, issue, n++, t.name);
      m.sender = sender;
      m.at = home == Towns::kNone ? when : at;
      m.message_id =
          home == Towns::kNone ? fmt::format("{:016x}.{}@{}", issue, n, from) : fmt::format("{:016x}@{}", issue, from);
      if (m.signed_by.empty() && (home != Towns::kNone || !m.list_id.empty())) m.signed_by = from;
      if (mails == 1) m.recipients = recipients;
      else m.recipients = {recipients[static_cast<std::size_t>(k)]};
      if (past_ != nullptr && m.recipients.size() > 3) m.recipients.resize(3);
      urls = m.urls;
      tell_mail_in(town, m);
      if (past_ != nullptr) continue;
      if (k == 0 && kind.verdict > 0 && t.has("defender") && dice.happens(kind.verdict)) {
        event::HarmFact f;
        f.head.happened = m.at + Duration{dice.between(60'000'000, 4LL * 3'600'000'000)};
        f.harm = event::Harm::vendor_verdict;
        f.sender = sender;
        f.message_id = m.message_id;
        f.detail = "phish (bulk, low confidence)";
        tell(town, "defender", std::move(f));
      }
      const auto readers = static_cast<double>(m.recipients.size());
      for (std::int64_t r = dice.poisson(kind.reported * readers); r > 0; --r) {
        event::HarmFact f;
        f.head.happened = m.at + time_of(scenario_.people.report_after, dice.share());
        f.harm = event::Harm::reported;
        f.account = dice.one_of(m.recipients);
        f.sender = sender;
        f.message_id = m.message_id;
        tell(town, "person", std::move(f));
      }
      if (has_links && (t.has("proxy") || t.has("defender")))
        for (std::int64_t c = dice.poisson(kind.clicked * readers); c > 0; --c)
          tell_click(town, dice.one_of(m.recipients), sender, m.message_id, dice.one_of(m.urls),
                     m.at + time_of(scenario_.people.click_after, dice.share()), dice);
    }
  }
  if (home == Towns::kNone || !towns_[home].connected) return;
  // As it leaves: pieces over the time it takes.
  const std::size_t pieces = std::clamp<std::size_t>(everybody.size() / 40, 1, 20);
  for (std::size_t p = 0; p < pieces; ++p) {
    Mail m = shaped(kind.mail, issue, p, towns_[home].name);
    m.sender = sender;
    m.at = at + Duration{kind.takes.count() * static_cast<std::int64_t>(p) / static_cast<std::int64_t>(pieces)};
    m.message_id = fmt::format("{:016x}@{}", issue, towns_[home].domain);
    m.signed_by = towns_[home].domain;
    m.session = usual(home, sender).session;
    for (std::size_t i = p; i < everybody.size(); i += pieces) m.recipients.push_back(everybody[i]);
    tell_mail_out(home, m);
  }
}

void Traffic::make_event(const BenignEvent& event, Instant day, bool working) {
  if (!working || day >= until()) return;
  Dice dice(seed_, fmt::format("event {} {}", event.name, micros(day)));
  for (std::size_t town = 0; town < towns_.size(); ++town) {
    const Town& t = towns_[town];
    const std::int64_t n =
        dice.poisson(event.per_thousand * static_cast<double>(t.mailboxes) / 1000 * scenario_.benign.scale);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::string account = towns_.person(town, dice.between(0, t.mailboxes - 1));
      const Instant at = day + hours{7} + Duration{dice.between(0, 8LL * 3'600'000'000)};
      if (at < from_ || at >= until() || !t.connected) continue;
      ++counts_.odd_events;
      tell_usual(town, account, day - kDaysAhead * kDay, kDaysAhead);
      Identity who = usual(town, account);
      const Identity elsewhere = stranger(dice, 0);
      const std::string& what = event.what;
      if (what == "travel" || what == "private_device_abroad" || what == "vendor_risk" || what == "new_network" ||
          what == "new_phone") {
        Identity odd = who;
        odd.session = elsewhere.session;
        if (what != "new_phone") {
          odd.ip = elsewhere.ip;
          odd.asn = elsewhere.asn;
          if (what != "new_network") odd.country = elsewhere.country;
        }
        if (what == "new_phone") {
          odd.user_agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)";
          odd.device =
              fmt::format("{:08x}-0000-4000-8000-{:012x}", dice.next() & 0xFFFFFFFFU, dice.next() & 0xFFFFFFFFFFFFU);
        }
        if (what == "private_device_abroad") {
          odd.device.clear();
          odd.user_agent = "Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X)";
        }
        tell_sign_in(town, account, odd, at, true, false, what == "vendor_risk" ? "medium" : "none");
        if (what == "vendor_risk") {
          event::HarmFact f;
          f.head.happened = at + minutes{2};
          f.harm = event::Harm::risk_alert;
          f.account = account;
          f.detail = "unfamiliarFeatures";
          tell(town, "defender", std::move(f));
        }
      } else if (what == "device_code") {
        tell_sign_in(town, account, who, at, true, true, "none");
      } else {
        tell_sign_in(town, account, who, at - minutes{5}, true, false, "none");
        tell_change(town, account, what, who, what == "consent" ? "Calendars.Read" : what, at);
      }
    }
  }
}

// ---- attacks --------------------------------------------------------------------------------------------------------------------------

void Traffic::make_attack(std::size_t n) {
  const Attack& a = scenario_.attacks[n];
  Truth& truth = truths_.emplace_back();
  truth.name = a.name;
  truth.real = a.real;
  Dice dice(seed_, "attack " + a.name);
  if (!dice.happens(a.chance)) return;
  truth.happens = true;
  const Instant begins = scenario_.start + a.at + Duration{dice.between(0, a.jitter.count())};
  truth.begins = begins;
  std::map<std::string, Instant, std::less<>> ended;   // by step id
  std::map<std::string, Identity, std::less<>> taken;  // by account
  std::map<std::string, Instant, std::less<>> lived;   // accounts whose ordinary days were told
  std::vector<bool> done(a.steps.size(), false);
  // Steps in an order that follows `after`; there are no cycles (read_scenario).
  for (std::size_t round = 0; round < a.steps.size(); ++round)
    for (std::size_t i = 0; i < a.steps.size(); ++i) {
      const Step& s = a.steps[i];
      if (done[i] || (!s.after.empty() && !ended.contains(s.after))) continue;
      done[i] = true;
      const Instant begin = (s.after.empty() ? begins : ended.find(s.after)->second) + s.wait;
      Instant end = begin;
      std::size_t town = Towns::kNone;
      std::string account;
      if (!s.account.empty()) std::tie(town, account) = towns_.account(s.account, a.name);
      if (town != Towns::kNone && !lived.contains(account)) {
        lived[account] = begin;
        const Instant first = begin - hours{24 * 10};
        tell_usual(town, account, std::chrono::floor<std::chrono::days>(first),
                   static_cast<int>((begin - first) / kDay) + 1);
      }
      if (s.kind == "mail") {
        if (town != Towns::kNone) {
          truth.senders.insert(account);
        } else if (!s.from.empty()) {
          truth.senders.insert(s.from);
        } else {
          continue;  // its municipality is not in this run
        }
        end = make_mail(n, s, i, begin, taken);
      } else if (town != Towns::kNone) {
        truth.accounts.insert(account);
        if (s.kind == "takeover" || s.kind == "sign_in") {
          Identity odd = stranger(dice, 0);
          const std::string_view risk = s.risk ? "medium" : "none";
          if (s.kind == "takeover" && s.way != "password" && s.way != "device_code") {
            odd.session = usual(town, account).session.substr(0, 8) + odd.session.substr(8);
            if (!s.after.empty())
              for (const auto& before : a.steps)
                if (before.id == s.after && before.kind == "mail" && !before.mail.links.empty())
                  for (const auto& to : before.to)
                    if (towns_.account(to.account, a.name).second == account)
                      tell_click(
                          town, account, before.from, "",
                          canonical_link(before.mail.links.front().substr(0, before.mail.links.front().find('{'))),
                          begin - minutes{1}, dice);
          }
          tell_sign_in(town, account, odd, begin, true, s.way == "device_code", risk);
          if (s.risk) {
            event::HarmFact f;
            f.head.happened = begin + minutes{3};
            f.harm = event::Harm::risk_alert;
            f.account = account;
            f.detail = "anomalousToken";
            tell(town, "defender", std::move(f));
          }
          if (s.kind == "takeover") {
            Identity replay = stranger(dice, 1);
            replay.session = odd.session;
            tell_sign_in(town, account, replay, begin + minutes{6}, false, false, "none");
            taken[account] = replay;
          }
        } else if (s.kind == "change") {
          const auto as = taken.find(account);
          tell_change(town, account, s.change, as == taken.end() ? usual(town, account) : as->second,
                      s.detail.empty() ? s.change : s.detail, begin);
        }
      }
      if (!s.id.empty()) ended[s.id] = end;
    }
}

Instant Traffic::make_mail(std::size_t n, const Step& s, std::size_t step_n, Instant begin,
                           const std::map<std::string, Identity, std::less<>>& taken) {
  const Attack& a = scenario_.attacks[n];
  Truth& truth = truths_[n];
  Dice dice(seed_, fmt::format("attack {} step {}", a.name, step_n));
  const std::uint64_t issue = dice.next();
  std::size_t home = Towns::kNone;
  std::string sender = s.from;
  if (!s.account.empty()) std::tie(home, sender) = towns_.account(s.account, a.name);

  // Where each mail goes.
  std::vector<std::size_t> named;
  if (home != Towns::kNone) named.push_back(home);
  for (const auto& to : s.to)
    for (const auto id : to.towns.ids)
      if (const auto t = towns_.of(id); t != Towns::kNone) named.push_back(t);
  std::vector<std::pair<std::size_t, std::string>> goes;  // town, or outside with a domain or an address
  for (std::size_t i = 0; i < s.to.size(); ++i) {
    const Target& to = s.to[i];
    if (!to.account.empty()) {
      const auto [town, address] = towns_.account(to.account, a.name);
      for (std::int64_t k = 0; town != Towns::kNone && k < to.mails; ++k) goes.emplace_back(town, address);
      continue;
    }
    if (!to.outside.empty()) {
      for (std::int64_t k = 0; k < to.mails; ++k)
        goes.emplace_back(Towns::kNone, to.outside[static_cast<std::size_t>(k) % to.outside.size()]);
      continue;
    }
    std::vector<std::size_t> towns;
    if (!to.towns.ids.empty() || to.towns.all || !to.towns.groups.empty()) {
      TownChoice without = to.towns;
      without.some = 0;
      towns = towns_.chosen(without, "");
    }
    if (to.towns.some > 0) {
      TownChoice drawn;
      drawn.some = to.towns.some;
      // Named once, or the same towns whatever else is in the list: the label is the step's.
      std::vector<std::size_t> but = named;
      but.insert(but.end(), towns.begin(), towns.end());
      for (const auto t : towns_.chosen(drawn, fmt::format("{} {} {}", a.name, step_n, i), but)) towns.push_back(t);
    }
    // Each municipality gets some; how many differs.
    std::vector<double> weight;
    double sum = 0;
    for (std::size_t k = 0; k < towns.size(); ++k) sum += weight.emplace_back(0.3 + dice.share());
    for (std::int64_t k = 0; k < to.mails && !towns.empty(); ++k) {
      if (static_cast<std::size_t>(k) < towns.size()) {
        goes.emplace_back(towns[static_cast<std::size_t>(k)], "");
        continue;
      }
      double at = dice.share() * sum;
      std::size_t pick = 0;
      while (pick + 1 < towns.size() && at >= weight[pick]) at -= weight[pick++];
      goes.emplace_back(towns[pick], "");
    }
  }
  dice.shuffle(goes);

  const Duration total = s.over > Duration::zero()
                             ? s.over
                             : Duration{std::llround(static_cast<double>(goes.size()) / s.rate_per_minute * 6e7)};
  Identity who;
  if (home != Towns::kNone) {
    const auto as = taken.find(sender);
    who = as == taken.end() ? usual(home, sender) : as->second;
  }
  std::map<std::size_t, std::uint64_t> next_person;
  const std::uint64_t circle = hash64(sender + a.name);
  for (std::size_t k = 0; k < goes.size(); ++k) {
    const auto& [town, place] = goes[k];
    const Instant at = begin + Duration{total.count() * static_cast<std::int64_t>(k) /
                                        static_cast<std::int64_t>(std::max<std::size_t>(1, goes.size()))};
    if (at >= until()) break;
    MailShape shape = s.mail;
    const std::uint64_t turn = s.rotate_links > 1 ? k % static_cast<std::uint64_t>(s.rotate_links) : 0;
    for (auto& l : shape.links) l = replaced(l, "{n}", std::to_string(turn + 1));
    Mail m = shaped(shape, issue, k, town == Towns::kNone ? place : towns_[town].name);
    if (!shape.subjects.empty()) {
      MailShape one = shape;
      one.subjects = {shape.subjects[k % shape.subjects.size()]};
      m.subject = shaped(one, issue, k, town == Towns::kNone ? place : towns_[town].name).subject;
    }
    m.sender = sender;
    m.at = at;
    m.message_id = fmt::format("{:016x}{:06x}@{}", issue, k, host_of(sender));
    if (home != Towns::kNone) {
      m.signed_by = towns_[home].domain;
      m.session = who.session;
      m.app = s.app;
    } else if (m.signed_by.empty() && !m.failed_auth && !m.list_id.empty()) {
      m.signed_by = host_of(sender);
    }
    ++truth.mails;
    if (truth.first_mail == Instant{} || at < truth.first_mail) truth.first_mail = at;
    truth.last_mail = std::max(truth.last_mail, at);
    for (const auto& u : m.urls) {
      // What the digest and the warning may say of it: with the path, without query.
      truth.link_starts.insert(without_query(u));
    }
    for (const auto& f : m.attachments) {
      truth.files.insert(f.name);
      truth.files.insert(f.sha256);
    }
    if (town == Towns::kNone) {
      ++truth.outside;
      m.recipients = {place.find('@') == std::string::npos ? fmt::format("modtager{}@{}", k % 50, place) : place};
      if (home != Towns::kNone) tell_mail_out(home, m);
      continue;
    }
    const Town& t = towns_[town];
    std::string recipient = place;
    if (recipient.empty()) {
      const std::uint64_t i = next_person[town]++;
      if (s.people == "functions") recipient = Towns::function(t, i);
      else if (s.people == "colleagues")
        recipient =
            towns_.person(town, static_cast<std::int64_t>((circle + i) % static_cast<std::uint64_t>(t.mailboxes)));
      else
        recipient = towns_.person(
            town, static_cast<std::int64_t>((issue + i * 7919) % static_cast<std::uint64_t>(t.mailboxes)));
    }
    m.recipients = {recipient};
    if (home != Towns::kNone) tell_mail_out(home, m);
    if (town != home || home == Towns::kNone) tell_mail_in(town, m);

    Copy c;
    c.attack = n;
    c.town = town;
    c.real = a.real;
    c.recipient = recipient;
    c.sender = sender;
    c.message_id = m.message_id;
    if (!m.urls.empty()) c.url = m.urls.front();
    c.sent = at;
    const double rate = s.click_rate >= 0 ? s.click_rate : scenario_.people.click_rate;
    const bool to_click = !m.urls.empty() || !m.attachments.empty();
    c.clicker = to_click && dice.happens(rate);
    c.logs_in = c.clicker && (m.login_form || a.real) && dice.happens(scenario_.people.login_rate);
    c.would_click = at + time_of(scenario_.people.click_after, dice.share());
    c.reporter = dice.happens(scenario_.people.report_rate);
    c.would_report = at + time_of(scenario_.people.report_after, dice.share());
    c.heeds = dice.share();
    const std::size_t index = copies_.size();
    by_message_[c.message_id].push_back(index);
    if (c.logs_in) tell_usual(town, recipient, std::chrono::floor<std::chrono::days>(at - hours{24 * 6}), 6);
    for (const auto& [when, what] : {std::pair{c.would_click, 1}, {c.would_report, 2}}) {
      if (what == 1 ? !c.clicker : !c.reporter) continue;
      Item item;
      item.at = micros(when);
      item.what = static_cast<std::int8_t>(what);
      item.town = static_cast<std::uint32_t>(town);
      item.copy = index;
      push(std::move(item));
    }
    copies_.push_back(std::move(c));
  }
  // The vendor's word, once a municipality.
  if (s.verdict > 0) {
    std::set<std::size_t> asked;
    for (std::size_t i = 0; i < copies_.size(); ++i) {
      const Copy& c = copies_[i];
      if (c.attack != n || c.sender != sender || !asked.insert(c.town).second) continue;
      if (!towns_[c.town].has("defender") || !dice.happens(s.verdict)) continue;
      event::HarmFact f;
      f.head.happened = c.sent + Duration{dice.between(s.verdict_after.low.count(), s.verdict_after.high.count())};
      f.harm = event::Harm::vendor_verdict;
      f.sender = c.sender;
      f.message_id = c.message_id;
      f.url = c.url;
      f.detail = "phish (high confidence)";
      tell(c.town, "defender", std::move(f));
    }
  }
  return begin + total;
}

void Traffic::clicked(std::size_t copy) {
  const Copy& c = copies_[copy];
  Dice dice(seed_, "click " + c.message_id + c.recipient);
  tell_click(c.town, c.recipient, c.sender, c.message_id, c.url, c.clicked, dice);
  if (!c.logs_in) return;
  Identity odd = stranger(dice, 0);
  tell_sign_in(c.town, c.recipient, odd, c.clicked + minutes{2}, true, false, "none");
  Identity replay = stranger(dice, 1);
  replay.session = odd.session;
  tell_sign_in(c.town, c.recipient, replay, c.clicked + minutes{9}, false, false, "none");
}

void Traffic::reported(std::size_t copy) {
  const Copy& c = copies_[copy];
  event::HarmFact f;
  f.head.happened = c.reported;
  f.harm = event::Harm::reported;
  f.account = c.recipient;
  f.sender = c.sender;
  f.message_id = c.message_id;
  f.url = c.url;
  tell(c.town, "person", std::move(f));
}

std::vector<Batch> Traffic::past_day(Instant day) {
  std::vector<Batch> out;
  past_ = &out;
  const bool working = working_day(day);
  for (const auto& k : kinds_) make_kind(k, day, working);
  past_ = nullptr;
  std::stable_sort(out.begin(), out.end(), [](const Batch& a, const Batch& b) {
    return event::head_of(a.facts.front()).received < event::head_of(b.facts.front()).received;
  });
  return out;
}

std::vector<Batch> Traffic::take_early() {
  auto out = std::exchange(early_, {});
  std::stable_sort(out.begin(), out.end(), [](const Batch& a, const Batch& b) {
    return event::head_of(a.facts.front()).received < event::head_of(b.facts.front()).received;
  });
  return out;
}

// ---- asked moment by moment -----------------------------------------------------------------------------------------------------------

std::optional<Instant> Traffic::next() {
  // What a day begins may be told before what the day before left; so the day is made before its first moment is asked for.
  while (next_day_ < until() && (queue_.empty() || from_micros(queue_.top().at) >= next_day_ - hours{3})) make_day();
  if (queue_.empty() || from_micros(queue_.top().at) > until()) return std::nullopt;
  return from_micros(queue_.top().at);
}

Traffic::Due Traffic::take() {
  Due out;
  const auto at = next();
  if (!at) return out;
  while (!queue_.empty() && queue_.top().at == micros(*at)) {
    // priority_queue gives no way to move out of its top; the item is popped right after.
    Item item = std::move(const_cast<Item&>(queue_.top()));
    queue_.pop();
    if (item.what == 1) {
      out.clicks.push_back(item.copy);
    } else if (item.what == 2) {
      out.reports.push_back(item.copy);
    } else {
      auto found =
          std::find_if(out.batches.begin(), out.batches.end(), [&](const Batch& b) { return b.town == item.town; });
      if (found == out.batches.end()) {
        out.batches.push_back({item.town, {}});
        found = std::prev(out.batches.end());
        ++counts_.batches;
      }
      found->facts.push_back(std::move(*item.fact));
    }
  }
  return out;
}

std::vector<std::size_t> Traffic::attacks_of_sender(std::string_view address) const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < truths_.size(); ++i)
    if (truths_[i].senders.contains(std::string(address)) || truths_[i].accounts.contains(std::string(address)))
      out.push_back(i);
  return out;
}

std::vector<std::size_t> Traffic::attacks_of_link(std::string_view url) const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < truths_.size(); ++i)
    if (std::any_of(truths_[i].link_starts.begin(), truths_[i].link_starts.end(),
                    [&](const std::string& l) { return masked_match(url, l); }))
      out.push_back(i);
  return out;
}

std::vector<std::size_t> Traffic::attacks_of_file(std::string_view name_or_hash) const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < truths_.size(); ++i)
    if (truths_[i].files.contains(std::string(name_or_hash))) out.push_back(i);
  return out;
}

const std::vector<std::size_t>* Traffic::copies_of(std::string_view message_id) const {
  const auto found = by_message_.find(message_id);
  return found == by_message_.end() ? nullptr : &found->second;
}

}  // namespace bavn::app::simulate
