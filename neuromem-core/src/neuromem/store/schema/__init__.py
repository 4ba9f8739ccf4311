"""The schema: its migrations, the tables that hold rows of users, and migrated databases to copy for tests.

May import `store.database` only.
Begin with `migrate.py`; the tables are described by `migrations/versions`, and read from the catalog by `catalog.py`.
"""
