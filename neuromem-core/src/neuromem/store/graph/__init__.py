"""The knowledge graph of a user in PostgreSQL: nodes with names, edges as versions, merges, traversal.

May import `store.search_index` and the rooms below it; knows neither memories nor kv nor documents.
Begin with `view.py` (which versions and edges a read sees), then `read.py` and `write.py`; which edge ends its
predecessor is decided in `edge_batch.py`.
"""
