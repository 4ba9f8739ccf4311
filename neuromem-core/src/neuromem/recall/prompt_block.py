"""``context()``: what was recalled, as a block for a prompt, within a budget of tokens."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from neuromem.domain.memory_types import MEMORY_TYPE_SPECS
from neuromem.domain.text.recalled_text import NOTICE
from neuromem.domain.text.token_estimate import estimate_tokens
from neuromem.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.recall_result import RecallItem, RecallResult

Format = Literal["xml", "markdown"]
Line = tuple[str, str, str]  # kind, id, text

TITLES: dict[str, str] = {
    "profile": "Profile",
    **{spec.name: spec.title for spec in MEMORY_TYPE_SPECS},
    "relation": "Relations",
    "message": "Said in earlier conversations",
    "document": "Documents",
}
MISFITS = 20  # items that are too long for what is left, after which no more are tried


class ContextBlock(TypedDict):
    """A block for a prompt: its text, the ids of what it shows in order, its tokens, and how many did not fit."""

    text: str
    source_ids: list[str]
    tokens: int
    omitted: int


def block(
    found: RecallResult, *, max_tokens: int, form: str, count: Callable[[str], int] = estimate_tokens
) -> ContextBlock:
    """Return the block; what does not fit is left out from the least relevant on, and counted.

    Something shorter may follow what is too long. Recalled text cannot leave its place: line breaks and the characters
    that make up the delimiters are escaped, each item stands on a line of its own.
    """
    if form not in ("xml", "markdown"):
        raise InputError(f"format must be 'xml' or 'markdown', not {form!r}.")

    def fits(lines: Sequence[Line]) -> bool:
        return count(_render(lines, form)) <= max_tokens

    shown: list[Line] = []
    rest = list(_lines(found, form))
    omitted = 0
    while rest and omitted < MISFITS:
        taken = _most(fits, shown, rest)
        shown += rest[:taken]
        omitted += taken < len(rest)
        rest = rest[taken + 1 :]
    omitted += len(rest)
    text = _render(shown, form) if shown else ""
    ids = list(dict.fromkeys(item_id for _, lines in _by_kind(shown) for _, item_id, _ in lines if item_id))
    return ContextBlock(text=text, source_ids=ids, tokens=count(text), omitted=omitted)


def _most(fits: Callable[[Sequence[Line]], bool], shown: Sequence[Line], rest: Sequence[Line]) -> int:
    """Return how many more lines fit, found by doubling and then by halving: counting may be slow."""
    low, high = 0, 1
    while high <= len(rest) and fits([*shown, *rest[:high]]):
        low, high = high, high * 2
    high = min(high, len(rest) + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits([*shown, *rest[:middle]]) else (low, middle)
    return low


def _lines(found: RecallResult, form: str) -> Iterator[Line]:
    """Yield what could be shown, the most important first."""
    for key, value in found["user_profile"].items():
        if value not in (None, "", [], {}):
            yield "profile", "", _line(form, {"key": key}, _plain(value))
    for item in found["merged"]:
        yield item["memory_type"], item["id"], _line(form, _attributes(item), _with_neighbors(item))
    for relation in found["graph_context"]:
        yield "relation", "", _line(form, {}, relation)


def _attributes(item: RecallItem) -> dict[str, str]:
    attributes = {"id": item["id"]}
    if item["memory_type"] == "message" and item["speaker"] is not None:
        attributes["by"] = item["speaker"]
    moment: datetime | None = item["occurred_at"]
    if moment is not None:
        attributes["date"] = moment.date().isoformat()
    return attributes


def _with_neighbors(item: RecallItem) -> str:
    """Return the content, within the turns around it when the answer brought some."""
    around = item.get("neighbors", [])
    before = [f"{turn['name'] or turn['role']}: {turn['content']}" for turn in around if turn["distance"] < 0]
    after = [f"{turn['name'] or turn['role']}: {turn['content']}" for turn in around if turn["distance"] > 0]
    return " / ".join([*before, item["content"], *after])


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "; ".join(value)
    return json.dumps(value, ensure_ascii=False)


def _line(form: str, attributes: Mapping[str, str], content: str) -> str:
    if form == "xml":
        named = "".join(f' {name}="{_escape(value)}"' for name, value in attributes.items())
        return f"<item{named}>{_escape(content)}</item>"
    about = ", ".join(f"{name} {_quote(value)}" for name, value in attributes.items())
    return f"- {f'({about}) ' if about else ''}> {_quote(content)}"


def _escape(text: str) -> str:
    text = " ".join(text.split())
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _quote(text: str) -> str:
    """Take from a text what could open a heading, a fence or a tag."""
    text = re.sub(r"([`*_#<>\[\]|\\])", r"\\\1", " ".join(text.split()))
    return text.replace("\\_", "_")


def _by_kind(shown: Sequence[Line]) -> Iterator[tuple[str, Sequence[Line]]]:
    for kind in (*TITLES, *dict.fromkeys(kind for kind, _, _ in shown if kind not in TITLES)):
        if lines := [line for line in shown if line[0] == kind]:
            yield kind, lines


def _render(shown: Sequence[Line], form: str) -> str:
    parts: list[str] = []
    for kind, lines in _by_kind(shown):
        texts = [text for _, _, text in lines]
        if form == "xml":
            parts += [f"<{kind}>", *texts, f"</{kind}>"]
        else:
            parts += [f"### {TITLES.get(kind, kind)}", *texts]
    if form == "xml":
        return "\n".join(["<memory>", f"<!-- {NOTICE} -->", *parts, "</memory>"])
    return "\n".join(["## Memory", NOTICE, *parts])
