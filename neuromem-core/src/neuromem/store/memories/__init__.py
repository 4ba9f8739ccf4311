"""store/memories."""
