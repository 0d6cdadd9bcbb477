"""The `headrace` command: what it takes; the work is in the modules it imports when asked."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError, validators

from headrace.core.errors import HeadraceError, Unavailable
from headrace.launch import (
    cli_batches,
    cli_dead_letters,
    cli_keys,
    cli_models,
    cli_rollout,
    cli_runs,
    cli_schedules,
    cli_tenants,
    cli_users,
    cli_webhooks,
    cli_workers,
)
from headrace.launch.cast import RoleName
from headrace.launch.cli_filters import ANY, DryRun, Everybodys, JobFilter
from headrace.launch.command import (
    AsJson,
    Inputs,
    Limit,
    LogLimit,
    Model,
    Once,
    Prompt,
    console,
    run,
    settings,
)
from headrace.launch.errors import Exit, LaunchError, Misused
from headrace.launch.follow import Left

if TYPE_CHECKING:
    from headrace.launch.everybodys import Many

Out: TypeAlias = Annotated[Path | None, Parameter(help="Save the resulting picture, or JSON.")]
Watch: TypeAlias = Annotated[bool, Parameter(help="Or leave at once, printing the job's id.")]

app = App(
    name="headrace",
    help="Runs the GPU and AI jobs of an application.",
    help_epilogue=(
        "HEADRACE_URL (http://127.0.0.1:8000) says which api to talk to, HEADRACE_KEY as whom; "
        "HEADRACE_OPERATOR is who the audit says it was (else your login name). Exit codes: "
        "0 succeeded, 1 the job failed or a check did, 2 used wrongly or refused, 3 the job was "
        "cancelled, 4 nobody answers or too full: try again later, 130 interrupted."
    ),
    version=lambda: version("headrace-launch"),
    help_format="plaintext",
    exit_on_error=False,
    print_error=False,
    result_action="return_value",
)
for part in (
    cli_batches,
    cli_dead_letters,
    cli_keys,
    cli_models,
    cli_rollout,
    cli_runs,
    cli_schedules,
    cli_tenants,
    cli_users,
    cli_webhooks,
    cli_workers,
):
    app.command(part.app)
app.register_install_completion_command(
    help="Let the shell complete commands and options: writes its script, and a line to its rc file."
)


@app.command
def demo(
    *,
    out: Annotated[Path | None, Parameter(help="Where the picture goes.")] = None,
) -> Exit:
    """Run a real prompt and draw a real picture on the embedded default; show where time went."""
    from headrace.launch.demo import demo as show_demo

    return asyncio.run(show_demo(console(), out=out or Path(gettempdir()) / "headrace-demo.png"))


@app.command
def up(
    role: Annotated[RoleName | None, Parameter(help="In EDA: the role to play.")] = None,
    *,
    host: Annotated[str | None, Parameter(help="Instead of HOST.")] = None,
    port: Annotated[int | None, Parameter(help="Instead of PORT; 0 is any free one.")] = None,
) -> None:
    """Serve until Ctrl-C: every role in one process, or the one named."""
    from headrace.launch.up import up as serve
    from headrace.wiring.settings import load_settings

    overrides = {"host": host, "port": port}
    serve(load_settings(**{k: v for k, v in overrides.items() if v is not None}), role)


@app.command
def submit(  # noqa: PLR0913  # a command line has as many options as it has
    kind: str,
    prompt: Prompt = None,
    *,
    model: Model = None,
    inputs: Inputs = (),
    image: Annotated[Path | None, Parameter(help="A picture to upload as input.")] = None,
    out: Out = None,
    watch: Watch = True,
    idempotency_key: Once = None,
    json: AsJson = False,
) -> Exit:
    """Submit a job and watch it: headrace submit text "Why is the sky blue?"."""
    from headrace.launch import jobs

    wish = jobs.Wish(
        kind=kind,
        prompt=sys.stdin.read().strip() if prompt == "-" else prompt,
        model=model,
        given=inputs,
        image=image,
        out=out,
        idempotency_key=idempotency_key,
        as_json=json,
        watch=watch,
    )
    return run(jobs.submit(settings(), wish, console()))


@app.command
def watch(
    job: str | None = None,
    *,
    out: Out = None,
    json: AsJson = False,
) -> Exit:
    """Show a job from its beginning to its end, or all of late without one. Ctrl-C leaves them alone."""
    from headrace.launch import board, jobs

    if job is None:
        if json or out is not None:
            raise Misused("--json and --out are about one job; `headrace jobs --json` lists them.")
        return run(board.watch_all(settings(), console()))
    return run(jobs.watch(settings(), job, console(), as_json=json, out=out))


@app.command(name="jobs")
def list_jobs(
    *,
    everybodys: Everybodys = False,
    which: JobFilter = ANY,
    limit: Limit = 20,
    cursor: Annotated[str | None, Parameter(help="Only older ones: the next page.")] = None,
    json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    from headrace.launch import everybodys as operators
    from headrace.launch import jobs

    page = {"limit": limit} | ({} if cursor is None else {"cursor": cursor})
    asked = which.said(everybodys=everybodys) | page
    show = operators.show_jobs if everybodys else jobs.show_jobs
    run(show(settings(), console(), asked, as_json=json))


@app.command
def cancel(
    *jobs: str,
    everybodys: Everybodys = False,
    which: JobFilter = ANY,
    dry_run: DryRun = False,
    idempotency_key: Once = None,
    json: AsJson = False,
) -> Exit:
    """Ask a job to end; with --all, jobs of anybody's, by their ids or by what they have in common."""
    from headrace.launch import jobs as own

    if everybodys:
        many = _many(jobs, which, dry_run=dry_run, key=idempotency_key)
        return _settle("cancel", many, as_json=json)
    _only_with_all(which, dry_run=dry_run)
    run(own.cancel(settings(), _one(jobs), console(), as_json=json))
    return Exit.SUCCEEDED


@app.command
def retry(  # noqa: PLR0913  # a command line has as many options as it has
    *jobs: str,
    everybodys: Everybodys = False,
    which: JobFilter = ANY,
    dry_run: DryRun = False,
    out: Out = None,
    watch: Watch = True,
    idempotency_key: Once = None,
    json: AsJson = False,
) -> Exit:
    """Try a job that has ended again, as a new job, and watch that; with --all, many as for cancel."""
    from headrace.launch import jobs as own

    if everybodys:
        many = _many(jobs, which, dry_run=dry_run, key=idempotency_key)
        return _settle("retry", many, as_json=json)
    _only_with_all(which, dry_run=dry_run)
    wish = own.Wish(kind="", out=out, watch=watch, idempotency_key=idempotency_key, as_json=json)
    return run(own.retry(settings(), _one(jobs), console(), wish))


@app.command
def delete(
    job: str,
    *,
    cancel: Annotated[bool, Parameter(negative="", help="First, if it has not ended.")] = False,
    json: AsJson = False,
) -> None:
    """Delete a job with its input, result, frames and blobs, and print what was removed."""
    from headrace.launch import deleting

    run(deleting.delete(settings(), console(), f"/jobs/{job}", cancel=cancel, as_json=json))


@app.command
def explain(job: str, *, everybodys: Everybodys = False, json: AsJson = False) -> None:
    """Say why a job waits, and what would help."""
    from headrace.launch import everybodys as operators
    from headrace.launch import lanes

    of = operators.explain if everybodys else lanes.explain
    run(of(settings(), job, console(), as_json=json))


@app.command
def move(
    job: str,
    *,
    to: Literal["front", "back"] | None = None,
    priority: Annotated[
        int | None, Parameter(validator=validators.Number(gte=-100, lte=100))
    ] = None,
    json: AsJson = False,
) -> None:
    """Give a waiting job another place among its tenant's; HEADRACE_KEY is the admin's."""
    from headrace.launch import everybodys as operators

    if (to is None) == (priority is None):
        raise Misused("Say where: --to front, --to back, or --priority N.")
    wish = {"to": to} if to is not None else {"priority": priority}
    run(operators.move(settings(), job, wish, console(), as_json=json))


@app.command
def overview(
    *,
    window: Annotated[
        Literal[60, 300, 900, 3600], Parameter(help="Seconds that the figures are of.")
    ] = 300,
    json: AsJson = False,
) -> None:
    """How the installation does: lanes, paths, workers, waits and failures; HEADRACE_KEY is the admin's."""
    from headrace.launch import overview as seen

    run(seen.show_overview(settings(), console(), window_s=window, as_json=json))


@app.command
def trace(which: str, *, everybodys: Everybodys = False, json: AsJson = False) -> None:
    """Where the time of a job went, drawn to scale; `which` is a job, or a trace of late."""
    from headrace.launch import waterfall as drawn

    run(drawn.show_trace(settings(), which, console(), everybodys=everybodys, as_json=json))


@app.command
def logs(job: str, *, limit: LogLimit = 500, json: AsJson = False) -> None:
    """What happened to a job, and what its engines said, in order."""
    from headrace.launch import waterfall

    run(waterfall.show_logs(settings(), job, console(), limit=limit, as_json=json))


@app.command(name="lanes")
def list_lanes(*, json: AsJson = False) -> None:
    """Every lane: what waits in it, is it paused, and who serves it; HEADRACE_KEY is the admin's."""
    from headrace.launch import lanes

    run(lanes.show_lanes(settings(), console(), as_json=json))


@app.command
def pause(lane: str, *, json: AsJson = False) -> None:
    """Start nothing more of a lane; HEADRACE_KEY is the admin's."""
    from headrace.launch import lanes

    run(lanes.turn(settings(), lane, "pause", console(), as_json=json))


@app.command
def resume(lane: str, *, json: AsJson = False) -> None:
    """Let a paused lane go on; HEADRACE_KEY is the admin's."""
    from headrace.launch import lanes

    run(lanes.turn(settings(), lane, "resume", console(), as_json=json))


@app.command
def audit(*, limit: Limit = 20, json: AsJson = False) -> None:
    """What operators did, newest first; HEADRACE_KEY is the admin's."""
    from headrace.launch import tenants

    run(tenants.show_audit(settings(), console(), limit=limit, as_json=json))


@app.command
def doctor(*, json: AsJson = False) -> Exit:
    """Check every dependency of the settings in force; say what is wrong and what to do."""
    from headrace.launch.doctor import doctor as check_up

    return asyncio.run(check_up(console(), as_json=json))


@app.command
def migrate() -> None:
    """Bring the database of DATABASE_URL up to date."""
    from headrace.wiring.recipes import migrate as migrate_store
    from headrace.wiring.settings import load_settings

    asyncio.run(migrate_store(load_settings()))
    console().print("The database is up to date.")


def _one(jobs: tuple[str, ...]) -> str:
    """Raises Misused."""
    if len(jobs) != 1:
        raise Misused("Say which job: JOB. Many are an operator's: add --all.")
    return jobs[0]


def _only_with_all(which: JobFilter, *, dry_run: bool) -> None:
    if dry_run or which.said(everybodys=False):
        raise Misused("A filter and --dry-run are about many jobs: add --all.")


def _many(jobs: tuple[str, ...], which: JobFilter, *, dry_run: bool, key: str | None) -> Many:
    """Raises Misused."""
    from headrace.launch.everybodys import Many

    said = which.said(everybodys=True)
    if bool(jobs) == bool(said):
        raise Misused("Say which: JOB ..., or a filter (--tenant, --state, --error, ...).")
    return Many(ids=jobs, filter=said or None, dry_run=dry_run, idempotency_key=key)


def _settle(verb: Literal["cancel", "retry"], many: Many, *, as_json: bool) -> Exit:
    from headrace.launch.everybodys import settle

    return run(settle(settings(), verb, many, console(), as_json=as_json))


def main(arguments: Sequence[str] | None = None) -> None:
    """Leaves with an Exit. `arguments` instead of those of this process."""
    try:
        code = app(arguments)
    except (KeyboardInterrupt, asyncio.CancelledError):  # the second signal does not wait
        code = Exit.INTERRUPTED
    except Left as left:
        code = _complain(str(left), Exit.INTERRUPTED)
    except UnusedCliTokensError as error:
        more = " ".join(error.unused_tokens or ())
        code = _complain(f"There is no {more!r} here (headrace --help)", Exit.UNUSABLE)
    except CycloptsError as error:
        code = _complain(f"{error} (headrace --help)", Exit.UNUSABLE)
    except LaunchError as error:
        code = _complain(str(error), error.code)
    except Unavailable as error:
        code = _complain(str(error), Exit.NOT_NOW)
    except HeadraceError as error:
        code = _complain(str(error), Exit.UNUSABLE)
    sys.exit(int(code or 0))


def _complain(why: str, code: Exit) -> Exit:
    sys.stderr.write(f"headrace: {why.strip()}\n")
    return code
