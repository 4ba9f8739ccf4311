"""store/search_index."""
