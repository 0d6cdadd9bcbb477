"""`headrace batch` against a real system."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
Command = Any  # of conftest: a test module cannot import it


def a_file(folder: Path, *lines: Any) -> str:
    path = folder / "items.jsonl"
    path.write_text(
        "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
    )
    return str(path)


def an_item(text: str, **more: Any) -> dict[str, Any]:
    return {"custom_id": text, "input": {"text": text, "delay_s": 0}, **more}


async def test_a_file_is_handed_in_and_its_results_come_as_json_lines(
    inside: Command, tmp_path: Path
) -> None:
    file = a_file(tmp_path, an_item("a"), "no JSON", an_item("b"))

    batch = (await inside("batch", "submit", "echo", file, "--label", "who:me")).out.strip()
    followed = await inside("batch", "results", batch, "--follow")
    wrong = await inside("batch", "results", batch, "--errors")
    shown = await inside("batch", "show", batch)

    lines = [json.loads(line) for line in followed.out.splitlines()]
    assert {each["custom_id"]: each["state"] for each in lines} == {
        "a": "succeeded",
        "b": "succeeded",
        None: "rejected",
    }
    assert [json.loads(line)["item"] for line in wrong.out.splitlines()] == [1]
    rest = await inside("batch", "results", batch, "--after", str(lines[1]["cursor"]))
    assert rest.out.splitlines() == followed.out.splitlines()[2:]
    assert "3 of 3 (100%)" in shown.out
    assert f"headrace batch results {batch} --errors" in shown.out
    assert batch in (await inside("batch")).out


async def test_what_is_left_of_one_is_cancelled(inside: Command, tmp_path: Path) -> None:
    file = a_file(tmp_path, *(an_item("a b c d", input={"text": "a", "delay_s": 5}) for _ in "abc"))
    batch = (await inside("batch", "submit", "echo", file)).out.strip()

    asked = json.loads((await inside("batch", "cancel", batch, "--json")).out)
    ended = await inside("batch", "results", batch, "--follow")

    assert asked["state"] == "cancelling"
    assert [json.loads(line)["state"] for line in ended.out.splitlines()] == ["cancelled"] * 3


async def test_one_is_deleted_and_its_receipt_printed(inside: Command, tmp_path: Path) -> None:
    file = a_file(tmp_path, an_item("a"))
    batch = (await inside("batch", "submit", "echo", file)).out.strip()
    await inside("batch", "results", batch, "--follow")

    deleted = await inside("batch", "delete", batch)

    assert f"batch {batch}: removed" in deleted.out
    assert "1 batches" in deleted.out
    assert (await inside("batch", "show", batch)).code == 2


async def test_the_same_key_makes_one_batch(inside: Command, tmp_path: Path) -> None:
    submit = ("batch", "submit", "echo", a_file(tmp_path, "{}"), "--idempotency-key", "one batch")

    assert (await inside(*submit)).out == (await inside(*submit)).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("submit", "echo", "/nowhere/items.jsonl"), "Cannot read /nowhere/items.jsonl"),
        (("submit", "echo", "/dev/null"), "A batch has at least one item"),
        (("submit", "video", __file__), "no engine runs kind 'video'"),
        (("show", "nonesuch"), "No batch nonesuch"),
        (("results", "nonesuch"), "No batch nonesuch"),
    ],
)
async def test_a_mistake_is_one_plain_line(
    inside: Command, arguments: tuple[str, ...], said: str
) -> None:
    ran = await inside("batch", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert said.lower() in ran.err.lower()
