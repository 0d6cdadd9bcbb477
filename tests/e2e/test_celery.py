"""A real Celery task, as docs/streams.md has it, writes to a real browser's EventSource."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Page

from headrace.testkit import infra
from headrace.testkit.browser import a_browser, shown
from headrace.testkit.fresh import fresh_prefix, fresh_vhost
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.timeout(180)]
MODULE_LOOP: Final = pytest.mark.asyncio(loop_scope="module")

PAGE: Final = (Path(__file__).parents[2] / "docs/streams.md").read_text()
EXAMPLES: Final = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
TASKS = next(each for each in EXAMPLES if "@app.task" in each)
ASK = next(each for each in EXAMPLES if "def ask(" in each)
CALL: Final = "import sys; from ask import ask; print(ask(*sys.argv[1:]))"
# What the page tells a browser to do, with a list in the place of a view.
LISTEN: Final = """
(url) => {
  window.said = [];
  const source = new EventSource(url);
  source.onmessage = ({ data }) => {
    const chunk = JSON.parse(data);
    window.said.push(chunk);
    if (["complete", "failed", "cancelled"].includes(chunk.chunk_type)) {
      window.over = true;
      source.close();
    }
  };
}
"""
SPOKEN: Final = "() => window.said.some((chunk) => chunk.chunk_type === 'text')"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    redis = infra.redis()
    async with fresh_prefix(redis) as prefix:
        folder, own = tmp_path_factory.mktemp(mode), prefix.rstrip(":")
        async with running(mode, folder, REDIS_URL=redis, NAMESPACE=own) as system:
            yield system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker() -> AsyncGenerator[str]:
    async with fresh_vhost(infra.rabbitmq()) as vhost:
        yield vhost.url


def environment(system: System, broker: str) -> dict[str, str]:
    ours = {name: system.env[name] for name in ("REDIS_URL", "NAMESPACE")}
    return {"PATH": system.env["PATH"], "BROKER_URL": broker, **ours}


@asynccontextmanager
async def celery_worker(system: System, broker: str, folder: Path) -> AsyncGenerator[Any]:
    """With a process group of its own: a worker that is killed takes its children along."""
    (folder / "tasks.py").write_text(TASKS)
    (folder / "ask.py").write_text(ASK)
    env = environment(system, broker)
    command = (
        "-m",
        "celery",
        "--app",
        "tasks",
        "worker",
        "--concurrency",
        "1",
        "--loglevel",
        "INFO",
    )
    with (folder / "celery.log").open("wb") as log:
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, *command),
            *("--without-gossip", "--without-mingle"),
            cwd=folder,
            env=env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        await eventually(lambda: "ready." in (folder / "celery.log").read_text(), within=60)
        yield worker
    finally:
        if worker.returncode is None:
            os.killpg(worker.pid, signal.SIGKILL)
        await worker.wait()


async def ask(system: System, broker: str, folder: Path, question: str) -> str:
    """The page's own application, beside the worker."""
    application = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CALL, system.url, question),
        cwd=folder,
        env=environment(system, broker),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        said, _ = await application.communicate()
    assert application.returncode == 0
    return said.decode().strip()


async def heard(page: Page, task_id: str) -> list[dict[str, Any]]:
    await page.evaluate(LISTEN, f"/stream/{task_id}")
    return await to_the_end(page)


async def to_the_end(page: Page) -> list[dict[str, Any]]:
    await page.wait_for_function("() => window.over", timeout=60_000)
    said: list[dict[str, Any]] = await page.evaluate("() => window.said")
    return said


async def messages(system: System, task_id: str) -> dict[str, Any]:
    """The two messages of a task, by role."""
    async with httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http:
        said = (await http.get("/conversations/lunch/messages")).json()["messages"]
    return {each["role"]: each for each in said if each["task_id"] == task_id}


@MODULE_LOOP
async def test_a_celery_task_streams_to_an_event_source_and_its_answer_is_kept(
    system: System, broker: str, tmp_path: Path
) -> None:
    async with celery_worker(system, broker, tmp_path), a_browser() as browser:
        page = (await shown(browser, system.url)).page
        task_id = await ask(system, broker, tmp_path, "what is for lunch?")
        said = await heard(page, task_id)
        late = await heard((await shown(browser, system.url)).page, task_id)

    text = "".join(each["content"] for each in said if each["chunk_type"] == "text")
    assert text == "You asked: what is for lunch? "
    assert [each["chunk_index"] for each in said] == list(range(len(said)))
    assert said[0]["chunk_type"] == "progress"
    assert (said[-1]["chunk_type"], said[-1]["content"]) == ("complete", text)
    assert late == said
    kept = await messages(system, task_id)
    assert kept["user"]["content"] == "what is for lunch?"
    assert (kept["assistant"]["state"], kept["assistant"]["content"]) == ("succeeded", text)


@MODULE_LOOP
async def test_a_celery_worker_that_is_killed_ends_its_stream_with_a_failure(
    system: System, broker: str, tmp_path: Path
) -> None:
    async with celery_worker(system, broker, tmp_path) as worker, a_browser() as browser:
        page = (await shown(browser, system.url)).page
        task_id = await ask(system, broker, tmp_path, "word " * 5000)
        await page.evaluate(LISTEN, f"/stream/{task_id}")
        await page.wait_for_function(SPOKEN)
        os.killpg(worker.pid, signal.SIGKILL)
        said = await to_the_end(page)

    assert said[-1]["chunk_type"] == "failed"
    assert said[-1]["content"]["kind"] == "worker_lost"
    assert [each["chunk_type"] for each in said].count("failed") == 1
    assert (await messages(system, task_id))["assistant"]["state"] == "failed"


@MODULE_LOOP
async def test_a_celery_task_that_is_asked_to_stop_ends_as_cancelled(
    system: System, broker: str, tmp_path: Path
) -> None:
    async with celery_worker(system, broker, tmp_path), a_browser() as browser:
        page = (await shown(browser, system.url)).page
        task_id = await ask(system, broker, tmp_path, "word " * 5000)
        await page.evaluate(LISTEN, f"/stream/{task_id}")
        await page.wait_for_function(SPOKEN)
        async with httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http:
            assert (await http.post(f"/stream/{task_id}/stop")).status_code == 202
        said = await to_the_end(page)
        await eventually(lambda: "succeeded in" in (tmp_path / "celery.log").read_text(), within=30)

    assert said[-1]["chunk_type"] == "cancelled"
