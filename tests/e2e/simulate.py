"""`bavn simulate`: the scenarios that come with Bavn end as they say, one object of JSON has what others build on, the same seed is the same
run, and a file with faults is explained and not run."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.bavn import BINARY

SOURCE = pathlib.Path(os.environ.get("BAVN_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
SCENARIOS = SOURCE / "content" / "scenarios"
LANE = os.environ.get("BAVN_TEST_LANE", "ci")
# The long lane runs all of them: minutes each.
FAST, QUICK = ["poisoned_indicator"], ["2024-10", "benign_ci", "cry_wolf", "poisoned_indicator"]
FIELDS = ("scenario", "seed", "nodes", "simulated_hours", "minutes_to_notice", "minutes_to_warning", "mails_delivered_before_warning",
          "mails_delivered_after_warning", "clicks_before_warning", "clicks_after_warning", "false_warnings", "suspicions", "candidates",
          "max_bytes_out_per_node", "by_trigger")
# Another scenario than those that come with Bavn: two towns are taken at once, some nodes are away, the network loses messages.
OTHER = """
name: other
start: 2025-03-03T07:00:00Z
lasts: 8h
quiet_days: 5d
municipalities: 25
wire: {cut: 0.02, duplicate: 0.02, away: [{towns: 3, at: 1h, lasts: 2h}]}
purge: {mandate: 10}
attacks:
  - name: first
    outcome: warned
    steps:
      - {id: taken, do: takeover, account: ida.voss@any, way: device_code}
      - {id: app, do: change, account: ida.voss@any, after: taken, wait: 20m, change: consent, detail: Mail.Send}
      - id: wave
        do: mail
        account: ida.voss@any
        after: app
        wait: 40m
        to: [{towns: 12, mails: 240}, {outside: [firma.example], mails: 30}]
        mail: {subjects: ["Kontrakt {n}"], links: ["https://bit.ly/{issue}"], login_form: true, wordings: 3}
  - name: harmless
    real: false
    at: 2h
    outcome: not_warned
    steps:
      - do: mail
        account: alma.dahl@any
        to: [{towns: 20, mails: 120}]
        mail: {subjects: ["Tak for denne gang"], links: ["https://www.conferencemanager.dk/{issue}"]}
expect:
  false_warnings: "== 0"
  attacks_warned: "== 1"
  warnings_missed: "== 0"
  warnings_doubled: "== 0"
"""
# Two accounts send the same link, hours apart; a third wave comes from outside.
TWO = """
name: two
start: 2025-02-03T07:00:00Z
lasts: 10h
quiet_days: 3d
municipalities: 30
attacks:
  - name: one
    outcome: warned
    steps:
      - {id: taken, do: takeover, account: ida.lund@Odense}
      - id: wave
        do: mail
        account: ida.lund@Odense
        after: taken
        wait: 1h
        to: [{towns: 15, mails: 300}]
        mail: {subjects: [Hej], links: ["https://evil.example/faktura"], login_form: true}
  - name: other
    at: 3h
    outcome: warned
    steps:
      - {id: taken, do: takeover, account: bo.dam@Vejle, way: device_code}
      - id: wave
        do: mail
        account: bo.dam@Vejle
        after: taken
        wait: 1h
        to: [{towns: 15, mails: 300}]
        mail: {subjects: [Hej], links: ["https://evil.example/faktura"], login_form: true}
expect: {attacks_warned: "== 2", false_warnings: "== 0", reports_refused: "== 0"}
"""
# Nothing bad happens, and nobody has a node.
NOBODY = """
name: nobody
start: 2025-02-03T07:00:00Z
lasts: 2h
quiet_days: 0
past_days: 0
municipalities: 3
connected: none
"""


def simulate(*words, seconds=1500):
    done = subprocess.run([str(BINARY), "simulate", *map(str, words)], capture_output=True, text=True, timeout=seconds)
    return done.returncode, done.stdout, done.stderr


class Simulate(unittest.TestCase):
    def run_json(self, *words, **more):
        code, out, err = simulate(*words, "--json", **more)
        self.assertIn(code, (0, 1), err[-2000:])
        return code, json.loads(out.strip().splitlines()[-1])

    def wanted(self, result):
        return [f"{e['figure']} {e['relation']} {e['limit']}: got {e['got']}" for e in result["expectations"] if not e["met"]] + \
               [f"{a['name']}: {a['outcome']}, expected {a['expected']}" for a in result["attacks"] if not a["as_expected"]] + \
               ([] if any(e["figure"] == "false_warnings" for e in result["expectations"]) else result["false_warnings_about"])

    def test_every_scenario_that_comes_with_bavn_ends_as_it_says(self):
        names = sorted(p.stem for p in SCENARIOS.glob("*.yaml"))
        if LANE != "long":
            names = FAST if LANE == "fast" else QUICK
        self.assertTrue(names)
        for name in names:
            with self.subTest(name):
                code, result = self.run_json(name)
                self.assertEqual(self.wanted(result), [])
                self.assertEqual(code, 0)
                self.assertEqual([f for f in FIELDS if f not in result], [])
                print(f"{name}: {result['modelled']['facts']} facts, {result['cpu_seconds']:.0f} s of one core, {result['megabytes']:.0f} MB, "
                      f"false warnings {result['false_warnings']}, suspicions a shift at most {result['suspicions_per_shift']}, "
                      f"candidates {result['candidates_by_cause']}")

    def test_a_scenario_nobody_has_seen_before(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "other.yaml"
            path.write_text(OTHER)
            self.assertEqual(simulate(path, "--check")[0], 0)
            code, result = self.run_json(path)
            self.assertEqual(self.wanted(result), [])
            self.assertEqual(code, 0)

    def test_two_attacks_with_one_link_are_both_credited(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "two.yaml"
            path.write_text(TWO)
            code, result = self.run_json(path)
            self.assertEqual(self.wanted(result), [])
            self.assertEqual(code, 0)
            self.assertEqual(result["by_trigger"]["warning"]["attacks_found"], 2)
            for attack in result["attacks"]:
                self.assertGreaterEqual(attack["minutes_to_warning"], 0)

    def test_where_nothing_happens_the_figures_say_so(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "nobody.yaml"
            path.write_text(NOBODY)
            code, result = self.run_json(path)
            self.assertEqual(code, 0)
            self.assertEqual([f for f in FIELDS if f not in result], [])
            for name in ("minutes_to_notice", "minutes_to_warning", "clicks_share"):
                self.assertIsNone(result[name])
            for name in ("nodes", "mails_delivered_before_warning", "clicks_before_warning", "false_warnings", "max_bytes_out_per_node"):
                self.assertEqual(result[name], 0)

    def test_the_same_seed_is_the_same_run(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "other.yaml"
            path.write_text(OTHER)
            runs = []
            for seed in (5, 5, 6):
                result = self.run_json(path, "--seed", seed)[1]
                for volatile in ("wall_seconds", "cpu_seconds", "megabytes"):
                    result.pop(volatile)
                runs.append(result)
            self.assertEqual(runs[0], runs[1])
            self.assertNotEqual(runs[0], runs[2])

    def test_limits_that_are_not_met_end_with_1(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "wish.yaml"
            path.write_text("name: wish\nstart: 2025-03-03T07:00:00Z\nlasts: 1h\nquiet_days: 0\nmunicipalities: 3\n"
                            "expect: {warnings: \">= 1\"}\n")
            code, result = self.run_json(path)
            self.assertEqual(code, 1)
            self.assertFalse(result["as_expected"])

    def test_faults_are_explained_and_nothing_is_run(self):
        wrong = SOURCE / "src" / "app" / "simulate" / "tests" / "wrong.yaml"
        code, out, _ = simulate(wrong, "--check")
        self.assertEqual(code, 2)
        self.assertIn("the step waits for itself", out)
        self.assertIn("did you mean 'XL'?", out)
        code, out, err = simulate(wrong)
        self.assertEqual((code, out), (2, ""))
        self.assertIn("nothing was run", err)
        self.assertEqual(simulate("no_such_scenario")[0], 2)
        self.assertEqual(simulate()[0], 2)
        self.assertEqual(simulate(wrong, "--runs", "0")[0], 2)

    def test_a_table_over_runs_has_intervals(self):
        runs = "200" if LANE == "long" else "4"
        code, out, err = simulate("mixed_attacks", "--runs", runs, "--jobs", os.cpu_count() or 1, "--json", seconds=7200)
        self.assertIn(code, (0, 1), err[-2000:])
        table = json.loads(out.strip().splitlines()[-1])
        self.assertEqual(table["runs"], int(runs))
        for name in ("sender_notice", "takeover", "burst", "digest", "suspicion", "warning"):
            trigger = table["triggers"][name]
            for of in ("precision", "recall"):
                low, high = trigger[f"{of}_interval"]
                self.assertLessEqual(low - 1e-9, trigger[of])
                self.assertLessEqual(trigger[of], high + 1e-9)
        print(json.dumps(table["triggers"], indent=1))


if __name__ == "__main__":
    unittest.main()
