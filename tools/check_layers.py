#!/usr/bin/env python3
"""Holds the tree to layers.toml: who may include whom, heavy headers only in .cpp, CMake DEPENDS and the table in
ARCHITECTURE.md in agreement with it, one README a module. Prints one line a fault; exit code 1 when there is any.

usage: tools/check_layers.py [ROOT] [--update]      --update rewrites the table in ARCHITECTURE.md
"""
import pathlib
import re
import sys
import tomllib

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
DEPENDS = re.compile(r"bavn_library\(\s*(\w+)([^)]*)\)")
BEGIN, END = "<!-- layers: written by tools/check_layers.py --update -->", "<!-- /layers -->"


def read_layers(root):
    table = tomllib.loads((root / "layers.toml").read_text())
    heavy = tuple(table.pop("heavy"))
    light = tuple(table.pop("light", ()))  # below a heavy prefix, but cheap
    return table, heavy, light


def closures(layers):
    """module -> everything it may include: itself, base, event from layer 2 up, its row and what its row may use."""
    known = {}

    def of(name):
        if name not in known:
            known[name] = {name, "base"} | ({"event"} if layers[name]["layer"] >= 2 else set())
            for used in layers[name]["uses"]:
                if used in layers:
                    known[name] |= of(used)
        return known[name]

    return {name: of(name) for name in layers}


def check_rows(layers, faults):
    for name, row in layers.items():
        for used in row["uses"]:
            if used not in layers:
                faults.append(f"layers.toml: {name} uses {used}, which has no row")
            elif layers[used]["layer"] >= row["layer"]:
                faults.append(f"layers.toml: {name} (layer {row['layer']}) may not use {used} (layer {layers[used]['layer']}): only lower layers")


def check_sources(root, layers, heavy, light, allowed, faults):
    """Returns module -> modules its sources include."""
    included = {}
    for path in sorted((root / "src").rglob("*.[hc]pp")):
        where = path.relative_to(root)
        module = where.parts[1]
        if module not in layers:
            faults.append(f"{where}: src/{module} has no row in layers.toml")
            continue
        text = path.read_text(errors="replace")
        if path.suffix == ".hpp" and "#pragma once" not in text:
            faults.append(f"{where}: a header without #pragma once")
        for kind, name in INCLUDE.findall(text):
            if path.suffix == ".hpp" and name.startswith(heavy) and not (light and name.startswith(light)):
                faults.append(f"{where}: includes <{name}>; heavy headers belong in .cpp files (layers.toml)")
            if kind != '"':
                continue
            target = name.split("/")[0]
            if "/" not in name or ".." in name:
                faults.append(f'{where}: includes "{name}"; give the whole path from src/')
            elif target not in layers:
                faults.append(f'{where}: includes "{name}", but src/{target} has no row in layers.toml')
            elif target not in allowed[module]:
                faults.append(f"{where}: {module} may not include {target} (\"{name}\"); allowed: {', '.join(sorted(allowed[module]))}")
            else:
                included.setdefault(module, {}).setdefault(target, where)
    return included


def check_cmake(root, layers, allowed, included, faults):
    for module in layers:
        path = root / "src" / module / "CMakeLists.txt"
        if not path.exists():
            continue
        for name, arguments in DEPENDS.findall(path.read_text()):
            words = arguments.split()
            depends, taking = [], False
            for word in words:
                if word.isupper():
                    taking = word == "DEPENDS"
                elif taking:
                    depends.append(word)
            where = path.relative_to(root)
            reach = {module, *depends}
            for used in depends:
                if used not in allowed[module]:
                    faults.append(f"{where}: DEPENDS {used}, which layers.toml does not allow {module}")
                else:
                    reach |= allowed[used]
            for target, first in included.get(module, {}).items():
                if target not in reach:
                    faults.append(f"{where}: {first} includes {target}, but DEPENDS does not lead there")


def table_text(root, layers):
    lines = ["| L | module | may use | what |", "|---|---|---|---|"]
    for name, row in sorted(layers.items(), key=lambda item: item[1]["layer"]):
        if not (root / "src" / name / "CMakeLists.txt").exists():
            continue
        readme = root / "src" / name / "README.md"
        what = ""
        if readme.exists():
            paragraphs = [p for p in readme.read_text().split("\n\n") if p.strip() and not p.startswith("#")]
            what = " ".join(paragraphs[0].split()) if paragraphs else ""
            what = re.split(r"(?<=[a-z)`])\.(\s|$)", what)[0].replace("|", "/")
        lines.append(f"| {row['layer']} | [{name}](src/{name}/README.md) | {', '.join(row['uses']) or '-'} | {what} |")
    return "\n".join(lines)


def check_architecture(root, layers, update, faults):
    for name in layers:
        if (root / "src" / name / "CMakeLists.txt").exists() and not (root / "src" / name / "README.md").exists():
            faults.append(f"src/{name}: no README.md (at most a page: what comes in, what goes out, where to add one more)")
    path = root / "ARCHITECTURE.md"
    if not path.exists():
        return
    text = path.read_text()
    if BEGIN not in text or END not in text:
        faults.append(f"ARCHITECTURE.md: the marks around the table of layers are gone: {BEGIN} ... {END}")
        return
    head, rest = text.split(BEGIN, 1)
    now, tail = rest.split(END, 1)
    want = f"\n{table_text(root, layers)}\n"
    if now == want:
        return
    if update:
        path.write_text(head + BEGIN + want + END + tail)
    else:
        faults.append("ARCHITECTURE.md: the table of layers is not that of layers.toml; run tools/check_layers.py --update")


def main(arguments):
    update = "--update" in arguments
    rest = [a for a in arguments if a != "--update"]
    root = pathlib.Path(rest[0] if rest else pathlib.Path(__file__).parent.parent).resolve()
    layers, heavy, light = read_layers(root)
    faults = []
    check_rows(layers, faults)
    if not faults:  # closures need sound rows
        allowed = closures(layers)
        included = check_sources(root, layers, heavy, light, allowed, faults)
        check_cmake(root, layers, allowed, included, faults)
        check_architecture(root, layers, update, faults)
    for fault in faults:
        print(fault)
    print(f"layers: {len(layers)} modules, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
