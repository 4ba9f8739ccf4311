"""ingest/embedding."""
