"""Rules through the command line: every modifier, value and condition form on plain events, all correlation types, what is refused and why."""
import base64
import json
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.bavn import CORPORA, HEX, ROOT, Case, needs_corpus, rule

# name: (detection, events that match, events that do not)
FORMS = {
    "text is compared without case": ("s: {A: Evil}\ncondition: s", [{"A": "eVIL"}], [{"A": "evils"}, {"A": ""}, {}, {"B": "evil"}]),
    "wildcards": ("s: {A: 'e*l?'}\ncondition: s", [{"A": "eviL!"}, {"A": "el!"}], [{"A": "evil"}, {"A": "xel!"}]),
    "escaped wildcards": (r"s: {A: 'a\*b\?c\\*'}" "\ncondition: s", [{"A": "a*b?c\\x"}], [{"A": "aXbXc\\x"}]),
    "numbers and texts of numbers": ("s: {A: 7}\ncondition: s", [{"A": 7}, {"A": "7"}], [{"A": 70}, {"A": "07"}]),
    "a list is any of": ("s: {A: [one, 2]}\ncondition: s", [{"A": "ONE"}, {"A": 2}, {"A": ["x", "one"]}], [{"A": "three"}]),
    "a map is all of": ("s: {A: 1, B: 2}\ncondition: s", [{"A": 1, "B": 2}], [{"A": 1}, {"B": 2}]),
    "a list of maps is any of": ("s: [{A: 1, B: 1}, {A: 2, B: 2}]\ncondition: s", [{"A": 1, "B": 1}, {"A": 2, "B": 2}], [{"A": 1, "B": 2}]),
    "null": ("s: {A: null, B: 1}\ncondition: s", [{"A": None, "B": 1}, {"B": 1}], [{"A": "x", "B": 1}, {"A": 0, "B": 1}, {"A": None}]),
    "empty text": ("s: {A: ''}\ncondition: s", [{"A": ""}], [{"A": "x"}, {"A": " "}]),
    "booleans": ("s: {A: true}\ncondition: s", [{"A": True}, {"A": "true"}], [{"A": False}, {"A": 1}]),
    "contains": ("s: {A|contains: vi}\ncondition: s", [{"A": "eVIl"}], [{"A": "eil"}]),
    "startswith": ("s: {A|startswith: ev}\ncondition: s", [{"A": "EVil"}], [{"A": "xev"}]),
    "endswith": ("s: {A|endswith: il}\ncondition: s", [{"A": "evIL"}], [{"A": "ilx"}]),
    "all": ("s: {A|contains|all: [x, y]}\ncondition: s", [{"A": "yax"}], [{"A": "x"}]),
    "exists true": ("s: {A|exists: true, B: 1}\ncondition: s", [{"A": "", "B": 1}, {"A": None, "B": 1}], [{"B": 1}]),
    "exists false": ("s: {A|exists: false, B: 1}\ncondition: s", [{"B": 1}], [{"A": "", "B": 1}]),
    "cased": ("s: {A|cased: Evil}\ncondition: s", [{"A": "Evil"}], [{"A": "evil"}]),
    "contains cased": ("s: {A|contains|cased: Ev}\ncondition: s", [{"A": "xEvil"}], [{"A": "xevil"}]),
    "neq": ("s: {A|neq: x, B: 1}\ncondition: s", [{"A": "y", "B": 1}], [{"A": "X", "B": 1}]),
    "gt": ("s: {A|gt: 10}\ncondition: s", [{"A": 11}, {"A": "10.5"}], [{"A": 10}, {"A": "x"}, {}]),
    "gte": ("s: {A|gte: 10}\ncondition: s", [{"A": 10}], [{"A": 9.99}]),
    "lt": ("s: {A|lt: -1}\ncondition: s", [{"A": -2}], [{"A": -1}, {"A": None}]),
    "lte": ("s: {A|lte: 1.5}\ncondition: s", [{"A": 1.5}], [{"A": 1.51}]),
    "re": (r"s: {A|re: '^e\d+$'}" "\ncondition: s", [{"A": "e12"}], [{"A": "E12"}, {"A": "e1x"}]),
    "re i": (r"s: {A|re|i: '^e\d+$'}" "\ncondition: s", [{"A": "E12"}], [{"A": "xe1"}]),
    "re m": ("s: {A|re|m: '^two$'}\ncondition: s", [{"A": "one\ntwo\nthree"}], [{"A": "one two"}]),
    "re s": ("s: {A|re|s: 'a.b'}\ncondition: s", [{"A": "a\nb"}], [{"A": "ab"}]),
    "cidr 4": ("s: {A|cidr: 192.0.2.0/25}\ncondition: s", [{"A": "192.0.2.127"}], [{"A": "192.0.2.128"}, {"A": "x"}]),
    "cidr 6": ("s: {A|cidr: '2001:db8::/33'}\ncondition: s", [{"A": "2001:DB8:0:1::1"}], [{"A": "2001:db8:8000::1"}, {"A": "192.0.2.1"}]),
    "windash": ("s: {A|contains|windash: ' -enc '}\ncondition: s", [{"A": "p -enc x"}, {"A": "p /enc x"}, {"A": "p \u2013enc x"}], [{"A": "p +enc x"}]),
    "base64": ("s: {A|base64: 'whoami'}\ncondition: s", [{"A": base64.b64encode(b"whoami").decode()}], [{"A": "whoami"}]),
    "base64offset": ("s: {A|base64offset|contains: 'http://'}\ncondition: s",
                     [{"A": "x" + base64.b64encode(b"." * n + b"http://bad.example.net").decode()} for n in range(3)], [{"A": "http://"}]),
    "utf16le": ("s: {A|utf16le|base64offset|contains: 'whoami'}\ncondition: s",
                [{"A": base64.b64encode("-c whoami;".encode("utf-16-le")).decode()}], [{"A": base64.b64encode(b"-c whoami;").decode()}]),
    "utf16be": ("s: {A|utf16be|base64offset|contains: 'whoami'}\ncondition: s",
                [{"A": base64.b64encode("whoami;".encode("utf-16-be")).decode()}], [{"A": base64.b64encode("whoami;".encode("utf-16-le")).decode()}]),
    "utf16": ("s: {A|utf16|base64|startswith: 'whoami'}\ncondition: s", [{"A": base64.b64encode(b"\xff\xfe" + "whoami".encode("utf-16-le")).decode()}],
              [{"A": base64.b64encode("whoami".encode("utf-16-le")).decode()}]),
    "wide": ("s: {A|wide|base64offset|contains: 'whoami'}\ncondition: s", [{"A": base64.b64encode("whoami;".encode("utf-16-le")).decode()}], [{"A": "whoami"}]),
    "fieldref": ("s: {A|fieldref: B}\ncondition: s", [{"A": "x", "B": "X"}], [{"A": "x", "B": "y"}, {"A": "x"}, {}]),
    "fieldref startswith": ("s: {A|fieldref|startswith: B}\ncondition: s", [{"A": "xyz", "B": "xy"}], [{"A": "xyz", "B": "yz"}]),
    "time parts": ("s: {T|hour: 3, T|month: 2, T|year: 2026, T|day: 11, T|minute: 15, T|week: 7}\ncondition: s",
                   [{"T": "2026-02-11T03:15:59Z"}], [{"T": "2026-02-11T04:15:00Z"}, {"T": "x"}, {}]),
    "expand": ("s: {A|expand: '%admins%'}\ncondition: s", [{"A": "ole"}, {"A": "Kari"}], [{"A": "%admins%"}, {"A": "per"}]),
    "expand contains": ("s: {A|expand|contains: 'x-%admins%-y'}\ncondition: s", [{"A": "<x-ole-y>"}], [{"A": "x-per-y"}]),
    "keywords": ("k: [needle, 'two words']\ncondition: k", [{"Z": "a Needle here"}, {"Q": {"deep": "x two words"}}], [{"Z": "noodle"}]),
    "keywords all": ("k: {'|all': [red, blue]}\ncondition: k", [{"Z": "blue", "Y": "red"}], [{"Z": "blue"}]),
    "nested fields": ("s: {a.b.c: x}\ncondition: s", [{"a": {"b": {"c": "x"}}}, {"a": {"b": [{"c": "y"}, {"c": "x"}]}}], [{"a": {"b": "x"}}]),
    "and, or, not, brackets": ("a: {A: 1}\nb: {B: 1}\nc: {C: 1}\ncondition: a and (b or not c)", [{"A": 1, "B": 1, "C": 1}, {"A": 1}], [{"A": 1, "C": 1}, {"B": 1}]),
    "1 of them": ("a: {A: 1}\nb: {B: 1}\ncondition: 1 of them", [{"A": 1}, {"B": 1}], [{"A": 2}]),
    "all of them": ("a: {A: 1}\nb: {B: 1}\ncondition: all of them", [{"A": 1, "B": 1}], [{"A": 1}]),
    "1 of pattern": ("sel_a: {A: 1}\nsel_b: {B: 1}\nother: {C: 1}\ncondition: 1 of sel_*", [{"B": 1}], [{"C": 1}]),
    "all of pattern and not 1 of": ("sel_a: {A: 1}\nsel_b: {B: 1}\nfilter_x: {C: 1}\ncondition: all of sel_* and not 1 of filter_*",
                                    [{"A": 1, "B": 1}], [{"A": 1, "B": 1, "C": 1}, {"A": 1}]),
    "a list of conditions is any of": ("a: {A: 1}\nb: {B: 1}\ncondition: [a, b]", [{"A": 1}, {"B": 1}], [{}]),
    "not alone": ("a: {A|exists: true}\nb: {B: 1}\ncondition: a and not b", [{"A": 1}, {"A": 1, "B": 2}], [{"A": 1, "B": 1}]),
}


class Forms(Case):
    def test_each_form_finds_what_it_should_and_nothing_else(self):
        placeholders = self.write("placeholders", "admins = ole\nadmins = kari\n")
        text, events, owner = [], [], []
        for number, (name, (detection, match, no_match)) in enumerate(FORMS.items()):
            text.append(rule(f"'{name}'", detection, number))
            for wanted, list_ in ((True, match), (False, no_match)):
                for e in list_:
                    events.append(e)
                    owner.append((name, wanted))
        said = self.scan("--rules", self.write("rules.yml", "---\n".join(text)), "--placeholders", placeholders, self.events("e", events))
        self.assertEqual((said.code, said.summary["rules_not_applied"], said.summary["rules"]), (0, [], len(FORMS)), said.stderr)
        found = {(f["rule"]["title"], f["line"]) for f in said.findings}
        for line, (name, wanted) in enumerate(owner, 1):
            with self.subTest(name, event=events[line - 1]):
                self.assertEqual((name, line) in found, wanted)

    def test_what_came_before_changes_nothing(self):
        # The same values in every field that rules name, and a keyword elsewhere that is there or not.
        rules = "---\n".join([rule("both", "s: {A: 1}\nk: [needle]\ncondition: s and k", 1), rule("without", "s: {A: 1}\nk: [needle]\ncondition: s and not k", 2),
                              rule("word", "k: [needle, ab]\ncondition: k", 3), rule("no word", "k: [needle]\ncondition: not k", 4)])
        hay, needle = {"A": 1, "Z": "hay"}, {"A": 1, "Z": "a needle"}
        events = [hay, hay, needle, needle, hay, needle]
        said = self.scan("--rules", self.write("r.yml", rules), self.events("e", events))
        wanted = [(n, t) for n, e in enumerate(events, 1) for t in (("both", "word") if e is needle else ("without", "no word"))]
        self.assertEqual(said.pairs(), sorted(wanted))

    def test_the_fields_of_a_finding_are_those_of_the_rule(self):
        said = self.scan("--rules", self.write("r.yml", rule("r", "s: {A: x, B|contains: y, C: null}\ncondition: s")),
                         self.events("e", [{"A": "X", "B": ["yes", "my"], "Z": "secret", "timestamp": "2026-02-11T08:00:00Z"}]))
        self.assertEqual([(f["fields"], f["happened_at"]) for f in said.findings], [({"A": "X", "B": "yes, my"}, "2026-02-11T08:00:00Z")])

    def test_a_filter_takes_away(self):
        rules = rule("base", "s: {A: 1}\ncondition: s", 1) + "---\n" + (
            f"title: keep out the scanner\nid: {HEX}000000000002\nlogsource: {{category: test}}\nfilter:\n  rules: [{HEX}000000000001]\n  f: {{Host: scanner}}\n  condition: not f\n")
        said = self.scan("--rules", self.write("r.yml", rules), self.events("e", [{"A": 1, "Host": "scanner"}, {"A": 1, "Host": "pc"}]))
        self.assertEqual(said.pairs(), [(2, "base")], said.stderr)

    def test_the_level_asked_for_is_the_least(self):
        rules = "---\n".join(rule(level, "s: {A: 1}\ncondition: s", i, level=level) for i, level in enumerate(("informational", "low", "medium", "high", "critical")))
        rules, events = self.write("r.yml", rules), self.events("e", [{"A": 1}])
        for n, level in enumerate(("informational", "low", "medium", "high", "critical")):
            self.assertEqual(len(self.scan("--rules", rules, "--min-level", level, events).findings), 5 - n)

    def test_a_placeholder_without_values_refuses_its_rule(self):
        said = self.scan("--rules", self.write("r.yml", rule("r", "s: {A|expand: '%nobody%'}\ncondition: s")), self.events("e", [{"A": 1}]))
        self.assertIn("nobody", said.summary["rules_not_applied"][0]["reason"])


def correlation(kind, more, rules="first", title="chain", number=900, extra=""):
    return (f"title: {title}\nname: {title}\nid: {HEX}{number:012d}\nlevel: high\ncorrelation:\n  type: {kind}\n  rules: [{rules}]\n  group-by: [user]\n  timespan: 10m\n"
            + "".join(f"  {line}\n" for line in more.splitlines()) + extra)


class Correlations(Case):
    BASE = "---\n".join(rule(n, f"s: {{A: {n}}}\ncondition: s", i, more=f"name: {n}\n") for i, n in enumerate(("first", "second", "third"), 1))

    def chains(self, text, events):
        """events: (minute, what, user, more)."""
        rows = [{"timestamp": f"2026-02-11T08:{m:02}:00Z", "A": a, "user": u, **(more[0] if more else {})} for m, a, u, *more in events]
        said = self.scan("--rules", self.write("r.yml", self.BASE + "---\n" + text), self.events("e", rows))
        self.assertEqual((said.code, said.summary["rules_not_applied"]), (0, []), said.stderr)
        return sorted(f["line"] for f in said.findings if f["kind"] == "correlation")

    def test_event_count(self):
        text = correlation("event_count", "condition: {gte: 3}")
        self.assertEqual(len(self.chains(text, [(0, "first", "a"), (4, "first", "a"), (9, "first", "a")])), 1)
        self.assertEqual(self.chains(text, [(0, "first", "a"), (4, "first", "b"), (9, "first", "a")]), [])
        self.assertEqual(self.chains(text, [(0, "first", "a"), (4, "first", "a"), (15, "first", "a")]), [])

    def test_value_count(self):
        text = correlation("value_count", "condition: {gte: 3, field: ip}")
        three = [(i, "first", "a", {"ip": f"192.0.2.{i}"}) for i in range(3)]
        self.assertEqual(len(self.chains(text, three)), 1)
        self.assertEqual(self.chains(text, [(m, a, u, {"ip": "192.0.2.1"}) for m, a, u, _ in three]), [])

    def test_temporal(self):
        text = correlation("temporal", "", "first, second")
        self.assertEqual(len(self.chains(text, [(5, "second", "a"), (8, "first", "a")])), 1)
        self.assertEqual(self.chains(text, [(5, "second", "a"), (8, "first", "b")]), [])
        self.assertEqual(self.chains(text, [(5, "second", "a"), (25, "first", "a")]), [])

    def test_temporal_ordered(self):
        text = correlation("temporal_ordered", "", "first, second")
        self.assertEqual(len(self.chains(text, [(5, "first", "a"), (8, "second", "a")])), 1)
        self.assertEqual(self.chains(text, [(5, "second", "a"), (8, "first", "a")]), [])

    def test_the_order_is_that_of_the_clock_not_of_the_file(self):
        text = correlation("temporal_ordered", "", "first, second")
        self.assertEqual(len(self.chains(text, [(8, "second", "a"), (5, "first", "a")])), 1)

    def test_sums_averages_and_percentiles(self):
        numbers = [(i, "first", "a", {"size": size}) for i, size in enumerate((10, 20, 90))]
        for kind, condition, wanted in (("value_sum", "gte: 120", 1), ("value_sum", "gt: 120", 0), ("value_avg", "gte: 40", 1), ("value_avg", "gt: 90", 0),
                                        ("value_median", "eq: 20", 1), ("value_percentile", "gte: 20", 1)):
            extra = ", percentile: 50" if kind == "value_percentile" else ""
            with self.subTest(kind, condition=condition):
                self.assertEqual(bool(self.chains(correlation(kind, f"condition: {{{condition}, field: size{extra}}}"), numbers)), bool(wanted))

    def test_a_chain_of_correlations(self):
        text = correlation("event_count", "condition: {gte: 2}", title="burst", number=901) + "---\n" + correlation("temporal_ordered", "", "burst, second", title="outer", number=902)
        self.assertEqual(len(self.chains(text, [(0, "first", "a"), (1, "first", "a"), (2, "second", "a")])), 1)
        self.assertEqual(self.chains(text, [(0, "first", "a"), (2, "second", "a")]), [])

    def test_the_rules_of_a_correlation_report_for_themselves_only_when_asked(self):
        events = self.events("e", [{"timestamp": f"2026-02-11T08:0{i}:00Z", "A": "first", "user": "a"} for i in range(3)])
        for extra, kinds in (("", ["correlation"]), ("  generate: true\n", ["correlation", "sigma", "sigma", "sigma"])):
            said = self.scan("--rules", self.write("r.yml", self.BASE + "---\n" + correlation("event_count", "condition: {gte: 3}", extra=extra)), events)
            self.assertEqual(sorted(f["kind"] for f in said.findings), kinds)

    def test_events_of_several_files_are_bound_together(self):
        rules = self.write("r.yml", self.BASE + "---\n" + correlation("temporal_ordered", "", "first, second"))
        a = self.events("a", [{"timestamp": "2026-02-11T08:05:00Z", "A": "second", "user": "x"}])
        b = self.events("b", [{"timestamp": "2026-02-11T08:01:00Z", "A": "first", "user": "x"}])
        for jobs in "12":
            self.assertEqual(len(self.scan("--rules", rules, "--jobs", jobs, a, b).findings), 1)

    @needs_corpus("detection/sigma-specification")
    def test_the_examples_of_the_specification_load(self):
        folder = CORPORA / "detection/sigma-specification/tests"
        examples = sorted(folder.glob("spec_text_correlation_*.yml"))
        self.assertGreaterEqual(len(examples), 10)
        # They refer to rules that the text does not spell out: those are made up here, then all must load, but for the one that is a
        # piece without a type.
        stubs, missing = {}, {"-"}
        for _ in range(4):
            path = self.write("stubs.yml", "---\n".join([rule("spare", "s: {A: 1}\ncondition: s", 500), *stubs.values()]))
            code, out, said = self.bavn("rules", "check", "--json", path, *examples)
            self.assertEqual(code, 3, said)  # at least the piece is refused
            refused = [r for r in map(json.loads, out.splitlines()) if r["kind"] == "refused"]
            missing = {m[1] for r in refused if (m := re.search(r"refers to '([^']+)', which is not loaded", r["reason"]))} - set(stubs)
            for name in missing:
                stub = rule(name, "s: {A: 1}\ncondition: s", 501 + len(stubs), more=f"name: {name}\n")
                stubs[name] = re.sub(r"(?m)^id: .*$", f"id: {name}", stub) if re.fullmatch(r"[0-9a-f-]{36}", name) else stub
        self.assertEqual([(pathlib.Path(r["file"]).name, "has no type" in r["reason"]) for r in refused], [("spec_text_correlation_00.yml", True)])


# name: (text of a file, what the reason must say, the line)
REFUSED = {
    "no YAML": ("title: [\n", "", None),
    "a tab": ("title: x\n\tid: y\n", "", 2),
    "an unknown modifier": (rule("x", "s: {A|contins: 1}\ncondition: s"), "contins", 6),
    "a name that is not there": (rule("x", "s: {A: 1}\ncondition: t"), "t", 7),
    "a broken condition": (rule("x", "s: {A: 1}\ncondition: s and (s"), "", 7),
    "no condition": (rule("x", "s: {A: 1}"), "condition", None),
    "no detection": ("title: x\nlogsource: {category: test}\n", "detection", None),
    "no log source": ("title: x\ndetection:\n  s: {A: 1}\n  condition: s\n", "logsource", None),
    "a broken expression": (rule("x", "s: {A|re: '(('}\ncondition: s"), "", 6),
    "a look-behind that no engine runs": (rule("x", r"s: {A|re: '(?<=a+)b'}" + "\ncondition: s"), "", 6),
    "a network that is none": (rule("x", "s: {A|cidr: 10.0.0.300/8}\ncondition: s"), "10.0.0.300", 6),
    "a comparison with a text": (rule("x", "s: {A|gt: many}\ncondition: s"), "many", 6),
    "an old pipe": (rule("x", "s: {A: 1}\ncondition: s | count() > 5"), "", 7),
    "an unknown correlation": ("title: x\ncorrelation:\n  type: sometimes\n  rules: [a]\n  timespan: 1h\n", "sometimes", 3),
    "a timespan that is none": (rule("a", "s: {A: 1}\ncondition: s", more="name: a\n") + "---\n" + correlation("event_count", "condition: {gte: 1}", "a").replace("10m", "soon"), "soon", None),
    "a correlation of nothing": (correlation("event_count", "condition: {gte: 1}", "nobody"), "nobody", None),
}


class Commands(Case):
    def test_what_cannot_be_used_is_refused_with_file_line_and_reason(self):
        for name, (text, words, line) in REFUSED.items():
            with self.subTest(name):
                path = self.write("rules/bad.yml", text)
                self.write("rules/good.yml", rule("good", "s: {A: 1}\ncondition: s", 77))
                code, out, said = self.bavn("rules", "check", "--json", self.path / "rules")
                self.assertEqual(code, 3, said)
                refused = [r for r in map(json.loads, out.splitlines()) if r["kind"] == "refused"]
                self.assertEqual([r["file"] for r in refused], [path], out)
                self.assertIn(words, refused[0]["reason"])
                self.assertNotEqual(refused[0]["reason"], "")
                if line is not None:
                    self.assertEqual(refused[0]["line"], line, refused)
                events = self.events("e", [{"A": 1}])
                self.assertIn((1, "good"), self.scan("--rules", self.path / "rules", events).pairs())

    def test_hostile_rule_files_end_with_a_message(self):
        bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{c}: &{c} [{','.join('*' + p for _ in range(9))}]\n" for p, c in zip("abcdefgh", "bcdefghi"))
        for name, content in {"empty": b"", "binary": bytes(range(256)) * 50, "deep": b"[" * 20_000, "deep maps": b"".join(b" " * i + b"a:\n" for i in range(2000)), "bomb": bomb.encode(),
                              "many": b"x: 1\n" * 100_000, "nul": b"title: \0\n", "utf16": "title: x\n".encode("utf-16")}.items():
            with self.subTest(name):
                code, out, said = self.bavn("rules", "check", "--json", self.write("bad.yml", content), seconds=30)
                self.assertIn(code, (0, 1, 3), said)

    def test_a_rule_that_can_never_match_is_told(self):
        path = self.write("r.yml", rule("r", "s: {A: 1}\ncondition: s", logsource="{product: toaster, service: crumbs}"))
        code, out, _ = self.bavn("rules", "check", "--json", path)
        told = [r for r in map(json.loads, out.splitlines()) if r["kind"] == "never_matches"]
        self.assertEqual((code, [(r["file"], r["title"]) for r in told]), (0, [(path, "r")]))
        self.assertIn("toaster", told[0]["reason"])
        self.assertIn("toaster", self.bavn("rules", "check", path)[1])

    def test_explain_shows_the_compiled_form_and_the_witness(self):
        path = self.write("r.yml", rule("Odd tool", "s: {Image|endswith: '\\odd.exe'}\nf: {User: system}\ncondition: s and not f", 5, "{product: windows, category: process_creation}"))
        for what in ("Odd tool", HEX + "000000000005"):
            code, out, _ = self.bavn("rules", "explain", what, path)
            self.assertEqual(code, 0)
            self.assertRegex(out, r"log source: category=process_creation product=windows")
            self.assertRegex(out, r"(?s)condition:.*all of.*not.*User")
            self.assertRegex(out, r"(?s)witness.*Image.*odd\.exe")
        code, out, _ = self.bavn("rules", "explain", "--json", "Odd tool", path)
        told = json.loads(out)
        self.assertEqual((code, told["title"], told["logsource"], told["never_matches"]), (0, "Odd tool", "category=process_creation product=windows", False))
        self.assertTrue(any("odd.exe" in w for w in told["witness"]), told)
        code, _, said = self.bavn("rules", "explain", "Odd tol", path)
        self.assertEqual(code, 1)
        self.assertIn("Odd tol", said)

    def test_a_rule_without_a_witness_says_so(self):
        path = self.write("r.yml", rule("All", "s: {A: x}\ncondition: not s", 5, "{product: windows, category: process_creation}"))
        self.assertIn("witness: none", self.bavn("rules", "explain", "All", path)[1])

    def test_list_names_every_rule(self):
        path = self.write("r.yml", Correlations.BASE + "---\n" + correlation("event_count", "condition: {gte: 3}"))
        code, out, _ = self.bavn("rules", "list", "--json", path)
        rows = [json.loads(line) for line in out.splitlines()]
        self.assertEqual((code, [(r["kind"], r["title"]) for r in rows]), (0, [("rule", "first"), ("rule", "second"), ("rule", "third"), ("correlation", "chain")]))

    def test_the_rules_that_come_with_bavn_pass_their_tests(self):
        code, out, said = self.bavn("rules", "test", ROOT / "content/rules")
        self.assertEqual(code, 0, out + said)
        ran, failed, untested = map(int, re.search(r"(\d+) rule tests, (\d+) failed; (\d+) rule files have no tests", out).groups())
        self.assertGreater(ran, 50)
        self.assertEqual((failed, untested), (0, 0))

    def test_a_failing_test_is_told_and_fails(self):
        path = self.write("r.yml", rule("r", "s: {A: 1}\ncondition: s"))
        self.write("r.tests.ndjson", '{"test":"one","expect":true,"events":[{"A":1}]}\n{"test":"two","expect":true,"events":[{"A":2}]}\n')
        code, out, _ = self.bavn("rules", "test", path)
        self.assertEqual(code, 1)
        self.assertIn("r.tests.ndjson:2: two", out)
        code, out, _ = self.bavn("rules", "test", "--json", path)
        told = [json.loads(line) for line in out.splitlines()]
        self.assertEqual((code, [(t["kind"], t.get("line"), t.get("test")) for t in told]), (1, [("failed", 2, "two"), ("summary", None, None)]))
        self.assertEqual((told[1]["tests"], told[1]["failed"]), (2, 1))

    def test_the_cache_of_compiled_rules_gives_the_same_and_survives_damage(self):
        rules, cache = self.write("r.yml", rule("r", "s: {A: 1}\ncondition: s")), self.path / "cache"
        events = self.events("e", [{"A": 1}, {"A": 2}])
        for damage in (None, None, b"", b"garbage", "cut"):
            if damage == "cut":
                cache.write_bytes(cache.read_bytes()[:-10])
            elif damage is not None:
                cache.write_bytes(damage)
            said = self.scan("--rules", rules, "--rule-cache", cache, events)
            self.assertEqual((said.code, said.pairs()), (0, [(1, "r")]), said.stderr)
        self.write("r.yml", rule("r", "s: {A: 2}\ncondition: s"))
        self.assertEqual(self.scan("--rules", rules, "--rule-cache", cache, events).pairs(), [(2, "r")])

    def test_wrong_usage_ends_with_2_and_what_fails_with_1(self):
        for words, code in (([], 2), (["scn"], 2), (["rules"], 2), (["rules", "explain"], 2), (["scan", "--jobs", "x", "y"], 2), (["scan", "--nonsense", "y"], 2), (["--help"], 0),
                            (["scan", "--help"], 0), (["--version"], 0), (["rules", "check", self.path / "nowhere"], 1), (["scan", "--rules", self.path / "nowhere", __file__], 1),
                            (["scan", "--indicators", self.path / "nowhere", __file__], 1), (["indicators", "check", self.path / "nowhere"], 1),
                            (["import", self.path / "nowhere", "--peer", "x", "--data", self.path], 1), (["import", self.path, "--peer", "x", "--data", self.path], 1)):
            with self.subTest(words):
                got, out, said = self.bavn(*words)
                self.assertEqual(got, code, out + said)
                self.assertNotEqual(out + said, "")
        self.assertIn("there is no command 'scn'", self.bavn("scn")[2])
        self.assertIn("`bavn rules --help`", self.bavn("rules", "chek")[2])
        self.assertIn("Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some input could not be read", self.bavn("--help")[1])


if __name__ == "__main__":
    unittest.main()
