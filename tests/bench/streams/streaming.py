"""T8 and T9: a thousand streams beside other ways, as fast as each can, and five thousand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.bench.streams.ladder import highest, in_time, rates
from tests.bench.streams.load import Load, Round, Standing, standing
from tests.bench.streams.rig import Bench, missing
from tests.bench.streams.tables import (
    ROUND_COLUMNS,
    Check,
    Section,
    at_least,
    at_most,
    foreign,
    number,
    opened_row,
    ratio,
    round_row,
)

GATEWAYS: Final = ("headrace", "raw", "one_connection_each", "socketio", "nchan")
CLIMBS: Final[Mapping[str, float]] = {  # from which rate; tokens a second in all
    "headrace": 10_000,
    "raw": 10_000,
    "one_connection_each": 2_000,
    "socketio": 500,
    "nchan": 5_000,
}
MOST: Final = 200_000.0
STEP_S: Final = 3.0
WARM_S: Final = 2.0
WARM_RATE: Final = 1.0
OPENED_COLUMNS: Final = (
    "gateway",
    "kB/stream",
    "CPU ms/connect",
    "first byte p50 ms",
    "p99",
    "following p50 ms",
    "p99",
)
CLIMB_COLUMNS: Final = (
    "gateway",
    "highest tokens/s in time",
    "late p99 ms",
    "server us/token",
    "server cores",
    "foreign",
    "then",
)


@dataclass(slots=True)
class Beside:
    """What each gateway showed."""

    stands: dict[str, Standing] = field(default_factory=dict)
    rounds: dict[str, Round] = field(default_factory=dict)
    climbs: dict[str, list[Round]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)  # and why

    def fastest(self, name: str) -> float | None:
        found = highest(self.climbs.get(name, []))
        return None if found is None else found.tokens_per_s


async def beside_others(bench: Bench, load: Load, gateways: Sequence[str]) -> Beside:
    found = Beside()
    for name in gateways:
        if (why := missing(name)) is not None:
            found.absent[name] = why
            continue
        try:
            await _beside(bench, name, load, found)
        except (TimeoutError, RuntimeError) as error:  # a peer that breaks down ends no run
            found.absent[name] = f"broke down: {error!r}"
    return found


async def _beside(bench: Bench, name: str, load: Load, found: Beside) -> None:
    async with standing(bench, name, load) as stand:
        found.stands[name] = stand
        await stand.round(WARM_RATE, WARM_S)
        found.rounds[name] = await stand.round(load.rate, load.seconds)
        found.climbs[name] = await climb(stand, CLIMBS[name])


async def climb(stand: Standing, first: float) -> list[Round]:
    """Up to the rate that is too much twice."""
    rounds: list[Round] = []
    for rate in rates(first, MOST):
        for _ in range(2):
            rounds.append(await stand.round(rate / stand.streams, STEP_S))
            if in_time(rounds[-1]):
                break
        else:
            break
    return rounds


def sections(found: Beside, load: Load) -> list[Section]:
    return [_steady(found, load), _opened(found), _fastest(found)]


def _steady(found: Beside, load: Load) -> Section:
    what = f"{load.streams:,} SSE streams x {load.rate:g} tokens/s"
    return Section(
        what,
        f"For {load.seconds:g} s each, one after the other, with the same publisher and clients. Ours "
        "is a real api process and every token goes through its replay log; `raw` is one asyncio protocol that promises "
        "nothing, behind the same log; `one_connection_each` is Starlette with a Redis subscription for each client; "
        "python-socketio emits through its Redis manager, nchan takes a POST for each token: neither has a log.",
        ROUND_COLUMNS,
        [
            *(round_row(name, told) for name, told in found.rounds.items()),
            *([name, why, *["-"] * 10] for name, why in found.absent.items()),
        ],
        after=_what_limits(found),
        checks=_steady_checks(found),
    )


def _what_limits(found: Beside) -> list[str]:
    ours, raw = found.rounds.get("headrace"), found.rounds.get("raw")
    if ours is None or raw is None:
        return []
    own_us = ours.us_per_token - raw.us_per_token
    return [
        (
            f"Of our {number(ours.us_per_token)} us a token, {number(raw.us_per_token)} are what the raw protocol spends too: "
            "a read of Redis, and a write for each client, which the kernel carries as far as the client's socket. The other "
            f"{number(own_us)} keep the promises: a check of every position, and of whether the client has room."
        )
    ]


def _steady_checks(found: Beside) -> list[Check]:
    ours = found.rounds.get("headrace")
    if ours is None:
        return []

    def late_beside(name: str) -> float | None:
        told = found.rounds.get(name)
        return None if told is None else ratio(ours.late_ms[1], told.late_ms[1])

    one_each = late_beside("one_connection_each")
    whole = 100 * (ours.received - ours.disorder) / ours.expected
    return [
        Check("T8", "delivered, in order", 100, whole, most=False, unit="%"),
        at_most("T8", "late p99 beside a raw protocol", 2, late_beside("raw")),
        at_most("T8", "the gateway's cores", 0.5, ours.used["server"], "cores"),
        at_least(
            "T8",
            "late p99 below one connection each",
            50,
            None if one_each is None else 1 / one_each,
        ),
    ]


def _opened(found: Beside) -> Section:
    stands = found.stands
    ours, theirs = stands.get("headrace"), stands.get("one_connection_each")
    checks = []
    if ours is not None:
        beside = None if theirs is None else ratio(ours.following_ms[1], theirs.following_ms[1])
        checks = [
            at_most("T9", "memory of a stream", 18, ours.kb_per_stream, "kB"),
            at_most("T9", "first event p99, 100 at once, beside one connection each", 0.25, beside),
        ]
    return Section(
        "Opening streams, 100 at once",
        "`first byte` is of the answer's body; from `following` on nothing is missed. Ours looks the job up in "
        "PostgreSQL, subscribes, and has replayed the log by then; the others subscribe and say hello. Memory is what "
        "the gateway's processes grew by (PSS).",
        OPENED_COLUMNS,
        [opened_row(name, stand) for name, stand in stands.items()],
        checks=checks,
    )


def _fastest(found: Beside) -> Section:
    ours = found.fastest("headrace")
    return Section(
        "As fast as it goes",
        f"The same streams; the rate rises by half, {STEP_S:g} s each, until twice not everything came in order, a "
        "hundredth of it was more than a second late, or the publisher fell behind by half a second. Publisher, Redis, "
        "gateway and clients share the machine: what ends a climb may be any of them.",
        CLIMB_COLUMNS,
        [_climb_row(name, rounds) for name, rounds in found.climbs.items()],
        checks=[
            at_least("T9", f"highest rate beside {name}", wanted, ratio(ours, found.fastest(name)),
                     found.absent.get(name, ""))
            for name, wanted in (("one_connection_each", 4), ("socketio", 8), ("nchan", 1))
        ]
        if ours is not None
        else (),
    )  # fmt: skip


def _climb_row(name: str, rounds: Sequence[Round]) -> list[str]:
    best, last = highest(rounds), rounds[-1]
    if best is None:
        return [name, f"below {number(last.rate)} a stream", *["-"] * 4, _failed(last)]
    return [
        name,
        number(best.tokens_per_s),
        number(best.late_ms[1]),
        number(best.us_per_token),
        f"{best.used['server']:.2f}",
        foreign(best.foreign),
        "-" if in_time(last) else _failed(last),
    ]


def _failed(told: Round) -> str:
    part = 100 * told.received / told.expected
    return (
        f"{part:.0f} % came, p99 {number(told.late_ms[1])} ms, "
        f"publisher {number(told.publisher_late_ms)} ms behind"
    )


async def many(bench: Bench, streams: int, rate: float, seconds: float) -> Section:
    rows, opened = [], []
    for name, sockets in (("SSE", False), ("WebSocket", True)):
        load = Load(streams=streams, rate=rate, seconds=seconds, sockets=sockets)
        async with standing(bench, "headrace", load) as stand:
            rows.append(round_row(name, await stand.round(rate, seconds)))
            opened.append(
                f"{name}: {number(stand.kb_per_stream)} kB a stream, "
                f"{number(stand.connect_ms)} ms of CPU to open one."
            )
    return Section(
        f"{streams:,} streams x {rate:g} tokens/s",
        "One gateway process, ours.",
        ROUND_COLUMNS,
        rows,
        after=opened,
    )


async def deaf(bench: Bench, load: Load) -> Section:
    """Beside the same load without them, loud jobs included, so that only the clients differ."""
    others = Load(
        streams=load.streams,
        rate=load.rate,
        seconds=load.seconds,
        loud=load.loud,
        loud_bytes=load.loud_bytes,
    )
    rows, rounds, grown = [], [], []
    for name, each in ((f"without the {load.deaf}", others), (f"beside {load.deaf}", load)):
        async with standing(bench, "headrace", each) as stand:
            told = await stand.round(each.rate, each.seconds)
            rounds.append(told)
            grown.append(told.memory_kb - stand.memory_kb)
            rows.append(round_row(name, told))
    alone, beside = rounds
    kept_kb = (grown[1] - grown[0]) / load.deaf
    sent_kb = load.loud_bytes * load.rate * load.seconds / 1024
    return Section(
        f"{load.deaf} clients that never read, beside {load.streams} that do",
        f"The {load.deaf} watch jobs whose tokens have {load.loud_bytes:,} bytes, {number(sent_kb)} kB each in all; "
        "those jobs are published in both runs.",
        ROUND_COLUMNS,
        rows,
        after=[
            f"The gateway kept {number(kept_kb)} kB for each of the {load.deaf}, of {number(sent_kb)} kB that were said."
        ],
        checks=[
            at_most("-", "late p99 of those who read, beside clients that never do", 1.5,
                    ratio(beside.late_ms[1], alone.late_ms[1])),
            at_most("-", "memory of a client that never reads", 1024, kept_kb, "kB"),
        ],
    )  # fmt: skip


async def replay_costs(bench: Bench, load: Load) -> Section:
    rows, p99 = [], []
    for name, replay in (("replay on", True), ("replay off", False)):
        each = Load(streams=load.streams, rate=load.rate, seconds=load.seconds, replay=replay)
        async with standing(bench, "headrace", each) as stand:
            told = await stand.round(each.rate, each.seconds)
            p99.append(told.late_ms[1])
            rows.append(round_row(name, told))
    check = at_most("T10", "late p99 with replay beside without", 3, ratio(p99[0], p99[1]))
    return Section(
        "What replay costs those who watch",
        "The same streams and tokens; off: published past the log, as messages alone.",
        ROUND_COLUMNS,
        rows,
        checks=[check],
    )
