#!/usr/bin/env python3
"""Which fields do the Sigma rules of a folder ask for, per log source?

    tools/rule_fields.py FOLDER... [--logsource m365] [--values] [--json]
    tools/rule_fields.py FOLDER... --check content/formats --check src/formats

--check compares the log sources of the rules with those that the format descriptions below FORMATS
can give, and says which of a deliverable log source's fields no description names. A field may still reach a rule
under its own name from the record, so the second list is for reading, not an error.
"""
import argparse
import collections
import json
import pathlib
import sys

import yaml

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def documents(folders):
    for folder in folders:
        root = pathlib.Path(folder)
        for path in sorted([root] if root.is_file() else root.rglob("*.yml")):
            try:
                for doc in yaml.load_all(path.read_text(encoding="utf-8"), Loader=Loader):
                    if isinstance(doc, dict) and "detection" in doc:
                        yield path, doc
            except (yaml.YAMLError, UnicodeDecodeError) as problem:
                print(f"{path}: not read: {problem}", file=sys.stderr)


def fields_of(node):
    """Yields (field with modifiers, value) of one search identifier."""
    if isinstance(node, dict):
        for key, value in node.items():
            for one in value if isinstance(value, list) else [value]:
                yield str(key), one
    elif isinstance(node, list):
        for one in node:
            if isinstance(one, dict):
                yield from fields_of(one)
            else:
                yield "(keyword)", one


def logsource_of(doc):
    source = doc.get("logsource") or {}
    return tuple(str(source.get(part) or "-").lower() for part in ("product", "category", "service"))


def collect(folders):
    sources = {}
    for _, doc in documents(folders):
        entry = sources.setdefault(logsource_of(doc), {"rules": 0, "fields": collections.Counter(), "values": {}})
        entry["rules"] += 1
        seen = set()
        for name, search in doc["detection"].items():
            if name in ("condition", "timeframe"):
                continue
            for key, value in fields_of(search):
                field = key.split("|")[0] or "(keyword)"
                seen.add(field)
                entry["values"].setdefault(field, collections.Counter())[str(value)] += 1
        entry["fields"].update(seen)
    return sources


def formats_in(folders):
    for path in sorted(p for folder in folders for p in pathlib.Path(folder).glob("*/format.yml")):
        yield path.parent.name, yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)


def offers(formats):
    """(product, category, service) of every log source entry, with the names its format can give."""
    for name, text in formats:
        names = set(text.get("fields") or {})
        for entry in text.get("logsource") or []:
            more = set(entry.get("aliases") or {}) | set(entry.get("adds") or {})
            yield name, entry, names | more


def listed(value):
    return [str(v).lower() for v in (value if isinstance(value, list) else [value])] if value else []


def check(sources, folders):
    given = list(offers(formats_in(folders)))
    without = 0
    for (product, category, service), entry in sorted(sources.items()):
        formats, names = set(), set()
        for name, offer, fields in given:
            same = (
                (product == "-" or product in listed(offer.get("product")) or not offer.get("product"))
                and (category == "-" or category in listed(offer.get("category")))
                and (service == "-" or service in listed(offer.get("service")))
            )
            if same:
                formats.add(name)
                names |= fields
        label = f"{product}/{category}/{service}"
        if not formats:
            without += entry["rules"]
            print(f"NONE  {label}: {entry['rules']} rules")
            continue
        unnamed = [f for f in entry["fields"] if f not in names and f != "(keyword)"]
        print(f"ok    {label}: {entry['rules']} rules, {', '.join(sorted(formats))}; by own name: {', '.join(sorted(unnamed)) or '-'}")
    print(f"rules without a format: {without} of {sum(e['rules'] for e in sources.values())}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="+")
    parser.add_argument("--logsource", help="only log sources that contain this text")
    parser.add_argument("--values", action="store_true", help="the most used values too")
    parser.add_argument("--check", metavar="FORMATS", action="append", help="compare with the descriptions below this folder (repeatable)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    sources = {k: v for k, v in collect(args.folder).items() if not args.logsource or args.logsource.lower() in "/".join(k)}
    if args.check:
        check(sources, args.check)
        return
    for key, entry in sorted(sources.items(), key=lambda kv: -kv[1]["rules"]):
        if args.json:
            print(json.dumps({"logsource": key, "rules": entry["rules"], "fields": entry["fields"].most_common()}))
            continue
        print(f"{'/'.join(key)}: {entry['rules']} rules")
        for field, count in entry["fields"].most_common():
            line = f"    {count:5}  {field}"
            if args.values:
                line += "  = " + " | ".join(v[:60] for v, _ in entry["values"][field].most_common(4))
            print(line)


if __name__ == "__main__":
    main()
