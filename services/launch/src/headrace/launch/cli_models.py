"""`headrace models`: what its commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import App, Parameter, validators

from headrace.launch.command import AsJson, Limit, Once, console, run, settings

app = App(
    name="models",
    help="What can be run; registered models, their versions, and which of them jobs get.",
)
Number: TypeAlias = Annotated[int, Parameter(validator=validators.Number(gte=1))]
File: TypeAlias = Annotated[Path, Parameter(validator=validators.Path(exists=True, dir_okay=False))]


@app.default
def list_models(*, json: AsJson = False) -> None:
    """What can be run, and its inputs (* must be given)."""
    from headrace.launch import models

    run(models.show_runnable(settings(), console(), as_json=json))


@app.command
def registered(*, limit: Limit = 50, json: AsJson = False) -> None:
    """Registered models by name: your own, those that are shared, and who gets which version."""
    from headrace.launch import models

    run(models.show_registered(settings(), console(), limit=limit, as_json=json))


@app.command
def versions(name: str, *, limit: Limit = 50, json: AsJson = False) -> None:
    """The versions of a model, newest first: what made them, and how good they were then."""
    from headrace.launch import models

    run(models.show_versions(settings(), console(), name, limit=limit, as_json=json))


@app.command
def register(  # noqa: PLR0913  # a command line has as many options as it has
    name: str,
    file: File,
    *,
    as_format: Annotated[
        str, Parameter(name="--format", help="As its engine says: sklearn-npz, ...")
    ],
    metric: Annotated[
        tuple[str, ...], Parameter(negative="", help="name=0.97; again for another.")
    ] = (),
    data: Annotated[str, Parameter(help="What it was trained on.")] = "",
    job: Annotated[str | None, Parameter(help="The job of yours that made it.")] = None,
    note: str = "",
    idempotency_key: Once = None,
    json: AsJson = False,
) -> None:
    """Register a file as the next version: headrace models register digits w.npz --format sklearn-npz."""
    from headrace.launch import models

    upload = models.Upload(
        name=name, file=file, format=as_format, metrics=metric, data=data, job=job, note=note
    )
    run(models.register(settings(), console(), upload, key=idempotency_key, as_json=json))


@app.command
def route(name: str, weights: str, *, json: AsJson = False) -> None:
    """Share a model's jobs out between versions: headrace models route digits 3=90,4=10."""
    from headrace.launch import models

    asked = {"weights": models.read_weights(weights)}
    run(models.change(settings(), console(), name, "route", asked, as_json=json))


@app.command
def promote(name: str, version: Number, *, json: AsJson = False) -> None:
    """All jobs to one version."""
    from headrace.launch import models

    asked = {"version": version}
    run(models.change(settings(), console(), name, "promote", asked, as_json=json))


@app.command
def rollback(name: str, *, json: AsJson = False) -> None:
    """Back to the route that held before this one; again, to the one before that."""
    from headrace.launch import models

    run(models.change(settings(), console(), name, "rollback", {}, as_json=json))


@app.command
def history(name: str, *, limit: Limit = 20, json: AsJson = False) -> None:
    """Every route a model had, newest first: who changed it and when."""
    from headrace.launch import models

    run(models.show_routes(settings(), console(), name, limit=limit, as_json=json))


@app.command
def retire(name: str, version: Number) -> None:
    """Give a version to nobody any more, for ever; refused while its route names it."""
    from headrace.launch import models

    run(models.retire(settings(), console(), name, version))


@app.command
def performance(
    name: str,
    *,
    version: Annotated[
        tuple[Number, ...], Parameter(negative="", help="Again for another one.")
    ] = (),
    metric: Annotated[str | None, Parameter(help="A feedback's name, or output.NAME.")] = None,
    within: Annotated[float, Parameter(help="Seconds to look back.")] = 86_400.0,
    json: AsJson = False,
) -> None:
    """How its versions do, side by side, and whether the difference is one."""
    from headrace.launch import models

    asked = {"version": list(version), "metric": metric, "within_s": within}
    said = {key: value for key, value in asked.items() if value is not None}
    run(models.show_performance(settings(), console(), name, said, as_json=json))


@app.command
def share(
    tenant: str,
    name: str,
    *,
    off: Annotated[bool, Parameter(negative="", help="Its owner's alone again.")] = False,
    json: AsJson = False,
) -> None:
    """Let all tenants use a model of one; with the admin's key."""
    from headrace.launch import models

    run(models.share(settings(), console(), f"{tenant}/{name}", shared=not off, as_json=json))
