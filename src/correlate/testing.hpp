#pragma once
// For tests: a hub's tables under Sim, a community of made-up municipalities, and what went down.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.hpp"
#include "base/sim.hpp"
#include "correlate/campaigns.hpp"
#include "correlate/correlator.hpp"
#include "correlate/digests.hpp"
#include "event/notices.hpp"
#include "net/json_views.hpp"
#include "store/state.hpp"

namespace bavn::correlate::testing {

constexpr std::int64_t kSecond = 1'000'000, kMinute = 60 * kSecond, kHour = 60 * kMinute, kDay = 24 * kHour;

/// Municipalities 1 .. n with the domains town1.example, ... and school1.example.
class Towns : public Members {
 public:
  explicit Towns(int n, int connected_to = 1000) {
    for (int i = 1; i <= n; ++i)
      all_.push_back({MunicipalityId{static_cast<std::uint16_t>(i)},
                      std::to_string(i),
                      "Town " + std::to_string(i),
                      {domain(i), "school" + std::to_string(i) + ".example"},
                      i <= connected_to,
                      true});
  }
  static std::string domain(int i) { return "town" + std::to_string(i) + ".example"; }
  std::vector<Member> all() const override { return all_; }
  std::optional<Member> of(MunicipalityId id) const override {
    return id.value >= 1 && id.value <= all_.size() ? std::optional(all_[id.value - 1U]) : std::nullopt;
  }
  std::optional<MunicipalityId> of_domain(std::string_view domain) const override {
    for (const std::string_view front : {"town", "school"})
      if (domain.starts_with(front) && domain.ends_with(".example")) {
        const int i = std::atoi(std::string(domain.substr(front.size())).c_str());
        if (i >= 1 && i <= static_cast<int>(all_.size())) return MunicipalityId{static_cast<std::uint16_t>(i)};
      }
    return std::nullopt;
  }
  void connect(int i, bool connected) { all_.at(static_cast<std::size_t>(i - 1)).connected = connected; }

 private:
  std::vector<Member> all_;
};

struct Sent {
  std::uint16_t to = 0;
  std::string kind, json;
  event::SenderIds ids() const {
    auto read = net::from_json<event::SenderIds>(json, net::Unknown::refuse);
    EXPECT_TRUE(read) << json;
    return read ? *read : event::SenderIds{};
  }
};

/// A book of digests of which a test decides what it says.
class GivenDigests : public Digests {
 public:
  Result<std::vector<Group>> take(store::Tx&, const Report&) override { return next; }
  Result<void> want_reveal(store::Tx&, const std::string& group, std::string_view) override {
    asked.push_back(group);
    return {};
  }
  Result<std::optional<Group>> group_of(store::Tx&, const std::string& digest) override {
    for (const auto& g : next)
      if (g.id == digest) return g;
    return std::nullopt;
  }
  std::vector<Group> next;
  std::vector<std::string> asked;
};

class Hub : public ::testing::Test {
 protected:
  void open(int towns, Options o, int connected_to = 1000) {
    members = std::make_unique<Towns>(towns, connected_to);
    options = std::move(o);
    restart();
  }
  /// As after a crash: what is in the file is all there is.
  void restart() {
    if (state) state->stop();
    correlator.reset();
    book.reset();
    state.reset();
    auto opened = store::State::open(sim, {.path = path, .schema = {"core", "hub"}});
    ASSERT_TRUE(opened) << to_string(opened.error());
    state = std::move(*opened);
    if (real_book) {
      auto opened_book = DigestBook::open(sim, *state, *members, to_nodes(), {}, {}, metrics);
      ASSERT_TRUE(opened_book) << to_string(opened_book.error());
      book = std::move(*opened_book);
    }
    auto made = Correlator::open(
        sim, *state, *members, to_nodes(), options, metrics, book ? static_cast<Digests*>(book.get()) : &digests,
        [this](store::Tx&, std::string_view, std::string_view value) {
          return indicators.contains(std::string(value)) ? indicators[std::string(value)] : std::string();
        });
    ASSERT_TRUE(made) << to_string(made.error());
    correlator = std::move(*made);
    state->subscribe("test", sim.queue({.name = "test"}), [this](const store::DomainEvent& e) -> Result<void> {
      events.push_back(e);
      return {};
    });
    state->start();
  }
  ~Hub() override {
    if (state) state->stop();
  }
  Down to_nodes() {
    return [this](store::Tx&, std::optional<MunicipalityId> to, std::string_view kind,
                  const std::string& json) -> Result<void> {
      if (refuse_down) return fail(Code::unavailable, "the stream is away");
      sent.push_back({to ? to->value : std::uint16_t{0}, std::string(kind), json});
      return {};
    };
  }

  std::int64_t now() const { return micros(sim.now()); }
  template <class T>
  Result<void> report(int of, std::string_view kind, const T& body) {
    return report_json(of, kind, net::to_json(body));
  }
  Result<void> report_json(int of, std::string_view kind, const std::string& body) {
    return state->write_now([&](store::Tx& tx) {
      return correlator->take(tx, {.node = "node" + std::to_string(of),
                                   .id = "r",
                                   .kind = std::string(kind),
                                   .municipality = MunicipalityId{static_cast<std::uint16_t>(of)},
                                   .at = sim.now(),
                                   .received = sim.now(),
                                   .body = body});
    });
  }
  template <class F>
  Result<void> tx(F&& f) {
    return state->write_now([&](store::Tx& t) { return f(t); });
  }

  Result<void> judge(std::int64_t id, bool real) {
    return tx([&](store::Tx& t) { return correlator->judge(t, id, real, "analyst", "looked at"); });
  }

  event::SenderNotice notice(const std::string& id, int of, const std::string& who,
                             const std::map<int, int>& to) const {
    event::SenderNotice n;
    n.id = id;
    n.sender = who + "@" + Towns::domain(of);
    n.from_us = now() - 5 * kMinute;
    n.to_us = now() - kMinute;
    n.noticed_us = now();
    n.usual = 3;
    n.source = "message_trace";
    n.late_s = 300;
    for (const auto& [m, mails] : to) {
      event::ForDomain d;
      d.domain = Towns::domain(m);
      d.mails = mails;
      for (int i = 0; i < mails; ++i)
        d.message_ids.push_back("<" + id + "." + std::to_string(m) + "." + std::to_string(i) + "@mail.example>");
      n.mails += mails;
      n.recipients += mails;
      n.to.push_back(std::move(d));
    }
    return n;
  }
  event::BurstNotice burst(const std::string& id, int from, const std::string& who, int mails) const {
    event::BurstNotice b;
    b.id = id;
    b.sender = who + "@" + Towns::domain(from);
    b.from_us = now() - 5 * kMinute;
    b.to_us = now() - kMinute;
    b.noticed_us = now();
    b.mails = b.recipients = mails;
    b.source = "message_trace";
    return b;
  }
  event::TakeoverNotice takeover(const std::string& id, int of, const std::string& who,
                                 const std::string& level) const {
    event::TakeoverNotice t;
    t.id = id;
    t.account = who + "@" + Towns::domain(of);
    t.first_us = now() - kHour;
    t.noticed_us = now();
    t.level = level;
    t.source = "sign_in";
    return t;
  }
  event::Sign sign(const std::string& group, const std::string& kind) const { return {group, kind, now(), ""}; }
  Group group(const std::string& id, int from_town, int towns) const {
    Group g;
    g.id = id;
    g.kind = "url";
    g.first_us = now() - kMinute;
    g.last_us = now();
    for (int i = 0; i < towns; ++i)
      g.seen.push_back({MunicipalityId{static_cast<std::uint16_t>(from_town + i)}, now() - kMinute + i, 5});
    return g;
  }

  std::vector<Campaign> list(std::vector<std::string> states = {}) {
    CampaignFilter f;
    f.states = std::move(states);
    f.limit = 1000;
    auto found = state->read([&](store::Reader& db) { return campaigns(db, f); });
    EXPECT_TRUE(found) << to_string(found.error());
    return found ? *found : std::vector<Campaign>{};
  }
  std::vector<Campaign> all() { return list({"candidate", "waiting", "suspicion", "lit", "over", "false"}); }
  CampaignFacts facts(std::int64_t id) {
    auto found = state->read([&](store::Reader& db) { return facts_of(db, id); });
    EXPECT_TRUE(found) << to_string(found.error());
    return found ? *found : CampaignFacts{};
  }
  /// Events of a kind, when all are delivered.
  std::vector<store::DomainEvent> told(std::string_view kind) {
    sim.advance(std::chrono::seconds(1));
    std::vector<store::DomainEvent> out;
    for (const auto& e : events)
      if (e.kind == kind) out.push_back(e);
    return out;
  }
  std::vector<event::SenderIds> ids_to(int town) const {
    std::vector<event::SenderIds> out;
    for (const auto& s : sent)
      if (s.to == town && s.kind == "sender_ids") out.push_back(s.ids());
    return out;
  }

  Sim sim{7};
  Metrics metrics;
  GivenDigests digests;
  std::map<std::string, std::string> indicators;
  std::unique_ptr<Towns> members;
  Options options;
  std::string path = ":memory:";
  std::unique_ptr<store::State> state;
  bool real_book = false;
  std::unique_ptr<DigestBook> book;
  std::unique_ptr<Correlator> correlator;
  std::vector<Sent> sent;
  std::vector<store::DomainEvent> events;
  bool refuse_down = false;
};

inline Options live() {
  Options o;
  o.first_mode = "live";
  return o;
}

}  // namespace bavn::correlate::testing
