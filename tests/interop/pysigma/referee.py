"""pySigma -> SQL -> SQLite: which event satisfies which rule."""
import re
import sqlite3

import yaml
from sigma.backends.sqlite import sqliteBackend
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

TEXT = "fulltext_"  # column of keywords


def rules_of(folder, conditions=None):
    """(path, id, logsource, [query], fields) of each rule pySigma converts, and path -> reason of the others.

    conditions: takes id -> parsed conditions."""
    backend = sqliteBackend(fulltext_field=TEXT, collate_nocase=True)
    rules, refused = [], {}
    for path in sorted(folder.rglob("*.yml")):
        try:
            documents = [d for d in yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader) if d]
            if len(documents) != 1 or "detection" not in documents[0]:
                refused[path] = "not one rule in one file"
                continue
            rule = SigmaRule.from_dict(documents[0])
            where = [q.split(" WHERE ", 1)[1] for q in backend.convert_rule(rule)]
            source = rule.logsource
            if conditions is not None:
                conditions[str(rule.id)] = [c.parsed for c in rule.detection.parsed_condition]
            rules.append((path, str(rule.id), (source.product, source.category, source.service), where, backend.required_fields(rule)))
        except (SigmaError, yaml.YAMLError, NotImplementedError) as trouble:
            refused[path] = f"{type(trouble).__name__}: {trouble}"
    return rules, refused


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def belongs(wanted, sources):
    """sources None: the record is of no known kind and meets every rule."""
    if sources is None:
        return True
    return any(all(w is None or w == s for w, s in zip(wanted, source)) for source in sources)


def regexp(cache={}):
    def matches(pattern, value):
        if value is None:
            return None
        compiled = cache.get(pattern)
        if compiled is None:
            compiled = cache[pattern] = re.compile(pattern)
        return compiled.search(str(value)) is not None

    return matches


def tables(rules):
    """Rules that can share a table: the same log source and no two fields whose names differ by case alone (SQL cannot tell them apart)."""
    made = []
    for rule in rules:
        for source, columns, members in made:
            if source == rule[2] and all(columns.get(f.lower(), f) == f for f in rule[4]):
                break
        else:
            columns, members = {}, []
            made.append((rule[2], columns, members))
        columns.update({f.lower(): f for f in rule[4]})
        members.append(rule)
    return made


def matches(rules, events, numeric=()):
    """rules as of rules_of; events: [(key, Event)]. Set of (rule id, key), and rule id -> trouble of SQLite."""
    found, trouble = set(), {}
    for source, columns, members in tables(rules):
        rows = [(key, event) for key, event in events if belongs(source, event.sources)]
        if not rows:
            continue
        database = sqlite3.connect(":memory:")
        database.create_function("regexp", 2, regexp(), deterministic=True)
        names = [n for n in columns.values() if n != TEXT]
        # Columns without a type would keep 1 and '1' apart; rules say EventID: 1, records '1'.
        kinds = ["NUMERIC" if n in numeric else "TEXT COLLATE NOCASE" for n in names]
        declared = ", ".join([f"{TEXT} TEXT COLLATE NOCASE"] + [f"{quoted(n)} {k}" for n, k in zip(names, kinds)])
        database.execute(f"CREATE TABLE logs ({declared})")
        marks = ", ".join("?" * (len(names) + 1))
        database.executemany(f"INSERT INTO logs VALUES ({marks})", [[e.text] + [e.fields.get(n) for n in names] for _, e in rows])
        for _, rule, _, queries, _ in members:
            for where in queries:
                try:
                    for (row,) in database.execute(f"SELECT rowid FROM logs WHERE {where}"):
                        found.add((rule, rows[row - 1][0]))
                except (sqlite3.Error, re.error) as problem:
                    trouble[rule] = str(problem)
        database.close()
    return found, trouble
