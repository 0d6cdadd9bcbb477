"""Rules of workers: they claim, beat, tell, end, fall asleep and wake up as if nothing had been."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Final, Literal

from hypothesis import strategies as st
from hypothesis.stateful import rule

from headrace.contracts.frames import Token, encode_frame
from headrace.contracts.ids import ClaimId, WorkerId
from headrace.contracts.messages import Claim, Grant, Heartbeat, Heartbeats, JobError, Result
from headrace.core.job import HELD, State, Verdict
from headrace.core.ports.streams import Batch
from headrace.core.retry import ErrorKind
from headrace.core.usecases.claim import claim
from headrace.core.usecases.heartbeat import heartbeat
from headrace.core.usecases.record import record
from headrace.testkit.deciding import LANE, offers
from headrace.testkit.machine.base import Held, deaths, paths, seldom, which, workers
from headrace.testkit.machine.dispatchers import POLICY
from headrace.testkit.machine.mishaps import Mishaps

LEASE: Final = timedelta(seconds=30)

outcomes = st.sampled_from(["succeeded", "failed", "cancelled", "released"])
errors = st.sampled_from(["input", "transient", "worker_lost", "internal"])


class Workers(Mishaps):
    @rule(worker=workers, path=paths)
    def get_work(self, worker: WorkerId, path: str) -> None:
        """As it goes on a good day; else too few examples would come to have much under way."""
        self.release(path, [], keeps=False, dies=0)
        self.take_an_offer(worker, path, lost=False, dies=0)

    @rule(worker=workers, path=paths, lost=seldom, dies=deaths)
    def take_an_offer(self, worker: WorkerId, path: str, *, lost: bool, dies: int) -> None:
        """The first that lies there. `lost`: its claim never arrives."""
        if worker in self.asleep:
            return
        lying = self.do(offers(self.stage.bus(path), self.stage.work))
        self.put_back(path, lying[1:])
        for offer in lying[:1]:
            asked = Claim(ClaimId(f"claim-{next(self.numbers)}"), offer.job, offer.epoch)
            self.claims.append(asked)
            if not lost:
                self._claim(worker, asked, dies)

    @rule(place=which, worker=workers, dies=deaths)
    def claim_again(self, place: int, worker: WorkerId, dies: int) -> None:
        """Any claim that was ever sent may arrive once more, also by another worker's hand."""
        if self.claims:
            self._claim(worker, self.claims[-1 - place % len(self.claims)], dies)

    def _claim(self, worker: WorkerId, asked: Claim, dies: int) -> None:
        claimed = self.do_or_die(claim(self.store, worker, [asked], lease=LEASE), dies)
        if claimed is None:
            return
        self.say(claimed.announcements, dies)
        for grant in claimed.answers:
            if isinstance(grant, Grant):
                assert grant.epoch == asked.epoch + 1
                self.held.append(Held(worker, grant))

    @rule(worker=workers, path=paths, answered=st.booleans())
    def beat(self, worker: WorkerId, path: str, *, answered: bool) -> None:
        """All that it holds is renewed, told to stop, or told to be another's."""
        mine = [] if worker in self.asleep else self._of(worker)
        beats = [Heartbeat(each.grant.job, each.grant.epoch, 0.5) for each in mine]
        message = Heartbeats(worker, "", next(self.numbers), {str(LANE): 2}, beats)
        orders = self.do(heartbeat(self.store, message, path=path, lease=LEASE))
        for held, order in zip(mine, orders.orders, strict=True):
            self.tally.happened[f"orders to {order.order}"] += 1
            job = self.seen[held.grant.job]
            may = job.epoch == held.grant.epoch and job.worker == worker and job.state in HELD
            assert (order.order == "lost") == (not may)
            assert (order.order == "cancel") == (may and job.state is State.CANCELLING)
            if order.order == "lost" and answered:
                self.held.remove(held)

    @rule(place=which, words=st.integers(1, 3), twice=st.booleans())
    def tell(self, place: int, words: int, *, twice: bool) -> None:
        """Frames, numbered by who has the epoch. Sent twice they are kept once."""
        held = self._awake(place)
        if held is None:
            return
        job, epoch = held.grant.job, held.grant.epoch
        said = [("token", encode_frame(Token(str(epoch))))] * words
        batch = Batch(job, epoch, said, first_seq=held.next_seq)
        verdicts = self.do(self.stage.streams.append([batch, batch] if twice else [batch]))
        held.next_seq += words
        if Verdict.STALE in verdicts:
            assert self.seen[job].epoch > epoch, "only a later epoch shuts an attempt out"
            self.tally.happened["frames refused"] += words
            self.held.remove(held)

    @rule(
        place=which,
        outcome=outcomes,
        kind=errors,
        twice=st.booleans(),
        dies=deaths,
    )
    def report(
        self,
        place: int,
        outcome: Literal["succeeded", "failed", "cancelled", "released"],
        kind: ErrorKind,
        *,
        twice: bool,
        dies: int,
    ) -> None:
        held = self._awake(place)
        if held is None:
            return
        error = JobError(kind=kind, message="it broke") if outcome == "failed" else None
        result = Result(job=held.grant.job, epoch=held.grant.epoch, outcome=outcome, error=error)
        self.record([result, result] if twice else [result], dies)

    @rule(place=which)
    def report_about_an_epoch_to_come(self, place: int) -> None:
        if held := self._some(place):
            self.record([Result(held.grant.job, held.grant.epoch + 1, "succeeded")])

    def record(self, results: Sequence[Result], dies: int = 0) -> None:
        recorded = self.do_or_die(
            record(self.store, results, policy=POLICY, random=Random(0)), dies
        )
        if recorded is None:
            return
        self.say(recorded.announcements, dies)
        self.tally.happened["results kept"] += len(recorded.announcements)
        late = [result for result in results if result.epoch != self.seen[result.job].epoch]
        self.tally.happened["results refused"] += len(recorded.stale)
        assert all(result in recorded.stale for result in late)

    @rule(worker=workers, fate=st.sampled_from(["sleeps", "wakes", "wakes", "dies"]))
    def something_happens_to_a_worker(self, worker: WorkerId, fate: str) -> None:
        """One that wakes up does not know that time has passed, and goes on."""
        self.tally.happened[f"times a worker {fate}"] += 1
        if fate == "sleeps":
            self.asleep.add(worker)
            return
        self.asleep.discard(worker)
        if fate == "dies":
            self.held = [held for held in self.held if held.worker != worker]

    def _of(self, worker: WorkerId) -> list[Held]:
        return [held for held in self.held if held.worker == worker]

    def _awake(self, place: int) -> Held | None:
        held = self._some(place)
        return None if held is None or held.worker in self.asleep else held

    def _some(self, place: int) -> Held | None:
        return self.held[-1 - place % len(self.held)] if self.held else None
