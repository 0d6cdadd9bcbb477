"""What a campaign alone asks, from its rows: how soon it was over, what the neighbour cost, and so on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from headrace.testkit.load.figures import Evidence, quantile
from headrace.testkit.load.rows import Measured

WAIT: Final = "queue wait"
CALM_WAIT_MS: Final = 1000.0  # nobody minds a wait below it


def facts_of(campaign: str, evidence: Evidence) -> dict[str, float]:
    ask = _ASKED.get(campaign)
    return {} if ask is None else ask(evidence)


def _of_ramp(evidence: Evidence) -> dict[str, float]:
    """The most jobs a second over a stage in which nearly nobody waited."""
    best = 0.0
    for begins, ends in _stages(evidence):
        waits = [each.ms for each in _between(evidence, WAIT, begins, ends)]
        if waits and quantile(waits, 95) <= CALM_WAIT_MS:
            best = max(best, len(_between(evidence, "total", begins, ends)) / (ends - begins))
    return {"jobs a second without a wait": best}


def _of_spike(evidence: Evidence) -> dict[str, float]:
    """From the end of the spike to the last job that waited."""
    began, over = evidence.at("spike"), evidence.at("calm again")
    if began is None or over is None:
        return {}
    before = [each.ms for each in _between(evidence, WAIT, evidence.began, began)]
    usual = max(CALM_WAIT_MS, 2 * quantile(before, 95))
    late = [each.at for each in _between(evidence, WAIT, over, evidence.over) if each.ms > usual]
    during = [each.ms for each in _between(evidence, WAIT, began, over)]
    return {
        "recovery s": max([0.0, *(at - over for at in late)]),
        "spike queue wait p95 ms": quantile(during, 95),
    }


def _of_soak(evidence: Evidence) -> dict[str, float]:
    """The last third beside the first."""
    third = (evidence.over - evidence.began) / 3
    first = [e.ms for e in _between(evidence, "total", evidence.began, evidence.began + third)]
    last = [e.ms for e in _between(evidence, "total", evidence.over - third, evidence.over)]
    if not first or not last:
        return {}
    return {"slower at the end, times": quantile(last, 95) / quantile(first, 95)}


def _of_noisy_neighbour(evidence: Evidence) -> dict[str, float]:
    """What the flood adds to the wait of the other tenant."""
    flood = evidence.at("beside the flood")
    if flood is None:
        return {}
    alone = [each.ms for each in _between(evidence, WAIT, evidence.began, flood)]
    beside = [each.ms for each in _between(evidence, WAIT, flood, evidence.over)]
    if not alone or not beside:
        return {}
    return {
        "wait alone p50 ms": quantile(alone, 50),
        "wait alone p95 ms": quantile(alone, 95),
        "wait beside p50 ms": quantile(beside, 50),
        "wait beside p95 ms": quantile(beside, 95),
        "wait added p95 ms": quantile(beside, 95) - quantile(alone, 95),
        "flood": sum(not e.error for e in evidence.measured.get("submit of the flood", ())),
    }


def _of_stream_crowd(evidence: Evidence) -> dict[str, float]:
    """How late a chunk is, of each crowd; and how many streams were open at once."""
    found: dict[str, float] = {}
    for (begins, ends), people in zip(_stages(evidence), ("100", "1,000"), strict=False):
        late = [each.ms for each in _between(evidence, "chunk late", begins, ends)]
        if late:
            found[f"chunk late p50 ms, {people}"] = quantile(late, 50)
            found[f"chunk late p95 ms, {people}"] = quantile(late, 95)
    return found | {"streams at once": _most_at_once(evidence)}


def _most_at_once(evidence: Evidence) -> float:
    began = [(each.at, 1) for each in evidence.accepted.values()]
    over = [(each.at, -1) for each in evidence.ended.values()]
    most = open_ = 0
    for _, change in sorted(began + over):
        open_ += change
        most = max(most, open_)
    return most


_ASKED: Final[Mapping[str, Callable[[Evidence], dict[str, float]]]] = {
    "ramp": _of_ramp,
    "spike": _of_spike,
    "soak": _of_soak,
    "noisy-neighbour": _of_noisy_neighbour,
    "stream-crowd": _of_stream_crowd,
}


def _stages(evidence: Evidence) -> list[tuple[float, float]]:
    begins = [each.at for each in evidence.happened]
    return list(zip(begins, [*begins[1:], evidence.over], strict=True))


def _between(evidence: Evidence, name: str, begins: float, ends: float) -> list[Measured]:
    return [
        each
        for each in evidence.measured.get(name, ())
        if begins <= each.at < ends and not each.error
    ]
