"""Let a run go on with the version that one of its own stages has trained: serve it, or route to it.

The training's end, the version and what is done with it are one transaction: whichever process dies, the
run never serves another version than its own, and routes to it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from headrace.core.errors import BadModel, ModelNotFound, NotServed
from headrace.core.job import Job
from headrace.core.models import Version
from headrace.core.pipeline import JUDGED, PROMOTION, Stage
from headrace.core.ports.store import Transaction
from headrace.core.run import Piece, Run, Start
from headrace.core.usecases.models import maker, promote, registers
from headrace.core.usecases.pick import who_serves
from headrace.core.usecases.pipeline_fit import in_lane


async def with_version(tx: Transaction, run: Run, start: Start, pieces: Sequence[Piece]) -> Start:
    """As it is where its model is no stage's; else with that version, or with why not."""
    trained_in = start.stage.made_by
    if trained_in is None or start.over:
        return start
    version = await _made(tx, run, trained_in, pieces)
    if version is None:
        return replace(start, why=f"stage {trained_in!r} has registered no version")
    if start.stage.kind == PROMOTION:
        return await _promoted(tx, run, start, version)
    return await _served(tx, start, version)


async def lock_models(tx: Transaction, over: Sequence[Job], runs: Sequence[Run]) -> None:
    """All that these ends may register or route to, in one order: two of them cannot wait for each other."""
    named = {(job.tenant, job.spec.register_as) for job in over if registers(job)}
    for run in runs:
        named |= {(run.tenant, _named(run, each)) for each in run.stages if each.kind == PROMOTION}
    for tenant, name in sorted((tenant, name) for tenant, name in named if name is not None):
        await tx.lock_model(tenant, name)


def _named(run: Run, stage: Stage) -> str | None:
    return next((each.register_as for each in run.stages if each.name == stage.made_by), None)


async def _made(
    tx: Transaction, run: Run, trained_in: str, pieces: Sequence[Piece]
) -> Version | None:
    stage = next(each for each in run.stages if each.name == trained_in)
    job = next((piece.job for piece in pieces if piece.stage == trained_in), None)
    if stage.register_as is None or job is None:
        return None
    return await tx.version_by(run.tenant, stage.register_as, maker(job))


async def _served(tx: Transaction, start: Start, version: Version) -> Start:
    stage, artefact = start.stage, version.artefact
    cards = in_lane(stage, await tx.catalog())
    try:
        card = who_serves(cards, stage.kind, version.asked_as, artefact.format)
    except NotServed as error:
        return replace(start, why=str(error))
    settled = msgspec.structs.replace(
        stage, model=version.asked_as, lane=card.lane, artefact=artefact
    )
    return replace(start, stage=settled)


async def _promoted(tx: Transaction, run: Run, start: Start, version: Version) -> Start:
    if (why := _too_poor(start.input)) is not None:
        return replace(start, why=f"{version.asked_as} is not promoted: {why}")
    try:
        model = await promote(tx, run.tenant, version.name, version.number, who=f"run {run.id}")
    except (BadModel, ModelNotFound) as error:
        return replace(start, why=str(error))
    output = {"model": version.asked_as, "version": version.number, "route": model.route.number}
    return replace(start, output=output)


def _too_poor(given: dict[str, Any]) -> str | None:
    if not given:
        return None
    value, least = (_number(given.get(name)) for name in JUDGED)
    if value is None or least is None:
        return f"{' and '.join(JUDGED)} should be numbers"
    return None if value >= least else f"its value {value} is less than {least}"


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
