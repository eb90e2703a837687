// Small plays in text files (tests/*.scene): who mails, signs in, changes and clicks when, and what is to be noticed. Each is played as written,
// in random orders within lateness, with doubled records, and with the state saved and loaded at random moments: the same must be noticed.
#include "notice/watch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "notice/likeness.hpp"

namespace bavn::notice {
namespace {

using Us = std::int64_t;
constexpr Us kSecond = 1'000'000, kMinute = 60 * kSecond, kHour = 60 * kMinute, kDay = 24 * kHour;

struct SceneFact {
  Us received = 0;
  std::shared_ptr<const event::Fact> fact;  // null: time passes
};
struct Expectation {
  std::string line, kind, of;
  bool none = false;
  std::map<std::string, std::string> wants;
};
struct Scene {
  std::string name;
  std::shared_ptr<Community> community = std::make_shared<Community>();
  MunicipalityId own{};
  std::vector<SceneFact> facts;  // by received
  std::vector<Exercise> exercises;
  std::vector<event::SenderIds> known;
  std::vector<Expectation> expected;
};

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> out;
  bool quoted = false, any = false;
  for (const char c : line) {
    if (c == '#' && !quoted && !any) break;
    if (c == '"') {
      quoted = !quoted;
      continue;
    }
    if (!quoted && c == ' ') {
      any = false;
      continue;
    }
    if (!any) out.emplace_back();
    any = true;
    out.back() += c;
  }
  return out;
}

Us span_of(const std::string& s) {
  const Us n = std::stoll(s);
  switch (s.back()) {
    case 's': return n * kSecond;
    case 'm': return n * kMinute;
    case 'h': return n * kHour;
    case 'd': return n * kDay;
    default: ADD_FAILURE() << "no unit in " << s; return 0;
  }
}

class SceneReader {
 public:
  Scene read(const std::string& path) {
    scene_.name = std::filesystem::path(path).stem().string();
    std::ifstream file(path);
    std::string line;
    while (std::getline(file, line)) {
      const std::vector<std::string> w = words_of(line);
      if (!w.empty()) command(w, line);
    }
    std::stable_sort(scene_.facts.begin(), scene_.facts.end(),
                     [](const SceneFact& a, const SceneFact& b) { return a.received < b.received; });
    return std::move(scene_);
  }

 private:
  using Values = std::map<std::string, std::string>;

  void command(const std::vector<std::string>& w, const std::string& line) {
    Values v;
    for (std::size_t i = 1; i < w.size(); ++i)
      if (const auto eq = w[i].find('='); eq != std::string::npos) v[w[i].substr(0, eq)] = w[i].substr(eq + 1);
    if (w[0] == "member") {
      const MunicipalityId id{static_cast<std::uint16_t>(std::stoi(w[1]))};
      if (scene_.own.value == 0) {
        scene_.own = id;
        scene_.community->add_own(id);
      }
      for (std::size_t i = 2; i < w.size(); ++i) EXPECT_TRUE(scene_.community->add(w[i], id)) << line;
    } else if (w[0] == "towns") {
      towns_ = std::stoi(w[1]);
      for (int i = 0; i < towns_; ++i)
        EXPECT_TRUE(scene_.community->add("t" + std::to_string(i) + ".example",
                                          MunicipalityId{static_cast<std::uint16_t>(500 + i)}));
    } else if (w[0] == "at") {
      now_ = micros(parse_time(w[1]).value());
    } else if (w[0] == "wait") {
      now_ += span_of(w[1]);
    } else if (w[0] == "late") {
      late_ = span_of(w[1]);
    } else if (w[0] == "settle") {
      now_ += span_of(w[1]);
      scene_.facts.push_back({now_, nullptr});
    } else if (w[0] == "exercise") {
      scene_.exercises.push_back({"e", v["sender"], v["url"], now_, now_ + span_of(v["for"]), false});
    } else if (w[0] == "known") {
      event::SenderIds ids;
      ids.notice = v["notice"];
      ids.sender = v["sender"];
      for (const std::string_view id : split(v["ids"], ',')) ids.message_ids.emplace_back(id);
      scene_.known.push_back(ids);
    } else if (w[0] == "expect") {
      Expectation e;
      e.line = scene_.name + ": " + line;
      e.none = w[1] == "none";
      e.kind = w[e.none ? 2 : 1];
      e.of = w.size() > (e.none ? 3U : 2U) && !w[e.none ? 3 : 2].contains('=') ? w[e.none ? 3 : 2] : "";
      e.wants = v;
      scene_.expected.push_back(e);
    } else {
      const int times = v.contains("n") ? std::stoi(v["n"]) : 1;
      const Us every = v.contains("every") ? span_of(v["every"]) : 0;
      Us at = now_;
      for (int i = 0; i < times; ++i, at += every) fact(w[0], v, i, at, line);
      if (v.contains("every")) now_ = at - every;
    }
  }

  std::string filled(std::string s, int i) const {
    const auto put = [&](std::string_view what, const std::string& with) {
      for (auto at = s.find(what); at != std::string::npos; at = s.find(what)) s.replace(at, what.size(), with);
    };
    put("{n}", std::to_string(i));
    put("{t}", std::to_string(towns_ == 0 ? 0 : i % towns_));
    put("{w}", std::array{"Betaling", "Faktura", "Bestil"}[static_cast<std::size_t>(i) % 3]);
    std::string letters;
    auto k = static_cast<std::uint32_t>(i + 1);
    for (int round = 0; round < 12; ++round, k = k * 31 + 7) letters += static_cast<char>('a' + k % 26);
    put("{x}", letters);
    return s;
  }

  void fact(const std::string& what, Values& v, int i, Us at, const std::string& line) {
    const auto get = [&](const char* key) {
      const auto f = v.find(key);
      return f == v.end() ? std::string() : filled(f->second, i);
    };
    const auto head = [&](event::FactHead& h, event::FactSource source) {
      h.happened = from_micros(at);
      h.received = from_micros(at + late_);
      h.municipality = scene_.own;
      h.source = source;
    };
    SceneFact out;
    out.received = at + late_;
    if (what == "mail") {
      event::MailFact m;
      const std::string source = get("source");
      head(m.head, source == "audit"  ? event::FactSource::audit_log
                   : source == "copy" ? event::FactSource::mail_copy
                                      : event::FactSource::message_trace);
      m.sender = get("from");
      const std::string to_all = get("to");
      if (!to_all.empty())
        for (const std::string_view to : split(to_all, ',')) m.recipients.emplace_back(to);
      if (const std::string many = get("many"); !many.empty())
        for (int k = 0; k < std::stoi(many); ++k)
          m.recipients.push_back("p" + std::to_string(k) + "@t" + std::to_string(k % towns_) + ".example");
      m.message_id = v.contains("id") ? get("id") : "m" + std::to_string(++ids_) + "@mail.example";
      m.subject = get("subject");
      m.session = get("session");
      m.app = get("app");
      m.body_simhash = get("body");
      if (const std::string url = get("url"); !url.empty()) m.urls = {url};
      const std::string is = get("is");
      m.automatic = is == "automatic";
      m.calendar = is == "calendar";
      m.login_form = is == "login_form";
      if (is == "expanded") m.delivery = event::Delivery::expanded;
      out.fact = std::make_shared<event::Fact>(std::move(m));
    } else if (what == "signin") {
      event::SignInFact s;
      head(s.head, event::FactSource::sign_in);
      s.account = get("account");
      s.ip = get("ip");
      s.asn = get("asn");
      s.country = get("country");
      s.user_agent = get("agent");
      s.device = get("device");
      s.session = get("session");
      s.risk = get("risk");
      s.device_code = get("code") == "1";
      s.success = get("failed") != "1";
      out.fact = std::make_shared<event::Fact>(std::move(s));
    } else if (what == "change") {
      event::ChangeFact c;
      head(c.head, event::FactSource::audit_log);
      constexpr std::array kChanges = {
          "new_app",    "new_service_principal", "new_secret",     "consent",   "app_role", "inbox_rule",
          "forwarding", "mailbox_permission",    "new_mfa_method", "new_device"};
      const auto* kind = std::find(kChanges.begin(), kChanges.end(), get("kind"));
      EXPECT_NE(kind, kChanges.end()) << line;
      c.change = static_cast<event::Change>(kind - kChanges.begin());
      c.account = get("account");
      c.target = get("target");
      c.detail = get("detail");
      c.ip = get("ip");
      c.session = get("session");
      out.fact = std::make_shared<event::Fact>(std::move(c));
    } else if (what == "harm") {
      event::HarmFact h;
      const std::string kind = get("kind");
      head(h.head, kind == "reported"         ? event::FactSource::person
                   : get("source") == "proxy" ? event::FactSource::proxy
                                              : event::FactSource::defender);
      h.harm = kind == "click"            ? event::Harm::click
               : kind == "reported"       ? event::Harm::reported
               : kind == "vendor_verdict" ? event::Harm::vendor_verdict
                                          : event::Harm::risk_alert;
      h.account = get("account");
      h.sender = get("sender");
      h.message_id = get("id");
      h.url = get("url");
      out.fact = std::make_shared<event::Fact>(std::move(h));
    } else {
      ADD_FAILURE() << "not understood: " << line;
    }
    scene_.facts.push_back(out);
  }

  Scene scene_;
  int towns_ = 0;
  Us now_ = micros(parse_time("2024-10-25T06:00:00Z").value());
  Us late_ = 0;
  int ids_ = 0;
};

std::vector<std::string> scene_files() {
  std::vector<std::string> out;
  for (const auto& f : std::filesystem::directory_iterator(std::string(BAVN_SOURCE_DIR) + "/src/notice/tests"))
    if (f.path().extension() == ".scene") out.push_back(f.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

/// What is true of all parts of one notice together, whatever the order of facts.
struct Outcome {
  std::string level, source, subject_hash;
  std::int64_t parts = 0, from = 0, to = 0, mails = 0, recipients = 0, outside = 0, usual = 0, count = 0, late = 0;
  std::map<std::string, std::int64_t> domains;
  std::set<std::string> message_ids;  // "domain id"
  std::set<std::string> signs;        // of the last part
  std::int64_t twice = 0;             // Message-IDs told again for a domain
  std::int64_t largest = 0;           // Message-IDs in one part and domain
  std::set<std::string> ids;
};

std::map<std::string, Outcome> outcomes(const std::vector<Noticed>& noticed) {
  std::map<std::string, Outcome> out;
  const auto signs = [](Outcome& o, const std::vector<event::Sign>& from) {
    o.signs.clear();
    for (const event::Sign& s : from) o.signs.insert(s.kind);
  };
  for (const Noticed& x : noticed) {
    if (const auto* n = std::get_if<event::SenderNotice>(&x)) {
      Outcome& o = out["sender " + n->sender];
      EXPECT_EQ(n->part, o.parts + 1);
      o.parts = n->part;
      o.from = n->from_us;
      o.to = n->to_us;
      o.mails = n->mails;
      o.recipients = n->recipients;
      o.outside = n->outside;
      o.usual = n->usual;
      o.source = n->source;
      o.late = n->late_s;
      o.subject_hash = n->subject_hash;
      o.ids.insert(n->id);
      for (const event::ForDomain& d : n->to) {
        o.domains[d.domain] = d.mails;
        o.largest = std::max(o.largest, static_cast<std::int64_t>(d.message_ids.size()));
        for (const std::string& id : d.message_ids)
          if (!o.message_ids.insert(d.domain + " " + id).second) ++o.twice;
      }
      signs(o, n->signs);
    } else if (const auto* b = std::get_if<event::BurstNotice>(&x)) {
      Outcome& o = out["burst " + b->sender];
      o.parts = b->part;
      o.from = b->from_us;
      o.to = b->to_us;
      o.mails = b->mails;
      o.recipients = b->recipients;
      o.usual = b->usual;
      o.ids.insert(b->id);
      signs(o, b->signs);
    } else if (const auto* t = std::get_if<event::TakeoverNotice>(&x)) {
      Outcome& o = out["takeover " + t->account];
      o.parts = t->part;
      o.from = t->first_us;
      o.level = t->level;
      o.ids.insert(t->id);
      signs(o, t->steps);
    } else if (const auto* h = std::get_if<event::HarmNotice>(&x)) {
      Outcome& o = out["harm " + h->sign.kind];
      o.count = h->count;
      o.level = h->notice.value_or("");
      o.source = h->sender.value_or("");
    }
  }
  return out;
}

void compare(const std::map<std::string, Outcome>& got, const std::vector<Expectation>& expected) {
  for (const Expectation& e : expected) {
    const auto at = e.of.empty() ? std::find_if(got.begin(), got.end(),
                                                [&](const auto& x) { return x.first.starts_with(e.kind + " "); })
                                 : got.find(e.kind + " " + e.of);
    if (e.none) {
      EXPECT_EQ(at, got.end()) << e.line << (at != got.end() ? " but: " + at->first : "");
      continue;
    }
    EXPECT_NE(at, got.end()) << e.line;
    if (at == got.end()) continue;
    const Outcome& o = at->second;
    for (const auto& [key, value] : e.wants) {
      const auto number = [&](std::int64_t n) {
        if (value.ends_with('+')) EXPECT_GE(n, std::stoll(value)) << e.line << " " << key;
        else EXPECT_EQ(n, std::stoll(value)) << e.line << " " << key;
      };
      if (key == "mails") number(o.mails);
      else if (key == "recipients") number(o.recipients);
      else if (key == "outside") number(o.outside);
      else if (key == "usual") number(o.usual);
      else if (key == "domains") number(static_cast<std::int64_t>(o.domains.size()));
      else if (key == "ids") number(static_cast<std::int64_t>(o.message_ids.size()));
      else if (key == "count") number(o.count);
      else if (key == "late") number(o.late);
      else if (key == "notices") number(static_cast<std::int64_t>(o.ids.size()));
      else if (key == "level" || key == "notice") EXPECT_EQ(o.level, value) << e.line;
      else if (key == "source" || key == "about") EXPECT_EQ(o.source, value) << e.line;
      else if (key == "sign")
        for (const std::string_view s : split(value, ','))
          EXPECT_TRUE(o.signs.contains(std::string(s))) << e.line << " " << s;
      else if (key == "not_sign")
        for (const std::string_view s : split(value, ','))
          EXPECT_FALSE(o.signs.contains(std::string(s))) << e.line << " " << s;
      else if (key.contains('.')) number(o.domains.contains(key) ? o.domains.at(key) : 0);
      else ADD_FAILURE() << "not understood: " << e.line << ": " << key;
    }
    EXPECT_EQ(o.twice, 0) << e.line;
    EXPECT_LE(o.largest, 2000) << e.line;
  }
}

Watch watch_of(const Scene& scene) {
  Watch w(scene.own, scene.community, WatchOptions(), "community key");
  w.use_exercises(scene.exercises);
  for (const event::SenderIds& k : scene.known) w.know_notice(k);
  return w;
}

std::vector<Noticed> play(const Scene& scene, const std::vector<SceneFact>& facts, std::mt19937* lives = nullptr) {
  std::vector<Noticed> out;
  Watch w = watch_of(scene);
  for (const SceneFact& f : facts) {
    if (!f.fact) w.advance(from_micros(f.received), out);
    else w.feed(*f.fact, from_micros(f.received), out);
    if (lives != nullptr && (*lives)() % (facts.size() / 8 + 1) == 0) {
      std::string saved;
      EXPECT_TRUE(w.save(saved));
      Watch next = watch_of(scene);
      const auto ok = next.load(saved);
      EXPECT_TRUE(ok) << (ok ? "" : ok.error().what);
      w = std::move(next);
    }
  }
  w.advance(from_micros(facts.back().received + kDay), out);
  EXPECT_FALSE(w.due());
  return out;
}

class Scenes : public testing::TestWithParam<std::string> {};

TEST_P(Scenes, NoticesWhatIsExpected) {
  const Scene scene = SceneReader().read(GetParam());
  ASSERT_FALSE(scene.expected.empty());
  compare(outcomes(play(scene, scene.facts)), scene.expected);
}

TEST_P(Scenes, NoticeTheSameInAnyOrderWithinLatenessAndWithDoubles) {
  const Scene scene = SceneReader().read(GetParam());
  for (unsigned seed = 1; seed <= 12; ++seed) {
    std::mt19937 random(seed);
    std::vector<SceneFact> facts;
    for (SceneFact f : scene.facts) {
      f.received += static_cast<Us>(random() % (90 * 60)) * kSecond;
      facts.push_back(f);
      if (random() % 4 == 0) {  // read again by an overlap
        f.received += static_cast<Us>(random() % (20 * 60)) * kSecond;
        facts.push_back(f);
      }
    }
    std::stable_sort(facts.begin(), facts.end(),
                     [](const SceneFact& a, const SceneFact& b) { return a.received < b.received; });
    std::vector<Expectation> expected = scene.expected;
    for (Expectation& e : expected) {
      e.wants.erase("late");
      e.wants.erase("usual");
    }
    SCOPED_TRACE("seed " + std::to_string(seed));
    compare(outcomes(play(scene, facts)), expected);
    if (HasFailure()) return;
  }
}

TEST_P(Scenes, NoticeTheSameWhenSavedAndLoadedAtRandomMoments) {
  const Scene scene = SceneReader().read(GetParam());
  const auto once = outcomes(play(scene, scene.facts));
  for (unsigned seed = 1; seed <= 6; ++seed) {
    std::mt19937 random(seed);
    const auto again = outcomes(play(scene, scene.facts, &random));
    ASSERT_EQ(again.size(), once.size());
    for (const auto& [of, o] : once) {
      ASSERT_TRUE(again.contains(of)) << of;
      const Outcome& a = again.at(of);
      EXPECT_EQ(std::tie(a.ids, a.parts, a.from, a.to, a.mails, a.recipients, a.outside, a.usual, a.level, a.domains,
                         a.message_ids, a.signs, a.count, a.subject_hash),
                std::tie(o.ids, o.parts, o.from, o.to, o.mails, o.recipients, o.outside, o.usual, o.level, o.domains,
                         o.message_ids, o.signs, o.count, o.subject_hash))
          << of;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Scenes, testing::ValuesIn(scene_files()),
                         [](const auto& i) { return std::filesystem::path(i.param).stem().string(); });

// ---- one by one -------------------------------------------------------------------------------------------------------------------------

TEST(Likeness, WhatDiffersFromMailToMailIsMasked) {
  EXPECT_EQ(masked_subject("SV: Faktura 2024-1187 til jens@town.example"), "faktura # til @");
  EXPECT_EQ(masked_subject("Faktura 2024-9/31.7 til ole@ltk.example"), "faktura # til @");
  EXPECT_EQ(masked_subject("RE: Fwd: [EKSTERN] MØDE  kl 10:30"), "møde kl #");
  EXPECT_EQ(masked_subject("Sag a8f3c2d901-77"), "sag #");
  EXPECT_EQ(masked_subject("4G og 5G"), "#g og #g");
  EXPECT_EQ(masked_subject(""), "");
}

TEST(Likeness, NearTextsAreNearAndOthersFar) {
  const auto a = simhash("Vedlagt finder du fakturaen for september, som skal betales inden fredag.");
  const auto b = simhash("Vedlagt finder du fakturaen for oktober, som skal betales inden fredag.");
  const auto c = simhash("Indkaldelse til personalemøde i kantinen på onsdag klokken ti.");
  EXPECT_LT(distance(a, b), 16);
  EXPECT_GT(distance(a, c), 16);
  EXPECT_EQ(read_simhash("00000000000000ff"), std::uint64_t{255});
  EXPECT_FALSE(read_simhash("xyz"));
}

TEST(Settings, TheTablesDefaultsAreTheOptions) {
  const WatchOptions o;
  const WatchOptions t = WatchOptions::from(Settings::defaults(settings()));
  EXPECT_EQ(std::tie(o.recipients, o.domains, o.times_usual, o.times_usual_unlike, o.times_habit, o.alike_least,
                     o.window, o.quiet, o.part_after, o.part_mails, o.burst_recipients, o.chain, o.after_click,
                     o.travel, o.known_sign_ins, o.known_days, o.habit_days),
            std::tie(t.recipients, t.domains, t.times_usual, t.times_usual_unlike, t.times_habit, t.alike_least,
                     t.window, t.quiet, t.part_after, t.part_mails, t.burst_recipients, t.chain, t.after_click,
                     t.travel, t.known_sign_ins, t.known_days, t.habit_days));
  EXPECT_EQ(std::tie(o.mass_recipients, o.detail, o.too_old, o.baseline, o.senders, o.accounts, o.mails_of_sender,
                     o.details, o.notices, o.harm_places),
            std::tie(t.mass_recipients, t.detail, t.too_old, t.baseline, t.senders, t.accounts, t.mails_of_sender,
                     t.details, t.notices, t.harm_places));
}

Scene empty_scene() {
  Scene s;
  s.own = MunicipalityId{157};
  EXPECT_TRUE(s.community->add("gentofte.example", s.own));
  for (int i = 0; i < 30; ++i)
    EXPECT_TRUE(
        s.community->add("t" + std::to_string(i) + ".example", MunicipalityId{static_cast<std::uint16_t>(500 + i)}));
  s.community->add_own(s.own);
  return s;
}

event::MailFact mail(Us at, std::string from, std::string to, std::string id, std::string subject) {
  event::MailFact m;
  m.head.happened = m.head.received = from_micros(at);
  m.head.municipality = MunicipalityId{157};
  m.sender = std::move(from);
  m.recipients = {std::move(to)};
  m.message_id = std::move(id);
  m.subject = std::move(subject);
  return m;
}

constexpr Us kStart = 1'729'836'000'000'000;  // 2024-10-25T06:00:00Z

TEST(Watch, AHugeBurstIsToldInPartsOfBoundedSizeAndNothingTwice) {
  const Scene scene = empty_scene();
  Watch w = watch_of(scene);
  std::vector<Noticed> out;
  const std::string pad(120, 'x');
  for (int i = 0; i < 9000; ++i)
    w.feed(mail(kStart + i * 60'000, "anna@gentofte.example",
                "p" + std::to_string(i) + "@t" + std::to_string(i % 4) + ".example", std::to_string(i) + pad + "@x",
                "Faktura " + std::to_string(i)),
           from_micros(kStart + kHour), out);
  w.advance(from_micros(kStart + 2 * kHour), out);
  const auto got = outcomes(out);
  ASSERT_EQ(got.size(), 1U);
  const Outcome& o = got.begin()->second;
  EXPECT_EQ(o.mails, 9000);
  EXPECT_EQ(o.message_ids.size(), 9000U);
  EXPECT_EQ(o.twice, 0);
  for (const Noticed& n : out) {
    std::size_t bytes = 0;
    for (const auto& d : std::get<event::SenderNotice>(n).to)
      for (const auto& id : d.message_ids) bytes += id.size() + 3;
    EXPECT_LE(bytes, 200'000U);
  }
}

TEST(Watch, LimitsAreKeptAndCounted) {
  const Scene scene = empty_scene();
  WatchOptions o;
  o.senders = 100;
  o.accounts = 100;
  o.details = 500;
  o.mails_of_sender = 50;
  o.harm_places = 40;
  o.notices = 2;
  Watch w(scene.own, scene.community, o, "k");
  std::vector<Noticed> out;
  for (int i = 0; i < 5000; ++i) {
    const Us at = kStart + i * kSecond;
    w.feed(mail(at, "u" + std::to_string(i % 700) + "@gentofte.example", "p@t" + std::to_string(i % 30) + ".example",
                std::to_string(i), "s"),
           from_micros(at), out);
    w.feed(mail(at, "v" + std::to_string(i % 9) + "@t1.example", "p" + std::to_string(i) + "@gentofte.example",
                "b" + std::to_string(i), "s"),
           from_micros(at), out);
    event::SignInFact s;
    s.head.happened = from_micros(at);
    s.account = "a" + std::to_string(i) + "@gentofte.example";
    w.feed(s, from_micros(at), out);
  }
  const WatchCounts& c = w.counts();
  EXPECT_GT(c.full_senders, 0U);
  EXPECT_GT(c.full_accounts, 0U);
  EXPECT_GT(c.full_mails, 0U);
  EXPECT_GT(c.full_notices, 0U);
  EXPECT_GT(c.full_harm, 0U);
  EXPECT_LT(w.bytes(), 2'000'000U);
}

TEST(Watch, AClockThatLiesNoticesNothing) {
  const Scene scene = empty_scene();
  Watch w = watch_of(scene);
  std::vector<Noticed> out;
  for (int i = 0; i < 100; ++i) {
    const std::string to = "p" + std::to_string(i) + "@t" + std::to_string(i % 9) + ".example";
    w.feed(mail(kStart + 3 * kDay, "anna@gentofte.example", to, "a" + std::to_string(i), "s"), from_micros(kStart),
           out);
    w.feed(mail(-5, "anna@gentofte.example", to, "b" + std::to_string(i), "s"), from_micros(kStart), out);
    w.feed(mail(kStart - 9 * kDay, "anna@gentofte.example", to, "c" + std::to_string(i), "s"), from_micros(kStart),
           out);
  }
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(w.counts().too_old, 300U);
}

TEST(Watch, SubjectsAreKeyedAndEqualAtAllNodesWithTheKey) {
  const Scene scene = empty_scene();
  std::set<std::string> hashes;
  for (const char* key : {"one", "one", "two"}) {
    Watch w(scene.own, scene.community, WatchOptions(), key);
    std::vector<Noticed> out;
    for (int i = 0; i < 40; ++i)
      w.feed(mail(kStart + i * kSecond, "anna@gentofte.example",
                  "p" + std::to_string(i) + "@t" + std::to_string(i % 9) + ".example", std::to_string(i),
                  "Faktura " + std::to_string(i)),
             from_micros(kStart), out);
    w.advance(from_micros(kStart + kHour), out);
    hashes.insert(outcomes(out).begin()->second.subject_hash);
  }
  EXPECT_EQ(hashes.size(), 2U);
  EXPECT_EQ(hashes.begin()->size(), 32U);
}

TEST(Watch, DamagedStateIsRefusedAndNothingChanges) {
  const Scene scene = empty_scene();
  Watch w = watch_of(scene);
  std::vector<Noticed> out;
  for (int i = 0; i < 50; ++i)
    w.feed(mail(kStart + i * kSecond, "anna@gentofte.example",
                "p" + std::to_string(i) + "@t" + std::to_string(i % 9) + ".example", std::to_string(i), "Faktura"),
           from_micros(kStart), out);
  std::string saved;
  ASSERT_TRUE(w.save(saved));
  for (std::size_t cut : {std::size_t{0}, std::size_t{7}, saved.size() / 2, saved.size() - 1})
    EXPECT_EQ(w.load(std::string_view(saved).substr(0, cut)).error().code, Code::corrupt) << cut;
  std::string spoiled = saved;
  spoiled[saved.size() / 2] = static_cast<char>(spoiled[saved.size() / 2] ^ 1);
  EXPECT_FALSE(w.load(spoiled));
  Watch other(MunicipalityId{173}, scene.community, WatchOptions(), "k");
  EXPECT_FALSE(other.load(saved));
  std::string again;
  ASSERT_TRUE(w.save(again));
  EXPECT_EQ(again.size(), saved.size());
  EXPECT_TRUE(w.load(saved));
}

TEST(Bench, MailFactsASecond) {
  Scene scene = empty_scene();
  for (int i = 0; i < 300; ++i)
    EXPECT_TRUE(scene.community->add("m" + std::to_string(i) + ".example",
                                     MunicipalityId{static_cast<std::uint16_t>(600 + i)}));
  std::vector<event::Fact> facts;
  std::mt19937 random(7);
  for (int i = 0; i < 300'000; ++i) {
    const Us at = kStart + static_cast<Us>(i) * 100'000;
    const std::string own = "u" + std::to_string(random() % 3000) + "@gentofte.example";
    const std::string other =
        "n" + std::to_string(random() % 50'000) + "@firm" + std::to_string(random() % 5000) + ".example.net";
    const auto kind = random() % 10;  // six of ten come from outside, two go out, two stay inside
    facts.emplace_back(
        kind < 6 ? mail(at, other, own, "id" + std::to_string(i) + "@mail.firm.example.net",
                        "Vedr. sag " + std::to_string(i))
        : kind < 8
            ? mail(at, own, other, "id" + std::to_string(i) + "@gentofte.example", "Vedr. sag " + std::to_string(i))
            : mail(at, own, "u" + std::to_string(random() % 3000) + "@gentofte.example",
                   "id" + std::to_string(i) + "@gentofte.example", "Vedr. sag " + std::to_string(i)));
  }
  Watch w = watch_of(scene);
  std::vector<Noticed> out;
  const auto start = std::clock();
  for (const event::Fact& f : facts) w.feed(f, event::head_of(f).happened, out);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::printf("[   BENCH  ] %.0f mail facts a second of one core, %zu KiB of state for 3000 mailboxes\n",
              static_cast<double>(facts.size()) / seconds, w.bytes() / 1024);
  EXPECT_TRUE(out.empty());
}

}  // namespace
}  // namespace bavn::notice
