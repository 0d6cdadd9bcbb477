"""What workers say and are told, field by field as the protocol has it."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, JsonValue

from headrace.api.dialects.horde.forms import Asked, Told

MOST_MODELS: Final = 500
_GENERATION: Final = 48 * 2**20  # characters of base64, or of text

WorkerName: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]
Name: TypeAlias = Annotated[str, Field(max_length=255)]
Names: TypeAlias = Annotated[list[Name], Field(max_length=MOST_MODELS)]
Users: TypeAlias = Annotated[list[Name], Field(max_length=20)]
Word: TypeAlias = Annotated[str, Field(max_length=100)]
Words: TypeAlias = Annotated[list[Word], Field(max_length=200)]
Whole: TypeAlias = Annotated[int, Field(ge=0, le=2**31 - 1)]
GenerationId: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]
Ended: TypeAlias = Literal["ok", "censored", "faulted", "csam"]


class PopRequest(Asked):
    """What every kind of worker says when it asks for work."""

    name: WorkerName
    bridge_agent: Annotated[str, Field(max_length=1000)] = "unknown:0:unknown"
    threads: Annotated[int, Field(ge=1, le=50)] = 1
    amount: Annotated[int, Field(ge=1, le=20)] | None = 1
    priority_usernames: Users | None = None
    require_upfront_kudos: bool | None = False
    extra_slow_worker: bool | None = False


class PicturePopRequest(PopRequest):
    models: Names
    max_pixels: Whole = 512 * 512
    nsfw: bool | None = True
    blacklist: Words | None = None
    limit_max_steps: bool | None = False


class ImagePopRequest(PicturePopRequest):
    """The body of `POST /api/v2/generate/pop`."""

    allow_img2img: bool | None = True
    allow_painting: bool | None = True
    allow_post_processing: bool | None = True
    allow_controlnet: bool | None = False
    allow_lora: bool | None = False


class VideoPopRequest(PicturePopRequest):
    """The body of `POST /api/v2/generate/video/pop`."""

    max_frames: Whole = 1000


class TextPopRequest(PopRequest):
    """The body of `POST /api/v2/generate/text/pop`."""

    models: Names
    max_length: Whole = 512
    max_context_length: Whole = 2048
    softprompts: Names | None = None
    nsfw: bool | None = True
    blacklist: Words | None = None


class FormPopRequest(PopRequest):
    """The body of `POST /api/v2/interrogate/pop`."""

    forms: Names
    max_tiles: Whole | None = None


class PopView(Told):
    id: str | None
    ids: list[str]
    payload: dict[str, Any]
    skipped: dict[str, int]
    model: str | None = None
    ttl: int | None = None
    r2_upload: str | None = None
    r2_uploads: list[str] | None = None
    source_image: str | None = None
    source_processing: str | None = None
    source_mask: str | None = None
    extra_source_images: list[dict[str, Any]] | None = None


class TextPopView(Told):
    id: str | None
    ids: list[str]
    payload: dict[str, Any]
    skipped: dict[str, int]
    model: str | None = None
    softprompt: str | None = None
    ttl: int | None = None


class PoppedForm(Told):
    id: str
    form: str
    payload: dict[str, Any]
    r2_upload: str
    source_image: str | None = None


class FormPopView(Told):
    forms: list[PoppedForm]
    skipped: dict[str, int]


class Metadata(Asked):
    type: Word
    value: Annotated[str, Field(max_length=1000)]
    ref: Name | None = None


class SubmitRequest(Asked):
    """The body of `POST /api/v2/generate/submit`, `generate/video/submit` and `generate/text/submit`."""

    id: GenerationId
    generation: Annotated[str, Field(max_length=_GENERATION)]
    state: Ended = "ok"
    seed: int | str | None = None
    censored: bool | None = None
    gen_metadata: Annotated[list[Metadata], Field(max_length=64)] | None = None


class FormSubmitRequest(Asked):
    """The body of `POST /api/v2/interrogate/submit`."""

    id: GenerationId
    result: dict[str, JsonValue] | Annotated[str, Field(max_length=_GENERATION)] | None = None
    state: Literal["ok", "done", "faulted", "cancelled", "processing", "waiting", "partial"] = "ok"


class RewardView(Told):
    reward: float | int


class ProgressRequest(Asked):
    id: GenerationId
    current_step: Whole
    total_steps: Annotated[int, Field(ge=1, le=2**31 - 1)]


class HeardView(Told):
    message: str


class WorkerChange(Asked):
    """The body of `PUT /api/v2/workers/{id}`."""

    maintenance: bool | None = None
    maintenance_msg: Annotated[str, Field(max_length=1000)] | None = None
    paused: bool | None = None
    info: Annotated[str, Field(max_length=1000)] | None = None
    name: WorkerName | None = None
    team: Annotated[str, Field(max_length=64)] | None = None


BODIES: Final = (
    ImagePopRequest,
    VideoPopRequest,
    TextPopRequest,
    FormPopRequest,
    SubmitRequest,
    FormSubmitRequest,
    ProgressRequest,
    WorkerChange,
)
