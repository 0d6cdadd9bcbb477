"""Between this protocol's workers and ours: what one can do, what it is told, what it brings. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.structs import replace as with_fields

from headrace.api.dialects.horde.pictures import Media
from headrace.api.dialects.horde.schemas_work import (
    FormPopRequest,
    ImagePopRequest,
    PicturePopRequest,
    SubmitRequest,
    TextPopRequest,
    VideoPopRequest,
)
from headrace.contracts.ids import BlobId, ClaimId, TenantId
from headrace.contracts.messages import Skill
from headrace.core import wants

_OF_IMAGE: Final = (
    *("width", "height", "sampler_name", "cfg_scale", "denoising_strength", "karras", "tiling"),
    *("hires_fix", "hires_fix_denoising_strength", "clip_skip", "control_type"),
    *("image_is_control", "return_control_map", "post_processing", "post_processing_order"),
    *("facefixer_strength", "loras", "tis", "extra_texts", "workflow", "transparent", "special"),
)
_OF_VIDEO: Final = ("width", "height", "length", "fps", "cfg_scale")
_EMPTY: Final[tuple[Any, ...]] = (None, [], (), {})


@dataclass(frozen=True, slots=True)
class Profile:
    """What a worker's request says of it: for the dispatcher, and for people."""

    kind: str
    skill: Skill
    said: Mapping[str, Any]
    usernames: Sequence[str] = field(default_factory=list)


def image_profile(asked: ImagePopRequest) -> Profile:
    skill = with_fields(
        _pictured(asked, wants.IMAGE),
        img2img=bool(asked.allow_img2img),
        painting=bool(asked.allow_painting),
        post_processing=bool(asked.allow_post_processing),
        controlnet=bool(asked.allow_controlnet),
        lora=bool(asked.allow_lora),
    )
    said = {
        **_said(asked, skill),
        "img2img": skill.img2img,
        "painting": skill.painting,
        "post-processing": skill.post_processing,
        "lora": skill.lora,
        "controlnet": skill.controlnet,
    }
    return Profile(wants.IMAGE, skill, said, asked.priority_usernames or [])


def video_profile(asked: VideoPopRequest) -> Profile:
    skill = with_fields(_pictured(asked, wants.VIDEO), max_frames=asked.max_frames)
    said = {**_said(asked, skill), "max_frames": skill.max_frames}
    return Profile(wants.VIDEO, skill, said, asked.priority_usernames or [])


def _pictured(asked: PicturePopRequest, kind: str) -> Skill:
    return Skill(
        kind=kind,
        models=asked.models,
        nsfw=bool(asked.nsfw),
        max_pixels=asked.max_pixels,
        slow=bool(asked.extra_slow_worker),
        few_steps=bool(asked.limit_max_steps),
        paid_only=bool(asked.require_upfront_kudos),
        blacklist=asked.blacklist or [],
    )


def _said(asked: PicturePopRequest, skill: Skill) -> dict[str, Any]:
    return {
        "bridge_agent": asked.bridge_agent,
        "models": asked.models,
        "threads": asked.threads,
        "nsfw": skill.nsfw,
        "max_pixels": skill.max_pixels,
        "few_steps": skill.few_steps,
        **_terms(skill),
    }


def text_profile(asked: TextPopRequest) -> Profile:
    skill = Skill(
        kind=wants.TEXT,
        models=asked.models,
        nsfw=bool(asked.nsfw),
        max_length=asked.max_length,
        max_context=asked.max_context_length,
        softprompts=asked.softprompts or [],
        slow=bool(asked.extra_slow_worker),
        paid_only=bool(asked.require_upfront_kudos),
        blacklist=asked.blacklist or [],
    )
    said = {
        "bridge_agent": asked.bridge_agent,
        "models": asked.models,
        "threads": asked.threads,
        "nsfw": skill.nsfw,
        "max_length": skill.max_length,
        "max_context_length": skill.max_context,
        "softprompts": skill.softprompts,
        **_terms(skill),
    }
    return Profile(wants.TEXT, skill, said, asked.priority_usernames or [])


def form_profile(asked: FormPopRequest) -> Profile:
    skill = Skill(
        kind=wants.INTERROGATION,
        models=asked.forms,
        nsfw=True,
        slow=bool(asked.extra_slow_worker),
        paid_only=bool(asked.require_upfront_kudos),
    )
    said = {
        "bridge_agent": asked.bridge_agent,
        "forms": asked.forms,
        "threads": asked.threads,
        "nsfw": skill.nsfw,
        **_terms(skill),
    }
    return Profile(wants.INTERROGATION, skill, said, asked.priority_usernames or [])


def _terms(skill: Skill) -> dict[str, bool]:
    return {"slow": skill.slow, "paid_only": skill.paid_only}


@dataclass(frozen=True, slots=True)
class Source:
    """A picture that a job names: one of our blobs, or an address that its client gave."""

    of: TenantId
    named: Any  # {"blob": id} or an address

    @property
    def blob(self) -> BlobId | None:
        match self.named:
            case {"blob": str(blob)}:
                return BlobId(blob)
            case _:
                return None


def upload_name(claim: ClaimId, media: Media) -> BlobId:
    """Where what a take makes is put: it follows from the take, so nobody has to remember it."""
    return BlobId(f"{claim}.{media.ending}")


def image_payload(told: Mapping[str, Any], count: int) -> dict[str, Any]:
    """`count` of them, of which the first has this seed."""
    params: Mapping[str, Any] = told.get("params") or {}
    known = {name: params[name] for name in _OF_IMAGE if params.get(name) not in _EMPTY}
    return {
        "width": 512,
        "height": 512,
        "sampler_name": "k_euler_a",
        "cfg_scale": 7.5,
        **known,
        "prompt": told.get("prompt") or "",
        "seed": str(params.get("seed") or 0),
        "ddim_steps": params.get("steps") or 30,
        "n_iter": count,
        "use_nsfw_censor": bool(told.get("censor_nsfw")),
    }


def video_payload(told: Mapping[str, Any], count: int) -> dict[str, Any]:
    """In the words of an image's, with `length` and `fps`."""
    params: Mapping[str, Any] = told.get("params") or {}
    known = {name: params[name] for name in _OF_VIDEO if name in params}
    return {
        **known,
        "prompt": told.get("prompt") or "",
        "seed": str(params.get("seed") or 0),
        "ddim_steps": params.get("steps") or 30,
        "n_iter": count,
    }


def text_payload(told: Mapping[str, Any], count: int) -> dict[str, Any]:
    params: Mapping[str, Any] = told.get("params") or {}
    known = {name: value for name, value in params.items() if value is not None}
    usual = {"max_length": 80, "max_context_length": 1024}
    return {**usual, **known, "n": count, "prompt": told.get("prompt") or ""}


def blob_output(
    asked: SubmitRequest, what: str, blob: BlobId | None, model: str, told: Mapping[str, Any]
) -> dict[str, Any]:
    """As an engine's: `image` or `video` names the blob. Without one it was censored."""
    seed = asked.seed if asked.seed is not None else (told.get("params") or {}).get("seed")
    return {
        **({} if blob is None else {what: {"blob": blob}}),
        "seed": _whole(seed),
        **_of_every(asked, model),
    }


def text_output(asked: SubmitRequest, model: str) -> dict[str, Any]:
    seed = {} if asked.seed is None else {"seed": _whole(asked.seed)}
    return {"text": asked.generation, **seed, **_of_every(asked, model)}


def _of_every(asked: SubmitRequest, model: str) -> dict[str, Any]:
    censored = bool(asked.censored) or asked.state in {"censored", "csam"}
    metadata = [each.model_dump(exclude_none=True) for each in asked.gen_metadata or ()]
    return {
        "model": model,
        "state": asked.state,
        "censored": censored,
        **({"gen_metadata": metadata} if metadata else {}),
    }


def _whole(value: int | str | None) -> int:
    try:
        return int(value or 0)
    except ValueError:
        return 0
