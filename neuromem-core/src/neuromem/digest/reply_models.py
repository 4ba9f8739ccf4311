"""The reply that a digesting model is asked for: insights with their evidence, and a sentence about the mood.

The JSON schema that the model is sent is derived from these models; the insights are validated by them, one by one.
Names of fields are the names on the wire, as the prompt has them.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from neuromem.structured_output.coerce import NO_VALUE, OneToTen, OptionalText, Text, TextList, clean_text
from neuromem.structured_output.items import (
    CheckedReply,
    ReplyModel,
    as_list,
    read_relation_to_known,
    validate_items,
)
from neuromem.structured_output.json_reply import ReplyShape
from neuromem.structured_output.schema import reply_schema

SHAPE = ReplyShape(
    keys=frozenset({"insights", "state", "nothing"}),
    bare_list="insights",
    item_key="evidence",
    empty_is_reply=False,
)
MAX_INSIGHT = 1_000
"""Characters of an insight, and of the sentence about the mood."""

_ITEM_KEYS = frozenset({"content", "evidence", "known"})
_RELATIONS_TO_KNOWN = {
    "reinforce": "reinforces",
    "repeat": "reinforces",
    "repeats": "reinforces",
    "refine": "refines",
    "contradict": "contradicts",
}


def _content(value: object) -> object:
    return "" if value is None else value


def _category(value: object) -> object:
    return "summary" if isinstance(value, str) and value.strip().lower().startswith("summar") else "pattern"


def _relation_to_known(value: object) -> object:
    return read_relation_to_known(value, _RELATIONS_TO_KNOWN)


class RelationToInsight(ReplyModel):
    """How an insight relates to a known one; ``id`` is the label under which the model was shown that."""

    id: str
    standing: Literal["reinforces", "refines", "contradicts"]


class InsightItem(ReplyModel):
    """One insight as the model wrote it; ``evidence`` are labels of memories, not yet resolved."""

    content: Annotated[Text, BeforeValidator(_content)] = ""
    category: Annotated[Literal["pattern", "summary"], BeforeValidator(_category)] = "pattern"
    importance: OneToTen = None
    evidence: TextList = ()
    known: Annotated[RelationToInsight | None, BeforeValidator(_relation_to_known)] = None


class DigestReply(CheckedReply):
    """The insights of a reply that are usable."""

    insights: tuple[InsightItem, ...] = ()
    state: OptionalText = None
    nothing: OptionalText = None


DIGEST_SCHEMA = reply_schema(DigestReply)


def validate_digest_reply(value: dict[str, Any]) -> DigestReply:
    """Validate a reply insight by insight: good ones are kept, the others counted."""
    rejected: Counter[str] = Counter()
    raw = value.get("insights")
    raw_items = [] if isinstance(raw, str) else as_list(raw, item_keys=_ITEM_KEYS)
    items = []
    for item in validate_items(raw_items, InsightItem, "insights", rejected):
        may_be_empty = item.known is not None and item.known.standing != "refines"
        if clean_text(item.content, MAX_INSIGHT) is None and not (may_be_empty and item.content == ""):
            rejected["insight without content, or too long"] += 1
        else:
            items.append(item)
    state = clean_text(value.get("state"), MAX_INSIGHT)
    if state is not None and state.lower() in NO_VALUE:
        state = None
    return DigestReply.model_construct(insights=tuple(items), state=state, rejected=dict(rejected))
