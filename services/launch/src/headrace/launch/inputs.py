"""From words on a command line to a job's input, typed by the model's own schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from headrace.launch.errors import Misused

PROMPTS: Final = ("prompt", "text", "texts", "input")  # where a bare PROMPT goes, first match wins


def pick_model(models: Sequence[Mapping[str, Any]], kind: str, model: str | None) -> dict[str, Any]:
    """The catalog's entry for what was asked. Raises Misused, naming what there is."""
    if not models:
        raise Misused("No engine is announced yet. They may still be loading: try again shortly.")
    of_kind = [dict(entry) for entry in models if entry["kind"] == kind]
    if not of_kind:
        known = ", ".join(sorted({str(entry["kind"]) for entry in models}))
        raise Misused(f"No engine runs kind {kind!r}. Known kinds: {known} (`headrace models`).")
    for entry in of_kind:
        if model in {None, entry["model"]}:
            return entry
    name = (model or "").partition("@")[0]  # of a registered one any version can be named
    for entry in of_kind:
        if entry.get("registered") and entry["model"] == name:
            return {**entry, "model": model}
    known = ", ".join(str(entry["model"]) for entry in of_kind)
    raise Misused(f"No model {model!r} of kind {kind!r}. Known: {known}.")


def build_input(
    schema: Mapping[str, Any], *, prompt: str | None, given: Sequence[str]
) -> dict[str, Any]:
    """`given` are `key=value`; a key that comes twice makes a list. Raises Misused."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    said: dict[str, list[str]] = {}
    for each in given:
        name, found, value = each.partition("=")
        if not found:
            raise Misused(f"-i {each}: write key=value, as in -i {next(iter(properties), 'key')}=…")
        if name not in properties:
            raise Misused(f"-i {each}: the inputs are {', '.join(properties)}.")
        said.setdefault(name, []).append(value)
    built = {name: _typed(name, values, _types(schema, name)) for name, values in said.items()}
    if prompt is not None:
        built[_prompt_name(schema)] = _prompt_value(schema, prompt)
    return built


def picture_name(schema: Mapping[str, Any]) -> str:
    """The input that holds a picture: the one of the form {"blob": id}. Raises Misused."""
    for name in schema.get("properties", {}):
        for form in _forms(schema, schema["properties"][name]):
            if "blob" in form.get("properties", {}):
                return str(name)
    raise Misused("This model takes no picture; --image is for those that do, such as upscale.")


def _prompt_name(schema: Mapping[str, Any]) -> str:
    properties = schema.get("properties", {})
    for name in PROMPTS:
        if name in properties:
            return name
    raise Misused(f"This model takes no prompt; give its inputs as -i {next(iter(properties))}=…")


def _prompt_value(schema: Mapping[str, Any], prompt: str) -> str | list[str]:
    return prompt if "string" in _types(schema, _prompt_name(schema)) else [prompt]


def _typed(name: str, values: Sequence[str], types: frozenset[str]) -> Any:
    """A list where a list is wanted and the text is none itself; else the last value, as its type."""
    if "array" in types and not (len(values) == 1 and values[0].startswith("[")):
        return list(values)
    value = values[-1]
    read = _json(value)
    if _type_of(read) & types:
        return read
    if "string" in types or not types:
        return value
    raise Misused(f"-i {name}={value}: this should be {_either(types)}.")


def _json(value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _type_of(value: object) -> frozenset[str]:  # noqa: PLR0911  # one flat case a type
    """What JSON Schema calls it; a whole number is also a number. Text is text only when quoted."""
    match value:
        case None:
            return frozenset({"null"})
        case bool():
            return frozenset({"boolean"})
        case int():
            return frozenset({"integer", "number"})
        case float():
            return frozenset({"number"})
        case list():
            return frozenset({"array"})
        case dict():
            return frozenset({"object"})
        case _:
            return frozenset()


def _types(schema: Mapping[str, Any], name: str) -> frozenset[str]:
    found: set[str] = set()
    for form in _forms(schema, schema["properties"][name]):
        found |= {form["type"]} if "type" in form else set()
        for choice in form.get("enum", ()):
            found |= _type_of(choice) or {"string"}
    return frozenset(found)


def _forms(schema: Mapping[str, Any], part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The alternatives of a property, with references followed."""
    if "$ref" in part:
        name = str(part["$ref"]).rpartition("/")[2]
        return _forms(schema, schema.get("$defs", {}).get(name, {}))
    alternatives = part.get("anyOf") or part.get("oneOf")
    if alternatives:
        return [form for each in alternatives for form in _forms(schema, each)]
    return [part]


def _either(types: frozenset[str]) -> str:
    words = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
    return " or ".join(sorted(words.get(each, f"JSON ({each})") for each in types - {"null"}))


def read_json_object(path: Path) -> dict[str, Any]:
    """An input as a file has it. Raises Misused."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise Misused(f"Cannot read {path}: {error.strerror}.") from error
    except msgspec.MsgspecError as error:
        raise Misused(f"{path} is not a JSON object: {error}.") from error
