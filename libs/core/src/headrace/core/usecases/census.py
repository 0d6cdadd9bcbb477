"""Who serves which model, what waits for it, and what was made: for everybody, so without anybody's names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.contracts.ids import Lane
from headrace.contracts.messages import EngineCard
from headrace.core.crew import at_work, models_of, threads_of
from headrace.core.ports.figures import ModelLoad, Period, Tally
from headrace.core.ports.remotes import RemoteWorker
from headrace.core.ports.store import Transaction, WorkerRecord
from headrace.core.usecases.explain import HEARD_WITHIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model of a kind. `threads`: how many jobs could run at once, were there no others."""

    kind: str
    model: str
    threads: int
    known: bool  # an engine of ours has it
    load: ModelLoad | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Who works on a kind."""

    workers: int = 0
    threads: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    served: Sequence[Served]
    crews: Mapping[str, Crew]  # by kind; remote ones that describe pictures are 'interrogation'
    loads: Sequence[ModelLoad]
    tallies: Sequence[Tally]
    remotes: Sequence[RemoteWorker]  # that are at work; who they are is told to nobody
    all_paused: bool  # operators hold back every lane that somebody serves

    def made(self, kind: str, period: Period) -> list[Tally]:
        """Within this period, which includes the shorter ones."""
        periods = list(Period)
        within = set(periods[: periods.index(period) + 1])
        return [each for each in self.tallies if each.kind == kind and each.within in within]

    def speed(self, kind: str, model: str) -> float:
        """Of its work in a second, whoever did it; 0: nothing was measured."""
        made = [each for each in self.made(kind, Period.TOTAL) if each.model == model]
        took_ms = sum(each.work_ms for each in made)
        return sum(each.work for each in made) * 1000 / took_ms if took_ms else 0.0


async def census(tx: Transaction) -> Census:
    now = await tx.now()
    catalog = await tx.catalog()
    workers = await tx.workers(seen_after=now - HEARD_WITHIN)
    working = await at_work(tx)
    loads = await tx.model_loads()
    lanes = {lane for worker in workers for lane in worker.slots if worker.room(lane)}
    return Census(
        served=_served(catalog, workers, working, loads),
        crews=_crews(catalog, workers, working),
        loads=loads,
        tallies=await tx.tallies(),
        remotes=working,
        all_paused=bool(lanes) and lanes <= (await tx.paused()).keys(),
    )


def _served(
    catalog: Sequence[EngineCard],
    workers: Sequence[WorkerRecord],
    remotes: Sequence[RemoteWorker],
    loads: Sequence[ModelLoad],
) -> list[Served]:
    known = {(card.kind, model) for card in catalog for model in card.models}
    threads = Counter[tuple[str, str]]()
    for card in catalog:
        for model in card.models:
            threads[card.kind, model] += sum(worker.room(card.lane) for worker in workers)
    for remote in remotes:
        for model in models_of(remote):
            threads[remote.kind, model] += threads_of(remote)
    waiting = {(each.kind, each.model): each for each in loads}
    return [
        Served(
            kind=kind,
            model=model,
            threads=threads[kind, model],
            known=(kind, model) in known,
            load=waiting.get((kind, model)),
        )
        for kind, model in sorted(threads.keys() | waiting.keys())
    ]


def _crews(
    catalog: Sequence[EngineCard],
    workers: Sequence[WorkerRecord],
    remotes: Sequence[RemoteWorker],
) -> dict[str, Crew]:
    of_ours = {
        kind: [sum(worker.room(lane) for lane in lanes) for worker in workers]
        for kind, lanes in _lanes(catalog).items()
    }
    found = {kind: _crew(rooms) for kind, rooms in of_ours.items()}
    for remote in remotes:
        before = found.get(remote.kind, Crew())
        found[remote.kind] = Crew(
            workers=before.workers + 1, threads=before.threads + threads_of(remote)
        )
    return found


def _lanes(catalog: Iterable[EngineCard]) -> dict[str, set[Lane]]:
    lanes: dict[str, set[Lane]] = {}
    for card in catalog:
        lanes.setdefault(card.kind, set()).add(card.lane)
    return lanes


def _crew(rooms: Sequence[int]) -> Crew:
    return Crew(workers=sum(room > 0 for room in rooms), threads=sum(rooms))
