#include "warn/never_block.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/text.hpp"

namespace bavn::warn {
namespace {

const NeverBlock& lists() {
  static const NeverBlock n =
      *NeverBlock::open({"gentofte.dk", "oslo.kommune.no", "dk", "no name", "co.uk"}, {"185.5.5.0/24"});
  return n;
}

struct Case {
  const char *kind, *value;
};

void refuses(const Case& c) {
  const auto what = event::canonical(c.kind, c.value);
  ASSERT_TRUE(what) << c.value;
  const auto refusal = lists().check(*what);
  EXPECT_TRUE(refusal) << c.kind << " " << c.value;
  if (refusal) {
    EXPECT_FALSE(refusal->reason.empty());
  }
}

void lets_in(const Case& c) {
  const auto what = event::canonical(c.kind, c.value);
  ASSERT_TRUE(what) << c.value;
  const auto refusal = lists().check(*what);
  EXPECT_FALSE(refusal) << c.kind << " " << c.value << ": " << (refusal ? refusal->reason : "");
}

TEST(NeverBlock, NobodyBlocksWhatEverybodyNeeds) {
  for (const Case c : {Case{"domain", "microsoft.com"},
                       {"domain", "login.microsoft.com"},
                       {"domain", "Microsoft.COM."},
                       {"domain", "*.borger.dk"},
                       {"domain", "bio.link"},
                       {"domain", "www.bio.link"},
                       {"domain", "linktr.ee"},
                       {"domain", "co.uk"},
                       {"domain", "kommune.dk"},
                       {"mail_domain", "*.Kommune.DK."},
                       {"domain", "github.io"},
                       {"domain", "kommune.no"},
                       {"domain", "core.windows.net"},
                       {"domain", "blob.core.windows.net"},
                       {"domain", "login.windows.net"},
                       {"domain", "fonts.googleapis.com"},
                       {"domain", "lh3.googleusercontent.com"},
                       {"domain", "ocsp.digicert.com"},
                       {"domain", "crl3.digicert.com"},
                       {"domain", "r11.o.lencr.org"},
                       {"domain", "time.windows.com"},
                       {"domain", "dk.pool.ntp.org"},
                       {"domain", "amazonaws.com"},
                       {"url", "https://www.borger.dk/x"},
                       {"url", "https://bio.link"},
                       {"url", "https://bio.link/?x"},
                       {"url", "https://bio.link/login"},
                       {"url", "https://docs.google.com/forms/d/e"},
                       {"url", "https://DOCS.google.com/Forms"},
                       {"url", "https://forms.office.com/Pages/ResponsePage.aspx"},
                       {"url", "https://google.com/maps"},
                       {"url", "https://microsoft.com/x?y=1"},
                       {"url", "http://10.1.2.3/x"},
                       {"mail_domain", "gmail.com"},
                       {"mail_domain", "borger.dk"},
                       {"mail_domain", "outlook.com"},
                       {"email", "noreply@digitalpost.dk"},
                       {"email", "postmaster@evil.example"},
                       {"email", "no-reply@microsoft.com"},
                       {"cidr", "10.0.0.0/8"},
                       {"cidr", "0.0.0.0/0"},
                       {"cidr", "81.0.0.0/8"},
                       {"cidr", "::/0"},
                       {"cidr", "2001:db8::/32"},
                       {"ipv4", "192.168.1.1"},
                       {"ipv4", "8.8.8.8"},
                       {"ipv4", "40.97.1.1"},
                       {"ipv4", "104.17.0.1"},
                       {"ipv4", "127.0.0.1"},
                       {"ipv6", "::ffff:10.0.0.1"},
                       {"ipv6", "fe80::1"},
                       {"ipv4", "185.5.5.7"},
                       {"cidr", "185.5.5.128/25"},
                       {"sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                       {"message_id", "a@b"},
                       {"asn", "AS8075"},
                       {"subject", "hej"},
                       {"user_agent", "Mozilla/5.0"}})
    if (event::canonical(c.kind, c.value)) refuses(c);
    else ADD_FAILURE() << c.value;
}

TEST(NeverBlock, NobodyBlocksAMember) {
  for (const Case c : {Case{"domain", "gentofte.dk"},
                       {"domain", "www.gentofte.dk"},
                       {"domain", "oslo.kommune.no"},
                       {"mail_domain", "gentofte.dk"},
                       {"url", "https://www.gentofte.dk/x"},
                       {"url", "https://gentofte.dk/x?y"}})
    refuses(c);
  const auto person = event::canonical("email", "x@gentofte.dk");
  EXPECT_FALSE(lists().check(*person));
  EXPECT_TRUE(lists().members_address(*person));
  EXPECT_FALSE(lists().members_address(*event::canonical("email", "x@evil.example")));
}

TEST(NeverBlock, AMembersDomainThatIsASuffixWouldStopAllBlockingAndIsLeftOut) {
  EXPECT_EQ(lists().left_out(), (std::vector<std::string>{"dk", "no name", "co.uk"}));
}

TEST(NeverBlock, WhatAttackersUseCanBeBlocked) {
  for (const Case c : {Case{"url", "https://bio.link/orbes"},
                       {"url", "https://www.bio.link/orbes"},
                       {"url", "https://docs.google.com/forms/d/e/1FAIpQLSc/viewform"},
                       {"url", "https://forms.office.com/r/AbC123"},
                       {"url", "https://forms.office.com/Pages/ResponsePage.aspx?id=abc"},
                       {"url", "https://google.com/url?q=http://evil.example/"},
                       {"url", "https://s3.amazonaws.com/evil-bucket/x.html"},
                       {"url", "https://evil.example/login"},
                       {"url", "http://203.0.113.7/x"},
                       {"domain", "evil.example"},
                       {"domain", "login.evil.example"},
                       {"domain", "evil.github.io"},
                       {"domain", "evil.pages.dev"},
                       {"domain", "evil.blob.core.windows.net"},
                       {"domain", "evil.z6.web.core.windows.net"},
                       {"domain", "evil-my.sharepoint.com"},
                       {"domain", "evilmicrosoft.com"},
                       {"domain", "microsoft.com.evil.example"},
                       {"domain", "borger-dk.com"},
                       {"domain", "gentofte.dk.evil.example"},
                       {"domain",
                        "micros\xd0\xbe"
                        "ft.com"},  // a Cyrillic letter: another name
                       {"email", "ceo@gmail.com"},
                       {"email", "x@evil.example"},
                       {"mail_domain", "evil.example"},
                       {"ipv4", "192.0.2.1"},
                       {"cidr", "192.0.2.0/28"},
                       {"ipv6", "2001:db8::1"},
                       {"message_id", "<CAF=abc123@mail.evil.example>"},
                       {"sha256", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}})
    lets_in(c);
}

TEST(NeverBlock, AnotherSpellingDoesNotPassByTheLists) {
  for (const event::Observable& what : {event::Observable{event::Kind::domain, "MICROSOFT.COM"},
                                        {event::Kind::domain, "microsoft.com."},
                                        {event::Kind::domain, ".microsoft.com"},
                                        {event::Kind::url, "https://bio.link/"},
                                        {event::Kind::url, "HTTPS://www.borger.dk"},
                                        {event::Kind::ipv4, "010.0.0.1"},
                                        {event::Kind::cidr, "10.0.0.7/8"},
                                        {event::Kind::domain, "evil.example\nborger.dk"},
                                        {event::Kind::domain, ""}})
    EXPECT_TRUE(lists().check(what)) << what.value;
}

TEST(NeverBlock, EveryEntryOfItsListsIsRefusedAsAHost) {
  std::size_t seen = 0;
  for (const char* file : {"state", "services", "suffixes", "shared_hosts"}) {
    std::ifstream in(std::string(BAVN_SOURCE_DIR "/content/never_block/") + file + ".txt");
    for (std::string line; std::getline(in, line);) {
      const std::string_view entry = trim(std::string_view(line).substr(0, line.find('#')));
      const auto what = event::canonical("domain", entry.substr(0, entry.find('/')));
      if (entry.empty() || !what) continue;
      EXPECT_TRUE(lists().check(*what)) << file << ": " << entry;
      if (entry.contains('/')) {
        EXPECT_TRUE(lists().check(*event::canonical("url", "https://" + std::string(entry)))) << entry;
      }
      ++seen;
    }
  }
  EXPECT_GT(seen, 800U);
}

}  // namespace
}  // namespace bavn::warn
