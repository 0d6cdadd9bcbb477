"""In whose words a refusal is said: each door has its own form of errors, whoever finds the fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from starlette.responses import Response

from headrace.api.dialects.horde import errors as horde
from headrace.api.dialects.native.errors import problem_for
from headrace.api.dialects.openai import errors as openai

Answer: TypeAlias = Callable[[Exception], Response]

# By the first part of the address; every other one is the native door's.
_OWN: Final[Mapping[str, Answer]] = {
    "/api/v2": horde.answer_for,
    openai.DOOR: lambda error: openai.response(problem_for(error)),
}


def refusal(path: str, error: Exception) -> Response:
    return _door(path)(error)


def has_own_errors(path: str) -> bool:
    """Of an address that belongs to a door for programs only: there is no page below it."""
    return _door(path) is not _native


def _door(path: str) -> Answer:
    for prefix, answer in _OWN.items():
        if path == prefix or path.startswith(f"{prefix}/"):
            return answer
    return _native


def _native(error: Exception) -> Response:
    return problem_for(error).response()
