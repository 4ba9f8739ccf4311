"""Ingest: store what was said and turn it into what is known."""
