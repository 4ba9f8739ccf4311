"""domain/text."""
