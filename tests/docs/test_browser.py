"""The site in a real browser: nothing fails, nothing is cut off, the search finds, the dark is dark."""

from __future__ import annotations

import os
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.docs.site import served

playwright = pytest.importorskip("playwright.async_api", reason="pip install --group docs")

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser, Page, ViewportSize

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = [
    pytest.mark.xdist_group("site"),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium-headless-shell"),
]

DESK: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Chromium of this machine; as root it runs without its sandbox."""
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    async with playwright.async_playwright() as driver:
        started = await driver.chromium.launch(executable_path=BROWSER, args=arguments)
        try:
            yield started
        finally:
            await started.close()


def faults(page: Page, home: str) -> list[str]:
    """Collect what goes wrong on a page from now on."""
    found: list[str] = []
    page.on("console", lambda said: found.append(f"console: {said.text}") if said.type == "error" else None)
    page.on("pageerror", lambda error: found.append(f"script: {error}"))
    page.on(
        "requestfailed",  # leaving a page ends what it is still loading
        lambda asked: (
            found.append(f"{asked.failure}: {asked.url}") if asked.failure != "net::ERR_ABORTED" else None
        ),
    )
    page.on("response", lambda got: found.append(f"{got.status}: {got.url}") if got.status >= 400 else None)
    page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith((home, "data:", "blob:"))
            else found.append(f"elsewhere: {asked.url}")
        ),
    )
    return found


@pytest.fixture
def pages(site: Path) -> list[str]:
    return sorted(path.parent.relative_to(site).as_posix() for path in site.rglob("index.html"))


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_every_page_loads_whole_and_fits(site: Path, pages: list[str], size: ViewportSize) -> None:
    with served(site) as home:
        async with browser() as chromium:
            page = await chromium.new_page(viewport=size)
            found = faults(page, home)
            for path in pages:
                await page.goto(f"{home}{path}/" if path != "." else home)
                broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"
                assert await page.evaluate(broken) == [], path
                wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                assert await page.evaluate(wide) <= 0, f"{path} is wider than {size['width']} pixels"
                assert found == [], path


async def test_the_search_finds(site: Path) -> None:
    with served(site) as home:
        async with browser() as chromium:
            page = await chromium.new_page(viewport=DESK)
            found = faults(page, home)
            await page.goto(home)
            await page.get_by_role("textbox", name="Search").fill("rollback_memories")
            first = page.locator(".md-search-result__item a").first
            await first.wait_for()
            await first.click()
            await page.wait_for_url(lambda url: "rollback" in url or "reference" in url)
            assert "rollback_memories" in await page.content()
            assert found == []


async def test_who_prefers_the_dark_gets_it_and_can_change_it(site: Path) -> None:
    with served(site) as home:
        async with browser() as chromium:
            page = await chromium.new_page(viewport=DESK, color_scheme="dark")
            await page.goto(home)
            body = page.locator("body")
            assert await body.get_attribute("data-md-color-scheme") == "slate"
            await page.get_by_title("Light").first.click()
            assert await body.get_attribute("data-md-color-scheme") == "default"
