"""The LLM extractor: one call for a window, its reply validated item by item."""

from __future__ import annotations

import json
import re
from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from pydantic import PydanticUserError, ValidationError

from neuromem.domain.extraction import ExtractedMemory, ExtractedRelation, Extraction
from neuromem.domain.memory_types import EPISODIC, FACT
from neuromem.errors import ConfigurationError
from neuromem.ingest.extraction.prompt_input import WindowLabels, prompt_data
from neuromem.ingest.extraction.reply_models import (
    SHAPE,
    Episode,
    Fact,
    extraction_schema,
    validate_extraction_reply,
)
from neuromem.structured_output.ask import JsonQuestion, ask_for_json
from neuromem.structured_output.prompt_text import read_prompt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from neuromem.domain.extraction import Window
    from neuromem.ingest.extraction.reply_models import ExtractionReply, Item
    from neuromem.plugin.providers import LLMProvider

PROMPTS = "neuromem.ingest.extraction.prompts"
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
EPISODE_METADATA = frozenset({"people", "place"})
# A text that reads like a rule for the assistant is kept as a quotation, whatever category the model gave it: no
# message can plant an instruction in the memory.
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

    Args:
        llm: The model.
        prompt: Replaces the built-in prompt; ``{relations}`` and ``{instructions}`` in it are filled in.
        instructions: Are added to the prompt.
        fields: A pydantic model of further fields of facts and episodes, kept in their metadata.
        max_tokens: Tokens that a reply may have; twice as many when it is asked for again.
        temperature: Sampling temperature.

    Raises:
        ConfigurationError: There is no model, or the prompt or the fields cannot be used.
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
        own = _own_instructions(instructions, fields)
        text = read_prompt(PROMPTS, PROMPT) if prompt is None else prompt
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
        self._schemas = {graph: _schema(fields, graph=graph) for graph in (False, True)}
        self._version = _prompt_version(prompt, own)
        self._max_tokens = max_tokens
        self._temperature = temperature

    async def extract(self, window: Window) -> Extraction:
        """Ask the model what a window says, and once more when its reply cannot be used.

        A faulty second reply to a single message is used as far as it could be read; the messages of a larger window
        are tried again later.

        Raises:
            ProviderResponseError: Both replies were unusable.
        """
        labels = WindowLabels(window)
        data = json.dumps(prompt_data(window, labels), ensure_ascii=False)
        question = JsonQuestion(
            messages=[
                {"role": "system", "content": self._systems[window.graph]},
                {"role": "user", "content": data},
            ],
            schema=self._schemas[window.graph],
            shape=SHAPE,
            validate=lambda value: validate_extraction_reply(value, labels.spoken_at),
            purpose=f"to extract {len(window.messages)} messages of user {window.user_id!r}",
            max_tokens=self._max_tokens,
            temperature=self._temperature,
            accept_faulty=lambda reply: len(window.messages) == 1 and reply.item_count > 0,
        )
        answer = await ask_for_json(self._llm, question)
        return self._extraction(labels, answer.reply, answer.model)

    def _extraction(self, labels: WindowLabels, reply: ExtractionReply, model: str) -> Extraction:
        rejected = Counter(reply.rejected)
        memories = []
        for item in (*reply.facts, *reply.episodes):
            extra = self._extra(item, rejected)
            memories.append(_memory(item, labels, extra))
        relations = [
            ExtractedRelation(
                item.subject,
                item.subject_type or "ENTITY",
                item.relation,
                item.object,
                item.object_type or "ENTITY",
                labels.source_ids(item.sources),
                item.confidence,
                item.valid_from,
                item.valid_until,
            )
            for item in reply.relations
        ]
        return Extraction(
            memories=memories,
            relations=relations,
            withdrawn=_withdrawn(reply),
            rejected=rejected,
            profile={key: _quoted(value) for key, value in reply.profile.items()},
            origin={"model": model, "prompt": self._version},
            why=reply.nothing,
            complete=True,
        )

    def _extra(self, item: Item, rejected: Counter[str]) -> dict[str, Any]:
        if self._fields is None or item.extra is None:
            return {}
        try:
            # Where a field has a default, the model writes null when nothing was said of it.
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


def _own_instructions(instructions: str, fields: type[BaseModel] | None) -> str:
    """Return what a user's instructions and fields add to the prompt."""
    parts = [f"More instructions:\n{instructions.strip()}"] if instructions.strip() else []
    if fields is not None:
        taken = sorted(EPISODE_METADATA & fields.model_fields.keys())
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


def _schema(fields: type[BaseModel] | None, *, graph: bool) -> dict[str, Any]:
    try:
        return extraction_schema(graph=graph, fields=fields)
    except PydanticUserError as error:
        raise ConfigurationError(
            f"settings.extraction.fields: {error.message} Use fields that JSON has: texts, numbers, booleans, dates, "
            "enumerations, lists and models of these."
        ) from error


def _prompt_version(prompt: str | None, own: str) -> str:
    """Return the version of the prompt that is kept with each memory; every other wording has another one."""
    if prompt is None and not own:
        return PROMPT
    digest = blake2b(f"{prompt or ''}\0{own}".encode(), digest_size=4).hexdigest()
    return f"own-{digest}" if prompt is not None else f"{PROMPT}+{digest}"


def _memory(item: Item, labels: WindowLabels, extra: Mapping[str, Any]) -> ExtractedMemory:
    sources = labels.source_ids(item.sources)
    target = labels.known.resolve(item.known.id) if item.known else None
    content, category, metadata = item.content, getattr(item, "category", None), dict(extra)
    if RULE.match(content) and category != "quotation":
        content, category = f"{labels.speaker(sources)} said: “{content}”", "quotation"
    fact = item if isinstance(item, Fact) else None
    episode = item if isinstance(item, Episode) else None
    entities = list(item.entities)
    if episode is not None:
        metadata |= {k: v for k, v in (("people", list(episode.people)), ("place", episode.place)) if v}
        entities += [*episode.people, episode.place or ""]
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
        entities=tuple(name for name in dict.fromkeys(entities) if name),
        occurred_at=episode.date if episode else None,
        valid_from=fact.valid_from if fact else None,
        valid_until=fact.valid_until if fact else None,
        relation=item.known.standing if item.known and target else "new",
        target=target.id if target else None,
        metadata=metadata,
        states=fact.states if fact else None,
        reason=item.known.reason if item.known and target else None,
    )


def _quoted(value: Any) -> Any:
    """Return a value of the profile, with rules for the assistant marked as quotations."""
    if isinstance(value, list):
        return [_quoted(part) for part in value]
    is_rule = isinstance(value, str) and RULE.match(value.strip())
    return f"said: “{value.strip()}”" if is_rule else value


def _withdrawn(reply: ExtractionReply) -> dict[str, list[str]]:
    withdrawn: dict[str, list[str]] = {}
    for item in reply.withdrawn:
        withdrawn.setdefault(item.key, []).append(item.entry)
    return withdrawn
