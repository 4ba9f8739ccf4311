"""The site is built without a warning, complete, and asks nobody else for anything."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag, urljoin

import pytest

from docs.gen.reference.api import FACADES
from neuromem import _exports, plugin, testing
from neuromem.config import PREFIX, Settings
from neuromem.memory import NeuroMemory
from neuromem.registry.hooks import HOOKS
from neuromem.testing import contracts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("site")

HOME = "http://site/"


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        if name := found.get("id"):
            self.ids.add(name)
        if tag == "a" and (target := found.get("href")):
            self.links.append(target)
        if source := found.get("src") or (found.get("href") if tag == "link" else None):
            self.loads.append(source)


@cache
def read(path: Path) -> _Page:
    return _Page(path.read_text(encoding="utf-8"))


def address(site: Path, path: Path) -> str:
    return HOME + path.relative_to(site).as_posix().removesuffix("index.html")


def file_of(site: Path, url: str) -> Path:
    path = unquote(url.removeprefix(HOME))
    return site / path / "index.html" if path.endswith("/") or not path else site / path


def test_every_link_leads_to_a_page_and_a_place_on_it(site: Path) -> None:
    pages = [page for page in site.rglob("*.html") if page.name != "404.html"]
    assert len(pages) > 20
    for page in pages:
        for link in read(page).links:
            url, place = urldefrag(urljoin(address(site, page), link))
            if not url.startswith(HOME):
                continue
            target = file_of(site, url)
            assert target.is_file(), f"{page}: {link}"
            assert not place or place in read(target).ids or place == "__skip", f"{page}: {link}"


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for source in read(page).loads:
            assert urljoin(address(site, page), source).startswith((HOME, "data:")), f"{page}: {source}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(https?:)?//|@import", sheet.read_text()), sheet


def test_every_public_name_has_its_place_in_the_reference(site: Path) -> None:
    ids = {name for page in (site / "reference").rglob("*.html") for name in read(page).ids}
    for name, module in _exports.CORE.items():
        if name not in {"Settings", "hookimpl"}:
            assert f"{module}.{name}" in ids, name
    for owner in (NeuroMemory, *FACADES.values()):
        for method in vars(owner):
            if not method.startswith("_"):
                assert f"{owner.__module__}.{owner.__qualname__}.{method}" in ids, method
    for door in (plugin, testing, contracts):
        for name in door.__all__:
            thing = getattr(door, name)
            if name != "hookimpl":
                assert f"{thing.__module__}.{thing.__qualname__}" in ids, name
    assert set(HOOKS) <= ids


def test_every_setting_has_its_row(site: Path) -> None:
    text = (site / "reference" / "settings" / "index.html").read_text()

    def variables(values: dict[str, Any], prefix: str) -> list[str]:
        found = []
        for name, value in values.items():
            section = isinstance(value, dict) and value
            found += variables(value, f"{prefix}{name}__") if section else [f"{prefix}{name}".upper()]
        return found

    for variable in variables(Settings().model_dump(), PREFIX):
        assert f"<code>{variable}</code>" in text, variable


def test_the_pages_for_coding_agents_are_there_as_they_are(site: Path) -> None:
    index = (site / "llms.txt").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", index)
    assert len(links) >= 5
    for link in links:
        assert (site / link).is_file(), link
