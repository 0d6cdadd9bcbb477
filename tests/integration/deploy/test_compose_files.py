"""What the compose files and the Dockerfile promise, read from the files: no engine is needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types

from headrace.wiring.settings import Settings

ROOT: Final = Path(__file__).parents[3]
DOCKERFILE: Final = (ROOT / "deploy/docker/Dockerfile").read_text()
OURS: Final = ("api", "dispatcher", "gpu-worker")
VARIABLE: Final = re.compile(r"\$\{([A-Z_]+)")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # it ships no types
    """Compose's own tags, `!reset` and `!override`, are read as the values they carry."""


def _value(loader: Any, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("!", _value)


def read(name: str) -> dict[str, Any]:
    text = (ROOT / name).read_text()
    found: dict[str, Any] = yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader, with two tags more
    return found


DEV: Final = read("docker-compose.dev.yml")
TEST: Final = read("docker-compose.test.yml")
SERVERS: Final = ("rabbitmq", "redis", "db")


def stage(target: str) -> str:
    """The instructions of one stage of the Dockerfile."""
    _, _, rest = DOCKERFILE.partition(f" AS {target}\n")
    return re.split(r"^FROM ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def copied(text: str) -> set[str]:
    return set(re.findall(r"^COPY ([a-z]\S*/src) ", text, re.MULTILINE))


@pytest.mark.parametrize("file", [DEV, TEST], ids=["dev", "test"])
def test_every_variable_of_our_services_is_a_setting(file: Mapping[str, Any]) -> None:
    known = {name.upper() for name in Settings.model_fields}

    for name in OURS:
        assert set(file["services"][name]["environment"]) <= known


def test_our_services_run_apart() -> None:
    for name in OURS:
        assert DEV["services"][name]["environment"]["EXECUTION_MODE"] == "EDA"


def test_a_worker_is_not_told_where_the_database_is() -> None:
    assert "DATABASE_URL" not in DEV["services"]["gpu-worker"]["environment"]
    assert "DATABASE_URL" in DEV["services"]["dispatcher"]["environment"]


def test_each_waits_until_what_it_needs_is_healthy() -> None:
    for name in OURS:
        for needed, how in DEV["services"][name]["depends_on"].items():
            assert how == {"condition": "service_healthy"}
            assert needed in OURS or "healthcheck" in DEV["services"][needed]
    assert set(DEV["services"]["dispatcher"]["depends_on"]) == set(SERVERS)


def test_images_are_pinned_to_a_version() -> None:
    images = [service["image"] for service in DEV["services"].values()]
    images += re.findall(r"^FROM (\S+:\S+)", DOCKERFILE, re.MULTILINE)

    for image in images:
        _, found, tag = image.partition(":")
        assert found, f"{image} has no tag"
        assert tag != "latest"


def test_every_published_port_is_a_variable_with_a_default_and_not_for_the_world() -> None:
    form = re.compile(r"(127\.0\.0\.1|\$\{HOST:-127\.0\.0\.1\}):\$\{[A-Z_]+:-\d+\}:\d+")
    ports = [port for service in DEV["services"].values() for port in service.get("ports", [])]

    assert ports
    for port in ports:
        assert form.fullmatch(port), port


def test_every_variable_of_the_dev_stack_is_described() -> None:
    described = (ROOT / "docs/compose.md").read_text() + (ROOT / ".env.example").read_text()
    used = set(VARIABLE.findall((ROOT / "docker-compose.dev.yml").read_text()))

    assert {name for name in used if name not in described} == set()


@pytest.mark.parametrize("name", OURS)
def test_an_image_runs_as_a_normal_user_and_hears_signals(name: str) -> None:
    users = re.findall(r"^USER (\S+)", stage("runtime") + stage(name), re.MULTILINE)

    assert users[-1] == "10001:10001"
    assert f'ENTRYPOINT ["headrace", "up", "{name}"]' in stage(name)
    assert "HEALTHCHECK" in stage(name)


@pytest.mark.parametrize("name", OURS)
def test_every_source_in_an_image_is_reloaded_live(name: str) -> None:
    rules = DEV["services"][name]["develop"]["watch"]
    synced = [rule for rule in rules if rule["action"] == "sync+restart"]

    for source in copied(stage("shared")) | copied(stage(name)):
        assert any(_reaches(rule, source) for rule in synced), source


def _reaches(rule: Mapping[str, Any], source: str) -> bool:
    folder = Path(source)
    if not folder.is_relative_to(rule["path"]) or rule["target"] != f"/app/{rule['path']}":
        return False
    inside = folder.relative_to(rule["path"]).parts
    return not any(inside[:1] == (each.rstrip("/"),) for each in rule.get("ignore", []))


def test_a_change_of_dependencies_builds_every_image_again() -> None:
    for name in OURS:
        rules = DEV["services"][name]["develop"]["watch"]
        assert {"action": "rebuild", "path": "requirements.lock"} in rules


def test_the_installer_knows_every_package_of_the_workspace() -> None:
    members = {
        str(path.parent.relative_to(ROOT))
        for folder in ("libs", "services")
        for path in (ROOT / folder).glob("*/pyproject.toml")
    }
    installer = set(re.findall(r"^COPY (\S+)/pyproject.toml ", stage("installer"), re.MULTILINE))

    assert installer == members


def test_the_images_and_the_makefile_install_by_the_same_uv() -> None:
    (ours,) = re.findall(r"^UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert f"uv=={ours}" in DOCKERFILE


def test_the_throwaway_stack_is_the_dev_stack() -> None:
    everyday = {name for name, service in DEV["services"].items() if "profiles" not in service}

    assert set(TEST["services"]) == everyday
    for name, service in TEST["services"].items():
        assert service["extends"] == {"file": "docker-compose.dev.yml", "service": name}


def test_the_throwaway_stack_keeps_nothing_and_takes_no_fixed_port() -> None:
    for name in SERVERS:
        assert TEST["services"][name]["volumes"] == []
        assert TEST["services"][name]["tmpfs"]
    for service in TEST["services"].values():
        for port in service.get("ports", []):
            assert re.fullmatch(r"127\.0\.0\.1::\d+", port)


def test_the_throwaway_stack_runs_the_images_as_they_ship() -> None:
    for name in OURS:
        service = TEST["services"][name]
        assert service["read_only"] is True
        assert service["user"] in {"null", ""}
