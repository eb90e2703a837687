"""bavn scan over the whole corpora in one call: formats recognised, findings well-formed, the same every time."""
import collections
import json
import os
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.bavn import CORPORA, Case, needs_corpus, rule

# Folder of corpora/logs: what its lines are, beside text (test descriptions that lie among the logs), and what share of the rest
# they are. "ecs" is what another product made of the logs, kept there as its expected results.
LOGS = {
    "azure_activity": ({"azure_activity", "entra_signin"}, 1.0),
    "cef": ({"cef", "cef_json"}, 1.0),
    "defender_xdr": ({"defender_xdr"}, 0.9),
    "dhcp_windows": ({"dhcp_windows"}, 1.0),
    "dns_bind": ({"dns_bind"}, 1.0),
    "dns_coredns": ({"dns_coredns"}, 1.0),
    "dns_infoblox": ({"syslog"}, 1.0),
    "dns_windows": ({"dns_windows", "dns_windows_etw"}, 1.0),
    "dovecot": ({"dovecot"}, 1.0),
    "entra_audit": ({"entra_audit"}, 1.0),
    "entra_provisioning": ({"entra_provisioning"}, 1.0),
    "entra_risk": ({"entra_risk"}, 1.0),
    "entra_signin": ({"entra_signin"}, 1.0),
    "exchange_message_trace": ({"message_trace"}, 1.0),
    "fw_checkpoint": ({"checkpoint"}, 1.0),
    "fw_cisco_asa": ({"cisco_asa"}, 0.98),
    "fw_cisco_ios": ({"syslog"}, 1.0),
    "fw_fortigate": ({"fortigate"}, 0.98),
    "fw_iptables": ({"iptables"}, 1.0),
    "fw_other": ({"sophos_xg", "syslog", "linux_auth"}, 1.0),
    "fw_paloalto": ({"paloalto"}, 1.0),
    "fw_pfsense": ({"pfsense", "syslog", "dns_unbound", "web_access"}, 1.0),
    "leef": ({"leef"}, 1.0),
    "linux_auditd": ({"auditd", "auditbeat"}, 1.0),
    "linux_auth": ({"linux_auth"}, 0.98),
    "linux_journald": ({"linux_journald", "iptables"}, 1.0),
    "linux_sysmon": ({"linux_sysmon"}, 1.0),
    "m365_audit": ({"m365_audit"}, 1.0),
    "mail_other": ({"fortimail", "proofpoint_tap", "syslog"}, 1.0),
    "postfix": ({"postfix"}, 1.0),
    "proxy_squid": ({"squid", "squid_rows"}, 1.0),
    "proxy_zscaler": ({"zscaler"}, 0.8),
    "suricata_eve": ({"suricata_eve"}, 1.0),
    "syslog": ({"syslog", "linux_auth", "cisco_asa", "windows_syslog_snare", "auditd"}, 1.0),
    "web_apache": ({"web_access"}, 0.98),
    "web_iis": ({"iis"}, 0.98),
    "web_nginx": ({"web_access"}, 1.0),
    "windows_syslog_snare": ({"windows_syslog_snare"}, 1.0),
    "windows_sysmon": ({"windows_event"}, 1.0),
    "windows_winlogbeat": ({"windows_event"}, 1.0),
    "zeek_json": ({"zeek"}, 1.0),
    "zeek_tsv": ({"zeek_tsv"}, 1.0),
}
DETECTION = {
    "otrf-security-datasets": ({"windows_event", "zeek", "sysmon_syslog", "shipper", "defender_xdr", "entra_audit", "m365_audit"}, 1.0),
    "suricata-eve": ({"suricata_eve"}, 1.0),
    "zeek-json": ({"zeek"}, 1.0),
}
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


def sorted_findings(said):
    return sorted(json.dumps({k: v for k, v in f.items() if k != "found_at"}, sort_keys=True) for f in said.findings)


class Corpora(Case):
    @needs_corpus("logs")
    @needs_corpus("detection")
    def test_all_of_it_in_one_call(self):
        rules = CORPORA / "detection/sigmahq-rules/rules"
        indicators = self.write("list.csv", "kind,value,source\nurl,https://portal.example/login,made-up\ndomain,portal.example,made-up\n")
        first = self.scan("--rules", rules, "--indicators", indicators, CORPORA / "detection", CORPORA / "logs", seconds=300)
        self.assertEqual(first.code, 0, first.stderr[:2000])
        summary = first.summary
        self.assertGreater(summary["events"], 100_000)
        self.assertGreater(summary["rules"], 1900)
        self.assertEqual(summary["files_unreadable"], 0)
        self.assertEqual(sum(summary["formats"].values()), summary["events"])
        self.assertEqual(len(summary["rules_not_applied"]), summary["rules_refused"])
        for refused in summary["rules_not_applied"]:
            self.assertTrue(refused["file"] and refused["line"] and refused["reason"], refused)
        self.assertEqual(sum(r["lines"] for r in summary["refused"]), summary["lines_refused"])
        self.assertEqual(sum(r["lines"] for r in summary["refused_in"]), summary["lines_refused"])
        for refused in summary["refused_in"]:
            self.assertTrue(refused["reason"] and refused["line"], refused)

        self.assertGreater(len(first.findings), 300)
        self.assertEqual(summary["findings"], len(first.findings))
        per_rule = collections.Counter(f["rule"]["id"] for f in first.findings if f["kind"] != "indicator")
        self.assertEqual(per_rule, {r["id"]: r["findings"] for r in summary["findings_per_rule"]})
        for f in first.findings:
            self.assert_well_formed(f)

        for jobs in ("1", "2"):
            again = self.scan("--rules", rules, "--indicators", indicators, "--jobs", jobs, CORPORA / "detection", CORPORA / "logs", seconds=300)
            self.assertEqual(sorted_findings(again), sorted_findings(first), f"--jobs {jobs}")
            for name in ("events", "bytes", "formats", "lines_refused", "refused_in", "lines_repaired", "header_lines"):
                self.assertEqual(again.summary[name], summary[name], name)

    @needs_corpus("logs")
    def test_a_file_alone_gives_what_it_gives_among_others(self):
        rules, cache = CORPORA / "detection/sigmahq-rules/rules", self.path / "cache"
        together = collections.defaultdict(set)
        for f in self.scan("--rules", rules, "--rule-cache", cache, "--jobs", "1", CORPORA / "logs", seconds=120).findings:
            together[f["file"]].add((f["line"], f["rule"]["id"]))
        self.assertGreater(len(together), 30)
        quiet = [str(p) for p in sorted((CORPORA / "logs").glob("*/*/*.log")) if str(p) not in together]
        for path in [*sorted(together)[::3], *quiet[::40]]:
            alone = self.scan("--rules", rules, "--rule-cache", cache, path)
            self.assertEqual({(f["line"], f["rule"]["id"]) for f in alone.findings}, together[path], path)

    def assert_well_formed(self, f):
        self.assertIn(f["kind"], ("sigma", "correlation", "indicator"))
        if f["kind"] == "indicator":
            self.assertTrue(f["indicator"]["kind"] and f["indicator"]["value"], f)
        else:
            self.assertTrue(f["rule"]["id"] and f["rule"]["title"], f)
            self.assertIn(f["rule"]["level"], ("informational", "low", "medium", "high", "critical"))
        self.assertRegex(f["found_at"], TIME)
        if f["happened_at"] is not None:
            self.assertRegex(f["happened_at"], TIME)
        self.assertIsInstance(f["municipality"], str)
        self.assertTrue(f["format"])
        self.assertTrue(os.path.exists(f["file"]), f["file"])
        self.assertGreaterEqual(f["line"], 1)
        self.assertTrue(all(isinstance(v, str) for v in f["fields"].values()), f)

    def assert_recognised(self, corpus, table):
        rules = self.write("r.yml", rule("none", "s: {NoSuchField: x}\ncondition: s"))
        for name, (expected, share) in table.items():
            folder = CORPORA / corpus / name
            with self.subTest(name):
                self.assertTrue(folder.is_dir())
                said = self.scan("--rules", rules, folder)
                self.assertEqual(said.code, 0, said.stderr)
                formats = collections.Counter(said.summary["formats"])
                for beside in ("text", "ecs"):
                    formats.pop(beside, 0)
                if "syslog" not in expected:
                    formats.pop("syslog", 0)  # headers of messages kept inside expected results
                right = sum(n for f, n in formats.items() if f in expected)
                self.assertGreater(right, 0, dict(formats))
                self.assertGreaterEqual(right / formats.total(), share, dict(formats))

    @needs_corpus("logs")
    def test_each_folder_of_logs_is_what_it_is(self):
        self.assert_recognised("logs", LOGS)

    @needs_corpus("detection")
    def test_each_folder_of_events_is_what_it_is(self):
        self.assert_recognised("detection", DETECTION)

    @needs_corpus("detection/sigmahq-regression")
    def test_the_regression_events_make_their_rules_fire_through_the_command(self):
        manifest = CORPORA / "detection/sigmahq-regression/manifest.ndjson"
        lines = [json.loads(line) for line in manifest.read_text().splitlines()]
        self.assertGreater(len(lines), 100)
        said = self.scan("--rules", CORPORA / "detection/sigmahq-rules", CORPORA / "detection/sigmahq-regression", seconds=120)
        self.assertEqual(said.code, 0)
        fired = collections.Counter((f["file"], f["rule"]["id"]) for f in said.findings)
        for line in lines:
            found = fired[str(manifest.parent / line["file"]), line["rule_id"]]
            self.assertGreaterEqual(found, line["match_count"] or 1, line["rule"])


if __name__ == "__main__":
    unittest.main()
