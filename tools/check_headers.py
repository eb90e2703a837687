#!/usr/bin/env python3
"""Each header of src/ compiles alone (GCC, syntax only): nobody has to know what to include before it.

usage: tools/check_headers.py [HEADER...]      by default all of src/ that no source includes first: the build proves those
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMAND = ["g++", "-std=c++23", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-pragma-once-outside-header", "-I", str(ROOT / "src"), "-DBAVN_SOURCE_DIR=\"\"", "-x", "c++"]


def fault_of(header):
    done = subprocess.run([*COMMAND, str(header)], capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if "pragma once in main file" not in line]
    return "" if done.returncode == 0 else f"{header.relative_to(ROOT)}: does not compile alone\n  " + "\n  ".join(lines[:4])


def first_of(source):
    """What it includes first, if that is a header of ours."""
    found = re.search(r'^#include (?:"([^"]+)")?', source.read_text(errors="replace"), re.M)
    return found and found[1] and ROOT / "src" / found[1]


def main(arguments):
    headers = [pathlib.Path(a).resolve() for a in arguments]
    if not headers:
        proven = {first_of(source) for source in (ROOT / "src").rglob("*.cpp")}
        headers = sorted(h for h in (ROOT / "src").rglob("*.hpp") if h not in proven)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = [f for f in pool.map(fault_of, headers) if f]
    print("\n".join([*faults, f"headers: {len(headers)} compiled alone, {len(faults)} faults"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
