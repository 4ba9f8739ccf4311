"""The search index: entries with their words and vectors, embedding spaces, and the SQL that ranks and filters them.

May import `store.queue`, `store.schema` and `store.database`; knows neither memories nor messages beyond their ids.
Begin with `entries.py` (what is indexed), then `bm25.py`, `vectors.py`, `hnsw.py` (how it is ranked), `filters.py`.
"""
