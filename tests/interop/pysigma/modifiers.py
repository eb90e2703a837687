#!/usr/bin/env python3
"""modifiers.yml through Bavn and through pySigma's SQLite backend: every rule with every event."""
import argparse
import json
import pathlib
import shutil
import sys
import uuid

import yaml

import compare
import events
import referee

HERE = pathlib.Path(__file__).parent


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bavn", required=True)
    options.add_argument("--work", type=pathlib.Path, required=True)
    chosen = options.parse_args()
    folder = chosen.work / "modifiers"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names, lines = {}, []
    for number, case in enumerate(yaml.safe_load((HERE / "modifiers.yml").read_text())):
        rule = {"title": case["name"], "id": str(uuid.uuid5(uuid.NAMESPACE_OID, case["name"])), "status": "test", "level": "low",
                "logsource": {"product": "windows"}, "detection": case["detection"]}
        names[rule["id"]] = case["name"]
        (folder / f"{number:03}.yml").write_text(yaml.safe_dump(rule, allow_unicode=True, width=1000))
        for fields in case["events"]:
            lines.append(json.dumps({"EventID": 1, "Channel": "Made-Up/Operational", **fields}, ensure_ascii=False))
    log = folder / "events.ndjson"
    log.write_text("\n".join(lines) + "\n")
    rules, refused = referee.rules_of(folder)
    for path, reason in refused.items():
        print(f"pySigma does not convert {names.get(path.stem, path.name)}: {reason}")
    read = [((str(log), number), events.windows_flat(events.load(line))) for number, line in enumerate(lines, 1)]
    theirs, trouble = referee.matches(rules, read, numeric={"N"})
    ours, summary = compare.bavn_matches(chosen.bavn, folder, [(log, None)])
    different = compare.differences(ours, theirs, trouble, refused, summary, folder)
    different = {(side, names.get(rule, rule)): keys for (side, rule), keys in different.items()}
    print(f"modifiers: {len(names)} rules, {len(lines)} events, {len(ours & theirs)} matches of both")
    silent = sorted(names[r] for r in names if not any(rule == r for rule, _ in ours))
    if silent:
        print(f"no event satisfies: {', '.join(silent)}")
    by_line = dict(read)
    return compare.verdict(different, "modifiers", lambda key: f"{key[1]}: {lines[key[1] - 1]}" if key in by_line else str(key[0]), True) or len(silent) > 0


if __name__ == "__main__":
    sys.exit(main())
