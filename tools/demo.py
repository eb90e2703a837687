#!/usr/bin/env python3
"""Scans the made-up week of tools/make_sample.py, tells what was found, and compares it with what is there.
Used by ./run; usage: tools/demo.py BINARY FOLDER [--check]"""
import collections
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEMO = ROOT / "content" / "demo"
# What the case leaves behind: (rule title or indicator value, file, findings).
EXPECTED = collections.Counter({
    ("Sign-in to OfficeHome with two factors from an unregistered computer", "entra_signin.ndjson"): 2,
    ("Consent lets an application into mail, files or the directory (unified audit log)", "m365_audit.ndjson"): 1,
    ("Inbox rule whose name is only dots, signs or one letter", "m365_audit.ndjson"): 1,
    ("Inbox rule hides warnings about phishing or the account", "m365_audit.ndjson"): 1,
    ("Inbox rule deletes mail or moves it where nobody looks", "m365_audit.ndjson"): 1,
    ("Odd sign-in, then the mailbox is made to hide or leak", "m365_audit.ndjson"): 1,
    ("One person sends the same subject to twenty recipients within ten minutes", "message_trace.ndjson"): 1,
    ("Mailbox is made to hide, then sends to many", "message_trace.ndjson"): 1,
    ("Takeover: odd sign-in, foothold, mass mail", "message_trace.ndjson"): 1,
    ("203.0.113.77", "entra_signin.ndjson"): 1,
    ("203.0.113.77", "m365_audit.ndjson"): 2,
    ("203.0.113.77", "message_trace.ndjson"): 40,
    ("203.0.113.77", "zeek_dns.ndjson"): 2,
    ("deling-dokument.example.net", "zeek_dns.ndjson"): 2,
    ("deling-dokument.example.net", "windows_sysmon.ndjson"): 1,
    ("deling-dokument.example.net/s/8f3a91c2", "windows_sysmon.ndjson"): 1,  # URLs are compared without their scheme
    ("5f2b7c1e9d3a4860b1c2d3e4f5a60718293a4b5c6d7e8f9001122334455667a8", "windows_sysmon.ndjson"): 1,
})
LEVELS = ["critical", "high", "medium", "low", "informational"]


def scan(binary, folder):
    command = [binary, "scan", "--indicators", str(DEMO / "indicators.csv"), "--json", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"bavn scan ended with {done.returncode}:\n{done.stderr}")
    summary = json.loads(done.stderr.strip().splitlines()[-1])["summary"]
    return [json.loads(line) for line in done.stdout.splitlines()], summary


def name_of(finding):
    return finding["rule"]["title"] if "rule" in finding else finding["indicator"]["value"]


def faults_of(findings, folder):
    got = collections.Counter((name_of(f), str(pathlib.Path(f["file"]).relative_to(folder))) for f in findings)
    missing, more = EXPECTED - got, got - EXPECTED
    return [f"missing: {n} x {what} in {where}" for (what, where), n in missing.items()] + \
           [f"not expected: {n} x {what} in {where}" for (what, where), n in more.items()]


def tell(findings, summary):
    print(f"\nRead {summary['events']:,} events ({summary['bytes'] / 1e6:.1f} MB) in {summary['seconds']:.2f} s: "
          + ", ".join(f"{n:,} {name}" for name, n in sorted(summary["formats"].items())) + ".\n")
    rules = [f for f in findings if "rule" in f]
    rules.sort(key=lambda f: (LEVELS.index(f["rule"]["level"]), f["happened_at"]))  # the whole chain first, then its parts
    print("What rules found:")
    for f in rules:
        fields = "  ".join(f"{k}={v}"[:60] for k, v in list(f["fields"].items())[:3])
        print(f"  {f['happened_at'][:16].replace('T', ' ')}  {f['rule']['level']:<9} {f['rule']['title']}\n{'':20}{fields}")
    print("\nWhat shared indicators found:")
    hits = collections.Counter((f["indicator"]["kind"], f["indicator"]["value"]) for f in findings if "indicator" in f)
    for (kind, value), n in hits.most_common():
        print(f"  {n:>4} x  {kind:<7} {value}")
    print(f"""
Look further:
  build/dev/src/app/bavn scan --indicators content/demo/indicators.csv build/demo
  build/dev/src/app/bavn rules explain 'Takeover: odd sign-in, foothold, mass mail'
  build/dev/src/app/bavn formats list
  build/dev/src/app/bavn scan --help              your own logs: JSON lines, text logs, Windows event XML; also .gz, .zst, .zip, .tar
  docs/analyst.md, docs/operator.md               what it can do and how; ./test runs the tests""")


def main(binary, folder, *more):
    folder = pathlib.Path(folder)
    findings, summary = scan(binary, folder)
    faults = faults_of(findings, folder)
    if "--check" not in more:
        tell(findings, summary)
    if summary["lines_refused"]:
        faults.append(f"{summary['lines_refused']} lines refused: {summary['refused']}")
    if faults:
        print("\n".join(faults))
        print(f"check: {len(faults)} differences between what is in the sample and what was found")
        return 1
    print(f"check: all {sum(EXPECTED.values())} findings of the case are there, nothing else among {summary['events']:,} events")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
