"""Signing in to a real hub with Chromium (passkeys of its virtual authenticator) and a real provider of OpenID Connect (npm oidc-provider).

Screenshots go to build/shots/sign-in. Skipped, and said so, where there is no Chromium or Node.js.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from support.bavn import BINARY, ROOT  # noqa: E402
from support.community import Process, free_port, has_servers, until  # noqa: E402

FOLDER = ROOT / "tests/sign_in"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
# Debian 12's own Node.js is too old for the provider: the one that the front end is built with.
NODE = subprocess.run([str(ROOT / "tools/node.sh"), "--fetch"], capture_output=True, text=True).stdout.strip()
WITH_NODE = {**os.environ, "PATH": f"{NODE}:{os.environ['PATH']}"}


@unittest.skipUnless(has_servers(), "this binary has no servers")
@unittest.skipUnless(CHROMIUM and NODE, "there is no Chromium, or no Node.js with npm")
class SignIn(unittest.TestCase):
    def setUp(self):
        if not (FOLDER / "node_modules/oidc-provider").is_dir():
            subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=FOLDER, check=True, capture_output=True, timeout=300, env=WITH_NODE)
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        folder = pathlib.Path(place.name) / "hub"
        subprocess.run([BINARY, "hub", "init", "--data", str(folder), "--host", "localhost", "--name", "Prøve-CERT"], check=True, capture_output=True, timeout=60)
        self.web = free_port()
        settings = folder / "settings.toml"
        text = re.sub(r"port = \d+", "port = 0\ncontrol_port = 0", settings.read_text())
        settings.write_text(text + f'\n[web]\nport = {self.web}\n\n[auth]\ninside = "localhost"\n')
        self.hub = Process("hub", folder)
        self.hub.start()
        self.addCleanup(self.hub.stop)

    def test_people_sign_in(self):
        first = until(lambda: re.search(r"http://localhost:\d+/sign-in/link\S+", self.hub.tail(4000)), 60, self.hub.tail)[0]
        port = free_port()
        provider = subprocess.Popen(["node", "provider.mjs", str(port), f"http://localhost:{self.web}/sign-in/provider/back"], cwd=FOLDER,
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=WITH_NODE)
        self.addCleanup(provider.stdout.close)
        self.addCleanup(provider.wait)
        self.addCleanup(provider.kill)
        self.assertEqual(provider.stdout.readline().strip(), "ready")
        given = {"web": f"http://localhost:{self.web}", "first": first, "provider": f"http://localhost:{port}", "shots": str(ROOT / "build/shots/sign-in")}
        said = subprocess.run(["node", "sign_in.mjs", json.dumps(given)], cwd=FOLDER, capture_output=True, text=True, timeout=240,
                              env={**WITH_NODE, "CHROMIUM": CHROMIUM})
        print(said.stdout, end="")
        self.assertEqual(said.returncode, 0, f"{said.stdout}\n{said.stderr[-3000:]}\n{self.hub.tail()}")
        self.assertIn("\ndone\n", said.stdout)


if __name__ == "__main__":
    unittest.main()
