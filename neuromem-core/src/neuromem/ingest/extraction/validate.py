"""Decides what of an extraction may be stored, whichever extractor returned it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuromem.domain.extraction import RELATIONS_TO_KNOWN
from neuromem.domain.graph import SINGLE_VALUED, NewEdge, NodeType, node_name, node_type_of, relation_of
from neuromem.domain.memories import NewMemory
from neuromem.domain.memory_types import MEMORY_TYPE_SPECS
from neuromem.domain.names import name_key
from neuromem.errors import InputError
from neuromem.ingest.extraction.profile_changes import validate_profile, validate_withdrawn
from neuromem.ingest.extraction.reconcile import Statement
from neuromem.store.memories.write import statement_hash
from neuromem.structured_output.coerce import clean_text
from neuromem.structured_output.items import MAX_REASON

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.extraction import ExtractedMemory, ExtractedRelation, Extraction, Window
    from neuromem.domain.graph import Name

MAX_TEXT = 4_000
"""Characters of a memory, if the settings allow no fewer."""
MAX_NAME = 200
MAX_WORD = 100
MAX_ENTITIES = 50
SELF_REFERENCES = frozenset({"user", "the user", "i", "me", "myself", "speaker", "用户", "我", "本人"})
EXTRACTED_TYPES = {spec.name: spec for spec in MEMORY_TYPE_SPECS if spec.extracted}
_JSON_TYPES = (str, int, float, bool, list, dict, type(None))


@dataclass(slots=True)
class ValidExtraction:
    """The part of an extraction that may be stored; ``rejected`` counts by reason what may not."""

    statements: list[Statement] = field(default_factory=list)
    edges: list[NewEdge] = field(default_factory=list)
    profile: dict[str, Any] = field(default_factory=dict)
    withdrawn: dict[str, list[str]] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)

    @property
    def cited(self) -> set[str]:
        """Ids of the messages that are a source of something."""
        return {source for statement in self.statements for source in statement.new.sources} | {
            source for edge in self.edges for source in edge.sources
        }

    def count(self, memory_type: str) -> int:
        """Return how many statements are of a type."""
        return sum(statement.new.memory_type == memory_type for statement in self.statements)


def validate_extraction(
    window: Window, extraction: Extraction, extractor: str, max_length: int
) -> ValidExtraction:
    """Check an extraction against its window: an extractor is trusted no more than the model behind it.

    Args:
        window: What the extractor was given.
        extraction: What it returned.
        extractor: Its name, for the origin of what is stored.
        max_length: Characters that a memory may have.
    """
    valid = ValidExtraction(rejected=Counter(extraction.rejected))
    shown = (*window.messages, *window.context)
    roles = {message.id: message.role for message in shown}
    said_at = {message.id: message.occurred_at for message in shown}
    places = {message.id: (message.session_id, message.position) for message in window.messages}
    speakers = {
        message.id: message.name for message in window.messages if message.name and message.role == "user"
    }
    known = {memory.id for memory in window.known}
    for memory in extraction.memories:
        fault = _fault(memory, roles, places, max_length)
        if fault is not None:
            valid.rejected[fault] += 1
            continue
        sources = _citable(memory.sources, roles)
        origin = {
            "by": "extractor",
            "extractor": extractor,
            **extraction.origin,
            "source_class": "/".join(sorted({roles[source] for source in sources})),
        }
        new_sources = [source for source in sources if source in places]
        latest = max(said_at[source] for source in new_sources)
        speaker = next((speakers[source] for source in new_sources if source in speakers), window.user_id)
        unique_key = _unique_key(memory, latest, speaker, window.user_id)
        place = max(places[source] for source in new_sources)
        new = _new_memory(memory, sources, latest, place, unique_key, origin, window)
        target = memory.target if memory.target in known else None
        relation_to_known = memory.relation if target and memory.relation in RELATIONS_TO_KNOWN else "new"
        reason = clean_text(memory.reason, MAX_REASON)
        valid.statements.append(Statement(new, statement_hash(new), relation_to_known, target, reason))
    for related in extraction.relations if window.graph else ():
        try:
            valid.edges.append(_new_edge(related, roles, places, said_at, window.user_id))
        except (InputError, ValueError):
            valid.rejected["relation of no use"] += 1
    valid.profile = validate_profile(extraction.profile, valid.rejected)
    valid.withdrawn = validate_withdrawn(extraction.withdrawn, window.profile, valid.rejected)
    return valid


def _fault(
    memory: ExtractedMemory, roles: Mapping[str, str], new: Collection[str], max_length: int
) -> str | None:
    """Return why a memory cannot be stored, or None."""
    spec = EXTRACTED_TYPES.get(memory.memory_type)
    if spec is None:
        return f"memories: type {str(memory.memory_type)[:20]!r}"
    kind = spec.counted_as
    if clean_text(memory.content, min(max_length, MAX_TEXT)) is None:
        return f"{kind}: content empty, too long or no text"
    if not set(memory.sources) & set(new):
        return f"{kind}: no new message as source"
    if {roles.get(source) for source in memory.sources} <= {"system", None}:
        return f"{kind}: from a system message"
    return None


def _citable(sources: Sequence[str], roles: Mapping[str, str]) -> tuple[str, ...]:
    """Return the sources that the window has, without system messages."""
    return tuple(dict.fromkeys(source for source in sources if roles.get(source, "system") != "system"))


def _new_memory(
    memory: ExtractedMemory,
    sources: tuple[str, ...],
    said_at: datetime,
    place: tuple[str, int],
    unique_key: str | None,
    origin: Mapping[str, Any],
    window: Window,
) -> NewMemory:
    occurred_at = memory.occurred_at if _has_zone(memory.occurred_at) else None
    if occurred_at is None and not EXTRACTED_TYPES[memory.memory_type].happens:
        occurred_at = said_at
    entities = (clean_text(entity, MAX_NAME) for entity in memory.entities[:MAX_ENTITIES])
    return NewMemory(
        content=clean_text(memory.content) or "",
        memory_type=memory.memory_type,
        metadata=_json_values(memory.metadata),
        occurred_at=occurred_at,
        valid_from=memory.valid_from if _has_zone(memory.valid_from) else None,
        valid_until=memory.valid_until if _has_zone(memory.valid_until) else None,
        importance=_within(memory.importance, 1, 10),
        confidence=_within(memory.confidence, 0, 1),
        valence=_within(memory.valence, -1, 1),
        arousal=_within(memory.arousal, 0, 1),
        emotion=clean_text(memory.emotion, MAX_WORD),
        category=clean_text(memory.category, MAX_WORD),
        origin=origin,
        sources=sources,
        language=window.language,
        subject=clean_text(memory.subject, MAX_NAME),
        entities=tuple(entity for entity in entities if entity is not None),
        unique_key=unique_key,
        place=place,
    )


def _unique_key(memory: ExtractedMemory, said_at: datetime, speaker: str, user_id: str) -> str | None:
    """Return subject and single-valued relation of a fact, if it holds when it is said: one fact has it at a time.

    Speakers who call themselves "I" or "user" get the key of their name, so that both are one in every language.
    """
    subject = clean_text(memory.subject, MAX_NAME)
    single_valued_relation = (memory.states or "").strip().upper()
    may_have_key = EXTRACTED_TYPES[memory.memory_type].single_valued
    if single_valued_relation not in SINGLE_VALUED or subject is None or not may_have_key:
        return None
    if memory.valid_until is not None and _has_zone(memory.valid_until) and memory.valid_until <= said_at:
        return None
    if memory.valid_from is not None and _has_zone(memory.valid_from) and memory.valid_from > said_at:
        return None
    key = name_key(subject)
    key = name_key(speaker) if key in SELF_REFERENCES else key
    owner = "user" if key == name_key(user_id) else key
    return f"{owner} {single_valued_relation}"


def _new_edge(
    related: ExtractedRelation,
    roles: Mapping[str, str],
    new: Collection[str],
    said_at: Mapping[str, datetime],
    user_id: str,
) -> NewEdge:
    sources = _citable(related.sources, roles)
    new_sources = [source for source in sources if source in new]
    if not new_sources:
        raise InputError("A relation needs a new message as its source.")
    start, end = related.valid_from, related.valid_until
    start = start if _has_zone(start) else None
    end = end if _has_zone(end) and (start is None or (end is not None and end > start)) else None
    return NewEdge(
        source=_node(related.subject_type, related.subject, user_id),
        relation=relation_of(clean_text(related.relation, MAX_WORD)),
        target=_node(related.object_type, related.object, user_id),
        confidence=_within(related.confidence, 0, 1),
        valid_from=start,
        valid_until=end,
        said_at=max(said_at[source] for source in new_sources),
        sources=sources,
    )


def _node(node_type: str, text: str, user_id: str) -> Name:
    try:
        kind = node_type_of(node_type)
    except InputError:
        kind = NodeType.ENTITY
    text = clean_text(text, MAX_NAME) or ""
    if kind is NodeType.USER or name_key(text) in SELF_REFERENCES:
        return node_name(NodeType.USER, user_id)
    return node_name(NodeType.ENTITY if kind is NodeType.MEMORY else kind, text)


def _within(value: object, low: float, high: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return None
    return float(value)


def _has_zone(moment: datetime | None) -> bool:
    return moment is not None and moment.tzinfo is not None


def _json_values(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in metadata.items()
        if isinstance(key, str) and isinstance(value, _JSON_TYPES)
    }
