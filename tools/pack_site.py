#!/usr/bin/env python3
"""Makes one C++ file of what the site serves: the app (a folder of vite's), the pages' style, the contract and its page. Everything is packed
with gzip once, here, and named by its hash.

usage: tools/pack_site.py OUT.cpp TABLE [--app FOLDER] [--at URL FILE]...      TABLE: packed or packed_app; FILE is served at URL
"""
import base64
import gzip
import hashlib
import pathlib
import sys

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
         ".woff2": "font/woff2", ".json": "application/json", ".png": "image/png", ".ico": "image/x-icon", ".txt": "text/plain; charset=utf-8",
         ".webmanifest": "application/manifest+json"}
LEFT_OUT = (".map",)


def main(arguments):
    out, table_name, app, files = pathlib.Path(arguments[0]), arguments[1], None, {}
    rest = arguments[2:]
    while rest:
        word = rest.pop(0)
        if word == "--app":
            app = pathlib.Path(rest.pop(0))
        else:
            url, path = rest.pop(0), rest.pop(0)
            files[url] = pathlib.Path(path)
    if app:
        for path in sorted(app.rglob("*")):
            name = path.relative_to(app).as_posix()
            if path.is_file() and path.suffix not in LEFT_OUT and not name.startswith("."):
                files["/" + name] = path
    folder = out.parent / table_name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    lines, table = ['#include "show/web/assets.hpp"\n'], []
    for n, (url, path) in enumerate(sorted(files.items())):
        kind = TYPES.get(path.suffix)
        if kind is None:
            print(f"pack_site: {path}: nothing is known of {path.suffix}; add it to TYPES", file=sys.stderr)
            return 1
        data = path.read_bytes()
        packed = folder / f"{n}.gz"
        packed.write_bytes(gzip.compress(data, 9, mtime=0))
        tag = base64.urlsafe_b64encode(hashlib.sha256(data).digest())[:16].decode()
        lines.append(f'asm(".section .rodata\\n.global bavn_{table_name}_{n}\\nbavn_{table_name}_{n}:\\n.incbin \\"{packed}\\"\\n'
                     f'.global bavn_{table_name}_{n}_end\\nbavn_{table_name}_{n}_end:\\n.byte 0\\n.text\\n");\n'
                     f'extern "C" const char bavn_{table_name}_{n}[], bavn_{table_name}_{n}_end[];\n')
        table.append(f'    {{"{url}", "{kind}", "\\"{tag}\\"", {len(data)}, bavn_{table_name}_{n}, bavn_{table_name}_{n}_end}},\n')
    lines.append("namespace bavn::show::web::detail {\n"
                 f"extern const Packed {table_name}[];\nextern const unsigned {table_name}_count;\nconst Packed {table_name}[] = {{\n"
                 + "".join(table) + "    {nullptr, nullptr, nullptr, 0, nullptr, nullptr}};\n"
                 f"const unsigned {table_name}_count = {len(files)};\n}}  // namespace bavn::show::web::detail\n")
    out.write_text("".join(lines))
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        sys.exit(0 if len(sys.argv) > 1 else 2)
    sys.exit(main(sys.argv[1:]))
