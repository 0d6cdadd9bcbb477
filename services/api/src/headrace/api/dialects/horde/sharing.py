"""What a request may be that comes with a shared key."""

from __future__ import annotations

from headrace.api.dialects.horde.errors import HordeError
from headrace.api.dialects.horde.schemas_asked import (
    HordeImageRequest,
    HordeVideoRequest,
    TextRequest,
)
from headrace.core.ports.users import SharedKey


def must_allow(
    shared: SharedKey | None, asked: HordeImageRequest | HordeVideoRequest | TextRequest
) -> None:
    """What it may cost is decided where it is held. Raises HordeError."""
    if shared is None:
        return
    if isinstance(asked, HordeImageRequest | HordeVideoRequest):
        pixels = asked.params.width * asked.params.height
        _must_fit("pixels", pixels, shared.max_image_pixels)
        _must_fit("steps", asked.params.steps, shared.max_image_steps)
    else:
        _must_fit("tokens", asked.params.max_length, shared.max_text_tokens)


def _must_fit(what: str, wanted: int, most: int | None) -> None:
    if most is not None and wanted > most:
        said = f"This shared key is good for {most} {what} at most; this asks for {wanted}."
        raise HordeError(403, "Forbidden", said)
