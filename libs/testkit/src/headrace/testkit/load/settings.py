"""What `make load` is told by the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from headrace.testkit.system import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """`url`: the service to load; empty: start one. `keys` by tenant: KEY may name several, with commas. `minutes`: None: as long as the
    campaign says. `processes`: of Locust; more than one are a master and so many workers.
    """

    campaign: str
    url: str
    keys: dict[str, str]
    admin_key: str
    mode: Mode
    minutes: float | None
    processes: int


def load_settings() -> LoadSettings:
    said = os.environ.get
    return LoadSettings(
        campaign=said("CAMPAIGN") or "smoke",
        url=(said("HOST_URL") or "").rstrip("/"),
        keys={
            **{f"load-{n}": key for n, key in enumerate((said("KEY") or "").split(","), 1)},
            "noisy": said("NOISY_KEY") or "",
        },
        admin_key=said("ADMIN_KEY") or "",
        mode="MONOLITH" if said("MODE") == "MONOLITH" else "EDA",
        minutes=float(minutes) if (minutes := said("MINUTES")) else None,
        processes=int(said("WORKERS") or 1),
    )
