"""What a request's jobs made, as this protocol shows it: pure but for the addresses of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias
from uuid import NAMESPACE_URL, UUID, uuid5

from headrace.api.dialects.horde.schemas import ImageView, MetadataView, TextView, VideoView
from headrace.core.job import Job

State: TypeAlias = Literal["ok", "censored", "faulted", "csam"]
_STATES: Final = frozenset({"ok", "censored", "faulted", "csam"})


@dataclass(frozen=True, slots=True)
class Made:
    """A job that succeeded, its output in full, and who did it."""

    job: Job
    output: Mapping[str, Any]
    worker: str
    worker_name: str


def blob_of(output: Mapping[str, Any], what: str = "image") -> str | None:
    """Its id."""
    match output.get(what):
        case {"blob": str(blob)}:
            return blob
        case _:
            return None


def image_view(made: Made, img: str) -> ImageView:
    return ImageView(img=img, **_seen(made))


def video_view(made: Made, video: str) -> VideoView:
    return VideoView(video=video, **_seen(made))


def _seen(made: Made) -> dict[str, Any]:
    state = _state(made.output)
    return {
        "id": made.job.id,
        "seed": str(made.output.get("seed", "")),
        "censored": made.output.get("censored") is True or state in {"censored", "csam"},
        "model": made.job.spec.model,
        "worker_id": worker_id(made.worker),
        "worker_name": made.worker_name,
        "state": state,
        "gen_metadata": _metadata(made.output) or None,
    }


def text_view(made: Made) -> TextView:
    seed = made.output.get("seed")
    return TextView(
        text=_text(made.output),
        seed=seed if isinstance(seed, int) else 0,
        model=made.job.spec.model,
        worker_id=worker_id(made.worker),
        worker_name=made.worker_name,
        state=_state(made.output),
        gen_metadata=_metadata(made.output) or None,
    )


def worker_id(worker: str) -> str:
    """Workers of ours have names of their own; this protocol knows them by UUID."""
    try:
        return str(UUID(worker))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"urn:headrace:worker:{worker}"))


def _text(output: Mapping[str, Any]) -> str:
    text = output.get("text", "")
    return text if isinstance(text, str) else ""


def _state(output: Mapping[str, Any]) -> State:
    said = output.get("state", "ok")
    return said if said in _STATES else "ok"


def _metadata(output: Mapping[str, Any]) -> list[MetadataView]:
    found = output.get("gen_metadata")
    return [
        MetadataView(type=str(each["type"]), value=str(each["value"]), ref=_ref(each))
        for each in (found if isinstance(found, list) else ())
        if isinstance(each, dict) and "type" in each and "value" in each
    ]


def _ref(entry: Mapping[str, Any]) -> str | None:
    ref = entry.get("ref")
    return None if ref is None else str(ref)
