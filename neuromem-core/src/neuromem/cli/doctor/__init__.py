"""cli/doctor."""
