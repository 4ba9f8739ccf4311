"""The work of extraction: enqueued with the messages, loaded as windows, acknowledged with what came of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuromem.domain.messages import ExtractionState
from neuromem.store.database.sql import fill
from neuromem.store.memories.write import MEMORY_COLUMNS, memory_from_row
from neuromem.store.queue.jobs import ACKNOWLEDGE_JOBS
from neuromem.store.queue.token_usage import INSERT_TOKEN_USAGE, usage_parameters
from neuromem.store.search_index.bm25 import BM25_NOTHING, BM25_PRESENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.config import BM25Settings
    from neuromem.domain.memories import Memory
    from neuromem.observe import LLMCall
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row
    from neuromem.store.queue.jobs import Claim

OPERATION = "extraction"

ENQUEUE = """
    INSERT INTO {s}.jobs (user_id, kind, capability, entry, payload)
    SELECT :user, 'extract', n.capability, e.entry, jsonb_build_object('session', CAST(:session AS text))
    FROM unnest(CAST(:entries AS int[])) WITH ORDINALITY AS e(entry, place)
    CROSS JOIN unnest(CAST(:capabilities AS text[])) AS n(capability) ORDER BY e.place
"""

# What waits in a session until there is more of it, or until nothing was said for a while.
HELD_BACK = """
    user_id = :user AND kind = 'extract' AND NOT dead AND attempts = 0 AND lease IS NULL AND jobs.run_after > now()
    AND payload ->> 'session' = CAST(:session AS text)
"""

ENQUEUE_LATER = f"""
    WITH due AS (
        SELECT CASE WHEN (SELECT count(DISTINCT entry) FROM {{s}}.jobs WHERE {HELD_BACK})
                         + cardinality(CAST(:entries AS int[])) >= :interval
               THEN now() ELSE now() + make_interval(secs => :idle) END AS run_after
    ), moved AS (
        UPDATE {{s}}.jobs SET run_after = due.run_after FROM due WHERE {HELD_BACK}
    )
    INSERT INTO {{s}}.jobs (user_id, kind, capability, entry, payload, run_after)
    SELECT :user, 'extract', n.capability, e.entry, jsonb_build_object('session', CAST(:session AS text)), due.run_after
    FROM due CROSS JOIN unnest(CAST(:entries AS int[])) WITH ORDINALITY AS e(entry, place)
    CROSS JOIN unnest(CAST(:capabilities AS text[])) AS n(capability) ORDER BY e.place
"""

RELEASE_SESSION = f"UPDATE {{s}}.jobs SET run_after = now() WHERE {HELD_BACK}"
RELEASE_ALL = """
    UPDATE {s}.jobs SET run_after = now()
    WHERE kind = 'extract' AND NOT dead AND attempts = 0 AND lease IS NULL AND run_after > now()
"""
RELEASE_USER = f"{RELEASE_ALL} AND user_id = :user"

PROFILE = """
    (SELECT coalesce(jsonb_object_agg(key, value::text), '{}') FROM {s}.kv
     WHERE user_id = :user AND namespace = 'profile' AND superseded_at IS NULL
       AND (expires_at IS NULL OR expires_at > now()))
"""

# The new messages and those around them; where the session begins with a new one, the user's last words within
# the idle time. The first row also carries what is known of the user.
WINDOW = """
    WITH span AS (
        SELECT e.session_id, min(e.position) AS first, max(e.position) AS last, min(m.occurred_at) AS begins
        FROM {s}.entries e JOIN {s}.messages m ON m.user_id = :user AND m.message_id = e.item
        WHERE e.user_id = :user AND e.entry = ANY(CAST(:entries AS int[])) AND e.kind = 'm'
        GROUP BY e.session_id
    ), turns AS (
        SELECT m.* FROM span CROSS JOIN LATERAL (
            SELECT m.* FROM {s}.messages m
            WHERE m.user_id = :user AND m.session_id = span.session_id
              AND m.position BETWEEN span.first - CAST(:before AS int) AND span.last
            OFFSET 0
        ) AS m
        UNION ALL
        SELECT m.* FROM span CROSS JOIN LATERAL (
            SELECT m.* FROM {s}.messages m
            WHERE m.user_id = :user AND span.first = 0 AND m.session_id <> span.session_id
              AND m.occurred_at BETWEEN span.begins - make_interval(secs => :idle) AND span.begins
            ORDER BY m.occurred_at DESC, m.position DESC LIMIT CAST(:before AS int)
        ) AS m
    ), about AS (
        SELECT jsonb_build_object(
            'language', (SELECT language FROM {s}.users WHERE user_id = :user),
            'spent', (SELECT coalesce(sum(prompt_tokens + completion_tokens), 0) FROM {s}.usage
                      WHERE user_id = :user AND day = (now() AT TIME ZONE 'UTC')::date),
            'profile', {profile}
        ) AS about
    )
    SELECT t.message_id, t.user_id, t.session_id, t.position, t.role, t.content, t.created_at, t.occurred_at, t.name,
           t.metadata, t.language, t.idempotency_key, t.entry, t.utc_offset,
           CASE WHEN row_number() OVER (ORDER BY t.entry) = 1 THEN a.about END AS about
    FROM turns t CROSS JOIN about a ORDER BY t.occurred_at, t.entry
""".replace("{profile}", PROFILE)

KNOWN = """
    , now AS (
        SELECT space FROM {s}.spaces WHERE active
    ), asked AS (
        SELECT v.v FROM {s}.vectors v
        WHERE v.user_id = :user AND v.space = (SELECT space FROM now)
          AND v.entry = ANY(CAST(:entries AS int[])) AND v.part = 0
    ), near AS (
        SELECT v.entry, min(v.v <#> a.v) AS distance FROM {s}.vectors v CROSS JOIN asked a
        WHERE v.user_id = :user AND v.space = (SELECT space FROM now) AND v.kind = 'k' AND v.current
        GROUP BY v.entry ORDER BY 2, 1 LIMIT :most
    ), best AS (
        SELECT entry, min(place) AS place FROM (
            SELECT entry, row_number() OVER (ORDER BY distance, entry) AS place FROM near
            UNION ALL
            SELECT entry, row_number() OVER (ORDER BY score DESC, entry) FROM scored
        ) AS ranked GROUP BY entry ORDER BY 2, 1 LIMIT :most
    )
    SELECT {columns} FROM best
    JOIN {s}.entries e ON e.user_id = :user AND e.entry = best.entry
    JOIN {s}.memories m ON m.user_id = :user AND m.memory_id = e.item AND m.version = e.version
    WHERE m.superseded_at IS NULL ORDER BY best.place, m.memory_id
""".replace("{columns}", MEMORY_COLUMNS)
KNOWN_BY_WORDS = "WITH " + BM25_PRESENT + KNOWN
KNOWN_BY_MEANING = "WITH " + BM25_NOTHING + KNOWN

# The first statement that stores a result: it finds out whether the jobs are still held before anything is written. A
# message of which no memory was made remains to be recalled itself.
ACKNOWLEDGE = fill(
    """
    WITH mine AS (
        {acknowledge_jobs}
    ), recorded AS (
        INSERT INTO {s}.extractions (user_id, message_id, extractor, state, why, origin, created_at)
        SELECT :user, n.message_id, :extractor, n.state, n.why, CAST(:origin AS jsonb), :now
        FROM unnest(CAST(:messages AS uuid[]), CAST(:states AS text[]), CAST(:whys AS text[]))
             AS n(message_id, state, why)
        ON CONFLICT (user_id, message_id, extractor) DO UPDATE SET
            state = excluded.state, why = excluded.why, origin = excluded.origin, created_at = excluded.created_at
    ), suppressed AS (
        UPDATE {s}.entries e SET extracted = true
        FROM unnest(CAST(:messages AS uuid[]), CAST(:states AS text[])) AS n(message_id, state)
        WHERE e.user_id = :user AND e.item = n.message_id AND e.version = 1 AND n.state = 'done'
          AND CAST(:complete AS bool) AND NOT e.extracted
    ), flagged AS (
        UPDATE {s}.users SET extracted = true
        WHERE user_id = :user AND CAST(:complete AS bool) AND NOT extracted
    ), spent AS ({spent})
    SELECT count(*) AS jobs, {profile} AS profile FROM mine
    """,
    acknowledge_jobs=ACKNOWLEDGE_JOBS,
    spent=fill(INSERT_TOKEN_USAGE, there=""),
    profile=PROFILE,
)

STATES = """
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

OUTCOMES = """
    SELECT message_id, state, why FROM {s}.extractions
    WHERE user_id = :user AND message_id = ANY(CAST(:messages AS uuid[])) ORDER BY created_at
"""


@dataclass(frozen=True, slots=True)
class ExtractionRequest:
    """Which extractors get a message, and when: at once, or ``interval`` messages or ``idle`` seconds together."""

    capabilities: Sequence[str]
    interval: int
    idle: float
    on_session_close: bool = True


@dataclass(frozen=True, slots=True)
class LoadedWindow:
    """The messages of a claim with those around them, oldest first, and what is known of the user."""

    rows: Sequence[Row]
    language: str | None
    spent: int
    profile: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ExtractionOutcome:
    """How the extraction of messages ended: by message a state and, when there was nothing to keep, why."""

    extractor: str
    states: Mapping[str, tuple[str, str | None]]
    complete: bool
    origin: Mapping[str, Any] = field(default_factory=dict)


async def enqueue_extraction(
    transaction: Transaction, user_id: str, session_id: str, entries: Sequence[int], wanted: ExtractionRequest
) -> None:
    """Enqueue the extraction of messages, in the transaction that stores them."""
    await transaction.run(
        ENQUEUE if wanted.interval == 1 else ENQUEUE_LATER,
        {
            "user": user_id,
            "session": session_id,
            "entries": list(entries),
            "capabilities": list(wanted.capabilities),
            "interval": wanted.interval,
            "idle": wanted.idle,
        },
    )


async def release_waiting_extractions(
    database: Database, user_id: str | None = None, session_id: str | None = None
) -> None:
    """Let what waits for more messages wait no longer: of a session, of a user, or of everybody."""
    scope = database.worker() if user_id is None else database.user(user_id)
    sql = RELEASE_ALL if user_id is None else RELEASE_USER if session_id is None else RELEASE_SESSION
    async with scope as transaction:
        await transaction.run(sql, {"user": user_id, "session": session_id})


async def load_window(
    transaction: Transaction, user_id: str, entries: Sequence[int], *, before: int, idle: float
) -> LoadedWindow:
    """Return the messages of these entries and up to ``before`` others in front of them."""
    rows = await transaction.all(
        WINDOW, {"user": user_id, "entries": list(entries), "before": before, "idle": idle}
    )
    about = next((row.about for row in rows if row.about is not None), None)
    about = about or {"language": None, "spent": 0, "profile": {}}
    return LoadedWindow(rows, about["language"], int(about["spent"]), _values(about["profile"]))


async def nearest_memories(
    transaction: Transaction,
    user_id: str,
    entries: Sequence[int],
    tokens: Sequence[str],
    *,
    most: int,
    bm25: BM25Settings,
) -> list[Memory]:
    """Return the current memories nearest to messages, by their words and by the vectors that they have by now."""
    counts = Counter(tokens)
    rows = await transaction.all(
        KNOWN_BY_WORDS if counts else KNOWN_BY_MEANING,
        {
            "user": user_id,
            "entries": list(entries),
            "most": most,
            "kinds": ["k"],
            "terms": list(counts),
            "counts": list(counts.values()),
            "topical": [True] * len(counts),
            "k1": bm25.k1,
            "b": bm25.b,
        },
    )
    return [memory_from_row(row) for row in rows]


async def acknowledge_extraction(
    transaction: Transaction, claim: Claim, ended: ExtractionOutcome, calls: Sequence[LLMCall], now: datetime
) -> dict[str, Any] | None:
    """Say how the extraction of a claim's messages ended and what it cost; None when another worker has taken over.

    Returns the profile as it stands.
    """
    found = await transaction.first(
        ACKNOWLEDGE,
        {
            **claim.lease.parameters,
            "extractor": ended.extractor,
            "messages": list(ended.states),
            "states": [state for state, _ in ended.states.values()],
            "whys": [why for _, why in ended.states.values()],
            "origin": json.dumps(dict(ended.origin)),
            "complete": ended.complete,
            "now": now,
            **usage_parameters(OPERATION, calls),
        },
    )
    return _values(found.profile) if found is not None and found.jobs == len(claim.jobs) else None


def _values(profile: Mapping[str, str]) -> dict[str, Any]:
    return {key: json.loads(value) for key, value in profile.items()}


async def unextracted_messages(
    database: Database, user_id: str, *, roles: Sequence[str], session_id: str | None, limit: int
) -> list[tuple[Row, ExtractionState]]:
    """Return the messages whose extraction is not over, oldest first, each with its state."""
    async with database.user(user_id) as transaction:
        rows = await transaction.all(
            STATES, {"user": user_id, "roles": list(roles), "session": session_id, "limit": limit}
        )
    return [(row, _state(row)) for row in rows]


async def extraction_outcomes(
    database: Database, user_id: str, messages: Sequence[str]
) -> dict[str, ExtractionState]:
    """Return how the extraction of messages ended, of those where it did."""
    async with database.user(user_id) as transaction:
        rows = await transaction.all(OUTCOMES, {"user": user_id, "messages": list(messages)})
    return {str(row.message_id): ExtractionState(row.state, row.why) for row in rows}


def _state(row: Row) -> ExtractionState:
    if row.job is None:
        return ExtractionState("none")
    if row.dead:
        return ExtractionState("dead", row.error, row.attempts)
    return ExtractionState(
        "failed" if row.error and row.attempts else "waiting", row.error, row.attempts, row.run_after
    )
