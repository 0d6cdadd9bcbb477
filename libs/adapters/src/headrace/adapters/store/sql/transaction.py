"""The port's transaction, verb by verb; what each does is told in the module it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from headrace.adapters.store.sql import (
    attempts,
    blob_uses,
    dead_letters,
    fleet,
    keys,
    loads,
    moving,
    ordering,
    outbox,
    paths,
    producing,
    reading,
    recent,
    schedules,
    searching,
    sharing,
    standing,
    submitting,
    sweeping,
    upkeep,
    watching,
)
from headrace.adapters.store.sql.batch_verbs import BatchVerbs
from headrace.adapters.store.sql.checkpoint_verbs import CheckpointVerbs
from headrace.adapters.store.sql.deletion_verbs import DeletionVerbs
from headrace.adapters.store.sql.figure_verbs import FigureVerbs
from headrace.adapters.store.sql.gang_verbs import GangVerbs
from headrace.adapters.store.sql.model_verbs import ModelVerbs
from headrace.adapters.store.sql.remote_verbs import RemoteVerbs
from headrace.adapters.store.sql.rollout_verbs import RolloutVerbs
from headrace.adapters.store.sql.run_verbs import RunVerbs
from headrace.adapters.store.sql.upload_verbs import UploadVerbs
from headrace.adapters.store.sql.user_verbs import UserVerbs
from headrace.adapters.store.sql.webhook_verbs import WebhookVerbs
from headrace.contracts.ids import JobId, KeyId, Lane, ScheduleId, TenantId, WorkerId
from headrace.contracts.messages import EngineCard, Vitals
from headrace.core.fair_share import Share
from headrace.core.job import Job, State
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.dead_letters import (
    AuditRecord,
    DeadLetter,
    Deed,
    LetterGroup,
    LetterQuery,
    Parked,
    Settlement,
)
from headrace.core.ports.keys import ApiKey, Standing
from headrace.core.ports.operations import Held, Loads, Member, Recent
from headrace.core.ports.queries import Found, Query, Search
from headrace.core.ports.schedules import Fire, Schedule
from headrace.core.ports.store import (
    AttemptEnd,
    AttemptRecord,
    Change,
    Crowd,
    Insertion,
    NewJob,
    Renewal,
    Terms,
    Waiting,
    WorkerRecord,
)
from headrace.core.ports.upkeep import Answer, BlobUse, Purged, Question, Recollection


class SqlTransaction(
    BatchVerbs,
    CheckpointVerbs,
    DeletionVerbs,
    FigureVerbs,
    GangVerbs,
    ModelVerbs,
    RemoteVerbs,
    RolloutVerbs,
    RunVerbs,
    UploadVerbs,
    UserVerbs,
    WebhookVerbs,
):
    """What belongs to one thing alone stands in a module beside it, for the length of this."""

    async def now(self) -> datetime:
        return await self._session.now()

    async def insert(self, jobs: Sequence[NewJob]) -> list[Insertion]:
        return await submitting.insert_jobs(self._session, jobs)

    async def load(self, jobs: Sequence[JobId]) -> dict[JobId, Job]:
        return await moving.load(self._session, jobs)

    async def save(self, changes: Sequence[Change]) -> list[bool]:
        return await moving.save(self._session, changes)

    async def open_attempts(self, granted: Sequence[Job]) -> None:
        await attempts.open_attempts(self._session, granted)

    async def close_attempts(self, ends: Sequence[AttemptEnd]) -> None:
        await attempts.close_attempts(self._session, ends)

    async def renew(
        self, renewals: Sequence[Renewal], *, worker: WorkerId, until: datetime
    ) -> list[State | None]:
        return await moving.renew(self._session, renewals, worker, until)

    async def ask_cancel(
        self, tenant: TenantId, job: JobId, *, reason: str | None = None
    ) -> Job | None:
        return await moving.ask_cancel(self._session, tenant, job, reason)

    async def see_watched(self, until: Mapping[JobId, datetime]) -> None:
        await watching.see_watched(self._session, until)

    async def wish_deserted(self, path: str, *, limit: int) -> list[JobId]:
        return await watching.wish_deserted(self._session, path, limit)

    async def due(self, path: str, *, limit: int) -> list[Job]:
        return await sweeping.to_do(self._session, sweeping.DUE, path, limit)

    async def expired_leases(self, path: str, *, limit: int) -> list[Job]:
        return await sweeping.to_do(self._session, sweeping.EXPIRED_LEASES, path, limit)

    async def expired_starts(self, path: str, *, limit: int) -> list[Job]:
        return await sweeping.to_do(self._session, sweeping.EXPIRED_STARTS, path, limit)

    async def cancel_wishes(self, path: str, *, limit: int) -> list[Job]:
        return await sweeping.to_do(self._session, sweeping.CANCEL_WISHES, path, limit)

    async def outside(self, path: str, *, after: JobId, limit: int) -> list[Job]:
        return await producing.outside(self._session, path, after, limit)

    async def hold_release(self) -> None:
        await sharing.hold_release(self._session)

    async def waiting_lanes(self, path: str) -> list[Lane]:
        return await outbox.waiting_lanes(self._session, path)

    async def offered(self, path: str, lane: Lane) -> int:
        return await outbox.offered(self._session, path, lane)

    async def shares(
        self, path: str, lane: Lane, *, start: TenantId | None, limit: int
    ) -> list[Share]:
        return await sharing.shares(self._session, path, lane, start, limit)

    async def waiting(
        self, path: str, lane: Lane, wanted: Mapping[TenantId, int]
    ) -> dict[TenantId, list[Waiting]]:
        return await outbox.waiting(self._session, path, lane, wanted)

    async def reserve(self, rows: Sequence[Waiting], *, until: datetime) -> list[Waiting]:
        return await outbox.reserve(self._session, rows, until)

    async def mark_sent(self, rows: Sequence[Waiting]) -> None:
        await outbox.mark_sent(self._session, rows)

    async def unreserve(self, rows: Sequence[Waiting]) -> None:
        await outbox.unreserve(self._session, rows)

    async def sent_before(
        self, path: str, then: datetime, *, limit: int
    ) -> dict[Lane, list[Waiting]]:
        return await outbox.sent_before(self._session, path, then, limit)

    async def resend(self, rows: Sequence[Waiting]) -> None:
        await outbox.resend(self._session, rows)

    async def terms(self, tenant: TenantId) -> Terms:
        return await sharing.terms(self._session, tenant)

    async def set_terms(self, tenant: TenantId, terms: Terms) -> None:
        await sharing.set_terms(self._session, tenant, terms)

    async def pause(self, lane: Lane) -> datetime:
        return await sharing.pause(self._session, lane)

    async def resume(self, lane: Lane) -> None:
        await sharing.resume(self._session, lane)

    async def paused(self) -> dict[Lane, datetime]:
        return await sharing.paused(self._session)

    async def troubles(self) -> dict[Lane, str]:
        return await sharing.troubles(self._session)

    async def note_trouble(self, lane: Lane, trouble: str | None) -> None:
        await sharing.note_trouble(self._session, lane, trouble)

    async def backlog(self, tenant: TenantId | None, *, at_most: int) -> int:
        return await sharing.backlog(self._session, tenant, at_most)

    async def see_worker(
        self,
        worker: WorkerId,
        slots: Mapping[Lane, int],
        *,
        path: str,
        vitals: Vitals | None = None,
    ) -> bool:
        return await fleet.see_worker(self._session, worker, slots, path, vitals)

    async def forget_worker(self, worker: WorkerId) -> None:
        await fleet.forget_worker(self._session, worker)

    async def workers(self, *, seen_after: datetime) -> list[WorkerRecord]:
        return await fleet.workers_alive(self._session, seen_after)

    async def announce_engines(self, cards: Sequence[EngineCard]) -> None:
        await fleet.announce_engines(self._session, cards)

    async def catalog(self) -> list[EngineCard]:
        return await fleet.read_catalog(self._session)

    async def find(self, tenant: TenantId, job: JobId) -> Job | None:
        return await reading.find(self._session, tenant, job)

    async def page(self, tenant: TenantId, query: Query) -> list[Job]:
        return await reading.page(self._session, tenant, query)

    async def attempts(self, job: JobId) -> list[AttemptRecord]:
        return await attempts.history(self._session, job)

    async def ahead(self, job: Job) -> int:
        return await outbox.ahead(self._session, job)

    async def crowd(self, job: Job) -> Crowd:
        return await sharing.crowd(self._session, job)

    async def anybodys(self, job: JobId) -> Job | None:
        return await searching.anybodys(self._session, job)

    async def search(self, wanted: Search) -> Found:
        return await searching.search(self._session, wanted)

    async def wish_all(self, jobs: Sequence[JobId]) -> list[JobId]:
        return await searching.wish_all(self._session, jobs)

    async def reprioritise(self, job: JobId, priority: int) -> None:
        await ordering.reprioritise(self._session, job, priority)

    async def place(self, job: JobId, where: Literal["front", "back"]) -> bool:
        return await ordering.place(self._session, job, where)

    async def loads(self, lanes: Sequence[Lane]) -> Loads:
        return await loads.loads(self._session, lanes)

    async def recent(self, *, since: datetime, bucket: timedelta) -> Recent:
        return await recent.recent(self._session, since, bucket)

    async def fleet(self, *, limit: int) -> list[Member]:
        return await fleet.fleet(self._session, limit)

    async def held(self, *, limit: int) -> list[Held]:
        return await fleet.held(self._session, limit)

    async def ask_drain(self, worker: WorkerId, *, drain: bool) -> bool:
        return await fleet.ask_drain(self._session, worker, drain=drain)

    async def bury(self, letters: Sequence[DeadLetter]) -> int:
        return await dead_letters.bury(self._session, letters)

    async def letter_groups(self, *, limit: int) -> list[LetterGroup]:
        return await dead_letters.letter_groups(self._session, limit)

    async def letters(self, query: LetterQuery) -> list[Parked]:
        return await dead_letters.letters(self._session, query)

    async def letter(self, number: int) -> Parked | None:
        return await dead_letters.letter(self._session, number)

    async def letters_of(self, jobs: Sequence[JobId]) -> list[Parked]:
        return await dead_letters.letters_of(self._session, jobs)

    async def plan_replays(self, times: Mapping[int, datetime], *, who: str) -> list[int]:
        return await dead_letters.plan_replays(self._session, times, who)

    async def last_replay(self) -> datetime | None:
        return await dead_letters.last_replay(self._session)

    async def due_replays(self, path: str, *, limit: int) -> list[Parked]:
        return await dead_letters.due_replays(self._session, path, limit)

    async def postpone_replays(self, numbers: Sequence[int], *, until: datetime) -> None:
        await dead_letters.postpone_replays(self._session, numbers, until)

    async def settle_letters(self, settlements: Sequence[Settlement]) -> list[int]:
        return await dead_letters.settle_letters(self._session, settlements)

    async def audit(self, deeds: Sequence[Deed]) -> None:
        await dead_letters.note(self._session, deeds)

    async def audited(self, *, before: int | None, limit: int) -> list[AuditRecord]:
        return await dead_letters.audited(self._session, before, limit)

    async def insert_schedule(self, schedule: Schedule) -> Schedule:
        return await schedules.insert_schedule(self._session, schedule)

    async def schedule(self, tenant: TenantId | None, schedule: ScheduleId) -> Schedule | None:
        return await schedules.find(self._session, tenant, schedule)

    async def schedules(
        self, tenant: TenantId | None, *, before: tuple[datetime, ScheduleId] | None, limit: int
    ) -> list[Schedule]:
        return await schedules.page(self._session, tenant, before, limit)

    async def save_schedules(self, changed: Sequence[Schedule]) -> None:
        await schedules.save(self._session, changed)

    async def delete_schedule(self, tenant: TenantId, schedule: ScheduleId) -> bool:
        return await schedules.remove(self._session, tenant, schedule)

    async def due_schedules(self, path: str, *, limit: int) -> list[Schedule]:
        return await schedules.due(self._session, path, limit)

    async def record_fires(self, fires: Sequence[Fire]) -> list[bool]:
        return await schedules.record_fires(self._session, fires)

    async def fires(self, schedule: ScheduleId, *, limit: int) -> list[Fire]:
        return await schedules.fires_of(self._session, schedule, limit)

    async def attend(self, path: str, *, until: datetime) -> None:
        await paths.attend(self._session, path, until)

    async def deserted(self, path: str) -> bool:
        return await paths.deserted(self._session, path)

    async def recall(self, question: Question) -> Recollection:
        return await upkeep.recall(self._session, question)

    async def remember(self, question: Question, answer: Answer) -> None:
        await upkeep.remember(self._session, question, answer)

    async def purge_keys(self, *, older_than: datetime, limit: int) -> int:
        return await upkeep.purge_keys(self._session, older_than, limit)

    async def purge_fires(self, *, older_than: datetime, limit: int) -> int:
        return await upkeep.purge_fires(self._session, older_than, limit)

    async def purge_workers(self, *, seen_before: datetime, limit: int) -> int:
        return await upkeep.purge_workers(self._session, seen_before, limit)

    async def purge_api_keys(self, *, useless_since: datetime, limit: int) -> int:
        return await upkeep.purge_api_keys(self._session, useless_since, limit)

    async def purge_engines(self, *, announced_before: datetime) -> None:
        await fleet.purge_engines(self._session, announced_before)

    async def retentions(self, *, after: str, limit: int) -> dict[TenantId, timedelta]:
        return await upkeep.retentions(self._session, after, limit)

    async def purge_jobs(
        self, *, finished_before: datetime, limit: int, tenant: TenantId | None = None
    ) -> Purged:
        return await upkeep.purge_jobs(self._session, finished_before, limit, tenant)

    async def use_blobs(self, uses: Sequence[BlobUse]) -> None:
        await blob_uses.use_blobs(self._session, uses)

    async def inherit_blobs(self, heirs: Mapping[JobId, JobId]) -> None:
        await blob_uses.inherit_blobs(self._session, heirs)

    async def unused(self, blobs: Sequence[BlobRef]) -> list[BlobRef]:
        return await blob_uses.unused(self._session, blobs)

    async def insert_key(self, key: ApiKey, digest: str) -> ApiKey:
        return await keys.insert_key(self._session, key, digest)

    async def live_keys(self, digests: Sequence[str]) -> dict[str, ApiKey]:
        return await keys.live_keys(self._session, digests)

    async def key(self, key: KeyId) -> ApiKey | None:
        return await keys.find_key(self._session, key)

    async def keys(
        self, tenant: TenantId | None, *, before: tuple[datetime, KeyId] | None, limit: int
    ) -> list[ApiKey]:
        return await keys.page(self._session, tenant, before, limit)

    async def revoke_key(self, key: KeyId) -> ApiKey | None:
        return await keys.revoke(self._session, key)

    async def use_keys(self, keys_used: Sequence[KeyId], *, unless_since: datetime) -> None:
        await keys.use_keys(self._session, keys_used, unless_since)

    async def standings(
        self, *, besides: Sequence[TenantId], after: str, limit: int, at_most: int
    ) -> list[Standing]:
        return await standing.standings(self._session, besides, after, limit, at_most)
