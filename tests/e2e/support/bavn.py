"""What the end-to-end tests share: the binary, a folder that goes away, one call of `bavn` with all that it said."""
import dataclasses
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("BAVN") or os.environ.get("BAVN_BINARY") or str(ROOT / "build/dev/src/app/bavn")
CORPORA = pathlib.Path(os.environ.get("BAVN_CORPORA") or ROOT.parent / "shared/corpora")
HEX = "00000000-0000-4000-8000-"


def needs_corpus(name):
    """Decorator: the test is skipped, and says so, where the corpus is not there."""
    return unittest.skipUnless((CORPORA / name).is_dir(), f"there is no corpus {name} in {CORPORA} (set BAVN_CORPORA)")


@dataclasses.dataclass
class Said:
    code: int
    findings: list
    summary: dict
    stderr: str
    stdout: str
    peak_mb: float

    def pairs(self):
        """(line, title of the rule) of each finding, sorted."""
        return sorted((f["line"], f["rule"]["title"]) for f in self.findings)

    def refused(self):
        return {(r["line"], r["reason"]) for r in self.summary["refused_in"]}


class Case(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def write(self, name, content):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def events(self, name, events):
        return self.write(name, "".join(json.dumps(e) + "\n" for e in events))

    def bavn(self, *words, stdin=None, seconds=60, **more):
        """Runs bavn; a signal or a hang is a failure, whatever the test wanted."""
        out, err = self.path / ".out", self.path / ".err"
        with open(out, "wb") as o, open(err, "wb") as e, tempfile.TemporaryFile() as i:
            i.write(stdin or b"")
            i.seek(0)
            process = subprocess.Popen([BINARY, *map(str, words)], stdin=i, stdout=o, stderr=e, **more)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                self.fail(f"bavn {' '.join(map(str, words))} did not end in {seconds} s: {err.read_text(errors='replace')[-500:]}")
        said = err.read_text(errors="replace")
        self.assertGreaterEqual(process.returncode, 0, f"ended by a signal: {said[-500:]}")
        return process.returncode, out.read_text(errors="replace"), said

    def scan(self, *words, **more):
        code, out, said = self.bavn("scan", "--json", *words, **more)
        last = said.strip().splitlines()[-1] if said.strip() else ""
        summary = json.loads(last)["summary"] if last.startswith('{"summary"') else None
        return Said(code, [json.loads(line) for line in out.splitlines()], summary, said, out, 0.0)

    def scan_measured(self, *words):
        """The same, and the largest memory that it and its parse workers held, in MB."""
        out, err = open(self.path / ".out", "w+b"), open(self.path / ".err", "w+b")
        with out, err:
            pid = os.posix_spawn(BINARY, [BINARY, "scan", "--json", *map(str, words)], os.environ,
                                 file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, err.fileno(), 2)])
            _, status, usage = os.wait4(pid, 0)
            out.seek(0)
            err.seek(0)
            said = err.read().decode(errors="replace")
            self.assertTrue(os.WIFEXITED(status), f"ended by a signal: {said[-500:]}")
            findings = [json.loads(line) for line in out]
        last = said.strip().splitlines()[-1]
        summary = json.loads(last)["summary"] if last.startswith('{"summary"') else None
        return Said(os.WEXITSTATUS(status), findings, summary, said, "", usage.ru_maxrss / 1024)


def rule(title, detection, number=1, logsource="{category: test}", level="high", more=""):
    """The text of a rule; detection is YAML, indented as it stands."""
    body = "\n".join("  " + line for line in detection.strip("\n").splitlines())
    return f"title: {title}\nid: {HEX}{number:012d}\nstatus: test\nlogsource: {logsource}\ndetection:\n{body}\nlevel: {level}\n{more}"


EVIL = rule("evil", "s: {action: evil}\ncondition: s")
# A rule for real records: process creations of Windows.
WINDOWS_RULE = """title: Test rule
id: 00000000-0000-4000-8000-000000000001
status: test
logsource: {product: windows, category: process_creation}
detection:
  selection: {Image|endswith: '\\evil.exe'}
  condition: selection
level: high
"""
