"""An answer in pieces. A client cannot unsay a delta, so what it was told stays true.

Laws:
1. Deltas concatenate to the answer's text: what a later attempt says again is not told twice.
2. Where a later attempt says something else, the stream ends in an error.
3. What the live log has lost comes with the result, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from headrace.api.dialects.openai import errors, telling
from headrace.api.problems import Problem, Refused
from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, Position
from headrace.core.job import Job

_RESTARTS: Final = frozenset({"started", "attempt"})
_TURNS: Final = _RESTARTS | {"reset"}
_CHUNK: Final = "chunk"
DONE: Final = Entry(START, _CHUNK, b"[DONE]")


class Spoken:
    """What was told of one answer."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._owed = ""  # told already, and to be said again by this attempt
        self._lost = False

    def hear(self, entry: Entry) -> str:
        """What is to be told now. Raises Refused."""
        if entry.type in _RESTARTS:
            self._owed, self._lost = "".join(self._told), False
        elif entry.type == "reset":
            self._lost = True
        elif entry.type == "token" and not self._lost:
            return self._tell(msgspec.json.decode(entry.data)["text"])
        return ""

    def hear_live(self, entries: Sequence[Entry]) -> list[tuple[Entry, str]] | None:
        """What is to be told of these, and they are not told yet; None: one of them needs a closer look."""
        if self._owed or self._lost or any(entry.type in _TURNS for entry in entries):
            return None
        tokens = [entry for entry in entries if entry.type == "token"]
        return [(entry, msgspec.json.decode(entry.data)["text"]) for entry in tokens]

    def told(self, heard: Sequence[tuple[Entry, str]]) -> None:
        self._told.extend(text for _, text in heard)

    def rest(self, whole: str) -> str:
        """Of the whole answer, what is still to be told. Raises Refused."""
        told = "".join(self._told)
        if not whole.startswith(told):
            raise Refused(errors.CHANGED)
        return whole[len(told) :]

    def _tell(self, text: str) -> str:
        if self._owed:
            again = min(len(text), len(self._owed))
            if text[:again] != self._owed[:again]:
                raise Refused(errors.CHANGED)
            self._owed, text = self._owed[again:], text[again:]
        if text:
            self._told.append(text)
        return text


@dataclass(frozen=True, slots=True)
class Form:
    """How the chunks of one answer look: of a chat, or of a plain completion."""

    id: str
    created: int
    model: str
    chat: bool
    counted: bool  # the client wants to know the usage
    choices: int

    def opening(self, index: int) -> Iterator[Entry]:
        if self.chat:
            yield self._of(index, {"role": "assistant", "content": ""}, START)

    def piece(self, index: int, text: str, at: Position) -> Entry:
        return self._of(index, {"content": text}, at)

    def closing(
        self, index: int, output: telling.Output, rest: str, at: Position
    ) -> Iterator[Entry]:
        if rest:
            yield self._of(index, {"content": rest}, START)
        if calls := telling.calls_of(output):
            numbered = [{"index": nth, **call} for nth, call in enumerate(calls)]
            yield self._of(index, {"tool_calls": numbered}, START)
        yield self._of(index, {}, at, finish=telling.finish_of(output))

    def usage(self, outputs: Sequence[telling.Output], *, a_prompt: int) -> Iterator[Entry]:
        if self.counted:
            found = telling.usage(outputs, a_prompt=a_prompt)
            yield self._chunk([], START, None if found is None else found.model_dump())

    def _of(
        self, index: int, delta: dict[str, Any], at: Position, *, finish: str | None = None
    ) -> Entry:
        said = {"delta": delta} if self.chat else {"text": delta.get("content", "")}
        choice = {"index": index, **said, "logprobs": None, "finish_reason": finish}
        return self._chunk([choice], at)

    def _chunk(self, choices: list[Any], at: Position, usage: Any = None) -> Entry:
        chunk = {
            "id": self.id,
            "object": "chat.completion.chunk" if self.chat else "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **({"usage": usage} if self.counted else {}),
        }
        # Positions are those of one job: of several, none would say where to go on.
        return Entry(at if self.choices == 1 else START, _CHUNK, msgspec.json.encode(chunk))


def form_of(jobs: Sequence[Job], *, chat: bool, counted: bool) -> Form:
    return Form(
        id=telling.chat_id(jobs) if chat else telling.completion_id(jobs),
        created=telling.created(jobs),
        model=jobs[0].spec.model,
        chat=chat,
        counted=counted,
        choices=len(jobs),
    )


def error_entry(problem: Problem) -> Entry:
    return Entry(START, _CHUNK, msgspec.json.encode(errors.document(problem)))


def events(entries: Sequence[Entry]) -> bytes:
    return b"".join(map(event, entries))


def event(entry: Entry) -> bytes:
    """`id` is where `/jobs/ID/events?after=` goes on; OpenAI's clients pass it over."""
    if entry.position == START:
        return b"data: %b\n\n" % entry.data
    return b"id: %d-%d\ndata: %b\n\n" % (entry.position.epoch, entry.position.seq, entry.data)


def hello() -> bytes:
    return b": connected\n"  # sends the headers off before there is a chunk


def farewell() -> bytes:
    return event(error_entry(errors.STOPS))
