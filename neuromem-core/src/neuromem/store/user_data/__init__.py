"""Everything of a user at once: statistics, export, import and deletion, and the checks of ``neuromem doctor``.

May import every room of the store.
Begin with `delete.py` and `export.py`; which tables hold data of users they ask `store.schema.catalog`.
"""
