"""Takes of remote workers: answered at once, or parked in memory until something fits.

What waits here asks the store nothing, nor does who comes while nothing waits: see `quiet`. It is looked at again
when somebody stirs. A take that is lost with this process costs its worker one wait, no job: nothing was
granted for it. Where that is not known (a look that was cut short, a message that comes again) the take is first
asked what it was granted. Once its `until` is past, nothing is granted for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from headrace.contracts.ids import ClaimId, JobId, Lane, WorkerId
from headrace.contracts.messages import Result, Results, Take, Taken, Takes, encode, grants_of
from headrace.contracts.topology import Topology
from headrace.core.ports.bus import Parcel, Sent
from headrace.core.ports.remotes import Class
from headrace.core.ports.store import Transaction, Waiting
from headrace.core.usecases.choose import Turns
from headrace.core.usecases.take import TakenUp, fit, take, taken_before
from headrace.dispatcher.announcer import announce
from headrace.dispatcher.attendance import Attendance
from headrace.dispatcher.counting import count_claimed
from headrace.dispatcher.loops import Wake
from headrace.dispatcher.options import DispatcherOptions, Ports
from headrace.dispatcher.quiet import Quiet
from headrace.dispatcher.telling import tell_claimed
from headrace.telemetry.logs import get_logger

_log = get_logger("dispatcher.taking")
PARKED_AT_MOST: Final = 5_000
LONGEST_WAIT_S: Final = 60.0
LOOK_WITHIN_S: Final = 4.0  # for one take: who asks gives up a second later
LOOK_EVERY: Final = timedelta(seconds=0.25)  # at who waited long enough; the store is not asked
_KEPT_AT_MOST: Final = 1_000


@dataclass(slots=True)
class _Parked:
    worker: WorkerId
    reply_to: str
    take: Take
    until: float  # on the monotonic clock
    skipped: dict[str, int] = field(default_factory=dict)  # as it was seen last


class Taker:
    def __init__(
        self,
        ports: Ports,
        topology: Topology,
        options: DispatcherOptions,
        attendance: Attendance,
    ) -> None:
        self._store, self._bus, self._streams = ports.store, ports.bus, ports.streams
        self._topology = topology
        self._options, self._attendance = options, attendance
        self._turns: defaultdict[str, Turns] = defaultdict(Turns)
        self._parked: dict[ClaimId, _Parked] = {}  # the longest wait first
        self._stirred = False
        self._quiet = Quiet(options.monotonic)
        self._kept: OrderedDict[JobId, None] = OrderedDict()
        self._unsure: OrderedDict[ClaimId, None] = (
            OrderedDict()
        )  # whether they were granted anything
        self._ours_next: defaultdict[Lane, bool] = defaultdict(lambda: True)
        self.wake = Wake()

    def stir(self) -> None:
        """Something may have come that a parked take fits."""
        self._quiet.stir()
        self._look_soon()

    def keep(self, lane: Lane, rows: Sequence[Waiting]) -> list[Waiting]:
        """Of jobs that somebody here waits for, every other one is offered to workers of ours.

        Who is woken first by a job would else have all of them.
        """
        if not self._parked:
            return list(rows)
        offered: list[Waiting] = []
        left = len(self._parked)
        for row in rows:
            if row.wants is None or left == 0 or not self._is_waited_for(row.wants):
                offered.append(row)
                continue
            ours = self._ours_next[lane]
            self._ours_next[lane] = not ours
            if ours:
                offered.append(row)
            else:
                left -= 1
                self._keep_for_remote(row.job)
        return offered

    def _keep_for_remote(self, job: JobId) -> None:
        self._kept[job] = None
        if len(self._kept) > _KEPT_AT_MOST:
            self._kept.popitem(last=False)
        self.stir()

    def _is_waited_for(self, wants: str) -> bool:
        classes = [Class(wants, 1)]
        return any(fit(classes, each.take, each.worker).classes for each in self._parked.values())

    async def compare(self, tx: Transaction) -> None:
        """In a transaction that is there anyway: what waits that no hint told of?"""
        if not self._quiet.may_have_missed:
            return
        since = self._quiet.stirs
        if self._quiet.compare(await self._classes(tx), since=since):
            self._look_soon()

    def _look_soon(self) -> None:
        self._stirred = True
        if self._parked:
            self.wake()

    async def hear(self, message: Takes, *, again: bool = False) -> bool:
        """Whether anything was granted: then there is room for another offer. `again`: it came before."""
        for asked in message.takes if again else ():
            self._doubt(asked.id)
        granted = [await self._hear(message, asked) for asked in message.takes]
        return any(granted)

    async def _hear(self, message: Takes, asked: Take) -> bool:
        """Parked before the first look: what comes during that look is not missed."""
        sure = asked.id not in self._unsure
        known = self._quiet.answer(message.worker, asked) if sure else None
        parked = self._park(message, asked)
        if known is not None:
            await self._nothing_yet(message, known, parked)
            return False
        try:
            found = await self._look(message.worker, asked)
        except BaseException:
            self._parked.pop(asked.id, None)  # the message comes again
            raise
        if parked and self._goes_on_waiting(asked.id, found):
            return False
        self._parked.pop(asked.id, None)
        await self._answer(message.worker, message.reply_to, found)
        return found.claimed is not None

    async def _nothing_yet(self, message: Takes, known: Taken, parked: bool) -> None:  # noqa: FBT001
        if parked:
            self._parked[known.claim].skipped = known.skipped
        else:
            await self._bus.send([Parcel(message.reply_to, encode(known))])

    def _park(self, message: Takes, asked: Take) -> bool:
        if asked.wait_s <= 0 or len(self._parked) >= PARKED_AT_MOST:
            return False
        until = self._options.monotonic() + min(asked.wait_s, LONGEST_WAIT_S)
        self._parked[asked.id] = _Parked(message.worker, message.reply_to, asked, until)
        return True

    async def turn(self) -> bool:
        """Asks the store if somebody stirred while somebody waits; else once in a while, for all together."""
        await self._let_go()
        if not self._stirred:
            if self._quiet.is_due:
                await self._see_all()
            return False
        self._stirred = False
        try:
            if self._parked:
                await self._serve()
        except BaseException:
            self._stirred = True  # who was not looked at yet is, with the next turn
            raise
        return False

    async def _let_go(self) -> None:
        """Of those that waited long enough."""
        now = self._options.monotonic()
        over = [each for each in self._parked.values() if each.until <= now]
        for each in over:
            del self._parked[each.take.id]
        nothing = [(each, Taken(each.take.id, skipped=each.skipped)) for each in over]
        await self._bus.send([Parcel(each.reply_to, encode(said)) for each, said in nothing])

    async def _see_all(self) -> None:
        waiting = {each.worker: each.take for each in self._parked.values()}
        draining = await self._quiet.look(self._store, waiting, paths=self._attendance.paths)
        for each in [each for each in self._parked.values() if each.worker in draining]:
            if self._parked.pop(each.take.id, None) is not None:
                told = TakenUp(Taken(each.take.id, drain=True))
                await self._answer(each.worker, each.reply_to, told)

    async def _serve(self) -> None:
        """Who has waited longest first; nobody whom nothing fits costs a transaction."""
        left = await self._left()
        for each in list(self._parked.values()):
            doubtful = each.take.id in self._unsure
            if each.take.id not in self._parked or not (doubtful or _may_fit(left, each)):
                continue
            found = await self._look(each.worker, each.take)
            if self._goes_on_waiting(each.take.id, found):
                continue
            granted = 1 + len(found.answer.more)
            left[found.wants] = left.get(found.wants, 0) - granted
            if self._parked.pop(each.take.id, None) is not None:
                await self._answer(each.worker, each.reply_to, found)

    def _goes_on_waiting(self, claim: ClaimId, found: TakenUp) -> bool:
        if found.answer.grant is not None or found.answer.drain or found.over:
            return False
        self._stirred = self._stirred or found.soon  # the loop's next turn looks again
        if (parked := self._parked.get(claim)) is not None:
            parked.skipped = found.answer.skipped
        return True

    async def _left(self) -> dict[str, int]:
        left: dict[str, int] = {}
        since = self._quiet.stirs
        async with self._store.begin() as tx:
            classes = await self._classes(tx)
        self._quiet.remember(classes, seen=None, since=since)
        for each in classes:
            left[each.wants] = left.get(each.wants, 0) + each.waiting
        return left

    async def _classes(self, tx: Transaction) -> list[Class]:
        return [each for path in self._attendance.paths for each in await tx.classes(path)]

    def _doubt(self, claim: ClaimId) -> None:
        self._unsure[claim] = None
        if len(self._unsure) > _KEPT_AT_MOST:
            self._unsure.popitem(last=False)

    async def _look(self, worker: WorkerId, asked: Take) -> TakenUp:
        since, again = self._quiet.stirs, asked.id in self._unsure
        self._doubt(asked.id)
        async with asyncio.timeout(LOOK_WITHIN_S):
            before = await taken_before(self._store, worker, asked) if again else None
            found = before or await take(
                self._store,
                worker,
                asked,
                paths=self._attendance.paths,
                turns=self._turns,
                kept=self._kept,
            )
        self._unsure.pop(asked.id, None)
        if found.seen is not None:
            self._quiet.remember(found.seen, seen=worker, since=since)
        if found.claimed is not None:
            # Before the grant leaves: what the worker says must find the epoch opened.
            await announce(self._streams, found.claimed.announcements)
            count_claimed(found.claimed)
            tell_claimed(worker, found.claimed)
        return found

    async def _answer(self, worker: WorkerId, reply_to: str, found: TakenUp) -> None:
        (sent,) = await self._bus.send([Parcel(reply_to, encode(found.answer))])
        if found.answer.drain:
            _log.info("take.refused", worker=worker, reason="draining")
        grants = grants_of(found.answer)
        if grants and sent is Sent.UNROUTABLE:
            _log.info("take.unheard", job_id=grants[0].job, worker=worker)
            back = [Result(job=each.job, epoch=each.epoch, outcome="released") for each in grants]
            parcel = Parcel(self._topology.results, encode(Results(worker, back)))
            await self._bus.send([parcel])  # lost too, it comes back with its lease


def _may_fit(left: dict[str, int], each: _Parked) -> bool:
    waiting: Sequence[Class] = [Class(wants, count) for wants, count in left.items() if count > 0]
    return bool(fit(waiting, each.take, each.worker).classes)
