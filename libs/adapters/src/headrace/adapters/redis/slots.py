"""Which node of a cluster has which slot, and what its redirections mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple, TypeAlias, cast
from urllib.parse import urlsplit

from redis.crc import key_slot
from typing_extensions import override

from headrace.adapters.redis.commands import Command, Packed

SLOTS: Final = 16384
_BY_SCRIPT: Final = ("EVAL", "EVALSHA")


class Node(NamedTuple):
    host: str
    port: int

    @override
    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


Owners: TypeAlias = list[Node | None]


@dataclass(frozen=True, slots=True)
class Redirection:
    """`for_good`: the slot has moved (MOVED); else only this one time (ASK)."""

    slot: int
    node: Node
    for_good: bool


def slot_of(key: str | bytes) -> int:
    return key_slot(key if isinstance(key, bytes) else key.encode())


def key_of(command: Command) -> str | bytes:
    """Its first key; a command that has none is not for a cluster as a whole."""
    if isinstance(command, Packed):
        return command.key
    return cast("str | bytes", command[3 if command[0] in _BY_SCRIPT else 1])


def read_owners(ranges: Sequence[Any], asked: Node) -> Owners:
    """The answer to CLUSTER SLOTS: [first, last, [host, port, ...] of the master, replicas ...]."""
    owners: Owners = [None] * SLOTS
    for first, last, master, *_ in ranges:
        owners[first : last + 1] = [_node(master[0], master[1], asked)] * (last + 1 - first)
    return owners


def read_redirection(error: str, asked: Node) -> Redirection | None:
    """As in `MOVED 3999 127.0.0.1:6381`; None for every other error."""
    match error.split():
        case ["MOVED" | "ASK" as word, slot, address]:
            host, _, port = address.rpartition(":")
            return Redirection(int(slot), _node(host.encode(), int(port), asked), word == "MOVED")
        case _:
            return None


def uncovered(owners: Sequence[Node | None]) -> str:
    """Ranges of slots that no node has, as in `0-5460, 9000`; empty when there are none."""
    runs = groupby(enumerate(owners), key=lambda each: each[1] is None)
    gaps = [[slot for slot, _ in run] for nobody, run in runs if nobody]
    return ", ".join(f"{gap[0]}-{gap[-1]}" if len(gap) > 1 else str(gap[0]) for gap in gaps)


def node_in(url: str) -> Node:
    parts = urlsplit(url)
    return Node(parts.hostname or "localhost", parts.port or 6379)


def url_of(node: Node, url: str) -> str:
    """`url` for another node: the same user, password and way of connecting."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    host = f"[{node.host}]" if ":" in node.host else node.host
    return parts._replace(netloc=f"{user}{at}{host}:{node.port}").geturl()


def _node(host: bytes | None, port: int, asked: Node) -> Node:
    """A node that does not know its own name is the one that was asked, or beside it."""
    return Node(host.decode() if host and host != b"?" else asked.host, port)
