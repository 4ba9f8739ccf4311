"""Abbreviations for neuromem: an embedding, a retriever and a scorer."""

from neuromem_acme.embedding import AcmeEmbedding

__all__ = ["AcmeEmbedding"]
