#include "app/beacon_node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "net/json_views.hpp"
#include "tenants/domains.hpp"

namespace bavn::app {

namespace {

/// "urgent/157" -> 157; "urgent/all" -> nobody in particular.
std::optional<MunicipalityId> addressed(std::string_view stream) {
  const std::string_view name = stream.substr(std::min(stream.size(), stream.find('/') + 1));
  std::uint16_t n = 0;
  const auto [end, ec] = std::from_chars(name.data(), name.data() + name.size(), n);
  return ec == std::errc{} && end == name.data() + name.size() ? std::optional(MunicipalityId{n}) : std::nullopt;
}

struct CommunityRow {
  std::string payload;
};
BOOST_DESCRIBE_STRUCT(CommunityRow, (), (payload))

struct Judged {
  std::string state, kind;
};
BOOST_DESCRIBE_STRUCT(Judged, (), (state, kind))

notice::WatchOptions watch_options(const Settings* settings) {
  return settings != nullptr ? notice::WatchOptions::from(*settings) : notice::WatchOptions{};
}

Result<std::vector<tenants::CommunityMember>> stored_community(const store::State& state) {
  BAVN_TRY(const auto rows, state.read([](store::Reader& r) {
    return r.all<CommunityRow>("SELECT payload FROM node_content WHERE kind = 'content' AND name = 'community'");
  }));
  if (rows.empty()) return std::vector<tenants::CommunityMember>{};
  return tenants::read_community(rows.front().payload);
}

std::shared_ptr<notice::Community> own_community(const std::vector<MunicipalityId>& own) {
  auto c = std::make_shared<notice::Community>();
  for (const MunicipalityId m : own) c->add_own(m);
  return c;
}

}  // namespace

std::vector<Setting> beacon_node_settings() {
  std::vector<Setting> all;
  const auto add = [&](std::span<const Setting> more) { all.insert(all.end(), more.begin(), more.end()); };
  add(notice::settings());
  add(notice::digest_settings());
  add(warn::node_desk_settings());
  add(warn::blocks::node_settings());
  add(act::purge_settings());
  return all;
}

std::vector<store::RetentionRule> beacon_node_retention() {
  auto all = notice::notice_retention();
  for (auto& rule : notice::DigestReveals::retention()) all.push_back(std::move(rule));
  for (auto& rule : warn::node_desk_retention()) all.push_back(std::move(rule));
  for (auto& rule : warn::blocks::node_retention()) all.push_back(std::move(rule));
  all.push_back(act::purge_retention());
  return all;
}

BeaconNode::BeaconNode(BeaconNodeParts parts) : parts_(std::move(parts)) {}
BeaconNode::~BeaconNode() = default;

Result<std::unique_ptr<BeaconNode>> BeaconNode::open(BeaconNodeParts parts) {
  BAVN_ASSERT(!parts.municipalities.empty());
  std::unique_ptr<BeaconNode> node(new BeaconNode(std::move(parts)));
  const BeaconNodeParts& p = node->parts_;
  const MunicipalityId home = p.municipalities.front();
  const auto tell = [&beacon = p.beacon](store::Tx& tx, std::string_view kind, std::string_view json, MunicipalityId of,
                                         event::Tlp tlp) { return beacon.report(tx, kind, json, of, tlp); };
  const auto community = own_community(p.municipalities);
  Files& files = p.runtime.files();
  BAVN_TRY(SealKey own, notice::node_seal_key(files, p.folder + "/keys/digest.key", fmt::format("{:04}", home.value)));
  BAVN_TRY(auto stewards, notice::read_stewards(files, p.folder + "/stewards"));
  BAVN_TRY(node->digests_,
           notice::DigestDesk::open(
               p.runtime, p.state, community, std::move(own), std::move(stewards), tell,
               p.settings != nullptr ? notice::DigestDeskOptions::from(*p.settings) : notice::DigestDeskOptions{},
               p.metrics));
  BAVN_TRY(auto notices,
           notice::Desk::open(
               p.runtime, p.state, community,
               {.watch = watch_options(p.settings), .key = p.community_key, .digests = node->digests_.get()}, tell));
  node->notices_ = std::move(notices);
  BAVN_TRY(node->warnings_, warn::NodeDesk::open({.runtime = p.runtime,
                                                  .state = p.state,
                                                  .texts = p.texts,
                                                  .municipalities = p.municipalities,
                                                  .hunt = p.hunt,
                                                  .deliver = p.deliver,
                                                  .tell = tell,
                                                  .settings = p.settings}));
  BAVN_TRY(node->blocks_, warn::blocks::NodeBlocks::open(p.runtime, p.state, home, tell, p.look, p.settings));
  act::PurgeOptions purge = p.settings != nullptr ? act::PurgeOptions::from(*p.settings) : act::PurgeOptions{};
  purge.municipality = home;
  purge.mandate = act::MandateFiles::in(p.folder);
  BAVN_TRY(node->purge_, act::Purge::open(p.runtime, p.state, p.node_key, purge, p.purge));
  BAVN_CHECK(node->read_community());
  node->take_entries();
  p.state.subscribe("beacon", p.runtime.queue({.name = "beacon-node"}),
                    [n = node.get()](const store::DomainEvent& e) { return n->on_event(e); },
                    {"content.changed", "notice.", "purge.", "warning.", "block.fetched"});
  return node;
}

void BeaconNode::start() {
  purge_->start();
  const auto told = parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    for (const MunicipalityId m : parts_.municipalities) BAVN_CHECK(digests_->tell_address(tx, m));
    return {};
  });
  if (!told) log::warn("digest_address_not_told", {{"reason", to_string(told.error())}});
}

/// Who takes part, as the hub published it last; what never may be blocked here follows from it.
Result<void> BeaconNode::read_community() {
  BAVN_TRY(const auto members, stored_community(parts_.state));
  const auto community = own_community(parts_.municipalities);
  std::vector<std::string> domains, own;  // own: mailboxes of others are left alone
  for (const auto& m : members)
    for (const std::string& d : m.domains) {
      if (std::ranges::find(parts_.municipalities, m.municipality) != parts_.municipalities.end()) own.push_back(d);
      if (const auto ok = community->add(d, m.municipality); !ok)
        log::warn("member_domain_not_used", {{"domain", d}, {"reason", to_string(ok.error())}});
      domains.push_back(d);
    }
  notices_->use_community(community);
  digests_->use_community(community);
  purge_->use_domains(std::move(own));
  BAVN_TRY(auto never, warn::NeverBlock::open(std::move(domains)));
  blocks_->use_never_block(std::make_shared<const warn::NeverBlock>(std::move(never)));
  return {};
}

/// A person's word on a notice, to the hub.
Result<void> BeaconNode::answer(store::Tx& tx, std::string_view notice, bool yes, MunicipalityId of) {
  std::string body;
  JsonWriter(body).object().member("notice", notice).member("yes", yes).end();
  return parts_.beacon.report(tx, "notice_answer", body, of, event::Tlp::amber);
}

void BeaconNode::take_entries() {
  beacon::NodeBeacon& beacon = parts_.beacon;
  const MunicipalityId home = parts_.municipalities.front();
  for (const char* kind : {"exercise", "reveal", "digest_key", "harmless"})
    beacon.on_entry(kind, [this, home](store::Tx& tx, const beacon::Received& r) -> Result<void> {
      BAVN_CHECK(notices_->take_entry(tx, r.kind, r.payload, addressed(r.stream).value_or(home)));
      return {};
    });
  beacon.on_entry("sender_ids", [this, home](store::Tx& tx, const beacon::Received& r) -> Result<void> {
    BAVN_CHECK(notices_->take_entry(tx, r.kind, r.payload, addressed(r.stream).value_or(home)));
    return purge_->take(tx, r.payload);
  });
  beacon.on_entry("warning", [this](store::Tx& tx, const beacon::Received& r) {
    return warnings_->take(tx, r.payload, addressed(r.stream));
  });
  beacon.on_entry("exposure_ask", [this](store::Tx& tx, const beacon::Received& r) {
    return warnings_->take_question(tx, r.payload, addressed(r.stream));
  });
  beacon.on_entry("block", [this](store::Tx& tx, const beacon::Received& r) { return blocks_->take(tx, r.payload); });
  beacon.on_entry("block_ask",
                  [this](store::Tx& tx, const beacon::Received& r) { return blocks_->take_ask(tx, r.payload); });
}

Result<void> BeaconNode::on_event(const store::DomainEvent& e) {
  if (e.kind == "content.changed" && e.subject == "community") return read_community();
  const MunicipalityId of{static_cast<std::uint16_t>(e.municipality)};
  if (e.kind == "block.fetched")
    return parts_.state.write_now(
        [&](store::Tx& tx) { return warnings_->list_fetched(tx, e.subject, from_micros(e.at_us)); });
  if (e.kind == "notice.takeover" || e.kind == "notice.sender") {
    const auto shown = notices_->show(event::Scope::local_owner(), e.subject);
    if (!shown) return shown.error().code == Code::not_found ? Result<void>() : std::unexpected(shown.error());
    const auto& n = shown->notice;
    const bool chain = e.kind == "notice.takeover" && n.level != "suspected";
    const bool taken =
        chain || std::ranges::any_of(shown->signs, [](const auto& s) { return event::takeover_sign(s.kind); });
    if (n.judged == "false" || (e.kind == "notice.takeover" && !chain)) return {};
    return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
      if (taken) BAVN_CHECK(warnings_->mark_taken(tx, of, true, "Bavn", "an account here shows signs of a takeover"));
      if (parts_.call) BAVN_CHECK(parts_.call(tx, {of, n.concern, taken, n.mails}));
      return {};
    });
  }
  if (e.kind == "notice.harm") {
    const auto shown = notices_->show(event::Scope::local_owner(), e.subject);
    if (!shown) return shown.error().code == Code::not_found ? Result<void>() : std::unexpected(shown.error());
    if (shown->notice.concern.empty()) return {};
    return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
      for (const auto& s : shown->signs)
        BAVN_CHECK(purge_->own_sign(tx, shown->notice.concern, {s.group, s.kind, s.at_us, s.detail}));
      return {};
    });
  }
  if (e.kind == "notice.judged") {
    BAVN_TRY(const auto judged, net::from_json<Judged>(e.detail, net::Unknown::ignore));
    if (judged.kind != "sender") return {};
    return parts_.state.write_now([&](store::Tx& tx) {
      return answer(tx, fmt::format("{}.{}", of.value, e.subject), judged.state == "real", of);
    });
  }
  if (e.kind.starts_with("purge."))
    return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
      const auto c = act::Purge::find(tx, e.subject);
      if (!c) return c.error().code == Code::not_found ? Result<void>() : std::unexpected(c.error());
      // A person here said yes: that is the second sign which other towns wait for.
      if (e.kind == "purge.running" && c->why.starts_with("yes from here"))
        BAVN_CHECK(answer(tx, c->notice, true, parts_.municipalities.front()));
      const std::optional<Instant> emptied =
          c->emptied_us != 0 ? std::optional(from_micros(c->emptied_us)) : std::nullopt;
      return warnings_->purged(tx, c->notice, parts_.municipalities.front(), c->moved, c->found + c->failed, emptied);
    });
  return {};
}

}  // namespace bavn::app
