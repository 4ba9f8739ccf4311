"""store/documents."""
