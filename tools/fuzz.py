#!/usr/bin/env python3
"""Fuzzing by the hour: runs fuzzers at the lowest priority and keeps the book of how long each has run, docs/fuzzing.tsv.

    cmake --preset fuzz && ninja -C build/fuzz           builds them all, optimized, with sanitizers
    tools/fuzz.py --seconds 600 syslog_fuzz cef_fuzz     each for 600 seconds of a core, one after the other
    tools/fuzz.py --seconds 600 --least                  those that have run least so far, until it is stopped
    tools/fuzz.py --sums                                 how long each has run, and what is missing of the aims

The aims: an hour for the five that matter most, ten minutes for each other. Only seconds of a core count, not those of the clock.
What a fuzzer finds ends its run, is kept in build/logs/ and is written down; it belongs in fuzz/NAME/ when it is mended. New inputs stay
in build/fuzz/NAME/ for the next run.
"""
import argparse
import collections
import datetime
import fcntl
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BOOK = ROOT / "docs" / "fuzzing.tsv"
LOGS = ROOT / "build" / "logs"
HEAD = "date\tcommit\tfuzzer\tseconds of a core\truns\tresult\n"
MOST = ("reader_fuzz", "syslog_fuzz", "cef_fuzz", "sigma_yaml_fuzz", "segment_fuzz")
COMMIT = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
SLICE = 240  # seconds of the clock before the book is written
ENVIRONMENT = {"ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:allocator_may_return_null=1",
               "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


def aim(name):
    return 3600 if name in MOST else 600


def fuzzers(build):
    """Name to program."""
    found = {p.name: p for p in sorted((build / "src").rglob("*_fuzz")) if p.is_file() and os.access(p, os.X_OK)}
    if not found:
        sys.exit(f"fuzz.py: no fuzzers in {build}: cmake --preset fuzz && ninja -C build/fuzz")
    return found


def book():
    rows = BOOK.read_text().splitlines()[1:] if BOOK.exists() else []
    return [dict(zip(("date", "commit", "fuzzer", "seconds", "runs", "result"), row.split("\t"))) for row in rows]


def sums():
    total = collections.Counter()
    for row in book():
        total[row["fuzzer"]] += float(row["seconds"])
    return total


def write_down(name, seconds, runs, result):
    """One row a day, commit, fuzzer and result: later slices are added to it."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with open(LOGS / "fuzz.lock", "w") as lock:  # several may run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        add_row(name, seconds, runs, result)


def add_row(name, seconds, runs, result):
    new = [datetime.date.today().isoformat(), COMMIT, name, seconds, runs, result]
    rows = [list(row.values()) for row in book()]
    for row in rows:
        if row[:3] == new[:3] and row[5] == result:
            row[3], row[4] = f"{float(row[3]) + seconds:.0f}", int(row[4]) + runs
            break
    else:
        rows.append([*new[:3], f"{seconds:.0f}", runs, result])
    BOOK.write_text(HEAD + "".join("\t".join(map(str, row)) + "\n" for row in rows))


def idle():
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def run(name, path, seconds):
    """Until it has used that many seconds of a core. False: it found something."""
    seeds = ROOT / "fuzz" / name
    kept = ROOT / "build" / "fuzz" / name
    for folder in (kept, LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    while seconds > 0:
        clock = min(SLICE, int(seconds) + 1)
        with open(log, "w") as out:
            child = subprocess.Popen([path, f"-max_total_time={clock}", "-timeout=120", "-rss_limit_mb=3500", f"-artifact_prefix={LOGS}/{name}-",
                                      kept, *([seeds] if seeds.is_dir() else [])],
                                     env={**os.environ, **ENVIRONMENT}, stdout=out, stderr=subprocess.STDOUT, preexec_fn=idle)
            _, status, usage = os.wait4(child.pid, 0)
        text = log.read_text(errors="replace")
        done = re.findall(r"^Done (\d+) runs", text, re.M)
        good = os.waitstatus_to_exitcode(status) == 0
        used = usage.ru_utime + usage.ru_stime
        write_down(name, used, int(done[-1]) if done else 0, "nothing found" if good else "found")
        if not good:
            print(f"{name}: found something: {log}", flush=True)
            return False
        seconds -= used
    print(f"{name}: {sums()[name]:.0f} s so far", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fuzzers", nargs="*")
    parser.add_argument("--seconds", type=float, default=600, help="of a core, for each (600)")
    parser.add_argument("--least", action="store_true", help="those that lack most of their aim, one after the other")
    parser.add_argument("--sums", action="store_true", help="print the book's sums")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "fuzz")
    options = parser.parse_args()
    if options.sums:
        total = sums()
        for name in sorted(set(total) | (set(fuzzers(options.build)) if (options.build / "src").exists() else set())):
            missing = max(0, aim(name) - total[name])
            print(f"{name:28} {total[name]:7.0f} s" + (f", {missing:.0f} s missing of {aim(name)}" if missing else ""))
        return
    all_of_them = fuzzers(options.build)
    unknown = [name for name in options.fuzzers if name not in all_of_them]
    if unknown:
        sys.exit(f"fuzz.py: no such fuzzer in {options.build}: {', '.join(unknown)}")
    good = True
    if options.least:
        while True:
            total = sums()
            lacking = {name: 1 - total[name] / aim(name) for name in all_of_them if total[name] < aim(name)}
            if not lacking:
                break
            name = max(lacking, key=lacking.get)
            if not run(name, all_of_them[name], min(options.seconds, aim(name) - total[name])):
                sys.exit(1)
    for name in options.fuzzers:
        good = run(name, all_of_them[name], options.seconds) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
