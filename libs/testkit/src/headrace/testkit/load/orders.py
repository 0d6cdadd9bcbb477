"""What the Locust processes are told to do. It travels as one option, also to other machines."""

from __future__ import annotations

import msgspec

NOISY = "noisy"


class Stage(msgspec.Struct, frozen=True):
    """So many users of these sorts, for so long."""

    name: str
    users: int
    seconds: float
    who: tuple[str, ...] = ("Follower",)
    a_second: float = 0.0  # so many of them come a second; 0: all at once
    after_flood_s: float | None = (
        None  # ends so long after the flood has been sent, if that is earlier
    )


class Orders(msgspec.Struct, frozen=True):
    stages: tuple[Stage, ...]
    keys: dict[str, str]  # by tenant; an empty one is not sent
    words: int = 10
    delay_s: float = 0.02  # after each word
    every_s: float = 1.0  # each user begins a job so often, unless its last one took longer
    flood: int = 0  # jobs of the noisy tenant
    crowd_port: int = 0  # where the producer of the conversations' answers takes its orders
    seed: int = 1

    @property
    def tenants(self) -> list[str]:
        """Those that take turns."""
        return [name for name in self.keys if name != NOISY]

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)


def encode(orders: Orders) -> str:
    return msgspec.json.encode(orders).decode()


def decode(text: str) -> Orders:
    return msgspec.json.decode(text, type=Orders)
