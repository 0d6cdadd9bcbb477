"""Which pipelines there are: what ships, what packages bring by entry point, and what the environment names.

An entry point of the group `headrace.pipelines`, or `module:NAME` in PIPELINES, leads to a `Pipeline`.
Each is checked here, when a process starts: a graph that cannot work is told to whoever installs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

from headrace.core.errors import BadPipeline, Misconfigured
from headrace.core.illustrate import ILLUSTRATE
from headrace.core.pipeline import Pipeline, check_pipeline

GROUP: Final = "headrace.pipelines"
_REMEDY: Final = "Mend or uninstall it, or take it out of PIPELINES; see docs/pipelines.md."


def load_pipelines(named: Sequence[str] = ()) -> dict[str, Pipeline]:
    """By name. Raises Misconfigured."""
    found = {ILLUSTRATE.name: ILLUSTRATE}
    for place in [*_installed(), *named]:
        pipeline = _open(place)
        if found.setdefault(pipeline.name, pipeline) != pipeline:
            problem = f"{place} declares a pipeline {pipeline.name!r}, and so does another."
            raise Misconfigured(problem, "Give one of them another name.")
    return found


def _installed() -> Iterator[str]:
    yield from sorted({entry.value for entry in entry_points(group=GROUP)})


def _open(place: str) -> Pipeline:
    module, _, name = place.partition(":")
    try:
        pipeline = getattr(import_module(module), name or "PIPELINE")
    except Exception as error:  # a stranger's module may raise anything
        raise Misconfigured(
            f"The pipeline {place} cannot be imported: {error!r}.", _REMEDY
        ) from error
    if not isinstance(pipeline, Pipeline):
        raise Misconfigured(f"{place} is no Pipeline but a {type(pipeline).__name__}.", _REMEDY)
    try:
        check_pipeline(pipeline)
    except BadPipeline as error:
        raise Misconfigured(f"{place}: {error}.", _REMEDY) from error
    return pipeline
