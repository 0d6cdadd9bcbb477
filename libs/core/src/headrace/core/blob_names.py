"""Which blobs a JSON value names: `{"blob": id}` at any depth, and what stands for a value too large."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from headrace.contracts.ids import BlobId
from headrace.contracts.messages import INPUT_BLOB, OUTPUT_BLOB

MAX_INPUT_BLOBS: Final = 64
_PLAUSIBLE: Final = re.compile(r"[0-9A-Za-z._-]{1,64}")  # anything else names nothing of ours


def blob_ids(value: object) -> Iterator[str]:
    """Every blob that a JSON value names."""
    match value:
        case {"blob": str(blob), **rest} if not rest:
            yield blob
        case dict():
            for item in value.values():
                yield from blob_ids(item)
        case list():
            for item in value:
                yield from blob_ids(item)
        case _:
            pass


def kept_for(value: dict[str, Any] | None) -> list[BlobId]:
    """The blobs that must stay while a row has this input or output, each once."""
    if value is None:
        return []
    whole = [value[name] for name in (INPUT_BLOB, OUTPUT_BLOB) if len(value) == 1 and name in value]
    names = dict.fromkeys([*(each for each in whole if isinstance(each, str)), *blob_ids(value)])
    return [BlobId(name) for name in names if _PLAUSIBLE.fullmatch(name)]
