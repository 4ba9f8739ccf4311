"""The queue of background work: its rows, its leases, which processes are alive, and the tokens that work has cost.

Imports `store.schema` and `store.database`, nothing above them. Begin with `job_kinds`, the one list of what kinds of
jobs there are; then `jobs` and `lease`.
"""
