"""From a request to its jobs: pure. Who can run them is looked up here, what they cost is quoted here."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from headrace.api.auth import Caller
from headrace.api.dialects.horde import fitting, requests
from headrace.api.dialects.horde.errors import wrong_payload
from headrace.api.dialects.horde.schemas import WarningView
from headrace.api.dialects.horde.schemas_asked import (
    HordeImageRequest,
    HordeVideoRequest,
    TextRequest,
    as_asked,
)
from headrace.contracts.ids import UserId
from headrace.contracts.messages import EngineCard
from headrace.contracts.remote import is_remote
from headrace.core import wants
from headrace.core.job import Webhook
from headrace.core.kudos import ImageWork, TextWork, VideoWork, quote
from headrace.core.usecases.submit import Submission
from headrace.core.wants import (
    Wants,
    image_wants,
    lane_for,
    remote_card,
    text_wants,
    video_wants,
)

WAITS_FOR: Final = timedelta(minutes=20)
WAITS_FOR_SLOW: Final = timedelta(minutes=60)
_RUNS_S: Final = 1200.0
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([bm])(?![a-z0-9])", re.IGNORECASE)
_SEED_DIGITS: Final = re.compile(r"\d{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a request meets."""

    caller: Caller
    request: str  # its id
    catalog: Sequence[EngineCard]
    now: datetime  # the store's
    trace: str
    agent: str
    unpaid: bool  # nobody's kudos are held for it


@dataclass(frozen=True, slots=True)
class _Runner:
    """Who can run the jobs of a request, with which model, and what it needs of a remote worker."""

    card: EngineCard
    model: str
    needs: Wants

    @property
    def is_ours(self) -> bool:
        return not is_remote(self.card.lane)

    @property
    def schema(self) -> Mapping[str, Any]:
        return self.card.input_schema


@dataclass(frozen=True, slots=True)
class Plan:
    """The jobs of a request, each with what it costs."""

    submissions: list[Submission]
    warnings: list[WarningView]

    @property
    def total(self) -> int:
        """Milli-kudos."""
        return sum(job.price or 0 for job in self.submissions)

    def told_to(self, webhook: Webhook | None) -> Plan:
        return replace(
            self, submissions=[replace(job, webhook=webhook) for job in self.submissions]
        )

    def paid_by(self, user: UserId) -> list[Submission]:
        return [replace(job, payer=user) for job in self.submissions]


def image_plan(asked: HordeImageRequest, pictures: Mapping[str, Any], met: Circumstances) -> Plan:
    """`pictures` are those of the request, in place of their base64. Raises HordeError."""
    body = as_asked(asked) | dict(pictures)
    runner = _runner(met.catalog, image_wants(body, unpaid=met.unpaid))
    params = asked.params
    price = quote(_image_work(asked))

    def own(seed: int) -> dict[str, Any]:
        return fitting.image_input(asked.prompt, params, seed, runner.schema)

    return _pictured(met, asked, runner, body, price=price, own=own)


def _image_work(asked: HordeImageRequest) -> ImageWork:
    params = asked.params
    return ImageWork(
        width=params.width,
        height=params.height,
        steps=params.steps,
        sampler=params.sampler_name,
        source_image=asked.source_image is not None,
        control=params.control_type is not None,
        hires_fix=params.hires_fix,
        loras=len(params.loras),
        post_processing=len(params.post_processing),
    )


def video_plan(asked: HordeVideoRequest, met: Circumstances) -> Plan:
    """Raises HordeError."""
    body = as_asked(asked)
    runner = _runner(met.catalog, video_wants(body, unpaid=met.unpaid))
    params = asked.params
    frames = params.length
    price = quote(
        VideoWork(width=params.width, height=params.height, steps=params.steps, frames=frames)
    )

    def own(seed: int) -> dict[str, Any]:
        return fitting.video_input(asked.prompt, params, seed, runner.schema)

    return _pictured(met, asked, runner, body, price=price, own=own)


def _pictured(  # what it is made of, each by its name
    met: Circumstances,
    asked: HordeImageRequest | HordeVideoRequest,
    runner: _Runner,
    body: dict[str, Any],
    *,
    price: int,
    own: Callable[[int], dict[str, Any]],
) -> Plan:
    """So many jobs, each with a seed of its own."""
    params = asked.params
    first = _seed(params.seed, requests.job_id(met.request, 0))
    jobs = []
    for place in range(params.n):
        seed = (first + place * (params.seed_variation or 1)) % fitting.SEEDS
        told = body | {"params": body["params"] | {"seed": str(seed), "n": 1}}
        given = own(seed) if runner.is_ours else told
        jobs.append(_submission(met, asked, runner, given, told))
    labelled = requests.labels(met.request, params.n, inline=not asked.r2)
    return _plan(jobs, price, labelled, met, [*_nobody(runner), *_smaller(asked, runner)])


def text_plan(asked: TextRequest, met: Circumstances) -> Plan:
    """Raises HordeError."""
    body = as_asked(asked)
    runner = _runner(met.catalog, text_wants(body, unpaid=met.unpaid))
    params = asked.params
    price = quote(
        TextWork(
            max_length=params.max_length,
            max_context_length=params.max_context_length,
            parameters=_parameters(runner.model),
        )
    )
    first = _seed(None, requests.job_id(met.request, 0))
    jobs = []
    for place in range(params.n):
        told = body | {"params": body["params"] | {"n": 1}}
        own = told
        if runner.is_ours:
            seed = (first + place) % fitting.SEEDS
            own = fitting.text_input(asked.prompt, params, seed, runner.schema)
        jobs.append(_submission(met, asked, runner, own, told))
    return _plan(jobs, price, requests.labels(met.request, params.n), met, _nobody(runner))


def _runner(catalog: Sequence[EngineCard], needs: Wants) -> _Runner:
    """An engine of ours where it can do all that is asked; our engines draw from words alone."""
    card, model = lane_for(catalog, needs)
    only_remote = needs.img2img or needs.painting or needs.controlnet or needs.lora
    if only_remote or needs.post_processing:
        card = remote_card(needs.kind)
    return _Runner(card, model, needs)


def _submission(
    met: Circumstances,
    asked: HordeImageRequest | HordeVideoRequest | TextRequest,
    runner: _Runner,
    own: dict[str, Any],
    told: dict[str, Any],
) -> Submission:
    return Submission(
        tenant=met.caller.tenant,
        kind=runner.card.kind,
        model=runner.model,
        card=runner.card,
        input=own,
        payload=told if runner.is_ours else None,
        wants=_written(runner.needs),
        start_deadline=met.now + (WAITS_FOR_SLOW if asked.extra_slow_workers else WAITS_FOR),
        timeout_s=_RUNS_S,
        api_key=met.caller.api_key,
        trace=met.trace,
    )


def _plan(
    jobs: Sequence[Submission],
    price: int,
    labels: Mapping[str, str],
    met: Circumstances,
    warnings: list[WarningView],
) -> Plan:
    told = {**labels, "client_agent": met.agent}
    return Plan([replace(job, labels=told, price=price) for job in jobs], warnings)


def _written(needs: Wants) -> str:
    try:
        return wants.written(needs)
    except ValueError as error:
        raise wrong_payload({"models": str(error)}) from error


def _nobody(runner: _Runner) -> list[WarningView]:
    if runner.is_ours:
        return []
    said = "No engine of this server can run this: it waits for a worker that brings what it needs."
    return [WarningView(code="NoAvailableWorker", message=said)]


def _smaller(asked: HordeImageRequest | HordeVideoRequest, runner: _Runner) -> list[WarningView]:
    """Our small models draw less than was asked for, and say so."""
    largest = fitting.largest_square(runner.schema)
    side = max(asked.params.width, asked.params.height)
    if not runner.is_ours or largest is None or side <= largest:
        return []
    said = f"This model draws squares of {largest} pixels at most."
    return [WarningView(code="SizeReduced", message=said)]


def _seed(given: str | None, job: str) -> int:
    """Words are seeds too; none is any, and follows from the job's id, which is random."""
    if given is None or not given.strip():
        return int(job.replace("-", ""), 16) % fitting.SEEDS
    text = given.strip()
    number = int(text) if _SEED_DIGITS.fullmatch(text) else zlib.crc32(text.encode())
    return number % fitting.SEEDS


def _parameters(model: str) -> int | None:
    """Millions, as a model's name says: `llama-3-8B`, `smollm2-135m-instruct`."""
    found = _SIZE.search(model)
    if found is None:
        return None
    return round(float(found[1]) * (1000 if found[2].lower() == "b" else 1))
