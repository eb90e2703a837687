"""The live demonstration as ./run starts it, and what its doors let through."""
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.bavn import BINARY
from support.community import until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def ask(url, method="GET", body=None, **headers):
    request = urllib.request.Request(url, method=method, headers=headers, data=body or b"" if method == "POST" else None)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


class Live(unittest.TestCase):
    def test_the_demonstration_starts_and_finds_its_case(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, ROOT / "tools/live_demo.py", BINARY, folder, "--check"], capture_output=True, text=True, timeout=400)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("check: October 2024 was played; everything above came", done.stdout)
            left = list(pathlib.Path(folder).glob("hub/guests/*/lock"))
            self.assertEqual(len(left), 6)
            self.assertEqual([lock.read_text() for lock in left], [""] * 6, "a guest outlived the demonstration")


class Doors(unittest.TestCase):
    """The control interface of a hub: who may read, who may write."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.hub = pathlib.Path(self.folder.name) / "hub"
        self.bavn("hub", "init", "--data", self.hub, "--host", "127.0.0.1", "--address", "127.0.0.1", "--port", "0")
        with open(self.hub / "settings.toml", "a") as settings:
            settings.write("control_port = 0\n[web]\nport = 0\n")
        self.start()

    def start(self):
        self.child = subprocess.Popen([BINARY, "hub", "--data", self.hub], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.end)
        self.url, self.key = until(lambda: (self.hub / "run" / "control").read_text().split(), 30, "the hub listens", FileNotFoundError)

    def end(self):
        self.child.terminate()
        self.child.wait(20)

    def bavn(self, *words, code=0):
        done = subprocess.run([BINARY, *map(str, words)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_without_a_key_nothing_is_shown(self):
        for path in ("/", "/status.json", "/api/nodes", "/metrics"):
            status, said = ask(self.url + path)
            self.assertIn(status, (401, 403), path)
            self.assertNotIn(self.key, said)
        self.assertEqual(ask(self.url + "/open?key=wrong")[0], 403)

    def test_the_cookie_reads_and_does_not_write(self):
        cookie = {"Cookie": f"bavn_control={self.key}"}
        self.assertEqual(ask(self.url + "/", **cookie)[0], 200)
        invitation = b'{"municipalities":["0157"]}'
        self.assertEqual(ask(self.url + "/api/nodes/invitations", "POST", invitation, **cookie)[0], 403)
        bearer = {"Authorization": f"Bearer {self.key}"}
        self.assertEqual(ask(self.url + "/api/nodes/invitations", "POST", invitation, **bearer)[0], 201)

    def test_the_key_file_is_the_owners_alone(self):
        self.assertEqual((self.hub / "run" / "control").stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.hub.stat().st_mode & 0o077, 0)

    def test_a_second_hub_on_the_folder_is_refused_with_the_reason(self):
        self.assertIn("another Bavn runs on this folder", self.bavn("hub", "--data", self.hub, code=1))

    def test_what_cannot_be_is_said_with_the_fix(self):
        self.assertIn("Gentofte", self.bavn("hub", "municipality", "add", "--data", self.hub, "Gentofe", code=1))
        self.assertIn("copy all of it", self.bavn("node", "enrol", "bavn1.not.a.code", "--data", self.hub.parent / "node", code=2))

    def test_a_typo_in_the_settings_names_the_line_and_the_nearest_key(self):
        self.end()
        with open(self.hub / "settings.toml", "a") as settings:
            settings.write("control_prot = 1\n")
        said = self.bavn("hub", "--data", self.hub, code=2)
        self.assertIn("control_port", said)
        self.assertRegex(said, r"settings\.toml:\d+")

    def test_a_node_is_revoked_by_name(self):
        made = json.loads(self.bavn("hub", "municipality", "add", "--data", self.hub, "--json", "Oslo"))
        self.assertTrue(made["code"].startswith("bavn1."))
        self.assertIn("waiting", self.bavn("hub", "node", "list", "--data", self.hub))
        self.bavn("hub", "node", "revoke", "--data", self.hub, made["node"], "--why", "test")

    def test_a_revoked_machine_comes_back_with_a_new_code(self):
        node = self.hub.parent / "node"
        with open(self.hub / "settings.toml") as settings:
            self.assertIn("port = 0", settings.read())
        # Port 0 is for this class's other tests; a node needs one it can dial.
        self.end()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        text = (self.hub / "settings.toml").read_text().replace('"127.0.0.1:0"', f'"127.0.0.1:{port}"').replace("\nport = 0", f"\nport = {port}", 1)
        (self.hub / "settings.toml").write_text(text)
        (self.hub / "run" / "control").unlink()
        self.start()
        made = json.loads(self.bavn("hub", "municipality", "add", "--data", self.hub, "--json", "Oslo"))
        self.bavn("node", "enrol", made["code"], "--data", node)
        self.assertIn("used", self.bavn("node", "enrol", made["code"], "--data", self.hub.parent / "other", code=1))
        self.bavn("hub", "node", "revoke", "--data", self.hub, made["node"], "--why", "test")
        again = json.loads(self.bavn("hub", "node", "code", "--data", self.hub, "--json", made["node"]))["code"]
        self.assertIn("--again", self.bavn("node", "enrol", again, "--data", node, code=1))
        self.bavn("node", "enrol", again, "--again", "--data", node)
        self.assertIn("away", self.bavn("hub", "node", "list", "--data", self.hub), "enrolled, and not running")

    def test_the_settings_are_explained_and_checked(self):
        for what in ("hub", "node", "sources"):
            self.assertIn("#", self.bavn("config", "explain", what))
        self.assertIn("all right", self.bavn("config", "check", "--data", self.hub))
        with open(self.hub / "settings.toml", "a") as settings:
            settings.write("[\n")
        self.assertRegex(self.bavn("config", "check", "--data", self.hub, code=2), r"settings\.toml:\d+: not TOML")

    def test_a_node_reads_standard_input_and_ends_with_it(self):
        lines = "".join('{"ts":"2026-01-05T10:00:0%dZ","query":"a%d.example.org"}\n' % (n, n) for n in range(5))
        words = [BINARY, "node", "--data", self.hub.parent / "alone", "--stdin", "dns"]
        done = subprocess.run(words, input=lines + "\xff\n", capture_output=True, text=True, timeout=60)
        self.assertIn("6 records on disk", done.stdout, done.stderr)
        self.assertEqual(done.returncode, 0)


if __name__ == "__main__":
    unittest.main()
