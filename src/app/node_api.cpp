// What puts the API of a node (show/api) onto NodeCore: sources and their words, the link to the hub, health, hunts.
#include <algorithm>

#include "app/blocks_node.hpp"
#include "app/node_core.hpp"
#include "input/sources_file.hpp"

namespace bavn::app {

namespace {

using show::api::SourceView;

std::int64_t micros_or_0(Instant t) {
  return t == Instant{} ? 0 : micros(t);
}

}  // namespace

Result<std::vector<SourceView>> NodeCore::source_views(const event::Scope& scope) const {
  std::vector<SourceView> out;
  BAVN_TRY(const auto rows, sources_->list(scope, runtime_.now()));
  const bool sees_node = options_.identity ? std::any_of(options_.identity->municipalities.begin(),
                                                         options_.identity->municipalities.end(),
                                                         [&](MunicipalityId m) { return scope.sees(m); })
                                           : true;
  const auto take = [&](const input::SourceReport& r, Instant since) {
    SourceView v;
    v.name = r.source;
    v.state = input::to_string(r.state);
    v.says = r.text;
    v.since_us = micros_or_0(since);
    v.lag_seconds = r.lag_seconds;
    v.municipality = home_;
    out.push_back(std::move(v));
  };
  if (sees_node && source_book_ != nullptr)
    for (const auto& s : source_book_->all()) take(s.report, s.since);
  else if (sees_node && source_states_)
    for (const auto& r : source_states_()) take(r, {});
  for (const auto& row : rows) {
    auto at = std::find_if(out.begin(), out.end(), [&](const auto& s) { return s.name == row.source; });
    if (at == out.end()) {
      out.emplace_back();
      at = out.end() - 1;
      at->name = row.source;
    }
    at->municipality = MunicipalityId{static_cast<std::uint16_t>(row.municipality)};
    at->last_at_us = std::max(at->last_at_us, row.last_at_us);
    at->newest_us = std::max(at->newest_us, row.newest_happened_us);
    // What a source says began with its last start; what is kept knows of newer records from before.
    if (row.lag_us >= 0 && (at->lag_seconds < 0 || at->lag_seconds > row.lag_us / 1'000'000))
      at->lag_seconds = row.lag_us / 1'000'000;
    at->records += row.records;
    at->bytes += row.bytes;
    at->refused += row.refused;
    at->duplicates += row.duplicates;
    at->records_today += row.records_today;
    at->bytes_today += row.bytes_today;
    at->refused_today += row.refused_today;
    for (const auto& r : row.reasons) at->refusals.push_back({r.reason, r.first, r.count, r.first_at_us, r.last_at_us});
  }
  BAVN_TRY(const auto ways, gateway_book_->list(scope));
  for (const live::GatewayRow& r : ways) {
    auto at = std::find_if(out.begin(), out.end(), [&](const auto& s) { return s.name == r.source; });
    if (at == out.end()) {  // nothing of it was stored yet
      out.emplace_back();
      at = out.end() - 1;
      at->name = r.source;
      at->municipality = MunicipalityId{static_cast<std::uint16_t>(r.municipality)};
    }
    at->duplicates += r.duplicates;  // by their ids: the pipeline never saw them
    at->ways.push_back({r.way, r.client, r.requests, r.records, r.refused, r.duplicates, r.turned_away, r.faults,
                        r.first_at_us, r.last_at_us, r.fault_at_us, r.fault});
  }
  // What a source left out before it became a record.
  if (sees_node && source_book_ != nullptr)
    for (auto& s : out)
      for (const auto& r : source_book_->refusals(s.name))
        s.refusals.push_back(
            {r.reason, r.first, static_cast<std::int64_t>(r.count), micros_or_0(r.first_at), micros_or_0(r.last_at)});
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

void NodeCore::use_inlets(const input::SourcesFile& file) {
  using input::sources::Transport;
  std::vector<show::api::InletView> all;
  const auto add = [&](const char* kind, const input::sources::ListenerOptions& l) {
    all.push_back({.kind = kind,
                   .source = l.name,
                   .transport = l.transport == Transport::udp   ? "udp"
                                : l.transport == Transport::tcp ? "tcp"
                                                                : "tls",
                   .address = l.address,
                   .port = l.port,
                   .topics = {}});
  };
  for (const auto& s : file.syslog) add("syslog", s);
  for (const auto& r : file.relp) add("relp", r);
  for (const auto& k : file.kafka)
    all.push_back(
        {.kind = "kafka", .source = k.name, .transport = {}, .address = k.brokers, .port = 0, .topics = k.topics});
  inlets_.with([&](auto& kept) { kept = std::move(all); });
}

show::api::NodeSources NodeCore::api_sources() {
  show::api::NodeSources s;
  s.list = [this](const event::Scope& scope) { return source_views(scope); };
  s.changes = [this](const std::string& source) -> Result<std::vector<show::api::SourceChangeView>> {
    std::vector<show::api::SourceChangeView> out;
    if (source_book_ == nullptr) return out;
    BAVN_TRY(const auto changes, source_book_->changes(source));
    for (const auto& c : changes) out.push_back({micros(c.at), std::string(input::to_string(c.state)), c.text});
    return out;
  };
  s.inlets = [this] {
    std::vector<show::api::InletView> all;
    if (options_.settings != nullptr && options_.settings->integer("intake.port") != 0)
      all.push_back({.kind = "http",
                     .source = {},
                     .transport = {},
                     .address = options_.settings->text("intake.address"),
                     .port = options_.settings->integer("intake.port"),
                     .topics = {}});
    const auto more = inlets_.with([](const auto& list) { return list; });
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  s.blind = [this] { return input::blind_spots(sights_, seen_here()); };
  s.tokens = [this](const event::Scope& scope) -> Result<std::vector<show::api::IntakeTokenView>> {
    BAVN_TRY(const auto all, tokens_->list(scope));
    std::vector<show::api::IntakeTokenView> out;
    for (const auto& t : all) out.push_back({t.id, t.made_at_us, t.revoked_at_us, t.source, t.format, t.made_by});
    return out;
  };
  s.issue = [this](const event::Scope& scope, const std::string& source, const std::string& format) {
    return tokens_->issue(scope, source, home_, TenantId{}, format);
  };
  s.revoke = [this](const event::Scope& scope, std::int64_t id) { return tokens_->revoke(scope, id); };
  return s;
}

show::api::HubLink NodeCore::hub_link() const {
  show::api::HubLink link;
  if (!beacon_) return link;
  const beacon::NodeStatus b = beacon_->status();
  switch (b.down.state) {
    case beacon::Following::live: link.state = "live"; break;
    case beacon::Following::catching_up: link.state = "catching_up"; break;
    case beacon::Following::forked:
    case beacon::Following::clock_trouble: link.state = "stopped"; break;
    case beacon::Following::off:
    case beacon::Following::connecting:
    case beacon::Following::waiting: link.state = "away"; break;
  }
  link.says = !b.down.text.empty() ? b.down.text : b.up_trouble;
  link.last_heard_us = micros_or_0(b.down.last_heard);
  link.waiting = static_cast<std::int64_t>(b.up.waiting);
  return link;
}

show::api::NodeHealth NodeCore::health() const {
  show::api::NodeHealth h;
  const live::Stats stats = pipeline_->stats();
  const history::Stats kept = pipeline_->history().stats();
  h.version = kNodeVersion;
  h.since = since_;
  h.records = kept.records;
  h.indicators = pipeline_->engine()->indicators().snapshot()->size();
  h.rules = pipeline_->engine()->rules().rules.size();
  h.behind = stats.behind;
  if (!stats.failing.empty()) h.trouble.push_back(stats.failing);
  if (!kept.failing.empty() && kept.failing != stats.failing) h.trouble.push_back(kept.failing);
  if (const std::string failing = state_->failing(); !failing.empty()) h.trouble.push_back(failing);
  return h;
}

const show::api::Parts& NodeCore::api() {
  if (api_) return api_;
  hunts_ = std::make_unique<show::api::Hunts>(
      runtime_, *state_, pipeline_->history(), [this] { return pipeline_->engine(); },
      options_.settings != nullptr ? show::api::HuntLimits::from(*options_.settings) : show::api::HuntLimits{});
  auto parts = std::make_shared<show::api::NodeParts>(show::api::NodeParts{
      .runtime = runtime_,
      .state = *state_,
      .texts = texts_,
      .alerts = *alerts_,
      .history = pipeline_->history(),
      .engine = [this] { return pipeline_->engine(); },
      .municipalities = options_.identity ? options_.identity->municipalities : std::vector<MunicipalityId>{},
      .folder = options_.folder,
      .settings_table = settings_table_,
      .settings = options_.settings,
      .sources = api_sources(),
      .hub = [this] { return hub_link(); },
      .health = [this] { return health(); },
      .hunts = *hunts_,
      .setup = setup_,
  });
  if (beacon_) parts->left = &beacon_->left_us();
  if (noticing_) {
    parts->warnings = &noticing_->warnings();
    parts->blocks = &noticing_->blocks();
    parts->notices = &noticing_->notices();
    parts->purge = &noticing_->purge();
  }
  if (night_) {
    parts->notify = &night_->notify();
    parts->mandate = [this] { return night_->mandate(); };
    parts->test_contacts = [this] { return night_->test_now(); };
  }
  api_ = std::move(parts);
  return api_;
}

void NodeCore::add_api(net::Router& router, const show::api::Proved& proved) {
  show::api::add_node_routes(router, api(), proved);
}

void NodeCore::add_web_routes(net::Router& router, const show::api::Proved& proved) {
  add_api(router, proved);
  if (noticing_) add_list_routes(router, noticing_->blocks());
}

}  // namespace bavn::app
