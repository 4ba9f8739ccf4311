"""store/queue."""
