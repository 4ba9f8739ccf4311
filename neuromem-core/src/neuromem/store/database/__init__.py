"""store/database."""
