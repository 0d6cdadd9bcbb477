"""What a run has to say, as Markdown: sections of one table each, and at the end the targets. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from tests.bench.streams.load import Round, Standing

NOISY: Final = 0.5  # cores that others used, from which on a row is marked


@dataclass(frozen=True, slots=True)
class Check:
    """A target and what this run has to say about it."""

    target: str  # T8
    what: str
    wanted: float
    measured: float | None  # None: it could not be measured here, and `note` says why
    most: bool  # the target is an upper bound
    unit: str = "x"
    note: str = ""

    @property
    def verdict(self) -> Literal["met", "missed", "not measured"]:
        if self.measured is None:
            return "not measured"
        met = self.measured <= self.wanted if self.most else self.measured >= self.wanted
        return "met" if met else "missed"


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    about: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    after: Sequence[str] = ()  # sentences
    checks: Sequence[Check] = ()


Row: TypeAlias = list[str]
TARGETS: Final = ("target", "", "wanted", "measured", "")
ROUND_COLUMNS: Final = (
    "gateway",
    "tokens/s",
    "delivered",
    "late p50 ms",
    "late p99 ms",
    "server us/token",
    "cores: server",
    "Redis",
    "clients",
    "publisher",
    "foreign",
    "publisher late ms",
)


def at_most(
    target: str, what: str, wanted: float, measured: float | None, unit: str = "x"
) -> Check:
    return Check(target, what, wanted, measured, most=True, unit=unit)


def at_least(
    target: str, what: str, wanted: float, measured: float | None, note: str = ""
) -> Check:
    return Check(target, what, wanted, measured, most=False, note=note)


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """None where one of them was not measured, or is nothing to divide by."""
    return ours / theirs if ours is not None and theirs else None


def round_row(name: str, told: Round) -> Row:
    used = told.used
    return [
        name,
        number(told.tokens_per_s),
        delivered(told),
        *(number(each) for each in told.late_ms),
        number(told.us_per_token),
        *(f"{used[each]:.2f}" for each in ("server", "redis", "clients", "publisher")),
        foreign(told.foreign),
        number(told.publisher_late_ms),
    ]


def opened_row(name: str, stand: Standing) -> Row:
    return [
        name,
        number(stand.kb_per_stream),
        number(stand.connect_ms),
        *(number(each) for each in (*stand.first_byte_ms, *stand.following_ms)),
    ]


def delivered(told: Round) -> str:
    if told.whole:
        return "all, in order"
    part = f"{100 * told.received / max(1, told.expected):.1f} %"
    return f"{part}, {told.disorder} out of order" if told.disorder else part


def foreign(cores: float) -> str:
    return f"{cores:.2f}{'*' if cores >= NOISY else ''}"


def number(value: float) -> str:
    """Three figures that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def shown(section: Section) -> str:
    lines = [f"## {section.title}", "", section.about, ""] if section.about else [
        f"## {section.title}", ""
    ]  # fmt: skip
    return "\n".join([*lines, *table(section.columns, section.rows), *_sentences(section.after)])


def targets(checks: Sequence[Check]) -> Section:
    rows = [
        [
            check.target,
            check.what,
            f"{'≤' if check.most else '≥'} {number(check.wanted)} {check.unit}",
            "-" if check.measured is None else f"{number(check.measured)} {check.unit}",
            f"{check.verdict}{f': {check.note}' if check.note else ''}",
        ]
        for check in checks
    ]
    met = sum(check.verdict == "met" for check in checks)
    return Section("The targets", f"{met} of {len(checks)} met in this run.", TARGETS, rows)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(columns) + " |"
    yield "|" + " --- |" * len(columns)
    yield from ("| " + " | ".join(row) + " |" for row in rows)


def _sentences(after: Sequence[str]) -> Iterator[str]:
    for sentence in after:
        yield ""
        yield sentence
