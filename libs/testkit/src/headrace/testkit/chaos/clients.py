"""Users who write down what they asked and what they were told, and never give up a key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, Final

import httpx
import msgspec

from headrace.contracts.frames import TERMINAL_TYPES
from headrace.contracts.messages import OUTPUT_BLOB
from headrace.testkit.chaos.effects import Effects
from headrace.testkit.chaos.ledger import ClientLedger
from headrace.testkit.client import Door, Seen, User

TRY_FOR_S: Final = 150.0  # the longest fault is a minute, and what it held up takes another
WATCH_FOR_S: Final = 300.0  # it may wait behind many others, in a system that is often away
ASK_WITHIN_S: Final = 5.0


class Crowd:
    """Any number of users behind one ledger; `name` tells the keys of two crowds apart."""

    def __init__(
        self, http: httpx.AsyncClient, ledger: ClientLedger, random: Random, *, name: str = "k"
    ) -> None:
        self._http, self._ledger, self._random = http, ledger, random
        self._name, self._number = name, 0
        self.jobs: dict[str, str] = {}  # id by key
        self._given: dict[str, dict[str, Any]] = {}

    async def submit(self, *, priority: int = 0, **given: Any) -> str:
        """Ask until there is an answer, always with the same key; answers the job's id."""
        self._number += 1
        key = f"{self._name}{self._number}"
        self._ledger.write("intent", key=key)
        answer = await self._answered(key, given, priority)
        if not answer.is_success:
            self._ledger.write("rejected", key=key, code=answer.status_code)
            raise RuntimeError(f"{key} was refused: {answer.text}")
        job = str(answer.json()["id"])
        self._ledger.write("accepted", key=key, job=job)
        self.jobs[key] = job
        return job

    async def _answered(self, key: str, given: dict[str, Any], priority: int) -> httpx.Response:
        """Each try is short: one that is cut off by the last limit says nothing of those before it."""
        tries = 1
        try:
            async with asyncio.timeout(TRY_FOR_S):
                while (answer := await self._ask(key, given, priority)) is None:
                    await asyncio.sleep(self._random.uniform(0.1, 0.5))
                    tries += 1
        except TimeoutError as error:
            why = f"{key} had no answer in {TRY_FOR_S:g} s and {tries} tries; the ledger has them"
            raise TimeoutError(why) from error
        return answer

    async def submit_many(self, count: int, **given: Any) -> list[str]:
        return [await self.submit(**given) for _ in range(count)]

    async def submit_at_once(self, copies: int, **given: Any) -> None:
        """The same request with the same key, so many times in parallel."""
        self._number += 1
        key = f"{self._name}{self._number}"
        self._ledger.write("intent", key=key)
        self._given[key] = given
        await self.repeat(key, copies=copies)

    async def repeat(self, key: str, *, copies: int = 1) -> None:
        given = self._given[key]
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._ask(key, given)) for _ in range(copies)]
        for each in asked:
            if (answer := each.result()) is not None and answer.is_success:
                self.jobs[key] = str(answer.json()["id"])
                self._ledger.write("accepted", key=key, job=self.jobs[key])

    async def ask_once(self, given: dict[str, Any]) -> httpx.Response:
        """Off the record: what should be refused."""
        return await self._http.post("/jobs", json={"kind": "ledger", "input": given})

    async def _ask(
        self, key: str, given: dict[str, Any], priority: int = 0
    ) -> httpx.Response | None:
        body = {"kind": "ledger", "input": {"key": key, **given}, "priority": priority}
        try:
            answer = await self._http.post(
                "/jobs", json=body, headers={"Idempotency-Key": key}, timeout=ASK_WITHIN_S
            )
        except httpx.TransportError as error:
            self._ledger.write("unknown", key=key, why=type(error).__name__)
            return None
        # 503 says itself that it is not known whether this took effect; 429 that it did not;
        # 422 that nobody has announced the engine yet.
        if answer.status_code in {429, 500, 502, 503, 504}:
            again = answer.headers.get("retry-after")
            self._ledger.write("unknown", key=key, code=answer.status_code, retry_after=again)
            return None
        return answer

    async def cancel(self, job: str) -> None:
        with suppress(httpx.TransportError):
            answer = await self._http.post(f"/jobs/{job}/cancel", timeout=ASK_WITHIN_S)
            if answer.is_success:
                self._ledger.write("cancel", job=job)

    async def watch(
        self,
        job: str,
        *,
        within: float = WATCH_FOR_S,
        heard: Callable[[Seen], None] = lambda _: None,
        door: Door = "events",
        leaves: Callable[[], bool] = lambda: False,
    ) -> None:
        """See it to its end over as many connections as it takes; then ask whether that is true.

        `leaves` is asked after each frame whether to hang up and come back with its position.
        """
        seen: list[Seen] = []
        early = None
        user = User(self._http, door=door, leaves=leaves)
        try:
            async for each in user.frames({"id": job}, within=within):
                seen.append(each)
                heard(each)
                if each.type in TERMINAL_TYPES:
                    early = await self._still_open(job)
        finally:
            frames = [
                (s.position.epoch, s.position.seq, s.type, msgspec.to_builtins(s.frame))
                for s in seen
            ]
            resumes = user.connections - 1
            self._ledger.write("transcript", job=job, frames=frames, early=early, resumes=resumes)

    async def see_ends(self) -> None:
        """Look at every job; write down how it ended where it did."""
        for job in self.jobs.values():
            if (state := await self._state(job)) in TERMINAL_TYPES:
                self._ledger.write("end", job=job, state=state)

    async def documents(self, effects: Effects) -> dict[str, Any]:
        """The outputs that their rows only name, by blob."""
        found: dict[str, Any] = {}
        for blob in filter(None, ((row.output or {}).get(OUTPUT_BLOB) for row in effects.jobs)):
            answer = await self._http.get(f"/blobs/{blob}")
            found[blob] = answer.raise_for_status().json()
        return found

    async def over(self, job: str) -> bool:
        """Does the api say that it has ended?"""
        return await self._state(job) in TERMINAL_TYPES

    async def _still_open(self, job: str) -> str | None:
        state = await self._state(job)
        return None if state is None or state in TERMINAL_TYPES else state

    async def _state(self, job: str) -> str | None:
        with suppress(httpx.TransportError):
            answer = await self._http.get(f"/jobs/{job}", timeout=ASK_WITHIN_S)
            if answer.is_success:
                return str(answer.json()["state"])
        return None
