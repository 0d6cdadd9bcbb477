"""What a job needs of a worker that comes by HTTP: read from what its client asked, and kept with it.

How a job of `/api/v2` is submitted, so that remote workers find it:

- `wants` is one of the three functions below, of the body that was asked (after validation).
- `lane_for` says who else may run it. With an engine of ours for one of its models, the job's input is
  that engine's and the engine's lane offers it as always; a remote worker may take it from there. With
  none, the card is `remote_card(kind)`: its lane is never offered over the broker.
- `payload` is what a remote worker is told in place of the input, where that is the engine's own.

Jobs with the same wants are of one class: a take looks at classes, not at every job that waits. So what is
written here stays coarse, and `written` gives the same text for the same wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from headrace.contracts.messages import EngineCard, Skill
from headrace.contracts.remote import remote_lane

MANY_STEPS: Final = 50  # more than this is more than usual
LONGEST: Final = 2_000  # characters of wants that an index takes
ANY_MODEL: Final = "any"  # what the model of a job is called that takes every model
IMAGE: Final = "image"
VIDEO: Final = "video"
TEXT: Final = "text"
INTERROGATION: Final = "interrogation"
_PAINTING: Final = frozenset({"inpainting", "outpainting"})


class Wants(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every field at its default asks for nothing."""

    kind: str  # of worker: 'image', 'video', 'text' or 'interrogation'
    models: tuple[str, ...] = ()  # any of these; none: any at all
    pixels: int = 0
    many_steps: bool = False
    nsfw: bool = False
    img2img: bool = False
    painting: bool = False
    post_processing: bool = False
    controlnet: bool = False
    lora: bool = False
    frames: int = 0  # pictures of a video
    length: int = 0  # tokens to write
    context: int = 0  # tokens to read
    trusted: bool = False
    quick: bool = False  # no worker that calls itself slow
    unpaid: bool = False  # nobody's kudos are held for it
    only: tuple[str, ...] = ()  # ids of workers
    never: tuple[str, ...] = ()


def image_wants(asked: Mapping[str, Any], *, unpaid: bool = False) -> Wants:
    """Of the body of `generate/async`."""
    params = _params(asked)
    source = asked.get("source_image") is not None
    processing = asked.get("source_processing") or "img2img"
    return Wants(
        **_of_all(asked, IMAGE, unpaid=unpaid),
        pixels=_whole(params, "width", 512) * _whole(params, "height", 512),
        many_steps=_whole(params, "steps", 30) > MANY_STEPS,
        img2img=source and processing not in _PAINTING,
        painting=source and processing in _PAINTING,
        post_processing=bool(params.get("post_processing")),
        controlnet=params.get("control_type") is not None,
        lora=bool(params.get("loras")),
    )


def video_wants(asked: Mapping[str, Any], *, unpaid: bool = False) -> Wants:
    """Of the body of `generate/video/async`."""
    params = _params(asked)
    return Wants(
        **_of_all(asked, VIDEO, unpaid=unpaid),
        pixels=_whole(params, "width", 512) * _whole(params, "height", 512),
        frames=_whole(params, "length", 24),
        many_steps=_whole(params, "steps", 30) > MANY_STEPS,
    )


def text_wants(asked: Mapping[str, Any], *, unpaid: bool = False) -> Wants:
    """Of the body of `generate/text/async`."""
    params = _params(asked)
    return Wants(
        **_of_all(asked, TEXT, unpaid=unpaid),
        length=_whole(params, "max_length", 80),
        context=_whole(params, "max_context_length", 1024),
    )


def form_wants(asked: Mapping[str, Any], form: str, *, unpaid: bool = False) -> Wants:
    """Of one form of `interrogate/async`."""
    return Wants(
        kind=INTERROGATION,
        models=(form,),
        quick=asked.get("extra_slow_workers") is False,
        unpaid=unpaid,
    )


def _of_all(asked: Mapping[str, Any], kind: str, *, unpaid: bool) -> dict[str, Any]:
    named = _names(asked.get("workers"))
    barred = bool(asked.get("worker_blacklist"))
    return {
        "kind": kind,
        "models": _names(asked.get("models")),
        "nsfw": bool(asked.get("nsfw")),
        "trusted": bool(asked.get("trusted_workers")),
        "quick": not asked.get("extra_slow_workers", False),
        "unpaid": unpaid,
        "only": () if barred else named,
        "never": named if barred else (),
    }


def _params(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    return asked.get("params") or {}


def _whole(params: Mapping[str, Any], name: str, usual: int) -> int:
    value = params.get(name)
    return usual if value is None else int(value)


def _names(value: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(sorted(set(value or ())))


def written(wants: Wants) -> str:
    """One text for one class. Raises ValueError beyond what an index takes."""
    text = msgspec.json.encode(wants, order="deterministic").decode()
    if len(text) > LONGEST:
        raise ValueError(f"it names too much: {len(text)} characters of {LONGEST}")
    return text


@lru_cache(maxsize=4096)  # each class is compared with every worker that waits
def read(text: str) -> Wants:
    return msgspec.json.decode(text, type=Wants)


def remote_card(kind: str) -> EngineCard:
    """For `Submission.card`: nobody of ours runs it, and its input is not checked here."""
    return EngineCard(remote_lane(kind), kind, [ANY_MODEL], {"type": "object"}, "Remote workers")


def lane_for(
    catalog: Sequence[EngineCard], wants: Wants, kind: str | None = None
) -> tuple[EngineCard, str]:
    """Who runs it beside remote workers, and with which model; `remote_card` where nobody of ours does.

    `kind` is that of our engine where it is called otherwise than the worker's.
    """
    kind = kind or wants.kind
    if not wants.only:
        for card in catalog:
            model = _model_of(card, wants, kind)
            if model is not None:
                return card, model
    return remote_card(kind), wants.models[0] if wants.models else ANY_MODEL


def _model_of(card: EngineCard, wants: Wants, kind: str) -> str | None:
    if card.kind != kind:
        return None
    if not wants.models:
        return card.models[0]
    return next((model for model in card.models if model in wants.models), None)


def why_not(wants: Wants, skill: Skill, worker: str) -> str | None:
    """Why this class is not for this worker, as `skipped` calls it; None: it is."""
    for reason, fits in (
        ("worker_id", worker not in wants.never and (not wants.only or worker in wants.only)),
        ("models", not wants.models or not set(wants.models).isdisjoint(skill.models)),
        ("untrusted", skill.trusted or not wants.trusted),
        ("performance", not (skill.slow and wants.quick)),
        ("kudos", not (skill.paid_only and wants.unpaid)),
        ("nsfw", skill.nsfw or not wants.nsfw),
        *_limits(wants, skill),
        *_abilities(wants, skill),
    ):
        if not fits:
            return reason
    return None


def _limits(wants: Wants, skill: Skill) -> Iterable[tuple[str, bool]]:
    yield "max_pixels", wants.pixels <= skill.max_pixels
    yield "step_count", not (skill.few_steps and wants.many_steps)
    yield "max_frames", wants.frames <= skill.max_frames
    yield "max_length", wants.length <= skill.max_length
    yield "max_context_length", wants.context <= skill.max_context


def _abilities(wants: Wants, skill: Skill) -> Iterable[tuple[str, bool]]:
    yield "img2img", skill.img2img or not wants.img2img
    yield "painting", skill.painting or not wants.painting
    yield "post-processing", skill.post_processing or not wants.post_processing
    yield "lora", skill.lora or not wants.lora
    yield "controlnet", skill.controlnet or not wants.controlnet


def model_for(wants: Wants, skill: Skill) -> str:
    """Which of its models a worker uses: the first of its own that will do."""
    if not wants.models:
        return skill.models[0] if skill.models else ANY_MODEL
    return next((model for model in skill.models if model in wants.models), ANY_MODEL)


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two jobs are told the same but for the seed, so that a worker can do them as one batch.

    What is too large to be read here, or does not want to be in a batch, is like nothing.
    """
    if "prompt" not in one or one.get("disable_batching"):
        return False
    return _but_for_seed(one) == _but_for_seed(other)


def _but_for_seed(told: Mapping[str, Any]) -> dict[str, Any]:
    params = {name: value for name, value in _params(told).items() if name != "seed"}
    return {**told, "params": params}


def says_any_of(words: Iterable[str], prompt: str) -> bool:
    """Whether a prompt has a word of a worker's blacklist, however it is written."""
    said = prompt.casefold()
    return any(word.casefold() in said for word in words if word)
