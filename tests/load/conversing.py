"""One message of a conversation, whose answer a producer outside writes; see headrace.testkit.load.crowd."""

from __future__ import annotations

import socket
from contextlib import closing
from time import monotonic
from typing import Any, Final

from tests.load.following import Follower
from tests.load.streaming import CONNECTIONS, CUT_OFF, Event, come_back_later, events

from headrace.testkit.load.chunks import LAST, flaw_of, kind_of_last
from headrace.testkit.load.figures import CHECKED
from headrace.testkit.load.orders import Orders
from headrace.testkit.load.rows import now

CHUNK_LATE: Final = "chunk late"


def converse(who: Follower, orders: Orders, number: int) -> None:
    asked = monotonic()
    said = who.client.post(
        f"/conversations/crowd-{orders.seed}-{number}/messages",
        json={"content": "Tell me.", "producer": "outside"},
        headers=who.headers,
        name="submit",
    )
    if said.status_code != 202:
        return
    task = str(said.json()["task_id"])
    who.recorder.accepted(task, who.tenant)
    _hand_over(task, orders.crowd_port)
    chunks: list[Event] = []
    bodies: list[dict[str, Any]] = []
    for _ in range(CONNECTIONS):
        known = len(chunks)
        _watch(who, task, chunks, asked)
        bodies = [each.body for each in chunks]
        if kind_of_last(bodies) in LAST:
            break
        if len(chunks) == known:
            come_back_later()
    last = kind_of_last(bodies)
    who.recorder.ended(task, "succeeded" if last == "complete" else last)
    who.recorder.measured(CHECKED, 0.0, flaw_of(bodies))


def _watch(who: Follower, task: str, chunks: list[Event], asked: float) -> None:
    """One connection; from where the last one ended."""
    headers = {**who.headers, **({"Last-Event-ID": chunks[-1].id} if chunks else {})}
    try:
        with closing(
            events(who.client, f"/stream/{task}", name="watch", headers=headers)
        ) as stream:
            for event in stream:
                chunks.append(event)
                _tell_of(who, event, chunks, asked)
    except CUT_OFF as error:
        who.recorder.measured("stream cut off", 0.0, f"{type(error).__name__}: {error}")


def _hand_over(task: str, port: int) -> None:
    """To the producer that answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(f"{task}\n".encode())


def _tell_of(who: Follower, event: Event, chunks: list[Event], asked: float) -> None:
    kind = event.body["chunk_type"]
    if kind == "text":
        made_at = float(event.body["content"].split()[0])
        who.recorder.noted(CHUNK_LATE, 1000 * (now() - made_at))
        if [each.body["chunk_type"] for each in chunks].count("text") == 1:
            who.recorder.measured("first token", 1000 * (monotonic() - asked))
    elif kind in LAST:
        who.recorder.measured("total", 1000 * (monotonic() - asked))
