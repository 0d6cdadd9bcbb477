"""What the command line says in one line and leaves with a code, instead of a stack trace."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final


class Exit(IntEnum):
    """How a command leaves."""

    SUCCEEDED = 0
    FAILED = 1  # the job failed or is dead; a check failed
    UNUSABLE = 2  # used wrongly, or refused: asking again changes nothing
    CANCELLED = 3
    NOT_NOW = 4  # nobody answers, or it is full: asking again later may help
    INTERRUPTED = 130  # what a shell says of Ctrl-C


class LaunchError(Exception):
    """The root: the message is for a person and holds the remedy, `code` is for scripts."""

    code = Exit.UNUSABLE


class Misused(LaunchError):
    """The command line asks for what cannot be."""


class Unreachable(LaunchError):
    code = Exit.NOT_NOW

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"No api answers at {url} ({why}). "
            "Start one with `headrace up`, or name another: HEADRACE_URL=http://host:port."
        )
        self.url, self.why = url, why


class Refused(LaunchError):
    """The api understood and said no; `problem` is its document."""

    def __init__(self, status: int, problem: Mapping[str, Any], *, after: str = "") -> None:
        """`after` is what its Retry-After says."""
        super().__init__(_in_words(status, problem, after))
        self.status, self.problem = status, problem
        self.code = Exit.NOT_NOW if status in _PASSING else Exit.UNUSABLE


_PASSING: Final = frozenset({429, 503})
_FORBIDDEN: Final = 403
_OF_TENANTS: Final = frozenset(
    {"submit", "read", "models"}
)  # the admin's key is of no use for these
_REMEDIES: Final[Mapping[int, str]] = {
    401: "Set HEADRACE_KEY to a key the api knows; with an operator's, add --all.",
    _FORBIDDEN: "Set HEADRACE_KEY to an operator's key, or to the ADMIN_KEY of the api.",
    503: "It may be passing: try again, or look with `headrace doctor`.",
}


def _in_words(status: int, problem: Mapping[str, Any], after: str) -> str:
    of_headers = status == _FORBIDDEN and "scope" not in problem
    detail = None if of_headers else problem.get("detail")
    said = str(detail or problem.get("title") or f"The api answered {status}")
    if problem.get("known") == []:
        return f"{said}. Engines may still be loading: try again in a moment (`headrace models`)."
    sentence = said if said.endswith((".", "!", "?")) else f"{said}."
    remedy = f"Come back in {after} s." if after.isdigit() else _REMEDIES.get(status, "")
    if problem.get("scope") in _OF_TENANTS:
        remedy = "Set HEADRACE_KEY to a key that has it."
    return f"{sentence[:1].upper()}{sentence[1:]} {remedy}".rstrip()
