"""What the clients know: a ledger on disk, one fact a line, each kept before the next is learned."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec


@dataclass(slots=True)
class Told:
    """One frame of a transcript."""

    epoch: int
    seq: int
    type: str
    body: dict[str, Any]


@dataclass(slots=True)
class Transcript:
    """What one watcher saw of one job, over `resumes` connections more than one.

    `early`: the store still knew of no end after the last frame.
    """

    job: str
    frames: list[Told] = field(default_factory=list)
    early: str | None = None
    resumes: int = 0


@dataclass(frozen=True, slots=True)
class Excuse:
    """An answer that was not the one asked for, and not for good."""

    code: int
    retry_after: str | None


@dataclass(slots=True)
class ClientFacts:
    """The ledger, read back."""

    intents: set[str] = field(default_factory=set)
    accepted: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # key -> ids
    rejected: dict[str, int] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)  # keys that once had no answer
    excuses: dict[str, list[Excuse]] = field(default_factory=lambda: defaultdict(list))  # by key
    recovered_s: list[float] = field(default_factory=list)  # from a heal to the end of new work
    ends: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # id -> states
    cancels: dict[str, float] = field(default_factory=dict)  # id -> when the wish was confirmed
    transcripts: list[Transcript] = field(default_factory=list)


class ClientLedger:
    """Append only. What is written is on disk before the client goes on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)

    def write(self, fact: str, **fields: Any) -> None:
        line = msgspec.json.encode({"fact": fact, "at": time.time(), **fields})
        self._file.write(line + b"\n")
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def read(self) -> ClientFacts:
        return read_clients(self._path)


def read_clients(path: Path) -> ClientFacts:
    facts = ClientFacts()
    for line in path.read_bytes().splitlines():
        _take(facts, msgspec.json.decode(line))
    return facts


def _take(facts: ClientFacts, said: Mapping[str, Any]) -> None:
    match said["fact"]:
        case "intent" | "accepted" | "rejected" | "unknown":
            _take_answer(facts, said)
        case "recovered":
            facts.recovered_s.append(said["within_s"])
        case "end":
            facts.ends[said["job"]].add(said["state"])
        case "cancel":
            facts.cancels.setdefault(said["job"], said["at"])
        case "transcript":
            frames = [Told(*frame) for frame in said["frames"]]
            facts.transcripts.append(
                Transcript(said["job"], frames, said["early"], said["resumes"])
            )
        case other:
            raise ValueError(f"nobody writes {other!r} into a client's ledger")


def _take_answer(facts: ClientFacts, said: Mapping[str, Any]) -> None:
    key = said["key"]
    match said["fact"]:
        case "intent":
            facts.intents.add(key)
        case "accepted":
            facts.accepted[key].add(said["job"])
        case "rejected":
            facts.rejected[key] = said["code"]
        case _:
            facts.unknown.add(key)
            if "code" in said:
                facts.excuses[key].append(Excuse(said["code"], said["retry_after"]))


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of the engine. `ended` is None where the process died or still runs."""

    key: str
    attempt: int
    run: str
    pid: int
    started: float
    ended: float | None = None
    how: str | None = None


def read_executions(path: Path) -> list[Execution]:
    found: dict[str, Execution] = {}
    for line in path.read_bytes().splitlines() if path.exists() else []:
        fact = msgspec.json.decode(line)
        if fact["event"] == "start":
            found[fact["run"]] = Execution(
                fact["key"], fact["attempt"], fact["run"], fact["pid"], fact["at"]
            )
        else:
            ended = {"ended": fact["at"], "how": fact["event"]}
            found[fact["run"]] = replace(found[fact["run"]], **ended)
    return list(found.values())
