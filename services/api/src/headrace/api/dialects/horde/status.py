"""`/status/*`: whether this server lives, and what it could run."""

from __future__ import annotations

from math import ceil
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import unquote

from fastapi import Path, Query
from starlette.responses import Response

from headrace.api.deps import Deps
from headrace.api.dialects.horde.documents import errors, routes
from headrace.api.dialects.horde.forms import many_told, told
from headrace.api.dialects.horde.schemas_status import (
    HeartbeatView,
    HordeModelView,
    ModesView,
    NewsView,
    PerformanceView,
)
from headrace.api.problems import nul_found
from headrace.core.ports.figures import Period
from headrace.core.usecases.census import Census, Crew, Served

router = routes()
ModelState: TypeAlias = Literal["all", "known", "custom"]
_MEGA: Final = 1_000_000
_A_JOB_S: Final = 20  # where nobody knows better
_FORMS: Final = frozenset({"caption", "interrogation", "nsfw", "upscale", "strip_background"})
_SINCE: Final = "2026-11-27"


@router.get("/status/heartbeat", responses=errors())
async def get_heartbeat(deps: Deps) -> HeartbeatView:
    """This process answers; nothing that others share is asked."""
    return HeartbeatView(message="OK", version=deps.version)


@router.get(
    "/status/models",
    response_class=Response,
    responses={200: {"model": list[HordeModelView]}, **errors()},
)
async def list_models(
    deps: Deps,
    type_: Annotated[Literal["image", "text"], Query(alias="type")] = "image",
    min_count: Annotated[int | None, Query(ge=0, le=2**31)] = None,
    max_count: Annotated[int | None, Query(ge=0, le=2**31)] = None,
    model_state: ModelState = "all",
) -> Response:
    """Models that somebody serves or waits for. `known`: an engine of this server has it."""
    seen = await deps.census.look(deps.store)
    wanted = [
        each
        for each in seen.served
        if each.kind == type_
        and each.threads >= (min_count or 0)
        and (max_count is None or each.threads <= max_count)
        and is_of(model_state, each)
    ]
    return many_told([_model(seen, each) for each in wanted])


@router.get(
    "/status/models/{name:path}",
    response_class=Response,
    responses={200: {"model": list[HordeModelView]}, **errors()},
)
async def get_model(
    deps: Deps, name: Annotated[str, Path(description="Its slashes may be encoded, once or twice.")]
) -> Response:
    """A list of the one with this name; empty where nobody serves it or waits for it."""
    wanted = unquote(name)  # once more: clients encode twice, for the slashes in it
    if "\0" in wanted:
        raise nul_found("The address")
    seen = await deps.census.look(deps.store)
    return many_told(
        [
            _model(seen, each)
            for each in seen.served
            if each.kind in {"image", "text"} and each.model in {wanted, name}
        ]
    )


def is_of(state: ModelState, served: Served) -> bool:
    return state == "all" or served.known == (state == "known")


def _model(seen: Census, served: Served) -> HordeModelView:
    load = served.load
    jobs = 0 if load is None else load.waiting + load.running
    work = 0 if load is None else load.work
    is_image = served.kind == "image"
    return HordeModelView(
        name=served.model,
        count=served.threads,
        performance=round(seen.speed(served.kind, served.model), 1),
        queued=work / _MEGA if is_image else float(work),
        jobs=float(jobs),
        eta=ceil(jobs / max(1, served.threads)) * _A_JOB_S,
        type="image" if is_image else "text",
    )


@router.get(
    "/status/performance",
    response_class=Response,
    responses={200: {"model": PerformanceView}, **errors()},
)
async def get_performance(deps: Deps) -> Response:
    """How much waits, how much was done in the last minute, and how many work on it."""
    return told(_performance(await deps.census.look(deps.store)))


def _performance(seen: Census) -> PerformanceView:
    image, text = seen.crews.get("image", Crew()), seen.crews.get("text", Crew())
    forms = seen.crews.get("interrogation", Crew())
    return PerformanceView(
        queued_requests=_open(seen, {"image"}),
        queued_text_requests=_open(seen, {"text"}),
        worker_count=image.workers,
        thread_count=image.threads,
        text_worker_count=text.workers,
        text_thread_count=text.threads,
        interrogator_count=forms.workers,
        interrogator_thread_count=forms.threads,
        queued_megapixelsteps=_work(seen, "image") / _MEGA,
        past_minute_megapixelsteps=_done(seen, "image") / _MEGA,
        queued_tokens=float(_work(seen, "text")),
        past_minute_tokens=float(_done(seen, "text")),
        queued_forms=float(_open(seen, _FORMS)),
    )


def _open(seen: Census, kinds: set[str] | frozenset[str]) -> int:
    return sum(each.waiting + each.running for each in seen.loads if each.kind in kinds)


def _work(seen: Census, kind: str) -> int:
    return sum(each.work for each in seen.loads if each.kind == kind)


def _done(seen: Census, kind: str) -> int:
    return sum(each.work for each in seen.made(kind, Period.MINUTE))


@router.get(
    "/status/news", response_class=Response, responses={200: {"model": list[NewsView]}, **errors()}
)
async def get_news(deps: Deps) -> Response:
    """What clients show to people; never empty."""
    said = (
        f"This server is Headrace {deps.version}. Requests can be followed as they are worked on:"
        " the header Link of an accepted request leads to its stream."
    )
    news = NewsView(
        date_published=_SINCE,
        newspiece=said,
        importance="Information",
        title="Streams instead of polling",
        tags=["api"],
        more_info_urls=[],
    )
    return many_told([news])


@router.get(
    "/status/modes", response_class=Response, responses={200: {"model": ModesView}, **errors()}
)
async def get_modes(deps: Deps) -> Response:
    """`maintenance_mode`: operators hold back all that could run. `invite_only_mode`: they alone make users.

    Raids are no mode here: caps hold always.
    """
    seen = await deps.census.look(deps.store)
    closed = deps.registration is None
    return told(
        ModesView(maintenance_mode=seen.all_paused, invite_only_mode=closed, raid_mode=False)
    )
