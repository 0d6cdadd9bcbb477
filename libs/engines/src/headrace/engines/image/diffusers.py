"""Diffusion pipelines from folders of this machine, on a GPU where there is one."""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from headrace.engines.engine import Engine, OutOfMemory, Work
from headrace.engines.folders import model_folders, stay_offline
from headrace.engines.image.asked import SEEDS, DiffusersInput
from headrace.engines.options import Options, configured, only
from headrace.engines.torch_device import OPTIONS, TorchDevice, TorchOptions, torch_options

if TYPE_CHECKING:  # torch comes with the first load, in the child process only
    from PIL.Image import Image

    from headrace.engines.image.painting import Painter, Watch

_PREVIEWS: Final = 12  # at most, however many the steps
_PREVIEW_QUALITY: Final = 70


class DiffusersEngine:
    """Draws with a pipeline that diffusers can load."""

    kind: ClassVar[str] = "image"
    models: ClassVar[Sequence[str]] = ()
    Input: ClassVar[type[msgspec.Struct]] = DiffusersInput
    requires: ClassVar[Sequence[str]] = ("torch", "diffusers", "PIL")
    gpu: ClassVar[bool] = True
    folders: ClassVar[Mapping[str, Path]] = {}
    torch: ClassVar[TorchOptions] = TorchOptions()

    def __init__(self) -> None:
        self._device: TorchDevice | None = None
        self._painter: Painter | None = None

    @classmethod
    def configure(cls, options: Options) -> type[Engine] | None:
        only(options, ("models", *OPTIONS))
        folders = model_folders(options, has="model_index.json")
        if not folders:
            return None
        return configured(cls, models=tuple(folders), folders=folders, torch=torch_options(options))

    def load(self, model: str) -> None:
        """One model at a time: the former makes room first."""
        stay_offline()
        from headrace.engines.image.painting import Painter

        device = self._device = self._device or TorchDevice(self.torch)
        self._painter = None
        device.tidy()
        with device.within_memory():
            self._painter = Painter(self.folders[model], device)

    def run(self, work: Work[DiffusersInput]) -> dict[str, Any]:
        given = work.input
        seed = secrets.randbelow(SEEDS) if given.seed is None else given.seed
        begun = time.monotonic()
        pictures = self._painted(work, [(seed + nth) % SEEDS for nth in range(given.n)])
        spent = time.monotonic() - begun
        work.metric("steps_per_s", given.steps / spent)
        images = [work.blob(_encoded(each, "PNG"), "image/png").as_output() for each in pictures]
        return {
            "image": images[0],
            **({"images": images} if len(images) > 1 else {}),
            "width": pictures[0].width,
            "height": pictures[0].height,
            "seed": seed,
            "steps": given.steps,
            "draw_s": round(spent, 3),
        }

    def _painted(self, work: Work[DiffusersInput], seeds: Sequence[int]) -> list[Image]:
        """All at once if memory allows, else fewer; each picture depends on its own seed alone."""
        painter, device = self._painter, self._device
        if painter is None or device is None:
            raise RuntimeError("no model is loaded")
        done: list[Image] = []
        at_once = len(seeds)
        while batch := seeds[len(done) : len(done) + at_once]:
            watch = _watch(work, done=len(done), batch=len(batch))
            try:
                with device.within_memory():
                    done += painter.paint(work.input, batch, watch)
            except OutOfMemory:
                if len(batch) > 1:
                    at_once = (len(batch) + 1) // 2
                    work.log(f"out of memory: {at_once} at once from here")
                elif painter.save_memory():
                    work.log("out of memory: in slices from here, which is slower")
                else:
                    raise
        if (peak := device.peak_mib()) is not None:
            work.metric("gpu_peak_mib", peak)
        return done


def _watch(work: Work[DiffusersInput], *, done: int, batch: int) -> Watch:
    """Tells the steps of a batch as a share of all pictures, and shows some of them."""
    given = work.input
    every = -(-given.steps // _PREVIEWS)

    def watch(step: int, look: Callable[[], Image | None]) -> None:
        share = min(1.0, (done + batch * step / given.steps) / given.n)
        work.progress(share, step=min(step, given.steps), steps=given.steps, stage="drawing")
        shown = step < given.steps and (step % every == 0 or step == 1)
        if shown and (picture := look()):
            work.preview(_encoded(picture, "JPEG", quality=_PREVIEW_QUALITY), step=step)

    return watch


def _encoded(picture: Image, form: str, **how: int) -> bytes:
    held = io.BytesIO()
    picture.save(held, form, **how)
    return held.getvalue()
