#!/usr/bin/env python3
"""The hub as others' programs see it over TAXII 2.1. Run by run.sh."""
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse
import uuid

import requests
import stix2validator
from taxii2client import v21 as taxii

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from support.community import Community, bavn, free_port, until  # noqa: E402

MEDIA = "application/taxii+json;version=2.1"
WORK = os.environ.get("BAVN_TAXII_WORK")
NO_LIMITS = "requests_per_minute = 1000000\nwrites_per_minute = 1000000\nstrangers_per_minute = 1000000\n"
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
# One of each kind that has a value of its own.
KINDS = [("domain", "evil.example"), ("url", "https://evil.example/a'b?c=d"), ("ipv4", "192.0.2.7"), ("ipv6", "2001:db8::7"), ("cidr", "198.51.100.0/24"),
         ("md5", "9e107d9d372bb6826bd81d3542a419d6"), ("sha1", "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"),
         ("sha256", "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592"), ("email", "o'hara@evil.example"), ("mail_domain", "bad.example"),
         ("message_id", "1a2b@evil.example"), ("subject", "faktura 'haster'"), ("file_name", "it's.exe"), ("user_agent", "Evil/1.0 (x)"), ("asn", "AS64496"),
         ("ja3", "e7d705a3286e19ea42f587b344ee6865"), ("app_id", "com.evil.app"), ("account", "evil.user"), ("bank_account", "DK5000400440116243"),
         ("phone", "+4512345678")]


def stix_time(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def indicator(value, modified=None, number=None, **more):
    now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=5)
    return {"type": "indicator", "spec_version": "2.1", "id": f"indicator--{number or uuid.uuid4()}", "created": stix_time(now),
            "modified": stix_time(modified or now), "name": value, "pattern": f"[domain-name:value = '{value}']", "pattern_type": "stix",
            "valid_from": stix_time(now), "indicator_types": ["malicious-activity"], "object_marking_refs": [GREEN], **more}


class Hub(Community):
    def __init__(self, folder, inside):
        self.inside = inside
        super().__init__(folder, [])

    def enrolling(self):
        settings = self.hub.folder / "settings.toml"
        self.hub.stop()
        settings.write_text(settings.read_text().replace("[web]\nport = 0\n", "[web]\nport = 0\n" + NO_LIMITS)
                            + f'[exchange]\ninside = "{self.inside}"\n')
        self.hub.start()
        self.hub.ready()

    def api(self, method, path, body=None, wanted=(200, 201, 204)):
        status, said = self.hub.ask(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"}, seconds=60)
        assert status in wanted, f"{method} {path}: {status} {said[:500]}"
        return json.loads(said) if said else None

    def web(self):
        return self.api("GET", "/web")["url"].replace("localhost", "127.0.0.1")

    def peer(self, name, **more):
        return self.api("POST", "/api/peers", {"name": name, "kind": "client", "direction": "both", **more})["id"]

    def key(self, peer, write=True):
        return self.api("POST", f"/api/peers/{peer}/keys", {"label": "test", "write": write})["key"]

    def list(self, rows, name, tlp="green", source="list"):
        path = self.folder / name
        path.write_text("kind,value\n" + "".join(f'{kind},"{value}"\n' for kind, value in rows))
        self.api("POST", "/api/indicators", {"source": source, "tlp": tlp, "action": "warn",
                                             "items": [{"kind": kind, "value": value, "confidence": 60, "comment": "seen by us"} for kind, value in rows]})


class Taxii(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(dir=WORK)
        cls.community = Hub(cls.folder.name, "127.0.0.1")
        cls.url = cls.community.web() + "/taxii2/"
        cls.community.list(KINDS, "kinds.csv")
        cls.community.list([("domain", "amber.example")], "amber.csv", tlp="amber")
        cls.peer = cls.community.peer("Partner", ceiling="green")
        cls.secret = cls.community.key(cls.peer)

    @classmethod
    def tearDownClass(cls):
        cls.community.stop()
        cls.community.end()
        cls.folder.cleanup()

    def ask(self, method, path, body=None, key=None, **headers):
        sent = {"Accept": MEDIA, **headers}
        return requests.request(method, urllib.parse.urljoin(self.url, path), data=body, auth=("anybody", key or self.secret),
                                headers={k.replace("_", "-"): v for k, v in sent.items() if v is not None}, timeout=60)

    def collection(self, title):
        server = taxii.Server(self.url, user="anybody", password=self.secret)
        return next(c for c in server.default.collections if c.title == title)

    # ---- taxii2-client

    def test_the_client_finds_and_reads_everything(self):
        server = taxii.Server(self.url, user="anybody", password=self.secret)
        self.assertTrue(server.title)
        root = server.api_roots[0]
        self.assertGreater(root.max_content_length, 0)
        self.assertIn(MEDIA, root.versions)
        self.assertEqual({c.title for c in root.collections}, {"What we know", "From partners", "From Partner"})
        known = self.collection("What we know")
        known.refresh()
        everything = known.get_objects(type="indicator", limit=1000)["objects"]
        mine = [o for o in everything if o["name"].split(" ")[0] in dict(KINDS)]
        self.assertGreaterEqual(len(mine), len(KINDS))
        self.assertFalse([o for o in everything if "amber.example" in o["pattern"]])
        one = known.get_object(everything[0]["id"])["objects"]
        self.assertEqual(one, [everything[0]])
        self.assertEqual(len(known.object_versions(everything[0]["id"])["versions"]), 1)
        manifest = known.get_manifest(limit=1000)["objects"]
        self.assertEqual(sorted(m["date_added"] for m in manifest), [m["date_added"] for m in manifest])
        self.assertEqual(len({m["date_added"] for m in manifest}), len(manifest))

    def test_pages_of_the_client_hold_each_object_once_while_others_come(self):
        known = self.collection("What we know")
        before = {o["id"] for o in known.get_objects(limit=1000)["objects"]}
        come, seen = [], []
        for number, page in enumerate(taxii.as_pages(known.get_objects, per_request=4)):
            seen += [o["id"] for o in page.get("objects", [])]
            if number < 3:
                come.append(f"new{number}.page.example")
                self.community.list([("domain", come[-1])], "new.csv")
        self.assertEqual(len(seen), len(set(seen)))
        self.assertLessEqual(before, set(seen))
        # The other style: from the date of the last one.
        after, again = None, []
        while True:
            reply = self.ask("GET", f"hub/collections/{known.id}/objects/?limit=3" + (f"&added_after={after}" if after else ""))
            again += [o["id"] for o in reply.json().get("objects", [])]
            after = reply.headers.get("X-TAXII-Date-Added-Last", after)
            if not reply.json()["more"]:
                break
        self.assertEqual(len(again), len(set(again)))
        self.assertLessEqual(set(seen), set(again))
        for value in come:
            self.assertTrue(any(value in o["pattern"] for o in known.get_objects(type="indicator", limit=1000)["objects"]))

    def test_the_client_writes_and_reads_its_status(self):
        own = self.collection("From Partner")
        good = [indicator(f"w{i}.example") for i in range(3)]
        odd = {"type": "x-odd", "spec_version": "2.1", "id": f"x-odd--{uuid.uuid4()}", "created": good[0]["created"], "modified": good[0]["modified"],
               "x_kept": {"deep": [1, 2.5, None]}}
        status = own.add_objects({"objects": [*good, odd]})
        self.assertEqual((status.status, status.success_count, status.failure_count), ("complete", 4, 0))
        again = own.add_objects({"objects": [good[0], {"type": "indicator", "id": "nonsense"}]})
        self.assertEqual((again.success_count, again.failure_count, again.total_count), (1, 1, 2))
        self.assertIn("id", again.failures[0]["message"])
        root = taxii.ApiRoot(self.url + "hub/", user="anybody", password=self.secret)
        self.assertEqual(root.get_status(again.id).failure_count, 1)
        self.assertEqual(own.get_object(odd["id"])["objects"], [odd])
        # Its indicators are looked for from now on, in its name.
        until(lambda: self.community.hub.rows("SELECT count(*) FROM hub_indicator WHERE value LIKE 'w_.example'")[0][0] == 3, 30, "indicators are published")
        later = datetime.datetime.now(datetime.timezone.utc)
        revoked = {**good[1], "modified": stix_time(later), "revoked": True}
        own.add_objects({"objects": [revoked]})
        until(lambda: self.community.hub.rows("SELECT count(*) FROM hub_indicator WHERE value LIKE 'w_.example'")[0][0] == 2, 30, "one is withdrawn")
        self.assertEqual(len(own.get_object(good[1]["id"], version="all")["objects"]), 2)
        self.assertEqual(own.get_object(good[1]["id"], version="first")["objects"], [good[1]])
        own.delete_object(odd["id"])
        with self.assertRaises(requests.HTTPError):
            own.get_object(odd["id"])
        # Another partner gets what is green, as it came; the one it came from does not get it again as something of ours.
        other = self.community.key(self.community.peer(f"Other {uuid.uuid4()}", ceiling="amber"), write=False)
        passed = self.ask("GET", "hub/collections/passed-on/objects/?match[type]=indicator", key=other).json()["objects"]
        self.assertIn(good[0], passed)
        known = self.ask("GET", "hub/collections/known/objects/?limit=1000", key=other).json()["objects"]
        self.assertTrue(any("w0.example" in o.get("pattern", "") for o in known))
        own_view = self.ask("GET", "hub/collections/known/objects/?limit=1000").json()["objects"]
        self.assertFalse(any("w0.example" in o.get("pattern", "") for o in own_view))
        self.assertTrue(any("amber.example" in o.get("pattern", "") for o in known))

    def test_writers_at_once_lose_nothing(self):
        own = self.collection("From Partner")
        sent = [[indicator(f"t{t}n{n}.many.example", object_marking_refs=[GREEN]) for n in range(25)] for t in range(4)]
        threads = [threading.Thread(target=lambda objects: [self.collection("From Partner").add_objects({"objects": [o]}) for o in objects], args=(o,)) for o in sent]
        for t in threads:
            t.start()
        seen = []
        after = "2020-01-01T00:00:00Z"
        busy = True
        while True:
            busy = any(t.is_alive() for t in threads)
            reply = self.ask("GET", f"hub/collections/{own.id}/objects/?limit=7&match[type]=indicator&added_after={after}")
            seen += [o["id"] for o in reply.json().get("objects", [])]
            after = reply.headers.get("X-TAXII-Date-Added-Last", after)
            if not busy and not reply.json().get("objects"):
                break
        self.assertEqual(len(seen), len(set(seen)))
        self.assertLessEqual({o["id"] for objects in sent for o in objects}, set(seen))

    # ---- stix2-validator

    def test_the_validator_finds_nothing_wrong_with_what_we_give_out(self):
        known = self.collection("What we know")
        objects = known.get_objects(limit=1000)["objects"]
        self.assertGreater(len(objects), 25)
        options = stix2validator.ValidationOptions(version="2.1")
        for o in objects:
            if o["type"] == "marking-definition" and "definition_type" in o:
                continue  # TLP 1 of the specification itself
            result = stix2validator.validate_instance(o, options)
            self.assertTrue(result.is_valid, f"{json.dumps(o)}: {[str(e) for e in result.errors]}")
        bundle = {"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": objects}
        self.assertTrue(stix2validator.validate_instance(bundle, options).is_valid)

    def test_a_warning_is_a_report_that_the_validator_takes_and_that_names_nobody(self):
        folder = self.community.hub.folder
        case = pathlib.Path(self.folder.name) / "case.json"
        case.write_text(json.dumps({"campaign": "77", "trigger": "person", "severity": "high", "tlp": "green", "from_domain": "gentofte.dk", "may_be_named": True,
                                    "from_address": "ann@gentofte.dk", "mails": 250, "look_for": [{"kind": "url", "value": "bio.link/orbes"},
                                                                                                  {"kind": "domain", "value": "warned.example"}]}))
        code, out, err = bavn("warnings", "draft", "--case", case, "--data", folder, "--json")
        self.assertEqual(code, 0, err)
        warning = json.loads(out)["id"]
        known = self.collection("What we know")
        types = "report,campaign,sighting,relationship"

        def told():
            reply = self.ask("GET", f"hub/collections/{known.id}/objects/?limit=1000&match[type]={types},indicator")
            return [o for o in reply.json().get("objects", []) if o["type"] != "indicator" or "warned.example" in o["pattern"] or "bio.link/orbes" in o["pattern"]]

        self.assertEqual(told(), [], "a draft is ours")
        code, _, err = bavn("warnings", "send", warning, "--data", folder)
        self.assertEqual(code, 0, err)
        until(lambda: [o for o in told() if o["type"] == "report"], 30, "the warning is told")
        options = stix2validator.ValidationOptions(version="2.1")
        objects = told()
        self.assertEqual(sorted(o["type"] for o in objects), ["campaign", "indicator", "indicator", "relationship", "relationship", "report", "sighting"])
        report = next(o for o in objects if o["type"] == "report")
        self.assertLessEqual(set(report["object_refs"]), {o["id"] for o in objects})
        self.assertEqual(next(o["count"] for o in objects if o["type"] == "sighting"), 250)
        for o in objects:
            result = stix2validator.validate_instance(o, options)
            self.assertTrue(result.is_valid, f"{json.dumps(o)}: {[str(e) for e in result.errors]}")
            self.assertIn(GREEN, o["object_marking_refs"])
        self.assertNotIn("gentofte", json.dumps(objects))
        # The same in a file, and nothing of it below its marking.
        code, out, err = bavn("export", "warnings", "--tlp", "green", "--data", folder)
        self.assertEqual(code, 0, err)
        bundle = json.loads(out)
        self.assertTrue(stix2validator.validate_instance({**bundle, "objects": [o for o in bundle["objects"] if "definition_type" not in o]}, options).is_valid)
        self.assertLessEqual({o["id"] for o in objects}, {o["id"] for o in bundle["objects"]})
        code, out, err = bavn("export", "warnings", "--tlp", "clear", "--data", folder)
        self.assertNotIn("warned.example", out)
        # It was none.
        code, _, err = bavn("warnings", "withdraw", warning, "--why", "a newsletter", "--data", folder)
        self.assertEqual(code, 0, err)
        until(lambda: all(o.get("revoked") for o in told()), 30, "it is taken back")
        self.assertEqual({o["id"] for o in told()}, {o["id"] for o in objects})
        for o in told():
            result = stix2validator.validate_instance(o, options)
            self.assertTrue(result.is_valid, f"{json.dumps(o)}: {[str(e) for e in result.errors]}")

    # ---- what medallion's own tests ask of a server

    def test_media_types_errors_and_limits(self):
        known = "hub/collections/known/"
        cases = [
            ("GET", "", 406, {"Accept": None}), ("GET", "", 406, {"Accept": "application/json"}), ("GET", "", 406, {"Accept": "application/taxii+json;version=2.0"}),
            ("GET", "", 200, {}), ("GET", "nothing/", 404, {}), ("GET", "hub/collections/nothing/", 404, {}),
            ("GET", known + "objects/indicator--" + str(uuid.uuid4()) + "/", 404, {}), ("GET", "hub/status/" + str(uuid.uuid4()) + "/", 404, {}),
            ("GET", known + "objects/?limit=0", 400, {}), ("GET", known + "objects/?limit=-2", 400, {}), ("GET", known + "objects/?limit=abc", 400, {}),
            ("GET", known + "manifest/?next=abc", 400, {}), ("GET", known + "objects/?added_after=x", 400, {}),
            ("POST", known + "objects/", 403, {"Content_Type": MEDIA}), ("DELETE", known + "objects/indicator--" + str(uuid.uuid4()) + "/", 403, {}),
            ("POST", f"hub/collections/from-{self.peer}/objects/", 415, {"Content_Type": "application/json"}),
            ("POST", f"hub/collections/from-{self.peer}/objects/", 422, {"Content_Type": MEDIA}),
        ]
        for method, path, wanted, headers in cases:
            reply = self.ask(method, path, "[]" if method == "POST" else None, **headers)
            self.assertEqual(reply.status_code, wanted, f"{method} {path} {headers}: {reply.text[:300]}")
            self.assertEqual(reply.headers["Content-Type"].replace(" ", ""), MEDIA)
            if wanted >= 400:
                self.assertEqual(reply.json()["http_status"], str(wanted))
        self.assertEqual(self.ask("GET", "", key="wrong").status_code, 401)
        self.assertEqual(requests.get(self.url, headers={"Accept": MEDIA}, timeout=20).status_code, 401)
        bearer = requests.get(self.url, headers={"Accept": MEDIA, "Authorization": f"Bearer {self.secret}"}, timeout=20)
        self.assertEqual(bearer.status_code, 200)
        too_large = self.ask("POST", f"hub/collections/from-{self.peer}/objects/", b"x" * (11 << 20), Content_Type=MEDIA)
        self.assertEqual(too_large.status_code, 413)
        page = self.ask("GET", known + "objects/?limit=2").json()
        self.assertTrue(page["more"])
        changed = self.ask("GET", known + f"objects/?limit=2&match[type]=identity&next={page['next']}")
        self.assertEqual(changed.status_code, 400)
        same = self.ask("GET", known + f"objects/?limit=3&next={page['next']}")
        self.assertEqual(len(same.json()["objects"]), 3)

    # ---- our client against medallion

    def test_our_client_reads_from_and_writes_to_medallion(self):
        port = free_port()
        folder = pathlib.Path(self.folder.name)
        objects, manifest, start = [], [], datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
        for n in range(23):
            objects.append(indicator(f"m{n}.medallion.example"))
            manifest.append({"id": objects[-1]["id"], "date_added": (start + datetime.timedelta(seconds=n // 4)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                             "version": objects[-1]["modified"], "media_type": "application/stix+json;version=2.1"})
        read, write = str(uuid.uuid4()), str(uuid.uuid4())
        collection = {"media_types": ["application/stix+json;version=2.1"], "description": "x"}
        data = {"/discovery": {"title": "medallion", "api_roots": [f"http://127.0.0.1:{port}/r/", f"http://elsewhere.example:{port}/r/"]},
                "r": {"information": {"title": "r", "versions": [MEDIA], "max_content_length": 9765625}, "status": [], "collections": [
                    {"id": read, "title": "to read", "can_read": True, "can_write": False, **collection, "objects": objects, "manifest": manifest},
                    {"id": write, "title": "to write", "can_read": True, "can_write": True, **collection, "objects": [], "manifest": []}]}}
        (folder / "data.json").write_text(json.dumps(data))
        (folder / "config.json").write_text(json.dumps({
            "backend": {"module": "medallion.backends.memory_backend", "module_class": "MemoryBackend", "filename": str(folder / "data.json")},
            "users": {"bavn": "Password0"}, "taxii": {"max_page_size": 5}}))
        with open(folder / "medallion.log", "wb") as log:
            server = subprocess.Popen([str(pathlib.Path(sys.executable).parent / "medallion"), "--port", str(port), str(folder / "config.json")],
                                      stdout=log, stderr=log)
        try:
            theirs = {"auth": ("bavn", "Password0"), "headers": {"Accept": MEDIA}, "timeout": 20}
            base = f"http://127.0.0.1:{port}/r/collections/"

            def answers():
                try:
                    return requests.get(base, **theirs).status_code == 200
                except requests.ConnectionError:
                    return False
            until(answers, 60, "medallion answers")
            peer = self.community.api("POST", "/api/peers", {
                "name": "Medallion", "kind": "taxii", "direction": "both", "url": f"http://127.0.0.1:{port}/taxii2/", "sign_in": "basic", "user": "bavn",
                "secret": "Password0", "ceiling": "green", "options": {"collection": read, "write": "to write"}})["id"]

            def arrived(text, count):
                return lambda: self.community.hub.rows("SELECT count(*) FROM hub_indicator WHERE value LIKE ?", text)[0][0] == count
            until(arrived("%.medallion.example", 23), 60, lambda: f"it is read: {self.community.api('GET', '/api/peers/' + peer)}")
            # What is green and not its own goes there, with our identity.
            until(lambda: any(o.get("pattern") == "[domain-name:value = 'evil.example']" for o in self.stored(port, write)), 60, "it is written to")
            self.assertFalse([o for o in self.stored(port, write) if "medallion.example" in json.dumps(o) or "amber.example" in json.dumps(o)])
            said = self.community.api("GET", f"/api/peers/{peer}")
            self.assertEqual(said["state"], "ok", said)
            # Not twice, and what is new comes.
            count = len(self.stored(port, write))
            self.community.api("POST", f"/api/peers/{peer}/pull")
            self.community.list([("domain", "after.medallion-push.example")], "after.csv")
            self.community.api("POST", f"/api/peers/{peer}/pull", wanted=(204, 409))
            until(lambda: len(self.stored(port, write)) == count + 1, 60, lambda: f"one more: {count} {len(self.stored(port, write))}")
        finally:
            server.terminate()
            server.wait(20)

    def stored(self, port, collection):
        """What medallion has of it, over all pages."""
        found, after = [], None
        while True:
            reply = requests.get(f"http://127.0.0.1:{port}/r/collections/{collection}/objects/", auth=("bavn", "Password0"), headers={"Accept": MEDIA},
                                 params={"limit": 5, **({"next": after} if after else {})}, timeout=20).json()
            found += reply.get("objects", [])
            after = reply.get("next")
            if not reply.get("more"):
                return found


if __name__ == "__main__":
    unittest.main(verbosity=2)
