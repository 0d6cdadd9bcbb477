"""What a text engine is asked for: a prompt or a conversation, and how to sample."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Final, Literal

import msgspec

from headrace.engines.engine import BadInput

MAX_SEED: Final = 2**32 - 2  # llama.cpp reads the number after it as "any seed"

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200_000)]


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Literal["system", "user", "assistant"]
    content: Annotated[str, msgspec.Meta(max_length=200_000)]


class TextInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    prompt: Text | None = None
    messages: Annotated[list[Message], msgspec.Meta(min_length=1, max_length=256)] | None = None
    system: Text | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=2048)] = 128
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEED)] | None = None
    stop: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=64)]], msgspec.Meta(max_length=8)
    ] = []

    def __post_init__(self) -> None:
        if self.prompt is None and self.messages is None:
            raise BadInput("prompt", "is missing: give a prompt, or messages")
        if self.prompt is not None and self.messages is not None:
            raise BadInput("messages", "cannot be given with a prompt: give one of the two")
        if self.system is not None and any(m.role == "system" for m in self.messages or ()):
            raise BadInput("system", "cannot be given where messages have one of their own")


def conversation(given: TextInput, *, system: str | None = None) -> list[dict[str, str]]:
    """The messages to answer; `system` is said first where the caller gave nothing to say."""
    said = given.messages or [Message("user", given.prompt or "")]
    first = given.system if _has_system(given) else system
    before = [] if first is None else [Message("system", first)]
    return [{"role": message.role, "content": message.content} for message in [*before, *said]]


def _has_system(given: TextInput) -> bool:
    return given.system is not None or any(m.role == "system" for m in given.messages or ())


def seed_of(given: TextInput) -> int:
    return secrets.randbelow(MAX_SEED + 1) if given.seed is None else given.seed


def sampling(given: TextInput, seed: int) -> dict[str, Any]:
    """The part of a chat completion request that says how to sample, as every server reads it."""
    wanted: dict[str, Any] = {
        "max_tokens": given.max_tokens,
        "temperature": given.temperature,
        "top_p": given.top_p,
        "seed": seed,
        "stop": given.stop or None,
    }
    return {name: value for name, value in wanted.items() if value is not None}
