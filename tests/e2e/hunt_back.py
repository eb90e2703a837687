"""A sign that becomes known at the hub is looked for in the past of every node: hub and two nodes as real processes."""
import json
import pathlib
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.community import Community, bavn, has_servers, push, until

LATE, OLD = "late-known.example", "long-known.example"


def query(name, client):
    stamp = time.strftime("%d-%b-%Y %H:%M:%S.000", time.gmtime(time.time() - 3600))
    return f"{stamp} queries: info: client @0x7f 10.1.0.{client}#5353 ({name}): query: {name} IN A + (10.0.0.53)\n"


@unittest.skipUnless(has_servers(), "this binary has no hub and node")
class HuntBack(unittest.TestCase):
    def alerts(self, node, name):
        code, out, err = bavn("alerts", "list", "--data", node.folder, "--json")
        self.assertEqual(code, 0, err)
        return [a for a in map(json.loads, out.splitlines()) if name in json.dumps(a)]

    def test_the_past_of_every_node_is_asked_for_what_becomes_known(self):
        with tempfile.TemporaryDirectory() as folder:
            community = Community(folder, [157, 173])
            self.addCleanup(community.end)
            community.start_nodes()
            self.assertTrue(community.publish([OLD], "old.csv"))
            for i, node in enumerate(community.nodes):
                token = community.token(node, "dns")
                # Both asked for names nobody knew then; only the first for the one that matters.
                body = "".join(query(f"host{n}.example", n) for n in range(1, 200)) + (query(LATE, 7) * 3 if i == 0 else "")
                receipt = push(node, token, "dns", "a", body)
                self.assertEqual(receipt["refused"], 0, receipt)
            self.assertEqual(self.alerts(community.nodes[0], LATE), [])
            self.assertTrue(community.publish([LATE], "late.csv"))
            found = until(lambda: self.alerts(community.nodes[0], LATE), 30, lambda: community.nodes[0].tail())
            self.assertEqual(len(found), 1, found)
            until(lambda: community.nodes[1].rows("SELECT count(*) FROM hunt_back") == [(0,)], 30, "the second has looked, too")
            self.assertEqual(self.alerts(community.nodes[1], LATE), [])
            counts = community.nodes[0].rows("SELECT count FROM alert")
            # After a restart nothing is counted anew.
            community.nodes[0].kill()
            community.nodes[0].start()
            community.nodes[0].ready()
            until(lambda: community.nodes[0].rows("SELECT count(*) FROM hunt_back") == [(0,)], 30, "nothing waits")
            self.assertEqual(community.nodes[0].rows("SELECT count FROM alert"), counts)
            self.assertEqual(counts, [(3,)])


if __name__ == "__main__":
    unittest.main(verbosity=2)
