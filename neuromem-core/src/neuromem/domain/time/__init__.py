"""domain/time."""
