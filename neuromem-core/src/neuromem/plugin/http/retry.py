"""When to try again, and how long to wait before."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from neuromem.domain.backoff import backoff_delay


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a call is tried and how long it waits in between; all times in seconds.

    The n-th wait is ``backoff * 2 ** (n - 1)``, at most ``max_backoff``, less up to half of it by chance.
    Where the server says how long to wait, that is what is waited; but not longer than ``max_wait``: then the
    caller gets the error, and with it the time to come back.
    """

    attempts: int = 4
    backoff: float = 0.5
    max_backoff: float = 20.0
    max_wait: float = 60.0

    def delay(self, attempt: int, asked: float | None) -> float | None:
        """Return the seconds to wait after failed attempt number ``attempt``, or None to give up."""
        if attempt >= self.attempts or (asked is not None and asked > self.max_wait):
            return None
        if asked is not None:  # a little more by chance, so that a crowd does not come back all at once
            return asked + random.uniform(0.0, self.backoff)
        return backoff_delay(self.backoff, attempt, most=self.max_backoff, jitter=0.5)


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, in either form; None when it does not."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _until(value)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
