"""Settings are checked at the door, in words that name the variable, its value and the remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headrace.core.errors import Misconfigured
from headrace.core.rates import Rate
from headrace.wiring.settings import Settings, load_settings

ROOT = Path(__file__).parents[3]
EDA = {
    "EXECUTION_MODE": "EDA",
    "RABBITMQ_URL": "amqp://localhost/",
    "REDIS_URL": "redis://localhost/0",
    "DATABASE_URL": "postgresql://localhost/headrace",
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def refusal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured) as refused:
        load_settings()
    return str(refused.value)


def test_nothing_needs_to_be_set_on_a_laptop() -> None:
    settings = load_settings()

    assert settings.path == "local"
    assert settings.anonymous
    assert settings.store_url == "sqlite:///var/headrace.db"


def test_the_address_of_a_trace_has_a_place_for_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, TRACE_URL="http://traces:16686/trace/")

    assert "TRACE_URL=http://traces:16686/trace/" in said
    monkeypatch.setenv("TRACE_URL", "http://traces:16686/trace/{trace_id}")
    assert load_settings().trace_url == "http://traces:16686/trace/{trace_id}"


def test_a_wrong_value_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, PORT="http")

    assert "PORT=http" in said
    assert ".env.example" in said


def test_every_wrong_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, PORT="70000", LEASE_S="-1", LOG_LEVEL="loud")

    assert all(name in said for name in ("PORT=70000", "LEASE_S=-1", "LOG_LEVEL=loud"))


@pytest.mark.parametrize("missing", ["RABBITMQ_URL", "REDIS_URL"])
def test_eda_names_what_it_needs(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    said = refusal(monkeypatch, **{name: val for name, val in EDA.items() if name != missing})

    assert said.startswith(missing)
    assert "EXECUTION_MODE=EDA" in said


@pytest.mark.parametrize("url", ["", "sqlite:///shared.db"])
def test_only_who_opens_the_store_needs_one_to_share(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    for name, value in {**EDA, "DATABASE_URL": url}.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()  # a worker has no database to name

    with pytest.raises(Misconfigured, match="DATABASE_URL: EXECUTION_MODE=EDA"):
        settings.need_shared_store()


def test_eda_with_what_it_needs_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in EDA.items():
        monkeypatch.setenv(name, value)

    settings = load_settings()
    settings.need_shared_store()

    assert settings.path == "distributed"


def test_one_process_has_one_worker_and_so_no_gangs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "GANG_NODES" in refusal(monkeypatch, GANG_NODES="2")


def test_a_server_that_can_be_reached_from_outside_needs_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = refusal(monkeypatch, HOST="0.0.0.0")  # noqa: S104  # this is the danger under test

    assert "API_KEYS" in said


@pytest.mark.parametrize(
    "address",
    [{"HOST": "0.0.0.0"}, {"ALLOW_ANONYMOUS": "false"}],  # noqa: S104  # the danger under test
)
def test_the_admin_key_alone_lets_it_start_since_keys_can_be_made_with_it(
    monkeypatch: pytest.MonkeyPatch, address: dict[str, str]
) -> None:
    assert "API_KEYS" in refusal(monkeypatch, **address)
    monkeypatch.setenv("ADMIN_KEY", "key-of-admin")

    assert not load_settings().anonymous


def test_secrets_are_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, API_KEYS="no-colon-xyzzy")

    assert "API_KEYS" in said
    assert "xyzzy" not in said


def test_nobody_is_the_tenant_of_the_shadows(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, API_KEYS="headrace/shadow:abc")

    assert "API_KEYS" in said
    assert "headrace/shadow" in said


def test_lists_and_pairs_are_read_from_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINES", "echo, smollm2")
    monkeypatch.setenv("SLOTS", "echo=4")
    monkeypatch.setenv("ENGINE_MEMORY_MIB", "sklearn-train=800")
    monkeypatch.setenv("API_KEYS", "alice:one:two")

    settings = load_settings()

    assert settings.engines == ("echo", "smollm2")
    assert settings.engine_memory_mib == {"sklearn-train": 800}
    assert settings.slots == {"echo": 4}
    assert settings.api_keys["alice"].get_secret_value() == "one:two"


def test_rates_that_are_not_named_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORDE_RATES", "ask=5/s 100/min")

    settings = load_settings()

    assert settings.horde_rates["ask"] == (Rate(5, 1.0), Rate(100, 60.0))
    assert settings.horde_rates["check"] == (Rate(10, 1.0),)


def test_nobody_is_counted_where_no_rates_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORDE_RATES", "-")

    assert load_settings().horde_rates == {}


@pytest.mark.parametrize("wrong", ["ask=2", "sk=2/s", "ask", "ask=0/s"])
def test_a_rate_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    assert "HORDE_RATES" in refusal(monkeypatch, HORDE_RATES=wrong)


def test_a_proxy_that_is_no_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "TRUSTED_PROXIES" in refusal(monkeypatch, TRUSTED_PROXIES="nginx")


def test_every_setting_is_in_the_example_with_its_default() -> None:
    example = dict(
        re.findall(r"^([A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    )

    assert set(example) == {name.upper() for name in Settings.model_fields}
    written = load_settings(_env_file=ROOT / ".env.example")
    assert written == load_settings()


def test_a_store_that_can_be_shared_wants_streams_that_can_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/headrace")

    with pytest.raises(Misconfigured, match="REDIS_URL"):
        load_settings().need_shared_store()


def test_the_environment_may_fix_a_rollout(monkeypatch: pytest.MonkeyPatch) -> None:
    free = load_settings()
    monkeypatch.setenv("ROLLOUT_PERCENT", "10")
    monkeypatch.setenv("ROLLOUT_INTERNAL", "us, them")
    monkeypatch.setenv("ROLLOUT_KINDS", "image=local")
    basis = load_settings().rollout_basis
    monkeypatch.setenv("ROLLOUT_INTERNAL", "-")
    monkeypatch.setenv("ROLLOUT_KINDS", "-")
    nobody = load_settings().rollout_basis

    assert free.rollout_basis.fixed_by == []
    assert basis.fixed_by == ["ROLLOUT_INTERNAL", "ROLLOUT_PERCENT", "ROLLOUT_KINDS"]
    assert basis.of(None).percent == 10
    assert basis.fixed.internal == ("us", "them")
    assert nobody.fixed.values() == {"internal": (), "percent": 10, "kinds": {}}


@pytest.mark.parametrize("wrong", [{"ROLLOUT_PERCENT": "101"}, {"ROLLOUT_KINDS": "image=there"}])
def test_a_rollout_that_makes_no_sense_is_named(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]
) -> None:
    assert next(iter(wrong)) in refusal(monkeypatch, **wrong)


def test_a_rollout_to_where_nothing_is_shared_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROLLOUT_PERCENT", "1")

    with pytest.raises(Misconfigured, match="ROLLOUT_PERCENT: jobs cannot take the distributed"):
        load_settings().need_shared_store()


def test_a_lanes_memory_and_the_place_of_artefacts_can_be_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATA_DIR", "/data")
    usual = load_settings()
    monkeypatch.setenv("MODEL_MEMORY_MIB", "sklearn-serve=500, echo=10")
    monkeypatch.setenv("MODEL_CACHE_DIR", "/fast/disk")
    told = load_settings()

    assert (usual.model_memory_mib, usual.models_dir) == ({}, Path("/data/models"))
    assert told.model_memory_mib == {"sklearn-serve": 500, "echo": 10}
    assert told.models_dir == Path("/fast/disk")


@pytest.mark.parametrize("wrong", ["echo", "echo=much", "echo=0"])
def test_a_memory_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    assert "MODEL_MEMORY_MIB" in refusal(monkeypatch, MODEL_MEMORY_MIB=wrong)
