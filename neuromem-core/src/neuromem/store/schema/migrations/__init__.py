"""Alembic migrations, forward only; ``store.schema`` runs them."""
