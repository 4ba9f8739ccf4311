"""Exponential backoff: how long to wait between tries."""

from __future__ import annotations

import random


def backoff_delay(first: float, attempt: int, *, most: float, jitter: float) -> float:
    """Return how long to wait after a failed try: doubled with each, and a little different for everybody.

    Args:
        first: Seconds to wait after the first try.
        attempt: The number of the try that failed, from 1.
        most: Seconds to wait at most.
        jitter: The part of the delay that chance may take away, between 0 and 1.

    Returns:
        Seconds.
    """
    return min(most, first * 2.0 ** min(attempt - 1, 30)) * random.uniform(1.0 - jitter, 1.0)
