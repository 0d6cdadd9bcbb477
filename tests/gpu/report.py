"""docs/gpu.md, from the figures of one run: what was not measured is said to be missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

Part: TypeAlias = Mapping[str, Any]

_HEAD = """# Headrace on a GPU

Written by `make gpu-check` on the machine below; nobody edits it. Headrace ran in MONOLITH, as real processes, asked over HTTP. The
models have weights by chance and real sizes: what loads and runs them is what users run, but what they write and draw means nothing.
What can be set, and what a seed promises: [engines.md](engines.md).
"""
_NOT_SEEN = """
## What was not seen

Weights of a real model, which would be of these sizes but of other words and pictures. A day of this: the run takes minutes. A training
on the GPU that is killed and goes on with the same bits; that is tested on CPUs. What memory and utilisation were between two readings:
the driver is asked every few seconds, so a peak of a moment can be missing, and utilisation is the share of time in which any kernel ran,
not how much of the device it filled."""
_ONE_GPU = """ There was one GPU: two lanes shared it, but no job, no slot and no model was ever on a second, and nothing went
between two of them (no NCCL, no model split in parts)."""


def write_report(facts: Part) -> str:
    parts = (_machine, _speeds, _training, _memory, _out_of_memory, _stopping, _rest)
    return "\n".join([_HEAD, *(line for part in parts for line in part(facts)), ""])


def _machine(facts: Part) -> Iterator[str]:
    of = facts.get("machine", {})
    gpus = ", ".join(
        f"{name} ({gib} GiB)"
        for name, gib in zip(of.get("gpus", []), of.get("memory_gib", []), strict=False)
    )
    yield f"- {of.get('day')}, {gpus or 'no GPU'}, driver {of.get('driver')}; {of.get('cores')} CPU cores"
    yield f"- Python {of.get('python')}, torch {of.get('torch')}, transformers {of.get('transformers')}"
    for kind, what in (("text", "a Llama"), ("image", "the network of a Stable Diffusion")):
        yield _line(facts, f"made {kind}", f"{kind}, {what}", _made)
    for lane, why in facts.get("engines", {}).get("absent", {}).items():
        yield f"- `{lane}` was not there: it {why}"
    yield f"- each process may take {_gib(of.get('memory_mib', 0) * 2**20)} of the GPU (`TORCH_MEMORY_MIB`)"
    yield _line(facts, "server", "ready, all models loaded, after", lambda it: f"{it['ready_s']} s")


def _made(it: Part) -> str:
    return f"{it['parameters'] / 1e9:.2f} billion parameters, {it['gib']} GiB on disk"


def _speeds(facts: Part) -> Iterator[str]:
    yield "\n## How fast\n"
    yield "| | GPU | all cores of its CPU | times |"
    yield "| --- | --- | --- | --- |"
    cpu = facts.get("cpu", {})
    for part, name in (("text", "tokens_per_s"), ("image", "steps_per_s")):
        on_gpu, on_cpu = facts.get(part, {}).get(name), cpu.get(name)
        times = f"{on_gpu / on_cpu:.0f}" if on_gpu and on_cpu else "-"
        what = f"{name.partition('_')[0]}/s, one job"
        yield f"| {what} | {_figure(on_gpu)} | {_figure(on_cpu)} | {times} |"
    yield ""
    yield _line(facts, "text", "text", _text)
    yield _line(facts, "door", "text through the OpenAI door, streamed", _door)
    yield _line(facts, "image", "pictures", _image)
    yield _line(facts, "both", "text and pictures at the same time", _both)


def _text(it: Part) -> str:
    each = ", ".join(_figure(speed) for speed in it["all"])
    same = "the same text" if it["same_seed_same_text"] else "**another text**"
    return (
        f"{it['tokens'][0]} tokens four times, one after the other: {each} tokens/s (above is the median);"
        f" a prompt of {it['prompt_tokens']:,} tokens is read at {it['reads_tokens_per_s']:,} tokens/s;"
        f" the same seed gave {same}"
    )


def _door(it: Part) -> str:
    first = it.get("first_token_ms")
    return f"first token after {_figure(first)} ms, last after {_figure(it['all_s'])} s"


def _image(it: Part) -> str:
    return (
        f"{it['side']} x {it['side']} pixels, {it['steps']} steps, {it['previews']} previews on the way;"
        f" four at once {_figure(it['pictures_per_s_of_4'])} pictures/s;"
        f" through the OpenAI door one in {_figure(it['openai_door_s'])} s"
    )


def _both(it: Part) -> str:
    steps = " and ".join(_figure(speed) for speed in it["steps_per_s"])
    return f"{_figure(it['tokens_per_s'])} tokens/s, beside two jobs of four pictures each at {steps} steps/s"


def _training(facts: Part) -> Iterator[str]:
    yield "\n## Training\n"
    for lane, where in (("torch-train", "on the GPU"), ("sklearn-train", "on the CPU")):
        yield _line(facts, lane, f"`{lane}`, {where}", _trained(facts, lane))


def _trained(facts: Part, lane: str) -> Callable[[Part], str]:
    def told(it: Part) -> str:
        best = it["output"]["model"]["metrics"]
        return (
            f"`{it['model']}`, {it['output']['epochs']} epochs in {_figure(facts['took_s'][lane])} s;"
            f" {best['val_accuracy']:.1%} right of what was held out, after epoch {best['epoch']}"
        )

    return told


def _memory(facts: Part) -> Iterator[str]:
    yield "\n## What /metrics said of the GPU\n"
    yield "The highest reading: while text and pictures were made at the same time, and from there to the end of the run, with what is below.\n"
    at_once = facts.get("both", {}).get("peaks", {})
    later = facts.get("server", {}).get("peaks", {})
    yield "| metric | text and pictures | to the end |"
    yield "| --- | --- | --- |"
    for name in sorted({*at_once, *later}):
        shown = (_reading(name, peaks.get(name)) for peaks in (at_once, later))
        yield f"| `headrace_{name.replace(' ', '{', 1)}}}` | {' | '.join(shown)} |"


def _reading(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return _gib(value) if "bytes" in name else f"{value:.0%}"


def _out_of_memory(facts: Part) -> Iterator[str]:
    yield "\n## Out of memory, and after it\n"
    yield _line(
        facts, "out of memory, text", "a prompt that fits the window, not the memory", _too_long
    )
    yield _line(facts, "out of memory, image", "more pictures at once than fit", _too_many)


def _too_long(it: Part) -> str:
    error = it["error"] or {}
    why = ". ".join(str(error.get("message")).split(". ")[:2])
    return (
        f"after {it['attempts']} attempts {it['state']}, `{error.get('kind')}` ({why});"
        f" {_next(it, 'tokens')}"
    )


def _too_many(it: Part) -> str:
    said = "; ".join(f"“{line}”" for line in it["lines"] if line)
    return (
        f"{it['asked']}, and {it['pictures']} came, in {_figure(it['draw_s'])} s ({said});"
        f" {_next(it, 'steps')}"
    )


def _next(it: Part, what: str) -> str:
    where = "the same process" if it["same_process"] else "a new process"
    return f"the next job {it['next']}, in {where}, at {_figure(it[f'next_{what}_per_s'])} {what}/s"


def _stopping(facts: Part) -> Iterator[str]:
    yield "\n## Stopping\n"
    yield _line(facts, "stopping", "text", _stopped)


def _stopped(it: Part) -> str:
    state, kind = it["out_of_time"]
    waited = 1000 * it["cancel_s"]
    return f"told to stop at its first token: {it['cancelled']} after {waited:.0f} ms; out of time: {state}, `{kind}`"


def _rest(facts: Part) -> Iterator[str]:
    if problems := [name for name, told in facts.items() if "failed" in told or "skipped" in told]:
        yield "\n## What did not work in this run\n"
        yield from (f"- {name}: {_why(facts[name])}" for name in problems)
    gpus = facts.get("machine", {}).get("gpus", [])
    yield _NOT_SEEN + (_ONE_GPU if len(gpus) == 1 else "")


def _line(facts: Part, name: str, what: str, tell: Callable[[Part], str]) -> str:
    part = facts.get(name, {})
    measured = part and not {"failed", "skipped"} & part.keys()
    return f"- {what}: {tell(part) if measured else _why(part)}"


def _why(part: Part) -> str:
    return str(part.get("failed") or part.get("skipped") or "not measured").partition("\n")[0]


def _figure(value: float | None) -> str:
    """Three digits: more were not measured."""
    if value is None:
        return "(not measured)"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _gib(value: float) -> str:
    return f"{value / 2**30:.1f} GiB"
