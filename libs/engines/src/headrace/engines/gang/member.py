"""One process of a gang, as torchrun starts it: `python -m headrace.engines.gang.member PARENT FOLDER`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec

from headrace.engines.gang.told import Done, Failed, GangWork, Word, pack, read_orders, words_of
from headrace.engines.lifeline import die_with

PATIENCE: Final = timedelta(seconds=120)  # with the others, at every step that all take together


def main(parent: int, folder: Path) -> None:
    die_with(parent)
    _run(folder, os.open(words_of(folder), os.O_WRONLY))  # closed by the kernel, once this is gone


def _run(folder: Path, words: int) -> None:
    import torch
    from torch import distributed

    orders = read_orders(folder)
    on_gpus = any(orders.devices)
    distributed.init_process_group("nccl" if on_gpus else "gloo", timeout=PATIENCE)
    if on_gpus:
        torch.cuda.set_device(_local_rank())  # among those that this gang sees
    first = distributed.get_rank() == 0
    say = partial(_write, words) if first else _keep_silent
    settle = partial(_write, words) if _local_rank() == 0 else _keep_silent
    try:
        output = _script(orders.script)(GangWork(orders, say))
        distributed.barrier()  # each has done its part
    except torch.OutOfMemoryError as error:
        settle(Failed(str(error), memory=True))
        raise
    settle(Done(msgspec.json.encode(output if first else {})))
    distributed.destroy_process_group()


def _local_rank() -> int:
    """Among the processes of this worker."""
    from torch import distributed

    rank: int = distributed.get_node_local_rank()
    return rank


def _write(words: int, word: Word) -> None:
    left = memoryview(pack(word))
    while left:
        left = left[os.write(words, left) :]


def _keep_silent(_: Word) -> None:
    """One speaks for all."""


def _script(name: str) -> Callable[[GangWork], dict[str, Any]]:
    module, _, function = name.partition(":")
    script: Callable[[GangWork], dict[str, Any]] = getattr(import_module(module), function)
    return script


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
