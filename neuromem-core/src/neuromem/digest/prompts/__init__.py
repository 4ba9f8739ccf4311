"""The prompts of digests, one text per version."""
