"""store/retrieval."""
