"""The names on the bus, in one place. `namespace` keeps installations on one broker apart."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.contracts.ids import Lane, WorkerId


@dataclass(frozen=True, slots=True)
class Topology:
    """Queue names of one installation.

    Work and inbox queues are durable and dead-letter to `dead`; a worker's mailbox lives as long as
    its worker.
    """

    namespace: str = "headrace"

    def work(self, lane: Lane) -> str:
        """Offers of one lane, dispatcher to workers."""
        return f"{self.namespace}.work.{lane}"

    @property
    def claims(self) -> str:
        return f"{self.namespace}.claims"

    @property
    def heartbeats(self) -> str:
        """Heartbeats, hellos and goodbyes, workers to dispatcher."""
        return f"{self.namespace}.heartbeats"

    @property
    def results(self) -> str:
        return f"{self.namespace}.results"

    @property
    def dead(self) -> str:
        """Where messages that nobody could handle are parked."""
        return f"{self.namespace}.dead"

    def mailbox(self, worker: WorkerId) -> str:
        """Grants and orders, dispatcher to one worker."""
        return f"{self.namespace}.worker.{worker}"
