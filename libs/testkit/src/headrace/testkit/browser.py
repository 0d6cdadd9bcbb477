"""A real browser for the page's tests: Chromium, found or installed the Debian way."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, Page, ViewportSize, async_playwright

# Headless, as root, on a machine that reaches nothing: no sandbox, and no calls home.
_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
)
_DESK: Final = ViewportSize(width=1280, height=900)
_PHONE: Final = ViewportSize(width=390, height=844)
_AXE: Final = Path(__file__).parents[5] / "services/web/node_modules/axe-core/axe.min.js"
_INSTALL: Final = (
    "apt-get update -q && apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core"
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A page, and what it complained about."""

    page: Page
    complaints: list[str]


@asynccontextmanager
async def a_browser() -> AsyncGenerator[Browser]:
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium(), args=list(_FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


def chromium() -> str:
    """In the environment's CHROMIUM, on the path, or by apt as root; else skip, or fail under CI."""
    found = os.environ.get("CHROMIUM") or _on_the_path()
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["bash", "-c", _INSTALL], check=False, timeout=300, capture_output=True)  # noqa: S603, S607  # constant words
        found = _on_the_path()
    if found is not None:
        return found
    complaint = "no Chromium: install one, or name it in CHROMIUM"
    if os.environ.get("CI"):
        pytest.fail(complaint)
    pytest.skip(complaint)


def _on_the_path() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


async def shown(browser: Browser, url: str, *, phone: bool = False, dark: bool = False) -> Shown:
    """Open a page, on a desk or a phone."""
    context = await browser.new_context(
        viewport=_PHONE if phone else _DESK,
        color_scheme="dark" if dark else "light",
    )
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None,
    )
    await page.goto(url)
    return Shown(page, complaints)


async def close_pages(browser: Browser) -> None:
    """All that were opened: a live page works on, also when nobody looks at it any more."""
    for context in browser.contexts:
        await context.close()


async def barriers(page: Page) -> list[str]:
    """What axe-core calls serious or worse, for those who cannot see, hear or use a mouse."""
    await page.evaluate(_AXE.read_text())  # evaluated, not added: the page's policy takes no script
    found = await page.evaluate("axe.run()")
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:120]}"
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]
