"""Planner settings: how PostgreSQL plans the statements of one question, chosen by how many entries the user has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from neuromem.store.database.planner_settings import (
    PLANNER_GENERIC,
    PLANNER_INDEX_ONLY,
    PLANNER_PARTIAL_INDEX,
)
from neuromem.store.search_index.hnsw import hnsw_planner_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.domain.query import Query
    from neuromem.store.database.database import Database
    from neuromem.store.retrieval.user_snapshot import UserSnapshots

LONG_PAST = 5_000  # superseded entries from which on a plan that leaves them out pays for itself


class PlannerChoice(NamedTuple):
    """The settings of a transaction, and whether they let it search through the user's HNSW index."""

    settings: Mapping[str, str]
    uses_hnsw: bool


def choose_planner_settings(database: Database, snapshots: UserSnapshots, query: Query) -> PlannerChoice:
    """Return the planner settings for a question, by what the last answer knew of its user.

    A user of up to `UserSnapshots.exact_limit` entries gets one generic plan for each connection. A user of more is
    worth a plan for the values at hand and parallel processes, and may have an HNSW index.
    """
    snapshot = snapshots.last(query.user_id)
    if snapshot is not None:
        present = query.filters.as_of is None
        if (snapshot.entries if present else snapshot.last_entry) <= snapshots.exact_limit:
            long_past = present and snapshot.last_entry - snapshot.entries > LONG_PAST
            return PlannerChoice(PLANNER_PARTIAL_INDEX if long_past else PLANNER_GENERIC, uses_hnsw=False)
    if snapshots.has_hnsw_index(query.user_id):
        return PlannerChoice(hnsw_planner_settings(database, 2 * query.depth), uses_hnsw=True)
    return PlannerChoice(PLANNER_INDEX_ONLY, uses_hnsw=False)
