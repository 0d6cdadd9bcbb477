"""A multi-layer perceptron of scikit-learn's on the digits: learns an epoch at a time, and can be put back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec

from headrace.engines.digits.arrays import Arrays, Unreadable, pack, unpack
from headrace.engines.digits.data import LABELS, NAME, PIXELS, SHADES, Split, split
from headrace.engines.digits.training import TrainingInput, train
from headrace.engines.engine import Engine, Work
from headrace.engines.options import Options, configured, only, whole_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT: Final = "sklearn-npz"
_GENERATOR: Final = "MT19937"


class MlpInput(TrainingInput, frozen=True, kw_only=True):
    # How wide each hidden layer is.
    hidden: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=1, le=512)], ...],
        msgspec.Meta(min_length=1, max_length=3),
    ] = (64,)


class MlpTrainer:
    """Trains a small network to read handwritten digits, with scikit-learn."""

    kind: ClassVar[str] = "training"
    models: ClassVar[Sequence[str]] = ("digits-mlp",)
    Input: ClassVar[type[msgspec.Struct]] = MlpInput
    requires: ClassVar[Sequence[str]] = ("sklearn", "numpy")
    threads: ClassVar[int] = 1

    @classmethod
    def configure(cls, options: Options) -> type[Engine]:
        only(options, ("threads",))
        return configured(cls, threads=whole_number(options, "threads", cls.threads))

    def load(self, model: str) -> None:
        """Nothing to load, but what takes long to import."""
        import sklearn.datasets
        import sklearn.neural_network  # noqa: F401  # imported for the first run

    def run(self, work: Work[MlpInput]) -> dict[str, Any]:
        from threadpoolctl import threadpool_limits

        data = split(work.input.validation, work.input.seed)
        with threadpool_limits(self.threads):
            learner = MlpLearner(work.input, data)
            return train(work, learner, data, format_=FORMAT, artefact=artefact)


class MlpLearner:
    def __init__(self, asked: MlpInput, data: Split) -> None:
        import numpy as np
        from sklearn.neural_network import MLPClassifier

        self._data = data
        self._random = np.random.RandomState(asked.seed)
        self._batch_size = min(asked.batch_size, len(data.digits))
        self._network: Any = MLPClassifier(
            hidden_layer_sizes=asked.hidden,
            batch_size=self._batch_size,
            learning_rate_init=asked.learning_rate,
            random_state=self._random,
        )

    def learn(self) -> float:
        self._fit(len(self._data.digits))
        return float(self._network.loss_)

    def judge(self) -> tuple[float, float]:
        from sklearn.metrics import accuracy_score, log_loss

        likely = self._network.predict_proba(self._data.held_out)
        truth = self._data.held_out_digits
        loss = log_loss(truth, likely, labels=list(range(LABELS)))
        return float(loss), float(accuracy_score(truth, likely.argmax(axis=1)))

    def weights(self) -> Arrays:
        return {name: array.copy() for name, array in self._parameters().items()}

    def state(self) -> Arrays:
        import numpy as np

        optimiser = self._optimiser
        _, key, position, *_ = self._random.get_state()
        names = list(self._parameters())
        return {
            **self._parameters(),
            **{f"m.{name}": each for name, each in zip(names, optimiser.ms, strict=True)},
            **{f"v.{name}": each for name, each in zip(names, optimiser.vs, strict=True)},
            "t": np.array(optimiser.t),
            "random.key": key,
            "random.position": np.array(position),
        }

    def restore(self, state: Arrays) -> None:
        # scikit-learn sets a network up with its first batch; everything that this leaves is written over.
        self._fit(self._batch_size)
        optimiser = self._optimiser
        names = list(self._parameters())
        for name, array in self._parameters().items():
            array[...] = state[name]
        optimiser.ms = [state[f"m.{name}"] for name in names]
        optimiser.vs = [state[f"v.{name}"] for name in names]
        optimiser.t = int(state["t"])
        key, position = state["random.key"], int(state["random.position"])
        self._random.set_state(
            (_GENERATOR, key, position, 0, 0.0)
        )  # no half of a pair is left over

    def _fit(self, pictures: int) -> None:
        data = self._data
        self._network.partial_fit(
            data.pictures[:pictures], data.digits[:pictures], classes=list(range(LABELS))
        )

    @property
    def _optimiser(self) -> Any:
        return self._network._optimizer  # noqa: SLF001  # Adam's moments are told nowhere else

    def _parameters(self) -> dict[str, NDArray[Any]]:
        """In the optimiser's order."""
        network = self._network
        coefs = {f"coef.{nth}": each for nth, each in enumerate(network.coefs_)}
        return coefs | {f"intercept.{nth}": each for nth, each in enumerate(network.intercepts_)}


def artefact(weights: Arrays, parameters: dict[str, Any]) -> bytes:
    about = {"data": NAME, "pixels": PIXELS, "shades": SHADES, "parameters": parameters}
    return pack(weights, about)


def opened(data: bytes) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """An artefact's layers, each its coefficients and intercepts. Raises Unreadable."""
    arrays, _ = unpack(data)
    layers, wide = [], PIXELS
    for nth in range(len(arrays) // 2):
        coef, intercept = arrays.get(f"coef.{nth}"), arrays.get(f"intercept.{nth}")
        if coef is None or intercept is None or intercept.ndim != 1:
            raise Unreadable("half a layer is missing")
        if coef.shape != (wide, *intercept.shape):
            raise Unreadable("its layers do not fit each other")
        layers.append((coef, intercept))
        (wide,) = intercept.shape
    if not layers or wide != LABELS:
        raise Unreadable(f"it is no network from {PIXELS} pixels to {LABELS} digits")
    return layers
