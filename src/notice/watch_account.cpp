// The takeover chain: what is new about an account's sign-ins, what was changed with it, and what was sent, bound by account, session and app.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "event/ip.hpp"
#include "notice/watch_inner.hpp"

namespace bavn::notice {

namespace {

constexpr std::size_t kNetworks = 24, kAgents = 16, kDevices = 12, kCountries = 12, kStays = 24, kSteps = 48,
                      kChangeDays = 64, kApps = 2000;
constexpr Us kSlack = 10 * kMinute;       // logs of two services disagree on the clock
constexpr Us kAfterwards = 60 * kMinute;  // as in watch_mail.cpp
constexpr std::size_t kDetail = 200;

std::uint64_t hashed(std::string_view s) {
  return s.empty() ? 0 : hash64(s) | 1U;
}

/// "Chrome/129.0.0.0" and "Chrome/130.0.6723.58" are one program.
std::uint64_t agent_of(std::string_view user_agent) {
  std::string family;
  for (const char c : user_agent.substr(0, 512))
    if (!ascii_digit(c) && c != '.') family += ascii_lower(c);
  return hashed(family);
}

std::uint64_t block_of(std::string_view ip) {
  const auto parsed = event::parse_ip(ip);
  if (!parsed) return 0;
  const event::Ip block = event::masked(*parsed, parsed->v6 ? 48 : 24);
  return hash64(std::string_view(reinterpret_cast<const char*>(block.bytes.data()), block.bytes.size()),
                parsed->v6 ? 6 : 4) |
         1U;
}

std::string cut(std::string_view s) {
  while (s.size() > kDetail || !is_valid_utf8(s)) {
    s = s.substr(0, std::min(kDetail, s.size() - 1));
    if (s.empty()) break;
  }
  return std::string(s);
}

std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = a ^ (b * 0x9E3779B97F4A7C15ULL);
  x = (x ^ (x >> 32U)) * 0xD6E8FEB86659FD93ULL;
  return x ^ (x >> 29U);
}

/// A change that a thief makes and an employee does not, whatever else is known. Rules and consents of harmless kinds are common.
bool telling(const Step& s) {
  switch (s.kind) {
    case Is::new_app:
    case Is::new_service_principal:
    case Is::new_secret:
    case Is::forwarding: return true;
    case Is::consent:
    case Is::app_role: return icontains(s.detail, "mail.") || icontains(s.detail, "full_access");
    case Is::inbox_rule:
      for (const std::string_view word : {"delete", "rss", "forward", "redirect", "markasread", "junk"})
        if (icontains(s.detail, word)) return true;
      return false;
    default: return false;
  }
}

}  // namespace

void Known::see(std::uint64_t what, Us at, std::size_t most) {
  if (what == 0) return;
  for (One& k : seen)
    if (k.what == what) {
      k.first = std::min(k.first, at);
      k.last = std::max(k.last, at);
      return;
    }
  if (seen.size() >= most)
    seen.erase(std::min_element(seen.begin(), seen.end(), [](const One& x, const One& y) { return x.last < y.last; }));
  seen.push_back({what, at, at});
}

bool Known::knows(std::uint64_t what, Us at, Us age) const {
  return std::any_of(seen.begin(), seen.end(), [&](const One& k) { return k.what == what && k.first + age <= at; });
}

Account& Watch::Inner::account(std::string_view name) {
  auto at = accounts.find(name);
  if (at == accounts.end()) {
    make_room_for_accounts();
    at = accounts.emplace(std::string(name), Account{}).first;
  }
  at->second.last = std::max(at->second.last, clock);
  return at->second;
}

bool Watch::Inner::settled(const Account& a, Us at) const {
  return a.sign_ins >= o.known_sign_ins && at - a.first_sign_in >= o.known_days * kDay;
}

/// From a network this account had never used, without a device that is known as its own.
bool Watch::Inner::stranger(const Account& a, const Stay& s) const {
  const Us age = us(o.chain);
  return !s.device && !a.networks.knows(s.network, s.first, age) &&
         !(s.block != 0 && a.blocks.knows(s.block, s.first, age));
}

void Watch::Inner::feed(const event::SignInFact& f, Us received) {
  const Us at = micros(f.head.happened);
  if (!f.success || f.account.empty() || f.account.size() > 320) return;
  Account& a = account(f.account);
  const std::string name = f.account;
  const Us age = us(o.chain);
  const auto source = static_cast<std::uint8_t>(f.head.source);
  Stay stay;
  stay.block = block_of(f.ip);
  stay.network = f.asn.empty() ? stay.block : hashed(f.asn);
  stay.agent = agent_of(f.user_agent);
  stay.country = hashed(f.country);
  stay.session = hashed(f.session);
  const std::uint64_t device = hashed(f.device);
  stay.device = device != 0 && a.devices.knows(device, at, age);
  stay.first = stay.last = at;
  const bool known_before = settled(a, at);
  const bool new_agent = !a.agents.knows(stay.agent, at, age);
  const bool first_code = f.device_code && !a.codes.knows(1, at, age);

  a.networks.see(stay.network, at, kNetworks);
  a.blocks.see(stay.block, at, kNetworks);
  a.agents.see(stay.agent, at, kAgents);
  a.devices.see(device, at, kDevices);
  a.countries.see(stay.country, at, kCountries);
  if (f.device_code) a.codes.see(1, at, 1);
  a.first_sign_in = a.sign_ins == 0 ? at : std::min(a.first_sign_in, at);
  ++a.sign_ins;
  if (received - at > us(o.too_old)) {
    ++counts.too_old;
    return;
  }

  bool merged = false;
  for (Stay& s : a.stays)
    if (s.network == stay.network && s.agent == stay.agent && s.country == stay.country && s.session == stay.session) {
      s.first = std::min(s.first, at);
      s.last = std::max(s.last, at);
      s.device = s.device || stay.device;
      stay = s;
      merged = true;
      break;
    }
  if (!merged) {
    if (a.stays.size() >= kStays)
      a.stays.erase(std::min_element(a.stays.begin(), a.stays.end(),
                                     [](const Stay& x, const Stay& y) { return x.last < y.last; }));
    a.stays.push_back(stay);
  }

  const auto step = [&](Is kind, const Stay& where, std::string detail) {
    Step s;
    s.kind = kind;
    s.at = where.first;
    s.session = where.session;
    s.block = where.block;
    s.detail = std::move(detail);
    add_step(name, a, std::move(s), received, source);
  };
  if (known_before) {
    const std::string where = fmt::format(
        "{}{}{}", f.asn.empty() ? std::string_view("an unknown network") : std::string_view(f.asn).substr(0, 40),
        f.country.empty() ? "" : ", ", std::string_view(f.country).substr(0, 40));
    if (new_agent && stranger(a, stay)) {
      ++counts.odd_sign_ins;
      step(Is::odd_sign_in, stay, "new network (" + where + ") and new program, no known device");
    }
    if (first_code && !stay.device) step(Is::device_code, stay, "by device code, the first time; " + where);
    const std::vector<Stay> others = a.stays;
    for (const Stay& other : others) {
      compare(name, a, stay, other, received, source);
      compare(name, a, other, stay, received, source);
    }
  }
  if (iequals(f.risk, "medium") || iequals(f.risk, "high"))
    risk(name, at, received, source, "sign-in risk " + to_lower(f.risk));
  after_click(name, a, received, source);
}

void Watch::Inner::compare(const std::string& name, Account& a, const Stay& x, const Stay& y, Us received,
                           std::uint8_t source) {
  if (x.network == y.network || !stranger(a, x)) return;
  Step s;
  s.at = x.first;
  s.session = x.session;
  s.block = x.block;
  const bool abroad = x.country != 0 && y.country != 0 && x.country != y.country;
  // The same network change with the same program in the same country is a telephone that left the house.
  if (x.session != 0 && x.session == y.session && (abroad || x.agent != y.agent)) {
    s.kind = Is::session_moved;
    s.detail = abroad ? "one session in two countries" : "one session, two networks and programs";
    add_step(name, a, s, received, source);
  }
  const Us apart = std::max<Us>({0, x.first - y.last, y.first - x.last});
  if (abroad && apart <= us(o.travel) && !a.countries.knows(x.country, x.first, us(o.chain))) {
    s.kind = Is::far_country;
    s.detail = fmt::format("two countries within {} min", apart / kMinute);
    add_step(name, a, s, received, source);
  }
}

void Watch::Inner::feed(const event::ChangeFact& f, Us received) {
  const Us at = micros(f.head.happened);
  if (f.account.empty() || f.account.size() > 320) return;
  Account& a = account(f.account);
  const auto kind = static_cast<std::uint8_t>(f.change);
  const auto day = static_cast<std::int32_t>(floored(at, kDay));
  // Days that may be the thief's own do not make a habit.
  const std::int64_t until = floored(at - us(o.chain), kDay);
  std::int64_t days = 0;
  bool listed = false;
  for (const auto& [k, d] : a.change_days)
    if (k == kind) {
      listed |= d == day;
      if (d < until && d >= day - 30) ++days;
    }
  if (!listed) {
    if (a.change_days.size() >= kChangeDays)
      a.change_days.erase(std::min_element(a.change_days.begin(), a.change_days.end(),
                                           [](const auto& x, const auto& y) { return x.second < y.second; }));
    a.change_days.emplace_back(kind, day);
  }
  if (received - at > us(o.too_old)) {
    ++counts.too_old;
    return;
  }
  Step s;
  s.kind = static_cast<Is>(static_cast<std::uint8_t>(Is::new_app) + kind);
  s.at = at;
  s.session = hashed(f.session);
  s.block = block_of(f.ip);
  s.target = hashed(f.target);
  s.habit = days >= o.habit_days;
  s.detail = cut(f.detail);
  if (s.kind <= Is::app_role && s.target != 0 && !s.habit) {
    if (apps.size() >= kApps)
      apps.erase(std::min_element(apps.begin(), apps.end(), [](const auto& x, const auto& y) {
        return std::pair(x.second.at, x.first) < std::pair(y.second.at, y.first);
      }));
    auto& made = apps[hash64(f.target)];
    if (made.account.empty() || at < made.at) made = {f.account, at};
  }
  add_step(f.account, a, std::move(s), received, static_cast<std::uint8_t>(f.head.source));
  if (!f.target.empty()) app_step(hash64(f.target), received, static_cast<std::uint8_t>(f.head.source));
}

void Watch::Inner::risk(const std::string& name, Us at, Us received, std::uint8_t source, std::string detail) {
  if (name.empty() || name.size() > 320) return;
  Step s;
  s.kind = Is::risk_alert;
  s.at = at;
  s.detail = cut(detail);
  add_step(name, account(name), std::move(s), received, source);
}

void Watch::Inner::sent(const std::string& name, Us at, Us received, std::uint8_t source, std::uint64_t session,
                        std::int64_t recipients) {
  Step s;
  s.kind = Is::mass_sending;
  s.at = at;
  s.session = session != 0 ? session | 1U : 0;
  s.detail = fmt::format("{} recipients at first", recipients);
  add_step(name, account(name), std::move(s), received, source);
}

void Watch::Inner::app_sent(std::uint64_t app, Us at, Us received, std::uint8_t source) {
  if (app_mail.size() >= kApps && !app_mail.contains(app))
    app_mail.erase(std::min_element(app_mail.begin(), app_mail.end(), [](const auto& x, const auto& y) {
      return std::pair(x.second.second, x.first) < std::pair(y.second.second, y.first);
    }));
  auto& [first, last] = app_mail.try_emplace(app, at, at).first->second;
  first = std::min(first, at);
  last = std::max(last, at);
  app_step(app, received, source);
}

/// An app that was made or allowed in the last days sends mail. Either log may be told first.
void Watch::Inner::app_step(std::uint64_t app, Us received, std::uint8_t source) {
  const auto made = apps.find(app);
  const auto mail = app_mail.find(app);
  if (made == apps.end() || mail == app_mail.end()) return;
  const Us from = made->second.at - kSlack;
  if (mail->second.second < from || mail->second.first > made->second.at + us(o.chain)) return;
  Step s;
  s.kind = Is::app_sends;
  s.at = std::max(from, mail->second.first);
  s.target = app;
  const std::string name = made->second.account;
  add_step(name, account(name), std::move(s), received, source);
}

void Watch::Inner::add_step(const std::string& name, Account& a, Step step, Us received, std::uint8_t source) {
  const Us late = received - step.at;
  for (Step& s : a.steps) {
    if (s.kind != step.kind || std::abs(s.at - step.at) > us(o.chain)) continue;
    if (is_sign_in(s.kind) ? s.session != step.session
                           : is_change(s.kind) && (s.target != step.target || s.session != step.session))
      continue;
    if (step.at >= s.at) return;
    s.at = step.at;
    s.habit = s.habit && step.habit;
    return judge(name, a, received, late, source);
  }
  if (a.steps.size() >= kSteps)
    a.steps.erase(
        std::min_element(a.steps.begin(), a.steps.end(), [](const Step& x, const Step& y) { return x.at < y.at; }));
  a.steps.push_back(std::move(step));
  judge(name, a, received, late, source);
}

/// A strange sign-in within the hour of a click: the click's link stole the session.
void Watch::Inner::after_click(const std::string& name, Account& a, Us received, std::uint8_t source) {
  for (std::size_t i = 0; i < a.clicks.size(); ++i) {
    if (a.clicks[i].told) continue;
    const Us from = a.clicks[i].at, to = from + us(o.after_click);
    Step found;
    found.kind = Is::sign_in_after_click;
    for (const Step& s : a.steps)
      if (is_sign_in(s.kind) && s.kind != Is::sign_in_after_click && s.at >= from && s.at <= to &&
          (found.at == 0 || s.at < found.at)) {
        found.at = s.at;
        found.session = s.session;
        found.block = s.block;
      }
    // A thief's proxy copies the program's name; then a country this account was never in must do.
    for (const Stay& s : a.stays)
      if (s.first >= from && s.first <= to && settled(a, s.first) && s.country != 0 && stranger(a, s) &&
          !a.countries.knows(s.country, s.first, us(o.chain)) && (found.at == 0 || s.first < found.at)) {
        found.at = s.first;
        found.session = s.session;
        found.block = s.block;
      }
    if (found.at == 0) continue;
    a.clicks[i].told = true;
    const Click c = a.clicks[i];
    found.detail = fmt::format("{} min after a click", (found.at - from) / kMinute);
    if (!c.sender.empty() || !c.notice.empty() || !c.digest.empty())
      harm(Is::login_after_click, found.at, hash64(name), c.sender, c.notice, c.digest);
    add_step(name, a, std::move(found), received, source);
  }
}

/// 0: nothing to tell, 1 suspected, 2 likely, 3 sure. The most that any stretch of one chain's length says.
int Watch::Inner::level(const Account& a) const {
  int most = 0;
  for (const Step& start : a.steps) {
    const bool entry = is_sign_in(start.kind) || start.kind == Is::risk_alert;
    if (!entry && !is_change(start.kind)) continue;
    std::set<Is> odd, changes;
    bool risk = false, bound = false, sends = false, app = false, tells = false;
    for (const Step& s : a.steps) {
      if (s.at < start.at - kSlack || s.at > start.at + us(o.chain)) continue;
      if (is_sign_in(s.kind)) odd.insert(s.kind);
      if (s.kind == Is::risk_alert) risk = true;
      if (s.kind == Is::mass_sending) sends = true;
      if (s.kind == Is::app_sends) app = true;
      if (!is_change(s.kind)) continue;
      const bool same =
          entry && ((s.session != 0 && s.session == start.session) || (s.block != 0 && s.block == start.block));
      bound |= same;
      if (!s.habit || same) changes.insert(s.kind);
      tells |= !s.habit && telling(s);
    }
    int l = 0;
    if (entry) {
      const bool clicked = odd.contains(Is::sign_in_after_click) && odd.size() > 1;
      if (!changes.empty() || (!odd.empty() && risk) || clicked) l = 1;
      if (!odd.empty() && (bound || changes.size() >= 2 || app)) l = 2;
      if (!odd.empty() && risk && !changes.empty()) l = 2;
      if (sends) l = l >= 1 ? 3 : 2;
    } else if (sends && (tells || changes.size() >= 2)) {
      l = changes.size() >= 2 || app ? 2 : 1;
    }
    most = std::max(most, l);
  }
  return most;
}

int Watch::Inner::suspicion(std::string_view name, Us at) const {
  const auto found = accounts.find(name);
  if (found == accounts.end() || found->second.steps.empty()) return 0;
  const Account& a = found->second;
  bool any = false, odd = false;
  for (const Step& s : a.steps) {
    if (s.kind == Is::mass_sending || s.at < at - us(o.chain) || s.at > at + kAfterwards) continue;
    any = true;
    odd |= (is_sign_in(s.kind) && s.kind != Is::sign_in_after_click) || s.kind == Is::risk_alert;
  }
  return any && a.incident ? 2 : odd ? 1 : 0;
}

std::vector<const Step*> Watch::Inner::steps_near(const Account& a, Us from, Us to) const {
  std::vector<const Step*> found;
  for (const Step& s : a.steps) {
    if (s.at < from || s.at > to || s.kind == Is::mass_sending) continue;
    const bool odd = (is_sign_in(s.kind) && s.kind != Is::sign_in_after_click) || s.kind == Is::risk_alert;
    if (odd || (a.incident && !s.habit)) found.push_back(&s);
  }
  std::sort(found.begin(), found.end(), [](const Step* x, const Step* y) {
    return std::tuple(x->at, x->kind, x->target) < std::tuple(y->at, y->kind, y->target);
  });
  return found;
}

void Watch::Inner::judge(const std::string& name, Account& a, Us, Us late, std::uint8_t source) {
  const int l = level(a);
  if (l > 0) {
    const bool fresh = a.incident == nullptr;
    if (fresh) {
      a.incident = std::make_unique<Incident>();
      const auto first =
          std::min_element(a.steps.begin(), a.steps.end(), [](const Step& x, const Step& y) { return x.at < y.at; });
      a.incident->id = id_of("takeover", name, static_cast<std::uint64_t>(first->at));
      a.incident->noticed = clock;
    }
    Incident& i = *a.incident;
    i.source = source;
    i.late = late;
    if (l > i.level) {
      i.level = l;
      tell(name, a);
    } else {
      wait(name, a, clock + us(o.part_after));
    }
  }
  look_again(name);
}

void Watch::Inner::tell(const std::string& name, Account& a) {
  if (!a.incident) return;
  Incident& i = *a.incident;
  std::vector<const Step*> steps;
  for (const Step& s : a.steps)
    if (!s.habit || std::any_of(a.steps.begin(), a.steps.end(), [&](const Step& x) {
          return is_sign_in(x.kind) &&
                 ((s.session != 0 && s.session == x.session) || (s.block != 0 && s.block == x.block));
        }))
      steps.push_back(&s);
  std::sort(steps.begin(), steps.end(), [](const Step* x, const Step* y) {
    return std::tuple(x->at, x->kind, x->target) < std::tuple(y->at, y->kind, y->target);
  });
  std::uint64_t told = static_cast<std::uint64_t>(i.level);
  for (const Step* s : steps)
    told = mixed(mixed(told, static_cast<std::uint64_t>(s->at)), static_cast<std::uint64_t>(s->kind));
  if (i.part > 0 && told == i.told) return;
  i.told = told;
  event::TakeoverNotice t;
  t.id = i.id;
  t.account = name;
  t.part = ++i.part;
  t.noticed_us = i.noticed;
  t.level = i.level >= 3 ? "sure" : i.level == 2 ? "likely" : "suspected";
  for (const Step* s : steps) {
    // The words of a rule are of its owner's mail.
    t.steps.push_back(
        sign(s->kind, s->at, s->kind == Is::inbox_rule || s->kind == Is::mailbox_permission ? "" : s->detail));
    if (t.first_us == 0 || s->at < t.first_us) t.first_us = s->at;
  }
  t.source = "";
  constexpr std::string_view kNames[] = {"message_trace", "audit_log", "sign_in", "directory_audit",
                                         "defender",      "mail_copy", "proxy",   "person"};
  if (i.source < std::size(kNames)) t.source = kNames[i.source];
  t.late_s = i.late / 1'000'000;
  out->emplace_back(std::move(t));
}

void Watch::Inner::make_room_for_accounts() {
  if (accounts.size() < static_cast<std::size_t>(o.accounts)) return;
  std::vector<std::pair<Us, std::string_view>> by_age;
  for (const auto& [name, a] : accounts)
    if (!a.incident) by_age.emplace_back(a.last, name);
  const std::size_t go = std::min(by_age.size(), accounts.size() / 16 + 1);
  if (go == 0) return;
  std::nth_element(by_age.begin(), by_age.begin() + static_cast<std::ptrdiff_t>(go - 1), by_age.end());
  for (std::size_t i = 0; i < go; ++i) {
    const auto at = accounts.find(by_age[i].second);
    if (at->second.due != 0) due.erase({at->second.due, true, at->first});
    accounts.erase(at);
    ++counts.full_accounts;
  }
}

}  // namespace bavn::notice
