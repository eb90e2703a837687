"""October 2024 as it would have gone with Bavn there, live: what is written into the logs and mailboxes of six towns, and what Bavn says of it.

One minute here is 48 of the real case: 1,426 mails from one account of Gentofte, 791 of them to Lyngby-Taarbæk, and later 750 from there. What is
not public is assumed: the hour, and who got the other mails. Towns keep their names; domains and people are made up.
"""
import datetime
import http.client
import http.server
import json
import random
import threading
import time
import urllib.request


def us(text):
    """Microseconds of a time as the hub says it."""
    return round(datetime.datetime.fromisoformat(text).timestamp() * 1e6)


SENDER, SECOND = "0157", "0173"  # Gentofte, Lyngby-Taarbæk
FIRST_WAVE, SECOND_WAVE = 1426, 750
TO_NEIGHBOUR = 791
TO_OTHERS = 254  # of 1,426: assumed, 40 % of those that did not go to the neighbour
SECOND_TO_TOWNS = 420  # of 750: assumed
SUBJECTS = ["Faktura", "Betaling", "Bestil"]
OUTSIDE = ["idraetsforeningen.example", "ministeriet.example", "privatpost.example", "malerfirma.example", "gymnasiet.example"]
THEIRS = ("203.0.113.77", "axios/1.7.7")
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36 Edg/129.0.0.0"
LINK = "https://bio.link/orbes"
OFFICE = "4765445b-32c6-49b0-83e6-1d93765276ca"

# What is public of the real case, by row of what is printed.
REAL = {
    "noticed": "nobody noticed while it ran (48 minutes)",
    "told": "no receiver had them",
    "warned": "16 hours after the first mail (Saturday 00:06)",
    "called": "by telephone, hour not public",
    "found": "not public; two had clicked, one had logged in",
    "emptied": "not public; most deleted it themselves and told nobody",
    "second": "750 more, warned of on Saturday as well",
}


def utc(at):
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class DutyPhones:
    """Webhooks of duty contacts: one address a town. What a telephone would ring for."""

    def __init__(self):
        self.rung = []  # (code, kind, text, at)
        phones = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                phones.rung.append((self.path.strip("/"), body.get("type", ""), body.get("data", {}).get("text", ""), now()))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def address(self, code):
        return f"http://127.0.0.1:{self.server.server_port}/{code}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Logs:
    """Records as the real systems write them, appended to the logs that a town's node follows."""

    def __init__(self, folder):
        self.folder, self.random = folder, random.Random(20241025)

    def id(self):
        return "%08x-%04x-4%03x-8%03x-%012x" % tuple(self.random.getrandbits(n) for n in (32, 16, 12, 12, 48))

    def write(self, code, file, records):
        if records:
            with open(self.folder / code / file, "a", encoding="utf-8") as log:
                log.write("".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) + "\n" for r in records))

    def sign_in(self, at, who, address, agent, device, session, country, asn):
        return {"id": self.id(), "createdDateTime": utc(at), "userPrincipalName": who, "appDisplayName": "OfficeHome", "appId": OFFICE, "sessionId": session,
                "ipAddress": address, "autonomousSystemNumber": asn, "clientAppUsed": "Browser", "userAgent": agent, "isInteractive": True,
                "conditionalAccessStatus": "success", "riskLevelDuringSignIn": "none", "status": {"errorCode": 0, "failureReason": "Other."},
                "deviceDetail": {"deviceId": device, "operatingSystem": "Windows10", "isManaged": bool(device), "isCompliant": bool(device)},
                "location": {"city": "", "countryOrRegion": country}}

    def everyday(self, who, until):
        """Sign-ins of two weeks: without them nothing could be strange."""
        return [self.sign_in(until - datetime.timedelta(days=d, minutes=17 * d), who, "198.51.100.10", BROWSER, "device-31", self.id(), "DK", 64501) for d in range(12, 0, -1)]

    def audit(self, at, who, operation, workload, session, **more):
        return {"CreationTime": at.strftime("%Y-%m-%dT%H:%M:%S"), "Id": self.id(), "Operation": operation, "OrganizationId": "6f1e2d3c-0000-4000-8000-00000000aaaa",
                "RecordType": {"Exchange": 1, "AzureActiveDirectory": 8}[workload], "ResultStatus": "Success", "UserKey": who, "UserType": 0, "Version": 1,
                "Workload": workload, "ClientIP": THEIRS[0], "UserId": who, "SessionId": session, **more}

    def click(self, at, who, url):
        return {"Timestamp": utc(at), "Type": "UrlClickEvents", "ActionType": "ClickAllowed", "AccountUpn": who, "Url": url, "NetworkMessageId": self.id(),
                "IPAddress": "198.51.100.10", "Workload": "Email", "IsClickedThrough": False, "ReportId": self.id()}

    def mail(self, at, sender, recipient, message_id, subject):
        return {"Organization": sender.split("@")[1], "MessageId": message_id, "Received": at.strftime("%Y-%m-%dT%H:%M:%S.%f"), "SenderAddress": sender,
                "RecipientAddress": recipient, "Subject": subject, "Status": "Delivered", "ToIP": None, "FromIP": THEIRS[0],
                "Size": 20_000 + self.random.randrange(500), "MessageTraceId": self.id()}


class Stage:
    """The towns as the stand-in made them, and how a wave is played on them."""

    def __init__(self, stand_in, tenants, logs, towns):
        self.stand_in, self.logs = stand_in, logs
        self.domain = {code: tenants[n]["domain"] for n, (code, _) in enumerate(towns)}
        self.people = {code: self.get(f"/stand-in/tenants/{tenants[n]['number']}/people") for n, (code, _) in enumerate(towns)}
        self.trouble = None

    def get(self, path):
        with urllib.request.urlopen(self.stand_in + path, timeout=30) as answer:
            return json.loads(answer.read())

    def account(self, code):
        return self.people[code][3]

    def take_over(self, code, clicked_minutes_ago, url):
        """A click, a sign-in that passed through somebody else's page, the same session elsewhere, a new app, a rule that hides the answers."""
        who, session, logs = self.account(code), self.logs.id(), self.logs
        at = now() - datetime.timedelta(minutes=clicked_minutes_ago)
        after = lambda minutes: at + datetime.timedelta(minutes=minutes)  # noqa: E731
        logs.write(code, "defender.ndjson", [logs.click(at, who, url)])
        logs.write(code, "entra_signin.ndjson", [logs.sign_in(after(1), who, THEIRS[0], BROWSER, "", session, "NL", 64666),
                                                 logs.sign_in(after(3), who, "203.0.113.140", THEIRS[1], "", session, "NL", 64667)])
        app = logs.id()
        logs.write(code, "m365_audit.ndjson", [
            logs.audit(after(5), who, "Add application.", "AzureActiveDirectory", session, ObjectId=app),
            logs.audit(after(6), who, "Consent to application.", "AzureActiveDirectory", session, ObjectId=app,
                       ModifiedProperties=[{"Name": "ConsentAction.Permissions", "NewValue": "Scope: Mail.ReadWrite Mail.Send offline_access"}]),
            logs.audit(after(8), who, "New-InboxRule", "Exchange", session, ObjectId=who,
                       Parameters=[{"Name": "Name", "Value": ".."}, {"Name": "SubjectContainsWords", "Value": "hacket;phishing;faktura"},
                                   {"Name": "DeleteMessage", "Value": "True"}])])

    def recipients(self, code, towns, outside):
        """towns: {code: mails}; in an order that mixes them, as the address book of one who writes to everybody would not, but a thief's list does."""
        account, all_of_them = self.account(code), []
        for town, count in towns.items():
            others = [p for p in self.people[town] if p != account and p != self.account(town)]
            if len(others) < count:
                raise RuntimeError(f"{town} has {len(others)} mailboxes, {count} are needed")
            all_of_them += [(town, p) for p in others[:count]]
        all_of_them += [(None, f"modtager{i:03d}@{OUTSIDE[i % len(OUTSIDE)]}") for i in range(outside)]
        self.logs.random.shuffle(all_of_them)
        return all_of_them

    def play(self, code, towns, outside, seconds):
        """A wave, mail by mail, into the sender's log, the receivers' logs and their mailboxes."""
        try:
            sender, to = self.account(code), self.recipients(code, towns, outside)
            domain = self.domain[code]
            line = http.client.HTTPConnection(self.stand_in.removeprefix("http://"), timeout=30)
            began, sent = time.monotonic(), 0
            while sent < len(to):
                due = min(len(to), int(len(to) * (time.monotonic() - began) / seconds) + 1)
                records = {}
                for town, recipient in to[sent:due]:
                    subject = f"{self.logs.random.choice(SUBJECTS)} {self.logs.random.randrange(1000, 9999)}"
                    message_id = f"<{self.logs.random.getrandbits(80):020x}@{domain}>"
                    record = self.logs.mail(now(), sender, recipient, message_id, subject)
                    records.setdefault(code, []).append(record)
                    if town is None:
                        continue
                    records.setdefault(town, []).append({**record, "MessageTraceId": self.logs.id(), "Organization": self.domain[town]})
                    query = "&".join(f"{k}={urllib.request.quote(v, safe='')}" for k, v in
                                     {"from": sender, "to": recipient, "subject": subject, "message_id": message_id}.items())
                    line.request("POST", "/stand-in/deliver?" + query, body=b"")
                    answer = line.getresponse()
                    body = answer.read()
                    if answer.status != 200:
                        raise RuntimeError(f"the stand-in did not take a mail to {recipient}: {answer.status} {body[:200]}")
                for town, lines in records.items():
                    self.logs.write(town, "message_trace.ndjson", lines)
                sent = due
                time.sleep(0.25)
        except (RuntimeError, OSError, http.client.HTTPException) as trouble:
            self.trouble = trouble

    def start(self, *words):
        thread = threading.Thread(target=self.play, args=words, daemon=True)
        thread.start()
        return thread

    def mailboxes(self, code):
        """How many mails lie in which folder, counted where the mail is."""
        return self.get(f"/stand-in/mailboxes?domain={self.domain[code]}")


class Replay:
    """Plays it and says what Bavn does, as it happens. demo: the commands, folders and towns of the live demonstration."""

    def __init__(self, demo, stage, phones, towns, say):
        self.demo, self.stage, self.phones, self.say = demo, stage, phones, say
        self.towns, self.names = [code for code, _ in towns], dict(towns)

    def ask(self, *words):
        return json.loads(self.demo.bavn(*words, "--json"))

    def cases(self, code, sender):
        return [c for c in self.ask("purge", "list", "--data", self.demo.guest(code)) if c["sender"] == sender]

    def all_cases(self, towns, sender):
        """{town: case}, when each of them has one."""
        found = {}
        for code in towns:
            got = self.cases(code, sender)
            if not got:
                return None
            found[code] = got[0]
        return found

    def until(self, what, seconds, f):
        def looked():
            if self.stage.trouble:
                raise SystemError(self.stage.trouble)
            return f()
        return self.demo.wait(what, seconds, looked)

    def line(self, text, real="", at_us=0):
        """at_us: when it was, as its row says; else when it was seen."""
        self.say(f"  {self.clock(at_us)}  {text}" + (f"\n           real case: {REAL[real]}" if real else ""))

    def clock(self, at_us=0):
        s = (at_us / 1e6 - self.first.timestamp()) if at_us else (now() - self.first).total_seconds()
        return f"{int(s // 60)}:{s % 60:04.1f}"

    def first_wave(self, seconds):
        stage, sender = self.stage, self.stage.account(SENDER)
        others = [c for c in self.towns if c not in (SENDER, SECOND)]
        share = [TO_OTHERS // len(others) + (1 if i < TO_OTHERS % len(others) else 0) for i in range(len(others))]
        towns = {SECOND: TO_NEIGHBOUR, **dict(zip(others, share))}
        self.first, self.first_sent = now(), towns
        self.say(f"\nOctober 2024, live: {FIRST_WAVE:,} mails in {seconds} seconds instead of 48 minutes. Time is from the first mail; logs here are seconds late "
                 "(Microsoft's: minutes).")
        wave = stage.start(SENDER, towns, FIRST_WAVE - sum(towns.values()), seconds)
        self.line(f"the first mail leaves {sender}")
        self.until("the sender's node to notice", 60, lambda: [n for n in self.ask("notices", "list", "--kind", "sender", "--data", self.demo.guest(SENDER))
                                                             if n["concern"] == sender])
        warned = self.until("the warning to be sent", 60, lambda: [w for w in self.ask("warnings", "list", "--data", self.demo.hub) if w.get("sent_at")])[0]
        lit = self.until("the campaign to be lit", 60, lambda: [c for c in self.ask("campaigns", "list", "--data", self.demo.hub) if c["state"] == "lit"])[0]
        self.campaign, self.warning = lit, warned
        self.line(f"noticed in {self.names[SENDER]}: mail to many by an account that looks taken", "noticed", us(lit["noticed_at"]))
        self.line(f"warned, {'without a person' if warned['lit_by_itself'] else 'by a person'}, severity {warned['severity']}: \"{warned['title']}\"", "warned", us(warned["sent_at"]))
        self.until("every duty contact's telephone to ring", 90, lambda: {r[0] for r in self.phones.rung if r[3] >= self.first} >= set(self.towns))
        last = max(min(r[3] for r in self.phones.rung if r[0] == code and r[3] >= self.first) for code in self.towns)
        self.line(f"the duty contacts of all {len(self.towns)} towns were told, outside their mail", "called", last.timestamp() * 1e6)
        cases = self.until("every receiver to have its Message-IDs", 60, lambda: self.all_cases(towns, sender))
        self.line(f"all {len(towns)} receivers have their own Message-IDs (the first since {self.clock(min(c['opened_us'] for c in cases.values()))}); the lists grow with the wave",
                  "told", max(c["opened_us"] for c in cases.values()))
        return wave

    def emptied(self, towns, sender, seconds, what):
        def done():
            cases = self.all_cases(towns, sender)
            if cases and all(c["moved"] >= towns[code] and c["found"] + c["failed"] == 0 for code, c in cases.items()):
                return cases
            self.last = "; ".join(f"{self.names[code]} {c['state']} {c['moved']} of {towns[code]} {c['why'] or c['paused']}" for code, c in (cases or {}).items())
            return None
        try:
            return self.until(f"the mailboxes to be emptied of {what}", seconds, done)
        except RuntimeError as trouble:
            raise RuntimeError(f"{trouble}; {self.last}") from None

    def found_here(self, towns):
        def all_answered():
            shown = self.ask("warnings", "show", self.warning["id"], "--data", self.demo.hub)
            answers = {a["municipality"]["code"]: a for a in shown["answers"] if a.get("state")}
            self.last = str({c: (answers.get(c) or {}).get("hits") for c in towns})
            return answers if all(answers.get(c, {}).get("hits", 0) >= n for c, n in towns.items()) else None
        try:
            return self.until("every receiver to say what it found", 60, all_answered)
        except RuntimeError as trouble:
            raise RuntimeError(f"{trouble}; hits: {self.last}") from None

    def play(self, seconds):
        demo, stage = self.demo, self.stage
        wave = self.first_wave(seconds)
        wave.join(seconds + 60)
        self.line(f"the last of {FIRST_WAVE:,} mails is sent")

        # In Lyngby-Taarbæk one has logged in: the second wave, from there.
        stage.take_over(SECOND, 25, LINK)
        second = stage.account(SECOND)
        self.line(f"one in {self.names[SECOND]} had logged in before: a strange sign-in, a new app")
        self.until(f"the account in {self.names[SECOND]} to be noticed", 60,
                   lambda: [n for n in self.ask("notices", "list", "--kind", "takeover", "--data", demo.guest(SECOND)) if n["concern"] == second])
        self.line(f"noticed in {self.names[SECOND]}: {second} looks taken")
        others = [c for c in self.towns if c != SECOND]
        more = {c: SECOND_TO_TOWNS // len(others) for c in others}
        wave = stage.start(SECOND, more, SECOND_WAVE - sum(more.values()), seconds / 3)
        cases = self.emptied(self.first_sent, stage.account(SENDER), 240, "the first wave")
        moved, sent = sum(c["moved"] for c in cases.values()), sum(self.first_sent.values())
        self.line(f"mailboxes emptied of the first wave: {moved:,} of {sent:,}; {self.names[SECOND]} {cases[SECOND]['moved']} of {TO_NEIGHBOUR}", "emptied",
                  max(c["emptied_us"] for c in cases.values()))
        answers = self.found_here(self.first_sent)
        self.line("found here, as each town's own logs have it: " + ", ".join(f"{self.names[c]} {answers[c]['hits']} of {n}" for c, n in self.first_sent.items()), "found")
        wave.join(seconds + 60)
        cases = self.emptied(more, second, 240, "the second wave")
        self.line(f"second wave: {SECOND_WAVE} mails sent; in the six towns {sum(c['moved'] for c in cases.values())} of {sum(more.values())} are out of the mailboxes", "second")
        for code in self.towns:
            inbox = stage.mailboxes(code)
            wanted = self.first_sent.get(code, 0) + more.get(code, 0)
            if inbox.get("recoverableitemsdeletions", 0) != wanted:
                raise RuntimeError(f"{self.names[code]}: {wanted} mails should lie where they can be taken back from, the mailboxes say {inbox}")
        self.line("counted in the mailboxes themselves: none left, each can be taken back (bavn purge undo)")
