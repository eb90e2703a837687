"""An order from the hub to a guest, as it goes at night: two people sign, the node's mandate is asked, the duty contact's webhook rings once,
and the hub hears what became of it. What comes again, or with one signature, rings nobody."""
import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.community import Processes, bavn, free_port, until


class Catcher(http.server.BaseHTTPRequestHandler):
    got = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Catcher.got.append((dict(self.headers.items()), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Order(Processes):
    def setUp(self):
        super().setUp()
        self.webhook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Catcher)
        threading.Thread(target=self.webhook.serve_forever, daemon=True).start()
        self.addCleanup(self.webhook.server_close)
        self.addCleanup(self.webhook.shutdown)

    def send(self, hub, order, code):
        said = json.loads(self.bavn("hub", "publish", "order", order, "--data", hub, "--seconds", 30, "--json", code=code))
        self.assertEqual(len(said["answers"]), 1)
        return {**said["answers"][0], "municipality": said["municipality"]["code"]}

    def order(self, name, keys, minutes=30):
        path = self.path / name
        self.bavn("order", "new", path, "--municipality", "Gentofte", "--reason", "mass mail from two mailboxes", "--minutes", minutes)
        for key in keys:
            self.bavn("order", "sign", path, "--key", self.path / f"{key}.key")
        return path

    def test_an_order_of_two_people_rings_the_duty_contact_once(self):
        hub_folder = self.path / "hub"
        self.bavn("hub", "init", "--data", hub_folder, "--host", "127.0.0.1", "--address", "127.0.0.1", "--port", free_port())
        with open(hub_folder / "settings.toml", "a") as settings:
            settings.write("control_port = 0\n[web]\nport = 0\n")
        hub = self.start("hub", hub_folder)
        self.bavn("hub", "guests", "add", "0157", "--same-user", "--data", hub_folder)
        guest_folder = hub_folder / "guests" / "0157"
        (guest_folder / "settings.toml").write_text('[node]\ninside = "127.0.0.1"\n')

        for person in ("leo", "bo", "cy"):
            self.bavn("keys", "make", self.path / f"{person}.key", "--owner", f"{person.title()} Example")
        self.bavn("mandate", "new", "--data", guest_folder, "--municipality", "Gentofte", "--leader", self.path / "leo.key.pub",
                  "--person", self.path / "bo.key.pub", "--person", self.path / "cy.key.pub")
        self.bavn("mandate", "sign", "--data", guest_folder, "--key", self.path / "leo.key")

        guest = self.start("node", guest_folder, "--guest")
        address = f"http://127.0.0.1:{self.webhook.server_port}/night"
        secret = json.loads(self.bavn("contact", "add", "Anna Example", "webhook", address, "--language", "da", "--outside",
                                      "--data", guest_folder, "--json"))["secret"]
        listed = json.loads(self.bavn("contact", "list", "--data", guest_folder, "--json"))
        self.assertEqual([w["address"] for c in listed["items"] for w in c["ways"]], [address])

        # Two signatures: done, with the node's proof; the webhook rings.
        first = self.order("first.json", ["bo", "cy"])
        answer = self.send(hub_folder, first, code=0)
        self.assertEqual((answer["municipality"], answer["outcome"]), ("0157", "done"))
        self.assertIn("Bo Example", json.loads(answer["proof"])["proof"])
        until(lambda: Catcher.got, 30, lambda: f"the webhook rings: {guest.tail()}")
        headers, body = Catcher.got[0]
        headers = {k.lower(): v for k, v in headers.items()}
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest())
        self.assertEqual(headers["webhook-signature"], "v1," + expected.decode())
        self.assertEqual(json.loads(body)["type"], "bavn.call_me")
        self.assertIn("mass mail from two mailboxes", json.loads(body)["data"]["text"])

        # The same again, and one with a single signature: refused, with the reason.
        again = self.send(hub_folder, first, code=1)
        self.assertEqual(again["outcome"], "refused")
        self.assertIn("here before", again["text"])
        alone = self.send(hub_folder, self.order("alone.json", ["bo"]), code=1)
        self.assertEqual(alone["outcome"], "refused")
        self.assertEqual(alone["proof"], "")
        self.assertIn("two", alone["text"])
        until(lambda: not guest.on_its_way(), 30, lambda: f"the node has done what it knows: {guest.on_its_way()}")
        self.assertEqual(len(Catcher.got), 1)

        # What nobody could carry out is not sent at all.
        stranger = self.path / "stranger.json"
        self.bavn("order", "new", stranger, "--municipality", "Oslo", "--reason", "no node there")
        self.assertEqual(bavn("hub", "publish", "order", stranger, "--data", hub_folder)[0], 1)

        # It is written down on both sides: the orders sent, the webhook that left, and for how long things are kept.
        self.assertEqual(hub.rows("SELECT count(*) FROM audit WHERE action = 'order.sent'"), [(3,)])
        left = [json.loads(line) for line in self.bavn("node", "left", "--data", guest_folder).splitlines()]
        self.assertEqual([line["to"] for line in left if line.get("purpose") == "notify"], [f"127.0.0.1:{self.webhook.server_port}"])
        kept = {name: days for name, days in guest.rows("SELECT name, days FROM retention_class")}
        self.assertEqual(kept["left_us"], 400)
        self.assertIn("hub_shared", dict(hub.rows("SELECT name, days FROM retention_class")))

        # The ways are tried: a code goes out, and comes back by a person's hand.
        self.bavn("contact", "test", "--data", guest_folder)
        until(lambda: len(Catcher.got) == 2, 30, "the test arrives")
        code = next(w for w in json.loads(Catcher.got[1][1])["data"]["text"].replace(".", " ").split() if len(w) == 9 and w[4] == "-" and w.isupper())
        self.bavn("contact", "confirm", "AAAA-AAAA", "--data", guest_folder, code=1)
        self.bavn("contact", "confirm", code, "--data", guest_folder)
        self.assertIn("confirmed_at", json.loads(self.bavn("contact", "list", "--data", guest_folder, "--json"))["items"][0]["ways"][0])


if __name__ == "__main__":
    unittest.main()
