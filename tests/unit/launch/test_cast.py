"""Mode by role: which roles a process plays, and what it says where there are none."""

from __future__ import annotations

import pytest

from headrace.core.errors import Misconfigured
from headrace.launch.cast import ROLES, RoleName, cast
from headrace.wiring.modes import Mode  # noqa: TID251  # the cast is one of the two who may know it


def test_monolith_plays_every_role() -> None:
    assert set(cast(Mode.MONOLITH, None)) == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_eda_plays_the_one_that_is_named(role: RoleName) -> None:
    assert cast(Mode.EDA, role) == (role,)


@pytest.mark.parametrize("role", ROLES)
def test_monolith_refuses_to_play_one_alone(role: RoleName) -> None:
    with pytest.raises(Misconfigured, match=rf"not {role} alone.*EXECUTION_MODE=EDA"):
        cast(Mode.MONOLITH, role)


def test_eda_asks_for_a_role() -> None:
    with pytest.raises(Misconfigured, match=r"headrace up ROLE.*api, dispatcher, gpu-worker"):
        cast(Mode.EDA, None)
