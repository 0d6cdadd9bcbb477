"""What this door tells requesters, exactly as the protocol's client reads it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headrace.api.dialects.horde.forms import Told


class WarningView(Told):
    code: str
    message: str


class AcceptedView(Told):
    id: str = Field(
        description="A capability: who knows it may check, read and delete the request."
    )
    kudos: float | int
    message: str | None = None
    warnings: list[WarningView] | None = None


class QuoteView(Told):
    kudos: float | int


class CheckView(Told):
    finished: int
    processing: int
    restarted: int
    waiting: int
    done: bool
    faulted: bool
    wait_time: int = Field(description="Seconds, estimated.")
    queue_position: int
    kudos: float | int
    is_possible: bool


class MetadataView(Told):
    type: str
    value: str
    ref: str | None = None


class _PicturedView(Told):
    id: str
    seed: str
    censored: bool
    model: str
    worker_id: str
    worker_name: str
    state: Literal["ok", "censored", "faulted", "csam"]
    gen_metadata: list[MetadataView] | None = None


class ImageView(_PicturedView):
    img: str = Field(description="An address that is good for a while, or base64.")


class HordeStatusView(CheckView):
    generations: list[ImageView] = Field(default_factory=list)
    shared: bool = False


class VideoView(_PicturedView):
    video: str = Field(description="An address that is good for a while, or base64.")


class VideoStatusView(CheckView):
    generations: list[VideoView] = Field(default_factory=list)


class TextView(Told):
    text: str
    seed: int
    model: str
    worker_id: str
    worker_name: str
    state: Literal["ok", "censored", "faulted", "csam"]
    gen_metadata: list[MetadataView] | None = None


class TextStatusView(CheckView):
    generations: list[TextView] = Field(default_factory=list)


class FormView(Told):
    form: str
    state: str
    result: dict[str, object] | None = None


class AlchemyAcceptedView(Told):
    id: str
    message: str | None = None


class AlchemyStatusView(Told):
    state: str
    forms: list[FormView] = Field(default_factory=list)
