"""The pipeline that ships: a picture from words, made larger, and read again by something that never saw the words."""

from __future__ import annotations

from typing import Final

from headrace.core.pipeline import Given, Of, Pipeline, Plain, Stage

ILLUSTRATE: Final = Pipeline(
    name="illustrate",
    title="Draws a picture from a prompt, makes it larger, and says what is to be seen on it.",
    takes={"prompt": Plain.TEXT, "seed": Plain.NUMBER, "steps": Plain.NUMBER},
    optional=("seed", "steps"),
    stages=(
        Stage(
            name="image",
            kind="image",
            input={"prompt": Given("prompt"), "seed": Given("seed"), "steps": Given("steps")},
            gives={"image": Plain.BLOB, "seed": Plain.NUMBER},
        ),
        Stage(
            name="refine",
            kind="upscale",
            input={"image": Of("image", "image")},
            gives={"image": Plain.BLOB, "width": Plain.NUMBER, "height": Plain.NUMBER},
        ),
        Stage(
            name="caption",
            kind="caption",
            input={"image": Of("refine", "image")},
            gives={"caption": Plain.TEXT},
            on_failure="go_on",
        ),
    ),
)
