#include "match/indicators/set.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "match/indicators/load.hpp"

namespace bavn::match::indicators {

using event::Kind;

namespace {

Indicator indicator(Kind kind, std::string_view value, std::string source = "test") {
  const auto o = event::canonical(kind, value);
  Indicator i;
  i.kind = o ? o->kind : kind;
  i.value = o ? o->value : std::string(value);
  i.source = std::move(source);
  return i;
}

std::shared_ptr<const IndicatorBase> base_of(const std::vector<Indicator>& all) {
  IndicatorBuilder b;
  for (const auto& i : all) EXPECT_TRUE(b.add(i)) << i.value;
  return b.build();
}

std::shared_ptr<const Snapshot> snapshot_of(std::shared_ptr<const IndicatorBase> base) {
  return IndicatorSet(std::move(base)).snapshot();
}

// "domain evil.example" of every indicator that this observable hits, sorted.
std::vector<std::string> hits(std::shared_ptr<const Snapshot> s, Kind kind, std::string_view value) {
  Matcher m;
  m.use(std::move(s));
  m.add(kind, value, 7);
  std::vector<std::string> out;
  m.flush([&](const Hit& h) {
    EXPECT_EQ(h.tag, 7U);
    const Indicator i = h.indicator.to_indicator();
    out.push_back(std::string(event::to_string(i.kind)) + " " + i.value);
  });
  std::sort(out.begin(), out.end());
  return out;
}
using Strings = std::vector<std::string>;

// What hits what, written as plainly as possible: the reference for the property below.
bool should_hit(const Indicator& i, Kind kind, const std::string& value) {
  const auto below = [](const std::string& name, const std::string& parent) {
    if (name == parent) return true;
    if (!name.ends_with("." + parent)) return false;
    const std::string registrable(event::registrable_domain(name));
    return !registrable.empty() && parent.size() >= registrable.size();
  };
  if (i.kind == Kind::domain && (kind == Kind::domain || kind == Kind::mail_domain)) return below(value, i.value);
  if (i.kind == Kind::mail_domain && kind == Kind::mail_domain) return below(value, i.value);
  if (i.kind == Kind::url && kind == Kind::url) {
    if (value == i.value) return true;
    if (i.value.find('?') != std::string::npos) return false;
    const std::string path = value.substr(0, value.find('?'));
    const std::string stem = i.value.ends_with('/') ? i.value : i.value + "/";
    return path == i.value || path == stem || path.starts_with(stem);
  }
  if (i.kind == Kind::cidr && (kind == Kind::ipv4 || kind == Kind::ipv6)) {
    const auto ip = event::parse_ip(value);
    const auto c = event::parse_cidr(i.value);
    return ip->v6 == c->network.v6 && event::masked(*ip, c->prefix) == c->network;
  }
  return i.kind == kind && i.value == value;
}

}  // namespace

TEST(Indicators, DomainsHitSubdomainsDownToTheRegistrableDomainOnly) {
  const auto s =
      snapshot_of(base_of({indicator(Kind::domain, "evil.example"), indicator(Kind::domain, "co.uk"),
                           indicator(Kind::domain, "a.b.evil.test"), indicator(Kind::mail_domain, "mail.example"),
                           indicator(Kind::email, "bo@evil.example")}));
  EXPECT_EQ(hits(s, Kind::domain, "evil.example"), (Strings{"domain evil.example"}));
  EXPECT_EQ(hits(s, Kind::domain, "x.y.evil.example"), (Strings{"domain evil.example"}));
  EXPECT_EQ(hits(s, Kind::domain, "notevil.example"), Strings{});
  EXPECT_EQ(hits(s, Kind::domain, "bank.co.uk"), Strings{});
  EXPECT_EQ(hits(s, Kind::domain, "evil.test"), Strings{});
  EXPECT_EQ(hits(s, Kind::mail_domain, "x.evil.example"), (Strings{"domain evil.example"}));
  EXPECT_EQ(hits(s, Kind::mail_domain, "mail.example"), (Strings{"mail_domain mail.example"}));
  EXPECT_EQ(hits(s, Kind::domain, "mail.example"), Strings{});
  EXPECT_EQ(hits(s, Kind::email, "bo@evil.example"), (Strings{"email bo@evil.example"}));
}

TEST(Indicators, UrlsHitWhatLiesBelowThem) {
  const auto s = snapshot_of(
      base_of({indicator(Kind::url, "https://bio.link/orbes"), indicator(Kind::url, "http://q.example/a?x=1"),
               indicator(Kind::url, "http://whole.example/")}));
  EXPECT_EQ(hits(s, Kind::url, "bio.link/orbes"), (Strings{"url bio.link/orbes"}));
  EXPECT_EQ(hits(s, Kind::url, "bio.link/orbes?x=1"), (Strings{"url bio.link/orbes"}));
  EXPECT_EQ(hits(s, Kind::url, "bio.link/orbes/a"), (Strings{"url bio.link/orbes"}));
  EXPECT_EQ(hits(s, Kind::url, "bio.link/orbesity"), Strings{});
  EXPECT_EQ(hits(s, Kind::url, "bio.link/"), Strings{});
  EXPECT_EQ(hits(s, Kind::url, "q.example/a?x=1"), (Strings{"url q.example/a?x=1"}));
  EXPECT_EQ(hits(s, Kind::url, "q.example/a?x=2"), Strings{});
  EXPECT_EQ(hits(s, Kind::url, "whole.example/x/y?z"), (Strings{"url whole.example/"}));
}

TEST(Indicators, AddressesHitTheirNetworksAndWideOnesAreRefused) {
  const auto s = snapshot_of(base_of({indicator(Kind::cidr, "192.0.2.0/24"), indicator(Kind::cidr, "192.0.2.128/25"),
                                      indicator(Kind::ipv4, "192.0.2.200"), indicator(Kind::cidr, "2001:db8::/32")}));
  EXPECT_EQ(hits(s, Kind::ipv4, "192.0.2.200"),
            (Strings{"cidr 192.0.2.0/24", "cidr 192.0.2.128/25", "ipv4 192.0.2.200"}));
  EXPECT_EQ(hits(s, Kind::ipv4, "192.0.3.1"), Strings{});
  EXPECT_EQ(hits(s, Kind::ipv6, "2001:db8:1::1"), (Strings{"cidr 2001:db8::/32"}));
  EXPECT_EQ(hits(s, Kind::ipv6, "2001:db9::1"), Strings{});
  IndicatorBuilder b;
  EXPECT_FALSE(b.add(indicator(Kind::cidr, "0.0.0.0/0")));
  EXPECT_FALSE(b.add(indicator(Kind::cidr, "10.0.0.0/7")));
  EXPECT_FALSE(b.add(indicator(Kind::cidr, "2000::/3")));
  Indicator raw;
  raw.kind = Kind::domain;
  raw.value = "EVIL.example";  // not canonical
  EXPECT_FALSE(b.add(raw));
}

TEST(Indicators, EverythingKnownAboutAnIndicatorComesBack) {
  Indicator i = indicator(Kind::sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "list a");
  i.confidence = 83;
  i.tlp = event::Tlp::amber_strict;
  i.valid_from = *parse_time("2026-01-01");
  i.valid_until = *parse_time("2026-02-01");
  i.action = Action::hold;
  i.comment = "why";
  Indicator other = i;
  other.source = "list b";
  Indicator again = i;
  again.confidence = 10;
  const auto base = base_of({i, other, again});  // the last of one source counts
  EXPECT_EQ(base->size(), 2U);
  std::vector<Indicator> seen;
  base->for_each([&](const Indicator& x) { seen.push_back(x); });
  std::sort(seen.begin(), seen.end(), [](const auto& a, const auto& b) { return a.source < b.source; });
  EXPECT_EQ(seen, (std::vector<Indicator>{again, other}));
  base->find(i.kind, i.value, event::observable_hash(i.kind, i.value), [&](const IndicatorView& v) {
    EXPECT_TRUE(v.valid_at(*parse_time("2026-01-15")));
    EXPECT_FALSE(v.valid_at(*parse_time("2026-02-01")));
    EXPECT_FALSE(v.valid_at(*parse_time("2025-12-31")));
  });
}

RC_GTEST_PROP(IndicatorsProperty, LookupFindsExactlyWhatTheReferenceFinds, ()) {
  // Small alphabets, so that parents, prefixes and networks collide all the time.
  const auto label = rc::gen::elementOf(std::vector<std::string>{"a", "b", "aa", "evil", "co"});
  const auto top = rc::gen::elementOf(std::vector<std::string>{"uk", "co.uk", "example", "github.io", "dk"});
  const auto domain = rc::gen::apply(
      [](const std::vector<std::string>& labels, const std::string& t) {
        std::string out;
        for (const auto& l : labels) out += l + ".";
        return out + t;
      },
      rc::gen::resize(4, rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(label))), top);
  const auto url = rc::gen::apply(
      [](const std::string& host, const std::vector<std::string>& path, int query) {
        std::string out = host;
        for (const auto& p : path) out += "/" + p;
        return query == 0 ? out + "/?q=1" : query == 1 ? out + "?q=2" : out;
      },
      domain, rc::gen::resize(4, rc::gen::container<std::vector<std::string>>(label)), rc::gen::inRange(0, 4));
  const auto address = rc::gen::map(rc::gen::inRange(0, 512), [](int n) {
    return n < 300 ? "192.0." + std::to_string(n / 100) + "." + std::to_string(n % 100 * 2)
                   : "2001:db8::" + std::to_string(n % 10) + ":" + std::to_string(n);
  });
  const auto one = rc::gen::mapcat(rc::gen::inRange(0, 6), [=](int pick) -> rc::Gen<std::pair<Kind, std::string>> {
    const auto as = [](Kind k) { return [k](std::string v) { return std::pair(k, std::move(v)); }; };
    switch (pick) {
      case 0: return rc::gen::map(domain, as(Kind::domain));
      case 1: return rc::gen::map(domain, as(Kind::mail_domain));
      case 2: return rc::gen::map(url, as(Kind::url));
      case 3: return rc::gen::map(domain, [](std::string d) { return std::pair(Kind::email, "bo@" + d); });
      default: return rc::gen::map(address, as(Kind::ipv4));
    }
  });
  const auto pairs = *rc::gen::container<std::vector<std::pair<Kind, std::string>>>(one);
  const auto widths = *rc::gen::container<std::vector<int>>(pairs.size(), rc::gen::inRange(-40, 129));
  std::vector<Indicator> all;
  for (std::size_t n = 0; n < pairs.size(); ++n) {
    std::string value = pairs[n].second;
    if (pairs[n].first == Kind::ipv4 && widths[n] >= 0) {
      const bool v6 = value.find(':') != std::string::npos;
      value += "/" + std::to_string(v6 ? std::max(16, widths[n]) : 8 + widths[n] % 25);
    }
    all.push_back(indicator(pairs[n].first, value, n % 3 == 0 ? "x" : "y"));
  }
  const auto queries = *rc::gen::container<std::vector<std::pair<Kind, std::string>>>(one);
  // Half in the base, half added live; some taken away again.
  IndicatorSet set(base_of({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2)}));
  for (std::size_t n = all.size() / 2; n < all.size(); ++n) RC_ASSERT(set.add(all[n]).has_value());
  std::set<std::tuple<Kind, std::string, std::string>> standing;
  for (const auto& i : all) standing.insert({i.kind, i.value, i.source});
  for (std::size_t n = 0; n < all.size(); n += 5) {
    set.remove(all[n].kind, all[n].value, all[n].source);
    standing.erase({all[n].kind, all[n].value, all[n].source});
  }
  const int rounds = *rc::gen::inRange(1, 3);
  for (int round = 0; round < rounds; ++round) {
    for (const auto& list : {pairs, queries})
      for (const auto& [kind, raw] : list) {
        const auto q = event::canonical(kind, raw);
        Strings want;
        for (const auto& [k, v, source] : standing) {
          Indicator i;
          i.kind = k;
          i.value = v;
          if (should_hit(i, q->kind, q->value)) want.push_back(std::string(event::to_string(k)) + " " + v);
        }
        std::sort(want.begin(), want.end());
        RC_ASSERT(hits(set.snapshot(), q->kind, q->value) == want);
      }
    RC_ASSERT(set.fold().has_value());
    RC_ASSERT(set.pending() == 0U);
    RC_ASSERT(set.snapshot()->size() == standing.size());
  }
}

TEST(Indicators, SavedFileIsReadBackAndDamageIsNoticed) {
  const auto path = (std::filesystem::temp_directory_path() / ("bavn_indicators_" + std::to_string(getpid()))).string();
  IndicatorBuilder b;
  add_random(b, 2000, 1);
  Indicator pattern;
  pattern.value = "[domain-name:value = 'a.example' AND file:name = 'x.exe']";
  pattern.source = "p";
  ASSERT_TRUE(b.add(pattern));
  const auto base = b.build();
  ASSERT_TRUE(base->save(path));
  const auto mapped = IndicatorBase::open(path);
  ASSERT_TRUE(mapped) << to_string(mapped.error());
  std::vector<Indicator> before, after;
  base->for_each([&](const Indicator& i) { before.push_back(i); });
  (*mapped)->for_each([&](const Indicator& i) { after.push_back(i); });
  EXPECT_EQ(before, after);
  EXPECT_EQ(after.size(), (*mapped)->size());
  std::ifstream in(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  std::mt19937 random(3);
  for (int n = 0; n < 200; ++n) {
    std::string broken = bytes;
    broken[random() % broken.size()] ^= static_cast<char>(1U << random() % 8);
    EXPECT_FALSE(IndicatorBase::from_bytes(std::move(broken)));
  }
  for (const std::size_t cut : {std::size_t{0}, std::size_t{7}, std::size_t{100}, bytes.size() / 2, bytes.size() - 1})
    EXPECT_FALSE(IndicatorBase::from_bytes(bytes.substr(0, cut)));
  std::filesystem::remove(path);
  EXPECT_EQ(IndicatorBase::open(path).error().code, Code::not_found);
}

TEST(Indicators, PatternsHitByTheirWitnessAndAreCheckedOnTheRecord) {
  IndicatorBuilder b;
  Indicator p;
  p.value = "[domain-name:value = 'evil.example' AND file:name = 'x.exe']";
  p.source = "stix";
  ASSERT_TRUE(b.add(p));
  const auto s = snapshot_of(b.build());
  Matcher m;
  m.use(s);
  m.add(Kind::domain, "evil.example", 1);
  m.add(Kind::file_name, "x.exe", 1);
  unsigned found = 0;
  m.flush([&](const Hit& h) {
    ++found;
    ASSERT_NE(h.indicator.pattern(), nullptr);
    const Seen both[] = {{Kind::domain, "evil.example"}, {Kind::file_name, "x.exe"}};
    const Seen half[] = {{Kind::domain, "evil.example"}};
    EXPECT_TRUE(h.indicator.pattern()->matches(both));
    EXPECT_FALSE(h.indicator.pattern()->matches(half));
    EXPECT_EQ(h.indicator.to_indicator(), p);
  });
  EXPECT_EQ(found, 1U);
}

TEST(IndicatorSet, ReadersSeeWholeSnapshotsWhileAWriterWorks) {
  IndicatorSet set;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> reads = 0;
  std::thread reader([&] {
    while (!stop) {
      const auto s = set.snapshot();
      // The writer adds a.N before b.N: whoever sees b.N sees a.N.
      for (int n = 0; n < 60; ++n) {
        const std::string name = std::to_string(n) + "x.example";
        const bool b = !hits(s, Kind::domain, "b" + name).empty(), a = !hits(s, Kind::domain, "a" + name).empty();
        EXPECT_TRUE(a || !b) << n;
      }
      ++reads;
    }
  });
  for (int n = 0; n < 60; ++n) {
    const std::string name = std::to_string(n) + "x.example";
    ASSERT_TRUE(set.add(indicator(Kind::domain, "a" + name)));
    ASSERT_TRUE(set.add(indicator(Kind::domain, "b" + name)));
    ASSERT_TRUE(n % 20 != 0 || set.fold());
  }
  while (reads < 3) std::this_thread::yield();
  stop = true;
  reader.join();
  EXPECT_EQ(set.snapshot()->size(), 120U);
}

// BAVN_INDICATORS=10000000 measures at that size.
TEST(IndicatorBench, BytesAndNanoseconds) {
  const char* wanted = std::getenv("BAVN_INDICATORS");
  const std::size_t n = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 200000;
  using Clock = std::chrono::steady_clock;
  const auto ms = [](Clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); };
  IndicatorBuilder b;
  const auto t0 = Clock::now();
  add_random(b, n, 1);
  const auto t1 = Clock::now();
  const auto base = b.build();
  const auto t2 = Clock::now();
  const double each = static_cast<double>(base->bytes()) / static_cast<double>(n);
  std::mt19937_64 random(9);
  std::vector<std::uint64_t> keys(1 << 22);
  for (auto& k : keys) k = random();
  std::vector<std::uint64_t> out(keys.size() / 64);
  base->probe(keys, out);
  const auto t3 = Clock::now();
  base->probe(keys, out);
  const auto t4 = Clock::now();
  for (std::size_t k = 0; k < keys.size(); k += 997)
    ASSERT_EQ(base->may_have(keys[k]), (out[k / 64] >> (k % 64) & 1) != 0);
  std::size_t positive = 0;
  for (auto w : out) positive += static_cast<std::size_t>(__builtin_popcountll(w));
  IndicatorSet set(base);
  double slowest = 0;
  for (int k = 0; k < 200; ++k) {
    const auto from = Clock::now();
    ASSERT_TRUE(set.add(indicator(Kind::domain, "live" + std::to_string(k) + ".example")));
    ASSERT_FALSE(hits(set.snapshot(), Kind::domain, "x.live" + std::to_string(k) + ".example").empty());
    slowest = std::max(slowest, ms(Clock::now() - from));
  }
  Matcher m;
  m.use(set.snapshot());
  const auto t5 = Clock::now();
  constexpr int kLookups = 400000;
  std::size_t found = 0;
  for (int k = 0; k < kLookups; ++k) {
    m.add(Kind::domain, k % 2 == 0 ? "login.portal.example" : "www.some.long.name.example", 0);
    if (m.pending() >= 128) m.flush([&](const Hit&) { ++found; });
  }
  m.flush([&](const Hit&) { ++found; });
  const auto t6 = Clock::now();
  std::printf(
      "{\"indicators\":%zu,\"bytes_per_indicator\":%.1f,\"add_ns\":%.0f,\"build_ms\":%.0f,\"probe_miss_ns\":%.2f,"
      "\"false_positive\":%.4f,"
      "\"add_to_visible_ms_max\":%.2f,\"domain_lookup_with_parents_ns\":%.1f}\n",
      n, each, ms(t1 - t0) * 1e6 / static_cast<double>(n), ms(t2 - t1),
      ms(t4 - t3) * 1e6 / static_cast<double>(keys.size()),
      static_cast<double>(positive) / static_cast<double>(keys.size()), slowest, ms(t6 - t5) * 1e6 / kLookups);
  EXPECT_EQ(found, 0U);
  EXPECT_LE(each, 60.0);
  EXPECT_LT(static_cast<double>(positive) / static_cast<double>(keys.size()), 0.05);
}

TEST(IndicatorSet, StartingOverLeavesTheBaseTheAdditionsAndNothingElse) {
  IndicatorSet set(base_of({indicator(Kind::domain, "old.example")}));
  ASSERT_TRUE(set.add(indicator(Kind::domain, "added.example")));
  const std::vector<Indicator> additions = {indicator(Kind::domain, "later.example"),
                                            indicator(Kind::domain, "again.example")};
  const std::vector<Removal> removals = {{Kind::domain, "gone.example", ""}, {Kind::domain, "again.example", ""}};
  const std::uint64_t before = set.version();
  ASSERT_TRUE(set.start_over(base_of({indicator(Kind::domain, "new.example"), indicator(Kind::domain, "gone.example"),
                                      indicator(Kind::domain, "again.example", "other")}),
                             additions, removals));
  EXPECT_EQ(set.version(), before + 1);  // readers never see half of it
  const auto s = set.snapshot();
  EXPECT_TRUE(hits(s, Kind::domain, "old.example").empty());
  EXPECT_TRUE(hits(s, Kind::domain, "added.example").empty());
  EXPECT_TRUE(hits(s, Kind::domain, "gone.example").empty());
  EXPECT_EQ(hits(s, Kind::domain, "new.example"), Strings{"domain new.example"});
  EXPECT_EQ(hits(s, Kind::domain, "later.example"), Strings{"domain later.example"});
  EXPECT_EQ(hits(s, Kind::domain, "again.example"),
            Strings{"domain again.example"});  // the addition, not what the base had
  EXPECT_TRUE(set.remove(Kind::domain, "later.example"));
  EXPECT_TRUE(hits(set.snapshot(), Kind::domain, "later.example").empty());
}

}  // namespace bavn::match::indicators
