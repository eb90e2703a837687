"""A hub and a node with their web addresses, as the contract's tests and the bench use them."""
import http.client
import json
import pathlib
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from support.community import Community, until  # noqa: E402

NO_LIMITS = "requests_per_minute = 1000000\nwrites_per_minute = 1000000\nstrangers_per_minute = 1000000\n"
# What is off at first: open data, and a mail server (nobody listens there: mail waits).
OPEN = '[open_data]\npublish = true\n[notify]\nsmtp_host = "127.0.0.1"\nsmtp_port = 465\nsmtp_from = "bavn@hub.example"\n'


class Desk:
    """One process's web address, asked by the owner of its folder."""

    def __init__(self, process):
        self.process = process
        code, body = until(lambda: self.described(), 60, lambda: f"the web address: {process.tail()}")
        assert code == 200, body
        said = json.loads(body)
        self.url, self.serves, self.routes = said["url"], said["serves"], said["routes"]
        self.host = urllib.parse.urlsplit(self.url)
        self.key = process.control()[2]

    def described(self):
        """Once it listens: the control interface answers a little earlier, and knows no port then."""
        try:
            code, body = self.process.ask("GET", "/web")
        except OSError:
            return None
        return (code, body) if code != 200 or urllib.parse.urlsplit(json.loads(body)["url"]).port else None

    def ask(self, method, path, body=None, headers=None, key=True, seconds=30):
        """(status, headers, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.host.port, timeout=seconds)
        try:
            more = {"Authorization": f"Bearer {self.key}"} if key else {}
            connection.request(method, path, body, more | (headers or {}))
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()


class Desks(Community):
    """A hub and one node, both with a web address on a free port and without limits that a test would meet."""

    def __init__(self, folder, municipality="0461"):
        super().__init__(folder, [municipality], files=lambda n: {"settings.toml": "[web]\nport = 0\n" + NO_LIMITS})

    def enrolling(self):
        settings = self.hub.folder / "settings.toml"
        if NO_LIMITS not in settings.read_text():
            settings.write_text(settings.read_text().replace("[web]\nport = 0\n", "[web]\nport = 0\n" + NO_LIMITS) + OPEN)
            self.hub.stop()
            self.hub.start()
            self.hub.ready()

    def begin(self):
        self.start_nodes()
        return Desk(self.hub), Desk(self.nodes[0])
