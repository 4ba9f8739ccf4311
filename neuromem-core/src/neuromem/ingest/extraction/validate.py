"""What an extractor returned, checked: whoever wrote it, only this may be stored."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuromem.domain.extraction import STANDINGS
from neuromem.domain.graph import SINGLE_VALUED, NewEdge, NodeType, name, node_type_of, relation
from neuromem.domain.memories import NewMemory
from neuromem.domain.memory_types import MEMORY_TYPE_SPECS
from neuromem.domain.names import name_key
from neuromem.errors import InputError
from neuromem.ingest.extraction.reconcile import Statement
from neuromem.store.memories.write import statement_hash
from neuromem.structured_output.coerce import NO_VALUE, clean_text
from neuromem.structured_output.items import MAX_REASON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.extraction import ExtractedMemory, ExtractedRelation, Extraction, Window
    from neuromem.domain.graph import Name

TEXTS = ("identity", "occupation")
LISTS = ("interests", "preferences", "values", "relationships", "personality")
SEVERAL = re.compile(r"[;、；\n]|,\s|，")  # in a text where a list belongs
MAX_LIST = 100  # entries of a list of the profile
ME = frozenset({"user", "the user", "i", "me", "myself", "speaker", "用户", "我", "本人"})
EXTRACTED = {spec.name: spec for spec in MEMORY_TYPE_SPECS if spec.extracted}
PLAIN = (str, int, float, bool, list, dict, type(None))


@dataclass(slots=True)
class Admitted:
    """What may be stored, and what was turned away by reason."""

    statements: list[Statement] = field(default_factory=list)
    edges: list[NewEdge] = field(default_factory=list)
    profile: dict[str, Any] = field(default_factory=dict)
    withdrawn: dict[str, list[str]] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)

    @property
    def cited(self) -> set[str]:
        """The messages that something came of."""
        return {source for statement in self.statements for source in statement.new.sources} | {
            source for edge in self.edges for source in edge.sources
        }

    def count(self, memory_type: str) -> int:
        """How many statements there are of a type."""
        return sum(statement.new.memory_type == memory_type for statement in self.statements)


def admit(window: Window, extraction: Extraction, extractor: str, most: int) -> Admitted:
    """Check an extraction against its window; texts have at most ``most`` characters."""
    admitted = Admitted(rejected=Counter(extraction.rejected))
    roles = {message.id: message.role for message in (*window.messages, *window.context)}
    said_at = {message.id: message.occurred_at for message in (*window.messages, *window.context)}
    places = {message.id: (message.session_id, message.position) for message in window.messages}
    speakers = {
        message.id: message.name for message in window.messages if message.name and message.role == "user"
    }
    new = list(places)
    shown = {memory.id for memory in window.known}
    for memory in extraction.memories:
        reason = _fault(memory, roles, new, most)
        if reason is not None:
            admitted.rejected[reason] += 1
            continue
        sources = _sources(memory.sources, roles)
        origin = {
            "by": "extractor",
            "extractor": extractor,
            **extraction.origin,
            "source_class": "/".join(sorted({roles[source] for source in sources})),
        }
        said = [source for source in sources if source in places]
        place = max(places[s] for s in said)
        speaker = next((speakers[s] for s in said if s in speakers), window.user_id)
        unique_key = _unique_key(memory, max(said_at[s] for s in said), speaker, window.user_id)
        stored = _new(memory, sources, max(said_at[s] for s in said), place, unique_key, origin, window)
        target = memory.target if memory.target in shown else None
        standing = memory.relation if target and memory.relation in STANDINGS else "new"
        reason = clean_text(memory.reason, MAX_REASON)
        admitted.statements.append(Statement(stored, statement_hash(stored), standing, target, reason))
    for related in extraction.relations if window.graph else ():
        try:
            admitted.edges.append(_edge(related, roles, new, said_at, window.user_id))
        except (InputError, ValueError):
            admitted.rejected["relation of no use"] += 1
    admitted.profile = _profile(extraction.profile, admitted.rejected)
    admitted.withdrawn = _withdrawn(extraction.withdrawn, window.profile, admitted.rejected)
    return admitted


def merged(
    old: Mapping[str, Any], new: Mapping[str, Any], withdrawn: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    """Return the values of the profile that change; None: nothing is left of it.

    Texts replace; lists lose what is withdrawn and grow by what they do not have.
    """
    gone = {key: {name_key(entry) for entry in entries} for key, entries in (withdrawn or {}).items()}
    changed: dict[str, Any] = {}
    for key in dict.fromkeys((*gone, *new)):
        there = old.get(key)
        value: Any
        if key in TEXTS:
            over = isinstance(there, str) and name_key(there) in gone.get(key, ())
            value = new.get(key) or (None if over else there)
        else:
            parts = there if isinstance(there, list) else []
            value = [part for part in parts if name_key(str(part)) not in gone.get(key, ())]
            known = {name_key(str(part)) for part in value}
            for part in new.get(key, ()):
                if name_key(part) not in known and len(value) < MAX_LIST:
                    known.add(name_key(part))
                    value.append(part)
        if (value or None) != there:
            changed[key] = value or None
    return changed


def _fault(memory: ExtractedMemory, roles: Mapping[str, str], new: Sequence[str], most: int) -> str | None:
    """Return why a memory cannot be stored, or None."""
    spec = EXTRACTED.get(memory.memory_type)
    if spec is None:
        return f"memories: type {str(memory.memory_type)[:20]!r}"
    kind = spec.counted_as
    if clean_text(memory.content, min(most, 4_000)) is None:
        return f"{kind}: content empty, too long or no text"
    if not set(memory.sources) & set(new):
        return f"{kind}: no new message as source"
    if {roles.get(source) for source in memory.sources} <= {"system", None}:
        return f"{kind}: from a system message"
    return None


def _sources(said: Sequence[str], roles: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(source for source in said if roles.get(source, "system") != "system"))


def _new(
    memory: ExtractedMemory,
    sources: tuple[str, ...],
    said_at: datetime,
    place: tuple[str, int],
    unique_key: str | None,
    origin: Mapping[str, Any],
    window: Window,
) -> NewMemory:
    content = clean_text(memory.content) or ""
    subject = clean_text(memory.subject, 200)
    moment = memory.occurred_at if _aware(memory.occurred_at) else None
    if moment is None and not EXTRACTED[memory.memory_type].happens:
        moment = said_at
    return NewMemory(
        content=content,
        memory_type=memory.memory_type,
        metadata=_plain(memory.metadata),
        occurred_at=moment,
        valid_from=memory.valid_from if _aware(memory.valid_from) else None,
        valid_until=memory.valid_until if _aware(memory.valid_until) else None,
        importance=_within(memory.importance, 1, 10),
        confidence=_within(memory.confidence, 0, 1),
        valence=_within(memory.valence, -1, 1),
        arousal=_within(memory.arousal, 0, 1),
        emotion=clean_text(memory.emotion, 100),
        category=clean_text(memory.category, 100),
        origin=origin,
        sources=sources,
        language=window.language,
        subject=subject,
        entities=tuple(e for entity in memory.entities[:50] if (e := clean_text(entity, 200)) is not None),
        unique_key=unique_key,
        place=place,
    )


def _unique_key(memory: ExtractedMemory, said_at: datetime, speaker: str, user_id: str) -> str | None:
    """Return what the subject has one of at a time and the memory tells, if it holds when it is said.

    Who speaks of themselves is meant by their name: "user" and "Alice" are one, in every language.
    """
    subject = clean_text(memory.subject, 200)
    states = (memory.states or "").strip().upper()
    if states not in SINGLE_VALUED or subject is None or not EXTRACTED[memory.memory_type].single_valued:
        return None
    if memory.valid_until is not None and _aware(memory.valid_until) and memory.valid_until <= said_at:
        return None
    if memory.valid_from is not None and _aware(memory.valid_from) and memory.valid_from > said_at:
        return None
    key = name_key(subject)
    key = name_key(speaker) if key in ME else key
    who = "user" if key == name_key(user_id) else key
    return f"{who} {states}"


def _edge(
    related: ExtractedRelation,
    roles: Mapping[str, str],
    new: Sequence[str],
    said_at: Mapping[str, datetime],
    user_id: str,
) -> NewEdge:
    sources = _sources(related.sources, roles)
    fresh = [source for source in sources if source in new]
    if not fresh:
        raise InputError("A relation needs a new message as its source.")
    begins, ends = related.valid_from, related.valid_until
    begins = begins if _aware(begins) else None
    ends = ends if _aware(ends) and (begins is None or (ends is not None and ends > begins)) else None
    return NewEdge(
        source=_node(related.subject_type, related.subject, user_id),
        relation=relation(clean_text(related.relation, 100)),
        target=_node(related.object_type, related.object, user_id),
        confidence=_within(related.confidence, 0, 1),
        valid_from=begins,
        valid_until=ends,
        said_at=max(said_at[source] for source in fresh),
        sources=sources,
    )


def _node(node_type: str, text: str, user_id: str) -> Name:
    try:
        kind = node_type_of(node_type)
    except InputError:
        kind = NodeType.ENTITY
    text = clean_text(text, 200) or ""
    if kind is NodeType.USER or name_key(text) in ME:
        return name(NodeType.USER, user_id)
    return name(NodeType.ENTITY if kind is NodeType.MEMORY else kind, text)


def _profile(said: Mapping[str, Any], rejected: Counter[str]) -> dict[str, Any]:
    profile: dict[str, Any] = {}
    for key, value in said.items():
        if key in TEXTS:
            found = _texts(value, 500, rejected)
            if found:
                profile[key] = ", ".join(found)[:500]
        elif key in LISTS:
            found = _texts(SEVERAL.split(value) if isinstance(value, str) else value, 200, rejected)
            if found:
                profile[key] = found
        elif value:
            rejected["profile: entry of no use"] += 1
    return profile


def _texts(value: object, most: int, rejected: Counter[str]) -> list[str]:
    """Return the texts that stand where one or several belong; what is none is counted, what says nothing is not."""
    parts = value if isinstance(value, list | tuple) else [value]
    texts = []
    for part in parts:
        text = clean_text(_told(part), most)
        if text is None and part:
            rejected["profile: entry of no use"] += 1
        elif text is not None and text.lower() not in NO_VALUE:
            texts.append(text)
    return texts


def _told(part: object) -> object:
    """Return an object as a text: what it is named and what is said of that."""
    if not isinstance(part, dict):
        return part
    said = {str(key): text for key, text in part.items() if isinstance(text, str) and text}
    return ", ".join(said.values() if "name" in said else (f"{key}: {text}" for key, text in said.items()))


def _withdrawn(
    said: Mapping[str, Sequence[str]], profile: Mapping[str, Any], rejected: Counter[str]
) -> dict[str, list[str]]:
    """Return what is withdrawn of what the extractor was shown; it can take back nothing else."""
    withdrawn: dict[str, list[str]] = {}
    for key, entries in said.items():
        there = profile.get(key)
        shown = {name_key(str(part)) for part in (there if isinstance(there, list) else [there])}
        for entry in entries:
            if key in (*TEXTS, *LISTS) and isinstance(entry, str) and name_key(entry) in shown:
                withdrawn.setdefault(key, []).append(entry)
            else:
                rejected["withdrawn: entry of no use"] += 1
    return withdrawn


def _within(value: object, low: float, high: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return None
    return float(value)


def _aware(moment: datetime | None) -> bool:
    return moment is not None and moment.tzinfo is not None


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in metadata.items() if isinstance(key, str) and isinstance(value, PLAIN)
    }
