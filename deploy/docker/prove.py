"""Builds the images and proves what they promise; leaves with 1 and a plain line where one does not.

Each image carries what its service needs and nothing of the others, runs as a normal user, and the
stack of docker-compose.test.yml takes a job through all three. Needs Docker with compose, and python3.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.request import ProxyHandler, Request, build_opener

COMPOSE: Final = ("docker", "compose", "--file", "docker-compose.test.yml")
WITHIN_S: Final = 60
BUILD_WITHIN_S: Final = 1800
BASE: Final = "python:3.11-slim"
PNG: Final = b"\x89PNG"
ENGINES: Final = ("headrace.engines", "xllamacpp", "onnxruntime", "ncnn", "numpy", "PIL")
DATABASE: Final = ("sqlalchemy", "asyncpg", "aiosqlite", "alembic")
TESTS: Final = ("pytest", "hypothesis", "headrace.testkit")


class Broken(Exception):
    """An image or the stack does not keep a promise."""


@dataclass(frozen=True)
class Promise:
    has: Sequence[str]
    lacks: Sequence[str]


IMAGES: Final[Mapping[str, Promise]] = {
    "api": Promise(
        has=("headrace.api", "fastapi", "sqlalchemy"),
        lacks=("headrace.dispatcher", "headrace.gpu_worker", *ENGINES, *TESTS),
    ),
    "dispatcher": Promise(
        has=("headrace.dispatcher", "aio_pika", "sqlalchemy"),
        lacks=("headrace.api", "fastapi", "headrace.gpu_worker", *ENGINES, *TESTS),
    ),
    "gpu-worker": Promise(
        has=("headrace.gpu_worker", "aio_pika", *ENGINES),
        lacks=("headrace.api", "fastapi", "headrace.dispatcher", *DATABASE, *TESTS),
    ),
}

# Runs inside an image, with modules as arguments. What is found is also imported: a shared library
# that the image lacks shows in no metadata.
LOOK: Final = """
import importlib, importlib.util, json, os, sys
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
found = [name for name in sys.argv[1:] if there(name)]
for name in found:
    importlib.import_module(name)
print(json.dumps({"found": found, "user": os.getuid(), "writable": os.access("/app", os.W_OK)}))
"""


def main() -> None:
    tell("building the images")
    run(*COMPOSE, "build", "--quiet")
    services = json.loads(run(*COMPOSE, "config", "--format", "json"))["services"]
    for name, promise in IMAGES.items():
        prove_image(services[name]["image"], promise)
    tell("starting the stack")
    try:
        run(*COMPOSE, "up", "--detach", "--wait")
        prove_stack()
    finally:
        run(*COMPOSE, "down", "--volumes", "--remove-orphans")


def prove_image(image: str, promise: Promise) -> None:
    look = ("docker", "run", "--rm", "--network=none", "--entrypoint=python", image, "-c", LOOK)
    seen = json.loads(run(*look, *promise.has, *promise.lacks).splitlines()[-1])
    if missing := sorted(set(promise.has) - set(seen["found"])):
        raise Broken(f"{image} lacks {', '.join(missing)}")
    if extra := sorted(set(promise.lacks) & set(seen["found"])):
        raise Broken(f"{image} carries {', '.join(extra)}")
    if seen["user"] == 0 or seen["writable"]:
        raise Broken(
            f"{image} runs as user {seen['user']}, who may change /app: {seen['writable']}"
        )
    size, base = size_mb(image), size_mb(BASE)
    tell(f"{image}: {size:.0f} MB, {size - base:.0f} MB on top of {BASE}; user {seen['user']}")
    tell(f"  has {', '.join(promise.has)}")
    tell(f"  has not {', '.join(promise.lacks)}")


def size_mb(image: str) -> float:
    return int(run("docker", "image", "inspect", "--format={{.Size}}", image)) / 1e6


def prove_stack() -> None:
    """Words from one model; from another a picture that the worker wrote and the api reads."""
    at = f"http://{run(*COMPOSE, 'port', 'api', '8000').strip()}"
    await_kinds(at, {"text", "image"})
    said = result_of(at, "text", {"prompt": "Name a river.", "max_tokens": 8})
    tell(f"text: {said['text']!r}")
    drawn = result_of(at, "image", {"prompt": "a red apple"})
    picture = fetch(f"{at}/blobs/{drawn['image']['blob']}")
    if not picture.startswith(PNG):
        raise Broken("the picture that came back is no PNG")
    tell(f"image: a PNG of {len(picture)} bytes")


def await_kinds(at: str, wanted: set[str]) -> None:
    """A worker is up before its models are loaded, and offers each kind once it is."""
    deadline = time.monotonic() + WITHIN_S
    while missing := wanted - {model["kind"] for model in json.loads(fetch(f"{at}/models"))}:
        if time.monotonic() > deadline:
            raise Broken(f"no worker offers {', '.join(sorted(missing))} after {WITHIN_S} s")
        time.sleep(0.5)


def result_of(at: str, kind: str, asked: Mapping[str, Any]) -> Any:
    body = json.dumps({"kind": kind, "input": asked}).encode()
    headers = {"Content-Type": "application/json", "Prefer": f"wait={WITHIN_S}"}
    job = json.loads(fetch(Request(f"{at}/jobs", body, headers)))  # noqa: S310  # http, see above
    if job["state"] != "succeeded":
        raise Broken(f"a job of kind {kind} is {job['state']}: {job['error']}")
    return job["result"]


def fetch(what: str | Request) -> bytes:
    with build_opener(ProxyHandler({})).open(what, timeout=WITHIN_S + 5) as answer:
        body: bytes = answer.read()
    return body


def run(*command: str) -> str:
    done = subprocess.run(  # noqa: S603  # our own argument list, no shell
        command, capture_output=True, text=True, check=False, timeout=BUILD_WITHIN_S
    )
    if done.returncode:
        raise Broken(f"{' '.join(command)}\n{done.stderr[-4000:]}")
    return done.stdout


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main()
    except Broken as broken:
        sys.exit(f"broken: {broken}")
