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


def _section(model: type[_Section]) -> Any:
    return Field(default_factory=model, description=model.__doc__)


class BM25Settings(_Section):
    """Lexical retrieval: BM25 in the variant that bm25s calls ``lucene``."""

    k1: float = Field(
        default=0.6,
        ge=0,
        le=10,
        description="Saturation, without a unit: the smaller, the sooner a repeated word stops counting.",
    )
    b: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Length normalization, a share: 0 ignores how long a text is, 1 discounts long texts fully.",
    )


class RecallSettings(_Section):
    """The pipeline that answers ``recall()`` and every other search."""

    depth: int = Field(
        default=60,
        ge=1,
        le=1_000,
        description="Candidates that each retriever offers; as many as `limit` where that is more.",
    )
    timeout: float = Field(
        default=10.0,
        gt=0,
        description="Seconds that each retriever, each reranker and the embedding of the question may take.",
    )
    fusion: str | None = Field(
        default=None, description="Name of the fusion. Not set: the one that is on by default."
    )
    scorer_weights: dict[str, float] = Field(
        default_factory=dict,
        description='Weights of scorers, by their names, such as `{"recency": 0.05}`: what a score of 1 adds before '
        "the sum is scaled to at most 1. Empty: every scorer has its usual weight.",
    )
    rerankers: tuple[str, ...] = Field(
        default=(), description="Names of the rerankers, in their order. Empty: those that are on by default."
    )


class VectorSettings(_Section):
    """When vectors are searched through an approximate index instead of one by one."""

    exact_limit: int = Field(
        default=20_000,
        ge=1,
        description="Vectors of one user up to which all are compared with the question. Beyond it an HNSW index of "
        "this user alone is searched, which may miss some.",
    )
    max_indexes: int = Field(
        default=64,
        ge=0,
        description="Users who may have such an index, in the whole schema; for all others every vector is compared.",
    )


class WorkSettings(_Section):
    """The background worker of each process."""

    concurrency: int = Field(default=2, ge=1, le=64, description="Jobs that run at the same time.")
    lease: float = Field(
        default=60.0,
        gt=0,
        description="Seconds after which a job is taken over from a worker that has stopped renewing its lease.",
    )
    poll: float = Field(default=1.0, gt=0, description="Seconds between two looks at an idle queue.")
    retry_delay: float = Field(
        default=1.0,
        gt=0,
        description="Seconds before a failed job is tried again; doubled after each further failure, up to a bound.",
    )
    max_attempts: int = Field(
        default=8,
        ge=1,
        description="Attempts after which a failing job is dead; outages of a provider or the database never kill it.",
    )
    embed_batch: int = Field(default=64, ge=1, le=4096, description="Texts that one call embeds, at most.")
    extract_batch: int = Field(
        default=10, ge=1, le=100, description="Messages that one call extracts from, at most."
    )
    drain_timeout: float = Field(
        default=30.0, ge=0, description="Seconds that leaving `async with` waits for background work."
    )


class ExtractionSettings(_Section):
    """From messages to memories; ``prompt``, ``instructions`` and ``fields`` are the LLM extractor's."""

    extractors: tuple[str, ...] = Field(
        default=(),
        description="Names of the extractors. Empty: those on by default, else `llm` with an LLM, `rules` without.",
    )
    context_messages: int = Field(
        default=10, ge=0, le=100, description="Messages before the new ones that an extractor is shown."
    )
    known_memories: int = Field(
        default=20,
        ge=0,
        le=200,
        description="Memories that an extractor is shown, those nearest to the new messages.",
    )
    window_size: int = Field(
        default=24_000,
        ge=1_000,
        description="Characters of new messages in one call, at most; a message that is longer is alone in its call.",
    )
    timezone: Annotated[str, AfterValidator(_time_zone)] = Field(
        default="UTC",
        description="Time zone, such as `Europe/Berlin`, in which dates are meant, in messages that say nothing else "
        "and in questions.",
    )
    daily_tokens: int | None = Field(
        default=None,
        ge=0,
        description="Tokens that a user may cost per day (UTC); what is over it waits for the next. Not set: no limit.",
    )
    instructions: str = Field(
        default="", max_length=20_000, description="Text that is added to the prompt. Empty: nothing is."
    )
    fields: Annotated[ImportString[type[BaseModel]], WrapValidator(_imported)] | None = Field(
        default=None,
        description="Pydantic model of further fields of facts and episodes, or its name as `package.module:Name`. "
        "Not set: none.",
    )
    prompt: str | None = Field(
        default=None,
        min_length=1,
        description="Text that replaces the built-in prompt; `{instructions}` and `{relations}` in it are filled in. "
        "Not set: the built-in one.",
    )

    @property
    def zone(self) -> tzinfo:
        """The time zone of ``timezone``."""
        return _zone(self.timezone)


class DigestSettings(_Section):
    """From memories to insights."""

    related_memories: int = Field(
        default=15,
        ge=0,
        le=100,
        description="Memories from before that the LLM is shown with a batch, those nearest to it.",
    )
    known_insights: int = Field(
        default=30,
        ge=1,
        le=200,
        description="Insights that the LLM is shown with a batch, the latest and those nearest to it.",
    )
    sensitive_inferences: bool = Field(
        default=False,
        description="Whether hints may lead to insights on health, religion, politics and the like; otherwise only "
        "what was said outright does.",
    )


class FileSettings(_Section):
    """Uploads, and how their text is read and cut."""

    max_size: int = Field(default=50 * 1024 * 1024, ge=1, description="Bytes of one file, at most.")
    max_text: int = Field(
        default=50_000_000,
        ge=1,
        description="Characters of text in one file, at most; one with more is refused.",
    )
    passage_tokens: int = Field(
        default=300, ge=20, le=2_000, description="Tokens of one passage, estimated, at most."
    )
    passage_overlap: int = Field(
        default=50,
        ge=0,
        le=1_000,
        description="Tokens at the beginning of a passage that are also the end of the one before, at most.",
    )
    parse_timeout: float = Field(default=120.0, gt=0, description="Seconds that reading one file may take.")
    parse_memory: int = Field(
        default=2**30, ge=2**28, description="Bytes of memory that reading one file may take."
    )
    parsers: int = Field(default=2, ge=1, le=64, description="Files that one process reads at the same time.")


class Settings(_Section):
    """Everything that can be set; sections nest with ``__``: ``NEUROMEM_RECALL__DEPTH=200``."""

    database_url: str | None = Field(
        default=None,
        repr=False,
        description="URL of the PostgreSQL database. Not set: the default of the plugins.",
    )
    embedding: str | None = Field(
        default=None,
        description="Embedding provider, as `name` or `name:model`. Not set: the default of the plugins.",
    )
    llm: str | None = Field(
        default=None,
        description="LLM provider, as `name` or `name:model`, or `none`. Not set: the default of the plugins, if any.",
    )
    storage: str | None = Field(
        default=None,
        description="Object storage for the bytes of files, by name. Not set: the default of the plugins, if any.",
    )
    enable: tuple[str, ...] = Field(
        default=(), description="Names of stages that are on besides the default ones. Empty: no others."
    )
    disable: tuple[str, ...] = Field(
        default=(), description="Names of stages that are off though on by default. Empty: none."
    )
    plugins: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        repr=False,
        description="Options of providers and stages, by their names. Empty: all have their own defaults.",
    )
    language: str = Field(
        default="en", description="Language, as a tag such as `en` or `zh`, of users for whom none was set."
    )
    max_content: int = Field(
        default=100_000, ge=1, description="Characters of one message or memory, at most."
    )
    extract_roles: tuple[Literal["user", "assistant", "tool"], ...] = Field(
        default=("user",), description="Roles whose messages are extracted; those of the others are context."
    )
    bm25: BM25Settings = _section(BM25Settings)
    extraction: ExtractionSettings = _section(ExtractionSettings)
    digest: DigestSettings = _section(DigestSettings)
    files: FileSettings = _section(FileSettings)
    recall: RecallSettings = _section(RecallSettings)
    vectors: VectorSettings = _section(VectorSettings)
    work: WorkSettings = _section(WorkSettings)

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
