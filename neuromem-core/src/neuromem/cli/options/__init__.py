"""cli/options."""
