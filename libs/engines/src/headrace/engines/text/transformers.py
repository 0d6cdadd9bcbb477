"""Language models from folders of this machine, on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from headrace.engines.engine import BadInput, Engine, Work
from headrace.engines.folders import model_folders, stay_offline
from headrace.engines.options import Options, configured, only
from headrace.engines.text.asked import TextInput, seed_of
from headrace.engines.torch_device import OPTIONS, TorchDevice, TorchOptions, torch_options

if TYPE_CHECKING:  # torch comes with the first load, in the child process only
    from headrace.engines.text.causal import Causal


class TransformersEngine:
    """Writes with a language model that transformers can load."""

    kind: ClassVar[str] = "text"
    models: ClassVar[Sequence[str]] = ()
    Input: ClassVar[type[msgspec.Struct]] = TextInput
    requires: ClassVar[Sequence[str]] = ("torch", "transformers")
    gpu: ClassVar[bool] = True
    folders: ClassVar[Mapping[str, Path]] = {}
    torch: ClassVar[TorchOptions] = TorchOptions()

    def __init__(self) -> None:
        self._device: TorchDevice | None = None
        self._writer: Causal | None = None

    @classmethod
    def configure(cls, options: Options) -> type[Engine] | None:
        only(options, ("models", *OPTIONS))
        folders = model_folders(options, has="config.json")
        if not folders:
            return None
        return configured(cls, models=tuple(folders), folders=folders, torch=torch_options(options))

    def load(self, model: str) -> None:
        """One model at a time: the former makes room first."""
        stay_offline()
        from headrace.engines.text.causal import Causal

        device = self._device = self._device or TorchDevice(self.torch)
        self._writer = None
        device.tidy()
        with device.within_memory():
            self._writer = Causal(self.folders[model], device)

    def run(self, work: Work[TextInput]) -> dict[str, Any]:
        given = work.input
        if given.response_format is not None and given.response_format.type != "text":
            raise BadInput("response_format", "cannot be kept to by this engine")
        if self._writer is None or self._device is None:
            raise RuntimeError("no model is loaded")
        with self._device.within_memory():
            output = self._writer.write(work, seed_of(given))
        if (peak := self._device.peak_mib()) is not None:
            work.metric("gpu_peak_mib", peak)
        return output
