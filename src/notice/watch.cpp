#include "notice/watch.hpp"

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "notice/watch_inner.hpp"

namespace bavn::notice {

namespace {

constexpr std::string_view kMagic = "BVNOTIC1";
constexpr std::uint64_t kSumSeed = 0x62766e74;
constexpr Us kForgotten = 100 * kDay;  // a mailbox or account that did nothing for longer than any habit is looked for
constexpr Us kHarmKept = 7 * kDay;
constexpr Us kAppKept = 7 * kDay;

struct KindName {
  std::string_view group, name;
};
constexpr KindName kKinds[] = {
    {"harm", "odd_sign_in"},
    {"harm", "session_moved"},
    {"harm", "device_code"},
    {"harm", "far_country"},
    {"harm", "sign_in_after_click"},
    {"harm", "risk_alert"},
    {"harm", "new_app"},
    {"harm", "new_service_principal"},
    {"harm", "new_secret"},
    {"harm", "consent"},
    {"harm", "app_role"},
    {"harm", "inbox_rule"},
    {"harm", "forwarding"},
    {"harm", "mailbox_permission"},
    {"harm", "new_mfa_method"},
    {"harm", "new_device"},
    {"harm", "app_sends"},
    {"harm", "mass_sending"},
    {"identity", "fan_out"},
    {"identity", "failed_auth"},
    {"payload", "login_form"},
    {"payload", "qr_code"},
    {"payload", "active_attachment"},
    {"harm", "click"},
    {"harm", "reported"},
    {"harm", "vendor_verdict"},
    {"harm", "login_after_click"},
};
static_assert(std::size(kKinds) == static_cast<std::size_t>(Is::count_));

}  // namespace

std::string_view name(Is kind) {
  return kKinds[static_cast<std::size_t>(kind)].name;
}

event::Sign sign(Is kind, Us at, std::string detail) {
  event::Sign s;
  s.group = kKinds[static_cast<std::size_t>(kind)].group;
  s.kind = name(kind);
  s.at_us = at;
  s.detail = std::move(detail);
  return s;
}

Watch::Watch(MunicipalityId municipality, std::shared_ptr<const Community> community, const WatchOptions& options,
             std::string key)
    : inner_(std::make_unique<Inner>()) {
  inner_->municipality = municipality;
  inner_->community = std::move(community);
  inner_->o = options;
  inner_->key = std::move(key);
  const std::string pad = blake2b256("bavn.notice body", inner_->key.substr(0, 64));
  std::memcpy(&inner_->body_pad, pad.data(), sizeof inner_->body_pad);
}
Watch::Watch(Watch&&) noexcept = default;
Watch& Watch::operator=(Watch&&) noexcept = default;
Watch::~Watch() = default;

void Watch::feed(const event::Fact& fact, Instant received, std::vector<Noticed>& out, std::string_view digest) {
  Inner& w = *inner_;
  w.out = &out;
  w.advance(micros(received));
  w.clock = std::max(w.clock, micros(received));
  if (w.swept == 0) w.swept = w.clock;
  if (w.clock - w.swept >= us(w.o.detail) / 2) w.sweep();
  ++w.counts.facts;
  const Instant happened = event::head_of(fact).happened;
  if (micros(happened) <= 0 || happened > from_micros(w.clock) + std::chrono::hours(24)) {  // a clock that lies
    ++w.counts.too_old;
    w.out = nullptr;
    return;
  }
  if (const auto* m = std::get_if<event::MailFact>(&fact)) w.feed(*m, w.clock);
  else if (const auto* s = std::get_if<event::SignInFact>(&fact)) w.feed(*s, w.clock);
  else if (const auto* c = std::get_if<event::ChangeFact>(&fact)) w.feed(*c, w.clock);
  else if (const auto* h = std::get_if<event::HarmFact>(&fact)) w.feed(*h, w.clock, digest);
  w.out = nullptr;
}

void Watch::advance(Instant now, std::vector<Noticed>& out) {
  inner_->out = &out;
  inner_->advance(micros(now));
  inner_->out = nullptr;
}

std::optional<Instant> Watch::due() const {
  if (inner_->due.empty()) return std::nullopt;
  return from_micros(std::get<0>(*inner_->due.begin()));
}

/// Each at its own time, not at the time it is looked at: the same in a second life, in which no timer ran between the facts.
void Watch::Inner::advance(Us now) {
  while (!due.empty() && std::get<0>(*due.begin()) <= now) {
    const auto [at, is_account, who] = *due.begin();
    due.erase(due.begin());
    clock = std::max(clock, at);
    if (is_account) {
      const auto a = accounts.find(who);
      if (a == accounts.end()) continue;
      a->second.due = 0;
      tell(a->first, a->second);
      continue;
    }
    const auto s = senders.find(who);
    if (s == senders.end()) continue;
    Sender& sender = s->second;
    sender.due = 0;
    const bool own = community->member(who) == municipality;
    if (!sender.notice) {
      check(s->first, sender, own);
      continue;
    }
    group(sender);
    include(s->first, sender, own);
    if (!sender.loose.empty()) check(s->first, sender, own);
    if (sender.due != 0) {  // set again by what was just done, and told now
      due.erase({sender.due, false, who});
      sender.due = 0;
    }
    tell(s->first, sender);
  }
}

template <class T>
void Watch::Inner::wait_for(const std::string& who, T& t, Us at, bool is_account) {
  if (t.due != 0 && t.due <= at) return;
  if (t.due != 0) due.erase({t.due, is_account, who});
  t.due = at;
  due.insert({at, is_account, who});
}
void Watch::Inner::wait(const std::string& who, Sender& s, Us at) {
  wait_for(who, s, at, false);
}
void Watch::Inner::wait(const std::string& who, Account& a, Us at) {
  wait_for(who, a, at, true);
}

void Watch::Inner::sweep() {
  swept = clock;
  const Us old = clock - us(o.detail);
  for (auto at = senders.begin(); at != senders.end();) {
    Sender& s = at->second;
    if (s.notice && s.notice->to < clock - us(o.too_old) - us(o.detail)) {
      close_buckets(s, old);
      if (!s.notice->taken)  // what a thief sent is not the mailbox's habit
        for (const Notice::Closed& c : s.notice->closed) {
          s.members.add(c.at, static_cast<std::size_t>(c.members));
          s.all.add(c.at, static_cast<std::size_t>(c.all));
        }
      s.notice.reset();
      --open_notices;
    }
    close_buckets(s, old);
    prune(s, old);
    if (!s.notice && s.mails.empty() && s.open.empty() && s.due == 0 && s.last < clock - kForgotten)
      at = senders.erase(at);
    else ++at;
  }
  const Us chain = clock - us(o.chain) - us(o.too_old);
  for (auto at = accounts.begin(); at != accounts.end();) {
    Account& a = at->second;
    std::erase_if(a.steps, [&](const Step& s) { return s.at < chain; });
    std::erase_if(a.stays, [&](const Stay& s) { return s.last < chain; });
    std::erase_if(a.clicks, [&](const Click& c) { return c.at < chain; });
    if (a.steps.empty()) a.incident.reset();
    if (a.steps.empty() && a.due == 0 && a.last < clock - kForgotten) at = accounts.erase(at);
    else ++at;
  }
  std::erase_if(apps, [&](const auto& x) { return x.second.at < clock - kAppKept; });
  std::erase_if(app_mail, [&](const auto& x) { return x.second.second < clock - kAppKept; });
  for (auto at = orphans.begin(); at != orphans.end();) {
    std::erase_if(at->second, [&](const Orphan& x) { return x.arrived < old; });
    at = at->second.empty() ? orphans.erase(at) : std::next(at);
  }
  std::erase_if(harms, [&](const auto& x) { return x.second.last < clock - kHarmKept; });
  std::erase_if(host_seen, [&](const auto& x) { return x.second.second < clock - kForgotten; });
}

/// Sixteen bytes of a keyed hash: the same in every life, and guessable by nobody who reads the hub's tables.
std::string Watch::Inner::id_of(std::string_view kind, std::string_view who, std::uint64_t what) const {
  return keyed(kind, std::to_string(municipality.value) + "\n" + std::string(who) + "\n" + std::to_string(what));
}

std::string Watch::Inner::keyed(std::string_view purpose, std::string_view text) const {
  return to_hex(
      std::string_view(blake2b256("bavn.notice " + std::string(purpose) + "\n" + std::string(text), key.substr(0, 64)))
          .substr(0, 16));
}

void Watch::use_community(std::shared_ptr<const Community> community) {
  inner_->community = std::move(community);
  for (auto& [address, s] : inner_->senders) s.person = -1;
}

void Watch::use_exercises(std::vector<Exercise> exercises) {
  inner_->exercises = std::move(exercises);
}

void Watch::judged(std::string_view sender, bool real) {
  const auto at = inner_->senders.find(sender);
  if (at != inner_->senders.end() && at->second.notice) at->second.notice->taken = real;
}

void Watch::know_notice(const event::SenderIds& ids) {
  Inner& w = *inner_;
  for (const std::string& id : ids.message_ids)
    if (w.ids.put(message_key(id), {ids.sender, ids.notice}, static_cast<std::size_t>(w.o.harm_places)))
      ++w.counts.full_harm;
}

Result<void> Watch::save(std::string& into) const {
  const std::size_t start = into.size();
  into += kMagic;
  Saver saver(into);
  saver(inner_->municipality.value);
  Inner::io(saver, std::as_const(*inner_));
  const std::uint64_t sum = hash64(std::string_view(into).substr(start), kSumSeed);
  ByteWriter(into).fixed(sum);
  return {};
}

Result<void> Watch::load(std::string_view saved) {
  const auto corrupt = [](std::string_view why) {
    return fail(Code::corrupt,
                "the saved state of notices cannot be read (" + std::string(why) + "); it is made again from history");
  };
  if (saved.size() < kMagic.size() + 8 || !saved.starts_with(kMagic)) return corrupt("it is of another version");
  std::uint64_t sum = 0;
  std::memcpy(&sum, saved.data() + saved.size() - 8, 8);
  saved.remove_suffix(8);
  if (hash64(saved, kSumSeed) != sum) return corrupt("its checksum is wrong");
  Loader loader(saved.substr(kMagic.size()));
  std::uint16_t of = 0;
  loader(of);
  if (!loader.bad() && of != inner_->municipality.value) return corrupt("it is another municipality's");
  auto fresh = std::make_unique<Inner>();
  Inner::io(loader, *fresh);
  if (!loader.whole()) return corrupt("it is cut or damaged");
  Inner& was = *inner_;
  fresh->municipality = was.municipality;
  fresh->community = was.community;
  fresh->o = was.o;
  fresh->key = was.key;
  fresh->body_pad = was.body_pad;
  fresh->exercises = was.exercises;
  const Us window = us(was.o.window);
  for (auto& [address, s] : fresh->senders) {
    for (const Bucket& b : s.open)
      if (b.index > (Us{1} << 55) / window || b.index < 0 || b.members < 0 || b.beyond < 0)
        return corrupt("it is cut or damaged");
    s.pairs = 0;
    for (const Mail& m : s.mails) s.pairs += static_cast<std::int64_t>(m.to.size());
    fresh->detail_pairs += s.pairs;
    if (s.notice) ++fresh->open_notices;
    if (s.due != 0) fresh->due.insert({s.due, false, address});
  }
  for (auto& [who, a] : fresh->accounts)
    if (a.due != 0) fresh->due.insert({a.due, true, who});
  inner_ = std::move(fresh);
  return {};
}

const WatchCounts& Watch::counts() const {
  return inner_->counts;
}

MunicipalityId Watch::municipality() const {
  return inner_->municipality;
}

std::size_t Watch::bytes() const {
  const Inner& w = *inner_;
  std::size_t n = sizeof(Inner);
  for (const auto& [address, s] : w.senders) {
    n += sizeof s + address.capacity() + 64;
    for (const Bucket& b : s.open) n += sizeof b + 8 * b.pairs.capacity() + 40 * b.many.size();
    for (const Mail& m : s.mails)
      n += sizeof m + m.message_id.capacity() + m.subject.capacity() + sizeof(Recipient) * m.to.capacity();
    if (s.notice)
      n += sizeof(Notice) + 48 * (s.notice->pairs.size() + s.notice->recipients.size()) +
           120 * s.notice->outside_domains.size() + 160 * s.notice->domains.size();
  }
  for (const auto& [who, a] : w.accounts)
    n += sizeof a + who.capacity() + 64 +
         sizeof(Known::One) * (a.networks.seen.capacity() + a.blocks.seen.capacity() + a.agents.seen.capacity() +
                               a.devices.seen.capacity() + a.countries.seen.capacity()) +
         sizeof(Stay) * a.stays.capacity() + sizeof(Step) * a.steps.capacity();
  n += 160 * (w.ids.young.size() + w.ids.old.size() + w.links.young.size() + w.links.old.size());
  n += 56 * w.host_seen.size() + 400 * w.harms.size();
  return n;
}

}  // namespace bavn::notice
