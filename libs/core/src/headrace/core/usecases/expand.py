"""Begin the items of batches: some at a time, each as a job of its own, each once.

Whose turn it is, is kept in the store for a while, so that two dispatchers do not read the same lines. What
decides is the batch's own row: the jobs, the items and how far the batch is are one transaction, written only
if it is still as it was read. Whoever dies in the middle has begun nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain, repeat
from typing import Final, TypeAlias

from headrace.contracts.messages import EngineCard
from headrace.core.batch import BATCH_LABEL, ITEM_LABEL, Batch, ItemState, NewItem, job_of_item
from headrace.core.batch_items import MOST_LABELS, BadItem, Item, next_items, read_item
from headrace.core.errors import BlobNotFound, InvalidInput, TooLarge, UnknownModel
from headrace.core.job import Job
from headrace.core.ports.blobs import BlobRef, Blobs
from headrace.core.ports.store import NewJob, Store, Transaction
from headrace.core.ports.upkeep import BlobUse
from headrace.core.rollout import Basis
from headrace.core.usecases.admit import Admission
from headrace.core.usecases.pick import Picked, pick, weights_of
from headrace.core.usecases.rollout import in_force
from headrace.core.usecases.submit import (
    Check,
    Ready,
    Submission,
    new_job,
    prepared,
)

HELD_FOR: Final = timedelta(
    seconds=15
)  # longer than a turn may take; who died in one is waited for
# Of the places there are to wait in: a batch leaves some to what else its tenant, and others, submit.
SHARE: Final = 0.9
_KEPT: Final = 2  # sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """What beginning items takes."""

    check: Check
    admission: Admission
    basis: Basis | None = None  # of the rollout; None: its jobs stay on its path


@dataclass(frozen=True, slots=True)
class Expanded:
    """What became of a turn: `batch` as it is now, and the items that have begun."""

    batch: Batch
    items: Sequence[NewItem]


class Sources:
    """What batches are made of. The latest are kept: the next items of the same will be wanted soon."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self._kept: dict[BlobRef, bytes] = {}

    async def read(self, batch: Batch) -> bytes:
        """Nothing where it is gone. Raises Unavailable."""
        ref = BlobRef(batch.tenant, batch.source)
        if ref not in self._kept:
            try:
                found = await self.blobs.get(ref.tenant, ref.blob)
            except BlobNotFound:
                return b""
            while len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[ref] = found.data
        return self._kept[ref]


async def expand(
    store: Store, sources: Sources, how: Expansion, *, path: str, limit: int
) -> Expanded | None:
    """Begin the next items of the batch that has waited longest. None: none waits, or another was faster."""
    turn = await _taken(store, how, path, limit)
    if turn is None or turn.room == 0:
        return None if turn is None else Expanded(turn.batch, [])
    batch = turn.batch
    lines, read_to = next_items(await sources.read(batch), batch.read_to, turn.room)
    items = await asyncio.to_thread(_items, turn, lines)
    picks = await _picks(store, turn, items)
    plans = await asyncio.to_thread(_plans, turn, items, picks, how.check)
    kept = [await _prepared(store, sources.blobs, plan) for plan in plans]
    after = replace(batch, begun=batch.begun + len(plans), read_to=read_to, held_up=None)
    expanded = await _written(store, turn, after, kept)
    for item in () if expanded is None else expanded.items:
        if item.job is not None:
            how.admission.count(batch.tenant)
    return expanded


@dataclass(frozen=True, slots=True)
class _Turn:
    batch: Batch
    room: int  # for how many items
    catalog: list[EngineCard]
    path: str  # where their jobs run


async def _taken(store: Store, how: Expansion, path: str, limit: int) -> _Turn | None:
    async with store.begin() as tx:
        now = await tx.now()
        batch = await tx.take_batch(path, until=now + HELD_FOR)
        if batch is None:
            return None
        if batch.cancel_asked_at is not None:
            return _Turn(batch, limit, [], path)
        await how.admission.look_within(tx, batch.tenant)
        room = min(limit, how.admission.room(batch.tenant, share=SHARE))
        if room == 0:
            return _Turn(await _held_up(tx, how, batch), 0, [], path)
        side = batch.path
        if how.basis is not None:
            side = (await in_force(tx, how.basis)).path(batch.tenant, batch.kind)
        return _Turn(batch, room, await tx.catalog(), side)


async def _held_up(tx: Transaction, how: Expansion, batch: Batch) -> Batch:
    """Until there may be room again."""
    wait_s = how.admission.retry_after_s(batch.tenant)
    later = await tx.now() + timedelta(seconds=wait_s)
    waiting = replace(batch, not_before=later, held_up="as many jobs wait as may")
    await tx.begin_items(batch, waiting, [])
    return waiting


@dataclass(frozen=True, slots=True)
class _Good:
    place: int
    custom_id: str | None
    request: Submission
    picked: Picked


@dataclass(frozen=True, slots=True)
class _Kept:
    """One whose job can be made."""

    plan: _Good
    ready: Ready


_Plan: TypeAlias = _Good | NewItem


def _items(turn: _Turn, lines: Sequence[bytes]) -> list[Item | NewItem]:
    """One for each that begins in this turn, also where its line is missing."""
    batch = turn.batch
    places = range(batch.begun, min(batch.begun + turn.room, batch.total))
    return [
        _item_of(batch, place, line)
        for place, line in zip(places, chain(lines, repeat(None)), strict=False)
    ]


def _item_of(batch: Batch, place: int, line: bytes | None) -> Item | NewItem:
    try:
        item = _read(line)
    except BadItem as error:
        return _rejected(place, error.custom_id, error.why)
    if batch.cancel_asked_at is not None:
        return NewItem(place=place, custom_id=item.custom_id, state=ItemState.CANCELLED)
    return item


_Picks: TypeAlias = Mapping[str | None, Picked | UnknownModel]


async def _picks(store: Store, turn: _Turn, items: Sequence[Item | NewItem]) -> _Picks:
    """Who runs what they ask for: looked up once for each model that is named."""
    batch = turn.batch
    wanted = {item.model or batch.model: None for item in items if isinstance(item, Item)}
    picks: dict[str | None, Picked | UnknownModel] = {}
    async with store.begin() as tx:
        for model in wanted:
            try:
                picks[model] = await pick(tx, turn.catalog, batch.tenant, batch.kind, model)
            except UnknownModel as unknown:
                picks[model] = unknown
    return picks


def _plans(
    turn: _Turn, items: Sequence[Item | NewItem], picks: _Picks, check: Check
) -> list[_Plan]:
    return [
        item if isinstance(item, NewItem) else _plan(turn.batch, place, item, picks, check)
        for place, item in enumerate(items, turn.batch.begun)
    ]


def _plan(batch: Batch, place: int, item: Item, picks: _Picks, check: Check) -> _Plan:
    picked = picks[item.model or batch.model]
    if isinstance(picked, UnknownModel):
        return _rejected(place, item.custom_id, str(picked))
    try:
        check(picked.card, item.input)
        return _Good(place, item.custom_id, _submission(batch, place, item, picked.card), picked)
    except (BadItem, InvalidInput) as error:
        return _rejected(place, item.custom_id, str(error))


def _read(line: bytes | None) -> Item:
    """Raises BadItem."""
    if line is None:
        raise BadItem("what was handed in is gone")
    return read_item(line)


def _submission(batch: Batch, place: int, item: Item, card: EngineCard) -> Submission:
    """Raises BadItem."""
    labels = {**batch.labels, **item.labels}
    if len(labels) > MOST_LABELS:
        raise BadItem(f"with the batch's it has more than {MOST_LABELS} labels", item.custom_id)
    return Submission(
        tenant=batch.tenant,
        kind=batch.kind,
        model=item.model or batch.model,
        card=card,
        input=item.input,
        priority=batch.priority if item.priority is None else item.priority,
        timeout_s=batch.timeout_s,
        labels={**labels, BATCH_LABEL: batch.id, ITEM_LABEL: str(place)},
        api_key=batch.api_key,
        trace=batch.trace,
    )


def _rejected(place: int, custom_id: str | None, why: str) -> NewItem:
    error = {"kind": "input", "message": why}
    return NewItem(place=place, custom_id=custom_id, state=ItemState.REJECTED, error=error)


async def _prepared(store: Store, blobs: Blobs, plan: _Plan) -> _Kept | NewItem:
    """With what is too large for a row kept as a blob."""
    if isinstance(plan, NewItem):
        return plan
    try:
        return _Kept(plan, await prepared(store, blobs, plan.request, _checked))
    except (InvalidInput, TooLarge) as error:
        return _rejected(plan.place, plan.custom_id, str(error))


def _checked(card: EngineCard, given: object) -> None:
    """It was, with its line."""


class _Moved(Exception):
    """The batch is not what it was: what was made of it is taken back."""


async def _written(
    store: Store, turn: _Turn, after: Batch, kept: Sequence[_Kept | NewItem]
) -> Expanded | None:
    """None: somebody else has begun them, or it was cancelled meanwhile."""
    try:
        async with store.begin() as tx:
            return await _begin(tx, turn, replace(after, not_before=await tx.now()), kept)
    except _Moved:
        return None


async def _begin(
    tx: Transaction, turn: _Turn, after: Batch, kept: Sequence[_Kept | NewItem]
) -> Expanded:
    """The items last: from there on whoever ends others of the batch waits. Raises _Moved."""
    good = [each for each in kept if isinstance(each, _Kept)]
    jobs = [await _job(tx, turn, each) for each in good]
    await tx.insert([NewJob(job) for job in jobs])
    named = [(job, each.ready.named) for job, each in zip(jobs, good, strict=True)]
    await tx.use_blobs([BlobUse(job.tenant, blob, job.id) for job, all_ in named for blob in all_])
    await tx.use_blobs([use for job in jobs for use in weights_of(job)])
    items = [each if isinstance(each, NewItem) else _item(turn.batch, each.plan) for each in kept]
    if not await tx.begin_items(turn.batch, after, items):
        raise _Moved
    return Expanded(after, items)


async def _job(tx: Transaction, turn: _Turn, kept: _Kept) -> Job:
    id_ = job_of_item(turn.batch.id, kept.plan.place)
    return await new_job(tx, kept.ready.request, kept.plan.picked, turn.path, id_)


def _item(batch: Batch, plan: _Good) -> NewItem:
    job = job_of_item(batch.id, plan.place)
    return NewItem(place=plan.place, custom_id=plan.custom_id, job=job)
