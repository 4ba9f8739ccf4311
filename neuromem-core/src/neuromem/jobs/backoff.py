"""When failed jobs are tried again, and when a whole capability is left alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from neuromem.domain.backoff import backoff_delay
from neuromem.errors import DatabaseUnavailableError, ProviderError, ProviderResponseError, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_DELAY = 300.0  # seconds between two tries, unless a provider asks for more
JITTER = 0.25


def is_outage(error: Exception) -> bool:
    """Return whether an error says nothing about the job itself, which then is tried for as long as it takes."""
    if isinstance(error, ProviderError):
        return not isinstance(error, ProviderResponseError)
    return isinstance(error, DatabaseUnavailableError)


def retry_delay(first: float, attempts: int, error: Exception) -> float:
    """Return the seconds before a failed job is tried again: `backoff_delay`, or longer if the provider asks for it."""
    return max(backoff_delay(first, attempts, most=MAX_DELAY, jitter=JITTER), _retry_after(error))


class CapabilityPauses:
    """Leaves capabilities alone whose claims failed, each a little longer every time.

    While a provider is down, one claim now and then finds out; the other jobs keep their place and their number of
    attempts. A pause is half as long as the delay of a job, so that other jobs have a turn before those that failed.
    """

    def __init__(self, first: float) -> None:
        """Make it; ``first`` is the delay in seconds after the first failure."""
        self._first = first
        self._failures: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def not_paused(self, capabilities: Iterable[str]) -> list[str]:
        """Return those of ``capabilities`` that are not paused now."""
        now = time.monotonic()
        return [capability for capability in capabilities if self._until.get(capability, 0.0) <= now]

    def claim_failed(self, capability: str, *errors: Exception) -> None:
        """Pause a capability, after all jobs of a claim failed with these errors."""
        self._failures[capability] = self._failures.get(capability, 0) + 1
        seconds = max(retry_delay(self._first, self._failures[capability], error) / 2 for error in errors)
        self._until[capability] = time.monotonic() + max(seconds, *(_retry_after(error) for error in errors))

    def claim_succeeded(self, capability: str) -> None:
        """End the pause of a capability, after any job of a claim was done."""
        self._failures.pop(capability, None)
        self._until.pop(capability, None)


def _retry_after(error: Exception) -> float:
    return (error.retry_after or 0.0) if isinstance(error, RateLimitError) else 0.0
