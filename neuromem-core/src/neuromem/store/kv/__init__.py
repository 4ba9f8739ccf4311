"""store/kv."""
