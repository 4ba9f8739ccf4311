"""store/user_data."""
