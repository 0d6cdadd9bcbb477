"""What every Streams adapter promises, with `watch`, to who comes back: the rest, from anywhere.

Bind it by a subclass with the fixture `open_streams`.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from random import Random
from typing import Final

import pytest

from headrace.contracts.frames import (
    Entry,
    Queued,
    Started,
    Succeeded,
    Token,
    decode_frame,
    encode_frame,
    frame_type,
)
from headrace.contracts.ids import Position
from headrace.core.job import State
from headrace.core.ports.streams import Batch, Streams
from headrace.core.usecases.watch import watch
from headrace.testkit.conformance.streams import OpenStreams
from headrace.testkit.watching import JOB, Record, watched_job

RESUMES: Final = 500  # while it is written, and as many after its end
AT_ONCE: Final = 20
TOKENS: Final = 1_200  # more than two pages of the log
BATCH: Final = 6
WITHIN_S: Final = 120.0


@dataclass(slots=True)
class Story:
    """A job that is written down while others read it. Each resume is held against `text`."""

    streams: Streams
    random: Random
    record: Record = field(default_factory=lambda: Record(watched_job()))
    text: str = ""
    said: list[tuple[Position, int]] = field(default_factory=list)  # and how much text until there
    wrong: list[str] = field(default_factory=list)
    resumes: int = 0
    early: int = 0  # of them, so many began before the end
    frames: int = 0

    async def say(self, epoch: int, first_seq: int, *frames: Queued | Started | Token) -> None:
        batch = [(frame_type(frame), encode_frame(frame)) for frame in frames]
        await self.streams.append([Batch(JOB, epoch, batch, first_seq)])
        for seq, frame in enumerate(frames, start=first_seq):
            self.text += frame.text if isinstance(frame, Token) else ""
            self.said.append((Position(epoch, seq), len(self.text)))

    async def end(self) -> None:
        output = {"text": self.text}
        self.record.job = watched_job(State.SUCCEEDED, epoch=2, output=output)
        frame = Succeeded(result=output)
        await self.streams.append([Batch(JOB, 2, [(frame_type(frame), encode_frame(frame))], 1)])

    async def resume(self) -> None:
        """Anywhere in what was said, to the end."""
        self.early += self.record.job is not None and not self.record.job.terminal
        at, before = self.random.choice(self.said)
        entries: list[Entry] = []
        async with aclosing(watch(self.streams, self.record, JOB, after=at)) as batches:
            async for batch in batches:
                entries += batch
        frames = [decode_frame(entry.data) for entry in entries]
        rest = "".join(frame.text for frame in frames if isinstance(frame, Token))
        if rest != self.text[before:] or frames[-1] != Succeeded(result={"text": self.text}):
            self.wrong.append(f"after {at}: {rest[:80]!r} ... {frames[-1]!r:.80}")
        self.resumes += 1
        self.frames += len(frames)


class ResumingPromises:
    @pytest.mark.timeout(2 * WITHIN_S)
    async def test_the_text_after_each_of_a_thousand_resumes_is_the_rest_of_the_result(
        self, open_streams: OpenStreams, figures: list[str]
    ) -> None:
        async with open_streams() as streams, asyncio.timeout(WITHIN_S):
            story = Story(streams, Random(11))
            await _told_to_many(story)
            await _resumed_after_its_end(story)

        figures.append(
            f"{story.resumes} resumes, {type(streams).__name__}, {story.early} before the end:"
            f" {story.frames} frames, {len(story.wrong)} texts that are not the rest of the result"
        )
        assert story.wrong == []
        assert (story.resumes, story.early) == (2 * RESUMES, RESUMES)


async def _told_to_many(story: Story) -> None:
    """They come one after the other, while it goes on."""
    async with asyncio.TaskGroup() as readers:
        await story.say(0, 1, Queued())
        await story.say(1, 1, Started(worker="w", attempt=1))
        for n in range(0, TOKENS, BATCH):
            await story.say(1, n + 2, *(Token(text=f"{each} ") for each in range(n, n + BATCH)))
            for _ in range(RESUMES * (n + BATCH) // TOKENS - RESUMES * n // TOKENS):
                readers.create_task(story.resume())
            await asyncio.sleep(
                0
            )  # a log in this process makes nobody wait, so they would all come late
        await story.end()


async def _resumed_after_its_end(story: Story) -> None:
    for _ in range(0, RESUMES, AT_ONCE):
        async with asyncio.TaskGroup() as readers:
            for _ in range(AT_ONCE):
                readers.create_task(story.resume())
