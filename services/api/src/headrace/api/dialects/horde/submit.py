"""Workers hand in: a picture that they put where they were told, base64, text, or a form's result."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import msgspec
from fastapi import Request
from starlette.responses import Response

from headrace.api.deps import ApiDeps, Deps
from headrace.api.described import json_body
from headrace.api.dialects.horde import generations
from headrace.api.dialects.horde import translate_work as work
from headrace.api.dialects.horde.auth import Asker
from headrace.api.dialects.horde.documents import errors, routes
from headrace.api.dialects.horde.errors import HordeError
from headrace.api.dialects.horde.forms import read, told
from headrace.api.dialects.horde.pictures import PICTURES, VIDEOS, Media, decoded
from headrace.api.dialects.horde.schemas_work import (
    FormSubmitRequest,
    RewardView,
    SubmitRequest,
)
from headrace.api.dialects.horde.working import Owner, desk_of, wrong_credentials
from headrace.contracts.ids import BlobId, ClaimId
from headrace.contracts.messages import MAX_INLINE_BYTES, OUTPUT_BLOB, JobError, Result, Stages
from headrace.core import wants
from headrace.core.errors import BlobNotFound
from headrace.core.job import Job
from headrace.core.kudos import in_kudos
from headrace.core.ports.blobs import Blob
from headrace.core.usecases import hand_in
from headrace.core.usecases.hand_in import Standing, Taken

router = routes()
_BY_ADDRESS: Final = "R2"
_GIVEN_UP: Final = JobError("transient", "its worker gave it up")
_MORE: Final = 64 * 2**20  # bytes of a body: base64 is a third longer than the picture


@router.post(
    "/generate/submit",
    response_class=Response,
    responses={200: {"model": RewardView}, **errors(404, 413)},
    openapi_extra=json_body("SubmitRequest"),
)
async def submit_image(request: Request, deps: Deps, owner: Owner) -> Response:
    """The picture of an image job: "R2" once it was put where the pop said, else base64."""
    return await _submit_blob(request, deps, owner, wants.IMAGE, PICTURES)


@router.post(
    "/generate/video/submit",
    response_class=Response,
    responses={200: {"model": RewardView}, **errors(404, 413)},
    openapi_extra=json_body("SubmitRequest"),
)
async def submit_video(request: Request, deps: Deps, owner: Owner) -> Response:
    """The video of a video job: "R2" once it was put where the pop said, else base64."""
    return await _submit_blob(request, deps, owner, wants.VIDEO, VIDEOS)


async def _submit_blob(
    request: Request, deps: ApiDeps, owner: Asker, what: str, media: Media
) -> Response:
    asked = await read(request, deps, SubmitRequest, limit=_MORE)
    taken = await find(deps, owner, asked.id, what)
    if asked.state == "faulted":
        return await _hand_in(deps, taken, _failed(taken))
    try:
        blob = await _blob(deps, taken, asked.generation, media)
    except HordeError:
        if asked.state != "csam":
            raise
        blob = None  # the one picture that a worker need not bring another in place of
    output = work.blob_output(asked, what, blob, taken.take.model, _asked_for(taken.job))
    return await _hand_in(deps, taken, await _succeeded(deps, taken, output))


@router.post(
    "/generate/text/submit",
    response_class=Response,
    responses={200: {"model": RewardView}, **errors(404, 413)},
    openapi_extra=json_body("SubmitRequest"),
)
async def submit_text(request: Request, deps: Deps, owner: Owner) -> Response:
    """The text of a text job."""
    asked = await read(request, deps, SubmitRequest, limit=_MORE)
    taken = await find(deps, owner, asked.id, wants.TEXT)
    if asked.state == "faulted":
        return await _hand_in(deps, taken, _failed(taken))
    output = work.text_output(asked, taken.take.model)
    return await _hand_in(deps, taken, await _succeeded(deps, taken, output))


@router.post(
    "/interrogate/submit",
    response_class=Response,
    responses={200: {"model": RewardView}, **errors(404, 413)},
    openapi_extra=json_body("FormSubmitRequest"),
)
async def submit_form(request: Request, deps: Deps, owner: Owner) -> Response:
    """What came of a form: an object, or "R2" for a picture."""
    asked = await read(request, deps, FormSubmitRequest, limit=_MORE)
    taken = await find(deps, owner, asked.id, wants.INTERROGATION)
    if asked.state in {"faulted", "cancelled"}:
        return await _hand_in(deps, taken, _failed(taken))
    form = {"form": taken.take.model, "state": "ok"}
    match asked.result:
        case dict() as result:
            output: dict[str, Any] = {**form, "result": result}
        case str() as generation:
            output = {**form, "image": {"blob": await _blob(deps, taken, generation, PICTURES)}}
        case _:
            raise HordeError(400, "BadRequest", "A form that went well has a result.")
    return await _hand_in(deps, taken, await _succeeded(deps, taken, output))


async def find(deps: ApiDeps, owner: Asker, claim: str, kind: str | None = None) -> Taken:
    """What was taken, if it is the asker's, of this kind and can still be worked on. Raises HordeError."""
    taken = await _taken(deps, claim)
    if taken is None:
        raise unknown(claim)
    if taken.worker is None or taken.worker.tenant != owner.tenant:
        raise wrong_credentials("it" if taken.worker is None else taken.worker.name)
    if kind not in {None, taken.worker.kind}:
        raise unknown(claim)  # a text is no picture: each is handed in where it was popped
    match taken.standing:
        case Standing.HELD | Standing.UNSETTLED:
            return taken
        case Standing.SETTLED:
            raise _submitted(claim)
        case Standing.LATE:
            raise unknown(claim)
        case Standing.ABORTED:
            raise _aborted(claim)


async def _taken(deps: ApiDeps, claim: str) -> Taken | None:
    """By its claim, with dashes or without."""
    try:
        name = ClaimId(str(UUID(claim)))
    except ValueError:
        return None
    async with deps.store.begin() as tx:
        return await hand_in.look(tx, name)


def unknown(claim: str) -> HordeError:
    """Workers look for these words, and drop the job."""
    return HordeError(404, "InvalidJobID", f"Processing Job with ID {claim} does not exist.")


def _submitted(claim: str) -> HordeError:
    said = f"Processing Generation with ID {claim} already submitted."
    return HordeError(400, "DuplicateGen", said)


def _aborted(claim: str) -> HordeError:
    said = f"Job {claim} was ended without this result. Please check your worker speed."
    return HordeError(400, "AbortedGen", said)


async def _hand_in(deps: ApiDeps, taken: Taken, result: Result) -> Response:
    """Exactly one of those that hand the same in hears of its reward; the others hear that it was done."""
    claim, job = taken.take.claim, taken.job
    done = result.outcome == "succeeded"
    if taken.standing is Standing.HELD:
        moved = await desk_of(deps).report(taken.take.worker, result)
        if not moved:
            return await _overtaken(deps, taken)
    reward = (job.price or 0) if done or taken.standing is Standing.UNSETTLED else 0
    async with deps.store.begin() as tx:
        first = await hand_in.settle(tx, taken, done=done, earned=float(in_kudos(reward)))
    if not first:
        raise _submitted(claim)
    return told(RewardView(reward=in_kudos(reward)))


async def _overtaken(deps: ApiDeps, taken: Taken) -> Response:
    """Its lease ran out, or another copy of it came first, between the look and the record."""
    async with deps.store.begin() as tx:
        now = await hand_in.look(tx, taken.take.claim)
    match None if now is None else now.standing:
        case Standing.SETTLED | Standing.UNSETTLED:
            raise _submitted(taken.take.claim)
        case Standing.ABORTED:
            raise _aborted(taken.take.claim)
        case _:
            raise unknown(taken.take.claim)


def _failed(taken: Taken) -> Result:
    take = taken.take
    return Result(job=take.job, epoch=take.epoch, outcome="failed", error=_GIVEN_UP)


async def _succeeded(deps: ApiDeps, taken: Taken, output: dict[str, Any]) -> Result:
    """As a worker of ours does: what is too large for a message is a blob, and names what is in it."""
    named = _named(output)
    encoded = msgspec.json.encode(output)
    if len(encoded) > MAX_INLINE_BYTES:
        blob = await deps.blobs.put(taken.take.tenant, Blob("application/json", encoded))
        output = {OUTPUT_BLOB: blob}
    take = taken.take
    return Result(
        job=take.job,
        epoch=take.epoch,
        outcome="succeeded",
        output=output,
        blobs=named,
        stages=Stages(),
    )


def _named(output: Mapping[str, Any]) -> list[BlobId]:
    made = [generations.blob_of(output, what) for what in ("image", "video")]
    return [BlobId(blob) for blob in made if blob is not None]


async def _blob(deps: ApiDeps, taken: Taken, generation: str, media: Media) -> BlobId:
    """Raises HordeError when there is none: nothing is handed in then, and it may be tried again."""
    of = taken.take.tenant
    if generation != _BY_ADDRESS:
        blob = await asyncio.to_thread(decoded, generation, "generation", media)
        if len(blob.data) > deps.limits.blob_bytes:
            raise HordeError(400, "ImageValidationFailed", f"The {media.word} has too many bytes.")
        return await deps.blobs.put(of, blob)
    name = work.upload_name(taken.take.claim, media)
    try:
        found = await deps.blobs.get(of, name)
    except BlobNotFound as error:
        said = f"No {media.word} was put where the pop said. Put it there, then submit again."
        raise HordeError(400, "ImageValidationFailed", said) from error
    kind = media.type_of(found.data)
    if kind is None:
        said = f"What was put there is no {media.word}: {media.known} are known."
        raise HordeError(400, "ImageValidationFailed", said)
    # Named as what it is: its name says its type to whoever gets it.
    same = kind == found.media_type
    return name if same else await deps.blobs.put(of, replace(found, media_type=kind))


def _asked_for(job: Job) -> Mapping[str, Any]:
    return job.spec.payload or job.spec.input
