"""Models in folders, through the doors of OpenAI: tiny ones of the kinds that users have, on the real libraries."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncGenerator
from importlib.util import find_spec
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from headrace.testkit import infra
from headrace.testkit.client import User
from headrace.testkit.system import System, running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("default"),  # torch and diffusers warn of themselves
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    """In one mode: what differs between them is told by engines that load faster."""
    lacking = [name for name in ("torch", "transformers", "diffusers") if find_spec(name) is None]
    if lacking:
        infra.without(f"no {', '.join(lacking)}: make install-torch")
    from headrace.testkit.torch_models import make_image_model, make_text_model

    folder = tmp_path_factory.mktemp("models")
    make_text_model(folder / "text", iter(["the river runs to the mill"]))
    make_image_model(folder / "image")
    settings = {
        "ENGINES": "transformers,diffusers",
        "TRANSFORMERS_MODELS": f"tiny-llama={folder / 'text'}",
        "DIFFUSERS_MODELS": f"tiny-diffusion={folder / 'image'}",
        "LEASE_S": "30",
    }
    async with running("MONOLITH", tmp_path_factory.mktemp("var"), kinds=2, **settings) as system:
        yield system


async def answered(user: User, path: str, asked: dict[str, Any]) -> dict[str, Any]:
    answer = await user.http.post(path, json=asked, timeout=httpx.Timeout(60))
    assert answer.is_success, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_conversation_is_answered_the_same_for_the_same_seed(user: User) -> None:
    asked = {
        "model": "tiny-llama",
        "messages": [{"role": "user", "content": "the mill"}],
        "max_tokens": 16,
        "temperature": 1.0,
    }

    one, other, again = [
        await answered(user, "/v1/chat/completions", asked | {"seed": seed}) for seed in (7, 8, 7)
    ]

    assert one["model"] == "tiny-llama"
    assert one["usage"]["completion_tokens"] <= 16
    texts = [told["choices"][0]["message"]["content"] for told in (one, other, again)]
    assert texts[0] == texts[2]
    assert texts[0] != texts[1]


async def test_a_picture_is_drawn(user: User) -> None:
    asked = {
        "model": "tiny-diffusion",
        "prompt": "a red apple",
        "size": "64x64",
        "response_format": "b64_json",
    }

    told = await answered(user, "/v1/images/generations", asked)

    (picture,) = told["data"]
    drawn = Image.open(io.BytesIO(base64.b64decode(picture["b64_json"])))
    assert (drawn.format, drawn.size) == ("PNG", (64, 64))
