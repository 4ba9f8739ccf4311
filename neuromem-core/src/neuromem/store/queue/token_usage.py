"""The tokens that calls of LLMs took, by user, day (UTC), operation and model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.store.database.sql import fill

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.observe import LLMCall
    from neuromem.store.database.database import Database, Transaction

INSERT_TOKEN_USAGE = """
    INSERT INTO {s}.usage AS u (user_id, day, operation, model, calls, failures, prompt_tokens, completion_tokens)
    SELECT :user, (now() AT TIME ZONE 'UTC')::date, :operation, n.model, count(*), count(*) FILTER (WHERE n.failed),
           sum(n.prompt), sum(n.completion)
    FROM unnest(CAST(:model AS text[]), CAST(:failed AS bool[]), CAST(:prompt AS int[]), CAST(:completion AS int[]))
         AS n(model, failed, prompt, completion)
    {there} GROUP BY n.model
    ON CONFLICT (user_id, day, operation, model) DO UPDATE SET
        calls = u.calls + excluded.calls, failures = u.failures + excluded.failures,
        prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = u.completion_tokens + excluded.completion_tokens
"""

# Nothing is written for a user who was deleted in the meantime.
ADD = fill(
    "WITH there AS MATERIALIZED (SELECT FROM {s}.users WHERE user_id = :user FOR KEY SHARE) {insert}",
    insert=fill(INSERT_TOKEN_USAGE, there="CROSS JOIN there"),
)

SUM = """
    SELECT operation, sum(calls) AS calls, sum(failures) AS failures, sum(prompt_tokens) AS prompt_tokens,
           sum(completion_tokens) AS completion_tokens
    FROM {s}.usage
    WHERE user_id = :user AND (CAST(:since AS timestamptz) IS NULL
                               OR day >= (CAST(:since AS timestamptz) AT TIME ZONE 'UTC')::date)
    GROUP BY operation ORDER BY operation
"""


async def add_token_usage(
    transaction: Transaction, user_id: str, operation: str, calls: Sequence[LLMCall]
) -> None:
    """Add calls to the usage of a user, unless the user is gone."""
    await transaction.run(ADD, {"user": user_id, **usage_parameters(operation, calls)})


def usage_parameters(operation: str, calls: Sequence[LLMCall]) -> dict[str, Any]:
    """Return calls as the parameters of `INSERT_TOKEN_USAGE`."""
    return {
        "operation": operation,
        "model": [call.model for call in calls],
        "failed": [call.failed for call in calls],
        "prompt": [call.prompt_tokens for call in calls],
        "completion": [call.completion_tokens for call in calls],
    }


async def total_token_usage(
    database: Database, user_id: str, since: datetime | None
) -> dict[str, dict[str, Any]]:
    """Return the calls, failures and tokens of a user by operation.

    Args:
        database: Where the user is.
        user_id: The user.
        since: A moment; counted is from the beginning of its day (UTC). None: from the first day.
    """
    async with database.user(user_id) as transaction:
        rows = await transaction.all(SUM, {"user": user_id, "since": since})
    names = ("calls", "failures", "prompt_tokens", "completion_tokens")
    return {row.operation: {name: int(getattr(row, name)) for name in names} for row in rows}
