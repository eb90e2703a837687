// The 98 tiles: where each lies is own data (content/municipalities/denmark_tiles.csv), how each stands comes from campaigns and nodes.
#include <algorithm>
#include <set>

#include "base/content.hpp"
#include "base/text.hpp"
#include "show/api/campaigns/campaign.hpp"
#include "show/api/map/tiles.hpp"
#include "show/api/members/nodes.hpp"

namespace bavn::show::api {

namespace {

constexpr std::int64_t kMostLit = 50;

struct TileView {
  std::string code, name;
  std::int64_t row = 0, column = 0;
  std::string state;
  When first_seen_at{};
  std::optional<std::int64_t> mails{};
  When noticed_at{}, warned_at{}, answered_at{}, emptied_at{};
  std::optional<std::vector<std::string>> campaigns{};
};
BOOST_DESCRIBE_STRUCT(TileView, (),
                      (code, name, row, column, state, first_seen_at, mails, noticed_at, warned_at, answered_at,
                       emptied_at, campaigns))

struct TileMap {
  std::string country = "denmark";
  std::int64_t rows = 0, columns = 0;
  std::optional<std::string> campaign{};
  When from{}, to{};
  std::vector<TileView> tiles{};
  std::map<std::string, std::int64_t> counts{};
};
BOOST_DESCRIBE_STRUCT(TileMap, (), (country, rows, columns, campaign, from, to, tiles, counts))

struct Known {
  TownPart part;
  std::set<std::int64_t> campaigns;
};

bool is_empty_again(const TownPart& p) {
  return p.answer && p.answer->purged > 0 && p.answer->purge_left == 0;
}

/// Of several campaigns the worst counts: mail that is still there before mail that is gone, the earliest before later ones.
void add(Known& known, const TownPart& p, std::int64_t campaign) {
  const bool first = known.campaigns.empty();
  known.campaigns.insert(campaign);
  const bool worse = is_empty_again(known.part) && !is_empty_again(p) && p.mails > 0;
  const std::int64_t mails = known.part.mails + p.mails;
  const bool sender = known.part.sender || p.sender;
  const std::int64_t since = known.part.first_us == 0 ? p.first_us
                             : p.first_us == 0        ? known.part.first_us
                                                      : std::min(known.part.first_us, p.first_us);
  if (first || worse) known.part = p;
  known.part.mails = mails;
  known.part.sender = sender;
  known.part.first_us = since;
}

/// What correlation and the desk know together, as the hub itself sees it; what of it is shown is decided tile by tile.
Result<void> read_campaign(const Hub& hub, const event::Scope& scope, std::int64_t id,
                           std::map<std::int64_t, Known>& towns, TileMap* played) {
  correlate::CampaignFacts facts;
  std::vector<warn::WarningSum> sums;
  BAVN_CHECK(hub.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(facts, correlate::facts_of(db, id));
    if (!may_see(scope, facts.campaign)) return fail(Code::not_found, fmt::format("there is no campaign {}", id));
    BAVN_TRY(sums, hub.warnings.sums_of(db, std::to_string(facts.campaign.id)));
    return {};
  }));
  std::vector<warn::WarningView> warnings;
  for (const auto& s : sums) {
    BAVN_TRY(auto w, hub.warnings.show(event::Scope::local_owner(), s.id));
    warnings.push_back(std::move(w));
  }
  for (const auto& [municipality, part] : town_parts(facts, warnings))
    add(towns[municipality], part, facts.campaign.id);
  if (played == nullptr) return {};
  played->campaign = std::to_string(facts.campaign.id);
  played->from = at(facts.campaign.first_us);
  played->to = at(facts.campaign.last_us);
  return {};
}

std::string state_of(const Known* known, std::string_view standing) {
  if (known != nullptr && known->part.sender) return "sender";
  if (known != nullptr && known->part.mails > 0) return is_empty_again(known->part) ? "emptied" : "reached";
  if (known != nullptr && known->part.answer && known->part.answer->hits > 0)
    return is_empty_again(known->part) ? "emptied" : "reached";
  if (standing.empty()) return "outside";
  if (standing == "waiting") return "never";
  return standing == "connected" ? "calm" : "away";
}

net::Reply map(const Hub& hub, const net::Request& q) {
  TileMap v;
  std::map<std::int64_t, Known> towns;
  if (const auto asked = q.asked("campaign")) {
    const auto id = number_in(*asked);
    if (!id) return net::problem(Error{Code::bad_input, "a campaign is named by its number", "?campaign"});
    if (const auto read = read_campaign(hub, q.scope, *id, towns, &v); !read) return net::problem(read.error());
  } else {
    correlate::CampaignFilter lit;
    lit.states = {"lit"};
    lit.limit = kMostLit;
    const auto found = hub.state.read([&](store::Reader& db) { return correlate::campaigns(db, lit); });
    if (!found) return net::problem(found.error());
    for (const auto& c : *found)
      if (const auto read = read_campaign(hub, q.scope, c.id, towns, nullptr); !read) return net::problem(read.error());
  }
  const auto standing = standing_of_members(hub);
  if (!standing) return net::problem(standing.error());
  for (const Tile& t : denmark_tiles()) {
    const auto* facts = hub.directory.municipalities().find(t.municipality);
    if (facts == nullptr) continue;
    TileView tile{.code = facts->code(), .name = facts->name, .row = t.row, .column = t.column, .state = {}};
    v.rows = std::max(v.rows, t.row);
    v.columns = std::max(v.columns, t.column);
    const auto known = towns.find(t.municipality.value);
    const auto how = standing->find(t.municipality.value);
    const Known* of = known == towns.end() ? nullptr : &known->second;
    tile.state = state_of(of, how == standing->end() ? std::string_view() : std::string_view(how->second));
    ++v.counts[tile.state];
    if (!q.scope.sees(t.municipality)) {
      tile.state = "hidden";
    } else if (of != nullptr) {
      const TownPart& p = of->part;
      tile.first_seen_at = at(p.first_us);
      tile.mails = p.mails;
      tile.noticed_at = at(p.noticed_us);
      tile.answered_at = at(p.answered_us);
      if (p.answer) tile.warned_at = at(p.answer->warned_us);
      if (is_empty_again(p)) tile.emptied_at = at(p.answer->emptied_us);
      tile.campaigns.emplace();
      for (const auto id : of->campaigns) tile.campaigns->push_back(std::to_string(id));
    }
    v.tiles.push_back(std::move(tile));
  }
  std::ranges::sort(v.tiles, {}, [](const TileView& t) { return std::pair(t.row, t.column); });
  return net::json(net::to_json(v));
}

}  // namespace

const std::vector<Tile>& denmark_tiles() {
  static const std::vector<Tile> tiles = [] {
    std::vector<Tile> all;
    const auto text = content::file("content/municipalities/denmark_tiles.csv");
    BAVN_ASSERT(text && "the tiles are part of the binary");
    bool head = true;
    for (const auto line : split(*text, '\n')) {
      if (std::exchange(head, false) || trim(line).empty()) continue;
      const auto cells = split(trim(line), ',');
      BAVN_ASSERT(cells.size() == 3 && "a tile is code,row,column");
      const auto code = number_in(cells[0]), row = number_in(cells[1]), column = number_in(cells[2]);
      BAVN_ASSERT(code && row && column && "a tile is three numbers");
      all.push_back({MunicipalityId{static_cast<std::uint16_t>(*code)}, *row, *column});
    }
    return all;
  }();
  return tiles;
}

void add_map_routes(net::Router& router, const HubPtr& hub) {
  router.get("/api/map", Needs::tenants_read, [hub](const net::Request& q) { return map(*hub, q); });
}

}  // namespace bavn::show::api
