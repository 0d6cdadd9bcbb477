"""The commands about models: what can be run, what is registered, and which version jobs get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from headrace.launch.client import once
from headrace.launch.errors import Misused
from headrace.launch.printing import a_table, one_line, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating, talking
from headrace.launch.words import count, harmless, moment, seconds, when

_BYTES: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    name: str
    file: Path
    format: str
    metrics: Sequence[str]
    data: str
    job: str | None
    note: str


async def show_runnable(settings: ClientSettings, console: Console, *, as_json: bool) -> None:
    async with talking(settings) as client:
        models = await client.models()
    if as_json:
        print_json(console, models)
        return
    if not models:
        console.print("No engine is announced yet; they may still be loading.")
        return
    table = a_table("kind", "model", "what it does", "inputs", elastic="inputs")
    for each in models:
        title = each["title"] or ("registered" if each["registered"] else "")
        table.add_row(each["kind"], each["model"], title, ", ".join(_inputs(each["input_schema"])))
    console.print(table)


def _inputs(schema: Mapping[str, Any]) -> list[str]:
    required = schema.get("required", ())
    return [f"{name}*" if name in required else name for name in schema.get("properties", ())]


async def show_registered(
    settings: ClientSettings, console: Console, *, limit: int, as_json: bool
) -> None:
    async with talking(settings) as client:
        page = await client.ask("GET", "/models/registered", params={"limit": limit})
    found = page["models"]
    if as_json:
        print_json(console, found)
        return
    if not found:
        console.print("No model is registered yet: `headrace models register NAME FILE`.")
        return
    table = a_table("model", "newest", "jobs go to", "since", "whose", elastic="whose")
    for each in found:
        whose = "yours" if each["own"] else f"{each['tenant']}'s"
        table.add_row(
            each["name"],
            str(each["latest"]),
            _shares(each["route"]),
            when(each["route"]["changed_at"]),
            one_line(f"{whose}, shared" if each["shared"] else whose, style=""),
        )
    console.print(table)
    if page["next"] is not None:
        console.print(Text(f"\nThere are more than {count(limit, 'model')}.", style="dim"))


async def show_versions(
    settings: ClientSettings, console: Console, name: str, *, limit: int, as_json: bool
) -> None:
    async with talking(settings) as client:
        page = await client.ask("GET", f"{_at(name)}/versions", params={"limit": limit})
    found = page["versions"]
    if as_json:
        print_json(console, found)
        return
    table = a_table("version", "jobs", "format", "made", "metrics", "by", elastic="by")
    for each in found:
        table.add_row(
            each["asked_as"],
            _standing(each),
            each["format"],
            when(each["created_at"]),
            _metrics(each["metrics"]),
            one_line(each["note"] or each["made_by"]),
        )
    console.print(table)
    if page["next"] is not None:
        console.print(Text(f"\nThere are more than {count(limit, 'version')}.", style="dim"))


async def register(
    settings: ClientSettings, console: Console, upload: Upload, *, key: str | None, as_json: bool
) -> None:
    asked: dict[str, Any] = {
        "format": upload.format,
        "metrics": read_metrics(upload.metrics),
        "data": upload.data,
        "job": upload.job,
        "note": upload.note,
    }
    async with talking(settings) as client:
        # With a key that belongs to it, so that the same command names the same blob again.
        blob = await client.put_blob(upload.file.read_bytes(), _BYTES, key=key)
        made = await client.ask(
            "POST",
            f"{_at(upload.name)}/versions",
            json={**asked, "artefact": {"blob": blob}},
            headers=once(key),
        )
    if as_json:
        print_json(console, made)
        return
    jobs = "gets its model's jobs" if made["share"] else "gets no job until it is routed"
    said = f"{made['asked_as']} is registered ({made['sha256'][:12]}…) and {jobs}."
    console.print(Text(said), soft_wrap=True)


async def change(
    settings: ClientSettings,
    console: Console,
    name: str,
    how: str,
    asked: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    async with talking(settings) as client:
        body = {"json": asked} if asked else {}
        found = await client.ask("POST", f"{_at(name)}/{how}", **body)
    if as_json:
        print_json(console, found)
        return
    console.print(Text(f"{found['name']}: {_shares(found['route'])}, from the next job on."))


async def show_routes(
    settings: ClientSettings, console: Console, name: str, *, limit: int, as_json: bool
) -> None:
    async with talking(settings) as client:
        page = await client.ask("GET", f"{_at(name)}/routes", params={"limit": limit})
    if as_json:
        print_json(console, page["routes"])
        return
    table = a_table("route", "jobs went to", "how", "at", "by", elastic="by")
    for each in page["routes"]:
        restored = "" if each["restores"] is None else f" to {each['restores']}"
        how = f"{each['how'].replace('_', ' ')}{restored}"
        by = one_line(each["changed_by"], style="")
        table.add_row(str(each["number"]), _shares(each), how, moment(each["changed_at"]), by)
    console.print(table)


async def retire(settings: ClientSettings, console: Console, name: str, version: int) -> None:
    async with talking(settings) as client:
        await client.delete(f"{_at(name)}/versions/{version}")
    console.print(Text(f"{name}@{version} is given to nobody any more."))


async def show_performance(
    settings: ClientSettings,
    console: Console,
    name: str,
    asked: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    async with talking(settings) as client:
        found = await client.ask("GET", f"{_at(name)}/performance", params=asked)
    if as_json:
        print_json(console, found)
        return
    metric = found["metric"] or "metric"
    columns = ("version", "jobs", "well", "failed", "waited p50, p95", "ran p50, p95", metric)
    table = a_table(*columns, elastic=metric)
    for each in found["versions"]:
        table.add_row(
            f"{name}@{each['version']}",
            f"{each['share']:g} %",
            f"{each['succeeded']:,}",
            _failed(each),
            _latency(each["queue"]),
            _latency(each["run"]),
            _mean(each),
        )
    console.print(table)
    for each in found["comparisons"]:
        for verdict in each["verdicts"]:
            said = f"{each['base']} and {each['version']}, {verdict['of']}: {verdict['said']}"
            console.print(Text(f"{said} · {verdict['test']}", style="dim"), soft_wrap=True)


async def share(
    settings: ClientSettings, console: Console, which: str, *, shared: bool, as_json: bool
) -> None:
    async with operating(settings) as client:
        path = f"/admin/models/{quote(which, safe='/')}"
        found = await client.ask("PUT", path, json={"shared": shared})
    if as_json:
        print_json(console, found)
        return
    whose = "every tenant's to use" if found["shared"] else "its owner's alone"
    console.print(Text(f"{found['tenant']}/{found['name']} is {whose}."))


def read_weights(text: str) -> dict[str, float]:
    """`3=90,4=10`. Raises Misused."""
    return {
        version: _number(each, value) for each in text.split(",") for version, value in _pair(each)
    }


def read_metrics(given: Sequence[str]) -> dict[str, float]:
    """Raises Misused."""
    return {name: _number(each, value) for each in given for name, value in _pair(each)}


def _pair(text: str) -> list[tuple[str, str]]:
    name, found, value = text.strip().partition("=")
    if not found:
        raise Misused(f"{text!r}: write it as in 3=90 or accuracy=0.97.")
    return [(name, value)]


def _number(text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise Misused(f"{text!r}: {value!r} is no number.") from None


def _at(name: str) -> str:
    return f"/models/{quote(name, safe='')}"


def _shares(route: Mapping[str, Any]) -> str:
    return ", ".join(f"{version}: {share:g} %" for version, share in route["shares"].items())


def _standing(version: Mapping[str, Any]) -> Text:
    if version["retired_at"] is not None:
        return Text(f"retired {when(version['retired_at'])}", style="dim")
    share = version["share"]
    return Text(f"{share:g} %" if share else "none", style="green" if share else "")


def _metrics(metrics: Mapping[str, float]) -> str:
    return harmless(", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))


def _failed(figures: Mapping[str, Any]) -> str:
    rate = figures["failure_rate"]
    return f"{figures['failed']:,}" + ("" if rate is None else f" ({rate:.2%})")


def _latency(found: Mapping[str, float] | None) -> str:
    return "" if found is None else f"{seconds(found['p50_s'])}, {seconds(found['p95_s'])}"


def _mean(figures: Mapping[str, Any]) -> str:
    mean = figures["metric_mean"]
    return "" if mean is None else f"{mean:.4g} (of {figures['metric_count']:,})"
