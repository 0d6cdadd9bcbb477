"""The api's own description as TypeScript types: what the page's client is typed with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from headrace.api.auth import Keys
from headrace.api.deps import ApiDeps
from headrace.testkit.apps import create_app

DOORS: Final = (
    "/jobs",
    "/runs",
    "/batches",
    "/pipelines",
    "/models",
    "/blobs",
    "/tickets",
    "/webhooks",
    "/deletions",
    "/admin",
)  # that a page or the console may want
_REF: Final = "#/components/schemas/"
_NAME: Final = re.compile(r"[A-Za-z_$][\w$]*")
_SIMPLE: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}
_HEAD: Final = (
    "// Generated from the api's OpenAPI description by `make docs`; do not edit.\n"
    "// `Calls` has one entry an operation, the rest are the schemas that they and the frames use.\n"
)


def api_types() -> str:
    document = _document()
    calls = dict(_calls(document["paths"]))
    schemas = document["components"]["schemas"]
    streamed = [{"$ref": f"{_REF}{name}"} for name in ("Frame", "BatchResult")]
    wanted = _reached([calls, streamed], schemas)
    parts = [_HEAD, _calls_interface(calls)]
    parts += [_declaration(name, schemas[name]) for name in sorted(wanted)]
    return "\n".join(parts)


def _document() -> dict[str, Any]:
    nobody = cast("Any", None)  # nothing is asked of the ports: the app only describes itself
    deps = ApiDeps(
        store=nobody,
        lookup=nobody,
        roll=nobody,
        streams=nobody,
        blobs=nobody,
        tickets=nobody,
        presence=nobody,
        steering=nobody,
        new_id=nobody,
        signed=nobody,
        auth=Keys({}, anonymous="anyone"),
    )
    return create_app(deps).openapi()


def _calls(paths: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """By method and path: schemas of what is asked with and of what is answered."""
    for path, methods in paths.items():
        if path.startswith(DOORS):
            for method, operation in methods.items():
                yield f"{method.upper()} {path}", _call(operation)


def _call(operation: Mapping[str, Any]) -> dict[str, Any]:
    asked = operation.get("parameters", ())
    call = {place: _parameters(asked, place) for place in ("path", "query")}
    call["body"] = _json_schema(operation.get("requestBody", {}), otherwise="Blob")
    answers = [
        _json_schema(answer, otherwise="Blob")
        for status, answer in operation["responses"].items()
        if status.startswith("2")
    ]
    return {**call, "answer": {"anyOf": [each for each in answers if each is not None]}}


def _parameters(asked: Any, place: str) -> dict[str, Any] | None:
    """None where there are none."""
    here = [each for each in asked if each["in"] == place]
    return (
        {
            "type": "object",
            "properties": {each["name"]: each["schema"] for each in here},
            "required": [each["name"] for each in here if each.get("required")],
        }
        if here
        else None
    )


def _json_schema(said: Mapping[str, Any], *, otherwise: str) -> dict[str, Any] | None:
    content = said.get("content", {})
    if "application/json" in content:
        found: dict[str, Any] = content["application/json"]["schema"]
        return found
    return {"native": otherwise} if content else None


def _reached(roots: Any, schemas: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    new = _references(roots)
    while new:
        found |= new
        new = _references([schemas[name] for name in new]) - found
    return found


def _references(node: Any) -> set[str]:
    match node:
        case {"$ref": str(target)}:
            return {target.removeprefix(_REF)}
        case dict():
            return set().union(*map(_references, node.values()))
        case list():
            return set().union(*map(_references, node))
        case _:
            return set()


def _calls_interface(calls: Mapping[str, dict[str, Any]]) -> str:
    lines = ["export interface Calls {"]
    for name, call in calls.items():
        lines.append(f"  {json.dumps(name)}: {{")
        for part, schema in call.items():
            lines.append(f"    {part}: {'undefined' if schema is None else _type(schema)};")
        lines.append("  };")
    return "\n".join([*lines, "}", ""])


def _declaration(name: str, schema: Mapping[str, Any]) -> str:
    comment = f"/** {' '.join(said.split())} */\n" if (said := schema.get("description")) else ""
    if schema.get("type") != "object" or "properties" not in schema:
        return f"{comment}export type {name} = {_type(schema)};\n"
    lines = [f"{comment}export interface {name} {{"]
    for key, value in schema["properties"].items():
        if about := value.get("description"):
            lines.append(f"  /** {about} */")
        lines.append(f"  {_member(key, value, schema)};")
    return "\n".join([*lines, "}", ""])


def _member(key: str, value: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    name = key if _NAME.fullmatch(key) else json.dumps(key)
    return f"{name}{'' if key in schema.get('required', ()) else '?'}: {_type(value)}"


def _type(schema: Mapping[str, Any]) -> str:  # noqa: C901, PLR0911  # one flat case a form of schema
    match schema:
        case {"$ref": str(target)}:
            return target.removeprefix(_REF)
        case {"native": str(name)}:
            return name
        case {"enum": values}:
            return " | ".join(json.dumps(value) for value in values)
        case {"anyOf": choices} | {"oneOf": choices}:
            return " | ".join(dict.fromkeys(map(_type, choices))) or "undefined"
        case {"type": "array", "items": items}:
            inner = _type(items)
            return f"({inner})[]" if "|" in inner else f"{inner}[]"
        case {"type": "object", "properties": members}:
            return (
                "{ " + "; ".join(_member(key, each, schema) for key, each in members.items()) + " }"
            )
        case {"type": "object"}:
            values = schema.get("additionalProperties")
            return f"Record<string, {_type(values) if isinstance(values, dict) else 'unknown'}>"
        case {"type": str(simple)}:
            return _SIMPLE[simple]
        case _:
            return "unknown"
