#include "event/masked.hpp"

#include <gtest/gtest.h>

namespace bavn::event {

namespace {

TEST(Masked, TokensAreRandomAndWordsAreNot) {
  for (const auto* w : {"3xYzAbC", "a1b2c3d4", "aB3xK9", "deadbeef01", "550e8400e29b", "k8s2m4p9", "xkqjzvbn",
                        "q7Rt2LmX9pWd", "1FAIpQLSdX8", "a#b#c#", "0a1b2c3d", "zzTop5K2jQ81x"})
    EXPECT_TRUE(looks_random(w)) << w;
  for (const auto* w : {"orbes",
                        "login",
                        "Login",
                        "faktura",
                        "YouTube",
                        "McDonald",
                        "o365login",
                        "viewform",
                        "borgerservice",
                        "lønseddel",
                        "uke12345",
                        "2024",
                        "uge47",
                        "office",
                        "kommunalbestyrelsen",
                        "strengtfortroligt",
                        "README",
                        "iPhone",
                        "wordpress",
                        "facade",
                        "html5",
                        "hjælp",
                        "ærøskøbing",
                        "OneDrive"})
    EXPECT_FALSE(looks_random(w)) << w;
}

TEST(Masked, ASegmentIsShownWhenItIsShortAndWordsOnly) {
  for (const auto* s : {"orbes", "uge-47", "login.php", "lønseddel", "faktura #", "v2", "#", "2024-10", "~jens"})
    EXPECT_TRUE(may_be_shown(s)) << s;
  for (const auto* s : {"",      ".",           "..",           "jens@x.dk",  "a-segment-of-more-than-20",
                        "12345", "3f-9c-a1-7b", "<b>",          "a\"b",       "a'b",
                        "a;b",   "a=b",         "a&b",          "a%b",        "\xE2\x80\xAEgnp",
                        "\xFF",  "a\nb",        "\xD0\xB0pple", "x\xC2\xADy", "=HYPERLINK"})
    EXPECT_FALSE(may_be_shown(s)) << s;
}

TEST(Masked, TheHubTakesWhatNodesWriteAndNothingElse) {
  for (const auto* p : {"/", "/orbes", "/*", "/forms/d/e/*", "/l%C3%B8nseddel/#", "/faktura%20#/index.php", "/*/*"})
    EXPECT_TRUE(check_shown_path(p)) << p;
  for (const auto* p : {"",
                        "orbes",
                        "/a?b=c",
                        "/a#frag ment",
                        "//",
                        "/a/",
                        "/%3Cscript%3E",
                        "/a%2Fb",
                        "/%c3%b8",
                        "/%C3",
                        "/%61",
                        "/../x",
                        "/jens@x.dk",
                        "/3xYzAbC",
                        "/**",
                        "/a*",
                        "/0123456789abcdef0123456789abcdef",
                        "/\xE2\x80\xAE",
                        "/a\x01",
                        "/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8"})
    EXPECT_FALSE(check_shown_path(p)) << p;
  for (const auto* n : {"faktura_#.html", "*.html", "*", "l%C3%B8n.svg"}) EXPECT_TRUE(check_shown_file_name(n)) << n;
  for (const auto* n : {"", "a/b.html", "jens@x.dk.html", "faktura.<b>", "x.*", "a b.html", "Q3xYzAbC9.html"})
    EXPECT_FALSE(check_shown_file_name(n)) << n;
}

TEST(Masked, OnlyPublicCanonicalHostsAreShown) {
  for (const auto* h : {"bio.link", "evil.example", "evil.example:8443", "192.0.2.1", "[2001:db8::1]:8080",
                        "*.evil.example", "*.*.evil.co.uk", "xn--bcher-kva.example", "evil.github.io"})
    EXPECT_TRUE(check_shown_host(h)) << h;
  for (const auto* h : {"",
                        "intranet",
                        "10.0.0.1",
                        "192.168.1.1",
                        "127.0.0.1",
                        "169.254.1.1",
                        "100.64.0.1",
                        "[::1]",
                        "[fe80::1]",
                        "[fd00::1]",
                        "srv.local",
                        "srv.kommune.lan",
                        "Evil.example",
                        "evil.example.",
                        "evil.example:0",
                        "evil.example:99999",
                        "evil.example:08",
                        "*.co.uk",
                        "*",
                        "*.com",
                        "evil example.com",
                        "evil.example/",
                        "evil.example:",
                        "a.*.evil.example",
                        "<b>.example",
                        "2001:db8::1",
                        "0x7f.1"})
    EXPECT_FALSE(check_shown_host(h)) << h;
}

}  // namespace

}  // namespace bavn::event
