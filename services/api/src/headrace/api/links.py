"""OpenAPI links: what an answer can be followed to, for programs that read the document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

# Of what an answer's schema tells of: the parameter that its id is for, and where the answer has it.
_NAMED: Final = {
    "JobView": ("job", "$response.body#/id"),
    "RunView": ("run", "$response.body#/id"),
    "BatchView": ("batch", "$response.body#/id"),
    "ScheduleView": ("schedule", "$response.body#/id"),
    "TaskView": ("task_id", "$response.body#/task_id"),
    "StoppedView": ("task_id", "$response.body#/task_id"),
    "KeyView": ("key", "$response.body#/id"),
    "NewKeyView": ("key", "$response.body#/id"),
    "BlobView": ("blob", "$response.body#/blob"),
}


def add_links(paths: Mapping[str, Any]) -> None:
    """From every answer that names a job, a task, a schedule or a blob to all that can be done with it."""
    for operations in paths.values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                found = _NAMED.get(_schema(response))
                if found is not None and status.startswith("2"):
                    response["links"] = dict(_links(paths, *found))


def _schema(response: Mapping[str, Any]) -> str:
    content = response.get("content", {}).get("application/json", {})
    reference: str = content.get("schema", {}).get("$ref", "")
    return reference.rpartition("/")[2]


def _links(paths: Mapping[str, Any], parameter: str, where: str) -> Iterator[tuple[str, Any]]:
    for path, operations in paths.items():
        if f"{{{parameter}}}" not in path:
            continue
        for operation in operations.values():
            target = operation["operationId"]
            yield target, {"operationId": target, "parameters": {parameter: where}}
