"""Answers conversations from outside, as many at once as are handed over: an application's own model.

`python -m headrace.testkit.load.crowd` reads its orders as JSON on stdin, says its port, and takes a
task's id a line. Each chunk begins with the time at which it was made.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any

from headrace.streams import ProducerError, produce_async
from headrace.testkit.load.rows import now


async def main() -> None:
    orders: dict[str, Any] = json.loads(sys.stdin.readline())
    async with asyncio.TaskGroup() as group:

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = (await reader.readline()).decode().strip()
            writer.close()
            if task:
                group.create_task(answer(task, orders))

        server = await asyncio.start_server(take, "127.0.0.1", 0, backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until whoever started us lets go
        server.close()


async def answer(task: str, orders: dict[str, Any]) -> None:
    """A chunk at its time, however long the one before took."""
    loop = asyncio.get_running_loop()
    with suppress(ProducerError):  # its watchers are told, and say so
        async with produce_async(
            task, url=orders["redis"], namespace=orders["namespace"]
        ) as stream:
            began = loop.time()
            for number in range(orders["chunks"]):
                await asyncio.sleep(max(0.0, began + number * orders["every_s"] - loop.time()))
                await stream.append(f"{now():.4f} word {number}\n")


if __name__ == "__main__":
    asyncio.run(main())
