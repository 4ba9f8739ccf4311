"""cli/imports."""
