"""One job as its client lives it: asked for, followed to its end, and its answer checked."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Final

from locust.contrib.fasthttp import FastHttpSession
from tests.load.recording import Recorder
from tests.load.streaming import CONNECTIONS, CUT_OFF, Event, come_back_later, events

from headrace.contracts.ids import Position
from headrace.testkit.chaos.ledger import Told
from headrace.testkit.chaos.transcripts import order_flaws
from headrace.testkit.load.figures import CHECKED
from headrace.testkit.load.orders import Orders

TERMINAL: Final = frozenset({"succeeded", "failed", "cancelled", "dead"})
NEW_ATTEMPT: Final = frozenset({"started", "attempt"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, what shall come of it, and what its client does meanwhile."""

    text: str
    end: str = "succeeded"
    leaves: bool = False  # after the first token, and comes back
    labels: dict[str, str] = field(default_factory=lambda: {"load": "campaign"})

    def body(self, delay_s: float) -> dict[str, Any]:
        given: dict[str, Any] = {"text": self.text, "delay_s": delay_s}
        if self.end == "failed":
            given["fail"] = "input"
        return {"kind": "echo", "input": given, "labels": self.labels}


def wish_for(number: int, orders: Orders) -> Wish:
    """Of twenty jobs one fails, one is cancelled, and the clients of five leave and come back."""
    text = " ".join(f"{number}.{word}" for word in range(orders.words))
    match number % 20:
        case 7:
            return Wish(text, end="failed")
        case 13:
            return Wish(text, end="cancelled")
        case _:
            return Wish(text, leaves=number % 4 == 2)


@dataclass(slots=True)
class Story:
    """What the stream told."""

    asked: float
    frames: list[Told] = field(default_factory=list)
    first_token: float | None = None
    left: float | None = None
    cut: int = 0

    @property
    def last(self) -> str:
        return self.frames[-1].type if self.frames else ""

    @property
    def text(self) -> str:
        """What the last attempt said."""
        said: list[str] = []
        for frame in self.frames:
            if frame.type in NEW_ATTEMPT:
                said.clear()
            elif frame.type == "token":
                said.append(frame.body["text"])
        return "".join(said)


@dataclass(slots=True)
class Follower:
    """A client with a key; every measure goes to the recorder."""

    client: FastHttpSession
    recorder: Recorder
    headers: dict[str, str]
    tenant: str

    def live(self, wish: Wish, delay_s: float) -> None:
        asked = monotonic()
        job = self.submit(wish.body(delay_s))
        if job is None:
            return
        story = Story(asked)
        self._follow(job, wish, story)
        self.recorder.ended(job, story.last if story.last in TERMINAL else "unseen")
        self._check(job, wish, story)

    def submit(self, body: dict[str, Any], *, name: str = "submit") -> str | None:
        answer = self.client.post("/jobs", json=body, headers=self.headers, name=name)
        if answer.status_code != 202:
            return None
        job = str(answer.json()["id"])
        self.recorder.accepted(job, self.tenant)
        return job

    def _follow(self, job: str, wish: Wish, story: Story) -> None:
        """Over as many connections as it takes, each from where the last one ended."""
        for _ in range(CONNECTIONS):
            known = len(story.frames)
            try:
                with closing(self._events(job, story)) as stream:
                    for event in stream:
                        if self._take(event, story) and self._leaves(job, wish, story):
                            break
            except CUT_OFF:
                story.cut += 1
            if story.last in TERMINAL:
                self.recorder.measured("total", 1000 * (monotonic() - story.asked))
                return
            if len(story.frames) == known:
                come_back_later()

    def _events(self, job: str, story: Story) -> Generator[Event]:
        headers = dict(self.headers)
        if story.frames:
            headers["Last-Event-ID"] = f"{story.frames[-1].epoch}-{story.frames[-1].seq}"
        return events(self.client, f"/jobs/{job}/events", name="watch", headers=headers)

    def _take(self, event: Event, story: Story) -> bool:
        """Was it the first token?"""
        at = Position.parse(event.id)
        story.frames.append(Told(at.epoch, at.seq, event.type, event.body))
        if story.left is not None:
            self.recorder.measured("resume", 1000 * (monotonic() - story.left))
            story.left = None
        if event.type != "token" or story.first_token is not None:
            return False
        story.first_token = monotonic()
        self.recorder.measured("first token", 1000 * (story.first_token - story.asked))
        return True

    def _leaves(self, job: str, wish: Wish, story: Story) -> bool:
        """Hangs up; or says that it wants no more."""
        if wish.end == "cancelled":
            path = f"/jobs/{job}/cancel"
            self.client.post(path, headers=self.headers, name="cancel")
            return False
        if wish.leaves:
            story.left = monotonic()
        return wish.leaves

    def _check(self, job: str, wish: Wish, story: Story) -> None:
        answer = self.client.get(f"/jobs/{job}", headers=self.headers, name="answer")
        if answer.status_code != 200:
            return
        record = answer.json()
        self.recorder.measured(CHECKED, 0.0, flaw_of(record, wish, story))
        if record["attempt"] == 1 and record["started_at"]:
            self.recorder.measured("queue wait", 1000 * _waited_s(record))


def flaw_of(record: dict[str, Any], wish: Wish, story: Story) -> str:
    """What is wrong with the answer, or nothing."""
    ends = {wish.end, "succeeded"} if wish.end == "cancelled" else {wish.end}  # it may be too late
    if story.last not in TERMINAL:
        return f"its stream never ended: the last frame is {story.last or 'none'}"
    if record["state"] != story.last:
        return f"its stream ends as {story.last}, and the job is {record['state']}"
    if record["state"] not in ends:
        return f"it ended as {record['state']} instead of {wish.end}"
    if flaws := list(order_flaws(story.frames)):
        return flaws[0]
    if record["state"] == "succeeded":
        return _text_flaw(record, wish, story)
    return ""


def _text_flaw(record: dict[str, Any], wish: Wish, story: Story) -> str:
    stored = record["result"]["text"]
    if story.text != stored:
        return f"its stream says {story.text[:60]!r}, and the result is {stored[:60]!r}"
    if stored != wish.text:
        return f"the answer is {stored[:60]!r}, and {wish.text[:60]!r} was right"
    return ""


def _waited_s(record: dict[str, Any]) -> float:
    """By the store's clock."""
    began, asked = (datetime.fromisoformat(record[name]) for name in ("started_at", "created_at"))
    return (began - asked).total_seconds()
