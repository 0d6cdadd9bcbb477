"""How commands find their node, against nodes that say what a test tells them to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import hiredis
import pytest

from headrace.adapters.redis.cluster import Cluster
from headrace.adapters.redis.commands import Command, nothing
from headrace.adapters.redis.slot_map import SlotMap
from headrace.adapters.redis.slots import SLOTS, Node
from headrace.core.errors import Unavailable

HERE, THERE = Node("here", 1), Node("there", 2)
ASKING = ("ASKING",)


class ToldNode:
    """Answers what it was told to, in turn, then OK; remembers what it did."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.done: list[Command] = []
        self.asked = 0
        self.idle = False  # so that nobody leaves it

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        await asyncio.sleep(0)
        self.asked += 1
        return [self._one(command) for command in commands]

    def _one(self, command: Command) -> Any:
        answer = self._answers.pop(0) if self._answers and command != ASKING else "OK"
        if answer == "LOST":
            raise Unavailable("Redis", "the answer was lost")
        if answer != "OK":
            return hiredis.ReplyError(answer)
        self.done.append(command)
        return b"OK"


def a_cluster(here: ToldNode, there: ToldNode) -> Cluster:
    """Every slot is here, as far as anybody knows."""
    slots = SlotMap("redis://nowhere:1")
    vars(slots).update(_owners=[HERE] * SLOTS, doubted=False, _again_at=float("inf"))
    cluster = Cluster(slots, "redis://nowhere:1", first=nothing)
    vars(cluster)["_nodes"] = {HERE: here, THERE: there}
    return cluster


def said(key: str, number: int) -> Command:
    return ("XADD", key, number)


async def test_a_slot_that_has_moved_is_followed_and_remembered() -> None:
    here, there = ToldNode("MOVED 12182 there:2"), ToldNode()
    cluster = a_cluster(here, there)

    await cluster.send([said("foo", 1)])
    await cluster.send([said("foo", 2)])

    assert there.done == [said("foo", 1), said("foo", 2)]
    assert here.asked == 1
    assert cluster.slots.doubted, "what else has moved is asked for"


async def test_a_slot_that_is_moving_is_followed_this_one_time() -> None:
    here, there = ToldNode("ASK 12182 there:2"), ToldNode()
    cluster = a_cluster(here, there)

    await cluster.send([said("foo", 1)])
    await cluster.send([said("foo", 2)])

    assert there.done == [ASKING, said("foo", 1)]
    assert here.done == [said("foo", 2)]


@pytest.mark.parametrize("passing", ["TRYAGAIN", "CLUSTERDOWN it is", "LOADING", "MASTERDOWN"])
async def test_what_passes_is_waited_for(passing: str) -> None:
    here = ToldNode(passing, passing)

    assert await a_cluster(here, ToldNode()).send([said("foo", 1)]) == [b"OK"]


async def test_a_later_command_of_a_slot_never_overtakes_an_earlier_one() -> None:
    here = ToldNode("CLUSTERDOWN")
    cluster = a_cluster(here, ToldNode())

    await cluster.send([said("foo", 1), said("foo", 2), said("foo", 3)])

    assert here.done == [said("foo", 1), said("foo", 2), said("foo", 3)]


async def test_after_one_without_an_answer_nothing_more_of_its_slot_is_sent() -> None:
    here, there = ToldNode("LOST"), ToldNode()
    cluster = a_cluster(here, there)
    cluster.slots.moved(5061, THERE)  # the slot of "bar"

    with pytest.raises(Unavailable, match="the answer was lost"):
        await cluster.send([said("foo", 1), said("bar", 1), said("foo", 2), said("bar", 2)])

    assert (here.done, here.asked) == ([], 1)
    assert there.done == [said("bar", 1), said("bar", 2)], "others are not held up"


async def test_an_error_that_no_other_node_would_mend_is_given_to_the_caller() -> None:
    here = ToldNode("OOM command not allowed")

    with pytest.raises(Unavailable, match="OOM"):
        await a_cluster(here, ToldNode()).send([said("foo", 1)])

    assert here.asked == 1


async def test_nodes_that_send_each_other_a_command_for_ever_are_left() -> None:
    here = ToldNode(*["MOVED 12182 there:2"] * 99)
    there = ToldNode(*["MOVED 12182 here:1"] * 99)

    with pytest.raises(Unavailable, match=r"MOVED|did not settle"):
        await a_cluster(here, there).send([said("foo", 1)])

    assert here.asked + there.asked <= 10
