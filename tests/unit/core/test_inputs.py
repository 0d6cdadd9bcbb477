"""Checking an input costs no more than reading it: nobody can keep the api busy with a bad one."""

from __future__ import annotations

from typing import Any

import pytest
from typing_extensions import override

from headrace.contracts.ids import Lane
from headrace.contracts.messages import EngineCard
from headrace.core.errors import InvalidInput
from headrace.core.inputs import check_input


class Counted(list[Any]):
    """An array that knows how many of its items were looked at."""

    looks = 0

    @override
    def __getitem__(self, place: Any) -> Any:
        self.looks += 1
        return super().__getitem__(place)


def engine(**texts: Any) -> EngineCard:
    schema = {"type": "object", "properties": {"texts": texts}, "required": ["texts"]}
    return EngineCard(Lane("minilm"), "embedding", ["minilm"], schema)


TEXTS = {"type": "array", "items": {"type": "string"}}


@pytest.mark.parametrize("texts", [TEXTS, {"anyOf": [TEXTS, {"type": "null"}]}])
async def test_of_an_array_of_wrong_items_only_the_first_are_looked_at(
    texts: dict[str, Any],
) -> None:
    wrong = Counted([1] * 10_000)

    with pytest.raises(InvalidInput) as refusal:
        check_input(engine(**texts), {"texts": wrong})

    assert refusal.value.pointer.startswith("/texts/")
    assert wrong.looks < 100


async def test_no_item_of_an_array_that_is_too_long_is_looked_at() -> None:
    long = Counted(["a"] * 10_000)

    with pytest.raises(InvalidInput) as refusal:
        check_input(engine(**TEXTS, maxItems=64), {"texts": long})

    assert refusal.value.pointer == "/texts"
    assert long.looks == 0


async def test_a_wrong_item_among_many_is_found() -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_input(engine(**TEXTS), {"texts": ["a"] * 500 + [1]})

    assert refusal.value.pointer == "/texts/500"
