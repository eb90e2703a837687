#!/usr/bin/env python3
"""How fast the API answers: a hub with many indicators, asked by wrk; the first page and a search in the list, asked one by one.

usage: benches/api.py [--indicators 350000] [--seconds 5] [--connections 8] [--check]
  --check  exit code 1 when the first page takes 200 ms or more, or the 99th percentile of a route 50 ms or more
Needs wrk (Debian package). BAVN_BINARY says which program.
"""
import argparse
import pathlib
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "contract"))
import desk  # noqa: E402

ROUTES = ("/api/openapi.json", "/api/session", "/api/overview", "/api/campaigns", "/api/map", "/api/nodes", "/api/indicators?limit=100", "/api/audit?limit=100")
ONE_BY_ONE = ("/api/indicators?limit=100", "/api/indicators?limit=100&q=x17", "/api/indicators?limit=100&kind=domain")
FACTOR = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def wrk(url, key, seconds, connections):
    """(requests a second, p50 ms, p99 ms, answers that were no 2xx)"""
    said = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"Authorization: Bearer {key}", url],
                          capture_output=True, text=True, check=True).stdout
    at = {p: float(n) * FACTOR[unit] for p, n, unit in re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)$", said, re.M)}
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]), at["50"], at["99"], int(bad[1]) if bad else 0


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--indicators", type=int, default=350_000)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--connections", type=int, default=8)
    options.add_argument("--check", action="store_true")
    o = options.parse_args()
    slow = []
    with desk.book_of(o.indicators) as (desks, hub):
        routes = {r["pattern"] for r in hub.routes if r["method"] == "GET"}
        for path in ONE_BY_ONE:
            if path.split("?")[0] not in routes:
                print(f"{path:45} no such route")
                continue
            times = []
            for _ in range(7):
                start = time.monotonic()
                status, _, body = hub.ask("GET", path)
                times.append((time.monotonic() - start) * 1000)
                assert status == 200, body[:300]
            print(f"{path:45} first {times[0]:7.1f} ms   median {statistics.median(times):7.1f} ms   {len(body):8} bytes")
            if times[0] >= 200:
                slow.append(f"{path}: the first page took {times[0]:.0f} ms")
        for path in ROUTES:
            if path.split("?")[0] not in routes:
                print(f"{path:45} no such route")
                continue
            rate, p50, p99, bad = wrk(f"http://127.0.0.1:{hub.host.port}{path}", hub.key, o.seconds, o.connections)
            print(f"{path:45} {rate:9.0f} /s   p50 {p50:7.2f} ms   p99 {p99:7.2f} ms" + (f"   {bad} refused" if bad else ""))
            if p99 >= 50:
                slow.append(f"{path}: p99 {p99:.0f} ms")
    for line in slow:
        print(f"too slow: {line}")
    return 1 if o.check and slow else 0


if __name__ == "__main__":
    sys.exit(main())
