"""The prompts of extractions, one text per version."""
