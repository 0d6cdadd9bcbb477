"""The protocol's own client, unmodified, against a running system; what they said is kept as a golden file.

It installs `horde-sdk` in an environment of its own. Nothing else needs that package:
`tests/unit/api/horde/test_recorded.py` plays the file again in every run. Without the file it is written.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from headrace.testkit.environments import python_with
from headrace.testkit.horde_sdk import SDK, run_client
from headrace.testkit.recording import recording
from headrace.testkit.system import Mode, running

CLIENT = Path(__file__).with_name("horde_sdk_client.py")
GOLDEN = Path(__file__).parents[1] / "golden" / "horde" / "sdk.json"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.timeout(180),
    pytest.mark.full,
]


async def test_the_protocols_own_client_draws_and_writes(mode: Mode, tmp_path: Path) -> None:
    python = await python_with(SDK, tmp_path / "sdk")
    settings = {"ENGINES": "smollm2,emoji-flow", "LEASE_S": "30"}
    async with (
        running(mode, tmp_path, kinds=2, **settings) as system,
        recording(system.url) as recorded,
    ):
        code, said = await run_client(python, CLIENT, recorded.url, tmp_path)

    assert code == 0, said
    assert {each.status for each in recorded.exchanges} <= {200, 202}
    if not GOLDEN.exists():
        encoded = msgspec.json.format(msgspec.json.encode(recorded.exchanges), indent=1)
        GOLDEN.write_bytes(encoded + b"\n")
    golden = msgspec.json.decode(GOLDEN.read_bytes())
    assert {(each["method"], each["status"]) for each in golden} == {
        (each.method, each.status) for each in recorded.exchanges
    }
