// Warnings as partners read them: what is in them, for whom, and that nothing of a member is.
#include "exchange/stix/warning.hpp"
#include "exchange/taxii/testing.hpp"

namespace bavn::exchange::taxii {
namespace {

using namespace std::chrono_literals;
using namespace testing;

class TaxiiWarnings : public ::testing::Test {
 protected:
  /// As the desk of warnings keeps one, and says so.
  void warn(const std::string& state_now, const std::string& look_for, const std::string& more = "",
            const std::string& tlp = "green") {
    const std::string about = R"({"campaign":"7","severity":"high","tlp":")" + tlp +
                              R"(","from_domain":"gentofte.dk","from_address":"ann@gentofte.dk","first_seen_us":)" +
                              std::to_string(micros(sim.now() - 1h)) +
                              R"(,"mails":250,"municipalities":12,"look_for":[)" + look_for + "]" + more + "}";
    hub.sql(
        "INSERT INTO warning (id, campaign, state, severity, tlp, version, about, published, own_words, "
        "first_seen_us, drafted_at_us, sent_at_us, published_at_us, changed_at_us) VALUES ('w1', '7', :s, 'high', "
        ":t, 1, :a, :a, '[]', 0, 0, :now, :now, :now) ON CONFLICT (id) DO UPDATE SET state = :s, tlp = :t, about = "
        ":a, published = :a, published_at_us = :now",
        {{"s", state_now}, {"t", tlp}, {"a", about}, {"now", sim.now()}});
    const auto said = hub.state->write_now([&](store::Tx& tx) { return tx.emit("warning." + state_now, "w1"); });
    ASSERT_TRUE(said) << to_string(said.error());
    sim.advance(2s);
  }
  Answer all(const std::string& who) {
    return hub.get(who,
                   Hub::objects("known") + "?match[type]=report,campaign,sighting,relationship,indicator&limit=1000");
  }
  net::JsonValue of_type(const Answer& a, std::string_view type, std::size_t n = 0) {
    for (const net::JsonValue o : a["objects"])
      if (o["type"].text_or({}) == type && n-- == 0) return o;
    return {};
  }
  log::Capture quiet_;
  Sim sim{7};
  Hub hub{sim};
};

constexpr const char* kLookFor =
    R"({"kind":"url","value":"bio.link/orbes"},{"kind":"domain","value":"evil.example"},
       {"kind":"email","value":"ann@gentofte.dk"},{"kind":"url","value":"www.gentofte.dk/hacked"},
       {"kind":"url","value":"login.example/gentofte.dk/x"},{"kind":"domain","value":"mail.furesoe.dk"},
       {"kind":"domain","value":"notgentofte.dk"},{"kind":"message_id","value":"1@mail.example"},
       {"kind":"subject","value":"Invoice for Ann"})";

TEST_F(TaxiiWarnings, AreAReportWithWhatToLookForAndCountsWithoutMembers) {
  hub.sql("INSERT INTO member_domain (domain, municipality) VALUES ('furesoe.dk', 190)", {});
  warn("sent", kLookFor);
  const auto a = all("green");
  ASSERT_EQ(a.status, 200) << a.body;
  const auto report = of_type(a, "report");
  ASSERT_TRUE(report) << a.body;
  EXPECT_EQ(report["object_refs"].size(), 5U) << "campaign, three indicators, sighting";
  std::set<std::string> there;
  for (const std::string& id : a.ids()) there.insert(id);
  for (const net::JsonValue ref : report["object_refs"]) EXPECT_TRUE(there.contains(std::string(ref.text_or({}))));
  const auto sighting = of_type(a, "sighting");
  EXPECT_EQ(sighting["count"].integer(), 250);
  EXPECT_EQ(sighting["where_sighted_refs"].at(0).text_or({}), hub.taxii->author().identity());
  EXPECT_EQ(sighting["sighting_of_ref"].text_or({}), of_type(a, "campaign")["id"].text_or({}));
  for (const char* here : {"bio.link/orbes", "evil.example", "'notgentofte.dk'"})
    EXPECT_NE(a.body.find(here), std::string::npos) << here;
  for (const char* never :
       {"ann@", "www.gentofte", "/gentofte.dk", "furesoe", "1@mail.example", "Invoice", "municipalit"})
    EXPECT_EQ(a.body.find(never), std::string::npos) << never << " in " << a.body;
  // Told again without a change: nobody reads it twice.
  const auto first = a.ids();
  warn("sent", kLookFor, R"(,"clicks":3)");
  const auto last = hub.get("green", Hub::objects("known") + "?match[type]=report");
  EXPECT_EQ(last["objects"].size(), 1U);
  EXPECT_EQ(all("green").ids().size(), first.size());
}

TEST_F(TaxiiWarnings, GoOnlyToWhomTheyMayAndNotWhenTheyWereForSome) {
  warn("sent", kLookFor, "", "amber");
  EXPECT_EQ(all("green")["objects"].size(), 0U);
  EXPECT_GT(all("amber")["objects"].size(), 4U);
  EXPECT_EQ(hub.get("amber", Hub::objects("green") + "?match[type]=report")["objects"].size(), 0U);
  const auto file = [&](event::Tlp ceiling) {
    return hub.taxii->warnings_view().write({}, {.ceiling = ceiling}).value();
  };
  EXPECT_EQ(file(event::Tlp::green).find("\"report\""), std::string::npos);
  EXPECT_NE(file(event::Tlp::amber).find("\"report\""), std::string::npos);
  hub.sql("DELETE FROM warning", {});
  hub.sql("DELETE FROM taxii_object WHERE source = 'warning w1'", {});
  warn("sent", kLookFor, R"(,"to":[157])");
  EXPECT_EQ(all("anna")["objects"].size(), 0U);
}

TEST_F(TaxiiWarnings, AChangeIsANewVersionAndWithdrawnIsRevoked) {
  warn("sent", kLookFor);
  const auto before = all("green");
  const std::string created(of_type(before, "report")["created"].text_or({}));
  sim.advance(1h);
  warn("updated", R"({"kind":"domain","value":"evil.example"},{"kind":"domain","value":"later.example"})");
  const auto updated = all("green");
  EXPECT_EQ(of_type(updated, "report")["created"].text_or({}), created);
  EXPECT_GT(of_type(updated, "report")["modified"].text_or({}), created);
  std::size_t revoked = 0;
  for (const net::JsonValue o : updated["objects"])
    if (o["revoked"].boolean().value_or(false)) {
      ++revoked;
      EXPECT_GT(o["modified"].text_or({}), created);
    }
  EXPECT_EQ(revoked, 6U) << "three indicators that are looked for no longer, and that they indicate it: "
                         << updated.body;
  EXPECT_NE(updated.body.find("later.example"), std::string::npos);
  sim.advance(1h);
  warn("over", R"({"kind":"domain","value":"evil.example"},{"kind":"domain","value":"later.example"})");
  EXPECT_NE(all("green").body.find("\"valid_until\""), std::string::npos);
  sim.advance(1h);
  warn("withdrawn", R"({"kind":"domain","value":"evil.example"})");
  const auto gone = all("green");
  ASSERT_EQ(gone["objects"].size(), updated["objects"].size()) << "whoever has one hears that it was none";
  for (const net::JsonValue o : gone["objects"]) EXPECT_EQ(o["revoked"].boolean(), true) << o.to_text();
}

}  // namespace
}  // namespace bavn::exchange::taxii
