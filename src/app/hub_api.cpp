// What the hub's routes stand on (show/api/hub.hpp), and what its owner publishes: indicators and orders.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "act/order.hpp"
#include "app/guests.hpp"
#include "app/hub_core.hpp"
#include "app/hub_exchange.hpp"
#include "base/json_writer.hpp"
#include "base/let_go.hpp"
#include "base/log.hpp"
#include "show/api/indicators/book.hpp"

namespace bavn::app {

namespace {

namespace mi = match::indicators;
using event::Right;
using net::Needs;

constexpr std::size_t kPiece = 512U << 10U;  // of a list of indicators as one bulk item
constexpr std::size_t kRowsAtOnce = 2'000;   // of the book in one unit: about 40 ms of the writer

Result<void> need(const event::Scope& scope, Right right, std::string_view doing) {
  if (scope.may(right)) return {};
  return fail(Code::forbidden, fmt::format("{} may not {}", scope.who(), doing));
}

beacon::Post post(std::string_view kind, std::string payload) {
  beacon::Post p;
  p.kind = kind;
  p.payload = std::move(payload);
  return p;
}

using NeverBlocked = std::map<std::string, std::pair<std::uint64_t, std::string>>;  // why -> how many, the first

/// False, and counted, when it is to be held or blocked and may not be.
bool may_go_out(const warn::BlockGuard& guard, const mi::Indicator& i, NeverBlocked& refused) {
  const bool blocks = (i.action == mi::Action::hold || i.action == mi::Action::block) && warn::can_be_listed(i.kind);
  const auto refusal = blocks && guard ? guard({i.kind, i.value}) : std::nullopt;
  if (!refusal) return true;
  auto& [count, first] = refused[refusal->reason];
  if (count++ == 0) first = i.value;
  return false;
}

/// In units of a size that lets others in between.
Result<void> write_book(store::State& state, std::span<const mi::Indicator> all, std::string_view who) {
  for (std::size_t from = 0; from < all.size(); from += kRowsAtOnce) {
    const auto part = all.subspan(from, std::min(kRowsAtOnce, all.size() - from));
    BAVN_CHECK(state.write_now([&](store::Tx& tx) { return show::api::book_add(tx, part, who); }));
  }
  return {};
}

struct BookBase {
  std::string file;
  std::int64_t upto_delta = 0;
};
BOOST_DESCRIBE_STRUCT(BookBase, (), (file, upto_delta))
struct BookDelta {
  std::int64_t id = 0;
  std::string who, payload;
};
BOOST_DESCRIBE_STRUCT(BookDelta, (), (id, who, payload))

}  // namespace

Result<show::api::SharedIndicators> HubCore::publish_indicators(const event::Scope& scope, std::string bytes,
                                                                std::string_view name,
                                                                const mi::LoadOptions& defaults) {
  BAVN_CHECK(need(scope, Right::publish, "publish indicators"));
  std::vector<mi::Indicator> all;
  BAVN_TRY(const mi::LoadReport report, mi::load_bytes(
                                            bytes, name,
                                            [&](const mi::Indicator& i) -> Result<void> {
                                              all.push_back(i);
                                              return {};
                                            },
                                            defaults));
  let_go(bytes);
  if (all.empty()) return fail(Code::bad_input, "nothing in this list can be used", std::string(name));
  BAVN_TRY(auto shared, publish_indicators(scope, std::move(all), name));
  for (const auto& [reason, r] : report.refused)
    shared.refused.push_back(
        {reason, r.count, r.first_value.empty() ? r.first_where : fmt::format("{}: {}", r.first_where, r.first_value)});
  return shared;
}

Result<show::api::SharedIndicators> HubCore::publish_indicators(const event::Scope& scope,
                                                                std::vector<mi::Indicator> indicators,
                                                                std::string_view name) {
  BAVN_CHECK(need(scope, Right::publish, "publish indicators"));
  NeverBlocked never_blocked;
  mi::IndicatorBuilder check;
  IndicatorChange change;
  for (auto& i : indicators) {
    if (!may_go_out(block_guard_, i, never_blocked)) continue;
    BAVN_CHECK(check.add(i));
    change.add.push_back(std::move(i));
  }
  let_go(indicators);
  if (change.add.empty())
    return never_blocked.empty() ? fail(Code::bad_input, "nothing in this list can be used", std::string(name))
                                 : fail(Code::forbidden, never_blocked.begin()->first, std::string(name));
  show::api::SharedIndicators shared;
  shared.indicators = change.add.size();
  if (change.add.size() > kMostChanges) {
    // Too many to send one by one to every node: they become part of the base, which guests of one machine share.
    BAVN_TRY(shared.base, make_base_now([&](mi::IndicatorBuilder& builder) -> Result<void> {
               for (const mi::Indicator& i : change.add) BAVN_CHECK(builder.add(i));
               return {};
             }));
    BAVN_CHECK(write_book(*state_, change.add, scope.who()));
    BAVN_CHECK(state_->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.emit("indicators.changed", name, fmt::format("{{\"count\":{}}}", shared.indicators)));
      return tx.audit({scope.who(), "indicators.published", std::string(name),
                       fmt::format("{{\"count\":{},\"as\":\"base\"}}", change.add.size())});
    }));
  } else {
    const auto parts = pieces(change, kPiece);
    BAVN_CHECK(state_->write_now([&](store::Tx& tx) -> Result<void> {
      for (const std::string& part : parts) {
        BAVN_CHECK(HubIndicators::note(tx, scope.who(), part));
        BAVN_CHECK(beacon_->bulk(tx, "all", post("indicators", part)));
      }
      BAVN_CHECK(tx.emit("indicators.changed", name, fmt::format("{{\"count\":{}}}", shared.indicators)));
      if (change.add.size() <= kRowsAtOnce) BAVN_CHECK(show::api::book_add(tx, change.add, scope.who()));
      return tx.audit(
          {scope.who(), "indicators.published", std::string(name), fmt::format("{{\"count\":{}}}", change.add.size())});
    }));
    if (change.add.size() > kRowsAtOnce) BAVN_CHECK(write_book(*state_, change.add, scope.who()));
  }
  for (const auto& [reason, r] : never_blocked) shared.never_blocked.push_back({reason, r.first, r.second});
  return shared;
}

Result<void> HubCore::withdraw_indicator(const event::Scope& scope, const mi::Removal& removal) {
  BAVN_CHECK(need(scope, Right::publish, "withdraw indicators"));
  IndicatorChange change;
  change.remove.push_back(removal);
  const std::string payload = to_json(change);
  return state_->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const bool there, show::api::book_remove(tx, removal));
    if (!there) return fail(Code::not_found, "there is no such indicator", removal.value);
    BAVN_CHECK(HubIndicators::note(tx, scope.who(), payload));
    BAVN_CHECK(beacon_->bulk(tx, "all", post("indicators", payload)));
    std::string detail;
    JsonWriter(detail)
        .object()
        .member("kind", event::to_string(removal.kind))
        .member("value", removal.value)
        .member("source", removal.source)
        .end();
    BAVN_CHECK(tx.emit("indicators.changed", removal.source, "{}"));
    return tx.audit({scope.who(), "indicator.withdrawn", removal.value, detail});
  });
}

Result<std::uint64_t> HubCore::withdraw_indicators(const event::Scope& scope, std::span<const mi::Removal> removals,
                                                   std::string_view name) {
  BAVN_CHECK(need(scope, Right::publish, "withdraw indicators"));
  std::uint64_t gone = 0;
  for (std::size_t from = 0; from < removals.size(); from += kRowsAtOnce) {
    const auto part = removals.subspan(from, std::min(kRowsAtOnce, removals.size() - from));
    std::uint64_t here = 0;
    BAVN_CHECK(state_->write_now([&](store::Tx& tx) -> Result<void> {
      IndicatorChange change;
      for (const mi::Removal& each : part) {
        BAVN_TRY(const bool there, show::api::book_remove(tx, each));
        if (!there) continue;
        if (each.kind != event::Kind{}) {
          change.remove.push_back(each);
          continue;
        }
        // Nodes know no removal of a pattern: it ends now.
        mi::Indicator over;
        over.value = each.value;
        over.source = each.source;
        over.valid_until = tx.now();
        change.add.push_back(std::move(over));
      }
      here = change.remove.size() + change.add.size();
      if (here == 0) return {};
      for (const std::string& payload : pieces(change, kPiece)) {
        BAVN_CHECK(HubIndicators::note(tx, scope.who(), payload));
        BAVN_CHECK(beacon_->bulk(tx, "all", post("indicators", payload)));
      }
      BAVN_CHECK(tx.emit("indicators.changed", name, fmt::format("{{\"withdrawn\":{}}}", here)));
      return tx.audit({scope.who(), "indicators.withdrawn", std::string(name), fmt::format("{{\"count\":{}}}", here)});
    }));
    gone += here;
  }
  return gone;
}

/// A hub that was there before the book: its rows are made of the base and the changes since, once.
Result<void> HubCore::fill_book() {
  if (runtime_.single_threaded()) return {};  // a simulated hub begins empty
  BAVN_TRY(const auto there, state_->read([](store::Reader& r) {
    return r.number(
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM hub_indicator LIMIT 1)) + (SELECT count(*) = 0 FROM "
        "hub_base) * (SELECT count(*) = 0 FROM hub_indicator_delta)");
  }));
  if (there > 0) return {};
  runtime_.after(Duration{0}, bases_, [this, alive = alive_] {
    const std::lock_guard lock(alive->mutex);
    if (alive->core == nullptr) return;
    const auto done = [&]() -> Result<void> {
      BAVN_TRY(const auto bases, state_->read([](store::Reader& r) {
        return r.all<BookBase>("SELECT file, upto_delta FROM hub_base WHERE audience = 'all'");
      }));
      for (const auto& b : bases) {
        BAVN_TRY(const auto base, mi::IndicatorBase::open(b.file));
        std::vector<mi::Indicator> part;
        Result<void> written;
        base->for_each([&](const mi::Indicator& i) {
          part.push_back(i);
          if (part.size() < kRowsAtOnce || !written) return;
          written = write_book(*state_, part, "base");
          part.clear();
        });
        BAVN_CHECK(written);
        BAVN_CHECK(write_book(*state_, part, "base"));
      }
      BAVN_TRY(const auto deltas, state_->read([](store::Reader& r) {
        return r.all<BookDelta>("SELECT id, who, payload FROM hub_indicator_delta ORDER BY id");
      }));
      for (const auto& d : deltas) {
        BAVN_TRY(const auto change, change_from_json(d.payload));
        for (const auto& gone : change.remove)
          BAVN_CHECK(state_->write_now([&](store::Tx& tx) -> Result<void> {
            BAVN_CHECK(show::api::book_remove(tx, gone));
            return {};
          }));
        BAVN_CHECK(write_book(*state_, change.add, d.who));
      }
      return {};
    }();
    if (!done) log::error("indicators_not_listed", {{"reason", to_string(done.error())}});
  });
  return {};
}

Result<std::string> HubCore::publish_order(const event::Scope& scope, const std::string& text) {
  BAVN_CHECK(need(scope, Right::order, "send orders"));
  BAVN_TRY(const auto order, act::SignedOrder::parse(text));
  BAVN_TRY(const auto content, order.content());
  const MunicipalityId to = content.municipality;
  if (!scope.sees(to)) return fail(Code::forbidden, fmt::format("{} sends no orders to {:04}", scope.who(), to.value));
  if (content.not_after <= runtime_.now())
    return fail(Code::bad_input, "the order ended " + format_time(content.not_after), content.id);
  BAVN_TRY(const auto nodes, directory_->nodes(scope));
  const bool has_node = std::any_of(nodes.begin(), nodes.end(), [&](const tenants::Node& n) {
    return n.state != tenants::NodeState::revoked && n.state != tenants::NodeState::retired &&
           std::find(n.municipalities.begin(), n.municipalities.end(), to) != n.municipalities.end();
  });
  if (!has_node)
    return fail(Code::not_found, fmt::format("municipality {:04} has no node that could take an order", to.value));
  BAVN_CHECK(state_->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto after, tx.number("SELECT coalesce(max(id), 0) FROM hub_shared"));
    BAVN_CHECK(
        tx.exec("INSERT INTO hub_order (id, municipality, action, not_after_us, signatures, sent_us, sent_by, "
                "shared_after) VALUES (:id, :m, :action, :until, :n, :now, :who, :after)",
                {{"id", content.id},
                 {"m", to},
                 {"action", content.action},
                 {"until", content.not_after},
                 {"n", order.signatures.size()},
                 {"now", tx.now()},
                 {"who", scope.who()},
                 {"after", after}}));
    BAVN_CHECK(beacon_->urgent(tx, to, post("order", order.text())));
    return tx.audit({scope.who(), "order.sent", "order:" + content.id,
                     fmt::format("{{\"municipality\":{},\"signatures\":{}}}", to.value, order.signatures.size())});
  }));
  return content.id;
}

show::api::HubParts HubCore::api_parts() {
  show::api::HubParts p{.runtime = runtime_,
                        .state = *state_,
                        .texts = texts_,
                        .name = options_.name,
                        .directory = *directory_,
                        .domains = *domains_,
                        .members = *members_,
                        .beacon = *beacon_,
                        .correlator = noticing_->correlator(),
                        .digest_keys = noticing_->digest_keys(),
                        .noticing = noticing_->options(),
                        .warnings = noticing_->warnings(),
                        .blocks = noticing_->blocks()};
  p.case_of = [this](store::Reader& db, std::int64_t campaign) -> Result<warn::Case> {
    BAVN_TRY(const auto facts, correlate::facts_of(db, campaign));
    BAVN_TRY(const auto notices, correlate::notices_of(db, facts.campaign.id));
    return case_of(facts, *members_, notices);
  };
  p.invite = [this](const event::Scope& scope, const std::vector<std::string>& municipalities, std::string_view form,
                    std::string_view by) -> Result<show::api::HubInvitation> {
    BAVN_TRY(const auto made, invite(scope, municipalities, form, by));
    BAVN_TRY(const auto id, directory_->node_named(event::Scope::local_owner(), made.node));
    BAVN_TRY(const auto node, directory_->node(event::Scope::local_owner(), id));
    return show::api::HubInvitation{made.node, node.municipalities, made.code, made.expires};
  };
  p.new_code = [this](const event::Scope& scope, std::string_view name) -> Result<show::api::HubInvitation> {
    BAVN_TRY(const auto id, directory_->node_named(scope, name));
    BAVN_TRY(const auto code, directory_->new_code(scope, id, options_.address));
    BAVN_TRY(const auto node, directory_->node(event::Scope::local_owner(), id));
    return show::api::HubInvitation{node.name, node.municipalities, code.code, code.expires};
  };
  p.share = [this](const event::Scope& scope, std::vector<mi::Indicator> indicators, std::string_view name) {
    return publish_indicators(scope, std::move(indicators), name);
  };
  p.share_list = [this](const event::Scope& scope, std::string bytes, std::string_view name,
                        const mi::LoadOptions& defaults) {
    return publish_indicators(scope, std::move(bytes), name, defaults);
  };
  p.unshare = [this](const event::Scope& scope, const mi::Removal& removal) {
    return withdraw_indicator(scope, removal);
  };
  p.make_base = [this] { return make_base_now(); };
  p.publish_content = [this](const event::Scope& scope, std::string_view kind, std::string_view name,
                             std::string payload) { return publish_content(scope, kind, name, std::move(payload)); };
  p.test_beacon = [this](const event::Scope& scope, std::optional<MunicipalityId> to, std::string_view observable) {
    return test_beacon(scope, to, observable);
  };
  p.send_order = [this](const event::Scope& scope, const std::string& text) { return publish_order(scope, text); };
  p.peers = exchange_->peers.get();
  p.bulletins = exchange_->bulletins.get();
  p.subscribers = exchange_->subscribers.get();
  p.exports = &exchange_->views;
  p.guests = options_.guests;
  if (options_.guests)
    p.guest_wish = [folder = options_.folder + "/guests"](std::string_view code,
                                                          std::string_view wish) -> Result<void> {
      const std::string which(code);
      if (wish == "restart") return Guests::restart(folder, which);
      return Guests::set_stopped(folder, which, wish == "stop");
    };
  p.root_key_is_here = [this] { return trust_->root_key_is_here(); };
  p.settings = options_.settings;
  p.settings_table = options_.settings_table;
  p.settings_file = options_.settings_file;
  return p;
}

void HubCore::add_web_routes(net::Router& router) {
  auto parts = api_parts();
  parts.proof_missing = proof_missing_;
  show::api::add_hub_routes(router, parts);
  exchange_->add_web_routes(router);
  misp_->add_routes(router);
}

void HubCore::add_control_routes() {
  show::api::add_hub_routes(control_, api_parts());  // the owner of this machine has proved it by being here
  control_.get("/metrics", Needs::operate, [this](const net::Request&) { return net::text(metrics_.text()); });
}

}  // namespace bavn::app
