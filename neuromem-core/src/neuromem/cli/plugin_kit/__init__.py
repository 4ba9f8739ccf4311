"""cli/plugin_kit."""
