"""SQL conditions on memory ``m`` that say whether it was concluded from other memories, as its type specifies."""

from __future__ import annotations

from neuromem.domain.memory_types import INSIGHT, derived_types

# Comparisons with one name each: the planner matches them with the predicates of the partial indexes.
DERIVED = "(" + " OR ".join(f"m.memory_type = '{name}'" for name in derived_types()) + ")"
NOT_DERIVED = " AND ".join(f"m.memory_type <> '{name}'" for name in derived_types())
IS_INSIGHT = f"m.memory_type = '{INSIGHT.name}'"
