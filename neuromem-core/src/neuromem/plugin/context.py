"""What a factory is given to build its object from."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.plugin.list_traits import ListTraits
    from neuromem.plugin.providers import LLMProvider


class Clock(Protocol):
    """Where the time comes from; tests pass one that stands still."""

    def now(self) -> datetime:
        """Return the present moment, timezone-aware."""
        ...


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Context:
    """What a factory builds its object from.

    A retriever gets its `Reader` with each question, not here.

    Attributes:
        model: The text after the colon of a provider's name (``"openai:gpt-4o"``), or None.
        options: ``settings.plugins[name]``.
        env: The environment's variables; for a default provider without keys and addresses.
        clock: Where the time comes from.
        llm: The LLM that the user chose, for stages that call one; None in LLM-free mode.
        retrievers: For a fusion: the active retrievers by name, and how their lists are to be read. Else empty.
    """

    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    clock: Clock = field(default_factory=SystemClock)
    llm: LLMProvider | None = field(default=None, repr=False)
    retrievers: Mapping[str, ListTraits] = field(default_factory=dict)
