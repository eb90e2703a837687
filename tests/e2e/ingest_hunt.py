"""bavn ingest, hunt, doctor as a person calls them: what is stored is found again, the same findings as scan gives, nothing twice, nothing lost."""
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.bavn import BINARY, WINDOWS_RULE as RULE


def process(image, minute=0):
    return json.dumps({"Event": {"System": {"Provider": {"#attributes": {"Name": "Microsoft-Windows-Sysmon"}}, "EventID": 1,
                                            "TimeCreated": {"#attributes": {"SystemTime": f"2024-10-01T08:{minute:02}:00Z"}},
                                            "Channel": "Microsoft-Windows-Sysmon/Operational", "Computer": "pc.example.org"},
                                 "EventData": {"Image": "C:\\" + image}}})


def dns(number, name):
    return json.dumps({"timestamp": f"2024-10-01T09:{number // 60 % 60:02}:{number % 60:02}.000000+0000", "flow_id": number, "in_iface": "eth0",
                       "event_type": "dns", "src_ip": f"192.0.2.{number % 250}", "src_port": 1024 + number % 60000, "dest_ip": "203.0.113.53", "dest_port": 53,
                       "proto": "UDP", "dns": {"version": 2, "type": "query", "id": number % 65536, "rrname": name, "rrtype": "A"}})


class IngestHunt(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.data = str(self.path / "data")
        (self.path / "rules").mkdir()
        (self.path / "rules" / "r.yml").write_text(RULE)
        self.rules = str(self.path / "rules")

    def write(self, name, lines):
        path = self.path / name
        path.write_text("".join(line + "\n" for line in lines))
        return str(path)

    def bavn(self, *words, code=0):
        done = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout[-500:]} {done.stderr[-1500:]}")
        return done

    def ingest(self, *files, code=0):
        return json.loads(self.bavn("ingest", "--data", self.data, "--json", "--source", "test", *files, code=code).stdout)["summary"]

    def hunt(self, *words, code=0):
        done = self.bavn("hunt", "--data", self.data, "--json", *words, code=code)
        return [json.loads(line) for line in done.stdout.splitlines()], json.loads(done.stderr.strip().splitlines()[-1])["summary"]

    def doctor(self, *words, code=0):
        return json.loads(self.bavn("doctor", "--data", self.data, "--json", *words, code=code).stdout)

    def sample(self):
        return [self.write("process.json", [process("good.exe"), process("evil.exe", 7), process("evil.exe", 9)]),
                self.write("dns.json", [dns(n, "www.evil.example.org" if n % 40 == 3 else f"host{n}.example.net") for n in range(200)])]

    def test_an_observable_is_found_with_its_lines_and_a_second_ingest_doubles_nothing(self):
        files = self.sample()
        first = self.ingest(*files)
        self.assertEqual((first["events"], first["duplicates"], first["lines_refused"]), (203, 0, 0))
        second = self.ingest(*files)
        self.assertEqual((second["events"], second["duplicates"], second["history"]["events"]), (0, 203, 203))
        written = set(pathlib.Path(files[1]).read_text().splitlines())
        for name in ["www.evil.example.org", "evil[.]example[.]org", "EVIL.example.org."]:  # itself, above it, defanged, other case
            hits, summary = self.hunt("--observable", name)
            self.assertEqual((len(hits), summary["found"]), (5, 1), name)
            self.assertTrue(all(h["raw"] in written and "www.evil.example.org" in h["raw"] for h in hits))
            self.assertEqual({h["source"] for h in hits}, {"test"})
        hits, _ = self.hunt("--observable", "192.0.2.0/24", "--from", "2024-10-01T09:01:00Z", "--to", "2024-10-01T09:01:59Z")
        self.assertEqual(len(hits), 60)
        hits, summary = self.hunt("--observable", "never.example.org", "--repeat", "3")
        self.assertEqual((hits, summary["found"], summary["frames_read"], len(summary["rounds_milliseconds"])), ([], 0, 0, 3))

    def findings(self, lines):
        what = [json.loads(line) for line in lines.splitlines()]
        return sorted(json.dumps([f["kind"], f.get("rule"), f.get("indicator"), f["happened_at"], f["format"], f["fields"]]) for f in what)

    def test_rules_indicators_and_text_over_history_give_what_scan_gives(self):
        files = self.sample()
        self.ingest(*files)
        listed = self.write("list.csv", ["type,value,comment", "domain,evil.example.org,bad", "ip,192.0.2.17,bad", "domain,never.example.org,bad"])
        for words in [["--rules", self.rules], ["--rules", self.rules, "--indicators", listed]]:
            scan = self.findings(self.bavn("scan", "--json", *words, *files).stdout)
            self.assertEqual(self.findings(self.bavn("hunt", "--data", self.data, "--json", *words).stdout), scan)
        self.assertEqual(len(scan), 2 + 5 + 1)
        only = self.findings(self.bavn("hunt", "--data", self.data, "--json", "--indicators", listed).stdout)
        self.assertEqual(only, [f for f in scan if '"indicator"' in f[:14]])
        hits, _ = self.hunt("--text", "EVIL.exe")
        self.assertEqual([h["happened_at"] for h in sorted(hits, key=lambda h: h["happened_at"])], ["2024-10-01T08:07:00Z", "2024-10-01T08:09:00Z"])
        self.assertEqual(len(self.hunt("--text", "example", "--limit", "4")[0]), 4)

    def test_the_doctor_finds_the_history_whole_rebuilds_packs_and_erases(self):
        self.ingest(*self.sample())
        self.assertTrue(self.doctor()["ok"])
        self.assertTrue(self.doctor("--rebuild-index")["ok"])
        self.assertTrue(self.doctor("--cold-pass", "--cold-days", "0")["ok"])
        self.assertEqual(len(self.hunt("--observable", "evil.example.org")[0]), 5)
        after = self.doctor("--erase-person", "192.0.2.3")
        self.assertTrue(after["ok"])
        self.assertEqual(after["done"]["events_erased"], 1)
        self.assertEqual(self.hunt("--observable", "192.0.2.3")[0], [])
        self.assertEqual(len(self.hunt("--observable", "evil.example.org")[0]), 4)
        self.assertTrue(self.doctor("--erase-source", "test")["ok"])
        self.assertEqual(self.hunt("--text", "example")[0], [])

    def test_damage_is_said_by_the_doctor(self):
        self.ingest(*self.sample())
        self.doctor("--cold-pass", "--cold-days", "0")  # sealed: no end that a power cut could have torn
        segments = [p for p in (self.path / "data" / "history").rglob("seg-*") if p.is_file() and p.stat().st_size > 2000 and p.suffix != ".dir"]
        self.assertTrue(segments)
        for p in segments:
            b = bytearray(p.read_bytes())
            b[600] ^= 0xFF
            p.write_bytes(b)
        done = subprocess.run([BINARY, "doctor", "--data", self.data], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)

    def test_what_was_acknowledged_is_there_after_kill_9(self):
        path = self.write("many.json", [dns(n, f"n{n}.example.net") for n in range(400_000)])
        running = subprocess.Popen([BINARY, "ingest", "--data", self.data, "--json", "--jobs", "1", path], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = running.stderr.readline()
        running.send_signal(signal.SIGKILL)
        running.communicate(timeout=60)
        self.assertEqual(running.returncode, -signal.SIGKILL, "it ended before it was killed")
        acknowledged = json.loads(said)["progress"]["events"]
        self.assertGreater(acknowledged, 0)
        report = self.doctor()
        self.assertTrue(report["ok"])
        self.assertGreaterEqual(report["check"]["events"], acknowledged)
        for n in [0, acknowledged // 2, acknowledged - 1]:
            self.assertEqual(len(self.hunt("--observable", f"n{n}.example.net")[0]), 1, n)
        again = self.ingest(path, code=0)
        self.assertGreaterEqual(again["history"]["events"], 400_000)

    def test_ctrl_c_stops_and_says_what_was_done(self):
        path = self.write("many.json", [dns(n, f"n{n}.example.net") for n in range(400_000)])
        running = subprocess.Popen([BINARY, "ingest", "--data", self.data, "--json", "--jobs", "1", path], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.stderr.readline()
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 3)
        summary = json.loads(out)["summary"]
        self.assertTrue(summary["stopped"])
        self.assertTrue(0 < summary["events"] < 400_000)
        self.assertEqual(self.doctor()["check"]["events"], summary["events"])

    def test_wrong_calls_say_what_is_wanted(self):
        self.assertIn("bavn ingest", self.bavn("hunt", "--data", self.data, "--observable", "a.example", code=1).stderr)
        self.bavn("hunt", "--data", self.data, code=2)
        self.ingest(self.write("a.json", [dns(1, "a.example.org")]))
        self.assertIn("--kind", self.bavn("hunt", "--data", self.data, "--observable", "no such thing", code=2).stderr)
        turned = self.bavn("hunt", "--data", self.data, "--text", "x", "--from", "2024-10-02", "--to", "2024-10-01", code=2).stderr
        self.assertIn("--from lies after --to", turned)
        self.assertIn("there are: test", self.bavn("hunt", "--data", self.data, "--text", "x", "--source", "tset").stderr)
        self.bavn("ingest", "--data", self.data, "--format", "nope", str(self.path / "a.json"), code=2)
        self.bavn("ingest", "--data", self.data, str(self.path / "absent"), code=1)

    def test_lists_of_indicators_are_checked_and_converted(self):
        listed = self.write("list.csv", ["type,value,comment", "domain,evil.example.org,bad", "domain,not a domain,bad", "ip,192.0.2.17,"])
        report = json.loads(self.bavn("indicators", "check", "--json", listed, code=3).stdout)
        self.assertEqual((report["loaded"], len(report["refused"]), report["refused"][0]["first_where"]), (2, 1, "line 3"))
        base = str(self.path / "base.bin")
        self.bavn("indicators", "convert", listed, "--out", base, code=3)
        values = [json.loads(line)["value"] for line in self.bavn("indicators", "list", "--json", base).stdout.splitlines()]
        self.assertEqual(sorted(values), ["192.0.2.17", "evil.example.org"])


if __name__ == "__main__":
    unittest.main()
