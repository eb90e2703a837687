"""bavn backup, restore, audit as an operator calls them: copied while others write, brought back equal, and what was tampered with is named.
The state file is made here from its schema files, and the audit chain by a second implementation of its hash."""
import hashlib
import json
import pathlib
import shutil
import sqlite3
import struct
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.bavn import BINARY, ROOT, Case


def blake(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def number(n):
    return struct.pack("<q", n)


def text(s):
    raw = s if isinstance(s, bytes) else s.encode()
    return number(len(raw)) + raw


class State:
    """A state.db with the tables of area core and an audit log."""

    def __init__(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("CREATE TABLE schema_migration (number INTEGER PRIMARY KEY, area TEXT NOT NULL, name TEXT NOT NULL, hash BLOB NOT NULL, at_us INTEGER NOT NULL) STRICT")
        for file in sorted((ROOT / "src/store/schema/core").glob("*.sql")):
            sql = file.read_bytes()
            self.db.executescript(sql.decode())
            self.db.execute("INSERT INTO schema_migration VALUES (?, 'core', ?, ?, 0)", (int(file.name[:4]), file.stem, blake(sql)))
        self.seq, self.previous = 0, bytes(32)

    def note(self, who="duty@example.org"):
        self.seq += 1
        row = (1_727_769_600_000_000 + self.seq, who, "alert.closed", f"alert-{self.seq}", "{}")
        own = blake(b"bavn-audit-1" + text(self.previous) + number(self.seq) + number(row[0]) + b"".join(text(s) for s in row[1:]))
        self.db.execute("BEGIN IMMEDIATE")
        self.db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (self.seq, *row, self.previous, own))
        self.db.execute("INSERT INTO domain_event (at_us, kind, subject, detail, municipality) VALUES (?, 'note', ?, '{}', 0)", (row[0], str(self.seq)))
        self.db.execute("COMMIT")
        self.previous = own


def dns(n, name="host{}.example.org"):
    return {"timestamp": "2024-10-01T09:00:00.000000+0000", "flow_id": n, "event_type": "dns", "src_ip": "192.0.2.7", "dest_ip": "203.0.113.53",
            "proto": "UDP", "dns": {"type": "query", "rrname": name.format(n), "rrtype": "A"}}


class Backup(Case):
    def setUp(self):
        super().setUp()
        self.data = self.path / "data"
        self.state = State(self.data / "state.db")
        for _ in range(50):
            self.state.note()

    def note_until(self, stop):
        while not stop.is_set():
            self.state.note()

    def json(self, *words, code=0):
        got, out, err = self.bavn(*words, "--json", seconds=200)
        self.assertEqual(got, code, f"{words}: {out} {err[-800:]}")
        return json.loads(out.strip().splitlines()[-1])

    def ingest(self, source, first, n):
        return self.json("ingest", "--data", self.data, "--source", source, "--quiet", self.events(f"{source}.json", [dns(first + i) for i in range(n)]))["summary"]

    def test_a_backup_made_while_others_write_is_one_moment_and_comes_back_equal(self):
        self.ingest("before", 0, 2000)
        (self.data / "settings.toml").write_text("# mine\n")
        (self.data / "trust").mkdir()
        (self.data / "trust" / "hub.key").write_text("secret")
        stop = threading.Event()
        notes = threading.Thread(target=self.note_until, args=(stop,))
        notes.start()
        feed = self.events("feed.json", [dns(100_000 + i) for i in range(60_000)])
        writer = subprocess.Popen([BINARY, "ingest", "--data", str(self.data), "--source", "during", "--quiet", "--json", "--jobs", "1", feed],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            made = [self.json("backup", "--data", self.data, "--to", self.path / f"copy{i}", "--with-keys") for i in range(3)]
            running = writer.poll() is None
        finally:
            stop.set()
            notes.join()
            writer.communicate(timeout=200)
        made.append(self.json("backup", "--data", self.data, "--to", self.path / "copy3", "--with-keys"))
        events = [m["events"] for m in made]
        self.assertEqual(events, sorted(events))
        self.assertGreaterEqual(events[0], 2000)
        self.assertEqual(events[3], 62_000)
        for i, m in enumerate(made):
            back = self.json("restore", "--from", self.path / f"copy{i}", "--data", self.path / f"back{i}", "--verify")
            self.assertEqual((back["ok"], back["events"], back["events_found"], back["history_opened"]), (True, m["events"], m["events"], True))
            self.assertGreaterEqual(back["rows"], 100)
            report = self.json("audit", "verify", "--data", self.path / f"back{i}")
            self.assertTrue(report["ok"] and report["entries"] >= 50)
            found = self.json("hunt", "--data", self.path / f"back{i}", "--observable", "host1999.example.org")
            self.assertEqual(found["source"], "before")
            self.assertEqual((self.path / f"back{i}" / "settings.toml").read_text(), "# mine\n")
        print(f"backup during writes: events {events}, the writer was {'still running' if running else 'done'} after the third")

    def test_keys_stay_at_home_unless_asked_for_and_the_history_can_be_read_with_them_again(self):
        self.ingest("fw", 0, 500)
        (self.data / "trust").mkdir()
        (self.data / "trust" / "hub.key").write_text("secret")
        self.json("backup", "--data", self.data, "--to", self.path / "copy")
        names = {p.name for p in (self.path / "copy").rglob("*")}
        self.assertFalse(names & {"keys", "keyring", "node.key", "hub.key"})
        code, out, _ = self.bavn("restore", "--from", self.path / "copy", "--data", self.path / "back", "--verify")
        self.assertEqual(code, 0)
        self.assertIn("holds no keys", out)
        shutil.copytree(self.data / "history" / "keys", self.path / "back" / "history" / "keys")
        self.assertEqual(self.json("hunt", "--data", self.path / "back", "--observable", "host7.example.org")["source"], "fw")

    def test_a_damaged_or_unfinished_backup_is_refused_and_nothing_is_overwritten(self):
        self.ingest("fw", 0, 500)
        copy = self.path / "copy"
        self.json("backup", "--data", self.data, "--to", copy)
        self.assertEqual(self.bavn("backup", "--data", self.data, "--to", copy)[0], 1)
        self.assertEqual(self.bavn("backup", "--data", self.data, "--to", self.data / "inside")[0], 2)
        self.assertEqual(self.bavn("restore", "--from", copy, "--data", self.data)[0], 1)
        segment = copy / "history" / "seg-1"
        whole = segment.read_bytes()
        segment.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        code, _, said = self.bavn("restore", "--from", copy, "--data", self.path / "back")
        self.assertEqual(code, 1)
        self.assertIn("history/seg-1", said)
        self.assertFalse((self.path / "back").exists())
        segment.write_bytes(whole)
        listing = copy / "BACKUP"
        good = listing.read_bytes()
        listing.write_bytes(good.replace(b"\t500\t", b"\t499\t"))
        self.assertEqual(self.bavn("restore", "--from", copy, "--data", self.path / "back")[0], 1)
        outside = b"\n".join(good.split(b"\n")[:2]) + b"\nfile\t0\t" + hashlib.blake2b(b"", digest_size=32).hexdigest().encode() + b"\t" + b"../evil".hex().encode() + b"\n"
        listing.write_bytes(outside + b"end\t" + blake(outside).hex().encode() + b"\n")
        self.assertEqual(self.bavn("restore", "--from", copy, "--data", self.path / "back")[0], 1)
        self.assertFalse((self.path / "evil").exists())
        listing.unlink()
        self.assertEqual(self.bavn("restore", "--from", copy, "--data", self.path / "back")[0], 1)

    def test_audit_verify_names_what_was_done_to_the_log(self):
        db = self.state.db
        self.assertEqual(self.json("audit", "verify", "--data", self.data)["entries"], 50)
        listed = self.bavn("audit", "list", "--data", self.data, "--from", "49", "--json")[1].splitlines()
        self.assertEqual([json.loads(line)["subject"] for line in listed], ["alert-49", "alert-50"])
        other = State(self.path / "other" / "state.db")
        head = db.execute("SELECT seq, hash, at_us FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
        other.db.execute("INSERT INTO audit_witness VALUES ('hub:test', 'node:1', ?, ?, ?, x'00')", head)
        witness = ["--witness-data", self.path / "other", "--chain", "hub:test"]
        self.assertEqual(self.json("audit", "verify", "--data", self.data, *witness)["witnessed_to"], 50)
        for harm, fault, entry in [("UPDATE audit SET who = 'nobody' WHERE seq = 7", "changed", 7),
                                   ("DELETE FROM audit WHERE seq = 7", "missing", 7),
                                   ("UPDATE audit SET seq = CASE seq WHEN 7 THEN -8 ELSE -7 END WHERE seq IN (7, 8); UPDATE audit SET seq = -seq WHERE seq < 0", "reordered", 7),
                                   ("DELETE FROM audit WHERE seq > 45", "missing", 46)]:
            with self.subTest(harm):
                db.executescript("CREATE TABLE kept AS SELECT * FROM audit; " + harm)
                report = self.json("audit", "verify", "--data", self.data, *witness, code=1)
                self.assertEqual((report["findings"][0]["fault"], report["findings"][0]["first"]), (fault, entry))
                db.executescript("DELETE FROM audit; INSERT INTO audit SELECT * FROM kept; DROP TABLE kept")
        self.assertTrue(self.json("audit", "verify", "--data", self.data)["ok"])


if __name__ == "__main__":
    unittest.main()
