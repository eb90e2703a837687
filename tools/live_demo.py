#!/usr/bin/env python3
"""The live demonstration: a hub, six guest nodes with a stand-in for Microsoft 365 and logs that keep growing, and October 2024 played on them.
Used by ./run; usage: tools/live_demo.py BINARY FOLDER [--check]

Everything runs as its users would run it. --check waits until every part of the case came, says so and stops.
"""
import concurrent.futures
import datetime
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import october_live

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOWNS = [("0157", "Gentofte"), ("0173", "Lyngby-Taarbæk"), ("0159", "Gladsaxe"), ("0230", "Rudersdal"), ("0190", "Furesø"), ("0223", "Hørsholm")]
TAKEN = october_live.SENDER  # an account is taken here while one looks on
WAVE_SECONDS = 60  # instead of 48 minutes
FOLLOWED = [("entra_signin.ndjson", "sign-ins"), ("m365_audit.ndjson", "audit"), ("message_trace.ndjson", "mail-trace"),
            ("zeek_dns.ndjson", "dns"), ("windows_sysmon.ndjson", "windows"), ("mail.log", "mail-relay")]
CASE_ONLY = [("defender.ndjson", "defender")]  # nothing stands in it before the case
WEB_PORT = 8430  # of the hub's web address; the guests' follow
SECONDS_TO_OPEN = 30  # before the attack begins, so that one is there when it does


def free_port(wanted):
    for port in (wanted, 0):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return s.getsockname()[1]
            except OSError:
                continue
    raise OSError("no port is free")


class Demo:
    def __init__(self, binary, folder):
        self.binary, self.folder = str(pathlib.Path(binary).resolve()), pathlib.Path(folder).resolve()
        self.hub, self.logs = self.folder / "hub", self.folder / "logs"
        self.children = []
        self.phones = october_live.DutyPhones()
        self.made = datetime.datetime.now(datetime.timezone.utc)

    # --- commands ---

    def bavn(self, *words, quiet=True, seconds=120):
        done = subprocess.run([self.binary, *map(str, words)], capture_output=True, text=True, timeout=seconds)
        if done.returncode != 0:
            raise RuntimeError(f"bavn {' '.join(map(str, words))} ended with {done.returncode}:\n{done.stderr.strip()}\n{done.stdout.strip()}")
        if not quiet:
            print(done.stdout, end="")
        return done.stdout

    def start(self, name, *words):
        log = open(self.folder / f"{name}.log", "w")
        child = subprocess.Popen([self.binary, *map(str, words)], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                 start_new_session=True)
        self.children.append((name, child))
        return child

    def wait(self, what, seconds, f):
        """Calls f until it returns something true; says what it waited for when it does not."""
        until, last = time.monotonic() + seconds, None
        while time.monotonic() < until:
            for name, child in self.children:
                if child.poll() is not None:
                    raise RuntimeError(f"{name} ended with {child.returncode}:\n{(self.folder / f'{name}.log').read_text()[-2000:]}")
            try:
                got = f()
                if got:
                    return got
            except (RuntimeError, OSError, ValueError, KeyError) as trouble:
                last = trouble
            time.sleep(0.3)
        raise RuntimeError(f"waited {seconds} s for {what}" + (f"; last: {last}" if last else ""))

    def status(self):
        return json.loads(self.bavn("hub", "status", "--data", self.hub, "--json"))

    # --- steps ---

    def prepare(self):
        if (self.folder / "hub").exists():
            self.end_leftovers()
            shutil.rmtree(self.folder / "hub", ignore_errors=True)
        for each in ("logs", "keys"):
            shutil.rmtree(self.folder / each, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        until = self.made.strftime("%Y-%m-%dT%H:%M:%SZ")
        for n, (code, _) in enumerate(TOWNS):
            subprocess.run([sys.executable, ROOT / "tools/make_sample.py", self.logs / code, "--events", "2500", "--seed", str(100 + n), "--until", until, "--quiet"],
                           check=True)

    def end_leftovers(self):
        """Guests of an earlier demonstration that was killed."""
        for lock in (self.folder / "hub").glob("guests/*/lock"):
            try:
                pid = int(lock.read_text() or 0)
                if pid > 0:  # 0 would be everybody here
                    os.kill(pid, signal.SIGTERM)
            except (ValueError, OSError):
                pass

    def make_hub(self):
        port = free_port(8443)
        self.bavn("hub", "init", "--data", self.hub, "--host", "127.0.0.1", "--address", "127.0.0.1", "--port", port, "--name", "Demo CERT")
        with open(self.hub / "settings.toml", "a") as settings:
            settings.write(f"control_port = {free_port(8420)}\n[web]\nport = {free_port(WEB_PORT)}\n[auth]\ndemonstration = true\n")
        self.start("hub", "hub", "--data", self.hub, "--guests")
        self.wait("the hub to answer", 60, self.status)

    def sources_of(self, code):
        parts = []
        for file, name in FOLLOWED + CASE_ONLY:
            parts.append(f'[[source]]\nkind = "files"\nname = "{name}"\npaths = ["{self.logs / code / file}"]\n')
        return "\n".join(parts)

    def make_tenants(self):
        port = free_port(8365)
        self.start("microsoft365", "stand-in", "microsoft365", "--port", port, "--tenants", len(TOWNS), "--people", 820, "--busy", "0.01",
                   "--delay-scale", "0.02", "--consent-seconds", 1)
        self.stand_in = f"http://127.0.0.1:{port}"

        def tenants():
            with urllib.request.urlopen(self.stand_in + "/stand-in", timeout=5) as answer:
                return json.loads(answer.read())["tenants"]
        return self.wait("the stand-in for Microsoft 365", 30, tenants)

    def add_guest(self, code, tenant):
        """As a municipality does it, by answers instead of questions."""
        folder = self.guest(code)
        folder.mkdir(parents=True, mode=0o700)
        (folder / "stopped").touch()  # until it is set up
        (folder / "sources.toml").write_text(self.sources_of(code))
        # A minute here is 48 of the real case: mailboxes are counted again after 5 s instead of 120.
        web = free_port(WEB_PORT + 1 + [c for c, _ in TOWNS].index(code))
        (folder / "settings.toml").write_text(f'[node]\ninside = "127.0.0.1"\n[purge]\nrecount_seconds = 5\n[web]\nport = {web}\n[auth]\ndemonstration = true\n')
        invited = json.loads(self.bavn("hub", "municipality", "add", "--data", self.hub, "--form", "guest", "--json", code))
        answers = self.folder / f"answers-{code}.toml"
        answers.write_text(f"""[setup]
code = "{invited['code']}"
name = "guest {code}"
[microsoft365]
tenant = "{tenant['id']}"
domains = "{tenant['domain']}"
consent = "{self.stand_in}/stand-in/cloud-shell"
login = "{self.stand_in}/login"
graph = "{self.stand_in}/graph"
manage = "{self.stand_in}/manage"
wait = 2
trace_days = 10
[beacon]
wait = 0
""")
        self.bavn("node", "setup", "--data", folder, "--answers", answers)
        self.bavn("hub", "municipality", "domains", "--data", self.hub, code, tenant["domain"])
        self.allow_purge(code, folder)
        self.bavn("hub", "guests", "start", "--data", self.hub, code)
        self.wait(f"the node of {code} to take its duty contact", 60, lambda: self.bavn(
            "contact", "add", f"Duty of {dict(TOWNS)[code]}", "webhook", self.phones.address(code), "--language", "da", "--outside", "--data", folder))

    def allow_purge(self, code, folder):
        """The leader's mandate, and the right to move mail in the town's own Microsoft 365."""
        keys = self.folder / "keys" / code
        keys.mkdir(parents=True)
        for person in ("leader", "one", "two"):
            self.bavn("keys", "make", keys / f"{person}.key", "--owner", f"{person.title()} Example")
        self.bavn("mandate", "new", "--data", folder, "--municipality", code, "--leader", keys / "leader.key.pub",
                  "--person", keys / "one.key.pub", "--person", keys / "two.key.pub")
        mandate = folder / "mandate.toml"
        before, purge, after = mandate.read_text().partition("[action.purge]")
        mandate.write_text(before + purge + after.replace('mode = "off"', 'mode = "act"', 1))
        self.bavn("mandate", "sign", "--data", folder, "--key", keys / "leader.key")
        script = self.bavn("purge", "permission", "--data", folder)
        with urllib.request.urlopen(urllib.request.Request(self.stand_in + "/stand-in/cloud-shell", data=script.encode(), method="POST"), timeout=30) as answer:
            answer.read()

    def add_guests(self):
        tenants = self.make_tenants()
        self.stage = october_live.Stage(self.stand_in, tenants, october_live.Logs(self.logs), TOWNS)
        for code, _ in TOWNS:
            (self.logs / code / "defender.ndjson").touch()
        for code in (TAKEN, october_live.SECOND):  # the two accounts have a past
            self.stage.logs.write(code, "entra_signin.ndjson", self.stage.logs.everyday(self.stage.account(code), self.made))
        with concurrent.futures.ThreadPoolExecutor(len(TOWNS)) as pool:
            for done in [pool.submit(self.add_guest, code, tenants[n]) for n, (code, _) in enumerate(TOWNS)]:
                done.result()

    # --- people at the web address ---

    def owned(self, folder, method, path, body=None, web=False, tries=20):
        """Asks the control interface, or the web address, as the owner of the data folder."""
        url, key = (folder / "run" / "control").read_text().split()
        if web:
            url = self.owned(folder, "GET", "/web")["url"]
        request = urllib.request.Request(url.rstrip("/") + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as refused:
            if refused.code == 503 and "Retry-After" in refused.headers and tries > 0:
                time.sleep(int(refused.headers["Retry-After"]))
                return self.owned(folder, method, path, body, web, tries - 1)
            raise RuntimeError(f"{method} {path}: {refused.code} {refused.read()[:500].decode(errors='replace')}") from refused

    def person(self, folder, name, title, *roles):
        """Somebody made up, and a link that signs them in."""
        made = self.owned(folder, "POST", "/api/people", {"name": name, "title": title, "language": "da", "roles": [{"role": role} for role in roles]}, web=True)
        return self.owned(folder, "POST", "/web/links", {"person": int(made["person"])})["link"]

    def add_people(self):
        second = self.guest(october_live.SECOND)
        self.links = [("the duty desk of the joint CERT", self.person(self.hub, "Ida Bruun", "Vagtleder", "duty_lead")),
                      (f"half an IT person in {dict(TOWNS)[october_live.SECOND]}", self.person(second, "Mads Holm", "IT", "municipal_it")),
                      ("the leader there", self.person(second, "Karen Lund", "Digitaliseringschef", "municipal_leader"))]

    def connected(self):
        now = self.status()["municipalities"]
        return len(now) >= len(TOWNS) and all(m["state"] == "connected" for m in now)

    def guest(self, code):
        return self.hub / "guests" / code

    def fed(self):
        """Every followed file and the mail trace of every guest gave records."""
        wanted = [name for _, name in FOLLOWED] + ["m365.trace"]
        return all(self.records(code).get(name, 0) > 0 for code, _ in TOWNS for name in wanted)

    def records(self, code):
        node = json.loads(self.bavn("node", "status", "--data", self.guest(code), "--json"))
        return {s["name"]: s["records"] for s in node["municipalities"][0]["sources"]}

    def alerts(self, code):
        return [json.loads(line) for line in self.bavn("alerts", "list", "--data", self.guest(code), "--json").splitlines()]

    def feed(self):
        """A little of everyday life, appended to every log."""
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        for n, (code, _) in enumerate(TOWNS):
            again = self.folder / "more"
            shutil.rmtree(again, ignore_errors=True)
            subprocess.run([sys.executable, ROOT / "tools/make_sample.py", again, "--events", "12", "--quiet", "--seed", str(random.randrange(10**9)), "--until", stamp, "--last", "5"],
                           check=True)
            for file, _ in FOLLOWED:
                if (again / file).exists():
                    with open(self.logs / code / file, "a") as log:
                        log.write((again / file).read_text())

    def stop(self):
        self.phones.stop()
        for _, child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
        for _, child in reversed(self.children):
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
        self.end_leftovers()


def main(binary, folder, *more):
    check = "--check" in more
    demo = Demo(binary, folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    say = lambda text: print(text, flush=True)  # noqa: E731
    began = time.monotonic()
    try:
        say("making a hub, six guest nodes and their logs ...")
        demo.prepare()
        demo.make_hub()
        demo.add_guests()
        replay = october_live.Replay(demo, demo.stage, demo.phones, TOWNS, say)
        demo.wait("six guest nodes to connect", 120, demo.connected)
        say(f"check: {len(TOWNS)} guest nodes are set up and connected")
        demo.bavn("hub", "publish", "indicators", "--data", demo.hub, ROOT / "content/demo/indicators.csv", "--source", "demonstration")
        demo.wait("every source to deliver", 180, demo.fed)
        say("check: all of them read their logs and their Microsoft 365")
        answers = json.loads(demo.bavn("hub", "test-beacon", "--data", demo.hub, "--json", "--seconds", "30"))
        if len(answers["answers"]) < len(TOWNS):
            raise RuntimeError(f"only {len(answers['answers'])} of {len(TOWNS)} nodes answered the test beacon")
        sent = datetime.datetime.fromisoformat(answers["sent_at"])
        slowest = max((datetime.datetime.fromisoformat(a["applied_at"]) - sent).total_seconds() for a in answers["answers"]) * 1000
        say(f"check: all answered a test beacon, the slowest after {slowest:.0f} ms")
        demo.add_people()
        if not check:
            say("\nBavn is running. Each of these links signs in somebody made up, once; open the first, and keep it open:\n\n"
                + "\n".join(f"  {link}\n      as {who}" for who, link in demo.links)
                + f"\n\nIn {SECONDS_TO_OPEN} seconds an account in {dict(TOWNS)[TAKEN]} is taken, and October 2024 begins.\n")
            time.sleep(SECONDS_TO_OPEN)
        demo.bavn("campaigns", "trigger", "sender_notice", "live", "--why", "the demonstration shows a warning without a person", "--data", demo.hub)
        demo.stage.take_over(TAKEN, 30, "https://bio.link/leverandoer")
        account = demo.stage.account(TAKEN)
        demo.wait("the taken account to be noticed", 60, lambda: [n for n in replay.ask("notices", "list", "--kind", "takeover", "--data", demo.guest(TAKEN))
                                                                  if n["concern"] == account])
        say(f"check: noticed in {dict(TOWNS)[TAKEN]} before any mail is sent: {account} looks taken (a click, a strange sign-in, a new app, a rule)")
        replay.play(WAVE_SECONDS)
        say(f"check: October 2024 was played; everything above came ({time.monotonic() - began:.0f} s)")
        if check:
            return 0
        desk = demo.person(demo.hub, "Bo Riis", "Analytiker", "analyst")
        bavn = os.path.relpath(demo.binary)
        hub = os.path.relpath(demo.hub)
        say(f"""
The case has been played; the pages show it. One more link, for an analyst of the joint CERT:

  {desk}

Commands to try, from another terminal in this folder:

  {bavn} campaigns show {replay.campaign['id']} --data {hub}      who sent it to whom, and what was seen
  {bavn} warnings text {replay.warning['id']} --language da --data {hub}     the warning as employees get it
  {bavn} purge list --data {hub}/guests/{october_live.SECOND}         what was taken out of the mailboxes of {dict(TOWNS)[october_live.SECOND]}
  {bavn} node left --data {hub}/guests/{TAKEN}           every item that left the node of {dict(TOWNS)[TAKEN]}

Logs keep growing. Ctrl-C ends everything.""")
        while True:
            time.sleep(5)
            demo.feed()
            for name, child in demo.children:
                if child.poll() is not None:
                    raise RuntimeError(f"{name} ended with {child.returncode}; see {demo.folder / (name + '.log')}")
    except KeyboardInterrupt:
        say("\nending ...")
        return 0
    except (RuntimeError, SystemError, OSError, subprocess.SubprocessError) as trouble:
        say(f"check: failed: {trouble}")
        return 1
    finally:
        demo.stop()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
