// What the samples do not show: the year rule, escapes one by one, forged values, state, hand-over inside syslog.
#include <gtest/gtest.h>

#include <map>

#include "formats/catalogue.hpp"
#include "formats/line_tools.hpp"
#include "formats/syslog/header.hpp"

namespace bavn::formats {
namespace {

struct Got final : FieldSink {
  std::multimap<std::string, std::string> all;
  std::optional<Instant> t;
  std::string format_name, reason;
  LineVerdict verdict = LineVerdict::not_mine;
  void put(std::string_view n, std::string_view v) override { all.emplace(n, v); }
  void happened(Instant i) override { t = i; }
  void format(std::string_view n) override { format_name = n; }
  std::string operator[](const std::string& n) const {
    const auto at = all.find(n);
    return at == all.end() ? "" : at->second;
  }
};

std::unique_ptr<LineReader> make(std::string_view name) {
  for (const TextReader& t : text_readers())
    if (t.name == name) {
      auto r = t.make();
      r->set_reference(*parse_time("2026-03-01T00:00:00Z"));
      return r;
    }
  ADD_FAILURE() << name;
  return nullptr;
}
Got read(LineReader& r, std::string_view line) {
  Got g;
  g.verdict = r.read(line, g, g.reason);
  return g;
}
Got read(std::string_view format, std::string_view line) {
  return read(*make(format), line);
}

TEST(BsdTime, TakesTheYearThatIsAtMostADayAhead) {
  struct Case {
    const char *text, *reference, *want;
  };
  for (const Case& c : {Case{"Feb 28 10:00:00", "2026-03-01T00:00:00Z", "2026-02-28T10:00:00Z"},
                        Case{"Dec 31 23:59:59", "2026-01-01T00:10:00Z", "2025-12-31T23:59:59Z"},
                        Case{"Jan  1 00:05:00", "2025-12-31T23:50:00Z", "2026-01-01T00:05:00Z"},
                        Case{"Mar  3 00:00:01", "2026-03-01T00:00:00Z", "2025-03-03T00:00:01Z"},
                        Case{"Mar  1 12:00:00", "2026-03-01T00:00:00Z", "2026-03-01T12:00:00Z"},
                        Case{"Mar  1 12:00:00.250 +0200", "2026-03-01T12:00:00Z", "2026-03-01T10:00:00.250000Z"},
                        Case{"Oct 11 2019 22:14:15", "2026-03-01T00:00:00Z", "2019-10-11T22:14:15Z"}}) {
    const auto t = bsd_time(c.text, parse_time(c.reference));
    ASSERT_TRUE(t && t->t) << c.text;
    EXPECT_EQ(format_time(*t->t), c.want) << c.text;
    EXPECT_EQ(t->length, std::string_view(c.text).size());
  }
}

TEST(BsdTime, HasNoInstantWithoutAReference) {
  const auto t = bsd_time("Feb 28 10:00:00 host", std::nullopt);
  ASSERT_TRUE(t);
  EXPECT_FALSE(t->t);
  EXPECT_EQ(t->length, 15U);
  EXPECT_FALSE(bsd_time("Foo 28 10:00:00", std::nullopt));
  EXPECT_FALSE(bsd_time("Feb 28 10:00", std::nullopt));
}

TEST(SyslogHeader, IsReadInAllItsForms) {
  const auto reference = parse_time("2026-03-01T00:00:00Z");
  struct Case {
    const char *line, *host, *program, *pid, *message;
    int priority;
  };
  for (const Case& c :
       {Case{"<34>Feb 11 22:14:15 mymachine su: 'su root' failed", "mymachine", "su", "", "'su root' failed", 34},
        Case{"Feb 11 22:14:15 h.example app[123]: text", "h.example", "app", "123", "text", -1},
        Case{"<34>1 2026-02-11T22:14:15.003Z h su - ID47 - text", "h", "su", "", "text", 34},
        Case{"<34>1 2026-02-11T22:14:15Z h su 7 - [a@1 k=\"v]\\\"\"] text", "h", "su", "7", "text", 34},
        Case{"44 <34>Feb 11 22:14:15 h su: text", "h", "su", "", "text", 34},
        Case{"<189>2026-02-11T10:00:00+01:00 fw app: a: b", "fw", "app", "", "a: b", 189},
        Case{"<13>just text", "", "", "", "just text", 13},
        Case{"Feb 11 22:14:15 192.0.2.1 no tag here", "192.0.2.1", "", "", "no tag here", -1},
        Case{"Feb 11 22:14:15 h su(pam_unix)[3]: x", "h", "su(pam_unix)", "3", "x", -1},
        Case{"Feb 11 22:14:15 h kern.warning kernel: x", "h", "kernel", "", "x", 4},
        Case{"no header at all", "", "", "", "no header at all", -1}}) {
    const auto h = syslog::read_header(c.line, reference);
    EXPECT_EQ(h.host, c.host) << c.line;
    EXPECT_EQ(h.program, c.program) << c.line;
    EXPECT_EQ(h.pid, c.pid) << c.line;
    EXPECT_EQ(h.message, c.message) << c.line;
    EXPECT_EQ(h.priority, c.priority) << c.line;
  }
}

TEST(Syslog, HandsEachPayloadToItsFormat) {
  auto r = make("syslog");
  for (const auto& [format, line] : std::map<std::string, std::string>{
           {"postfix", "Feb 11 08:00:00 mx postfix/qmgr[1]: 4F1A22C0B5: removed"},
           {"linux_auth", "Feb 11 08:00:00 h sshd[1]: Connection closed by 192.0.2.1 port 22"},
           {"cef", "<134>Feb 11 08:00:00 h CEF:0|a|b|c|d|e|5|src=192.0.2.1"},
           {"leef", "<134>Feb 11 08:00:00 h LEEF:1.0|a|b|c|d|src=192.0.2.1"},
           {"paloalto",
            "<14>Feb 11 08:00:00 pa 1,2026/02/11 08:00:00,0128,SYSTEM,auth,1,2026/02/11 "
            "08:00:00,,x,,0,0,general,high,\"t\",1,0x0"},
           {"checkpoint",
            "<134>1 2026-02-11T08:00:00Z gw CheckPoint 1 - [action:\"Drop\"; product:\"VPN-1\"; src:\"192.0.2.1\"]"},
           {"cisco_asa", "<166>Feb 11 2026 08:00:00: %ASA-6-302013: Built outbound TCP connection"},
           {"dns_bind",
            "Feb 11 08:00:00 ns named[1]: client 192.0.2.1#53 (x.example): query: x.example IN A + (192.0.2.2)"},
           {"dns_unbound", "Feb 11 08:00:00 ns unbound[1]: [1:0] info: 192.0.2.1 x.example. A IN"},
           {"auditd", "Feb 11 08:00:00 h audispd: node=h type=CWD msg=audit(1770800000.1:2): cwd=\"/\""},
           {"iptables", "Feb 11 08:00:00 h kernel: IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 PROTO=TCP SPT=1 DPT=2"},
           {"pfsense",
            "<134>Feb 11 08:00:00 filterlog[1]: "
            "1,,,1,igb0,match,block,in,4,0x0,,63,1,0,DF,6,tcp,60,192.0.2.1,192.0.2.2,1,2,0,S,1,,1,,"},
           {"dovecot", "Feb 11 08:00:00 mx dovecot: imap-login: Login: user=<a@example.org>, rip=192.0.2.1"},
           {"squid",
            "Feb 11 08:00:00 px squid[1]: 1770796800.049 5 192.0.2.1 TCP_MISS/200 1 GET http://x.example/ - "
            "HIER_DIRECT/192.0.2.2 -"}}) {
    const Got g = read(*r, line);
    EXPECT_EQ(g.verdict, LineVerdict::event) << line;
    EXPECT_EQ(g.format_name, format) << line;
    EXPECT_TRUE(g.t) << line;
  }
  EXPECT_EQ(read(*r, "Feb 11 08:00:00 h app: hello").format_name, "");
}

TEST(Syslog, KeepsALineWhosePayloadIsBroken) {
  const Got g = read("syslog", "<134>Feb 11 08:00:00 gw CEF:0|only|three");
  EXPECT_EQ(g.verdict, LineVerdict::event);
  EXPECT_EQ(g["message"], "CEF:0|only|three");
  EXPECT_TRUE(g.t);
}

TEST(Sshd, AForgedUserNameDoesNotReplaceTheAddress) {
  const Got g = read("linux_auth",
                     "Feb 11 08:00:00 h sshd[1]: Failed password for invalid user x from 198.51.100.1 port 1 from "
                     "203.0.113.9 port 22 ssh2");
  EXPECT_EQ(g["src_ip"], "203.0.113.9");
  EXPECT_EQ(g["user"], "x from 198.51.100.1 port 1");
}

TEST(Sudo, ACommandMayHoldTheSeparator) {
  const Got g =
      read("linux_auth", "Feb 11 08:00:00 h sudo: ole : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh -c a ; USER=x");
  EXPECT_EQ(g["COMMAND"], "/bin/sh -c a ; USER=x");
  EXPECT_EQ(g.all.count("USER"), 1U);
}

TEST(Cef, EscapesAreTakenOneByOne) {
  const auto value = [](std::string_view raw) {
    return read("cef", "CEF:0|v|p|1|1|n|1|msg=" + std::string(raw) + " src=192.0.2.1")["msg"];
  };
  EXPECT_EQ(value("a\\=b"), "a=b");
  EXPECT_EQ(value("a\\\\b"), "a\\b");
  EXPECT_EQ(value("a\\nb"), "a\nb");
  EXPECT_EQ(value("a\\rb"), "a\rb");
  EXPECT_EQ(value("a\\tb"), "a\\tb");
  EXPECT_EQ(value("two words"), "two words");
  EXPECT_EQ(value("x \\=y z"), "x =y z");
  EXPECT_EQ(read("cef", "CEF:0|a\\|b|p|1|1|n|1|")["deviceVendor"], "a|b");
  EXPECT_EQ(read("cef", "CEF:0|v|p|1|1|n").verdict, LineVerdict::refused);
}

TEST(Leef, EveryDelimiterIsUnderstood) {
  for (const char* line :
       {"LEEF:2.0|v|p|1|e|^|src=192.0.2.1^dst=192.0.2.2", "LEEF:2.0|v|p|1|e|0x5E|src=192.0.2.1^dst=192.0.2.2",
        "LEEF:2.0|v|p|1|e|x5E|src=192.0.2.1^dst=192.0.2.2", "LEEF:2.0|v|p|1|e|\\t|src=192.0.2.1\tdst=192.0.2.2",
        "LEEF:2.0|v|p|1|e|\t|src=192.0.2.1\tdst=192.0.2.2", "LEEF:2.0|v|p|1|e||src=192.0.2.1\tdst=192.0.2.2",
        "LEEF:2.0|v|p|1|e|src=192.0.2.1\tdst=192.0.2.2", "LEEF:1.0|v|p|1|e|src=192.0.2.1\tdst=192.0.2.2",
        "LEEF:1.0|v|p|1|e|src=192.0.2.1|dst=192.0.2.2", "LEEF:1.0|v|p|1|e|src=192.0.2.1^dst=192.0.2.2"}) {
    const Got g = read("leef", line);
    EXPECT_EQ(g["src"], "192.0.2.1") << line;
    EXPECT_EQ(g["dst"], "192.0.2.2") << line;
  }
}

TEST(Fortigate, TheZoneDecidesTheTime) {
  const std::string head = "date=2026-02-11 time=09:20:00 devid=\"F\" logid=\"1\" type=\"event\" ";
  EXPECT_EQ(format_time(*read("fortigate", head + "tz=\"+0100\"").t), "2026-02-11T08:20:00Z");
  EXPECT_EQ(format_time(*read("fortigate", head + "eventtime=1770798000000000000").t), "2026-02-11T08:20:00Z");
  EXPECT_EQ(format_time(*read("fortigate", head + "eventtime=1500000000").t),
            "2026-02-11T09:20:00Z");  // a clock gone wrong
  EXPECT_EQ(read("fortigate", head + "msg=\"a \\\"b\\\" c\" user=\"x\"")["msg"], "a \"b\" c");
}

TEST(Auditd, HexIsDecodedOnlyWhereTheKernelWritesIt) {
  const std::string head = "msg=audit(1770800000.1:2): ";
  EXPECT_EQ(read("auditd", "type=EXECVE " + head + "argc=1 a0=6C73")["a0"], "ls");
  EXPECT_EQ(read("auditd", "type=SYSCALL " + head + "a0=6C73 exe=\"/bin/ls\"")["a0"], "6C73");
  EXPECT_EQ(read("auditd", "type=PROCTITLE " + head + "proctitle=6C73002D6C00")["proctitle"], "ls -l");
  EXPECT_EQ(read("auditd", "type=PATH " + head + "name=\"6C73\"")["name"], "6C73");
  EXPECT_EQ(read("auditd", "type=EXECVE " + head + "argc=2 a0=\"sh\" a1_len=4 a1[0]=6C73 a1[1]=2D6C")["a1"], "ls-l");
  EXPECT_EQ(read("auditd", "type=SYSCALL " + head + "exe=6C7")["exe"], "6C7");
}

TEST(DnsWindows, NamesAndDatesOfEveryLanguage) {
  const std::string tail = " 06B0 PACKET  00000000028657F0 UDP Rcv 192.0.2.1    6590   Q [0001   D   NOERROR] A      ";
  const auto time = [&](const char* date) {
    const Got g = read("dns_windows", date + tail + "(3)www(7)example(3)org(0)");
    return g.t ? format_time(*g.t) : g.reason;
  };
  EXPECT_EQ(time("2/11/2026 12:05:00 AM"), "2026-02-11T00:05:00Z");
  EXPECT_EQ(time("2/11/2026 12:05:00 PM"), "2026-02-11T12:05:00Z");
  EXPECT_EQ(time("02-11-2026 07:05:00"), "2026-11-02T07:05:00Z");
  EXPECT_EQ(time("11.02.2026 07.05.00"), "2026-02-11T07:05:00Z");
  EXPECT_EQ(time("2/22/2026 07:05:00"), "2026-02-22T07:05:00Z");
  EXPECT_EQ(time("2026-02-11 07:05:00"), "2026-02-11T07:05:00Z");
  const auto name = [&](const char* n) { return read("dns_windows", "2/11/2026 7:05:00 AM" + tail + n)["query"]; };
  EXPECT_EQ(name("(3)www(7)example(3)org(0)"), "www.example.org");
  EXPECT_EQ(name("(0)"), ".");
  EXPECT_EQ(name("(63)short(3)org(0)"), "short.org");
  EXPECT_EQ(name(".cdn.example.org."), "cdn.example.org");
}

TEST(ZeekTsv, KeepsItsHeaderAndForgetsItAtANewFile) {
  auto r = make("zeek_tsv");
  EXPECT_EQ(read(*r, "1.0\tx").verdict, LineVerdict::refused);
  for (const char* line : {"#separator \\x09", "#path\tconn", "#fields\tts\tid.orig_h", "#types\ttime\taddr"})
    EXPECT_EQ(read(*r, line).verdict, LineVerdict::meta);
  const Got g = read(*r, "1770800400.5\t192.0.2.1");
  EXPECT_EQ(g["id.orig_h"], "192.0.2.1");
  EXPECT_EQ(g["_path"], "conn");
  EXPECT_EQ(format_time(*g.t), "2026-02-11T09:00:00.500000Z");
  EXPECT_EQ(read(*r, "1770800400.5").verdict, LineVerdict::refused);
  EXPECT_EQ(read(*r, "1770800400.5\ta\tb").verdict, LineVerdict::refused);
  auto again = make("zeek_tsv");  // the context alone makes a line readable
  std::string_view context = r->context();
  while (!context.empty()) {
    const std::size_t end = context.find('\n');
    read(*again, context.substr(0, end));
    context.remove_prefix(end == std::string_view::npos ? context.size() : end + 1);
  }
  EXPECT_EQ(read(*again, "1770800400.5\t192.0.2.1")["id.orig_h"], "192.0.2.1");
  r->reset();
  EXPECT_EQ(read(*r, "1770800400.5\t192.0.2.1").verdict, LineVerdict::refused);
}

TEST(Iis, ColumnsFollowTheLatestFieldsLine) {
  auto r = make("iis");
  read(*r, "#Fields: date time c-ip sc-status");
  EXPECT_EQ(read(*r, "2026-02-11 07:00:00 192.0.2.1 200")["sc-status"], "200");
  EXPECT_EQ(read(*r, "2026-02-11 07:00:00 192.0.2.1").verdict, LineVerdict::refused);
  read(*r, "#Fields: date time sc-status c-ip");
  EXPECT_EQ(read(*r, "2026-02-11 07:00:00 200 192.0.2.1")["sc-status"], "200");
  EXPECT_EQ(r->context(), "#Fields: date time sc-status c-ip");
  r->reset();
  EXPECT_EQ(read(*r, "2026-02-11 07:00:00 200 192.0.2.1").verdict, LineVerdict::refused);
}

TEST(Paloalto, QuotedFieldsHoldCommasAndQuotes) {
  const Got g = read("paloalto",
                     "1,2026/02/11 09:30:01,1,THREAT,url,1,2026/02/11 "
                     "09:30:01,192.0.2.1,192.0.2.2,,,r,,,web,v,t,u,i,o,l,,1,1,1,80,0,0,0x0,tcp,"
                     "alert,\"bad.example/a,b?\"\"q\"\"\",(1),c,low,x");
  EXPECT_EQ(g["url"], "bad.example/a,b?\"q\"");
  EXPECT_EQ(g["severity"], "low");
}

TEST(Urls, AreTakenApart) {
  const auto u = url_parts("http://me@[2001:db8::1]:8080/a/b.exe?x=1#f");
  EXPECT_EQ(u.host, "2001:db8::1");
  EXPECT_EQ(u.port, "8080");
  EXPECT_EQ(u.path, "/a/b.exe");
  EXPECT_EQ(u.query, "x=1");
  EXPECT_EQ(u.extension, "exe");
  EXPECT_EQ(url_parts("x.example:443").host, "x.example");
  EXPECT_EQ(url_parts("/a?b").path, "/a");
  EXPECT_EQ(url_parts("").host, "");
}

TEST(Times, ZonesOfEuropeHaveNames) {
  const auto reference = parse_time("2026-03-01T00:00:00Z");
  EXPECT_EQ(any_time("Nov 14 2023 22:13:20.123 CET", reference), parse_time("2023-11-14T21:13:20.123Z"));
  EXPECT_EQ(any_time("Jul 14 2023 22:13:20 CEST", reference), parse_time("2023-07-14T20:13:20Z"));
  EXPECT_FALSE(any_time("Nov 14 2023 22:13:20 IST", reference)) << "India, Ireland or Israel";
  const syslog::Header h = syslog::read_header("<13>Nov 14 22:13:20 CET pc1 prog[1]: text", reference);
  EXPECT_EQ(h.host, "pc1");
  EXPECT_EQ(h.program, "prog");
  EXPECT_EQ(h.time, parse_time("2025-11-14T21:13:20Z"));
  EXPECT_EQ(syslog::read_header("<13>Nov 14 22:13:20 MET-fw1 prog: text", reference).host, "MET-fw1");
}

TEST(Times, ADayThatTheMonthDoesNotHaveIsNone) {
  const auto reference = parse_time("2026-03-01T00:00:00Z");
  const auto leap = bsd_time("Feb 29 10:00:00", reference);
  ASSERT_TRUE(leap && leap->t);
  EXPECT_EQ(format_time(*leap->t), "2024-02-29T10:00:00Z");
  const auto none = bsd_time("Nov 31 10:00:00", reference);
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->t);
  EXPECT_FALSE(bsd_time("Feb 29 2025 10:00:00", reference)->t);
}

TEST(Squid, FieldsThatACustomLogformatAddsCostNothing) {
  constexpr std::string_view line =
      "1700000000.123    456 192.0.2.5 TCP_MISS/200 1234 GET http://evil.example/path bob HIER_DIRECT/203.0.113.9 "
      "text/html";
  for (const char* more : {"", " \"Mozilla/5.0 (X11; a/b)\" \"http://ref.example/\"",
                           " [User-Agent: curl/8\\r\\n] [HTTP/1.1 200 OK\\r\\nServer: a\\r\\n]"}) {
    const Got g = read("squid", std::string(line) + more);
    EXPECT_EQ(g.verdict, LineVerdict::event) << more;
    EXPECT_EQ(g["c-uri"], "http://evil.example/path") << more;
    EXPECT_EQ(g["cs-username"], "bob") << more;
    EXPECT_EQ(g["r-ip"], "203.0.113.9") << more;
    EXPECT_EQ(g["rs-content-type"], "text/html") << more;
  }
  const Got g =
      read("squid", std::string(line) + " \"Mozilla/5.0 (X11; a/b)\" \"http://ref.example/\" to evil2.example");
  EXPECT_EQ(g["c-useragent"], "Mozilla/5.0 (X11; a/b)");
  EXPECT_EQ(g["cs-referer"], "http://ref.example/");
  EXPECT_EQ(g["message"], "to evil2.example");
  EXPECT_EQ(read("squid", "1700000000 456 192.0.2.5 TCP_HIT/304 12 GET http://evil.example/x - NONE/- -").t,
            parse_time("2023-11-14T22:13:20Z"));
  const Got bad = read("squid", "1700000000.123 0 192.0.2.5 NONE_NONE/400 12 - error:invalid-request - HIER_NONE/- -");
  EXPECT_EQ(bad.verdict, LineVerdict::event);
  EXPECT_EQ(bad["cs-host"], "");
}

TEST(Leef, TabsThatARelayWroteOtherwiseStillPart) {
  for (const char* d : {"\t", "#011", " "}) {
    for (const char* head :
         {"LEEF:1.0|V|P|1|ev|", "LEEF:2.0|V|P|1|ev|", "LEEF:2.0|V|P|1|ev||", "LEEF:2.0|V|P|1|ev|x09|"}) {
      const std::string line = std::string(head) + "src=192.0.2.1" + d + "msg=two words" + d + "dst=203.0.113.9";
      const Got g = read("leef", line);
      EXPECT_EQ(g["src"], "192.0.2.1") << line;
      EXPECT_EQ(g["msg"], "two words") << line;
      EXPECT_EQ(g["dst"], "203.0.113.9") << line;
    }
  }
  EXPECT_EQ(read("leef", "LEEF:2.0|V|P|1|ev|^|a=x b=y^c=z")["a"], "x b=y") << "the delimiter was named";
}

TEST(Snare, TabsThatRsyslogEscapedStillPart) {
  const std::string line =
      "<14>Nov 14 22:13:20 pc1 MSWinEventLog\t1\tSecurity\t7\tTue Nov 14 22:13:20 2025\t4625\t"
      "Microsoft-Windows-Security-Auditing\tbob\tUser\tFailure Audit\tpc1\tLogon\t\tAn account failed";
  std::string escaped;
  for (const char c : line) c == '\t' ? escaped += "#011" : escaped += c;
  const Got a = read("windows_syslog_snare", line), b = read("windows_syslog_snare", escaped);
  EXPECT_EQ(a["EventID"], "4625");
  EXPECT_EQ(a.all, b.all);
  EXPECT_EQ(a.t, b.t);
}

TEST(Syslog, StructuredDataIsSearchedAndAWeakLineHoldsNoStream) {
  const Got g = read("syslog", "<134>1 2023-11-14T21:13:20Z gw1 app - - [x@1 peer=\"203.0.113.9\"] hello");
  EXPECT_EQ(g["structured_data"], "[x@1 peer=\"203.0.113.9\"]");
  EXPECT_EQ(g["peer"], "203.0.113.9");
  // A broken IIS line looks like syslog by its time; the lines behind it must be asked of all readers again.
  EXPECT_LT(make("syslog")->likelihood("2022-03-13 02:04:11 192.0.2.136 GET / - 443 - 198.51.100.8 agent - 200 0 0 12"),
            50);
  EXPECT_GE(
      make("syslog")->likelihood("Nov 14 22:13:20 fw1 1,2023/11/14 22:13:20,012801096514,TRAFFIC,end,2305,2023/11/14 "
                                 "22:13:20,192.0.2.1,203.0.113.9,0.0.0.0,0.0.0.0,rule1"),
      50)
      << "what a known payload follows is sure";
}

}  // namespace
}  // namespace bavn::formats
