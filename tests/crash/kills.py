"""Hub and nodes are killed at random moments, again and again. Whatever they had acknowledged is there afterwards, exactly once:
records pushed over HTTP, lines of followed files, entries of the log, reports to the hub. BAVN_CRASH_KILLS says how often (20)."""
import os
import pathlib
import random
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from support.community import Community, bavn, has_servers, kill_some
from support.ledger import SEEN, Checks, Publisher, Pusher, Writer

KILLS = int(os.environ.get("BAVN_CRASH_KILLS", "20"))
SEED = int(os.environ.get("BAVN_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


@unittest.skipUnless(has_servers(), "this binary has no hub and node")
class Kills(Checks, unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.path = pathlib.Path(self.temporary.name)

    def sources(self, number):
        return {"sources.toml": f'[[source]]\nname = "app"\nkind = "files"\npaths = ["{self.path}/logs{number}/app.log*"]\n'}

    def test_what_was_acknowledged_is_there_exactly_once(self):
        rng = random.Random(SEED)
        began = time.monotonic()
        community = Community(self.path, [461, 480], files=self.sources)
        self.addCleanup(community.end)
        community.start_nodes()
        self.assertTrue(community.publish([SEEN], "seen.csv"))
        writers = [Writer(self.path / f"logs{number}", SEED + number) for number in (461, 480)]
        publisher = Publisher(community)
        pushers = [Pusher(n, community.token(n, "ledger"), SEED + i, publisher) for i, n in enumerate(community.nodes)]
        clients = [*pushers, *writers, publisher]
        for c in clients:
            c.start()

        targets = community.all()
        for _ in range(KILLS):
            kill_some(targets, rng, f"seed {SEED}")
        for p in targets:
            p.ready()
        for c in clients:
            c.end()
            self.assertIsNone(c.trouble)
        killed = time.monotonic() - began
        for node, writer in zip(community.nodes, writers):
            self.caught_up(community.hub, node, len(writer.written))
        community.stop()

        reports = 0
        for node, pusher, writer in zip(community.nodes, pushers, writers):
            with self.subTest(node=node.folder.name, seed=SEED):
                self.pushed_once(pusher, node)
                self.followed_once(writer, node)
                self.log_entries(node, publisher)
                reports += self.reports(community.hub, node)
                code, out, err = bavn("doctor", "--data", node.folder)
                self.assertEqual(code, 0, out + err)
        print(f"\nseed {SEED}: {sum(p.kills for p in targets)} kills ({', '.join(f'{p.folder.name} {p.kills}' for p in targets)}) in "
              f"{killed:.0f} s; {sum(len(p.acknowledged) for p in pushers)} records pushed ({sum(p.repeated for p in pushers)} batches "
              f"sent again), {sum(len(w.written) for w in writers)} lines followed, {len(publisher.acknowledged)} log entries "
              f"({len(publisher.unclear)} unclear), {reports} reports: all there exactly once")


if __name__ == "__main__":
    unittest.main(verbosity=2)
