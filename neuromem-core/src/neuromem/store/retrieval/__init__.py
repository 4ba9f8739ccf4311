"""Retrieval: reads for one question, as the implementation of the ports that recall reads through.

May import every room of the store but `store.user_data`.
Begin with `reader.py`, then `hybrid_search.py` and the one SQL statement of `hybrid_query.py`.
"""
