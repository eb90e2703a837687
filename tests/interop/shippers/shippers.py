#!/usr/bin/env python3
"""Unmodified shippers deliver numbered events to a real node while it is killed (SIGKILL) and started again. Afterwards its history is read:
each number must be there, and once only where the shipper sends ids. README.md has what each promises."""
import argparse
import collections
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "e2e"))
from support.community import Community, free_port, steady, stored_lines, until

HERE = pathlib.Path(__file__).resolve().parent
LONG = os.environ.get("BAVN_TEST_LANE") == "long"


def event(way, n):
    return {"n": f"{way}-{n:07d}", "time": "2026-01-10T08:00:00Z", "user": f"person{n % 400}@kommune.example.org",
            "what": "a line of a made-up application that is as long as such lines are", "marker": "shippers-interop"}


class Shipper:
    ids = False  # sends an id with each event
    acks = True  # is told what is on disk

    def __init__(self, name, work, node, port, token):
        self.name, self.folder, self.node, self.port, self.token = name, work / name, node, port, token
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.given, self.process = 0, None
        self.log = open(self.folder / "log", "w")

    def lines(self, count):
        out = "".join(self.line(n) + "\n" for n in range(self.given, self.given + count))
        self.given += count
        return out

    def line(self, n):
        return json.dumps(event(self.name, n))

    def run(self, *words, **more):
        environment = dict(os.environ, **more.pop("env", {}))
        self.process = subprocess.Popen([str(w) for w in words], stdout=self.log, stderr=self.log, env=environment, **more)

    def alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {(self.folder / 'log').read_text(errors='replace')[-1500:]}")

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class ByFile(Shipper):
    """Follows a file."""

    def start(self):
        self.file = self.folder / "events.log"
        self.file.touch()
        self.launch()

    def feed(self, count):
        with open(self.file, "a") as f:
            f.write(self.lines(count))

    def no_more(self):
        pass


class ByPipe(Shipper):
    def start(self):
        self.launch()

    def feed(self, count):
        self.process.stdin.write(self.lines(count).encode())
        self.process.stdin.flush()

    def no_more(self):
        self.process.stdin.close()


class Rsyslog(ByFile):
    def launch(self):
        root = self.folder.parent / "rsyslog"
        libraries = root / "usr/lib/x86_64-linux-gnu"
        config = self.folder / "rsyslog.conf"
        state = self.folder / "state"
        state.mkdir()
        config.write_text(f"""
global(workDirectory="{state}" maxMessageSize="64k")
module(load="imfile" mode="inotify")
{self.action_modules()}
{self.document()}
input(type="imfile" file="{self.file}" tag="app" ruleset="ship" persistStateInterval="1000")
ruleset(name="ship") {{
{self.action()}
}}
""")
        self.run(root / "usr/sbin/rsyslogd", "-n", "-iNONE", "-f", config, "-M", libraries / "rsyslog", env={"LD_LIBRARY_PATH": str(libraries)})


    def document(self):
        return 'template(name="doc" type="list") { property(name="msg") }'


class RsyslogElastic(Rsyslog):
    def action_modules(self):
        return 'module(load="omelasticsearch")'

    def more(self):
        return ""

    def action(self):
        return f"""  action(type="omelasticsearch" server="127.0.0.1" serverport="{self.port}" usehttps="off" uid="rsyslog" pwd="{self.token}"
    searchIndex="rsyslog" searchType="" bulkmode="on" maxbytes="1m" template="doc" healthchecktimeout="2000" {self.more()}
    errorFile="{self.folder}/errors" action.resumeRetryCount="-1" action.resumeInterval="1"
    queue.type="linkedList" queue.size="300000" queue.dequeueBatchSize="300" queue.workerThreads="2")"""


class RsyslogElasticIds(RsyslogElastic):
    ids = True

    def document(self):  # as docs/shippers.md has it
        return """template(name="doc" type="list" option.jsonf="on") {
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}
template(name="id" type="string" string="%uuid%")"""

    def more(self):
        return 'dynbulkid="on" bulkid="id" writeoperation="create"'


class RsyslogTls(Rsyslog):
    acks = False

    def action_modules(self):
        authority = self.node.folder.parent / "hub" / "trust" / "authority.pem"
        return f"""global(defaultNetstreamDriverCAFile="{authority}" defaultNetstreamDriver="ossl")
template(name="wire" type="string" string="<134>1 2026-01-10T08:00:00Z app1.example.org app - - - %msg%")"""

    def action(self):
        return f"""  action(type="omfwd" target="127.0.0.1" port="{self.port}" protocol="tcp" tcp_framing="octet-counted" template="wire"
    streamDriver="ossl" streamDriverMode="1" streamDriverAuthMode="anon"
    action.resumeRetryCount="-1" action.resumeInterval="1" queue.type="linkedList" queue.size="300000")"""


class RsyslogRelp(Rsyslog):
    def action_modules(self):
        return """module(load="omrelp" tls.tlslib="openssl")
template(name="wire" type="string" string="<134>1 2026-01-10T08:00:00Z app1.example.org app - - - %msg%")"""

    def action(self):
        authority = self.node.folder.parent / "hub" / "trust" / "authority.pem"
        return f"""  action(type="omrelp" target="127.0.0.1" port="{self.port}" template="wire"
    tls="on" tls.caCert="{authority}" tls.authMode="name" tls.permittedPeer=["127.0.0.1", "localhost"]
    action.resumeRetryCount="-1" action.resumeInterval="1" queue.type="linkedList" queue.size="300000")"""


class SyslogNg(ByFile):
    def launch(self):
        root = self.folder.parent / "syslog-ng"
        libraries = root / "usr/lib/x86_64-linux-gnu"
        config = self.folder / "syslog-ng.conf"
        config.write_text(f"""@version: 3.38
@define scl-root "{root}/usr/share/syslog-ng/include/scl"
@include "{root}/usr/share/syslog-ng/include/scl/elasticsearch/elastic-http.conf"
options {{ time-reopen(1); keep-hostname(yes); use-dns(no); stats-freq(0); }};
source s {{ file("{self.file}" follow-freq(1) flags(no-parse) log-fetch-limit(500)); }};
parser p {{ json-parser(prefix(".e.")); }};
destination d {{
{self.destination()}
}};
log {{ source(s); parser(p); destination(d); flags(flow-control); }};
""")
        self.run(root / "usr/sbin/syslog-ng", "-F", "--no-caps", "-f", config, "--module-path", root / "usr/lib/syslog-ng/3.38",
                 "-R", self.folder / "persist", "-p", self.folder / "pid", "-c", self.folder / "ctl",
                 env={"LD_LIBRARY_PATH": f"{libraries}:{root}/lib/x86_64-linux-gnu:{root}/usr/lib/syslog-ng:{root}/usr/lib/syslog-ng/3.38"})


class SyslogNgElastic(SyslogNg):
    ids = True

    def destination(self):
        return f"""  elasticsearch-http(url("http://127.0.0.1:{self.port}/elastic/_bulk") index("syslog-ng") type("") custom-id("${{.e.n}}")
    user("syslog-ng") password("{self.token}") batch-lines(300) template("$MSG") retries(1000))"""  + ";"


class SyslogNgHec(SyslogNg):
    def destination(self):
        return f"""  http(url("http://127.0.0.1:{self.port}/services/collector/event") method("POST") user-agent("syslog-ng")
    headers("Authorization: Splunk {self.token}") batch-lines(300) workers(2) timeout(10) retries(1000)
    body('$(format-json --scope none time=$S_UNIXTIME host=fw1.example.org sourcetype=made_up event=$MSG)'));"""


class PythonElastic(ByPipe):
    ids = True
    action = "create"

    def launch(self):
        self.run(self.folder.parent / "venv/bin/python", HERE / "elastic_client.py", f"http://127.0.0.1:{self.port}", self.token, self.action,
                 stdin=subprocess.PIPE)


class PythonIndex(PythonElastic):
    action = "index"


class NpmSplunk(ByPipe):
    def launch(self):
        self.run("node", HERE / "splunk_client.cjs", f"http://127.0.0.1:{self.port}", self.token, stdin=subprocess.PIPE,
                 env={"NODE_PATH": str(self.folder.parent / "npm/node_modules")})


WAYS = [("rsyslog-elastic", RsyslogElastic, "rsyslog"), ("rsyslog-elastic-ids", RsyslogElasticIds, "rsyslog"),
        ("rsyslog-tls", RsyslogTls, "rsyslog"), ("rsyslog-relp", RsyslogRelp, "rsyslog"),
        ("syslog-ng-elastic-ids", SyslogNgElastic, "syslog-ng"), ("syslog-ng-hec", SyslogNgHec, "syslog-ng"),
        ("python-create-ids", PythonElastic, "venv/installed_requirements.txt"), ("python-index-ids", PythonIndex, "venv/installed_requirements.txt"),
        ("npm-splunk", NpmSplunk, "npm/node_modules/splunk-logging")]


def there(work, what):
    return (work / what / ".whole").exists() if what in ("rsyslog", "syslog-ng") else (work / what).exists()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--work", type=pathlib.Path, required=True)
    options.add_argument("--events", type=int, default=100_000 if LONG else 10_000)
    options.add_argument("--kills", type=int, default=10 if LONG else 4)
    options.add_argument("--only", default="")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    chosen = options.parse_args()
    chance = random.Random(chosen.seed)
    wanted = [(n, k) for n, k, what in WAYS if there(chosen.work, what) and chosen.only in n]
    missing = [n for n, k, what in WAYS if not there(chosen.work, what)]
    if missing:
        print(f"SKIPPED, because it could not be had: {', '.join(missing)}")
    if not wanted:
        return 0
    port, tls, relp = free_port(), free_port(), free_port()
    folder = chosen.work / "node"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    trust = folder / "hub" / "trust"
    sources = (f'[[source]]\nname = "rsyslog-tls"\nkind = "syslog"\ntransport = "tls"\naddress = "127.0.0.1"\nport = {tls}\n'
               f'certificate = "{trust}/server.pem"\nkey = "{trust}/server.key"\n'
               f'[[source]]\nname = "rsyslog-relp"\nkind = "relp"\ntls = true\naddress = "127.0.0.1"\nport = {relp}\n'
               f'certificate = "{trust}/server.pem"\nkey = "{trust}/server.key"\n')
    community = Community(folder, [461], files=lambda _: {"sources.toml": sources})
    node = community.nodes[0]
    with open(node.folder / "settings.toml", "a") as settings:
        settings.write(f"\n[intake]\nport = {port}\n")
    shippers = []
    began = time.monotonic()
    try:
        node.start()
        node.ready()
        for name, kind in wanted:
            listener = {RsyslogTls: tls, RsyslogRelp: relp}.get(kind)  # of its own; the others share the intake, with a token
            token = "" if listener else community.token(node, name)
            shippers.append(kind(name, chosen.work, node, listener or port, token))
        for s in shippers:
            s.start()

        def stored():
            return {s.removeprefix("http."): n for s, n in node.rows("SELECT source, sum(records) FROM live_source GROUP BY source")}

        step = (chosen.events - 250) // (chosen.kills + 1)
        for s in shippers:
            s.feed(250)
        until(lambda: [s.alive() for s in shippers] and all(stored().get(s.name, 0) > 0 for s in shippers), 120,
              lambda: f"all have begun: {stored()} {node.tail()}")
        in_the_middle = []
        for kill in range(chosen.kills):
            for s in shippers:
                s.feed(step)
            time.sleep(chance.uniform(0.02, 0.8))  # somewhere in the middle
            node.kill()
            in_the_middle.append(sum(s.given for s in shippers) - sum(stored().values()))
            node.start()
            node.ready()
        for s in shippers:
            s.feed(chosen.events - s.given)
            s.no_more()

        def settled():
            now = stored()
            return all(now.get(s.name, 0) >= chosen.events or not s.acks or (isinstance(s, ByPipe) and s.process.poll() is not None)
                       for s in shippers)
        until(settled, 600 if LONG else 180, lambda: f"all is stored: {stored()} {node.tail()}")
        for s in shippers:
            if isinstance(s, ByPipe):
                s.process.wait(60)
        if any(not s.acks or not s.ids for s in shippers):
            # Without acknowledgement, or with records that may come twice and hide one that is still to come: done when nothing more comes.
            steady(stored, 3, 120, "what is stored")
        ways = {(s, w): row for s, w, *row in node.rows("SELECT source, way, client, requests, records, duplicates, turned_away FROM live_gateway")}
        node.stop()
        counts = collections.defaultdict(collections.Counter)
        for line in stored_lines(node, "shippers-interop"):
            for number in set(re.findall(r"\b([a-z-]+)-(\d{7})\b", line)):
                counts[number[0]][number[1]] += 1
        bad = []
        print(f"{chosen.events} events each, the node killed {node.kills} times (--seed {chosen.seed}), when at least {in_the_middle} events were not yet stored\n")
        print(f"{'way':24}{'sends ids':>10}{'stored':>9}{'lost':>7}{'doubled':>9}{'known again':>13}{'turned away':>13}  client")
        for s in shippers:
            got = counts[s.name]
            lost, doubled = chosen.events - len(got), sum(got.values()) - len(got)
            row = next((r for (source, _), r in ways.items() if source == f"http.{s.name}"), ["-", 0, 0, 0, 0])
            print(f"{s.name:24}{'yes' if s.ids else 'no':>10}{sum(got.values()):9}{lost:7}{doubled:9}{row[3]:13}{row[4]:13}  {row[0][:40]}")
            if lost and s.acks:
                bad.append(f"{s.name} lost {lost}")
            if doubled and s.ids:
                bad.append(f"{s.name} doubled {doubled}")
        print("\nrsyslog-tls has no acknowledgement: what was on its way when the node died is lost, as README.md says." if any(not s.acks for s in shippers) else "")
        for b in bad:
            print(f"FAILED: {b}")
        print(f"seconds {time.monotonic() - began:.0f}")
        return 1 if bad else 0
    finally:
        for s in shippers:
            s.end()
        community.end()


if __name__ == "__main__":
    sys.exit(main())
