#!/usr/bin/env python3
"""Sentences that the program itself says in English and a page shows in Danish and Norwegian too (i18n/ui/sentences).

usage: tools/sentences.py [--check | --update] [ROOT]

  settings.json   name of a setting: {en, da, nb}. The English is the doc of the Setting tables in src/**; --update writes it anew.
  partners.json   English sentence, with {places}: {da, nb}. Why something of a partner was not taken, and what its machine answered.
  signs.json      the same, of the signs that a node notices.
  status.json     the same, of how things stand: sources, the way to the hub, the first ten minutes, blocks, orders.
  problems.json   the same, of why a request is refused (`detail` of problems).
  rules.json      title of a rule in content/rules: {da, nb}.

--check is a fault for: a sentence that the program says to people (PROBLEMS, STATUS below: where and how) and that has no text, a rule of
ours without its title in the two languages, a title of no rule, a reason for which a line is refused without its word
(../{da,nb,en}/refusal.json),  a setting without its text, a text without its setting, an English sentence that changed since the others were
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
SAID["status.json"] = ("src",)
SAID["problems.json"] = ("src",)
# Whose refusals a page shows: every sentence in them has a text. What lies deeper is shown in English, behind "details".
PROBLEMS = ("src/show/api", "src/show/auth", "src/show/web", "src/app/setup_desk.cpp", "src/app/purge_routes.cpp", "src/app/warnings_node.cpp",
            "src/alerts/reader.cpp", "src/tenants/people.cpp", "src/warn/desk.cpp", "src/warn/desk_push.cpp", "src/warn/desk_exposure.cpp",
            "src/warn/blocks", "src/correlate/brakes.cpp", "src/correlate/campaigns.cpp", "src/act/purge.cpp", "src/notice/desk.cpp",
            "src/exchange/peers/desk.cpp", "src/exchange/peers/partner.cpp", "src/exchange/subscribers")
# Of them: what a machine got wrong (a browser's key, a provider's token, a node's report), and what nobody can see but who wrote the request by hand.
NOT_PROBLEMS = ("src/show/auth/webauthn/", "src/show/web/site.cpp", "src/show/auth/oidc.cpp", "src/show/auth/providers.cpp")
# What says how things stand, and how: the names of the functions and members whose sentences pages show.
STATUS = {
    "src/input/sources/microsoft365": ("what", "fix", "report", "note", "says"),
    "src/input/sources/files": ("text", "block"),
    "src/input/sources/listener.cpp": ("text",),
    "src/input/sources/kafka": ("say",),
    "src/app/setup_desk.cpp": ("says", "end"),
    "src/tenants/people.cpp": ("gaps",),
    "src/app/duty_call.cpp": ("withheld",),
    "src/alerts/book.cpp": ("why",),
    "src/warn/never_block.cpp": ("Refusal",),
    "src/act/order.cpp": ("refuse",),
    "src/beacon/follower.cpp": ("trouble", "stop", "fork", "say"),
}
# What only a machine reads that was written wrongly, or who starts a program: nodes' reports at the hub, calls by hand.
NOT_FOR_PEOPLE = {
    "a warning desk needs a way down and a roster",
    "an answer of {} bytes: at most {}",
    "an answer's state is not one of those there are",
    "an answer names the version it answers",
    "a count of an answer is below zero or beyond belief",
    "a time of an answer is before 1970",
    "an answer to a warning that is not there",
    "an answer to version {} of {}, which has {}",
    "an answer to a warning that did not go there",
    "an answer of more than 4 KiB",
    "a number of systems beyond belief",
    "an answer to a question that is not there",
    "an answer to a question that did not go there",
    "this is no report about blocks",
    "all entries can only be withdrawn",
    "an entry's id is letters, digits and '-'",
    "a preview's id is letters, digits and '-'",
    "a preview looks 1 to 400 days back",
    "purge needs a way to the mailboxes and to the trace",
    "purge.way is \"auto\", \"mailbox\" or \"defender\", not \"{}\"",
    "an exercise without an id, or with one above 100 bytes",
    "an exercise names its sender: an address or a domain",
    "the exercise's url cannot be read",
    "an exercise ends after it begins, and within 62 days",
    "the saved state of notices cannot be read; it is made again from history",
    "more than 1,000 exercises are registered",
    "a sender notice without an id, or with more than is allowed",
    "there are subscribers, and no mail server or web address",
    "contact_way {} has the unknown kind \"{}\"",
}
NOT_STATUS = ("src/input/sources/microsoft365/stand_in/",)
# Where lines are refused, by what reads and what brings them: each key there has its word.
REFUSERS = ("src/formats/reader.cpp", "src/formats/source.cpp", "src/formats/json_shape.cpp", "src/live/matched.cpp", "src/input/sources/files",
            "src/input/sources/listener.cpp", "src/input/sources/syslog", "src/input/sources/relp/relp.cpp", "src/input/sources/kafka",
            "src/input/sources/stdin")
REFUSAL = re.compile(r"(json|csv|record|line|xml|format|batch|not|file|message|udp|tls|relp|sender|connection|lost|too|delivery|accept)(_[a-z0-9]+)+")
LIBRARIES = ("curl", "system")  # whose sentences are passed on; an entry names it under "of"
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
        whole = root / folder
        for path in [whole] if whole.is_file() else sorted(whole.rglob("*.[ch]pp")):
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
            parts = [piece] if piece.strip() in said else re.split(r"[:;.()]+(?:\s+|$)|\s\(", piece)  # what is said with and without more
            if any(re.search(r"\w", part) and part.strip() not in said for part in parts) and entry.get("of") not in LIBRARIES:
                faults.append(f"{name}: the sources do not say \"{piece.strip()}\"")
    if not there:
        faults.append(f"{name}: empty")
    return len(there)


def inside(all_tokens, at):
    """The texts between the bracket at `at` and the one that closes it."""
    depth = 0
    for kind, value, line in all_tokens[at:]:
        if kind == "text":
            yield value, line
        elif value in ("(", "{"):
            depth += 1
        elif value in (")", "}"):
            depth -= 1
            if depth == 0:
                return


def until_its_end(all_tokens, at):
    """The texts of what is assigned: up to the ; or the , that ends it."""
    depth = 0
    for kind, value, line in all_tokens[at:]:
        if kind == "text":
            yield value, line
        elif value in ("(", "{", "["):
            depth += 1
        elif value in (")", "}", "]"):
            depth -= 1
        if depth < 0 or (kind == "code" and (value == ";" or (value == "," and depth == 0))):
            return


def refusals_of_requests(all_tokens):
    """(sentence, line) of every Error, problem() and fault of a body."""
    for at, (kind, value, _) in enumerate(all_tokens[:-2]):
        if kind != "code" or value not in ("(", "{"):
            continue
        after, behind = all_tokens[at + 1], all_tokens[at + 2]
        error = after[1] == "Code" and behind[1] == "::"
        problem = at > 0 and all_tokens[at - 1][1] == "problem" and after[1].isdigit()
        fault = value == "{" and after[0] == "text" and re.fullmatch(r"[/?][\w/{}.-]*", after[1]) and behind[1] == ","
        if error or problem or fault:
            yield from ((text, line) for text, line in inside(all_tokens, at) if not text.startswith(("/", "?")))


def standings(all_tokens, names):
    """(sentence, line) of what is given to one of `names`: called, assigned, or pushed back."""
    for at, (kind, value, _) in enumerate(all_tokens[:-3]):
        if kind != "code" or value not in names:
            continue
        behind = all_tokens[at + 1][1]
        if behind == "(" and value != "says":  # a question in one file, a member elsewhere
            yield from inside(all_tokens, at + 1)
        elif behind == "{":
            yield from inside(all_tokens, at + 1)
        elif behind == "=" or (behind == "+" and all_tokens[at + 2][1] == "="):
            yield from until_its_end(all_tokens, at + 2)
        elif behind == "." and all_tokens[at + 2][1] == "push_back":
            yield from inside(all_tokens, at + 3)


def plain(sentence):
    """A sentence without the names of its places."""
    return re.sub(r"(\{\})+", "{}", re.sub(r"\{[^{}]*\}", "{}", sentence))


def check_told(root, name, found, faults):
    """Each (path, line, sentence) of found has its text in the file: whole, or in its parts."""
    there = "\n".join(plain(english) for english in read(root, name, faults))
    n = 0
    for path, line, sentence in found:
        # What has no blank and no letters is no sentence: keys, units, signs between two places.
        if not re.search(r"[A-Za-z]{2,} \S|\S [A-Za-z]{2,}", sentence.strip()):
            continue
        n += 1
        # Whole, sentence by sentence, or with what is filled in left out.
        whole = plain(sentence)
        pieces = [re.sub(r"^[\s{}:;,.]+|[\s{}:;,.(]+$", "", piece) for piece in re.split(r"[.;]\s+", whole)]
        told = whole.strip() in there or all(bare in there for bare in pieces) or all(bare.strip(" :;,.()") in there for bare in whole.split("{}"))
        if not told:
            faults.append(f"{path}:{line}: \"{sentence.strip()}\" has no da and nb: write them in {FOLDER / name}")
    if n == 0:
        faults.append(f"{name}: no sentence was found in the sources that it is for: they look different from what this program reads")


def check_problems(root, faults):
    check_told(root, "problems.json", [(path, line, text) for path, content in sources(root, PROBLEMS) if not path.startswith(NOT_PROBLEMS)
                                       for text, line in refusals_of_requests(tokens(content)) if text not in NOT_FOR_PEOPLE], faults)


def check_status(root, faults):
    check_told(root, "status.json", [(path, line, text) for folder, names in STATUS.items() for path, content in sources(root, (folder,)) if not path.startswith(NOT_STATUS)
                                     for text, line in standings(tokens(content), names) if text not in NOT_FOR_PEOPLE], faults)


def check_rules(root, faults):
    there = read(root, "rules.json", faults)
    titles = set()
    for path in sorted((root / "content" / "rules").rglob("*.yml")):
        for title in re.findall(r"^title:\s*(.+?)\s*$", path.read_text(), re.M):
            title = title[1:-1] if title[:1] in ("'", '"') and title[-1:] == title[:1] else title
            titles.add(title)
            if title not in there:
                faults.append(f"rules.json: {path.relative_to(root)}: \"{title}\" has no da and nb")
    for title, entry in there.items():
        check_languages("rules.json", title, title, entry, faults)
        if title not in titles:
            faults.append(f"rules.json: no rule has the title \"{title}\"")
    return len(titles)


def check_refusals(root, faults):
    keys = {}
    for path, content in sources(root, REFUSERS):
        all_tokens = tokens(content)
        for at, (kind, value, line) in enumerate(all_tokens):
            logged = any(value == "log" for _, value, _ in all_tokens[max(0, at - 4):at])
            if kind == "text" and REFUSAL.fullmatch(value) and not logged:
                keys.setdefault(value, f"{path}:{line}")
    for language in (*LANGUAGES, "en"):
        words = read(root, f"../{language}/refusal.json", faults)
        faults += [f"{keys[key]}: lines are refused for {key}, which has no word in {language}/refusal.json" for key in sorted(set(keys) - set(words))]
        faults += [f"{language}/refusal.json: nothing is refused for {key}" for key in sorted(set(words) - set(keys))]
    return len(keys)


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
        said = {name: check_said(root, name, folders, faults) for name, folders in SAID.items()}
        check_problems(root, faults)
        check_status(root, faults)
        rules, refusals = check_rules(root, faults), check_refusals(root, faults)
        if not faults:
            print(f"sentences: {n} settings, {said['partners.json']} sentences about partners, {said['signs.json']} of signs, {said['status.json']} of how things stand, "
                  f"{said['problems.json']} of refused requests, {rules} titles of rules and {refusals} reasons for refused lines in {len(LANGUAGES) + 1} languages")
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
