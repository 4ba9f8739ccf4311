"""ingest/extraction."""
