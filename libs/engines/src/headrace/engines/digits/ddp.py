"""The same training by several processes, one for each GPU: torch's DistributedDataParallel under torchrun.

Each learns from its part of every batch, and all take the same step. So it arrives where one process arrives,
but for the order in which floats are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final

import msgspec

from headrace.engines.digits.cnn import CnnInput, train_cnn
from headrace.engines.engine import Engine, TryAgain, Work
from headrace.engines.gang.launching import run_gang
from headrace.engines.gang.told import GangWork
from headrace.engines.options import Options, configured, only, whole_number

MOST: Final = 64
_SCRIPT: Final = "headrace.engines.digits.ddp:learn_together"


class DdpInput(CnnInput, frozen=True, kw_only=True):
    # Processes, each on a GPU of its own, or on CPUs where the worker has none.
    gpus: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 1
    # Workers, each with so many processes: they begin together, or none does.
    nodes: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 1

    def __post_init__(self) -> None:
        if self.batch_size < self.gpus * self.nodes:
            raise ValueError(
                "batch_size should be at least gpus * nodes: each learns from its part of a batch"
            )


class DdpTrainer:
    """Trains the small convolutional network on several GPUs at once, with PyTorch's DDP."""

    kind: ClassVar[str] = "training"
    models: ClassVar[Sequence[str]] = ("digits-cnn-ddp",)
    Input: ClassVar[type[msgspec.Struct]] = DdpInput
    requires: ClassVar[Sequence[str]] = ("torch", "sklearn", "numpy")
    gang: ClassVar[bool] = True
    nodes: ClassVar[int] = 1

    @classmethod
    def configure(cls, options: Options) -> type[Engine]:
        """`most`: the GPUs that this worker has; `nodes`: the workers that a job may have.

        The door refuses who asks for more.
        """
        only(options, ("most", "nodes"))
        most = min(MOST, whole_number(options, "most", 1))
        nodes = min(MOST, whole_number(options, "nodes", 1))
        return configured(cls, Input=_input(most, nodes), nodes=nodes)

    def load(self, model: str) -> None:
        """Each process loads for itself."""

    def run(self, work: Work[DdpInput]) -> dict[str, Any]:
        if work.input.nodes > 1 and work.part is None:
            raise TryAgain(f"it wants {work.input.nodes} workers, and was given to one alone")
        return run_gang(work, _SCRIPT, work.input.gpus)


class Together:
    """One of the processes; torchrun has made them a group."""

    def __init__(self) -> None:
        from torch import distributed

        self.rank, self.of = distributed.get_rank(), distributed.get_world_size()

    def joined(self, network: Any) -> Any:
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(network)

    def summed(self, amount: Any) -> Any:
        from torch import distributed

        distributed.all_reduce(amount)
        return amount

    def agreed(self, figures: tuple[float, float]) -> tuple[float, float]:
        """Where GPUs differ in the last bits, one of them decides when to stop."""
        from torch import distributed

        told: list[Any] = [figures]
        distributed.broadcast_object_list(told, src=0)
        loss, right = told[0]
        return loss, right


def learn_together(work: GangWork) -> dict[str, Any]:
    """In each of the processes."""
    import torch

    torch.set_num_threads(1)
    asked = msgspec.convert(work.input, DdpInput)
    work.input = asked
    return train_cnn(work, asked, Together())


def _input(most: int, workers: int) -> type[msgspec.Struct]:
    gpus = Annotated[int, msgspec.Meta(ge=1, le=most)]
    nodes = Annotated[int, msgspec.Meta(ge=1, le=workers)]
    fields = [("gpus", gpus, 1), ("nodes", nodes, 1)]
    made = msgspec.defstruct("DdpInput", fields, bases=(DdpInput,), frozen=True, kw_only=True)
    made.__doc__ = DdpInput.__doc__
    return made
