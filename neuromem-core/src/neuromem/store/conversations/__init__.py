"""store/conversations."""
