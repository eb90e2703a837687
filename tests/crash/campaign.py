"""Two taken accounts in a row, as in October 2024 but within minutes, while hub and nodes are killed (kill -9) at random moments and started
again. What is known afterwards is what it is without kills on the same records: one campaign with the same senders and edges, each receiver
told exactly its own Message-IDs, each once, one warning, once at every node and answered. BAVN_CRASH_KILLS says how often (20)."""
import collections
import datetime
import json
import os
import pathlib
import random
import re
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from support.community import Community, bavn, has_servers, kill_some, steady, until

KILLS = int(os.environ.get("BAVN_CRASH_KILLS", "20"))
SEED = int(os.environ.get("BAVN_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
TOWNS = {157: "gentofte.example", 173: "lyngby.example", 159: "gladsaxe.example", 230: "rudersdal.example"}
FIRST, SECOND = "anna.holm@gentofte.example", "bo.lund@lyngby.example"
EACH = {173: 45, 159: 30, 230: 25, 157: 35}  # mails of a wave to each of the others
CALM = 3  # seconds in which nothing changed


def number(town):
    """Of a municipality as the hub names it; 0: none."""
    return int(town["code"]) if town else 0


class Case:
    """The records of every town, in the order in which its logs tell them: sign-ins minutes late, the audit log after the mails."""

    def __init__(self, seed):
        self.random, self.now, self.number = random.Random(seed), datetime.datetime.now(datetime.timezone.utc), 0
        self.lines = []  # (town, file, record) in the order of writing
        self.sent = collections.defaultdict(set)  # (sender, town): Message-IDs
        self.known = collections.defaultdict(set)  # town: Message-IDs in its own logs
        for i in range(15):
            self.daily(240 - i)
        self.sign_in(157, FIRST, 70, "s1", "203.0.113.66")
        self.wave(157, FIRST, 45, "Faktura")
        self.audit(157, FIRST, 60, "s1", "203.0.113.66", "a")
        for i in range(10):
            self.daily(40 - i)
        self.sign_in(173, SECOND, 30, "s2", "203.0.113.67")
        self.wave(173, SECOND, 20, "Faktura")
        self.audit(173, SECOND, 25, "s2", "203.0.113.67", "b")
        for i in range(15):
            self.daily(10 - i / 3)

    def at(self, minutes_ago):
        return (self.now - datetime.timedelta(minutes=minutes_ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def trace(self, sender, recipient, minutes_ago, subject):
        self.number += 1
        message = f"m{self.number:05d}x{self.random.getrandbits(40):010x}@{sender.partition('@')[2]}"
        record = {"MessageTraceId": f"00000000-0000-4000-8000-{self.number:012d}", "SenderAddress": sender, "RecipientAddress": recipient,
                  "MessageId": f"<{message}>", "Subject": subject, "Status": "Delivered", "FromIP": "192.0.2.7", "Received": self.at(minutes_ago),
                  "Size": 20480}
        for town, domain in TOWNS.items():
            if sender.endswith("@" + domain) or recipient.endswith("@" + domain):
                self.lines.append((town, "trace", record))
                self.known[town].add(message)
        return message

    def daily(self, minutes_ago):
        """Mail between two colleagues, as there is all day."""
        sender, recipient = self.random.sample(sorted(TOWNS.values()), 2)
        self.trace(f"clerk{self.random.randrange(6)}@{sender}", f"clerk{self.random.randrange(6)}@{recipient}", minutes_ago,
                   f"Sag {self.random.randrange(10**6)} {self.random.choice(['svar', 'bilag', 'aftale', 'referat'])}")

    def wave(self, home, sender, minutes_ago, word):
        to = [(town, i) for town in TOWNS if town != home for i in range(EACH[town])]
        self.random.shuffle(to)
        for n, (town, i) in enumerate(to):
            message = self.trace(sender, f"person{i}@{TOWNS[town]}", minutes_ago - n / 30, f"{word} {1000 + self.random.randrange(9000)}")
            self.sent[sender, town].add(message)

    def sign_in(self, town, account, minutes_ago, session, ip):
        self.lines.append((town, "sign_in", {
            "createdDateTime": self.at(minutes_ago), "id": "in-" + session, "userPrincipalName": account, "appDisplayName": "OfficeHome",
            "appId": "4765445b-32c6-49b0-83e6-1d93765276ca", "ipAddress": ip, "clientAppUsed": "Browser", "isInteractive": True,
            "conditionalAccessStatus": "success", "sessionId": session, "autonomousSystemNumber": 64500, "status": {"errorCode": 0},
            "deviceDetail": {"deviceId": "", "browser": "Odd 1"}, "location": {"countryOrRegion": "NL"}, "userAgent": "Odd/1.0",
            "riskLevelDuringSignIn": "high"}))

    def audit(self, town, account, minutes_ago, session, ip, name):
        self.lines.append((town, "audit", {
            "Id": name + "1", "CreationTime": self.at(minutes_ago)[:19], "RecordType": 8, "Operation": "Consent to application.",
            "OrganizationId": "o", "UserType": 0, "UserKey": "k", "Workload": "AzureActiveDirectory", "ResultStatus": "Success",
            "UserId": account, "ObjectId": "8f1d2b3c-0000-4000-8000-000000000001", "ActorIpAddress": ip, "ClientIP": ip,
            "AppAccessContext": {"AADSessionId": session}}))
        self.lines.append((town, "audit", {
            "Id": name + "2", "CreationTime": self.at(minutes_ago - 1)[:19], "RecordType": 1, "Operation": "New-InboxRule",
            "OrganizationId": "o", "UserType": 2, "UserKey": "k", "Workload": "Exchange", "ResultStatus": "True", "UserId": account,
            "ClientIP": ip, "ObjectId": account, "SessionId": session,
            "Parameters": [{"Name": "Name", "Value": "."}, {"Name": "DeleteMessage", "Value": "True"}]}))


class Wave(Community):
    """Hub and nodes that know each other's domains, follow files of their own, and may warn without a person."""

    def __init__(self, folder, case):
        self.case, self.written = case, 0
        super().__init__(folder, list(TOWNS), files=self.files)

    def begin(self):
        for town, domain in TOWNS.items():
            self.ask("hub", "municipality", "domains", f"{town:04}", domain, "--data", self.hub.folder)
        self.ask("campaigns", "trigger", "sender_notice", "live", "--why", "test", "--data", self.hub.folder)
        self.start_nodes()
        for node in self.nodes:
            until(lambda n=node: any(all(d in p for d in TOWNS.values())
                                     for (p,) in n.rows("SELECT payload FROM node_content WHERE name = 'community'")), 60,
                  lambda n=node: f"{n.folder.name} knows the community: {n.rows('SELECT payload FROM node_content')}: {n.tail()}")

    def files(self, town):
        (self.folder / f"logs{town}").mkdir()
        for name in ("trace", "sign_in", "audit"):
            (self.folder / f"logs{town}" / f"{name}.ndjson").touch()
        return {"sources.toml": f'[[source]]\nname = "m365"\nkind = "files"\npaths = ["{self.folder}/logs{town}/*.ndjson"]\n',
                # Parts soon: else the test waits for them.
                "settings.toml": "[notice]\npart_after = 1\n"}

    def enrolling(self):
        self.hub.stop()
        with open(self.hub.folder / "settings.toml", "a") as settings:
            settings.write("[warn]\nupdate_gap = 1\n")  # the last version soon: else the test waits for it
        self.hub.start()
        self.hub.ready()

    def ask(self, *words):
        code, out, err = bavn(*words)
        assert code == 0, f"{words}: {out} {err}"
        return json.loads(out) if "--json" in words else out

    def at_hub(self, *words):
        return self.ask(*words, "--data", self.hub.folder, "--json")

    def of(self, town):
        return next(n for n in self.nodes if n.folder.name == f"node{town}")

    def write(self, upto):
        """The next lines of everybody's logs."""
        for town, name, record in self.case.lines[self.written:upto]:
            with open(self.folder / f"logs{town}" / f"{name}.ndjson", "a") as log:
                log.write(json.dumps(record) + "\n")
        self.written = max(self.written, upto)

    def write_slowly(self, seconds):
        for n in range(0, len(self.case.lines), 40):
            self.write(n + 40)
            time.sleep(seconds * 40 / len(self.case.lines))

    # ---- at the end ----

    def open_ends(self):
        """What is still on its way; empty: nothing."""
        ends = []
        lines = collections.Counter(town for town, _, _ in self.case.lines[: self.written])
        for town in TOWNS:
            node = self.of(town)
            read = node.rows("SELECT coalesce(sum(records), 0) FROM live_source")[0][0]
            if read != lines[town]:
                ends.append(f"{town} read {read} of {lines[town]} records")
            if node.rows("SELECT count(*) FROM spool")[0][0]:
                ends.append(f"{town} has reports that the hub has not")
            heads = dict(self.hub.rows("SELECT name, seq FROM beacon_stream"))
            cursors = dict(node.rows("SELECT stream, seq FROM beacon_cursor"))
            for stream in ("urgent/all", f"urgent/{town}"):
                if cursors.get(stream, 0) != heads.get(stream, 0):
                    ends.append(f"{town} is at {cursors.get(stream, 0)} of {heads.get(stream, 0)} of {stream}")
        for process in self.all():
            ends += process.on_its_way()
            soon = process.rows("SELECT kind FROM timer WHERE due_us < ? AND kind NOT LIKE 'beacon%'", int((time.time() + CALM) * 1e6))
            ends += [f"{process.folder.name}: timer {kind}" for (kind,) in soon]
        return ends

    def quiet(self, seconds=120):
        """Nothing is on its way, and nothing changes any more."""
        end = time.monotonic() + seconds
        while True:
            until(lambda: not self.open_ends(), end - time.monotonic(), lambda: f"quiet: {self.open_ends()} {self.hub.tail(600)}")
            steady(lambda: [p.rows("SELECT max(seq) FROM domain_event") for p in self.all()], CALM, end - time.monotonic(), "what happened")
            if not self.open_ends():
                return

    def told(self, town):
        """Message-IDs that the hub told this node, by sender; as often as it told them."""
        told = collections.defaultdict(collections.Counter)
        for (payload,) in self.of(town).rows("SELECT payload FROM node_notice_named"):
            entry = json.loads(payload)
            told[entry["sender"]].update(entry.get("message_ids", []))
        return told

    def foreign(self, town):
        """Message-IDs of the case that stand anywhere in this node's state and in none of its own logs."""
        found = set()
        tables = [t for (t,) in self.of(town).rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in self.of(town).rows(f'SELECT * FROM "{table}"'):
                for value in row:
                    text = value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""
                    found.update(re.findall(r"m\d{5}x[0-9a-f]{10}@[a-z.]+\.example", text))
        assert found & self.case.known[town], f"the search finds not even what {town} has itself"
        return found - self.case.known[town]

    def state(self):
        """What must be the same with and without kills. Ids, versions and minutes may differ."""
        self.quiet()
        s = {}
        campaigns = self.at_hub("campaigns", "list")
        s["campaigns"] = [{k: c.get(k) for k in ("state", "trigger", "lit_by", "severity", "first_mail_at", "last_mail_at")} |
                          {k: c["counts"][k] for k in ("municipalities", "senders", "mails", "outside")} for c in campaigns]
        facts = self.at_hub("campaigns", "show", campaigns[0]["id"]) if campaigns else {}
        s["senders"] = sorted((x["address"], number(x.get("municipality")), x["mails"], x["first_at"]) for x in facts.get("senders", []))
        s["edges"] = sorted((number(e.get("from")), number(e.get("to")), e["mails"], e["first_at"], e["last_at"]) for e in facts.get("arrows", []))
        # A takeover's own time is when it was noticed, its steps have theirs; which levels it was told at before the last is a matter of seconds.
        signs = [(x["group"], x["kind"], number(x.get("municipality")), "" if x["kind"].startswith("takeover_") else x["at"])
                 for x in facts.get("signs", [])]
        s["signs"] = sorted(x for x in signs if x[1] not in ("takeover_suspected", "takeover_likely") or
                            (x[0], "takeover_sure", *x[2:]) not in signs)
        s["observables"] = sorted((o["kind"], o["value"]) for o in facts.get("observables", []))
        s["parts, bursts and takeovers refused"] = self.hub.rows("SELECT municipality, kind, reason FROM corr_refused")
        # A burst that grows slowly is told again after ten minutes: what it counted when it was told last depends on when mails came.
        s["noticed"] = {town: sorted(self.of(town).rows(
            "SELECT kind, concern, level, outside, first_us, iif(kind = 'burst', 0, mails), iif(kind = 'burst', 0, recipients), "
            "iif(kind = 'burst', 0, last_us) FROM node_notice")) for town in TOWNS}
        s["told"] = {town: {sender: sorted(ids.elements()) for sender, ids in self.told(town).items()} for town in TOWNS}
        s["to be emptied"] = {town: sorted(i for (i,) in self.of(town).rows("SELECT message_id FROM purge_message")) for town in TOWNS}
        s["of others"] = {town: sorted(self.foreign(town)) for town in TOWNS}
        s["answered by themselves"] = self.hub.rows("SELECT municipality FROM warning_town WHERE answer IS NOT NULL ORDER BY 1")
        # A person asks every node to look again: late records are found now, not in an hour.
        for (id,) in self.hub.rows("SELECT id FROM warning WHERE version > 0"):
            for town in TOWNS:
                self.ask("warnings", "look", id, "--data", self.of(town).folder)
        self.quiet()
        warnings = self.at_hub("warnings", "list")
        s["warnings"] = [{k: w[k] for k in ("severity", "tlp", "first_seen_at", "lit_by_itself", "asked", "answered", "seen_here")} for w in warnings]
        kept = ("state", "hits", "recipients", "first_hit_at", "looked_in", "by")
        s["answers"] = sorted((number(a["municipality"]), a["municipality"]["name"], *(a.get(k) for k in kept))
                              for w in warnings for a in self.at_hub("warnings", "show", w["id"])["answers"] if "state" in a)
        s["taken"] = {town: self.of(town).rows("SELECT municipality, why FROM warning_taken_here") for town in TOWNS}
        s["warned of"] = self.entries("severity", "look_for", "from_domain", "tlp")
        # A person says that it was real, then that it is over: the last words have the last figures.
        for c in campaigns:
            self.ask("campaigns", "judge", c["id"], "--why", "test", "--data", self.hub.folder)
            self.quiet()
            self.ask("campaigns", "close", c["id"], "--data", self.hub.folder)
        self.quiet()
        s["versions of warnings that went out more or less than once"] = (
            self.hub.rows("SELECT (SELECT count(*) FROM beacon_entry WHERE kind = 'warning') - (SELECT count(*) FROM warning_version)")[0][0])
        s["last words"] = self.entries("state", "severity", "look_for", "mails", "municipalities", "texts")
        return s

    def entries(self, *parts):
        """Of each warning at each node."""
        def ordered(value):
            return sorted(value, key=json.dumps) if isinstance(value, list) else value
        return {town: [{part: ordered(w["entry"].get(part)) for part in parts}
                       for w in self.ask("warnings", "list", "--data", self.of(town).folder, "--json")] for town in TOWNS}


@unittest.skipUnless(has_servers(), "this binary has no hub and node")
class Campaign(unittest.TestCase):
    maxDiff = 6000

    @classmethod
    def setUpClass(cls):
        cls.case = Case(SEED)
        cls.calm = cls.state_after(lambda community: community.write_slowly(10))

    @classmethod
    def state_after(cls, what):
        with tempfile.TemporaryDirectory() as folder:
            community = Wave(folder, cls.case)
            try:
                community.begin()
                what(community)
                return community.state()
            finally:
                community.end()

    def same(self, s):
        """Every part of it is looked at, whatever differs."""
        for what, calm in self.calm.items():
            with self.subTest(what=what, seed=SEED):
                self.assertEqual(s[what], calm)
        different = [what for what, calm in self.calm.items() if s[what] != calm]
        return f"Different from without kills: {', '.join(different)}" if different else f"The same as without kills: {self.compared(s)}"

    def test_without_kills_it_is_the_case_that_was_written(self):
        """The measure itself: else two empty states would be the same."""
        s = self.calm
        mails = {sender: sum(len(ids) for (who, _), ids in self.case.sent.items() if who == sender) for sender in (FIRST, SECOND)}
        self.assertEqual(len(s["campaigns"]), 1, s["campaigns"])
        self.assertEqual(s["campaigns"][0]["mails"], sum(mails.values()))
        self.assertEqual({x[0]: x[2] for x in s["senders"]}, mails)
        self.assertEqual({(e[0], e[1]): e[2] for e in s["edges"]},
                         {(157 if who == FIRST else 173, town): len(ids) for (who, town), ids in self.case.sent.items()})
        for town in TOWNS:
            self.assertEqual(s["told"][town], {who: sorted(ids) for (who, to), ids in self.case.sent.items() if to == town}, town)
            self.assertEqual(s["of others"][town], [])
            self.assertEqual(len(s["warned of"][town]), 1, s["warned of"][town])
            self.assertEqual([w["state"] for w in s["last words"][town]], ["over"])
            self.assertIn("gentofte.example", json.dumps(s["last words"][town]))
        self.assertEqual(len(s["warnings"]), 1)
        self.assertEqual(s["answered by themselves"], [(town,) for town in sorted(TOWNS)])
        self.assertEqual(s["versions of warnings that went out more or less than once"], 0)
        self.assertEqual([a[0] for a in s["answers"]], sorted(TOWNS))

    def test_killed_at_random_moments_it_is_the_same(self):
        rng, began, log = random.Random(SEED), time.monotonic(), []

        def kills(community):
            targets = community.all()
            for n in range(KILLS):
                # The rest of the records come while it is killed too; a tenth after the last kill.
                upto = len(self.case.lines) * (n + 1) * 9 // (KILLS * 10)
                community.write(rng.randrange(community.written, upto + 1))
                kill_some(targets, rng, f"seed {SEED}", lambda upto=upto: community.write(upto))
            community.write(len(self.case.lines))
            for p in targets:
                p.ready()
            log.append(", ".join(f"{p.folder.name} {p.kills}" for p in targets))
            log.append(sum(p.kills for p in targets))

        s = self.state_after(kills)
        result = self.same(s)
        print(f"\nseed {SEED}: {log[1]} kills ({log[0]}), {time.monotonic() - began:.0f} s with quiet. {result}")

    def test_a_node_that_was_away_has_it_once_when_it_returns(self):
        def away(community):
            late, hub = community.of(230), community.hub
            late.kill()
            community.write(len(self.case.lines))
            others = [community.of(t) for t in TOWNS if t != 230]
            until(lambda: all(n.rows("SELECT 1 FROM warning_here") for n in others), 90, lambda: f"the others are warned: {hub.tail()}")
            hub.kill()
            hub.start()
            late.start()
            late.ready()
            hub.ready()
            until(lambda: late.rows("SELECT 1 FROM warning_here"), 90, lambda: f"it is warned: {late.tail()}")
            late.kill()  # and once more, with the warning just there
            late.start()
            late.ready()

        s = self.state_after(away)
        result = self.same(s)
        print(f"\nseed {SEED}: one town away while the others were warned. {result}")

    def compared(self, s):
        ids = sum(len(i) for told in s["told"].values() for i in told.values())
        return (f"{len(s['campaigns'])} campaign, {len(s['senders'])} senders, {len(s['edges'])} edges, "
                f"{s['campaigns'][0]['mails']} mails, {len(s['signs'])} signs, {sum(len(n) for n in s['noticed'].values())} notices, "
                f"{ids} Message-IDs each told once to its receiver and none to another, {len(s['warnings'])} warning, "
                f"at {sum(len(t) for t in s['last words'].values())} "
                f"nodes once in the same words, {len(s['answers'])} answers with {sum(a[3] for a in s['answers'])} hits")


if __name__ == "__main__":
    unittest.main(verbosity=2)
