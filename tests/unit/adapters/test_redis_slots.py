"""What a cluster says of its slots, and where its commands go."""

from __future__ import annotations

import pytest

from headrace.adapters.redis.slots import (
    SLOTS,
    Node,
    Redirection,
    key_of,
    node_in,
    read_owners,
    read_redirection,
    slot_of,
    uncovered,
    url_of,
)
from headrace.contracts.ids import JobId
from headrace.contracts.logs import APPEND, each_node, live_channel, log_key, sharded
from headrace.contracts.producing import OPEN, producer_key

ASKED = Node("10.0.0.1", 7000)


def test_the_keys_and_the_channel_of_a_job_have_one_slot() -> None:
    job = JobId("0c3a")

    names = (log_key("ns", job), live_channel("ns", job), producer_key("ns", job), "{0c3a}")

    assert len({slot_of(name) for name in names}) == 1


def test_slots_are_those_of_the_cluster_specification() -> None:
    assert slot_of("123456789") == 0x31C3  # its own example
    assert slot_of(b"foo{}{bar}") == slot_of(b"foo{}{bar}")
    assert slot_of("{user}.a") == slot_of("{user}.b") == slot_of("user")


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("EVALSHA", "digest", 1, "log", 1, 2), "log"),
        (("EVAL", "text", 2, "log", "producer"), "log"),
        (("XRANGE", "log", "-", "+"), "log"),
        (("GETDEL", b"ticket"), b"ticket"),
    ],
)
def test_a_command_goes_where_its_first_key_is(
    command: tuple[str | int | bytes, ...], key: str | bytes
) -> None:
    assert key_of(command) == key


def test_each_slot_has_the_master_of_its_range() -> None:
    owners = read_owners(
        [
            [0, 100, [b"10.0.0.2", 7001, b"id"], [b"10.0.0.9", 7009, b"a replica"]],
            [102, 102, [b"", 7002, b"id"]],
            [103, SLOTS - 1, [None, 7003, b"id"]],
        ],
        ASKED,
    )

    assert owners[0] == owners[100] == Node("10.0.0.2", 7001)
    assert owners[101] is None
    assert owners[102] == Node("10.0.0.1", 7002), "a node without a name is beside the one asked"
    assert owners[SLOTS - 1] == Node("10.0.0.1", 7003)
    assert uncovered(owners) == "101"


def test_ranges_that_nobody_has_are_said_as_ranges() -> None:
    owners: list[Node | None] = [ASKED] * SLOTS
    assert uncovered(owners) == ""

    owners[:3], owners[9] = [None] * 3, None

    assert uncovered(owners) == "0-2, 9"


@pytest.mark.parametrize(
    ("error", "means"),
    [
        ("MOVED 3999 10.0.0.3:7003", Redirection(3999, Node("10.0.0.3", 7003), for_good=True)),
        ("ASK 7 10.0.0.3:7003", Redirection(7, Node("10.0.0.3", 7003), for_good=False)),
        ("MOVED 7 :7003", Redirection(7, Node("10.0.0.1", 7003), for_good=True)),
        ("MOVED 7 ::1:7003", Redirection(7, Node("::1", 7003), for_good=True)),
        ("MOVED 7 ?:7003", Redirection(7, Node("10.0.0.1", 7003), for_good=True)),
        ("TRYAGAIN Multiple keys request during rehashing of slot", None),
        ("CLUSTERDOWN Hash slot not served", None),
        ("", None),
    ],
)
def test_a_redirection_is_read(error: str, means: Redirection | None) -> None:
    assert read_redirection(error, ASKED) == means


def test_every_node_is_connected_to_as_the_url_says() -> None:
    url = "rediss://me:p%40ss@seed:7000/0?ssl_ca_certs=ca.pem"

    assert url_of(Node("::1", 7001), url) == "rediss://me:p%40ss@[::1]:7001/0?ssl_ca_certs=ca.pem"
    assert node_in(url) == Node("seed", 7000)
    assert node_in("redis://") == Node("localhost", 6379)


def test_a_url_may_name_several_nodes() -> None:
    assert each_node("redis://a:6379/0") == ["redis://a:6379/0"]
    assert each_node("redis://:pw@a:1,b:2/0?x=y") == [
        "redis://:pw@a:1/0?x=y",
        "redis://:pw@b:2/0?x=y",
    ]


@pytest.mark.parametrize("script", [APPEND, OPEN])
def test_in_a_cluster_a_script_publishes_to_one_node(script: str) -> None:
    assert "'PUBLISH'" in script
    assert "'PUBLISH'" not in sharded(script)
    assert sharded(script).count("'SPUBLISH'") == script.count("'PUBLISH'")
