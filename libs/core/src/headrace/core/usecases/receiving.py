"""Can a worker really receive? Judged by what it last said of itself, in words that say why.

That heartbeats arrive shows that it lives and can send. Whether offers reach it shows in how long ago its
consumers were known to be alive, and whether grants would reach it in how long ago an order did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from headrace.contracts.ids import Lane
from headrace.contracts.messages import Vitals
from headrace.contracts.remote import is_remote
from headrace.core.ports.operations import Member
from headrace.core.usecases.explain import HEARD_WITHIN, heard_within

# Three times what is usual: a silent consumer is looked after every ten seconds, and so is a heartbeat
# answered; nobody is judged by one that was late.
_UNHEARD_S: Final = 35.0

_BY_HTTP: Final = "It comes by HTTP, and asks for work when it is ready."


class Standing(StrEnum):
    ALIVE = "alive"
    DRAINING = "draining"  # takes nothing new, as it was asked
    SILENT = "silent"  # not heard of lately


@dataclass(frozen=True, slots=True)
class Judgement:
    standing: Standing
    receives: bool | None  # None: it cannot be told
    why: str


def judge(member: Member, *, busy: Mapping[Lane, int], now: datetime) -> Judgement:
    """`busy`: what it holds, by lane."""
    silent_s = (now - member.seen_at).total_seconds()
    within = max((heard_within(lane) for lane in member.slots), default=HEARD_WITHIN)
    if silent_s > within.total_seconds():
        why = f"Nothing was heard of it for {silent_s:.0f} s: it is gone, or cut off."
        return Judgement(Standing.SILENT, receives=False, why=why)
    if member.drain_asked_at is not None:
        why = _draining(member.vitals, sum(busy.values()))
        return Judgement(Standing.DRAINING, receives=False, why=why)
    receives, why = _hearing(member, busy)
    return Judgement(Standing.ALIVE, receives, why)


def _draining(vitals: Vitals | None, busy: int) -> str:
    if vitals is None:
        return "It was asked to drain, but its build does not know how: stop it instead."
    if not vitals.draining:
        return "It was asked to drain, and hears it with the answer to its next heartbeat."
    if busy:
        return f"It takes nothing new; {_jobs(busy)} still {_run(busy)}."
    return "It is drained: nothing runs on it any more, and it can be stopped."


def _hearing(member: Member, busy: Mapping[Lane, int]) -> tuple[bool | None, str]:
    vitals = member.vitals
    if vitals is None:
        remote = any(is_remote(lane) for lane in member.slots)
        return None, _BY_HTTP if remote else "Its build does not say whether it can receive."
    if vitals.draining:
        return False, "It may take offers again, and hears that with the next answer."
    if not any(member.slots.values()):
        return False, "No slot is ready: its engines are loading, or cannot start."
    if (why := _no_orders(vitals)) is not None:
        return False, why
    if (why := _deaf(vitals)) is not None:
        return False, why
    return _by_its_slots(member, busy)


def _no_orders(vitals: Vitals) -> str | None:
    if vitals.order_s is None:
        return "No answer has reached its mailbox yet; until one does, no grant can."
    if vitals.order_s > _UNHEARD_S:
        return (
            f"It is heard, but for {vitals.order_s:.0f} s no answer has reached its mailbox:"
            " neither would a grant."
        )
    return None


def _deaf(vitals: Vitals) -> str | None:
    for lane, hearing in sorted((vitals.hears or {}).items()):
        if hearing.alive_s > _UNHEARD_S:
            return (
                f"A free slot waits for offers of lane {lane}, but its consumer was last known"
                f" to be alive {hearing.alive_s:.0f} s ago."
            )
    return None


def _by_its_slots(member: Member, busy: Mapping[Lane, int]) -> tuple[bool | None, str]:
    listening = sorted((member.vitals and member.vitals.hears) or ())
    if listening:
        return True, f"It waits for offers of {_lanes(listening)}."
    free = [lane for lane, slots in sorted(member.slots.items()) if slots > busy.get(lane, 0)]
    if free:
        return (
            None,
            f"A slot of lane {free[0]} is free, and did not wait for an offer when it last said.",
        )
    return True, "All of its slots are busy; it takes the next offer when one is free."


def _lanes(names: list[str]) -> str:
    return f"lane {names[0]}" if len(names) == 1 else f"lanes {', '.join(names)}"


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _run(count: int) -> str:
    return "runs" if count == 1 else "run"
