"""Rules of dispatchers: each may do its next piece of work at any time, and may die of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import rule

from headrace.core.ports.bus import Sent
from headrace.core.retry import RetryPolicy
from headrace.core.usecases import pause
from headrace.core.usecases.cancel import honour_cancels
from headrace.core.usecases.lane_queues import LaneQueues
from headrace.core.usecases.release import Outlet, Window, release, reoffer
from headrace.core.usecases.sweep import queue_due, sweep
from headrace.testkit.deciding import LANE
from headrace.testkit.machine.base import Base, deaths, paths, seldom

ALL: Final = timedelta(hours=-1)  # older than an hour from now: every offer
WINDOW: Final = Window(least=4, reserve_for=timedelta(0))
POLICY: Final = RetryPolicy(failures=3, losses=3, base=timedelta(milliseconds=1))

answers = st.lists(st.sampled_from(Sent), max_size=4).map(
    lambda told: told if len(told) > 1 else []
)
few = st.integers(1, 3)


class Dispatchers(Base):
    @rule(path=paths, told=answers, keeps=st.booleans(), dies=deaths)
    def release(self, path: str, told: Sequence[Sent], *, keeps: bool, dies: int) -> None:
        bus = self.stage.bus(path)
        bus.answer(told)
        bus.keeps = keeps
        turn = release(self.store, self._outlet(path), path=path, window=WINDOW, turns=self.turns)
        self.do_or_die(turn, dies)

    @rule(path=paths, dies=deaths)
    def offer_again(self, path: str, dies: int) -> None:
        outlet = self._outlet(path)
        self.do_or_die(reoffer(self.store, outlet, paths=[path], older_than=ALL, limit=100), dies)

    def _outlet(self, path: str) -> Outlet:
        bus, topology = self.stage.bus(path), self.stage.topology
        return Outlet(path, bus, topology, self.announced, LaneQueues(bus, topology))

    @rule(path=paths, limit=few, dies=deaths)
    def sweep(self, path: str, limit: int, dies: int) -> None:
        swept = self.do_or_die(sweep(self.store, path=path, policy=POLICY, limit=limit), dies)
        if swept is not None:
            self.tally.happened["leases swept"] += swept.lost
            self.say(swept.announcements, dies)

    @rule(path=paths, limit=few, dies=deaths)
    def queue_due(self, path: str, limit: int, dies: int) -> None:
        due = self.do_or_die(queue_due(self.store, path=path, limit=limit), dies)
        self.say(due or [], dies)

    @rule(path=paths, limit=few, dies=deaths)
    def honour_cancels(self, path: str, limit: int, dies: int) -> None:
        honoured = self.do_or_die(honour_cancels(self.store, path=path, limit=limit), dies)
        if honoured is not None:
            self.say(honoured.announcements, dies)

    @rule(held=seldom)
    def hold_the_lane_back_or_let_it_go_on(self, *, held: bool) -> None:
        do = pause.pause if held else pause.resume
        self.do(do(self.store, LANE, who="a test"))
