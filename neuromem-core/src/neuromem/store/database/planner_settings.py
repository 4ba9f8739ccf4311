"""Settings of PostgreSQL's planner, for the transactions of `Database.reader`."""

from __future__ import annotations

# Plans each statement for its values: a cached generic plan does not know how many rows a user has.
PLANNER_CUSTOM = {"plan_cache_mode": "force_custom_plan"}

# For statements made of lateral lookups, whose plan must not depend on statistics: without any, the planner prefers
# nested loops over what it takes for one row. Indexes only, because a table holds the rows of all users.
PLANNER_INDEX_ONLY = {**PLANNER_CUSTOM, "enable_nestloop": "off", "enable_seqscan": "off"}

# The same for a user with few rows: one plan for each connection, without parallel processes. Planning each time
# costs up to a tenth of the scan of 10,000 vectors.
PLANNER_GENERIC = {
    **PLANNER_INDEX_ONLY,
    "plan_cache_mode": "force_generic_plan",
    "max_parallel_workers_per_gather": "0",
}

# For a user with few current rows and many superseded ones: a plan for the values finds the partial index that leaves
# out the superseded ones, provided that random pages are estimated to cost no more than sequential ones.
PLANNER_PARTIAL_INDEX = {
    **PLANNER_INDEX_ONLY,
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1",
}
