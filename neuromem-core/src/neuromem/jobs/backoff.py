"""When to try again: how long a failed job waits, and when nothing of its sort is tried at all."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from neuromem.errors import DatabaseUnavailableError, ProviderError, ProviderResponseError, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_DELAY = 300.0  # seconds between two tries, at most, unless a provider asks for more


def outage(error: Exception) -> bool:
    """Tell whether the error says nothing about the job, which then waits for better times and never dies."""
    if isinstance(error, ProviderError):
        return not isinstance(error, ProviderResponseError)
    return isinstance(error, DatabaseUnavailableError)


def delay(first: float, attempts: int, error: Exception) -> float:
    """Return the seconds before the next try: doubled with each attempt, or what the provider asks for."""
    seconds = min(MAX_DELAY, first * 2.0 ** min(attempts - 1, 30)) * random.uniform(0.75, 1.0)
    return max(seconds, _asked(error))


class Pauses:
    """Whose handler had nothing but failures lately, and until when it is left alone.

    While a provider is down one claim now and then finds out; the other jobs keep their place and their count
    of attempts. A pause is half as long as a job's own delay, so that others have a turn before what failed.
    """

    def __init__(self, first: float) -> None:
        self._first = first
        self._failures: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def without(self, capabilities: Iterable[str]) -> list[str]:
        """Return those of ``capabilities`` that are not paused."""
        now = time.monotonic()
        return [capability for capability in capabilities if self._until.get(capability, 0.0) <= now]

    def failed(self, capability: str, *errors: Exception) -> None:
        """A whole claim failed."""
        self._failures[capability] = self._failures.get(capability, 0) + 1
        seconds = max(delay(self._first, self._failures[capability], error) / 2 for error in errors)
        self._until[capability] = time.monotonic() + max(seconds, *(_asked(error) for error in errors))

    def succeeded(self, capability: str) -> None:
        """Something was served."""
        self._failures.pop(capability, None)
        self._until.pop(capability, None)


def _asked(error: Exception) -> float:
    return (error.retry_after or 0.0) if isinstance(error, RateLimitError) else 0.0
