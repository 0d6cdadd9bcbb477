"""Pictures by diffusers: the real library on a tiny pipeline, which draws noise."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headrace.contracts.frames import Log, Metric, Preview, Progress
from headrace.engines.engine import BadInput, OutOfMemory, Stopped
from headrace.engines.image.diffusers import DiffusersEngine
from headrace.testkit.work import RecordedWork, sent, work_for

STEPS = 6


@pytest.fixture(scope="module")
def engine(image_folder: Path) -> DiffusersEngine:
    configured: Any = DiffusersEngine.configure({"models": f"tiny={image_folder}"})
    loaded: DiffusersEngine = configured()
    loaded.load("tiny")
    return loaded


def asked(engine: DiffusersEngine, *, stop_after: int | None = None, **given: Any) -> RecordedWork:
    usual = {"prompt": "a red apple", "steps": STEPS, "seed": 1, "width": 64, "height": 64}
    return work_for(type(engine), {**usual, **given}, stop_after=stop_after)


def pictures(engine: DiffusersEngine, work: RecordedWork) -> list[bytes]:
    output = sent(engine.run(work))
    held = [work.blobs[each["blob"]] for each in output.get("images", [output["image"]])]
    assert {media_type for _, media_type in held} == {"image/png"}
    return [data for data, _ in held]


class Device:
    """Has room for so many pictures at once, and says what it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        import torch
        from diffusers import StableDiffusionPipeline

        draw = StableDiffusionPipeline.__call__
        self.room = room
        self.asked: list[int] = []

        def planted(pipe: Any, *args: Any, num_images_per_prompt: int, **rest: Any) -> Any:
            self.asked.append(num_images_per_prompt)
            if num_images_per_prompt > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nmore")
            return draw(pipe, *args, num_images_per_prompt=num_images_per_prompt, **rest)

        monkeypatch.setattr(StableDiffusionPipeline, "__call__", planted)


def test_each_step_is_told_and_all_but_the_last_are_shown(engine: DiffusersEngine) -> None:
    work = asked(engine)

    (png,) = pictures(engine, work)

    assert Image.open(io.BytesIO(png)).size == (64, 64)
    assert [each.step for each in work.said(Progress)] == [1, 2, 3, 4, 5, 6]
    assert work.said(Progress)[-1].fraction == 1.0
    assert [each.step for each in work.said(Preview)] == [1, 2, 3, 4, 5]
    assert {Image.open(io.BytesIO(shown)).format for shown in work.previews} == {"JPEG"}
    assert [each.name for each in work.said(Metric)] == ["steps_per_s"]


def test_however_many_the_steps_a_dozen_are_shown_and_the_first(engine: DiffusersEngine) -> None:
    work = asked(engine, steps=30)

    engine.run(work)

    assert [each.step for each in work.said(Preview)] == [1, *range(3, 30, 3)]


def test_a_seed_gives_the_same_picture_and_another_seed_another(engine: DiffusersEngine) -> None:
    one, other, again = (pictures(engine, asked(engine, seed=seed)) for seed in (7, 8, 7))

    assert one == again
    assert one != other


def test_several_are_of_seeds_that_follow_each_other(engine: DiffusersEngine) -> None:
    first, second = pictures(engine, asked(engine, seed=7, n=2))
    alone = pictures(engine, asked(engine, seed=8))[0]

    assert first != second
    assert difference(second, alone) <= 1  # of 255: a batch is summed in another order


def difference(one: bytes, other: bytes) -> int:
    import numpy as np

    pixels = [np.asarray(Image.open(io.BytesIO(each))).astype(int) for each in (one, other)]
    return int(np.abs(pixels[0] - pixels[1]).max())


def test_it_stops_within_a_step_when_it_is_told_to(engine: DiffusersEngine) -> None:
    work = asked(engine, stop_after=3)

    with pytest.raises(Stopped):
        engine.run(work)

    assert len(work.frames) == 3
    assert pictures(engine, asked(engine))  # and goes on with the next job


def test_what_does_not_fit_at_once_is_drawn_by_halves_and_all_of_it_comes(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(monkeypatch, room=2)
    work = asked(engine, n=5)

    drawn = pictures(engine, work)

    assert len({*drawn}) == 5
    assert device.asked == [5, 3, 2, 2, 1]
    assert [each.line for each in work.said(Log)] == [
        "out of memory: 3 at once from here",
        "out of memory: 2 at once from here",
    ]
    shares = [each.fraction or 0 for each in work.said(Progress)]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_one_that_does_not_fit_is_tried_in_slices_and_then_given_up(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured: Any = DiffusersEngine.configure({"models": f"tiny={image_folder}"})
    engine: DiffusersEngine = configured()
    engine.load("tiny")
    device = Device(monkeypatch, room=0)
    work = asked(engine)

    with pytest.raises(OutOfMemory, match=r"^CUDA out of memory. Tried to allocate 9 GiB.$"):
        engine.run(work)

    assert device.asked == [1, 1]
    assert [each.line for each in work.said(Log)] == [
        "out of memory: in slices from here, which is slower"
    ]
    device.room = 1
    assert pictures(engine, asked(engine))  # the next job has its turn, in the same process


def test_what_this_pipeline_does_not_take_is_the_callers_mistake(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers import StableDiffusionPipeline

    def draw(pipe: Any, prompt: str, num_inference_steps: int, height: int, width: int) -> None:
        raise AssertionError("it was asked")

    monkeypatch.setattr(StableDiffusionPipeline, "__call__", draw)
    configured: Any = DiffusersEngine.configure({"models": f"tiny={image_folder}"})
    engine = configured()
    engine.load("tiny")

    with pytest.raises(BadInput, match="guidance: is not taken by StableDiffusionPipeline"):
        engine.run(asked(engine, guidance=5))
