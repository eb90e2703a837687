"""What the beacon is for, with real processes: one town's account sends to many, its node notices, the hub tells each receiver exactly its own
Message-IDs, a sign of a takeover lights the warning without a person, every node has it and answers; a node that was away gets it once when it
returns; judged false, it is withdrawn everywhere."""
import datetime
import json
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support.community import Processes, free_port, until

TOWNS = {"0157": "gentofte.example", "0173": "lyngby.example", "0159": "gladsaxe.example", "0230": "rudersdal.example"}
SENDER = "anna.holm@gentofte.example"


def utc(seconds_ago=0):
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds_ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Beacon(Processes):
    def setUp(self):
        super().setUp()
        self.hub_folder = self.path / "hub"
        self.bavn("hub", "init", "--data", self.hub_folder, "--host", "127.0.0.1", "--address", "127.0.0.1", "--port", free_port())
        with open(self.hub_folder / "settings.toml", "a") as settings:
            settings.write("control_port = 0\n[web]\nport = 0\n")
        self.hub = self.start("hub", self.hub_folder)
        self.nodes = {}
        for code, domain in TOWNS.items():
            self.bavn("hub", "guests", "add", code, "--same-user", "--data", self.hub_folder)
            self.bavn("hub", "municipality", "domains", code, domain, "--data", self.hub_folder)
            folder = self.hub_folder / "guests" / code
            (self.path / code).mkdir()
            log = self.path / code / "trace.ndjson"
            log.write_text("")
            (folder / "sources.toml").write_text(f'[[source]]\nkind = "files"\nname = "log"\npaths = ["{self.path / code}/*.ndjson"]\n')
            self.nodes[code] = self.start("node", folder, "--guest")
        self.bavn("campaigns", "trigger", "sender_notice", "live", "--why", "test", "--data", self.hub_folder)
        for code, node in self.nodes.items():  # every node knows all members
            until(lambda n=node: any("rudersdal.example" in r[0] for r in n.rows("SELECT payload FROM node_content WHERE name = 'community'")), 30,
                  lambda n=node, c=code: f"{c} knows the community: {n.rows('SELECT payload FROM node_content')} {n.tail(600)} {self.hub.tail(800)}")

    def write(self, code, *records):
        with open(self.path / code / "trace.ndjson", "a") as log:
            for record in records:
                log.write(json.dumps(record) + "\n")

    def trace(self, recipient, number, seconds_ago):
        return {"MessageTraceId": f"00000000-0000-4000-8000-{number:012d}", "SenderAddress": SENDER, "RecipientAddress": recipient,
                "MessageId": f"<wave.{number}@gentofte.example>", "Subject": f"Faktura {1000 + number}", "Status": "Delivered", "FromIP": "192.0.2.7",
                "Received": utc(seconds_ago), "Size": 20480}

    def send_wave(self, each=40):
        """The sender's own trace has all of it, each receiver's its own part."""
        number, ids = 0, {code: [] for code in TOWNS}
        for code, domain in TOWNS.items():
            if code == "0157":
                continue
            for i in range(each):
                number += 1
                record = self.trace(f"person{i}@{domain}", number, 120 - number * 0.5)
                self.write("0157", record)
                self.write(code, record)
                ids[code].append(f"wave.{number}@gentofte.example")
        return ids

    def take_account(self):
        at = 1800
        self.write("0157", {"createdDateTime": utc(at), "id": "s1", "userPrincipalName": SENDER, "appDisplayName": "OfficeHome", "appId": "4765445b-32c6-49b0-83e6-1d93765276ca",
                            "ipAddress": "203.0.113.66", "clientAppUsed": "Browser", "isInteractive": True, "conditionalAccessStatus": "success", "sessionId": "sess-1",
                            "autonomousSystemNumber": 64500, "status": {"errorCode": 0}, "deviceDetail": {"deviceId": "", "browser": "Odd 1"},
                            "location": {"countryOrRegion": "NL"}, "userAgent": "Odd/1.0", "riskLevelDuringSignIn": "high"})
        self.write("0157", {"Id": "a1", "CreationTime": utc(at - 300)[:19], "RecordType": 8, "Operation": "Consent to application.", "OrganizationId": "o", "UserType": 0,
                            "UserKey": "k", "Workload": "AzureActiveDirectory", "ResultStatus": "Success", "UserId": SENDER, "ObjectId": "8f1d2b3c-0000-4000-8000-000000000001",
                            "ActorIpAddress": "203.0.113.66", "ClientIP": "203.0.113.66", "AppAccessContext": {"AADSessionId": "sess-1"}})
        self.write("0157", {"Id": "a2", "CreationTime": utc(at - 400)[:19], "RecordType": 1, "Operation": "New-InboxRule", "OrganizationId": "o", "UserType": 2, "UserKey": "k",
                            "Workload": "Exchange", "ResultStatus": "True", "UserId": SENDER, "ClientIP": "203.0.113.66", "ObjectId": SENDER, "SessionId": "sess-1",
                            "Parameters": [{"Name": "Name", "Value": "."}, {"Name": "DeleteMessage", "Value": "True"}]})

    def campaigns(self):
        return json.loads(self.bavn("campaigns", "list", "--data", self.hub_folder, "--json"))

    def entries(self, code):
        """Message-IDs a node was told, per notice part."""
        return [r[0] for r in self.nodes[code].rows("SELECT message_id FROM purge_message ORDER BY 1")]

    def test_a_wave_is_noticed_told_warned_and_withdrawn(self):
        away = self.nodes["0230"]
        away.stop()
        self.take_account()
        began = time.monotonic()
        ids = self.send_wave()
        noticed = until(lambda: [n for n in json.loads(self.bavn("notices", "list", "--kind", "sender", "--data", self.nodes["0157"].folder, "--json"))], 60,
                        "the sender's node notices")
        print(f"noticed after {time.monotonic() - began:.1f} s: {noticed[0]['mails']} mails, usual {noticed[0]['usual']}")
        self.assertEqual(noticed[0]["concern"], SENDER)
        lit = until(lambda: [c for c in self.campaigns() if c["state"] == "lit"], 60,
                    lambda: f"the campaign is lit: {self.campaigns()} {self.hub.tail(600)}")
        print(f"warned after {time.monotonic() - began:.1f} s, lit by {lit[0]['lit_by']}, severity {lit[0]['severity']}")
        for code in ("0173", "0159"):
            until(lambda c=code: sorted(self.entries(c)) == sorted(ids[c]), 30,
                  lambda c=code: f"{c} has exactly its own Message-IDs: {len(self.entries(c))} of {len(ids[c])}")
        print(f"every connected receiver has its Message-IDs after {time.monotonic() - began:.1f} s")

        def warnings(code):
            return json.loads(self.bavn("warnings", "list", "--data", self.nodes[code].folder, "--json"))
        for code in ("0157", "0173", "0159"):
            until(lambda c=code: len(warnings(c)) == 1, 30, f"{code} has the warning")
        self.nodes["0230"] = self.start("node", away.folder, "--guest")
        until(lambda: len(warnings("0230")) == 1, 60, "the node that was away has the warning")
        until(lambda: sorted(self.entries("0230")) == sorted(ids["0230"]), 30, "and its Message-IDs")

        one = json.loads(self.bavn("warnings", "list", "--data", self.hub_folder, "--json"))
        self.assertEqual(len(one), 1)
        shown = until(lambda: (v := json.loads(self.bavn("warnings", "show", one[0]["id"], "--data", self.hub_folder, "--json"))) and
                      sum(1 for a in v["answers"] if a.get("state") in ("seen_here", "purged")) >= 3 and v, 60,
                      lambda: self.bavn("warnings", "show", one[0]["id"], "--data", self.hub_folder, "--json"))
        hits = {a["municipality"]["code"]: a["hits"] for a in shown["answers"] if "state" in a}
        self.assertEqual(hits.get("0173"), len(ids["0173"]), "hits are what stands in the logs, no more and no less")
        self.assertIn("gentofte.example", json.dumps(shown["texts"]))

        left = self.bavn("node", "left", "--data", self.nodes["0157"].folder, "--json")
        self.assertIn("sender_notice", left, "what left this town can be read here")
        self.assertNotIn("Faktura", left, "no subject leaves")

        self.bavn("campaigns", "judge", lit[0]["id"], "--false", "--why", "it was a test", "--data", self.hub_folder)
        for code in TOWNS:
            until(lambda c=code: [w for w in warnings(c) if w["entry"]["state"] == "withdrawn"], 30, lambda c=code: f"{c} sees it withdrawn: {warnings(c)}")
        self.assertEqual(len(warnings("0173")), 1)

    def test_mail_to_many_without_a_second_sign_warns_nobody(self):
        self.send_wave()
        until(lambda: json.loads(self.bavn("notices", "list", "--kind", "sender", "--data", self.nodes["0157"].folder, "--json")), 60, "noticed")
        until(lambda: self.entries("0173"), 60, "receivers know where to look")
        until(lambda: json.loads(self.bavn("campaigns", "list", "--state", "candidate", "--data", self.hub_folder, "--json")), 30,
              "the hub has judged it: a candidate, shown to nobody")
        self.assertEqual([c["state"] for c in self.campaigns() if c["state"] == "lit"], [])
        self.assertEqual(json.loads(self.bavn("warnings", "list", "--data", self.hub_folder, "--json")), [])
        notice = json.loads(self.bavn("notices", "list", "--kind", "sender", "--data", self.nodes["0157"].folder, "--json"))[0]["id"]
        self.bavn("notices", "judge", notice, "--why", "its owner did not send it", "--data", self.nodes["0157"].folder)
        until(lambda: [c for c in self.campaigns() if c["state"] == "lit"], 30, "the yes of the sender's town is the second sign")


if __name__ == "__main__":
    unittest.main()
