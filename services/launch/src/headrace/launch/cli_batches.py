"""`headrace batch`: what its commands take."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter, validators

from headrace.launch.command import AsJson, Limit, Model, Once, console, run, settings

app = App(name="batch", help="Thousands of items in one go, each a job of its own.")


@app.default
def list_batches(*, limit: Limit = 20, json: AsJson = False) -> None:
    """List batches, newest first."""
    from headrace.launch import batches

    run(batches.show_list(settings(), console(), limit=limit, as_json=json))


@app.command
def submit(  # noqa: PLR0913  # a command line has as many options as it has
    kind: str,
    file: Annotated[str, Parameter(help="JSON lines; - reads them from standard input.")],
    *,
    model: Model = None,
    priority: Annotated[int | None, Parameter(help="-100 to 100, among your own jobs.")] = None,
    timeout: Annotated[float | None, Parameter(help="Seconds that an attempt may run.")] = None,
    label: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="name:value, on each of its jobs; again for more."),
    ] = (),
    idempotency_key: Once = None,
    json: AsJson = False,
) -> None:
    """Hand in a file of items, each a line such as {"input": {...}, "custom_id": "..."}, and print the batch's id."""
    from headrace.launch import batches

    given = {"kind": kind, "model": model, "priority": priority, "timeout": timeout, "label": label}
    terms = {name: value for name, value in given.items() if value not in (None, ())}
    handed = batches.submit(settings(), console(), file, terms, key=idempotency_key, as_json=json)
    run(handed)


@app.command
def show(batch: str, *, json: AsJson = False) -> None:
    """How many of its items wait, run and have ended, and how."""
    from headrace.launch import batches

    run(batches.show(settings(), console(), batch, as_json=json))


@app.command
def results(
    batch: str,
    *,
    errors: Annotated[bool, Parameter(negative="", help="Only what went wrong.")] = False,
    follow: Annotated[
        bool, Parameter(negative="", help="Wait for more, until it is over.")
    ] = False,
    after: Annotated[
        int, Parameter(validator=validators.Number(gte=0), help="The cursor of a line.")
    ] = 0,
) -> None:
    """Print what has ended so far as JSON lines, in the order of their ends."""
    from headrace.launch import batches

    run(batches.print_results(settings(), console(), batch, after, errors=errors, follow=follow))


@app.command
def cancel(batch: str, *, json: AsJson = False) -> None:
    """End what is left of it; what has ended stays."""
    from headrace.launch import batches

    run(batches.cancel(settings(), console(), batch, as_json=json))


@app.command
def delete(
    batch: str,
    *,
    cancel: Annotated[bool, Parameter(negative="", help="First, if it is not over.")] = False,
    json: AsJson = False,
) -> None:
    """Delete it with every job that it made: inputs, results, frames and blobs."""
    from headrace.launch import deleting

    at = f"/batches/{batch}"
    run(deleting.delete(settings(), console(), at, cancel=cancel, as_json=json))
