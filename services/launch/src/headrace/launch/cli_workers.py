"""`headrace workers`: what its commands take."""

from __future__ import annotations

from cyclopts import App

from headrace.launch.command import AsJson, console, run, settings

app = App(
    name="workers",
    help="Who works, how each is, and draining one. HEADRACE_KEY is the admin's.",
)


@app.default
def everyone(*, json: AsJson = False) -> None:
    """Every worker: what it does, and whether offers and grants reach it."""
    list_workers(json=json)


@app.command(name="list")
def list_workers(*, json: AsJson = False) -> None:
    """The same."""
    from headrace.launch import workers

    run(workers.show_workers(settings(), console(), as_json=json))


@app.command
def show(worker: str, *, json: AsJson = False) -> None:
    """One worker: its slots, memory and GPUs, and the jobs it runs."""
    from headrace.launch import workers

    run(workers.show_worker(settings(), console(), worker, as_json=json))


@app.command
def drain(worker: str, *, json: AsJson = False) -> None:
    """Let it take nothing new and finish what runs; then it can be stopped."""
    from headrace.launch import workers

    run(workers.turn(settings(), console(), worker, "drain", as_json=json))


@app.command
def resume(worker: str, *, json: AsJson = False) -> None:
    """Let it take offers again."""
    from headrace.launch import workers

    run(workers.turn(settings(), console(), worker, "resume", as_json=json))
