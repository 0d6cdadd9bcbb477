"""Rules of the world around: time, the queue, the cache, and whoever changes the mode."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import rule

from headrace.contracts.messages import Offer, encode
from headrace.core.ports.bus import Parcel, Sent
from headrace.testkit.deciding import offers
from headrace.testkit.machine.base import paths
from headrace.testkit.machine.dispatchers import Dispatchers
from headrace.testkit.machine.stage import DISTRIBUTED, LOCAL, PATHS


class Mishaps(Dispatchers):
    @rule(seconds=st.sampled_from([1, 20, 31, 31, 3600, 90_000]), noticed=st.booleans())
    def time_passes(self, seconds: int, *, noticed: bool) -> None:
        self.do(self.stage.wait(timedelta(seconds=seconds)))
        for path in PATHS if noticed else ():
            self.sweep(path, 3, 0)

    @rule(path=paths, fate=st.sampled_from(["lost", "doubled", "mixed up"]), chance=st.integers())
    def something_happens_to_the_queue(self, path: str, fate: str, chance: int) -> None:
        lying = self.do(offers(self.stage.bus(path), self.stage.work))
        if fate == "mixed up":
            Random(chance).shuffle(lying)
        kept = {"lost": lying[: len(lying) // 2], "doubled": lying * 2}.get(fate, lying)
        self.put_back(path, kept)

    def put_back(self, path: str, lying: Sequence[Offer]) -> None:
        bus = self.stage.bus(path)
        bus.answer([Sent.KEPT] * len(lying))
        self.do(bus.send([Parcel(self.stage.work, encode(offer)) for offer in lying]))

    @rule()
    def the_streams_forget_everything(self) -> None:
        self.tally.happened["flushes"] += 1
        self.do(self.stage.wipe())

    @rule()
    def switch_the_mode(self) -> None:
        """What is there stays on its path; what is new takes the other. The local process ends."""
        self.tally.happened["switches"] += 1
        self.mode = LOCAL if self.mode == DISTRIBUTED else DISTRIBUTED
        self.do(self.stage.restart_local())
