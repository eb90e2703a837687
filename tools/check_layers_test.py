"""check_layers.py must find each kind of fault: a check that cannot fail checks nothing."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = pathlib.Path(__file__).with_name("check_layers.py")
LAYERS = """heavy = ["archive.h", "yaml-cpp/"]
[base]
layer = 0
uses = []
[event]
layer = 1
uses = ["base"]
[store]
layer = 2
uses = ["event"]
[match]
layer = 3
uses = ["event"]
"""


class Layers(unittest.TestCase):
    def check(self, files, layers=LAYERS, without=()):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "layers.toml").write_text(layers)
            for module in ("base", "event", "store", "match"):
                (root / "src" / module).mkdir(parents=True)
                (root / "src" / module / "README.md").write_text(f"# {module}\n\nA thing.\n")
                (root / "src" / module / "CMakeLists.txt").write_text(f"bavn_library({module} DEPENDS event)\n" if module in ("store", "match") else f"bavn_library({module})\n")
            (root / "src/event/CMakeLists.txt").write_text("bavn_library(event DEPENDS base)\n")
            for name, text in files.items():
                (root / name).write_text(text)
            for name in without:
                (root / name).unlink()
            done = subprocess.run([sys.executable, CHECK, root], capture_output=True, text=True)
            return done.returncode, done.stdout

    def refused(self, files, word, layers=LAYERS, without=()):
        code, out = self.check(files, layers, without)
        self.assertEqual(code, 1, out)
        self.assertIn(word, out)

    def test_a_tree_in_order_passes(self):
        code, out = self.check({"src/match/a.cpp": '#include "base/text.hpp"\n#include "event/batch.hpp"\n#include <archive.h>\n'})
        self.assertEqual(code, 0, out)

    def test_an_upward_include_is_refused(self):
        self.refused({"src/event/a.cpp": '#include "match/x.hpp"\n'}, "event may not include match")

    def test_a_sideways_include_is_refused(self):
        self.refused({"src/match/a.cpp": '#include "store/x.hpp"\n'}, "match may not include store")

    def test_a_heavy_header_in_a_header_is_refused(self):
        self.refused({"src/match/a.hpp": "#pragma once\n#include <yaml-cpp/yaml.h>\n"}, "heavy headers")

    def test_a_header_without_guard_is_refused(self):
        self.refused({"src/match/a.hpp": "struct A {};\n"}, "#pragma once")

    def test_a_path_that_does_not_start_at_src_is_refused(self):
        self.refused({"src/match/a.cpp": '#include "x.hpp"\n'}, "whole path")

    def test_cmake_that_asks_for_a_forbidden_module_is_refused(self):
        self.refused({"src/match/CMakeLists.txt": "bavn_library(match DEPENDS event store)\n"}, "does not allow match")

    def test_cmake_that_forgets_a_module_is_refused(self):
        self.refused({"src/match/CMakeLists.txt": "bavn_library(match DEPENDS base)\n", "src/match/a.cpp": '#include "event/batch.hpp"\n'}, "does not lead there")

    def test_a_row_that_uses_its_own_layer_is_refused(self):
        self.refused({}, "only lower layers", LAYERS.replace('[match]\nlayer = 3\nuses = ["event"]', '[match]\nlayer = 2\nuses = ["store"]'))

    def test_a_table_that_differs_from_the_tree_is_refused(self):
        marks = "<!-- layers: written by tools/check_layers.py --update -->\nold\n<!-- /layers -->\n"
        self.refused({"ARCHITECTURE.md": marks}, "not that of layers.toml")

    def test_a_module_without_readme_is_refused(self):
        self.refused({}, "src/match: no README.md", without=["src/match/README.md"])


if __name__ == "__main__":
    unittest.main()
