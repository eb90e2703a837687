"""Clients that keep a book of what was acknowledged, and what must hold of it afterwards."""
import collections
import json
import os
import random
import re
import threading

from support.community import push, stored_lines, until

BATCH = 50
SEEN = "seen.ledger.example.org"  # published before everything: a record with it is an alert, and alerts are reports


class Client(threading.Thread):
    """Does its work until it is told to end, and keeps a book of what was acknowledged."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ending = threading.Event()
        self.trouble = None

    def run(self):
        try:
            while not self.ending.is_set():
                self.once()
        except Exception as trouble:  # shown by the test
            self.trouble = trouble

    def end(self):
        self.ending.set()
        self.join(60)


class Pusher(Client):
    """Sends a batch under its id until it is acknowledged, as shippers do."""

    def __init__(self, node, token, seed, publisher=None):
        super().__init__()
        self.node, self.token, self.random, self.publisher = node, token, random.Random(seed), publisher
        self.number, self.acknowledged, self.repeated = 0, [], 0

    def once(self):
        names = [f"p{self.number}x{i}.push.ledger.example.org" for i in range(BATCH)]
        self.number += 1
        # Now and then a record with what the hub published: an alert, and a report of it.
        known = [SEEN, *(self.publisher.acknowledged if self.publisher else [])]
        seen = self.random.choice(known) if self.random.random() < 0.2 else None
        body = "".join(json.dumps({"time": "2026-01-01T00:00:00Z", "query": n, "host": seen if seen and i == 0 else "h.example.org"})
                       + "\n" for i, n in enumerate(names))
        tries = 0
        while push(self.node, self.token, "ledger", f"b{self.number}", body) is None:
            tries += 1
            if self.ending.wait(0.05) and tries > 200:
                return
        self.repeated += tries > 0
        self.acknowledged += names


class Writer(Client):
    """Appends to a followed file and rotates it. A line that is in the file must arrive."""

    def __init__(self, folder, seed):
        super().__init__()
        self.folder, self.random = folder, random.Random(seed)
        folder.mkdir()
        self.number, self.generation, self.written = 0, 0, []

    def once(self):
        lines = [f"f{self.number}x{i}.file.ledger.example.org" for i in range(self.random.randrange(1, 30))]
        self.number += 1
        with open(self.folder / "app.log", "a") as file:
            file.write("".join(f"2026-01-01T00:00:00Z app[1]: asked for {n} and some more words\n" for n in lines))
        self.written += lines
        if self.random.random() < 0.02:
            self.generation += 1
            os.rename(self.folder / "app.log", self.folder / f"app.log.{self.generation}")
        self.ending.wait(0.02)


class Publisher(Client):
    """Publishes one indicator after the other. What was not acknowledged may be there or not, but not twice."""

    def __init__(self, community):
        super().__init__()
        self.community, self.number, self.acknowledged, self.unclear = community, 0, [], []

    def once(self):
        self.number += 1
        value = f"i{self.number}.published.example.org"
        (self.acknowledged if self.community.publish([value]) else self.unclear).append(value)
        self.ending.wait(0.05)


class Checks:
    """Mixed into a unittest.TestCase."""

    def caught_up(self, hub, node, lines=None, seconds=60):
        """The log is applied, the spool is empty, the files are read."""
        until(lambda: hub.rows("SELECT count(*) FROM beacon_waiting") == [(0,)], seconds, "the hub has signed what it published")
        head = hub.rows("SELECT seq FROM beacon_stream WHERE name = 'bulk/all'")
        self.assertEqual(len(head), 1, "nothing was published")
        until(lambda: node.rows("SELECT seq FROM beacon_cursor WHERE stream = 'bulk/all'") == head, seconds,
              lambda: f"the log is applied: {node.tail()}")
        if lines is not None:
            until(lambda: node.rows("SELECT records FROM live_source WHERE source = 'app'") == [(lines,)], seconds,
                  lambda: f"{lines} lines of files are read; the node says "
                          f"{node.rows('SELECT source, records, duplicates FROM live_source')}: {node.tail()}")
        until(lambda: node.rows("SELECT count(*) FROM spool") == [(0,)], seconds, lambda: f"the hub has all reports: {node.tail()}")

    def pushed_once(self, pusher, node):
        self.exactly_once(pusher.acknowledged, stored_lines(node, ".push.ledger.example.org"), r"p\d+x\d+\.push\.ledger")

    def followed_once(self, writer, node):
        self.exactly_once(writer.written, stored_lines(node, ".file.ledger.example.org"), r"f\d+x\d+\.file\.ledger")

    def exactly_once(self, acknowledged, lines, pattern):
        found = collections.Counter(re.search(pattern, line).group(0) for line in lines)
        names = {re.search(pattern, a).group(0) for a in acknowledged}
        self.assertEqual(len(names), len(acknowledged))
        lost = sorted(names - found.keys())
        self.assertEqual(lost, [], f"{len(lost)} acknowledged and lost")
        twice = {n: c for n, c in found.items() if c != 1}
        self.assertEqual(twice, {}, f"{len(twice)} stored more than once")

    def log_entries(self, node, publisher):
        payloads = node.rows("SELECT seq, payload FROM node_indicator_delta WHERE audience = 'all' ORDER BY seq")
        found = collections.Counter(a["value"] for _, p in payloads for a in json.loads(p).get("add", []))
        self.assertEqual([v for v in [SEEN, *publisher.acknowledged] if found[v] != 1], [], "published and not applied exactly once")
        self.assertEqual([v for v in publisher.unclear if found[v] > 1], [])
        self.assertEqual(set(found) - {SEEN, *publisher.acknowledged, *publisher.unclear}, set())

    def reports(self, hub, node):
        name = hub.rows("SELECT n.name FROM node n JOIN node_municipality m ON m.node = n.id WHERE m.municipality = ?",
                        int(node.folder.name.removeprefix("node")))[0][0]
        left = node.rows("SELECT item, kind FROM left_item WHERE acknowledged_us IS NOT NULL AND acknowledged_us > 0 AND refused IS NULL")
        at_hub = collections.Counter(i for (i,) in hub.rows("SELECT item FROM beacon_item WHERE node = ?", name))
        self.assertEqual([i for i, _ in left if at_hub[i] != 1], [], "acknowledged and not at the hub exactly once")
        shared = collections.Counter(i for (i,) in hub.rows("SELECT item FROM hub_shared WHERE node = ?", name))
        self.assertEqual([i for i, kind in left if kind in ("alert", "sighting") and shared[i] != 1], [], "without its effect")
        self.assertEqual({i: c for i, c in shared.items() if c != 1}, {}, "took effect twice")
        return len(left)
