"""Stands between nodes and hub, ends the TLS of both sides with the test's own keys, keeps every request that a node sent, and makes
the trouble that networks make: late, cut in the middle, refused, silent, and the same request twice."""
import json
import pathlib
import random
import socket
import ssl
import tempfile
import threading
import time


class Proxy:
    def __init__(self, hub_folder, hub_port, port, seed=1):
        self.hub_folder, self.hub_port = pathlib.Path(hub_folder), hub_port
        self.random, self.lock = random.Random(seed), threading.Lock()
        self.chaos = False
        self.requests = []  # (method, path, head, body)
        self.trouble = {"cut": 0, "late": 0, "refused": 0, "silent": 0, "twice": 0}
        self.identity = None  # the node's certificate and key: the hub must know it through us
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(self.hub_folder / "trust/server.pem", self.hub_folder / "trust/server.key")
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def be(self, node_folder):
        enrolment = json.loads((pathlib.Path(node_folder) / "keys/enrolment.json").read_text())
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:
            pem.write(enrolment["certificate_pem"] + enrolment["key_pem"])
            pem.flush()
            context = self.client_context()
            context.load_cert_chain(pem.name)
        self.identity = context

    @staticmethod
    def client_context():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def end(self):
        self.listener.close()

    def dice(self, chance, what):
        with self.lock:
            hit = self.chaos and self.random.random() < chance
            self.trouble[what] += hit
            return hit

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def connect(self):
        raw = socket.create_connection(("127.0.0.1", self.hub_port), timeout=30)
        return (self.identity or self.client_context()).wrap_socket(raw, server_hostname="127.0.0.1")

    def serve(self, client):
        hub = None
        try:
            if self.dice(0.05, "refused"):
                return
            client.settimeout(120)
            client = self.server.wrap_socket(client, server_side=True)
            hub = self.connect()
            while self.exchange(client, hub):
                pass
        except (OSError, ssl.SSLError, EOFError):
            pass
        finally:
            for s in (client, hub):
                if s is not None:
                    s.close()

    def exchange(self, client, hub):
        head, body = self.message(client)
        method, path = head.split(b" ")[:2]
        with self.lock:
            self.requests.append((method.decode(), path.decode(), head, body))
        if self.dice(0.1, "late"):
            time.sleep(self.random.uniform(0.05, 1.0))
        if self.dice(0.03, "cut"):
            return False
        if method == b"POST" and self.dice(0.3, "twice"):
            other = self.connect()
            other.sendall(head + body)
            if self.random.random() < 0.5:  # else both run at the same time
                self.message(other)
            other.close()
        hub.sendall(head + body)
        if self.dice(0.03, "cut"):  # the hub did it, the node never hears
            return False
        hub.settimeout(120)
        answer, rest = self.head(hub)
        length = self.length(answer)
        if length is None:  # a stream: until one side ends it
            client.sendall(answer + rest)
            while chunk := hub.recv(65536):
                if self.dice(0.05, "late"):
                    time.sleep(self.random.uniform(0.05, 0.5))
                if self.dice(0.03, "silent"):
                    time.sleep(3)
                if self.dice(0.03, "cut"):
                    client.sendall(chunk[: len(chunk) // 2])
                    return False
                client.sendall(chunk)
            return False
        if self.dice(0.03, "cut"):
            client.sendall((answer + rest)[: self.random.randrange(1, len(answer))])
            return False
        client.sendall(answer + rest)
        left = length - len(rest)
        while left > 0:
            chunk = hub.recv(min(left, 65536))
            if not chunk:
                raise EOFError
            left -= len(chunk)
            client.sendall(chunk)
        return True

    def message(self, side):
        head, rest = self.head(side)
        length = self.length(head) or 0
        while len(rest) < length:
            chunk = side.recv(65536)
            if not chunk:
                raise EOFError
            rest += chunk
        assert len(rest) == length, "more than one request at once"
        return head, rest

    @staticmethod
    def head(side):
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = side.recv(65536)
            if not chunk:
                raise EOFError
            data += chunk
        end = data.index(b"\r\n\r\n") + 4
        return data[:end], data[end:]

    @staticmethod
    def length(head):
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                return int(value)
        return None if head.startswith(b"HTTP/") else 0
