#include <algorithm>

#include "base/text.hpp"
#include "show/api/campaigns/campaign.hpp"

namespace bavn::show::api {

namespace {

struct Judgement {
  bool real = true;
  std::string why;
};
BOOST_DESCRIBE_STRUCT(Judgement, (), (real, why))
struct Merge {
  std::string other;
  std::optional<std::string> why;
};
BOOST_DESCRIBE_STRUCT(Merge, (), (other, why))
struct Outside {
  std::string domain, kind, first_at;
  std::optional<std::string> told_by;
  When told_at;
};
BOOST_DESCRIBE_STRUCT(Outside, (), (domain, kind, first_at, told_by, told_at))
struct LetterView {
  std::string domain, kind, subject, body;
};
BOOST_DESCRIBE_STRUCT(LetterView, (), (domain, kind, subject, body))
struct Queue {
  std::vector<Suspicion> items;
  std::int64_t waiting = 0, this_shift = 0, most_per_shift = 0;
};
BOOST_DESCRIBE_STRUCT(Queue, (), (items, waiting, this_shift, most_per_shift))

constexpr std::string_view kStates[] = {"candidate", "waiting", "suspicion", "lit", "over", "false", "merged"};

net::Reply list(const Hub& hub, const net::Request& q) {
  const auto page = web::page_of(q, "campaigns");
  if (!page) return net::problem(page.error());
  const auto since = web::time_asked(q, "since");
  if (!since) return net::problem(since.error());
  correlate::CampaignFilter filter;
  for (const auto state : split(q.asked("state").value_or(""), ',')) {
    if (state.empty()) continue;
    if (std::ranges::find(kStates, state) == std::end(kStates))
      return web::problem(400, "bad-input", "there is no such state of a campaign", {{"?state", std::string(state)}});
    filter.states.emplace_back(state);
  }
  if (*since) filter.since_us = micros(**since);
  filter.before_id = number_in(page->after).value_or(0);
  filter.limit = static_cast<std::int64_t>(page->limit) + 1;
  filter.only_lit = !q.scope.sees_all();
  std::vector<CampaignRow> rows;
  std::optional<std::string> next;
  const auto read = hub.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(auto found, correlate::campaigns(db, filter));
    if (found.size() > page->limit) {
      found.resize(page->limit);
      next = web::cursor_of("campaigns", std::to_string(found.back().id));
    }
    for (const auto& c : found) {
      BAVN_TRY(auto row, read_row(hub, db, q.scope, c));
      rows.push_back(std::move(row));
    }
    return {};
  });
  return read ? list_of(rows, next) : net::problem(read.error());
}

net::Reply show(const Hub& hub, const net::Request& q, std::int64_t id) {
  const auto page = campaign_page(hub, q.scope, id);
  if (!page) return net::problem(page.error());
  std::string json = net::to_json(*page);
  const std::string etag = web::etag_of_text(json);
  if (auto same = web::unchanged(q, etag)) return std::move(*same);
  return web::tagged(net::json(std::move(json)), etag);
}

/// What people of one municipality decide about all is decided at the hub: they are not asked here.
Result<void> for_all(const net::Request& q) {
  if (q.scope.sees_all()) return {};
  return fail(Code::forbidden, "campaigns are decided by the joint CERT");
}

using Act = std::function<Result<void>(store::Tx&, std::int64_t campaign, const net::Request&)>;

net::Handler acting(const HubPtr& hub, Act act) {
  return [hub, act = std::move(act)](const net::Request& q) -> net::Reply {
    const auto id = web::id_of(q);
    if (!id) return net::problem(id.error());
    const auto done = for_all(q) ? hub->change([&](store::Tx& tx) { return act(tx, *id, q); }) : for_all(q);
    return done ? show(*hub, q, *id) : net::problem(done.error());
  };
}

Result<correlate::CampaignFacts> facts_asked(const Hub& hub, const net::Request& q) {
  BAVN_TRY(const auto id, web::id_of(q));
  BAVN_CHECK(for_all(q));
  return hub.state.read([&](store::Reader& db) { return correlate::facts_of(db, id); });
}

net::Reply outside(const Hub& hub, const net::Request& q) {
  const auto facts = facts_asked(hub, q);
  if (!facts) return net::problem(facts.error());
  const std::string* accept = q.headers.find("Accept");
  const bool csv = q.asked("format") == "csv" || (accept != nullptr && accept->find("text/csv") != std::string::npos);
  if (csv) return net::text(correlate::outside_csv(*facts), "text/csv; charset=utf-8");
  std::vector<Outside> rows;
  for (const auto& o : facts->outside)
    rows.push_back({o.domain, o.kind, at_always(o.first_us), filled(o.told_by), at(o.told_us)});
  return list_of(rows);
}

net::Reply letters(const Hub& hub, const net::Request& q) {
  const auto facts = facts_asked(hub, q);
  if (!facts) return net::problem(facts.error());
  const auto yes = [](std::string_view v) { return v == "true" || v == "yes" || v == "1"; };
  const std::string_view only = q.asked("domain").value_or("");
  const bool name_sender = yes(q.asked("name_sender").value_or(""));
  if (name_sender)
    for (const auto& s : facts->senders) {
      const auto member = hub.members.of(MunicipalityId{static_cast<std::uint16_t>(s.municipality)});
      if (s.municipality > 0 && (!member || !member->may_be_named))
        return web::problem(409, "conflict", fmt::format("{} has not agreed to be named", s.domain));
    }
  const correlate::LetterFrom from{std::string(q.asked("cert").value_or(hub.name)),
                                   std::string(q.asked("phone").value_or("")),
                                   std::string(q.asked("mail").value_or(""))};
  std::vector<LetterView> out;
  for (const auto& to : facts->outside) {
    if (!only.empty() && to.domain != only) continue;
    auto letter = correlate::letter_to(*facts, to, from, web::language_of(q), hub.texts, name_sender);
    out.push_back({to.domain, to.kind, std::move(letter.subject), std::move(letter.body)});
  }
  return list_of(out);
}

net::Reply suspicions(const Hub& hub, const net::Request& q) {
  Queue queue;
  const auto read = hub.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(const auto found, correlate::suspicions(db, hub.runtime.now(), hub.noticing));
    queue.waiting = found.waiting;
    queue.this_shift = found.this_shift;
    queue.most_per_shift = hub.noticing.suspicions_per_shift;
    if (!q.scope.sees_all()) return {};  // shown to analysts alone until it is lit
    for (const auto& c : found.open) {
      BAVN_TRY(auto s, read_suspicion(hub, db, q.scope, c));
      queue.items.push_back(std::move(s));
    }
    return {};
  });
  return read ? net::json(net::to_json(queue)) : net::problem(read.error());
}

}  // namespace

void add_campaign_routes(net::Router& router, const HubPtr& hub) {
  router.get("/api/campaigns", Needs::tenants_read, [hub](const net::Request& q) { return list(*hub, q); });
  router.get("/api/campaigns/{id}", Needs::tenants_read, [hub](const net::Request& q) {
    const auto id = web::id_of(q);
    return id ? show(*hub, q, *id) : net::problem(id.error());
  });
  router.get("/api/suspicions", Needs::tenants_read, [hub](const net::Request& q) { return suspicions(*hub, q); });
  router.post("/api/campaigns/{id}/judge", Needs::alert_write,
              acting(hub, [hub](store::Tx& tx, std::int64_t id, const net::Request& q) -> Result<void> {
                BAVN_TRY(const auto asked, body_of<Judgement>(q));
                BAVN_TRY(const auto facts, correlate::facts_of(tx, id));
                // What went out to all is taken back by who may send to all.
                if (!asked.real && facts.campaign.lit_us > 0 && !q.scope.may(Needs::publish))
                  return fail(Code::forbidden, "a warning went out for it: to withdraw it needs the right to publish");
                return hub->correlator.judge(tx, id, asked.real, person(q), asked.why);
              }));
  router.post("/api/campaigns/{id}/confirm", Needs::publish,
              proved(hub, acting(hub, [hub](store::Tx& tx, std::int64_t id, const net::Request& q) {
                       return hub->correlator.confirm(tx, id, person(q));
                     })));
  router.post("/api/campaigns/{id}/close", Needs::alert_write,
              acting(hub, [hub](store::Tx& tx, std::int64_t id, const net::Request& q) {
                return hub->correlator.close(tx, id, person(q));
              }));
  router.post("/api/campaigns/{id}/merge", Needs::alert_write,
              acting(hub, [hub](store::Tx& tx, std::int64_t id, const net::Request& q) -> Result<void> {
                BAVN_TRY(const auto asked, body_of<Merge>(q));
                const auto other = number_in(asked.other);
                if (!other) return fail(Code::bad_input, "a campaign is named by its number", "/other");
                BAVN_CHECK(hub->correlator.merge(tx, id, *other, person(q), asked.why.value_or("")));
                return {};
              }));
  router.get("/api/campaigns/{id}/outside", Needs::publish, [hub](const net::Request& q) { return outside(*hub, q); });
  router.post("/api/campaigns/{id}/outside/{domain}/told", Needs::publish, [hub](const net::Request& q) -> net::Reply {
    const auto id = web::id_of(q);
    if (!id) return net::problem(id.error());
    if (const auto all = for_all(q); !all) return net::problem(all.error());
    return web::done(
        hub->change([&](store::Tx& tx) { return correlate::told_outside(tx, *id, q.param("domain"), person(q)); }));
  });
  router.get("/api/campaigns/{id}/letters", Needs::publish, [hub](const net::Request& q) { return letters(*hub, q); });
}

}  // namespace bavn::show::api
