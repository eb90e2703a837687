// The sender notice and the burst at the receiver. Every rule looks at when mails were sent, never at the order in which they were told.
#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.hpp"
#include "notice/likeness.hpp"
#include "notice/watch_inner.hpp"

namespace bavn::notice {

namespace {

constexpr std::size_t kOpenBuckets =
    24;                            // of a sender: four hours of windows of ten minutes, and room for what comes late
constexpr std::size_t kTowns = 8;  // enough to compare with notice.domains up to that
constexpr std::size_t kManyPairs = 64;         // from here on a hash set finds doubles
constexpr std::size_t kManyMails = 16;         // and a hash map finds mails
constexpr std::size_t kFeatures = 512;         // of near-same texts; beyond it texts must be equal
constexpr std::size_t kLooseAtOnce = 64;       // mails outside an open notice that are looked at each time
constexpr std::size_t kDomains = 1000;         // of members in one notice
constexpr std::size_t kOutsideDomains = 5000;  // others
constexpr std::size_t kOutsideTold = 200;
constexpr std::size_t kSpans = 64;
constexpr std::size_t kSubjects = 256;
constexpr std::size_t kSigns = 32;
constexpr std::size_t kClosed = 512;         // buckets of one notice: three and a half days of sending without a pause
constexpr std::size_t kPartBytes = 150'000;  // of Message-IDs: a report holds 256 KiB
constexpr std::size_t kPartDomain = 2000;
constexpr std::size_t kMessageId = 500;  // bytes; longer ones are no use to anybody (RFC 5322: 998 a line)
constexpr std::size_t kSubjectNear = 8, kBodyNear = 6, kSubjectLong = 16;
constexpr Us kAfterwards = 60 * kMinute;  // a sign of takeover that soon after sending says as much as one before

std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = a ^ (b * 0x9E3779B97F4A7C15ULL);
  x = (x ^ (x >> 32U)) * 0xD6E8FEB86659FD93ULL;
  return x ^ (x >> 29U);
}

std::uint64_t id_of_mail(const event::MailFact& m) {
  if (!m.message_id.empty()) return message_key(m.message_id);
  return mixed(hash64(m.subject, 0x6d696432), static_cast<std::uint64_t>(micros(m.head.happened)));
}

bool near_spans(const Notice& n, Us at, Us gap) {
  for (const auto& [from, to] : n.spans)
    if (at >= from - gap && at <= to + gap) return true;
  return false;
}

void add_span(Notice& n, Us from, Us to) {
  for (auto& [f, t] : n.spans)
    if (from <= t && to >= f) {
      f = std::min(f, from);
      t = std::max(t, to);
      return;
    }
  if (n.spans.size() < kSpans) n.spans.emplace_back(from, to);
}

void extend_spans(Notice& n, Us at, Us gap) {
  for (auto& [from, to] : n.spans)
    if (at >= from - gap && at <= to + gap) {
      from = std::min(from, at);
      to = std::max(to, at);
      return;
    }
}

void mark(Notice& n, Is kind, Us at) {
  for (Mark& m : n.marks)
    if (m.kind == kind) {
      m.at = std::min(m.at, at);
      ++m.count;
      return;
    }
  n.marks.push_back({kind, at, 1});
}

std::string_view source_name(std::uint8_t s) {
  constexpr std::string_view kNames[] = {"message_trace", "audit_log", "sign_in", "directory_audit",
                                         "defender",      "mail_copy", "proxy",   "person"};
  return s < std::size(kNames) ? kNames[s] : "unknown";
}

/// Counts of one window of time, changed mail by mail as it moves.
class Window {
 public:
  struct Counts {
    std::size_t alike_members = 0, alike_all = 0;  // distinct recipients of repeated wordings
    std::size_t members = 0, all = 0;              // distinct recipients
  };

  Window(Sender& s, std::size_t least, bool own, std::uint16_t home) : s_(s), least_(least), own_(own), home_(home) {}

  void add(std::size_t mail, int by) {
    const Mail& m = s_.mails[mail];
    Group& g = groups_[s_.groups.of(s_.group[mail])];
    for (const Recipient& r : m.to) {
      const bool inside = own_ && r.town == home_;
      const bool member = !own_ || (r.town != 0 && !inside);
      const bool was = g.all >= least_;
      if (was) leave(g);
      if (count(g.seen, r.hash, by)) {
        g.all = step(g.all, by);
        if (member) g.members = step(g.members, by);
      }
      if (member) count(g.towns, r.town, by);
      if (g.all >= least_) join(g);
      if (count(seen_, r.hash, by)) {
        if (member) now_.members = step(now_.members, by);
        if (!inside) now_.all = step(now_.all, by);
        if (inside) inside_ = step(inside_, by);
      }
      if (member) count(towns_, r.town, by);
    }
  }
  Counts counts() const {
    Counts c = now_;
    c.alike_members = alike_members_;
    c.alike_all = alike_all_;
    return c;
  }
  std::size_t inside() const { return inside_; }
  std::size_t towns() const { return towns_.size(); }
  std::size_t alike_towns() const { return alike_towns_.size(); }
  bool repeated(std::size_t mail) {
    const auto at = groups_.find(s_.groups.of(s_.group[mail]));
    return at != groups_.end() && at->second.all >= least_;
  }
  /// Members that got no repeated wording.
  std::size_t unlike_members() const { return now_.members > alike_members_ ? now_.members - alike_members_ : 0; }

 private:
  struct Group {
    std::unordered_map<std::uint64_t, int> seen;
    std::map<std::uint16_t, int> towns;
    std::size_t all = 0, members = 0;
  };
  static std::size_t step(std::size_t n, int by) { return by > 0 ? n + 1 : n - 1; }
  /// True when it came or went.
  template <class Map, class Key>
  static bool count(Map& map, Key key, int by) {
    const auto at = map.try_emplace(key, 0).first;
    const bool none = at->second == 0;
    at->second += by;
    if (at->second == 0) {
      map.erase(at);
      return true;
    }
    return none;
  }
  void join(const Group& g) {
    alike_members_ += g.members;
    alike_all_ += g.all;
    for (const auto& [town, n] : g.towns) alike_towns_[town] += n;
  }
  void leave(const Group& g) {
    alike_members_ -= g.members;
    alike_all_ -= g.all;
    for (const auto& [town, n] : g.towns)
      if ((alike_towns_[town] -= n) == 0) alike_towns_.erase(town);
  }

  Sender& s_;
  std::size_t least_;
  bool own_;
  std::uint16_t home_;
  std::unordered_map<std::size_t, Group> groups_;
  std::unordered_map<std::uint64_t, int> seen_;
  std::map<std::uint16_t, int> towns_, alike_towns_;
  Counts now_;
  std::size_t inside_ = 0, alike_members_ = 0, alike_all_ = 0;
};

}  // namespace

// ---- what is usual ----------------------------------------------------------------------------------------------------------------------

void Maxima::add(Us at, std::size_t n) {
  const std::int64_t day = floored(at, kDay);
  if (day < std::numeric_limits<std::int32_t>::min() / 2 || day > std::numeric_limits<std::int32_t>::max() / 2) return;
  const auto slot = [](std::int64_t i, std::size_t size) {
    const auto m = static_cast<std::int64_t>(size);
    return static_cast<std::size_t>(((i % m) + m) % m);
  };
  const auto many = static_cast<std::uint16_t>(std::min<std::size_t>(n, 65'535));
  const std::int64_t week = floored(day, 7);
  if (last_day == std::numeric_limits<std::int32_t>::min()) last_day = static_cast<std::int32_t>(day);
  if (day > last_day) {
    if (day - last_day >= static_cast<std::int64_t>(days.size())) days.fill(0);
    else
      for (std::int64_t d = last_day + 1; d <= day; ++d) days[slot(d, days.size())] = 0;
    const std::int64_t last_week = floored(last_day, 7);
    if (week - last_week >= static_cast<std::int64_t>(weeks.size())) weeks.fill(0);
    else
      for (std::int64_t w = last_week + 1; w <= week; ++w) weeks[slot(w, weeks.size())] = 0;
    last_day = static_cast<std::int32_t>(day);
  }
  if (last_day - day < static_cast<std::int64_t>(days.size())) {
    auto& d = days[slot(day, days.size())];
    d = std::max(d, many);
  }
  if (floored(last_day, 7) - week < static_cast<std::int64_t>(weeks.size())) {
    auto& w = weeks[slot(week, weeks.size())];
    w = std::max(w, many);
  }
}

std::size_t Maxima::most(Us before, Us span) const {
  if (last_day == std::numeric_limits<std::int32_t>::min()) return 0;
  const std::int64_t to = std::min<std::int64_t>(floored(before, kDay), last_day);
  const std::int64_t from =
      std::max<std::int64_t>(floored(before - span, kDay), last_day - static_cast<std::int64_t>(days.size()) + 1);
  std::size_t most = 0;
  const auto m = static_cast<std::int64_t>(days.size());
  for (std::int64_t d = from; d <= to; ++d)
    most = std::max<std::size_t>(most, days[static_cast<std::size_t>(((d % m) + m) % m)]);
  return most;
}

std::size_t Maxima::most_of_weeks(Us before) const {
  if (last_day == std::numeric_limits<std::int32_t>::min()) return 0;
  const std::int64_t last = floored(last_day, 7);
  const std::int64_t to = std::min<std::int64_t>(floored(floored(before, kDay), 7), last);
  const auto m = static_cast<std::int64_t>(weeks.size());
  std::size_t most = 0;
  for (std::int64_t w = last - m + 1; w <= to; ++w)
    most = std::max<std::size_t>(most, weeks[static_cast<std::size_t>(((w % m) + m) % m)]);
  return most;
}

/// The most before the window that starts at `start`, and not of the burst it belongs to: the bucket before it is left out.
std::size_t Watch::Inner::usual_of(const Sender& s, Us start, bool all) const {
  const Us window = us(o.window), span = us(o.baseline);
  std::size_t most = (all ? s.all : s.members).most(start, span);
  for (const Bucket& b : s.open)
    if (b.index <= floored(start, window) - 2 && b.index * window >= start - span &&
        !(s.notice && near_spans(*s.notice, b.index * window, 2 * window)))
      most = std::max(most,
                      static_cast<std::size_t>(all ? static_cast<std::int64_t>(b.pairs.size()) + b.beyond : b.members));
  return most;
}

bool Watch::Inner::habit(const Sender& s, Us start, bool all, std::size_t n) const {
  return n <= static_cast<std::size_t>(o.times_habit) * (all ? s.all : s.members).most_of_weeks(start);
}

void Watch::Inner::close_buckets(Sender& s, Us older) {
  const Us window = us(o.window);
  std::erase_if(s.open, [&](const Bucket& b) {
    if (b.touched >= older) return false;
    const std::int64_t all = static_cast<std::int64_t>(b.pairs.size()) + b.beyond;
    if (s.notice && near_spans(*s.notice, b.index * window, 2 * window)) {
      if (s.notice->closed.size() < kClosed) s.notice->closed.push_back({b.index * window, b.members, all});
    } else {
      s.members.add(b.index * window, static_cast<std::size_t>(b.members));
      s.all.add(b.index * window, static_cast<std::size_t>(all));
    }
    return true;
  });
}

// ---- near-same --------------------------------------------------------------------------------------------------------------------------

std::size_t Groups::of(std::size_t group) {
  while (up_[group] != group) group = up_[group] = up_[up_[group]];
  return group;
}

std::size_t Groups::join(std::size_t a, std::size_t b) {
  a = of(a);
  b = of(b);
  if (a == b) return a;
  if (b < a) std::swap(a, b);
  up_[b] = a;
  pairs_[a] += pairs_[b];
  return a;
}

void Groups::feature(std::uint64_t value, std::size_t group) {
  const auto [at, fresh] = exact_.try_emplace(value, group);
  if (!fresh) join(at->second, group);
}

void Groups::near(std::vector<Feature>& known, std::uint64_t sim, std::size_t length, std::size_t most,
                  std::size_t group) {
  bool same = false;
  for (const Feature& f : known) {
    if (f.sim == sim) same = true;
    // Texts of very different lengths are different texts, whatever few shingles say.
    if (static_cast<std::size_t>(distance(f.sim, sim)) <= most &&
        2 * std::min(f.length, length) >= std::max(f.length, length))
      join(f.group, group);
  }
  if (!same && known.size() < kFeatures) known.push_back({sim, length, group});
}

std::size_t Groups::add(const Mail& m) {
  const std::size_t group = up_.size();
  up_.push_back(group);
  pairs_.push_back(m.to.size());
  if (!m.subject.empty()) {
    feature(hash64(m.subject, 1), group);
    if (m.subject.size() >= kSubjectLong) near(subjects_, m.subject_sim, m.subject.size(), kSubjectNear, group);
  }
  if (m.body_sim != 0) {
    feature(mixed(m.body_sim, 2), group);
    near(bodies_, m.body_sim, 1, kBodyNear, group);
  }
  for (const std::uint64_t url : m.urls) feature(mixed(url, 3), group);
  return of(group);
}

void Watch::Inner::group(Sender& s) {
  for (std::size_t i = s.group.size(); i < s.mails.size(); ++i) {
    Mail& m = s.mails[i];
    s.group.push_back(s.groups.add(m));
    if (!m.loose && std::any_of(m.to.begin(), m.to.end(), [](const Recipient& r) { return !r.told; })) {
      m.loose = true;
      s.loose.push_back(i);
    }
  }
}

// ---- mail by mail -----------------------------------------------------------------------------------------------------------------------

bool Watch::Inner::is_person(const std::string& address, Sender& s) const {
  if (s.person < 0) s.person = community->person_mailbox(address) ? 1 : 0;
  return s.person == 1;
}

/// Into the bucket of its time. True when something of it was new there.
bool Watch::Inner::teach(Sender& s, const event::MailFact& m, std::uint64_t id, Us at, bool own) {
  const std::int64_t index = floored(at, us(o.window));
  Bucket* b = nullptr;
  for (std::size_t i = s.open.size(); i-- > 0;)
    if (s.open[i].index == index) {
      std::rotate(s.open.begin() + static_cast<std::ptrdiff_t>(i), s.open.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                  s.open.end());
      b = &s.open.back();
      break;
    }
  const Us was = b != nullptr ? b->touched : 0;
  bool grew = false;
  for (const std::string& to : m.recipients) {
    const auto town = community->member(to);
    const bool inside = town && *town == municipality;
    if (own == inside) continue;  // own senders: what goes out; others: what comes in
    if (b == nullptr) {
      if (s.open.size() >= kOpenBuckets) {
        s.open.front().touched = std::numeric_limits<Us>::min();
        close_buckets(s, std::numeric_limits<Us>::min() + 1);
      }
      b = &s.open.emplace_back();
      b->index = index;
    }
    const bool member = town.has_value();
    const std::uint64_t pair = (mixed(id, hash64(to)) & ~std::uint64_t{1}) | (member ? 1U : 0U);
    if (b->pairs.size() <= kManyPairs) {
      if (std::find(b->pairs.begin(), b->pairs.end(), pair) != b->pairs.end()) continue;
    } else {
      if (b->many.empty()) b->many.insert(b->pairs.begin(), b->pairs.end());
      if (b->many.contains(pair)) continue;
    }
    if (b->pairs.size() < static_cast<std::size_t>(o.mails_of_sender)) {
      b->pairs.push_back(pair);
      if (!b->many.empty()) b->many.insert(pair);
    } else {
      ++b->beyond;
      ++counts.full_mails;
    }
    if (member) {
      ++b->members;
      if (own && b->towns.size() < kTowns && std::find(b->towns.begin(), b->towns.end(), town->value) == b->towns.end())
        b->towns.push_back(town->value);
    }
    grew = true;
  }
  if (b != nullptr) b->touched = std::max(was, clock);
  return grew;
}

void Watch::Inner::index(Sender& s) {
  if (s.mails.size() > kManyMails && s.at.empty())
    for (std::size_t i = 0; i < s.mails.size(); ++i) s.at.emplace(s.mails[i].id_hash, i);
  if (s.pairs > static_cast<std::int64_t>(kManyPairs) && s.have.empty())
    for (const Mail& m : s.mails)
      for (const Recipient& r : m.to) s.have.insert(mixed(m.id_hash, r.hash));
}

/// Keeps it singly. True when something of it was new.
bool Watch::Inner::keep(Sender& s, const event::MailFact& m, std::uint64_t id, Us at, Us received, bool own) {
  index(s);
  std::size_t i = s.mails.size();
  if (!s.at.empty()) {
    if (const auto found = s.at.find(id); found != s.at.end()) i = found->second;
  } else {
    for (std::size_t j = s.mails.size(); j-- > 0;)
      if (s.mails[j].id_hash == id) {
        i = j;
        break;
      }
  }
  const bool known = i < s.mails.size();
  Mail fresh;
  std::size_t added = 0;
  for (const std::string& to : m.recipients) {
    const auto town = community->member(to);
    if (!own && !(town && *town == municipality)) continue;
    const std::uint64_t hash = hash64(to);
    const std::uint64_t pair = mixed(id, hash);
    if (s.notice && s.notice->pairs.contains(pair)) continue;
    if (!s.have.empty()) {
      if (s.have.contains(pair)) continue;
    } else {
      const auto& there = known ? s.mails[i].to : fresh.to;
      if (std::any_of(there.begin(), there.end(), [&](const Recipient& r) { return r.hash == hash; })) continue;
    }
    if (s.pairs >= o.mails_of_sender) {
      ++counts.full_mails;
      continue;
    }
    (known ? s.mails[i].to : fresh.to)
        .push_back({hash, town ? town->value : std::uint16_t{0}, false, std::string(domain_of(to).substr(0, 255))});
    if (!s.have.empty()) s.have.insert(pair);
    ++s.pairs;
    ++detail_pairs;
    ++added;
  }
  if (!known && added == 0) return false;
  Mail& mail = known ? s.mails[i] : fresh;
  const bool earlier = known && at < mail.at;
  if (!known) {
    mail.id_hash = id;
    mail.at = at;
    mail.arrived = clock;
    mail.late = received - at;
    mail.source = static_cast<std::uint8_t>(m.head.source);
    if (m.message_id.size() <= kMessageId) mail.message_id = m.message_id;
  }
  mail.at = std::min(mail.at, at);
  // What one log does not know another may: whatever is told first.
  if (mail.subject.empty() && !m.subject.empty()) {
    mail.subject = masked_subject(m.subject);
    mail.subject_sim = simhash(mail.subject);
  }
  if (mail.body_sim == 0) mail.body_sim = read_simhash(m.body_simhash).value_or(0);
  if (mail.urls.empty())
    for (std::size_t u = 0; u < m.urls.size() && u < 8; ++u) mail.urls.push_back(link_key(m.urls[u]));
  if (mail.session == 0 && !m.session.empty()) mail.session = hash64(m.session);
  mail.failed_auth |= m.failed_auth;
  mail.login_form |= m.login_form;
  mail.qr_code |= m.qr_code;
  for (const event::MailAttachment& a : m.attachments) mail.active |= a.active;
  if (!known) {
    if (!s.at.empty()) s.at.emplace(id, s.mails.size());
    s.mails.push_back(std::move(fresh));
    return true;
  }
  if (i < s.group.size() && added != 0) {
    s.groups.grow(s.group[i], added);
    if (!mail.loose) {
      mail.loose = true;
      s.loose.push_back(i);
    }
  }
  return added != 0 || earlier;
}

void Watch::Inner::feed(const event::MailFact& m, Us received) {
  ++counts.mails;
  if (m.sender.empty() || m.sender.size() > 320 || m.delivery == event::Delivery::expanded) return;
  const auto town = community->member(m.sender);
  if (!town) return;
  if (!exercises.empty() && of_exercise(exercises, m)) {
    ++counts.of_exercises;
    return;
  }
  const bool own = *town == municipality;
  const Us at = micros(m.head.happened);
  auto found = senders.find(m.sender);
  if (found == senders.end()) {
    make_room_for_senders();
    found = senders.emplace(m.sender, Sender{}).first;
  }
  const std::string& address = found->first;
  Sender& s = found->second;
  s.last = std::max(s.last, clock);
  if (!own && !is_person(address, s)) return;
  if ((m.automatic || m.calendar) && (!own || suspicion(address, at) == 0)) {
    ++counts.automatic;
    return;
  }
  const std::uint64_t id = id_of_mail(m);
  const bool taught = teach(s, m, id, at, own);
  if (received - at > us(o.too_old)) {
    ++counts.too_old;
    return;
  }
  if (!own) remember_places(address, m, id);
  if (own && !m.app.empty()) app_sent(hash64(m.app), at, received, static_cast<std::uint8_t>(m.head.source));
  if (!keep(s, m, id, at, received, own)) {
    if (!taught) ++counts.doubled;
    return;
  }
  if (s.notice) {
    group(s);
    if (s.loose.size() <= kLooseAtOnce || s.pairs >= s.check_at) {
      include(address, s, own);
      if (!s.loose.empty()) check(address, s, own);
    } else {
      wait(address, s, clock + us(o.part_after));
    }
  } else if (near_enough(address, s, at, own)) {
    if (s.pairs >= s.check_at) check(address, s, own);
    else wait(address, s, clock + us(o.part_after));
  }
  if (detail_pairs > o.details) drop_details();
}

/// Which mail a report or a click will be about; and those that were told first.
void Watch::Inner::remember_places(const std::string& address, const event::MailFact& m, std::uint64_t id) {
  const auto most = static_cast<std::size_t>(o.harm_places);
  const auto remember = [&](Places& places, std::uint64_t where) {
    if (places.find(where) == nullptr && places.put(where, {address, ""}, most)) ++counts.full_harm;
    if (!orphans.empty()) {
      const Place* p = places.find(where);
      adopt(where, address, p != nullptr ? p->notice : std::string());
    }
  };
  if (!m.message_id.empty()) remember(ids, id);
  for (std::size_t u = 0; u < m.urls.size() && u < 8; ++u) remember(links, link_key(m.urls[u]));
}

/// Cheap and never wrong in saying no: could a window around `at` be a burst?
bool Watch::Inner::near_enough(const std::string& address, const Sender& s, Us at, bool own) const {
  const std::int64_t index = floored(at, us(o.window));
  std::int64_t members = 0;
  std::array<std::uint16_t, 3 * kTowns> towns{};
  std::size_t n = 0;
  for (const Bucket& b : s.open)
    if (b.index >= index - 1 && b.index <= index + 1) {
      members += b.members;
      for (const std::uint16_t t : b.towns)
        if (std::find(towns.begin(), towns.begin() + n, t) == towns.begin() + n) towns[n++] = t;
    }
  if (!own) return members >= o.burst_recipients;
  const std::int64_t wanted = std::min<std::int64_t>(o.domains, kTowns);
  if (members >= o.recipients && static_cast<std::int64_t>(n) >= wanted && s.person != 0) return true;
  return s.pairs >= o.mass_recipients && suspicion(address, at) > 0;
}

/// Slides the window over all mails kept of this sender, and opens a notice, or a further span of it, where a rule holds.
void Watch::Inner::check(const std::string& address, Sender& s, bool own) {
  group(s);
  s.check_at = s.pairs + (s.pairs < 256 ? 1 : s.pairs / 16);
  const bool person = is_person(address, s);
  const Us window = us(o.window);
  std::vector<std::size_t> order(s.mails.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(s.mails[a].at, s.mails[a].id_hash) < std::pair(s.mails[b].at, s.mails[b].id_hash);
  });
  struct Span {
    Us from, to;
    bool all, taken;
    std::size_t usual;
  };
  std::vector<Span> spans;
  Window w(s, static_cast<std::size_t>(o.alike_least), own, municipality.value);
  const auto least = static_cast<std::size_t>(own ? o.recipients : o.burst_recipients);
  const auto towns = static_cast<std::size_t>(own ? o.domains : 1);
  std::size_t end = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Us start = s.mails[order[i]].at;
    while (end < order.size() && s.mails[order[end]].at < start + window) w.add(order[end++], 1);
    const Window::Counts c = w.counts();
    bool alike = false, unlike = false, taken = false;
    std::size_t usually = 0;
    if (person && c.alike_members >= least && w.alike_towns() >= towns) {
      usually = usual_of(s, start, false);
      alike = c.alike_members > static_cast<std::size_t>(o.times_usual) * usually &&
              !habit(s, start, false, c.alike_members);
    }
    if (const std::size_t n = w.unlike_members(); person && n >= least && w.towns() >= towns) {
      usually = usual_of(s, start, false);
      unlike = n > static_cast<std::size_t>(o.times_usual_unlike) * usually && !habit(s, start, false, n);
    }
    if (own && !alike && c.all + w.inside() >= static_cast<std::size_t>(o.mass_recipients)) {
      const int suspect = suspicion(address, start + window);
      const std::size_t n = c.all + (suspect > 1 ? w.inside() : 0);
      if (suspect > 0 && n >= static_cast<std::size_t>(o.mass_recipients) && (suspect > 1 || c.members > 0)) {
        usually = usual_of(s, start, true);
        taken = n > static_cast<std::size_t>(o.times_usual) * usually && !habit(s, start, true, n);
        unlike |= taken && c.alike_all < static_cast<std::size_t>(o.mass_recipients);
      }
    }
    if (alike || unlike || taken) {
      Us from = 0, to = 0;
      bool any = false;
      for (std::size_t j = i; j < end; ++j) {
        if (!unlike && !w.repeated(order[j])) continue;
        if (!any) from = s.mails[order[j]].at;
        to = s.mails[order[j]].at;
        any = true;
      }
      if (any) {
        if (!spans.empty() && from <= spans.back().to) {
          spans.back().to = std::max(spans.back().to, to);
          spans.back().all |= unlike;
          spans.back().taken |= taken;
        } else {
          spans.push_back({from, to, unlike, taken, usually});
        }
      }
    }
    w.add(order[i], -1);
  }
  if (spans.empty()) return;
  const bool fresh = s.notice == nullptr;
  if (fresh) {
    if (open_notices >= o.notices) {
      ++counts.full_notices;
      return;
    }
    ++open_notices;
    s.notice = std::make_unique<Notice>();
    Notice& n = *s.notice;
    const auto trigger =
        std::find_if(s.mails.begin(), s.mails.end(), [&](const Mail& m) { return m.at == spans.front().from; });
    n.id = id_of(own ? "sender" : "burst", address, trigger->id_hash);
    n.noticed = clock;
    n.from = std::numeric_limits<Us>::max();
    n.to = std::numeric_limits<Us>::min();
    n.late = s.mails.back().late;
    n.source = s.mails.back().source;
    n.usual = static_cast<std::int64_t>(spans.front().usual);
  }
  Notice& n = *s.notice;
  for (const Span& span : spans) {
    add_span(n, span.from, span.to);
    n.all |= span.all;
    n.taken |= span.taken;
  }
  include(address, s, own);
  if (n.mails == 0) {  // what made it was taken in by an earlier one
    s.notice.reset();
    --open_notices;
    return;
  }
  if (fresh) {
    if (own) sent(address, n.from, clock, n.source, s.mails.back().session, n.mails);
    if (s.notice->part == 0) tell(address, s);
    if (!orphans.empty()) adopt(sender_key(address), address, "");
  }
}

/// Takes in what belongs to the notice: repeated wordings near its spans (and everything very near, when it is of unlike mails).
void Watch::Inner::include(const std::string& address, Sender& s, bool own) {
  Notice& n = *s.notice;
  for (bool again = true; again;) {
    again = false;
    for (std::size_t& i : s.loose) {
      Mail& m = s.mails[i];
      const bool repeated = s.groups.pairs(s.group[i]) >= static_cast<std::size_t>(o.alike_least);
      const Us gap = repeated ? us(o.quiet) : us(o.window) / 2;
      if ((!repeated && !n.all) || !near_spans(n, m.at, gap)) continue;
      extend_spans(n, m.at, gap);
      take_in(address, s, m, own);
      m.loose = false;
      i = std::numeric_limits<std::size_t>::max();
      again = true;
    }
    std::erase(s.loose, std::numeric_limits<std::size_t>::max());
  }
  if (!n.changed) return;
  if (n.part > 0 && n.waiting >= o.part_mails) return tell(address, s);
  // A burst names no mail, so growing slowly is worth no report of its own.
  const bool slow = !own && 2 * n.mails < 3 * n.told_mails;
  if (n.part > 0) wait(address, s, clock + (slow ? us(o.quiet) / 3 : us(o.part_after)));
}

void Watch::Inner::take_in(const std::string& address, Sender& s, Mail& m, bool own) {
  Notice& n = *s.notice;
  std::int64_t added = 0;
  for (std::size_t r = 0; r < m.to.size(); ++r) {
    Recipient& to = m.to[r];
    if (to.told) continue;
    to.told = true;
    if (!n.pairs.insert(mixed(m.id_hash, to.hash)).second) continue;
    ++n.mails;
    ++added;
    n.recipients.insert(to.hash);
    if (!own) continue;
    if (to.town == 0) {
      ++n.outside;
      if (const auto at = n.outside_domains.find(to.domain); at != n.outside_domains.end()) ++at->second;
      else if (n.outside_domains.size() < kOutsideDomains) n.outside_domains.emplace(to.domain, 1);
      continue;
    }
    auto at = n.domains.find(to.domain);
    if (at == n.domains.end()) {
      if (n.domains.size() >= kDomains) {
        ++counts.full_mails;
        continue;
      }
      at = n.domains.emplace(to.domain, DomainPart{}).first;
    }
    DomainPart& d = at->second;
    ++d.mails;
    if (m.message_id.empty() || d.last == m.id_hash) continue;
    const auto told_here = [&](const Recipient& x) { return &x != &to && x.told && x.domain == to.domain; };
    if (m.to.size() <= 512 && std::any_of(m.to.begin(), m.to.end(), told_here)) continue;
    d.last = m.id_hash;
    d.waiting.push_back(m.message_id);
    ++n.waiting;
  }
  if (added == 0) return;
  if (own && !m.message_id.empty()) {
    if (ids.find(m.id_hash) == nullptr && ids.put(m.id_hash, {address, n.id}, static_cast<std::size_t>(o.harm_places)))
      ++counts.full_harm;
    for (const std::uint64_t link : m.urls)
      if (links.find(link) == nullptr && links.put(link, {address, n.id}, static_cast<std::size_t>(o.harm_places)))
        ++counts.full_harm;
  }
  n.changed = true;
  n.from = std::min(n.from, m.at);
  n.to = std::max(n.to, m.at);
  if (const auto at = n.subjects.find(m.subject); at != n.subjects.end()) at->second += added;
  else if (!m.subject.empty() && n.subjects.size() < kSubjects) n.subjects.emplace(m.subject, added);
  if (m.body_sim != 0) {
    if (const auto at = n.bodies.find(m.body_sim); at != n.bodies.end()) at->second += added;
    else if (n.bodies.size() < kSubjects) n.bodies.emplace(m.body_sim, added);
  }
  if (m.failed_auth) mark(n, Is::failed_auth, m.at);
  if (m.login_form) mark(n, Is::login_form, m.at);
  if (m.qr_code) mark(n, Is::qr_code, m.at);
  if (m.active) mark(n, Is::active_attachment, m.at);
}

/// A step of its account's takeover came: fewer towns are enough now, and an open notice has a further sign.
void Watch::Inner::look_again(const std::string& address) {
  const auto at = senders.find(address);
  if (at == senders.end()) return;
  Sender& s = at->second;
  if (s.notice) {
    s.notice->taken = s.notice->taken || suspicion(address, s.notice->to) > 1;
    return tell(address, s);
  }
  if (s.pairs >= o.mass_recipients) check(address, s, true);
}

// ---- telling ----------------------------------------------------------------------------------------------------------------------------

std::vector<event::Sign> Watch::Inner::signs_of(const std::string& address, const Notice& n, bool own) {
  std::vector<event::Sign> signs;
  signs.push_back(sign(Is::fan_out, n.from,
                       fmt::format("{} recipients, usually at most {} in {} minutes", n.recipients.size(), n.usual,
                                   o.window.count() / 60)));
  for (const Mark& m : n.marks)
    signs.push_back(sign(m.kind, m.at, m.count > 1 ? fmt::format("{} times", m.count) : ""));
  if (own)
    if (const auto at = accounts.find(address); at != accounts.end())
      for (const Step* s : steps_near(at->second, n.from - us(o.chain), n.to + kAfterwards))
        signs.push_back(sign(s->kind, s->at, s->detail));
  if (signs.size() > kSigns) signs.resize(kSigns);
  return signs;
}

void Watch::Inner::tell(const std::string& address, Sender& s) {
  Notice& n = *s.notice;
  const bool own = community->member(address) == municipality;
  std::vector<event::Sign> signs = signs_of(address, n, own);
  std::uint64_t told = 0;
  for (std::size_t i = 1; i < signs.size(); ++i)
    told = mixed(told, hash64(signs[i].kind, static_cast<std::uint64_t>(signs[i].at_us)));
  if (n.part > 0 && !n.changed && told == n.told_signs) return;
  if (!own) {
    if (n.part > 0 && n.mails == n.told_mails && told == n.told_signs) return;
    event::BurstNotice b;
    b.id = n.id;
    b.sender = address;
    b.part = ++n.part;
    b.from_us = n.from;
    b.to_us = n.to;
    b.noticed_us = n.noticed;
    b.mails = n.mails;
    b.recipients = static_cast<std::int64_t>(n.recipients.size());
    b.usual = n.usual;
    b.signs = std::move(signs);
    b.source = source_name(n.source);
    b.late_s = n.late / 1'000'000;
    const auto most = [](const auto& x, const auto& y) { return x.second < y.second; };
    if (!n.subjects.empty())
      b.subject_hash = keyed("subject", std::max_element(n.subjects.begin(), n.subjects.end(), most)->first);
    if (!n.bodies.empty())
      b.body_simhash =
          fmt::format("{:016x}", std::max_element(n.bodies.begin(), n.bodies.end(), most)->first ^ body_pad);
    n.told_mails = n.mails;
    n.told_signs = told;
    n.changed = false;
    out->emplace_back(std::move(b));
    return;
  }
  do {
    event::SenderNotice r;
    r.id = n.id;
    r.part = ++n.part;
    r.sender = address;
    r.from_us = n.from;
    r.to_us = n.to;
    r.noticed_us = n.noticed;
    r.mails = n.mails;
    r.recipients = static_cast<std::int64_t>(n.recipients.size());
    r.outside = n.outside;
    r.usual = n.usual;
    r.signs = signs;
    r.source = source_name(n.source);
    r.late_s = n.late / 1'000'000;
    std::size_t room = kPartBytes;
    for (auto& [domain, d] : n.domains) {
      event::ForDomain& f = r.to.emplace_back();
      f.domain = domain;
      f.mails = d.mails;
      std::size_t taken = 0;
      while (taken < d.waiting.size() && taken < kPartDomain && d.waiting[taken].size() + 8 <= room) {
        room -= d.waiting[taken].size() + 8;
        f.message_ids.push_back(std::move(d.waiting[taken++]));
      }
      d.waiting.erase(d.waiting.begin(), d.waiting.begin() + static_cast<std::ptrdiff_t>(taken));
      n.waiting -= static_cast<std::int64_t>(taken);
    }
    std::vector<std::pair<std::int64_t, std::string_view>> outside;
    for (const auto& [domain, mails] : n.outside_domains) outside.emplace_back(-mails, domain);
    std::sort(outside.begin(), outside.end());
    for (std::size_t i = 0; i < outside.size() && i < kOutsideTold; ++i)
      r.outside_domains.emplace_back(outside[i].second);
    const auto most = [](const auto& x, const auto& y) { return x.second < y.second; };
    if (!n.subjects.empty())
      r.subject_hash = keyed("subject", std::max_element(n.subjects.begin(), n.subjects.end(), most)->first);
    if (!n.bodies.empty())
      r.body_simhash =
          fmt::format("{:016x}", std::max_element(n.bodies.begin(), n.bodies.end(), most)->first ^ body_pad);
    out->emplace_back(std::move(r));
  } while (n.waiting > 0);
  n.told_mails = n.mails;
  n.told_signs = told;
  n.changed = false;
}

// ---- bounds -----------------------------------------------------------------------------------------------------------------------------

void Watch::Inner::forget_details(Sender& s) {
  s.at.clear();
  s.have.clear();
  s.groups.clear();
  s.group.clear();
  s.loose.clear();
  for (Mail& m : s.mails) m.loose = false;
  s.check_at = std::min(s.check_at, s.pairs + 1);
}

void Watch::Inner::prune(Sender& s, Us arrived_before) {
  std::size_t n = 0;
  while (n < s.mails.size() && s.mails[n].arrived < arrived_before) {
    const auto pairs = static_cast<std::int64_t>(s.mails[n].to.size());
    s.pairs -= pairs;
    detail_pairs -= pairs;
    ++n;
  }
  if (n == 0) return;
  s.mails.erase(s.mails.begin(), s.mails.begin() + static_cast<std::ptrdiff_t>(n));
  if (s.mails.empty()) s.mails.shrink_to_fit();
  forget_details(s);
}

void Watch::Inner::drop_details() {
  for (Us keep_for = us(o.detail) / 2; detail_pairs > o.details - o.details / 8; keep_for /= 2) {
    const std::int64_t before = detail_pairs;
    for (auto& [address, s] : senders) prune(s, clock - keep_for);
    counts.full_mails += static_cast<std::uint64_t>(before - detail_pairs);
    if (keep_for == 0) {
      for (auto& [address, s] : senders) prune(s, std::numeric_limits<Us>::max());
      counts.full_mails += static_cast<std::uint64_t>(detail_pairs);
      return;
    }
  }
}

void Watch::Inner::make_room_for_senders() {
  if (senders.size() < static_cast<std::size_t>(o.senders)) return;
  std::vector<std::pair<Us, std::string_view>> by_age;
  by_age.reserve(senders.size());
  for (const auto& [address, s] : senders)
    if (!s.notice) by_age.emplace_back(s.last, address);
  const std::size_t go = std::min(by_age.size(), senders.size() / 16 + 1);
  std::nth_element(by_age.begin(), by_age.begin() + static_cast<std::ptrdiff_t>(go == 0 ? 0 : go - 1), by_age.end());
  for (std::size_t i = 0; i < go; ++i) {
    const auto at = senders.find(by_age[i].second);
    detail_pairs -= at->second.pairs;
    if (at->second.due != 0) due.erase({at->second.due, false, at->first});
    senders.erase(at);
    ++counts.full_senders;
  }
}

}  // namespace bavn::notice
