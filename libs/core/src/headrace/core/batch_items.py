"""Reading the items of a batch: JSON objects, one a line. What is wrong with one is said of it alone. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

MOST_LABELS: Final = 14  # two less than a job may have: those of the batch and the item are added
MOST_ITEM_BYTES: Final = 1 << 20
DEEPEST: Final = 64
_LabelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._/-]{1,63}$")]
_LabelValue = Annotated[str, Meta(max_length=255)]
_LONGEST_ID: Final = 128


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a line says; None: as the batch has it."""

    input: dict[str, Any]
    custom_id: Annotated[str, Meta(min_length=1, max_length=_LONGEST_ID)] | None = None
    model: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    priority: Annotated[int, Meta(ge=-100, le=100)] | None = None
    labels: Annotated[dict[_LabelName, _LabelValue], Meta(max_length=MOST_LABELS)] = {}


class BadItem(Exception):
    """One that no job can be made of. `custom_id` is what it says of itself, as far as that can be read."""

    def __init__(self, why: str, custom_id: str | None = None) -> None:
        super().__init__(why)
        self.why, self.custom_id = why, custom_id


def count_items(source: bytes) -> int:
    return sum(1 for line in source.split(b"\n") if line.strip())


def next_items(source: bytes, start: int, limit: int) -> tuple[list[bytes], int]:
    """Some lines from there on, but for blank ones, and where those behind them begin."""
    lines: list[bytes] = []
    while len(lines) < limit and start < len(source):
        end = source.find(b"\n", start)
        end = len(source) if end < 0 else end
        line = source[start:end].strip()
        if line:
            lines.append(line)
        start = end + 1
    return lines, min(start, len(source))


def read_item(line: bytes) -> Item:
    """Raises BadItem."""
    if len(line) > MOST_ITEM_BYTES:
        raise BadItem(f"it has {len(line)} bytes, and {MOST_ITEM_BYTES} are the most")
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadItem(f"it is not JSON: {error}") from error
    except RecursionError as error:
        raise BadItem(_TOO_DEEP) from error
    said = value.get("custom_id") if isinstance(value, dict) else None
    custom_id = said[:_LONGEST_ID] if isinstance(said, str) and "\0" not in said else None
    if not _is_shallow(value, DEEPEST):
        raise BadItem(_TOO_DEEP, custom_id)
    if not _is_storable(value):
        raise BadItem("it has a NUL character, which cannot be stored", custom_id)
    try:
        return msgspec.convert(value, Item)
    except msgspec.ValidationError as error:
        raise BadItem(str(error), custom_id) from error


_TOO_DEEP: Final = f"it nests deeper than {DEEPEST} levels"


def _is_storable(value: Any) -> bool:
    match value:
        case str():
            return "\0" not in value
        case dict():
            return all(_is_storable(name) and _is_storable(each) for name, each in value.items())
        case list():
            return all(map(_is_storable, value))
        case _:
            return True


def _is_shallow(value: Any, deepest: int) -> bool:
    match value:
        case dict() | list():
            inside = value.values() if isinstance(value, dict) else value
            return deepest > 0 and all(_is_shallow(each, deepest - 1) for each in inside)
        case _:
            return True
