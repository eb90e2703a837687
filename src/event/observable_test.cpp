#include "event/observable.hpp"

#include <gtest/gtest.h>

#include <random>

#include "event/domain.hpp"
#include "event/extract.hpp"
#include "event/ip.hpp"

namespace bavn::event {

namespace {

std::string as(Kind kind, std::string_view value) {
  const auto found = canonical(kind, value);
  return found ? std::string(to_string(found->kind)) + " " + found->value : "none";
}

std::string guessed(std::string_view value) {
  const auto found = guess(value);
  return found ? std::string(to_string(found->kind)) + " " + found->value : "none";
}

std::vector<std::string> extracted(Role role, std::string_view value) {
  std::vector<std::string> out;
  Extractor e;
  e.extract(role, value,
            [&](Kind k, std::string_view v) { out.push_back(std::string(to_string(k)) + " " + std::string(v)); });
  return out;
}

using Strings = std::vector<std::string>;

std::vector<std::string> prefixes(std::string_view url) {
  std::vector<std::string> out;
  for_each_url_prefix(url, [&](std::string_view p, unsigned depth) {
    out.push_back(std::to_string(depth) + " " + std::string(p));
    return true;
  });
  return out;
}

}  // namespace

TEST(Observable, DomainsAreLowerCaseWithoutDotAndInPunycode) {
  EXPECT_EQ(as(Kind::domain, " Evil.Example.ORG. "), "domain evil.example.org");
  EXPECT_EQ(as(Kind::domain, "*.evil.example"), "domain evil.example");
  EXPECT_EQ(as(Kind::domain, "blåbærgrød.example"), "domain xn--blbrgrd-fxak7p.example");
  EXPECT_EQ(as(Kind::domain, "BLÅBÆRGRØD.example"), "domain xn--blbrgrd-fxak7p.example");
  EXPECT_EQ(as(Kind::domain, "_dmarc.example.org"), "domain _dmarc.example.org");
  for (const char* bad :
       {"", ".", "..", "a..b", "localhost", "192.0.2.1", "a b.example", "a/b.example", "-", "1.2", "\xff\xfe.example"})
    EXPECT_EQ(as(Kind::domain, bad), "none") << bad;
  EXPECT_EQ(as(Kind::domain, std::string(64, 'a') + ".example"), "none");
  EXPECT_EQ(as(Kind::domain, std::string(63, 'a') + ".example"), "domain " + std::string(63, 'a') + ".example");
}

TEST(Observable, UrlsIgnoreSchemeDefaultPortAndFragment) {
  EXPECT_EQ(as(Kind::url, "HTTPS://Evil.Example:443/a/%7Eb/?#x"), "url evil.example/a/~b");
  EXPECT_EQ(as(Kind::url, "http://evil.example:80"), "url evil.example/");
  EXPECT_EQ(as(Kind::url, "evil.example/A?B=c"), "url evil.example/A?B=c");
  EXPECT_EQ(as(Kind::url, "http://evil.example:8080/a"), "url evil.example:8080/a");
  EXPECT_EQ(as(Kind::url, "http://bank.example@evil.example/a"), "url evil.example/a");
  EXPECT_EQ(as(Kind::url, "ftp://evil.example:21/a"), "url ftp://evil.example/a");
  EXPECT_EQ(as(Kind::url, "http://[2001:DB8::0:1]:81/a"), "url [2001:db8::1]:81/a");
  EXPECT_EQ(as(Kind::url, "http://[::ffff:192.0.2.1]/a"), "url 192.0.2.1/a");
  EXPECT_EQ(as(Kind::url, "http://0xC0000201/a"), "url 192.0.2.1/a");
  EXPECT_EQ(as(Kind::url, "http://evil.example/%61%2Fb%2fc%25"), "url evil.example/a%2Fb%2Fc%25");
  EXPECT_EQ(as(Kind::url, "http://evil.example/%%341"), "url evil.example/%2541");
  EXPECT_EQ(as(Kind::url, "http://evil.example/æ b"), "url evil.example/%C3%A6%20b");
  EXPECT_EQ(as(Kind::url, "http://evil.example/a/../b/./c"), "url evil.example/b/c");
  EXPECT_EQ(as(Kind::url, "http:\\\\evil.example\\a"), "url evil.example/a");
  EXPECT_EQ(as(Kind::url, "http://%65vil.example/"), "url evil.example/");
  for (const char* bad : {"http://", "http:///", "mailto:a@example.org", "javascript:alert(1)", "data:text/html,x", "-",
                          "http://a:b/", "//", "http://[::1/a", "http://ex ample/"})
    EXPECT_EQ(as(Kind::url, bad), "none") << bad;
}

TEST(Observable, AddressesAndNetworks) {
  EXPECT_EQ(as(Kind::ipv4, "192.0.2.1"), "ipv4 192.0.2.1");
  EXPECT_EQ(as(Kind::ipv6, "::FFFF:192.0.2.1"), "ipv4 192.0.2.1");
  EXPECT_EQ(as(Kind::ipv4, "2001:0DB8:0:0::1"), "ipv6 2001:db8::1");
  EXPECT_EQ(as(Kind::ipv6, "fe80::1%eth0"), "ipv6 fe80::1");
  EXPECT_EQ(as(Kind::cidr, "192.0.2.77/24"), "cidr 192.0.2.0/24");
  EXPECT_EQ(as(Kind::cidr, "192.0.2.77/32"), "ipv4 192.0.2.77");
  EXPECT_EQ(as(Kind::ipv4, "::ffff:192.0.2.0/120"), "cidr 192.0.2.0/24");
  EXPECT_EQ(as(Kind::cidr, "2001:db8::1/33"), "cidr 2001:db8::/33");
  for (const char* bad :
       {"192.0.2.01", "192.0.2", "192.0.2.256", "192.0.2.0/33", "192.0.2.0/", "::/129", "1::2::3", "192.0.2.1.5"})
    EXPECT_EQ(as(Kind::ipv4, bad), "none") << bad;
}

TEST(Observable, TheOtherKinds) {
  EXPECT_EQ(as(Kind::md5, "D41D8CD98F00B204E9800998ECF8427E"), "md5 d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(as(Kind::sha256, "D41D8CD98F00B204E9800998ECF8427E"), "none");
  EXPECT_EQ(as(Kind::email, "\"Bo\" <Bo.Ek+x@Example.ORG>"), "email bo.ek+x@example.org");
  EXPECT_EQ(as(Kind::email, "mailto:bo@example.org?subject=x"), "email bo@example.org");
  EXPECT_EQ(as(Kind::email, "bo@nowhere"), "none");
  EXPECT_EQ(as(Kind::mail_domain, "@Example.org"), "mail_domain example.org");
  EXPECT_EQ(as(Kind::message_id, "<AbC@x.example>"), "message_id AbC@x.example");
  EXPECT_EQ(as(Kind::message_id, "<]\x12>"), "none");
  EXPECT_EQ(as(Kind::app_id, "{{{}}"), "none");
  EXPECT_EQ(as(Kind::mail_domain, "@"), "none");
  EXPECT_EQ(as(Kind::subject, "  Faktura \t NR. 7 Ærø"), "subject faktura nr. 7 ærø");
  EXPECT_EQ(as(Kind::file_name, "C:\\Temp\\Faktura.PDF.exe"), "file_name faktura.pdf.exe");
  EXPECT_EQ(as(Kind::asn, "as 0064496"), "asn AS64496");
  EXPECT_EQ(as(Kind::app_id, "{0A1B2C3D-0000-1111-2222-333344445555}"), "app_id 0a1b2c3d-0000-1111-2222-333344445555");
  EXPECT_EQ(as(Kind::account, "EXAMPLE\\Bo"), "account example\\bo");
  EXPECT_EQ(as(Kind::bank_account, "GB82 WEST 1234 5698 7654 32"), "bank_account GB82WEST12345698765432");
  EXPECT_EQ(as(Kind::bank_account, "GB83 WEST 1234 5698 7654 32"), "none");
  EXPECT_EQ(as(Kind::phone, "0045 (12) 34-56-78"), "phone +4512345678");
  EXPECT_EQ(canonical("hash", "da39a3ee5e6b4b0d3255bfef95601890afd80709")->kind, Kind::sha1);
  EXPECT_EQ(parse_kind("IP"), Kind::ipv4);
  EXPECT_EQ(parse_kind("FQDN"), Kind::domain);
  EXPECT_FALSE(parse_kind("colour").has_value());
  for (unsigned i = 1; i < kKinds; ++i) EXPECT_EQ(parse_kind(to_string(static_cast<Kind>(i))), static_cast<Kind>(i));
}

TEST(Observable, DefangedTextIsRefangedAndGuessed) {
  EXPECT_EQ(refang("hxxps://evil[.]example/x"), "https://evil.example/x");
  EXPECT_EQ(refang("bo[@]evil(dot)example"), "bo@evil.example");
  EXPECT_EQ(guessed("hxxps[://]evil[.]example[/]x"), "url evil.example/x");
  EXPECT_EQ(guessed("evil{.}example"), "domain evil.example");
  EXPECT_EQ(guessed("192[.]0[.]2[.]7"), "ipv4 192.0.2.7");
  EXPECT_EQ(guessed("192.0.2.7:8080"), "ipv4 192.0.2.7");
  EXPECT_EQ(guessed("evil.example:8080"), "domain evil.example");
  EXPECT_EQ(guessed("evil.example:8080/x"), "url evil.example:8080/x");
  EXPECT_EQ(guessed("192.0.2.0/24"), "cidr 192.0.2.0/24");
  EXPECT_EQ(guessed("[2001:db8::1]:443"), "ipv6 2001:db8::1");
  EXPECT_EQ(guessed("2001:db8::443"), "ipv6 2001:db8::443");
  EXPECT_EQ(guessed("bo@evil.example"), "email bo@evil.example");
  EXPECT_EQ(guessed("AS64496"), "asn AS64496");
  for (const char* none : {"hello", "", "#", "12345", "report.docx", "C:\\Windows", "/etc/passwd", "1.2.3"})
    EXPECT_EQ(guessed(none), "none") << none;
}

TEST(Observable, HashDependsOnKindValueAndKey) {
  const auto h = observable_hash(Kind::domain, "evil.example");
  EXPECT_EQ(h, observable_hash(Kind::domain, "evil.example"));
  EXPECT_NE(h, observable_hash(Kind::mail_domain, "evil.example"));
  EXPECT_NE(h, observable_hash(Kind::domain, "evil.example", 1));
}

TEST(Domain, ParentsGoDownToTheRegistrableDomain) {
  EXPECT_EQ(registrable_domain("a.b.evil.co.uk"), "evil.co.uk");
  EXPECT_EQ(registrable_domain("co.uk"), "");
  EXPECT_EQ(registrable_domain("a.b.github.io"), "b.github.io");
  EXPECT_EQ(registrable_domain("a.evil.test"), "evil.test");
  EXPECT_EQ(registrable_domain("a.xn--55qx5d.cn"), "a.xn--55qx5d.cn");
  Strings seen;
  for_each_parent("a.b.evil.co.uk", [&](std::string_view d) { return seen.emplace_back(d), true; });
  EXPECT_EQ(seen, (Strings{"a.b.evil.co.uk", "b.evil.co.uk", "evil.co.uk"}));
  seen.clear();
  for_each_parent("co.uk", [&](std::string_view d) { return seen.emplace_back(d), true; });
  EXPECT_EQ(seen, (Strings{"co.uk"}));
  DomainCache cache;
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(cache.registrable_domain("a.b.evil.co.uk"), "evil.co.uk");
    EXPECT_EQ(cache.registrable_domain("co.uk"), "");
    EXPECT_EQ(cache.registrable_domain(std::string(60, 'a') + ".example.org"), "example.org");
  }
}

TEST(Domain, UrlPrefixesAreCutAtEachSlash) {
  EXPECT_EQ(prefixes("bio.link/orbes?x=1/2"), (Strings{"31 bio.link/orbes?x=1/2", "1 bio.link/orbes", "0 bio.link/"}));
  EXPECT_EQ(prefixes("bio.link/orbes/a"), (Strings{"2 bio.link/orbes/a", "1 bio.link/orbes", "0 bio.link/"}));
  EXPECT_EQ(prefixes("bio.link/"), (Strings{"0 bio.link/"}));
  EXPECT_EQ(prefixes("bio.link/a//b"), (Strings{"2 bio.link/a//b", "1 bio.link/a", "0 bio.link/"}));
  EXPECT_EQ(prefixes("bio.link/a/?q"), (Strings{"31 bio.link/a/?q", "1 bio.link/a", "0 bio.link/"}));
  EXPECT_EQ(prefixes("ftp://bio.link/a"), (Strings{"1 ftp://bio.link/a", "0 ftp://bio.link/"}));
  std::string deep = "bio.link";
  for (int i = 0; i < 100; ++i) deep += "/" + std::to_string(i);
  const auto all = prefixes(deep);
  ASSERT_EQ(all.size(), 32U);
  EXPECT_EQ(all[0], "31 " + deep);
  EXPECT_EQ(all[1], "30 " + deep.substr(0, deep.find("/30")));
  EXPECT_EQ(url_host("evil.example:81/a"), "evil.example");
  EXPECT_EQ(url_host("[2001:db8::1]:81/a"), "2001:db8::1");
  EXPECT_EQ(url_host("ftp://evil.example/a"), "evil.example");
}

TEST(Extract, EachRoleGivesItsObservables) {
  EXPECT_EQ(extracted(Role::ip, "192.0.2.1:443"), (Strings{"ipv4 192.0.2.1"}));
  EXPECT_EQ(extracted(Role::ip, "[::1]:25"), (Strings{"ipv6 ::1"}));
  EXPECT_EQ(extracted(Role::ip, "::ffff:192.0.2.1"), (Strings{"ipv4 192.0.2.1"}));
  EXPECT_EQ(extracted(Role::ip, "192.0.2.1, 192.0.2.2"), (Strings{"ipv4 192.0.2.1", "ipv4 192.0.2.2"}));
  EXPECT_EQ(extracted(Role::ip, "0.0.0.0"), Strings{});
  EXPECT_EQ(extracted(Role::domain, "Evil.Example."), (Strings{"domain evil.example"}));
  EXPECT_EQ(extracted(Role::url, "https://evil.example/a?b"), (Strings{"url evil.example/a?b", "domain evil.example"}));
  EXPECT_EQ(extracted(Role::url, "https://192.0.2.1/a"), (Strings{"url 192.0.2.1/a", "ipv4 192.0.2.1"}));
  EXPECT_EQ(extracted(Role::url, "http://intranet/a"), (Strings{"url intranet/a"}));
  EXPECT_EQ(extracted(Role::url, "evil.example:443"), (Strings{"url evil.example/", "domain evil.example"}));
  EXPECT_EQ(extracted(Role::url, "/index.html"), Strings{});
  EXPECT_EQ(extracted(Role::url, "images/x.png"), Strings{});
  EXPECT_EQ(extracted(Role::email, "Bo <bo@example.org>"),
            (Strings{"email bo@example.org", "mail_domain example.org"}));
  EXPECT_EQ(
      extracted(Role::emails, "\"Ek, Bo\" <bo@example.org>;al@example.net, x@@y"),
      (Strings{"email bo@example.org", "mail_domain example.org", "email al@example.net", "mail_domain example.net"}));
  EXPECT_EQ(
      extracted(Role::hashes, "MD5=D41D8CD98F00B204E9800998ECF8427E,IMPHASH=11111111111111111111111111111111,SHA1=x"),
      (Strings{"md5 d41d8cd98f00b204e9800998ecf8427e"}));
  EXPECT_EQ(extracted(Role::account, "Bo@Example.org"), (Strings{"account bo@example.org", "email bo@example.org"}));
  EXPECT_EQ(extracted(Role::host_or_ip, "192.0.2.1"), (Strings{"ipv4 192.0.2.1"}));
  EXPECT_EQ(extracted(Role::host_or_ip, "evil.example:25"), (Strings{"domain evil.example"}));
  EXPECT_EQ(extracted(Role::host_or_ip, "SRV01"), Strings{});
  EXPECT_EQ(extracted(Role::file_name, "/tmp/X.bin"), (Strings{"file_name x.bin"}));
  EXPECT_EQ(extracted(Role::url_path, "/x"), Strings{});
  EXPECT_EQ(extracted(Role::asn, "13335"), (Strings{"asn AS13335"}));
}

TEST(Extract, FreeTextIsSearched) {
  EXPECT_EQ(extracted(Role::text, "Se https://evil.example/a(1). Eller skriv til Bo@example.org, fra 192.0.2.1:443!"),
            (Strings{"url evil.example/a", "domain evil.example", "email bo@example.org", "mail_domain example.org",
                     "ipv4 192.0.2.1"}));
  EXPECT_EQ(extracted(Role::text, "src=192.0.2.1 dst=2001:db8::1 host=evil.example file=x.zip v1.2.3"),
            (Strings{"ipv4 192.0.2.1", "ipv6 2001:db8::1", "domain evil.example"}));
  EXPECT_EQ(extracted(Role::text, "got d41d8cd98f00b204e9800998ecf8427e; evil.example/x y"),
            (Strings{"md5 d41d8cd98f00b204e9800998ecf8427e", "url evil.example/x", "domain evil.example"}));
  EXPECT_EQ(extracted(Role::text, "url=http://[2001:db8::1]:8/a x"),
            (Strings{"url [2001:db8::1]:8/a", "ipv6 2001:db8::1"}));
  EXPECT_EQ(extracted(Role::text, "C:\\Windows\\System32\\cmd.exe /c start 12:30:45 a.b.c ..."), Strings{});
}

TEST(Extract, UrlFromHostAndPath) {
  Strings seen;
  Extractor e;
  const auto sink = [&](Kind k, std::string_view v) {
    seen.push_back(std::string(to_string(k)) + " " + std::string(v));
  };
  e.url_of("Evil.Example:8080", "/a?b", sink);
  e.url_of("-", "/a", sink);
  e.url_of("evil.example", "http://other.example/x", sink);
  EXPECT_EQ(seen, (Strings{"url evil.example:8080/a?b", "domain evil.example", "url other.example/x",
                           "domain other.example"}));
}

TEST(Extract, HostileValuesGiveOnlyCanonicalThings) {
  // Random bytes from an alphabet of everything the parsers look for; what comes out must read back as itself.
  const std::string_view alphabet[] = {"http://",
                                       "https://",
                                       "a",
                                       "B",
                                       ".",
                                       "..",
                                       "/",
                                       "\\",
                                       "@",
                                       ":",
                                       "[",
                                       "]",
                                       "%",
                                       "%41",
                                       "%2F",
                                       "%25",
                                       "?",
                                       "#",
                                       "::",
                                       "1",
                                       "25",
                                       "0x",
                                       "æ",
                                       "\xff",
                                       " ",
                                       ",",
                                       "<",
                                       ">",
                                       "com",
                                       "dk",
                                       "*",
                                       "\x01",
                                       "xn--",
                                       "=",
                                       "255",
                                       "-",
                                       "_",
                                       "\xe3\x80\x82",
                                       "d41d8cd98f00b204e9800998ecf8427e"};
  std::mt19937 random(7);
  Extractor e;
  std::size_t found = 0;
  for (int i = 0; i < 60000; ++i) {
    std::string value;
    for (auto n = random() % 14; n > 0; --n) value += alphabet[random() % std::size(alphabet)];
    e.extract(static_cast<Role>(random() % 21), value, [&](Kind kind, std::string_view v) {
      ++found;
      const auto again = canonical(kind, v);
      ASSERT_TRUE(again) << to_string(kind) << " '" << v << "' of '" << value << "'";
      ASSERT_EQ(again->kind, kind) << v;
      ASSERT_EQ(again->value, v) << value;
    });
    for (unsigned k = 1; k < kKinds; ++k) {
      const auto c = canonical(static_cast<Kind>(k), value);
      ASSERT_TRUE(!c || canonical(c->kind, c->value) == c)
          << to_string(c->kind) << " '" << c->value << "' of '" << value << "'";
    }
    const auto g = guess(value);
    ASSERT_TRUE(!g || canonical(g->kind, g->value) == g) << g->value << value;
  }
  EXPECT_GT(found, 1000U);
  for (const Role role : {Role::text, Role::emails, Role::hashes, Role::url, Role::ip}) {
    extracted(role, std::string(1 << 20, '@'));
    extracted(role, std::string(1 << 20, '.'));
    extracted(role, std::string(1 << 20, ':'));
    std::string many;
    for (int i = 0; i < 20000; ++i) many += "a@b.example,";
    EXPECT_LE(extracted(role, many).size(), 2U * Extractor::kMostOfOneText);
  }
}

}  // namespace bavn::event
