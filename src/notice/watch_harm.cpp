// Signs of harm: which mail, which sender, which notice they are about; counted, never by name.
#include <fmt/format.h>

#include <algorithm>

#include "event/observable.hpp"
#include "notice/watch_inner.hpp"

namespace bavn::notice {

namespace {

constexpr std::size_t kWho = 100;
constexpr std::size_t kClicks = 16;
constexpr Us kHostNew = 1 * kDay;       // a host first seen this recently is new
constexpr Us kHostLearning = 3 * kDay;  // before that everything is

bool worth_telling(std::int64_t count) {
  for (const std::int64_t n : {1, 2, 3, 5, 10, 20, 50, 100})
    if (count == n) return true;
  return false;
}

}  // namespace

bool Places::put(std::uint64_t key, Place place, std::size_t most) {
  bool some_went = false;
  if (young.size() >= most / 2) {
    some_went = !old.empty();
    old = std::move(young);
    young.clear();
  }
  young.insert_or_assign(key, std::move(place));
  return some_went;
}

const Place* Places::find(std::uint64_t key) const {
  if (const auto at = young.find(key); at != young.end()) return &at->second;
  if (const auto at = old.find(key); at != old.end()) return &at->second;
  return nullptr;
}

Place Watch::Inner::place_of(const event::HarmFact& f) const {
  Place place;
  const Place* p = f.message_id.empty() ? nullptr : ids.find(message_key(f.message_id));
  if (p == nullptr && !f.url.empty()) p = links.find(link_key(f.url));
  if (p != nullptr) place = *p;
  if (place.sender.empty()) place.sender = f.sender;
  return place;
}

/// A browser opens a thousand pages a day: a page counts as a click only on a host that nobody here had opened before yesterday.
bool Watch::Inner::new_host(std::string_view url, Us at) {
  const std::string_view host = event::url_host(url);
  if (host.empty()) return false;
  if (hosts_since == 0 || at < hosts_since) hosts_since = at;
  if (host_seen.size() >= static_cast<std::size_t>(o.harm_places)) {
    std::vector<std::pair<Us, std::uint64_t>> by_age;
    for (const auto& [hash, seen] : host_seen) by_age.emplace_back(seen.second, hash);
    const std::size_t go = by_age.size() / 8 + 1;
    std::nth_element(by_age.begin(), by_age.begin() + static_cast<std::ptrdiff_t>(go - 1), by_age.end());
    for (std::size_t i = 0; i < go; ++i) host_seen.erase(by_age[i].second);
    ++counts.full_harm;
  }
  auto& [first, last] = host_seen.try_emplace(hash64(host), at, at).first->second;
  first = std::min(first, at);
  last = std::max(last, at);
  return at - hosts_since >= kHostLearning && at - first <= kHostNew;
}

bool Watch::Inner::count_harm(const std::string& which, Us at, std::uint64_t who, HarmSeen*& seen) {
  auto found = harms.find(which);
  if (found == harms.end()) {
    if (harms.size() >= static_cast<std::size_t>(o.harm_places)) {
      ++counts.full_harm;
      return false;
    }
    found = harms.emplace(which, HarmSeen{}).first;
    found->second.id = id_of("harm", which, static_cast<std::uint64_t>(at));
    found->second.first = at;
  }
  seen = &found->second;
  seen->first = std::min(seen->first, at);
  seen->last = std::max(seen->last, at);
  if (seen->who.contains(who) || seen->who.size() >= kWho) return false;
  seen->who.insert(who);
  ++seen->count;
  return true;
}

/// The sender's notice, or the burst it made here, carries the sign too.
void Watch::Inner::mark_notice(Is kind, Us at, std::uint64_t who, const std::string& sender) {
  const auto s = senders.find(sender);
  if (s == senders.end() || !s->second.notice) return;
  Notice& n = *s->second.notice;
  HarmSeen* seen = nullptr;
  if (!count_harm(fmt::format("{}\n{}", name(kind), n.id), at, who, seen)) return;
  auto m = std::find_if(n.marks.begin(), n.marks.end(), [&](const Mark& x) { return x.kind == kind; });
  if (m == n.marks.end()) m = n.marks.insert(m, {kind, at, 0});
  m->at = std::min(m->at, at);
  ++m->count;
  n.changed = true;
  if (m->count == 1) tell(s->first, s->second);
  else wait(s->first, s->second, clock + us(o.part_after));
}

void Watch::Inner::harm(Is kind, Us at, std::uint64_t who, const std::string& sender, const std::string& notice,
                        std::string_view digest) {
  const bool member = !sender.empty() && community->member(sender).has_value();
  if (!member && notice.empty() && digest.empty()) return;
  const std::string which = fmt::format("{}\n{}\n{}\n{}", name(kind), member ? sender : "", notice, digest);
  mark_notice(kind, at, who, sender);
  HarmSeen* seen = nullptr;
  if (!count_harm(which, at, who, seen)) return;
  if (!worth_telling(seen->count)) return;
  event::HarmNotice h;
  h.id = seen->id;
  h.sign = sign(kind, seen->first, seen->count > 1 ? fmt::format("{} people", seen->count) : "");
  if (member) h.sender = sender;
  if (!notice.empty()) h.notice = notice;
  if (!digest.empty()) h.digest = std::string(digest);
  h.count = seen->count;
  out->emplace_back(std::move(h));
}

void Watch::Inner::tell_harm(const Orphan& told, const std::string& sender, const std::string& notice) {
  // Everybody clicks on what colleagues send; it says something about mail that is under suspicion anyway.
  if (told.kind == Is::click && notice.empty() && told.digest.empty()) {
    const auto s = senders.find(sender);
    if (s == senders.end() || !s->second.notice) return;
  }
  harm(told.kind, told.at, told.who, sender, notice, told.digest);
}

void Watch::Inner::leave_orphan(std::uint64_t at, Orphan orphan) {
  if (orphans.size() >= static_cast<std::size_t>(o.harm_places) / 4 && !orphans.contains(at)) {
    ++counts.full_harm;
    return;
  }
  auto& there = orphans[at];
  const bool known = std::any_of(there.begin(), there.end(),
                                 [&](const Orphan& x) { return x.kind == orphan.kind && x.who == orphan.who; });
  if (!known && there.size() < kWho) there.push_back(std::move(orphan));
}

void Watch::Inner::adopt(std::uint64_t at, const std::string& sender, const std::string& notice) {
  const auto found = orphans.find(at);
  if (found == orphans.end()) return;
  const std::vector<Orphan> told = std::move(found->second);
  orphans.erase(found);
  const auto s = senders.find(sender);
  const bool noticed = !notice.empty() || (s != senders.end() && s->second.notice);
  for (const Orphan& x : told) {
    tell_harm(x, sender, notice);
    if (!noticed) leave_orphan(sender_key(sender), x);
  }
}

void Watch::Inner::feed(const event::HarmFact& f, Us received, std::string_view digest) {
  const Us at = micros(f.head.happened);
  if (!exercises.empty() && of_exercise(exercises, f)) {
    ++counts.of_exercises;
    return;
  }
  const auto source = static_cast<std::uint8_t>(f.head.source);
  if (received - at > us(o.too_old)) {
    ++counts.too_old;
    return;
  }
  if (f.harm == event::Harm::risk_alert) return risk(f.account, at, received, source, f.detail);
  const Place place = place_of(f);
  const std::uint64_t who = hash64(f.account.empty() ? std::string_view(f.message_id) : std::string_view(f.account));
  if (f.harm == event::Harm::click) {
    const bool fresh =
        f.head.source == event::FactSource::proxy && place.sender.empty() && place.notice.empty() && digest.empty()
            ? new_host(f.url, at)
            : true;
    if (!fresh) return;
    if (!f.account.empty() && f.account.size() <= 320) {
      Account& a = account(f.account);
      if (a.clicks.size() >= kClicks)
        a.clicks.erase(std::min_element(a.clicks.begin(), a.clicks.end(),
                                        [](const Click& x, const Click& y) { return x.at < y.at; }));
      a.clicks.push_back({at, place.sender, place.notice, std::string(digest), false});
      after_click(f.account, a, received, source);
    }
  }
  const Is kind = f.harm == event::Harm::click            ? Is::click
                  : f.harm == event::Harm::reported       ? Is::reported
                  : f.harm == event::Harm::vendor_verdict ? Is::vendor_verdict
                                                          : Is::login_after_click;
  const Orphan told{kind, at, clock, who, std::string(digest)};
  tell_harm(told, place.sender, place.notice);
  if (!place.notice.empty()) return;
  // The mail it is about, or what makes its sender suspect, may be told later.
  if (place.sender.empty()) {
    if (!f.message_id.empty()) leave_orphan(message_key(f.message_id), told);
    else if (!f.url.empty()) leave_orphan(link_key(f.url), told);
  } else if (community->member(place.sender)) {
    const auto s = senders.find(place.sender);
    if (s == senders.end() || !s->second.notice) leave_orphan(sender_key(place.sender), told);
  }
}

}  // namespace bavn::notice
