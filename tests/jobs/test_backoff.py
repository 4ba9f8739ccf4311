"""How long failed jobs wait."""

from __future__ import annotations

import pytest

from neuromem.domain.backoff import backoff_delay
from neuromem.errors import ProviderUnavailableError, RateLimitError
from neuromem.jobs.backoff import MAX_DELAY, CapabilityPauses, retry_delay

DOWN = ProviderUnavailableError("down", provider="fake")


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 1.0), (2, 2.0), (5, 16.0), (10, 300.0), (32_000, 300.0)]
)
def test_the_delay_doubles_up_to_a_limit_less_a_part_by_chance(attempt: int, seconds: float) -> None:
    delays = [backoff_delay(1.0, attempt, most=300.0, jitter=0.25) for _ in range(200)]
    assert 0.75 * seconds <= min(delays) < max(delays) <= seconds


def test_a_provider_may_ask_for_more_and_not_for_less() -> None:
    assert (
        retry_delay(1.0, 1, RateLimitError("slow", provider="fake", retry_after=2 * MAX_DELAY))
        == 2 * MAX_DELAY
    )
    assert retry_delay(1.0, 5, RateLimitError("slow", provider="fake", retry_after=0.1)) >= 12.0


def test_a_capability_is_paused_by_failures_until_something_succeeds() -> None:
    pauses = CapabilityPauses(1000.0)
    pauses.claim_failed("space:1", DOWN)
    assert pauses.not_paused(["space:1", "extract:llm"]) == ["extract:llm"]
    pauses.claim_succeeded("space:1")
    assert pauses.not_paused(["space:1", "extract:llm"]) == ["space:1", "extract:llm"]
