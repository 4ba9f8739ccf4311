"""Validates the items of a reply one by one: good ones are kept, the others counted by reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from neuromem.structured_output.coerce import clean_text
from neuromem.structured_output.json_reply import lower_keys

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime


MAX_REASON = 500
"""Characters of the reason that a model gives for a relation to something known."""


Rejections = Annotated[dict[str, int], SkipJsonSchema()]
"""How many items or values were dropped, by reason; no part of what a model is asked for."""


class ReplyModel(BaseModel):
    """Base of the models of a reply: unknown keys are ignored, values do not change."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class CheckedReply(ReplyModel):
    """Base of a whole reply whose items were validated one by one; ``rejected`` counts by reason what was dropped."""

    rejected: Rejections = Field(default_factory=dict)

    @property
    def item_count(self) -> int:
        """How many usable items there are in all lists and objects of the reply."""
        return sum(
            len(value) for name, value in self if name != "rejected" and isinstance(value, tuple | dict)
        )


ItemT = TypeVar("ItemT", bound=ReplyModel)


def validate_items(
    raw_items: Iterable[object],
    model: type[ItemT],
    name: str,
    rejected: Counter[str],
    *,
    spoken_at: Callable[[Sequence[str]], datetime] | None = None,
) -> list[ItemT]:
    """Return the items that fit the model.

    Args:
        raw_items: The items as they were parsed.
        model: The model of an item.
        name: What the items are called in the reasons, such as "facts".
        rejected: Gets the count of each reason for which an item, or a value of one, was dropped.
        spoken_at: Returns when the messages with the labels in an item's ``sources`` were spoken, in the speaker's
            time zone: relative dates ("yesterday") are resolved against it. None: against now.
    """
    context = {"spoken_at": spoken_at, "dropped": rejected}
    items: list[ItemT] = []
    for raw in raw_items:
        try:
            value = lower_keys(raw) if isinstance(raw, dict) else raw
            items.append(model.model_validate(value, context=context))
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            rejected[f"{name}: {place or 'item'} of no use"] += 1
    return items


def as_list(value: Any, *, item_keys: frozenset[str]) -> list[Any]:
    """Return the items where a list belongs: also of a single item, and of items by number.

    Args:
        value: What stands where a list belongs.
        item_keys: Keys by which a single item is recognized.
    """
    if isinstance(value, dict):
        return [value] if item_keys & value.keys() else list(value.values())
    if isinstance(value, str):
        return [value] if value.strip() else []
    return value if isinstance(value, list) else []


def read_relation_to_known(value: object, relations: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what an item says about one thing that is known; None when it says nothing, or nothing that is usual.

    Args:
        value: What stands in the item under ``known``.
        relations: The words that models write, and the relation that each means.

    Returns:
        ``id`` (the label of what is known), ``standing`` (one of the relations) and ``reason``.
    """
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    if not isinstance(value, dict) or not isinstance(value.get("id"), str | int):
        return None
    word = str(value.get("standing", value.get("how", value.get("relation", "")))).strip().lower()
    relation = relations.get(word, word)
    if relation not in relations.values():
        return None
    reason = clean_text(value.get("reason"))
    return {"id": str(value["id"]).strip(), "standing": relation, "reason": reason and reason[:MAX_REASON]}
