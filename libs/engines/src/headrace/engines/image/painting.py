"""A diffusion pipeline in memory. Imported with the first model, since torch comes with it.

A pipeline calls back after each step. That is where the step is told, and where a wish to stop is seen.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import diffusers
import torch
from PIL.Image import Image

from headrace.engines.engine import BadInput
from headrace.engines.image.asked import DiffusersInput
from headrace.engines.torch_device import TorchDevice

_PREVIEW_SIDE: Final = 32  # of the latent picture; eight times as much in pixels
_PLANES: Final = 4  # dimensions of latents that are pictures

# The step, and how to have a look at what is there by then.
Watch: TypeAlias = Callable[[int, Callable[[], "Image | None"]], None]

diffusers.utils.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()


class Painter:
    def __init__(self, folder: Path, device: TorchDevice) -> None:
        """Only safetensors are read: nothing in a folder is ever executed or unpickled."""
        self._pipe = diffusers.DiffusionPipeline.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=device.dtype
        ).to(device.device)
        self._pipe.set_progress_bar_config(disable=True)
        self._takes = frozenset(inspect.signature(self._pipe.__call__).parameters)
        self._saves_memory = False

    def paint(self, given: DiffusersInput, seeds: Sequence[int], watch: Watch) -> list[Image]:
        """One picture a seed, all in one batch."""

        def step(_: Any, index: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            watch(index + 1, lambda: self._look(tensors["latents"]))
            return {}

        asked = {
            "prompt": given.prompt,
            "negative_prompt": given.negative_prompt,
            "num_inference_steps": given.steps,
            "guidance_scale": given.guidance,
            "width": given.width,
            "height": given.height,
        }
        told = {name: value for name, value in asked.items() if value is not None}
        for name in told.keys() - self._takes:
            raise BadInput(_ours(name), f"is not taken by {type(self._pipe).__name__}")
        drawn: list[Image] = self._pipe(
            **told,
            num_images_per_prompt=len(seeds),
            # On the CPU: the same seed begins with the same noise on every device.
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            callback_on_step_end=step,
        ).images
        return drawn

    def save_memory(self) -> bool:
        """Slower, in less; False where that was done already."""
        if self._saves_memory:
            return False
        self._pipe.enable_attention_slicing()
        for switch in ("enable_slicing", "enable_tiling"):
            getattr(getattr(self._pipe, "vae", None), switch, lambda: None)()
        self._saves_memory = True
        return True

    def _look(self, latents: torch.Tensor) -> Image | None:
        """The first picture of the batch, small; None where latents are no picture."""
        vae = getattr(self._pipe, "vae", None)
        if vae is None or latents.ndim != _PLANES:
            return None
        scale = min(1.0, _PREVIEW_SIDE / max(latents.shape[-2:]))
        small = torch.nn.functional.interpolate(latents[:1], scale_factor=scale, mode="area")
        shift = getattr(vae.config, "shift_factor", None) or 0.0
        clear = vae.decode(small.to(vae.dtype) / vae.config.scaling_factor + shift).sample
        shown: list[Image] = self._pipe.image_processor.postprocess(clear, output_type="pil")
        return shown[0]


def _ours(name: str) -> str:
    return {"guidance_scale": "guidance", "num_inference_steps": "steps"}.get(name, name)
