"""What a text engine is asked for: a prompt or a conversation, and how to sample."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from headrace.engines.engine import BadInput

MAX_SEED: Final = 2**32 - 2  # llama.cpp reads the number after it as "any seed"

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200_000)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    role: Literal["system", "user", "assistant"]
    content: Annotated[str, msgspec.Meta(max_length=200_000)]


class ToolMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One that may call tools, or tell what one answered."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Annotated[str, msgspec.Meta(max_length=200_000)] | None = None
    tool_calls: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=128)] | None = None
    tool_call_id: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class ResponseFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None  # {name, schema}

    def __post_init__(self) -> None:
        has_schema = isinstance((self.json_schema or {}).get("schema"), dict)
        if self.type == "json_schema" and not has_schema:
            raise BadInput("response_format.json_schema", "should have a schema")


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All but the conversation, of which each engine takes its own kind of messages."""

    prompt: Text | None = None
    raw: bool = False  # the prompt is a beginning to go on from, not something to answer
    system: Text | None = None
    # None: as many as there is room for
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=2048)] | None = 128
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEED)] | None = None
    stop: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=64)]], msgspec.Meta(max_length=8)
    ] = []
    response_format: ResponseFormat | None = None


class TextInput(Asked, frozen=True, forbid_unknown_fields=True, kw_only=True):
    messages: Annotated[list[Message], msgspec.Meta(min_length=1, max_length=256)] | None = None

    def __post_init__(self) -> None:
        check(self, self.messages)


def check(given: Asked, messages: Sequence[Message | ToolMessage] | None) -> None:
    """What goes together. Raises BadInput."""
    if given.prompt is None and messages is None:
        raise BadInput("prompt", "is missing: give a prompt, or messages")
    if given.prompt is not None and messages is not None:
        raise BadInput("messages", "cannot be given with a prompt: give one of the two")
    if given.system is not None and _has_system(messages):
        raise BadInput("system", "cannot be given where messages have one of their own")
    if given.raw and given.prompt is None:
        raise BadInput("raw", "is for a prompt, not for messages")
    if given.raw and (given.system is not None or given.response_format is not None):
        raise BadInput("raw", "goes with no system message and no response_format")


def conversation(
    given: Asked, messages: Sequence[Message | ToolMessage] | None, *, system: str | None = None
) -> list[dict[str, Any]]:
    """The messages to answer; `system` is said first where the caller gave nothing to say."""
    said = messages or [Message("user", given.prompt or "")]
    first = system if given.system is None and not _has_system(messages) else given.system
    before = [] if first is None else [Message("system", first)]
    return [msgspec.to_builtins(message) for message in (*before, *said)]


def _has_system(messages: Sequence[Message | ToolMessage] | None) -> bool:
    return any(message.role == "system" for message in messages or ())


def seed_of(given: Asked) -> int:
    return secrets.randbelow(MAX_SEED + 1) if given.seed is None else given.seed


def sampling(given: Asked, seed: int) -> dict[str, Any]:
    """The part of a completion request that says how to sample, as every server reads it."""
    wanted: dict[str, Any] = {
        "max_tokens": given.max_tokens,
        "temperature": given.temperature,
        "top_p": given.top_p,
        "presence_penalty": given.presence_penalty,
        "frequency_penalty": given.frequency_penalty,
        "seed": seed,
        "stop": given.stop or None,
        "response_format": given.response_format and msgspec.to_builtins(given.response_format),
    }
    return {name: value for name, value in wanted.items() if value is not None}
