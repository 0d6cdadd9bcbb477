"""Federated averaging on the digits: sites learn on what they have, and only weights leave them.

A worked example of docs/federated.md. Each site's worker has its own lane and its own part of the data, by
an option of its engine; no job's input names any data. So unlike are the parts that no site can learn all
digits by itself: each has three or four of the ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec

from headrace.engines.digits.arrays import Unreadable, pack, unpack
from headrace.engines.digits.data import LABELS, PIXELS, split
from headrace.engines.engine import BadInput, Engine, Work
from headrace.engines.options import Misconfigured, Options, configured, only, whole_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_SITES: Final = 8
_BATCH: Final = 32
_VALIDATION, _SEED = 0.2, 0  # the same split everywhere: nobody's pictures are held out ones
_MEDIA_TYPE: Final = "application/octet-stream"


class Blob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    blob: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Update(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a site gives: weights, and of how many pictures."""

    weights: Blob
    pictures: Annotated[int, msgspec.Meta(ge=1)]


class SiteInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    weights: Blob | None = None  # None: the first round
    epochs: Annotated[int, msgspec.Meta(ge=1, le=100)] = 2
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=10)] = 1.0
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] = 0


class SiteLearner:
    """Learns on the pictures of one site, from the weights that all had last."""

    kind: ClassVar[str] = "federated-learning"
    models: ClassVar[Sequence[str]] = ("digits-linear",)
    Input: ClassVar[type[msgspec.Struct]] = SiteInput
    requires: ClassVar[Sequence[str]] = ("sklearn", "numpy")
    site: ClassVar[int] = 0
    sites: ClassVar[int] = 1

    @classmethod
    def configure(cls, options: Options) -> type[Engine]:
        only(options, ("site", "sites"))
        sites = whole_number(options, "sites", cls.sites)
        site = whole_number(options, "site", cls.site, least=0)
        if site >= sites:
            raise Misconfigured("site", f"should be below {sites}: they are counted from 0")
        return configured(cls, site=site, sites=sites)

    def load(self, model: str) -> None:
        self._pictures, self._digits = part_of(self.site, self.sites)

    def run(self, work: Work[SiteInput]) -> dict[str, Any]:
        import numpy as np

        asked = work.input
        weights = fresh() if asked.weights is None else _read(work, asked.weights)
        random = np.random.default_rng((asked.seed, self.site))
        for epoch in range(1, asked.epochs + 1):
            work.check()
            _learn(weights, self._pictures, self._digits, asked.learning_rate, random)
            work.progress(step=epoch, steps=asked.epochs, stage="learning")
        return {"update": _given(work, weights, len(self._digits))}


class AverageInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From each site one; a pipeline names them."""

    site_0: Update
    site_1: Update | None = None
    site_2: Update | None = None
    site_3: Update | None = None
    site_4: Update | None = None
    site_5: Update | None = None
    site_6: Update | None = None
    site_7: Update | None = None

    @property
    def updates(self) -> list[Update]:
        every = (getattr(self, name) for name in self.__struct_fields__)
        return [update for update in every if update is not None]


class Averager:
    """The mean of what the sites have learnt, each with the weight of its pictures."""

    kind: ClassVar[str] = "federated-averaging"
    models: ClassVar[Sequence[str]] = ("digits-linear",)
    Input: ClassVar[type[msgspec.Struct]] = AverageInput
    requires: ClassVar[Sequence[str]] = ("sklearn", "numpy")

    def load(self, model: str) -> None:
        """What is judged by is read when it is needed; it is nobody's."""

    def run(self, work: Work[AverageInput]) -> dict[str, Any]:
        import numpy as np

        updates = work.input.updates
        shares = [update.pictures for update in updates]
        weights = [_read(work, update.weights) for update in updates]
        mean = np.average(weights, axis=0, weights=shares).astype(np.float32)
        accuracy = judge(mean)
        work.metric("accuracy", accuracy)
        work.log(f"{len(updates)} sites, {sum(shares)} pictures: {accuracy:.1%} right")
        return {**_given(work, mean, sum(shares)), "accuracy": accuracy}


def part_of(site: int, sites: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The pictures of one site, and which digits they are: those of a few neighbouring digits."""
    data = split(_VALIDATION, _SEED)
    ours = data.digits * sites // LABELS == site
    return data.pictures[ours], data.digits[ours]


def fresh() -> NDArray[np.float32]:
    """For each digit a number for each pixel, and one beside them."""
    import numpy as np

    return np.zeros((PIXELS + 1, LABELS), np.float32)


def judge(weights: NDArray[np.float32]) -> float:
    """On pictures that no site has."""
    data = split(_VALIDATION, _SEED)
    said = _with_ones(data.held_out) @ weights
    return float((said.argmax(axis=1) == data.held_out_digits).mean())


def _learn(
    weights: NDArray[np.float32],
    pictures: NDArray[np.float32],
    digits: NDArray[np.int64],
    rate: float,
    random: np.random.Generator,
) -> None:
    """Once over all, in place."""
    import numpy as np

    rows = _with_ones(pictures)
    for start in range(0, len(order := random.permutation(len(digits))), _BATCH):
        batch = order[start : start + _BATCH]
        said = rows[batch] @ weights
        wrong = np.exp(said - said.max(axis=1, keepdims=True))
        wrong /= wrong.sum(axis=1, keepdims=True)
        wrong[np.arange(len(batch)), digits[batch]] -= 1
        weights -= rate * rows[batch].T @ wrong / len(batch)


def _with_ones(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    return np.hstack([pictures, np.ones((len(pictures), 1), np.float32)])


def _given(work: Work[Any], weights: NDArray[np.float32], pictures: int) -> dict[str, Any]:
    packed = pack({"weights": weights}, {})
    return {"weights": work.blob(packed, _MEDIA_TYPE).as_output(), "pictures": pictures}


def _read(work: Work[Any], reference: Blob) -> NDArray[np.float32]:
    try:
        weights = unpack(work.read({"blob": reference.blob}))[0].get("weights")
    except Unreadable as error:
        raise BadInput("weights", str(error)) from error
    if weights is None or weights.shape != fresh().shape or weights.dtype.kind != "f":
        raise BadInput("weights", f"should be {PIXELS + 1} times {LABELS} numbers")
    return weights
