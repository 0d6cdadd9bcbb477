"""Measures what the OpenAI door costs beside llama.cpp's own server; `make bench-openai` runs it.

The same weights, build, threads and request on all sides, streamed, one call at a time and each side in
turn, so that what else the machine does falls on all alike. No side keeps a prompt's cache.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx

from headrace.testkit.system import MODES, running

MODEL: Final = "smollm2-135m-instruct"
ASKED: Final = {
    "model": MODEL,
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Tell me a long story about a river and the people beside it."},
    ],
    "max_tokens": 128,
    "temperature": 0,
    "seed": 1,
    "stream": True,
    "stream_options": {"include_usage": True},
}
WARM_UP: Final = 2
NAMES: Final = {"MONOLITH": "Headrace, one process", "EDA": "Headrace, services"}
# With the parameters of our engine, and a port instead of a socket of its own.
LLAMA_CPP: Final = """
import sys, xllamacpp
from headrace.engines.text import smollm2
params = xllamacpp.CommonParams()
params.model.path = str(smollm2.packaged(smollm2._PACKAGE, smollm2._FILE))
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.n_ctx, params.n_parallel = smollm2._WINDOW, 1
params.n_batch = params.n_ubatch = smollm2._BATCH
params.n_gpu_layers, params.fit_params = 0, False
params.cache_ram_mib, params.n_ctx_checkpoints = 0, 0
params.ui, params.endpoint_slots, params.verbosity = False, False, -1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@dataclass
class Side:
    name: str
    url: str
    more: dict[str, Any] = field(default_factory=dict)
    first_ms: list[float] = field(default_factory=list)
    tokens_per_s: list[float] = field(default_factory=list)
    whole_ms: list[float] = field(default_factory=list)
    text: str = ""

    async def call(self, http: httpx.AsyncClient) -> None:
        pieces: list[str] = []
        usage: dict[str, int] = {}
        began = first = last = time.perf_counter()
        async with http.stream(
            "POST", f"{self.url}/v1/chat/completions", json={**ASKED, **self.more}
        ) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for line in answer.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line.removeprefix("data: "))
                usage = chunk.get("usage") or usage
                for choice in chunk["choices"]:
                    if text := choice["delta"].get("content"):
                        last = time.perf_counter()
                        first = last if not pieces else first
                        pieces.append(text)
        ended = time.perf_counter()
        self.text = "".join(pieces)
        self.first_ms.append(1000 * (first - began))
        self.tokens_per_s.append((usage["completion_tokens"] - 1) / (last - first))
        self.whole_ms.append(1000 * (ended - began))

    def forget(self) -> None:
        for figures in (self.first_ms, self.tokens_per_s, self.whole_ms):
            figures.clear()


@asynccontextmanager
async def llama_cpp() -> AsyncGenerator[Side]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LLAMA_CPP),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            url = (await process.stdout.readline()).decode().strip()
        yield Side("llama.cpp's own server", url, {"cache_prompt": False})
    finally:
        process.stdin.close()
        async with asyncio.timeout(20):
            await process.wait()


async def main(samples: int) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        sides = [await stack.enter_async_context(llama_cpp())]
        for mode in MODES:
            (folder / mode).mkdir()
            ours = running(
                mode, folder / mode, ENGINES="smollm2", LEASE_S="30", LOG_LEVEL="WARNING"
            )
            sides.append(Side(NAMES[mode], (await stack.enter_async_context(ours)).url))
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=120))
        for nth in range(WARM_UP + samples):
            for side in sides:
                if nth == WARM_UP:
                    side.forget()
                await side.call(http)
    assert len({side.text for side in sides}) == 1, "they do not do the same work"
    show(sides, samples)


def show(sides: list[Side], samples: int) -> None:
    direct = sides[0]
    tokens = ASKED["max_tokens"]
    print(
        f"| {samples} calls each, {tokens} tokens | first token, ms p50 | p95 | tokens/s p50 | whole, ms p50 |"
        " first token later by, ms | tokens/s, ratio | whole, ratio |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for side in sides:
        first, speed, whole = (
            statistics.median(each) for each in (side.first_ms, side.tokens_per_s, side.whole_ms)
        )
        p95 = statistics.quantiles(side.first_ms, n=20, method="inclusive")[18]
        later = first - statistics.median(direct.first_ms)
        ratio = speed / statistics.median(direct.tokens_per_s)
        longer = whole / statistics.median(direct.whole_ms)
        print(
            f"| {side.name} | {first:.0f} | {p95:.0f} | {speed:.1f} | {whole:.0f} | {later:+.0f} |"
            f" {ratio:.2f} | {longer:.2f} |"
        )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
