"""The gangs loop's turn, and the claims of those who come: see `core/usecases/gather.py`."""

from __future__ import annotations

from headrace.contracts.ids import WorkerId
from headrace.contracts.messages import Claim, Grants, encode
from headrace.contracts.topology import Topology
from headrace.core.ports.bus import TENANT_HEADER, Parcel
from headrace.core.usecases.gang_orders import Hints
from headrace.core.usecases.gather import Call, Joined, call, join
from headrace.dispatcher.announcer import announce
from headrace.dispatcher.attendance import Attendance
from headrace.dispatcher.counting import count_claimed
from headrace.dispatcher.hinting import hint
from headrace.dispatcher.options import DispatcherOptions, Ports
from headrace.dispatcher.telling import tell_claimed
from headrace.telemetry.logs import get_logger

_log = get_logger("dispatcher.gathering")


class Gatherer:
    """Calls go to mailboxes again and again: one that is lost costs a turn."""

    def __init__(
        self, ports: Ports, topology: Topology, options: DispatcherOptions, attendance: Attendance
    ) -> None:
        self._store, self._bus, self._streams = ports.store, ports.bus, ports.streams
        self._topology, self._options = topology, options
        self._attendance = attendance

    async def turn(self) -> bool:
        options = self._options
        for path in self._attendance.paths:
            calls = await call(
                self._store, path=path, ours=options.path, patience=options.gathering
            )
            if calls:
                await self._bus.send([self._parcel(each) for each in calls])
        return False

    async def hint(self, hints: Hints) -> None:
        """To what is left of gangs whose attempts have ended."""
        await hint(self._bus, self._topology, hints, lease=self._options.lease)

    def _parcel(self, each: Call) -> Parcel:
        headers = {TENANT_HEADER: str(each.tenant)}
        if each.trace is not None:
            headers["traceparent"] = each.trace
        return Parcel(self._topology.mailbox(each.worker), encode(each.offer), headers)

    async def hear(self, worker: WorkerId, reply_to: str, claim: Claim) -> None:
        options = self._options
        joined = await join(
            self._store,
            worker,
            reply_to,
            claim,
            lease=options.lease,
            patience=options.gathering,
        )
        # Before the grants leave: the first worker's frames must find the epoch opened.
        await announce(self._streams, joined.claimed.announcements)
        letters = [Parcel(to, encode(Grants([answer]))) for to, answer in joined.letters]
        if letters:
            await self._bus.send(letters)
        count_claimed(joined.claimed)
        tell_claimed(worker, joined.claimed)
        _tell(joined)


def _tell(joined: Joined) -> None:
    for change in joined.claimed.won:
        job = change.after
        members = [str(each.worker) for each in joined.members]
        _log.info("gang.granted", job_id=job.id, epoch=job.epoch, members=members)
