"""Does a pipeline fit the engines and models there are? Each stage's kind, model and lane, and what its engine takes.

A registered model is picked as it is for a job, by the tenant whose run it is: the run keeps the version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from headrace.contracts.ids import TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.errors import BadPipeline, UnknownModel
from headrace.core.pipeline import (
    PROMOTION,
    Given,
    Made,
    Many,
    Pipeline,
    Plain,
    Shape,
    Stage,
    fits,
    said,
    shape_of,
)
from headrace.core.ports.models import Models
from headrace.core.usecases.pick import pick

_PLAIN: Final = {
    "string": Plain.TEXT,
    "integer": Plain.NUMBER,
    "number": Plain.NUMBER,
    "boolean": Plain.FLAG,
}


async def settled(
    tx: Models, tenant: TenantId, pipeline: Pipeline, catalog: Sequence[EngineCard]
) -> tuple[Stage, ...]:
    """Its stages with model and lane filled in, as far as they can be known. Raises BadPipeline."""
    stages = pipeline.stages
    return tuple([await settled_stage(tx, tenant, pipeline, stage, catalog) for stage in stages])


async def settled_stage(
    tx: Models, tenant: TenantId, pipeline: Pipeline, stage: Stage, catalog: Sequence[EngineCard]
) -> Stage:
    """One of its stages. Raises BadPipeline."""
    if stage.kind == PROMOTION:
        return stage
    cards = _cards(pipeline.name, stage, catalog)
    if isinstance(stage.model, Made):
        _check_some_fit(pipeline, stage, cards)
        return stage
    try:
        picked = await pick(tx, cards, tenant, stage.kind, stage.model)
    except UnknownModel as error:
        raise BadPipeline(pipeline.name, stage.name, str(error)) from error
    _check_input(pipeline, stage, picked.card.input_schema)
    return msgspec.structs.replace(
        stage, model=picked.model, lane=picked.card.lane, artefact=picked.artefact
    )


def in_lane(stage: Stage, catalog: Sequence[EngineCard]) -> list[EngineCard]:
    """Who may run it, whatever its model."""
    return [card for card in catalog if card.kind == stage.kind and stage.lane in {None, card.lane}]


def _cards(pipeline: str, stage: Stage, catalog: Sequence[EngineCard]) -> list[EngineCard]:
    """Raises BadPipeline where there is none."""
    kinds = sorted({card.kind for card in catalog})
    if stage.kind not in kinds:
        why = f"no engine runs kind {stage.kind!r}; known: {', '.join(kinds) or 'none yet'}"
        raise BadPipeline(pipeline, stage.name, why)
    found = in_lane(stage, catalog)
    if not found:
        lanes = ", ".join(card.lane for card in catalog if card.kind == stage.kind)
        raise BadPipeline(pipeline, stage.name, f"no lane {stage.lane!r} runs it; known: {lanes}")
    return found


def _check_some_fit(pipeline: Pipeline, stage: Stage, cards: Sequence[EngineCard]) -> None:
    """Which of them will serve the version is known once there is one. Raises BadPipeline."""
    serving = [card for card in cards if card.formats]
    if not serving:
        why = f"no engine of kind {stage.kind!r} serves registered models"
        raise BadPipeline(pipeline.name, stage.name, why)
    wrong: list[BadPipeline] = []
    for card in serving:
        try:
            return _check_input(pipeline, stage, card.input_schema)
        except BadPipeline as error:
            wrong.append(error)
    raise wrong[0]


def _check_input(pipeline: Pipeline, stage: Stage, schema: Mapping[str, Any]) -> None:
    stages = {each.name: each for each in pipeline.stages}
    takes: Mapping[str, Any] = schema.get("properties", {})
    for name, source in stage.input.items():
        if name not in takes:
            if schema.get("additionalProperties") is False:
                known = ", ".join(takes) or "nothing"
                raise BadPipeline(pipeline.name, stage.name, f"its engine takes {known}, no {name}")
            continue
        given = shape_of(source, stage, stages, pipeline.takes)
        wanted = _shape(takes[name], schema)
        if not fits(given, wanted):
            why = f"its {name} should be {said(wanted)}, and is given {said(given)}"
            raise BadPipeline(pipeline.name, stage.name, why)
    for name in schema.get("required", ()):
        needed = stage.input.get(name)
        if needed is None or (isinstance(needed, Given) and needed.name in pipeline.optional):
            raise BadPipeline(pipeline.name, stage.name, f"its engine needs a {name}")


def _shape(schema: Any, root: Mapping[str, Any]) -> Shape:
    """As far as a JSON Schema says it plainly; ANY where it does not."""
    if not isinstance(schema, Mapping):
        return Plain.ANY
    if isinstance(target := schema.get("$ref"), str):
        return _shape(root.get("$defs", {}).get(target.rpartition("/")[2]), root)
    match schema.get("type"):
        case "array":
            return Many(_shape(schema.get("items"), root))
        case "object":
            return Plain.BLOB if [*schema.get("properties", ())] == ["blob"] else Plain.OBJECT
        case str(plain):
            return _PLAIN.get(plain, Plain.ANY)
        case _:
            return Plain.ANY
