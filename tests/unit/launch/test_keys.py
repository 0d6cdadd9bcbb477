"""Keys from the command line: made, used, listed, revoked; and the tenants they are of."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
Command = Any  # of conftest: a test module cannot import it
ADMIN = {"HEADRACE_KEY": "key-of-admin", "HEADRACE_OPERATOR": "ann"}


async def test_a_key_is_printed_alone_and_works(inside: Command) -> None:
    made = await inside("keys", "create", "red", "--name", "ci", **ADMIN)
    key = made.out.strip()
    listed = await inside("jobs", "--json", HEADRACE_KEY=key)

    assert re.fullmatch(r"[A-Za-z0-9_-]{22}\n", made.out)
    assert "of tenant red: read, submit. It is shown this once." in made.err
    assert key not in made.err
    assert (listed.code, json.loads(listed.out)) == (0, [])


async def test_a_key_has_the_scopes_and_the_days_that_were_asked_for(inside: Command) -> None:
    asked = ("--scope", "read", "--scope", "admin:read", "--days", "30", "--json")
    made = json.loads((await inside("keys", "create", "blue", *asked, **ADMIN)).out)

    assert made["scopes"] == ["admin:read", "read"]
    assert made["expires_at"] is not None


async def test_who_may_only_look_is_told_what_is_missing(inside: Command) -> None:
    made = await inside("keys", "create", "red", "--scope", "read", **ADMIN)
    submitted = await inside("submit", "echo", "hello", HEADRACE_KEY=made.out.strip())
    listed = await inside("keys", HEADRACE_KEY=made.out.strip())

    assert (submitted.code, submitted.err) == (
        2,
        "headrace: This key has not the scope 'submit'. Set HEADRACE_KEY to a key that has it.\n",
    )
    assert "'admin:read'" in listed.err
    assert "ADMIN_KEY" in listed.err


async def test_a_reader_changes_nothing(inside: Command) -> None:
    made = await inside("keys", "create", "ops", "--scope", "admin:read", **ADMIN)
    looks = await inside("lanes", HEADRACE_KEY=made.out.strip())
    changes = await inside("pause", "echo", HEADRACE_KEY=made.out.strip())

    assert looks.code == 0
    assert (changes.code, "this needs 'admin'" in changes.err) == (2, True)


async def test_keys_are_listed_until_and_after_they_are_revoked(inside: Command) -> None:
    made = await inside("keys", "create", "green", "--name", "old", "--json", **ADMIN)
    key = json.loads(made.out)
    before = await inside("keys", "--tenant", "green", COLUMNS="160", **ADMIN)
    revoked = await inside("keys", "revoke", key["id"], **ADMIN)
    after = await inside("keys", "--tenant", "green", COLUMNS="160", **ADMIN)

    assert "not used yet" in before.out
    assert key["key"] not in before.out
    assert revoked.out == f"Key {key['id']} (old) is refused from now on.\n"
    assert "revoked" in after.out


async def test_a_key_that_nobody_made_is_not_revoked(inside: Command) -> None:
    ran = await inside("keys", "revoke", "eco", **ADMIN)

    assert (ran.code, ran.err) == (2, "headrace: No key eco.\n")


async def test_tenants_are_listed_with_what_they_have(inside: Command) -> None:
    await inside("keys", "create", "violet", **ADMIN)
    await inside("tenants", "set", "violet", "--weight", "3", "--max-queued", "7", **ADMIN)

    ran = await inside("tenants", "--json", **ADMIN)
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    table = await inside("tenants", **ADMIN)

    violet = next(each for each in told if each["tenant"] == "violet")
    assert (violet["weight"], violet["max_queued"], violet["keys"]) == (3, 7, 1)
    assert re.search(r"violet +0 +0 +3 +max_queued 7 +1", table.out)


async def test_users_are_made_granted_changed_and_checked(inside: Command) -> None:
    made = await inside("users", "create", "ada", "--kudos", "12.5", "--floor", "-3", **ADMIN)
    listed = json.loads((await inside("users", "--json", **ADMIN)).out)
    ada = str(next(each["id"] for each in listed if each["username"].startswith("ada#")))

    granted = await inside("users", "grant", ada, "--", "-2", **ADMIN)
    changed = await inside("users", "set", ada, "--trusted", "--concurrency", "7", **ADMIN)
    shown = await inside("users", "show", ada, **ADMIN)
    table = await inside("users", COLUMNS="160", **ADMIN)
    checked = await inside("users", "check", **ADMIN)
    too_much = await inside("users", "grant", ada, "--", "-200", **ADMIN)

    assert re.fullmatch(r"[A-Za-z0-9_-]{22}\n", made.out)
    assert f"User ada#{ada} of tenant user-" in made.err
    assert "has 10.5 kudos." in granted.out
    assert changed.code == 0
    assert re.search(r"grant +-2 +the bank", shown.out)
    assert re.search(rf"ada#{ada} +user-\w+ +10.5 +0 +-3 +7 +trusted", table.out)
    assert (checked.code, checked.out) == (0, "The books are in order.\n")
    assert (too_much.code, "200 kudos" in too_much.err) == (2, True)


async def test_deleting_all_that_a_tenant_has_tells_an_operator_where_to_look(
    inside: Command,
) -> None:
    ran = await inside("tenants", "delete-data", "nobodys", "--yes", **ADMIN)

    assert ran.code == 0
    assert "GET /admin/deletions/" in ran.out
