"""`/stats/*`: what was made, of what is kept of it."""

from __future__ import annotations

from collections import Counter

from starlette.responses import Response

from headrace.api.deps import Deps
from headrace.api.dialects.horde.documents import errors, routes
from headrace.api.dialects.horde.forms import told
from headrace.api.dialects.horde.schemas_status import (
    ImagesView,
    ImageTotalsView,
    ModelStatsView,
    TextsView,
    TextTotalsView,
)
from headrace.api.dialects.horde.status import ModelState, is_of
from headrace.core.ports.figures import Period
from headrace.core.usecases.census import Census

router = routes()


@router.get(
    "/stats/img/totals",
    response_class=Response,
    responses={200: {"model": ImageTotalsView}, **errors()},
)
async def image_totals(deps: Deps) -> Response:
    """How many images were made, and how many pixels times steps went into them."""
    seen = await deps.census.look(deps.store)
    return told(ImageTotalsView(**{each: _images(seen, each) for each in Period}))


def _images(seen: Census, period: Period) -> ImagesView:
    made = seen.made("image", period)
    return ImagesView(images=sum(each.jobs for each in made), ps=sum(each.work for each in made))


@router.get(
    "/stats/text/totals",
    response_class=Response,
    responses={200: {"model": TextTotalsView}, **errors()},
)
async def text_totals(deps: Deps) -> Response:
    """How many texts were written, and how many tokens were asked for."""
    seen = await deps.census.look(deps.store)
    return told(TextTotalsView(**{each: _texts(seen, each) for each in Period}))


def _texts(seen: Census, period: Period) -> TextsView:
    made = seen.made("text", period)
    return TextsView(
        requests=sum(each.jobs for each in made), tokens=sum(each.work for each in made)
    )


@router.get(
    "/stats/img/models",
    response_class=Response,
    responses={200: {"model": ModelStatsView}, **errors()},
)
async def image_models(deps: Deps, model_state: ModelState = "all") -> Response:
    """How many images, by model."""
    return told(_by_model(await deps.census.look(deps.store), "image", model_state))


@router.get(
    "/stats/text/models",
    response_class=Response,
    responses={200: {"model": ModelStatsView}, **errors()},
)
async def text_models(deps: Deps) -> Response:
    """How many texts, by model."""
    return told(_by_model(await deps.census.look(deps.store), "text", "all"))


def _by_model(seen: Census, kind: str, state: ModelState) -> ModelStatsView:
    shown = {each.model for each in seen.served if each.kind == kind and is_of(state, each)}
    every = {each.model for each in seen.served if each.kind == kind}

    def of(period: Period) -> dict[str, int]:
        counts = Counter[str]()
        for each in seen.made(kind, period):
            # A model that nobody serves any more is no engine's of this server.
            if each.model in shown or (each.model not in every and state != "known"):
                counts[each.model] += each.jobs
        return dict(counts)

    return ModelStatsView(day=of(Period.DAY), month=of(Period.MONTH), total=of(Period.TOTAL))
