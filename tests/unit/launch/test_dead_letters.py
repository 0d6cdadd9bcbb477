"""`headrace dead-letters` against a real system: what a person and a script get to see."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from headrace.launch.client import Client
from headrace.launch.view import ENDED
from headrace.testkit.waits import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
Command = Any  # of conftest: a test module cannot import it
ADMIN = {"HEADRACE_KEY": "key-of-admin", "HEADRACE_OPERATOR": "ann"}


async def died(client: Client, words: str) -> str:
    """The job's id."""
    given = {"text": words, "fail": "internal", "fail_attempts": 99}
    job = str((await client.submit({"kind": "echo", "input": given}))["id"])

    async def ended() -> str:
        state = str((await client.job(job))["state"])
        return state if state in ENDED else ""

    assert await eventually(ended, within=30, every=0.1) == "dead"
    return job


async def letters(inside: Command, *arguments: str) -> list[Any]:
    ran = await inside("dead-letters", "list", *arguments, "--json", **ADMIN)
    assert ran.code == 0, ran.err
    found: list[Any] = json.loads(ran.out)
    return found


async def test_a_dead_job_is_found_by_its_cause_shown_replayed_and_settled(
    inside: Command, client: Client
) -> None:
    job = await died(client, "poor thing")

    groups = json.loads((await inside("dead-letters", "--json", **ADMIN)).out)
    (letter,) = [each for each in await letters(inside) if each["job"] == job]
    shown = await inside("dead-letters", "show", str(letter["number"]), **ADMIN)

    assert letter["fingerprint"] in {each["fingerprint"] for each in groups}
    assert "poor thing" in shown.out
    assert shown.out.count("internal: RuntimeError: broken, as asked") == 3

    cause = ("--cause", letter["fingerprint"])
    replayed = await inside("dead-letters", "replay", *cause, "--per-s", "100", **ADMIN)
    assert replayed.code == 0
    assert "will be replayed by" in replayed.out

    async def settled() -> list[Any]:
        found = await letters(inside, *cause, "--settled")
        return [each for each in found if each["job"] == job]

    (done,) = await eventually(settled, within=15, every=0.2)
    assert (done["settled"], done["settled_by"]) == ("replayed", "ann")
    assert (await client.job(done["retried_as"]))["retry_of"] == job


async def test_dead_letters_read_well_at_80_columns(inside: Command, client: Client) -> None:
    await died(client, "another")

    groups = await inside("dead-letters", COLUMNS="80", **ADMIN)
    listed = await inside("dead-letters", "list", COLUMNS="80", **ADMIN)

    assert "broken, as asked" in groups.out
    assert "headrace dead-letters" in groups.out  # what to do next
    assert listed.out.split()[:6] == ["number", "queue", "tenant", "parked", "state", "reason"]


async def test_one_is_discarded_once(inside: Command, client: Client) -> None:
    job = await died(client, "let it go")
    (letter,) = [each for each in await letters(inside) if each["job"] == job]

    first = await inside("dead-letters", "discard", str(letter["number"]), **ADMIN)
    again = await inside("dead-letters", "discard", str(letter["number"]), **ADMIN)

    assert (first.code, again.code) == (0, 2)
    assert "is discarded" in first.out
    assert "discarded" in again.err


async def test_what_matches_nothing_says_so_and_is_no_failure(inside: Command) -> None:
    asked = ("--cause", "0" * 16)

    listed = await inside("dead-letters", "list", *asked, **ADMIN)
    replayed = await inside("dead-letters", "replay", *asked, **ADMIN)
    counted = json.loads((await inside("dead-letters", "discard", *asked, "--json", **ADMIN)).out)

    assert "No such dead letters" in listed.out
    assert "Nothing to replay" in replayed.out
    assert (listed.code, replayed.code, counted["count"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("replay",), "Say which: one NUMBER, or a filter"),
        (("discard", "1", "--all"), "Say which"),
        (("replay", "1", "--cause", "beef"), "Say which"),
        (("list", "--cause", "xyz"), "write it as `headrace dead-letters` prints it"),
        (("list", "--limit", "0"), "--limit"),
        (("replay", "--all", "--per-s", "0"), "--per-s"),
        (("show", "99999"), "99999"),
        (("frobnicate",), "There is no 'frobnicate' here"),
    ],
)
async def test_a_mistake_is_one_plain_line(
    inside: Command, arguments: tuple[str, ...], said: str
) -> None:
    ran = await inside("dead-letters", *arguments, **ADMIN)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("headrace: ")
    assert ran.err.count("\n") == 1
    assert said in ran.err


async def test_a_tenant_is_told_whose_key_it_takes(inside: Command) -> None:
    ran = await inside("dead-letters")

    assert ran.code == 2
    assert ran.err == (
        "headrace: This key has not the scope 'admin:read'. "
        "Set HEADRACE_KEY to an operator's key, or to the ADMIN_KEY of the api.\n"
    )


async def test_more_than_one_request_settles_are_asked_for_again() -> None:
    """A thousand a request is the api's limit; here it is three."""
    from headrace.launch.dead_letters import _settle

    class Api:
        left = 7

        async def ask(self, method: str, path: str, *, json: Any) -> dict[str, Any]:
            await asyncio.sleep(0)
            done = min(3, self.left)
            self.left -= done
            return {"count": done, "more": self.left > 0, "until": None}

    api: Any = Api()
    assert (await _settle(api, "discard", {"all": True}))["count"] == 7
    assert api.left == 0
