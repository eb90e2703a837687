#include "app/beacon_hub.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/log.hpp"
#include "net/json_views.hpp"

namespace bavn::app {

namespace {

correlate::Report for_correlation(store::Tx& tx, const beacon::Report& r) {
  return {r.node, r.id, r.kind, r.municipality, r.tlp, r.at, tx.now(), r.body};
}

warn::Report for_warnings(store::Tx& tx, const beacon::Report& r) {
  return {r.node, r.id, r.kind, r.municipality, r.at, tx.now(), r.body};
}

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t n = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  return ec == std::errc{} && end == text.data() + text.size() ? std::optional(n) : std::nullopt;
}

/// ["notice_answer"] A person of a municipality says of a notice what it was.
struct NoticeAnswer {
  std::string notice;
  bool yes = false;
};
BOOST_DESCRIBE_STRUCT(NoticeAnswer, (), (notice, yes))

std::shared_ptr<const warn::NeverBlock> never_block_of(const correlate::Members& members) {
  std::vector<std::string> domains;
  for (const auto& m : members.all()) domains.insert(domains.end(), m.domains.begin(), m.domains.end());
  auto never = warn::NeverBlock::open(std::move(domains));
  BAVN_ASSERT(never);  // its lists are part of the program
  return std::make_shared<const warn::NeverBlock>(std::move(*never));
}

}  // namespace

std::vector<Setting> beacon_hub_settings() {
  std::vector<Setting> all;
  const auto add = [&](std::span<const Setting> more) { all.insert(all.end(), more.begin(), more.end()); };
  add(correlate::settings());
  add(correlate::digest_settings());
  add(warn::desk_settings());
  add(warn::blocks::hub_settings());
  return all;
}

std::vector<store::RetentionRule> beacon_hub_retention() {
  auto all = correlate::retention();
  const auto add = [&](std::vector<store::RetentionRule> more) {
    for (auto& rule : more) all.push_back(std::move(rule));
  };
  add(correlate::DigestBook::retention());
  add(warn::desk_retention());
  add(warn::blocks::hub_retention());
  return all;
}

warn::Case case_of(const correlate::CampaignFacts& facts, const correlate::Members& members,
                   const std::vector<std::string>& notices) {
  const correlate::Campaign& c = facts.campaign;
  warn::Case out;
  out.campaign = std::to_string(c.id);
  out.trigger = c.trigger.empty() ? c.cause : c.trigger;
  out.severity = correlate::severity_name(c.severity);
  out.lit_by_itself = c.lit_by.starts_with("trigger:");
  out.first_seen_us = c.first_us;
  out.municipalities = c.municipalities;
  out.mails = c.mails;
  out.outside = c.outside;
  out.clicks = c.clicks;
  out.notices = notices;
  if (!facts.senders.empty()) {
    // The one who sent first: those after it are its victims.
    const auto first = std::ranges::min_element(facts.senders, {}, [](const auto& s) { return s.first_us; });
    const auto of = first->municipality != 0
                        ? members.of(MunicipalityId{static_cast<std::uint16_t>(first->municipality)})
                        : std::nullopt;
    if (of) {
      out.from_domain = first->domain;
      out.from_address = first->address;
      out.may_be_named = of->may_be_named;
    }
  }
  for (const auto& o : facts.observables) out.look_for.push_back({o.kind, o.value});
  for (const auto& s : facts.senders)
    if (!s.address.empty()) out.look_for.push_back({"email", s.address});
  for (const auto& s : facts.signs) out.signs.push_back({s.group, s.kind, s.at_us, s.detail});
  return out;
}

BeaconHub::BeaconHub(BeaconHubParts parts) : parts_(std::move(parts)) {}
BeaconHub::~BeaconHub() = default;

Result<std::unique_ptr<BeaconHub>> BeaconHub::open(BeaconHubParts parts) {
  std::unique_ptr<BeaconHub> hub(new BeaconHub(std::move(parts)));
  const BeaconHubParts& p = hub->parts_;
  hub->options_ = p.options               ? *p.options
                  : p.settings != nullptr ? correlate::Options::from(*p.settings)
                                          : correlate::Options{};
  const auto post = [](std::string_view kind, const std::string& json) {
    beacon::Post entry;
    entry.kind = kind;
    entry.payload = json;
    return entry;
  };
  const auto down = [&beacon = p.beacon, post](store::Tx& tx, std::optional<MunicipalityId> to, std::string_view kind,
                                               const std::string& json) -> Result<void> {
    BAVN_CHECK(beacon.urgent(tx, to, post(kind, json)));
    return {};
  };
  const auto spread = [&beacon = p.beacon, post](store::Tx& tx, std::string_view audience, std::string_view kind,
                                                 const std::string& json) -> Result<void> {
    BAVN_CHECK(beacon.bulk(tx, audience, post(kind, json)));
    return {};
  };
  BAVN_TRY(hub->digests_,
           correlate::DigestBook::open(
               p.runtime, p.state, p.members, down, spread,
               p.settings != nullptr ? correlate::DigestBookOptions::from(*p.settings) : correlate::DigestBookOptions{},
               p.metrics));
  hub->digest_keys_ = std::make_unique<correlate::DigestKeyShelf>(down, std::vector<event::Steward>{});  // nodes judge
  BAVN_TRY(hub->correlator_, correlate::Correlator::open(p.runtime, p.state, p.members, down, hub->options_, p.metrics,
                                                         hub->digests_.get(), p.known));
  const correlate::Members& members = p.members;
  BAVN_TRY(hub->warnings_,
           warn::Desk::open({.runtime = p.runtime,
                             .state = p.state,
                             .texts = p.texts,
                             .down = down,
                             .roster = [&members](store::Reader&) -> Result<std::vector<warn::Listener>> {
                               std::vector<warn::Listener> all;
                               for (const auto& m : members.all())
                                 if (m.connected) all.push_back({m.id, m.name});
                               return all;
                             },
                             .remind = p.remind,
                             .client = p.client,
                             .settings = p.settings}));
  BAVN_TRY(hub->blocks_, warn::blocks::HubBlocks::open(
                             p.runtime, p.state,
                             [&members](store::Reader&) -> Result<std::vector<warn::blocks::Connected>> {
                               std::vector<warn::blocks::Connected> all;
                               for (const auto& m : members.all()) all.push_back({m.id, m.connected});
                               return all;
                             },
                             down, p.settings));
  BAVN_CHECK(hub->members_changed());
  hub->take_reports();
  p.state.subscribe("campaigns", p.runtime.queue({.name = "campaigns"}),
                    [h = hub.get()](const store::DomainEvent& e) { return h->on_campaign(e); }, {"campaign."});
  return hub;
}

Result<void> BeaconHub::members_changed() {
  blocks_->use_never_block(never_block_of(parts_.members));
  return {};
}

Result<void> BeaconHub::node_revoked(store::Tx& tx, std::string_view node, std::string_view who) {
  BAVN_CHECK(digest_keys_->revoked(tx, node, who));
  return {};
}

void BeaconHub::take_reports() {
  beacon::HubBeacon& beacon = parts_.beacon;
  for (const char* kind : {"sender_notice", "takeover", "burst", "harm", "digest", "revealed"})
    beacon.on_report(
        kind, [this](store::Tx& tx, const beacon::Report& r) { return correlator_->take(tx, for_correlation(tx, r)); });
  beacon.on_report("harmless", [this](store::Tx& tx, const beacon::Report& r) {
    return digests_->take_harmless(tx, for_correlation(tx, r));
  });
  beacon.on_report("digest_address", [this](store::Tx& tx, const beacon::Report& r) {
    return digest_keys_->take_address(tx, for_correlation(tx, r));
  });
  beacon.on_report("notice_answer", [this](store::Tx& tx, const beacon::Report& r) -> Result<void> {
    BAVN_TRY(const auto a, net::from_json<NoticeAnswer>(r.body, net::Unknown::ignore));
    const auto taken = correlator_->answer(tx, a.notice, r.municipality, a.yes, r.node);
    // About a notice that nobody knows: refused for good. Another error would bring the whole batch again, for ever.
    if (!taken && taken.error().code == Code::not_found) return fail(Code::bad_input, taken.error().what);
    return taken;
  });
  beacon.on_report("warning_answer", [this](store::Tx& tx, const beacon::Report& r) {
    return warnings_->take_answer(tx, for_warnings(tx, r));
  });
  beacon.on_report("exposed", [this](store::Tx& tx, const beacon::Report& r) {
    return warnings_->take_exposed(tx, for_warnings(tx, r));
  });
  for (const char* kind : {"block_preview", "block_state"})
    beacon.on_report(kind, [this](store::Tx& tx, const beacon::Report& r) {
      return blocks_->take(tx, {r.node, r.id, r.kind, r.municipality, r.at, r.body});
    });
}

/// What correlation decided, as warnings. Idempotent: the same event again finds the same state.
Result<void> BeaconHub::on_campaign(const store::DomainEvent& e) {
  if (!e.kind.starts_with("campaign.")) return {};
  const auto id = number_of(e.subject);
  if (!id) return {};
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    const auto facts = correlate::facts_of(tx, *id);
    if (!facts) {
      if (facts.error().code == Code::not_found) return {};
      return std::unexpected(facts.error());
    }
    const std::string campaign = std::to_string(facts->campaign.id);
    BAVN_TRY(const auto notices, correlate::notices_of(tx, facts->campaign.id));
    warn::Case c = case_of(*facts, parts_.members, notices);
    warn::find_shared_hosts(c, *blocks_->never_block());
    if (e.kind == "campaign.lit") {
      BAVN_CHECK(warnings_->light(tx, c, facts->campaign.lit_by));
      return {};
    }
    if (e.kind == "campaign.updated") return warnings_->keep_up(tx, c, "correlation");
    if (e.kind == "campaign.merged") {
      // Both were warned of: the one that went into the other ends.
      BAVN_TRY(const auto gone, warnings_->of_campaign(tx, e.subject));
      if (!gone) return {};
      const auto ended =
          warnings_->over(tx, *gone, "correlation", fmt::format("it is one attack with campaign {}", campaign));
      return ended || ended.error().code == Code::conflict ? Result<void>{} : ended;
    }
    if (e.kind != "campaign.over" && e.kind != "campaign.false") return {};
    BAVN_TRY(const auto warning, warnings_->of_campaign(tx, campaign));
    if (!warning) return {};
    // What was learnt last is told with the end: counts of a campaign that is judged at once would stay as they were.
    if (e.kind == "campaign.over")
      if (const auto kept = warnings_->keep_up(tx, c, "correlation"); !kept && kept.error().code != Code::conflict)
        return kept;
    const std::string who = facts->campaign.judged_by.empty() ? "correlation" : facts->campaign.judged_by;
    const auto done = e.kind == "campaign.over" ? warnings_->over(tx, *warning, who, "nothing more came")
                                                : warnings_->withdraw(tx, *warning, who, facts->campaign.judged_why);
    if (!done && done.error().code != Code::conflict) return done;
    return {};
  });
}

}  // namespace bavn::app
