// What the formats declare as facts, on their own samples (samples/x.in -> samples/x.facts.json, one line a fact), on other people's
// records, and on the case of October 2024 as the stand-in of Microsoft 365 makes it. BAVN_UPDATE_GOLDEN=1 rewrites the expected files.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/sim.hpp"
#include "hunt/engine.hpp"
#include "input/sources/microsoft365/stand_in/world.hpp"
#include "notice/fact_reader.hpp"

namespace bavn::live {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::string slurp(const fs::path& p) {
  std::ifstream in(p, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

Instant at(std::string_view text) {
  return *parse_time(text);
}

/// An engine without rules whose plan has what facts need.
struct Facts {
  explicit Facts(bool on = true) {
    hunt::EngineOptions options;
    options.facts = on;
    auto opened = hunt::Engine::open(options);
    EXPECT_TRUE(opened) << to_string(opened.error());
    engine = std::move(*opened);
    std::vector<const event::FactMaps*> maps;
    for (const auto& d : engine->catalogue().all()) maps.push_back(d.facts.empty() ? nullptr : &d.facts);
    plan = std::make_shared<notice::FactPlan>(engine->plan(), maps);
    reader = std::make_unique<notice::FactReader>(plan);
  }
  std::vector<event::Fact> of(std::string_view bytes, std::string_view format = {},
                              Instant received = at("2026-03-02T12:00:00Z")) {
    std::vector<event::Fact> out;
    formats::ReaderOptions ro;
    ro.reference = received;
    if (!format.empty()) ro.format = engine->catalogue().find(format);
    formats::Reader records(engine->catalogue(), engine->plan(), engine->routes(), ro);
    const auto source = formats::Source::of_bytes(bytes);
    event::EventBatch batch;
    while (!source->done()) {
      const auto chunk = source->next(batch);
      EXPECT_TRUE(chunk);
      if (!chunk) break;
      records.read(batch, chunk->from, chunk->to, chunk->first_line);
      notice::ReadFacts read;
      event::FactHead head;
      head.municipality = MunicipalityId{101};
      for (const event::Record& r : batch.records) reader->read(batch, r, head, read);
      joiner.feed(std::move(read), received, out);
    }
    return out;
  }
  std::string text_of(std::string_view bytes, std::string_view format = {}) {
    std::string out;
    for (const event::Fact& f : of(bytes, format)) {
      append_json(out, f);
      out += '\n';
    }
    return out;
  }

  std::unique_ptr<hunt::Engine> engine;
  std::shared_ptr<notice::FactPlan> plan;
  std::unique_ptr<notice::FactReader> reader;
  notice::FactJoiner joiner;
};

TEST(Facts, OfTheFormatsOwnSamplesAreAsExpected) {
  const bool update = std::getenv("BAVN_UPDATE_GOLDEN") != nullptr;
  std::size_t files = 0, lines = 0;
  for (const char* root : {"/content/formats", "/src/formats"})
    for (const auto& folder : fs::directory_iterator(std::string(BAVN_SOURCE_DIR) + root)) {
      if (!fs::exists(folder.path() / "samples")) continue;
      for (const auto& file : fs::directory_iterator(folder.path() / "samples")) {
        if (file.path().extension() != ".in") continue;
        Facts facts;
        const auto format = facts.engine->catalogue().find(folder.path().filename().string());
        if (!format) continue;
        const bool declares = facts.plan->reads(*format);
        const std::string got = facts.text_of(slurp(file.path()));
        if (!declares) {
          EXPECT_EQ(got, "") << file.path();
          continue;
        }
        fs::path expected = file.path();
        expected.replace_extension(".facts.json");
        if (update) std::ofstream(expected, std::ios::binary) << got;
        ASSERT_TRUE(fs::exists(expected)) << expected << ": run with BAVN_UPDATE_GOLDEN=1 and review";
        EXPECT_EQ(got, slurp(expected)) << file.path();
        ++files;
        lines += static_cast<std::size_t>(std::count(got.begin(), got.end(), '\n'));
      }
    }
  EXPECT_GE(files, 15U);
  EXPECT_GE(lines, 25U);
}

namespace stand_in = input::microsoft365::stand_in;
using stand_in::Stream;

constexpr std::pair<Stream, std::string_view> kStreams[] = {{Stream::interactive, "entra_signin"},
                                                            {Stream::background, "entra_signin"},
                                                            {Stream::apps, "entra_signin"},
                                                            {Stream::audits, "entra_audit"},
                                                            {Stream::trace, "message_trace"},
                                                            {Stream::alerts, "defender_xdr"},
                                                            {Stream::risks, "entra_risk"},
                                                            {Stream::email_events, "defender_xdr"},
                                                            {Stream::email_urls, "defender_xdr"},
                                                            {Stream::url_clicks, "defender_xdr"},
                                                            {Stream::activity_directory, "m365_audit"},
                                                            {Stream::activity_exchange, "m365_audit"}};

/// Everything a tenant's logs say of a span of time, in the order it can be seen.
std::vector<event::Fact> facts_of(Facts& facts, stand_in::World& world, unsigned tenant, Instant from, Instant to) {
  struct Line {
    Instant visible;
    std::string_view format;
    std::string json;
  };
  std::vector<Line> lines;
  for (const auto& [stream, format] : kStreams)
    for (const stand_in::Entry* e : world.between(tenant, stream, from, to, to + 48h))
      lines.push_back({e->visible, format, e->json});
  std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.visible < b.visible; });
  std::vector<event::Fact> out;
  for (const Line& l : lines)
    for (event::Fact& f : facts.of(l.json + "\n", l.format, l.visible)) out.push_back(std::move(f));
  return out;
}

TEST(Facts, EveryStepOfOctober2024IsTheRightFact) {
  stand_in::World world({.seed = 3, .tenants = 6, .people = 20, .busy = 0});
  const Instant start = at("2026-10-01T06:00:00Z");
  const std::string victim = world.take_over(0, start, 200);
  Facts facts;
  const auto sender_side = facts_of(facts, world, 0, start - 1h, start + 3h);
  std::map<std::string, int> changes;
  std::set<std::string> app_ids, sign_in_sessions, mail_sessions, mail_apps, to, message_ids, domains;
  int odd = 0, background = 0, risk = 0, alerts = 0, sent = 0, traced = 0;
  for (const event::Fact& f : sender_side) {
    if (const auto* x = std::get_if<event::SignInFact>(&f)) {
      EXPECT_EQ(x->account, victim);
      EXPECT_EQ(x->ip, "203.0.113.66");
      EXPECT_EQ(x->asn, "AS64999");
      EXPECT_EQ(x->country, "NL");
      EXPECT_EQ(x->device, "");
      EXPECT_TRUE(x->success);
      (x->interactive ? odd : background) += 1;
      sign_in_sessions.insert(x->session);
    } else if (const auto* c = std::get_if<event::ChangeFact>(&f)) {
      EXPECT_EQ(c->account, victim);
      EXPECT_EQ(c->ip, "203.0.113.66") << "without the port";
      ++changes[std::string(to_string(c->head.source)) + " " + std::string(to_string(c->change))];
      if (c->head.source == event::FactSource::audit_log && c->change == event::Change::new_app)
        app_ids.insert(c->target);
      if (c->change == event::Change::inbox_rule) {
        EXPECT_EQ(c->session, *sign_in_sessions.begin());
        EXPECT_NE(c->detail.find("faktura;hacket"), std::string::npos) << c->detail;
      }
      if (c->change == event::Change::consent && c->head.source == event::FactSource::directory_audit) {
        EXPECT_NE(c->detail.find("Mail.Send offline_access"), std::string::npos) << c->detail;
      }
    } else if (const auto* h = std::get_if<event::HarmFact>(&f)) {
      if (h->head.source == event::FactSource::sign_in) {
        EXPECT_EQ(h->account, victim);
        EXPECT_NE(h->detail.find("anomalousToken"), std::string::npos);
        ++risk;
      } else if (h->harm == event::Harm::risk_alert) {
        EXPECT_NE(h->detail.find("Suspicious email sending patterns"), std::string::npos);
        ++alerts;
      }
    } else if (const auto* m = std::get_if<event::MailFact>(&f)) {
      EXPECT_EQ(m->sender, victim);
      EXPECT_EQ(m->subject, m->knows_content || !m->subject.empty() ? "Faktura" : "");
      if (m->head.source == event::FactSource::audit_log) {
        ++sent;
        mail_sessions.insert(m->session);
        mail_apps.insert(m->app);
        message_ids.insert(m->message_id);
      } else if (m->head.source == event::FactSource::message_trace) {
        ++traced;
        EXPECT_EQ(m->delivery, event::Delivery::delivered);
        ASSERT_EQ(m->recipients.size(), 1U);
        to.insert(m->recipients[0]);
        domains.insert(m->recipients[0].substr(m->recipients[0].find('@')));
      }
    }
  }
  EXPECT_EQ(odd, 1);
  EXPECT_EQ(background, 1);
  EXPECT_EQ(sign_in_sessions.size(), 1U);
  EXPECT_EQ(risk, 1);
  EXPECT_EQ(alerts, 1);
  const std::map<std::string, int> expected = {{"audit_log inbox_rule", 1},
                                               {"directory_audit new_app", 1},
                                               {"directory_audit new_service_principal", 1},
                                               {"directory_audit new_secret", 1},
                                               {"directory_audit app_role", 1},
                                               {"directory_audit consent", 1},
                                               {"audit_log new_app", 1},
                                               {"audit_log new_service_principal", 1},
                                               {"audit_log new_secret", 1},
                                               {"audit_log app_role", 1},
                                               {"audit_log consent", 1}};
  EXPECT_EQ(changes, expected);
  EXPECT_EQ(sent, 200);
  EXPECT_EQ(traced, 200);
  EXPECT_EQ(message_ids.size(), 200U);
  EXPECT_EQ(mail_sessions, sign_in_sessions) << "mail is bound to the stolen session";
  EXPECT_EQ(mail_apps, app_ids) << "and to the application that was made";
  EXPECT_GE(domains.size(), 6U);

  // The other side: mail, the URL in it, who clicked, each about the sender's mail.
  Facts other;
  int mails = 0, with_url = 0, clicks = 0;
  for (unsigned tenant = 1; tenant < 6; ++tenant)
    for (const event::Fact& f : facts_of(other, world, tenant, start - 1h, start + 4h)) {
      if (const auto* m = std::get_if<event::MailFact>(&f); m != nullptr && m->sender == victim) {
        if (m->head.source == event::FactSource::message_trace) ++mails;
        if (m->urls == std::vector<std::string>{"bio-link.example/orbes"}) ++with_url;
      }
      if (const auto* h = std::get_if<event::HarmFact>(&f); h != nullptr && h->harm == event::Harm::click) {
        ++clicks;
        EXPECT_EQ(h->url, "bio-link.example/orbes");
        EXPECT_EQ(h->sender, victim);
        EXPECT_TRUE(message_ids.contains(h->message_id)) << h->message_id;
        EXPECT_TRUE(h->account.ends_with("-kommune.example"));
      }
    }
  EXPECT_GT(mails, 100);
  EXPECT_EQ(with_url, mails) << "each mail's URL is told with its sender, whichever of both records came first";
  EXPECT_GE(clicks, 2);
}

TEST(Facts, OfOtherPeoplesRecords) {
  const char* corpora = std::getenv("BAVN_CORPORA");
  if (corpora == nullptr) GTEST_SKIP() << "BAVN_CORPORA is not set";
  std::map<std::string, int> found;
  std::size_t bytes = 0;
  Facts facts;
  for (const char* folder : {"/detection", "/logs"})
    for (const auto& file : fs::recursive_directory_iterator(std::string(corpora) + folder)) {
      if (!file.is_regular_file() || file.file_size() > (8U << 20U)) continue;
      const std::string name = file.path().filename().string();
      if (name.ends_with(".md") || name.ends_with(".yml") || name.ends_with(".zip") || name.ends_with(".gz")) continue;
      const std::string text = slurp(file.path());
      bytes += text.size();
      for (const event::Fact& f : facts.of(text)) {
        std::string json;
        append_json(json, f);
        EXPECT_LT(json.size(), 400'000U) << file.path();
        const event::FactHead& head = event::head_of(f);
        std::string kind = std::string(to_string(head.source)) + " ";
        if (const auto* c = std::get_if<event::ChangeFact>(&f)) kind += to_string(c->change);
        else if (const auto* h = std::get_if<event::HarmFact>(&f)) kind += to_string(h->harm);
        else kind += std::holds_alternative<event::MailFact>(f) ? "mail" : "sign_in";
        if (found[kind]++ < 2 && std::getenv("BAVN_SHOW") != nullptr)
          std::printf("%s %s\n", name.c_str(), json.c_str());
      }
    }
  for (const auto& [kind, n] : found) std::printf("%-40s %d\n", kind.c_str(), n);
  std::printf("%zu MB read\n", bytes >> 20U);
  EXPECT_GT(found["sign_in sign_in"], 20);
  EXPECT_GE(found["message_trace mail"], 10) << "postfix";
  EXPECT_GT(found["directory_audit new_secret"] + found["audit_log new_secret"], 0);
}

TEST(FactJoiner, IsTheSameAfterItWasSavedAndForgetsWhatIsOldOrTooMuch) {
  Facts facts;
  const std::string log =
      "Feb 11 08:30:01 mx1 postfix/cleanup[3]: 4F1A22C0B5: message-id=<1@a.example.net>\n"
      "Feb 11 08:30:01 mx1 postfix/qmgr[9]: 4F1A22C0B5: from=<faktura@example.net>, size=4, nrcpt=1 (queue active)\n";
  const std::string delivered =
      "Feb 11 08:30:02 mx1 postfix/smtp[3]: 4F1A22C0B5: to=<ole@example.org>, relay=exch.example.org[192.0.2.40]:25, "
      "delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)\n";
  const std::string removed = "Feb 11 08:30:05 mx1 postfix/qmgr[9]: 4F1A22C0B5: removed\n";
  const Instant now = at("2026-02-11T08:31:00Z");
  EXPECT_TRUE(facts.of(log + removed + log, {}, now).empty()) << "the same queue id twice in one second";
  std::string saved, twice;
  facts.joiner.save(saved);
  Facts later;
  ASSERT_TRUE(later.joiner.load(saved));
  later.joiner.save(twice);
  EXPECT_EQ(saved, twice);
  const auto found = later.of(delivered, {}, now);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(std::get<event::MailFact>(found[0]).sender, "faktura@example.net");
  EXPECT_EQ(std::get<event::MailFact>(found[0]).message_id, "1@a.example.net");
  EXPECT_TRUE(later.of(delivered, {}, now + 72h).size() == 1U) << "known until something else moves time";
  EXPECT_TRUE(later.of(delivered, {}, now + 72h).empty());
  EXPECT_EQ(later.joiner.stats().without_sender, 1U);
  for (std::size_t cut = 0; cut < saved.size(); ++cut)
    EXPECT_FALSE(later.joiner.load(std::string_view(saved).substr(0, cut)));
}

TEST(FactJoiner, AUsersRequestToAUrlThatWasNewInMailIsAClick) {
  Facts facts;
  const Instant now = at("2026-03-02T08:10:00Z");
  const std::string mail = slurp(fs::path(BAVN_SOURCE_DIR) / "content/formats/defender_xdr/samples/mail.in");
  const auto request = [](std::string_view user, std::string_view url) {
    return "1770796801.327    286 192.0.2.22 TCP_MISS/200 10182 GET " + std::string(url) + " " + std::string(user) +
           " HIER_DIRECT/198.51.100.12 text/html\n";
  };
  const std::string url = "http://login.example.net/office/";
  EXPECT_TRUE(facts.of(request("kari@kommune.example.org", url), "squid", now).empty()) << "not in any mail yet";
  ASSERT_FALSE(facts.of(mail, "defender_xdr", now).empty());
  const auto clicks = facts.of(request("kari@kommune.example.org", url) + request("ola", url + "?from=1") +
                                   request("-", url) + request("ola", "http://login.example.net/other"),
                               "squid", now + 1min);
  ASSERT_EQ(clicks.size(), 2U);
  const auto& first = std::get<event::HarmFact>(clicks[0]);
  EXPECT_EQ(first.harm, event::Harm::click);
  EXPECT_EQ(first.account, "kari@kommune.example.org");
  EXPECT_EQ(first.sender, "billing@example.net");
  EXPECT_EQ(first.url, "login.example.net/office");
  EXPECT_EQ(std::get<event::HarmFact>(clicks[1]).account, "ola");
  // A URL that mail has held for days stands in a footer.
  EXPECT_FALSE(facts.of(mail, "defender_xdr", now + 49h).empty());
  EXPECT_TRUE(facts.of(request("ola", url), "squid", now + 50h).empty());
}

std::string repeated(std::string_view path, std::size_t records) {
  const std::string text = slurp(fs::path(BAVN_SOURCE_DIR) / path);
  std::vector<std::string_view> lines;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t to = std::min(text.find('\n', from), text.size());
    if (to > from) lines.push_back(std::string_view(text).substr(from, to - from));
    from = to + 1;
  }
  std::string out;
  for (std::size_t n = 0; n < records; ++n) out.append(lines[n % lines.size()]).push_back('\n');
  return out;
}

// ns a record: reading it without and with the fields of facts in the plan, its facts, joining them. Numbers for people; nothing is judged.
TEST(Bench, FactsARecord) {
  Facts with, without(false);
  for (const char* path :
       {"content/formats/message_trace/samples/trace.in", "content/formats/m365_audit/samples/exchange.in",
        "content/formats/entra_signin/samples/graph.in", "content/formats/defender_xdr/samples/mail.in",
        "src/formats/postfix/samples/basic.in", "src/formats/squid/samples/basic.in",
        "content/formats/windows_event/samples/flat.in", "content/formats/zeek/samples/named.in"}) {
    if (!fs::exists(fs::path(BAVN_SOURCE_DIR) / path)) continue;
    const std::string text = repeated(path, 4000);
    double ns[4] = {1e18, 1e18, 1e18, 1e18};
    std::size_t records = 0, facts = 0;
    for (int round = 0; round < 7; ++round) {
      event::EventBatch batch;
      for (Facts* f : {&without, &with}) {
        formats::Reader reader(f->engine->catalogue(), f->engine->plan(), f->engine->routes());
        batch.clear();
        batch.raw = text;
        batch.raw.own().append(64, '\0');
        reader.read(batch, 0, text.size(), 1);  // knows the shapes after this
        batch.records.clear();
        batch.fields.clear();
        batch.derived.clear();
        const auto start = std::chrono::steady_clock::now();
        reader.read(batch, 0, text.size(), 1);
        const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
        records = batch.records.size();
        ns[f == &with ? 1 : 0] = std::min(ns[f == &with ? 1 : 0], took.count() / static_cast<double>(records));
      }
      notice::ReadFacts read;
      event::FactHead head;
      auto start = std::chrono::steady_clock::now();
      for (const event::Record& r : batch.records) with.reader->read(batch, r, head, read);
      std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
      ns[2] = std::min(ns[2], took.count() / static_cast<double>(records));
      std::vector<event::Fact> out;
      start = std::chrono::steady_clock::now();
      with.joiner.feed(std::move(read), at("2026-03-02T12:00:00Z"), out);
      took = std::chrono::steady_clock::now() - start;
      facts = out.size();
      ns[3] = std::min(ns[3], took.count() / static_cast<double>(records));
    }
    ASSERT_GT(records, 0U);
    std::printf(
        "%-52s %5zu facts of %5zu records; ns a record: read %4.0f, with facts' fields %4.0f, facts %4.0f, joined "
        "%4.0f\n",
        path, facts, records, ns[0], ns[1], ns[2], ns[3]);
  }
}

}  // namespace
}  // namespace bavn::live
