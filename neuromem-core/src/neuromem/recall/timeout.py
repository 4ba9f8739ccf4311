"""Runs a stage of recall within its time, so that a failure or a delay has a name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from neuromem.errors import EmbeddingSpaceError, NeuroMemError, RecallError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from neuromem.domain.query import Query

T = TypeVar("T")

GRACE = 1.0  # seconds beyond the timeout: PostgreSQL ends a statement of ours before we end its task


async def guarded(what: str, name: str, query: Query, budget: float, work: Awaitable[T]) -> T:
    """Return what a stage returns.

    Args:
        what: The kind of stage, as an error calls it.
        name: Its name.
        query: The question it works on.
        budget: The seconds that it may take.
        work: The stage at work.

    Raises:
        RecallError: It failed or was late.
        EmbeddingSpaceError: The active embedding space is one that this process has no model for.
    """
    try:
        async with asyncio.timeout(budget + GRACE):
            return await work
    except TimeoutError as error:
        raise RecallError(
            f"The {what} {name!r} took longer than {budget} s for a question of user {query.user_id!r}. Raise "
            "settings.recall.timeout, or pass on_arm_error='skip'.",
            arm=name,
        ) from error
    except EmbeddingSpaceError:
        raise  # not the stage's fault: this process must be restarted
    except Exception as error:
        known = str(error) if isinstance(error, NeuroMemError) else repr(error)
        raise RecallError(
            f"The {what} {name!r} failed for a question of user {query.user_id!r}: {known} "
            "Pass on_arm_error='skip' to answer without it.",
            arm=name,
        ) from error
