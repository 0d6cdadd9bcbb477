"""The doctor on settings that cannot work: each trouble is a line in words, with its remedy."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from headrace.launch.checks import (
    Finding,
    _how,
    check_blobs,
    check_data_dir,
    check_database,
    check_door,
    check_engines,
    check_telemetry,
    examine,
)
from headrace.testkit.system import System, free_port
from headrace.wiring.settings import Settings, load_settings

NOBODY = free_port()
EDA = {
    "execution_mode": "EDA",
    "rabbitmq_url": f"amqp://guest:guest@127.0.0.1:{NOBODY}/",
    "redis_url": f"redis://127.0.0.1:{NOBODY}/0",
    "database_url": f"postgresql://nobody@127.0.0.1:{NOBODY}/headrace",
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return load_settings(data_dir=tmp_path / "var", port=free_port())


def but(settings: Settings, **other: object) -> Settings:
    return settings.model_copy(update=other)


async def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.about: finding async for finding in examine(settings)}


async def test_a_laptop_without_settings_is_well(settings: Settings) -> None:
    found = await findings(settings)

    assert [each for each in found.values() if each.verdict == "fail"] == []
    assert found["database"].found == "SQLite, made at the first start"
    assert not settings.data_dir.exists(), "looking makes nothing"


async def test_every_server_that_is_away_is_named_with_its_variable(settings: Settings) -> None:
    found = await findings(load_settings(data_dir=settings.data_dir, port=settings.port, **EDA))

    for about, variable in (
        ("database", "DATABASE_URL"),
        ("rabbitmq", "RABBITMQ_URL"),
        ("redis", "REDIS_URL"),
    ):
        assert found[about].verdict == "fail", about
        assert "is unavailable" in found[about].found
        assert variable in found[about].remedy


async def test_an_engine_that_is_not_installed_is_named(settings: Settings) -> None:
    found = await findings(but(settings, engines=("echo", "nonesuch")))

    assert found["engines"].verdict == "fail"
    assert "engine 'nonesuch' is not installed" in found["engines"].found
    assert "Installed here: echo" in found["engines"].remedy


def test_what_an_engine_lacks_is_a_command_to_be_copied() -> None:
    assert _how("far", "needs torch: pip install 'far[torch]'") == "pip install 'far[torch]'"
    assert _how("far", "cannot begin: no such file") == "No such file"
    assert _how("far", "is not set up").startswith("Optional; ")


async def test_engines_are_told_with_their_models(settings: Settings) -> None:
    told = [finding.found for finding in await check_engines(settings)]

    assert "echo: echo, echo" in told
    assert any("smollm2-135m-instruct" in line for line in told)


async def test_a_data_dir_that_cannot_be_written_to(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    (found,) = await check_data_dir(but(settings, data_dir=tmp_path / "file" / "var"))

    assert found.verdict == "fail"
    assert "DATA_DIR" in found.remedy


async def test_a_database_without_our_tables_wants_migrate(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "headrace.db").touch()

    (later,) = await check_database(settings)
    (never,) = await check_database(but(settings, migrate_at_start=False))

    assert (later.verdict, never.verdict) == ("ok", "fail")
    assert "its schema is not there" in never.found
    assert never.remedy == "Run `headrace migrate`."


async def test_blobs_are_written_and_read_back(settings: Settings) -> None:
    (settings.data_dir / "blobs").mkdir(parents=True)

    (found,) = await check_blobs(settings)

    assert "written, read back and deleted" in found.found
    assert [path for path in (settings.data_dir / "blobs").rglob("*") if path.is_file()] == []


async def test_a_free_port_is_free(settings: Settings) -> None:
    (found,) = await check_door(settings)

    assert found.found == f"{settings.port} on 127.0.0.1 is free"


async def test_a_port_where_somebody_else_answers(settings: Settings) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", settings.port):
        (found,) = await check_door(settings)

    assert (found.verdict, found.remedy) == (
        "fail",
        f"Stop it, or choose another port: PORT={settings.port + 1}.",
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_a_port_where_headrace_answers(settings: Settings, system: System) -> None:
    (found,) = await check_door(but(settings, port=system.port))

    assert (found.verdict, "and is well" in found.found) == ("ok", True)


async def test_a_collector_that_is_down_is_a_warning(settings: Settings) -> None:
    away = f"http://127.0.0.1:{NOBODY}"

    (found,) = await check_telemetry(but(settings, otel_exporter_otlp_endpoint=away))
    (wrong,) = await check_telemetry(but(settings, otel_exporter_otlp_endpoint="host:4318"))

    assert (found.verdict, wrong.verdict) == ("warn", "fail")
    assert "nothing waits" in found.remedy


async def test_the_command_says_it_in_lines_and_as_json(bare: Any) -> None:
    ran = await bare("doctor", ENGINES="nonesuch", PORT="0")
    as_json = await bare("doctor", "--json", ENGINES="echo", PORT="0")

    assert ran.code == 1
    assert "fail engines   ENGINES names nonesuch" in ran.out
    assert "1 of 11 needs mending." in ran.out
    assert as_json.code == 0
    assert {each["verdict"] for each in json.loads(as_json.out)} <= {"ok", "warn"}


async def test_settings_that_cannot_be_read_are_the_first_finding(bare: Any) -> None:
    ran = await bare("doctor", EXECUTION_MODE="EDA")

    assert ran.code == 1
    assert "fail settings  RABBITMQ_URL: EXECUTION_MODE=EDA needs it" in ran.out
