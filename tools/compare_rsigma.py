#!/usr/bin/env python3
"""Called by compare_rsigma.sh. Windows events of OTRF (flat JSON), repeated in random order; CPU seconds of one pinned core.

rsigma reads the log source from fields of the event, so its copy of the events names it (ls_product, ls_service, ls_category): that is its
fastest way (--logsource-routing). Its other lane uses its own pipeline for Sysmon. Net of loading: the time of one event is taken off.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

CATEGORY = {"1": "process_creation", "2": "file_change", "3": "network_connection", "5": "process_termination", "6": "driver_load", "7": "image_load",
            "8": "create_remote_thread", "9": "raw_access_thread", "10": "process_access", "11": "file_event", "12": "registry_add",
            "13": "registry_set", "14": "registry_rename", "15": "create_stream_hash", "17": "pipe_created", "18": "pipe_created",
            "19": "wmi_event", "20": "wmi_event", "21": "wmi_event", "22": "dns_query", "23": "file_delete", "26": "file_delete_detected"}
SERVICE = {"security": "security", "system": "system", "application": "application", "windows powershell": "powershell-classic",
           "microsoft-windows-powershell/operational": "powershell", "microsoft-windows-sysmon/operational": "sysmon"}
POWERSHELL = {"4103": "ps_module", "4104": "ps_script", "400": "ps_classic_start", "600": "ps_classic_provider_start", "800": "ps_classic_script"}
RUNS = 3


def routed(event):
    """The event with its log source named, for rsigma, and with the names of fields that the rules use: it has no tables for that."""
    event = dict(event)
    if "SourceName" in event:
        event.setdefault("Provider_Name", event["SourceName"])
    if event.get("EventID") == 4688 and "NewProcessName" in event:
        event.setdefault("Image", event["NewProcessName"])
    service = SERVICE.get(str(event.get("Channel", "")).lower(), "none")
    number = str(event.get("EventID"))
    category = CATEGORY.get(number) if service == "sysmon" else POWERSHELL.get(number) if service.startswith("powershell") else None
    if service == "security" and number == "4688":
        category = "process_creation"
    return event | {"ls_product": "windows", "ls_service": service, "ls_category": category or "none"}


def run(command):
    """CPU seconds, peak memory in MB, what it wrote to stdout."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(["taskset", "-c", str(max(os.sched_getaffinity(0))), *command], stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 3):
            sys.exit(f"{' '.join(command)} ended with {process.returncode}")
        out.seek(0)
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out.read()


def measured(command, big, one, lines):
    load = statistics.median(run(command(one))[0] for _ in range(RUNS))
    runs = [run(command(big)) for _ in range(RUNS)]
    seconds = statistics.median(r[0] for r in runs)
    return load, lines / max(seconds - load, 1e-9), max(r[1] for r in runs)


def main():
    options = argparse.ArgumentParser()
    for name in ("bavn", "rsigma", "corpora", "work"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--lines", type=int, default=40000)
    chosen = options.parse_args()
    work = pathlib.Path(chosen.work)
    work.mkdir(parents=True, exist_ok=True)
    corpora = pathlib.Path(chosen.corpora)
    rules = str(corpora / "sigmahq-rules")
    distinct = []
    for path in sorted((corpora / "otrf-security-datasets" / "atomic" / "windows").rglob("*.ndjson")):
        distinct += [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    chance = random.Random(1)
    order = [chance.randrange(len(distinct)) for _ in range(chosen.lines)]
    files = {}
    for name, change in (("bavn", lambda e: e), ("rsigma", routed)):
        texts = [json.dumps(change(e), ensure_ascii=False) for e in distinct]
        for size, lines in (("big", [texts[i] for i in order]), ("one", texts[:1]), ("each", texts)):
            files[name, size] = work / f"rsigma_{name}_{size}.ndjson"
            files[name, size].write_text("\n".join(lines) + "\n")
    numbered = work / "rsigma_numbered.ndjson"
    numbered.write_text("\n".join(json.dumps(routed(e) | {"ls_line": n}, ensure_ascii=False) for n, e in enumerate(distinct, 1)) + "\n")
    routing = ["--logsource-routing", "--logsource-field-map", "product=ls_product,service=ls_service,category=ls_category"]
    evaluate = [chosen.rsigma, "engine", "eval", "-r", rules, "--no-stats", "--output-format", "ndjson", "--input-format", "json"]
    lanes = [("Bavn, bavn scan --jobs 1", lambda f: [chosen.bavn, "scan", "--jobs", "1", "--json", "--rules", rules, str(f)], "bavn"),
             ("rsigma, routed", lambda f: [*evaluate, *routing, "-e", f"@{f}"], "rsigma"),
             ("rsigma, pipeline sysmon", lambda f: [*evaluate, "-p", "sysmon", "-e", f"@{f}"], "rsigma"),
             ("rsigma, routed, pipeline sysmon", lambda f: [*evaluate, *routing, "-p", "sysmon", "-e", f"@{f}"], "rsigma")]
    size = files["bavn", "big"].stat().st_size
    print(f"{chosen.lines} events ({len(distinct)} distinct), {size / 1e6:.0f} MB, median of {RUNS} runs, CPU seconds of one pinned core")
    print(f"| {'lane':32} | load s | events/s net of load | peak MB |\n|{'-' * 34}|-------:|---------------------:|--------:|")
    for title, command, name in lanes:
        load, speed, memory = measured(command, files[name, "big"], files[name, "one"], chosen.lines)
        print(f"| {title:32} | {load:6.2f} | {speed:20,.0f} | {memory:7.0f} |", flush=True)

    # Matches of each distinct event.
    ours = set()
    for line in run([chosen.bavn, "scan", "--jobs", "1", "--json", "--rules", rules, str(files["bavn", "each"])])[2].splitlines():
        finding = json.loads(line)
        ours.add((finding["rule"]["id"], finding["line"]))
    theirs = set()
    for line in run([*evaluate, *routing, "--include-event", "-e", f"@{numbered}"])[2].splitlines():
        match = json.loads(line)
        theirs.add((match["rule_id"], match["event"]["ls_line"]))
    print(f"matches on the distinct events: both {len(ours & theirs)}, only Bavn {len(ours - theirs)}, only rsigma (routed) {len(theirs - ours)}")
    for title, pairs in (("only Bavn", ours - theirs), ("only rsigma", theirs - ours)):
        for rule, count in collections.Counter(rule for rule, _ in pairs).most_common(20):
            print(f"    {title}: {rule} {count}, first line {min(n for r, n in pairs if r == rule)}")


if __name__ == "__main__":
    main()
