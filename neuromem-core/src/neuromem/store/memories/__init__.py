"""Memories of a user as chains of versions, insights with the evidence that supports them, and the mood.

May import `store.search_index` and the rooms below it, and the profile of `store.kv`; nobody in this room imports
`store.conversations`.
Begin with `memory_rows.py` (what a memory is), then `write.py`; `rollback.py`, `evidence.py` and
`versions.py` each decide one rule that stands at their top.
"""
