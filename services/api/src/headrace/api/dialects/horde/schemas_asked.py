"""What requesters ask for, field by field as the protocol has it. Fields that it has and nobody reads are ignored."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, JsonValue

from headrace.api.dialects.horde.forms import Asked

MOST_AT_ONCE: Final = 20  # generations of one request
_LONGEST_PROMPT: Final = 200_000
_PICTURE: Final = 16 * 2**20  # characters of base64, or of an address

Side: TypeAlias = Annotated[int, Field(ge=64, le=3072, multiple_of=64)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Strength: TypeAlias = Annotated[float, Field(ge=-5, le=5)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=255)]
Word: TypeAlias = Annotated[str, Field(max_length=64)]
Prompt: TypeAlias = Annotated[str, Field(max_length=_LONGEST_PROMPT)]
Picture: TypeAlias = Annotated[str, Field(min_length=1, max_length=_PICTURE)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=MOST_AT_ONCE)]


class Lora(Asked):
    name: Name
    model: Strength = 1.0
    clip: Strength = 1.0
    inject_trigger: Annotated[str, Field(min_length=1, max_length=30)] | None = None
    is_version: bool = False


class HordeEmbedding(Asked):
    name: Name
    inject_ti: Literal["prompt", "negprompt"] | None = None
    strength: Strength = 1.0


class ExtraText(Asked):
    text: Annotated[str, Field(min_length=1, max_length=10_000)]
    reference: Annotated[str, Field(min_length=3, max_length=255)]


class ExtraSourceImage(Asked):
    image: Picture
    strength: Strength = 1.0


class ImageParams(Asked):
    n: Count = 1
    steps: Annotated[int, Field(ge=1, le=500)] = 30
    width: Side = 512
    height: Side = 512
    sampler_name: Word = "k_euler_a"
    cfg_scale: Annotated[float, Field(ge=0, le=100)] = 7.5
    denoising_strength: Share | None = None
    seed: Annotated[str, Field(max_length=255)] | None = None
    seed_variation: Annotated[int, Field(ge=1, le=1000)] | None = None
    karras: bool = False
    tiling: bool = False
    hires_fix: bool = False
    hires_fix_denoising_strength: Share | None = None
    clip_skip: Annotated[int, Field(ge=1, le=12)] = 1
    control_type: Word | None = None
    image_is_control: bool = False
    return_control_map: bool = False
    post_processing: Annotated[tuple[Word, ...], Field(max_length=16)] = ()
    post_processing_order: Word | None = None
    facefixer_strength: Share | None = None
    loras: Annotated[tuple[Lora, ...], Field(max_length=16)] = ()
    tis: Annotated[tuple[HordeEmbedding, ...], Field(max_length=16)] = ()
    extra_texts: Annotated[tuple[ExtraText, ...], Field(max_length=16)] = ()
    workflow: Word | None = None
    transparent: bool = False
    special: dict[str, JsonValue] | None = None


class _Request(Asked):
    """What requests for images and for text have in common."""

    prompt: Prompt = ""
    models: Annotated[tuple[Name, ...], Field(max_length=50)] = ()
    workers: Annotated[tuple[Word, ...], Field(max_length=20)] = ()
    worker_blacklist: bool = False
    trusted_workers: bool = False
    validated_backends: bool = True
    slow_workers: bool = True
    extra_slow_workers: bool = False
    dry_run: bool = False
    disable_batching: bool = False
    allow_downgrade: bool = False
    shared: bool = False
    proxied_account: Annotated[str, Field(max_length=255)] | None = None
    webhook: Annotated[str, Field(max_length=2000)] | None = None
    style: Name | None = None


class HordeImageRequest(_Request):
    """The body of `POST /api/v2/generate/async`."""

    params: ImageParams = Field(default_factory=ImageParams)
    nsfw: bool = True
    censor_nsfw: bool = False
    replacement_filter: bool = True
    source_image: Picture | None = None
    source_processing: (
        Literal["txt2img", "img2img", "inpainting", "outpainting", "remix"] | None
    ) = None
    source_mask: Picture | None = None
    extra_source_images: Annotated[tuple[ExtraSourceImage, ...], Field(max_length=5)] = ()
    r2: bool = True


class VideoParams(Asked):
    """No route of the protocol makes videos: the words are those of its images, `length` and `fps` are ours."""

    n: Annotated[int, Field(ge=1, le=4)] = 1
    length: Annotated[int, Field(ge=2, le=1000)] = 24  # pictures
    fps: Annotated[int, Field(ge=1, le=60)] = 12
    steps: Annotated[int, Field(ge=1, le=500)] = 30  # of each picture
    width: Side = 512
    height: Side = 512
    cfg_scale: Annotated[float, Field(ge=0, le=100)] = 7.5
    seed: Annotated[str, Field(max_length=255)] | None = None
    seed_variation: Annotated[int, Field(ge=1, le=1000)] | None = None


class HordeVideoRequest(_Request):
    """The body of `POST /api/v2/generate/video/async`."""

    params: VideoParams = Field(default_factory=VideoParams)
    nsfw: bool = True
    r2: bool = True


class TextParams(Asked):
    n: Count = 1
    max_length: Annotated[int, Field(ge=16, le=1024)] = 80
    max_context_length: Annotated[int, Field(ge=80, le=131_072)] = 1024
    temperature: Annotated[float, Field(ge=0, le=5)] | None = None
    top_p: Annotated[float, Field(ge=0.001, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=100)] | None = None
    top_a: Share | None = None
    typical: Share | None = None
    tfs: Share | None = None
    min_p: Share | None = None
    rep_pen: Annotated[float, Field(ge=1, le=3)] | None = None
    rep_pen_range: Annotated[int, Field(ge=0, le=32_768)] | None = None
    rep_pen_slope: Annotated[float, Field(ge=0, le=10)] | None = None
    sampler_order: Annotated[list[int], Field(max_length=16)] | None = None
    stop_sequence: Annotated[list[Name], Field(max_length=128)] | None = None
    singleline: bool | None = None
    frmtadsnsp: bool | None = None
    frmtrmblln: bool | None = None
    frmtrmspch: bool | None = None
    frmttriminc: bool | None = None
    smoothing_factor: Annotated[float, Field(ge=0, le=10)] | None = None
    dynatemp_range: Annotated[float, Field(ge=0, le=5)] | None = None
    dynatemp_exponent: Annotated[float, Field(ge=0, le=5)] | None = None
    use_default_badwordsids: bool | None = None


class TextRequest(_Request):
    """The body of `POST /api/v2/generate/text/async`."""

    params: TextParams = Field(default_factory=TextParams)
    softprompt: Name | None = None
    context_fit: Literal["ignore", "reject", "grow"] | None = None


Form: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]


class AlchemyForm(Asked):
    name: Form
    payload: dict[str, JsonValue] | None = None


class AlchemyRequest(Asked):
    """The body of `POST /api/v2/interrogate/async`."""

    forms: Annotated[list[AlchemyForm], Field(min_length=1, max_length=MOST_AT_ONCE)]
    source_image: Picture
    slow_workers: bool = True
    extra_slow_workers: bool = False
    webhook: Annotated[str, Field(max_length=2000)] | None = None


def as_asked(
    request: HordeImageRequest | HordeVideoRequest | TextRequest | AlchemyRequest,
) -> dict[str, Any]:
    """In this protocol's words, without what nobody set."""
    return request.model_dump(mode="json", exclude_none=True)
