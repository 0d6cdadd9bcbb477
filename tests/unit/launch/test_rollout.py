"""`headrace rollout`: both paths side by side, steps that are refused in words, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
Command = Any  # of conftest: a test module cannot import it
ADMIN = {"HEADRACE_KEY": "key-of-admin", "HEADRACE_OPERATOR": "ann"}


async def test_without_a_word_it_shows_both_paths(inside: Command) -> None:
    ran = await inside("rollout", **ADMIN)
    told = json.loads((await inside("rollout", "show", "--json", **ADMIN)).out)

    assert ran.code == 0
    assert ran.out.startswith("rollout: off")
    (head,) = [line for line in ran.out.splitlines() if line.startswith("within ")]
    assert head.split()[-2:] == ["local", "distributed"]
    assert [each["path"] for each in told["paths"]] == ["local", "distributed"]
    assert told["paths"][0]["attended"] is True


@pytest.mark.parametrize(
    "step",
    [
        ("percent", "1"),
        ("internal", "add", "red"),
        ("kind", "echo", "distributed"),
        ("shadow", "1"),
    ],
)
async def test_on_a_laptop_a_step_is_refused_with_what_it_lacks(
    inside: Command, step: tuple[str, ...]
) -> None:
    ran = await inside("rollout", *step, **ADMIN)

    assert ran.code == 2
    assert "Without REDIS_URL the streams stay inside this process" in ran.err


async def test_the_guard_s_terms_are_changed_one_at_a_time(inside: Command) -> None:
    await inside("rollout", "guard", "--at-least", "7", **ADMIN)
    off = await inside("rollout", "guard", "--off", **ADMIN)
    ran = await inside("rollout", "guard", "--on", "--errors-over", "0.1", "--json", **ADMIN)

    told = json.loads(ran.out)
    assert told["guard"]["on"] is True
    assert (told["guard"]["at_least"], told["guard"]["errors_over"]) == (7, 0.1)
    assert told["wait"]["followed"] is True
    assert "guard    off" in off.out
    assert "Applied by 1 api process after " in off.out


async def test_a_pin_to_the_old_path_is_taken_off_again(inside: Command) -> None:
    await inside("rollout", "kind", "echo", "local", **ADMIN)
    shown = await inside("rollout", **ADMIN)
    ran = await inside("rollout", "kind", "echo", "-", "--json", **ADMIN)

    assert "pinned   echo local" in shown.out
    assert json.loads(ran.out)["kinds"] == {}


async def test_back_says_who_follows_and_is_audited(inside: Command) -> None:
    await inside("rollout", "guard", "--window", "77", **ADMIN)
    ran = await inside("rollout", "rollback", **ADMIN)
    deeds = json.loads((await inside("audit", "--json", **ADMIN)).out)

    assert ran.out.startswith("rollout: off")
    assert "Applied by 1 api process" in ran.out
    assert {each["action"] for each in deeds} >= {"rollout.change"}


async def test_nonsense_is_refused_before_anything_is_asked(inside: Command) -> None:
    nobody = await inside("rollout", "internal", "remove", "nobody", **ADMIN)
    far = await inside("rollout", "percent", "101", **ADMIN)
    nothing = await inside("rollout", "guard", **ADMIN)

    assert (nobody.code, nobody.err) == (2, "headrace: Not internal: nobody.\n")
    assert far.code == 2
    assert "Say what to change" in nothing.err
