"""docs/gpu.md, from the figures of one run: what was not measured is said to be missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_HEAD = """# Headrace on a GPU

Written by `make gpu-check` on the machine below; nobody edits it. Headrace ran in MONOLITH, as real processes, asked over HTTP. The
models have weights by chance and real sizes: what loads and runs them is what users run, but what they write and draw means nothing.
"""


def write_report(facts: Mapping[str, Any]) -> str:
    return "\n".join([_HEAD, *_machine(facts), *_speeds(facts), *_memory(facts), *_rest(facts), ""])


def _machine(facts: Mapping[str, Any]) -> Iterator[str]:
    of = facts.get("machine", {})
    gpus = ", ".join(
        f"{name} ({gib} GiB)"
        for name, gib in zip(of.get("gpus", []), of.get("memory_gib", []), strict=False)
    )
    yield f"- GPU: {gpus or 'none'}, driver {of.get('driver')}; {of.get('cores')} CPU cores"
    yield f"- Python {of.get('python')}, torch {of.get('torch')}, transformers {of.get('transformers')}"
    for kind, what in (("text", "a Llama"), ("image", "a Stable Diffusion (its network)")):
        made = facts.get(f"made {kind}", {})
        if "parameters" in made:
            yield (
                f"- {kind}: {what} of {made['parameters'] / 1e9:.2f} billion parameters,"
                f" {made['gib']} GiB on disk; made in {made['made_s']} s"
            )
        else:
            yield f"- {kind}: {_why(made)}"
    absent = facts.get("engines", {}).get("absent", {})
    for lane, why in absent.items():
        yield f"- `{lane}` was not there: it {why}"
    yield f"- each process may take {of.get('memory_mib')} MiB of the GPU (`TORCH_MEMORY_MIB`)"
    yield f"- from the start to ready, all models loaded: {facts.get('server', {}).get('ready_s')} s"


def _speeds(facts: Mapping[str, Any]) -> Iterator[str]:
    text, image, cpu = (facts.get(name, {}) for name in ("text", "image", "cpu"))
    yield "\n## How fast\n"
    yield "| | GPU | all cores of its CPU | times |"
    yield "| --- | --- | --- | --- |"
    for name, on_gpu, on_cpu in (
        ("tokens/s, one job", text.get("tokens_per_s"), cpu.get("tokens_per_s")),
        ("steps/s, one picture", image.get("steps_per_s"), cpu.get("steps_per_s")),
    ):
        times = f"{on_gpu / on_cpu:.0f}" if on_gpu and on_cpu else "-"
        yield f"| {name} | {on_gpu or '-'} | {on_cpu or '-'} | {times} |"
    yield f"\n- text: {_told(text)}"
    yield f"- through the OpenAI door, streamed: {_told(facts.get('door', {}))}"
    yield f"- pictures: {_told(image)}"
    yield f"- on the CPU: {_told(cpu)}"
    yield f"- text and pictures at the same time: {_told(facts.get('both', {}), but=('peaks',))}"
    for lane in ("torch-train", "sklearn-train"):
        if lane in facts:
            yield f"- `{lane}`: {_told(facts[lane])}"


def _memory(facts: Mapping[str, Any]) -> Iterator[str]:
    yield "\n## What /metrics said of the GPU\n"
    yield "The highest of each while text and pictures were made at the same time:\n"
    peaks = facts.get("both", {}).get("peaks") or facts.get("server", {}).get("peaks") or {}
    yield "| metric | highest |"
    yield "| --- | --- |"
    for name, value in sorted(peaks.items()):
        shown = f"{value / 2**30:.2f} GiB" if "bytes" in name else f"{value:g}"
        yield f"| `headrace_{name}` | {shown} |"
    yield "\n## Out of memory, and after it\n"
    for kind, what in (
        ("text", "a prompt that fits in the window and not in memory"),
        ("image", "more pictures at once than fit"),
    ):
        yield f"- {what}: {_told(facts.get(f'out of memory, {kind}', {}))}"


def _rest(facts: Mapping[str, Any]) -> Iterator[str]:
    yield "\n## Stopping\n"
    yield f"- {_told(facts.get('stopping', {}))}"
    if problems := [name for name, told in facts.items() if "failed" in told or "skipped" in told]:
        yield "\n## What did not work in this run\n"
        yield from (f"- {name}: {_why(facts[name])}" for name in problems)


def _told(part: Mapping[str, Any], *, but: tuple[str, ...] = ()) -> str:
    if not part or "failed" in part or "skipped" in part:
        return _why(part)
    told = {name: value for name, value in part.items() if name not in but}
    return "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in told.items())


def _why(part: Mapping[str, Any]) -> str:
    return str(part.get("failed") or part.get("skipped") or "not measured").partition("\n")[0]
