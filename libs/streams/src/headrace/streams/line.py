"""What a producer has to say to Redis next, and what the answers mean: decisions alone, no waiting.

Laws:
1. One call is under way at a time, and the same one is given again until it is answered.
2. Frames are numbered from 2 in the epoch that `OPEN` gave, so a batch that is sent twice is kept once.
3. A failure is for good: after it nothing is sent and every `put` raises it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import msgspec

from headrace.contracts.frames import TERMINAL_TYPES, Frame, Token, encode_frame, frame_type
from headrace.contracts.ids import JobId
from headrace.contracts.logs import APPEND, append_arguments, live_channel, log_key
from headrace.contracts.messages import JobError
from headrace.contracts.producing import MAX_OUTPUT_BYTES, OPEN, RENEW, End, producer_key
from headrace.streams.errors import ProducerError, Stopped, StreamOver, StreamsUnavailable
from headrace.streams.options import (
    BYTES_AT_ONCE,
    FRAMES_AT_ONCE,
    LINGER_S,
    MAX_FRAME_BYTES,
    MAX_WAITING_BYTES,
    Options,
)

_TASK: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0
_GO_ON, _STOP = 1, 2


@dataclass(frozen=True, slots=True)
class Call:
    """A script, its keys and its arguments."""

    script: str
    keys: tuple[str, ...]
    arguments: tuple[str | bytes | int, ...]
    frames: int = 0  # of those that wait, so many are in it


class Line:
    def __init__(
        self,
        task: str,
        *,
        namespace: str,
        name: str,
        options: Options,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        if not _TASK.fullmatch(task):
            raise ValueError(f"a task id is a UUID as the api gave it, not {task[:40]!r}")
        self._namespace, self._name, self._options = namespace, name, options
        self._job, self._clock, self._random = JobId(task), clock, random
        self._epoch, self._next_seq = 0, 2
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._waiting_bytes = 0
        self._first_put_at = 0.0
        self._renew_at = 0.0
        self._end = ""
        self._pending: Call | None = None
        self._trouble_since: float | None = None
        self._troubles = 0
        self._said: list[str] = []
        self._said_bytes = 0
        self.failure: ProducerError | None = None
        self.stop_asked = False
        self.ended = False  # the last word has arrived

    @property
    def text(self) -> str:
        return "".join(self._said)

    @property
    def open(self) -> bool:
        return self._epoch > 0

    @property
    def has_room(self) -> bool:
        return self._waiting_bytes < MAX_WAITING_BYTES

    def put(self, chunk: str | Frame) -> None:
        """Raises what went wrong before, Stopped, or ValueError for what is no chunk."""
        self.check()
        frame = Token(chunk) if isinstance(chunk, str) else chunk
        kind, data = frame_type(frame), encode_frame(frame)
        if kind in TERMINAL_TYPES:
            raise ValueError("leaving the block ends the stream; a chunk cannot")
        if len(data) > MAX_FRAME_BYTES:
            raise ValueError(
                f"a chunk has at most {MAX_FRAME_BYTES} bytes of JSON, not {len(data)}"
            )
        if isinstance(frame, Token):
            self._remember(frame.text)
        if not self._waiting:
            self._first_put_at = self._clock()
        self._waiting.append((kind, data))
        self._waiting_bytes += len(data)

    def _remember(self, text: str) -> None:
        self._said_bytes += len(text.encode())
        if self._said_bytes > MAX_OUTPUT_BYTES:
            raise ValueError(f"an answer has at most {MAX_OUTPUT_BYTES} bytes of text")
        self._said.append(text)

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self.stop_asked:
            raise Stopped("somebody asked for this task to end")

    def end(self, end: End) -> None:
        """Said after everything that waits. An output that cannot be said is a failure, and raised."""
        try:
            encoded = _encoded(end)
        except (TypeError, ValueError) as error:
            self._end = msgspec.json.encode(failed_with(error)).decode()
            raise
        self._end = encoded.decode()

    def wait_s(self) -> float:
        """Until there is something to say; 0: now."""
        now = self._clock()
        if self._pending is not None or self._end:
            return 0.0
        due = self._renew_at
        if self._waiting:
            many = len(self._waiting) >= FRAMES_AT_ONCE or self._waiting_bytes >= BYTES_AT_ONCE
            due = min(due, now if many else self._first_put_at + LINGER_S)
        return max(0.0, due - now)

    def next_call(self) -> Call | None:
        if self.failure is not None or self.ended:
            return None
        if self._pending is None:
            self._pending = self._make()
        return self._pending

    def _make(self) -> Call | None:
        if not self.open:
            return self._opening()
        if self._clock() >= self._renew_at and not self._end:
            return self._renewal("")
        if self._waiting:
            return self._batch()
        return self._renewal(self._end) if self._end else None

    def answered(self, reply: Any) -> None:
        """To the call that is under way."""
        call, self._pending = self._pending, None
        self._trouble_since, self._troubles = None, 0
        if call is None:
            return
        if call.script is OPEN:
            self._opened(int(reply[0]))
        elif call.script is RENEW:
            self._renewed(int(reply))
        elif int(reply) != _GO_ON:
            self.failure = _over(self._job)
        else:
            self._taken(call.frames)

    def trouble(self, why: str) -> float:
        """The call may not have arrived: how long to wait before it is sent again."""
        now = self._clock()
        since = self._trouble_since = now if self._trouble_since is None else self._trouble_since
        self._troubles += 1
        if now - since >= self._options.patience_s:
            self.failure = StreamsUnavailable(
                f"Redis has not answered for {now - since:.0f} s: {why}"
            )
        ceiling = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(self._troubles, 10))
        return self._random.uniform(0, ceiling)

    def _opened(self, epoch: int) -> None:
        if epoch == 0:
            self.failure = _over(self._job)
        self._epoch = epoch
        self._renew_at = self._clock() + self._renew_every_s

    def _renewed(self, answer: int) -> None:
        self._renew_at = self._clock() + self._renew_every_s
        self.stop_asked = self.stop_asked or answer == _STOP
        if answer not in {_GO_ON, _STOP}:
            self.failure = _over(self._job)
        elif self._end and not self._waiting:
            self.ended = True

    def _taken(self, frames: int) -> None:
        self._next_seq += frames
        for _ in range(frames):
            self._waiting_bytes -= len(self._waiting.popleft()[1])
        self._first_put_at = self._clock()

    @property
    def _renew_every_s(self) -> float:
        return min(2.0, self._options.lease_s / 5)

    def _opening(self) -> Call:
        keys = (log_key(self._namespace, self._job), producer_key(self._namespace, self._job))
        return Call(OPEN, keys, (self._name, self._lease_ms, self._ttl_ms, self._channel))

    def _renewal(self, end: str) -> Call:
        keys = (producer_key(self._namespace, self._job),)
        said = (self._epoch, self._lease_ms, self._ttl_ms, self._name, end)
        return Call(RENEW, keys, said)

    def _batch(self) -> Call:
        frames: list[tuple[str, bytes]] = []
        size = 0
        for frame in self._waiting:
            size += len(frame[1])
            if frames and (len(frames) >= FRAMES_AT_ONCE or size > BYTES_AT_ONCE):
                break
            frames.append(frame)
        arguments = append_arguments(
            self._epoch, self._next_seq, frames, channel=self._channel, ttl_ms=self._ttl_ms
        )
        keys = (log_key(self._namespace, self._job),)
        return Call(APPEND, keys, tuple(arguments), len(frames))

    @property
    def _channel(self) -> str:
        return live_channel(self._namespace, self._job)

    @property
    def _lease_ms(self) -> int:
        return round(self._options.lease_s * 1000)

    @property
    def _ttl_ms(self) -> int:
        return round(self._options.ttl_s * 1000)


def _encoded(end: End) -> bytes:
    encoded = msgspec.json.encode(end)
    if len(encoded) > MAX_OUTPUT_BYTES + MAX_FRAME_BYTES:
        raise ValueError(f"an output has at most {MAX_OUTPUT_BYTES} bytes of JSON")
    return encoded


def failed_with(error: BaseException) -> End:
    message = str(error) or type(error).__name__
    return End("failed", error=JobError(kind="internal", message=message[:2000]))


def _over(job: JobId) -> StreamOver:
    return StreamOver(f"task {job} has ended, or another producer has taken it over")
