"""From this protocol's words to the input of an engine of ours, as far as its schema has a place for them: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.api.dialects.horde.schemas_asked import ImageParams, TextParams, VideoParams

SEEDS: Final = 2**32 - 2  # what every engine of ours takes
_NEGATIVE: Final = "###"  # what shall not be seen follows it
_LONGEST_STOP: Final = 64  # characters, and how many of them: what our text engines take
_MOST_STOPS: Final = 8


def prompts(prompt: str) -> tuple[str, str]:
    """What shall be seen, and what shall not."""
    wanted, _, unwanted = prompt.partition(_NEGATIVE)
    return wanted.strip(), unwanted.strip()


def image_input(
    prompt: str, params: ImageParams, seed: int, schema: Mapping[str, Any]
) -> dict[str, Any]:
    wanted, unwanted = prompts(prompt)
    return fitted(
        schema,
        {
            "prompt": wanted,
            "negative_prompt": unwanted or None,
            "steps": params.steps,
            "guidance": params.cfg_scale,
            "seed": seed,
            "width": params.width,
            "height": params.height,
            "size": _size(schema, max(params.width, params.height)),
        },
    )


def video_input(
    prompt: str, params: VideoParams, seed: int, schema: Mapping[str, Any]
) -> dict[str, Any]:
    wanted, unwanted = prompts(prompt)
    return fitted(
        schema,
        {
            "prompt": wanted,
            "negative_prompt": unwanted or None,
            "frames": params.length,
            "fps": params.fps,
            "steps": params.steps,
            "guidance": params.cfg_scale,
            "seed": seed,
            "width": params.width,
            "height": params.height,
            "size": _size(schema, max(params.width, params.height)),
        },
    )


def largest_square(schema: Mapping[str, Any]) -> int | None:
    """Of an engine that draws squares of a few sizes; None: it draws what it is told."""
    return max(_squares(schema), default=None)


def _size(schema: Mapping[str, Any], side: int) -> int | None:
    """The largest square that is no larger; None: the engine's own."""
    return max((each for each in _squares(schema) if each <= side), default=None)


def _squares(schema: Mapping[str, Any]) -> list[int]:
    choices = schema.get("properties", {}).get("size", {}).get("enum", [])
    return [each for each in choices if isinstance(each, int)]


def text_input(
    prompt: str, params: TextParams, seed: int, schema: Mapping[str, Any]
) -> dict[str, Any]:
    stops = [each for each in params.stop_sequence or () if len(each) <= _LONGEST_STOP]
    return fitted(
        schema,
        {
            "prompt": prompt,
            "max_tokens": params.max_length,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "top_k": params.top_k,
            "min_p": params.min_p,
            "seed": seed,
            "stop": stops[:_MOST_STOPS] or None,
        },
    )


def fitted(schema: Mapping[str, Any], wished: Mapping[str, Any]) -> dict[str, Any]:
    """What the schema has, numbers within its limits. A schema that names nothing takes everything."""
    known: Mapping[str, Any] = schema.get("properties", {})
    takes_all = not known and schema.get("additionalProperties", True) is not False
    return {
        name: _within(known.get(name, {}), value)
        for name, value in wished.items()
        if value is not None and (takes_all or name in known)
    }


def _within(of: Mapping[str, Any], value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    for each in of.get("anyOf", [of]):
        value = max(value, each.get("minimum", value))
        value = min(value, each.get("maximum", value))
    return value
