"""How the extraction of messages ended: stored with the acknowledgement of its jobs, replaced by a re-extraction, read.

The rule that this module decides: a message is marked as extracted, and recall may leave it out in favor of its
memories, when a complete extraction kept something of it. Of which nothing was kept, only the message itself tells.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuromem.domain.messages import ExtractionState
from neuromem.store.database.sql import NOTHING, fill
from neuromem.store.kv.kv import PROFILE_AS_JSON, parse_profile
from neuromem.store.queue.jobs import ACKNOWLEDGE_JOBS
from neuromem.store.queue.token_usage import INSERT_TOKEN_USAGE, usage_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.observe import LLMCall
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row
    from neuromem.store.queue.jobs import Claim

EXTRACTION_OPERATION = "extraction"
"""Under this name the tokens of extraction are counted."""

# The first statement of the transaction that stores a result: the worker sees whether the jobs are still its own
# before it writes anything.
ACKNOWLEDGE = fill(
    """
    WITH acknowledged AS (
        {acknowledge_jobs}
    ), outcomes AS (
        INSERT INTO {s}.extractions (user_id, message_id, extractor, state, why, origin, created_at)
        SELECT :user, n.message_id, :extractor, n.state, n.why, CAST(:origin AS jsonb), :now
        FROM unnest(CAST(:messages AS uuid[]), CAST(:states AS text[]), CAST(:whys AS text[]))
             AS n(message_id, state, why)
        ON CONFLICT (user_id, message_id, extractor) DO UPDATE SET
            state = excluded.state, why = excluded.why, origin = excluded.origin, created_at = excluded.created_at
    ), marked_entries AS (
        UPDATE {s}.entries e SET extracted = true
        FROM unnest(CAST(:messages AS uuid[]), CAST(:states AS text[])) AS n(message_id, state)
        WHERE e.user_id = :user AND e.item = n.message_id AND e.version = 1 AND n.state = 'done'
          AND CAST(:complete AS bool) AND NOT e.extracted
    ), marked_user AS (
        UPDATE {s}.users SET extracted = true
        WHERE user_id = :user AND CAST(:complete AS bool) AND NOT extracted
    ), token_usage AS ({token_usage})
    SELECT count(*) AS jobs, {profile} AS profile FROM acknowledged
    """,
    acknowledge_jobs=ACKNOWLEDGE_JOBS,
    token_usage=fill(INSERT_TOKEN_USAGE, there=NOTHING),
    profile=PROFILE_AS_JSON,
)

REPLACE_OUTCOMES = """
    WITH outcomes AS (
        INSERT INTO {s}.extractions (user_id, message_id, extractor, state, why, origin, created_at)
        SELECT :user, m.message_id, :extractor, n.state, n.why, CAST(:origin AS jsonb), :now
        FROM unnest(CAST(:messages AS uuid[]), CAST(:states AS text[]), CAST(:whys AS text[]))
             AS n(message_id, state, why)
        JOIN {s}.messages m ON m.user_id = :user AND m.message_id = n.message_id
        ON CONFLICT (user_id, message_id, extractor) DO UPDATE SET
            state = excluded.state, why = excluded.why, origin = excluded.origin, created_at = excluded.created_at
    )
    UPDATE {s}.entries e SET extracted = n.state = 'done' AND CAST(:complete AS bool)
    FROM unnest(CAST(:messages AS uuid[]), CAST(:states AS text[])) AS n(message_id, state)
    WHERE e.user_id = :user AND e.item = n.message_id AND e.version = 1
      AND e.extracted <> (n.state = 'done' AND CAST(:complete AS bool))
"""

UNEXTRACTED_MESSAGES = """
    SELECT m.message_id, m.user_id, m.session_id, m.position, m.role, m.content, m.created_at, m.occurred_at, m.name,
           m.metadata, m.language, m.idempotency_key, j.job, j.attempts, j.run_after, j.dead, j.error
    FROM {s}.messages m
    LEFT JOIN LATERAL (
        SELECT j.job, j.attempts, j.run_after, j.dead, j.error FROM {s}.jobs j
        WHERE j.user_id = :user AND j.kind = 'extract' AND j.entry = m.entry ORDER BY j.job LIMIT 1
    ) AS j ON true
    WHERE m.user_id = :user AND m.role = ANY(CAST(:roles AS text[]))
      AND (CAST(:session AS text) IS NULL OR m.session_id = :session)
      AND (j.job IS NOT NULL OR NOT EXISTS (
          SELECT FROM {s}.extractions x WHERE x.user_id = :user AND x.message_id = m.message_id))
    ORDER BY m.entry LIMIT :limit
"""

SELECT_OUTCOMES = """
    SELECT message_id, state, why FROM {s}.extractions
    WHERE user_id = :user AND message_id = ANY(CAST(:messages AS uuid[])) ORDER BY created_at
"""


@dataclass(frozen=True, slots=True)
class ExtractionOutcome:
    """How the extraction of messages ended.

    Attributes:
        extractor: The name of the extractor.
        states: By message id a state and, when nothing was kept, why.
        complete: Whether the extractor promises to have kept everything worth keeping.
        origin: The extractor with its model and version of the prompt.
    """

    extractor: str
    states: Mapping[str, tuple[str, str | None]]
    complete: bool
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the statements that store it."""
        return {
            "extractor": self.extractor,
            "messages": list(self.states),
            "states": [state for state, _ in self.states.values()],
            "whys": [why for _, why in self.states.values()],
            "origin": json.dumps(dict(self.origin)),
            "complete": self.complete,
        }


async def acknowledge_extraction(
    transaction: Transaction, claim: Claim, ended: ExtractionOutcome, calls: Sequence[LLMCall], now: datetime
) -> dict[str, Any] | None:
    """Acknowledge the jobs of an extraction and store how it ended and what it cost.

    Args:
        transaction: A transaction that holds the user's lock.
        claim: The claimed jobs.
        ended: How the extraction ended.
        calls: The calls of models that it took.
        now: The moment of the transaction on the user's clock.

    Returns:
        The current profile; None when another worker has taken over the jobs, and the caller must store nothing.
    """
    found = await transaction.first(
        ACKNOWLEDGE,
        {
            **claim.lease.parameters,
            "now": now,
            **ended.parameters,
            **usage_parameters(EXTRACTION_OPERATION, calls),
        },
    )
    return parse_profile(found.profile) if found is not None and found.jobs == len(claim.jobs) else None


async def record_outcomes(
    transaction: Transaction, user_id: str, endings: Sequence[ExtractionOutcome], now: datetime
) -> None:
    """Replace the stored outcomes of messages by those of a re-extraction.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose messages.
        endings: How the extraction ended this time; messages that were deleted since are ignored.
        now: The moment of the transaction on the user's clock.
    """
    for ended in endings:
        await transaction.run(REPLACE_OUTCOMES, {"user": user_id, "now": now, **ended.parameters})


async def unextracted_messages(
    database: Database, user_id: str, *, roles: Sequence[str], session_id: str | None, limit: int
) -> list[tuple[Row, ExtractionState]]:
    """Return the messages whose extraction has not ended, oldest first, each with its state.

    Args:
        database: The database to read from.
        user_id: Whose messages.
        roles: Only messages of these roles.
        session_id: Only messages of this session; None for all.
        limit: The most messages to return.
    """
    async with database.user(user_id) as transaction:
        rows = await transaction.all(
            UNEXTRACTED_MESSAGES,
            {"user": user_id, "roles": list(roles), "session": session_id, "limit": limit},
        )
    return [(row, _state(row)) for row in rows]


async def extraction_outcomes(
    database: Database, user_id: str, messages: Sequence[str]
) -> dict[str, ExtractionState]:
    """Return by id how the extraction of messages ended, without those where it has not."""
    async with database.user(user_id) as transaction:
        rows = await transaction.all(SELECT_OUTCOMES, {"user": user_id, "messages": list(messages)})
    return {str(row.message_id): ExtractionState(row.state, row.why) for row in rows}


def _state(row: Row) -> ExtractionState:
    if row.job is None:
        return ExtractionState("none")
    if row.dead:
        return ExtractionState("dead", row.error, row.attempts)
    return ExtractionState(
        "failed" if row.error and row.attempts else "waiting", row.error, row.attempts, row.run_after
    )
