// A hub and its nodes in virtual time, joined by functions instead of streams.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "base/sim.hpp"
#include "base/temp_folder.hpp"
#include "event/notices.hpp"
#include "net/json_views.hpp"
#include "store/audit.hpp"
#include "warn/blocks/hub_blocks.hpp"
#include "warn/blocks/node_blocks.hpp"

namespace bavn::warn::blocks {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<const NeverBlock> lists() {
  auto n = NeverBlock::open({"gentofte.dk", "furesoe.dk"});
  EXPECT_TRUE(n);
  return std::make_shared<NeverBlock>(std::move(*n));
}

struct Town {
  MunicipalityId id;
  bool connected = true, answers = true;
  std::map<std::string, Seen> history;  // value -> what it hit
  std::unique_ptr<Settings> settings;
  std::unique_ptr<store::State> state;
  std::unique_ptr<NodeBlocks> blocks;
};

class Blocks : public ::testing::Test {
 protected:
  explicit Blocks(int towns = 8) : sim_(7) {
    queue_ = sim_.queue({.name = "links", .limit = 1'000'000});
    hub_state_ = *store::State::open(sim_, {.path = ":memory:", .schema = {"core", "hub"}});
    hub_ = *HubBlocks::open(
        sim_, *hub_state_,
        [this](store::Reader&) -> Result<std::vector<Connected>> {
          std::vector<Connected> out;
          for (const auto& t : towns_) out.push_back({t->id, t->connected});
          return out;
        },
        [this](store::Tx&, std::optional<MunicipalityId> to, std::string_view kind,
               const std::string& json) -> Result<void> {
          ++sent_;
          for (const auto& t : towns_)
            if (!to || t->id == *to) deliver(*t, std::string(kind), json);
          return {};
        },
        nullptr);
    for (int i = 1; i <= towns; ++i) add_town(i);
    hub_->use_never_block(lists());
    hub_state_->start();
    sim_.run_until_idle();
  }
  ~Blocks() override {
    for (auto& t : towns_) t->state->stop();
    hub_state_->stop();
  }

  void add_town(int i, std::string_view toml = "[blocks]\ncan_dns = true\ncan_mail = true\n") {
    auto t = std::make_unique<Town>();
    Town* town = t.get();
    town->id = MunicipalityId{static_cast<std::uint16_t>(100 + i)};
    town->state = *store::State::open(sim_, {.path = ":memory:", .schema = {"core", "node"}});
    town->settings = std::make_unique<Settings>(*Settings::read(node_settings(), toml, "test"));
    town->blocks = *NodeBlocks::open(
        sim_, *town->state, town->id,
        [this](store::Tx&, std::string_view kind, std::string_view json, MunicipalityId m, event::Tlp) -> Result<void> {
          sim_.after(10ms, queue_, [this, kind = std::string(kind), json = std::string(json), m] {
            hub_state_->write(
                [=, this](store::Tx& tx) {
                  return hub_->take(tx, {fmt::format("node{}", m.value), "", kind, m, sim_.now(), json});
                },
                [](Result<void> r) { EXPECT_TRUE(r) << to_string(r.error()); });
          });
          return {};
        },
        [town](const event::Observable& what, Instant, Instant, std::function<void(Result<Seen>)> then) {
          if (!town->answers) return;
          const auto at = town->history.find(what.value);
          then(at == town->history.end() ? Seen{0, 0, 90} : at->second);
        },
        town->settings.get());
    town->blocks->use_never_block(lists());
    town->state->start();
    towns_.push_back(std::move(t));
  }

  void deliver(Town& t, std::string kind, std::string json) {
    sim_.after(10ms, queue_, [&t, kind = std::move(kind), json = std::move(json)] {
      t.state->write(
          [&t, kind, json](store::Tx& tx) {
            return kind == "block" ? t.blocks->take(tx, json) : t.blocks->take_ask(tx, json);
          },
          [](Result<void> r) { EXPECT_TRUE(r) << to_string(r.error()); });
    });
  }

  void wait(Duration d) { sim_.advance(d); }
  static Proposal of(std::string kind, std::string value) {
    Proposal p;
    p.kind = std::move(kind);
    p.value = std::move(value);
    p.reason = "phishing, seen at two members";
    return p;
  }
  Entry propose(std::string kind, std::string value, std::string_view by = "Mette Holm") {
    const auto e = hub_->propose(by, of(std::move(kind), std::move(value)));
    EXPECT_TRUE(e) << (e ? "" : to_string(e.error()));
    return e ? *e : Entry{};
  }
  std::string state_of(const std::string& id) { return hub_->show(id)->entry.state; }
  int towns_with(const std::string& value) {
    int n = 0;
    for (const auto& t : towns_) {
      const auto list = t->blocks->in_force();
      EXPECT_TRUE(list);
      for (const auto& e : list->entries) n += e.what.value == value ? 1 : 0;
    }
    return n;
  }
  int audited(store::State& state, std::string_view action) {
    return static_cast<int>(*state.read(
        [&](store::Reader& r) { return r.number("SELECT count(*) FROM audit WHERE action = :a", {{"a", action}}); }));
  }

  Sim sim_;
  QueueId queue_;
  std::unique_ptr<store::State> hub_state_;
  std::vector<std::unique_ptr<Town>> towns_;
  std::unique_ptr<HubBlocks> hub_;
  int sent_ = 0;
};

TEST_F(Blocks, AnExactThingGoesToAllAtOnceAfterThePreview) {
  const Entry e = propose("url", "hxxps://bio[.]link/orbes");
  EXPECT_EQ(e.value, "bio.link/orbes");
  EXPECT_EQ(e.state, "preview");
  EXPECT_EQ(towns_with("bio.link/orbes"), 0);
  wait(2s);
  EXPECT_EQ(state_of(e.id), "in_force");
  EXPECT_EQ(towns_with("bio.link/orbes"), 8);
  const auto shown = hub_->show(e.id);
  EXPECT_EQ(shown->entry.answered, 8);
  EXPECT_EQ(shown->entry.can_host, 8);  // a resolver sees no path: said before it goes out
  EXPECT_EQ(shown->entry.sent_to, 8);
  EXPECT_EQ(shown->parts[0].state, "in_force");
  EXPECT_EQ(shown->parts[0].days, 90);
  EXPECT_GE(audited(*hub_state_, "block.proposed"), 1);
  EXPECT_GE(audited(*towns_[0]->state, "block.taken"), 1);
  EXPECT_TRUE(*hub_state_->read([](store::Reader& r) -> Result<bool> {
    BAVN_TRY(const auto report, store::audit::verify(r));
    return report.ok();
  }));
}

TEST_F(Blocks, ADomainGoesOutInStages) {
  const Entry e = propose("domain", "evil.example");
  wait(2s);
  EXPECT_EQ(state_of(e.id), "stage_1");
  EXPECT_EQ(towns_with("evil.example"), 1);
  wait(31min);
  EXPECT_EQ(state_of(e.id), "stage_5");
  EXPECT_EQ(towns_with("evil.example"), 5);
  wait(31min);
  EXPECT_EQ(state_of(e.id), "in_force");
  EXPECT_EQ(towns_with("evil.example"), 8);
}

TEST_F(Blocks, TheFirstStageIsWhereItHurtsLeastAndWorks) {
  for (auto& t : towns_) t->history["evil.example"] = {3, 3, 90};
  towns_[4]->history["evil.example"] = {1, 1, 90};
  add_town(9, "");  // would be hit by nothing, but can block nothing
  const Entry e = propose("domain", "evil.example");
  wait(2s);
  const auto shown = hub_->show(e.id);
  EXPECT_EQ(shown->parts[4].stage, 1);
  EXPECT_EQ(shown->parts[8].can, "nothing");
  EXPECT_EQ(shown->entry.people, 7 * 3 + 1);
  EXPECT_EQ(shown->entry.municipalities, 8);
  EXPECT_EQ(shown->entry.sent_to, 1);
}

TEST_F(Blocks, AStageThatReportsTooManyHitsIsRolledBack) {
  const Entry e = propose("domain", "cdn-of-many.example");
  wait(2s);
  EXPECT_EQ(towns_with("cdn-of-many.example"), 1);
  for (auto& t : towns_) t->history["cdn-of-many.example"] = {90, 40, 90};
  wait(11min);
  EXPECT_EQ(state_of(e.id), "rolled_back");
  EXPECT_EQ(towns_with("cdn-of-many.example"), 0);
  EXPECT_TRUE(hub_->show(e.id)->entry.ended_why.contains("40 people"));
  wait(10h);
  EXPECT_EQ(towns_with("cdn-of-many.example"), 0);
}

TEST_F(Blocks, AStageWhoseNodesAreSilentGoesNoFurtherByItself) {
  const Entry e = propose("domain", "evil.example");
  wait(2s);
  for (auto& t : towns_) t->answers = false;
  wait(3h);
  EXPECT_EQ(state_of(e.id), "stage_1");
  EXPECT_TRUE(hub_->approve("Jens Bo", e.id));  // a person may
  wait(1s);
  EXPECT_EQ(towns_with("evil.example"), 5);
}

TEST_F(Blocks, APersonSaysStop) {
  const Entry e = propose("domain", "evil.example");
  wait(2s);
  const auto stopped = hub_->stop("Jens Bo", e.id, "the town's own supplier");
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->state, "rolled_back");
  wait(1s);
  EXPECT_EQ(towns_with("evil.example"), 0);
  EXPECT_FALSE(hub_->stop("Jens Bo", e.id, "again"));
  EXPECT_FALSE(hub_->stop("Jens Bo", "nothing", "again"));
}

TEST_F(Blocks, AboveARadiusASecondPersonIsNeeded) {
  for (auto& t : towns_) t->history["news.example"] = {500, 40, 90};
  const Entry e = propose("domain", "news.example");
  wait(2s);
  auto shown = hub_->show(e.id)->entry;
  EXPECT_EQ(shown.state, "waits");
  EXPECT_EQ(shown.people, 320);
  EXPECT_EQ(shown.hits, 4000);
  EXPECT_TRUE(shown.needs_two_why.contains("320 people"));
  EXPECT_EQ(towns_with("news.example"), 0);
  for (const char* same : {"Mette Holm", "mette holm ", "METTE  HOLM", "mette.holm"}) {
    const auto again = hub_->approve(same, e.id);
    ASSERT_FALSE(again) << same;
    EXPECT_EQ(again.error().code, Code::forbidden);
  }
  EXPECT_FALSE(hub_->approve("", e.id));
  ASSERT_TRUE(hub_->approve("Jens Bo", e.id));
  wait(1s);
  EXPECT_EQ(towns_with("news.example"), 1);
  EXPECT_EQ(hub_->show(e.id)->entry.approved_by, "Jens Bo");
}

TEST_F(Blocks, WhenNobodyCanSayWhatItWouldHitASecondPersonIsNeeded) {
  for (auto& t : towns_) t->connected = false;
  EXPECT_EQ(propose("url", "evil.example/x").state, "waits");
  for (auto& t : towns_) t->connected = true;
  for (auto& t : towns_) t->answers = false;
  const Entry e = propose("url", "evil.example/y");
  wait(30s);
  EXPECT_EQ(state_of(e.id), "preview");
  wait(31s);
  EXPECT_EQ(state_of(e.id), "waits");
  EXPECT_EQ(hub_->show(e.id)->entry.answered, 0);
}

TEST_F(Blocks, AMessageIdNeedsNobodyElseThoughItHitMany) {
  for (auto& t : towns_) t->history["CAF=abc123@mail.example"] = {90, 90, 90};
  const Entry e = propose("message_id", "<CAF=abc123@mail.example>");
  wait(2s);
  EXPECT_EQ(state_of(e.id), "in_force");
  EXPECT_EQ(hub_->show(e.id)->entry.people, 720);
}

TEST_F(Blocks, EveryEntryExpiresByItselfAtTheHubAndAtTheNodes) {
  Proposal p = of("url", "evil.example/x");
  p.hours = 5;
  const auto e = hub_->propose("Mette Holm", p);
  wait(2s);
  EXPECT_EQ(towns_with("evil.example/x"), 8);
  const int sent = sent_;
  wait(4h + 58min);
  EXPECT_EQ(towns_with("evil.example/x"), 8);
  wait(3min);
  EXPECT_EQ(towns_with("evil.example/x"), 0);
  EXPECT_EQ(state_of(e->id), "over");
  EXPECT_EQ(sent_, sent);  // no word was needed
  p.hours = 15 * 24;
  EXPECT_FALSE(hub_->propose("Mette Holm", p));
  p.hours = 0;
  EXPECT_FALSE(hub_->propose("Mette Holm", p));
}

TEST_F(Blocks, RenewedItLastsLonger) {
  Proposal p = of("url", "evil.example/x");
  p.hours = 5;
  const auto e = hub_->propose("Mette Holm", p);
  wait(4h);
  ASSERT_TRUE(hub_->renew("Jens Bo", e->id, 5));
  wait(3h);
  EXPECT_EQ(towns_with("evil.example/x"), 8);
  wait(3h);
  EXPECT_EQ(towns_with("evil.example/x"), 0);
  EXPECT_FALSE(hub_->renew("Jens Bo", e->id, 5));
}

TEST_F(Blocks, ARenewalOfWhatNeededTwoNeedsTwo) {
  for (auto& t : towns_) t->history["evil.example/news"] = {500, 40, 90};
  const Entry e = propose("url", "evil.example/news");
  wait(2s);
  ASSERT_TRUE(hub_->approve("Jens Bo", e.id));
  wait(1s);
  const auto before = hub_->show(e.id)->entry.until_us;
  wait(1h);
  ASSERT_TRUE(hub_->renew("Jens Bo", e.id, 300));
  EXPECT_EQ(hub_->show(e.id)->entry.until_us, before);
  EXPECT_FALSE(hub_->approve("Jens Bo", e.id));
  ASSERT_TRUE(hub_->approve("Mette Holm", e.id));
  EXPECT_GT(hub_->show(e.id)->entry.until_us, before);
}

TEST_F(Blocks, AMembersAddressIsBlockedForHoursAMembersDomainNever) {
  Proposal p = of("email", "borgmester@gentofte.dk");
  p.hours = 5;
  EXPECT_FALSE(hub_->propose("Mette Holm", p));
  p.hours = 4;
  const auto e = hub_->propose("Mette Holm", p);
  ASSERT_TRUE(e);
  wait(2s);
  EXPECT_EQ(towns_with("borgmester@gentofte.dk"), 8);
  wait(4h);
  EXPECT_EQ(towns_with("borgmester@gentofte.dk"), 0);
  for (const auto& [kind, value] :
       {std::pair("domain", "gentofte.dk"), {"mail_domain", "gentofte.dk"}, {"url", "gentofte.dk/x"}}) {
    const auto no = hub_->propose("Mette Holm", of(kind, value));
    ASSERT_FALSE(no);
    EXPECT_EQ(no.error().code, Code::forbidden);
  }
}

const std::vector<std::pair<const char*, const char*>> kNobodyBlocks = {
    {"domain", "microsoft.com"}, {"domain", "borger.dk"}, {"domain", "bio.link"}, {"domain", "gentofte.dk"},
    {"cidr", "10.0.0.0/8"},      {"cidr", "81.0.0.0/8"},  {"domain", "dk"},       {"domain", "co.uk"}};

TEST_F(Blocks, WhatIsNeverBlockedCannotComeInByAnyWay) {
  for (const auto& [kind, value] : kNobodyBlocks) {
    // By a person at the hub.
    EXPECT_FALSE(hub_->propose("Mette Holm", of(kind, value))) << value;
    // By a hub that sends it all the same (taken over, or wrong).
    event::BlockChange c;
    c.id = fmt::format("forged-{}", value[0]);
    c.kind = kind;
    c.value = value;
    c.action = "block";
    c.from_us = micros(sim_.now());
    c.until_us = c.from_us + 3'600'000'000;
    c.reason = "because";
    deliver(*towns_[0], "block", net::to_json(c));
    // By a person at the node.
    EXPECT_FALSE(towns_[0]->blocks->add_override("Jens Bo", "deny", kind, value, "we want it", 10)) << value;
    // By hand, in both tables.
    ASSERT_TRUE(towns_[0]->state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(
          tx.exec("INSERT INTO node_block VALUES (:id, :k, :v, 'block', '', '', '', 'in_force', '', 1, :u, 1, 0)",
                  {{"id", fmt::format("hand-{}", value[0])}, {"k", kind}, {"v", value}, {"u", tx.now() + 5h}}));
      BAVN_CHECK(tx.exec("INSERT INTO node_block_override VALUES (:k, :v, 'deny', '', '', 1, :u)",
                         {{"k", kind}, {"v", value}, {"u", tx.now() + 5h}}));
      return {};
    }));
    wait(1s);
    EXPECT_EQ(towns_with(value), 0) << value;
    for (const auto& found : exports::files()) {
      if (found.file.name == "rpz_passthru.zone") continue;  // there it is let through
      const auto file = towns_[0]->blocks->file(found.file.name);
      ASSERT_TRUE(file) << found.file.name;
      if (!std::string_view(value).contains("dk") && std::string_view(value) != "co.uk") {
        EXPECT_FALSE(file->body.contains(value)) << found.file.name << " " << value;
      }
    }
    ASSERT_TRUE(towns_[0]->state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("DELETE FROM node_block"));
      BAVN_CHECK(tx.exec("DELETE FROM node_block_override"));
      return {};
    }));
  }
  EXPECT_GE(audited(*hub_state_, "block.refused"), 6);
  EXPECT_GE(audited(*towns_[0]->state, "block.refused"), 6);
}

TEST_F(Blocks, OnlyAskedItNamesHowManyItWouldHaveHitAndNeverGoesOut) {
  for (auto& t : towns_) t->history["microsoft.com"] = {9000, 120, 90};
  const auto asked = hub_->ask("Mette Holm", "domain", "microsoft.com");
  ASSERT_TRUE(asked) << to_string(asked.error());
  EXPECT_TRUE(asked->ended_why.contains("never blocked"));
  wait(2s);
  const auto e = hub_->show(asked->id)->entry;
  EXPECT_EQ(e.state, "asked");
  EXPECT_EQ(e.answered, 8);
  EXPECT_EQ(e.people, 8 * 120);
  EXPECT_EQ(e.hits, 8 * 9000);
  EXPECT_EQ(towns_with("microsoft.com"), 0);
  EXPECT_FALSE(hub_->approve("Jens Bo", asked->id));
  EXPECT_FALSE(hub_->renew("Jens Bo", asked->id, 1));
  EXPECT_TRUE(hub_->list()->empty());
  wait(10h);
  EXPECT_EQ(towns_with("microsoft.com"), 0);
  EXPECT_TRUE(hub_->ask("Mette Holm", "domain", "evil.example")->ended_why.empty());
  propose("domain", "evil.example");  // a question does not stand in the way
}

TEST_F(Blocks, ANodeRefusesWhatIsItsOwn) {
  add_town(9, "[blocks]\nown_networks = \"203.0.113.0/24, 2001:db8:7::/48\"\n");
  const Entry e = propose("ip", "203.0.113.7");
  wait(2s);
  ASSERT_TRUE(hub_->approve("Jens Bo", e.id));
  wait(2s);
  ASSERT_TRUE(hub_->approve("Jens Bo", e.id));
  wait(2s);
  EXPECT_EQ(towns_with("203.0.113.7"), 8);
  const auto shown = hub_->show(e.id);
  EXPECT_EQ(shown->parts[8].state, "refused");
  EXPECT_TRUE(shown->parts[8].why.contains("of this municipality"));
}

TEST_F(Blocks, WhatBecomesAMembersIsWithdrawn) {
  const Entry e = propose("url", "newtown.example/x");
  wait(2s);
  EXPECT_EQ(towns_with("newtown.example/x"), 8);
  auto n = NeverBlock::open({"newtown.example"});
  hub_->use_never_block(std::make_shared<NeverBlock>(std::move(*n)));
  wait(1s);
  EXPECT_EQ(state_of(e.id), "refused");
  EXPECT_EQ(towns_with("newtown.example/x"), 0);
}

TEST_F(Blocks, TheKillSwitchForEverythingOneMunicipalityAndHere) {
  const Entry one = propose("url", "evil.example/1");
  const Entry two = propose("url", "evil.example/2");
  wait(2s);
  // One municipality.
  ASSERT_TRUE(hub_->kill("Jens Bo", towns_[0]->id, "their proxy is down"));
  wait(1s);
  EXPECT_EQ(towns_with("evil.example/1"), 7);
  const Entry three = propose("url", "evil.example/3");
  wait(2s);
  EXPECT_EQ(towns_with("evil.example/3"), 7);
  ASSERT_TRUE(hub_->revive("Jens Bo", towns_[0]->id, "it is back"));
  wait(1s);
  EXPECT_EQ(towns_with("evil.example/1"), 8);
  EXPECT_EQ(towns_with("evil.example/3"), 8);
  // Here.
  ASSERT_TRUE(towns_[1]->blocks->kill("Ida Lund", "the phones are ringing"));
  wait(1s);
  EXPECT_EQ(towns_with("evil.example/1"), 7);
  EXPECT_EQ(hub_->show(one.id)->parts[1].state, "killed");
  ASSERT_TRUE(towns_[1]->blocks->revive("Ida Lund", "it was something else"));
  EXPECT_EQ(towns_with("evil.example/1"), 8);
  // Everything.
  ASSERT_TRUE(hub_->kill("Jens Bo", std::nullopt, "we do not know what is going on"));
  wait(1s);
  for (const char* value : {"evil.example/1", "evil.example/2", "evil.example/3"}) EXPECT_EQ(towns_with(value), 0);
  EXPECT_EQ(state_of(two.id), "stopped");
  EXPECT_FALSE(hub_->propose("Mette Holm", of("url", "evil.example/4")));
  ASSERT_TRUE(hub_->revive("Jens Bo", std::nullopt, "we know now"));
  propose("url", "evil.example/1");
  wait(2s);
  EXPECT_EQ(towns_with("evil.example/1"), 8);
  EXPECT_EQ(towns_with("evil.example/2"), 0);
}

TEST_F(Blocks, ANodeMadeAnewGetsWhatIsInForce) {
  propose("url", "evil.example/1");
  wait(2s);
  add_town(9);
  ASSERT_TRUE(hub_state_->write_now([&](store::Tx& tx) { return hub_->welcome(tx, towns_.back()->id); }));
  wait(1s);
  EXPECT_EQ(towns_with("evil.example/1"), 9);
}

TEST_F(Blocks, AnOlderWordDoesNotBringBackWhatIsGone) {
  event::BlockChange c;
  c.id = "b1";
  c.kind = "domain";
  c.value = "evil.example";
  c.action = "block";
  c.from_us = micros(sim_.now());
  c.until_us = c.from_us + 36'000'000'000;
  const std::string block = net::to_json(c);
  c.action = "gone";
  c.from_us += 5;
  const std::string gone = net::to_json(c);
  for (const std::string& word : {block, gone, block, block, gone}) deliver(*towns_[0], "block", word);
  wait(1s);
  EXPECT_EQ(towns_with("evil.example"), 0);
  c.action = "block";
  c.from_us += 5;
  deliver(*towns_[0], "block", net::to_json(c));
  wait(1s);
  EXPECT_EQ(towns_with("evil.example"), 1);
}

TEST_F(Blocks, APersonHereLetsThroughOrAdds) {
  propose("url", "evil.example/x");
  wait(2s);
  NodeBlocks& here = *towns_[0]->blocks;
  EXPECT_FALSE(here.add_override("", "allow", "domain", "evil.example", "our supplier", 10));
  EXPECT_FALSE(here.add_override("Ida Lund", "allow", "domain", "evil.example", "", 10));
  EXPECT_FALSE(here.add_override("Ida Lund", "allow", "domain", "evil.example", "our supplier", 100'000));
  ASSERT_TRUE(here.add_override("Ida Lund", "allow", "domain", "evil.example", "our supplier", 10));
  EXPECT_TRUE(here.file("plain.urls")->body.contains("entries"));
  EXPECT_FALSE(here.file("plain.urls")->body.contains("evil.example/x"));
  EXPECT_EQ(here.list()->at(0).state, "allowed");
  wait(1s);
  EXPECT_EQ(hub_->show(hub_->list()->at(0).id)->parts[0].state, "allowed");
  wait(10h);
  EXPECT_TRUE(here.file("plain.urls")->body.contains("\nevil.example/x\n"));
  ASSERT_TRUE(here.add_override("Ida Lund", "deny", "domain", "own.example", "seen here", 2));
  EXPECT_TRUE(here.file("rpz.zone")->body.contains("\nown.example CNAME ."));
  ASSERT_TRUE(here.drop_override("Ida Lund", "domain", "own.example"));
  EXPECT_FALSE(here.file("rpz.zone")->body.contains("own.example"));
}

TEST_F(Blocks, TheSerialRisesWithEachChangeAndOnlyThen) {
  NodeBlocks& here = *towns_[0]->blocks;
  const auto serial = [&] { return here.in_force()->serial; };
  const auto first = serial();
  const auto etag = here.file("rpz.zone")->etag;
  EXPECT_EQ(here.file("rpz.zone")->etag, etag);
  wait(5h);
  EXPECT_EQ(serial(), first);
  EXPECT_EQ(here.file("rpz.zone")->etag, etag);
  Proposal p = of("domain", "evil.example");
  p.hours = 1;
  ASSERT_TRUE(hub_->propose("Mette Holm", p));
  wait(2s);
  EXPECT_EQ(serial(), first + 1);
  EXPECT_NE(here.file("rpz.zone")->etag, etag);
  wait(2h);
  EXPECT_EQ(serial(), first + 2);  // it expired: a change, too
  EXPECT_FALSE(here.file("rpz.zone")->body.contains("evil.example"));
}

TEST_F(Blocks, ATokenOpensItsListAndNoOther) {
  NodeBlocks& here = *towns_[0]->blocks;
  const auto token = here.issue_token("Ida Lund", "rpz.zone", "ns1");
  ASSERT_TRUE(token);
  EXPECT_TRUE(here.may_fetch(*token, "rpz.zone"));
  EXPECT_EQ(here.may_fetch(*token, "plain.urls").error().code, Code::forbidden);
  EXPECT_EQ(here.may_fetch("bavn_li_nothing", "rpz.zone").error().code, Code::forbidden);
  EXPECT_EQ(here.may_fetch("", "rpz.zone").error().code, Code::not_found);
  EXPECT_FALSE(here.issue_token("Ida Lund", "rpz.zones", "ns1"));
  ASSERT_TRUE(here.revoke_token("Ida Lund", here.tokens()->at(0).id));
  EXPECT_FALSE(here.may_fetch(*token, "rpz.zone"));
  EXPECT_TRUE(here.tokens()->at(0).hash.empty());
}

TEST_F(Blocks, ThatADeviceHasTheEntriesOfACampaignIsToldOnce) {
  NodeBlocks& here = *towns_[0]->blocks;
  const auto token = here.issue_token("Ida Lund", "rpz.zone", "ns1");
  const auto told = [&] {
    wait(1s);
    return towns_[0]
        ->state
        ->read([](store::Reader& db) {
          return db.all<std::string>("SELECT subject FROM domain_event WHERE kind = 'block.fetched' ORDER BY seq");
        })
        .value();
  };
  ASSERT_TRUE(here.may_fetch(*token, "rpz.zone"));
  EXPECT_TRUE(told().empty()) << "there is nothing in it yet";
  Proposal p = of("domain", "evil.example");
  p.campaign = "c-1";
  ASSERT_TRUE(hub_->propose("Mette Holm", p));
  wait(2s);
  EXPECT_TRUE(told().empty()) << "it came, no device has it";
  ASSERT_TRUE(here.may_fetch(*token, "rpz.zone"));
  EXPECT_EQ(told(), std::vector<std::string>{"c-1"});
  ASSERT_TRUE(here.may_fetch(*token, "rpz.zone"));
  EXPECT_EQ(told().size(), 1U);
}

TEST_F(Blocks, TheLastGoodListIsKeptWhenTheNewestCannotBeWritten) {
  Town& t = *towns_[0];
  TempFolder folder;
  const auto open = [&](std::string_view toml) {
    t.blocks.reset();
    t.state->stop();
    t.state = *store::State::open(sim_, {.path = folder.at("node.db"), .schema = {"core", "node"}});
    t.settings = std::make_unique<Settings>(*Settings::read(node_settings(), toml, "test"));
    t.blocks = *NodeBlocks::open(
        sim_, *t.state, t.id, [](auto&&...) -> Result<void> { return {}; }, [](auto&&...) {}, t.settings.get());
    t.blocks->use_never_block(lists());
  };
  open("");
  ASSERT_TRUE(t.blocks->add_override("Ida Lund", "deny", "domain", "own.example", "seen here", 20));
  const auto good = t.blocks->file("rpz.zone");
  ASSERT_TRUE(good) << to_string(good.error());
  ASSERT_TRUE(good->body.contains("own.example"));
  open("[blocks]\nrpz_action = \"not a name\"\n");  // a setting that no list of this kind can be made of
  const auto kept = t.blocks->file("rpz.zone");
  ASSERT_TRUE(kept) << to_string(kept.error());
  EXPECT_TRUE(kept->stale);
  EXPECT_TRUE(kept->body.contains("own.example"));
  EXPECT_TRUE(kept->trouble.contains("rpz.action"));
  const auto other = t.blocks->file("rpz_passthru.zone");
  ASSERT_TRUE(other) << to_string(other.error());
  EXPECT_FALSE(other->stale);
}

TEST_F(Blocks, WhatNodesSayIsBoundedAndCannotReachOthers) {
  const Entry e = propose("domain", "evil.example");
  const auto say = [&](std::uint16_t m, std::string kind, std::string body) {
    return hub_state_->write_now(
        [&](store::Tx& tx) { return hub_->take(tx, {"node", "", kind, MunicipalityId{m}, sim_.now(), body}); });
  };
  // A municipality that was not asked, and one that has it not.
  EXPECT_TRUE(
      say(999, "block_preview", fmt::format(R"({{"preview":"{}","hits":9,"people":9,"days":9,"can":"path"}})", e.id)));
  EXPECT_TRUE(say(
      999, "block_state",
      fmt::format(R"({{"id":"{}","state":"in_force","why":"","hits":99999,"people":99999,"since_us":0,"looked":true}})",
                  e.id)));
  EXPECT_FALSE(say(101, "block_preview", R"({"preview":"x","hits":9,"people":9,"days":9,"can":"all"})"));
  EXPECT_FALSE(say(101, "block_preview", "[]"));
  EXPECT_FALSE(say(101, "something", "{}"));
  EXPECT_TRUE(
      say(101, "block_preview",
          fmt::format(R"({{"preview":"{}","hits":-5,"people":9223372036854775807,"days":90,"can":"host"}})", e.id)));
  wait(2s);
  const auto shown = hub_->show(e.id);
  EXPECT_EQ(shown->parts.size(), 8U);
  EXPECT_EQ(shown->parts[0].hits, 0);
  EXPECT_EQ(shown->parts[0].people, 1'000'000'000);
}

TEST_F(Blocks, WhatEndedLongAgoIsForgotten) {
  const Entry e = propose("url", "evil.example/x");
  propose("message_id", "CAF=abc123@mail.example");
  wait(2s);
  ASSERT_TRUE(hub_->stop("Jens Bo", e.id, "the wrong one"));
  ASSERT_TRUE(towns_[0]->blocks->add_override("Ida Lund", "allow", "domain", "evil.example", "our supplier", 10));
  const auto forget = [&](store::State& state, const std::vector<store::RetentionRule>& rules) {
    std::int64_t n = 0;
    for (const auto& rule : rules)
      EXPECT_TRUE(state.write_now([&](store::Tx& tx) -> Result<void> {
        BAVN_TRY(const auto went, rule.forget(tx, tx.now() - std::chrono::days(rule.days)));
        n += went;
        return {};
      }));
    return n;
  };
  EXPECT_EQ(forget(*hub_state_, hub_retention()), 0);
  wait(std::chrono::days(804));
  EXPECT_EQ(forget(*hub_state_, hub_retention()), 2);
  EXPECT_EQ(forget(*towns_[0]->state, node_retention()), 1);
  EXPECT_TRUE(hub_->list(true)->empty());
}

TEST_F(Blocks, BadProposalsAreRefusedWithAReason) {
  for (const auto& [kind, value] : {std::pair("domain", "not a name"),
                                    {"url", ""},
                                    {"colour", "red"},
                                    {"subject", "Hej"},
                                    {"domain", "a\nb.example"}})
    EXPECT_FALSE(hub_->propose("Mette Holm", of(kind, value))) << value;
  Proposal p = of("domain", "evil.example");
  p.reason = " ";
  EXPECT_FALSE(hub_->propose("Mette Holm", p));
  p.reason = "because of this";
  p.action = "delete";
  EXPECT_FALSE(hub_->propose("Mette Holm", p));
  p.action = "hold";
  EXPECT_FALSE(hub_->propose("x", p));
  EXPECT_TRUE(hub_->propose("Mette Holm", p));
  const auto twice = hub_->propose("Jens Bo", p);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, Code::conflict);
}

}  // namespace
}  // namespace bavn::warn::blocks
