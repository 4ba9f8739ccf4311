"""The facades: thin, and always about one user."""
