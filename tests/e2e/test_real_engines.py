"""Real models do real work through the whole system: they write, draw, enlarge, embed and speak."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncGenerator

import psutil
import pytest
import pytest_asyncio
from PIL import Image

from headrace.contracts.frames import Preview, Segment
from headrace.testkit.client import User, text_of
from headrace.testkit.system import Mode, System, running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    engines = "smollm2,emoji-flow,realesrgan,minilm,hibari"
    # Six models come up at once on whatever machine this is; leases are as in production.
    settings = {"ENGINES": engines, "LEASE_S": "30", "SLOTS": "minilm=8"}
    async with running(mode, tmp_path_factory.mktemp(mode), kinds=6, **settings) as system:
        yield system


async def test_a_language_model_writes_token_by_token(user: User) -> None:
    job = await user.submit("text", input={"prompt": "Say hello.", "max_tokens": 24, "seed": 1})

    seen = await user.watch(job)

    assert seen[-1].type == "succeeded"
    assert [each.type for each in seen].count("token") > 3
    result = (await user.get(job, "/result"))["result"]
    assert text_of(seen) == result["text"]
    assert result["usage"]["completion_tokens"] <= 24


async def test_a_language_model_stops_when_told(user: User) -> None:
    prompt = "Write a very long story about a river."
    job = await user.submit("text", input={"prompt": prompt, "max_tokens": 2048})
    await user.until(job, "token")

    await user.cancel(job)

    assert (await user.watch(job))[-1].type == "cancelled"


async def test_an_image_model_draws_step_by_step_and_its_picture_is_enlarged(user: User) -> None:
    drawing = await user.submit("image", input={"prompt": "a red apple", "seed": 7, "steps": 12})
    seen = await user.watch(drawing)
    drawn = (await user.get(drawing, "/result"))["result"]

    enlarging = await user.submit("upscale", input={"image": drawn["image"]})
    await user.watch(enlarging)
    enlarged = (await user.get(enlarging, "/result"))["result"]

    previews = [each.frame for each in seen if isinstance(each.frame, Preview)]
    assert len(previews) >= 3
    assert all(frame.image.startswith("data:image/") for frame in previews)
    small, large = [await picture(user, each) for each in (drawn, enlarged)]
    assert small.size == (drawn["width"], drawn["height"])
    assert large.size == (small.width * 2, small.height * 2)


async def test_a_voice_says_each_sentence_as_soon_as_it_can(user: User) -> None:
    given = {"text": "The river runs to the mill. The wheel turns.", "seed": 1}
    job = await user.submit("speech", input=given)

    seen = await user.watch(job)

    result = (await user.get(job, "/result"))["result"]
    pieces = [each.frame.blob for each in seen if isinstance(each.frame, Segment)]
    assert pieces == [each["blob"] for each in result["segments"]]
    lasts = [await seconds(user, blob) for blob in (*pieces, result["audio"]["blob"])]
    assert len(lasts) == 3
    assert lasts[2] == pytest.approx(lasts[0] + lasts[1]) == pytest.approx(result["duration_s"])


async def seconds(user: User, blob: str) -> float:
    answer = await user.http.get(f"/blobs/{blob}")
    assert answer.headers["Content-Type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as sound:
        return sound.getnframes() / sound.getframerate()


async def picture(user: User, result: dict[str, dict[str, str]]) -> Image.Image:
    answer = await user.http.get(f"/blobs/{result['image']['blob']}")
    assert answer.headers["Content-Type"] == "image/png"
    return Image.open(io.BytesIO(answer.content))


async def test_words_that_mean_the_same_lie_close_together(user: User) -> None:
    job = await user.submit("embedding", input={"texts": ["a cat", "a kitten", "a GPU"]})
    await user.watch(job)

    cat, kitten, gpu = (await user.get(job, "/result"))["result"]["embeddings"]

    assert dot(cat, kitten) > dot(cat, gpu) + 0.2


async def test_jobs_that_come_together_share_one_child_and_each_has_its_own_vector(
    user: User, system: System
) -> None:
    texts = [f"{word} is what this is about" for word in ("iron", "tea", "rain", "law") * 4]
    async with asyncio.TaskGroup() as group:
        submitting = [
            group.create_task(user.submit("embedding", input={"texts": [text]})) for text in texts
        ]
    jobs = [each.result() for each in submitting]
    for job in jobs:
        assert (await user.watch(job))[-1].type == "succeeded"
    vectors = [(await user.get(job, "/result"))["result"]["embeddings"][0] for job in jobs]

    assert [round(dot(vectors[n], vectors[n % 4]), 3) for n in range(16)] == [1.0] * 16
    assert dot(vectors[0], vectors[1]) < 0.95
    assert children_of(system, "minilm") == 1


def children_of(system: System, lane: str) -> int:
    worker = psutil.Process(system.playing("gpu-worker").process.pid)
    return sum(
        command[-3:-2] == [lane] for command in (child.cmdline() for child in worker.children())
    )


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


async def test_a_prompt_the_model_cannot_hold_is_the_callers_mistake(user: User) -> None:
    job = await user.submit("text", input={"prompt": "word " * 20_000, "max_tokens": 8})

    assert (await user.watch(job))[-1].type == "failed"
    error = (await user.get(job))["error"]
    assert error["kind"] == "input"
    assert error["field"] == "prompt"
