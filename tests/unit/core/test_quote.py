"""What work costs: as the page says, in whole thousandths, and never less for more."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.kudos import (
    AlchemyWork,
    ImageWork,
    TextWork,
    VideoWork,
    Work,
    from_kudos,
    in_kudos,
    quote,
)

PAGE: Final = (Path(__file__).parents[3] / "docs/kudos.md").read_text()
EXAMPLES: Final[dict[str, Work]] = {
    "image, 512 x 512, 50 steps, `k_euler`": ImageWork(width=512, height=512, steps=50),
    "image, 1024 x 1024, 30 steps, `k_euler`, n = 2": ImageWork(
        width=1024, height=1024, steps=30, n=2
    ),
    "image, 512 x 512, 30 steps, `k_dpmpp_2s_a`": ImageWork(
        width=512, height=512, steps=30, sampler="k_dpmpp_2s_a"
    ),
    "text, 100 tokens, a context of 1024, a model of 7 B": TextWork(
        max_length=100, max_context_length=1024, parameters=7000
    ),
    "text, 80 tokens, a context of 2048, a model of 0.135 B": TextWork(
        max_length=80, max_context_length=2048, parameters=135
    ),
    "`caption` and `nsfw` of one image": AlchemyWork(["caption", "nsfw"]),
    "video, 512 x 512, 20 steps, 16 frames": VideoWork(width=512, height=512, steps=20, frames=16),
}


@pytest.mark.parametrize("asked", EXAMPLES)
def test_the_page_tells_what_is_quoted(asked: str) -> None:
    line = re.search(rf"^\| {re.escape(asked)} \| ([\d.]+) \|$", PAGE, re.MULTILINE)

    assert line is not None
    assert float(line[1]) == in_kudos(quote(EXAMPLES[asked]))


sides = st.integers(1, 48).map(lambda n: n * 64)
images = st.builds(
    ImageWork,
    width=sides,
    height=sides,
    steps=st.integers(1, 500),
    n=st.integers(1, 20),
    sampler=st.sampled_from(["k_euler", "k_heun"]),
    source_image=st.booleans(),
    control=st.booleans(),
    hires_fix=st.booleans(),
    loras=st.integers(0, 16),
    post_processing=st.integers(0, 16),
)
texts = st.builds(
    TextWork,
    max_length=st.integers(16, 1024),
    max_context_length=st.integers(80, 131_072),
    n=st.integers(1, 20),
    parameters=st.none() | st.integers(1, 500_000),
)
videos = st.builds(
    VideoWork,
    width=sides,
    height=sides,
    steps=st.integers(1, 500),
    frames=st.integers(1, 1000),
    n=st.integers(1, 20),
)
several = images | texts | videos


@given(several)
def test_so_many_of_the_same_cost_so_many_times_one(work: ImageWork | TextWork | VideoWork) -> None:
    assert quote(work) == work.n * quote(replace(work, n=1))
    assert quote(work) >= work.n * 1000


@given(images, st.integers(1, 100))
def test_more_of_an_image_never_costs_less(work: ImageWork, more: int) -> None:
    larger = (
        replace(work, steps=work.steps + more),
        replace(work, width=work.width + 64 * more),
        replace(work, loras=work.loras + more),
        replace(work, post_processing=work.post_processing + more),
        replace(work, control=True, hires_fix=True, source_image=True, sampler="k_heun"),
    )

    assert all(quote(each) >= quote(work) for each in larger)


@given(st.integers(-(10**15), 10**15))
def test_an_amount_is_the_same_there_and_back(amount: int) -> None:
    assert from_kudos(in_kudos(amount)) == amount


@pytest.mark.parametrize("number", [0.0001, float("nan"), float("inf"), 1e300, -1e13])
def test_what_is_no_amount_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match=r"amount|smallest"):
        from_kudos(number)
