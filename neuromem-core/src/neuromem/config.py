"""Settings: one pydantic model, filled from the constructor and from ``NEUROMEM_*``."""

from __future__ import annotations

import json
import os
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ImportString, ValidationError

from neuromem.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "NEUROMEM_"


def _time_zone(name: str) -> str:
    try:
        _zone(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError("there is no such time zone; they are named like 'Europe/Berlin'") from error
    return name


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)  # not every system has a database of zones


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BM25Settings(_Section):
    """Lexical retrieval; the variant is bm25s' ``lucene``."""

    k1: float = Field(default=0.6, ge=0, le=10, description="how fast repeated words stop counting")
    b: float = Field(default=0.4, ge=0, le=1, description="how much long texts are discounted")


class RecallSettings(_Section):
    """The pipeline behind ``recall()``."""

    depth: int = Field(default=60, ge=1, le=1_000, description="candidates that each retriever offers")
    timeout: float = Field(
        default=10.0, gt=0, description="seconds that each retriever and reranker may take"
    )
    fusion: str | None = Field(default=None, description="name of the fusion; None: the default one")
    scorer_weights: dict[str, float] = Field(default_factory=dict, description="weights of the signals")
    rerankers: tuple[str, ...] = Field(default=(), description="rerankers to run, in this order")


class VectorSettings(_Section):
    """When the nearest memories are found through an index that may miss some."""

    exact_limit: int = Field(default=20_000, ge=1, description="of a user's, up to which all are looked at")
    max_indexes: int = Field(default=64, ge=0, description="users who get an index beyond that, at most")


class WorkSettings(_Section):
    """Background work."""

    concurrency: int = Field(default=2, ge=1, le=64, description="jobs that run at the same time")
    lease: float = Field(default=60.0, gt=0, description="seconds after which a silent worker's job is free")
    poll: float = Field(default=1.0, gt=0, description="seconds between looks at an idle queue")
    retry_delay: float = Field(default=1.0, gt=0, description="seconds before a first retry, then doubled")
    max_attempts: int = Field(default=8, ge=1, description="own failures after which a job is dead")
    embed_batch: int = Field(default=64, ge=1, le=4096, description="texts embedded in one call")
    extract_batch: int = Field(default=10, ge=1, le=100, description="messages extracted in one call")
    drain_timeout: float = Field(default=30.0, ge=0, description="seconds that leaving the context waits")


class ExtractionSettings(_Section):
    """From what was said to what is known; ``prompt``, ``instructions`` and ``fields`` are the LLM extractor's."""

    extractors: tuple[str, ...] = Field(default=(), description="extractors to use instead of the usual one")
    context_messages: int = Field(default=10, ge=0, le=100, description="earlier messages shown with the new")
    known_memories: int = Field(default=20, ge=0, le=200, description="nearest memories shown with the new")
    window_size: int = Field(default=24_000, ge=1_000, description="characters of new messages in one call")
    timezone: Annotated[str, AfterValidator(_time_zone)] = Field(
        default="UTC",
        description="where dates are meant, in messages that say nothing else and in questions",
    )
    daily_tokens: int | None = Field(default=None, ge=0, description="tokens a user may cost per day (UTC)")
    instructions: str = Field(default="", max_length=20_000, description="what the model is told besides")
    fields: ImportString[type[BaseModel]] | None = Field(
        default=None,
        description="a pydantic model of further fields of facts and episodes, or package.module:Name",
    )
    prompt: str | None = Field(
        default=None,
        min_length=1,
        description="in place of the built-in prompt; has {instructions}, {relations}",
    )

    @property
    def zone(self) -> tzinfo:
        """The time zone of ``timezone``."""
        return _zone(self.timezone)


class DigestSettings(_Section):
    """From what is known to what it shows."""

    related_memories: int = Field(default=15, ge=0, le=100, description="older memories shown with a batch")
    known_insights: int = Field(default=30, ge=1, le=200, description="insights shown with a batch")
    sensitive_inferences: bool = Field(
        default=False, description="whether hints may lead to insights on health, religion, politics, ..."
    )


class FileSettings(_Section):
    """Uploads, and how their text is found."""

    max_size: int = Field(default=50 * 1024 * 1024, ge=1, description="bytes a file may have")
    max_text: int = Field(default=50_000_000, ge=1, description="characters of text a file may have")
    passage_tokens: int = Field(default=300, ge=20, le=2_000, description="tokens of a passage, about")
    passage_overlap: int = Field(
        default=50, ge=0, le=1_000, description="of these, shared with the one before"
    )
    parse_timeout: float = Field(default=120.0, gt=0, description="seconds that reading a file may take")
    parse_memory: int = Field(default=2**30, ge=2**28, description="bytes of memory that it may take")
    parsers: int = Field(default=2, ge=1, le=64, description="files that are read at the same time")


class Settings(_Section):
    """Everything that can be set; sections nest with ``__``: ``NEUROMEM_RECALL__DEPTH=200``."""

    database_url: str | None = Field(
        default=None, repr=False, description="the database; None: that of the installed plugin"
    )
    embedding: str | None = Field(default=None, description="embedding provider, as name or name:model")
    llm: str | None = Field(default=None, description="LLM provider, as name or name:model, or none")
    storage: str | None = Field(default=None, description="where the bytes of files go")
    enable: tuple[str, ...] = Field(default=(), description="stages to switch on by name")
    disable: tuple[str, ...] = Field(default=(), description="stages to switch off by name")
    plugins: dict[str, dict[str, Any]] = Field(
        default_factory=dict, repr=False, description="options of providers and stages, by their names"
    )
    language: str = Field(default="en", description="language of users who did not say another")
    max_content: int = Field(default=100_000, ge=1, description="characters a message or memory may have")
    extract_roles: tuple[Literal["user", "assistant", "tool"], ...] = Field(
        default=("user",), description="whose messages are extracted; the others are context"
    )
    bm25: BM25Settings = Field(default_factory=BM25Settings)
    extraction: ExtractionSettings = Field(default_factory=ExtractionSettings)
    digest: DigestSettings = Field(default_factory=DigestSettings)
    files: FileSettings = Field(default_factory=FileSettings)
    recall: RecallSettings = Field(default_factory=RecallSettings)
    vectors: VectorSettings = Field(default_factory=VectorSettings)
    work: WorkSettings = Field(default_factory=WorkSettings)

    @property
    def stage_options(self) -> dict[str, dict[str, Any]]:
        """The options of providers and stages by name: ``plugins``, and what has a section of its own."""
        told = {name: getattr(self.extraction, name) for name in ("instructions", "fields", "prompt")}
        return {**self.plugins, "llm": {**told, **self.plugins.get("llm", {})}}

    @classmethod
    def load(cls, given: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None) -> Self:
        """Return settings from the environment, overridden by ``given``.

        Raises `ConfigurationError` naming the variable or key, never showing its value.
        """
        values: dict[str, Any] = {}
        for name, text in (os.environ if env is None else env).items():
            path = name.removeprefix(PREFIX).lower().split("__")
            if name.startswith(PREFIX) and path[0] in cls.model_fields:
                _set(values, path, _parse(text))
        _merge(values, given or {})
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
                for problem in error.errors()
            )
            raise ConfigurationError(
                f"The settings cannot be used: {problems}. Look at neuromem.Settings for names and ranges."
            ) from None


def _parse(text: str) -> Any:
    """Read JSON lists and objects; anything else is a plain string, which pydantic turns into what it is."""
    try:
        return json.loads(text) if text[:1] in {"[", "{"} else text
    except ValueError:
        return text


def _set(values: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        section: Any = values.setdefault(part, {})
        if not isinstance(section, dict):  # the model will say that it must be one
            return
        values = section
    values[path[-1]] = value


def _merge(values: dict[str, Any], given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = value
