"""Digest: think about what is known."""
