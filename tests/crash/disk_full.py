"""The disk of a node fills up while records come in: refused as a whole, said, nothing acknowledged is lost, and it goes on when there is
room again. Needs the right to mount a small file system."""
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from support.community import Community, has_servers, push, stored_lines, until
from support.ledger import Checks


def mount(folder, size):
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True).returncode == 0


@unittest.skipUnless(has_servers(), "this binary has no hub and node")
class DiskFull(Checks, unittest.TestCase):
    def test_a_full_disk_refuses_loses_nothing_and_recovers(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            community = Community(path, [461])
            self.addCleanup(community.end)
            node = community.nodes[0]
            # The node's folder moves onto a small disk.
            aside = path / "aside"
            node.folder.rename(aside)
            node.folder.mkdir(mode=0o700)
            if os.geteuid() != 0 or not mount(node.folder, "48m"):
                self.skipTest("no right to mount a small file system")
            try:
                subprocess.run(["cp", "-a", f"{aside}/.", str(node.folder)], check=True)
                self.fill(community, node)
            finally:
                community.end()
                subprocess.run(["umount", str(node.folder)], check=True)

    def fill(self, community, node):
        node.start()
        node.ready()
        token = community.token(node, "ledger")
        rng = random.Random(1)
        acknowledged, refused, batch = [], 0, 0
        end = time.monotonic() + 90
        while refused < 20 and time.monotonic() < end:
            names = [f"d{batch}x{i}.disk.ledger.example.org" for i in range(500)]
            batch += 1
            body = "".join(f'{{"time":"2026-01-01T00:00:00Z","query":"{n}","noise":"{rng.getrandbits(1600):x}"}}\n' for n in names)
            if push(node, token, "ledger", f"b{batch}", body) is None:
                refused += 1
            else:
                acknowledged += names
            self.assertFalse(node.ended_by_itself(), node.tail())
        self.assertGreaterEqual(refused, 20, "the disk never filled up")
        self.assertTrue(acknowledged)
        trouble = until(lambda: (node.status() or {}).get("trouble"), 30, "the status page says that something is wrong")
        # Room again: it goes on without a restart, and what was refused is taken when it comes again.
        subprocess.run(["mount", "-o", "remount,size=256m", str(node.folder)], check=True)
        last = [f"after{i}.disk.ledger.example.org" for i in range(10)]
        body = "".join(f'{{"time":"2026-01-01T00:00:00Z","query":"{n}"}}\n' for n in last)
        until(lambda: push(node, token, "ledger", "after", body) is not None, 60, lambda: f"it takes records again: {node.tail()}")
        node.stop()
        lines = stored_lines(node, ".disk.ledger.example.org")
        self.exactly_once([*acknowledged, *last], lines, r"(d\d+x\d+|after\d+)\.disk\.ledger")
        print(f"\n{len(acknowledged)} records acknowledged, {refused} deliveries refused on a full disk, all acknowledged are there once; "
              f"the page said: {trouble}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
