"""Workers that come by HTTP, as their owners change them; `core/roll.py` registers them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from headrace.contracts.ids import WorkerId
from headrace.core.errors import WorkerNotFound
from headrace.core.ports.remotes import RemoteWorker
from headrace.core.ports.store import Transaction

IN_MAINTENANCE: Final = "Its owner is at work on it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What its owner changes; None: it stays."""

    name: str | None = None
    info: str | None = None
    maintenance: bool | None = None
    why: str | None = None  # of the maintenance, for who asks
    paused: bool | None = None


async def change(tx: Transaction, worker: RemoteWorker, wish: Wish) -> RemoteWorker | None:
    """Maintenance is what draining is for workers of ours. None: another has that name."""
    changed = replace(
        worker,
        name=wish.name or worker.name,
        info=worker.info if wish.info is None else wish.info,
        maintenance=_maintenance(worker, wish),
        paused=worker.paused if wish.paused is None else wish.paused,
    )
    if not await tx.change_remote_worker(changed):
        return None
    if wish.maintenance is not None:
        await tx.ask_drain(worker.id, drain=wish.maintenance)
    return changed


def _maintenance(worker: RemoteWorker, wish: Wish) -> str | None:
    match wish.maintenance:
        case None:
            return worker.maintenance if wish.why is None or not worker.maintenance else wish.why
        case True:
            return wish.why or worker.maintenance or IN_MAINTENANCE
        case False:
            return None


async def remove(tx: Transaction, worker: WorkerId) -> None:
    """What it holds comes back with its lease."""
    await tx.delete_remote_worker(worker)
    await tx.forget_worker(worker)


async def found(tx: Transaction, worker: WorkerId) -> RemoteWorker:
    """Raises WorkerNotFound."""
    known = await tx.remote_worker(worker)
    if known is None:
        raise WorkerNotFound(worker)
    return known
