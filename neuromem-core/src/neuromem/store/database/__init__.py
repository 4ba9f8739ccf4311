"""The database itself: connections, transactions of one user, statements composed from fragments, row level security.

The lowest room of the store: it imports no other one.
Begin with `database.py`, then `sql.py`; the user's lock and clock, with which every write begins, are in `users.py`.
"""
