"""A refused input in plain words: which field, and what it should have been."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from headrace.engines.engine import BadInput

_PLACE: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_FIELD: Final = re.compile(
    r"Object (?P<how>contains unknown|missing required) field `(?P<name>.*)`"
)
_TYPE: Final = re.compile(r"Expected `(?P<want>.*)`, got `(?P<got>.*)`")
_SIZE: Final = re.compile(
    r"Expected `(?P<type>\w+)` of length (?P<sign>[<>]=?|==) (?P<n>\d+)|"
    r"Expected `\w+` (?P<bound>[<>]=?) (?P<limit>\S+)"
)
_ENUM: Final = re.compile(r"Invalid enum value (?P<value>.*)", re.DOTALL)
_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "nothing",
}
_SIGNS: Final = {
    "<=": "at most",
    ">=": "at least",
    "<": "less than",
    ">": "more than",
    "==": "exactly",
}


def bad_input(error: msgspec.ValidationError) -> BadInput:
    place = _PLACE.fullmatch(str(error))
    what, path = (place["what"], place["path"] or "") if place else (str(error), "")
    path = path.replace("[...]", "")  # an item, of which the number is not told
    if gap := _FIELD.fullmatch(what):
        why = "is missing" if gap["how"].startswith("missing") else "is not known here"
        return BadInput(f"{path}.{gap['name']}".lstrip("."), why)
    return BadInput(path or "input", _why(what))


def unknown_field(known: Sequence[str]) -> str:
    return f"is not known here; known are {', '.join(known)}" if known else "is not known here"


def _why(what: str) -> str:
    if wrong := _TYPE.fullmatch(what):
        return f"should be {_in_words(wrong['want'])}, not {_in_words(wrong['got'])}"
    if size := _SIZE.fullmatch(what):
        return _size(size)
    if enum := _ENUM.fullmatch(what):
        return f"cannot be {enum['value'][:60]}"
    return what


def _size(size: re.Match[str]) -> str:
    if size["limit"]:
        return f"should be {_SIGNS[size['bound']]} {size['limit'].removesuffix('.0')}"
    unit = "character" if size["type"] == "str" else "item"
    plural = "" if size["n"] == "1" else "s"
    return f"should have {_SIGNS[size['sign']]} {size['n']} {unit}{plural}"


def _in_words(types: str) -> str:
    return " or ".join(_WORDS.get(name, name) for name in types.split(" | "))
