"""bavn scan --indicators: lists of every kind, what hits what, and in which line."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.bavn import EVIL, Case

STIX = {"type": "bundle", "id": "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d", "objects": [
    {"type": "indicator", "spec_version": "2.1", "id": f"indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd{i:02d}", "created": "2026-01-01T00:00:00.000Z",
     "modified": "2026-01-01T00:00:00.000Z", "valid_from": "2026-01-01T00:00:00Z", "pattern_type": "stix", "pattern": pattern}
    for i, pattern in enumerate(("[domain-name:value = 'stix.example']", "[ipv4-addr:value = '198.51.100.9' OR ipv4-addr:value = '198.51.100.10']",
                                 "[domain-name:value = 'both.example' AND ipv4-addr:value = '198.51.100.77']"))]}
MISP = {"Event": {"uuid": "5d0092c5-5f74-4287-9642-33f4c354e56d", "info": "made up", "date": "2026-01-01", "Attribute": [
    {"type": "domain", "category": "Network activity", "value": "misp.example", "to_ids": True, "uuid": "5d0092c5-5f74-4287-9642-33f4c354e561"},
    {"type": "sha256", "category": "Payload delivery", "value": "9f" * 32, "to_ids": True, "uuid": "5d0092c5-5f74-4287-9642-33f4c354e562"},
    {"type": "domain", "category": "Network activity", "value": "context.example", "to_ids": False, "uuid": "5d0092c5-5f74-4287-9642-33f4c354e563"}]}}


class Indicators(Case):
    def hits(self, lists, events, *words):
        """{line: [(kind, value)]} of the findings of one scan."""
        self.rules = self.write("r.yml", EVIL)
        more = [w for name, content in lists.items() for w in ("--indicators", self.write(name, content if isinstance(content, str) else json.dumps(content)))]
        said = self.scan("--rules", self.rules, *more, *words, self.events("e", events))
        self.assertEqual(said.code, 0, said.stderr)
        out = {}
        for f in said.findings:
            self.assertEqual(f["kind"], "indicator")
            self.assertEqual(f["file"], str(self.path / "e"))
            out.setdefault(f["line"], set()).add((f["indicator"]["kind"], f["indicator"]["value"]))
        self.said = said
        return out

    def test_csv_of_every_kind(self):
        csv = ("kind,value,source\ndomain,bad.example,cert\nurl,https://bio.link/orbes,cert\nipv4,198.51.100.7,cert\nipv6,2001:db8::7,cert\ncidr,203.0.113.0/28,cert\n"
               f"md5,{'a1' * 16},cert\nsha1,{'b2' * 20},cert\nsha256,{'c3' * 32},cert\nemail,faktura@evil.example,cert\n")
        got = self.hits({"list.csv": csv}, [
            {"query": "bad.example"}, {"query": "www.deep.BAD.example."}, {"query": "notbad.example"}, {"query": "bad.example.net"},
            {"url": "http://bio.link/orbes"}, {"url": "https://BIO.link/orbes/x?y=1"}, {"url": "https://bio.link/orbesity"}, {"url": "https://bio.link/"},
            {"src_ip": "198.51.100.7"}, {"src_ip": "::ffff:198.51.100.7"}, {"src_ip": "198.51.100.70"}, {"src_ip": "2001:DB8:0:0::7"},
            {"src_ip": "203.0.113.15"}, {"src_ip": "203.0.113.16"}, {"md5": "A1" * 16}, {"sha1": "b2" * 20}, {"sha256": "C3" * 32},
            {"from": "Faktura <faktura@EVIL.example>"}, {"from": "other@evil.example"}, {"msg": "see https://bad.example/x now"}, {"note": "bad.example"}])
        self.assertEqual(sorted(got), [1, 2, 5, 6, 9, 10, 12, 13, 15, 16, 17, 18, 20])
        self.assertEqual(got[2], {("domain", "bad.example")})
        self.assertEqual(got[13], {("cidr", "203.0.113.0/28")})
        self.assertEqual({f["indicator"]["source"] for f in self.said.findings}, {"cert"})

    def test_plain_and_defanged_text(self):
        got = self.hits({"list.txt": "# a comment\nhxxps://evil[.]example/login\nworse[.]example\n198.51.100[.]8\n"},
                        [{"url": "https://evil.example/login?u=1"}, {"query": "mail.worse.example"}, {"src_ip": "198.51.100.8"}, {"query": "fine.example"}])
        self.assertEqual(sorted(got), [1, 2, 3])

    def test_misp_and_stix(self):
        got = self.hits({"misp.json": MISP, "stix.json": STIX}, [
            {"query": "misp.example"}, {"sha256": "9F" * 32}, {"query": "context.example"}, {"query": "stix.example"}, {"src_ip": "198.51.100.10"},
            {"query": "both.example"}, {"query": "both.example", "dst_ip": "198.51.100.77"}])
        self.assertEqual(sorted(got), [1, 2, 4, 5, 7])

    def test_an_allow_list_takes_hits_back_and_is_counted(self):
        allow = self.write("allow.json", json.dumps({"name": "ours", "version": 1, "description": "x", "type": "hostname", "list": ["good.example"], "matching_attributes": ["domain"]}))
        got = self.hits({"list.csv": "kind,value,source\ndomain,good.example,x\ndomain,bad.example,x\n"}, [{"query": "www.good.example"}, {"query": "bad.example"}], "--allow", allow)
        self.assertEqual(sorted(got), [2])
        self.assertEqual(sum(self.said.summary["allowed"].values()), 1)

    def test_what_is_no_indicator_is_refused_with_line_and_reason_and_the_rest_loads(self):
        got = self.hits({"list.csv": "kind,value,source\ndomain,bad.example,x\nipv4,999.1.1.1,x\ndomain,com,x\ncidr,0.0.0.0/0,x\nnonsense,x,x\nmd5,zz,x\n"}, [{"query": "bad.example"}, {"query": "any.com"}])
        self.assertEqual(sorted(got), [1])
        report = self.said.summary["indicator_lists"][0]
        self.assertEqual(report["loaded"], 1)
        self.assertGreaterEqual(sum(r["count"] for r in report["refused"]) + sum(r["count"] for r in report["skipped"]), 5)
        for r in report["refused"]:
            self.assertTrue(r["reason"] and r["first_where"], r)

    def test_broken_lists_end_with_a_message(self):
        rules, events = self.write("r.yml", EVIL), self.events("e", [{"query": "bad.example"}])
        for name, content in {"empty.csv": b"", "cut.json": b'{"Event": {"Attribute": [', "binary.csv": bytes(range(256)) * 100, "deep.json": b"[" * 10_000, "other.json": b'{"hello": 1}',
                              "long.csv": b"kind,value\ndomain," + b"a" * 2_000_000 + b"\n", "quote.csv": b'kind,value\ndomain,"bad.example\n' * 50}.items():
            with self.subTest(name):
                said = self.scan("--rules", rules, "--indicators", self.write(name, content), events)
                self.assertIn(said.code, (0, 1, 3), said.stderr)
                if said.code == 0:
                    report = said.summary["indicator_lists"][0]
                    self.assertTrue(report["loaded"] or report["refused"] or report["skipped"] or report["notes"] or name == "empty.csv", report)
                else:
                    self.assertIn(name, said.stderr)

    def test_a_url_in_two_fields_hits_each_time_and_only_with_its_host(self):
        def http(host, uri):
            return {"_path": "http", "ts": 1700000000.5, "uid": "C1", "id.orig_h": "10.0.0.1", "id.orig_p": 4, "id.resp_h": "192.0.2.7",
                    "id.resp_p": 80, "method": "GET", "host": host, "uri": uri}
        got = self.hits({"u.csv": "kind,value\nurl,bio.link/orbes\n"}, [
            http("bio.link", "/orbes?x=1"), http("bio.link", "/orbes?x=1"), http("bio.link", "/orbesity"), http("other.link", "/orbes?x=1"),
            http("bio.link", "/orbes/a")])
        self.assertEqual(sorted(got), [1, 2, 5])

    def test_the_path_of_a_web_log_hits_with_its_host(self):
        got = self.hits({"list.csv": "kind,value\nuser_agent,made-up-bot/1.0\nipv4,192.0.2.66\n"}, [])
        path = self.write("access.log", '192.0.2.66 - - [11/Feb/2026:08:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "made-up-bot/1.0"\n')
        said = self.scan("--rules", self.rules, "--indicators", self.path / "list.csv", path)
        self.assertEqual({f["indicator"]["kind"] for f in said.findings}, {"user_agent", "ipv4"})


if __name__ == "__main__":
    unittest.main()
