"""Settings: one pydantic model, filled from the constructor and from ``NEUROMEM_*``.

pydantic-settings 2.16 was tried in place of the reading at the end of this file. It is not used because

- it reads ``NEUROMEM_PLUGINS__ACME__HOSTS='["a"]'`` as text, drops ``NEUROMEM_LLM__X=1`` and ``NEUROMEM_ENABLE=null``
  without a word, and names a section, not the variable, when a list is not JSON;
- ``BaseSettings`` reads the environment for ``Settings()`` too, which here are the defaults, and logs every value,
  the database's password included, where ``PYDANTIC_SETTINGS_DEBUG`` is set;
- it adds two distributions of 8,000 lines, and 50 to 75 ms to the 270 ms in which this module is imported, to save
  some 20 lines.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, tzinfo
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ImportString,
    ValidationError,
    WrapValidator,
)

from neuromem.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PREFIX = "NEUROMEM_"


def _time_zone(name: str) -> str:
    try:
        _zone(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError("there is no such time zone; they are named like 'Europe/Berlin'") from error
    return name


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)  # not every system has a database of zones


def _imported(value: Any, handler: Callable[[Any], Any]) -> Any:
    try:
        return handler(value)
    except ValidationError as error:
        if error.errors()[0]["type"] == "import_error":  # its message shows the value
            raise ValueError("Python cannot import it; it is named like 'package.module:Name'") from None
        raise


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


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
    fields: Annotated[ImportString[type[BaseModel]], WrapValidator(_imported)] | None = Field(
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

        Raises `ConfigurationError` naming the key and the variable it came from, never showing a value.
        """
        given, env = given or {}, os.environ if env is None else env
        values = _read(env)
        _merge(values, given)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(f"{_named(problem['loc'], given, env)}: {problem['msg']}" for problem in problems)
        # Raised out here: as its context, pydantic's error would bring the values along.
        raise ConfigurationError(
            f"The settings cannot be used: {told}. Look at neuromem.Settings for names and ranges."
        )


def _read(env: Mapping[str, str]) -> dict[str, Any]:
    """Return what the variables set, as nested dicts; what is in a section overrides the section's own variable."""
    values: dict[str, Any] = {}
    for name in sorted(env):
        path = name.removeprefix(PREFIX).lower().split("__")
        if name.startswith(PREFIX) and path[0] in Settings.model_fields:
            _set(values, path, env[name] if _is_text(Settings, path) else _parse(env[name]))
    return values


def _is_text(model: type[BaseModel], path: Sequence[str]) -> bool:
    """Tell whether a setting is text, and stays so where it looks like JSON."""
    field = model.model_fields.get(path[0])
    kind: Any = field and field.annotation
    if len(path) > 1:
        return isinstance(kind, type) and issubclass(kind, BaseModel) and _is_text(kind, path[1:])
    return kind in (str, str | None)


def _parse(text: str) -> Any:
    """Read JSON lists and objects; anything else is a plain string, which pydantic turns into what it is."""
    try:
        return json.loads(text) if text.lstrip().startswith(("[", "{")) else text
    except ValueError:
        return text


def _set(values: Any, path: Sequence[str], value: Any) -> None:
    *sections, last = path
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):  # the model will say that it must be one
            return
    values[last] = value


def _merge(values: dict[str, Any], given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = value


def _named(path: Sequence[str | int], given: Any, env: Mapping[str, str]) -> str:
    """Return the name of a setting and, unless it was given, that of the variable it was read from."""
    key = ".".join(map(str, path))
    try:
        reduce(getitem, path, given)
    except KeyError:
        name = PREFIX + "__".join(map(str, path)).upper()
        found = [one for one in env if f"{name}__".startswith(f"{one}__")]  # its own, or that of its section
        found = found or [one for one in env if one.startswith(f"{name}__")]
        return f"{key} ({max(found, key=len)})" if found else key
    except (IndexError, TypeError):  # it was given, as something that cannot be looked into
        return key
    return key
