"""What `/status/*` and `/stats/*` tell."""

from __future__ import annotations

from typing import Literal

from headrace.api.dialects.horde.forms import Told


class HeartbeatView(Told):
    message: str
    version: str


class HordeModelView(Told):
    name: str
    count: int  # threads that serve it
    performance: float  # pixels times steps, or tokens, in a second; 0: nothing was measured
    queued: float  # megapixels times steps, or tokens
    jobs: float  # that wait or run
    eta: int  # seconds until they are done
    type: Literal["image", "text"]


class PerformanceView(Told):
    queued_requests: int
    queued_text_requests: int
    worker_count: int
    thread_count: int
    text_worker_count: int
    text_thread_count: int
    interrogator_count: int
    interrogator_thread_count: int
    queued_megapixelsteps: float
    past_minute_megapixelsteps: float
    queued_tokens: float
    past_minute_tokens: float
    queued_forms: float


class NewsView(Told):
    date_published: str
    newspiece: str
    importance: str
    title: str
    tags: list[str]
    more_info_urls: list[str]


class ModesView(Told):
    maintenance_mode: bool
    invite_only_mode: bool
    raid_mode: bool


class ImagesView(Told):
    images: int
    ps: int  # pixels times steps


class ImageTotalsView(Told):
    minute: ImagesView
    hour: ImagesView
    day: ImagesView
    month: ImagesView
    total: ImagesView


class TextsView(Told):
    requests: int
    tokens: int


class TextTotalsView(Told):
    minute: TextsView
    hour: TextsView
    day: TextsView
    month: TextsView
    total: TextsView


class ModelStatsView(Told):
    """How many were made, by model."""

    day: dict[str, int]
    month: dict[str, int]
    total: dict[str, int]
