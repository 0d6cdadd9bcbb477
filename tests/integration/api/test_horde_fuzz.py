"""Whatever is sent to the horde door: no 5xx, and each refusal is JSON `{message, rc}`."""

from __future__ import annotations

import json
from typing import Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from headrace.api.dialects.horde.schemas_asked import (
    AlchemyRequest,
    HordeImageRequest,
    HordeVideoRequest,
    ImageParams,
    TextParams,
    TextRequest,
    VideoParams,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]
KEY = {"apikey": "key-of-red", "content-type": "application/json"}
MANY: Final = 60

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def nearly(form: type[BaseModel], **fitting: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A body of this form in which any field may hold anything, and those named what is likely to fit."""
    fields = dict.fromkeys(form.model_fields, anything) | {
        name: strategy | anything for name, strategy in fitting.items()
    }
    return st.fixed_dictionaries({}, optional=fields)


models = st.lists(st.sampled_from(["echo", "a/b", "%2F", "\u2603"]), max_size=2)
prompt = st.text(min_size=1, max_size=20)
BODIES = {
    "generate/async": nearly(
        HordeImageRequest,
        prompt=prompt,
        models=models,
        params=nearly(ImageParams, n=st.integers(1, 3)),
    ),
    "generate/video/async": nearly(
        HordeVideoRequest,
        prompt=prompt,
        models=models,
        params=nearly(VideoParams, n=st.integers(1, 3), length=st.integers(1, 20)),
    ),
    "generate/text/async": nearly(
        TextRequest, prompt=prompt, models=models, params=nearly(TextParams, n=st.integers(1, 3))
    ),
    "interrogate/async": nearly(
        AlchemyRequest,
        forms=st.lists(st.fixed_dictionaries({"name": st.sampled_from(["caption", "x"])})),
        source_image=st.sampled_from(["https://example.org/a", "aGVsbG8=", "R0lGODlhAQABAAAAACw="]),
    ),
}


def held_to_the_form(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    if answer.status_code >= 400:
        assert isinstance(body["message"], str)
        assert isinstance(body["rc"], str)
        assert set(body) <= {"message", "rc", "errors"}


@pytest.mark.parametrize("path", BODIES)
def test_a_body_is_taken_in_or_refused_in_words(door: Any, path: str) -> None:
    with httpx.Client(base_url=door.url, headers=KEY, timeout=10) as http:

        @settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck))
        @given(body=BODIES[path] | anything)
        def taken_in_or_refused(body: Any) -> None:
            held_to_the_form(http.post(f"/api/v2/{path}", content=json.dumps(body)))

        taken_in_or_refused()


@pytest.mark.parametrize(
    "path",
    [
        "generate/check",
        "generate/status",
        "generate/text/status",
        "generate/video/check",
        "generate/video/status",
        "styles/image",
        "teams",
        "interrogate/status",
        "status/models",
    ],
)
def test_an_address_is_found_or_refused_in_words(door: Any, path: str) -> None:
    with httpx.Client(base_url=door.url, timeout=10) as http:

        @settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck))
        @given(name=st.text(min_size=1, max_size=40))
        def found_or_refused(name: str) -> None:
            quoted = httpx.QueryParams({"x": name}).__str__().partition("=")[2]
            held_to_the_form(http.get(f"/api/v2/{path}/{quoted}"))

        found_or_refused()
