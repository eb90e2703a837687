"""A hub and nodes as real processes on this machine: made, started, killed, asked."""
import http.client
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import unittest
import urllib.parse

from support.bavn import BINARY


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(condition, seconds, what, forgiving=()):
    """Waits for a condition; says what it waited for when it did not come. forgiving: what the condition may raise meanwhile.
    Tests wait for real processes here and nowhere else."""
    end = time.monotonic() + seconds
    while True:
        last = ""
        try:
            if value := condition():
                return value
        except forgiving as trouble:
            last = f"; last: {trouble}"
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}{last}")
        time.sleep(0.05)


def steady(read, calm, seconds, what):
    """Waits until what is read has been the same for so many seconds, and gives it."""
    seen = [object(), 0.0]

    def same():
        now = read()
        if now != seen[0]:
            seen[:] = now, time.monotonic()
        return time.monotonic() - seen[1] >= calm

    until(same, seconds, lambda: f"{what() if callable(what) else what} comes to rest: {seen[0]}")
    return seen[0]


def kill_some(targets, rng, said, between=lambda: None):
    """At a drawn moment one of them, now and then all, and soon again: sometimes while it starts. The moment of death is the test's
    input, not something to wait for."""
    time.sleep(rng.uniform(0.02, 1.5))
    for p in targets:
        assert not p.ended_by_itself(), f"{p.role} ended by itself, {said}: {p.tail()}"
    victims = targets if rng.random() < 0.1 else [rng.choice(targets)]
    for p in victims:
        p.kill()
    between()
    time.sleep(rng.uniform(0, 0.3))
    for p in victims:
        p.start()
    if rng.random() < 0.7:
        for p in victims:
            p.ready()


def has_servers():
    said = subprocess.run([BINARY, "--help"], capture_output=True, text=True).stdout
    return "\n  hub " in said and "\n  node " in said


class Process:
    """One `bavn hub` or `bavn node` with its folder."""

    def __init__(self, role, folder, *words, preexec=None):
        self.role, self.folder, self.words, self.preexec = role, pathlib.Path(folder), words, preexec
        self.log = self.folder.with_suffix(".log")
        self.process = None
        self.kills = 0

    def start(self):
        control = self.folder / "run" / "control"
        control.unlink(missing_ok=True)  # of the process that was killed
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BINARY, self.role, "--data", str(self.folder), *self.words], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=self.preexec)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def stop(self, seconds=60):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.role} did not stop within {seconds} s: {self.tail()}") from None

    def tail(self, n=2000):
        return self.log.read_text(errors="replace")[-n:] if self.log.exists() else ""

    def ended_by_itself(self):
        """What a test must never see: it ended, and nobody killed it."""
        return self.process is not None and self.process.poll() is not None

    def control(self):
        """(host, port, key), or nothing while it does not run yet."""
        try:
            url, key = (self.folder / "run" / "control").read_text().split()
        except (OSError, ValueError):
            return None
        parts = urllib.parse.urlsplit(url)
        return parts.hostname, parts.port, key

    def ask(self, method, path, body=None, headers=None, seconds=20):
        """(status, body) of the control interface; OSError when nobody answers."""
        control = self.control()
        if control is None:
            raise ConnectionError("it does not run yet")
        connection = http.client.HTTPConnection(control[0], control[1], timeout=seconds)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {control[2]}", **(headers or {})})
            reply = connection.getresponse()
            return reply.status, reply.read()
        except http.client.HTTPException as trouble:
            raise ConnectionError(str(trouble)) from trouble
        finally:
            connection.close()

    def status(self):
        try:
            code, body = self.ask("GET", "/status.json")
        except OSError:
            return None
        return json.loads(body) if code == 200 else None

    def ready(self, seconds=60):
        return until(lambda: self.ended_by_itself() or self.status(), seconds, lambda: f"{self.role} answers: {self.tail()}")

    def web(self, seconds=60):
        """What it says of its web address, once it listens: until then it answers 503."""
        said = []

        def listens():
            try:
                said[:] = self.ask("GET", "/web")
            except OSError:
                return False
            return said[0] != 503

        until(listens, seconds, lambda: f"the web address: {said} {self.tail()}")
        assert said[0] == 200, said
        return json.loads(said[1])

    def on_its_way(self):
        """What it has yet to do of what it knows; empty: nothing."""
        last = self.rows("SELECT coalesce(max(seq), 0) FROM domain_event")[0][0]
        return ([f"{self.folder.name}: {name} is at {seq} of {last}" for name, seq in self.rows("SELECT name, seq FROM consumer WHERE seq < ?", last)]
                + [f"{self.folder.name}: {n} jobs {kind}" for kind, n in self.rows("SELECT kind, count(*) FROM job WHERE failed = 0 GROUP BY kind")])

    def rows(self, sql, *values):
        """From its tables, read only, beside the running process."""
        db = sqlite3.connect(f"file:{self.folder / 'state.db'}?mode=ro", uri=True, timeout=20)
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()


def bavn(*words, seconds=60, **more):
    done = subprocess.run([BINARY, *map(str, words)], capture_output=True, text=True, timeout=seconds, **more)
    return done.returncode, done.stdout, done.stderr


class Processes(unittest.TestCase):
    """A folder that goes away, and processes in it that end with the test."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        self.running = []
        self.addCleanup(self.end)

    def end(self):
        for process in reversed(self.running):
            process.stop()

    def bavn(self, *words, code=0):
        got, out, err = bavn(*words)
        self.assertEqual(got, code, f"{words}: {out} {err}")
        return out

    def start(self, role, folder, *words):
        process = Process(role, folder, *words)
        self.running.append(process)
        process.start()
        process.ready()
        self.assertFalse(process.ended_by_itself(), process.tail())
        return process


class Community:
    """A hub and a node for each municipality. dial: where nodes believe the hub to be, when that is a proxy."""

    def __init__(self, folder, municipalities, dial_port=None, files=None):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        public = dial_port or self.port
        code, out, err = bavn("hub", "init", "--data", self.folder / "hub", "--host", "127.0.0.1", "--name", "Test CERT", "--address",
                              "127.0.0.1", "--port", public)
        assert code == 0, err
        settings = self.folder / "hub" / "settings.toml"
        # The code says where nodes dial; the hub itself listens on its own port.
        settings.write_text(settings.read_text().replace(f"\nport = {public}\n", f"\nport = {self.port}\ncontrol_port = 0\n")
                            + "[web]\nport = 0\n")
        self.hub = Process("hub", self.folder / "hub")
        self.hub.start()
        self.hub.ready()
        self.enrolling()
        self.nodes = []
        for number in municipalities:
            code, out, err = bavn("hub", "municipality", "add", number, "--data", self.folder / "hub", "--json")
            assert code == 0, err
            folder = self.folder / f"node{number}"
            code, out, err = bavn("node", "enrol", json.loads(out)["code"], "--data", folder, "--name", f"n{number}")
            assert code == 0, err + self.hub.tail()
            for name, text in (files or (lambda n: {}))(number).items():
                (folder / name).write_text(text)
            self.nodes.append(Process("node", folder))

    def enrolling(self):
        """The hub runs, no node knows it yet."""

    def start_nodes(self):
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.ready()

    def all(self):
        return [self.hub, *self.nodes]

    def stop(self):
        for p in [*self.nodes, self.hub]:
            p.stop()

    def end(self):
        for p in self.all():
            if p.process is not None and p.process.poll() is None:
                p.process.kill()
                p.process.wait()

    def token(self, node, source):
        code, out, err = bavn("node", "token", source, "--data", node.folder, "--json")
        assert code == 0, err
        return json.loads(out)["token"]

    def publish(self, values, name="list.csv", seconds=30):
        """True: the hub said that it is in the log. False: it did not say so, and it may be there or not."""
        path = self.folder / name
        path.write_text("kind,value\n" + "".join(f"domain,{v}\n" for v in values))
        code, _, _ = bavn("hub", "publish", "indicators", path, "--data", self.folder / "hub", seconds=seconds)
        return code == 0


def push(node, token, source, key, body, seconds=20):
    """One delivery over HTTP: the receipt, or nothing when it was not acknowledged."""
    try:
        code, answer = node.ask("POST", f"/intake/v1/{source}", body,
                                {"Authorization": f"Bearer {token}", "Idempotency-Key": key}, seconds)
    except OSError:
        return None
    return json.loads(answer) if code == 200 else None


def stored_lines(node, text, seconds=300):
    """Every line of a stopped node's history that holds the text."""
    code, out, err = bavn("hunt", "--data", node.folder, "--text", text, "--json", "--quiet", seconds=seconds)
    assert code == 0, err[-2000:]
    return [json.loads(line)["raw"] for line in out.splitlines()]
