"""Runs an arm of recall within its budget, so that a failure or a delay has a name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from neuromem.errors import EmbeddingSpaceError, NeuroMemError, RecallError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from neuromem.domain.query import Query

T = TypeVar("T")

GRACE = 1.0  # seconds beyond the budget: a statement of our own is ended by PostgreSQL before we end its task


async def guarded(what: str, name: str, query: Query, budget: float, work: Awaitable[T]) -> T:
    """Return what an arm returns; raises `RecallError` naming it when it fails or takes more than its seconds."""
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
        raise  # no fault of the arm's: this process must be started anew
    except Exception as error:
        known = str(error) if isinstance(error, NeuroMemError) else repr(error)
        raise RecallError(
            f"The {what} {name!r} failed for a question of user {query.user_id!r}: {known} "
            "Pass on_arm_error='skip' to answer without it.",
            arm=name,
        ) from error
