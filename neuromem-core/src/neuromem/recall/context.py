"""``context()``: what was recalled, as a block for a prompt, within a budget of tokens."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from neuromem.domain.quoting import NOTICE
from neuromem.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.recall import RecallItem, RecallResult

Format = Literal["xml", "markdown"]

TITLES = {
    "profile": "Profile",
    "fact": "Facts",
    "insight": "Insights",
    "episodic": "Episodes",
    "general": "Notes",
    "relation": "Relations",
    "message": "Said in earlier conversations",
    "document": "Documents",
}
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


class ContextBlock(TypedDict):
    """A block for a prompt: its text, the ids of what it shows in order, its tokens, and how many did not fit."""

    text: str
    source_ids: list[str]
    tokens: int
    omitted: int


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has: a CJK character each, four other characters together, rounded up."""
    wide = len(_CJK.findall(text))
    return wide + -(-(len(text) - wide) // 4)


def block(
    found: RecallResult, *, max_tokens: int, form: str, count: Callable[[str], int] = estimate_tokens
) -> ContextBlock:
    """Return the block; what does not fit is left out from the least relevant on, and counted.

    Recalled text cannot leave its place: line breaks and the characters that make up the delimiters are escaped,
    each item stands on a line of its own.
    """
    if form not in ("xml", "markdown"):
        raise InputError(f"format must be 'xml' or 'markdown', not {form!r}.")
    shown: list[tuple[str, str, str]] = []  # kind, id, line
    omitted = 0
    for kind, item_id, line in _lines(found, form):
        text = _render([*shown, (kind, item_id, line)], form)
        if count(text) <= max_tokens:
            shown.append((kind, item_id, line))
        else:
            omitted += 1
    text = _render(shown, form) if shown else ""
    ids = list(dict.fromkeys(item_id for _, item_id, _ in shown if item_id))
    return ContextBlock(text=text, source_ids=ids, tokens=count(text), omitted=omitted)


def _lines(found: RecallResult, form: str) -> Iterator[tuple[str, str, str]]:
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
    content = " ".join(content.split())
    if form == "xml":
        named = "".join(f' {name}="{_escape(value)}"' for name, value in attributes.items())
        return f"<item{named}>{_escape(content)}</item>"
    about = ", ".join(f"{name} {_quote(value)}" for name, value in attributes.items())
    return f"- {f'({about}) ' if about else ''}> {_quote(content)}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _quote(text: str) -> str:
    """Take from a text what could open a heading, a fence or a tag."""
    text = re.sub(r"([`*_#<>\[\]|\\])", r"\\\1", " ".join(text.split()))
    return text.replace("\\_", "_")


def _render(shown: Sequence[tuple[str, str, str]], form: str) -> str:
    parts: list[str] = []
    for kind in (*TITLES, *dict.fromkeys(k for k, _, _ in shown if k not in TITLES)):
        lines = [line for other, _, line in shown if other == kind]
        if not lines:
            continue
        if form == "xml":
            parts += [f"<{kind}>", *lines, f"</{kind}>"]
        else:
            parts += [f"### {TITLES.get(kind, kind)}", *lines]
    if form == "xml":
        return "\n".join(["<memory>", f"<!-- {NOTICE} -->", *parts, "</memory>"])
    return "\n".join(["## Memory", NOTICE, *parts])
