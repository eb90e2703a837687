"""Sources of a real node: files that are followed, syslog from real senders (logger of util-linux, plain sockets, TLS), and a sources.toml
with mistakes."""
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.community import Community, free_port, has_servers, stored_lines, until


def files(name, path):
    return f'[[source]]\nname = "{name}"\nkind = "files"\npaths = ["{path}"]\n'


def syslog(name, transport, port, more=""):
    return f'[[source]]\nname = "{name}"\nkind = "syslog"\ntransport = "{transport}"\naddress = "127.0.0.1"\nport = {port}\n{more}'


@unittest.skipUnless(has_servers(), "this binary has no hub and node")
class Sources(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = pathlib.Path(temporary.name)

    def node(self, toml):
        community = Community(self.path, [461], files=lambda _: {"sources.toml": toml})
        self.addCleanup(community.end)
        return community.nodes[0]

    def states(self, node):
        return {name: (state, text) for name, state, text in node.rows("SELECT source, state, text FROM source_status")}

    def test_each_source_delivers_and_says_how_it_is(self):
        udp, tcp, tls = free_port(), free_port(), free_port()
        log = self.path / "app.log"
        log.write_text("2026-01-01T00:00:00Z app: alpha.sources.example.org\n")
        # Any certificate will do; the hub's own is at hand.
        trust = self.path / "hub" / "trust"
        node = self.node(files("app", log) + files("nothing", self.path / "none.log") + syslog("u", "udp", udp) + syslog("t", "tcp", tcp) +
                         syslog("s", "tls", tls, f'certificate = "{trust}/server.pem"\nkey = "{trust}/server.key"\n'))
        node.start()
        node.ready()
        until(lambda: self.states(node).get("s", ("",))[0] == "working", 30, lambda: f"all listen: {self.states(node)} {node.tail()}")
        with open(log, "a") as f:
            f.write("2026-01-01T00:00:01Z app: beta.sources.example.org\n")
        sent = ["alpha", "beta"]
        if shutil.which("logger"):
            for way, words in {"rfc5424": ["-d", "-P", udp, "--rfc5424"], "rfc3164": ["-d", "-P", udp, "--rfc3164"],
                               "lines": ["-T", "-P", tcp], "counted": ["-T", "-P", tcp, "--octet-count"]}.items():
                subprocess.run(["logger", "-n", "127.0.0.1", *map(str, words), f"{way}.sources.example.org"], check=True)
                sent.append(way)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(trust / "authority.pem")
        with socket.create_connection(("127.0.0.1", tls)) as raw, context.wrap_socket(raw) as s:
            message = b"<34>1 2026-01-01T00:00:02Z fw.example.org app - - - secret.sources.example.org"
            s.sendall(b"%d %s" % (len(message), message))
        sent.append("secret")
        until(lambda: sum(n for (n,) in node.rows("SELECT records FROM live_source")) == len(sent), 30,
              lambda: f"{len(sent)} records; {node.rows('SELECT source, records, refused FROM live_source')} {node.tail()}")
        self.assertEqual(self.states(node)["nothing"][0], "waiting")
        self.assertIn("no file matches", self.states(node)["nothing"][1])
        node.stop()
        lines = stored_lines(node, ".sources.example.org")
        for word in sent:
            self.assertEqual(sum(f"{word}.sources.example.org" in line for line in lines), 1, word)

    def test_a_mistake_in_sources_toml_is_refused_with_line_and_fix(self):
        node = self.node('[[source]]\nname = "a"\nkind = "files"\npath = ["/x"]\n')
        node.start()
        node.process.wait(30)
        self.assertNotEqual(node.process.returncode, 0)
        self.assertIn("sources.toml:4: there is no key 'path' here; did you mean 'paths'?", node.tail())

    def test_a_port_that_is_taken_is_said_and_the_others_run(self):
        log = self.path / "app.log"
        log.write_text("2026-01-01T00:00:00Z app: alpha.sources.example.org\n")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            node = self.node(files("app", log) + syslog("t", "tcp", taken.getsockname()[1]))
            node.start()
            node.ready()
            until(lambda: self.states(node).get("t", ("",))[0] == "failing", 30, "the listener says that it fails")
            self.assertIn("Address already in use", self.states(node)["t"][1])
            until(lambda: node.rows("SELECT records FROM live_source") == [(1,)], 30, "the file is read")


if __name__ == "__main__":
    unittest.main(verbosity=2)
