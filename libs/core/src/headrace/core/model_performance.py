"""How the versions of a model do: counts, latency, failures and a metric of the owner's choice.

Of jobs that started and ended; those that were called off count for nothing but `cancelled`. Two versions
are compared by tests that ask how likely a difference as large would be if there were none: `P_BELOW` is
what counts as a difference. The samples are large or the answer is that nothing can be said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from statistics import fmean, variance
from typing import Final

from headrace.core.job import State
from headrace.core.ports.models import Outcome

P_BELOW: Final = 0.05
AT_LEAST: Final = 30  # values of each version; fewer say nothing
EXPECTED_AT_LEAST: Final = 5  # failures, and successes, of each: as this test is taught
PROPORTIONS: Final = "two-proportion z-test, pooled, two-sided"
MEANS: Final = "Welch's test by the normal distribution, two-sided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """In seconds, by the nearest rank."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Of one version."""

    version: int
    succeeded: int
    failed: int
    cancelled: int
    queue: Latency | None  # from when it could start to when it did; None: there were no jobs
    run: Latency | None  # from its first start to its end
    values: Sequence[float]  # of the metric

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed

    @property
    def failure_rate(self) -> float | None:
        return self.failed / self.ended if self.ended else None

    @property
    def mean(self) -> float | None:
        return fmean(self.values) if self.values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether two versions differ in one thing."""

    test: str
    p: float | None  # None: too few to tell
    differs: bool
    said: str  # for people


def performance(version: int, outcomes: Sequence[Outcome]) -> Performance:
    states = Counter(each.state for each in outcomes)
    ran = [each for each in outcomes if each.state is not State.CANCELLED]
    return Performance(
        version=version,
        succeeded=states[State.SUCCEEDED],
        failed=states[State.FAILED] + states[State.DEAD],
        cancelled=states[State.CANCELLED],
        queue=_latency([each.wait_s for each in ran]),
        run=_latency([each.run_s for each in ran]),
        values=[each.value for each in ran if each.value is not None],
    )


def _latency(times: Sequence[float]) -> Latency | None:
    if not times:
        return None
    ordered = sorted(times)
    return Latency(p50=_nearest(ordered, 50), p95=_nearest(ordered, 95))


def _nearest(ordered: Sequence[float], percent: int) -> float:
    return ordered[-(-len(ordered) * percent // 100) - 1]


def compare_failures(one: Performance, other: Performance) -> Verdict:
    """Does one fail more often?"""
    ended = one.ended + other.ended
    rate = (one.failed + other.failed) / ended if ended else 0.0
    smallest = min(one.ended, other.ended) * min(rate, 1 - rate)
    if smallest < EXPECTED_AT_LEAST:
        why = "too few jobs, or too few that failed, to tell versions apart"
        return Verdict(test=PROPORTIONS, p=None, differs=False, said=why)
    spread = sqrt(rate * (1 - rate) * (1 / one.ended + 1 / other.ended))
    gap = other.failed / other.ended - one.failed / one.ended
    return _verdict(PROPORTIONS, gap, spread, (one.version, other.version), "fails more often")


def compare_means(one: Performance, other: Performance) -> Verdict:
    """Is the metric higher with one of them?"""
    if min(len(one.values), len(other.values)) < AT_LEAST:
        why = f"fewer than {AT_LEAST} values of one version: nothing can be said"
        return Verdict(test=MEANS, p=None, differs=False, said=why)
    spread = sqrt(sum(variance(each.values) / len(each.values) for each in (one, other)))
    gap = fmean(other.values) - fmean(one.values)
    return _verdict(MEANS, gap, spread, (one.version, other.version), "has the higher mean")


def _verdict(test: str, gap: float, spread: float, versions: tuple[int, int], more: str) -> Verdict:
    """`gap` is the second's lead over the first."""
    p = erfc(abs(gap) / spread / sqrt(2)) if spread else float(gap == 0)
    differs = p < P_BELOW
    which = versions[gap > 0]
    said = (
        f"version {which} {more} (p = {p:.2g})" if differs else f"no difference shown (p = {p:.2g})"
    )
    return Verdict(test=test, p=p, differs=differs, said=said)
