#!/usr/bin/env python3
"""Events made from the rules themselves: for each public rule some that should satisfy it, and near misses; every rule of the log source
then meets every event. Public logs fire one rule in twelve, these nearly all. Which event satisfies what is left to the two engines.
"""
import argparse
import json
import pathlib
import random
import re._parser as regex
import sys
import time

from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionNOT, ConditionOR, ConditionValueExpression
from sigma.types import (SigmaBool, SigmaCIDRExpression, SigmaExists, SigmaExpansion, SigmaFieldReference, SigmaNull, SigmaNumber,
                         SigmaRegularExpression, SigmaString, SpecialChars)

import compare
import events
import referee

SEED = 20250802
EVENTS_A_RULE = 4  # one that should match, one with the case of letters changed, two near misses


class Value:
    """What one field has to begin with, contain and end with."""

    def __init__(self):
        self.exact, self.head, self.middle, self.tail = None, "", [], ""

    def text(self):
        return self.exact if self.exact is not None else self.head + " ".join(self.middle) + self.tail


def of_regex(parsed, chance):
    """A text that the parsed expression accepts, if luck and anchors allow."""
    out = ""
    for kind, detail in parsed:
        name = str(kind)
        if name == "LITERAL":
            out += chr(detail)
        elif name == "NOT_LITERAL":
            out += "a" if detail != ord("a") else "b"
        elif name == "ANY":
            out += chance.choice("abz09")
        elif name == "IN":
            out += of_class(detail, chance)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, inner = detail
            for _ in range(chance.randint(least, min(int(most), least + 2))):
                out += of_regex(inner, chance)
        elif name == "SUBPATTERN":
            out += of_regex(detail[3], chance)
        elif name == "BRANCH":
            out += of_regex(chance.choice(detail[1]), chance)
    return out


def of_class(items, chance):
    kind, detail = items[0]
    if str(kind) == "NEGATE":
        return chance.choice("aZ5 _")
    kind, detail = chance.choice(items)
    if str(kind) == "LITERAL":
        return chr(detail)
    if str(kind) == "RANGE":
        return chr(chance.randint(detail[0], detail[1]))
    return {"CATEGORY_DIGIT": "7", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "w", "CATEGORY_NOT_SPACE": "n", "CATEGORY_NOT_WORD": "-"}.get(str(detail), "x")


def put(fields, name, value, chance):
    slot = fields.setdefault(name, Value())
    if isinstance(value, SigmaExpansion):
        put(fields, name, chance.choice(value.values), chance)
    elif isinstance(value, SigmaString):
        open_start, open_end = bool(value.s) and value.s[0] == SpecialChars.WILDCARD_MULTI, bool(value.s) and value.s[-1] == SpecialChars.WILDCARD_MULTI
        inside = value.s[int(open_start):len(value.s) - int(open_end)]
        text = "".join(p if isinstance(p, str) else "y" if p == SpecialChars.WILDCARD_SINGLE else chance.choice(["", "x", "Q 9"]) for p in inside)
        if open_start and open_end:
            slot.middle.append(text)
        elif open_start:
            slot.tail = text
        elif open_end:
            slot.head = text
        else:
            slot.exact = text
    elif isinstance(value, SigmaNumber):
        slot.exact = str(value)
    elif isinstance(value, SigmaBool):
        slot.exact = str(value.boolean).lower()
    elif isinstance(value, SigmaRegularExpression):
        slot.middle.append(of_regex(regex.parse(str(value.regexp)), chance))
    elif isinstance(value, SigmaCIDRExpression):
        network = value.network
        slot.exact = str(network[chance.randrange(min(network.num_addresses, 1 << 16))])
    elif isinstance(value, SigmaFieldReference):
        slot.exact = "the same"
        put(fields, value.field, SigmaString("the same"), chance)
    elif isinstance(value, (SigmaNull, SigmaExists)):
        if isinstance(value, SigmaNull) or not value:
            fields.pop(name)
        else:
            slot.exact = "there"


def satisfy(condition, fields, chance, denied):
    """Sets fields so that the condition holds. denied: chance of meeting what a rule excludes too."""
    if isinstance(condition, ConditionAND):
        for argument in condition.args:
            satisfy(argument, fields, chance, denied)
    elif isinstance(condition, ConditionOR):
        satisfy(chance.choice(condition.args), fields, chance, denied)
    elif isinstance(condition, ConditionNOT):
        if chance.random() < denied:
            satisfy(condition.args[0], fields, chance, denied)
    elif isinstance(condition, ConditionFieldEqualsValueExpression):
        put(fields, condition.field, condition.value, chance)
    elif isinstance(condition, ConditionValueExpression):
        put(fields, "Made_Up_Text", SigmaString("*" + str(condition.value) + "*") if not isinstance(condition.value, SigmaRegularExpression) else condition.value, chance)


def envelope(source):
    """What makes a record belong to the log source, and its reader; None where the rule's fields go into plain JSON."""
    product, category, service = source
    if product == "windows":
        number = next((n for n, c in events.SYSMON.items() if category in c), None)
        if number:
            return {"EventID": number, "Channel": "Microsoft-Windows-Sysmon/Operational"}
        shell = next(((s, n) for (s, n), c in events.POWERSHELL.items() if c == category), None)
        if shell:
            return {"EventID": int(shell[1]), "Channel": channel_of(shell[0])}
        if category is None:
            return {"EventID": 1, "Channel": channel_of(service) if service in SERVICES else "Made-Up/Operational"}
    if product == "linux" and category:
        number = next((n for n, c in events.SYSMON.items() if category in c), None)
        return number and {"EventID": number, "Channel": "Linux-Sysmon/Operational"}
    return None


SERVICES = {service for services in events.SERVICES.values() for service in services}


def channel_of(service):
    channels = events.windows_logsource_mapping[service]
    return channels if isinstance(channels, str) else channels[0]


def linux_flat(record):
    fields = {}
    events.flatten(record, "", fields)
    categories = events.SYSMON.get(int(fields["EventID"]), []) if (fields.get("EventID") or "").isdigit() else []
    return events.Event(fields, [("linux", None, "sysmon")] + [("linux", c, "sysmon") for c in categories], [v for v in fields.values() if v])


def plain(record):
    """A record of no known format meets every rule that names fields."""
    fields = {}
    events.flatten(record, "", fields)
    return events.Event(fields, None, [])


def swapped(text, chance):
    """Case changed in ASCII: the case of other letters is what SQLite cannot fold."""
    return "".join(c.swapcase() if c.isascii() and chance.random() < 0.5 else c for c in text)


def records(rule, source, conditions, chance):
    start = envelope(source) or {}
    for number in range(EVENTS_A_RULE):
        fields = {}
        satisfy(chance.choice(conditions), fields, chance, denied=0.0 if number < 2 else 0.5)
        record = dict(start) | {name: value.text() for name, value in fields.items()}
        names = [n for n in fields if n not in start and record.get(n)]
        if names and number == 1:
            record |= {n: swapped(record[n], chance) for n in names}
        elif names and number > 1:
            name = chance.choice(names)
            text, at = record[name], chance.randrange(len(record[name]))
            what = chance.randrange(4)
            if what == 0:
                record[name] = text[:at] + text[at + 1:]
            elif what == 1:
                record[name] = text[:at] + chance.choice("x*?%_\\") + text[at:]
            elif what == 2:
                record[name] = chance.choice([None, "", "other"])
            else:
                del record[name]
        yield record


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bavn", required=True)
    options.add_argument("--corpora", type=pathlib.Path, required=True)
    options.add_argument("--work", type=pathlib.Path, required=True)
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--verbose", action="store_true")
    chosen = options.parse_args()
    began, chance = time.monotonic(), random.Random(chosen.seed)
    folder = chosen.corpora / "sigmahq-rules"
    conditions = {}
    rules, refused = referee.rules_of(folder, conditions)
    logs = {"windows": events.windows_flat, "linux": linux_flat, "plain": plain}
    lines = {name: [] for name in logs}
    for _, rule, source, _, _ in rules:
        made = envelope(source)
        name = "plain" if made is None else source[0]
        for record in records(rule, source, conditions[rule], chance):
            if name != "plain" or record:
                lines[name].append(json.dumps(record, ensure_ascii=False))
    ours, theirs, trouble, shown = set(), set(), {}, {}
    fields_of = {rule: set(fields) for _, rule, _, _, fields in rules}
    made = chosen.work / "derived"
    made.mkdir(parents=True, exist_ok=True)
    for name, reader in logs.items():
        path = made / f"{name}.ndjson"
        path.write_text("\n".join(lines[name]) + "\n")
        read = [((path.name, number), reader(events.load(line))) for number, line in enumerate(lines[name], 1)]
        shown |= {(path.name, number): line for number, line in enumerate(lines[name], 1)}
        matches, summary = compare.bavn_matches(chosen.bavn, folder, [(path, None)], ["--format", "json"] if name == "plain" else [])
        unusable = {r["file"] for r in summary["rules_not_applied"]}
        found, problems = referee.matches([r for r in rules if str(r[0]) not in unusable], read)
        matches = {(rule, (path.name, line)) for rule, (_, line) in matches}
        if name == "plain":
            # Records of no known kind meet the rules whose fields they have: not those of keywords, nor what is satisfied by missing fields.
            by_key = dict(read)
            meets = lambda rule, key: referee.TEXT not in fields_of[rule] and not fields_of[rule].isdisjoint(by_key[key].fields)
            matches, found = ({pair for pair in pairs if meets(*pair)} for pairs in (matches, found))
        ours |= matches
        theirs |= found
        trouble |= problems
    different = compare.differences(ours, theirs, trouble, {}, {"rules_not_applied": []}, folder)
    fired = {rule for rule, _ in ours & theirs}
    print(f"events {sum(map(len, lines.values()))} made from {len(rules)} rules, seed {chosen.seed}")
    print(f"matches: both {len(ours & theirs)} (of {len(fired)} rules), only Bavn {len(ours - theirs)}, only pySigma {len(theirs - ours)}")
    wanted = {rule: (path, f) for path, rule, _, _, f in rules}
    bad = compare.verdict(different, "derived", lambda key: f"{key[0]}:{key[1]} {shown.get(key)}", chosen.verbose,
                          lambda rule: wanted.get(rule, ("", []))[0])
    print(f"seconds {time.monotonic() - began:.1f}")
    return bad


if __name__ == "__main__":
    sys.exit(main())
