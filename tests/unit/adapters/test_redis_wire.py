"""What is said to Redis in one turn of the loop is one write."""

from __future__ import annotations

import asyncio

from typing_extensions import override

from headrace.adapters.redis.wire import Wire


class RecordingTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    @override
    def is_closing(self) -> bool:
        return False


async def test_commands_of_one_turn_leave_together_and_in_order() -> None:
    wire, transport = Wire(lambda _: None), RecordingTransport()
    wire.connection_made(transport)

    wire.write(b"a")
    wire.write(b"b")
    await asyncio.sleep(0)
    wire.write(b"c")
    await asyncio.sleep(0)

    assert transport.written == [b"ab", b"c"]
