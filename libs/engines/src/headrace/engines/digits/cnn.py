"""A small convolutional network on the digits, in PyTorch, on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Protocol

import msgspec

from headrace.engines.digits import safetensors
from headrace.engines.digits.arrays import Arrays, Unreadable
from headrace.engines.digits.data import LABELS, NAME, SIDE, Split, split
from headrace.engines.digits.training import TrainingInput, train
from headrace.engines.engine import Engine, Work
from headrace.engines.options import Options, configured, only, whole_number

FORMAT: Final = "torch-safetensors"
_ABOUT: Final = "headrace"


class CnnInput(TrainingInput, frozen=True, kw_only=True):
    # Of the first layer; the second has twice as many.
    channels: Annotated[int, msgspec.Meta(ge=1, le=64)] = 16


class About(msgspec.Struct, frozen=True):
    """What an artefact says of itself."""

    channels: int
    parameters: dict[str, Any]
    data: str = NAME


class CnnTrainer:
    """Trains a small convolutional network to read handwritten digits, with PyTorch."""

    kind: ClassVar[str] = "training"
    models: ClassVar[Sequence[str]] = ("digits-cnn",)
    Input: ClassVar[type[msgspec.Struct]] = CnnInput
    requires: ClassVar[Sequence[str]] = ("torch", "sklearn", "numpy")
    gpu: ClassVar[bool] = True
    threads: ClassVar[int] = 1

    @classmethod
    def configure(cls, options: Options) -> type[Engine]:
        only(options, ("threads",))
        return configured(cls, threads=whole_number(options, "threads", cls.threads))

    def load(self, model: str) -> None:
        """Nothing: what is large to import comes with the first run, and costs nobody anything until then."""

    def run(self, work: Work[CnnInput]) -> dict[str, Any]:
        import torch

        torch.set_num_threads(self.threads)
        # Else two runs on one GPU differ in the last bits, and so does one that was resumed.
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        return train_cnn(work, work.input, Alone())


class Company(Protocol):
    """Who learns together: each from its part of every batch, and all arrive at the same weights."""

    rank: int
    of: int

    def joined(self, network: Any) -> Any:
        """To learn with: its gradients are the mean of all."""

    def summed(self, amount: Any) -> Any:
        """Of all."""

    def agreed(self, figures: tuple[float, float]) -> tuple[float, float]:
        """Those of the first."""


class Alone:
    rank, of = 0, 1

    def joined(self, network: Any) -> Any:
        return network

    def summed(self, amount: Any) -> Any:
        return amount

    def agreed(self, figures: tuple[float, float]) -> tuple[float, float]:
        return figures


def train_cnn(work: Work[Any], asked: CnnInput, company: Company) -> dict[str, Any]:
    data = split(asked.validation, asked.seed)
    learner = CnnLearner(asked, data, device(), company)
    work.log(f"On {learner.device}" + (f", {company.of} processes" if company.of > 1 else ""))
    return train(work, learner, data, format_=FORMAT, artefact=artefact)


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def network(channels: int) -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * channels * (SIDE // 2) ** 2, LABELS),
    )


class CnnLearner:
    def __init__(self, asked: CnnInput, data: Split, device: str, company: Company) -> None:
        import torch

        self.device = device
        self._company = company
        self._batch_size = asked.batch_size
        self._random = torch.Generator().manual_seed(asked.seed)  # of the order alone
        torch.manual_seed(asked.seed)  # of the first weights
        self._network = network(asked.channels).to(device)
        self._learning = company.joined(self._network)
        self._optimiser = torch.optim.Adam(self._network.parameters(), lr=asked.learning_rate)
        self._pictures = self._as_pictures(data.pictures)
        self._digits = torch.from_numpy(data.digits).to(device)
        self._held_out = self._as_pictures(data.held_out)
        self._held_out_digits = torch.from_numpy(data.held_out_digits).to(device)

    def learn(self) -> float:
        import torch

        self._network.train()
        order = torch.randperm(len(self._digits), generator=self._random).to(self.device)
        total = torch.zeros((), device=self.device)
        for batch in order.split(self._batch_size):
            ours = batch[self._company.rank :: self._company.of]
            self._optimiser.zero_grad()
            lost = self._lost(self._pictures[ours], self._digits[ours])
            # The gradients' mean over all processes is then that of the batch, however it was dealt out.
            (lost * (self._company.of / len(batch))).backward()
            self._optimiser.step()
            total += lost.detach()
        return float(self._company.summed(total)) / len(order)

    def judge(self) -> tuple[float, float]:
        import torch

        self._network.eval()
        with torch.inference_mode():
            said = self._network(self._held_out)
            loss = torch.nn.functional.cross_entropy(said, self._held_out_digits)
            right = (said.argmax(dim=1) == self._held_out_digits).float().mean()
        return self._company.agreed((float(loss), float(right)))

    def weights(self) -> Arrays:
        return {name: _array(each) for name, each in self._network.state_dict().items()}

    def state(self) -> Arrays:
        moments = {
            f"adam.{nth}.{name}": _array(value)
            for nth, of in self._optimiser.state_dict()["state"].items()
            for name, value in of.items()
        }
        return self.weights() | moments | {"random": _array(self._random.get_state())}

    def restore(self, state: Arrays) -> None:
        import torch

        tensors = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
        self._random.set_state(tensors.pop("random"))
        told: dict[int, dict[str, Any]] = {}
        for name in [name for name in tensors if name.startswith("adam.")]:
            _, nth, moment = name.split(".")
            told.setdefault(int(nth), {})[moment] = tensors.pop(name)
        self._network.load_state_dict(tensors)
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": told, "param_groups": groups})

    def _lost(self, pictures: Any, digits: Any) -> Any:
        """In all; of nothing it is nothing, with gradients of nothing."""
        import torch

        said = self._learning(pictures)
        return torch.nn.functional.cross_entropy(said, digits, reduction="sum")

    def _as_pictures(self, rows: Any) -> Any:
        import torch

        return torch.from_numpy(rows).reshape(-1, 1, SIDE, SIDE).to(self.device)


def artefact(weights: Arrays, parameters: dict[str, Any]) -> bytes:
    about = About(parameters["channels"], parameters)
    return safetensors.write(weights, {_ABOUT: msgspec.json.encode(about).decode()})


def opened(data: bytes) -> tuple[Arrays, About]:
    """The weights of an artefact. Raises Unreadable."""
    arrays, about = safetensors.read(data)
    try:
        return arrays, msgspec.json.decode(about.get(_ABOUT, ""), type=About)
    except msgspec.DecodeError as error:
        raise Unreadable(f"it does not say what it is: {error}") from error


def _array(tensor: Any) -> Any:
    """A copy, in this process's own memory."""
    return tensor.detach().cpu().numpy().copy()
