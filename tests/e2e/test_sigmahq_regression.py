"""Events that SigmaHQ keeps for its rules: each file's rule must fire on each of them, as often as the manifest says."""
import collections
import json
import os
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("BAVN") or os.environ.get("BAVN_BINARY") or str(ROOT / "build/dev/src/app/bavn")
CORPORA = pathlib.Path(os.environ.get("BAVN_CORPORA") or ROOT.parent / "shared" / "corpora") / "detection"
# The manifest says 1, but each event of the file satisfies the rule as written (read by hand; pySigma's SQL says so too).
COUNTED_LOW = {
    "0b9ad457-2554-44c1-82c2-d56a99c42377": 3,  # Anydesk Temporary Artefact
    "8fbf3271-1ef6-4e94-8210-03c2317947f6": 3,  # Cred Dump Tools Dropped Files
    "45e112d0-7759-4c2a-aa36-9f8fb79d3393": 3,  # IE Change Domain Zone
    "c7dcacd0-cc59-4004-b0a4-1d6cdebe6f3e": 2,  # Disable Administrative Share Creation at Startup
}


@unittest.skipUnless((CORPORA / "sigmahq-regression" / "manifest.ndjson").is_file(), f"the public rules and events are not at {CORPORA} (BAVN_CORPORA)")
class SigmaHqRegression(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = CORPORA / "sigmahq-regression"
        cls.manifest = [json.loads(line) for line in (folder / "manifest.ndjson").read_text().splitlines()]
        files = [str(folder / entry["file"]) for entry in cls.manifest]
        done = subprocess.run([BINARY, "scan", "--rules", str(CORPORA / "sigmahq-rules"), "--json", *files], capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise AssertionError(f"bavn scan ended with {done.returncode}: {done.stderr[-1000:]}")
        cls.lines = collections.defaultdict(set)
        for line in done.stdout.splitlines():
            finding = json.loads(line)
            cls.lines[finding["file"], finding["rule"]["id"]].add(finding["line"])
        cls.summary = json.loads(done.stderr.splitlines()[-1])["summary"]
        cls.folder = folder

    def test_all_events_are_read(self):
        self.assertGreater(len(self.manifest), 100)
        self.assertEqual(self.summary["events"], sum(entry["events"] for entry in self.manifest))
        self.assertEqual(self.summary["lines_refused"], 0)

    def test_every_rule_fires_on_its_events(self):
        for entry in self.manifest:
            with self.subTest(rule=entry["rule"]):
                fired = len(self.lines[str(self.folder / entry["file"]), entry["rule_id"]])
                self.assertGreater(fired, 0, f"{entry['title']} does not fire on {entry['file']}")
                if entry["match_count"] is not None:
                    self.assertEqual(fired, COUNTED_LOW.get(entry["rule_id"], entry["match_count"]), entry["title"])


if __name__ == "__main__":
    unittest.main()
