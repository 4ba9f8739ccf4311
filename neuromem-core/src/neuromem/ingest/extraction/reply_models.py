"""The reply that an extracting model is asked for: facts, episodes, relations, profile and what it withdraws.

The JSON schema that the model is sent is derived from these models; the items of its reply are validated by them, one
by one. Names of fields are the names on the wire, as the prompt has them. Models that do not keep to the schema are
understood by the aliases and by the coerced types.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, WithJsonSchema

from neuromem.domain.graph import SINGLE_VALUED, EdgeType
from neuromem.structured_output.coerce import (
    MinusOneToOne,
    NotInSchema,
    OneToTen,
    OptionalDate,
    OptionalText,
    Text,
    TextList,
    ZeroToOne,
    clean_text,
    unwrap_name,
)
from neuromem.structured_output.items import (
    CheckedReply,
    ItemT,
    ReplyModel,
    as_list,
    read_relation_to_known,
    validate_items,
)
from neuromem.structured_output.json_reply import ReplyShape
from neuromem.structured_output.schema import reply_schema, strict_object, user_model_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pydantic import BaseModel

SHAPE = ReplyShape(
    keys=frozenset({"facts", "episodes", "relations", "profile", "withdrawn", "nothing"}),
    bare_list="facts",
    item_key="content",
    empty_is_reply=True,
)
MAX_NOTHING = 200
"""Characters of the reason why there is nothing worth keeping."""

_RELATIONS_TO_KNOWN = {"repeat": "repeats", "refine": "refines", "contradict": "contradicts"}
_CONTENT_NAMES = AliasChoices("content", "text", "fact", "statement", "episode", "event", "description")
_ITEM_KEYS = frozenset({"content", "subject"})
_SINGLE_VALUED = [edge.value for edge in EdgeType if edge in SINGLE_VALUED]

NameText = Annotated[Text, BeforeValidator(unwrap_name)]


class RelationToMemory(ReplyModel):
    """How an item relates to one known memory; ``id`` is the label under which the model was shown that."""

    id: str
    standing: Literal["repeats", "refines", "contradicts"]
    reason: Annotated[str | None, WithJsonSchema({"type": ["string", "null"]})] = None


def _relation_to_known(value: object) -> object:
    return read_relation_to_known(value, _RELATIONS_TO_KNOWN)


class Item(ReplyModel):
    """What facts and episodes have in common; ``extra`` holds the fields of a user's own model."""

    content: Text = Field(validation_alias=_CONTENT_NAMES)
    subject: OptionalText = None
    sources: TextList = ()
    confidence: ZeroToOne = None
    importance: OneToTen = None
    valence: MinusOneToOne = None
    arousal: ZeroToOne = None
    emotion: OptionalText = None
    entities: TextList = ()
    known: Annotated[RelationToMemory | None, BeforeValidator(_relation_to_known)] = None
    extra: NotInSchema = None


class Fact(Item):
    """A lasting statement; ``states`` is the single-valued relation that it states."""

    category: OptionalText = None
    states: Annotated[OptionalText, Field(json_schema_extra={"enum": [*_SINGLE_VALUED, None]})] = None
    valid_from: OptionalDate = None
    valid_until: OptionalDate = None


class Episode(Item):
    """Something that happens at some time."""

    date: OptionalDate = Field(default=None, validation_alias=AliasChoices("date", "when", "time"))
    people: TextList = ()
    place: OptionalText = None


class RelationItem(ReplyModel):
    """A relation between two named things."""

    subject: NameText
    subject_type: Annotated[OptionalText, WithJsonSchema({"type": "string"})] = None
    relation: Annotated[Text, Field(validation_alias=AliasChoices("relation", "predicate"))]
    object: NameText
    object_type: Annotated[OptionalText, WithJsonSchema({"type": "string"})] = None
    sources: TextList = ()
    confidence: ZeroToOne = None
    valid_from: OptionalDate = None
    valid_until: OptionalDate = None


class Profile(ReplyModel):
    """What new messages say about the user: the schema only, `validate_profile` reads the values of any extractor."""

    identity: OptionalText = None
    occupation: OptionalText = None
    interests: TextList = ()
    preferences: TextList = ()
    values: TextList = ()
    relationships: TextList = ()
    personality: TextList = ()


class Withdrawn(ReplyModel):
    """An entry of the profile that does not hold any more."""

    key: Annotated[Text, Field(json_schema_extra={"enum": list(Profile.model_fields)})]
    entry: Text


class ExtractionReply(CheckedReply):
    """The items of a reply that are usable."""

    facts: tuple[Fact, ...] = ()
    episodes: tuple[Episode, ...] = ()
    relations: tuple[RelationItem, ...] = ()
    profile: Annotated[dict[str, Any], WithJsonSchema(reply_schema(Profile))] = Field(default_factory=dict)
    withdrawn: tuple[Withdrawn, ...] = ()
    nothing: OptionalText = None


def extraction_schema(*, graph: bool, fields: type[BaseModel] | None) -> dict[str, Any]:
    """Return the JSON schema of a reply.

    Args:
        graph: Whether relations are asked for.
        fields: A user's own model, for ``extra`` of facts and episodes.

    Raises:
        PydanticUserError: A field of the user's model has a type that JSON has not.
    """
    properties = dict(reply_schema(ExtractionReply)["properties"])
    if not graph:
        del properties["relations"]
    if fields is None:
        return strict_object(properties)
    extra, definitions = user_model_schema(fields)
    for name in ("facts", "episodes"):
        item = {**properties[name]["items"]["properties"], "extra": {"anyOf": [extra, {"type": "null"}]}}
        properties[name] = {**properties[name], "items": strict_object(item)}
    return {**strict_object(properties), **({"$defs": definitions} if definitions else {})}


def validate_extraction_reply(
    value: dict[str, Any], spoken_at: Callable[[Sequence[str]], datetime]
) -> ExtractionReply:
    """Validate a reply item by item: good ones are kept, the others counted.

    Args:
        value: The object of the reply.
        spoken_at: Returns when the messages with these labels were spoken, in the speaker's time zone.
    """
    rejected: Counter[str] = Counter()
    profile = value.get("profile")
    return ExtractionReply.model_construct(
        facts=_items(value, "facts", Fact, rejected, spoken_at),
        episodes=_items(value, "episodes", Episode, rejected, spoken_at),
        relations=_items(value, "relations", RelationItem, rejected, spoken_at),
        withdrawn=_items(value, "withdrawn", Withdrawn, rejected, spoken_at),
        profile={key: part for key, part in profile.items() if part} if isinstance(profile, dict) else {},
        nothing=(clean_text(value.get("nothing")) or "")[:MAX_NOTHING] or None,
        rejected=dict(rejected),
    )


def _items(
    value: dict[str, Any],
    name: str,
    model: type[ItemT],
    rejected: Counter[str],
    spoken_at: Callable[[Sequence[str]], datetime],
) -> tuple[ItemT, ...]:
    raw = as_list(value.get(name), item_keys=_ITEM_KEYS)
    return tuple(validate_items(map(_as_object, raw), model, name, rejected, spoken_at=spoken_at))


def _as_object(raw: object) -> object:
    """Return an item as an object: some models write a text, or a triple."""
    if isinstance(raw, str):
        return {"content": raw}
    if isinstance(raw, list) and len(raw) == 3:
        return dict(zip(("subject", "relation", "object"), raw, strict=True))
    return raw
