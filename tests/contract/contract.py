#!/usr/bin/env python3
"""A running hub and node against their contract. Run it by run.sh, which brings schemathesis.

Environment: BAVN_BINARY, BAVN_CONTRACT_EXAMPLES (requests made up for each operation; 4), BAVN_CONTRACT_SEED.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import desk

METHODS = ("get", "put", "post", "delete", "patch")
EXAMPLES = os.environ.get("BAVN_CONTRACT_EXAMPLES", "4")
SEED = os.environ.get("BAVN_CONTRACT_SEED", "1")
# What is not the public API: pages and what stands on them. /confirm and /lists are for mail clients and firewalls.
PAGES = re.compile(r"^/(?!api/|open-data/)")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"


def plain(path):
    return re.sub(r"\{\w+\}", "{}", path)


def rights():
    text = (desk.ROOT / "src/event/scope.hpp").read_text()
    body = re.search(r"enum class Right[^{]*\{(.*?)\};", text, re.S)[1]
    return {name: 1 << int(bit) for name, bit in re.findall(r"^\s*(\w+) = 1U << (\d+)", body, re.M)}


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.desks = desk.Desks(cls.folder.name)
        cls.hub, cls.node = cls.desks.begin()
        cls.document = json.loads(cls.hub.ask("GET", "/api/openapi.json")[2])

    @classmethod
    def tearDownClass(cls):
        cls.desks.end()
        cls.folder.cleanup()

    def operations(self, serves):
        for path, place in self.document["paths"].items():
            for method in METHODS:
                if method in place and serves in place[method]["x-roles"]:
                    yield method.upper(), path, place[method]

    def routes(self, at):
        return {(r["method"], plain(r["pattern"])): r for r in at.routes if not PAGES.match(r["pattern"])}

    def both(self):
        return (self.hub, self.node)

    def test_every_operation_has_its_route(self):
        missing = []
        for at in self.both():
            routes = self.routes(at)
            missing += [f"{at.serves}: {method} {path}" for method, path, _ in self.operations(at.serves) if (method, plain(path)) not in routes]
        file = pathlib.Path(__file__).parent / "not_yet.txt"
        known = [line for line in file.read_text().splitlines() if line and not line.startswith("#")] if file.exists() else []
        there = sorted(set(known) - set(missing))
        self.assertEqual(there, [], "these have their route by now: take them out of not_yet.txt")
        self.assertEqual(sorted(set(missing) - set(known)), [])

    def test_every_route_is_in_the_contract(self):
        strange = []
        for at in self.both():
            known = {(method, plain(path)) for method, path, _ in self.operations(at.serves)}
            strange += [f"{at.serves}: {method} {path}" for method, path in self.routes(at) if (method, path) not in known]
        self.assertEqual(strange, [])

    def test_a_route_needs_no_less_than_the_contract_says(self):
        bits, wrong = rights(), []
        for at in self.both():
            routes = self.routes(at)
            for method, path, operation in self.operations(at.serves):
                route = routes.get((method, plain(path)))
                wanted = 0
                for name in operation["x-rights"]:
                    wanted |= bits.get(name, 0)
                # A right that the handler asks for by itself is not seen here; the route must ask for one of them at least.
                if route and wanted and (route["rights"] == 0 or route["rights"] & ~wanted):
                    wrong.append(f"{at.serves}: {method} {path} asks {route['rights']:#x}, the contract {operation['x-rights']}")
        self.assertEqual(wrong, [])

    def test_nobody_signed_in_sees_nothing(self):
        seen = []
        for at in self.both():
            for method, path, operation in self.operations(at.serves):
                if not set(operation["x-rights"]) - {"anyone"} or (method, plain(path)) not in self.routes(at):
                    continue
                status, headers, body = at.ask(method, re.sub(r"\{\w+\}", "1", path), key=False, body=b"{}" if method in ("POST", "PUT") else None,
                                               headers={"Content-Type": "application/json", "X-Bavn": "1"})
                if status != 401 or headers.get("Content-Type") != "application/problem+json":
                    seen.append(f"{at.serves}: {method} {path}: {status} {body[:100]}")
        self.assertEqual(seen, [])

    def schemathesis(self, at):
        """Requests made of the schemas, good and bad ones: no server error, and every answer is one that the contract knows."""
        routes = self.routes(at)
        document = json.loads(json.dumps(self.document))
        for path, place in list(document["paths"].items()):
            for method in METHODS:
                if method not in place:
                    continue
                known = at.serves in place[method]["x-roles"] and (method.upper(), plain(path)) in routes
                if not known or place[method].get("x-stream"):
                    del place[method]
            if not any(method in place for method in METHODS):
                del document["paths"][path]
        if not document["paths"]:
            self.fail(f"{at.serves}: no operation of the contract has a route")
        file = pathlib.Path(self.folder.name) / f"{at.serves}.json"
        file.write_text(json.dumps(document))
        command = [str(pathlib.Path(sys.executable).parent / "schemathesis"), "run", str(file), "--url", f"http://127.0.0.1:{at.host.port}",
                   "-H", f"Authorization: Bearer {at.key}", "-H", "X-Bavn: 1", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES,
                   "--seed", SEED, "--workers", "1", "--request-timeout", "20", "--no-shrink", "--continue-on-failure", "--suppress-health-check", "all",
                   "--warnings", "off", "--max-time", os.environ.get("BAVN_CONTRACT_SECONDS", "45")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder.name)
        logs = pathlib.Path(__file__).resolve().parent.parent.parent / "build" / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        (logs / f"contract_{at.serves}.log").write_text(done.stdout + done.stderr)
        print(f"{at.serves}: " + " | ".join(line.strip() for line in done.stdout.splitlines()[-12:] if line.strip()))
        self.assertFalse(at.process.ended_by_itself(), at.process.tail())
        self.assertEqual(done.returncode, 0, done.stdout[-12000:] + done.stderr[-2000:])

    def test_schemathesis_on_the_hub(self):
        self.schemathesis(self.hub)

    def test_schemathesis_on_the_node(self):
        self.schemathesis(self.node)


if __name__ == "__main__":
    unittest.main(verbosity=2)
