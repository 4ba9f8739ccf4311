"""The yardstick: one bare SQL statement for the exact vector top 50 and the BM25 top 50 of one user.

Hand-written for the tables as they are, prepared once, sent by the driver without anything around it. What it
does not do: conversation context, filters, versions, contents, fusion.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pgvector import HalfVector
from pgvector.asyncpg import register_vector

from neuromem.domain.text.tokenizer import tokenize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.support.server import Place
    from neuromem.config import BM25Settings

DEPTH = 50

STATEMENT = f"""
    WITH hits AS MATERIALIZED (
        SELECT p.term, p.entry, p.tf, p.length, q.n
        FROM unnest($2::text[], $3::int[]) AS q(term, n)
        JOIN {{s}}.postings p ON p.user_id = $1 AND p.kind = $4::"char" AND p.term = q.term AND p.current
    ), weight AS MATERIALIZED (
        SELECT h.term, ln(1 + (c.entries - count(*) + 0.5) / (count(*) + 0.5))::float8 AS idf,
               c.tokens::float8 / c.entries AS average
        FROM hits h CROSS JOIN {{s}}.corpora c WHERE c.user_id = $1 AND c.kind = $4::"char"
        GROUP BY h.term, c.entries, c.tokens
    ), words AS (
        SELECT h.entry, sum(h.n * w.idf * h.tf / (h.tf + $5::float8 * (1 - $6::float8
                            + $6::float8 * h.length / w.average))) AS score
        FROM hits h JOIN weight w USING (term) GROUP BY h.entry ORDER BY score DESC, h.entry LIMIT {DEPTH}
    ), near AS (
        SELECT v.entry, (v.v <#> $7::halfvec) + 0 AS distance FROM {{s}}.vectors v
        WHERE v.user_id = $1 AND v.space = $8 AND v.kind = $4::"char" AND v.current
        ORDER BY distance, v.entry LIMIT {DEPTH}
    )
    SELECT 'bm25' AS arm, entry, score FROM words UNION ALL SELECT 'vector', entry, -distance FROM near
"""
SPACE = "SELECT space FROM {s}.spaces WHERE active"


class Bare:
    """A connection of the ordinary role that asks the one statement."""

    def __init__(
        self, connection: Any, statement: Any, user: Any, space: int, settings: BM25Settings
    ) -> None:
        self._connection = connection
        self._statement = statement
        self._user = user
        self._space = space
        self._settings = settings

    @classmethod
    async def open(cls, where: Place, settings: BM25Settings) -> Bare:
        """Connect and prepare."""
        connection = await where.connect()
        await register_vector(connection)
        # as anybody who measures would: no compilation of short statements, plans for the values at hand
        await connection.execute("SET jit = off")
        await connection.execute("SET plan_cache_mode = force_custom_plan")
        space = await connection.fetchval(SPACE.replace("{s}", where.schema))
        statement = await connection.prepare(STATEMENT.replace("{s}", where.schema))
        user = await connection.prepare("SELECT set_config('neuromem.user_id', $1, false)")
        return cls(connection, statement, user, space, settings)

    def arguments(self, user_id: str, question: str, vector: Sequence[float]) -> tuple[Any, ...]:
        """Return what `ask` sends; made before the clock starts."""
        counts = Counter(tokenize(question, "en"))
        return (
            user_id,
            list(counts),
            list(counts.values()),
            b"k",
            self._settings.k1,
            self._settings.b,
            HalfVector(list(vector)),
            self._space,
        )

    async def become(self, user_id: str) -> None:
        """Set the user: row level security holds for the yardstick too."""
        await self._user.fetch(user_id)

    async def ask(self, arguments: tuple[Any, ...]) -> list[Any]:
        """Send the statement."""
        rows: list[Any] = await self._statement.fetch(*arguments)
        return rows

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()
