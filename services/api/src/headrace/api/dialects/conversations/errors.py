"""What this door refuses in its own words; everything else is said as everywhere."""

from __future__ import annotations

from headrace.api.problems import Problem, Refused
from headrace.core.errors import InvalidInput


def no_conversation(conversation: str) -> Refused:
    detail = f"no conversation {conversation}"
    return Refused(Problem(404, "no-such-conversation", "There is no such conversation", detail))


def nobody_outside() -> Refused:
    """Its streams stay in this process, where no producer could write to them."""
    detail = "/producer: a producer outside writes to Redis, and this server has none (REDIS_URL)"
    at = {"pointer": "/producer"}
    return Refused(Problem(422, "no-streams-outside", "Nobody outside can answer here", detail, at))


def in_its_place(error: InvalidInput) -> Refused:
    """The engine's input is made here: what is wrong with it is the message, or an option."""
    said = error.pointer.startswith("/messages") or not error.pointer
    where = "/content" if said else f"/options{error.pointer}"
    detail = f"{where}: {error.why}"
    return Refused(
        Problem(422, "invalid-input", "The input does not fit", detail, {"pointer": where})
    )
