"""What the system itself holds in the end: rows and queues, read past every service."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

import asyncpg
import httpx
import msgspec

from headrace.contracts.messages import OUTPUT_BLOB
from headrace.testkit.own import MANAGEMENT_OFFSET

SQLITE: Final = "sqlite:///"
TERMINAL: Final = frozenset({"succeeded", "failed", "cancelled", "dead"})
_JOBS: Final = """
    SELECT id, input ->> 'key' AS key, state, epoch, attempt, failures, losses, output, error,
           lease_until, cancel_asked_at, finished_at, path
    FROM jobs ORDER BY number
"""
_OUTBOX: Final = "SELECT count(*) AS count FROM outbox"
_LETTERS: Final = "SELECT number, CASE WHEN source = 'job' THEN job END AS job FROM dead_letters"
# What `GET /jobs/{id}/timeline` tells of each attempt.
_ATTEMPTS: Final = """
    SELECT job, attempt, epoch, outcome, worker, stages, started_at, ended_at FROM attempts
"""
_QUESTIONS: Final = (_JOBS, _ATTEMPTS, _OUTBOX, _LETTERS)


@dataclass(frozen=True, slots=True)
class Row:
    """A job as the store has it."""

    id: str
    key: str
    state: str
    epoch: int
    attempt: int
    failures: int
    losses: int
    output: dict[str, Any] | None
    held: bool
    cancel_asked_at: float | None
    finished_at: float | None
    path: str = ""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    job: str
    attempt: int
    epoch: int
    outcome: str | None
    worker: str = ""
    run_s: float = 0.0  # as its worker measured it
    held_s: float | None = None  # from the grant to its end, by the store's clock


@dataclass(slots=True)
class Effects:
    jobs: list[Row]
    attempts: list[AttemptRow]
    outbox: int
    # By number: the job that died, or None for a message that nobody could handle.
    letters: dict[int, str | None] = field(default_factory=dict)
    queues: dict[str, int] = field(default_factory=dict)  # ready and unacknowledged
    documents: dict[str, Any] = field(default_factory=dict)  # outputs too large for a row, by blob

    def result(self, row: Row) -> dict[str, Any]:
        """A job's output, also where its row only names the blob that holds it."""
        output = row.output or {}
        found: dict[str, Any] = self.documents.get(output.get(OUTPUT_BLOB, ""), output)
        return found

    @property
    def open_jobs(self) -> list[Row]:
        return [row for row in self.jobs if row.state not in TERMINAL]

    @property
    def dead_letters(self) -> int:
        """Of messages."""
        return sum(job is None for job in self.letters.values())

    @property
    def dead_jobs(self) -> list[str]:
        """One for each letter of a job."""
        return [job for job in self.letters.values() if job is not None]


async def read_store(url: str) -> Effects:
    """As of one moment."""
    if url.startswith(SQLITE):
        answers = await asyncio.to_thread(_ask_sqlite, url.removeprefix(SQLITE))
    else:
        answers = await _ask_postgres(url)
    jobs, attempts, ((outbox,), *_), letters = answers
    return Effects(
        [_row(row) for row in jobs],
        [_attempt(row) for row in attempts],
        outbox,
        dict(letters),
    )


async def _ask_postgres(url: str) -> list[list[Any]]:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return [await connection.fetch(question) for question in _QUESTIONS]
    finally:
        await connection.close(timeout=5)


def _ask_sqlite(file: str) -> list[list[Any]]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        return [connection.execute(question).fetchall() for question in _QUESTIONS]


def _row(row: Any) -> Row:
    output = row["output"]
    return Row(
        id=row["id"],
        key=row["key"] or "",
        state=row["state"],
        epoch=row["epoch"],
        attempt=row["attempt"],
        failures=row["failures"],
        losses=row["losses"],
        output=msgspec.json.decode(output) if isinstance(output, str) else output,
        held=row["lease_until"] is not None,
        cancel_asked_at=_seconds(row["cancel_asked_at"]),
        finished_at=_seconds(row["finished_at"]),
        path=row["path"],
    )


def _attempt(row: Any) -> AttemptRow:
    job, attempt, epoch, outcome, worker, stages, began, ended = row
    told = {} if stages is None else msgspec.json.decode(stages)
    since, until = _seconds(began), _seconds(ended)
    held_s = None if since is None or until is None else until - since
    return AttemptRow(job, attempt, epoch, outcome, worker, told.get("run_s", 0.0), held_s)


def _seconds(at: datetime | str | None) -> float | None:
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return None if at is None else at.timestamp()


class Broker:
    """The management API of the rig's own RabbitMQ."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._vhost = quote(parts.path.lstrip("/") or "/", safe="")
        self._base = f"http://{parts.hostname}:{(parts.port or 5672) + MANAGEMENT_OFFSET}/api"

    async def depths(self) -> dict[str, int]:
        """Messages in each queue, as of a moment ago."""
        found = await self._call("GET", f"/queues/{self._vhost}")
        return {queue["name"]: int(queue.get("messages", 0)) for queue in found.json()}

    async def totals(self) -> dict[str, float]:
        """Of this vhost; memory is the whole broker's."""
        queues = (await self._call("GET", f"/queues/{self._vhost}")).json()
        connections = (await self._call("GET", f"/vhosts/{self._vhost}/connections")).json()
        channels = (await self._call("GET", f"/vhosts/{self._vhost}/channels")).json()
        (node,) = (await self._call("GET", "/nodes")).json()
        return {
            "queues": len(queues),
            "connections": len(connections),
            "channels": len(channels),
            "ready": sum(int(queue.get("messages_ready", 0)) for queue in queues),
            "unacknowledged": sum(int(q.get("messages_unacknowledged", 0)) for q in queues),
            "memory": node["mem_used"],
        }

    async def delete(self, queue: str) -> None:
        await self._call("DELETE", f"/queues/{self._vhost}/{quote(queue, safe='')}")

    async def declare_classic(self, queue: str) -> None:
        """Durable, as an older build might have had it."""
        body = {"durable": True, "arguments": {}}
        await self._call("PUT", f"/queues/{self._vhost}/{quote(queue, safe='')}", body)

    async def close_connections(self) -> int:
        found = (await self._call("GET", "/connections")).json()
        for connection in found:
            await self._call("DELETE", f"/connections/{quote(connection['name'], safe='')}")
        return len(found)

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> httpx.Response:
        async with httpx.AsyncClient(auth=("guest", "guest"), timeout=10) as http:
            return await http.request(method, self._base + path, json=body)
