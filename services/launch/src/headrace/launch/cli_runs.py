"""`headrace runs`: what its commands take."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from headrace.launch.command import AsJson, Limit, Once, console, run, settings
from headrace.launch.errors import Exit

app = App(name="runs", help="Runs of pipelines: jobs that feed each other.")


@app.default
def list_runs(*, limit: Limit = 20, json: AsJson = False) -> None:
    """List runs, newest first."""
    from headrace.launch import runs

    run(runs.show_list(settings(), console(), limit=limit, as_json=json))


@app.command
def show(run_id: str, /, *, json: AsJson = False) -> None:
    """One run: its stages, how far each is, and its jobs."""
    from headrace.launch import runs

    run(runs.show(settings(), console(), run_id, as_json=json))


@app.command
def watch(run_id: str, /, *, json: AsJson = False) -> Exit:
    """Tell of each stage as it goes on, until the run is over; its end is the exit code."""
    from headrace.launch import runs

    return run(runs.watch(settings(), console(), run_id, as_json=json))


@app.command
def cancel(run_id: str, /, *, idempotency_key: Once = None, json: AsJson = False) -> None:
    """End it as a whole."""
    from headrace.launch import runs

    run(runs.cancel(settings(), console(), run_id, key=idempotency_key, as_json=json))


@app.command
def retry(
    run_id: str, stage: str, /, *, idempotency_key: Once = None, json: AsJson = False
) -> None:
    """Do again what went wrong of a stage; what went well stays."""
    from headrace.launch import runs

    run(runs.retry(settings(), console(), run_id, stage, key=idempotency_key, as_json=json))


@app.command
def delete(
    run_id: str,
    /,
    *,
    cancel: Annotated[bool, Parameter(negative="", help="First, if it is not over.")] = False,
    json: AsJson = False,
) -> None:
    """Delete it with every job that it made: inputs, results, frames and blobs."""
    from headrace.launch import deleting

    at = f"/runs/{run_id}"
    run(deleting.delete(settings(), console(), at, cancel=cancel, as_json=json))
