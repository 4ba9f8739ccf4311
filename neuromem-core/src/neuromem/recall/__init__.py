"""Recall: what answers a question, from the candidates of the retrievers to the dict that is returned.

It may import the registry, the plugin ports and what lies below, but not the store, which it reads through those ports.
Begin with `service.py`: resolve -> pipeline (retrievers, fusion, hydrate, scoring, deduplicate, rerank) -> response.
"""
