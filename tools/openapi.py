#!/usr/bin/env python3
"""Makes one OpenAPI 3.1 document of api/*.yaml and checks it. api/README.md says what a part looks like.

usage: tools/openapi.py [--check] [--out FOLDER]     --out writes openapi.json and docs.html there; exit code 1 when there is a fault
"""
import html
import json
import pathlib
import re
import sys

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
METHODS = ("get", "put", "post", "delete", "patch")
SHARED = "bavn.yaml"
# What every operation may answer; what is written by hand stays.
ALWAYS = {"400": "BadInput", "404": "NotFound", "429": "TooMany", "500": "Failed", "503": "Unavailable"}
GUARDED = {"401": "Unauthenticated", "403": "Forbidden"}
WITH_BODY = {"409": "Conflict", "413": "TooLarge", "415": "BadCoding", "422": "NotAccepted"}
WITH_MATCH = {"412": "Stale", "428": "MatchMissing"}


class Loader(yaml.SafeLoader):
    """Times and yes/no stay what they look like: text. A key written twice is a fault."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def no_twins(loader, node, deep=False):
    seen = set()
    for key, _ in node.value:
        name = loader.construct_object(key, deep=True)
        if name in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is there twice", key.start_mark)
        seen.add(name)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, no_twins)


# Words of x-rights that are no right: anyone (the same as []), and whoever is signed in.
NO_RIGHT = {"anyone", "signed-in"}


def rights_of(root):
    text = (root / "src/event/scope.hpp").read_text()
    body = re.search(r"enum class Right[^{]*\{(.*?)\};", text, re.S)[1]
    return set(re.findall(r"^\s*(\w+) = ", body, re.M)) - {"anyone"}


def merge(root, faults):
    files = [root / "api" / SHARED, *sorted(p for p in (root / "api").glob("*.yaml") if p.name != SHARED)]
    whole = {}
    for path in files:
        try:
            part = yaml.load(path.read_text(), Loader)
        except yaml.YAMLError as trouble:
            faults.append(f"api/{path.name}: {trouble}")
            continue
        if not isinstance(part, dict):
            faults.append(f"api/{path.name}: is no map")
            continue
        if path.name == SHARED:
            whole = part
            continue
        for strange in part.keys() - {"paths", "components", "tags"}:
            faults.append(f"api/{path.name}: {strange} belongs into {SHARED}; a part has paths, components and tags")
        whole["tags"] += part.get("tags") or []
        for name, operations in (part.get("paths") or {}).items():
            place = whole["paths"].setdefault(name, {})
            for method, operation in operations.items():
                if method in place:
                    faults.append(f"api/{path.name}: {method} {name} is in another part already")
                place[method] = operation
        for kind, things in (part.get("components") or {}).items():
            place = whole["components"].setdefault(kind, {})
            for name, thing in things.items():
                if place.get(name, thing) != thing:
                    faults.append(f"api/{path.name}: components/{kind}/{name} is another one in another part")
                place[name] = thing
    # A tag that nobody explains is explained by its name.
    tags = {tag["name"]: tag for tag in reversed(whole.get("tags", []))}
    for operations in whole.get("paths", {}).values():
        for operation in operations.values():
            for tag in operation.get("tags", []) if isinstance(operation, dict) else []:
                tags.setdefault(tag, {"name": tag, "description": tag.capitalize()})
    whole["tags"] = sorted(tags.values(), key=lambda tag: tag["name"] == "about")
    return whole


def resolve(document, ref):
    if not ref.startswith("#/"):
        return None
    at = document
    for step in ref[2:].split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(at, dict) or step not in at:
            return None
        at = at[step]
    return at


def whole_of(document, thing):
    while isinstance(thing, dict) and "$ref" in thing:
        thing = resolve(document, thing["$ref"])
    return thing or {}


def check_refs(document, faults):
    used = set()

    def walk(at, where):
        if isinstance(at, dict):
            ref = at.get("$ref")
            if isinstance(ref, str):
                used.add(ref)
                if resolve(document, ref) is None:
                    faults.append(f"{where}: there is no {ref}")
            for key, value in at.items():
                if key not in ("example", "examples"):
                    walk(value, f"{where}/{key}")
        elif isinstance(at, list):
            for i, value in enumerate(at):
                walk(value, f"{where}/{i}")

    walk(document.get("paths"), "paths")
    walk(document.get("components"), "components")
    return used


def parameters_of(document, path, operation):
    return [whole_of(document, p) for p in (document["paths"][path].get("parameters") or []) + operation.get("parameters", [])]


def complete(document):
    """Adds what every operation has, as api/README.md says."""
    shared = document["components"]
    for path, operations in document["paths"].items():
        for method in METHODS:
            operation = operations.get(method)
            if not isinstance(operation, dict):
                continue
            responses = operation.setdefault("responses", {})
            wanted = dict(ALWAYS)
            if set(operation.get("x-rights") or []) - {"anyone"}:
                wanted |= GUARDED
            if not set(operation.get("x-rights") or []) - {"anyone"} and "security" not in operation:
                operation["security"] = [{}, {"session": []}, {"key": []}]
            if "{" in path:
                wanted["404"] = "NotFound"
            if method == "post":
                wanted["409"] = "Conflict"
                wanted["422"] = "NotAccepted"
                wanted |= GUARDED  # a write from another origin
                operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/Idempotency-Key"})
            if method in ("put", "delete", "patch"):
                wanted |= GUARDED
            if "requestBody" in operation:
                wanted |= WITH_BODY
            if any(p.get("name") == "If-Match" for p in parameters_of(document, path, operation)):
                wanted |= WITH_MATCH
            for status, name in wanted.items():
                if name in shared.get("responses", {}):
                    responses.setdefault(status, {"$ref": f"#/components/responses/{name}"})


NOTES = []  # what should be there, and what nothing breaks without
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time")
def is_time(value):
    return not isinstance(value, str) or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value) is not None


def check_example(document, schema, example, where, faults):
    validator = jsonschema.Draft202012Validator({"components": document["components"], **schema}, format_checker=FORMATS)
    for error in sorted(validator.iter_errors(example), key=lambda e: list(e.absolute_path))[:3]:
        pointer = "/".join(str(p) for p in error.absolute_path)
        faults.append(f"{where}: the example at /{pointer}: {error.message[:200]}")


def check_content(document, content, where, faults):
    for kind, media in (content or {}).items():
        schema = media.get("schema")
        if schema is None:
            faults.append(f"{where}: {kind} has no schema")
            continue
        examples = [media["example"]] if "example" in media else [whole_of(document, e).get("value") for e in media.get("examples", {}).values()]
        if not examples:
            examples = whole_of(document, schema).get("examples", [])
        if not examples:
            NOTES.append(f"{where}: {kind} has no example")
        if kind.endswith("json"):
            for example in examples:
                check_example(document, schema, example, where, faults)


def check_operations(document, rights, faults):
    ids = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method not in METHODS:
                if method not in ("parameters", "summary", "description"):
                    faults.append(f"{path}: {method} is no method")
                continue
            where = f"{method.upper()} {path}"
            for name in ("operationId", "tags", "summary", "responses", "x-rights", "x-roles"):
                if name not in operation:
                    faults.append(f"{where}: {name} is missing")
            other = ids.setdefault(operation.get("operationId"), where)
            if other != where:
                faults.append(f"{where}: operationId {operation.get('operationId')} is that of {other}")
            for right in operation.get("x-rights") or []:
                if right not in rights | NO_RIGHT:
                    faults.append(f"{where}: x-rights {right} is no right of src/event/scope.hpp")
            roles = operation.get("x-roles") or []
            if not roles or set(roles) - {"hub", "node"}:
                faults.append(f"{where}: x-roles is a list of hub and node")
            parameters = parameters_of(document, path, operation)
            declared = {p.get("name") for p in parameters if p.get("in") == "path"}
            if declared != set(re.findall(r"\{(\w+)\}", path)):
                faults.append(f"{where}: the parameters of the path are {sorted(re.findall(r'{(.*?)}', path))}, declared are {sorted(declared)}")
            for p in parameters:
                if "schema" not in p:
                    faults.append(f"{where}: parameter {p.get('name')} has no schema")
                elif "example" in p:
                    check_example(document, p["schema"], p["example"], f"{where}: parameter {p['name']}", faults)
            if method == "get" and "requestBody" in operation:
                faults.append(f"{where}: a GET has no body")
            check_content(document, whole_of(document, operation.get("requestBody", {})).get("content"), f"{where}: body", faults)
            good = [status for status in operation.get("responses", {}) if str(status)[0] in "23"]
            if not good:
                faults.append(f"{where}: no good answer is declared")
            for status, response in operation.get("responses", {}).items():
                if not isinstance(status, str):
                    faults.append(f"{where}: the status {status} must be in quotes")
                response = whole_of(document, response)
                if "description" not in response:
                    faults.append(f"{where}: the answer {status} has no description")
                if str(status)[0] == "2":
                    check_content(document, response.get("content"), f"{where}: {status}", faults)
    for name, schema in document["components"].get("schemas", {}).items():
        for example in schema.get("examples", []) if isinstance(schema, dict) else []:
            check_example(document, schema, example, f"schema {name}", faults)
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as trouble:
            faults.append(f"schema {name}: {trouble.message[:200]}")


def docs_page(document):
    """One page for people, without script."""
    e = html.escape

    def prose(text):
        out = []
        for paragraph in (text or "").strip().split("\n\n"):
            words = e(" ".join(paragraph.split()))
            words = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", words)
            words = re.sub(r"`(.+?)`", r"<code>\1</code>", words)
            out.append(f"<p>{words}</p>")
        return "\n".join(out)

    def type_of(schema):
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            return f'<a href="#schema-{e(name)}">{e(name)}</a>'
        if "enum" in schema:
            return " | ".join(f"<code>{e(json.dumps(v, ensure_ascii=False))}</code>" for v in schema["enum"])
        for word in ("oneOf", "anyOf", "allOf"):
            if word in schema:
                return {"allOf": " and "}.get(word, " or ").join(type_of(s) for s in schema[word])
        kind = schema.get("type", "anything")
        kind = " or ".join(kind) if isinstance(kind, list) else kind
        if kind == "array":
            return "list of " + type_of(schema.get("items", {}))
        limits = [f"{w} {schema[k]}" for k, w in (("minimum", "from"), ("maximum", "to"), ("maxLength", "at most"), ("format", ""), ("const", "always")) if k in schema]
        return e(" ".join([kind, *limits]).strip())

    def members(schema, depth=0):
        rows = []
        for name, member in (schema.get("properties") or {}).items():
            must = "" if name in schema.get("required", ()) else ' <span class="soft">optional</span>'
            rows.append(f"<tr><th scope=\"row\"><code>{'&nbsp;&nbsp;' * depth}{e(name)}</code>{must}</th><td>{type_of(member)}</td>"
                        f"<td>{e(member.get('description', ''))}</td></tr>")
            inner = member.get("items", member) if isinstance(member.get("items", member), dict) else {}
            if "properties" in inner and depth < 4:
                rows += members(inner, depth + 1)
        return rows

    def table(rows, head):
        if not rows:
            return ""
        return ('<div class="wide" tabindex="0"><table><thead><tr>' + "".join(f'<th scope="col">{h}</th>' for h in head) +
                "</tr></thead><tbody>" + "".join(rows) + "</tbody></table></div>")

    def example(media):
        value = media.get("example")
        if value is None:
            return ""
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        return f"<pre tabindex=\"0\">{e(text)}</pre>"

    def body(content):
        out = []
        for kind, media in (content or {}).items():
            schema = media.get("schema", {})
            out.append(f"<p><code>{e(kind)}</code> {type_of(schema)}</p>")
            if "$ref" not in schema:
                out.append(table(members(schema), ("Member", "Type", "Meaning")))
            out.append(example(media))
        return "\n".join(out)

    groups = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                groups[operations[method]["tags"][0]].append((method, path, operations[method]))
    out, links = [], []
    for tag in document["tags"]:
        if not groups[tag["name"]]:
            continue
        out.append(f'<section aria-labelledby="tag-{e(tag["name"])}"><h2 id="tag-{e(tag["name"])}">{e(tag.get("description", tag["name"]))}</h2>')
        links.append(f'<li><a href="#tag-{e(tag["name"])}">{e(tag.get("description", tag["name"]))}</a></li>')
        for method, path, o in groups[tag["name"]]:
            rights = ", ".join(o["x-rights"]) or "anyone"
            out.append(f'<article aria-labelledby="{e(o["operationId"])}"><h3 id="{e(o["operationId"])}"><span class="method {method}">{method.upper()}</span> '
                       f'<code>{e(path)}</code></h3><p class="lead">{e(o["summary"])}</p>{prose(o.get("description"))}'
                       f'<p class="soft">{" and ".join(o["x-roles"])} · needs {e(rights)}</p>')
            rows = [f"<tr><th scope=\"row\"><code>{e(p['name'])}</code></th><td>{e(p['in'])}, {type_of(p['schema'])}</td><td>{e(p.get('description', ''))}</td></tr>"
                    for p in parameters_of(document, path, o)]
            out.append(table(rows, ("Parameter", "Where, type", "Meaning")))
            if "requestBody" in o:
                out.append("<h4>Body</h4>" + body(whole_of(document, o["requestBody"]).get("content")))
            for status, response in o["responses"].items():
                response = whole_of(document, response)
                if status[0] == "2":
                    out.append(f"<h4>{status} {e(response.get('description', ''))}</h4>" + body(response.get("content")))
            others = [f"{status} {whole_of(document, r).get('description', '')}" for status, r in o["responses"].items() if status[0] != "2"]
            out.append(f'<details><summary>Other answers</summary><ul>{"".join(f"<li>{e(t)}</li>" for t in others)}</ul></details></article>')
        out.append("</section>")
    out.append('<section aria-labelledby="schemas"><h2 id="schemas">Schemas</h2>')
    links.append('<li><a href="#schemas">Schemas</a></li>')
    for name, schema in document["components"]["schemas"].items():
        out.append(f'<article><h3 id="schema-{e(name)}"><code>{e(name)}</code></h3>{prose(schema.get("description"))}')
        rows = members(schema)
        out.append(table(rows, ("Member", "Type", "Meaning")) if rows else f"<p>{type_of(schema)}</p>")
        out.append("</article>")
    out.append("</section>")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Bavn: the API</title><link rel="stylesheet" href="/pages/page.css"></head>
<body class="docs"><header><h1>Bavn: the API</h1>{prose(document["info"]["description"])}
<p><a href="/api/openapi.json">openapi.json</a></p></header>
<nav aria-label="Contents"><ul>{"".join(links)}</ul></nav><main>
{"".join(out)}
</main></body></html>
"""


def build(root):
    faults = []
    document = merge(root, faults)
    if not document:
        return document, faults
    check_refs(document, faults)
    if not faults:
        complete(document)
        check_refs(document, faults)
        check_operations(document, rights_of(root), faults)
    return document, faults


def main(arguments):
    if "-h" in arguments or "--help" in arguments:
        print(__doc__.strip())
        return 0
    document, faults = build(ROOT)
    for line in faults + (NOTES if "--check" in arguments else []):
        print(line)
    operations = sum(1 for o in (document.get("paths") or {}).values() for m in o if m in METHODS)
    if "--out" in arguments and not faults:
        folder = pathlib.Path(arguments[arguments.index("--out") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "openapi.json").write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")))
        (folder / "docs.html").write_text(docs_page(document))
    if faults or "--check" in arguments:
        print(f"openapi: {operations} operations, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
