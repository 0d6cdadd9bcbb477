"""What the store held at some time, also after it was old enough to delete."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.testkit.chaos.effects import AttemptRow, Effects, Row


@dataclass(slots=True)
class Archive:
    """Each row as it was seen last."""

    jobs: dict[str, Row] = field(default_factory=dict)
    attempts: dict[tuple[str, int], AttemptRow] = field(default_factory=dict)
    letters: dict[int, str | None] = field(default_factory=dict)

    def add(self, seen: Effects) -> None:
        self.jobs |= {row.id: row for row in seen.jobs}
        self.attempts |= {(row.job, row.attempt): row for row in seen.attempts}
        self.letters |= seen.letters

    def with_all_of(self, now: Effects) -> Effects:
        """What waits is as of now; the rows are of the whole run."""
        self.add(now)
        return Effects(
            list(self.jobs.values()), list(self.attempts.values()), now.outbox, dict(self.letters)
        )
