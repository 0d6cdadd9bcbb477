"""The campaigns: what each asks, how it loads, and what is done to the service meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec import structs

from headrace.testkit.load.orders import Stage

FLOOD_JOBS: Final = 10_000
FLOODERS: Final = 8
CROWD: Final = "Converser"
OWN_STACK: Final = "a stack of its own, in EDA"  # to kill a worker of, or for the Redis behind it


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """`stages` last as long as they say, or in proportion to the minutes that are asked for.

    `needs`: what it cannot have of somebody else's service. `settings`: of its own stack.
    """

    name: str
    asks: str
    stages: tuple[Stage, ...]
    roles: tuple[str, ...] = ()  # of its own stack, beside one of each
    both_modes: bool = False  # its own stack also has a process of the other mode
    needs: str = ""  # of a service that is not its own
    words: int = 10
    delay_s: float = 0.02
    every_s: float = 1.0
    flood: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    def stretched(self, minutes: float | None) -> tuple[Stage, ...]:
        factor = 1.0 if minutes is None else 60 * minutes / self.seconds
        return tuple(
            structs.replace(stage, seconds=stage.seconds * factor) for stage in self.stages
        )


_RAMP: Final = (2, 5, 10, 15, 20, 30)

CAMPAIGNS: Final[Mapping[str, Campaign]] = {
    campaign.name: campaign
    for campaign in (
        Campaign(
            name="smoke",
            asks="Does every sort of job come back right, under a load that is none?",
            stages=(Stage("5 users", 5, 30),),
        ),
        Campaign(
            name="ramp",
            asks="How many users, each with a job a second, does it carry before they begin to wait?",
            stages=tuple(Stage(f"{users} users", users, 15) for users in _RAMP),
        ),
        Campaign(
            name="spike",
            asks="What does ten times the load for ten seconds cost, and how soon is it over?",
            stages=(
                Stage("calm", 4, 20),
                Stage("spike", 40, 10),
                Stage("calm again", 4, 40),
            ),
        ),
        Campaign(
            name="soak",
            asks="Is it as quick at the end as at the beginning?",
            stages=(Stage("5 users", 5, 1800),),
        ),
        Campaign(
            name="noisy-neighbour",
            asks="One tenant sends 10,000 jobs at once: what does that cost another with one a second?",
            stages=(
                Stage("alone", 1, 25, ("Neighbour",)),
                Stage(
                    "beside the flood", 1 + FLOODERS, 400, ("Neighbour", "Flood"), after_flood_s=20
                ),
            ),
            flood=FLOOD_JOBS,
            words=5,
            needs="a second key in NOISY_KEY",
        ),
        Campaign(
            name="stream-crowd",
            asks="100 conversations at once, then 1,000: does each chunk come, in order, and how late?",
            stages=(
                Stage("100 conversations", 100, 30, (CROWD,), a_second=25),
                Stage("1,000 conversations", 1000, 75, (CROWD,), a_second=25),
            ),
            every_s=5.0,
            needs=OWN_STACK,
        ),
        Campaign(
            name="mode-flip",
            asks="The share of tenants that runs distributed goes 0, 50, 100, 0 %: does anybody notice?",
            stages=(Stage("8 users", 8, 80),),
            both_modes=True,
            needs="the operator's key in ADMIN_KEY",
        ),
        Campaign(
            name="worker-loss",
            asks="One of two workers is killed: are its jobs back within the lease and 5 s, and all there?",
            stages=(Stage("6 users", 6, 60),),
            roles=("gpu-worker@2",),
            words=40,
            delay_s=0.05,
            needs=OWN_STACK,
        ),
    )
}
