"""No bug: a release of tomorrow, which says all that this one says, and more in every message and frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
from typing_extensions import override

from headrace.contracts.frames import decode_frame
from headrace.contracts.messages import decode
from headrace.core.job import Verdict
from headrace.core.ports.bus import Parcel, Sent
from headrace.core.ports.streams import Batch
from headrace.testkit.chaos.planted_bus import Passing, with_bus
from headrace.testkit.chaos.planted_streams import PassingStreams, with_streams
from headrace.wiring.recipes import Wiring

NEWS = {"of": "tomorrow", "more": [1, 2, 3]}


def grown(value: Any) -> Any:
    """Every object that a contract describes has a field that no contract of today knows."""
    if isinstance(value, list | tuple):
        return [grown(each) for each in value]
    if not isinstance(value, msgspec.Struct):
        return value
    fields = {name: grown(getattr(value, name)) for name in value.__struct_fields__}
    config = value.__struct_config__
    tag = {} if config.tag_field is None else {config.tag_field: config.tag}
    return {**tag, **fields, "tomorrow": NEWS}


class _Talkative(Passing):
    @override
    async def send(self, parcels: Sequence[Parcel]) -> list[Sent]:
        return await self.inner.send(
            [replace(each, body=_grown(decode(each.body))) for each in parcels]
        )


class _TalkativeStreams(PassingStreams):
    @override
    async def append(self, batches: Sequence[Batch]) -> list[Verdict]:
        return await self.inner.append([replace(each, frames=_frames(each)) for each in batches])


def _frames(batch: Batch) -> list[tuple[str, bytes]]:
    return [(type_, _grown(decode_frame(frame))) for type_, frame in batch.frames]


def _grown(said: Any) -> bytes:
    return msgspec.json.encode(grown(said))


def tomorrow(wiring: Wiring) -> Wiring:
    return with_streams(with_bus(wiring, _Talkative), _TalkativeStreams)
