"""bavn node setup against the stand-in and a hub, as a municipality does it: by answers, with the steps and their times printed; then the node
runs, a made-up takeover happens, and its records come through the pullers."""
import http.server
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.bavn import BINARY
from support.community import free_port, until


class Catcher(http.server.BaseHTTPRequestHandler):
    got = []

    def do_POST(self):
        Catcher.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class FirstTenMinutes(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.children = []
        self.addCleanup(self.end)

    def end(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                try:
                    child.wait(20)
                except subprocess.TimeoutExpired:
                    child.kill()

    def log(self, name):
        log = open(self.path / f"{name}.err", "w")
        self.addCleanup(log.close)
        return log

    def start(self, name, *words):
        child = subprocess.Popen([BINARY, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log(name), text=True)
        self.children.append(child)
        self.addCleanup(child.stdout.close)
        return child

    def bavn(self, *words, code=0, seconds=120):
        done = subprocess.run([BINARY, *map(str, words)], capture_output=True, text=True, timeout=seconds)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout[-1500:]} {done.stderr[-1500:]}")
        return done.stdout

    def wait(self, what, f, seconds=60):
        return until(f, seconds, what, (AssertionError, OSError, ValueError, KeyError))

    def start_stand_in(self, consent_seconds):
        said = self.start("stand", "stand-in", "microsoft365", "--port", 0, "--people", 8, "--delay-scale", "0.01", "--consent-seconds", consent_seconds, "--json")
        url = json.loads(said.stdout.readline())["url"]
        return url, json.loads(urllib.request.urlopen(url + "/stand-in").read())["tenants"][0]

    def start_hub(self, hub):
        """It runs; returns the code with which the municipality's node enrols."""
        self.bavn("hub", "init", "--data", hub, "--host", "127.0.0.1", "--address", "127.0.0.1", "--port", free_port())
        with open(hub / "settings.toml", "a") as settings:
            settings.write("control_port = 0\n[web]\nport = 0\n")
        self.start("hub", "hub", "--data", hub)
        self.wait("the hub", lambda: self.bavn("hub", "status", "--data", hub))
        return re.search(r"bavn1\.\S+", self.bavn("hub", "municipality", "add", "--data", hub, "0157")).group(0)

    def test_setup_and_sources(self):
        began = time.monotonic()
        stand, tenant = self.start_stand_in(consent_seconds=3)
        catcher = http.server.HTTPServer(("127.0.0.1", 0), Catcher)
        threading.Thread(target=catcher.serve_forever, daemon=True).start()
        self.addCleanup(catcher.server_close)
        self.addCleanup(catcher.shutdown)

        hub, node = self.path / "hub", self.path / "node"
        code = self.start_hub(hub)

        answers = self.path / "answers.toml"
        answers.write_text(f"""[setup]
code = "{code}"
name = "Fjordby"
language = "en"
[microsoft365]
tenant = "{tenant['id']}"
domains = "{tenant['domain']}"
consent = "{stand}/stand-in/cloud-shell"
login = "{stand}/login"
graph = "{stand}/graph"
manage = "{stand}/manage"
wait = 2
trace_days = 10
[duty]
name = "Test Vagt"
webhook = "http://127.0.0.1:{catcher.server_port}/duty"
phone = "+45 00 00 00 00"
[beacon]
wait = 60
""")
        setup = self.start("setup", "node", "setup", "--data", node, "--answers", answers, "--json")
        lit = threading.Event()

        def light():  # the CERT's part of the last step
            while not lit.wait(1) and setup.poll() is None:
                subprocess.run([BINARY, "hub", "test-beacon", "--data", str(hub), "--seconds", "3"], capture_output=True, timeout=60)
        person = threading.Thread(target=light)
        person.start()
        said = json.loads(setup.stdout.read())
        lit.set()
        person.join()
        took = time.monotonic() - began
        for step in said["steps"]:
            print(f"    {step['seconds']:6.1f} s  {step['step']}: {step['state']}, {step['says']}")
        print(f"    {said['seconds']:6.1f} s  bavn node setup in all; {took:.1f} s with hub and stand-in")
        self.assertEqual(setup.wait(30), 0, (self.path / "setup.err").read_text()[-2000:])
        self.assertLess(said["seconds"], 600)
        states = {step["step"][0]: step for step in said["steps"]}
        for number in "123456":
            self.assertEqual(states[number]["state"], "done", states[number])
        self.assertIn("3 applications, 1 forwardings, 1 look-alikes", states["4"]["says"])
        self.assertEqual(Catcher.got[0]["type"], "bavn.test")

        # The node runs; a takeover began an hour and a half ago.
        urllib.request.urlopen(urllib.request.Request(f"{stand}/stand-in/tenants/0/takeover?mails=60&minutes_ago=90", method="POST", data=b""))
        running = self.start("node", "node", "--data", node)
        wanted = ("m365.signins", "m365.audits", "m365.trace", "m365.activity")

        def delivered():
            now = json.loads(self.bavn("node", "status", "--data", node, "--json"))
            counts = {s["name"]: s["records"] for s in now["municipalities"][0]["sources"]}
            return all(counts.get(name, 0) > 0 for name in wanted) and counts
        print("    records", self.wait("the sources to deliver", delivered, 120))
        running.send_signal(signal.SIGTERM)
        running.wait(30)

    def asked(self, folder, method, path, body=None, code=200):
        """The API as the machine's owner asks it, at the control interface."""
        url, key = (folder / "run" / "control").read_text().split()
        request = urllib.request.Request(url + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            status, text = refused.code, refused.read().decode()
        self.assertEqual(status, code, f"{method} {path}: {text[:600]}")
        return json.loads(text) if text[:1] in "{[" else text

    def test_the_same_walked_on_the_page(self):
        stand, tenant = self.start_stand_in(consent_seconds=1)
        hub, node = self.path / "hub", self.path / "node"
        code = self.start_hub(hub)
        self.bavn("node", "enrol", code, "--data", node)
        (node / "settings.toml").write_text('[node]\ninside = "127.0.0.1"\n')
        running = self.start("node", "node", "--data", node)
        self.wait("the node", lambda: self.bavn("node", "status", "--data", node, "--json"))

        def step(name):
            return {s["id"]: s for s in self.asked(node, "GET", "/api/setup")["steps"]}[name]

        def run(which, code=202, /, skip=False, **answers):
            return self.asked(node, "POST", f"/api/setup/steps/{which}", {"answers": answers, "skip": skip}, code)

        self.assertEqual([s["state"] for s in self.asked(node, "GET", "/api/setup")["steps"]], ["done"] + ["todo"] * 5)
        # What is wrong is said where it is wrong, and nothing began.
        self.assertEqual(run("microsoft365", 422, tenant="fjordby", domains="x")["errors"][0]["pointer"], "/answers/tenant")
        self.assertEqual(run("duty_contact", 422, name="Vagt")["errors"][0]["pointer"], "/answers/phone")
        run("what_works", 409)
        run("lunch", 404)
        self.asked(node, "GET", "/api/setup/consent-script", code=404)
        self.assertEqual(step("microsoft365")["state"], "todo")

        places = {name: f"{stand}/{name}" for name in ("login", "graph", "manage")}
        run("microsoft365", tenant=tenant["id"], domains=tenant["domain"], **places)
        self.assertEqual(step("microsoft365")["state"], "waiting")
        # The key outlives the node: who reads scripts carefully is not hurried by a restart.
        running.send_signal(signal.SIGTERM)
        running.wait(30)
        running = self.start("node", "node", "--data", node)
        self.wait("the node again", lambda: self.bavn("node", "status", "--data", node, "--json"))
        script = self.asked(node, "GET", "/api/setup/consent-script")
        self.assertIn(tenant["id"], script)
        self.assertEqual(run("microsoft365", 422, client_line="done!")["errors"][0]["pointer"], "/answers/client_line")
        printed = urllib.request.urlopen(urllib.request.Request(stand + "/stand-in/cloud-shell", data=script.encode(), method="POST")).read().decode()
        walk = run("microsoft365", client_line=printed)
        self.assertTrue(walk["restart_needed"])
        self.assertEqual(step("microsoft365")["state"], "done")
        self.assertEqual(oct((node / "m365").stat().st_mode & 0o77), "0o0", "keys are nobody else's")
        self.asked(node, "GET", "/api/setup/consent-script", code=404)

        run("what_works")
        works = self.wait("what works", lambda: (s := step("what_works"))["state"] != "running" and s, 60)
        self.assertIn(works["state"], ("done", "attention"))
        self.assertGreater(len([c for c in works["checks"] if c["light"] == "green"]), 3, works)
        run("past")
        past = self.wait("the past", lambda: (s := step("past"))["state"] != "running" and s, 60)
        self.assertEqual((past["state"], len(past["past"]["applications"]), len(past["past"]["forwarding"]), len(past["past"]["lookalikes"])), ("done", 3, 1, 1))
        run("duty_contact", name="Test Vagt", phone="+45 00 00 00 00")
        self.assertIn(step("duty_contact")["state"], ("done", "attention"))
        self.assertIn("Test Vagt", self.bavn("contact", "list", "--data", node))
        run("test_beacon")
        run("past", 409)  # one at a time
        self.wait("the test beacon", lambda: self.bavn("hub", "test-beacon", "--data", hub, "--seconds", "3") and step("test_beacon")["state"] == "done", 60)
        self.assertIn(self.asked(node, "GET", "/api/setup")["state"], ("done", "attention"))
        # The tenant's sources begin with the next start, which says nothing of it any more.
        running.send_signal(signal.SIGTERM)
        running.wait(30)
        running = self.start("node", "node", "--data", node)
        self.wait("the node once more", lambda: self.bavn("node", "status", "--data", node, "--json"))
        again = self.asked(node, "GET", "/api/setup")
        self.assertNotIn("restart_needed", again)
        self.assertEqual(len(again["steps"][3]["past"]["applications"]), 3)
        running.send_signal(signal.SIGTERM)
        running.wait(30)


if __name__ == "__main__":
    unittest.main()
