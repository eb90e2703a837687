"""The benches run, print one JSON object a lane with every figure, and no figure is absurd. Not a judgement of speed: the gates are far
below what a quiet machine shows, so that they trip on a lost order of magnitude and not on a busy neighbour."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
BINARY = os.environ.get("BAVN_BINARY", str(ROOT / "build/dev/src/app/bavn"))


class Hotpath(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, ROOT / "tools/make_sample.py", folder], check=True)
            done = subprocess.run([BINARY, "bench", "hotpath", "--rules", ROOT / "content/rules", "--events", folder, "--megabytes", "20", "--json"],
                                  capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise AssertionError(f"bench ended with {done.returncode}: {done.stderr[-1000:]}")
        cls.lanes = {lane["lane"]: lane for lane in map(json.loads, done.stdout.splitlines())}
        print(done.stdout)  # into the log of the step

    def test_every_lane_reports(self):
        self.assertEqual(set(self.lanes), {"mixed", "windows", "cloud", "worst"})

    def test_figures_belong_together(self):
        for name, lane in self.lanes.items():
            self.assertEqual(lane["cores"], 1, name)
            self.assertGreater(lane["events"], 1000, name)
            self.assertAlmostEqual(lane["ratio_to_simdjson_dom"], lane["gb_per_second"] / lane["simdjson_dom_gb_per_second"], delta=1e-6, msg=name)
            self.assertGreater(lane["memchr_gb_per_second"], lane["simdjson_dom_gb_per_second"], name)

    def test_no_lane_lost_an_order_of_magnitude(self):
        for name, lane in self.lanes.items():
            self.assertGreater(lane["ratio_to_simdjson_dom"], 0.05, name)


if __name__ == "__main__":
    unittest.main()
