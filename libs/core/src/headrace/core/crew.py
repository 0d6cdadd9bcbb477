"""Remote workers that are at work now, and what they can do by what they last said of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from headrace.contracts.messages import Skill
from headrace.core.ports.remotes import RemoteWorker
from headrace.core.ports.store import Transaction
from headrace.core.wants import Wants, why_not

HEARD_WITHIN: Final = timedelta(minutes=5)  # one that works by HTTP says nothing meanwhile
_AT_MOST: Final = 10_000
_ABILITIES: Final[Sequence[str]] = (
    *("nsfw", "img2img", "painting", "post_processing", "controlnet", "lora"),
    *("slow", "few_steps", "paid_only"),
)
_LIMITS: Final[Mapping[str, str]] = {
    "max_pixels": "max_pixels",
    "max_frames": "max_frames",
    "max_length": "max_length",
    "max_context": "max_context_length",
}


async def at_work(tx: Transaction, kind: str | None = None) -> list[RemoteWorker]:
    """Heard of lately and not held back; trusted also by whose they are."""
    now = await tx.now()
    found = [
        each
        for each in await tx.remote_workers(kind=kind, limit=_AT_MOST)
        if each.seen_at is not None and now - each.seen_at < HEARD_WITHIN
        if each.maintenance is None and not each.paused
    ]
    owners = await tx.known_users(tenants={each.tenant for each in found})
    trusted = {each.tenant for each in owners if each.trusted}
    return [replace(each, trusted=each.trusted or each.tenant in trusted) for each in found]


def fitting(workers: Iterable[RemoteWorker], wants: Wants) -> list[RemoteWorker]:
    """Who of them may have such a job, as a take of theirs would be decided; blacklists are not known."""
    return [
        each
        for each in workers
        if each.kind == wants.kind and why_not(wants, skill_of(each), each.id) is None
    ]


def threads_in(workers: Iterable[RemoteWorker], wants: Wants) -> int:
    """How many such jobs could run at once, were there no others."""
    return sum(map(threads_of, fitting(workers, wants)))


def models_of(remote: RemoteWorker) -> list[str]:
    """Of an interrogation worker, its forms."""
    return _names(remote.said.get("models")) or _names(remote.said.get("forms"))


def _names(said: Any) -> list[str]:
    return [each for each in said if isinstance(each, str)] if isinstance(said, list) else []


def threads_of(remote: RemoteWorker) -> int:
    said = remote.said.get("threads")
    return said if isinstance(said, int) and said > 0 else 1


def skill_of(remote: RemoteWorker) -> Skill:
    """What it has not said it cannot do."""
    said = remote.said
    can: dict[str, Any] = {
        name: bool(said.get(name.replace("_", "-"), said.get(name))) for name in _ABILITIES
    }
    limits: dict[str, Any] = {name: _number(said, key) for name, key in _LIMITS.items()}
    return Skill(
        kind=remote.kind,
        models=models_of(remote),
        trusted=remote.trusted,
        **can,
        **limits,
    )


def _number(said: Mapping[str, Any], key: str) -> int:
    value = said.get(key)
    return value if isinstance(value, int) else 0
