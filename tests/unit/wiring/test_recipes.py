"""The mode chooses the bus, the URLs choose the rest, and nothing is opened before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.adapters.blobs.files.blobs import FileBlobs
from headrace.adapters.blobs.s3.blobs import S3Blobs
from headrace.adapters.bus.inprocess import InProcessBus
from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.adapters.streams.redis.streams import RedisStreams
from headrace.contracts.ids import Lane, TenantId
from headrace.core.errors import Misconfigured, Unavailable
from headrace.core.ports.blobs import Blob
from headrace.core.ports.bus import Parcel, Sent
from headrace.telemetry.bus import TracedBus
from headrace.telemetry.streams import WatchedStreams
from headrace.testkit.deciding import ECHO
from headrace.wiring.recipes import Wiring, migrate, wiring_for
from headrace.wiring.settings import Settings, load_settings

NOBODY = "127.0.0.1:9"  # the discard port, where nobody listens
EDA = {
    "execution_mode": "EDA",
    "rabbitmq_url": f"amqp://{NOBODY}/",
    "redis_url": f"redis://{NOBODY}/0",
    "database_url": f"postgresql://{NOBODY}/headrace",
}


def settings_of(folder: Path, **fields: Any) -> Settings:
    return load_settings(_env_file=None, **{"data_dir": folder / "var", **fields})


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def monolith(tmp_path: Path) -> Wiring:
    return wiring_for(settings_of(tmp_path))


async def test_in_monolith_every_role_gets_the_same_bus(monolith: Wiring) -> None:
    async with monolith.bus() as one, monolith.bus() as other:
        await one.declare(["queue"])
        assert await other.send([Parcel("queue", b"hello")]) == [Sent.KEPT]
        assert (await one.depth("queue")).ready == 1


async def test_what_lies_on_the_bus_survives_a_role_that_leaves(monolith: Wiring) -> None:
    async with monolith.bus() as bus:
        await bus.declare(["queue"])
        await bus.send([Parcel("queue", b"hello")])

    async with monolith.bus() as bus:
        assert (await bus.depth("queue")).ready == 1


async def test_without_redis_every_role_gets_the_same_streams(monolith: Wiring) -> None:
    async with monolith.streams() as one, monolith.streams() as other:
        assert isinstance(one, WatchedStreams)
        assert isinstance(one._inner, InProcessStreams)
        assert one is other


async def test_two_monoliths_in_one_process_share_nothing(tmp_path: Path) -> None:
    one, other = (wiring_for(settings_of(tmp_path / name)) for name in ("one", "other"))

    async with one.bus() as bus, other.bus() as another:
        await bus.declare(["queue"])
        assert await another.send([Parcel("queue", b"hello")]) == [Sent.UNROUTABLE]


async def test_with_redis_monolith_streams_through_it(tmp_path: Path) -> None:
    wiring = wiring_for(settings_of(tmp_path, redis_url=f"redis://{NOBODY}/0"))

    async with wiring.streams() as streams, wiring.bus() as bus:
        assert isinstance(streams, WatchedStreams)
        assert isinstance(streams._inner, RedisStreams)
        assert isinstance(bus, TracedBus)
        assert isinstance(bus._inner, InProcessBus)


async def test_the_store_is_a_file_in_the_data_directory(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)

    await migrate(settings)
    async with wiring_for(settings).store() as store:
        await store.ping()

    assert (tmp_path / "var" / "headrace.db").exists()


async def test_stores_of_one_wiring_are_one_database(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    wiring = wiring_for(settings)
    await migrate(settings)

    async with wiring.store() as one, wiring.store() as other:
        async with one.begin() as tx:
            await tx.announce_engines([ECHO])
        async with other.begin() as tx:
            assert await tx.catalog() == [ECHO]


async def test_a_store_that_was_not_migrated_says_what_to_do(tmp_path: Path) -> None:
    async with wiring_for(settings_of(tmp_path)).store() as store:
        with pytest.raises(Misconfigured, match="migrate"):
            await store.ping()


async def test_migrating_twice_is_migrating_once(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)

    await migrate(settings)
    await migrate(settings)

    async with wiring_for(settings).store() as store:
        await store.ping()


async def test_an_unknown_database_is_refused(tmp_path: Path) -> None:
    wiring = wiring_for(settings_of(tmp_path, database_url="mysql://localhost/headrace"))

    with pytest.raises(Misconfigured, match="mysql"):
        async with wiring.store():
            pass


@pytest.mark.parametrize(("url", "place"), [("", "var/blobs"), ("file://{}/kept", "kept")])
async def test_blobs_are_files_where_their_url_says(tmp_path: Path, url: str, place: str) -> None:
    wiring = wiring_for(settings_of(tmp_path, blobs_url=url.format(tmp_path)))

    async with wiring.blobs() as blobs:
        assert isinstance(blobs, FileBlobs)
        await blobs.put(TenantId("tenant"), Blob("text/plain", b"hello"))

    assert [path.read_bytes() for path in (tmp_path / place).rglob("*") if path.is_file()]


async def test_blobs_are_objects_where_their_url_says(tmp_path: Path) -> None:
    wiring = wiring_for(
        settings_of(
            tmp_path,
            blobs_url="s3://bucket/prefix",
            s3_endpoint=f"http://{NOBODY}",
            s3_access_key="key",
            s3_secret_key="secret",  # noqa: S106  # nobody's
        )
    )

    async with wiring.blobs() as blobs:
        assert isinstance(blobs, S3Blobs)


def test_nothing_is_opened_by_being_chosen(tmp_path: Path) -> None:
    wiring_for(settings_of(tmp_path, **EDA))

    assert list(tmp_path.iterdir()) == []


async def test_in_eda_the_bus_is_a_broker_s_and_its_absence_is_told_at_once(tmp_path: Path) -> None:
    wiring = wiring_for(settings_of(tmp_path, **EDA))

    with pytest.raises(Unavailable, match=f"RabbitMQ at {NOBODY}"):
        async with wiring.bus():
            pass


@pytest.mark.parametrize("fields", [{}, EDA], ids=["MONOLITH", "EDA"])
def test_names_on_the_bus_follow_the_namespace(tmp_path: Path, fields: dict[str, Any]) -> None:
    wiring = wiring_for(settings_of(tmp_path, namespace="mine", **fields))

    assert wiring.topology.work(Lane("echo")) == "mine.work.echo"
