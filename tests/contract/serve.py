#!/usr/bin/env python3
"""A hub and a node with web addresses for tests in a browser: prints one line of JSON with their addresses, ends with its standard input."""
import json
import sys
import tempfile

import desk

with tempfile.TemporaryDirectory() as folder:
    desks = desk.Desks(folder)
    try:
        hub, node = desks.begin()
        print(json.dumps({at.serves: {"url": f"http://127.0.0.1:{at.host.port}", "routes": [r["pattern"] for r in at.routes]} for at in (hub, node)}), flush=True)
        sys.stdin.read()
    finally:
        desks.end()
