"""Bugs to plant in a build, to see whether the checker finds them. Not one of them is in the product.

Some of these mistakes are harmless here by themselves, because a second line holds: an offer is not
the job, so a lost one is offered again; a hole in a live channel is mended from the log. Those are
planted together with a gap in that second line (`no_second_offer`, `no_look_at_the_log`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from headrace.contracts.messages import Heartbeat, Order, Result, Stages
from headrace.core import retry
from headrace.core.job import Event, Job, State, advance
from headrace.core.ports.bus import Parcel, Sent
from headrace.core.splice import Heard, hear
from headrace.core.usecases import heartbeat, record, watch
from headrace.testkit.chaos import planted_bus, planted_store, planted_streams, planted_tomorrow
from headrace.wiring.recipes import Wiring


@dataclass(frozen=True, slots=True)
class Plant:
    patch: Callable[[], None] = lambda: None
    wire: Callable[[Wiring], Wiring] = lambda wiring: wiring


def _no_second_offer() -> None:
    from headrace.dispatcher import releasing

    async def reoffer(*_: Any, **__: Any) -> int:
        return 0

    vars(releasing)["reoffer"] = reoffer


def _no_look_at_the_log() -> None:
    def takes_anything(cursor: Any, entries: Any) -> Heard:
        heard = hear(cursor, entries)
        newer = [entry for entry in entries if entry.position > cursor]
        return Heard(newer, hole=False) if heard.hole else heard

    vars(watch)["hear"] = takes_anything


def _no_epoch_check_on_result() -> None:
    def whoever_speaks(job: Job, event: Event, *, epoch: int | None = None) -> Any:
        return advance(job, event)

    vars(record)["advance"] = whoever_speaks


def _no_jitter() -> None:
    def backoff(failures: int, policy: retry.RetryPolicy, random: object) -> timedelta:
        return policy.base * (1 << failures)

    vars(retry)["backoff"] = backoff


def _heartbeats_do_not_cancel() -> None:
    as_shipped = vars(heartbeat)["_order"]

    def order(beat: Heartbeat, state: State | None) -> Order:
        told: Order = as_shipped(beat, State.RUNNING if state is State.CANCELLING else state)
        return told

    vars(heartbeat)["_order"] = order


def _nobody_is_taken_for_gone() -> None:
    from headrace.dispatcher import attendance

    async def attend(*_: Any, **__: Any) -> list[str]:
        return []

    vars(attendance)["attend"] = attend


def _returned_is_kept() -> None:
    from headrace.adapters.bus.rabbitmq import publisher

    as_shipped = vars(publisher)["_confirmed"]

    async def confirmed(channel: Any, parcel: Parcel) -> Sent:
        if not parcel.queue.endswith(".results"):  # not the bus's own ping, which lives by returns
            sent: Sent = await as_shipped(channel, parcel)
            return sent
        message = vars(publisher)["_message"](parcel)
        await channel.default_exchange.publish(message, routing_key=parcel.queue, mandatory=False)
        return Sent.KEPT

    vars(publisher)["_confirmed"] = confirmed


def _dead_jobs_leave_no_letter() -> None:
    from headrace.core.usecases import sweep

    for usecase in (record, sweep):
        vars(usecase)["letters_of"] = lambda _: []


def _usage_is_not_told() -> None:
    from headrace.gpu_worker import perform

    def said(of: perform.Performance, outcome: Any, **more: Any) -> Result:
        told: Result = as_shipped(of, outcome, **more)
        return msgspec.structs.replace(told, stages=Stages())

    name = "_said"
    as_shipped = vars(perform.Performance)[name]
    setattr(perform.Performance, name, said)


PLANTS: Final[Mapping[str, Plant]] = {
    "announce_before_commit": Plant(wire=planted_store.announce_before_commit),
    "ack_before_claim": Plant(wire=planted_bus.ack_before_claim),
    "mark_sent_before_confirm": Plant(wire=planted_bus.say_kept_and_send_later),
    "returned_is_kept": Plant(patch=_returned_is_kept),
    "no_epoch_check_on_result": Plant(patch=_no_epoch_check_on_result),
    "no_epoch_check_on_tokens": Plant(wire=planted_streams.unfenced),
    "cursor_instead_of_rows": Plant(wire=planted_store.cursor_instead_of_rows),
    "replay_before_subscribe": Plant(wire=planted_streams.replay_before_subscribe),
    "no_dedupe": Plant(wire=planted_store.no_dedupe),
    "retry_without_jitter": Plant(patch=_no_jitter),
    "lease_by_own_clock": Plant(wire=planted_store.lease_by_own_clock),
    "heartbeats_do_not_cancel": Plant(patch=_heartbeats_do_not_cancel),
    "nobody_is_taken_for_gone": Plant(patch=_nobody_is_taken_for_gone),
    "dead_jobs_leave_no_letter": Plant(patch=_dead_jobs_leave_no_letter),
    "usage_is_not_told": Plant(patch=_usage_is_not_told),
    # no bugs, but what lets a bug be seen, and a release to come
    "no_second_offer": Plant(patch=_no_second_offer),
    "no_look_at_the_log": Plant(patch=_no_look_at_the_log),
    "tomorrow": Plant(wire=planted_tomorrow.tomorrow),
    "hints_are_lost": Plant(wire=planted_bus.hints_are_lost),
}
