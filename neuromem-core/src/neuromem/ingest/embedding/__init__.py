"""Vectors for what is stored: embedding new entries, changing the embedding model, building a user's own HNSW index.

Imports `jobs` and the store, nothing of its siblings in `ingest`. Begin with `handler`, which embeds what is new;
`space_migration` embeds everything again with another model.
"""
