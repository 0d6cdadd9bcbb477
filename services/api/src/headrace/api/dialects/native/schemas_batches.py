"""Batches over the wire at the native door."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from headrace.api.dialects.native.schemas import ErrorView, LabelName, LabelValue
from headrace.core.batch import MOST_ITEMS, BatchState, ItemState
from headrace.core.batch_items import MOST_LABELS

_ID: Final[JsonDict] = {"format": "uuid"}
_ITEM: Final[dict[str, Any]] = {"custom_id": "row-1", "input": {"prompt": "Tell me about rivers."}}


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class BatchQuery(BaseModel):
    """What is asked of all items that come as a body of JSON lines."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str | None = Field(
        None, min_length=1, max_length=64, description="Needed beside JSON lines, and only there."
    )
    model: str | None = Field(
        None, min_length=1, max_length=128, description="The kind's default when left out."
    )
    priority: int = Field(0, ge=-100, le=100, description="Higher first, within one tenant.")
    timeout: float = Field(
        3600.0, gt=0, le=604_800, allow_inf_nan=False, description="Seconds one attempt may run."
    )
    label: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{1,63}:.{0,255}$")]] = Field(
        default_factory=list, max_length=MOST_LABELS, description="`name:value`"
    )


class BatchRequest(BaseModel):
    """Either `items`, or the `blob` that they were uploaded as: a JSON object a line.

    An item may say another model or priority, and more labels.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: str = Field(min_length=1, max_length=64, examples=["text"])
    model: str | None = Field(
        None, min_length=1, max_length=128, description="The kind's default when left out."
    )
    priority: int = Field(0, ge=-100, le=100, description="Higher first, within one tenant.")
    timeout: float = Field(
        3600.0, gt=0, le=604_800, allow_inf_nan=False, description="Seconds one attempt may run."
    )
    # Two less than a job may have: those of the batch and the item are added.
    labels: dict[LabelName, LabelValue] = Field(default_factory=dict, max_length=MOST_LABELS)
    items: list[Any] | None = Field(
        None,
        max_length=MOST_ITEMS,
        description=(
            "Each an object with `input` and, if wanted, `custom_id`, `model`, `priority` and `labels`. "
            "One that is wrong is rejected alone, when its turn comes."
        ),
        examples=[[_ITEM]],
    )
    blob: str | None = Field(None, max_length=64, description="Of `POST /blobs`.")


class BatchCounts(_Told):
    """All of them together are the total."""

    waiting: int = Field(description="Also those that are no jobs yet.")
    running: int
    succeeded: int
    failed: int
    cancelled: int
    dead: int = Field(description="They used up their attempts.")
    rejected: int = Field(description="No job could be made of them.")


class BatchLinks(_Told):
    self: str
    results: str
    errors: str
    events: str
    cancel: str


class BatchView(_Told):
    id: str = Field(json_schema_extra=_ID)
    kind: str
    model: str | None
    state: BatchState
    total: int
    counts: BatchCounts
    progress: float = Field(description="0 to 1: how much of it has ended.")
    held_up: str | None = Field(description="Why no more of it begins now.")
    seconds_left: float | None = Field(
        description="If it goes on as it went of late; null: nobody can say."
    )
    priority: int
    timeout: float
    labels: dict[str, str]
    created_at: datetime | None
    finished_at: datetime | None
    trace_id: str | None
    links: BatchLinks


class BatchesPage(_Told):
    batches: list[BatchView]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class BatchResult(_Told):
    """A line of the results: an item that has ended."""

    item: int = Field(description="Which line of the batch it is, from 0.")
    custom_id: str | None
    state: ItemState
    job: str | None = Field(json_schema_extra=_ID, description="Null: none could be made of it.")
    model: str | None
    result: dict[str, Any] | None
    error: ErrorView | None
    ended_at: datetime
    cursor: int = Field(description="Of this line: `?after=` it come those that ended later.")
