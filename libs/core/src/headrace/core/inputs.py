"""Does a job's input fit its engine's JSON Schema? The one place that knows jsonschema."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import msgspec
from jsonschema import (  # type: ignore[import-untyped]  # it ships no types
    Draft202012Validator,
    validators,
)
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]  # it ships no types

from headrace.contracts.messages import EngineCard
from headrace.core.errors import InvalidInput

_LONGEST: Final = 300  # jsonschema quotes what it refuses, which may be a megabyte
_ERRORS_AT_MOST: Final = 8  # of one array; nobody reads more, and a megabyte of them takes seconds
_all_items: Final = Draft202012Validator.VALIDATORS["items"]


def check_input(card: EngineCard, value: Mapping[str, Any]) -> None:
    """Raises InvalidInput with the most telling of the errors."""
    validator = _validator(msgspec.json.encode(card.input_schema, order="deterministic"))
    error = best_match(validator.iter_errors(value))
    if error is not None:
        raise InvalidInput(pointer(error.absolute_path), _short(error.message))


def pointer(path: Any) -> str:
    """A JSON Pointer (RFC 6901) from the steps of a path."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    return _Brief(msgspec.json.decode(schema))


def _items(validator: Any, items: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """Of an array that is too long already `maxItems` tells, without a look at every item."""
    if isinstance(instance, list) and len(instance) > schema.get("maxItems", math.inf):
        return
    yield from islice(_all_items(validator, items, instance, schema), _ERRORS_AT_MOST)


_Brief: Final = validators.extend(Draft202012Validator, {"items": _items})


def _short(message: str) -> str:
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"
