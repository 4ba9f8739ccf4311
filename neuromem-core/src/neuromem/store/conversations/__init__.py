"""Sessions and their messages, the extraction of messages, and the erasure of a session with all that came of it.

May import `store.memories`, `store.graph`, `store.kv` and the rooms below them.
Begin with `messages.py`; extraction is `extraction_queue.py` (what waits), `extraction_window.py` (what is read) and
`extraction_outcomes.py` (how it ended), and `erase.py` begins the erasure of a session.
"""
