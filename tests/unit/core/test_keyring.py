"""Keys of the store, remembered: revoked ones are refused soon, and wrong ones cost next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from headrace.core import keyring
from headrace.core.errors import Unavailable
from headrace.core.keyring import FRESH_S, KNOWN_S, PATIENCE_S, UNKNOWN_S, Keyring
from headrace.core.ports.keys import ApiKey
from headrace.core.ports.store import Store, Transaction
from headrace.testkit.builders import an_api_key
from headrace.testkit.waits import eventually

DIGEST, WRONG = "d1", "d2"


class Watched:
    """A store that counts its transactions, and is away, or silent, as told."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.begun = 0
        self.away = False
        self.answers = asyncio.Event()
        self.answers.set()

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Transaction]:
        self.begun += 1
        await asyncio.sleep(0)  # as any database lets others go on
        await self.answers.wait()
        if self.away:
            raise Unavailable("the store", "it was told to be away")
        async with self._store.begin() as tx:
            yield tx


class Hands:
    """A clock that goes on when somebody turns it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watched(store: Store) -> Watched:
    return Watched(store)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def ring(watched: Watched, hands: Hands) -> Keyring:
    return Keyring(cast("Any", watched), monotonic=hands)


@pytest.fixture
async def kept(store: Store) -> ApiKey:
    async with store.begin() as tx:
        return await tx.insert_key(an_api_key(), DIGEST)


async def revoke(store: Store, key: ApiKey) -> None:
    async with store.begin() as tx:
        await tx.revoke_key(key.id)


async def test_a_key_is_asked_for_once_as_long_as_that_is_fresh(
    ring: Keyring, watched: Watched, hands: Hands, kept: ApiKey
) -> None:
    for _ in range(50):
        assert await ring.find(DIGEST) == kept
    assert watched.begun == 1

    hands.now += FRESH_S
    await ring.find(DIGEST)

    assert watched.begun == 2


async def test_a_revoked_key_is_refused_once_what_was_known_is_not_fresh(
    ring: Keyring, store: Store, hands: Hands, kept: ApiKey
) -> None:
    assert await ring.find(DIGEST) is not None
    await revoke(store, kept)

    hands.now += FRESH_S

    assert await ring.find(DIGEST) is None


async def test_keys_that_are_shown_again_and_again_share_a_question(
    ring: Keyring, store: Store, watched: Watched, hands: Hands
) -> None:
    digests = [f"d-{number}" for number in range(10)]
    async with store.begin() as tx:
        keys = [await tx.insert_key(an_api_key(), digest) for digest in digests]
    for digest in digests:
        await ring.find(digest)
    before = watched.begun

    for _ in range(5):
        hands.now += FRESH_S
        found = [await ring.find(digest) for digest in digests]
    await revoke(store, keys[3])
    hands.now += FRESH_S
    after = [await ring.find(digest) for digest in digests]

    assert watched.begun - before == 6
    assert found == keys
    assert [key is None for key in after] == [number == 3 for number in range(10)]


async def test_every_process_refuses_it(store: Store, kept: ApiKey) -> None:
    clocks = [Hands() for _ in range(3)]
    rings = [Keyring(store, monotonic=each) for each in clocks]
    assert [await ring.find(DIGEST) for ring in rings] == [kept] * 3

    await revoke(store, kept)
    for clock in clocks:
        clock.now += FRESH_S

    assert [await ring.find(DIGEST) for ring in rings] == [None] * 3


async def test_a_wrong_key_is_remembered_as_wrong_for_a_while(
    ring: Keyring, watched: Watched, hands: Hands
) -> None:
    for _ in range(50):
        assert await ring.find(WRONG) is None
    assert watched.begun == 1

    hands.now += UNKNOWN_S
    await ring.find(WRONG)

    assert watched.begun == 2


async def test_a_flood_of_wrong_keys_is_a_handful_of_questions(
    ring: Keyring, watched: Watched
) -> None:
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ring.find(f"wrong {number}")) for number in range(1000)]

    assert {each.result() for each in asking} == {None}
    assert watched.begun <= 4


async def test_what_is_remembered_has_a_bound(
    ring: Keyring, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "REMEMBERED", 3)
    for name in "abcd":
        await ring.find(name)

    await ring.find("d")
    assert watched.begun == 4
    await ring.find("a")  # the oldest made room
    assert watched.begun == 5


async def test_while_the_store_is_away_a_key_that_is_known_goes_on(
    ring: Keyring, watched: Watched, hands: Hands, kept: ApiKey
) -> None:
    await ring.find(DIGEST)
    watched.away = True
    hands.now += KNOWN_S - 1

    assert await ring.find(DIGEST) == kept
    asked = watched.begun
    assert await ring.find(DIGEST) == kept
    assert watched.begun == asked  # it is not asked each time


async def test_while_the_store_is_away_a_key_is_not_known_for_ever(
    ring: Keyring, watched: Watched, hands: Hands, kept: ApiKey
) -> None:
    await ring.find(DIGEST)
    watched.away = True
    hands.now += KNOWN_S

    with pytest.raises(Unavailable):
        await ring.find(DIGEST)


async def test_while_the_store_is_away_a_new_key_is_neither_good_nor_bad(
    ring: Keyring, watched: Watched, kept: ApiKey
) -> None:
    watched.away = True
    with pytest.raises(Unavailable):
        await ring.find(DIGEST)

    watched.away = False

    assert await ring.find(DIGEST) == kept


async def test_who_comes_while_the_store_takes_long_goes_by_what_is_known(
    ring: Keyring, watched: Watched, hands: Hands, kept: ApiKey
) -> None:
    await ring.find(DIGEST)
    hands.now += FRESH_S
    watched.answers.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(ring.find(DIGEST))
        await eventually(lambda: watched.begun == 2)
        hands.now += PATIENCE_S

        assert ring.silent
        assert await ring.find(DIGEST) == kept
        watched.answers.set()

    assert first.result() == kept  # it is not cut off, and its answer counts
    assert not ring.silent
    assert watched.begun == 2


async def test_a_use_is_written_beside_the_requests(
    ring: Keyring, watched: Watched, store: Store, kept: ApiKey
) -> None:
    for _ in range(5):
        await ring.find(DIGEST)
    asked = watched.begun
    await ring.write_used()
    await ring.write_used()  # nobody used it since

    assert watched.begun == asked + 1
    async with store.begin() as tx:
        found = await tx.key(kept.id)
    assert found is not None
    assert found.last_used_at is not None


async def test_a_use_that_cannot_be_written_is_written_later(
    ring: Keyring, watched: Watched, store: Store, kept: ApiKey
) -> None:
    await ring.find(DIGEST)
    watched.away = True
    await ring.write_used()
    watched.away = False
    await ring.write_used()

    async with store.begin() as tx:
        found = await tx.key(kept.id)
    assert found is not None
    assert found.last_used_at is not None


async def test_uses_are_written_while_it_runs(
    ring: Keyring, store: Store, kept: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "WRITTEN_EVERY_S", 0.01)
    await ring.find(DIGEST)

    async def written() -> bool:
        async with store.begin() as tx:
            found = await tx.key(kept.id)
        return found is not None and found.last_used_at is not None

    async with asyncio.TaskGroup() as group:
        running = group.create_task(ring.run())
        await eventually(written)
        running.cancel()
