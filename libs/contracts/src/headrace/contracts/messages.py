"""What services say to each other over the bus: frozen, versioned in `kind`, unknown fields ignored.

Claims, grants, heartbeats, orders and results carry lists, so that grouping changes no contract. An
offer is one job: it is acknowledged alone. Every message here has a golden file; a change is a new
version and a reader for the old one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from headrace.contracts.ids import BlobId, ClaimId, JobId, Lane, TenantId, WorkerId

# A job's input or output over this is kept as a blob; messages then carry {"input_blob": id} or
# {"output_blob": id} in its place. The rest of a message has room beside it.
MAX_INLINE_BYTES: Final = 48 * 1024
INPUT_BLOB: Final = "input_blob"
OUTPUT_BLOB: Final = "output_blob"
MAX_MESSAGE_BYTES: Final = 65_536  # ids and small values only; anything larger is a blob


class Offer(msgspec.Struct, frozen=True, tag_field="kind", tag="offer.v1", omit_defaults=True):
    """There is a job. Not the job: who wants to run it claims it.

    One for several workers at once comes to each by its mailbox, not by the lane's queue.
    """

    job: JobId
    epoch: int  # the job's epoch when it was offered; an older offer is refused at the claim
    lane: Lane
    nodes: int = 1  # workers that are to run it together
    gpus: int = 1  # that it wants of each


class Claim(msgspec.Struct, frozen=True, omit_defaults=True):
    id: ClaimId  # the same claim sent twice gets the same grant
    job: JobId
    epoch: int
    trace: str | None = None  # W3C traceparent of this attempt, for a later one to link to
    warm: list[str] | None = None  # models that this slot has loaded; None: it does not say
    at: str | None = None  # HOST:PORT where the other workers of a gang would meet this one


class Claims(msgspec.Struct, frozen=True, tag_field="kind", tag="claims.v1"):
    worker: WorkerId
    reply_to: str
    claims: list[Claim]


class Artefact(msgspec.Struct, frozen=True):
    """The weights of a registered model: a blob, and what its bytes must be."""

    tenant: TenantId  # whose blob it is
    blob: BlobId
    format: str  # as engines declare what they can load: 'sklearn-npz', 'torch-safetensors', ...
    sha256: str  # hexadecimal
    bytes: int


class Part(msgspec.Struct, frozen=True):
    """Which part of a gang over several workers one of them is. The first speaks for all."""

    rank: int
    of: int
    at: str  # HOST:PORT of the first, where all meet


class Grant(msgspec.Struct, frozen=True, tag_field="type", tag="grant", omit_defaults=True):
    """Run it: this execution alone holds `epoch`, for `lease_s` seconds from now on."""

    claim: ClaimId
    job: JobId
    tenant: TenantId
    epoch: int
    attempt: int
    lease_s: float
    kind: str
    model: str
    input: dict[str, Any]
    timeout_s: float
    trace: str | None = None  # W3C traceparent of the request that submitted the job
    previous: str | None = None  # that of the attempt before this one
    artefact: Artefact | None = None  # of the model; None: the engine has its weights by itself
    checkpoint: BlobId | None = None  # what an earlier attempt left behind, to go on from
    checkpoint_step: int | None = None
    part: Part | None = None  # None: it runs on this worker alone


class Refusal(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    """Somebody else has it, or shall have it, or it is over. The offer is settled.

    `elsewhere`: its model is loaded on another worker, to which it is offered again.
    """

    claim: ClaimId
    job: JobId
    reason: Literal["unknown", "stale", "taken", "over", "elsewhere"]


class Grants(msgspec.Struct, frozen=True, tag_field="kind", tag="grants.v1"):
    answers: list[Grant | Refusal]


class Heartbeat(msgspec.Struct, frozen=True, omit_defaults=True):
    job: JobId
    epoch: int
    fraction: float | None = None  # how far, 0..1
    checkpoint: BlobId | None = None  # the latest that this attempt has left behind
    checkpoint_step: int | None = None


class Gpu(msgspec.Struct, frozen=True, omit_defaults=True):
    """One GPU as its driver sees it, whoever uses it."""

    name: str
    utilisation: float  # 0..1, of the driver's last interval
    memory_used_bytes: int
    memory_total_bytes: int


class Hearing(msgspec.Struct, frozen=True):
    """How a worker listens for offers of one lane."""

    free: int  # slots that should be listening now
    alive_s: float  # since the consumer that was heard of least lately was known to be alive


class WarmModel(msgspec.Struct, frozen=True):
    """A model that is loaded in slots of one lane: a job that wants it starts at once."""

    lane: Lane
    model: str
    slots: int
    memory_bytes: int  # what loading it added, in the slot where it added most
    load_s: float  # what loading it took, where it took longest


class Holder(msgspec.Struct, frozen=True):
    """A job that has what another waits for."""

    job: JobId
    for_s: float  # so far


class Waits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an attempt waits for inside its worker, when this was said."""

    job: JobId
    epoch: int
    # 'devices', 'download', 'load', 'batch', 'memory'; a later build may wait for more.
    what: str
    for_s: float  # so far
    note: str = ""  # for people
    held_by: list[Holder] = []


class Vitals(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a worker is, for operators; `models` also says where a job had better go.

    What it cannot tell is left out.
    """

    draining: bool = False  # it was told to, and takes nothing new
    memory_bytes: int | None = None  # resident, of the worker and its engines' processes
    gpus: list[Gpu] | None = None
    hears: dict[str, Hearing] | None = None  # by lane
    order_s: float | None = None  # since an order last reached its mailbox; None: none ever did
    models: list[WarmModel] | None = None  # None: a build before it could say
    placed: dict[str, list[str]] | None = None  # by lane, the GPU that each slot was given
    waits: list[Waits] | None = None  # of the attempts that it holds, those that do not work yet
    at: str | None = None  # the host where other workers meet it; None: it takes part in no gang


class Heartbeats(
    msgspec.Struct, frozen=True, tag_field="kind", tag="heartbeats.v1", omit_defaults=True
):
    """A worker is alive, with these slots, running these jobs. Sent when idle too."""

    worker: WorkerId
    reply_to: str
    sequence: int  # echoed in the orders, so that the worker knows from when its lease counts
    slots: dict[str, int]  # lane -> slots
    heartbeats: list[Heartbeat]
    vitals: Vitals | None = None  # None: a build before it could say
    lease_s: float | None = None  # for how long to renew; None: for the dispatcher's own lease


class Order(msgspec.Struct, frozen=True):
    """`go` renews the lease; `cancel` renews it and asks to stop; `lost` means: not yours, say no more."""

    job: JobId
    epoch: int
    order: Literal["go", "cancel", "lost"]


class Orders(msgspec.Struct, frozen=True, tag_field="kind", tag="orders.v1", omit_defaults=True):
    """`sequence` is that of the heartbeats answered; None is a hint that answers nothing."""

    lease_s: float
    orders: list[Order]
    sequence: int | None = None
    # Take no new offers and finish what runs. Only what answers a heartbeat says whether.
    drain: bool = False


class EngineCard(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker's engine can do, so that the api can refuse what nobody runs."""

    lane: Lane
    kind: str
    models: list[str]
    input_schema: dict[str, Any]  # JSON Schema
    title: str = ""
    formats: list[str] = []  # of the artefacts that it can serve
    nodes: int = 1  # workers that one job may have at most; its input's `nodes` says how many


class Hello(msgspec.Struct, frozen=True, tag_field="kind", tag="hello.v1"):
    """A worker has started and brings these engines."""

    worker: WorkerId
    slots: dict[str, int]
    engines: list[EngineCard]


class Goodbye(msgspec.Struct, frozen=True, tag_field="kind", tag="goodbye.v1"):
    """A worker leaves; its slots no longer count."""

    worker: WorkerId


class Stages(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an attempt's time went, in seconds."""

    claim_s: float = 0.0
    load_s: float = 0.0
    run_s: float = 0.0
    store_s: float = 0.0
    cold: bool = False  # its model had to be loaded


class JobError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an attempt did not succeed. `kind` decides about a retry, `message` is for people."""

    kind: Literal["input", "transient", "resource", "worker_lost", "deadline", "internal"]
    message: str
    field: str | None = None
    detail: str | None = None  # the engine's traceback, for the person on call; bounded


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an attempt ended. `released`: given back unfinished, by no fault of the job's."""

    job: JobId
    epoch: int
    outcome: Literal["succeeded", "failed", "cancelled", "released"]
    output: dict[str, Any] | None = None
    error: JobError | None = None
    stages: Stages = msgspec.field(default_factory=Stages)
    dropped: int = 0  # frames of this attempt that never reached its stream
    blobs: list[BlobId] = msgspec.field(default_factory=list)  # named in an output that is a blob
    checkpoint: BlobId | None = None  # the latest, which no heartbeat may have told
    checkpoint_step: int | None = None


class Results(msgspec.Struct, frozen=True, tag_field="kind", tag="results.v1", omit_defaults=True):
    worker: WorkerId
    results: list[Result]
    reply_to: str | None = None  # who wants to hear what became of them; None: nobody


class Recorded(msgspec.Struct, frozen=True, tag_field="kind", tag="recorded.v1"):
    """What became of results: those that moved their job, and those that came too late to."""

    moved: list[ResultOf]
    stale: list[ResultOf]


class ResultOf(msgspec.Struct, frozen=True):
    job: JobId
    epoch: int  # that the result was spoken in


class Skill(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker that comes by HTTP can do, and what it does not want. Read beside `core/wants.py`."""

    kind: str  # of worker: 'image', 'video', 'text' or 'interrogation'
    models: list[str]  # by name; of an interrogation worker, its forms
    trusted: bool = False
    nsfw: bool = False
    max_pixels: int = 0
    max_frames: int = 0  # of a video
    img2img: bool = False
    painting: bool = False
    post_processing: bool = False
    controlnet: bool = False
    lora: bool = False
    max_length: int = 0  # tokens that it writes
    max_context: int = 0  # tokens that it reads
    softprompts: list[str] = []  # that it has
    slow: bool = False
    speed: float | None = None  # as it was measured; None: nobody knows
    few_steps: bool = False  # takes nothing with more steps than usual
    paid_only: bool = False
    blacklist: list[str] = []  # words; a prompt with one of them is not for it
    first: list[TenantId] = []  # whose jobs go before all others


class Take(msgspec.Struct, frozen=True, omit_defaults=True):
    """A claim without an offer: whichever waiting job fits, in the fair order."""

    id: ClaimId  # the same take sent twice gets the same grant
    skill: Skill
    lease_s: float
    wait_s: float = 0.0  # how long an answer may be put off until something fits
    name: str = ""  # what people call the worker
    slots: int = 1
    trace: str | None = None
    more: list[
        ClaimId
    ] = []  # for as many further jobs that differ from the first by their seed alone
    until: datetime | None = None  # by the store's clock: then nobody waits for an answer any more


class Takes(msgspec.Struct, frozen=True, tag_field="kind", tag="takes.v1"):
    worker: WorkerId
    reply_to: str
    takes: list[Take]


class Taken(msgspec.Struct, frozen=True, tag_field="kind", tag="taken.v1", omit_defaults=True):
    """The answer to one take: a job, or how many were passed over for what reason."""

    claim: ClaimId
    grant: Grant | None = None
    model: str = ""  # of those that would do, the one that this worker has
    skipped: dict[str, int] = {}
    drain: bool = False  # it was told to take nothing new
    more: list[Grant] = []  # of jobs like the first; their inputs are left out


def grants_of(taken: Taken) -> list[Grant]:
    return [] if taken.grant is None else [taken.grant, *taken.more]


Message: TypeAlias = (
    Offer
    | Claims
    | Grants
    | Heartbeats
    | Orders
    | Hello
    | Goodbye
    | Results
    | Recorded
    | Takes
    | Taken
)

_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    return _encoder.encode(message)


def decode(body: bytes) -> Message:
    """Raises msgspec.DecodeError (ValidationError among them) on what is no message of ours."""
    return _decoder.decode(body)
