"""Workers ask for work: `pop`, at once or by waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from fastapi import Query, Request
from starlette.responses import Response

from headrace.api.deps import ApiDeps, Deps
from headrace.api.described import json_body
from headrace.api.dialects.horde import translate_work as work
from headrace.api.dialects.horde.auth import Asker
from headrace.api.dialects.horde.documents import errors, routes
from headrace.api.dialects.horde.errors import HordeError
from headrace.api.dialects.horde.forms import Told, read
from headrace.api.dialects.horde.pictures import PICTURES, VIDEOS, Media
from headrace.api.dialects.horde.schemas_work import (
    FormPopRequest,
    FormPopView,
    ImagePopRequest,
    PoppedForm,
    PopRequest,
    PopView,
    TextPopRequest,
    TextPopView,
    VideoPopRequest,
)
from headrace.api.dialects.horde.translate_work import Profile, Source
from headrace.api.dialects.horde.working import (
    Owner,
    admit,
    desk_of,
    in_maintenance,
)
from headrace.api.remote_desk import ANSWER_WITHIN_S
from headrace.api.tracing import received_traceparent
from headrace.contracts.ids import BlobId, ClaimId, TenantId
from headrace.contracts.messages import Grant, Skill, Take, grants_of
from headrace.core.errors import Unavailable
from headrace.core.ports.remotes import RemoteWorker
from headrace.core.wants import INTERROGATION

router = routes()
_LINKS_BEYOND_TTL: Final = timedelta(minutes=10)
_SLOWER: Final = 3
_Payload: TypeAlias = Callable[[Mapping[str, Any], int], dict[str, Any]]
_WAITS_BELOW_S: Final = 1.5  # so that the answer is there before the time that clients were told


@router.post(
    "/generate/pop",
    response_class=Response,
    responses={200: {"model": PopView}, **errors()},
    openapi_extra=json_body("ImagePopRequest"),
)
async def pop_image(request: Request, deps: Deps, owner: Owner) -> Response:
    """A job for an image worker, if one fits it now."""
    asked = await read(request, deps, ImagePopRequest)
    return await _pop_image(request, deps, owner, asked, 0.0)


@router.post(
    "/generate/text/pop",
    response_class=Response,
    responses={200: {"model": TextPopView}, **errors()},
    openapi_extra=json_body("TextPopRequest"),
)
async def pop_text(request: Request, deps: Deps, owner: Owner) -> Response:
    """A job for a text worker, if one fits it now."""
    asked = await read(request, deps, TextPopRequest)
    return await _pop_text(request, deps, owner, asked, 0.0)


@router.post(
    "/generate/video/pop",
    response_class=Response,
    responses={200: {"model": PopView}, **errors()},
    openapi_extra=json_body("VideoPopRequest"),
)
async def pop_video(request: Request, deps: Deps, owner: Owner) -> Response:
    """A job for a video worker, if one fits it now. As all of `generate/video`, it is ours."""
    asked = await read(request, deps, VideoPopRequest)
    return await _pop_video(request, deps, owner, asked, 0.0)


@router.post(
    "/interrogate/pop",
    response_class=Response,
    responses={200: {"model": FormPopView}, **errors()},
    openapi_extra=json_body("FormPopRequest"),
)
async def pop_form(request: Request, deps: Deps, owner: Owner) -> Response:
    """A form for an interrogation worker, if one fits it now."""
    asked = await read(request, deps, FormPopRequest)
    return await _pop_form(request, deps, owner, asked, 0.0)


@router.post(
    "/workers/pop",
    response_class=Response,
    responses={200: {"model": PopView}, **errors(429)},
    openapi_extra=json_body("ImagePopRequest"),
)
async def wait_for_job(
    request: Request,
    deps: Deps,
    owner: Owner,
    type_: Annotated[
        Literal["image", "video", "text", "interrogation"],
        Query(alias="type", description="Whose pop this is: the body and the answer are its own."),
    ] = "image",
) -> Response:
    """The same pop, which waits until something fits, for `LONG_POLL_TIMEOUT` at most."""
    wait_s = max(0.0, deps.limits.long_poll_s - _WAITS_BELOW_S)
    match type_:
        case "image":
            image = await read(request, deps, ImagePopRequest)
            return await _pop_image(request, deps, owner, image, wait_s)
        case "video":
            video = await read(request, deps, VideoPopRequest)
            return await _pop_video(request, deps, owner, video, wait_s)
        case "text":
            text = await read(request, deps, TextPopRequest)
            return await _pop_text(request, deps, owner, text, wait_s)
        case "interrogation":
            form = await read(request, deps, FormPopRequest)
            return await _pop_form(request, deps, owner, form, wait_s)


async def _pop_image(
    request: Request, deps: ApiDeps, owner: Asker, asked: ImagePopRequest, wait_s: float
) -> Response:
    popped = await _pop(request, deps, owner, asked, work.image_profile(asked), wait_s)
    links, told = popped.links, popped.told
    source = await links.source(told.get("source_image"))
    optional: dict[str, Any] = {
        "source_image": source,
        "source_mask": await links.source(told.get("source_mask")),
        "source_processing": told.get("source_processing") or (source and "img2img"),
        "extra_source_images": [
            {**each, "image": await links.source(each.get("image"))}
            for each in told.get("extra_source_images") or ()
        ],
    }
    return await _with_uploads(popped, PICTURES, work.image_payload, optional)


async def _pop_video(
    request: Request, deps: ApiDeps, owner: Asker, asked: VideoPopRequest, wait_s: float
) -> Response:
    popped = await _pop(request, deps, owner, asked, work.video_profile(asked), wait_s)
    return await _with_uploads(popped, VIDEOS, work.video_payload, {})


async def _with_uploads(
    popped: _Popped, media: Media, payload: _Payload, optional: Mapping[str, Any]
) -> Response:
    if popped.first is None:
        return _said(PopView(id=None, ids=[], payload={}, skipped=popped.skipped))
    uploads = [await popped.links.upload(claim, media) for claim in popped.claims]
    return _said(
        PopView(
            id=popped.first.claim,
            ids=[*popped.claims],
            payload=payload(popped.told, len(popped.claims)),
            skipped={},
            model=popped.model,
            ttl=int(popped.first.lease_s),
            r2_upload=uploads[0],
            r2_uploads=uploads,
            **{name: value for name, value in optional.items() if value},
        )
    )


async def _pop_text(
    request: Request, deps: ApiDeps, owner: Asker, asked: TextPopRequest, wait_s: float
) -> Response:
    popped = await _pop(request, deps, owner, asked, work.text_profile(asked), wait_s)
    if popped.first is None:
        return _said(TextPopView(id=None, ids=[], payload={}, skipped=popped.skipped))
    soft = popped.told.get("softprompt")
    return _said(
        TextPopView(
            id=popped.first.claim,
            ids=[*popped.claims],
            payload=work.text_payload(popped.told, len(popped.claims)),
            skipped={},
            model=popped.model,
            ttl=int(popped.first.lease_s),
            **({} if soft is None else {"softprompt": soft}),
        )
    )


async def _pop_form(
    request: Request, deps: ApiDeps, owner: Asker, asked: FormPopRequest, wait_s: float
) -> Response:
    """Forms differ, so each of `amount` is taken by itself, and only the first is waited for."""
    profile, forms = work.form_profile(asked), []
    popped = await _pop(request, deps, owner, asked, profile, wait_s)
    while popped.first is not None:
        forms.append(await _form(popped, popped.first.claim))
        if len(forms) == (asked.amount or 1):
            break
        with suppress(HordeError, Unavailable):  # what it has already is told all the same
            popped = await _pop(request, deps, owner, asked, profile, 0.0)
            continue
        break
    return _said(FormPopView(forms=forms, skipped={} if forms else popped.skipped))


async def _form(popped: _Popped, claim: ClaimId) -> PoppedForm:
    source = await popped.links.source(popped.told.get("source_image"))
    return PoppedForm(
        id=claim,
        form=popped.model,
        payload=popped.told.get("payload") or {},
        r2_upload=await popped.links.upload(claim, PICTURES),
        **({} if source is None else {"source_image": source}),
    )


def _said(view: Told) -> Response:
    """With the nulls that are said on purpose, and nothing else."""
    return Response(view.model_dump_json(exclude_unset=True), media_type="application/json")


@dataclass(frozen=True, slots=True)
class _Links:
    """Addresses for whoever works on a job, good for a while longer than its lease."""

    deps: ApiDeps
    base: str
    of: TenantId
    within: timedelta

    async def upload(self, claim: ClaimId, media: Media) -> str:
        name = work.upload_name(claim, media)
        return await self.deps.signed.link(self.base, self.of, name, "PUT", within=self.within)

    async def source(self, named: Any) -> str | None:
        blob = Source(self.of, named).blob
        if blob is None:
            return named if isinstance(named, str) else None
        return await self.deps.signed.link(self.base, self.of, blob, "GET", within=self.within)


@dataclass(frozen=True, slots=True)
class _Popped:
    """Jobs that are told the same but for their seeds; none: nothing fits."""

    links: _Links
    grants: Sequence[Grant] = ()
    model: str = ""
    skipped: dict[str, int] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)  # of the first

    @property
    def first(self) -> Grant | None:
        return self.grants[0] if self.grants else None

    @property
    def claims(self) -> list[ClaimId]:
        return [grant.claim for grant in self.grants]


async def _pop(  # who asks, for what, for how long
    request: Request,
    deps: ApiDeps,
    owner: Asker,
    said: PopRequest,
    profile: Profile,
    wait_s: float,
) -> _Popped:
    """Raises HordeError for whoever may not work, or not now."""
    worker, skill = await admit(deps, owner, said.name, profile)
    nobody = _Links(deps, "", owner.tenant, timedelta(0))
    if worker.paused:
        return _Popped(nobody)
    desk = desk_of(deps, waits=wait_s > 0)
    asked = _take(deps, worker, skill, said, wait_s)
    async with _gone(request, deps) as gone:
        taken = await desk.take(worker.id, asked, unless=gone)
    if taken is None:
        return _Popped(nobody)
    if taken.drain:
        raise in_maintenance(worker, "an operator lets it drain")
    grant = taken.grant
    if grant is None:
        return _Popped(nobody, skipped=taken.skipped)
    if gone.is_set():
        await desk.give_back(worker.id, taken)
        return _Popped(nobody)
    try:
        told = await _told(deps, grant)
    except BaseException:
        await desk.give_back(worker.id, taken)
        raise
    within = timedelta(seconds=grant.lease_s) + _LINKS_BEYOND_TTL
    links = _Links(deps, deps.public_url or str(request.base_url), grant.tenant, within)
    return _Popped(links, grants_of(taken), taken.model, {}, told)


def _take(
    deps: ApiDeps, worker: RemoteWorker, skill: Skill, said: PopRequest, wait_s: float
) -> Take:
    """Who calls itself slow has longer for its work."""
    together = 1 if skill.kind == INTERROGATION else said.amount or 1
    now = deps.roll.now
    return Take(
        id=ClaimId(deps.new_id()),
        skill=skill,
        lease_s=deps.limits.remote_ttl_s * (_SLOWER if skill.slow else 1),
        wait_s=wait_s,
        name=worker.name,
        slots=said.threads,
        trace=deps.current_traceparent() or received_traceparent(),
        more=[ClaimId(deps.new_id()) for _ in range(together - 1)],
        until=None if now is None else now + timedelta(seconds=wait_s + ANSWER_WITHIN_S),
    )


async def _told(deps: ApiDeps, grant: Grant) -> Mapping[str, Any]:
    match grant.input:
        case {"input_blob": str(blob), **rest} if not rest:
            found = await deps.blobs.get(grant.tenant, BlobId(blob))
            told: Mapping[str, Any] = msgspec.json.decode(found.data)
            return told
        case told:
            return told


@asynccontextmanager
async def _gone(request: Request, deps: ApiDeps) -> AsyncGenerator[asyncio.Event]:
    """Set as soon as the client has left, or this process is about to."""
    gone = asyncio.Event()

    async def hear() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with asyncio.TaskGroup() as group:
        hearing = group.create_task(hear())
        try:
            with deps.stopping.calls(gone.set):
                yield gone
        finally:
            hearing.cancel()
