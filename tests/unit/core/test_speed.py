"""What a worker did in how long, in the units of its kind."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.core.speed import speed


@pytest.mark.parametrize(
    ("kind", "params", "took_s", "expected"),
    [
        ("image", {"width": 1000, "height": 500, "steps": 20}, 5.0, 2.0),
        ("video", {"width": 1000, "height": 500, "steps": 20, "length": 10}, 5.0, 20.0),
        ("text", {"max_length": 100}, 4.0, 25.0),
        ("text", {"max_length": 100}, 0.0, 1000.0),
        ("interrogation", {}, 1.0, None),
    ],
)
def test_speed_is_work_by_time(
    kind: str, params: dict[str, Any], took_s: float, expected: float | None
) -> None:
    assert speed(kind, {"params": params}, took_s) == expected
