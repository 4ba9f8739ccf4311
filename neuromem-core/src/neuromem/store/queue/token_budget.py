"""The daily budget of tokens that calls of LLMs may use for one user, over all operations.

What was used is in `token_usage`; a day begins at midnight UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from neuromem.errors import BudgetError
from neuromem.store.queue.token_usage import total_token_usage

if TYPE_CHECKING:
    from neuromem.store.database.database import Database


async def tokens_used_today(database: Database, user_id: str, now: datetime) -> int:
    """Return how many tokens a user's calls have used since midnight UTC."""
    usage = await total_token_usage(database, user_id, now)
    return sum(counts["prompt_tokens"] + counts["completion_tokens"] for counts in usage.values())


def check_budget(user_id: str, used: int, limit: int | None, *, operation: str) -> None:
    """Refuse an operation that may use no more tokens today.

    Args:
        user_id: The user, for the message.
        used: Tokens used today.
        limit: The budget of a day (``settings.extraction.daily_tokens``); None: unlimited.
        operation: What is refused, for the message, such as "extraction".

    Raises:
        BudgetError: The budget is used up.
    """
    if limit is not None and used >= limit:
        raise BudgetError(
            f"User {user_id!r} has spent {used:,} of {limit:,} tokens today (settings.extraction.daily_tokens); "
            f"{operation} goes on tomorrow (UTC)."
        )


def next_budget_day() -> datetime:
    """Return when the next budget begins: at the coming midnight UTC."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return tomorrow.replace(hour=0, minute=0, second=0, microsecond=0)
