"""The LLM extractor: one call for a window, checked item by item."""

from __future__ import annotations

import json
import re
from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from pydantic import PydanticUserError, ValidationError

from neuromem.domain.extraction import ExtractedMemory, ExtractedRelation, Extraction
from neuromem.domain.memory_types import EPISODIC, FACT
from neuromem.errors import ConfigurationError, ProviderResponseError
from neuromem.ingest.extraction import prompts, reply
from neuromem.ingest.extraction.prompt_input import Names, named, shown
from neuromem.structured_output import schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

    from neuromem.domain.extraction import Window
    from neuromem.ingest.extraction.reply import Item, Reply
    from neuromem.plugin.providers import ChatMessage, LLMProvider

PROMPT = "extraction-3"
RELATIONS = (
    '"relations": how two named things stand to each other, as a graph. "subject_type" and "object_type": USER (the '
    'user), PERSON, ORGANIZATION, LOCATION, EVENT, SKILL, CONCEPT or ENTITY. "relation": WORKS_AT, LIVES_IN, '
    "BORN_IN, STUDIED_AT, KNOWS, COLLEAGUE, MET, ATTENDED, VISITED, HAS_SKILL, SPEAKS, HOBBY, OWNS, USES, BELONGS_TO, "
    "LOCATED_IN, RELATED_TO, or a short verb of its own. "
    'Each also has "sources", "confidence", "valid_from" and "valid_until" as facts have them. In the example below: '
    '"relations": [{"subject": "Ann", "subject_type": "PERSON", "relation": "LIVES_IN", "object": "Rome", '
    '"object_type": "LOCATION", "sources": ["m7"], "confidence": 0.95, "valid_from": null, "valid_until": null}].\n\n'
)
TAKEN = frozenset({"people", "place"})  # of the metadata of episodes
# What sounds like a rule for the assistant is kept as something that was said, whatever the model made of it.
RULE = re.compile(
    r"(?:(?:please|kindly)\s+|请你?\s*)?"
    r"(?:you (?:must|should|shall|have to|are to)\b|always\b|never\b|ignore (?:all|any|every|the|your|previous|prior)\b"
    r"|from now on\b|remember (?:that|to)\b|do not ever\b|the assistant (?:must|should|shall)\b|system prompt\b"
    r"|make sure (?:to|that|you)\b|your (?:task|job|role|goal|instructions?) (?:is|are)\b"
    r"|你(?:必须|应该|要)|必须|务必|永远|始终|总是|忽略|无视|从现在起|从今以后|以后都|记住|不要)",
    re.IGNORECASE,
)


class LLMExtractor:
    """Extracts with a chat model.

    ``prompt`` replaces the built-in one (``{relations}`` and ``{instructions}`` stand for what is put in),
    ``instructions`` are added to it, ``fields`` is a pydantic model of further fields that facts and episodes get, kept
    in their metadata. Raises `ConfigurationError` for what cannot be asked of a model.
    """

    def __init__(
        self,
        llm: LLMProvider | None,
        *,
        prompt: str | None = None,
        instructions: str = "",
        fields: type[BaseModel] | None = None,
        max_tokens: int = 4096,
        temperature: float = 0.1,
    ) -> None:
        if llm is None:
            raise ConfigurationError("The extractor 'llm' needs an LLM, and none was chosen: pass llm=...")
        self._llm = llm
        own = _own(instructions, fields)
        text = prompts.read(PROMPT) if prompt is None else prompt
        if own and "{instructions}" not in text:
            raise ConfigurationError(
                "settings.extraction.prompt has no place for the instructions and fields that are set: put "
                "{instructions} where they belong."
            )
        self._fields = fields
        self._systems = {
            graph: text.replace("{relations}", RELATIONS if graph else "").replace("{instructions}", own)
            for graph in (False, True)
        }
        self._shapes = {graph: _shape(fields, graph=graph) for graph in (False, True)}
        self._version = _version(prompt, own)
        self._max_tokens = max_tokens
        self._temperature = temperature

    async def extract(self, window: Window) -> Extraction:
        """Ask once, and once more when the reply is of no use; `ProviderResponseError` when that does not help."""
        names = Names(window)
        asked: list[ChatMessage] = [
            {"role": "system", "content": self._systems[window.graph]},
            {"role": "user", "content": json.dumps(shown(window, names), ensure_ascii=False)},
        ]
        shape = self._shapes[window.graph]
        said, read, fault = await self._call(asked, shape, self._max_tokens, names)
        if fault is not None:
            again = list(asked)
            if said:
                again.append({"role": "assistant", "content": str(said)[:4_000]})
            again.append(
                {
                    "role": "user",
                    "content": f"{fault} Reply again, with the whole JSON object and nothing else.",
                }
            )
            said, second, fault = await self._call(again, shape, 2 * self._max_tokens, names)
            read = second if read is None or (second is not None and second.items >= read.items) else read
        if read is None or (fault is not None and (len(window.messages) > 1 or not read.items)):
            raise ProviderResponseError(
                f"{self._llm.model!r} of {self._llm.provider} was asked twice to extract "
                f"{len(window.messages)} messages of user {window.user_id!r}, in vain. {fault} "
                f"It replied: {str(said)[:200]!r}",
                provider=self._llm.provider,
            )
        return self._extraction(window, names, read, getattr(said, "model", None) or self._llm.model)

    async def _call(
        self, asked: Sequence[ChatMessage], shape: Mapping[str, Any], max_tokens: int, names: Names
    ) -> tuple[str, Reply | None, str | None]:
        """Return the reply, what could be read of it, and what was wrong with it as a whole."""
        try:
            said = await self._llm.chat(
                asked, temperature=self._temperature, max_tokens=max_tokens, json_schema=shape
            )
        except ProviderResponseError as error:
            if getattr(error.reply, "finish_reason", None) != "length":
                raise
            return "", None, "All the room went into reasoning. Think less."  # with more room it may do
        found = reply.parse(said)
        if found is None:
            return said, None, "That was no JSON object with the lists that were asked for."
        cut = reply.is_cut(said)
        read = reply.read(reply.without_last(found) if cut else found, names.said_at)
        if cut or getattr(said, "finish_reason", None) == "length":
            return said, read, "That was cut off before its end."
        if read.rejected and not read.items:
            return said, read, f"No item of that could be used ({', '.join(read.rejected)})."
        return said, read, None

    def _extraction(self, window: Window, names: Names, read: Reply, model: str) -> Extraction:
        rejected = Counter(read.rejected)
        memories = []
        for item in (*read.facts, *read.episodes):
            extra = self._extra(item, rejected)
            memories.append(_memory(item, names, extra))
        relations = [
            ExtractedRelation(
                item.subject,
                item.subject_type or "ENTITY",
                item.relation,
                item.object,
                item.object_type or "ENTITY",
                names.sources(item.sources),
                item.confidence,
                item.valid_from,
                item.valid_until,
            )
            for item in read.relations
        ]
        return Extraction(
            memories=memories,
            relations=relations,
            withdrawn=_withdrawn(read),
            rejected=rejected,
            profile={key: _quoted(said) for key, said in read.profile.items()},
            origin={"model": model, "prompt": self._version},
            why=read.nothing,
            complete=True,
        )

    def _extra(self, item: Item, rejected: Counter[str]) -> dict[str, Any]:
        if self._fields is None or item.extra is None:
            return {}
        try:
            # Where there is a default, null means that nothing was said.
            given = {
                name: value
                for name, value in dict(item.extra).items()
                if value is not None
                or name not in self._fields.model_fields
                or self._fields.model_fields[name].is_required()
            }
            return self._fields.model_validate(given).model_dump(mode="json", exclude_none=True)
        except (ValidationError, TypeError, ValueError):
            rejected["extra fields of no use"] += 1
            return {}


def _own(instructions: str, fields: type[BaseModel] | None) -> str:
    """Return what the user's own instructions and fields add to the prompt."""
    parts = [f"More instructions:\n{instructions.strip()}"] if instructions.strip() else []
    if fields is not None:
        taken = sorted(TAKEN & fields.model_fields.keys())
        if taken:
            raise ConfigurationError(
                f"settings.extraction.fields cannot have {taken}: episodes have these in their metadata already."
            )
        asked = "".join(
            f'\n- "{name}"' + (f": {field.description}" if field.description else "")
            for name, field in fields.model_fields.items()
        )
        parts.append(f'For every fact and episode also "extra": null, or what was said of these:{asked}')
    return "".join(f"\n{part}\n" for part in parts)


def _shape(fields: type[BaseModel] | None, *, graph: bool) -> dict[str, Any]:
    try:
        return schema.reply(graph=graph, extra=fields)
    except PydanticUserError as error:
        raise ConfigurationError(
            f"settings.extraction.fields: {error.message} Use fields that JSON has: texts, numbers, booleans, dates, "
            "enumerations, lists and models of these."
        ) from error


def _version(prompt: str | None, own: str) -> str:
    """Return what is kept with each memory as its prompt: whoever changes a word gets another version."""
    if prompt is None and not own:
        return PROMPT
    digest = blake2b(f"{prompt or ''}\0{own}".encode(), digest_size=4).hexdigest()
    return f"own-{digest}" if prompt is not None else f"{PROMPT}+{digest}"


def _memory(item: Item, names: Names, extra: Mapping[str, Any]) -> ExtractedMemory:
    sources = names.sources(item.sources)
    target = names.known.get(named(item.known.id, "k")) if item.known else None
    content, category, metadata = item.content, getattr(item, "category", None), dict(extra)
    if RULE.match(content) and category != "quotation":
        content, category = f"{names.speaker(sources)} said: “{content}”", "quotation"
    fact = item if isinstance(item, reply.Fact) else None
    episode = item if isinstance(item, reply.Episode) else None
    if episode is not None:
        metadata |= {k: v for k, v in (("people", list(episode.people)), ("place", episode.place)) if v}
    told = (
        *item.entities,
        *(episode.people if episode else ()),
        *((episode.place or "",) if episode else ()),
    )
    return ExtractedMemory(
        content=content,
        memory_type=FACT.name if fact else EPISODIC.name,
        sources=sources,
        subject=item.subject,
        category=category,
        confidence=item.confidence,
        importance=item.importance,
        valence=item.valence,
        arousal=item.arousal,
        emotion=item.emotion,
        entities=tuple(e for e in dict.fromkeys(told) if e),
        occurred_at=episode.date if episode else None,
        valid_from=fact.valid_from if fact else None,
        valid_until=fact.valid_until if fact else None,
        relation=item.known.standing if item.known and target else "new",
        target=target.id if target else None,
        metadata=metadata,
        states=fact.states if fact else None,
        reason=item.known.reason if item.known and target else None,
    )


def _quoted(said: Any) -> Any:
    """Return what is to stand in a profile, a rule as what somebody said: whoever reads it must not follow it."""
    if isinstance(said, list):
        return [_quoted(part) for part in said]
    return f"said: “{said.strip()}”" if isinstance(said, str) and RULE.match(said.strip()) else said


def _withdrawn(read: Reply) -> dict[str, list[str]]:
    withdrawn: dict[str, list[str]] = {}
    for item in read.withdrawn:
        withdrawn.setdefault(item.key, []).append(item.entry)
    return withdrawn
