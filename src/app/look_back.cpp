#include "app/look_back.hpp"

#include <algorithm>
#include <map>

#include "base/hash.hpp"
#include "base/log.hpp"
#include "event/observable.hpp"
#include "hunt/hunt.hpp"
#include "notice/fact_reader.hpp"

namespace bavn::app {

namespace {

constexpr std::uint64_t kMostHits = 1'000'000;  // counting stops here: nobody needs the millionth exactly

/// Who is concerned by a record, and who clicked, as far as its format says.
struct PeopleOf {
  std::set<std::uint64_t>& people;
  std::set<std::uint64_t>& clickers;

  void add(std::string_view account, bool clicked = false) const {
    if (account.empty()) return;
    const std::uint64_t h = hash64(account);
    people.insert(h);
    if (clicked) clickers.insert(h);
  }
  void operator()(const event::MailFact& m) const {
    for (const std::string& to : m.recipients) add(to);
  }
  void operator()(const event::SignInFact& s) const { add(s.account); }
  void operator()(const event::ChangeFact& c) const { add(c.account); }
  void operator()(const event::HarmFact& h) const { add(h.account, h.harm == event::Harm::click); }
};

std::vector<event::Observable> observables_of(std::span<const event::NamedObservable> look_for) {
  std::vector<event::Observable> out;
  for (const auto& o : look_for)
    if (auto known = event::canonical(o.kind, o.value)) out.push_back(std::move(*known));
  return out;
}

}  // namespace

Sights sights_for(const std::vector<input::Sight>& sights, const input::Seen& seen,
                  std::span<const event::NamedObservable> look_for) {
  std::set<std::string_view> blind;
  const auto missing = input::blind_spots(sights, seen);
  for (const auto& s : missing) blind.insert(s.id);
  Sights out;
  for (const auto& s : sights) {
    const bool could = std::ranges::any_of(look_for, [&](const event::NamedObservable& o) {
      return std::ranges::find(s.observables, o.kind) != s.observables.end();
    });
    if (could) (blind.contains(s.id) ? out.cannot_see : out.looked_in).push_back(s.id);
  }
  return out;
}

LookBack::LookBack(Runtime& runtime, live::Pipeline& pipeline, std::vector<input::Sight> sights,
                   std::function<input::Seen()> seen)
    : runtime_(runtime),
      pipeline_(pipeline),
      sights_(std::move(sights)),
      seen_(std::move(seen)),
      queue_(runtime.queue({.name = "look-back", .threads = 1, .limit = 1000})) {}

LookBack::~LookBack() {
  *alive_ = false;
}

Result<LookBack::Counted> LookBack::count(std::span<const event::Observable> wanted, Instant from, Instant to,
                                          std::optional<MunicipalityId> of) const {
  Counted counted;
  const auto engine = pipeline_.engine();
  std::vector<const event::FactMaps*> formats;
  for (const auto& d : engine->catalogue().all()) formats.push_back(&d.facts);
  notice::FactReader reader(std::make_shared<const notice::FactPlan>(engine->plan(), formats));
  hunt::HuntOptions options;
  options.filter.from_us = micros(from);
  options.filter.until_us = micros(to);
  options.filter.municipality = of;
  options.limit = kMostHits;
  notice::ReadFacts facts;
  std::set<std::pair<std::uint64_t, std::uint32_t>> records;  // one that holds two of the wanted is one hit
  std::set<std::uint64_t> mails;  // one mail to one recipient is one hit, however many logs and states tell it
  BAVN_TRY(
      const auto report,
      hunt::hunt_observables(
          *engine, pipeline_.history(), event::Scope::local_owner(), wanted, options, [&](const hunt::RecordHit& hit) {
            const std::uint64_t frame = (std::uint64_t{hit.frame.segment} << 32U) | hit.frame.frame;
            if (!records.emplace(frame, hit.record).second) return;
            bool again = false;
            const Instant at = from_micros(hit.happened_us != 0 ? hit.happened_us : hit.received_us);
            if (!counted.first || at < *counted.first) counted.first = at;
            facts = {};
            event::FactHead head;
            head.received = from_micros(hit.received_us);
            head.municipality = hit.frame.source.municipality;
            head.tenant = hit.frame.source.tenant;
            if (hit.batch == nullptr || !reader.reads(hit.parsed->format) ||
                !reader.read(*hit.batch, *hit.parsed, head, facts)) {
              ++counted.hits;
              return;
            }
            for (const auto& item : facts.items) {
              std::visit(PeopleOf{counted.people, counted.clickers}, item.fact);
              const auto* mail = std::get_if<event::MailFact>(&item.fact);
              if (mail == nullptr || mail->message_id.empty() || mail->recipients.empty()) continue;
              again = true;
              for (const std::string& whom : mail->recipients)
                if (mails.insert(hash64(mail->message_id + '\n' + whom)).second) again = false;
            }
            if (!again) ++counted.hits;
            for (const auto& request : facts.requests)
              PeopleOf{counted.people, counted.clickers}.add(
                  std::string_view(facts.text).substr(request.account, request.account_length), true);
          }));
  if (report.unreadable != 0)
    log::warn("look_back_incomplete", {{"frames_unreadable", std::to_string(report.unreadable)}});
  return counted;
}

void LookBack::hunt(warn::HuntAsk ask, std::move_only_function<void(Result<warn::HuntFound>)> then) {
  auto shared = std::make_shared<std::move_only_function<void(Result<warn::HuntFound>)>>(std::move(then));
  const bool posted = runtime_.post(queue_, [this, alive = alive_, ask = std::move(ask), shared] {
    if (!*alive) return;
    warn::HuntFound found;
    const auto wanted = observables_of(ask.look_for);
    auto counted = count(wanted, ask.from, ask.to, ask.municipality);
    if (!counted) return (*shared)(std::unexpected(counted.error()));
    found.hits = counted->hits;
    found.recipients = static_cast<std::int64_t>(counted->people.size());
    found.clicks = static_cast<std::int64_t>(counted->clickers.size());
    found.first_hit = counted->first;
    Sights sights = sights_for(sights_, seen_(), ask.look_for);
    found.looked_in = std::move(sights.looked_in);
    found.cannot_see = std::move(sights.cannot_see);
    (*shared)(std::move(found));
  });
  if (!posted) (*shared)(fail(Code::unavailable, "too many questions to the history wait already"));
}

void LookBack::look(const event::Observable& what, Instant from, Instant to,
                    std::function<void(Result<warn::blocks::Seen>)> then) {
  const bool posted = runtime_.post(queue_, [this, alive = alive_, what, from, to, then] {
    if (!*alive) return;
    const auto counted = count({&what, 1}, from, to, std::nullopt);
    if (!counted) return then(std::unexpected(counted.error()));
    warn::blocks::Seen seen;
    seen.hits = counted->hits;
    seen.people = static_cast<std::int64_t>(counted->people.size());
    const auto segments = pipeline_.history().segments(event::Scope::local_owner());
    std::int32_t oldest = 0, newest = 0;
    for (const auto& s : segments) {
      oldest = oldest == 0 ? s.day : std::min(oldest, s.day);
      newest = std::max(newest, s.day);
    }
    const auto asked = std::chrono::duration_cast<std::chrono::days>(to - from).count();
    seen.days = segments.empty() ? 0 : std::min<std::int64_t>(newest - oldest + 1, asked);
    then(seen);
  });
  if (!posted) then(fail(Code::unavailable, "too many questions to the history wait already"));
}

}  // namespace bavn::app
