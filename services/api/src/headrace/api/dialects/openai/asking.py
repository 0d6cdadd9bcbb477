"""From OpenAI's requests to inputs of jobs: pure. Each answer that is asked for is a job of its own.

What a model can do is read off its engine's own schema, so an engine of anybody's is asked for what
it takes, and what it does not take is refused by the name that it has in the request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from headrace.api.dialects.openai import errors, schemas
from headrace.api.dialects.openai.schemas import (
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
)
from headrace.contracts.messages import EngineCard

TEXT: Final = "text"
EMBEDDING: Final = "embedding"
IMAGE: Final = "image"
SEEDS: Final = 2**32 - 1  # what engines take
_TEXTS_A_JOB: Final = 64  # where an engine does not say
_WHOLE: Final = {"input": ""}  # what an engine blames on all of it is on no parameter
_NO_TOOLS: Final = (None, "none", "auto")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Inputs, one a job; `here` has what an engine's fields are called in this request."""

    inputs: list[dict[str, Any]]
    here: Mapping[str, str] = field(default_factory=dict)


def chat(asked: ChatRequest, card: EngineCard, *, seed: int) -> Wanted:
    """`seed` is for who gave none: an attempt that begins again then writes the same again."""
    limit = asked.max_completion_tokens
    given = {
        "messages": [_message(each) for each in asked.messages],
        **_sampling(asked, asked.max_tokens if limit is None else limit),
        **_tools(asked),
        "response_format": _format(asked),
    }
    here = _WHOLE if limit is None else {**_WHOLE, "max_tokens": "max_completion_tokens"}
    fitting = _fitting(card, asked.model, given, here)
    return Wanted(list(_choices(card, fitting, asked, seed)), here)


def completion(asked: CompletionRequest, card: EngineCard, *, seed: int) -> Wanted:
    """All choices of the first prompt, then those of the next."""
    given = {"raw": True, **_sampling(asked, asked.max_tokens)}
    fitting = _fitting(card, asked.model, given, {"raw": "prompt"})
    inputs = [
        {"prompt": prompt, **choice}
        for prompt in asked.prompt
        for choice in _choices(card, fitting, asked, seed)
    ]
    return Wanted(inputs, _WHOLE)


def embedding(asked: EmbeddingRequest, card: EngineCard) -> Wanted:
    here = {"texts": "input"}
    fitting = _fitting(card, asked.model, {"dimensions": asked.dimensions}, here)
    at_once = card.input_schema.get("properties", {}).get("texts", {}).get("maxItems", _TEXTS_A_JOB)
    starts = range(0, len(asked.input), at_once)
    return Wanted(
        [{"texts": asked.input[start : start + at_once], **fitting} for start in starts], here
    )


def image(asked: ImageRequest, card: EngineCard) -> Wanted:
    given = {"prompt": asked.prompt, **_size(asked, card)}
    here = {"width": "size", "height": "size"}
    fitting = _fitting(card, asked.model, given, here)
    return Wanted([fitting] * (asked.n or 1), here)


def cancel_after_s(asked: schemas.CancelledAfter | Literal["cancel", "continue"]) -> float | None:
    """For when this process ends before it can ask for that itself."""
    match asked:
        case "continue":
            return None
        case "cancel":
            return 0.0
        case _:
            return asked.cancel_after


def _message(said: ChatMessage) -> dict[str, Any]:
    """What a model reads of it: who sent it by `name` is not."""
    told: dict[str, Any] = {"role": "system" if said.role == "developer" else said.role}
    if said.content is not None or not said.tool_calls:
        told["content"] = said.content or ""
    if said.tool_calls:
        told["tool_calls"] = [call.model_dump(exclude={"index"}) for call in said.tool_calls]
    if said.tool_call_id is not None:
        told["tool_call_id"] = said.tool_call_id
    return told


def _sampling(asked: ChatRequest | CompletionRequest, max_tokens: int | None) -> dict[str, Any]:
    return {
        "max_tokens": max_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "presence_penalty": asked.presence_penalty or None,
        "frequency_penalty": asked.frequency_penalty or None,
        "seed": None if asked.seed is None else asked.seed % SEEDS,
        "stop": asked.stop or None,
    }


def _tools(asked: ChatRequest) -> dict[str, Any]:
    if asked.tools:
        calls = asked.parallel_tool_calls
        return {
            "tools": asked.tools,
            "tool_choice": asked.tool_choice,
            "parallel_tool_calls": calls,
        }
    if asked.tool_choice not in _NO_TOOLS:
        raise errors.refused(
            "invalid-value", "'tool_choice' goes with tools alone.", "/tool_choice"
        )
    return {}


def _format(asked: ChatRequest) -> dict[str, Any] | None:
    wanted = asked.response_format
    if wanted is None or wanted.type == "text":
        return None
    return wanted.model_dump(exclude_none=True)


def _size(asked: ImageRequest, card: EngineCard) -> dict[str, Any]:
    """As the engine takes it: width and height, or one of a few sizes of a square."""
    if asked.size in {None, "auto"}:
        return {}
    width, height = map(int, str(asked.size).split("x"))
    if _takes(card, "width") and _takes(card, "height"):
        return {"width": width, "height": height}
    sides = _sides(card)
    if width != height or width not in sides:
        known = ", ".join(["auto", *(f"{side}x{side}" for side in sides)])
        raise errors.refused("invalid-value", f"'size' can be {known} with this model.", "/size")
    return {"size": width}


def _sides(card: EngineCard) -> list[int]:
    choices = card.input_schema.get("properties", {}).get("size", {}).get("enum", ())
    return [side for side in choices if isinstance(side, int)]


def _choices(
    card: EngineCard, given: dict[str, Any], asked: ChatRequest | CompletionRequest, seed: int
) -> Iterator[dict[str, Any]]:
    """Each with a seed of its own, so that they differ and can be had again."""
    usual: dict[str, Any] = {}
    if _takes_null(card, "max_tokens"):
        usual["max_tokens"] = None  # OpenAI's: as long as there is room
    first = given.get("seed", seed)
    for nth in range(asked.n or 1):
        own = {"seed": (first + nth) % SEEDS} if _takes(card, "seed") else {}
        yield {**usual, **given, **own}


def _fitting(
    card: EngineCard, model: str, given: Mapping[str, Any], here: Mapping[str, str]
) -> dict[str, Any]:
    """What was really asked. Raises Refused where the engine has no such field."""
    asked = {name: value for name, value in given.items() if value is not None}
    if alien := [name for name in asked if not _takes(card, name)]:
        raise errors.not_taken(model, alien, here)
    return asked


def _takes(card: EngineCard, name: str) -> bool:
    schema = card.input_schema
    closed = schema.get("additionalProperties") is False
    return name in schema.get("properties", {}) or not closed


def _takes_null(card: EngineCard, name: str) -> bool:
    schema = card.input_schema.get("properties", {}).get(name, {})
    return {"type": "null"} in schema.get("anyOf", ())
