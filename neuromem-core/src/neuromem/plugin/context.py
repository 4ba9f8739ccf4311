"""What a factory is given to build its object from."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.plugin.providers import LLMProvider


class Clock(Protocol):
    """Tells the time; tests hand in one that stands still."""

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
    """What a factory may look at.

    ``model`` is the text after the colon of a provider's name (``"openai:gpt-4o"``), or None; ``options`` is
    ``settings.plugins[name]``. What a retriever reads with comes with each question: ``query.reader``. ``llm`` is the
    LLM that the user chose, for stages that call one; None in LLM-free mode.
    """

    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    clock: Clock = field(default_factory=SystemClock)
    llm: LLMProvider | None = field(default=None, repr=False)
