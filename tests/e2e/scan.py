"""bavn scan as a person calls it: one process, files of every kind, exit codes, JSON on stdout, the summary on stderr."""
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.bavn import BINARY, ROOT, WINDOWS_RULE as RULE

XML = ("<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Sysmon'/><EventID>1</EventID>"
       "<TimeCreated SystemTime='2024-10-01T08:00:00Z'/><Channel>Microsoft-Windows-Sysmon/Operational</Channel><Computer>pc.example.org</Computer></System>"
       "<EventData><Data Name='Image'>C:\\%s</Data></EventData></Event>")


def event(image):
    return json.dumps({"Event": {"System": {"Provider": {"#attributes": {"Name": "Microsoft-Windows-Sysmon"}}, "EventID": 1,
                                            "TimeCreated": {"#attributes": {"SystemTime": "2024-10-01T08:00:00Z"}},
                                            "Channel": "Microsoft-Windows-Sysmon/Operational", "Computer": "pc.example.org"},
                                 "EventData": {"Image": "C:\\" + image}}})


class Scan(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        (self.path / "rules").mkdir()
        (self.path / "rules" / "r.yml").write_text(RULE)

    def write(self, name, content):
        path = self.path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def scan(self, *files, stdin=None):
        done = subprocess.run([BINARY, "scan", "--rules", str(self.path / "rules"), "--json", *files], input=stdin, capture_output=True, timeout=120)
        self.assertGreaterEqual(done.returncode, 0, f"ended by a signal: {done.stderr[-500:]}")
        findings = [json.loads(line) for line in done.stdout.splitlines()]
        said = done.stderr.decode(errors="replace").strip().splitlines()
        summary = json.loads(said[-1])["summary"] if said and said[-1].startswith('{"summary"') else None
        return done.returncode, findings, summary, said

    def test_a_finding_names_file_line_and_rule(self):
        path = self.write("e.ndjson", event("good.exe") + "\n" + event("evil.exe") + "\n")
        code, findings, summary, _ = self.scan(path)
        self.assertEqual(code, 0)
        self.assertEqual([(f["file"], f["line"], f["rule"]["title"], f["happened_at"]) for f in findings], [(path, 2, "Test rule", "2024-10-01T08:00:00Z")])
        self.assertEqual(summary["events"], 2)

    def test_the_same_events_in_every_wrapping_give_the_same_finding(self):
        lines = event("good.exe") + "\n" + event("evil.exe") + "\n"
        xml = "<?xml version='1.0'?><Events>" + XML % "good.exe" + XML % "evil.exe" + "</Events>"
        made = [self.write("plain", lines), self.write("e.gz", gzip.compress(lines.encode())), self.write("array.json", "[" + lines.strip().replace("\n", ",") + "]"),
                self.write("pretty.json", "[" + json.dumps(json.loads(event("good.exe")), indent=2) + ",\n" + json.dumps(json.loads(event("evil.exe")), indent=2) + "]"),
                self.write("e.xml", xml), self.write("wide.xml", b"\xff\xfe" + xml.encode("utf-16-le"))]
        packed = self.path / "e.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("logs/inner.ndjson", lines)
        for path in [*made, str(packed)]:
            code, findings, summary, said = self.scan(path)
            self.assertEqual((code, len(findings), summary and summary["events"]), (0, 1, 2), f"{path}: {said}")
        self.assertEqual(findings[0]["file"], f"{packed}!logs/inner.ndjson")

    def test_standard_input_is_read(self):
        code, findings, _, _ = self.scan("-", stdin=(event("evil.exe") + "\n").encode())
        self.assertEqual((code, len(findings)), (0, 1))

    def test_one_broken_line_loses_itself_only_and_is_told(self):
        lines = [event("evil.exe") for _ in range(1000)]
        lines[500] = lines[500][:40]
        code, findings, summary, _ = self.scan(self.write("e.ndjson", "\n".join(lines) + "\n"))
        self.assertEqual(len(findings), 999)
        self.assertEqual(code, 0)
        self.assertGreaterEqual(summary["lines_refused"] + summary["formats"].get("text", 0) + summary["formats"].get("json", 0), 1)

    def test_hostile_input_ends_with_a_message_and_never_with_a_signal(self):
        bomb = self.path / "bomb.zip"
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("zeros", b"\0" * (64 << 20))
        laughs = "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><Events><Event><EventData><Data Name='x'>&b;</Data></EventData></Event></Events>"
        cases = {"empty": b"", "nul": b"\0" * 4096, "deep": b'{"a":' * 5000, "long": b'{"a":"' + b"x" * (8 << 20) + b'"}\n', "half.gz": gzip.compress(b"x" * 100000)[:60],
                 "laughs.xml": laughs.encode(), "not.zip": b"PK\x03\x04garbage", "cut.json": b'[{"a":1},{"b":', "number": b'{"EventID":' + b"9" * 100000 + b"}\n"}
        good = self.write("good.ndjson", event("evil.exe") + "\n")
        for name, content in cases.items():
            code, findings, summary, said = self.scan(self.write(name, content), good)
            self.assertEqual(len(findings), 1, f"{name} must not disturb its neighbour: {said}")
        code, findings, _, said = self.scan(str(bomb), good)
        self.assertEqual((code, len(findings)), (3, 1))
        self.assertIn("200 times", "\n".join(said))

    def test_what_is_missing_or_wrong_is_told_by_exit_code_and_message(self):
        good = self.write("good.ndjson", event("evil.exe") + "\n")
        code, findings, _, said = self.scan(good, str(self.path / "nowhere"))
        self.assertEqual((code, len(findings)), (3, 1))
        self.assertIn("nowhere", said[0])
        self.assertEqual(subprocess.run([BINARY, "scan"], capture_output=True).returncode, 2)
        self.assertEqual(subprocess.run([BINARY, "scan", "--min-level", "huge", good], capture_output=True).returncode, 2)
        wrong = subprocess.run([BINARY, "scan", "--format", "windows_evnt", good], capture_output=True, text=True)
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("windows_event", wrong.stderr)

    def test_a_rule_that_cannot_be_used_is_told_with_its_reason(self):
        (self.path / "rules" / "bad.yml").write_text(RULE.replace("condition: selection", "condition: selction"))
        _, _, summary, _ = self.scan(self.write("e", event("evil.exe") + "\n"))
        self.assertEqual(len(summary["rules_not_applied"]), 1)
        self.assertIn("selction", summary["rules_not_applied"][0]["reason"])


class Demonstration(unittest.TestCase):
    def test_the_case_of_run_is_found_and_nothing_else(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, ROOT / "tools/make_sample.py", folder], check=True)
            done = subprocess.run([sys.executable, ROOT / "tools/demo.py", BINARY, folder, "--check"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_sample_is_the_same_every_time(self):
        with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
            for folder in (a, b):
                subprocess.run([sys.executable, ROOT / "tools/make_sample.py", folder, "--events", "500"], check=True)
            for path in sorted(pathlib.Path(a).iterdir()):
                self.assertEqual(path.read_bytes(), (pathlib.Path(b) / path.name).read_bytes(), path.name)


if __name__ == "__main__":
    unittest.main()
