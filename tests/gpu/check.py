"""What Headrace does on a GPU, measured there: `make gpu-check` writes docs/gpu.md.

Models of real sizes are made here with weights by chance, since none can be fetched; what loads and
runs them is what users run. Each part reports by itself, and one that fails leaves the others be.
`settings.py` has what can be asked for.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.gpu.report import write_report
from tests.gpu.server import Server, says_something, serving
from tests.gpu.settings import (
    IMAGE,
    MEMORY_MIB,
    OUT,
    READ,
    SIDE,
    STEPS,
    TEXT,
    TOKENS,
    TRAIN,
    WITHIN_S,
)

HERE = Path(__file__).resolve().parent
WANTED = ("transformers", "diffusers", "torch-train", "sklearn-train")
ADMIN_KEY = "gpu-check"
PROMPT = "Explain in two sentences why the sky is blue."


@dataclass
class Check:
    folder: Path
    began: float = field(default_factory=time.monotonic)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def left_s(self) -> float:
        return WITHIN_S - (time.monotonic() - self.began)

    def part(self, name: str, needs_s: float, act: Callable[[], Any]) -> None:
        """Its figures, or why there are none; kept at once, whatever happens next."""
        started = time.monotonic()
        if self.left_s < needs_s:
            told: Any = {"skipped": f"{self.left_s:.0f} s were left"}
        else:
            try:
                told = act()
            except Exception as error:  # noqa: BLE001  # the other parts go on
                traceback.print_exc()
                told = {"failed": f"{type(error).__name__}: {error}"[:1500]}
        self.facts[name] = told
        print(f"[{time.monotonic() - self.began:5.0f} s] {name}: {json.dumps(told)}", flush=True)
        self.facts.setdefault("took_s", {})[name] = round(time.monotonic() - started, 1)
        self.keep()

    def keep(self) -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / "gpu.json").write_text(json.dumps(self.facts, indent=1))
        (OUT / "gpu.md").write_text(write_report(self.facts))


def main() -> None:
    with TemporaryDirectory(prefix="gpu-check-") as held:
        check = Check(Path(held))
        check.part("machine", 0, machine)
        for name in ("text", "image"):
            check.part(f"made {name}", 30, partial(made, check.folder, name))
        check.part("engines", 0, partial(engines, check))
        on_gpu(check)
        on_cpu(check)
    print((OUT / "gpu.md").read_text())


def machine() -> dict[str, Any]:
    """As a process of its own tells it, so that this one holds no device."""
    code = (
        "import json, os, platform, torch, transformers\n"
        "gpus = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]\n"
        "print(json.dumps({'gpus': [g.name for g in gpus], 'cores': os.cpu_count(),"
        " 'memory_gib': [round(g.total_memory / 2**30, 1) for g in gpus], 'torch': torch.__version__,"
        " 'transformers': transformers.__version__, 'python': platform.python_version()}))"
    )
    told = subprocess.run(  # noqa: S603  # this very interpreter
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    facts: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    asked = {"text": TEXT, "image": IMAGE, "memory_mib": MEMORY_MIB}
    return facts | asked | {"driver": _driver(), "day": time.strftime("%Y-%m-%d")}


def _driver() -> str | None:
    try:
        import pynvml

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except Exception as error:  # noqa: BLE001  # no driver is a fact too
        return f"none: {error}"


def made(folder: Path, kind: str) -> dict[str, Any]:
    began = time.monotonic()
    size = TEXT if kind == "text" else IMAGE
    told = subprocess.run(  # noqa: S603  # this very interpreter
        [sys.executable, str(HERE / "models.py"), kind, size, str(folder / kind)],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    if told.returncode:
        raise RuntimeError(told.stderr[-1500:])
    on_disk = sum(each.stat().st_size for each in (folder / kind).rglob("*") if each.is_file())
    return {
        "parameters": int(told.stdout.split()[-1]),
        "gib": round(on_disk / 2**30, 2),
        "made_s": round(time.monotonic() - began, 1),
    }


def settings(check: Check) -> dict[str, str]:
    models = {
        f"{lane.upper()}_MODELS": f"random-{size}={check.folder / kind}"
        for lane, kind, size in (("transformers", "text", TEXT), ("diffusers", "image", IMAGE))
        if "parameters" in check.facts[f"made {kind}"]
    }
    return {
        **models,
        "ENGINES": ",".join(["echo", *check.facts["engines"]["present"]]),
        "RETRY_FAILURES": "2",
        "RETRY_BASE_S": "0.5",
        "ADMIN_KEY": ADMIN_KEY,
    }


def engines(check: Check) -> dict[str, Any]:
    """Which lanes of those wanted can run here; the others with the reason."""
    from headrace.engines.registry import survey

    options = {
        lane: {"models": f"it={check.folder / kind}"}
        for lane, kind in (("transformers", "text"), ("diffusers", "image"))
        if "parameters" in check.facts[f"made {kind}"]
    }
    found = survey(options)
    present = {str(lane): list(engine.models) for lane, engine in found.present.items()}
    present = {lane: models for lane, models in present.items() if lane in WANTED}
    absent = {lane: found.absent.get(lane, "is not installed") for lane in WANTED}  # type: ignore[call-overload]
    return {
        "present": present,
        "absent": {lane: why for lane, why in absent.items() if lane not in present},
    }


def on_gpu(check: Check) -> None:
    present = check.facts["engines"].get("present", {})
    env = {**settings(check), "TORCH_MEMORY_MIB": str(MEMORY_MIB)}

    def all_of_it() -> dict[str, Any]:
        with serving(check.folder / "gpu", 8123, min(180.0, check.left_s), **env) as server:
            for name, lanes, needs_s, act in PARTS:
                if lanes <= present.keys():
                    check.part(name, needs_s, partial(act, server))
            for lane in ("torch-train", "sklearn-train"):
                if lane in present:
                    check.part(lane, 30, partial(training, server, present[lane][0]))
            workers = server.http.get("/admin/workers", headers={"apikey": ADMIN_KEY})
            keep_log(server)
            return {"ready_s": server.started_s, "workers": workers.json(), "peaks": server.peaks}

    check.part("server", 60, all_of_it)


def on_cpu(check: Check) -> None:
    """The same, a little of it, on the cores beside the GPU."""
    cores = str(os.cpu_count())
    lanes = [
        lane for lane in ("transformers", "diffusers") if lane in check.facts["engines"]["present"]
    ]
    env = {**settings(check), "ENGINES": ",".join(["echo", *lanes])}
    env |= {"TORCH_DEVICE": "cpu", "TORCH_THREADS": cores, "TORCH_DTYPE": "bfloat16"}

    def all_of_it() -> dict[str, Any]:
        with serving(check.folder / "cpu", 8124, min(90.0, check.left_s), **env) as server:
            told: dict[str, Any] = {"cores": cores, "ready_s": server.started_s}
            if "transformers" in lanes:
                job = server.submit("text", _written(16, seed=1))
                told["tokens_per_s"] = server.output(job, 60)["tokens_per_s"]
            if "diffusers" in lanes:
                job = server.submit("image", _drawn(2, seed=1))
                told["steps_per_s"] = round(2 / server.output(job, 60)["draw_s"], 3)
            return told

    check.part("cpu", 60, all_of_it)


def text(server: Server) -> dict[str, Any]:
    outputs = [
        server.output(server.submit("text", _written(TOKENS, seed)), 60) for seed in (0, 1, 2, 2)
    ]
    speeds = [each["tokens_per_s"] for each in outputs]
    reading = server.submit("text", {**_written(1, 0), "prompt": _prose(READ)})
    read = server.output(reading, 60)["usage"]["prompt_tokens"]
    read_s = server.attempts(reading)[-1]["stages"]["run_s"]
    return {
        "tokens": [each["usage"]["completion_tokens"] for each in outputs],
        "tokens_per_s": statistics.median(speeds),
        "all": speeds,
        "same_seed_same_text": outputs[2]["text"] == outputs[3]["text"],
        "prompt_tokens": read,
        "reads_tokens_per_s": round(read / read_s),
    }


def door(server: Server) -> dict[str, Any]:
    """As a client of OpenAI's sees it: the first token and the last."""
    model = next(each["model"] for each in _models(server) if each["kind"] == "text")
    asked = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "stream": True}
    began = time.monotonic()
    first: float | None = None
    with server.http.stream(
        "POST", "/v1/chat/completions", json={**asked, "max_tokens": TOKENS, "seed": 1}
    ) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if first is None and says_something(line):
                first = time.monotonic()
    ended = time.monotonic()
    return {
        "first_token_ms": first and round(1000 * (first - began)),
        "all_s": round(ended - began, 2),
    }


def image(server: Server) -> dict[str, Any]:
    server.output(
        server.submit("image", _drawn(2, seed=0)), 90
    )  # kernels are chosen the first time
    job = server.submit("image", _drawn(STEPS, seed=1))
    seen = [name for name, _ in server.events(job)]
    one = server.output(job, 90)
    several = server.output(server.submit("image", {**_drawn(STEPS, seed=1), "n": 4}), 90)
    asked = {"prompt": PROMPT, "size": f"{SIDE}x{SIDE}"}
    model = next(each["model"] for each in _models(server) if each["kind"] == "image")
    began = time.monotonic()
    answer = server.http.post("/v1/images/generations", json={**asked, "model": model})
    answer.raise_for_status()
    return {
        "side": one["width"],
        "steps": STEPS,
        "steps_per_s": round(STEPS / one["draw_s"], 2),
        "previews": seen.count("preview"),
        "pictures_per_s_of_4": round(4 / several["draw_s"], 3),
        "openai_door_s": round(time.monotonic() - began, 2),
    }


def both(server: Server) -> dict[str, Any]:
    """Text and pictures at the same time, long enough for the driver's figures to be told."""
    server.peaks.clear()
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(server.output, server.submit("text", _written(1024, 5)), 60)
        drawing = [
            server.submit("image", {**_drawn(STEPS, seed=6), "n": 4}),
            server.submit("image", {**_drawn(STEPS, seed=7), "n": 4}),
        ]
        drawn = [server.output(job, 60) for job in drawing]
        written = writing.result()
    time.sleep(6)  # one more reading of the driver
    return {
        "tokens_per_s": written["tokens_per_s"],
        "steps_per_s": [round(STEPS / each["draw_s"], 2) for each in drawn],
        "peaks": dict(server.peaks),
    }


def too_long(server: Server) -> dict[str, Any]:
    """A prompt that fits in the window and not in memory; then the next job of the same process."""
    children = server.said("host.started", lane="transformers")
    job = server.submit("text", {**_written(8, 0), "prompt": _prose(199_000)})
    record = server.ended(job, 90)
    after = server.output(server.submit("text", _written(32, 1)), 60)
    return {
        "state": record["state"],
        "error": record.get("error"),
        "attempts": len(server.attempts(job)),
        "next": "succeeded",
        "next_tokens_per_s": after["tokens_per_s"],
        "same_process": server.said("host.started", lane="transformers") == children,
    }


def too_many(server: Server) -> dict[str, Any]:
    """More pictures than fit at once: fewer at a time, and all of them come."""
    children = server.said("host.started", lane="diffusers")
    side = min(2 * SIDE, 1024)
    job = server.submit("image", {**_drawn(4, seed=1), "n": 16, "width": side, "height": side})
    lines = [data.get("line") for name, data in server.events(job) if name == "log"]
    output = server.output(job, 120)
    after = server.output(server.submit("image", _drawn(STEPS, seed=2)), 60)
    return {
        "asked": f"16 pictures of {side} x {side}",
        "pictures": len(output.get("images", [])),
        "lines": lines,
        "draw_s": output["draw_s"],
        "next": "succeeded",
        "next_steps_per_s": round(STEPS / after["draw_s"], 2),
        "same_process": server.said("host.started", lane="diffusers") == children,
    }


def stopping(server: Server) -> dict[str, Any]:
    """Cancelled at the first token; and out of time."""
    job = server.submit("text", _written(2048, 1))
    for name, _ in server.events(job):
        if name == "token":
            server.http.post(f"/jobs/{job}/cancel")
    cancelled = server.ended(job, 20)
    timeline = server.http.get(f"/jobs/{job}/timeline").json()
    late = server.ended(server.submit("text", _written(2048, 1), timeout=2), 30)
    return {
        "cancelled": cancelled["state"],
        "cancel_s": timeline.get("cancel_s"),
        "out_of_time": [late["state"], (late.get("error") or {}).get("kind")],
    }


def training(server: Server, model: str) -> dict[str, Any]:
    job = server.submit("training", TRAIN, model=model)
    metrics: dict[str, float] = {}
    for name, data in server.events(job):
        if name == "metric":
            metrics[data["name"]] = data["value"]
    output = server.output(job, 120)
    return {"model": model, "metrics": metrics, "output": _short(output)}


def keep_log(server: Server) -> None:
    lines = server.log.read_text(errors="replace").splitlines()
    (OUT / "headrace.log").write_text("\n".join(lines[-2000:]))


def _models(server: Server) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = server.http.get("/models").json()
    return models


def _written(tokens: int, seed: int) -> dict[str, Any]:
    return {"prompt": PROMPT, "raw": True, "max_tokens": tokens, "temperature": 1.0, "seed": seed}


def _drawn(steps: int, *, seed: int) -> dict[str, Any]:
    return {"prompt": "a red apple", "steps": steps, "seed": seed, "width": SIDE, "height": SIDE}


def _prose(characters: int) -> str:
    docs = sorted((HERE.parents[1] / "docs").glob("*.md"))
    text = "\n".join(each.read_text() for each in docs)
    return (text * (1 + characters // len(text)))[:characters]


def _short(output: Mapping[str, Any]) -> Any:
    text = json.dumps(output)
    return output if len(text) < 2000 else text[:2000]


TEXT_LANE, IMAGE_LANE = frozenset({"transformers"}), frozenset({"diffusers"})
# Which lanes each part needs, and how long it may take where nothing is wrong.
PARTS: Final[tuple[tuple[str, frozenset[str], float, Callable[[Server], Any]], ...]] = (
    ("text", TEXT_LANE, 30, text),
    ("door", TEXT_LANE, 20, door),
    ("image", IMAGE_LANE, 30, image),
    ("both", TEXT_LANE | IMAGE_LANE, 60, both),
    ("out of memory, text", TEXT_LANE, 40, too_long),
    ("stopping", TEXT_LANE, 20, stopping),
    ("out of memory, image", IMAGE_LANE, 60, too_many),
)


if __name__ == "__main__":
    main()
