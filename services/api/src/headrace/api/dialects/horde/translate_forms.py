"""From the forms of a request to its jobs: pure. A form is ours where an engine takes a picture for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from headrace.api.dialects.horde import requests
from headrace.api.dialects.horde.pictures import Kept
from headrace.api.dialects.horde.schemas import WarningView
from headrace.api.dialects.horde.schemas_asked import AlchemyForm, AlchemyRequest, as_asked
from headrace.api.dialects.horde.translate import WAITS_FOR, WAITS_FOR_SLOW, Circumstances, Plan
from headrace.contracts.messages import EngineCard
from headrace.core.job import Job
from headrace.core.kudos import AlchemyWork, quote
from headrace.core.usecases.submit import Submission
from headrace.core.wants import form_wants, remote_card, written

_FORM: Final = "form"  # the label that names it
_UPSCALE: Final = "upscale"
_DESCRIBING: Final = ("caption", "interrogation", "nsfw", "strip_background")
# What our engine of the same family has in its place. Others are for remote workers.
_OUR_UPSCALERS: Final = {
    "RealESRGAN_x2plus": "realesr-animevideov3-x2",
    "RealESRGAN_x4plus": "realesr-animevideov3-x4",
    "RealESRGAN_x4plus_anime_6B": "realesr-animevideov3-x4",
}
_REMOTE_UPSCALERS: Final = ("GFPGAN", "CodeFormers", "NMKD_Siax", "4x_AnimeSharp")
_UPSCALERS: Final = frozenset([*_OUR_UPSCALERS, *_OUR_UPSCALERS.values(), *_REMOTE_UPSCALERS])
KINDS: Final = frozenset([*_DESCRIBING, _UPSCALE])
_RUNS_S: Final = 1200.0


def is_known(form: str) -> bool:
    return form in _DESCRIBING or form in _UPSCALERS


def form_of(job: Job) -> str:
    return job.spec.labels.get(_FORM, job.spec.model)


def form_plan(asked: AlchemyRequest, source: Kept, met: Circumstances) -> Plan:
    labels = requests.labels(met.request, len(asked.forms)) | {"client_agent": met.agent}
    jobs = [
        replace(_submission(asked, form, source, met), labels={**labels, _FORM: form.name})
        for form in asked.forms
    ]
    unserved = [job.labels[_FORM] for job in jobs if job.payload is None]
    return Plan(jobs, _nobody(unserved))


def _submission(
    asked: AlchemyRequest, form: AlchemyForm, source: Kept, met: Circumstances
) -> Submission:
    kind = _UPSCALE if form.name in _UPSCALERS else form.name
    needs = form_wants(as_asked(asked), form.name, unpaid=met.unpaid)
    told: dict[str, Any] = {
        "form": form.name,
        "payload": form.payload or {},
        "source_image": source,
    }
    ours = _ours(met.catalog, kind, _OUR_UPSCALERS.get(form.name, form.name), source)
    card, model = ours or (remote_card(kind), form.name)
    return Submission(
        tenant=met.caller.tenant,
        kind=kind,
        model=model,
        card=card,
        input=told if ours is None else {"image": source},
        payload=None if ours is None else told,
        wants=written(needs),
        price=quote(AlchemyWork([form.name])),
        start_deadline=met.now + (WAITS_FOR_SLOW if asked.extra_slow_workers else WAITS_FOR),
        timeout_s=_RUNS_S,
        api_key=met.caller.api_key,
        trace=met.trace,
    )


def _ours(
    catalog: Sequence[EngineCard], kind: str, model: str, source: Kept
) -> tuple[EngineCard, str] | None:
    """Of upscalers the very model; of what describes, any. An address is not fetched by us."""
    if isinstance(source, str):
        return None
    for card in catalog:
        if card.kind == kind and "image" in card.input_schema.get("properties", {}):
            if model in card.models:
                return card, model
            if kind != _UPSCALE:
                return card, card.models[0]
    return None


def _nobody(forms: Sequence[str]) -> list[WarningView]:
    if not forms:
        return []
    said = f"No engine of this server does {', '.join(forms)}: that waits for a worker that does."
    return [WarningView(code="NoAvailableWorker", message=said)]
