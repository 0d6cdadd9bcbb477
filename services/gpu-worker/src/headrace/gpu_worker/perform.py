"""Performing one attempt: fetch, load, run, store, and end early when there is a reason to.

Laws:
1. Whoever is not the holder any more says nothing: LOST has no result, and UNTRUSTED no frames.
2. CANCELLED and RELEASED are said only when the child is idle or gone, or has let go of this one job.
3. An output that is there counts, also when somebody asked to stop meanwhile; a deadline is a
   deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias, assert_never

from msgspec.structs import replace

from headrace.contracts.frames import Cancelling, Progress, Segment, encode_frame, frame_type
from headrace.contracts.ids import BlobId
from headrace.contracts.messages import Artefact, JobError, Result, Stages
from headrace.core.ports.blobs import Blob
from headrace.gpu_worker.artefacts import Artefacts
from headrace.gpu_worker.artefacts import Kept as FileKept
from headrace.gpu_worker.attempts import Attempt, Line, Why
from headrace.gpu_worker.checkpoints import Checkpoints
from headrace.gpu_worker.devices import Devices, NotEnough
from headrace.gpu_worker.frames import FrameWriter
from headrace.gpu_worker.host import wire
from headrace.gpu_worker.host.batcher import Interrupted, Seat
from headrace.gpu_worker.host.keeper import Keeper, NotReady, RunEnded
from headrace.gpu_worker.host.process import HostLost
from headrace.gpu_worker.host.shelf import Weights
from headrace.gpu_worker.options import WorkerOptions
from headrace.gpu_worker.payloads import Given, PayloadFailed, Payloads
from headrace.gpu_worker.waiting import rings, until
from headrace.gpu_worker.waits import waiting
from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger
from headrace.telemetry.tracing import span

_log = get_logger("gpu_worker.perform")
_KILL_AGAIN_S: Final = 0.5
_TELLING: Final = frozenset({"input", "resource"})  # kinds of errors that come of nobody else's


@dataclass(frozen=True, slots=True)
class Halted:
    """It stopped before there was an output, because it was told to."""


End: TypeAlias = dict[str, Any] | JobError | Halted


class Performance:
    """One attempt on one slot's child."""

    def __init__(
        self,
        attempt: Attempt,
        keeper: Keeper | Seat,
        artefacts: Artefacts,
        options: WorkerOptions,
        *,
        tell: Callable[[], None],
        devices: Devices | None = None,
    ) -> None:
        """`tell` asks for a heartbeat soon. `devices`: its lane's jobs are gangs."""
        self._attempt = attempt
        self._keeper = keeper
        self._artefacts = artefacts
        self._options = options
        self._payloads = Payloads(options)
        self._devices = devices
        self._tell = tell
        self._on_devices: list[str] = []
        self._inside: list[BlobId] = []
        self._shown: dict[str, BlobId] = {}  # segments that are kept already
        self._writer = FrameWriter(attempt, options)
        self._checkpoints = Checkpoints(attempt, options, tell)
        self._stages = Stages(claim_s=attempt.claim_s)
        self._outgrown: JobError | None = None

    async def result(self) -> Result | None:
        """How it ended, with the frames flushed; None where it is not ours to say."""
        self._keeper.serves(self._attempt.ids())
        async with asyncio.TaskGroup() as group:
            watches = [
                group.create_task(self._writer.pump()),
                group.create_task(self._checkpoints.keep()),
                group.create_task(self._watch_trust()),
                group.create_task(self._watch_memory()),
                group.create_task(self._stop_when_told()),
            ]
            end = await self._end()
            await self._leave_the_word(end)
            if not self._attempt.doubtful:
                await self._checkpoints.finish(wanted=not isinstance(end, dict))
                await self._writer.finish(self._options.limits.flush_s)
            for watch in watches:
                watch.cancel()
        self._keeper.serves({})
        return self._judged(end)

    async def _end(self) -> End:
        try:
            return await self._phases()
        except (PayloadFailed, NotReady) as failure:
            return failure.error
        except Interrupted:
            self._attempt.end(Why.INTERRUPTED)
            return Halted()
        except NotEnough as error:
            return JobError("resource", str(error))
        except HostLost as lost:
            if self._outgrown is not None:
                return self._outgrown
            return JobError("worker_lost", str(lost), detail=lost.last_lines or None)

    async def _phases(self) -> End:
        attempt, grant = self._attempt, self._attempt.grant
        async with AsyncExitStack() as held:
            with self._stage("load"):
                given = await until(attempt.ending, self._payloads.fetch(grant))
                if given is not None:
                    await self._make_ready()
                    await self._take_devices(given, held)
            if given is None or attempt.ending.is_set():
                return Halted()
            with self._stage("run", links=[grant.previous] if grant.previous else []):
                ended = await self._run(given)
        if ended.error is not None:
            return ended.error
        if ended.output is None:
            return self._stopped()
        if not attempt.speaks:
            return await self._part_is_done()
        with self._stage("store"):
            made, shown = ended.made, self._shown
            stored = await self._payloads.store(grant.tenant, ended.output, made, shown)
        self._inside = stored.inside
        return stored.output

    async def _part_is_done(self) -> End:
        """Until the first of its gang has reported: to leave before would end the lease of all.

        Whose worker leaves cannot wait for that; the first has what is left of the lease.
        """
        attempt = self._attempt
        bell = attempt.ending
        while (left_s := attempt.trusted_until - self._options.monotonic()) > 0:
            if await rings(bell, left_s):
                if attempt.why in {Why.LOST, Why.DRAINED}:
                    break
                bell = attempt.lost
        attempt.end(Why.DONE)
        return Halted()

    async def _leave_the_word(self, end: End) -> None:
        """When one worker of a gang fails the others fail of it: who knows more speaks first."""
        part = self._attempt.grant.part
        if part is None or not isinstance(end, JobError) or end.kind in _TELLING:
            return
        wait_s = self._options.limits.first_word_s
        await rings(self._attempt.lost, wait_s / 3 if part.rank == 0 else wait_s)

    async def _make_ready(self) -> None:
        grant = self._attempt.grant
        artefact = grant.artefact
        if artefact is None:
            await self._load(Weights(grant.model))
            return
        weights = Weights(
            grant.model, self._artefacts.place(artefact), artefact.format, artefact.sha256
        )
        if self._keeper.has(weights):  # then its file may be gone
            await self._load(weights)
        elif kept := await self._downloaded(artefact):
            with kept:
                await self._load(weights)

    async def _downloaded(self, artefact: Artefact) -> FileKept | None:
        """None: it is to end."""
        with self._waiting(lambda: self._artefacts.line(artefact)):
            return await until(self._attempt.ending, self._artefacts.fetch(artefact))

    async def _load(self, weights: Weights) -> None:
        def line() -> Line:
            return Line("load", f"for {weights.model} to be loaded", self._keeper.line.before)

        with self._waiting(line):
            cold = await self._keeper.ready(weights)
        self._stages = replace(self._stages, cold=cold)
        lane = self._keeper.lane
        metrics.MODEL_LOADS.labels(lane=lane, warm="no" if cold else "yes").inc()

    async def _take_devices(self, given: Given, held: AsyncExitStack) -> None:
        if self._attempt.devices is not None:
            self._on_devices = self._attempt.devices
            return
        if self._devices is None:
            return
        wanted = _wanted(given.input)
        if (free := self._devices.free) < wanted:
            note = f"for {wanted} GPUs or processes; {free} are free"
            frame = Progress(stage="waiting", note=note)
            self._writer.say(frame_type(frame), encode_frame(frame))
        taking = held.enter_async_context(self._devices.taken(wanted))
        try:
            async with asyncio.timeout(self._options.limits.devices_s):
                with self._waiting(partial(_for_devices, self._devices, wanted)):
                    self._on_devices = await until(self._attempt.ending, taking) or []
                self._attempt.devices_since = self._options.monotonic()
        except TimeoutError:
            _log.warning("attempt.no_devices", wanted=wanted, free=self._devices.free)
            self._attempt.end(Why.INTERRUPTED)

    async def _run(self, given: Given) -> RunEnded:
        grant = self._attempt.grant
        with ExitStack() as undo, ExitStack() as line:
            line.enter_context(self._waiting(lambda: self._keeper.line))

            def begun() -> None:
                """Its time counts from here: it may have waited for its child until now."""
                line.close()
                self._attempt.at_work_since = self._options.monotonic()
                loop = asyncio.get_running_loop()
                undo.callback(
                    loop.call_later(grant.timeout_s, self._attempt.end, Why.DEADLINE).cancel
                )

            return await self._keeper.run(
                lambda run: wire.Run(
                    run,
                    grant.model,
                    grant.attempt,
                    given.input,
                    given.blobs,
                    given.left_behind,
                    self._on_devices,
                    grant.part,
                ),
                self._hear,
                self._show,
                begun,
            )

    async def _hear(self, said: wire.Said | wire.Checkpointed) -> None:
        if isinstance(said, wire.Checkpointed):
            self._checkpoints.take(said)
            return
        if said.fraction is not None:
            self._attempt.fraction = said.fraction
        await self._writer.room()
        self._writer.say(said.frame, said.data)

    async def _show(self, made: wire.Made) -> None:
        """Kept first: who is told of it can have it. What cannot be kept now is kept with the result."""
        blob = Blob(made.media_type, made.data)
        kept = await self._payloads.keep_at_once(self._attempt.grant.tenant, blob)
        if kept is None:
            return
        self._shown[made.id] = kept
        frame = Segment(kept, made.media_type, made.duration_s)
        await self._writer.room()
        self._writer.say(frame_type(frame), encode_frame(frame))

    def _waiting(self, look: Callable[[], Line]) -> AbstractContextManager[None]:
        monotonic = self._options.monotonic
        return waiting(self._attempt, look, tell=self._tell, monotonic=monotonic)

    def _stopped(self) -> End:
        if self._attempt.ending.is_set():
            return Halted()
        return JobError("internal", "the engine stopped although nobody asked it to")

    async def _watch_trust(self) -> None:
        while True:
            left_s = self._attempt.trusted_until - self._options.monotonic()
            if left_s <= 0:
                break
            await asyncio.sleep(left_s)  # it may be renewed meanwhile: look again
        _log.warning("attempt.untrusted")
        self._attempt.end(Why.UNTRUSTED)

    async def _watch_memory(self) -> None:
        """Better one job ends than all that run on this machine."""
        while True:
            await asyncio.sleep(self._options.limits.memory_s)
            if (outgrown := self._keeper.outgrown) is not None:
                _log.warning("attempt.outgrown", error=outgrown.message)
                self._outgrown = outgrown
                self._keeper.kill_if_busy()

    async def _stop_when_told(self) -> None:
        """Ask, then kill: what runs in a device's kernel cannot be interrupted any other way."""
        await self._attempt.ending.wait()
        if self._attempt.why is Why.CANCELLED:
            frame = Cancelling()
            self._writer.say(frame_type(frame), encode_frame(frame))
        self._keeper.ask_to_stop()
        pause_s = self._options.limits.cancel_grace_s
        while True:  # more than once: a child may only just be starting
            await asyncio.sleep(pause_s)
            self._keeper.kill_if_busy()
            pause_s = _KILL_AGAIN_S

    @contextmanager
    def _stage(
        self, name: Literal["load", "run", "store"], links: Sequence[str] = ()
    ) -> Iterator[None]:
        started = self._options.monotonic()
        with span(f"job.{name}", links=links):
            try:
                yield
            finally:
                took_s = self._options.monotonic() - started
                self._stages = replace(self._stages, **{f"{name}_s": took_s})

    def _judged(self, end: End) -> Result | None:
        match self._attempt.why:
            case Why.LOST | Why.DONE:
                return None
            case Why.UNTRUSTED:
                return self._said("released")
            case Why.DEADLINE:
                limit_s = self._attempt.grant.timeout_s
                return self._ended(JobError("deadline", f"it ran longer than {limit_s:g} s"))
            case Why.CANCELLED if not isinstance(end, dict):
                return self._said("cancelled")
            case Why.DRAINED | Why.INTERRUPTED if not isinstance(end, dict):
                return self._said("released")
            case _:
                return self._ended(end)

    def _ended(self, end: End) -> Result:
        match end:
            case dict():
                return self._said("succeeded", output=end)
            case JobError():
                return self._said("failed", error=end)
            case Halted():
                raise AssertionError("nothing halts without a reason")
            case _:
                assert_never(end)

    def _said(
        self,
        outcome: Literal["succeeded", "failed", "cancelled", "released"],
        *,
        output: dict[str, Any] | None = None,
        error: JobError | None = None,
    ) -> Result:
        grant, kept = self._attempt.grant, self._attempt.kept
        return Result(
            grant.job,
            grant.epoch,
            outcome,
            output=output,
            error=error,
            stages=self._stages,
            dropped=self._writer.dropped,
            blobs=self._inside if output is not None else [],
            checkpoint=None if kept is None else kept.blob,
            checkpoint_step=None if kept is None else kept.step,
        )


def _for_devices(devices: Devices, wanted: int) -> Line:
    return Line("devices", f"for {wanted} GPUs or processes, of which {devices.free} are free")


def _wanted(given: dict[str, Any]) -> int:
    """What is no number is refused by the engine, which says so better."""
    gpus = given.get("gpus", 1)
    return gpus if isinstance(gpus, int) and gpus > 0 else 1
