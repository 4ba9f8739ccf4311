"""ingest/reextraction."""
