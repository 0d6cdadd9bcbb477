"""Does a pipeline fit the engines there are? Each stage's kind, model and lane, and what its engine takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from headrace.contracts.messages import EngineCard
from headrace.core.errors import BadPipeline
from headrace.core.pipeline import Given, Many, Pipeline, Plain, Shape, Stage, fits, said, shape_of

_PLAIN: Final = {
    "string": Plain.TEXT,
    "integer": Plain.NUMBER,
    "number": Plain.NUMBER,
    "boolean": Plain.FLAG,
}


def settled(pipeline: Pipeline, catalog: Sequence[EngineCard]) -> tuple[Stage, ...]:
    """Its stages with model and lane filled in. Raises BadPipeline."""
    return tuple(settled_stage(pipeline, stage, catalog) for stage in pipeline.stages)


def settled_stage(pipeline: Pipeline, stage: Stage, catalog: Sequence[EngineCard]) -> Stage:
    """One of its stages. Raises BadPipeline."""
    card = _card(pipeline.name, stage, catalog)
    _check_input(pipeline, stage, card.input_schema)
    return msgspec.structs.replace(stage, model=stage.model or card.models[0], lane=card.lane)


def _card(pipeline: str, stage: Stage, catalog: Sequence[EngineCard]) -> EngineCard:
    kinds = sorted({card.kind for card in catalog})
    of_kind = [card for card in catalog if card.kind == stage.kind]
    if not of_kind:
        why = f"no engine runs kind {stage.kind!r}; known: {', '.join(kinds) or 'none yet'}"
        raise BadPipeline(pipeline, stage.name, why)
    in_lane = [card for card in of_kind if stage.lane in {None, card.lane}]
    if not in_lane:
        lanes = ", ".join(card.lane for card in of_kind)
        raise BadPipeline(pipeline, stage.name, f"no lane {stage.lane!r} runs it; known: {lanes}")
    for card in in_lane:
        if stage.model in card.models or (stage.model is None and card.models):
            return card
    models = ", ".join(model for card in in_lane for model in card.models)
    wanted = "a model of its own" if stage.model is None else f"model {stage.model!r}"
    why = f"no engine has {wanted}; known: {models or 'none'}"
    raise BadPipeline(pipeline, stage.name, why)


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
