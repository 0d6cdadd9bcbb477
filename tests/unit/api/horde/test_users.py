"""Users at this door: who a key is, who may change whom, and who may join."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from headrace.api.auth import Keys
from headrace.api.deps import ApiDeps
from headrace.api.registration import Registration
from headrace.contracts.ids import TenantId
from headrace.core.keyring import Keyring
from headrace.core.ports.store import Store
from headrace.core.ports.users import ANONYMOUS_TENANT, User
from headrace.core.usecases.users import Changes, Welcome, change_user, user_for
from headrace.testkit.apps import create_app

RED, ANONYMOUS = {"apikey": "key-of-red"}, {"apikey": "0000000000"}
ADMIN = {"apikey": "key-of-admin"}


class Door:
    """The door as an operator set it up, and what it says."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def __call__(
        self, method: str, path: str, key: dict[str, str] | None = None, **what: Any
    ) -> tuple[int, Any]:
        answer = await self._http.request(method, f"/api/v2/{path}", headers=key or {}, **what)
        assert answer.headers["content-type"] == "application/json"
        said = answer.json()
        if answer.status_code >= 400:
            assert {type(said["message"]), type(said["rc"])} == {str}
        return answer.status_code, said


@pytest.fixture
def welcome() -> Welcome:
    return Welcome(concurrency=3, floor=0, kudos=40_000)


@pytest.fixture
async def door(deps: ApiDeps, welcome: Welcome) -> AsyncGenerator[Door]:
    keys = {"red": "key-of-red", "blue": "key-of-blue"}
    ring = Keyring(deps.store)
    own = replace(
        deps,
        auth=Keys(keys, anonymous=ANONYMOUS_TENANT, ring=ring),
        admin_key=ADMIN["apikey"],
        welcome=welcome,
        registration=Registration(per_address=2),
    )
    transport = httpx.ASGITransport(create_app(own), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as client:
        yield Door(client)


async def user_of(store: Store, tenant: str, **changes: Any) -> User:
    async with store.begin() as tx:
        found = await user_for(tx, TenantId(tenant), Welcome(floor=0))
        return await change_user(tx, found.id, Changes(**changes), who="test")


async def test_a_key_is_somebody_from_its_first_request_on(door: Door) -> None:
    status, found = await door("GET", "find_user", RED)
    again = await door("GET", "find_user", RED)

    assert (status, found["username"]) == (200, f"red#{found['id']}")
    assert (found["kudos"], found["concurrency"], found["worker_count"]) == (40, 3, 0)
    assert again == (200, found)


@pytest.mark.parametrize(
    ("key", "status", "rc"),
    [
        (None, 401, "InvalidAPIKey"),
        ({"apikey": "nobody-has-this-key-now"}, 404, "UserNotFound"),
    ],
    ids=["no key", "an unknown key"],
)
async def test_who_is_nobody_is_told_so(
    door: Door, key: dict[str, str] | None, status: int, rc: str
) -> None:
    found = await door("GET", "find_user", key)

    assert (found[0], found[1]["rc"]) == (status, rc)


async def test_ten_zeros_are_anonymous(door: Door) -> None:
    _, found = await door("GET", "find_user", ANONYMOUS)

    assert (found["username"], found["id"], found["trusted"]) == ("Anonymous#0", 0, False)


async def test_what_somebody_has_is_seen_by_itself_and_moderators(door: Door, store: Store) -> None:
    red, _ = await user_of(store, "red"), await user_of(store, "blue")
    blue = {"apikey": "key-of-blue"}

    _, own = await door("GET", f"users/{red.id}", RED)
    _, others = await door("GET", f"users/{red.id}", blue)
    await user_of(store, "blue", moderator=True)
    _, moderated = await door("GET", f"users/{red.id}", blue)

    assert own["kudos"] == 0
    assert set(others) == {"username", "id", "trusted", "moderator"}
    assert moderated["kudos"] == 0


@pytest.mark.parametrize("user", ["999999", "x", "-1", "9" * 30, "7#red"])
async def test_a_user_that_is_none_is_not_found(door: Door, user: str) -> None:
    found = await door("GET", f"users/{user}", RED)

    assert (found[0], found[1]["rc"]) == (404, "UserNotFound")


async def test_users_are_listed_by_number(door: Door, store: Store) -> None:
    red, blue = await user_of(store, "red"), await user_of(store, "blue")

    status, found = await door("GET", "users", RED)
    _, beyond = await door("GET", "users", RED, params={"page": 1000})

    assert (status, [each["id"] for each in found]) == (200, [0, red.id, blue.id])
    assert beyond == []


async def test_users_are_looked_at_without_a_key_where_anybody_is_let_in(
    door: Door, deps: ApiDeps, store: Store
) -> None:
    """The protocol's client shows none there."""
    red = await user_of(store, "red")
    closed = create_app(replace(deps, auth=Keys({}, anonymous=None, ring=Keyring(store))))

    listed = await door("GET", "users")
    _, one = await door("GET", f"users/{red.id}")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(closed), base_url="http://headrace"
    ) as client:
        refused = [await client.get(f"/api/v2/users{each}") for each in ("", f"/{red.id}")]

    assert listed[0] == 200
    assert one == {"username": red.name, "id": red.id, "trusted": False, "moderator": False}
    assert [each.status_code for each in refused] == [401, 401]


async def test_operators_grant_kudos_and_it_is_audited(door: Door, store: Store) -> None:
    red = await user_of(store, "red")

    granted = await door("PUT", f"users/{red.id}", ADMIN, json={"kudos": 12.5, "moderator": True})
    taken = await door("PUT", f"users/{red.id}", ADMIN, json={"kudos": -20})

    assert granted == (200, {"new_kudos": 12.5, "moderator": True})
    assert (taken[0], taken[1]["rc"]) == (403, "KudosUpfront")
    async with store.begin() as tx:
        deeds = [each.deed for each in await tx.audited(before=None, limit=9)]
        assert (await tx.audit_ledger()).none
    assert {"user.grant", "user.change"} <= {deed.action for deed in deeds}
    assert deeds[0].subject == red.name


async def test_moderators_trust_and_limit_and_make_no_money(door: Door, store: Store) -> None:
    red, blue = await user_of(store, "red", moderator=True), await user_of(store, "blue")
    path = f"users/{blue.id}"

    trusted = await door("PUT", path, RED, json={"trusted": True, "concurrency": 9})
    money = await door("PUT", path, RED, json={"kudos": 5})
    others = await door("PUT", f"users/{red.id}", {"apikey": "key-of-blue"}, json={"trusted": True})

    assert trusted == (200, {"trusted": True, "concurrency": 9})
    assert (money[0], money[1]["rc"]) == (403, "NotAdmin")
    assert (others[0], others[1]["rc"]) == (403, "NotModerator")


@pytest.mark.parametrize(
    "body",
    [{"kudos": "5"}, {"kudos": 0.00001}, {"kudos": 1e300}, {"concurrency": -1}, {"trusted": 1}, []],
    ids=str,
)
async def test_a_change_that_cannot_be_says_what_is_wrong(door: Door, body: Any) -> None:
    status, said = await door("PUT", "users/0", ADMIN, json=body)

    assert (status, said["rc"]) == (400, "ValidationError")
    assert said["errors"]


async def test_who_registers_has_a_key_that_is_good_at_once(door: Door, store: Store) -> None:
    status, made = await door("POST", "users/register", json={"username": "ada"})
    key = {"apikey": made["api_key"]}
    _, found = await door("GET", "find_user", key)

    assert (status, len(made["api_key"])) == (201, 22)
    assert (found["username"], found["id"]) == (f"ada#{made['id']}", made["id"])
    assert found["kudos"] == 40
    async with store.begin() as tx:
        user = await tx.user_of(TenantId("ada"))
        deeds = {each.deed.action for each in await tx.audited(before=None, limit=9)}
    assert user is None, "a name that somebody chose is nobody's tenant"
    assert {"user.create", "key.create"} <= deeds


async def test_so_many_may_register_from_one_address(door: Door) -> None:
    answers = [await door("POST", "users/register", json={"username": "a"}) for _ in range(3)]

    assert [status for status, _ in answers] == [201, 201, 429]
    assert answers[-1][1]["rc"] == "TooManyRegistrations"


@pytest.mark.parametrize(
    "name", ["", "a#7", "nul\0", "x" * 65], ids=["empty", "hash", "nul", "long"]
)
async def test_a_name_that_cannot_be_is_refused(door: Door, name: str) -> None:
    status, said = await door("POST", "users/register", json={"username": name})

    assert status == 400
    assert said["rc"] in {"ValidationError", "NulByteInPayload"}


async def test_registration_is_closed_unless_it_was_opened(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/v2/users/register", json={"username": "ada"})

    assert (answer.status_code, answer.json()["rc"]) == (403, "RegistrationClosed")


def test_an_hour_later_there_is_room_again() -> None:
    now = 0.0
    registration = Registration(per_address=1, in_all=2, monotonic=lambda: now)

    assert [registration.wait_s(address) for address in ("a", "a", "b", "c")] == [0, 3600, 0, 3600]
    now = 3600.0
    assert registration.wait_s("a") == 0


async def send(door: Door, key: dict[str, str], to: str, amount: Any, **headers: str) -> Any:
    body = {"username": to, "amount": amount}
    return await door("POST", "kudos/transfer", {**key, **headers}, json=body)


async def test_kudos_go_from_one_user_to_another(door: Door, store: Store) -> None:
    await door("GET", "find_user", RED)
    blue = await user_of(store, "blue")

    sent = await send(door, RED, blue.name, 12.345)

    assert sent == (200, {"transferred": 12.345})
    assert (await door("GET", "find_user", RED))[1]["kudos"] == 27.655
    assert (await door("GET", "find_user", {"apikey": "key-of-blue"}))[1]["kudos"] == 12.345


async def test_a_transfer_that_is_sent_again_with_its_key_happens_once(
    door: Door, store: Store
) -> None:
    blue = await user_of(store, "blue")
    once = {"Idempotency-Key": "once"}

    answers = [await send(door, RED, blue.name, 10, **once) for _ in range(3)]
    other = await send(door, RED, blue.name, 11, **once)

    assert answers == [(200, {"transferred": 10})] * 3
    assert (other[0], other[1]["rc"]) == (409, "IdempotencyConflict")
    assert (await door("GET", "find_user", RED))[1]["kudos"] == 30


@pytest.mark.parametrize(
    ("key", "to", "amount", "status", "rc"),
    [
        (RED, "blue", 41, 400, "KudosTransferNotEnough"),
        (RED, "red", 1, 400, "KudosTransferToSelf"),
        (RED, "Anonymous#0", 1, 400, "KudosTransferToAnon"),
        (ANONYMOUS, "blue", 1, 400, "KudosTransferFromAnon"),
        (RED, "blue", -1, 400, "NegativeKudosTransfer"),
        (RED, "blue", 0, 400, "NegativeKudosTransfer"),
        (RED, "nobody#7", 1, 400, "InvalidTargetUsername"),
        (RED, "nobody", 1, 400, "InvalidTargetUsername"),
        (RED, "blue", 0.0001, 400, "ValidationError"),
        (RED, "blue", "1", 400, "ValidationError"),
        (None, "blue", 1, 401, "InvalidAPIKey"),
    ],
)
async def test_a_transfer_that_cannot_be_moves_nothing(  # noqa: PLR0913, PLR0917  # a row of the table
    door: Door, store: Store, key: Any, to: str, amount: Any, status: int, rc: str
) -> None:
    names = {name: (await user_of(store, name)).name for name in ("red", "blue")}
    async with store.begin() as tx:
        red = await tx.user_of(TenantId("red"))
        assert red is not None
    await door("PUT", f"users/{red.id}", ADMIN, json={"kudos": 40})

    found = await send(door, key or {}, names.get(to, to), amount)

    assert (found[0], found[1]["rc"]) == (status, rc)
    assert (await door("GET", "find_user", RED))[1]["kudos"] == 40


async def shared(door: Door, **terms: Any) -> dict[str, Any]:
    status, made = await door("PUT", "sharedkeys", RED, json=terms)
    assert status == 200, made
    found: dict[str, Any] = made
    return found


ASKED = {"prompt": "a cat", "params": {"width": 512, "height": 512, "steps": 50}}


async def test_a_shared_key_pays_with_its_users_kudos_as_far_as_it_may(door: Door) -> None:
    made = await shared(door, kudos=25, name="for a friend")
    friend = {"apikey": made["id"]}

    answers = [await door("POST", "generate/async", friend, json=ASKED) for _ in range(3)]
    _, left = await door("GET", f"sharedkeys/{made['id']}")

    assert len(made["id"]) == 36
    assert [status for status, _ in answers] == [202, 202, 403]
    assert answers[-1][1]["rc"] == "SharedKeyInsufficientKudos"
    assert (left["kudos"], left["utilized"], left["name"]) == (5, 20, "for a friend")
    assert left["max_image_pixels"] == -1


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("generate/async", {"params": {"width": 1024, "height": 512, "steps": 20}}),
        ("generate/async", {"params": {"width": 512, "height": 512, "steps": 31}}),
        ("generate/text/async", {"params": {"max_length": 81}}),
    ],
    ids=["pixels", "steps", "tokens"],
)
async def test_a_shared_key_asks_for_no_more_than_its_terms(
    door: Door, path: str, asked: dict[str, Any]
) -> None:
    terms = {"max_image_pixels": 512 * 512, "max_image_steps": 30, "max_text_tokens": 80}
    made = await shared(door, **terms)

    found = await door("POST", path, {"apikey": made["id"]}, json={"prompt": "a cat", **asked})

    assert (found[0], found[1]["rc"]) == (403, "Forbidden")


async def test_a_shared_key_is_good_for_nothing_else(door: Door, http: httpx.AsyncClient) -> None:
    made = await shared(door)
    friend = {"apikey": made["id"]}

    _, seen = await door("GET", "find_user", friend)
    sent = await send(door, friend, "0", 1)
    more = await door("PUT", "sharedkeys", friend, json={})
    native = await http.get("/jobs", headers=friend)

    assert "kudos" not in seen
    assert [sent[0], more[0], native.status_code] == [403, 403, 403]


async def test_a_shared_key_expires_changes_and_ends(door: Door) -> None:
    made = await shared(door, expiry=1)
    path, friend = f"sharedkeys/{made['id']}", {"apikey": made["id"]}

    changed = await door("PATCH", path, RED, json={"expiry": 0, "name": "over"})
    expired = await door("POST", "generate/async", friend, json=ASKED)
    endless = await door("PATCH", path, RED, json={"expiry": -1, "kudos": 7})
    others = await door("DELETE", path, {"apikey": "key-of-blue"})
    deleted = await door("DELETE", path, RED)
    gone = [await door("GET", path), await door("PATCH", path, RED, json={})]

    assert (changed[0], changed[1]["name"]) == (200, "over")
    assert (expired[0], expired[1]["rc"]) == (403, "SharedKeyExpired")
    assert (endless[1].get("expiry"), endless[1]["kudos"]) == (None, 7)
    assert (others[0], others[1]["rc"]) == (404, "SharedKeyInvalid")
    assert deleted == (200, {"message": "OK"})
    assert [status for status, _ in gone] == [404, 404]


async def test_a_request_holds_what_it_was_quoted_and_no_more_than_there_is(
    door: Door, store: Store
) -> None:
    status, accepted = await door("POST", "generate/async", RED, json=ASKED)
    async with store.begin() as tx:
        red = await tx.user_of(TenantId("red"))

    assert red is not None
    assert (status, accepted["kudos"], red.held, red.balance) == (202, 10, 10_000, 40_000)
    large = {"prompt": "a cat", "params": {"width": 1024, "height": 1024, "steps": 50}}
    refused = await door("POST", "generate/async", RED, json=large)
    assert (refused[0], refused[1]["rc"]) == (403, "KudosUpfront")


async def test_so_many_jobs_a_user_may_have(door: Door) -> None:
    small = {"prompt": "a cat", "params": {"width": 64, "height": 64, "steps": 1, "n": 2}}

    answers = [await door("POST", "generate/async", RED, json=small) for _ in range(2)]

    assert [status for status, _ in answers] == [202, 429]
    assert answers[-1][1]["rc"] == "TooManyPrompts"
