#pragma once
// For tests of the desks: the October case, a hub's and a node's desk with what they said.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/sim.hpp"
#include "net/json_views.hpp"
#include "warn/desk.hpp"
#include "warn/node_desk.hpp"

namespace bavn::warn {

inline Case october() {
  Case c;
  c.campaign = "october-2024";
  c.trigger = "sender_notice";
  c.severity = "critical";
  c.from_domain = "gentofte.dk";
  c.may_be_named = true;
  c.lit_by_itself = true;
  c.first_seen_us = micros(*parse_time("2024-10-25T06:00:00Z"));
  c.municipalities = 2;
  c.mails = 791;
  c.outside = 635;
  c.clicks = 2;
  c.subjects = {"Faktura", "Betaling", "Bestil"};
  c.look_for = {{"url", "https://bio.link/orbes"}};
  c.shared_hosts = {"bio.link"};
  c.notices = {"n-1"};
  for (const char* kind : {"odd_sign_in", "new_app", "new_secret"}) c.signs.push_back({"identity", kind, 0, {}});
  c.signs.push_back({"payload", "login_form", 0, {}});
  return c;
}

struct Said {
  std::optional<MunicipalityId> to;
  std::string kind, json;
};

struct HubSide {
  explicit HubSide(Sim& s, std::string path = ":memory:", net::Client* client = nullptr) : sim(s) {
    state = store::State::open(sim, {.path = std::move(path), .schema = {"core", "hub"}}).value();
    DeskParts parts{.runtime = sim,
                    .state = *state,
                    .texts = texts,
                    .down = [this](store::Tx&, std::optional<MunicipalityId> to, std::string_view kind,
                                   const std::string& json) -> Result<void> {
                      said.push_back({to, std::string(kind), json});
                      return {};
                    },
                    .roster = [this](store::Reader&) -> Result<std::vector<Listener>> { return roster; }};
    parts.remind = [this](store::Tx&, const Reminder& r) -> Result<std::size_t> {
      reminders.push_back(r);
      return 1;
    };
    parts.client = client;
    desk = Desk::open(std::move(parts)).value();
    state->subscribe("test", sim.queue({.name = "test"}), [this](const store::DomainEvent& e) -> Result<void> {
      events.push_back(e.kind);
      return {};
    });
    state->start();
  }
  ~HubSide() { state->stop(); }

  template <class F>
  auto change(F&& f) {
    using R = std::invoke_result_t<F, store::Tx&>;
    R out;
    const auto done = state->write_now([&](store::Tx& tx) -> Result<void> {
      out = f(tx);
      if (!out) return std::unexpected(out.error());
      return {};
    });
    if (!done && out) out = std::unexpected(done.error());
    return out;
  }
  Result<void> answered(MunicipalityId from, const event::WarningAnswer& a, Instant at) {
    const std::string body = net::to_json(a);
    return change([&](store::Tx& tx) {
      return desk->take_answer(tx, {"node", "r", "warning_answer", from, at, sim.now(), body});
    });
  }
  WarningView show(const std::string& id) { return desk->show(event::Scope::local_owner(), id).value(); }

  Sim& sim;
  Catalogue texts = Catalogue::embedded();
  std::vector<Listener> roster{{{157}, "Gentofte"}, {{173}, "Lyngby-Taarbæk"}, {{101}, "København"}};
  std::vector<Said> said;
  std::vector<Reminder> reminders;
  std::vector<std::string> events;
  std::unique_ptr<store::State> state;
  std::unique_ptr<Desk> desk;
};

struct NodeSide {
  NodeSide(Sim& s, MunicipalityId m, std::string path = ":memory:") : sim(s), home(m) {
    state = store::State::open(sim, {.path = std::move(path), .schema = {"core", "node"}}).value();
    NodeDeskParts parts{
        .runtime = sim, .state = *state, .texts = texts, .municipalities = {m}, .hunt = {}, .deliver = {}, .tell = {}};
    parts.hunt = [this](HuntAsk ask, std::move_only_function<void(Result<HuntFound>)> then) {
      asks.push_back(ask);
      (void)sim.after(std::chrono::seconds(2), hunts,
                      [this, there = std::weak_ptr<int>(alive), then = std::move(then)]() mutable {
                        if (there.lock()) then(found);
                      });
    };
    parts.deliver = [this](store::Tx&, const Delivery& d) -> Result<std::size_t> {
      told.push_back(d);
      return 1;
    };
    parts.tell = [this](store::Tx&, std::string_view kind, std::string_view json, MunicipalityId,
                        event::Tlp) -> Result<void> {
      up.push_back({home, std::string(kind), std::string(json)});
      return {};
    };
    desk = NodeDesk::open(std::move(parts)).value();
    state->start();
  }
  ~NodeSide() { state->stop(); }
  template <class F>
  Result<void> change(F&& f) {
    return state->write_now([&](store::Tx& tx) -> Result<void> {
      auto done = f(tx);
      if (!done) return std::unexpected(done.error());
      return {};
    });
  }
  Result<void> take(const std::string& json) {
    return change([&](store::Tx& tx) { return desk->take(tx, json, std::nullopt); });
  }
  event::WarningAnswer last() {
    for (auto i = up.rbegin(); i != up.rend(); ++i)
      if (i->kind == "warning_answer")
        return net::from_json<event::WarningAnswer>(i->json, net::Unknown::refuse).value();
    return {};
  }

  Sim& sim;
  MunicipalityId home;
  std::shared_ptr<int> alive = std::make_shared<int>();
  QueueId hunts = sim.queue({.name = "hunts"});
  Catalogue texts = Catalogue::embedded();
  std::vector<HuntAsk> asks;
  std::vector<Delivery> told;
  std::vector<Said> up;
  Result<HuntFound> found = HuntFound{};
  std::unique_ptr<store::State> state;
  std::unique_ptr<NodeDesk> desk;
};

}  // namespace bavn::warn
