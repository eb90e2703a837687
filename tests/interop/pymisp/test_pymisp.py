#!/usr/bin/env python3
"""Unmodified PyMISP against `bavn hub`: what people's scripts do with a MISP; and a MISP's own requests when it pulls."""
import argparse
import datetime
import functools
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import sys
import threading
import unittest
import uuid

import logging

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "contract"))
sys.path.insert(0, str(HERE.parents[1] / "e2e"))
from desk import NO_LIMITS, Desk  # noqa: E402
from support.community import Community, until  # noqa: E402

from pymisp import MISPAttribute, MISPEvent, MISPFeed, MISPObject, MISPOrganisation, MISPSighting, MISPTag, PyMISP  # noqa: E402

logging.getLogger("pymisp").setLevel(logging.CRITICAL)
WORK = None
CORPUS = pathlib.Path(os.environ["BAVN_CORPORA"]) / "threat_intel"


class Feed(http.server.ThreadingHTTPServer):
    """A folder as a feed of somebody on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.server.asked.append(self.path)
            super().do_GET()

    def __init__(self, folder):
        folder.mkdir(parents=True)
        self.folder, self.asked = folder, []
        super().__init__(("127.0.0.1", 0), functools.partial(self.Quiet, directory=str(folder)))
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def write(self, *events):
        """As PyMISP's own feed generator does."""
        manifest, hashes = {}, []
        for event in events:
            (self.folder / f"{event.uuid}.json").write_text(json.dumps(event.to_feed(), indent=2))
            manifest |= event.manifest
            hashes += [f"{h},{event.uuid}" for h in event.attributes_hashes("md5")]
        (self.folder / "hashes.csv").write_text("\n".join(hashes) + "\n")
        (self.folder / "manifest.json").write_text(json.dumps(manifest))


class Hub(Community):
    def __init__(self, folder, inside):
        self.inside = inside
        super().__init__(folder, [])

    def enrolling(self):
        settings = self.hub.folder / "settings.toml"
        settings.write_text(settings.read_text().replace("[web]\nport = 0\n", "[web]\nport = 0\n" + NO_LIMITS)
                            + f'[exchange]\ninside = "{self.inside}"\n')
        self.hub.stop()
        self.hub.start()
        self.hub.ready()


class Test(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.feed = Feed(WORK / "feed")
        cls.community = Hub(WORK / "community", "127.0.0.1")  # the only host inside that may be asked
        cls.desk = Desk(cls.community.hub)
        cls.misp = PyMISP(cls.desk.url, f"Bearer {cls.desk.key}", ssl=False)

    @classmethod
    def tearDownClass(cls):
        cls.community.stop()
        cls.feed.shutdown()
        cls.feed.server_close()

    def event(self, info="an event", **more):
        event = MISPEvent()
        event.from_dict(info=info, distribution=1, threat_level_id=2, analysis=1, **more)
        return event

    def raw(self, method, path, body=None, headers=None, key=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.desk.host.port, timeout=60)
        try:
            text = json.dumps(body) if body is not None and not isinstance(body, (str, bytes)) else body
            connection.request(method, path, text, {"Authorization": f"Bearer {self.desk.key}" if key is None else key, "Accept": "application/json",
                                                    "Content-Type": "application/json", **(headers or {})})
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def test_a_client_that_comes_in_knows_who_we_are(self):
        self.assertEqual(self.misp.misp_instance_version["version"].count("."), 2)
        self.assertEqual(len(self.misp.describe_types_remote["categories"]), 16)
        self.assertIn("domain", self.misp.types)
        me = self.misp.get_user("me")
        self.assertIn("Role", me)
        status, _, body = self.raw("GET", "/servers/getVersion", key="not-a-key")
        self.assertEqual(status, 401)
        self.assertIn("message", json.loads(body))

    def test_an_event_is_added_found_edited_published_and_deleted(self):
        misp = self.misp
        event = self.event("Phishing against a town", date="2026-05-01")
        event.add_tag("tlp:green")
        event.add_attribute("domain", "Evil.example", comment="sender")
        event.add_attribute("ip-dst|port", "192.0.2.77|8443")
        added = misp.add_event(event, pythonify=True)
        self.assertIsInstance(added, MISPEvent, added)
        self.assertEqual(added.uuid, event.uuid)
        self.assertEqual([a.value for a in added.attributes], ["Evil.example", "192.0.2.77|8443"])
        self.assertEqual([t.name for t in added.tags], ["tlp:green"])
        self.assertTrue(misp.event_exists(event))
        self.assertFalse(misp.event_exists(str(uuid.uuid4())))
        self.assertIn("errors", misp.add_event(event))
        # Attributes, alone and in lists.
        one = misp.add_attribute(added, {"type": "url", "value": "http://evil.example/a"}, pythonify=True)
        self.assertIsInstance(one, MISPAttribute, one)
        self.assertIn("errors", misp.add_attribute(added, {"type": "url", "value": "http://evil.example/a"}))
        again = misp.add_attribute(added, {"type": "url", "value": "http://evil.example/a", "comment": "new"}, pythonify=True, break_on_duplicate=False)
        self.assertEqual((again.id, again.comment), (one.id, "new"))
        many = misp.add_attribute(added, [MISPAttribute() for _ in ()] + self.attributes("many", 3), pythonify=True)
        self.assertEqual(len(many["attributes"]), 3)
        single = misp.add_attribute(added, self.attributes("single", 1), pythonify=True)
        self.assertEqual(len(single["attributes"]), 1)
        one.to_ids = False
        one.comment = "not for detection"
        changed = misp.update_attribute(one, pythonify=True)
        self.assertEqual((changed.to_ids, changed.comment), (False, "not for detection"))
        self.assertIn("message", misp.delete_attribute(one))
        self.assertNotIn(one.uuid, [a.uuid for a in misp.get_event(added, pythonify=True).attributes])
        self.assertIn(one.uuid, [a.uuid for a in misp.get_event(added, pythonify=True, deleted=[0, 1]).attributes])
        self.assertFalse(misp.restore_attribute(one, pythonify=True).deleted)
        # The event.
        added = misp.get_event(added, pythonify=True)
        added.info = "Phishing against two towns"
        self.assertEqual(misp.update_event(added, pythonify=True).info, "Phishing against two towns")
        self.assertFalse(misp.get_event(added, pythonify=True).published)
        self.assertTrue(misp.publish(added)["saved"])
        self.assertTrue(misp.get_event(added, pythonify=True).published)
        known = until(lambda: self.community.hub.rows("SELECT value FROM hub_indicator WHERE value = 'evil.example'"), 30, lambda: self.community.hub.tail())
        self.assertEqual(known, [("evil.example",)])
        self.assertTrue(misp.unpublish(added)["saved"])
        until(lambda: not self.community.hub.rows("SELECT value FROM hub_indicator WHERE value = 'evil.example'"), 30, lambda: self.community.hub.tail())
        self.assertIn("message", misp.delete_event(added))
        self.assertFalse(misp.event_exists(added))

    def attributes(self, name, n):
        out = []
        for i in range(n):
            a = MISPAttribute()
            a.from_dict(type="domain", value=f"{name}{i}.example")
            out.append(a)
        return out

    def test_objects_and_references(self):
        misp = self.misp
        event = misp.add_event(self.event("with objects"), pythonify=True)
        file = MISPObject("file")
        file.add_attribute("filename", value="invoice.exe")
        file.add_attribute("sha256", value=hashlib.sha256(b"x").hexdigest())
        added = misp.add_object(event, file, pythonify=True)
        self.assertIsInstance(added, MISPObject, added)
        self.assertEqual(added.name, "file")
        self.assertEqual(len(added.attributes), 2)
        url = MISPObject("url")
        url.add_attribute("url", value="http://evil.example/invoice.exe")
        second = misp.add_object(event, url, pythonify=True)
        for a, b in ((added, second), (second, added)):  # a circle
            reference = a.add_reference(b.uuid, "downloaded-from")
            self.assertNotIn("errors", misp.add_object_reference(reference))
        whole = misp.get_event(event, pythonify=True)
        self.assertEqual([len(o.references) for o in whole.objects], [1, 1])
        self.assertTrue(misp.object_exists(added))
        self.assertEqual(misp.get_object(added, pythonify=True).uuid, added.uuid)
        self.assertEqual(len(misp.search("objects", object_name="file", eventid=event.id, pythonify=True)), 1)
        added.comment = "changed"
        self.assertEqual(misp.update_object(added, pythonify=True).comment, "changed")
        self.assertIn("message", misp.delete_object(added))
        self.assertEqual([o.uuid for o in misp.get_event(event, pythonify=True).objects], [second.uuid])

    def test_every_form_of_search(self):
        misp = self.misp
        event = self.event("searched", date="2025-01-15")
        event.add_tag("tlp:clear")
        event.add_attribute("domain", "search.example").add_tag("rsit:fraud=\"phishing\"")
        event.add_attribute("md5", "0" * 32, to_ids=False)
        event = misp.add_event(event, pythonify=True)
        self.assertEqual([e.uuid for e in misp.search(value="search.example", pythonify=True)], [event.uuid])
        self.assertEqual([e.uuid for e in misp.search(controller="events", eventinfo="searched", pythonify=True)], [event.uuid])
        found = misp.search("attributes", eventid=event.id, pythonify=True)
        self.assertEqual(sorted(a.type for a in found), ["domain", "md5"])
        self.assertEqual(found[0].Event.uuid, event.uuid)
        for query, n in (({"type_attribute": "md5"}, 1), ({"to_ids": 0}, 1), ({"to_ids": 1}, 1), ({"tags": "rsit:%"}, 1), ({"tags": ["!rsit:%"]}, 1),
                         ({"tags": misp.build_complex_query(or_parameters=["tlp:clear"], not_parameters=["rsit:%"])}, 1),
                         ({"value": "search%"}, 1), ({"category": "Network activity"}, 1), ({"org": "Test CERT"}, 2), ({"timestamp": "1h"}, 2),
                         ({"date_from": "2025-01-01", "date_to": "2025-02-01"}, 2), ({"date_from": "2025-02-01"}, 0), ({"published": 0}, 2),
                         ({"published": True}, 0), ({"limit": 1}, 1), ({"limit": 1, "page": 3}, 0), ({"uuid": event.uuid}, 2), ({"publish_timestamp": "1d"}, 0)):
            got = misp.search("attributes", eventid=event.id, pythonify=True, **query)
            self.assertEqual(len(got), n, (query, got))
        with_tags = misp.search("attributes", eventid=event.id, type_attribute="domain", include_event_tags=True, pythonify=True)
        self.assertEqual(sorted(t.name for t in with_tags[0].tags), ["rsit:fraud=\"phishing\"", "tlp:clear"])
        self.assertEqual(misp.search("events", eventid=event.id, metadata=True, pythonify=True)[0].attributes, [])
        self.assertEqual([e.uuid for e in misp.search_index(eventinfo="searched", pythonify=True)], [event.uuid])
        self.assertEqual([e["uuid"] for e in misp.search_index(eventinfo="searched", minimal=True)], [event.uuid])
        self.assertIn(event.uuid, [e.uuid for e in misp.events(pythonify=True)])
        self.assertIn("search.example", misp.search("attributes", return_format="text", eventid=event.id))
        self.assertEqual(len(misp.search("attributes", return_format="csv", eventid=event.id, pythonify=True)), 2)
        # Dates and clocks as PyMISP sends them, with a fraction.
        for query, n in (({"timestamp": datetime.datetime.now() - datetime.timedelta(hours=1, microseconds=7)}, 2),
                         ({"date_from": datetime.date(2025, 1, 1), "date_to": datetime.date(2025, 2, 1)}, 2)):
            self.assertEqual(len(misp.search("attributes", eventid=event.id, pythonify=True, **query)), n, query)
        self.assertEqual(misp.search("attributes", return_format="csv", eventid=event.id, type_attribute="domain", requested_attributes=["type", "value"],
                                     headerless=True).strip(), '"domain","search.example"')
        self.assertEqual(misp.sharing_groups(), [])

    def test_tags_taxonomies_and_warninglists(self):
        misp = self.misp
        event = self.event("tagged")
        event.add_attribute("ip-dst", "10.11.12.13")
        event = misp.add_event(event, pythonify=True)
        self.assertTrue(misp.tag(event, "tlp:amber")["saved"])
        self.assertTrue(misp.tag(event.attributes[0], MISPTag(name="mine", colour="#123456"), local=True)["saved"])
        self.assertEqual([t.name for t in misp.get_event(event, pythonify=True).tags], ["tlp:amber"])
        self.assertTrue(misp.untag(event, "tlp:amber")["saved"])
        self.assertEqual(misp.get_event(event, pythonify=True).tags, [])
        self.assertIn("mine", [t.name for t in misp.tags(pythonify=True)])
        self.assertEqual([t.name for t in misp.search_tags("min%", pythonify=True)], ["mine"])
        self.assertIn("errors", misp.tag(str(uuid.uuid4()), "tlp:amber"))
        tlp = [t for t in misp.taxonomies(pythonify=True) if t.namespace == "tlp"][0]
        self.assertIn("message", misp.enable_taxonomy(tlp))
        self.assertIn("message", misp.enable_taxonomy_tags(tlp))
        self.assertIn("tlp:amber+strict", [t.name for t in misp.tags(pythonify=True)])
        self.assertIn("message", misp.disable_taxonomy(tlp))
        self.assertFalse(misp.get_taxonomy(tlp, pythonify=True).enabled)
        lists = misp.warninglists(pythonify=True)
        self.assertGreater(len(lists), 20)
        hit = misp.values_in_warninglist(["10.11.12.13", "unlisted-name.dk"])
        self.assertEqual(list(hit), ["10.11.12.13"])
        self.assertEqual(hit["10.11.12.13"][0]["matched"], "10.11.12.13")
        self.assertEqual(misp.search("attributes", eventid=event.id, enforce_warninglist=True, pythonify=True), [])
        private = hit["10.11.12.13"][0]["id"]
        misp.disable_warninglist(private)
        self.assertNotIn(private, [h["id"] for h in dict(misp.values_in_warninglist(["10.11.12.13"]) or {}).get("10.11.12.13", [])])
        misp.enable_warninglist(private)

    def test_sightings_of_all_kinds(self):
        misp = self.misp
        event = self.event("seen")
        event.add_attribute("domain", "seen.example")
        event = misp.add_event(event, pythonify=True)
        attribute = event.attributes[0]
        for kind in ("0", "1", "2"):
            sighting = MISPSighting()
            sighting.from_dict(type=kind, source="a test")
            got = misp.add_sighting(sighting, attribute, pythonify=True)
            self.assertIsInstance(got, MISPSighting, got)
            self.assertEqual(str(got.type), kind)
        by_value = misp.add_sighting({"value": "seen.example"}, pythonify=True)
        self.assertIsInstance(by_value, MISPSighting, by_value)
        self.assertEqual(len(misp.sightings(event, pythonify=True)), 4)
        self.assertEqual(len(misp.sightings(attribute, pythonify=True)), 4)
        found = misp.search_sightings(context="attribute", context_id=attribute.id, include_attribute=True, include_event_meta=True, pythonify=True)
        self.assertEqual(len(found), 4)
        self.assertEqual(found[0]["attribute"].value, "seen.example")
        self.assertEqual(len(misp.search_sightings(context="event", context_id=event.id, type_sighting="1", pythonify=True)), 1)
        self.assertIn("message", misp.delete_sighting(by_value))
        self.assertEqual(len(misp.sightings(event, pythonify=True)), 3)

    def test_proposals_are_refused_politely(self):
        event = misp_event = self.misp.add_event(self.event("no proposals"), pythonify=True)
        attribute = MISPAttribute()
        attribute.from_dict(type="domain", value="proposed.example")
        said = self.misp.add_attribute_proposal(misp_event, attribute)
        self.assertEqual(said["errors"][0], 403)
        self.assertIn("Proposals are not taken here", said["errors"][1]["message"])
        self.assertEqual(self.misp.attribute_proposals(event), [])

    def test_every_event_of_the_corpus_goes_in_and_comes_back(self):
        if not CORPUS.is_dir():
            self.skipTest("the corpora are not here")
        n = 0
        for path in sorted((CORPUS / "misp_events" / "eset").glob("*.json")):
            event = MISPEvent()
            event.load_file(str(path))
            before = {a.uuid: a for a in [*event.attributes, *(a for o in event.objects for a in o.attributes)]}
            back = self.misp.add_event(event, pythonify=True)
            self.assertIsInstance(back, MISPEvent, (path, back))
            back = self.misp.get_event(event.uuid, pythonify=True, deleted=[0, 1])
            after = {a.uuid: a for a in [*back.attributes, *(a for o in back.objects for a in o.attributes)]}
            self.assertEqual(set(before), set(after), path)
            for key, a in before.items():
                b = after[key]
                self.assertEqual((a.type, a.category, a.value, a.to_ids, a.comment), (b.type, b.category, b.value, b.to_ids, b.comment), path)
                self.assertEqual(sorted(t.name for t in a.tags), sorted(t.name for t in b.tags))
            self.assertEqual(back.Orgc.name, event.Orgc.name)
            self.assertEqual((back.info, back.date, str(back.analysis)), (event.info, event.date, str(event.analysis)))
            n += 1
        print(f"{n} event files", file=sys.stderr)

    def test_a_misp_pulls(self):
        event = self.event("pulled")
        event.add_attribute("domain", "pulled.example")
        event.publish()
        self.assertIn("Event", self.misp.add_event(event))
        said = {}

        def filled(value):
            if isinstance(value, str):
                for k, v in said.items():
                    value = value.replace("{" + k + "}", v)
                return value
            if isinstance(value, list):
                return [filled(v) for v in value]
            if isinstance(value, dict):
                return {k: filled(v) for k, v in value.items()}
            return value

        def at(body, path):
            for part in path.split("."):
                body = body[int(part)] if isinstance(body, list) else body[part]
            return body

        for step in json.loads((HERE / "pull_conversation.json").read_text())["steps"]:
            what = f"{step['method']} {step['path']}"
            status, headers, text = self.raw(step["method"], filled(step["path"]), filled(step["body"]) if "body" in step else None, filled(step.get("headers", {})))
            self.assertEqual(status, step["status"], (what, text[:500]))
            if status == 304 or step["method"] == "HEAD":
                continue
            body = json.loads(text)
            for member in step.get("members", []):
                self.assertIn(member, body, what)
            if "list" in step:
                self.assertIsInstance(body, list, what)
                for row in body:
                    for member in step["list"]:
                        self.assertIn(member, row, what)
            for path, wanted in step.get("equal", {}).items():
                self.assertEqual(at(body, path), filled(wanted), what)
            for name, path in step.get("take", {}).items():
                said[name] = headers[path.split()[1]] if path.startswith("header") else at(body, path)

    def test_a_partner_with_its_bare_key_reads_and_writes_within_its_marking(self):
        status, _, text = self.raw("POST", "/api/peers", {"name": "Town MISP", "kind": "client", "direction": "both", "ceiling": "green"})
        self.assertEqual(status, 201, text)
        peer = json.loads(text)["id"]
        status, _, text = self.raw("POST", f"/api/peers/{peer}/keys", {"label": "pymisp", "read": True, "write": True})
        self.assertEqual(status, 201, text)
        partner = PyMISP(self.desk.url, json.loads(text)["key"], ssl=False)
        green, amber = self.event("for partners"), self.event("not for partners")
        for event, tag in ((green, "tlp:green"), (amber, "tlp:amber")):
            event.add_tag(tag)
            event.add_attribute("domain", f"{tag[4:]}.partner.example")
            event.publish()
            self.assertIn("Event", self.misp.add_event(event))
        self.assertTrue(partner.event_exists(green))
        self.assertFalse(partner.event_exists(amber))
        self.assertEqual([a.value for a in partner.search("attributes", value="%.partner.example", pythonify=True)], ["green.partner.example"])
        self.assertEqual(partner.add_attribute(green, {"type": "domain", "value": "x.example"})["errors"][0], 403)
        own = self.event("from a partner")
        own.add_tag("tlp:green")
        own.add_attribute("domain", "brought-by-a-partner.dk")
        own = partner.add_event(own, pythonify=True)
        self.assertIsInstance(own, MISPEvent, own)
        self.assertEqual(own.Orgc.name, "Town MISP")
        self.assertTrue(partner.publish(own)["saved"])
        until(lambda: self.community.hub.rows("SELECT source FROM hub_indicator WHERE value = 'brought-by-a-partner.dk'") == [("Town MISP",)], 30,
              lambda: self.community.hub.tail())
        partner.delete_event(own)
        until(lambda: not self.community.hub.rows("SELECT source FROM hub_indicator WHERE value = 'brought-by-a-partner.dk'"), 30,
              lambda: self.community.hub.tail())
        status, _, _ = self.raw("DELETE", f"/api/peers/{peer}/keys/{json.loads(text)['id']}")
        self.assertLess(status, 300)
        self.assertIn("errors", partner.get_event(green))

    def test_the_feed_is_one_that_pymisp_reads(self):
        event = self.event("in the feed")
        event.add_tag("tlp:clear")
        event.add_attribute("domain", "feed.example")
        event.publish()
        self.assertIn("Event", self.misp.add_event(event))
        status, headers, text = self.raw("GET", "/misp/feed/manifest.json")
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(text)[event.uuid]["info"], "in the feed")
        self.assertEqual(self.raw("GET", "/misp/feed/manifest.json", headers={"If-None-Match": headers["ETag"]})[0], 304)
        status, _, text = self.raw("GET", f"/misp/feed/{event.uuid}.json")
        read = MISPEvent()
        read.load(json.loads(text))
        self.assertEqual([a.value for a in read.attributes], ["feed.example"])
        # What PyMISP itself would write of the event is what stands there.
        self.assertEqual(json.dumps(json.loads(text), indent=2), text.decode())
        ours, theirs = json.loads(text)["Event"], read.to_feed()["Event"]
        self.assertEqual({k: v for k, v in ours.items() if k != "Attribute"}, {k: v for k, v in theirs.items() if k != "Attribute"})
        self.assertEqual(ours["Attribute"], theirs["Attribute"])
        self.assertIn(f"{hashlib.md5(b'feed.example').hexdigest()},{event.uuid}", self.raw("GET", "/misp/feed/hashes.csv")[2].decode().splitlines())

    def offered(self, info, value, **more):
        event = self.event(info, date="2026-04-01", **more)
        author = MISPOrganisation()
        author.from_dict(name="Feed author", uuid=str(uuid.uuid4()))
        event.Orgc = author
        event.add_tag("tlp:green")
        event.add_attribute("domain", value)
        event.publish()
        return event

    def new_feed(self, url, **more):
        feed = MISPFeed()
        feed.from_dict(**{"name": f"feed {uuid.uuid4()}", "provider": "somebody", "url": url, "input_source": "network", "source_format": "misp",
                          "enabled": False, "caching_enabled": False, **more})
        return feed

    def known(self, value):
        return self.community.hub.rows(f"SELECT source FROM hub_indicator WHERE value = '{value}'")

    def test_a_feed_is_added_enabled_fetched_changed_and_deleted(self):
        misp = self.misp
        first = self.offered("offered first", "first-of-the-feed.dk")
        self.feed.write(first)
        feed = misp.add_feed(self.new_feed(f"http://127.0.0.1:{self.feed.server_port}/", name="Loopback feed"), pythonify=True)
        self.assertIsInstance(feed, MISPFeed, feed)
        self.assertEqual((feed.name, feed.enabled, feed.source_format), ("Loopback feed", False, "misp"))
        self.assertIn(feed.id, [f.id for f in misp.feeds(pythonify=True)])
        self.assertEqual(misp.get_feed(feed, pythonify=True).url, feed.url)
        self.assertEqual(self.feed.asked, [], "what is not enabled is not asked")
        enabled = misp.enable_feed(feed, pythonify=True)
        self.assertIsInstance(enabled, MISPFeed, enabled)
        self.assertTrue(enabled.enabled)
        self.assertIn("queued", misp.fetch_feed(feed)["result"])
        until(lambda: self.known("first-of-the-feed.dk"), 30, lambda: self.community.hub.tail())
        self.assertEqual(self.known("first-of-the-feed.dk"), [("Loopback feed: Feed author",)])
        self.assertEqual([e.uuid for e in misp.search(value="first-of-the-feed.dk", pythonify=True)], [first.uuid])
        # Only what is new is asked for again; all, and "cache", read it, too.
        for number, fetch in enumerate((lambda: misp.fetch_feed(feed), misp.fetch_all_feeds, lambda: misp.cache_feed(feed), misp.cache_all_feeds, misp.cache_misp_feeds)):
            more = self.offered(f"offered later {number}", f"later{number}-of-the-feed.dk")
            before = len(self.feed.asked)
            self.feed.write(first, more)
            said = fetch()
            self.assertNotIn("errors", said, said)
            until(lambda: self.known(f"later{number}-of-the-feed.dk"), 30, lambda: self.community.hub.tail())
            self.assertNotIn(f"/{first.uuid}.json", self.feed.asked[before:])
        renamed = misp.get_feed(feed, pythonify=True)
        renamed.name = "Loopback feed renamed"
        self.assertIn("indicators carry its name", misp.update_feed(renamed)["errors"][1]["message"])
        other = misp.add_feed(self.new_feed("https://feed.example/other/"), pythonify=True)
        other.name = "Another name"
        changed = misp.update_feed(other, pythonify=True)
        self.assertIsInstance(changed, MISPFeed, changed)
        self.assertEqual(changed.name, "Another name")
        self.assertFalse(misp.disable_feed(feed, pythonify=True).enabled)
        # What there is not says so.
        for said, words in ((misp.enable_feed_cache(feed), "no cache"), (misp.compare_feeds(), "not compared"), (misp.load_default_feeds(), "no feeds ship")):
            self.assertIn(words, said["errors"][1]["message"])
        self.assertIn("0 feeds", misp.cache_freetext_feeds()["message"])
        self.assertIn("message", misp.delete_feed(feed))
        self.assertIn("errors", misp.get_feed(feed))

    def test_a_feed_inside_the_network_is_refused(self):
        before = len(self.feed.asked)
        for url in ("http://169.254.169.254/latest/meta-data/", "https://169.254.169.254/", "http://[::1]/", "https://[::1]/", "https://10.0.0.1/feed/", "https://192.168.1.1/",
                    "https://0x0a000001/", "https://167772161/", "https://[::ffff:10.0.0.1]/", "https://127.0.0.2/", "file:///etc/passwd", "gopher://10.0.0.1/"):
            said = self.misp.add_feed(self.new_feed(url, enabled=True))
            self.assertIn("errors", said, url)
            self.assertIn(said["errors"][0], (400, 403), (url, said))
        said = self.misp.add_feed(self.new_feed("https://feed.example/list.csv", source_format="csv"))
        self.assertIn("bavn import", said["errors"][1]["message"])
        # Nor by an edit.
        feed = self.misp.add_feed(self.new_feed("https://feed.example/"), pythonify=True)
        feed.url = "http://169.254.169.254/"
        self.assertIn("errors", self.misp.update_feed(feed))
        self.assertEqual(self.misp.get_feed(feed, pythonify=True).url, "https://feed.example/")
        self.assertEqual(self.feed.asked[before:], [])

    def test_who_is_a_partner_does_not_choose_our_feeds(self):
        status, _, text = self.raw("POST", "/api/peers", {"name": "Nosy MISP", "kind": "client", "direction": "both", "ceiling": "green"})
        self.assertEqual(status, 201, text)
        status, _, text = self.raw("POST", f"/api/peers/{json.loads(text)['id']}/keys", {"label": "pymisp", "read": True, "write": True})
        partner = PyMISP(self.desk.url, json.loads(text)["key"], ssl=False)
        self.assertEqual(partner.feeds()["errors"][0], 403)
        self.assertEqual(partner.add_feed(self.new_feed("https://feed.example/"))["errors"][0], 403)

    def test_large_events_go_in_and_out(self):
        n = 200_000 if os.environ.get("BAVN_TEST_LANE") == "long" else 20_000
        name = str(uuid.uuid4())
        body = json.dumps({"info": "large", "uuid": name, "distribution": "1",
                           "Attribute": [{"type": "domain", "value": f"host{i}.large.example", "comment": "c" * 100} for i in range(n)]})
        status, _, text = self.raw("POST", "/events/add", body)
        self.assertEqual(status, 200, text[:500])
        self.assertEqual(len(json.loads(text)["Event"]["Attribute"]), n)
        found = self.misp.search("attributes", value=f"host{n - 1}.large.example", pythonify=True)
        self.assertEqual(len(found), 1)
        peak = [line for line in pathlib.Path(f"/proc/{self.community.hub.process.pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
        print(f"{n} attributes, {len(body) >> 20} MB, {peak}", file=sys.stderr)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--work", type=pathlib.Path, required=True)
    chosen, rest = arguments.parse_known_args()
    WORK = chosen.work
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
