"""store/graph."""
