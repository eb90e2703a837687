"""bavn formats list, explain and test: what an operator sees of a format, and wrong names."""
import gzip
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.bavn import ROOT, Case


def named():
    return sorted(p.parent.name for folder in ("content/formats", "src/formats") for p in (ROOT / folder).glob("*/format.yml"))


class Formats(Case):
    def test_list_names_every_folder(self):
        code, out, _ = self.bavn("formats", "list", "--json")
        rows = [json.loads(line) for line in out.splitlines()]
        self.assertEqual((code, sorted(r["name"] for r in rows)), (0, named()))
        for row in rows:
            self.assertTrue(row["title"] and row["reader"] and row["class"], row)
        code, out, _ = self.bavn("formats", "list")
        self.assertEqual((code, sorted(line.split()[0] for line in out.splitlines())), (0, named()))

    def test_explain_works_for_every_format(self):
        for name in named():
            code, out, _ = self.bavn("formats", "explain", name)
            self.assertEqual(code, 0, name)
            self.assertTrue(out.startswith(name + ": "), out[:80])
            self.assertIn("log sources:", out)

    def test_a_wrong_name_is_told_with_the_nearest(self):
        for words in (["formats", "explain", "suricata_ev"], ["formats", "test", "--format", "suricata_ev", __file__], ["scan", "--format", "suricata_ev", __file__]):
            code, out, said = self.bavn(*words)
            self.assertEqual((code, out), (2, ""))
            self.assertIn("did you mean 'suricata_eve'?", said)
        code, _, said = self.bavn("formats", "explain", "zzzzzzzzzzzzzzz")
        self.assertEqual(code, 2)
        self.assertNotIn("did you mean", said)

    def test_the_samples_are_recognised_by_themselves(self):
        for folder in ("content/formats", "src/formats"):
            for sample in sorted((ROOT / folder).glob("*/samples/*.in")):
                code, out, said = self.bavn("formats", "test", sample)
                self.assertEqual((code, said), (0, ""), sample)
                rows = [json.loads(line) for line in out.splitlines()]
                name = sample.parts[-3]
                of_it = sum(r["format"] == name for r in rows)
                if name not in ("shipper", "wazuh", "syslog", "linux_journald"):  # what they carry is of another format
                    self.assertEqual(of_it, len(rows), sample)
                self.assertGreater(len(rows), 0)

    def test_what_is_refused_goes_to_stderr_with_file_line_and_reason(self):
        path = self.write("e", '{"a":1}\n{"a":\n{"a":2}\n')
        code, out, said = self.bavn("formats", "test", path)
        self.assertEqual((code, len(out.splitlines())), (0, 2))
        self.assertRegex(said, rf"^{path}:2: json_\w+: ")

    def test_packed_files_and_missing_files(self):
        packed, cut = self.write("e.gz", gzip.compress(b'{"a":1}\n')), self.write("cut.gz", gzip.compress(b'{"a":1}\n')[:-6])
        self.assertEqual(self.bavn("formats", "test", packed)[0], 0)
        code, _, said = self.bavn("formats", "test", packed, cut, self.path / "nowhere")
        self.assertEqual(code, 3)
        self.assertIn("cut.gz: the gzip data ends in the middle", said)
        self.assertIn("nowhere: there is no such file or folder", said)


if __name__ == "__main__":
    unittest.main()
