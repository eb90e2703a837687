"""A hub and a node with their web addresses, as the contract's tests and the bench use them."""
import contextlib
import http.client
import pathlib
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from support.community import Community  # noqa: E402

NO_LIMITS = "requests_per_minute = 1000000\nwrites_per_minute = 1000000\nstrangers_per_minute = 1000000\n"
# What is off at first: open data, and a mail server (nobody listens there: mail waits).
OPEN = '[open_data]\npublish = true\n[notify]\nsmtp_host = "127.0.0.1"\nsmtp_port = 465\nsmtp_from = "bavn@hub.example"\n'


class Desk:
    """One process's web address, asked by the owner of its folder."""

    def __init__(self, process):
        self.process = process
        said = process.web()
        self.url, self.serves, self.routes = said["url"], said["serves"], said["routes"]
        self.host = urllib.parse.urlsplit(self.url)
        self.key = process.control()[2]

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


@contextlib.contextmanager
def book_of(indicators):
    """Desks whose hub has that many domains in its book, and the hub's own desk; says how long publishing them took."""
    with tempfile.TemporaryDirectory() as folder:
        desks = Desks(folder)
        try:
            hub = Desk(desks.hub)
            start = time.monotonic()
            assert desks.publish([f"x{n}.bench-{n % 977}.example" for n in range(indicators)], seconds=600), desks.hub.tail()
            print(f"{indicators} indicators published in {time.monotonic() - start:.1f} s")
            yield desks, hub
        finally:
            desks.end()
