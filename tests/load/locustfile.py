"""What Locust runs: users of each sort, and the stages of a campaign.

`make load` starts it; by hand on another machine: docs/load.md.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any, Final

import gevent
from locust import FastHttpUser, LoadTestShape, User, constant_pacing, events, task
from locust.argument_parser import LocustArgumentParser
from locust.runners import WORKER_REPORT_INTERVAL, MasterRunner
from tests.load.conversing import converse
from tests.load.following import Follower as Client
from tests.load.following import wish_for
from tests.load.recording import recorder_of
from typing_extensions import override

from headrace.testkit.load.orders import NOISY, Orders, Stage, decode


def _options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--orders", env_var="LOAD_ORDERS", required=True, help="as JSON")
    parser.add_argument("--rows", env_var="LOAD_ROWS", default="rows.jsonl", help="the file")


events.init_command_line_parser.add_listener(_options)

FLOOD: Final = "submit of the flood"
_people, _numbers = itertools.count(), itertools.count()  # of this process


class Person(FastHttpUser):
    """Whoever has a key."""

    abstract = True
    tenant = ""  # empty: each takes the next one
    network_timeout = 60.0
    connection_timeout = 10.0

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.orders: Orders = decode(environment.parsed_options.orders)
        tenants = self.orders.tenants
        tenant = self.tenant or tenants[next(_people) % len(tenants)]
        key = self.orders.keys[tenant]
        headers = {"apikey": key} if key else {}
        self.me = Client(self.client, recorder_of(environment), headers, tenant)

    @override
    def on_start(self) -> None:
        """Not all in step: that would be another load."""
        gevent.sleep(random.uniform(0, min(self.orders.every_s, 1.0)))

    @override
    def wait_time(self) -> float:
        return float(constant_pacing(self.orders.every_s)(self))


class Follower(Person):
    """Asks, follows its job to the end, and checks the answer; then the next one."""

    @task
    def one_job(self) -> None:
        self.me.live(wish_for(next(_numbers), self.orders), self.orders.delay_s)


class Flood(Person):
    """Asks for its share of a flood, as quickly as it is answered, and follows none of it."""

    tenant = NOISY

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        stage = next(stage for stage in self.orders.stages if "Flood" in stage.who)
        self.left = self.orders.flood // (stage.users - 1)  # one of them is the neighbour

    @override
    def wait_time(self) -> float:
        return 0.0 if self.left else 1.0

    @task
    def one_job(self) -> None:
        if self.left:
            self.left -= 1
            body = {"kind": "echo", "input": {"text": "a b c d e", "delay_s": 0.02}}
            self.me.submit(body, name=FLOOD)


class Neighbour(Follower):
    """The one beside the flood."""

    fixed_count = 1


class Converser(Person):
    """Says something, and watches the answer as it is written."""

    @task
    def one_message(self) -> None:
        converse(self.me, self.orders, next(_numbers))


class Stages(LoadTestShape):
    """One after the other; each is told of, so that the report can show when it began."""

    def __init__(self) -> None:
        super().__init__()
        self._number = -1
        self._ends = 0.0  # on the clock of `get_run_time`
        self._flood_sent: float | None = None

    @override
    def tick(self) -> tuple[int, float, list[type[User]] | None] | None:
        assert self.runner is not None
        options = self.runner.environment.parsed_options
        assert options is not None
        orders = decode(options.orders)
        stage = self._stage(orders)
        if stage is not None:
            return stage.users, stage.a_second or float(stage.users), list(_sorts(stage.who))
        if isinstance(self.runner, MasterRunner):
            _see_workers_off(self.runner)
        return None

    def _stage(self, orders: Orders) -> Stage | None:
        """The one that is on. None: all are over."""
        now, stages = self.get_run_time(), orders.stages
        if 0 <= self._number < len(stages):
            self._shorten(stages[self._number], orders, now)
        if now >= self._ends:
            self._number += 1
        if self._number >= len(stages):
            return None
        stage = stages[self._number]
        if now >= self._ends:
            self._ends = now + stage.seconds
            assert self.runner is not None
            recorder_of(self.runner.environment).happened(stage.name)
        return stage

    def _shorten(self, stage: Stage, orders: Orders, now: float) -> None:
        """To a while after the flood: what it costs while it waits is asked, too."""
        if stage.after_flood_s is not None and self._flood_is_sent(orders):
            self._flood_sent = self._flood_sent or now
            self._ends = min(self._ends, self._flood_sent + stage.after_flood_s)

    def _flood_is_sent(self, orders: Orders) -> bool:
        """By all Locust processes, whatever was answered."""
        assert self.runner is not None
        sent = self.runner.environment.stats.get(FLOOD, "POST").num_requests
        return bool(sent >= orders.flood)


def _see_workers_off(master: MasterRunner) -> None:
    """Locust would leave without them: until their users are done, and their last rows are here."""
    master.stop()
    gevent.sleep(WORKER_REPORT_INTERVAL + 1)


def _sorts(names: tuple[str, ...]) -> Iterator[type[User]]:
    return (globals()[name] for name in names)
