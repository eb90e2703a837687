#!/usr/bin/env python3
"""How long a partner's TAXII client needs to read a whole book: a hub with many indicators, its collection "What we know" read page by page,
by `next` and by `added_after`, as taxii2-client's as_pages does; and how much memory the hub needs for it.

usage: benches/taxii.py [--indicators 350000] [--page 1000]
BAVN_BINARY says which program.
"""
import argparse
import base64
import http.client
import json
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "contract"))
import desk  # noqa: E402

MEDIA = "application/taxii+json;version=2.1"


def memory(process, name):
    return next(int(line.split()[1]) >> 10 for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith(name))


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--indicators", type=int, default=350_000)
    options.add_argument("--page", type=int, default=1000)
    o = options.parse_args()
    with desk.book_of(o.indicators) as (desks, hub):
        status, _, body = hub.ask("POST", "/api/peers", json.dumps({"name": "Reader", "kind": "client", "direction": "both", "ceiling": "amber"}),
                                  {"Content-Type": "application/json"})
        assert status == 201, body
        status, _, body = hub.ask("POST", f"/api/peers/{json.loads(body)['id']}/keys", json.dumps({"label": "bench"}), {"Content-Type": "application/json"})
        assert status == 201, body
        basic = base64.b64encode(f"reader:{json.loads(body)['key']}".encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", hub.host.port, timeout=120)

        def ask(path):
            connection.request("GET", path, headers={"Authorization": f"Basic {basic}", "Accept": MEDIA})
            reply = connection.getresponse()
            text = reply.read()
            assert reply.status == 200, (path, reply.status, text[:300])
            return reply.headers, text

        collections = json.loads(ask("/taxii2/hub/collections/")[1])["collections"]
        known = next(c["id"] for c in collections if c["title"] == "What we know")
        before = memory(desks.hub.process, "VmRSS")
        for style in ("next", "added_after"):
            seen, times, size, at, caught_up = set(), [], 0, "", None
            start = time.monotonic()
            while True:
                began = time.monotonic()
                headers, text = ask(f"/taxii2/hub/collections/{known}/objects/?limit={o.page}{at}")
                times.append((time.monotonic() - began) * 1000)
                page = json.loads(text)
                size += len(text)
                ids = [x["id"] for x in page.get("objects", [])]
                assert not seen.intersection(ids)
                seen.update(ids)
                if not page["more"]:
                    # The book is made ready behind the first reader's back: come again until all is there.
                    if len(seen) >= o.indicators or time.monotonic() - start > 600:
                        break
                    caught_up = True
                    time.sleep(0.2)  # a client's pace between two polls; the end is a condition, not this time
                    at = f"&added_after={headers['X-TAXII-Date-Added-Last']}" if "X-TAXII-Date-Added-Last" in headers else at
                    continue
                at = f"&next={page['next']}" if style == "next" else f"&added_after={headers['X-TAXII-Date-Added-Last']}"
            times.sort()
            print(f"{style:12} {len(seen)} objects, {len(times)} pages, {size >> 20} MiB in {time.monotonic() - start:.1f} s; a page "
                  f"{statistics.median(times):.1f} ms, p99 {times[int(len(times) * 0.99)]:.1f} ms, worst {times[-1]:.1f} ms"
                  + ("; read while it was still made ready" if caught_up else ""))
        print(f"memory of the hub: {before} MiB before, {memory(desks.hub.process, 'VmRSS')} MiB after, {memory(desks.hub.process, 'VmHWM')} MiB at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
