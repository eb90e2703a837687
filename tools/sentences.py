#!/usr/bin/env python3
"""Sentences that the program itself says in English and a page shows in Danish and Norwegian too (i18n/ui/sentences).

usage: tools/sentences.py [--check | --update] [ROOT]

  settings.json   name of a setting: {en, da, nb}. The English is the doc of the Setting tables in src/**; --update writes it anew.
  partners.json   English sentence, with {places}: {da, nb}. Why something of a partner was not taken, and what its machine answered.
  signs.json      the same, of the signs that a node notices.

--check is a fault for: a setting without its text, a text without its setting, an English sentence that changed since the others were
written, a place {x} that one language lacks, an area without its heading (setting_group.json), a Setting that this program cannot read, a
partner's sentence that the sources do not say.
"""
import json
import pathlib
import re
import sys

FOLDER = pathlib.Path("i18n") / "ui" / "sentences"
LANGUAGES = ("da", "nb")
# Questions of `bavn node setup`, which a file may answer: no page shows them.
NOT_SHOWN = {"src/app/node_setup.cpp"}
# Where what is said about partners comes from.
OF_PARTNERS = ("src/exchange", "src/match", "src/net", "src/event", "src/base")
SAID = {"partners.json": OF_PARTNERS, "signs.json": ("src/notice",)}
LIBRARIES = ("curl",)  # whose sentences are passed on; an entry names it under "of"
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\((.*?)\)\1"|"((?:[^"\\\n]|\\.)*)"|\'(?:[^\'\\\n]|\\.)+\'|\w+|::|==|!=|\S', re.S)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def tokens(text):
    """(kind, value, line) of C++: texts that stand beside each other are one, comments are none."""
    found, line, counted = [], 1, 0
    for m in TOKEN.finditer(text):
        whole = m[0]
        line, counted = line + text.count("\n", counted, m.start()), m.start()
        if whole.startswith(("//", "/*")):
            continue
        if m[3] is not None or m[2] is not None:
            value = m[2] if m[2] is not None else re.sub(r"\\(.)", lambda e: ESCAPES.get(e[1], e[1]), m[3])
            if found and found[-1][0] == "text":
                found[-1] = ("text", found[-1][1] + value, found[-1][2])
            else:
                found.append(("text", value, line))
        else:
            found.append(("code", whole, line))
    return found


def sources(root, folders):
    for folder in folders:
        for path in sorted((root / folder).rglob("*.[ch]pp")):
            if not re.search(r"(_test|_fuzz|testing)\.[ch]pp$", path.name):
                yield path.relative_to(root).as_posix(), path.read_text()


def settings(root, faults):
    """Name -> sentence of every Setting in the sources. Each `Restart::` that is no comparison ends one; none may be passed over."""
    found = {}
    for path, text in sources(root, ("src",)):
        if path.startswith("src/base/") or path in NOT_SHOWN:
            continue
        all_tokens = tokens(text)
        begins = []
        for at, (kind, value, line) in enumerate(all_tokens):
            if kind == "code" and value == "{":
                begins.append(at)
            elif kind == "code" and value == "}":
                if begins:
                    begins.pop()
            elif kind == "code" and value == "Restart" and all_tokens[at + 1][1] == "::":
                before, doc = all_tokens[at - 1], all_tokens[at - 2]
                if before[1] in ("==", "!="):
                    continue
                first = all_tokens[begins[-1] + 1] if begins else ("", "", 0)
                if before[1] != "," or doc[0] != "text" or first[0] != "text" or not re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)+", first[1]):
                    faults.append(f"{path}:{line}: a Setting that is not written as {{\"area.name\", unit, default, bounds, \"sentence\", Restart::...}}")
                elif found.get(first[1], doc[1]) != doc[1]:
                    faults.append(f"{path}:{line}: {first[1]} has another sentence elsewhere; the two are one setting for people")
                else:
                    found[first[1]] = doc[1]
    if not found:
        faults.append("no Setting was found in src/: the tables look different from what this program reads")
    return found


def places(text):
    return sorted(set(re.findall(r"\{(\w+)\}", text)))


def read(root, name, faults):
    try:
        return json.loads((root / FOLDER / name).read_text())
    except (OSError, ValueError) as trouble:
        faults.append(f"{FOLDER / name}: {trouble}")
        return {}


def check_languages(name, key, english, entry, faults):
    for language in LANGUAGES:
        text = entry.get(language, "") if isinstance(entry, dict) else ""
        if not isinstance(text, str) or not text.strip():
            faults.append(f"{name}: {key} has no text in {language}")
        elif places(text) != places(english):
            faults.append(f"{name}: {key} has the places {places(text)} in {language}, in English {places(english)}")


def check_settings(root, faults):
    wanted, there = settings(root, faults), read(root, "settings.json", faults)
    for key in sorted(set(wanted) | set(there)):
        if key not in there:
            faults.append(f"settings.json: {key} is missing: write its da and nb (the sentence is \"{wanted[key]}\")")
        elif key not in wanted:
            faults.append(f"settings.json: {key} is no setting")
        else:
            check_languages("settings.json", key, wanted[key], there[key], faults)
            if isinstance(there[key], dict) and there[key].get("en") != wanted[key]:
                faults.append(f"settings.json: the sentence of {key} changed: look at its da and nb, then run tools/sentences.py --update")
    if list(there) != sorted(there):
        faults.append("settings.json: not in the order of the names")
    areas = {key.split(".")[0] for key in wanted}
    for language in (*LANGUAGES, "en"):
        heads = read(root, f"../{language}/setting_group.json", faults)
        faults += [f"{language}/setting_group.json: no heading for {area}" for area in sorted(areas - set(heads))]
        faults += [f"{language}/setting_group.json: {area} heads no setting" for area in sorted(set(heads) - areas)]
    return len(wanted)


def check_said(root, name, folders, faults):
    there = read(root, name, faults)
    said = "\n".join(value for _, text in sources(root, folders) for kind, value, _ in tokens(text) if kind == "text")
    for english, entry in there.items():
        check_languages(name, english, english, entry, faults)
        # A sentence is put together of pieces; each must be said somewhere.
        for piece in re.split(r"\{\w+\}", english):
            if re.search(r"\w", piece) and piece.strip() not in said and entry.get("of") not in LIBRARIES:
                faults.append(f"{name}: the sources do not say \"{piece.strip()}\"")
    if not there:
        faults.append(f"{name}: empty")
    return len(there)


def update(root):
    """The English of the settings as the sources have it; the others stay, and a new setting waits for its two texts."""
    faults = []
    wanted, there = settings(root, faults), read(root, "settings.json", faults)
    if not faults:
        fresh = {key: {"en": wanted[key], **{language: there.get(key, {}).get(language, "") for language in LANGUAGES}} for key in sorted(wanted)}
        (root / FOLDER / "settings.json").write_text(json.dumps(fresh, ensure_ascii=False, indent=2) + "\n")
    return faults


def main(arguments):
    rest = [a for a in arguments if not a.startswith("--")]
    root = pathlib.Path(rest[0]) if rest else pathlib.Path(__file__).resolve().parent.parent
    if "--update" in arguments:
        faults = update(root)
    else:
        faults = []
        n = check_settings(root, faults)
        m, k = (check_said(root, name, folders, faults) for name, folders in SAID.items())
        if not faults:
            print(f"sentences: {n} settings, {m} sentences about partners and {k} of signs in {len(LANGUAGES) + 1} languages")
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
