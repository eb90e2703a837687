#!/usr/bin/env python3
"""Diffs the matches of Bavn with those of pySigma's SQLite backend, per rule and event. docs/sigma_referee.md says how to read it."""
import argparse
import collections
import json
import pathlib
import subprocess
import sys
import time

import yaml

import events
import referee

FOLDERS = ("sigmahq-regression", "otrf-security-datasets", "zeek-json", "suricata-eve")


def corpus(corpora, work):
    """[(path, reader)] of the files both engines read. Tests of Panther wrap their events; they are taken out into work."""
    files = []
    for folder in FOLDERS:
        for path in sorted((corpora / folder).rglob("*.ndjson")):
            if path.name != "manifest.ndjson":
                files.append((path, events.reader_of(str(path.relative_to(corpora)))))
    made = work / "panther"
    made.mkdir(parents=True, exist_ok=True)
    taken = collections.defaultdict(list)
    for path in sorted((corpora / "panther-tests").glob("*.ndjson")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            reader = events.panther(record)
            if reader:
                taken[f"{record['log_types'][0]}-{id(reader)}", reader].append(json.dumps(record["event"], ensure_ascii=False))
    for number, ((name, reader), lines) in enumerate(taken.items()):
        path = made / f"{name.split('-')[0]}-{number}.ndjson"
        path.write_text("\n".join(lines) + "\n")
        files.append((path, reader))
    return files


def bavn_matches(bavn, rules, files, more=()):
    command = [bavn, "scan", "--rules", str(rules), "--json", "--jobs", "1", *more, *[str(path) for path, _ in files]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"bavn scan ended with {done.returncode}: {done.stderr[-2000:]}")
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    summary = json.loads(done.stderr.splitlines()[-1])["summary"]
    return {(f["rule"]["id"], (f["file"], f["line"])) for f in findings if f["kind"] == "sigma"}, summary


def differences(ours, theirs, trouble, refused, summary, folder):
    """(side, rule) -> events; a rule that only one side loads stands there with its path."""
    different = collections.defaultdict(list)
    for rule, key in sorted(ours - theirs):
        different["only_bavn", rule].append(key)
    for rule, key in sorted(theirs - ours):
        different["only_pysigma", rule].append(key)
    for rule, problem in trouble.items():
        different["sqlite_error", rule].append((problem, 0))
    not_loaded = {pathlib.Path(r["file"]): r["reason"] for r in summary["rules_not_applied"]}
    for path in set(not_loaded) - set(refused):
        different["refused_by_bavn", str(path.relative_to(folder))].append((not_loaded[path], 0))
    for path in set(refused) - set(not_loaded):
        different["refused_by_pysigma", str(path.relative_to(folder))].append((refused[path], 0))
    return different


def verdict(different, part, show, verbose, name=lambda rule: ""):
    """Holds the differences against that part of explained.yml; 0 when each is explained and no explanation is left over."""
    explained = yaml.safe_load((pathlib.Path(__file__).parent / "explained.yml").read_text())[part] or []
    reasons = {(e["side"], e["rule"]): e for e in explained}
    classes, unexplained = collections.Counter(), 0
    for (side, rule), keys in sorted(different.items()):
        reason = reasons.pop((side, rule), None)
        if reason and reason["events"] == len(keys):
            classes[reason["class"]] += len(keys)
            continue
        unexplained += 1
        print(f"UNEXPLAINED {side} {rule} {name(rule)} {len(keys)}" + (f" (explained are {reason['events']})" if reason else ""))
        for key in keys[:4] if verbose else []:
            print(f"    {show(key)}")
    for name, count in sorted(classes.items()):
        print(f"explained: {count} {name}")
    for side, rule in reasons:
        print(f"STALE in explained.yml: {side} {rule} explains nothing")
    print(f"{part}: {sum(classes.values())} differences explained, {unexplained} rules unexplained, {len(reasons)} explanations stale")
    return 1 if unexplained or reasons else 0


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bavn", required=True)
    options.add_argument("--corpora", type=pathlib.Path, required=True)
    options.add_argument("--work", type=pathlib.Path, required=True)
    options.add_argument("--verbose", action="store_true", help="show each difference and the values of the fields")
    chosen = options.parse_args()
    began = time.monotonic()
    files = corpus(chosen.corpora, chosen.work)
    folder = chosen.corpora / "sigmahq-rules"
    rules, refused = referee.rules_of(folder)
    all_events, read = [], {}
    for path, reader in files:
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
            if line.strip():
                event = reader(events.load(line))
                read[str(path), number] = event
                all_events.append(((str(path), number), event))
    theirs, trouble = referee.matches(rules, all_events)
    ours, summary = bavn_matches(chosen.bavn, folder, files)
    if summary["events"] != len(all_events):
        sys.exit(f"Bavn read {summary['events']} events, the referee {len(all_events)}")

    different = differences(ours, theirs, trouble, refused, summary, folder)
    print(f"events {len(all_events)}; rules {len(rules)} (pySigma), {summary['rules']} (Bavn); refused by both {len(set(refused)) - sum(s == 'refused_by_pysigma' for s, _ in different)}")
    print(f"matches: both {len(ours & theirs)} (of {len({rule for rule, _ in ours & theirs})} rules), only Bavn {len(ours - theirs)}, only pySigma {len(theirs - ours)}")

    def show(key):
        event = read.get(key)
        return f"{key[0]}:{key[1]} {event.sources if event else ''}"

    bad = verdict(different, "corpora", show, chosen.verbose)
    print(f"seconds {time.monotonic() - began:.1f}")
    return bad


if __name__ == "__main__":
    sys.exit(main())
