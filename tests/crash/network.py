"""Between node and hub: a network that is late, cuts, refuses, falls silent and delivers twice; and what a node sends, read by the test."""
import hashlib
import json
import os
import pathlib
import random
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from support.community import Community, free_port, has_servers, push, stored_lines, until
from support.ledger import SEEN, Checks, Publisher, Pusher
from support.proxy import Proxy

SECONDS = {"fast": 5, "ci": 20, "long": 180}[os.environ.get("BAVN_TEST_LANE", "ci")]
SEED = int(os.environ.get("BAVN_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


class Behind(Community):
    """The node knows the proxy's port only."""

    def __init__(self, folder):
        self.dial = free_port()
        self.proxy = None
        super().__init__(folder, [461], dial_port=self.dial)
        self.proxy.be(self.nodes[0].folder)

    def enrolling(self):
        self.proxy = Proxy(self.folder / "hub", self.port, self.dial, SEED)


@unittest.skipUnless(has_servers(), "this binary has no hub and node")
class Network(Checks, unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.path = pathlib.Path(self.temporary.name)
        self.community = Behind(self.path)
        self.addCleanup(self.community.end)
        self.addCleanup(self.community.proxy.end)
        self.node, self.hub, self.proxy = self.community.nodes[0], self.community.hub, self.community.proxy
        self.community.start_nodes()
        self.assertTrue(self.community.publish([SEEN], "seen.csv"))

    def test_a_bad_network_loses_nothing_and_nothing_takes_effect_twice(self):
        publisher = Publisher(self.community)
        pusher = Pusher(self.node, self.community.token(self.node, "ledger"), SEED, publisher)
        self.proxy.chaos = True
        for c in (pusher, publisher):
            c.start()
        time.sleep(SECONDS)
        for c in (pusher, publisher):
            c.end()
            self.assertIsNone(c.trouble)
        self.proxy.chaos = False
        self.assertFalse(self.node.ended_by_itself(), self.node.tail())
        self.assertFalse(self.hub.ended_by_itself(), self.hub.tail())
        self.caught_up(self.hub, self.node, seconds=120)
        self.community.stop()
        self.pushed_once(pusher, self.node)
        self.log_entries(self.node, publisher)
        reports = self.reports(self.hub, self.node)
        self.assertEqual(publisher.unclear, [], "the hub was not disturbed")
        self.assertGreater(reports, 0)
        self.assertGreater(sum(self.proxy.trouble.values()), SECONDS / 2, "the network was good")
        print(f"\nseed {SEED}: {SECONDS} s, {self.proxy.trouble}; {len(self.proxy.requests)} requests, {len(publisher.acknowledged)} "
              f"log entries, {reports} reports: exactly once")

    def test_what_a_node_sends_is_what_left_us_lists_and_no_mark_is_in_it(self):
        marks = [f"mark{i}x{random.SystemRandom().getrandbits(64):016x}" for i in range(6)]
        token = self.community.token(self.node, marks[0])  # the names of sources are the municipality's own business too
        # Raw records never leave: neither those that match nothing, nor the other fields of those that do.
        until(lambda: self.node.rows("SELECT count(*) FROM node_indicator_delta")[0][0] >= 1, 60, "the indicator is there")
        records = [{"time": "2026-01-01T00:00:00Z", "query": f"{marks[1]}.example.org", "user": marks[2]},
                   {"time": "2026-01-01T00:00:01Z", "query": SEEN, "user": f"{marks[3]}@example.org", "host": marks[4],
                    "cpr": "010190-" + marks[5], "text": f"words {marks[5]} of a person"}]
        receipt = push(self.node, token, marks[0], "k", "".join(json.dumps(r) + "\n" for r in records))
        self.assertEqual(receipt["accepted"], 2)
        until(lambda: self.node.rows("SELECT count(*) FROM left_item WHERE kind = 'sighting' AND acknowledged_us > 0")[0][0] >= 1, 60,
              lambda: f"the sighting is at the hub: {self.node.tail()}")
        self.hub.ask("POST", "/api/test-beacons", json.dumps({"observable": SEEN}))
        until(lambda: self.node.rows("SELECT count(*) FROM left_item WHERE kind = 'answer' AND acknowledged_us > 0")[0][0] >= 1, 60,
              lambda: f"the test beacon is answered: {self.node.tail()}")
        self.caught_up(self.hub, self.node)
        self.community.stop()

        # The test itself: the marks are in the history, and the proxy saw what a node sends.
        for mark in marks[1:]:
            self.assertTrue(stored_lines(self.node, mark), mark)
        kinds = {item["kind"] for _, path, _, body in self.proxy.requests if path.endswith("/reports")
                 for item in json.loads(body)["items"]}
        self.assertLessEqual({"sighting", "answer"}, kinds)

        everything = b"".join(head + body for _, _, head, body in self.proxy.requests).lower()
        self.assertEqual([m for m in marks if m.encode() in everything], [], "marks left the node")

        listed = {(method, path, digest) for method, path, digest in self.node.rows("SELECT method, path, body_hash FROM left_request")}
        sent = self.proxy.requests
        unlisted = [(m, p) for m, p, _, body in sent
                    if (m, p.partition("?")[0], hashlib.blake2b(body, digest_size=32).hexdigest() if body else "") not in listed
                    and (m, p, hashlib.blake2b(body, digest_size=32).hexdigest() if body else "") not in listed
                    and not p.endswith(("/identity", "/enrol"))]  # before there is a node that could keep a list
        self.assertEqual(unlisted, [], "sent and not listed")
        texts = [json.loads(t) for (t,) in self.node.rows("SELECT text FROM left_item")]
        for method, path, _, body in sent:
            if path.endswith("/reports"):
                for item in json.loads(body)["items"]:
                    self.assertIn(item, texts, "an item that the list does not show as it was sent")
        print(f"\n{len(sent)} requests and {len(texts)} items left the node, {len(everything)} bytes; all are listed, no mark is in them")


if __name__ == "__main__":
    unittest.main(verbosity=2)
